/*
 * Watches one thread for a while, or all of them, and yields a profile of their Python
 * frames.
 *
 * A session is one watched stretch of one thread. Any number up to
 * FLAME_SESSIONS_MAX may run at once, each with its own interval; one native
 * thread of ours, the ticker, serves them all and lives only as long as they.
 *
 * A session of everybody belongs to no thread: it watches every thread of its
 * interpreter, those that are there at its start and those that start later, each as it
 * comes and goes. Each is a root, "[thread NAME]", with its whole stack; digits in
 * names are "N", so that the threads of a pool, or of one request each, are one root.
 * Room is bounded: what a thread that has ended leaves, the next one takes; those that
 * find none are counted as unwatched. A thread that runs greenlets is read as it
 * stands.
 *
 * A Python thread of the name FLAME_OWN_THREAD is one of ours: no profile has it.
 */
#ifndef FLAME_SAMPLER_SAMPLER_H
#define FLAME_SAMPLER_SAMPLER_H

#include "sampler/profile.h"

#define FLAME_SESSIONS_MAX 64
#define FLAME_OWN_THREAD "flameprof"
#define FLAME_INTERVAL_MIN_NS UINT64_C(50000)
#define FLAME_INTERVAL_MAX_NS UINT64_C(10000000000)

#define FLAME_BYTES_LEAST (UINT64_C(16) << 20)

struct flame_session;

/* The text of a file that the file system does not have, as a notebook's cells are. */
struct flame_source {
    struct flame_slice file; /* as code has it */
    struct flame_slice text; /* UTF-8 */
};

struct flame_sources {
    size_t count;
    const struct flame_source *list;
};

struct flame_session_options {
    uint64_t interval_ns; /* FLAME_INTERVAL_MIN_NS to FLAME_INTERVAL_MAX_NS */
    uint64_t max_ns;      /* sampling ends by itself after this; 0: never */
    uint64_t bytes;       /* of memory for what is seen, with all children, of which
                             fewer are watched then; 0: no bound but theirs. At least
                             FLAME_BYTES_LEAST */
    uint64_t seed;        /* of the jitter; 0: from the clock */
    bool lines;           /* a function's lines are places of their own */
    bool threads;         /* with the threads that it starts, */
    bool greenlets;       /* with the greenlets, each as a root of its own */
    bool everybody;       /* all threads of the interpreter, and none in particular;
                             without the two above */
    const struct flame_names *names;     /* passed on in the profile, not looked at;
                                            outlives the session */
    const struct flame_sources *sources; /* NULL: files alone; stay until the session
                                            has been stopped, read without the GIL */
};

/*
 * Starts to watch the calling thread. Frames that are on its Python stack now
 * will not be part of the profile; what they call from now on will. One of everybody
 * has all frames, and may be paused, resumed and stopped by any thread that holds the
 * GIL, one at a time; _use_thread_state, _phase, _park and _unpark are not for it.
 *
 * GIL: held, with the thread state whose frames are to be watched current.
 * Returns 0 and the session in *out, or a negative errno and NULL:
 * -EINVAL interval out of range or everybody with threads or greenlets, -EBUSY
 * FLAME_SESSIONS_MAX are running, -EAGAIN no thread could be made, -ENOMEM, -ENOTSUP
 * this Python cannot be sampled.
 */
int flame_session_start(const struct flame_session_options *options,
                        struct flame_session **out);

/*
 * From now on read the frames of another thread state of the same OS thread
 * (a PyThreadState *): for a server that switches interpreters after start.
 * Called on the watched thread.
 */
void flame_session_use_thread_state(struct flame_session *session, void *thread_state);

/*
 * A new stretch begins: a frame at the root, `name`, over everything from here
 * on. Its end will be where the next begins, or the session's: these moments are
 * exact, not sampled. A phase may come again and again (a request that is repeated):
 * stretches of it without a sample are shared among the places of those that have one.
 * `then`, if not NULL, is the name of the stretch that begins at the first sample with
 * a Python function on the stack. A handful of names for each session. Called on the
 * watched thread, GIL held.
 */
void flame_session_phase(struct flame_session *session, const char *name,
                         const char *then);

/*
 * Between the two, time passes for others: nothing is sampled and the
 * duration stands still. For servers that leave a request and come back to it
 * on the same thread. No nesting. Called on the watched thread, GIL held.
 */
void flame_session_pause(struct flame_session *session);
void flame_session_resume(struct flame_session *session);

/*
 * Between the two the watched code waits where it stands while its thread runs
 * others: for servers that switch stacks below Python. The time belongs to that
 * place. Called on the watched thread with the frames in place that wait; the GIL
 * is not needed.
 */
void flame_session_park(struct flame_session *session);
void flame_session_unpark(struct flame_session *session);

/*
 * Ends the session. Afterwards no signal of ours is handled for it and the
 * thread's signal mask is as it was at start. Same thread as start (same
 * greenlet, if any), GIL held, and given up for a moment; from another one (the
 * watched thread has ended, or a profile was forgotten) the mask stays as it is.
 * To be called once, whatever the watched code did.
 */
void flame_session_stop(struct flame_session *session);

/*
 * Ends the sampling of a session that runs, from a thread other than the watched one,
 * without the GIL: the profile is what was seen up to now, whatever the watched thread
 * does meanwhile, and stays valid as that of a stopped one. What the request's threads
 * and greenlets did comes with flame_session_stop(), which is still to be called, and
 * not at the same time. Of one that has been stopped it is the profile as it is. Not
 * for one of everybody. It reads files and can take milliseconds.
 */
const struct flame_profile *flame_session_cut(struct flame_session *session);

/*
 * Lets the signal by which a running thread samples itself reach the calling thread
 * while a session of everybody runs, and once none does, makes its mask as it was. For
 * what a server calls at each request: the session cannot do that to threads that are
 * there already, and uWSGI's block all signals, so that while they run Python their
 * samples are missed. A load where there is nothing to do, else a system call. The GIL
 * is not needed.
 */
void flame_session_admit(void);

/* Of what the calling thread does until they are heard again the functions of
 * sys.settrace() and sys.setprofile() hear nothing. GIL held; calls may be nested. */
void flame_trace_functions_hear(bool heard);

/*
 * How many samples a session has taken so far, with those of what it started. Any
 * thread, until it is freed; the GIL is not needed.
 */
uint64_t flame_session_samples(const struct flame_session *session);

/* The profile of a stopped session; valid until flame_session_free(), or until it
 * absorbs another one's. */
const struct flame_profile *flame_session_profile(const struct flame_session *session);

/*
 * Stopped, with an empty profile, to absorb others. 0 and the session in *out, or
 * -EBUSY, -ENOMEM and NULL. Any thread.
 */
int flame_session_new_empty(struct flame_session **out);
/*
 * Adds what `from` has seen to what `into` has, which may be the same; both are
 * stopped. The order of time is lost; the interval stays that of the first. What finds
 * no room is charged to a coarser place, and counted. 0, or -ENOMEM: nothing was added.
 * Any thread that has both for itself.
 */
int flame_session_absorb(struct flame_session *into, const struct flame_session *from);

/* Gives a stopped session's memory back for the next. Any thread. */
void flame_session_free(struct flame_session *session);

#endif
