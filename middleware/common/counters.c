/* What is counted, by its name. */
#include "middleware/common/block.h"

static const char *const names[FLAME_COUNTERS] = {
    [FLAME_COUNT_PROFILES] = "profiles",
    [FLAME_COUNT_SLOW] = "profiles_slow",
    [FLAME_COUNT_FAILED] = "profiles_failed",
    [FLAME_COUNT_CUT] = "profiles_cut",
    [FLAME_COUNT_REFUSED_CALLER] = "refused_caller",
    [FLAME_COUNT_REFUSED_TOKEN] = "refused_token",
    [FLAME_COUNT_REFUSED_OFF] = "refused_off",
    [FLAME_COUNT_REFUSED_MALFORMED] = "refused_malformed",
    [FLAME_COUNT_REFUSED_AT_ONCE] = "refused_at_once",
    [FLAME_COUNT_REFUSED_WORKER_AT_ONCE] = "refused_worker_at_once",
    [FLAME_COUNT_REFUSED_PER_MINUTE] = "refused_per_minute",
    [FLAME_COUNT_REFUSED_INTERVAL] = "refused_interval",
    [FLAME_COUNT_REFUSED_START] = "refused_start",
    [FLAME_COUNT_SAMPLES] = "samples",
    [FLAME_COUNT_MISSED] = "missed",
    [FLAME_COUNT_REJECTED] = "rejected",
    [FLAME_COUNT_SAMPLING_NS] = "sampling_ns",
    [FLAME_COUNT_PICTURES] = "pictures",
    [FLAME_COUNT_PICTURES_NS] = "pictures_ns",
    [FLAME_COUNT_PICTURES_BYTES] = "pictures_bytes",
    [FLAME_COUNT_PICTURES_TOO_LARGE] = "pictures_too_large",
    [FLAME_COUNT_KEPT] = "kept",
    [FLAME_COUNT_NOT_KEPT] = "not_kept",
    [FLAME_COUNT_CLEARED] = "cleared",
    [FLAME_COUNT_PUSHED] = "pushed",
    [FLAME_COUNT_PUSH_LOST] = "push_lost",
    [FLAME_COUNT_PUSH_ERRORS] = "push_errors",
};

const char *flame_counter_name(enum flame_counter counter)
{
    return names[counter];
}

void flame_count(enum flame_counter counter, uint64_t more)
{
    atomic_fetch_add_explicit(&flame_common_here()->block->counters[counter],
                              (int64_t)more, memory_order_relaxed);
}

uint64_t flame_counted(const struct flame_common *common, enum flame_counter counter)
{
    return (uint64_t)atomic_load_explicit(&common->block->counters[counter],
                                          memory_order_relaxed);
}

const int64_t *flame_counter_address(const struct flame_common *common,
                                     enum flame_counter counter)
{
    return (const int64_t *)&common->block->counters[counter];
}
