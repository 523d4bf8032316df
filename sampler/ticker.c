/*
 * The ticker: one thread that knows which session is due, and has its sample taken
 * (sample.c).
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "sampler/sampler.h"
#include "sampler/session.h"

/* A tick that late, in parts of the interval, is not what was due. */
#define LATE_PART 8u
/* What reads a stack that is left takes microseconds, or hangs in the application. */
#define LEAVES_WITHIN_NS UINT64_C(100000000)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct flame_session *served[FLAME_SESSIONS_MAX];
static size_t served_count;
static pthread_t thread;
static bool running;         /* a thread has been made */
static bool held;            /* it stays without sessions */
static bool there;           /* and has got the CPU for the first time */
static uintptr_t generation; /* of the thread that serves; an older one ends */
static uint64_t sleeps_until_ns;
static struct flame_guard own_guard;

struct flame_guard *flame_ticker_guard(void)
{
    return &own_guard;
}

/* Uniform in half to one and a half intervals: no workload can keep step. */
static uint64_t jittered(struct flame_session *session)
{
    uint64_t x = session->random;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    session->random = x;
    return session->interval_ns / 2 + x % (session->interval_ns + 1);
}

/* Ticks slept through are counted, not made up for. */
static void count_overdue(struct flame_session *session, uint64_t now)
{
    while (session->due_ns + session->interval_ns < now) {
        session->due_ns += jittered(session);
        /* What is away has exact time; everybody's own ticks only look who is there. */
        session->quality.missed += !session->away && !session->everybody;
    }
}

static void schedule_next(struct flame_session *session, uint64_t now)
{
    if (now >= session->finer_at_ns) {
        session->interval_ns = session->finer_ns;
        session->finer_at_ns = UINT64_MAX;
        session->due_ns = now;
    }
    session->due_ns += jittered(session);
    count_overdue(session, now);
    if (session->due_ns > session->finer_at_ns) {
        session->due_ns = session->finer_at_ns;
    }
}

/* Before a session's ticks end for now: those that are late will not be had. */
static void count_last(struct flame_session *session)
{
    uint64_t now = flame_now_sigsafe();

    if (!session->paused && atomic_load(&session->active)) {
        count_overdue(session, now < session->ends_ns ? now : session->ends_ns);
    }
}

/* False: the session is leaving, and will see to it itself. */
static bool tick(struct flame_session *session, uint64_t now)
{
    if (now < session->ends_ns) {
        return session->everybody || flame_sample(session, &own_guard, now);
    }
    if (!atomic_load(&session->parked) && !session->everybody) {
        flame_charge_note_cpu_sigsafe(session,
                                      flame_cpu_now_sigsafe(session->cpu_clock));
    }
    session->quality.deadline_reached = true;
    atomic_store(&session->active, false);
    return true;
}

static bool is_served(const struct flame_session *session)
{
    for (size_t i = 0; i < served_count; i++) {
        if (served[i] == session) {
            return true;
        }
    }
    return false;
}

/* From now on a child is looked at, too; false: its parent has ended, or has too many.
 * Under lock. */
static bool serve(struct flame_session *child)
{
    struct flame_session *parent = child->parent;
    bool again = is_served(child); /* the lane of one that has ended */

    if (!atomic_load(&parent->active) ||
        (!again && parent->child_count == parent->children_room)) {
        parent->quality.unwatched++;
        return false;
    }
    if (!again) {
        parent->children[parent->child_count++] = child;
        served[served_count++] = child;
    }
    child->due_ns = child->last_ns + jittered(child);
    atomic_store(&child->active, true);
    return true;
}

static void serve_new_threads(struct flame_session *session)
{
    uint64_t begun = flame_now_sigsafe();
    struct flame_session *child;

    if (session->everybody) {
        flame_everybody_look(session, &own_guard);
    }
    while ((child = flame_threads_look(session, &own_guard)) != NULL) {
        if (!serve(child)) {
            flame_session_free(child);
        }
    }
    session->ticker_ns += session->everybody ? flame_now_sigsafe() - begun : 0;
}

/* Ticks whoever is due; returns when the next one is, or UINT64_MAX. */
static uint64_t tick_all(void)
{
    uint64_t next = UINT64_MAX;

    for (size_t i = 0; i < served_count; i++) {
        struct flame_session *session = served[i];
        if (session->paused || !atomic_load(&session->active) ||
            flame_sample_is_leaving(session)) {
            continue;
        }
        uint64_t now = flame_now_sigsafe();
        if (session->due_ns <= now) {
            flame_slots_mend(session);
            if (!tick(session, now)) {
                continue;
            }
            schedule_next(session, now);
            if (atomic_load(&session->active)) {
                serve_new_threads(session);
            }
        }
        if (session->due_ns < next) {
            next = session->due_ns;
        }
    }
    return next;
}

/*
 * To be woken when due, not when convenient: without this, bursts shorter than
 * a scheduler tick are under-counted. Both are wishes; refused (old kernels,
 * containers), sampling is coarser and the achieved interval says so. A higher
 * priority is no wish of ours: nobody else shall wait for a profile.
 */
static void ask_for_punctuality(void)
{
    struct {
        uint32_t size;
        uint32_t policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime; /* ns; the slice of an ordinary thread since 6.12 */
        uint64_t deadline;
        uint64_t period;
    } wish = {.size = sizeof wish,
              .flags = 0x08 /* KEEP_POLICY */,
              .nice = getpriority(PRIO_PROCESS, 0),
              .runtime = 100000};

    (void)syscall(SYS_sched_setattr, 0, &wish, 0);
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
}

static void *ticker_main(void *own_generation)
{
    ask_for_punctuality();
    prctl(PR_SET_NAME, "flameprof", 0UL, 0UL, 0UL);
    pthread_mutex_lock(&lock);
    flame_placement_begin();
    if (generation == (uintptr_t)own_generation) {
        flame_offcpu_begin_ticker();
        there = true;
        pthread_cond_broadcast(&changed);
    }
    while (generation == (uintptr_t)own_generation) {
        uint64_t next = tick_all();
        sleeps_until_ns = next;
        if (next == UINT64_MAX) {
            flame_offcpu_rest_ticker();
            pthread_cond_wait(&changed, &lock);
        } else {
            struct timespec until = {.tv_sec = (time_t)(next / UINT64_C(1000000000)),
                                     .tv_nsec = (long)(next % UINT64_C(1000000000))};
            pthread_cond_clockwait(&changed, &lock, CLOCK_MONOTONIC, &until);
        }
    }
    flame_offcpu_rest_ticker(); /* it is gone the sooner once it is joined */
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* With every signal blocked but those its guarded reads may raise. */
static int start_thread(void)
{
    sigset_t others;
    sigset_t before;

    sigfillset(&others);
    sigdelset(&others, SIGSEGV);
    sigdelset(&others, SIGBUS);
    pthread_sigmask(SIG_SETMASK, &others, &before);
    int error = pthread_create(&thread, NULL, ticker_main, (void *)generation);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    running = error == 0;
    there = false;
    return error == 0 ? 0 : -EAGAIN;
}

/*
 * A new thread may wait long for its first turn on a busy machine, longer than
 * many a request lasts: what is profiled waits for it. Under lock.
 */
static int wait_for_thread(void)
{
    int result = running ? 0 : start_thread();

    while (result == 0 && !there) {
        pthread_cond_wait(&changed, &lock);
    }
    return result;
}

int flame_ticker_add(struct flame_session *session)
{
    pthread_mutex_lock(&lock);
    int result = running ? 0 : start_thread();
    if (result == 0) {
        session->due_again_ns = jittered(session);
        served[served_count++] = session; /* first: it keeps the thread */
        result = wait_for_thread();
    }
    pthread_mutex_unlock(&lock);
    return result;
}

int flame_ticker_hold(void)
{
    pthread_mutex_lock(&lock);
    bool before = held;
    held = true;
    int result = wait_for_thread();
    held = before || result == 0;
    pthread_mutex_unlock(&lock);
    return result;
}

static void forget(const struct flame_session *session)
{
    for (size_t i = 0; i < served_count; i++) {
        if (served[i] == session) {
            served[i] = served[--served_count];
            return;
        }
    }
}

static void leave(struct flame_session *session)
{
    count_last(session);
    atomic_store(&session->active, false);
    forget(session);
}

bool flame_ticker_serve(struct flame_session *child)
{
    pthread_mutex_lock(&lock);
    bool served_from_now = serve(child);
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return served_from_now;
}

void flame_ticker_remove(struct flame_session *session)
{
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < session->child_count; i++) {
        leave(session->children[i]);
    }
    leave(session);
    if (served_count > 0 || held || !running) {
        pthread_mutex_unlock(&lock);
        return;
    }
    pthread_t last = thread;
    generation++;
    running = false;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    pthread_join(last, NULL);
}

/*
 * The lock keeps the ticker off; `parked` the handler, even on a signal that is
 * already on its way.
 */
void flame_ticker_phase(struct flame_session *session, const char *name,
                        const char *then)
{
    pthread_mutex_lock(&lock);
    bool parked = atomic_exchange(&session->parked, true);
    if (atomic_load(&session->active) && !session->paused) {
        if (session->last_node != 0) {
            flame_charge_rest_sigsafe(session, flame_now_sigsafe(),
                                      flame_cpu_now_sigsafe(session->cpu_clock));
        }
        flame_charge_phase_sigsafe(session, name, then);
    }
    atomic_store(&session->parked, parked);
    pthread_mutex_unlock(&lock);
}

/* As if its time had stood still. */
static void go_on_ticking(struct flame_session *session, uint64_t due_ns)
{
    session->due_ns = due_ns;
    if (due_ns < sleeps_until_ns) {
        pthread_cond_broadcast(&changed);
    }
}

void flame_ticker_take(struct flame_session *session)
{
    pthread_mutex_lock(&lock);
    served[served_count++] = session;
    atomic_store(&session->active, true);
    go_on_ticking(session, flame_now_sigsafe());
    pthread_mutex_unlock(&lock);
}

void flame_ticker_pause(struct flame_session *session)
{
    pthread_mutex_lock(&lock);
    if (session->everybody) {
        flame_everybody_pause(session);
        pthread_mutex_unlock(&lock);
        return;
    }
    if (session->cut) { /* complete: its times stay as they are */
        pthread_mutex_unlock(&lock);
        return;
    }
    count_last(session);
    session->paused = true;
    session->paused_at_ns = flame_now_sigsafe();
    bool asked = flame_handler_take_back(session) == FLAME_NOT_YET;
    session->due_again_ns = !asked && session->due_ns > session->paused_at_ns
                                ? session->due_ns - session->paused_at_ns
                                : 0;
    flame_charge_note_cpu_sigsafe(session, flame_cpu_now_sigsafe(session->cpu_clock));
    pthread_mutex_unlock(&lock);
}

void flame_ticker_resume(struct flame_session *session)
{
    pthread_mutex_lock(&lock);
    if (session->cut) {
        pthread_mutex_unlock(&lock);
        return;
    }
    uint64_t now = flame_now_sigsafe();
    uint64_t away = now - session->paused_at_ns;
    session->paused_ns += away;
    session->last_ns += away;
    session->cpu_mark_ns = flame_cpu_now_sigsafe(session->cpu_clock);
    session->paused = false;
    go_on_ticking(session, now + session->due_again_ns);
    pthread_mutex_unlock(&lock);
}

/*
 * From `parked` on the handler keeps off, even on a signal already on its way, and
 * so does the ticker once it has let the lock go. The lock is not held until
 * _park_end: reading the path can run Python code (the garbage collector's
 * finalizers), which gives the GIL to threads that wait for this lock with it.
 */
bool flame_ticker_park_begin(struct flame_session *session)
{
    atomic_store(&session->parked, true);
    pthread_mutex_lock(&lock);
    session->leaving_ns = flame_now_sigsafe();
    bool cut = session->cut;
    pthread_mutex_unlock(&lock);
    return !cut;
}

/* True: the sample that was on its way, or would be by now; the next is later. */
static bool has_tick_due(struct flame_session *session, uint64_t now)
{
    bool asked = flame_handler_take_back(session) == FLAME_NOT_YET;

    count_overdue(session, now);
    if (session->due_ns >= now) {
        return asked;
    }
    bool late =
        session->due_ns + session->interval_ns / LATE_PART < session->leaving_ns;
    session->quality.missed += late;
    while (session->due_ns < now) {
        session->due_ns += jittered(session);
    }
    return asked || !late;
}

void flame_ticker_park_end(struct flame_session *session, enum flame_walk walk)
{
    struct flame_moment moment = {.now_ns = flame_now_sigsafe(),
                                  .cpu_ns = flame_cpu_now_sigsafe(session->cpu_clock),
                                  .state = FLAME_RUNNING};

    pthread_mutex_lock(&lock);
    if (session->cut) {
        pthread_mutex_unlock(&lock);
        return;
    }
    bool due = !session->away && has_tick_due(session, moment.now_ns);
    if (!session->away) {
        session->due_again_ns = session->due_ns - moment.now_ns;
    }
    flame_charge_park_sigsafe(session, walk, &moment, due);
    go_on_ticking(session, session->due_ns);
    pthread_mutex_unlock(&lock);
}

void flame_ticker_unpark(struct flame_session *session)
{
    pthread_mutex_lock(&lock);
    if (session->away && atomic_load(&session->active)) {
        struct flame_moment moment = {.now_ns = flame_now_sigsafe(),
                                      .state = FLAME_BLOCKED};
        if (session->due_ns <= moment.now_ns) {
            flame_charge_again_sigsafe(session, &moment);
        }
        moment.cpu_ns = flame_cpu_now_sigsafe(session->cpu_clock);
        flame_charge_unpark_sigsafe(session, &moment);
        go_on_ticking(session, moment.now_ns + session->due_again_ns);
        atomic_store(&session->parked, false);
    }
    pthread_mutex_unlock(&lock);
}

/* Who parks the session writes its path without the lock. Under lock. */
static void wait_until_it_has_left(const struct flame_session *session)
{
    const struct timespec moment = {.tv_nsec = 50000};
    uint64_t until = flame_now_sigsafe() + LEAVES_WITHIN_NS;

    while (!session->cut && flame_sample_is_leaving(session) &&
           flame_now_sigsafe() < until) {
        pthread_mutex_unlock(&lock);
        nanosleep(&moment, NULL);
        pthread_mutex_lock(&lock);
    }
}

bool flame_ticker_cut(struct flame_session *session)
{
    pthread_mutex_lock(&lock);
    wait_until_it_has_left(session);
    bool first = !session->cut;
    if (first) {
        count_last(session);
        atomic_store(&session->active, false);
        for (unsigned i = 0; i < session->child_count; i++) {
            count_last(session->children[i]);
            atomic_store(&session->children[i]->active, false);
        }
        session->cut = true;
    }
    pthread_mutex_unlock(&lock);
    return first;
}

bool flame_ticker_any(flame_visit *visit, void *data)
{
    bool found = false;

    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < served_count && !found; i++) {
        found = visit(served[i], data);
    }
    pthread_mutex_unlock(&lock);
    return found;
}

void flame_ticker_before_fork(void)
{
    pthread_mutex_lock(&lock);
}

void flame_ticker_after_fork_in_parent(void)
{
    pthread_mutex_unlock(&lock);
}

void flame_ticker_after_fork_in_child(void)
{
    for (size_t i = 0; i < served_count; i++) {
        atomic_store(&served[i]->active, false);
    }
    flame_handler_forget_all();
    served_count = 0;
    held = false;
    running = false;
    generation++;
    changed = (pthread_cond_t)PTHREAD_COND_INITIALIZER; /* its waiter is gone */
    pthread_mutex_unlock(&lock);
}
