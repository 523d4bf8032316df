/*
 * On which CPU the ticker runs, where the kernel's choice would make samples worse.
 * All on the ticker's own thread, under its lock.
 *
 * A signal takes its time to another CPU, 30 us on some virtual machines, and cuts
 * short what the thread begins meanwhile. So the ticker goes to the CPU of a thread
 * that mostly waits, and stays there: when both are awake it takes the thread's place
 * for a moment, and reads it as one that does not run.
 *
 * One that computes would pay for that with more than a signal costs, and perhaps with
 * the GIL. On its CPU, too, the ticker's turn often comes only when the thread's is
 * over, which is no random moment. So there it is the other way round: the ticker goes
 * to another CPU, since the kernel can leave both together where one is idle. A thread
 * of greenlets counts as one that computes as soon as the watched one does: while that
 * is parked, its thread works for others.
 */
#include <sched.h>

#include "sampler/session.h"

/* Looks in a row that did not find the thread blocked: it computes; it does for long.
 */
#define COMPUTES_AFTER 2u
#define COMPUTES_FOR_LONG_AFTER 10u
/* Moving is work for the kernel. */
#define LEAVES_AT_MOST_EVERY_NS UINT64_C(10000000)

/* In place of a CPU. */
#define ANYWHERE (-1)
#define ELSEWHERE (-2)

static cpu_set_t own_cpus; /* as the ticker was made */
static bool movable;       /* they are known */
static int beside;         /* the CPU of a watched thread; or one of the above */
static uint64_t left_ns;   /* when it last went elsewhere */

static bool mostly_waits(const struct flame_session *session)
{
    return session->unblocked <= COMPUTES_AFTER;
}

void flame_placement_begin(void)
{
    movable = sched_getaffinity(0, sizeof own_cpus, &own_cpus) == 0;
    beside = ANYWHERE;
}

void flame_placement_before(const struct flame_session *session)
{
    bool wrong = mostly_waits(session) ? beside == ELSEWHERE : beside >= 0;

    if (wrong && sched_setaffinity(0, sizeof own_cpus, &own_cpus) == 0) {
        beside = ANYWHERE;
    }
}

bool flame_placement_go_beside(const struct flame_session *session)
{
    int cpu = movable && mostly_waits(session) ? flame_offcpu_cpu(session) : -1;
    cpu_set_t its;

    if (cpu < 0 || cpu == beside) {
        return false;
    }
    CPU_ZERO(&its);
    CPU_SET((unsigned)cpu, &its);
    if (sched_setaffinity(0, sizeof its, &its) != 0) {
        return false;
    }
    beside = cpu;
    return true;
}

void flame_placement_displaced(const struct flame_session *session)
{
    uint64_t now = flame_now_sigsafe();
    int here = sched_getcpu();
    cpu_set_t others = own_cpus;

    if (!movable || here < 0 || session->unblocked <= COMPUTES_FOR_LONG_AFTER ||
        now - left_ns < LEAVES_AT_MOST_EVERY_NS) {
        return;
    }
    left_ns = now;
    if (flame_offcpu_cpu(session) != here) { /* somebody else has taken it */
        return;
    }
    CPU_CLR((unsigned)here, &others);
    if (sched_setaffinity(0, sizeof others, &others) == 0) {
        beside = ELSEWHERE;
    }
}
