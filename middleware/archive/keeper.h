/*
 * Writes profiles into the archive beside the requests they are of.
 *
 * One native thread of ours a process, which never takes the GIL, has every signal
 * blocked and is there only while something waits to be written. What waits is bounded:
 * a profile that finds no room is lost, and counted. A process that ends writes what
 * waits first, for a few seconds at most. A forked child has nothing of its parent's.
 */
#ifndef FLAME_MIDDLEWARE_KEEPER_H
#define FLAME_MIDDLEWARE_KEEPER_H

#include "middleware/archive/archive.h"
#include "middleware/push/push.h"
#include "sampler/sampler.h"

/* Profiles that wait to be written, at most: a session each, of FLAME_SESSIONS_MAX. */
#define FLAME_KEEPER_WAITING 8u

/*
 * Takes a stopped session and has its profile written, with these facts but for its
 * quality, into the archive under a name of flame_shelf_make_name(), and pushed.
 * archive: NULL: nowhere, and there is no name. target: without a url nothing is
 * pushed; it stays until flame_keeper_drain() is true, the rest is copied. Any thread,
 * GIL held or not; it never waits for the disk. 0; -EAGAIN: too many wait, or no thread
 * could be made; -ENOMEM. The session is freed in any case.
 */
int flame_keeper_keep(const struct flame_shelf *archive,
                      const struct flame_push_target *target,
                      struct flame_session *session, const struct flame_facts *facts,
                      const char *name);

/*
 * The same of a profile that somebody else owns, at once, by the calling thread: for
 * who is about to be killed. 0, or an error of flame_archive_put().
 */
int flame_keeper_write(const struct flame_shelf *archive,
                       const struct flame_profile *profile,
                       const struct flame_facts *facts,
                       const char name[FLAME_SHELF_NAME + 1]);

/* Waits until nothing waits to be written any more, at most so long; false: something
 * does. Before what the profiles' names point to goes, which has to stay then. GIL held
 * or not. */
#define FLAME_KEEPER_PATIENCE_S 5
bool flame_keeper_drain(unsigned seconds);

/* How many this process has written, and how many it has lost. Any thread. */
struct flame_keeper_counts {
    uint64_t kept;
    uint64_t lost;
};
struct flame_keeper_counts flame_keeper_counts(void);

/* Where a sentence about a profile that was lost goes, at most one a minute: called by
 * any thread. Before the first is kept; NULL, or if it is not called: to stderr. */
void flame_keeper_log(void (*log)(const char *line));

#endif
