/* A session that is ended while its thread goes on, by another one. */
#include "sampler/cpython.h"

#include <sched.h>

#include "sampler/sampler.h"
#include "sampler/session.h"

const struct flame_profile *flame_session_cut(struct flame_session *session)
{
    uint64_t end = flame_now_sigsafe();
    uint64_t cpu_end = flame_cpu_now_sigsafe(session->cpu_clock);

    if (flame_ticker_cut(session)) {
        while (flame_handler_take_back(session) == FLAME_ANSWERING) {
            sched_yield(); /* microseconds */
        }
        flame_sites_name(session->store, session->sources);
        flame_session_complete(session, end, cpu_end);
    }
    session->profile.quality = session->quality;
    flame_store_read(session->store, &session->profile);
    return &session->profile;
}
