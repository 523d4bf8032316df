#include "sampler/guard.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>

static const int fault_signals[] = {SIGSEGV, SIGBUS};
enum { FAULTS = sizeof fault_signals / sizeof fault_signals[0] };

static struct flame_guard *const *guards_known;
static size_t guards_count;
/* What stood when ours was installed last, and when it was first: in between somebody
 * may have come on top of ours, whose own "before" is ours. */
static struct sigaction handler_before[FAULTS];
static struct sigaction handler_below[FAULTS];
static bool installed[FAULTS];
static _Atomic(pthread_t) passing; /* the thread whose fault another handler has */

bool flame_guard_arm_sigsafe(struct flame_guard *guard)
{
    atomic_store_explicit(&guard->thread, pthread_self(), memory_order_relaxed);
    atomic_store_explicit(&guard->armed, true, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    return true;
}

void flame_guard_leave_sigsafe(struct flame_guard *guard)
{
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&guard->armed, false, memory_order_relaxed);
}

/*
 * Not our fault: as if ours had never been installed. A handler that came on top of
 * ours may put ours back and raise the signal again, as faulthandler does: then it is
 * the turn of what is below.
 */
static void pass_on(int number, siginfo_t *info, void *context)
{
    size_t which = number == SIGSEGV ? 0 : 1;
    pthread_t self = pthread_self();
    bool again = info->si_code <= 0 && pthread_equal(atomic_load(&passing), self);
    const struct sigaction *next =
        again || !installed[which] ? &handler_below[which] : &handler_before[which];

    atomic_store(&passing, self);
    if (next->sa_flags & SA_SIGINFO) {
        next->sa_sigaction(number, info, context);
    } else if (next->sa_handler != SIG_DFL && next->sa_handler != SIG_IGN) {
        next->sa_handler(number);
    } else {
        /* The instruction faults again, or a sent signal is sent again, and
         * finds what the application left: the default, with its core. */
        sigaction(number, next, NULL);
        if (info->si_code <= 0) {
            raise(number);
        }
    }
    atomic_store(&passing, (pthread_t)0);
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    pthread_t self = pthread_self();

    for (size_t i = 0; info->si_code > 0 && i < guards_count; i++) {
        struct flame_guard *guard = guards_known[i];
        if (atomic_load_explicit(&guard->armed, memory_order_relaxed) &&
            pthread_equal(atomic_load_explicit(&guard->thread, memory_order_relaxed),
                          self)) {
            atomic_store_explicit(&guard->armed, false, memory_order_relaxed);
            siglongjmp(guard->back, 1);
        }
    }
    errno = saved;
    pass_on(number, info, context);
}

int flame_guard_install(struct flame_guard *const *guards, size_t count)
{
    struct sigaction ours = {.sa_sigaction = on_fault,
                             /* NODEFER: the jump out leaves no return that
                              * would unblock the signal. */
                             .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};

    sigemptyset(&ours.sa_mask);
    if (guards_known != guards) { /* else they may be in use at this moment */
        guards_known = guards;
        guards_count = count;
    }
    for (size_t i = 0; i < FAULTS; i++) {
        struct sigaction now;
        if (sigaction(fault_signals[i], NULL, &now) != 0) {
            return -errno;
        }
        if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_fault) {
            continue;
        }
        handler_before[i] = now;
        if (!installed[i]) {
            handler_below[i] = now;
        }
        if (sigaction(fault_signals[i], &ours, NULL) != 0) {
            return -errno;
        }
        installed[i] = true;
    }
    return 0;
}

void flame_guard_remove(void)
{
    for (size_t i = 0; i < FAULTS; i++) {
        struct sigaction now;
        if (installed[i] && sigaction(fault_signals[i], NULL, &now) == 0 &&
            (now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_fault) {
            sigaction(fault_signals[i], &handler_before[i], NULL);
            installed[i] = false;
        }
    }
}
