/* Signed permissions to profile one path. */
#include "middleware/access/token.h"

#include <sodium.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "middleware/access/private.h"

enum { SAID_BYTES = 16, MAC_BYTES = crypto_auth_hmacsha256_BYTES };
enum { VERSION = 0x10, ONCE = 0x01 };

/* So that a secret that signs something else, too, never signs a token of ours. */
static const unsigned char purpose[16] = "flameprof token";

struct flame_secret {
    crypto_auth_hmacsha256_state begun; /* the secret has been taken in */
};

struct token_bytes {
    unsigned char said[SAID_BYTES];
    unsigned char mac[MAC_BYTES];
};

_Static_assert(sizeof(struct token_bytes) * 4 == FLAME_TOKEN_LENGTH * 3,
               "base64 without padding");

/* ---- secrets ----------------------------------------------------------------- */

static int refuse(char *why, size_t size, const char *sentence)
{
    snprintf(why, size, "%s", sentence);
    return -1;
}

static int add_bytes(struct flame_secrets *secrets, const unsigned char *bytes,
                     size_t length, char *why, size_t size)
{
    if (length < FLAME_SECRET_LEAST) {
        return refuse(why, size, "it has less than 32 bytes, and could be guessed");
    }
    if (length > FLAME_SECRET_MOST) {
        return refuse(why, size, "it has more than 4096 bytes");
    }
    if (sodium_init() < 0) {
        return refuse(why, size, "libsodium cannot be used here");
    }
    struct flame_secret *more =
        realloc(secrets->list, (secrets->count + 1) * sizeof *more);
    if (more == NULL) {
        return refuse(why, size, "there is no memory for it");
    }
    secrets->list = more;
    crypto_auth_hmacsha256_init(&secrets->list[secrets->count++].begun, bytes, length);
    return 0;
}

int flame_secrets_add(struct flame_secrets *secrets, const char *path, char *why,
                      size_t size)
{
    unsigned char bytes[FLAME_SECRET_MOST + 1];
    const char *problem;
    ssize_t length = flame_private_read(path, bytes, sizeof bytes, &problem);
    int result = length < 0 ? refuse(why, size, problem)
                            : add_bytes(secrets, bytes, (size_t)length, why, size);

    sodium_memzero(bytes, sizeof bytes);
    return result;
}

void flame_secrets_free(struct flame_secrets *secrets)
{
    if (secrets->list != NULL) {
        sodium_memzero(secrets->list, secrets->count * sizeof *secrets->list);
    }
    free(secrets->list);
    *secrets = (struct flame_secrets){NULL, 0};
}

/* ---- tokens ------------------------------------------------------------------ */

static void put_number(unsigned char *out, size_t bytes, uint32_t number)
{
    for (size_t i = bytes; i-- > 0; number >>= 8) {
        out[i] = (unsigned char)(number & 0xff);
    }
}

static uint32_t get_number(const unsigned char *in, size_t bytes)
{
    uint32_t number = 0;

    for (size_t i = 0; i < bytes; i++) {
        number = number << 8 | in[i];
    }
    return number;
}

static void say(const struct flame_token *token, unsigned char said[SAID_BYTES])
{
    said[0] = (unsigned char)(VERSION | (token->once ? ONCE : 0));
    put_number(said + 1, 4, token->signed_at);
    put_number(said + 5, 3, token->seconds);
    put_number(said + 8, 4, token->interval_min_ns);
    memcpy(said + 12, token->nonce, sizeof token->nonce);
}

static void understand(const unsigned char said[SAID_BYTES], struct flame_token *token)
{
    token->once = (said[0] & ONCE) != 0;
    token->signed_at = get_number(said + 1, 4);
    token->seconds = get_number(said + 5, 3);
    token->interval_min_ns = get_number(said + 8, 4);
    memcpy(token->nonce, said + 12, sizeof token->nonce);
}

static void take_in(crypto_auth_hmacsha256_state *state, struct flame_slice text)
{
    if (text.length != 0) {
        crypto_auth_hmacsha256_update(state, (const unsigned char *)text.data,
                                      text.length);
    }
}

static void authenticate(const struct flame_secret *secret,
                         const unsigned char said[SAID_BYTES],
                         struct flame_slice script, struct flame_slice info,
                         unsigned char mac[MAC_BYTES])
{
    crypto_auth_hmacsha256_state state = secret->begun;

    crypto_auth_hmacsha256_update(&state, purpose, sizeof purpose);
    crypto_auth_hmacsha256_update(&state, said, SAID_BYTES);
    take_in(&state, script);
    take_in(&state, info);
    crypto_auth_hmacsha256_final(&state, mac);
}

void flame_token_sign(const struct flame_secrets *secrets,
                      const struct flame_token *token, struct flame_slice path,
                      char out[FLAME_TOKEN_LENGTH + 1])
{
    struct token_bytes bytes;

    say(token, bytes.said);
    authenticate(&secrets->list[0], bytes.said, path, (struct flame_slice){NULL, 0},
                 bytes.mac);
    sodium_bin2base64(out, FLAME_TOKEN_LENGTH + 1, (const unsigned char *)&bytes,
                      sizeof bytes, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

/*
 * What is no token becomes the bytes of some other one, which takes as long to decode:
 * sodium_base642bin() would stop at the first wrong character.
 */
static bool decode(struct flame_slice text, struct token_bytes *bytes)
{
    char copy[FLAME_TOKEN_LENGTH];
    bool right = text.length == FLAME_TOKEN_LENGTH;

    for (size_t i = 0; i < FLAME_TOKEN_LENGTH; i++) {
        char c = i < text.length ? text.data[i] : 'A';
        bool fits = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                    (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
        copy[i] = fits ? c : 'A';
        right &= fits;
    }
    return (sodium_base642bin((unsigned char *)bytes, sizeof *bytes, copy, sizeof copy,
                              NULL, NULL, NULL,
                              sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0) &
           right;
}

/* Cut to what is left; false: it was longer. */
static bool cut(struct flame_slice *text, size_t *left)
{
    bool fits = text->length <= *left;

    text->length = fits ? text->length : *left;
    *left -= text->length;
    return fits;
}

uint64_t flame_token_ends(const struct flame_token *token)
{
    return (uint64_t)token->signed_at + token->seconds + FLAME_TOKEN_SKEW_S;
}

enum flame_token_state flame_token_check(const struct flame_secrets *secrets,
                                         struct flame_slice text,
                                         struct flame_slice script,
                                         struct flame_slice info, uint64_t now,
                                         struct flame_token *token)
{
    struct token_bytes bytes;
    size_t left = FLAME_TOKEN_PATH_MAX;
    bool good = decode(text, &bytes);
    bool ours = false;

    good &= (bytes.said[0] & ~ONCE) == VERSION;
    good &= cut(&script, &left);
    good &= cut(&info, &left);
    for (size_t i = 0; i < secrets->count; i++) {
        unsigned char mac[MAC_BYTES];
        authenticate(&secrets->list[i], bytes.said, script, info, mac);
        ours |= sodium_memcmp(mac, bytes.mac, sizeof mac) == 0;
    }
    *token = (struct flame_token){0};
    if (!(good & ours)) {
        return text.data == NULL ? FLAME_TOKEN_ABSENT : FLAME_TOKEN_BAD;
    }
    understand(bytes.said, token);
    memcpy(token->digest, bytes.mac, sizeof token->digest);
    if (token->signed_at > now &&
        (token->once || token->signed_at - now > FLAME_TOKEN_SKEW_S)) {
        return FLAME_TOKEN_EARLY;
    }
    return token->seconds > FLAME_TOKEN_SECONDS_MAX || flame_token_ends(token) < now
               ? FLAME_TOKEN_EXPIRED
               : FLAME_TOKEN_GOOD;
}
