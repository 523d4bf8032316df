#include "sampler/cpython.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sampler/sampler.h"
#include "sampler/session.h"

/*
 * Slots are mapped once and never unmapped: a signal that arrives late finds
 * its session's memory still there.
 */
static struct flame_session *slots;
static struct flame_guard *guards[FLAME_SESSIONS_MAX + 1];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of what follows */
static unsigned users; /* sessions between start and stop */
static bool fork_known;

static void before_fork(void)
{
    pthread_mutex_lock(&lock);
    flame_ticker_before_fork();
}

static void after_fork_in_parent(void)
{
    flame_ticker_after_fork_in_parent();
    pthread_mutex_unlock(&lock);
}

static void after_fork_in_child(void)
{
    flame_ticker_after_fork_in_child();
    pthread_mutex_unlock(&lock);
}

static int map_slots(void)
{
    void *memory =
        mmap(NULL, FLAME_SESSIONS_MAX * sizeof *slots, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED) {
        return -ENOMEM;
    }
    slots = memory;
    for (size_t i = 0; i < FLAME_SESSIONS_MAX; i++) {
        guards[i] = &slots[i].guard;
    }
    guards[FLAME_SESSIONS_MAX] = flame_ticker_guard();
    return 0;
}

/* Everything the process needs once, before its first session. Under lock. */
static int prepare_process(void)
{
    if (slots == NULL) {
        int error = map_slots();
        if (error != 0) {
            return error;
        }
    }
    if (!fork_known) {
        if (pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) !=
            0) {
            return -ENOMEM;
        }
        fork_known = true;
    }
    int error = flame_handler_install(slots);
    return error != 0 ? error : flame_guard_install(guards, FLAME_SESSIONS_MAX + 1);
}

int flame_session_take(struct flame_session **out, size_t kept)
{
    for (size_t i = 0; i < FLAME_SESSIONS_MAX - kept; i++) {
        struct flame_session *session = &slots[i];
        if (atomic_exchange(&session->taken, true)) {
            continue;
        }
        if (session->store == NULL) {
            session->store = flame_store_new();
        } else {
            flame_store_reset(session->store);
        }
        if (session->store == NULL) {
            atomic_store(&session->taken, false);
            return -ENOMEM;
        }
        *out = session;
        return 0;
    }
    return -EBUSY;
}

int flame_session_reserve(struct flame_session **out)
{
    pthread_mutex_lock(&lock);
    int error = slots == NULL ? map_slots() : 0;
    pthread_mutex_unlock(&lock);
    return error == 0 ? flame_session_take(out, 0) : error;
}

/* uWSGI's threads block every signal; what sampling needs is let through. */
void flame_session_unblock_signals(sigset_t *before)
{
    sigset_t needed;

    sigemptyset(&needed);
    sigaddset(&needed, SIGSEGV);
    sigaddset(&needed, SIGBUS);
    sigaddset(&needed, flame_handler_signal());
    pthread_sigmask(SIG_UNBLOCK, &needed, before);
}

/* Only ours: the application may have changed the rest meanwhile. */
void flame_session_block_again(const sigset_t *before)
{
    const int needed[] = {SIGSEGV, SIGBUS, flame_handler_signal()};
    sigset_t again;

    sigemptyset(&again);
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        if (sigismember(before, needed[i]) == 1) {
            sigaddset(&again, needed[i]);
        }
    }
    pthread_sigmask(SIG_BLOCK, &again, NULL);
}

void flame_session_note_thread_state(struct flame_session *session, const void *state)
{
    size_t size;

    atomic_store(&session->gil, (uintptr_t)flame_cpython_gil(state, &size));
    session->gil_size = size;
    session->interpreter = flame_cpython_interpreter(state);
    atomic_store(&session->thread_state, state);
}

void flame_session_clear(struct flame_session *session, uint64_t interval_ns,
                         uint64_t seed)
{
    session->interval_ns = interval_ns;
    session->random = seed != 0 ? seed : 1;
    session->paused = false;
    atomic_store(&session->parked, false);
    memset(session->callers, 0, sizeof session->callers);
    session->passed = 0;
    session->greenlet = NULL;
    session->greenlet_keeper = NULL;
    session->paused_ns = 0;
    session->unblocked = 0;
    session->ticker_ns = 0;
    session->set_aside_ns = 0;
    session->cpu_carried_ns = 0;
    session->away = false;
    session->parks = false;
    session->last_node = 0;
    session->placed = false;
    session->last_running_node = 0;
    session->sampled_node = 0;
    session->pot_count = 0;
    session->pot = NULL;
    session->phase = 0;
    session->next_phase = 0;
    session->spacing_count = 0;
    session->spacing_sum_ns = 0;
    session->spacing_squares = 0;
    session->quality = (struct flame_quality){.interval_ns = interval_ns};
    session->parent = NULL;
    session->threads = false;
    session->greenlets = false;
    session->everybody = false;
    session->child_count = 0;
    session->expected_count = 0;
    session->offcpu_file = -1;
}

/* From here on time counts. The ticker does not look before it is told. */
static void begin(struct flame_session *session, uint64_t max_ns)
{
    session->cpu_mark_ns = flame_cpu_now_sigsafe(session->cpu_clock);
    session->started_ns = flame_now_sigsafe();
    session->ends_ns = max_ns == 0 ? UINT64_MAX : session->started_ns + max_ns;
    session->last_ns = session->started_ns;
    session->paused_at_ns = session->started_ns;
}

static void note_callers(struct flame_session *session)
{
    const flame_frame *frame = session->entry;
    uint32_t count = 0;

    session->entry_code = frame == NULL ? NULL : flame_cpython_code(frame);
    while (frame != NULL && count < FLAME_CALLERS) {
        frame = flame_cpython_caller(frame);
        if (frame != NULL && !flame_cpython_is_shim(frame)) {
            session->callers[count++] =
                (struct flame_caller){frame, flame_cpython_code(frame)};
        }
    }
}

static void set_up_everybody(struct flame_session *session,
                             const struct flame_session_options *options)
{
    session->thread = 0;
    session->tid = 0;
    session->cpu_clock = CLOCK_PROCESS_CPUTIME_ID;
    flame_session_note_thread_state(session, PyThreadState_Get());
    session->code_type = &PyCode_Type;
    session->entry = NULL;
    flame_session_clear(session, options->interval_ns, options->seed);
    session->lines = options->lines;
    session->everybody = true;
    session->newest_id = 0;
    session->quality.everybody = true;
    /* Until a child says otherwise. */
    session->quality.gil_wait_known = true;
    session->quality.runnable_known = true;
    session->paused = true;
    begin(session, options->max_ns);
    flame_everybody_count(1);
    flame_session_admit();
}

static int set_up(struct flame_session *session,
                  const struct flame_session_options *options)
{
    PyThreadState *thread_state = PyThreadState_Get();

    session->thread = pthread_self();
    session->tid = (pid_t)syscall(SYS_gettid);
    if (pthread_getcpuclockid(session->thread, &session->cpu_clock) != 0) {
        return -ENOTSUP;
    }
    flame_session_note_thread_state(session, thread_state);
    session->code_type = &PyCode_Type;
    session->entry = flame_cpython_top(thread_state);
    while (session->entry != NULL && flame_cpython_is_shim(session->entry)) {
        session->entry = flame_cpython_caller(session->entry);
    }
    flame_session_clear(session, options->interval_ns,
                        options->seed != 0 ? options->seed : flame_now_sigsafe());
    note_callers(session);
    session->lines = options->lines;
    session->greenlets = options->greenlets;
    session->paused = true;
    begin(session, options->max_ns);
    flame_offcpu_open(session);
    flame_session_unblock_signals(&session->blocked_before);
    flame_greenlet_attach(session);
    return 0;
}

/* The ticker may have to start first: no other request waits with us. */
static int join_ticker(struct flame_session *session)
{
    PyThreadState *held = PyEval_SaveThread();
    int error = flame_ticker_add(session);

    PyEval_RestoreThread(held);
    return error;
}

int flame_session_start(const struct flame_session_options *options,
                        struct flame_session **out)
{
    struct flame_session *session = NULL;

    *out = NULL;
    if (options->interval_ns < FLAME_INTERVAL_MIN_NS ||
        options->interval_ns > FLAME_INTERVAL_MAX_NS ||
        (options->everybody && (options->threads || options->greenlets))) {
        return -EINVAL;
    }
    pthread_mutex_lock(&lock);
    int error = prepare_process();
    if (error == 0) {
        error = flame_session_take(&session, 0);
    }
    users += error == 0;
    pthread_mutex_unlock(&lock);
    if (error != 0) {
        return error;
    }
    if (options->everybody) {
        set_up_everybody(session, options);
    } else {
        error = set_up(session, options);
    }
    if (error == 0) {
        error = join_ticker(session);
    }
    if (error != 0) {
        flame_session_stop(session);
        flame_session_free(session);
        return error;
    }
    if (options->threads || options->everybody) {
        /* Not before others see it served: the last to listen tidies up. */
        flame_threads_listen(session);
    }
    begin(session, options->max_ns);
    atomic_store(&session->active, true);
    flame_session_resume(session);
    *out = session;
    return 0;
}

void flame_session_use_thread_state(struct flame_session *session, void *thread_state)
{
    bool threads = session->threads;

    flame_threads_listen_no_more(session);
    flame_session_note_thread_state(session, thread_state);
    if (threads) {
        flame_threads_listen(session);
    }
}

void flame_session_phase(struct flame_session *session, const char *name,
                         const char *then)
{
    flame_ticker_phase(session, name, then);
}

void flame_session_pause(struct flame_session *session)
{
    flame_ticker_pause(session);
}

void flame_session_resume(struct flame_session *session)
{
    if (session->everybody) {
        flame_everybody_expect_all(session);
        session->due_again_ns = 0; /* to find them at once */
    }
    flame_ticker_resume(session);
}

void flame_session_park(struct flame_session *session)
{
    if (session->paused || !atomic_load(&session->active)) {
        return;
    }
    flame_ticker_park_begin(session);
    flame_ticker_park_end(session, flame_walk_sigsafe(session, &session->guard));
}

void flame_session_unpark(struct flame_session *session)
{
    flame_ticker_unpark(session);
}

/* The time after the last sample belongs to where that sample was. */
void flame_session_complete(struct flame_session *session, uint64_t end,
                            uint64_t cpu_end)
{
    struct flame_quality *quality = &session->quality;

    if (end > session->ends_ns) {
        end = session->ends_ns;
    }
    if (session->paused) {
        end = session->paused_at_ns;
    }
    if (session->paused || atomic_load(&session->parked) || quality->deadline_reached) {
        cpu_end = session->cpu_mark_ns; /* what the thread did since was for others */
    }
    flame_charge_rest_sigsafe(session, end, cpu_end);
    flame_pots_empty(session);
    if (!session->parks) {
        flame_store_settle_cpu(session->store);
    }
    flame_store_settle_running(session->store);
    quality->sampling_ns += session->ticker_ns;
    quality->duration_ns = session->last_ns - session->started_ns - session->paused_ns;
    flame_session_note_spacing(session);
}

/* Waits for the ticker to let go, or to end: no other request waits with us. */
static void leave_ticker(struct flame_session *session)
{
    PyThreadState *held = flame_cpython_holds_gil() ? PyEval_SaveThread() : NULL;

    flame_ticker_remove(session);
    while (flame_handler_take_back(session) == FLAME_ANSWERING) {
        sched_yield(); /* only if this is not the watched thread; microseconds */
    }
    flame_sites_name(session->store);
    if (held != NULL) {
        PyEval_RestoreThread(held);
    }
}

void flame_session_stop(struct flame_session *session)
{
    uint64_t end = flame_now_sigsafe();
    uint64_t cpu_end = flame_cpu_now_sigsafe(session->cpu_clock);

    leave_ticker(session);
    flame_offcpu_close(session);
    flame_greenlet_detach(session);
    flame_threads_listen_no_more(session);
    if (session->everybody) {
        flame_everybody_count(-1);
        flame_session_admit();
        flame_everybody_complete(session, end);
    } else {
        if (pthread_equal(session->thread, pthread_self())) {
            flame_session_block_again(&session->blocked_before);
        }
        flame_session_complete(session, end, cpu_end);
    }
    flame_children_end(session, end);
    session->profile.quality = session->quality;
    flame_store_read(session->store, &session->profile);
    pthread_mutex_lock(&lock);
    if (--users == 0) {
        flame_guard_remove();
    }
    pthread_mutex_unlock(&lock);
}

const struct flame_profile *flame_session_profile(const struct flame_session *session)
{
    return &session->profile;
}

void flame_session_free(struct flame_session *session)
{
    if (session != NULL) {
        atomic_store(&session->taken, false);
    }
}
