/* A request that has got old gets a session, set up from what its thread left written.
 */
#include "sampler/cpython.h"

#include "sampler/sampler.h"
#include "sampler/session.h"
#include "sampler/watcher.h"

void flame_watcher_place(struct flame_session *session, const struct flame_stand *stand)
{
    atomic_store(&session->gil, (uintptr_t)atomic_load(&stand->gil));
    session->gil_size = atomic_load(&stand->gil_size);
    session->interpreter = atomic_load(&stand->interpreter);
    atomic_store(&session->thread_state, atomic_load(&stand->thread_state));
    session->entry = atomic_load(&stand->entry);
    session->entry_code = atomic_load(&stand->entry_code);
}

static void set_up(struct flame_session *session, const struct flame_watcher *watcher,
                   uint64_t began)
{
    uint64_t max_ns = atomic_load(&watcher->max_ns);
    uint64_t slow_ns = atomic_load(&watcher->slow_ns);

    session->thread = watcher->thread;
    session->tid = watcher->tid;
    session->cpu_clock = watcher->cpu_clock;
    session->code_type = &PyCode_Type;
    flame_watcher_place(session, &watcher->stand);
    flame_session_clear(session, flame_watcher_interval(watcher), began);
    session->lines = false;
    session->sources = NULL;
    session->profile.names = atomic_load(&watcher->names);
    session->started_ns = began;
    session->last_ns = began;
    session->ends_ns = max_ns == 0 ? UINT64_MAX : began + max_ns;
    session->finer_at_ns = slow_ns > UINT64_MAX - began ? UINT64_MAX : began + slow_ns;
    session->finer_ns = atomic_load(&watcher->finer_ns);
    session->cpu_mark_ns = watcher->cpu_mark_ns;
    flame_offcpu_begin(session);
}

bool flame_watcher_claim(struct flame_watcher *watcher, uint64_t request)
{
    struct flame_session *session;

    if (watcher->session != NULL) { /* another thread ends the request before */
        return true;
    }
    if (flame_slots_reopen() != 0 ||
        flame_session_take(&session, FLAME_SESSIONS_MAX - FLAME_LOOKOUT_SESSIONS) !=
            0) {
        return false;
    }
    uint64_t expected = request;
    if (!atomic_compare_exchange_strong(&watcher->request, &expected,
                                        request | FLAME_REQUEST_CLAIMED)) {
        flame_session_free(session);
        return true;
    }
    set_up(session, watcher, request & ~FLAME_REQUEST_FLAGS);
    watcher->session = session;
    watcher->told = false;
    flame_ticker_take(session);
    return true;
}

/*
 * What of the CPU clock is the request's is not asked when it begins, which would be a
 * system call. At the first look at it all that the thread used since the look before
 * is taken for its own, as far as it has been there for so long.
 */
void flame_watcher_note_cpu(struct flame_watcher *watcher, uint64_t request,
                            uint64_t now)
{
    uint64_t cpu = flame_cpu_now_sigsafe(watcher->cpu_clock);
    uint64_t age = now - (request & ~FLAME_REQUEST_FLAGS);
    uint64_t used = cpu - watcher->cpu_seen_ns;

    if (request != watcher->request_seen) {
        watcher->request_seen = request;
        watcher->cpu_mark_ns = cpu - (used < age ? used : age);
    }
    watcher->cpu_seen_ns = cpu;
}
