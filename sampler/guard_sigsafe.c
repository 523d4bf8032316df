#include "sampler/guard.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>

static const int fault_signals[] = {SIGSEGV, SIGBUS};
enum { FAULTS = sizeof fault_signals / sizeof fault_signals[0] };

static struct flame_guard *const *guards_known;
static size_t guards_count;
static struct sigaction handler_before[FAULTS];
static bool installed[FAULTS];

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

/* Not our fault: as if ours had never been installed. */
static void pass_on(int number, siginfo_t *info, void *context)
{
    size_t which = number == SIGSEGV ? 0 : 1;
    const struct sigaction *before = &handler_before[which];

    if (before->sa_flags & SA_SIGINFO) {
        before->sa_sigaction(number, info, context);
    } else if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN) {
        before->sa_handler(number);
    } else {
        /* The instruction faults again, or a sent signal is sent again, and
         * finds what the application left: the default, with its core. */
        sigaction(number, before, NULL);
        if (info->si_code <= 0) {
            raise(number);
        }
    }
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
