/*
 * The lookout: one thread that finds the requests that have got old.
 *
 * It sleeps in one of three ways. While requests come it looks again after an interval
 * (LOOKS). When few have come since the last look, and none is young, it goes to sleep
 * (SLEEPS) until a timer wakes it, which the next request sets (ARMED). So at a few
 * requests a second the price is two calls for the timer each, which is less than a
 * wake-up, and at many it is a wake-up per interval, which is less than the calls.
 *
 * Who changes the state looks at the requests afterwards, and who begins a request
 * looks at the state afterwards: no request is forgotten between the two.
 */
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sampler/sampler.h"
#include "sampler/session.h"
#include "sampler/watcher.h"

/* Requests in an interval that cost more by the timer than a wake-up does. */
#define BUSY 5u
/* Until the next look at the soonest, in parts of the interval. */
#define SOONEST_PART 2u

#define SECOND_NS UINT64_C(1000000000)

_Atomic unsigned flame_lookout_state; /* FLAME_LOOKOUT_SLEEPS and so on */

static struct flame_watcher watchers[FLAME_LOOKOUT_THREADS];
static atomic_uint watcher_count; /* that have ever been used */
static atomic_ullong unwatched;
static _Atomic uint64_t armed_ns; /* when the timer was set last */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of what follows */
static pthread_cond_t begun = PTHREAD_COND_INITIALIZER;
static enum { NEVER, BEGINS, RUNS, FAILED } life; /* of the thread, in this process */
static timer_t timer;

uint64_t flame_lookout_unwatched(void)
{
    return atomic_load(&unwatched);
}

/* ---- the timer --------------------------------------------------------------- */

static void set_timer(uint64_t ns)
{
    const struct itimerspec in = {.it_value = {.tv_sec = (time_t)(ns / SECOND_NS),
                                               .tv_nsec = (long)(ns % SECOND_NS)}};

    timer_settime(timer, 0, &in, NULL);
}

static bool change_state(unsigned from, unsigned to)
{
    return atomic_compare_exchange_strong(&flame_lookout_state, &from, to);
}

static bool waits_for_a_look(const struct flame_watcher *watcher)
{
    return (atomic_load(&watcher->request) & FLAME_REQUEST_FLAGS) ==
           FLAME_REQUEST_ACTIVE;
}

/* Any of them; NULL: nobody does. */
static const struct flame_watcher *find_waiting(void)
{
    unsigned count = atomic_load(&watcher_count);

    for (unsigned i = 0; i < count; i++) {
        if (waits_for_a_look(&watchers[i])) {
            return &watchers[i];
        }
    }
    return NULL;
}

void flame_lookout_arm(struct flame_watcher *watcher, uint64_t now_ns)
{
    if (change_state(FLAME_LOOKOUT_SLEEPS, FLAME_LOOKOUT_ARMED)) {
        uint64_t before = atomic_exchange(&armed_ns, now_ns);
        set_timer(flame_watcher_interval(watcher));
        watcher->armed = true;
        watcher->alone = now_ns - before > flame_watcher_interval(watcher) / BUSY;
    }
}

/* Where requests follow each other closely the lookout is left to come: it stays awake
 * then, and none of them needs the timer. */
void flame_lookout_disarm(struct flame_watcher *watcher)
{
    watcher->armed = false;
    if (!watcher->alone || atomic_load(&flame_lookout_state) != FLAME_LOOKOUT_ARMED) {
        return;
    }
    set_timer(0);
    if (change_state(FLAME_LOOKOUT_ARMED, FLAME_LOOKOUT_SLEEPS)) {
        const struct flame_watcher *other = find_waiting();
        if (other != NULL && change_state(FLAME_LOOKOUT_SLEEPS, FLAME_LOOKOUT_ARMED)) {
            set_timer(flame_watcher_interval(other));
        }
    }
}

void flame_lookout_ring(void)
{
    if (atomic_load(&flame_lookout_state) == FLAME_LOOKOUT_ARMED) {
        (void)flame_slots_reopen();
        atomic_store(&flame_handler_bell, 1);
        syscall(SYS_futex, &flame_handler_bell, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
}

/* ---- a request that has a session -------------------------------------------- */

struct flame_session *flame_lookout_release(struct flame_watcher *watcher)
{
    pthread_mutex_lock(&lock);
    struct flame_session *session = watcher->session;
    watcher->session = NULL;
    if (session != NULL) {
        flame_ticker_remove(session);
        while (flame_handler_take_back(session) == FLAME_ANSWERING) {
            sched_yield(); /* only if this is not its thread; microseconds */
        }
    }
    pthread_mutex_unlock(&lock);
    return session;
}

void flame_lookout_follow(struct flame_watcher *watcher)
{
    pthread_mutex_lock(&lock);
    if (watcher->session != NULL) {
        flame_ticker_pause(watcher->session);
        flame_watcher_place(watcher->session, &watcher->stand);
        flame_ticker_resume(watcher->session);
    }
    pthread_mutex_unlock(&lock);
}

/* ---- looking ----------------------------------------------------------------- */

struct looks {
    uint64_t now_ns;
    uint64_t next_ns;     /* when one of them will be old; UINT64_MAX: none is young */
    uint64_t slow_ns;     /* when one will be slow, which is to be told */
    uint64_t interval_ns; /* the shortest; UINT64_MAX: nobody has begun any */
    uint32_t begun;       /* requests since the last look */
};

/* It has a session. */
static void tell(struct flame_watcher *watcher, struct looks *looks)
{
    void (*became_slow)(void *, struct flame_session *) =
        (void (*)(void *, struct flame_session *))atomic_load(&watcher->became_slow);
    struct flame_session *session = watcher->session;
    uint64_t slow_ns = atomic_load(&watcher->slow_ns);

    if (became_slow == NULL || session == NULL || watcher->told ||
        slow_ns > UINT64_MAX - session->started_ns) {
        return;
    }
    slow_ns += session->started_ns;
    if (slow_ns <= looks->now_ns) {
        watcher->told = true;
        became_slow(atomic_load(&watcher->owner), session);
    } else if (slow_ns < looks->slow_ns) {
        looks->slow_ns = slow_ns;
    }
}

static void count_unwatched(struct flame_watcher *watcher, uint64_t request)
{
    atomic_fetch_add(&unwatched, watcher->unwatched != request);
    watcher->unwatched = request;
}

static void look_at(struct flame_watcher *watcher, struct looks *looks)
{
    uint32_t count = atomic_load_explicit(&watcher->begun, memory_order_relaxed);
    uint64_t request = atomic_load(&watcher->request);
    uint64_t interval = flame_watcher_interval(watcher);

    if (count == 0) {
        return;
    }
    looks->begun += count - watcher->begun_seen;
    watcher->begun_seen = count;
    looks->interval_ns = interval < looks->interval_ns ? interval : looks->interval_ns;
    if ((request & FLAME_REQUEST_FLAGS) != FLAME_REQUEST_ACTIVE) {
        tell(watcher, looks);
        return;
    }
    flame_watcher_note_cpu(watcher, request, looks->now_ns);
    uint64_t old_ns = (request & ~FLAME_REQUEST_FLAGS) + interval;
    if (old_ns <= looks->now_ns) {
        if (!flame_watcher_claim(watcher, request)) {
            count_unwatched(watcher, request);
        }
        old_ns = looks->now_ns + interval; /* if there was no room for it */
    }
    tell(watcher, looks);
    if (waits_for_a_look(watcher) && old_ns < looks->next_ns) {
        looks->next_ns = old_ns;
    }
}

/* When the next look is due; UINT64_MAX: when the timer says so. *slow_ns: then in any
 * case. */
static uint64_t look(uint64_t *slow_ns)
{
    struct looks looks = {.now_ns = flame_now_sigsafe(),
                          .next_ns = UINT64_MAX,
                          .slow_ns = UINT64_MAX,
                          .interval_ns = UINT64_MAX};

    pthread_mutex_lock(&lock);
    unsigned count = atomic_load(&watcher_count);
    for (unsigned i = 0; i < count; i++) {
        if (atomic_load(&watchers[i].used)) {
            look_at(&watchers[i], &looks);
        }
    }
    pthread_mutex_unlock(&lock);
    *slow_ns = looks.slow_ns;
    if (looks.next_ns == UINT64_MAX) {
        return looks.begun < BUSY ? UINT64_MAX : looks.now_ns + looks.interval_ns;
    }
    uint64_t soonest = looks.now_ns + looks.interval_ns / SOONEST_PART;
    return looks.next_ns > soonest ? looks.next_ns : soonest;
}

/* Until then, or until the timer rings. Interrupted without the bell, the signal's
 * handler is somebody else's by now, or is yet to run: that is as good. */
static void wait_until(uint64_t ns)
{
    const struct timespec until = {.tv_sec = (time_t)(ns / SECOND_NS),
                                   .tv_nsec = (long)(ns % SECOND_NS)};
    long result = 0;

    while (atomic_exchange(&flame_handler_bell, 0) == 0 &&
           !(result == -1 && errno == EINTR) &&
           (ns == UINT64_MAX || flame_now_sigsafe() < ns)) {
        result = syscall(
            SYS_futex, &flame_handler_bell, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0,
            ns == UINT64_MAX ? NULL : &until, NULL, FUTEX_BITSET_MATCH_ANY);
    }
}

/* Until when. */
static uint64_t look_or_sleep(void)
{
    uint64_t slow_ns;

    atomic_store(&flame_lookout_state, FLAME_LOOKOUT_LOOKS);
    uint64_t next = look(&slow_ns);
    if (next != UINT64_MAX) {
        return next;
    }
    atomic_store(&flame_lookout_state, FLAME_LOOKOUT_SLEEPS);
    const struct flame_watcher *waiting = find_waiting();
    if (waiting != NULL && change_state(FLAME_LOOKOUT_SLEEPS, FLAME_LOOKOUT_LOOKS)) {
        return flame_now_sigsafe() + flame_watcher_interval(waiting);
    }
    return slow_ns;
}

static void *lookout_main(void *unused)
{
    struct sigevent rings;

    (void)unused;
    prctl(PR_SET_NAME, "flameprof-look", 0UL, 0UL, 0UL);
    flame_handler_timer(&rings);
    bool fine = timer_create(CLOCK_MONOTONIC, &rings, &timer) == 0;
    pthread_mutex_lock(&lock);
    life = fine ? RUNS : FAILED;
    pthread_cond_broadcast(&begun);
    pthread_mutex_unlock(&lock);
    if (!fine) {
        return NULL;
    }
    for (uint64_t next = UINT64_MAX;; next = look_or_sleep()) {
        wait_until(next);
    }
}

/* ---- the thread's life ------------------------------------------------------- */

/* With every signal blocked but the one by which its timer rings. */
static int make_thread(void)
{
    pthread_attr_t detached;
    pthread_t thread;
    sigset_t others;
    sigset_t before;

    sigfillset(&others);
    sigdelset(&others, flame_handler_signal());
    if (pthread_attr_init(&detached) != 0) {
        return -ENOMEM;
    }
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &others, &before);
    int error = pthread_create(&thread, &detached, lookout_main, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&detached);
    return error == 0 ? 0 : -EAGAIN;
}

/* Under lock. */
static int start(void)
{
    int error = flame_slots_open();

    if (error == 0) {
        error = flame_ticker_hold();
        if (error == 0) {
            error = make_thread();
        }
        if (error != 0) {
            flame_slots_close();
        }
    }
    life = error == 0 ? BEGINS : FAILED;
    return error;
}

/* Under lock. */
static int run(void)
{
    static int failure;

    if (life == NEVER) {
        failure = start();
    }
    while (life == BEGINS) {
        pthread_cond_wait(&begun, &lock);
    }
    if (life == FAILED && failure == 0) {
        failure = -ENOTSUP;
    }
    return life == RUNS ? 0 : failure;
}

static struct flame_watcher *find_free(void)
{
    for (unsigned i = 0; i < FLAME_LOOKOUT_THREADS; i++) {
        if (!atomic_load(&watchers[i].used)) {
            if (i >= atomic_load(&watcher_count)) {
                atomic_store(&watcher_count, i + 1);
            }
            return &watchers[i];
        }
    }
    return NULL;
}

int flame_lookout_take(struct flame_watcher **out)
{
    clockid_t cpu_clock;

    if (pthread_getcpuclockid(pthread_self(), &cpu_clock) != 0) {
        return -ENOTSUP;
    }
    pthread_mutex_lock(&lock);
    int error = run();
    struct flame_watcher *watcher = error == 0 ? find_free() : NULL;
    if (watcher != NULL) {
        watcher->thread = pthread_self();
        watcher->tid = (pid_t)syscall(SYS_gettid);
        watcher->cpu_clock = cpu_clock;
        watcher->cpu_seen_ns = flame_cpu_now_sigsafe(cpu_clock);
        watcher->request_seen = 0;
        watcher->unwatched = 0;
        watcher->armed = false;
        watcher->begun_seen = 0;
        atomic_store(&watcher->begun, 0);
        atomic_store(&watcher->request, 0);
        atomic_store(&watcher->used, true);
    } else if (error == 0) {
        error = -EBUSY;
    }
    pthread_mutex_unlock(&lock);
    *out = watcher;
    return error;
}

void flame_lookout_give_back(struct flame_watcher *watcher)
{
    pthread_mutex_lock(&lock);
    atomic_store(&watcher->used, false);
    pthread_mutex_unlock(&lock);
}

void flame_lookout_before_fork(void)
{
    pthread_mutex_lock(&lock);
}

void flame_lookout_after_fork_in_parent(void)
{
    pthread_mutex_unlock(&lock);
}

void flame_lookout_after_fork_in_child(void)
{
    for (unsigned i = 0; i < atomic_load(&watcher_count); i++) {
        struct flame_watcher *watcher = &watchers[i];
        if (watcher->session != NULL) {
            flame_session_free(watcher->session);
            watcher->session = NULL;
        }
        atomic_store(&watcher->request, 0);
        atomic_store(&watcher->used, false);
    }
    if (life == RUNS || life == BEGINS) {
        flame_slots_close();
    }
    flame_watcher_forget();
    atomic_store(&watcher_count, 0);
    atomic_store(&flame_lookout_state, FLAME_LOOKOUT_SLEEPS);
    life = NEVER;
    begun = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    pthread_mutex_unlock(&lock);
}
