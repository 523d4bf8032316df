/*
 * Whether the caller of a request that asks for a profile may have one;
 * docs/security.md has the rules in words. Any thread; with the door's own `lookup`,
 * and for authorize() whatever that wants (the GIL).
 */
#ifndef FLAME_MIDDLEWARE_ACCESS_H
#define FLAME_MIDDLEWARE_ACCESS_H

#include "middleware/request.h"

enum flame_verdict {
    FLAME_MAY, /* not refused */
    FLAME_REFUSED_OFF,
    FLAME_REFUSED_CROSS_SITE,
    FLAME_REFUSED_AUTHORIZE,
    FLAME_REFUSED_NOT_LOCAL, /* and no network is allowed */
    FLAME_REFUSED_NETWORK,
    FLAME_REFUSED_CLIENT,    /* a trusted proxy does not say whose request it is */
    FLAME_REFUSED_TOKEN_BAD, /* from here on of a token */
    FLAME_REFUSED_TOKEN_EARLY,
    FLAME_REFUSED_TOKEN_EXPIRED,
    FLAME_REFUSED_TOKEN_CROSS_SITE, /* it came in a cookie */
    FLAME_REFUSED_TOKEN_SPENT,
    FLAME_REFUSED_TOKEN_UNSPENDABLE, /* nobody here could tell that it is spent */
};

struct flame_access {
    enum flame_verdict verdict;
    uint64_t interval_min_ns; /* as the token has it that permits this; 0: any */
    bool by_token;            /* nothing but a token permits this: of its path only */
    bool once;                /* that token is to be spent */
    unsigned char digest[16];
    uint64_t ends; /* its last second, since 1970 */
};

/*
 * Does all there is to do whatever one part of it finds, so that how long it takes says
 * nothing: what it costs depends on what is configured and on the lengths of the path,
 * the query and the headers. authorize() is the exception: it is not asked where
 * something else has decided, and takes the time it takes.
 */
void flame_access_check(const struct flame_config *config, flame_lookup *lookup,
                        void *door_request, struct flame_access *access);
/*
 * The last thing before a profile begins, when nothing else is against it: spends the
 * token, if that is good once only. False: it was spent meanwhile; the caller is
 * refused then, for `access->verdict`.
 */
bool flame_access_spend(struct flame_access *access);

/*
 * Whether the file is there that switches all profiling off, or is where nobody can
 * look. A system call, if one is configured: not for every request.
 */
bool flame_switched_off(const struct flame_config *config);

/* For the log: "its token has expired", and what would change that. */
const char *flame_verdict_reason(enum flame_verdict verdict);
/*
 * Counts one that was refused, and says so through `log` (NULL: to nobody) at most once
 * a minute: how many since, the last one's address and reason; one line, no newline.
 */
void flame_refused(enum flame_verdict verdict, struct flame_slice remote,
                   void (*log)(const char *line));

#endif
