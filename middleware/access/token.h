/*
 * Signed permissions to profile one path: what `flameprof sign` makes and a door
 * checks.
 *
 * 64 characters, base64 for URLs of 48 bytes, all numbers big-endian:
 *
 *      1  the version, 1, in the upper half; once in the lowest bit
 *      4  when it was signed, in seconds since 1970
 *      3  for how many seconds it is good
 *      4  the smallest interval that may be asked for, in ns; 0: any
 *      4  random, so that no two of one second are the same
 *     32  HMAC-SHA-256 by the secret of "flameprof token\0", these 16 bytes, and the
 * path
 *
 * The path is SCRIPT_NAME and PATH_INFO as one, percent escapes decoded, byte for byte.
 * Nothing here keeps state: which ones were used is what middleware/common/common.h
 * knows.
 */
#ifndef FLAME_MIDDLEWARE_TOKEN_H
#define FLAME_MIDDLEWARE_TOKEN_H

#include "renderer/renderer.h"

#define FLAME_TOKEN_LENGTH 64u
#define FLAME_TOKEN_PATH_MAX 1024u
/* The longest that one may be good for. */
#define FLAME_TOKEN_SECONDS_MAX 2592000u
#define FLAME_TOKEN_ACCEPTED "at most 30 days"
/*
 * By how much the clock of who signs may be wrong. Of a token that is good once it may
 * not be ahead at all: that it was signed before it was spent is how one is known that
 * was spent in a memory that is gone.
 */
#define FLAME_TOKEN_SKEW_S 30u

/* Bytes of a secret: with fewer than 32 it could be guessed. */
#define FLAME_SECRET_LEAST 32u
#define FLAME_SECRET_MOST 4096u

struct flame_secret;

/* In the order they were given: each may have signed. */
struct flame_secrets {
    struct flame_secret *list; /* owned; NULL: there is none */
    size_t count;
};

/*
 * Adds the bytes of a file, all of them. 0; -1: they were not taken, and `why` says so,
 * a sentence without the file's name. Refused are files that others than the owner can
 * read or write, or that belong to somebody else than us and root. Not for signal
 * context, nor for two threads at once.
 */
int flame_secrets_add(struct flame_secrets *secrets, const char *path, char *why,
                      size_t size);
void flame_secrets_free(struct flame_secrets *secrets);

struct flame_token {
    uint32_t signed_at; /* seconds since 1970 */
    uint32_t seconds;   /* from then on it is good; FLAME_TOKEN_SECONDS_MAX at most */
    uint32_t interval_min_ns;
    bool once;
    unsigned char nonce[4];
    unsigned char
        digest[16]; /* of its HMAC: by which a spent one is known; not signed */
};

/* By the first of the secrets; NUL-terminated. The path is FLAME_TOKEN_PATH_MAX bytes
 * at most. */
void flame_token_sign(const struct flame_secrets *secrets,
                      const struct flame_token *token, struct flame_slice path,
                      char out[FLAME_TOKEN_LENGTH + 1]);

enum flame_token_state {
    FLAME_TOKEN_GOOD,
    FLAME_TOKEN_ABSENT,
    FLAME_TOKEN_BAD,     /* no secret of ours signed this for this path */
    FLAME_TOKEN_EARLY,   /* signed by a clock that is ahead */
    FLAME_TOKEN_EXPIRED, /* signed, but no more good */
};

/* The last second at which it is good, here. */
uint64_t flame_token_ends(const struct flame_token *token);

/*
 * `text` as it was presented (data == NULL: it was not), for the path `script` `info`,
 * at `now`. Fills in `token` if the state is not ABSENT or BAD, else with zeroes. Any
 * thread; reads the secrets only.
 *
 * Always does the same: an HMAC for each of the secrets, compared in constant time,
 * over the path's first FLAME_TOKEN_PATH_MAX bytes, be there a token or not.
 */
enum flame_token_state flame_token_check(const struct flame_secrets *secrets,
                                         struct flame_slice text,
                                         struct flame_slice script,
                                         struct flame_slice info, uint64_t now,
                                         struct flame_token *token);

#endif
