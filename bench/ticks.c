/*
 * What a sampler's thread costs by waking up alone: a native thread that wakes
 * as flameprof's does (1 kHz, jittered, the same wish to be punctual) and looks
 * at nothing. For disturbance.py.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static pthread_t thread;
static atomic_bool ending;

static void ask_for_punctuality(void)
{
    struct {
        uint32_t size;
        uint32_t policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime;
        uint64_t deadline;
        uint64_t period;
    } wish = {.size = sizeof wish, .flags = 0x08 /* KEEP_POLICY */, .runtime = 100000};

    (void)syscall(SYS_sched_setattr, 0, &wish, 0);
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
}

static void *wake_up(void *unused)
{
    unsigned random = 1;

    (void)unused;
    ask_for_punctuality();
    while (!atomic_load(&ending)) {
        random = random * 1103515245u + 12345u;
        struct timespec pause = {.tv_nsec = 500000 + (long)(random >> 12) % 1000000};
        nanosleep(&pause, NULL);
    }
    return NULL;
}

int ticks_start(void)
{
    atomic_store(&ending, false);
    return pthread_create(&thread, NULL, wake_up, NULL);
}

void ticks_stop(void)
{
    atomic_store(&ending, true);
    pthread_join(thread, NULL);
}
