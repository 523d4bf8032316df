/*
 * Included first into everything that is built with ThreadSanitizer. It runs signal
 * handlers with every signal blocked and puts the mask back on their return. The
 * guard's fault would find itself blocked in ours, and jumps out of its own instead of
 * returning. So here, and only here, the guard lets the two through and saves the mask.
 */
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>

static inline void thread_h_unblock_faults(void)
{
    sigset_t faults;

    sigemptyset(&faults);
    sigaddset(&faults, SIGSEGV);
    sigaddset(&faults, SIGBUS);
    pthread_sigmask(SIG_UNBLOCK, &faults, NULL);
}

#undef sigsetjmp
#define sigsetjmp(env, save_mask) (thread_h_unblock_faults(), __sigsetjmp(env, 1))
