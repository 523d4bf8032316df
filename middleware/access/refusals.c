/* Why somebody may not: in words, and counted. */
#include "middleware/access/access.h"
#include "middleware/common/common.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#define REFUSALS_EVERY_S 60

const char *flame_verdict_reason(enum flame_verdict verdict)
{
    static const char *const reasons[] = {
        [FLAME_MAY] = "nothing is against it",
        [FLAME_REFUSED_OFF] = "it is switched off by the file of --flameprof-off-file",
        [FLAME_REFUSED_CROSS_SITE] = "it came from another site",
        [FLAME_REFUSED_AUTHORIZE] = "authorize did not let it",
        [FLAME_REFUSED_NOT_LOCAL] =
            ("only direct requests from this host may ask; --flameprof-allow NETWORK "
             "(uWSGI) or allow=[NETWORK] (Middleware) widens that"),
        [FLAME_REFUSED_NETWORK] = "its address is in no allowed network",
        [FLAME_REFUSED_CLIENT] =
            "a trusted proxy did not say, or not clearly, whose request it is",
        [FLAME_REFUSED_TOKEN_BAD] =
            "its token is not one that was signed for this path with a secret of ours",
        [FLAME_REFUSED_TOKEN_EARLY] =
            "its token was signed by a clock that is ahead of ours",
        [FLAME_REFUSED_TOKEN_EXPIRED] = "its token has expired",
        [FLAME_REFUSED_TOKEN_CROSS_SITE] =
            "it came from another site, with its token in a cookie",
        [FLAME_REFUSED_TOKEN_SPENT] = "its token was good once, and has been used",
        [FLAME_REFUSED_TOKEN_UNSPENDABLE] =
            "its token is good once, and nothing here remembers whether it was used",
    };

    return reasons[verdict];
}

void flame_refused(enum flame_verdict verdict, struct flame_slice remote,
                   void (*log)(const char *line))
{
    /* Without a lock, which a fork could find held. */
    static _Atomic unsigned long refused;
    static _Atomic time_t quiet_until;
    struct timespec now;
    unsigned long count = 0;
    char line[400];
    char from[64];
    size_t length = remote.length < sizeof from - 1 ? remote.length : sizeof from - 1;

    flame_count(FLAME_COUNT_REFUSED_CALLER, 1);
    flame_count(FLAME_COUNT_REFUSED_TOKEN, verdict >= FLAME_REFUSED_TOKEN_BAD);
    flame_count(FLAME_COUNT_REFUSED_OFF, verdict == FLAME_REFUSED_OFF);
    clock_gettime(CLOCK_MONOTONIC, &now);
    atomic_fetch_add(&refused, 1);
    time_t quiet = atomic_load(&quiet_until);
    if (now.tv_sec >= quiet &&
        atomic_compare_exchange_strong(&quiet_until, &quiet,
                                       now.tv_sec + REFUSALS_EVERY_S)) {
        count = atomic_exchange(&refused, 0);
    }
    if (count == 0 || log == NULL) {
        return;
    }
    for (size_t i = 0; i < length; i++) {
        char c = remote.data[i];
        from[i] = c > ' ' && c < 0x7f ? c : '?';
    }
    from[length] = '\0';
    snprintf(
        line, sizeof line,
        "[flameprof] %lu request%s for a flame graph refused, the last from %s: %s",
        count, count == 1 ? "" : "s", length == 0 ? "(no address)" : from,
        flame_verdict_reason(verdict));
    log(line);
}
