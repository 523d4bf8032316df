/*
 * What all processes of one server have in common: counters, the profiles that run,
 * how many were begun lately, and the tokens that are spent.
 *
 * It is one block of shared memory for each process, made before requests run and never
 * given back. The uWSGI plugin makes it before the fork; flameprof.Middleware maps a
 * file that every worker of this user finds by itself. Where neither can be had the
 * block is the process' own: limits then hold for one process, and no token can be
 * spent.
 *
 * Any thread, GIL or not; not from a signal handler. A process killed at any
 * instruction leaves a block that is whole, and blocks nobody: what is more than one
 * word stands under a robust mutex, and becomes valid by the store of one word. Nobody
 * waits for the mutex for longer than FLAME_COMMON_WAIT_MS, whatever its holder does
 * (SIGSTOP).
 *
 * A fork copies the mapping, not the block. What a child's parent has running is the
 * parent's to end.
 */
#ifndef FLAME_MIDDLEWARE_COMMON_H
#define FLAME_MIDDLEWARE_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLAME_COMMON_WAIT_MS 100
#define FLAME_COMMON_SLOTS 256u    /* profiles at once, in all processes */
#define FLAME_COMMON_TOKENS 4096u  /* spent, and not expired yet */
#define FLAME_COMMON_NAME_SIZE 64u /* of the file, with its NUL */

struct flame_common;

/* ---- making ------------------------------------------------------------------ */

/* Who shares it. */
enum flame_sharing {
    FLAME_OF_PROCESS, /* nobody: the limits are this process' */
    FLAME_OF_FORK,    /* the process that made it, and its children */
    FLAME_OF_FOLDER,  /* all of this user, on this machine, that use the folder */
};

/* This process' block, which all functions without a `common` mean. Never NULL: of the
 * process, until one of the next two has made another. */
struct flame_common *flame_common_here(void);

/*
 * Makes this process' block, if it has none but its own yet: else 0, and nothing else
 * happens. What was counted so far goes along. One at a time, and before any request
 * runs. 0, or a negative errno: the block is of the process.
 *
 * before_fork: memory that the children inherit.
 * in_folder: a file in a folder that is open, of mode 0700 and ours, which stays the
 * caller's; or the negative errno with which it could not be opened. The file has its
 * whole size from the start (a full disk is an error here and never a SIGBUS later) and
 * never another; it is one for each layout of ours, boot of the machine and PID
 * namespace. path: where the folder is, for flame_common_spend(); copied. -EPERM: what
 * stands there is not ours; -EPROTO: it is no block of ours.
 */
int flame_common_make_before_fork(void);
int flame_common_make_in_folder(int folder, const char *path);
/* What to log, once, about an error of these: one line without its end. */
void flame_common_explain(int error, char *line, size_t size);

enum flame_sharing flame_common_sharing(const struct flame_common *common);

/* The same, but not this process' own; folder < 0: before a fork. For
 * flame_common_free(); NULL: *error. */
struct flame_common *flame_common_new(int folder, const char *path, int *error);
void flame_common_free(struct flame_common *common);

/* ---- single-use tokens ------------------------------------------------------- */

/*
 * Spends a token: true once only, in all processes; what is in doubt is false. A digest
 * is 16 bytes that nobody can choose; `expires` is when the token does, in seconds of
 * CLOCK_REALTIME, until when it is remembered. False also: the block is of the process,
 * the table is full of tokens that have not expired, `expires` has passed, or the
 * block's file is no longer what the folder leads to.
 */
bool flame_common_spend(struct flame_common *common, const unsigned char digest[16],
                        int64_t expires);
/* By whoever has spent it, once: nothing was had for it, and it is good again. Where
 * the mutex cannot be had it stays spent. */
void flame_common_unspend(struct flame_common *common, const unsigned char digest[16]);
/* Whether it has been: by a look without the mutex, which takes the same whatever it
 * finds. Only spending it is proof that it was not. */
bool flame_common_is_spent(const struct flame_common *common,
                           const unsigned char digest[16]);
/* False: no token can be spent here, whatever it is. Says why they are refused. */
bool flame_common_can_spend(const struct flame_common *common);
/*
 * Since when spent tokens are remembered, seconds of CLOCK_REALTIME. A token that may
 * have been made before was perhaps spent in a block that is gone (the server was
 * started anew): the caller refuses it.
 */
int64_t flame_common_since(const struct flame_common *common);

/* ---- counters ---------------------------------------------------------------- */

/* Since the block was made; in the order they are shown. counters.c has their names. */
enum flame_counter {
    FLAME_COUNT_PROFILES, /* taken, of requests; the panel's and kept ones as well */
    FLAME_COUNT_SLOW,     /* of them by themselves: the request was slow */
    FLAME_COUNT_FAILED,   /* or failed */
    FLAME_COUNT_CUT,      /* of them ended before their request (max-seconds, ...) */
    FLAME_COUNT_REFUSED_CALLER,
    FLAME_COUNT_REFUSED_TOKEN, /* of them: forged, expired, spent, for another path */
    FLAME_COUNT_REFUSED_OFF,   /* switched off at run time */
    FLAME_COUNT_REFUSED_MALFORMED,
    FLAME_COUNT_REFUSED_AT_ONCE,        /* the server's limit */
    FLAME_COUNT_REFUSED_WORKER_AT_ONCE, /* the worker's */
    FLAME_COUNT_REFUSED_PER_MINUTE,
    FLAME_COUNT_REFUSED_INTERVAL,
    FLAME_COUNT_REFUSED_START, /* the sampler could not: no memory, no thread */
    FLAME_COUNT_SAMPLES,
    FLAME_COUNT_MISSED,
    FLAME_COUNT_REJECTED,
    FLAME_COUNT_SAMPLING_NS, /* in the handler and in the ticker */
    FLAME_COUNT_PICTURES,    /* drawn, in whatever format */
    FLAME_COUNT_PICTURES_NS,
    FLAME_COUNT_PICTURES_BYTES,
    FLAME_COUNT_PICTURES_TOO_LARGE,
    FLAME_COUNT_KEPT,      /* put into the store */
    FLAME_COUNT_NOT_KEPT,  /* could not be */
    FLAME_COUNT_CLEARED,   /* given up for newer ones */
    FLAME_COUNT_PUSHED,    /* accepted by the server they are pushed to */
    FLAME_COUNT_PUSH_LOST, /* given up: the queue was full, or it never answered */
    FLAME_COUNT_PUSH_ERRORS,
    FLAME_COUNTERS
};

/* One relaxed addition to shared memory. */
void flame_count(enum flame_counter counter, uint64_t more);
uint64_t flame_counted(const struct flame_common *common, enum flame_counter counter);
/* "refused_caller": the same in flameprof.stats() and, after "flameprof.", in uWSGI. */
const char *flame_counter_name(enum flame_counter counter);
/* Where it stands, for uWSGI's metrics, which read it as an int64_t at any time. */
const int64_t *flame_counter_address(const struct flame_common *common,
                                     enum flame_counter counter);

/* ---- profiles that run: limits.h decides with these --------------------------- */

/* A place among those that run. Its own process gives it back; a copy in a forked
 * child is worth nothing. All zero: none. */
struct flame_ticket {
    uint64_t serial;
    int32_t process;
    uint32_t slot;
};

enum flame_entry {
    FLAME_ENTERED,
    FLAME_FULL,        /* as many run in all processes as may */
    FLAME_FULL_HERE,   /* or in this one */
    FLAME_TOO_OFTEN,   /* as many were begun in the last minute as may */
    FLAME_ENTRY_STUCK, /* the mutex could not be had */
};

struct flame_entry_limits {
    uint32_t at_once;        /* in all processes; 1 to FLAME_COMMON_SLOTS */
    uint32_t worker_at_once; /* in this one */
    uint32_t per_minute;     /* begun, in all */
};

/*
 * Takes a place for a profile that ends in `longest_ns` at most. Places of processes
 * that are gone are free, and so are those whose time was over a minute ago. Not
 * entered: *retry_s is after how many seconds it is worth asking again, at least 1.
 */
enum flame_entry flame_common_enter(struct flame_common *common,
                                    const struct flame_entry_limits *limits,
                                    uint64_t longest_ns, struct flame_ticket *ticket,
                                    unsigned *retry_s);
/* Gives it back; a second time, by another process, or of none: nothing happens. */
void flame_common_leave(struct flame_common *common, struct flame_ticket *ticket);
/* How many run now. */
unsigned flame_common_running(struct flame_common *common);

#endif
