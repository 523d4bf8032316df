#include "middleware/common/limits.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

/* After which one that is being drawn may be done. */
#define DRAWN_SECONDS 2u

void flame_limits_init(struct flame_config *config)
{
    config->at_once = FLAME_AT_ONCE_DEFAULT;
    config->worker_at_once = FLAME_WORKER_AT_ONCE_DEFAULT;
    config->per_minute = FLAME_PER_MINUTE_DEFAULT;
    config->least_interval_ns = FLAME_LEAST_INTERVAL_DEFAULT_NS;
    config->max_profile_bytes = FLAME_PROFILE_BYTES_DEFAULT;
    config->max_picture_bytes = FLAME_PICTURE_BYTES_DEFAULT;
}

static const struct flame_refusal unavailable = {.status = 503,
                                                 .reason = "Service Unavailable"};

/* ---- who is told what -------------------------------------------------------- */

static const char *many(uint64_t count)
{
    return count == 1 ? "" : "s";
}

void flame_refuse_entry(const struct flame_config *config, enum flame_entry entry,
                        unsigned retry_s, struct flame_refusal *refusal)
{
    char *sentence = refusal->sentence;
    const size_t size = sizeof refusal->sentence;

    *refusal = (struct flame_refusal){
        .status = 429, .reason = "Too Many Requests", .retry_s = retry_s};
    switch (entry) {
    case FLAME_FULL:
        flame_count(FLAME_COUNT_REFUSED_AT_ONCE, 1);
        snprintf(sentence, size,
                 "This server takes %" PRIu64 " profile%s at once, no more (at-once): "
                 "ask again in %u seconds.",
                 config->at_once, many(config->at_once), retry_s);
        break;
    case FLAME_FULL_HERE:
        flame_count(FLAME_COUNT_REFUSED_WORKER_AT_ONCE, 1);
        snprintf(sentence, size,
                 "This worker takes %" PRIu64 " profile%s at once, no more "
                 "(worker-at-once): ask again in %u seconds.",
                 config->worker_at_once, many(config->worker_at_once), retry_s);
        break;
    case FLAME_TOO_OFTEN:
        flame_count(FLAME_COUNT_REFUSED_PER_MINUTE, 1);
        snprintf(sentence, size,
                 "This server takes %" PRIu64 " profile%s a minute, no more "
                 "(per-minute): ask again in %u second%s.",
                 config->per_minute, many(config->per_minute), retry_s, many(retry_s));
        break;
    case FLAME_ENTRY_STUCK:
    case FLAME_ENTERED:
        flame_count(FLAME_COUNT_REFUSED_START, 1);
        *refusal = unavailable;
        snprintf(sentence, size,
                 "No profile can be taken now: a worker that was stopped holds what "
                 "all share.");
        break;
    }
}

void flame_refuse_start(int error, struct flame_refusal *refusal)
{
    flame_count(FLAME_COUNT_REFUSED_START, 1);
    *refusal = unavailable;
    snprintf(refusal->sentence, sizeof refusal->sentence, "%s",
             flame_start_error_sentence(error));
}

void flame_answer_refusal(const struct flame_refusal *refusal,
                          const struct flame_receipt *receipt,
                          struct flame_answer *answer)
{
    if (receipt->spent) {
        flame_common_unspend(flame_common_here(), receipt->digest);
    }
    flame_answer_text(refusal->status, refusal->reason, refusal->sentence, answer);
    answer->retry_s = refusal->retry_s;
}

/* ---- drawing what was kept --------------------------------------------------- */

/* The process in the upper half, so that a forked child has none of its parent's; how
 * many are drawn in the lower. */
static _Atomic uint64_t drawn;

static uint64_t drawn_here(uint64_t all)
{
    return all >> 32 == (uint64_t)getpid() ? all & UINT32_MAX : 0;
}

bool flame_limits_enter_drawing(const struct flame_config *config,
                                struct flame_refusal *refusal)
{
    uint64_t all = atomic_load(&drawn);

    do {
        if (drawn_here(all) >= config->worker_at_once) {
            flame_refuse_entry(config, FLAME_FULL_HERE, DRAWN_SECONDS, refusal);
            return false;
        }
    } while (!atomic_compare_exchange_weak(
        &drawn, &all, (uint64_t)getpid() << 32 | (drawn_here(all) + 1)));
    return true;
}

void flame_limits_leave_drawing(void)
{
    atomic_fetch_sub(&drawn, 1);
}

/* ---- the interval ------------------------------------------------------------ */

/* "0.0001": printf's %f would obey the application's locale. */
static void write_seconds(uint64_t ns, char text[32])
{
    int length = snprintf(text, 32, "%" PRIu64 ".%09" PRIu64, ns / UINT64_C(1000000000),
                          ns % UINT64_C(1000000000));

    while (text[length - 1] == '0') {
        text[--length] = '\0';
    }
    if (text[length - 1] == '.') {
        text[length - 1] = '\0';
    }
}

bool flame_limits_allow_interval(const struct flame_config *config,
                                 uint64_t interval_ns,
                                 char sentence[FLAME_SENTENCE_SIZE])
{
    char given[32];
    char least[32];

    if (interval_ns >= config->least_interval_ns ||
        interval_ns == config->interval_ns) {
        return true;
    }
    flame_count(FLAME_COUNT_REFUSED_INTERVAL, 1);
    write_seconds(interval_ns, given);
    write_seconds(config->least_interval_ns, least);
    snprintf(sentence, FLAME_SENTENCE_SIZE,
             "interval=\"%s\" is not accepted: on this server it takes seconds from %s "
             "to 1.",
             given, least);
    return false;
}
