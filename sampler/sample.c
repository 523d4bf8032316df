/*
 * How a sample is had of a session that is due.
 *
 * A thread that has not run since its last sample is where it was: count the
 * place again. One that is off the CPU is read from here, and its CPU clock,
 * the same before and after, proves that it did not run meanwhile. One that runs
 * without the GIL is in C code or in the kernel, and its Python stack stands still:
 * it is read from here, too. Only one that runs Python is interrupted, to sample
 * itself. So a thread that waits is never woken, and hardly a call of the application
 * is cut short by EINTR.
 */
#include "sampler/session.h"

/* It ended without its session, nobody knows when. */
static void thread_is_gone(struct flame_session *session)
{
    session->ends_ns = session->last_ns;
    atomic_store(&session->active, false);
}

/* Of a thread that runs; false: it has to take its sample itself. */
static bool sample_released(struct flame_session *session, struct flame_guard *guard,
                            struct flame_moment *moment)
{
    enum flame_walk walk = flame_walk_released_sigsafe(session, guard);

    if (walk == FLAME_WALK_TORN) {
        return false;
    }
    moment->state = FLAME_RUNNING;
    flame_charge_walked_sigsafe(session, walk, moment);
    return true;
}

bool flame_sample_is_leaving(const struct flame_session *session)
{
    return atomic_load(&session->parked) && !session->away;
}

/* True if the sample was had without the thread's help. */
static bool sample_from_outside(struct flame_session *session,
                                struct flame_guard *guard, uint64_t now)
{
    struct flame_moment moment = {.now_ns = now, .state = FLAME_BLOCKED};

    if (session->away) {
        flame_charge_again_sigsafe(session, &moment);
        return true;
    }
    moment.cpu_ns = flame_cpu_now_sigsafe(session->cpu_clock);
    if (moment.cpu_ns == session->cpu_mark_ns && session->placed) {
        moment.state = flame_offcpu_state(session);
        flame_charge_again_sigsafe(session, &moment);
        return true;
    }
    if (moment.cpu_ns == 0) {
        thread_is_gone(session);
        return true;
    }
    if (flame_cpu_now_sigsafe(session->cpu_clock) != moment.cpu_ns) {
        return !flame_sample_is_leaving(session) &&
               sample_released(session, guard, &moment);
    }
    enum flame_walk walk = flame_walk_sigsafe(session, guard);
    moment.state = flame_offcpu_state(session);
    if (flame_sample_is_leaving(session) ||
        flame_cpu_now_sigsafe(session->cpu_clock) != moment.cpu_ns) {
        return false;
    }
    if (walk == FLAME_WALK_TORN) {
        flame_charge_nothing_sigsafe(session);
        return true;
    }
    if (moment.state == FLAME_RUNNABLE) {
        flame_placement_displaced(session);
    }
    flame_charge_walked_sigsafe(session, walk, &moment);
    return true;
}

static bool sample_without_help(struct flame_session *session,
                                struct flame_guard *guard, uint64_t now)
{
    flame_placement_before(session);
    return sample_from_outside(session, guard, now) ||
           (flame_placement_go_beside(session) &&
            sample_from_outside(session, guard, flame_now_sigsafe()));
}

/*
 * A thread that was asked and has not answered is often one that lost the CPU
 * just then: if so, it can be read from here after all.
 */
bool flame_sample(struct flame_session *session, struct flame_guard *guard,
                  uint64_t now)
{
    enum flame_answered answered = flame_handler_take_back(session);

    if (answered == FLAME_ANSWERING) {
        session->quality.missed++;
        return true;
    }
    if (!sample_without_help(session, guard, now)) {
        if (flame_sample_is_leaving(session)) {
            return false;
        }
        session->quality.missed += answered == FLAME_NOT_YET;
        if (!flame_handler_ask(session)) {
            thread_is_gone(session);
        }
    }
    session->ticker_ns += flame_now_sigsafe() - now;
    return true;
}
