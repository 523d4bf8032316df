#include "middleware/common/taking.h"

bool flame_taking_start(struct flame_config *config,
                        const struct flame_session_options *options,
                        struct flame_taking *taking, struct flame_refusal *refusal)
{
    const struct flame_entry_limits limits = {
        .at_once = (uint32_t)config->at_once,
        .worker_at_once = (uint32_t)config->worker_at_once,
        .per_minute = (uint32_t)config->per_minute};
    struct flame_session_options whole = *options;
    unsigned retry_s;
    enum flame_entry entry = flame_common_enter(
        flame_common_here(), &limits, options->max_ns, &taking->ticket, &retry_s);

    taking->session = NULL;
    if (entry != FLAME_ENTERED) {
        flame_refuse_entry(config, entry, retry_s, refusal);
        return false;
    }
    flame_names_read_roots(&config->names);
    whole.names = &config->names;
    whole.bytes = config->max_profile_bytes;
    int error = flame_session_start(&whole, &taking->session);
    if (error != 0) {
        flame_common_leave(flame_common_here(), &taking->ticket);
        flame_refuse_start(error, refusal);
        return false;
    }
    return true;
}

void flame_taking_count(const struct flame_quality *quality)
{
    flame_count(FLAME_COUNT_PROFILES, 1);
    flame_count(FLAME_COUNT_CUT, quality->deadline_reached ? 1 : 0);
    flame_count(FLAME_COUNT_SAMPLES, quality->samples);
    flame_count(FLAME_COUNT_MISSED, quality->missed);
    flame_count(FLAME_COUNT_REJECTED, quality->rejected);
    flame_count(FLAME_COUNT_SAMPLING_NS, quality->sampling_ns);
}

struct flame_session *flame_taking_take(struct flame_taking *taking)
{
    struct flame_session *session = taking->session;

    flame_taking_count(&flame_session_profile(session)->quality);
    taking->session = NULL;
    flame_common_leave(flame_common_here(), &taking->ticket);
    return session;
}

void flame_taking_free(struct flame_taking *taking)
{
    flame_session_free(flame_taking_take(taking));
}
