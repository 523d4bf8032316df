/*
 * What a thread that has joined and the lookout share. Private to sampler/.
 *
 * The thread writes what there is to know of a request before it makes it active, all
 * without a lock. The lookout claims a request that it finds old, by a flag beside the
 * time it began: if it has ended meanwhile, nothing comes of it. One that is claimed
 * cannot end without the lock, which the lookout has while it reads the rest and sets a
 * session up.
 */
#ifndef FLAME_SAMPLER_WATCHER_H
#define FLAME_SAMPLER_WATCHER_H

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <sys/types.h>
#include <time.h>

#include "sampler/lookout.h"

/* In the low bits of when a request began, which are not missed there. */
#define FLAME_REQUEST_ACTIVE UINT64_C(1)
#define FLAME_REQUEST_CLAIMED UINT64_C(2) /* and it has a session */
#define FLAME_REQUEST_FLAGS UINT64_C(3)

/* Whose frames are whose. */
struct flame_stand {
    _Atomic(const void *) thread_state;
    _Atomic(const void *) interpreter;
    _Atomic(const void *) gil;
    _Atomic size_t gil_size;
    _Atomic(const void *) entry; /* NULL: all frames are the request's */
    _Atomic(const void *) entry_code;
};

struct flame_watcher {
    alignas(64) _Atomic uint64_t request; /* the latest: when it began, and flags */
    _Atomic uint32_t begun;               /* requests so far */
    bool armed;                           /* it set the timer when it began, */
    bool alone; /* long after anybody else did; its thread's */
    struct flame_stand stand;
    _Atomic uint64_t interval_ns, slow_ns, finer_ns, max_ns;
    _Atomic(const struct flame_names *) names;
    _Atomic uintptr_t became_slow; /* the function */

    /* Constant while used. */
    atomic_bool used;
    pthread_t thread;
    pid_t tid;
    clockid_t cpu_clock;
    struct flame_stand home;
    _Atomic(void *) owner;

    /* The lookout's, but for the session under the lock. */
    struct flame_session *session; /* NULL: the request has not been claimed */
    bool told;                     /* that the request is slow */
    uint32_t begun_seen;
    uint64_t request_seen;
    uint64_t unwatched;   /* the latest request that found no memory */
    uint64_t cpu_seen_ns; /* the thread's CPU clock at the last look that read it */
    uint64_t cpu_mark_ns; /* and at the beginning of request_seen, as far as is known */
};

/* ---- lookout.c --------------------------------------------------------------- */

/* The lookout runs, or is made to, and the calling thread has a watcher; 0 or an error
 * of flame_lookout_join(). The watcher is given back under the same lock. */
int flame_lookout_take(struct flame_watcher **out);
void flame_lookout_give_back(struct flame_watcher *watcher);
/* A request has begun while the lookout sleeps: it will be woken in time. */
void flame_lookout_arm(struct flame_watcher *watcher, uint64_t now_ns);
/* The request that armed it has ended. */
void flame_lookout_disarm(struct flame_watcher *watcher);
/* The lookout should have been woken, and it seems that it was not: the application may
 * have put another handler into ours' place, which is put back. */
void flame_lookout_ring(void);
extern _Atomic unsigned flame_lookout_state;
/* Takes the session off a request that was claimed and is over; it is not sampled any
 * more. */
struct flame_session *flame_lookout_release(struct flame_watcher *watcher);
/* The session of a request that is claimed, if it is, reads other frames now. */
void flame_lookout_follow(struct flame_watcher *watcher);

enum { FLAME_LOOKOUT_SLEEPS, FLAME_LOOKOUT_ARMED, FLAME_LOOKOUT_LOOKS };

static inline bool flame_lookout_sleeps(void)
{
    return atomic_load(&flame_lookout_state) == FLAME_LOOKOUT_SLEEPS;
}

/* ---- claim.c: on the lookout's thread, under its lock ------------------------ */

/* Gives it a session, and that to the ticker, unless it ends just now. False: there is
 * no room. */
bool flame_watcher_claim(struct flame_watcher *watcher, uint64_t request);
/* From now on these are the frames it reads; it is not sampled at this moment. */
void flame_watcher_place(struct flame_session *session,
                         const struct flame_stand *stand);
/* Of a request that is active. */
void flame_watcher_note_cpu(struct flame_watcher *watcher, uint64_t request,
                            uint64_t now_ns);

static inline uint64_t flame_watcher_interval(const struct flame_watcher *watcher)
{
    return atomic_load_explicit(&watcher->interval_ns, memory_order_relaxed);
}

/* ---- watcher.c --------------------------------------------------------------- */

/* In a forked child: the thread that forked has no watcher any more. */
void flame_watcher_forget(void);

#endif
