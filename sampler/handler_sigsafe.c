#include "sampler/session.h"

#include <errno.h>
#include <signal.h>

/*
 * SIGURG: its default is to be ignored, so one that is still on its way when
 * the process replaces itself by exec harms nobody, and nobody sends it but for
 * out-of-band data on sockets that asked. (SIGPROF and the real-time signals
 * end a process that has no handler for them.)
 */
#define SAMPLE_SIGNAL SIGURG

static struct flame_session *sessions_known;
static size_t sessions_count;
static struct sigaction handler_before;

int flame_handler_signal(void)
{
    return SAMPLE_SIGNAL;
}

static void take_own_sample(struct flame_session *session)
{
    uint64_t begun = flame_now_sigsafe();
    enum flame_walk walk = flame_walk_sigsafe(session, &session->guard);

    if (walk == FLAME_WALK_TORN) {
        session->quality.rejected++;
        session->last_cpu_ns = FLAME_CPU_UNKNOWN;
    } else {
        flame_charge_walked_sigsafe(session, walk, begun, FLAME_CPU_UNKNOWN);
    }
    session->quality.sampling_ns += flame_now_sigsafe() - begun;
}

/*
 * Several sessions may watch one thread (a profile inside another), and a
 * signal of somebody else's may have swallowed ours on its way: so whoever
 * asked for a sample of this thread gets it, whatever brought us here.
 */
static void on_signal(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    pthread_t self = pthread_self();
    bool ours = false;

    for (size_t i = 0; i < sessions_count; i++) {
        struct flame_session *session = &sessions_known[i];
        if (!atomic_load_explicit(&session->signalled, memory_order_acquire) ||
            !pthread_equal(session->thread, self)) {
            continue;
        }
        ours = true;
        if (atomic_load_explicit(&session->active, memory_order_acquire) &&
            !atomic_load_explicit(&session->parked, memory_order_acquire)) {
            take_own_sample(session);
        }
        atomic_store_explicit(&session->signalled, false, memory_order_release);
    }
    errno = saved;
    if (ours && info->si_code == SI_TKILL) {
        return;
    }
    if (handler_before.sa_flags & SA_SIGINFO) {
        handler_before.sa_sigaction(number, info, context);
    } else if (handler_before.sa_handler != SIG_DFL &&
               handler_before.sa_handler != SIG_IGN) {
        handler_before.sa_handler(number);
    }
}

int flame_handler_install(struct flame_session *sessions, size_t count)
{
    struct sigaction ours = {.sa_sigaction = on_signal,
                             .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
    struct sigaction now;

    sigemptyset(&ours.sa_mask);
    sessions_known = sessions;
    sessions_count = count;
    if (sigaction(SAMPLE_SIGNAL, NULL, &now) != 0) {
        return -errno;
    }
    if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_signal) {
        return 0;
    }
    handler_before = now;
    return sigaction(SAMPLE_SIGNAL, &ours, NULL) == 0 ? 0 : -errno;
}
