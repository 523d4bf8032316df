/*
 * Reads that may fault: a wrong address ends the read, not the process.
 *
 * A thread that is about to follow pointers it cannot trust arms its guard;
 * a SIGSEGV or SIGBUS on that thread then jumps back to where it was armed.
 * Everybody else's faults go to the handler that stood before ours.
 *
 *     if (flame_guard_enter_sigsafe(guard)) {
 *         ... follow pointers; write to own memory only when done reading ...
 *         flame_guard_leave_sigsafe(guard);
 *     } else {
 *         ... it faulted; the guard is disarmed ...
 *     }
 *
 * Both signals must be unblocked on a thread that enters. No nesting.
 *
 * The application may take our handlers away at any time: faulthandler.disable() puts
 * back what it found, faulthandler.enable() ends the process with the next fault,
 * whoever meant it. So each read asks first who handles faults, and where that is not
 * ours it does not begin; flame_guard_install() puts ours back. A thread that has the
 * GIL cannot be overtaken between the two by Python code, any other one can: by a read
 * that lasts microseconds, and has to fault then.
 */
#ifndef FLAME_SAMPLER_GUARD_H
#define FLAME_SAMPLER_GUARD_H

#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdbool.h>

struct flame_guard {
    atomic_bool armed;
    _Atomic(pthread_t) thread; /* others ask whose fault it is */
    sigjmp_buf back;
};

/* A macro, since sigsetjmp may not return into a function that has ended. */
#define flame_guard_enter_sigsafe(guard) \
    (sigsetjmp((guard)->back, 0) == 0 && flame_guard_arm_sigsafe(guard))

/* False: our handlers do not stand; the guard is not armed. Two system calls. */
bool flame_guard_arm_sigsafe(struct flame_guard *guard);
void flame_guard_leave_sigsafe(struct flame_guard *guard);

/*
 * The handlers, for as long as any guard may be used. `guards` is the same each time
 * and outlives them.
 * Installing again is harmless and puts ours back on top of one that came in
 * between. Removing puts back what stood before where ours is still on top.
 * Ordinary context; callers take turns.
 */
int flame_guard_install(struct flame_guard *const *guards, size_t count);
void flame_guard_remove(void);
/* True if a read did not begin since they were installed last, for want of them. */
bool flame_guard_is_displaced(void);

#endif
