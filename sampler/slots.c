/*
 * What the process has for all its sessions: their memory, the handlers by which they
 * sample, and what a fork does to them.
 */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

#include "sampler/lookout.h"
#include "sampler/sampler.h"
#include "sampler/session.h"

/*
 * Slots are mapped once and never unmapped: a signal that arrives late finds
 * its session's memory still there.
 */
static struct flame_session *slots;
static struct flame_guard *guards[FLAME_SESSIONS_MAX + 1];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of what follows */
static unsigned users; /* of what is prepared for sessions that run */
static bool fork_known;

static void before_fork(void)
{
    flame_lookout_before_fork();
    pthread_mutex_lock(&lock);
    flame_ticker_before_fork();
}

static void after_fork_in_parent(void)
{
    flame_ticker_after_fork_in_parent();
    pthread_mutex_unlock(&lock);
    flame_lookout_after_fork_in_parent();
}

static void after_fork_in_child(void)
{
    flame_ticker_after_fork_in_child();
    pthread_mutex_unlock(&lock);
    flame_lookout_after_fork_in_child();
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

int flame_slots_open(void)
{
    pthread_mutex_lock(&lock);
    int error = prepare_process();
    users += error == 0;
    pthread_mutex_unlock(&lock);
    return error;
}

int flame_slots_reopen(void)
{
    pthread_mutex_lock(&lock);
    int error = prepare_process();
    pthread_mutex_unlock(&lock);
    return error;
}

void flame_slots_mend(const struct flame_session *session)
{
    if ((!flame_guard_is_displaced() && !flame_handler_is_asked(session)) ||
        pthread_mutex_trylock(&lock) != 0) {
        return;
    }
    if (users > 0) {
        (void)prepare_process();
    }
    pthread_mutex_unlock(&lock);
}

void flame_slots_close(void)
{
    pthread_mutex_lock(&lock);
    if (--users == 0) {
        flame_guard_remove();
    }
    pthread_mutex_unlock(&lock);
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

size_t flame_session_slot(const struct flame_session *session)
{
    return (size_t)(session - slots);
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
