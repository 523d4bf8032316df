/*
 * Finished profiles on their way to a Pyroscope-compatible server: POST /ingest with
 * pprof and labels, by one thread of ours in each process that takes profiles.
 *
 * The thread starts with the first profile (so never in a uWSGI master), blocks all
 * signals, needs no GIL and is the only one that loads libcurl. What waits for it is
 * bounded in number and in bytes; what finds no room pushes the oldest out. A server
 * that cannot be reached is asked again after 1, 2, 4 ... 60 seconds, each time
 * shortened at random by up to a half. What is given up is counted
 * (FLAME_COUNT_PUSH_LOST), and said on standard error, once a minute at most.
 *
 * A forked child has no thread and nothing that waits until it has a profile itself. At
 * exit() what still waits is tried once, FLAME_PUSH_EXIT_MS at most; the rest is lost.
 */
#ifndef FLAME_MIDDLEWARE_PUSH_H
#define FLAME_MIDDLEWARE_PUSH_H

#include "renderer/renderer.h"

#define FLAME_PUSH_PROFILES 64u
#define FLAME_PUSH_BYTES ((size_t)32 << 20) /* of all that wait */
#define FLAME_PUSH_EXIT_MS 1000
#define FLAME_PUSH_TIMEOUT_MS 10000 /* of one attempt, and of connecting 3000 */
#define FLAME_PUSH_AGE_S 600        /* older ones are given up */
#define FLAME_PUSH_LABEL_MAX 200u   /* bytes of a label's value */

#define FLAME_PUSH_ACCEPTED \
    "an address such as https://profiles.example:4040, without ? and #"
#define FLAME_PUSH_SERVICE_ACCEPTED "1 to 100 letters, digits and - . / _"
#define FLAME_PUSH_CREDENTIALS_ACCEPTED                                    \
    "a file that its owner alone can read (chmod 600), whose one line is " \
    "user:password or \"Bearer TOKEN\""

/* ---- where to: part of the configuration -------------------------------------- */

/* Texts are malloc'd; all NULL: nothing is pushed. Never logged but for `url`. */
struct flame_push_target {
    char *url;     /* without user and password, and without a slash at its end */
    char *service; /* NULL: "flameprof" */
    char *user;    /* "user:password" */
    char *token;   /* of "Authorization: Bearer" */
};

/* Before requests run. 0, -EINVAL or -ENOMEM. _url() takes user and password out of
 * https://user:password@host; _credentials() reads the file at once, so that a server
 * which then drops root has them, and wins over those; it has to be private.h's. */
int flame_push_set_url(struct flame_push_target *target, struct flame_slice url);
int flame_push_set_service(struct flame_push_target *target, struct flame_slice name);
int flame_push_set_credentials(struct flame_push_target *target,
                               struct flame_slice path);
void flame_push_target_free(struct flame_push_target *target);

/* ---- one profile -------------------------------------------------------------- */

/* Copied before flame_push() returns. */
struct flame_pushed {
    struct flame_slice method;
    struct flame_slice path; /* a query is cut off, ids are made ":id" */
    struct flame_slice status;
    struct flame_slice raised; /* empty: nothing */
    struct flame_quality quality;
    enum flame_clock clock;
};

/*
 * Takes the tree, whatever happens: it is written as pprof by the thread, so that the
 * request pays for neither that nor the sending. Any thread; never waits but for a
 * mutex that is held for moments.
 */
void flame_push(const struct flame_push_target *target, struct flame_tree *tree,
                const struct flame_pushed *pushed);
/* The same for who has no tree yet; makes one, and nothing if there is no url. The
 * quality is the profile's. */
void flame_push_profile(const struct flame_push_target *target,
                        const struct flame_profile *profile,
                        const struct flame_pushed *pushed);

#endif
