/* What of a deadly signal is handled in signal context: to pass it on to a thread. */
#include "middleware/module/deadly.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SECOND UINT64_C(1000000000)

/* A futex: a descriptor would be one that the application did not open. */
static atomic_int came;
static atomic_int owner; /* the process whose thread waits */
static _Atomic uint64_t first_ns;

void flame_deadly_reset(void)
{
    atomic_store(&owner, getpid());
    atomic_store(&first_ns, 0);
    atomic_store(&came, FLAME_DEADLY_NONE);
}

bool flame_deadly_say_sigsafe(int what)
{
    int none = FLAME_DEADLY_NONE;
    bool first = atomic_compare_exchange_strong(&came, &none, what);

    syscall(SYS_futex, &came, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    return first;
}

/* False: it is to kill. */
static bool hear_sigsafe(int number, bool key)
{
    struct timespec time;
    uint64_t first = 0;

    if (atomic_load(&owner) != getpid()) {
        return false;
    }
    clock_gettime(CLOCK_MONOTONIC, &time);
    uint64_t now = (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
    if (atomic_compare_exchange_strong(&first_ns, &first, now)) {
        first = now;
    }
    if (flame_deadly_say_sigsafe(number)) {
        return true;
    }
    return atomic_load(&came) != FLAME_DEADLY_OVER && !key &&
           now < first + FLAME_DEADLY_SAID_TWICE_S * SECOND;
}

void flame_deadly_handler_sigsafe(int number, siginfo_t *info, void *context)
{
    struct sigaction usual = {.sa_handler = SIG_DFL};
    bool key = number == SIGQUIT && info->si_code == SI_KERNEL; /* the terminal's */
    int kept = errno;

    (void)context;
    if (!hear_sigsafe(number, key)) {
        sigemptyset(&usual.sa_mask);
        sigaction(number, &usual, NULL);
        raise(number); /* it kills when the handler returns */
    }
    errno = kept;
}

int flame_deadly_wait(uint64_t ns)
{
    struct timespec limit = {.tv_sec = (time_t)(ns / UINT64_C(1000000000)),
                             .tv_nsec = (long)(ns % UINT64_C(1000000000))};
    int now = atomic_load(&came);

    if (now == FLAME_DEADLY_NONE) {
        syscall(SYS_futex, &came, FUTEX_WAIT_PRIVATE, FLAME_DEADLY_NONE,
                ns == 0 ? NULL : &limit, NULL, 0);
        now = atomic_load(&came);
    }
    return now;
}
