/* Where a sample's time goes: the rules, at made-up moments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sampler/session.h"

#define MS UINT64_C(1000000)

static struct flame_session session;
static uint32_t codes[2]; /* "a" and "b" */

static int set_up(void **state)
{
    (void)state;
    memset(&session, 0, sizeof session);
    session.store = flame_store_new();
    session.interval_ns = MS;
    session.site = FLAME_NONE;
    for (uint32_t i = 0; i < 2; i++) {
        const struct flame_code_key key = {.code = 16 * (i + 1)};
        codes[i] = flame_store_code_sigsafe(session.store, &key,
                                            (struct flame_slice){i == 0 ? "a" : "b", 1},
                                            (struct flame_slice){"f.py", 4});
    }
    return session.store == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    flame_store_free(session.store);
    return 0;
}

/* A sample `wall` after the last one, in which the thread used `cpu`. */
static void sample(uint32_t code, enum flame_state thread_state, uint64_t wall,
                   uint64_t cpu)
{
    const struct flame_moment moment = {.now_ns = session.last_ns + wall,
                                        .cpu_ns = session.cpu_mark_ns + cpu,
                                        .state = thread_state};

    session.path[0] = code;
    session.depth = 1;
    flame_charge_walked_sigsafe(&session, FLAME_WALK_WHOLE, &moment);
}

static struct flame_node at(uint32_t node)
{
    struct flame_profile profile = {0};

    flame_store_read(session.store, &profile);
    return profile.nodes[node];
}

static struct flame_node node_of(uint32_t code)
{
    struct flame_profile profile = {0};

    flame_store_read(session.store, &profile);
    for (uint32_t i = 1; i < profile.node_count; i++) {
        if (profile.nodes[i].code == code) {
            return profile.nodes[i];
        }
    }
    return (struct flame_node){.parent = 0};
}

static void wall_time_goes_to_the_sample(void **state)
{
    (void)state;
    sample(codes[0], FLAME_RUNNING, MS, MS);
    sample(codes[1], FLAME_BLOCKED, 3 * MS, 0);
    sample(codes[1], FLAME_GIL_WAIT, 2 * MS, 0);
    assert_int_equal(node_of(codes[0]).wall_ns[FLAME_RUNNING], MS);
    assert_int_equal(node_of(codes[1]).wall_ns[FLAME_BLOCKED], 3 * MS);
    assert_int_equal(node_of(codes[1]).wall_ns[FLAME_GIL_WAIT], 2 * MS);
    assert_int_equal(node_of(codes[1]).samples, 2);
}

/* a works for a third of each interval and b sleeps: what a used is a's. */
static void cpu_time_waits_for_a_running_sample(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        sample(codes[1], FLAME_BLOCKED, MS, MS / 3);
        sample(codes[1], FLAME_BLOCKED, MS, MS / 3);
        sample(codes[0], FLAME_RUNNING, MS, MS / 3);
    }
    assert_int_equal(node_of(codes[0]).cpu_ns, 30 * (MS / 3));
    assert_int_equal(node_of(codes[1]).cpu_ns, 0);
    assert_int_equal(session.quality.cpu_ns, 30 * (MS / 3));
}

/* Woken but not yet run: not where the time went. Displaced: it is. */
static void waiting_for_a_cpu(void **state)
{
    (void)state;
    sample(codes[1], FLAME_RUNNABLE, MS, MS / 2);
    assert_int_equal(node_of(codes[1]).cpu_ns, 0);
    sample(codes[0], FLAME_RUNNABLE, MS, MS);
    assert_int_equal(node_of(codes[0]).cpu_ns, MS + MS / 2);
    assert_int_equal(node_of(codes[0]).wall_ns[FLAME_RUNNABLE], MS);
    session.has_gil = true;
    sample(codes[1], FLAME_RUNNABLE, MS, MS / 10);
    assert_int_equal(node_of(codes[1]).cpu_ns, MS / 10);
}

/* The machine was too busy for the ticker: the thread has not run all that time. */
static void late_samples(void **state)
{
    (void)state;
    sample(codes[0], FLAME_RUNNING, 9 * MS, 2 * MS);
    assert_int_equal(node_of(codes[0]).wall_ns[FLAME_RUNNING], 2 * MS);
    assert_int_equal(node_of(codes[0]).wall_ns[FLAME_RUNNABLE], 7 * MS);
    assert_int_equal(node_of(codes[0]).cpu_ns, 2 * MS);
}

static void the_rest_is_charged_at_the_end(void **state)
{
    (void)state;
    sample(codes[0], FLAME_RUNNING, MS, MS);
    sample(codes[1], FLAME_BLOCKED, MS, MS / 4);
    flame_charge_rest_sigsafe(&session, session.last_ns + MS,
                              session.cpu_mark_ns + MS / 4);
    assert_int_equal(node_of(codes[0]).cpu_ns, MS + MS / 2);
    assert_int_equal(node_of(codes[1]).wall_ns[FLAME_RUNNING], MS / 2);
    assert_int_equal(node_of(codes[1]).wall_ns[FLAME_BLOCKED], MS + MS / 2);
    assert_int_equal(session.quality.samples, 2);
}

static void end_phase(uint64_t wall, uint64_t cpu)
{
    flame_charge_rest_sigsafe(&session, session.last_ns + wall,
                              session.cpu_mark_ns + cpu);
}

/* A stretch without any sample has its time all the same. */
static void phases_begin_and_end_exactly(void **state)
{
    (void)state;
    flame_charge_phase_sigsafe(&session, "[first]", NULL);
    end_phase(MS / 3, 0);
    uint32_t first = session.phase;
    flame_charge_phase_sigsafe(&session, "[second]", "[third]");
    uint32_t second = session.phase;
    sample(codes[0], FLAME_RUNNING, MS, MS);
    uint32_t third = session.phase;
    assert_int_not_equal(second, third);
    assert_int_equal(at(session.last_node).parent, third);
    end_phase(MS / 4, MS / 4);
    assert_int_equal(at(session.last_node).wall_ns[FLAME_RUNNING], MS + MS / 4);
    flame_charge_phase_sigsafe(&session, "[first]", NULL);
    assert_int_equal(session.phase, first);
    end_phase(MS / 3, MS / 4);
    flame_pots_empty(&session);
    assert_int_equal(at(first).wall_ns[FLAME_BLOCKED], MS / 3 + MS / 3 - MS / 4);
    assert_int_equal(at(first).wall_ns[FLAME_RUNNING], MS / 4);
    assert_int_equal(at(first).cpu_ns, MS / 4);
    assert_int_equal(at(second).wall_ns[FLAME_BLOCKED], 0);
}

/* One run of three is hit: a has all of the three, what they waited as waiting, and b,
 * hit in another phase, its own. */
static void runs_without_a_sample(void **state)
{
    (void)state;
    for (int run = 0; run < 3; run++) {
        flame_charge_phase_sigsafe(&session, "[first]", "[second]");
        if (run == 1) {
            sample(codes[0], FLAME_BLOCKED, MS / 4, MS / 8);
        }
        end_phase(run == 1 ? MS / 4 : MS / 2, 0);
        flame_charge_phase_sigsafe(&session, "[close]", NULL);
        if (run == 2) {
            sample(codes[1], FLAME_RUNNING, MS / 4, MS / 4);
        }
        end_phase(MS / 4, MS / 4);
    }
    flame_pots_empty(&session);
    struct flame_node a = node_of(codes[0]);
    struct flame_node b = node_of(codes[1]);
    assert_int_equal(flame_node_wall(&a), 3 * (MS / 2));
    assert_int_equal(a.wall_ns[FLAME_BLOCKED], 11 * MS / 8);
    assert_int_equal(a.samples, 1);
    assert_int_equal(flame_node_wall(&b), MS);
    assert_int_equal(b.cpu_ns, MS);
}

/* The clock of a thread that is gone reads 0. */
static void a_clock_never_goes_back(void **state)
{
    (void)state;
    sample(codes[0], FLAME_RUNNING, MS, MS);
    flame_charge_note_cpu_sigsafe(&session, 0);
    assert_int_equal(session.quality.cpu_ns, MS);
    assert_int_equal(session.cpu_mark_ns, MS);
}

/* The ticker looked at the clock before the handler did, and comes after it. */
static void a_moment_that_has_passed_takes_nothing(void **state)
{
    (void)state;
    sample(codes[0], FLAME_RUNNING, 3 * MS, MS);
    session.last_ns += MS;
    sample(codes[1], FLAME_BLOCKED, 0 - MS, 0);
    assert_int_equal(node_of(codes[1]).wall_ns[FLAME_BLOCKED], 0);
    assert_int_equal(session.last_ns, 4 * MS);
    sample(codes[1], FLAME_BLOCKED, MS, 0);
    assert_int_equal(node_of(codes[1]).wall_ns[FLAME_BLOCKED], MS);
}

static void park(uint32_t code, uint64_t wall, uint64_t cpu, bool due)
{
    const struct flame_moment moment = {.now_ns = session.last_ns + wall,
                                        .cpu_ns = session.cpu_mark_ns + cpu,
                                        .state = FLAME_RUNNING};

    session.path[0] = code;
    session.depth = 1;
    atomic_store(&session.parked, true);
    flame_charge_park_sigsafe(&session, FLAME_WALK_WHOLE, &moment, due);
}

static void unpark(uint64_t wall, uint64_t cpu_of_others)
{
    const struct flame_moment moment = {.now_ns = session.last_ns + wall,
                                        .cpu_ns = session.cpu_mark_ns + cpu_of_others};

    flame_charge_unpark_sigsafe(&session, &moment);
    atomic_store(&session.parked, false);
}

/* a works, b switches: b has what it was away for, to the nanosecond, and what a did
 * before it since the last sample waits for the next. */
static void parked_time_is_exact(void **state)
{
    (void)state;
    park(codes[1], MS / 2, MS / 2, false);
    unpark(7 * MS, 5 * MS);
    assert_int_equal(node_of(codes[1]).wall_ns[FLAME_BLOCKED], 7 * MS);
    assert_int_equal(node_of(codes[1]).wall_ns[FLAME_RUNNING], 0);
    assert_int_equal(session.quality.samples, 0);
    const struct flame_moment next = {.now_ns = session.last_ns + MS,
                                      .cpu_ns = session.cpu_mark_ns + MS / 2,
                                      .state = FLAME_RUNNING};
    session.path[0] = codes[0];
    flame_charge_walked_sigsafe(&session, FLAME_WALK_WHOLE, &next);
    assert_int_equal(node_of(codes[0]).wall_ns[FLAME_RUNNING], MS);
    assert_int_equal(node_of(codes[0]).cpu_ns, MS);
    assert_int_equal(session.last_ns, 8 * MS);
}

static void a_sample_that_is_due_when_parked(void **state)
{
    (void)state;
    park(codes[1], MS, MS, true);
    unpark(2 * MS, 0);
    assert_int_equal(node_of(codes[1]).wall_ns[FLAME_RUNNING], MS);
    assert_int_equal(node_of(codes[1]).wall_ns[FLAME_BLOCKED], 2 * MS);
    assert_int_equal(session.quality.samples, 1);
}

/* It waits for long and is never hit while it runs: that is not its wait's. */
static void a_run_that_waits_without_a_sample(void **state)
{
    (void)state;
    for (int run = 0; run < 2; run++) {
        flame_charge_phase_sigsafe(&session, "[first]", NULL);
        if (run == 1) {
            sample(codes[0], FLAME_RUNNING, MS / 4, MS / 4);
        }
        park(codes[1], MS / 4, MS / 4, false);
        for (int tick = 0; tick < 9; tick++) {
            const struct flame_moment moment = {.now_ns = session.last_ns + MS,
                                                .state = FLAME_BLOCKED};
            flame_charge_again_sigsafe(&session, &moment);
        }
        unpark(MS, 5 * MS);
        end_phase(MS / 4, 0); /* what was set aside */
    }
    flame_pots_empty(&session);
    struct flame_node b = node_of(codes[1]);
    assert_int_equal(node_of(codes[0]).wall_ns[FLAME_RUNNING], 3 * (MS / 4));
    assert_int_equal(node_of(codes[0]).cpu_ns, 3 * (MS / 4));
    assert_int_equal(flame_node_wall(&b), 2 * 10 * MS);
    assert_int_equal(b.samples, 0);
    assert_int_equal(session.quality.samples, 19);
}

/* Nobody told of its return: no time is lost, and none is another's. */
static void parked_twice(void **state)
{
    (void)state;
    park(codes[0], MS / 2, MS / 2, false);
    park(codes[1], MS, MS, false);
    unpark(MS, 0);
    assert_int_equal(node_of(codes[0]).wall_ns[FLAME_BLOCKED], 2 * MS);
    assert_int_equal(session.last_ns, 2 * MS);
}

/* It never comes back: nothing is lost. */
static void the_end_while_parked(void **state)
{
    (void)state;
    sample(codes[0], FLAME_RUNNING, MS, MS);
    park(codes[1], MS / 2, MS / 2, false);
    flame_charge_rest_sigsafe(&session, session.last_ns + MS, session.cpu_mark_ns);
    assert_int_equal(node_of(codes[0]).wall_ns[FLAME_RUNNING], MS + MS / 2);
    assert_int_equal(node_of(codes[0]).cpu_ns, MS + MS / 2);
    struct flame_node parked = node_of(codes[1]);
    assert_int_equal(flame_node_wall(&parked), MS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(wall_time_goes_to_the_sample),
        TEST(cpu_time_waits_for_a_running_sample),
        TEST(waiting_for_a_cpu),
        TEST(late_samples),
        TEST(the_rest_is_charged_at_the_end),
        TEST(phases_begin_and_end_exactly),
        TEST(runs_without_a_sample),
        TEST(a_clock_never_goes_back),
        TEST(a_moment_that_has_passed_takes_nothing),
        TEST(parked_time_is_exact),
        TEST(a_sample_that_is_due_when_parked),
        TEST(a_run_that_waits_without_a_sample),
        TEST(parked_twice),
        TEST(the_end_while_parked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
