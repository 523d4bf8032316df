/*
 * How much one server may spend on profiles of requests, whoever asks for them: each
 * door begins one here and gives it back here, and what it saw is counted.
 *
 * Who may not ask at all is refused before, and learns nothing of limits. Profiles of
 * code (flameprof.Profiler, the launcher) are the application's own business: no limit
 * holds for them.
 */
#ifndef FLAME_MIDDLEWARE_LIMITS_H
#define FLAME_MIDDLEWARE_LIMITS_H

#include "middleware/common.h"
#include "middleware/request.h"

/* Ranges and defaults of the options: what holds a machine of one core and 1 GB safe.
 */
#define FLAME_AT_ONCE_DEFAULT 4
#define FLAME_WORKER_AT_ONCE_DEFAULT 2
#define FLAME_PER_MINUTE_DEFAULT 60
#define FLAME_PER_MINUTE_MOST 1000000
#define FLAME_LEAST_INTERVAL_DEFAULT_NS UINT64_C(100000)
#define FLAME_PICTURE_BYTES_DEFAULT (UINT64_C(32) << 20)
#define FLAME_PICTURE_BYTES_LEAST (UINT64_C(64) << 10)
#define FLAME_PICTURE_BYTES_MOST (UINT64_C(1) << 30)

void flame_limits_init(struct flame_config *config);

/* What whoever may ask is told instead of a profile. */
struct flame_refusal {
    int status;
    const char *reason;
    unsigned retry_s; /* of Retry-After; 0: none */
    char sentence[200];
};

/* A profile of a request, within the limits. */
struct flame_taking {
    struct flame_session *session; /* the door's, to be stopped by it */
    struct flame_ticket ticket;
};

/*
 * Starts a session within the limits, whose profile tells what the configuration says;
 * that outlives it. GIL and thread: as flame_session_start(), which
 * this calls. False: one limit is reached, or the sampler could not; that is counted,
 * and *refusal says it.
 */
bool flame_taking_start(const struct flame_config *config,
                        const struct flame_session_options *options,
                        struct flame_taking *taking, struct flame_refusal *refusal);
/* Refuses because of an error of flame_session_start(), which is counted. */
void flame_refuse_start(int error, struct flame_refusal *refusal);
/*
 * Counts what the stopped session saw, gives its memory back and its place to others:
 * when its answer has been made. Any thread. In a child that was forked meanwhile the
 * place stays the parent's.
 */
void flame_taking_free(struct flame_taking *taking);

/*
 * False: this interval is shorter than may be asked for, which is counted, and the
 * sentence says what may be. The server's own default may always be.
 */
bool flame_limits_allow_interval(const struct flame_config *config,
                                 uint64_t interval_ns,
                                 char sentence[FLAME_SENTENCE_SIZE]);

/* The refusal as an answer, for flame_answer_free(). */
void flame_answer_refusal(const struct flame_refusal *refusal,
                          struct flame_answer *answer);

#endif
