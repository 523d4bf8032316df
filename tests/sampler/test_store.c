/* The bounded memory of a profile: interning, the tree, what happens when full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sampler/store.h"

static struct flame_slice text(const char *string)
{
    return (struct flame_slice){string, strlen(string)};
}

static struct flame_code_key key_at(uintptr_t address, uint32_t line)
{
    return (struct flame_code_key){.code = address, .name = 1, .first_line = line};
}

static uint32_t intern(struct flame_store *store, uintptr_t address, const char *name,
                       uint32_t line)
{
    struct flame_code_key key = key_at(address, line);

    return flame_store_code_sigsafe(store, &key, text(name), text("a.py"));
}

static int open_store(void **state)
{
    *state = flame_store_new();
    return *state == NULL ? -1 : 0;
}

static int close_store(void **state)
{
    flame_store_free(*state);
    return 0;
}

static void same_content_is_one_function(void **state)
{
    struct flame_store *store = *state;
    uint32_t first = intern(store, 0x1000, "view", 7);

    assert_int_equal(intern(store, 0x2000, "view", 7), first);
    assert_int_not_equal(intern(store, 0x3000, "view", 8), first);
    assert_int_not_equal(intern(store, 0x4000, "vie", 7), first);
}

static void cache_knows_only_the_whole_key(void **state)
{
    struct flame_store *store = *state;
    uint32_t code = intern(store, 0x1000, "view", 7);
    struct flame_code_key key = key_at(0x1000, 7);

    assert_int_equal(flame_store_cached_sigsafe(store, &key), code);
    key.name = 2; /* the address now belongs to another code object */
    assert_int_equal(flame_store_cached_sigsafe(store, &key), FLAME_NONE);
    flame_store_reset(store);
    key.name = 1;
    assert_int_equal(flame_store_cached_sigsafe(store, &key), FLAME_NONE);
}

static void tree_merges_equal_paths(void **state)
{
    struct flame_store *store = *state;
    uint32_t a = intern(store, 0x1000, "a", 1);
    uint32_t b = intern(store, 0x2000, "b", 2);
    uint32_t ab =
        flame_store_child_sigsafe(store, flame_store_child_sigsafe(store, 0, a), b);
    uint32_t ba =
        flame_store_child_sigsafe(store, flame_store_child_sigsafe(store, 0, b), a);
    struct flame_profile profile = {0};

    assert_int_not_equal(ab, ba);
    assert_int_equal(
        flame_store_child_sigsafe(store, flame_store_child_sigsafe(store, 0, a), b),
        ab);
    flame_store_charge_sigsafe(store, ab, FLAME_RUNNING, 5, 3);
    flame_store_charge_sigsafe(store, ab, FLAME_BLOCKED, 7, 0);
    flame_store_count_sample_sigsafe(store, ab);
    flame_store_count_sample_sigsafe(store, ab);
    flame_store_read(store, &profile);
    assert_int_equal(profile.node_count, 5);
    assert_int_equal(profile.code_count, 2);
    assert_int_equal(profile.nodes[ab].wall_ns[FLAME_RUNNING], 5);
    assert_int_equal(profile.nodes[ab].wall_ns[FLAME_BLOCKED], 7);
    assert_int_equal(flame_node_wall(&profile.nodes[ab]), 12);
    assert_int_equal(profile.nodes[ab].cpu_ns, 3);
    assert_int_equal(profile.nodes[ab].samples, 2);
    for (uint32_t i = 1; i < profile.node_count; i++) {
        assert_true(profile.nodes[i].parent < i);
    }
    assert_memory_equal(profile.codes[a].name.data, "a", 1);
    assert_memory_equal(profile.codes[a].file.data, "a.py", 4);
}

static void full_of_functions_is_said(void **state)
{
    struct flame_store *store = *state;
    struct flame_profile profile = {0};
    char name[32];
    uint32_t last = 0;

    for (uint32_t i = 0; i < FLAME_CODES_MAX + 100; i++) {
        snprintf(name, sizeof name, "function_%u", i);
        last = intern(store, 0x1000 + i * 16, name, i);
    }
    assert_true(flame_store_overflowed_sigsafe(store));
    assert_false(flame_store_overflowed_sigsafe(store));
    flame_store_read(store, &profile);
    assert_true(profile.code_count <= FLAME_CODES_MAX);
    assert_int_equal(profile.codes[last].name.length, strlen("[overflow]"));
    assert_memory_equal(profile.codes[last].name.data, "[overflow]", 10);
    assert_int_not_equal(flame_store_mark_sigsafe(store, "[cut]"), FLAME_NONE);
}

static void full_of_names_is_said(void **state)
{
    struct flame_store *store = *state;
    static char name[1000];

    memset(name, 'n', sizeof name - 1);
    for (uint32_t i = 0; i < FLAME_NAMES_BYTES / 900; i++) {
        int end = snprintf(name, sizeof name, "%u", i);
        name[end] = 'n';
        intern(store, 0x1000 + i * 16, name, i);
    }
    assert_true(flame_store_overflowed_sigsafe(store));
}

static void full_of_nodes_charges_the_parent(void **state)
{
    struct flame_store *store = *state;
    uint32_t code = intern(store, 0x1000, "deeper", 1);
    uint32_t node = 0;

    for (uint32_t i = 1; i < FLAME_NODES_MAX; i++) {
        node = flame_store_child_sigsafe(store, node, code);
        assert_int_equal(node, i);
    }
    assert_false(flame_store_overflowed_sigsafe(store));
    assert_int_equal(flame_store_child_sigsafe(store, node, code), node);
    assert_true(flame_store_overflowed_sigsafe(store));
}

static void a_small_one_has_less_room(void **state)
{
    struct flame_store *store = *state;
    struct flame_profile profile = {0};
    char name[32];

    assert_true(flame_store_bytes(true) < flame_store_bytes(false) / 3);
    flame_store_make_small(store);
    for (uint32_t i = 0; i < FLAME_CODES_MAX; i++) {
        snprintf(name, sizeof name, "function_%u", i);
        uint32_t code = intern(store, 0x1000 + i * 16, name, i);
        for (uint32_t more = 0; more < 8; more++) {
            uint32_t child = flame_store_child_sigsafe(store, more * i / 8, code);
            flame_store_pass_sigsafe(store, child, 1000);
        }
    }
    assert_true(flame_store_overflowed_sigsafe(store));
    flame_store_read(store, &profile);
    assert_true(profile.code_count <= FLAME_CODES_MAX / FLAME_SMALL_SHARE);
    assert_int_equal(profile.node_count, FLAME_NODES_MAX / FLAME_SMALL_SHARE);
    assert_true(profile.stretch_count <= FLAME_STRETCHES_MAX / FLAME_SMALL_SHARE);
    flame_store_reset(store);
    full_of_nodes_charges_the_parent(state);
}

static void reset_is_as_new(void **state)
{
    struct flame_store *store = *state;
    struct flame_profile profile = {0};

    full_of_nodes_charges_the_parent(state);
    flame_store_charge_sigsafe(store, 0, FLAME_RUNNING, 3, 1);
    flame_store_reset(store);
    flame_store_read(store, &profile);
    assert_int_equal(profile.node_count, 1);
    assert_int_equal(profile.code_count, 0);
    assert_int_equal(flame_node_wall(&profile.nodes[0]), 0);
    tree_merges_equal_paths(state);
}

static void no_place_ran_less_than_its_cpu_time(void **state)
{
    struct flame_store *store = *state;
    struct flame_profile profile = {0};
    uint32_t code = intern(store, 0x1000, "a", 1);
    uint32_t node = flame_store_child_sigsafe(store, 0, code);

    flame_store_charge_sigsafe(store, node, FLAME_RUNNING, 10, 30);
    flame_store_charge_sigsafe(store, node, FLAME_RUNNABLE, 15, 0);
    flame_store_charge_sigsafe(store, node, FLAME_BLOCKED, 40, 0);
    flame_store_charge_sigsafe(store, 0, FLAME_RUNNABLE, 7, 3);
    flame_store_settle_running(store);
    flame_store_read(store, &profile);
    assert_int_equal(profile.nodes[node].wall_ns[FLAME_RUNNING], 30);
    assert_int_equal(profile.nodes[node].wall_ns[FLAME_RUNNABLE], 0);
    assert_int_equal(profile.nodes[node].wall_ns[FLAME_BLOCKED], 35);
    assert_int_equal(profile.nodes[0].wall_ns[FLAME_RUNNING], 3);
    assert_int_equal(profile.nodes[0].wall_ns[FLAME_RUNNABLE], 4);
}

/* What bursts cannot have used was used by their waits, by how long they were. */
static void no_place_used_more_cpu_than_wall_time(void **state)
{
    struct flame_store *store = *state;
    struct flame_profile profile = {0};
    uint32_t nodes[3];

    for (uint32_t i = 0; i < 3; i++) {
        nodes[i] =
            flame_store_child_sigsafe(store, 0, intern(store, 0x1000 + i, "a", i));
    }
    flame_store_charge_sigsafe(store, nodes[0], FLAME_RUNNING, 100, 140);
    flame_store_charge_sigsafe(store, nodes[1], FLAME_BLOCKED, 300, 0);
    flame_store_charge_sigsafe(store, nodes[2], FLAME_BLOCKED, 100, 0);
    flame_store_settle_cpu(store);
    flame_store_settle_running(store);
    flame_store_read(store, &profile);
    assert_int_equal(profile.nodes[nodes[0]].cpu_ns, 100);
    assert_int_equal(profile.nodes[nodes[1]].cpu_ns, 30);
    assert_int_equal(profile.nodes[nodes[2]].cpu_ns, 10);
    assert_int_equal(profile.nodes[nodes[1]].wall_ns[FLAME_RUNNING], 30);
    assert_int_equal(profile.nodes[nodes[1]].wall_ns[FLAME_BLOCKED], 270);
}

/* With no wall time left there is nobody else it could be. */
static void cpu_time_is_never_lost(void **state)
{
    struct flame_store *store = *state;
    struct flame_profile profile = {0};
    uint32_t node = flame_store_child_sigsafe(store, 0, intern(store, 0x1000, "a", 1));

    flame_store_charge_sigsafe(store, node, FLAME_RUNNING, 100, 140);
    flame_store_settle_cpu(store);
    flame_store_read(store, &profile);
    assert_int_equal(profile.nodes[node].cpu_ns, 140);
}

/* The first line of a function is the function: its sites are asked for by it. */
static void a_line_is_not_taken_for_a_site(void **state)
{
    struct flame_store *store = *state;
    const struct flame_position position = {1, 1, 4, 9};
    uint32_t code = intern(store, 0x1000, "a", 1);
    uint32_t known;

    assert_int_equal(flame_store_line_sigsafe(store, code, 7, 1), code);
    assert_false(flame_store_site_known_sigsafe(store, code, 7, &known));
    uint32_t site = flame_store_site_sigsafe(store, code, 7, &position);
    assert_true(flame_store_line_known_sigsafe(store, code, 7, &known));
    assert_int_equal(known, code);
    assert_true(flame_store_site_known_sigsafe(store, code, 7, &known));
    assert_int_equal(known, site);
}

static void full_of_lines_is_said(void **state)
{
    struct flame_store *store = *state;
    uint32_t code = intern(store, 0x1000, "a", 1);
    uint32_t known;

    for (uint32_t i = 0; i < FLAME_SITES_MAX; i++) {
        flame_store_line_sigsafe(store, code, i, i % 100 + 1);
    }
    assert_false(flame_store_overflowed_sigsafe(store));
    assert_int_equal(flame_store_line_sigsafe(store, code, FLAME_SITES_MAX, 3),
                     FLAME_NONE);
    assert_true(flame_store_overflowed_sigsafe(store));
    assert_false(flame_store_line_known_sigsafe(store, code, FLAME_SITES_MAX, &known));
}

static void time_passes_in_order(void **state)
{
    struct flame_store *store = *state;
    struct flame_profile profile = {0};

    flame_store_pass_sigsafe(store, 1, 2500);
    flame_store_pass_sigsafe(store, 1, 2600); /* the same place goes on */
    flame_store_pass_sigsafe(store, 2, 800);
    flame_store_pass_sigsafe(store, 2, 100); /* 6 us in all: nothing is lost */
    flame_store_read(store, &profile);
    assert_int_equal(profile.stretch_count, 2);
    assert_int_equal(profile.stretches[0].node, 1);
    assert_int_equal(profile.stretches[0].microseconds, 5);
    assert_int_equal(profile.stretches[1].node, 2);
    assert_int_equal(profile.stretches[1].microseconds, 1);
}

/* Twice as coarse when there are too many: the longer of two stays. */
static void time_is_never_too_long(void **state)
{
    enum { COUNT = 3 * FLAME_STRETCHES_MAX };
    struct flame_store *store = *state;
    struct flame_profile profile = {0};
    uint64_t sum = 0;

    for (uint32_t i = 0; i < COUNT; i++) {
        flame_store_pass_sigsafe(store, i % 2, i % 2 == 0 ? 1000 : 3000);
    }
    flame_store_read(store, &profile);
    assert_true(profile.stretch_count <= FLAME_STRETCHES_MAX);
    for (uint32_t i = 0; i < profile.stretch_count; i++) {
        sum += profile.stretches[i].microseconds;
    }
    assert_int_equal(sum, COUNT * 2);
    assert_int_equal(profile.stretches[0].node, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(same_content_is_one_function, open_store,
                                        close_store),
        cmocka_unit_test_setup_teardown(cache_knows_only_the_whole_key, open_store,
                                        close_store),
        cmocka_unit_test_setup_teardown(tree_merges_equal_paths, open_store,
                                        close_store),
        cmocka_unit_test_setup_teardown(full_of_functions_is_said, open_store,
                                        close_store),
        cmocka_unit_test_setup_teardown(full_of_names_is_said, open_store, close_store),
        cmocka_unit_test_setup_teardown(no_place_ran_less_than_its_cpu_time, open_store,
                                        close_store),
        cmocka_unit_test_setup_teardown(no_place_used_more_cpu_than_wall_time,
                                        open_store, close_store),
        cmocka_unit_test_setup_teardown(cpu_time_is_never_lost, open_store,
                                        close_store),
        cmocka_unit_test_setup_teardown(full_of_nodes_charges_the_parent, open_store,
                                        close_store),
        cmocka_unit_test_setup_teardown(a_small_one_has_less_room, open_store,
                                        close_store),
        cmocka_unit_test_setup_teardown(reset_is_as_new, open_store, close_store),
        cmocka_unit_test_setup_teardown(a_line_is_not_taken_for_a_site, open_store,
                                        close_store),
        cmocka_unit_test_setup_teardown(full_of_lines_is_said, open_store, close_store),
        cmocka_unit_test_setup_teardown(time_passes_in_order, open_store, close_store),
        cmocka_unit_test_setup_teardown(time_is_never_too_long, open_store,
                                        close_store),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
