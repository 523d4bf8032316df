/*
 * How much one server may spend on profiles of requests, whoever asks for them, and
 * what those are told who ask for more. taking.h has the profiles.
 *
 * Who may not ask at all is refused before, and learns nothing of limits. Profiles of
 * code (flameprof.Profiler, the launcher) are the application's own business: no limit
 * holds for them.
 */
#ifndef FLAME_MIDDLEWARE_LIMITS_H
#define FLAME_MIDDLEWARE_LIMITS_H

#include "middleware/common/common.h"
#include "middleware/request.h"

/* Ranges and defaults of the options: what holds a machine of one core and 1 GB safe.
 */
#define FLAME_AT_ONCE_DEFAULT 4
#define FLAME_WORKER_AT_ONCE_DEFAULT 2
#define FLAME_PER_MINUTE_DEFAULT 60
#define FLAME_PER_MINUTE_MOST 1000000
#define FLAME_LEAST_INTERVAL_DEFAULT_NS UINT64_C(100000)
#define FLAME_PROFILE_BYTES_DEFAULT (UINT64_C(96) << 20)
#define FLAME_PROFILE_BYTES_MOST (UINT64_C(1) << 30)
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

/* Because of what flame_common_enter() said, or of an error of flame_session_start();
 * counted. */
void flame_refuse_entry(const struct flame_config *config, enum flame_entry entry,
                        unsigned retry_s, struct flame_refusal *refusal);
void flame_refuse_start(int error, struct flame_refusal *refusal);

/*
 * False: this interval is shorter than may be asked for, which is counted, and the
 * sentence says what may be. The server's own default may always be.
 */
bool flame_limits_allow_interval(const struct flame_config *config,
                                 uint64_t interval_ns,
                                 char sentence[FLAME_SENTENCE_SIZE]);

/*
 * Drawing what was kept takes memory and time as well, and no place of a profile's: as
 * many are drawn at once in one process as it may have profiles. False: no more now,
 * which is counted, and *refusal says it. The one after a true one is leave's.
 */
bool flame_limits_enter_drawing(const struct flame_config *config,
                                struct flame_refusal *refusal);
void flame_limits_leave_drawing(void);

/*
 * The refusal as an answer, for flame_answer_free(). A token that was spent for the
 * request is good once more, since whoever is told to come back has nothing else: so
 * not twice for one request.
 */
void flame_answer_refusal(const struct flame_refusal *refusal,
                          const struct flame_receipt *receipt,
                          struct flame_answer *answer);

#endif
