/* What of a deadly signal is handled in signal context: to pass it on to a thread. */
#include "middleware/module/deadly.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A futex: a descriptor would be one that the application did not open. */
static atomic_int came;
static atomic_int owner; /* the process whose thread waits */

void flame_deadly_reset(void)
{
    atomic_store(&owner, getpid());
    atomic_store(&came, FLAME_DEADLY_NONE);
}

bool flame_deadly_say_sigsafe(int what)
{
    int none = FLAME_DEADLY_NONE;
    bool first = atomic_compare_exchange_strong(&came, &none, what);

    syscall(SYS_futex, &came, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    return first;
}

void flame_deadly_handler_sigsafe(int number)
{
    int kept = errno;

    if (atomic_load(&owner) == getpid()) {
        flame_deadly_say_sigsafe(number);
    } else {
        raise(number); /* when the handler returns: by default, which it is again */
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
