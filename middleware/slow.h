/*
 * Requests that are kept without having been asked for, because they were slow or
 * failed: what both doors do at their begin and end. Knows neither of them.
 *
 * A door that flame_slow_is_on() for begins each request that it passes on untouched
 * with flame_lookout_begin(), and at its end asks flame_slow_is_kept(): a few
 * comparisons. What is kept goes on with flame_slow_keep(), in the thread of the
 * request, when it has been answered.
 */
#ifndef FLAME_MIDDLEWARE_SLOW_H
#define FLAME_MIDDLEWARE_SLOW_H

#include "middleware/request.h"
#include "sampler/lookout.h"

#define FLAME_SLOW_INTERVAL_LEAST_NS UINT64_C(1000000)
#define FLAME_SLOW_INTERVAL_ACCEPTED "seconds from 0.001 to 1"
#define FLAME_SLOW_PER_MINUTE 30u

static inline bool flame_slow_is_on(const struct flame_config *config)
{
    return config->slower_than_ns != 0 || config->on_error;
}

/* For flame_lookout_begin(), once for all of a door's requests; it points into the
 * configuration, whose names' roots the door reads before the first (names.h). */
struct flame_lookout_options flame_slow_options(const struct flame_config *config);

/* `failed`: answered with a status of 500 or more, or by an exception. */
static inline bool flame_slow_is_kept(const struct flame_config *config,
                                      const struct flame_watched *watched, bool failed)
{
    return watched->wall_ns != 0 && ((failed && config->on_error) ||
                                     (config->slower_than_ns != 0 &&
                                      watched->wall_ns >= config->slower_than_ns));
}

/*
 * Keeps what was watched, which it takes: `outcome` tells of the request, whose end
 * this is. Of so many in a minute that they would be a load by themselves
 * (slow-per-minute) only the first are kept, and the next line counts the others.
 * `line` is for the log; empty: there is nothing to say. Any thread, not with the GIL.
 */
#define FLAME_SLOW_LINE 600u
void flame_slow_keep(const struct flame_config *config, struct flame_watched *watched,
                     const struct flame_outcome *outcome, char line[FLAME_SLOW_LINE]);

/* Why no request of this thread is watched: a line for the log about an error of
 * flame_lookout_join(), "[flameprof] ...". */
const char *flame_slow_error(int error);

#endif
