/*
 * Looks out for requests that take long, on threads that serve one after another.
 *
 * A request says when it begins and when it ends, and that is all most of them pay: two
 * looks at the clock and two atomic stores. A thread of ours, the lookout, wakes once
 * per interval while requests come, and gives a session to each that it finds older
 * than an interval; the ticker samples that one from there, finer once it is slow. So
 * what is short costs nothing, and what the sampler has to know of a slow request is
 * asked when it has proved slow: its time counts from its beginning, what it did before
 * the first look is the first sample's.
 *
 * While no request comes nothing of ours runs. A request that comes then sets a timer
 * (one system call), and one that ends soon stops it again, so that the lookout wakes
 * up for neither; under load the lookout needs no call by anybody.
 *
 * Memory is the sessions': as many at once as FLAME_LOOKOUT_SESSIONS, kept for the next
 * ones; slots beyond those belong to profiles that are asked for. Requests that find
 * none are counted.
 *
 * Not for threads of greenlets: they leave a request for another before its end, which
 * nobody would tell us: see _is_in_greenlet.
 *
 * A fork ends all of it in the child: what was watched there ends as if it had been
 * short, and its threads join anew.
 */
#ifndef FLAME_SAMPLER_LOOKOUT_H
#define FLAME_SAMPLER_LOOKOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/profile.h"

#define FLAME_LOOKOUT_THREADS 1024u
#define FLAME_LOOKOUT_SESSIONS 16u

struct flame_session;
struct flame_watcher; /* one thread's; lives as long as the process */

struct flame_lookout_options {
    uint64_t interval_ns; /* until a first look, and between samples */
    uint64_t slow_ns;     /* a request that old is sampled finer; UINT64_MAX: none is */
    uint64_t finer_ns;    /* then between samples */
    uint64_t max_ns;      /* sampling ends by itself after this; 0: never */
    const struct flame_names *names; /* as in struct flame_session_options */
    /* Told once of a request that is sampled, when it is slow: who may have to end it
     * with flame_session_cut(), until it is released by flame_lookout_end(). On the
     * lookout's thread, under its lock: it calls no function of this header. NULL:
     * nobody wants to know. */
    void (*became_slow)(void *owner, struct flame_session *session);
};

/*
 * Lets the calling thread's requests be watched until it ends. The thread's mask lets
 * SIGURG, SIGSEGV and SIGBUS through from now on. Once for each thread of each process
 * (see _mine); may wait for a thread of ours to begin, so not with the GIL.
 * 0 and the thread's watcher, or -EAGAIN no thread could be made, -ENOMEM,
 * -ENOTSUP no timer, -EBUSY there are FLAME_LOOKOUT_THREADS.
 */
int flame_lookout_join(struct flame_watcher **out);
/* The calling thread's; NULL: it has not joined in this process. */
struct flame_watcher *flame_lookout_mine(void);

/*
 * A request begins on the calling thread. Its frames are all of those that the home
 * has, a PyThreadState * said once for the thread, for a server in C (begin); or those
 * of the current thread state above those that are there now, for a server in Python
 * (begin_here; GIL held). False: one is being watched there already; this one has no
 * end then. The options are copied. No lock, no allocation; a system call only where
 * the lookout sleeps.
 */
void flame_lookout_home(struct flame_watcher *watcher, void *thread_state);
/* What became_slow() is told of this thread's requests. NULL until then. */
void flame_lookout_own(struct flame_watcher *watcher, void *owner);
uint64_t flame_lookout_begin(struct flame_watcher *watcher,
                             const struct flame_lookout_options *options);
uint64_t flame_lookout_begin_here(struct flame_watcher *watcher,
                                  const struct flame_lookout_options *options);

/* The request that is watched goes on in another thread state (of a sub-interpreter),
 * or is called by other frames from now on (to iterate its body). On its thread, GIL
 * held. */
void flame_lookout_enter(struct flame_watcher *watcher, void *thread_state);
void flame_lookout_enter_here(struct flame_watcher *watcher);

/* What a request has to show at its end. */
struct flame_watched {
    uint64_t wall_ns; /* 0: it had ended: its thread did, or it began before a fork */
    uint64_t interval_ns;          /* as it was asked */
    struct flame_session *session; /* NULL: it was too short to be seen */
    uint64_t ended_ns, cpu_ns;     /* where there is a session: its thread's clocks */
};
/* It ends. Rather on its thread, the GIL held or not. A session is sampled no more. The
 * caller then calls one of the next two. */
struct flame_watched flame_lookout_end(struct flame_watcher *watcher, uint64_t request);
/*
 * What was watched as a stopped session, which is the caller's from now on; without one
 * a new one of no samples. Any thread, not with the GIL: it reads source files. NULL:
 * there is no memory, or no slot.
 */
struct flame_session *flame_lookout_keep(struct flame_watched *watched);
/* It is of no interest. forget: and has a session. */
void flame_lookout_forget(struct flame_watched *watched);
static inline void flame_lookout_drop(struct flame_watched *watched)
{
    if (watched->session != NULL) {
        flame_lookout_forget(watched);
    }
}

/* True if the calling thread is in a greenlet, other than its first one. GIL held, no
 * exception set. */
bool flame_lookout_is_in_greenlet(void);

/* Requests of this process that were old enough to be sampled and found no memory. */
uint64_t flame_lookout_unwatched(void);

#endif
