#include "sampler/cpython.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sampler/sampler.h"
#include "sampler/session.h"

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
    session->finer_at_ns = UINT64_MAX;
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
    session->children_room = FLAME_CHILDREN_MAX;
    session->children_small = false;
    session->expected_count = 0;
    session->cut = false;
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
    session->sources = options->sources;
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
    session->sources = options->sources;
    session->greenlets = options->greenlets;
    session->paused = true;
    begin(session, options->max_ns);
    flame_offcpu_begin(session);
    flame_session_unblock_signals(&session->blocked_before);
    flame_greenlet_attach(session);
    return 0;
}

static void bound_memory(struct flame_session *session, uint64_t bytes)
{
    uint64_t own = flame_store_bytes(false);
    uint64_t rest = bytes > own ? (bytes - own) / flame_store_bytes(true) : 0;

    session->children_small = true;
    session->children_room =
        rest < FLAME_CHILDREN_MAX ? (unsigned)rest : FLAME_CHILDREN_MAX;
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
    int error = flame_slots_open();
    if (error != 0) {
        return error;
    }
    error = flame_session_take(&session, 0);
    if (error != 0) {
        flame_slots_close();
        return error;
    }
    session->profile.names = options->names;
    if (options->everybody) {
        set_up_everybody(session, options);
    } else {
        error = set_up(session, options);
    }
    if (options->bytes != 0) {
        bound_memory(session, options->bytes);
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
    if (flame_ticker_park_begin(session)) {
        flame_ticker_park_end(session, flame_walk_sigsafe(session, &session->guard));
    }
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
    if (!session->cut) {
        flame_sites_name(session->store, session->sources);
    }
    if (held != NULL) {
        PyEval_RestoreThread(held);
    }
}

void flame_session_stop(struct flame_session *session)
{
    uint64_t end = flame_now_sigsafe();
    uint64_t cpu_end = flame_cpu_now_sigsafe(session->cpu_clock);

    leave_ticker(session);
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
        if (!session->cut) {
            flame_session_complete(session, end, cpu_end);
        }
    }
    flame_children_end(session, end);
    session->profile.quality = session->quality;
    flame_store_read(session->store, &session->profile);
    session->cut = true;
    flame_slots_close();
}

struct sum {
    const struct flame_session *of;
    uint64_t samples;
};

/* A handler may be adding one at this moment. */
static bool add_samples(struct flame_session *session, void *data)
{
    struct sum *sum = data;

    if (flame_child_root(session) == sum->of) {
        sum->samples += __atomic_load_n(&session->quality.samples, __ATOMIC_RELAXED);
    }
    return false;
}

uint64_t flame_session_samples(const struct flame_session *session)
{
    struct sum sum = {.of = session};

    flame_ticker_any(add_samples, &sum);
    return sum.samples;
}

void flame_trace_functions_hear(bool heard)
{
    flame_cpython_trace(heard);
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
