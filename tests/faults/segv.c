/*
 * Another sampler's reads, for the tests: memory that may be gone is read under a
 * handler of SIGSEGV of its own, which passes on what is not its.
 */
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>

#define SHOWN __attribute__((visibility("default")))

SHOWN int other_sampler_install(void);
/* 1: the read faulted, and its own handler had it. */
SHOWN int other_sampler_reads(void);
SHOWN void crash(void);

static sigjmp_buf back;
static volatile sig_atomic_t reading;
static struct sigaction below;
static volatile int *volatile nothing;

static void on_fault(int number, siginfo_t *info, void *context)
{
    if (reading) {
        reading = 0;
        siglongjmp(back, 1);
    }
    if (below.sa_flags & SA_SIGINFO) {
        below.sa_sigaction(number, info, context);
    } else {
        signal(number, SIG_DFL); /* the instruction faults again */
    }
}

int other_sampler_install(void)
{
    struct sigaction ours = {.sa_sigaction = on_fault,
                             .sa_flags = SA_SIGINFO | SA_NODEFER};

    return sigaction(SIGSEGV, &ours, &below);
}

int other_sampler_reads(void)
{
    if (sigsetjmp(back, 0) != 0) {
        return 1;
    }
    reading = 1;
    (void)*nothing;
    reading = 0;
    return 0;
}

void crash(void)
{
    *nothing = 1;
}
