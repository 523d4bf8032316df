/*
 * Tokens that nobody signed: the first 64 bytes are one, or the bytes of one before
 * base64, the rest is the path. None may ever be good; one that was signed is, and not
 * with a bit of it turned.
 */
#include "middleware/access/token.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW 1800000000u

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

/* Of random bytes, that the fuzzer cannot know. */
static struct flame_secrets make_secrets(void)
{
    char path[] = "/tmp/flameprof-fuzz-XXXXXX";
    struct flame_secrets secrets = {NULL, 0};
    unsigned char bytes[FLAME_SECRET_LEAST];
    char why[200];

    require(sodium_init() >= 0);
    randombytes_buf(bytes, sizeof bytes);
    int descriptor = mkstemp(path);
    require(descriptor >= 0 && write(descriptor, bytes, sizeof bytes) == sizeof bytes);
    close(descriptor);
    require(flame_secrets_add(&secrets, path, why, sizeof why) == 0);
    unlink(path);
    return secrets;
}

static enum flame_token_state check(const struct flame_secrets *secrets,
                                    const char *text, size_t length,
                                    struct flame_slice path)
{
    char *copy = malloc(length > 0 ? length : 1);
    struct flame_token token;

    memcpy(copy, text, length);
    enum flame_token_state state =
        flame_token_check(secrets, (struct flame_slice){copy, length}, path,
                          (struct flame_slice){NULL, 0}, NOW, &token);
    free(copy);
    return state;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct flame_secrets secrets;
    struct flame_token token = {.signed_at = NOW, .seconds = 60};
    char text[FLAME_TOKEN_LENGTH + 1];
    size_t first = size < FLAME_TOKEN_LENGTH ? size : FLAME_TOKEN_LENGTH;
    struct flame_slice path = {(const char *)data + first, size - first};

    if (secrets.count == 0) {
        secrets = make_secrets();
    }
    require(check(&secrets, (const char *)data, first, path) == FLAME_TOKEN_BAD);
    require(check(&secrets, (const char *)data, size, path) == FLAME_TOKEN_BAD);
    if (first < 48 || path.length > FLAME_TOKEN_PATH_MAX) {
        return 0;
    }
    sodium_bin2base64(text, sizeof text, data, 48,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    require(check(&secrets, text, FLAME_TOKEN_LENGTH, path) == FLAME_TOKEN_BAD);
    memcpy(&token.nonce, data, sizeof token.nonce);
    flame_token_sign(&secrets, &token, path, text);
    require(check(&secrets, text, FLAME_TOKEN_LENGTH, path) == FLAME_TOKEN_GOOD);
    size_t at = data[4] % FLAME_TOKEN_LENGTH;
    text[at] = (char)(text[at] ^ (1 << data[5] % 8));
    require(check(&secrets, text, FLAME_TOKEN_LENGTH, path) == FLAME_TOKEN_BAD);
    return 0;
}
