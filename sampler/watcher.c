/* The threads' side of the lookout: what each request of theirs pays for. */
#include "sampler/cpython.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sampler/sampler.h"
#include "sampler/session.h"
#include "sampler/watcher.h"

/* A request that is so many intervals old should have been seen. */
#define OVERSLEPT 4u

static _Thread_local struct flame_watcher *own;
static _Thread_local bool refused; /* there were too many threads when it came */

struct flame_watcher *flame_lookout_mine(void)
{
    return own;
}

void flame_watcher_forget(void)
{
    own = NULL;
    refused = false;
}

/* ---- its life ---------------------------------------------------------------- */

static pthread_key_t thread_ends;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static int key_error;

/* The thread ends; `data` is old where it forked and has not joined since. */
static void on_thread_end(void *data)
{
    struct flame_watcher *watcher = data;

    if (watcher != own) {
        return;
    }
    own = NULL;
    if (atomic_load(&watcher->request) & FLAME_REQUEST_ACTIVE) {
        struct flame_watched watched =
            flame_lookout_end(watcher, atomic_load(&watcher->request));
        flame_lookout_drop(&watched);
    }
    flame_lookout_give_back(watcher);
}

static void make_key(void)
{
    key_error = pthread_key_create(&thread_ends, on_thread_end);
}

int flame_lookout_join(struct flame_watcher **out)
{
    struct flame_watcher *watcher;
    sigset_t ignored;

    *out = NULL;
    pthread_once(&key_once, make_key);
    if (refused || key_error != 0) {
        return refused ? -EBUSY : -ENOMEM;
    }
    int error = flame_lookout_take(&watcher);
    if (error == 0 && pthread_setspecific(thread_ends, watcher) != 0) {
        flame_lookout_give_back(watcher);
        error = -ENOMEM;
    }
    refused = error == -EBUSY;
    if (error != 0) {
        return error;
    }
    flame_session_unblock_signals(&ignored);
    own = watcher;
    *out = watcher;
    return 0;
}

/* ---- whose frames ------------------------------------------------------------ */

static void set(_Atomic(const void *) *to, const void *value)
{
    atomic_store_explicit(to, value, memory_order_relaxed);
}

static void note_state(struct flame_stand *stand, const PyThreadState *state)
{
    size_t size;

    set(&stand->thread_state, state);
    set(&stand->interpreter, flame_cpython_interpreter(state));
    set(&stand->gil, flame_cpython_gil(state, &size));
    atomic_store_explicit(&stand->gil_size, size, memory_order_relaxed);
}

static void note_entry(struct flame_stand *stand, const flame_frame *entry)
{
    set(&stand->entry, entry);
    set(&stand->entry_code, entry == NULL ? NULL : flame_cpython_code(entry));
}

static void note_here(struct flame_watcher *watcher)
{
    const PyThreadState *state = PyThreadState_Get();
    const flame_frame *frame = flame_cpython_top(state);

    while (frame != NULL && flame_cpython_is_shim(frame)) {
        frame = flame_cpython_caller(frame);
    }
    note_state(&watcher->stand, state);
    note_entry(&watcher->stand, frame);
}

void flame_lookout_home(struct flame_watcher *watcher, void *thread_state)
{
    note_state(&watcher->home, thread_state);
    note_entry(&watcher->home, NULL);
}

void flame_lookout_own(struct flame_watcher *watcher, void *owner)
{
    atomic_store(&watcher->owner, owner);
}

static void go_home(struct flame_watcher *watcher)
{
    const struct flame_stand *home = &watcher->home;

    set(&watcher->stand.thread_state, home->thread_state);
    set(&watcher->stand.interpreter, home->interpreter);
    set(&watcher->stand.gil, home->gil);
    atomic_store_explicit(&watcher->stand.gil_size, home->gil_size,
                          memory_order_relaxed);
    note_entry(&watcher->stand, NULL);
}

/* The lookout reads what stands there after it has claimed the request: either it sees
 * the change, or this thread the claim. */
static void follow(struct flame_watcher *watcher)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load(&watcher->request) & FLAME_REQUEST_CLAIMED) {
        flame_lookout_follow(watcher);
    }
}

void flame_lookout_enter(struct flame_watcher *watcher, void *thread_state)
{
    note_state(&watcher->stand, thread_state);
    follow(watcher);
}

void flame_lookout_enter_here(struct flame_watcher *watcher)
{
    note_here(watcher);
    follow(watcher);
}

/* ---- a request --------------------------------------------------------------- */

static bool is_active(const struct flame_watcher *watcher)
{
    return (atomic_load_explicit(&watcher->request, memory_order_relaxed) &
            FLAME_REQUEST_ACTIVE) != 0;
}

static void set_ns(_Atomic uint64_t *to, uint64_t value)
{
    atomic_store_explicit(to, value, memory_order_relaxed);
}

static uint64_t begin(struct flame_watcher *watcher,
                      const struct flame_lookout_options *options)
{
    uint64_t now = flame_now_sigsafe();
    uint64_t request = (now & ~FLAME_REQUEST_FLAGS) | FLAME_REQUEST_ACTIVE;
    uint32_t begun = atomic_load_explicit(&watcher->begun, memory_order_relaxed);

    set_ns(&watcher->interval_ns, options->interval_ns);
    set_ns(&watcher->slow_ns, options->slow_ns);
    set_ns(&watcher->finer_ns, options->finer_ns);
    set_ns(&watcher->max_ns, options->max_ns);
    atomic_store_explicit(&watcher->names, options->names, memory_order_relaxed);
    atomic_store_explicit(&watcher->became_slow, (uintptr_t)options->became_slow,
                          memory_order_relaxed);
    atomic_store_explicit(&watcher->begun, begun + 1, memory_order_relaxed);
    /* In one order with the lookout's going to sleep: either sees the other. */
    atomic_store(&watcher->request, request);
    if (flame_lookout_sleeps()) {
        flame_lookout_arm(watcher, now);
    }
    return request;
}

uint64_t flame_lookout_begin(struct flame_watcher *watcher,
                             const struct flame_lookout_options *options)
{
    if (is_active(watcher)) {
        return 0;
    }
    go_home(watcher);
    return begin(watcher, options);
}

uint64_t flame_lookout_begin_here(struct flame_watcher *watcher,
                                  const struct flame_lookout_options *options)
{
    if (is_active(watcher)) {
        return 0;
    }
    note_here(watcher);
    return begin(watcher, options);
}

/* The word it had, or 0: it is over already. */
static uint64_t make_inactive(struct flame_watcher *watcher, uint64_t request)
{
    uint64_t found = request & ~FLAME_REQUEST_CLAIMED;
    uint64_t began = request & ~FLAME_REQUEST_FLAGS;

    if (!atomic_compare_exchange_strong(&watcher->request, &found, began) &&
        (found != (request | FLAME_REQUEST_CLAIMED) ||
         !atomic_compare_exchange_strong(&watcher->request, &found, began))) {
        return 0;
    }
    return found;
}

struct flame_watched flame_lookout_end(struct flame_watcher *watcher, uint64_t request)
{
    struct flame_watched watched = {0};
    uint64_t interval =
        atomic_load_explicit(&watcher->interval_ns, memory_order_relaxed);

    request = make_inactive(watcher, request);
    if (request == 0) {
        return watched;
    }
    watched.ended_ns = flame_now_sigsafe();
    watched.wall_ns = watched.ended_ns - (request & ~FLAME_REQUEST_FLAGS);
    watched.interval_ns = interval;
    if (request & FLAME_REQUEST_CLAIMED) {
        watched.cpu_ns = flame_cpu_now_sigsafe(watcher->cpu_clock);
        watched.session = flame_lookout_release(watcher);
    } else if (watched.wall_ns / OVERSLEPT > interval) {
        flame_lookout_ring();
    }
    if (watcher->armed && watcher == own) {
        flame_lookout_disarm(watcher);
    }
    return watched;
}

/* One that was too short to be seen. */
static struct flame_session *without_samples(const struct flame_watched *watched)
{
    struct flame_session *session;

    if (flame_session_new_empty(&session) != 0) {
        return NULL;
    }
    session->quality.interval_ns = watched->interval_ns;
    session->quality.duration_ns = watched->wall_ns;
    session->profile.quality = session->quality;
    return session;
}

struct flame_session *flame_lookout_keep(struct flame_watched *watched)
{
    struct flame_session *session = watched->session;

    if (session == NULL) {
        return without_samples(watched);
    }
    watched->session = NULL;
    if (!session->cut) {
        flame_sites_name(session->store, session->sources);
        flame_session_complete(session, watched->ended_ns, watched->cpu_ns);
    }
    session->profile.quality = session->quality;
    flame_store_read(session->store, &session->profile);
    return session;
}

void flame_lookout_forget(struct flame_watched *watched)
{
    flame_session_free(watched->session);
    watched->session = NULL;
}
