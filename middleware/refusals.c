/* Why somebody may not, in words. */
#include "middleware/access.h"

const char *flame_refusal_reason(enum flame_refusal refusal)
{
    static const char *const reasons[] = {
        [FLAME_MAY] = "nothing is against it",
        [FLAME_REFUSED_OFF] = "it is switched off by the file of --flameprof-off-file",
        [FLAME_REFUSED_CROSS_SITE] = "it came from another site",
        [FLAME_REFUSED_AUTHORIZE] = "authorize did not let it",
        [FLAME_REFUSED_NOT_LOCAL] =
            "only direct requests from this host may ask; --flameprof-allow NETWORK "
            "(uWSGI) or allow=[NETWORK] (Middleware) widens that",
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
            "its token is good once, and nothing here remembers which were used",
    };

    return reasons[refusal];
}
