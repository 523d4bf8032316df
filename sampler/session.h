/*
 * One watched stretch of one thread: the state its owner, the ticker and the
 * signal handler share. Private to sampler/.
 *
 * Who writes when. The owner (the watched thread) sets everything up before
 * `active` and reads it after. In between, the fields under "samples" belong
 * to whoever's turn it is to take the sample: the signal handler's after
 * flame_handler_ask(), until it has answered or the ticker takes the turn back.
 * The ticker acts under its lock.
 */
#ifndef FLAME_SAMPLER_SESSION_H
#define FLAME_SAMPLER_SESSION_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "sampler/guard.h"
#include "sampler/profile.h"
#include "sampler/store.h"

/* Stacks deeper than this lose their leaf end and are counted as cut. */
#define FLAME_DEPTH_MAX 4096u
/* A chain longer than this is taken for a cycle in a torn read. */
#define FLAME_CHAIN_MAX 200000u
/* Frames below the entry that are known. */
#define FLAME_CALLERS 16u
/* Bytes kept of a function's and of a file's name. */
#define FLAME_NAME_MAX 1000u
#define FLAME_FILE_MAX 4000u

/* Threads and greenlets a session watches besides its own. */
#define FLAME_CHILDREN_MAX 32u
/* Slots no child gets: two profiles with all of theirs shall not refuse a third. */
#define FLAME_SESSIONS_KEPT 16u
#define FLAME_LABEL_SIZE 96u
#define FLAME_PHASES_MAX 8u

/*
 * What is known of a phase without a sample: stretches, of a request that is repeated,
 * too short to be hit by one. At the end it is shared among the places of those that
 * were hit.
 */
struct flame_pot {
    uint32_t phase; /* nodes, as in flame_charge_phase_sigsafe() */
    uint32_t then;  /* 0: none */
    uint64_t wall_ns;
    uint64_t cpu_ns;
};

/* A thread that was started and has not been seen running yet. */
struct flame_expected {
    uint64_t id;       /* of its PyThreadState */
    pthread_t starter; /* whose state that looks until the new thread runs; 0: nobody */
    bool started;      /* its state has been made: one that is not there has ended */
    bool known;        /* it has been counted before */
    uint64_t since_ns; /* its time counts; 0: since it is found */
    bool is_new;       /* it has used no CPU time before that */
    unsigned looks;    /* without having found it */
    char label[FLAME_LABEL_SIZE];
};

/* A frame below the entry; frame NULL: no more. */
struct flame_caller {
    const void *frame;
    const void *code;
};

struct flame_sources;

struct flame_session {
    atomic_bool taken;  /* the slot is somebody's */
    atomic_bool active; /* may be sampled */
    atomic_bool parked; /* the watched greenlet is switched out */
    bool paused;
    bool lines; /* a function's lines are places of their own */
    const struct flame_sources *sources; /* of the options */

    /* The watched thread; constant while active. */
    _Atomic(pthread_t) thread; /* handlers of other threads look, too */
    pid_t tid;
    clockid_t cpu_clock;
    _Atomic(const void *) thread_state; /* PyThreadState */
    _Atomic(const void *) interpreter;  /* its */
    const void *code_type;              /* &PyCode_Type */
    const void *entry;                  /* frame at start, not of the profile */
    const void *entry_code;             /* its: other frames get the same memory */
    struct flame_caller callers[FLAME_CALLERS]; /* for when it has returned */
    unsigned passed;      /* chains in a row that ended at a caller, not at the entry */
    const void *greenlet; /* the keeper's; NULL: none is known */
    void *greenlet_keeper;   /* strong */
    sigset_t blocked_before; /* signals to block again at the end */
    uint64_t offcpu_turn;    /* of the thread that is watched now: a new number */
    _Atomic(uintptr_t) gil;  /* where the GIL's own words begin */
    size_t gil_size;

    /* Time, all CLOCK_MONOTONIC ns. */
    uint64_t interval_ns;
    uint64_t started_ns;
    uint64_t ends_ns;     /* deadline; UINT64_MAX: none */
    uint64_t due_ns;      /* next tick */
    uint64_t finer_at_ns; /* from then on the interval is finer_ns; UINT64_MAX: never */
    uint64_t finer_ns;
    uint64_t random;    /* xorshift state of the jitter */
    uint64_t ticker_ns; /* spent in the ticker; its alone */
    uint64_t paused_at_ns;
    uint64_t paused_ns;
    uint64_t leaving_ns;   /* when it began to be parked */
    uint64_t due_again_ns; /* while paused or parked: until the next tick */

    /* Samples. */
    struct flame_guard guard; /* of the handler */
    unsigned unblocked;      /* looks since it was last seen blocked, none while away */
    uint64_t last_ns;        /* when the last sample was charged */
    bool away;               /* parked: all time is last_node's */
    bool parks;              /* it has been: waits are exact, and nobody ran there */
    uint64_t set_aside_ns;   /* while away: time before that, the next sample's */
    uint64_t cpu_mark_ns;    /* the thread's CPU clock then */
    uint64_t cpu_carried_ns; /* CPU time not charged to any place yet */
    uint32_t last_node;
    bool placed; /* last_node is where the thread was seen, not where it begins */
    uint32_t last_running_node;
    uint32_t sampled_node; /* of the last sample in this phase, none of those while it
                              was away; 0: there was none */
    uint64_t spacing_count;
    uint64_t spacing_sum_ns;
    unsigned __int128 spacing_squares;
    struct flame_quality quality;
    struct flame_store *store;
    uint32_t phase;      /* the node all paths begin at; 0: none */
    uint32_t next_phase; /* the one to follow when there are frames; 0: none */
    struct flame_pot pots[FLAME_PHASES_MAX];
    unsigned pot_count;
    struct flame_pot *pot; /* of this phase; NULL: it has none */
    uint32_t site;         /* of the leaf, a code; FLAME_NONE: none */
    bool has_gil;          /* the thread did when its frames were read */
    bool collecting;       /* the garbage collector runs above the leaf */
    uint32_t depth;
    uint32_t path[FLAME_DEPTH_MAX]; /* codes, leaf first, as a ring */
    char name[FLAME_NAME_MAX];
    char file[FLAME_FILE_MAX];

    struct flame_profile profile; /* after stop */

    /* What the watched stretch starts. The ticker's lock protects the lists. */
    bool threads;                 /* its threads are watched */
    bool greenlets;               /* its greenlets are */
    struct flame_session *parent; /* NULL: this is nobody's child */
    char label[FLAME_LABEL_SIZE]; /* a child's root frame */
    struct flame_session *children[FLAME_CHILDREN_MAX];
    unsigned child_count;
    unsigned children_room; /* how many there may be */
    bool children_small;    /* their stores are */
    struct flame_expected expected[FLAME_CHILDREN_MAX];
    unsigned expected_count;

    /* Of everybody: it watches no thread, and its children are lanes, which threads use
     * one after another. A lane that is not active is free. */
    bool everybody;
    uint64_t newest_id; /* of the thread states it has been told of */
    /* Of a lane. */
    uint64_t state_id; /* of its thread's state */
    unsigned absent;   /* looks in a row that did not find it */

    bool cut; /* complete already, by flame_session_cut() or _stop() */
};

/* ---- slots.c ----------------------------------------------------------------- */

/*
 * All the process needs before a session runs (memory, handlers, fork), until it is
 * closed as often. reopen: it is open, and our handlers stand on top of those that came
 * since. 0, -ENOMEM, or what sigaction() says. Ordinary context, any thread.
 */
int flame_slots_open(void);
int flame_slots_reopen(void);
void flame_slots_close(void);
/*
 * Before a session's sample: puts our handlers back on top, where a read has not begun
 * for want of them, or the thread has not answered since the last time: its signal may
 * be somebody else's by now. It never waits: the next call is as good. The ticker's.
 */
void flame_slots_mend(const struct flame_session *session);
/* A free slot, its store empty, but none of the last `kept`. 0, -EBUSY or -ENOMEM. */
int flame_session_take(struct flame_session **out, size_t kept);
/* The same of any, even if there has been no session yet. */
int flame_session_reserve(struct flame_session **out);
/* From 0 to FLAME_SESSIONS_MAX - 1. */
size_t flame_session_slot(const struct flame_session *session);
/* The signals that sampling needs reach the calling thread; *before: its mask, until
 * again() blocks of it what was blocked. */
void flame_session_unblock_signals(sigset_t *before);
void flame_session_block_again(const sigset_t *before);

/* ---- sampler.c: what a session and its children have in common --------------- */

/* As before any sample. */
void flame_session_clear(struct flame_session *session, uint64_t interval_ns,
                         uint64_t seed);
/* Whose frames are read from now on (a PyThreadState * that is not ending: GIL held).
 */
void flame_session_note_thread_state(struct flame_session *session, const void *state);
/* The profile is whole; nothing is sampled any more. */
void flame_session_complete(struct flame_session *session, uint64_t end_ns,
                            uint64_t cpu_ns);

/* ---- absorb.c ---------------------------------------------------------------- */

/* Adds the counts that any two profiles have, not durations. */
void flame_quality_count(struct flame_quality *sum, const struct flame_quality *more);
/* Adds the spacing of the samples; `into` has both as one. */
void flame_session_pool_spacing(struct flame_session *into,
                                const struct flame_session *from);
/* What quality says of it. */
void flame_session_note_spacing(struct flame_session *session);

/* ---- children.c -------------------------------------------------------------- */

/* "[thread NAME]"; name NULL: it has none. */
void flame_child_label(const char *kind, const char *name, char *out, size_t size);
/* The session that gathers what this one's thread or greenlet starts. */
struct flame_session *flame_child_root(struct flame_session *session);
/*
 * A session for something the parent started, on the parent's thread unless the
 * caller changes that; NULL: there is no room for more. begin: from here on its time
 * counts; the ticker is to be told. drop: instead of that. Any thread.
 */
struct flame_session *flame_child_take(struct flame_session *parent, const char *label);
/* Begun again, of a lane: the time since its last sample was nobody's. */
void flame_child_begin(struct flame_session *child, uint64_t since_ns);
/* Ends all of them and makes their profiles roots of the parent's. After
 * flame_ticker_remove(); GIL held. */
void flame_children_end(struct flame_session *parent, uint64_t end_ns);

/* ---- everybody.c ------------------------------------------------------------- */

/* GIL held: all threads are expected, by their names; the session is paused, or not
 * active yet. */
void flame_everybody_expect_all(struct flame_session *session);
/* "[thread pool-1_12]" becomes "[thread pool-N_N]". */
void flame_everybody_common_label(char *label);
/* The ticker's: threads that have gone make room, those that C code made are expected.
 */
void flame_everybody_look(struct flame_session *session, struct flame_guard *guard);
/* A lane for a thread, its own fields as the last one left them; NULL: there is no
 * room. The ticker's. */
struct flame_session *flame_everybody_lane(struct flame_session *session,
                                           const char *label);
/* Under the ticker's lock, by whoever pauses: all lanes are free. */
void flame_everybody_pause(struct flame_session *session);
/* In place of flame_session_complete(). */
void flame_everybody_complete(struct flame_session *session, uint64_t end_ns);
/* One more or less runs: for flame_session_admit(). */
void flame_everybody_count(int more);

/* ---- threads.c --------------------------------------------------------------- */

/* The session wants to know of the threads its thread starts, in the interpreter of its
 * thread state; and no more. Watched thread, GIL held; an exception that is set
 * stays. */
void flame_threads_listen(struct flame_session *session);
void flame_threads_listen_no_more(struct flame_session *session);
/* The ticker's: a session for one of the threads expected, if it runs now. */
struct flame_session *flame_threads_look(struct flame_session *session,
                                         struct flame_guard *guard);

/* ---- walk_sigsafe.c ---------------------------------------------------------- */

enum flame_walk {
    FLAME_WALK_WHOLE, /* path is the stack from its leaf to below the entry */
    FLAME_WALK_CUT,   /* path is a part of it */
    FLAME_WALK_TORN,  /* faulted or contradicted itself: no path */
};

/*
 * Reads the watched thread's frames into session->path and depth and interns
 * their functions. The thread must be the caller or must not run meanwhile
 * (which the caller has to prove afterwards). `guard` is the caller's own.
 */
enum flame_walk flame_walk_sigsafe(struct flame_session *session,
                                   struct flame_guard *guard);

/*
 * The same of a thread that may be running, but not in Python: without the GIL (in a
 * system call, in C code that gave it up) its frames stand still. TORN if it has it,
 * or has moved on meanwhile. Any thread.
 */
enum flame_walk flame_walk_released_sigsafe(struct flame_session *session,
                                            struct flame_guard *guard);

/* The index of where a frame (a flame_frame *) of that code object stands. */
uint32_t flame_walk_place_sigsafe(struct flame_session *session, const void *frame,
                                  const void *code);

/* ---- charge_sigsafe.c -------------------------------------------------------- */

uint64_t flame_now_sigsafe(void);
/* 0 if the clock cannot be read (the thread is gone). */
uint64_t flame_cpu_now_sigsafe(clockid_t clock);

/* When a sample was taken, and of what. */
struct flame_moment {
    uint64_t now_ns;
    uint64_t cpu_ns; /* the thread's CPU clock */
    enum flame_state state;
};

/* Charges the time since the last sample to the path just walked. */
void flame_charge_walked_sigsafe(struct flame_session *session, enum flame_walk walk,
                                 const struct flame_moment *moment);
/* No path was read: the time is the next sample's, and that is counted. */
void flame_charge_nothing_sigsafe(struct flame_session *session);
/* Charges it to the same place as last time. */
void flame_charge_again_sigsafe(struct flame_session *session,
                                const struct flame_moment *moment);
/* Takes note of the CPU time up to now, which is returned; does not charge it to any
 * place yet. */
uint64_t flame_charge_note_cpu_sigsafe(struct flame_session *session, uint64_t cpu_ns);
/*
 * What is left when a stretch ends: wall time to the last place sampled (of one that
 * is away, to that only what had passed before), as running as far
 * as the CPU clock says so; CPU time to the place last seen running; both to the
 * phase's pot if it has not been sampled. Not a sample.
 */
void flame_charge_rest_sigsafe(struct flame_session *session, uint64_t now_ns,
                               uint64_t cpu_ns);
/*
 * The thread leaves the path just walked, which has all time from now on until
 * _unpark_: exactly, that is no sample's business. What had passed since the last
 * sample is set aside for the next one that finds the path's owner running; if one is
 * due at this moment, this is it.
 */
void flame_charge_park_sigsafe(struct flame_session *session, enum flame_walk walk,
                               const struct flame_moment *moment, bool due);
void flame_charge_unpark_sigsafe(struct flame_session *session,
                                 const struct flame_moment *moment);
/* From here on everything is below that phase's node. */
void flame_charge_phase_sigsafe(struct flame_session *session, const char *name,
                                const char *then);
/* The same for a lane's next thread; CPU time not charged yet was the last one's. */
void flame_charge_thread_sigsafe(struct flame_session *session, const char *label);

/* ---- sites.c ----------------------------------------------------------------- */

/*
 * Names what the leaves were doing, from the application's source files, or from
 * `sources`, if not NULL, which come first, and gives the time of those that were not
 * calling anything to the function itself. Reads files; ordinary context, GIL not
 * needed, nothing sampled any more.
 */
void flame_sites_name(struct flame_store *store, const struct flame_sources *sources);

/* ---- pots.c ------------------------------------------------------------------ */

/* Shares out what is in the session's pots. Ordinary context, nothing sampled any more.
 */
void flame_pots_empty(struct flame_session *session);

/* ---- offcpu.c ---------------------------------------------------------------- */

/*
 * Why a thread that is off the CPU is: asked by the ticker alone, told of by begin() on
 * any thread when there is another thread to watch. What cannot be told (no /proc, or
 * one that belongs to root after setuid) is FLAME_BLOCKED, and session->quality says
 * which states are known. FLAME_RUNNING is never the answer.
 */
void flame_offcpu_begin(struct flame_session *session);
enum flame_state flame_offcpu_state(struct flame_session *session);
/* The ticker's thread begins: from now on it has none of the process's descriptors, and
 * the process none of its. Where the kernel cannot (Linux before 5.9, or it may not) no
 * file stays open between two looks. */
void flame_offcpu_begin_ticker(void);
/* And has nothing to do for now: it closes what it has open. */
void flame_offcpu_rest_ticker(void);
/* The CPU the watched thread is on, or was on last; -1: that cannot be told. */
int flame_offcpu_cpu(const struct flame_session *session);

/* ---- placement.c ------------------------------------------------------------- */

/* The ticker's CPU; what cannot be had (affinity refused, no /proc) is the kernel's
 * choice. On the ticker's thread, under its lock. begin: when the thread starts.
 * before: each look at a session. */
void flame_placement_begin(void);
void flame_placement_before(const struct flame_session *session);
/* The session could not be read from where the ticker is. True: it is on the thread's
 * CPU now, where it was not before; another look is worth while. */
bool flame_placement_go_beside(const struct flame_session *session);
/* The session was found ready, but without a CPU: the ticker may have taken it. */
void flame_placement_displaced(const struct flame_session *session);

/* ---- handler_sigsafe.c ------------------------------------------------------- */

/* The signal with which the ticker asks a running thread to sample itself. */
int flame_handler_signal(void);
/*
 * Installs the handler for good, for FLAME_SESSIONS_MAX slots; it is inert while
 * nobody asks. 0 or -errno.
 */
int flame_handler_install(struct flame_session *sessions);

/*
 * For timer_create(): the timer rings the bell, which interrupts the calling thread in
 * a futex wait on it. That thread lets the signal through and makes the bell 0 again.
 */
void flame_handler_timer(struct sigevent *event);
extern _Atomic uint32_t flame_handler_bell;

/* Asks the session's thread to sample itself; false: there is no such thread. */
bool flame_handler_ask(const struct flame_session *session);
/* It has been asked, and has not begun to answer. */
bool flame_handler_is_asked(const struct flame_session *session);

enum flame_answered {
    FLAME_ANSWERED,  /* or never asked */
    FLAME_ANSWERING, /* at this moment: it keeps the turn */
    FLAME_NOT_YET,   /* nor will it: a signal still on its way finds nothing to do */
};
enum flame_answered flame_handler_take_back(const struct flame_session *session);
/* In a forked child, whose parent's threads will not answer. */
void flame_handler_forget_all(void);

/* ---- greenlet.c -------------------------------------------------------------- */

/*
 * If the thread runs greenlets, watches only the current one from here on.
 * Ordinary context, watched thread, GIL held, no exception set; swallows what
 * the greenlet module raises. detach may be called without an attach.
 */
void flame_greenlet_attach(struct flame_session *session);
void flame_greenlet_detach(struct flame_session *session);
/* Lets go of the session's greenlet, if it has one. GIL held. */
void flame_greenlet_release(struct flame_session *session);

/* ---- sample.c ---------------------------------------------------------------- */

/* Takes the sample that is due, or asks the thread for it; `guard`: the ticker's. On
 * its thread, under its lock. False: the session is leaving, and will see to it itself.
 */
bool flame_sample(struct flame_session *session, struct flame_guard *guard,
                  uint64_t now);
/* Between _park_begin and _park_end, which looks itself whether a tick is due. */
bool flame_sample_is_leaving(const struct flame_session *session);

/* ---- lookout.c --------------------------------------------------------------- */

/* Around fork(), outside of what the ticker does then; in the child nobody is watched
 * any more. */
void flame_lookout_before_fork(void);
void flame_lookout_after_fork_in_parent(void);
void flame_lookout_after_fork_in_child(void);

/* ---- ticker.c ---------------------------------------------------------------- */

/*
 * The ticker serves the sessions handed to it until they are taken back; its
 * thread starts with the first and is joined with the last. Ordinary context,
 * any thread, the GIL held or not: the ticker never asks for it.
 * add: waits until the thread runs; the session is still paused. 0, or -EAGAIN if no
 * thread can be made. remove: afterwards the ticker neither reads the session nor
 * signals its thread.
 */
int flame_ticker_add(struct flame_session *session);
/*
 * hold: the thread runs from now on, with sessions or without, until the process ends
 * (or a child's begins). 0 or -EAGAIN. take: the same as add while it is held, of a
 * session that is set up; it is active from now on, and due at once.
 */
int flame_ticker_hold(void);
void flame_ticker_take(struct flame_session *session);
void flame_ticker_remove(struct flame_session *session);
/* A stretch ends and the next begins; the first one has what came before it. Called on
 * the watched thread. */
void flame_ticker_phase(struct flame_session *session, const char *name,
                        const char *then);
/* Sampling stops and goes on: nothing is due in between. */
void flame_ticker_pause(struct flame_session *session);
void flame_ticker_resume(struct flame_session *session);
/*
 * The watched greenlet is switched out or in again. While it is out its time
 * goes to the stack it left, which the caller puts into path and depth between
 * _park_begin and _park_end. False: it has been cut, and nothing is to be put there,
 * nor is there an _end. Called on the watched thread.
 */
bool flame_ticker_park_begin(struct flame_session *session);
void flame_ticker_park_end(struct flame_session *session, enum flame_walk walk);
void flame_ticker_unpark(struct flame_session *session);
/* Serves a child that has begun; false: its parent has ended, or has too many, which it
 * counts. Not on the ticker's own thread, where threads.c hands them over. */
bool flame_ticker_serve(struct flame_session *child);
/*
 * Shows all sessions served to `visit` under the ticker's lock, until it says true,
 * which is returned. It does not block.
 */
typedef bool flame_visit(struct flame_session *session, void *data);
bool flame_ticker_any(flame_visit *visit, void *data);
/* The guard of the ticker's own reads, for flame_guard_install(). */
struct flame_guard *flame_ticker_guard(void);

/* Its ticks end, and its thread charges nothing to it any more; false: that was so
 * already. Any thread but the watched one. */
bool flame_ticker_cut(struct flame_session *session);
/*
 * Around fork(): held, so that the child finds nothing half done. In the child
 * there is no ticker, and no session is active any more.
 */
void flame_ticker_before_fork(void);
void flame_ticker_after_fork_in_parent(void);
void flame_ticker_after_fork_in_child(void);

#endif
