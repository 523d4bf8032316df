/*
 * A profile of a request: each door begins it here, within the limits, and gives it
 * back here, whatever became of the request; and what it saw is counted.
 */
#ifndef FLAME_MIDDLEWARE_TAKING_H
#define FLAME_MIDDLEWARE_TAKING_H

#include "middleware/common/limits.h"

struct flame_taking {
    struct flame_session *session; /* the door's, to be stopped by it */
    struct flame_ticket ticket;
};

/*
 * Starts a session within the limits, whose profile tells of names what the
 * configuration says; that outlives it, and with its first one learns its roots. GIL
 * and thread: as flame_session_start(), which this calls. False: one limit is reached,
 * or the sampler could not; that is counted, and *refusal says it.
 */
bool flame_taking_start(struct flame_config *config,
                        const struct flame_session_options *options,
                        struct flame_taking *taking, struct flame_refusal *refusal);
/*
 * Counts what the stopped session saw, gives its memory back and its place to others:
 * when its answer has been made. Any thread. In a child that was forked meanwhile the
 * place stays the parent's.
 */
void flame_taking_free(struct flame_taking *taking);
/* The same, but for the session, which is the caller's from now on. */
struct flame_session *flame_taking_take(struct flame_taking *taking);

/* A finished profile, of whatever origin, is counted. */
void flame_taking_count(const struct flame_quality *quality);

#endif
