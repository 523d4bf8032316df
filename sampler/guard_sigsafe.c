#include "sampler/guard.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static const int fault_signals[] = {SIGSEGV, SIGBUS};
enum { FAULTS = sizeof fault_signals / sizeof fault_signals[0] };
/* The same fault so often in a row, which takes less than a second: the handler that
 * returns from it mends nothing. */
#define RETURNS_MOST 100000u

static struct flame_guard *const *guards_known;
static size_t guards_count;
/* What stood when ours was installed last, and what stood without any of ours: in
 * between somebody may have come on top of ours, whose own "before" is ours. */
static struct sigaction handler_before[FAULTS];
static struct sigaction handler_below[FAULTS];
static bool installed[FAULTS];
/* The thread whose fault another handler has, which fault that is, from where it was
 * handed on, and how many had it before: a handler that jumps away leaves all of it. */
static _Atomic(pthread_t) passing;
static _Atomic uint64_t passing_print;
static _Atomic uintptr_t passing_frame;
static atomic_uint passing_depth;
static atomic_bool displaced;
/* A fault that its handler has returned from, and how often it came again since. */
static _Atomic uint64_t returned;
static atomic_uint returned_again;

static void on_fault(int number, siginfo_t *info, void *context);

static bool is_on_fault(const struct sigaction *action)
{
    return (action->sa_flags & SA_SIGINFO) && action->sa_sigaction == on_fault;
}

/* Where nobody can ask, nobody has changed anything. */
static bool ours_stand(void)
{
    struct sigaction now;

    for (size_t i = 0; i < FAULTS; i++) {
        if (sigaction(fault_signals[i], NULL, &now) == 0 && !is_on_fault(&now)) {
            return false;
        }
    }
    return true;
}

bool flame_guard_is_displaced(void)
{
    return atomic_load_explicit(&displaced, memory_order_relaxed);
}

bool flame_guard_arm_sigsafe(struct flame_guard *guard)
{
    if (!ours_stand()) {
        atomic_store_explicit(&displaced, true, memory_order_relaxed);
        return false;
    }
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

/* The thread and all its registers: a fault with the same is the same instruction,
 * which has changed nothing. */
static uint64_t print_of(const void *context)
{
    const ucontext_t *interrupted = context;
    const unsigned char *byte = (const unsigned char *)&interrupted->uc_mcontext;
    uint64_t print = UINT64_C(14695981039346656037) ^ (uint64_t)pthread_self();

    for (size_t i = 0; i < sizeof interrupted->uc_mcontext; i++) {
        print = (print ^ byte[i]) * UINT64_C(1099511628211);
    }
    return print;
}

/* How often its handler has returned from this very fault already. */
static unsigned returns_from(uint64_t print)
{
    return print != 0 && atomic_load(&returned) == print ? atomic_load(&returned_again)
                                                         : 0;
}

static void note_return(uint64_t print)
{
    atomic_store(&returned_again, returns_from(print) + 1);
    atomic_store(&returned, print);
}

/*
 * How many have had this fault already. A handler that came on top of ours may have put
 * ours back and raised the signal again, as faulthandler does; or called ours with the
 * same fault, which then is deeper on the stack than the last time; or been one that
 * was switched off and returns at once, as faulthandler's does as well.
 */
static unsigned depth_of(const siginfo_t *info, uint64_t print, uintptr_t frame)
{
    unsigned depth = returns_from(print) / RETURNS_MOST;
    bool again = pthread_equal(atomic_load(&passing), pthread_self()) &&
                 (info->si_code <= 0 || (atomic_load(&passing_print) == print &&
                                         frame < atomic_load(&passing_frame)));
    unsigned nested = again ? atomic_load(&passing_depth) + 1 : 0;

    return nested > depth ? nested : depth;
}

/* Whose turn it is: who stood there before us, then who stood there before any of ours,
 * at last nobody. */
static const struct sigaction *next_of(size_t which, unsigned depth)
{
    static const struct sigaction by_default = {.sa_handler = SIG_DFL};

    if (depth > 1) {
        return &by_default;
    }
    return depth > 0 || !installed[which] ? &handler_below[which]
                                          : &handler_before[which];
}

/* Not our fault: as if ours had never been installed. */
static void pass_on(int number, siginfo_t *info, void *context)
{
    uint64_t print = info->si_code > 0 ? print_of(context) : 0;
    uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
    unsigned depth = depth_of(info, print, frame);
    const struct sigaction *next = next_of(number == SIGSEGV ? 0 : 1, depth);

    atomic_store(&passing_print, print);
    atomic_store(&passing_frame, frame);
    atomic_store(&passing_depth, depth);
    atomic_store(&passing, pthread_self());
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
    note_return(print);
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

/* What somebody has put in place of ours: on top of it, unless that is what they found
 * before us, or nothing at all. Then none of ours is below. */
static void note_before(size_t which, const struct sigaction *now)
{
    bool handled = (now->sa_flags & SA_SIGINFO) ||
                   (now->sa_handler != SIG_DFL && now->sa_handler != SIG_IGN);
    bool put_back = now->sa_sigaction == handler_before[which].sa_sigaction ||
                    now->sa_sigaction == handler_below[which].sa_sigaction;

    if (!installed[which] || !handled || put_back) {
        handler_below[which] = *now;
    }
    handler_before[which] = *now;
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
    atomic_store(&displaced, false);
    for (size_t i = 0; i < FAULTS; i++) {
        struct sigaction now;
        if (sigaction(fault_signals[i], NULL, &now) != 0) {
            return -errno;
        }
        if (is_on_fault(&now)) {
            continue;
        }
        note_before(i, &now);
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
            is_on_fault(&now)) {
            sigaction(fault_signals[i], &handler_before[i], NULL);
            installed[i] = false;
        }
    }
}
