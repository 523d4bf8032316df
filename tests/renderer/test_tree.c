/* The call tree: from a profile and from folded text. */
#include "tests/renderer/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void assert_place(const struct flame_tree *tree, uint32_t at, const char *name,
                         uint32_t depth, uint64_t self, uint64_t total)
{
    const struct flame_place *place = &tree->places[at];
    const struct flame_slice is = tree->functions[place->function].name;

    assert_true(at < tree->place_count);
    assert_int_equal(is.length, strlen(name));
    assert_memory_equal(is.data, name, is.length);
    assert_int_equal(place->depth, depth);
    assert_int_equal(place->self, self);
    assert_int_equal(place->total, total);
}

/* What must hold for any tree, whatever it was built from. */
static void assert_consistent(const struct flame_tree *tree)
{
    assert_true(tree->place_count >= 1);
    assert_int_equal(tree->places[0].end, tree->place_count);
    for (uint32_t i = 0; i < tree->place_count; i++) {
        const struct flame_place *place = &tree->places[i];
        uint64_t total = place->self;
        uint64_t samples = flame_place_self_samples(tree, i);
        const struct flame_place *before = NULL;
        assert_true(place->function < tree->function_count);
        for (uint32_t child = i + 1; child < place->end;
             child = tree->places[child].end) {
            const struct flame_place *below = &tree->places[child];
            assert_int_equal(below->depth, place->depth + 1);
            assert_true(before == NULL || before->function < below->function);
            total += below->total;
            samples += flame_place_samples(tree, child);
            before = below;
        }
        assert_int_equal(place->total, total);
        assert_int_equal(flame_place_samples(tree, i), samples);
    }
}

static void test_example_profile(void **state)
{
    struct flame_tree *tree =
        flame_tree_from_profile(example_profile(), FLAME_CLOCK_WALL);
    (void)state;

    assert_non_null(tree);
    assert_consistent(tree);
    assert_place(tree, 0, "[request]", 0, 4000000, 1500000000);
    assert_int_equal(tree->place_count, example_profile()->node_count);
    assert_int_equal(flame_place_samples(tree, 0), 1502);
    assert_true(tree->is_time && tree->has_samples);
    assert_false(flame_tree_is_empty(tree));
    flame_tree_free(tree);
}

static void test_same_function_merges(void **state)
{
    static const struct flame_code codes[] = {
        {{"b", 1}, {"f", 1}, 1},
        {{"a", 1}, {"f", 1}, 1},
        {{"b", 1}, {"f", 1}, 1},
        {{"b", 1}, {"f", 1}, 2},
    };
    static const struct flame_node nodes[] = {
        {0, 0, {0}, 0, 0},  {0, 0, {5}, 0, 1},  {0, 1, {7}, 0, 1},  {0, 2, {11}, 0, 1},
        {1, 1, {13}, 0, 1}, {3, 1, {17}, 0, 1}, {0, 3, {19}, 0, 1},
    };
    const struct flame_profile profile = {nodes, 7, codes, 4, NULL, 0, {0}, NULL};
    struct flame_tree *tree = flame_tree_from_profile(&profile, FLAME_CLOCK_WALL);
    (void)state;

    assert_non_null(tree);
    assert_consistent(tree);
    assert_int_equal(tree->place_count, 5);
    assert_place(tree, 0, "[request]", 0, 0, 72);
    assert_place(tree, 1, "a", 1, 7, 7);
    assert_place(tree, 2, "b", 1, 16, 46);
    assert_place(tree, 3, "a", 2, 30, 30);
    assert_place(tree, 4, "b", 1, 19, 19);
    flame_tree_free(tree);
}

static void test_order_of_nodes_does_not_matter(void **state)
{
    static const struct flame_code codes[] = {{{"x", 1}, {"", 0}, 0},
                                              {{"y", 1}, {"", 0}, 0}};
    static const struct flame_node one[] = {
        {0, 0, {0}, 0, 0}, {0, 0, {1}, 0, 1}, {0, 1, {2}, 0, 1}};
    static const struct flame_node two[] = {
        {0, 0, {0}, 0, 0}, {0, 1, {2}, 0, 1}, {0, 0, {1}, 0, 1}};
    const struct flame_profile first = {one, 3, codes, 2, NULL, 0, {0}, NULL};
    const struct flame_profile second = {two, 3, codes, 2, NULL, 0, {0}, NULL};
    struct flame_tree *a = flame_tree_from_profile(&first, FLAME_CLOCK_WALL);
    struct flame_tree *b = flame_tree_from_profile(&second, FLAME_CLOCK_WALL);
    (void)state;

    assert_int_equal(a->place_count, b->place_count);
    assert_memory_equal(a->places, b->places, a->place_count * sizeof *a->places);
    flame_tree_free(a);
    flame_tree_free(b);
}

static void test_root_alone(void **state)
{
    static const struct flame_node nodes[] = {{.parent = 0}};
    const struct flame_profile profile = {nodes, 1, NULL, 0, NULL, 0, {0}, NULL};
    struct flame_tree *tree = flame_tree_from_profile(&profile, FLAME_CLOCK_WALL);
    (void)state;

    assert_non_null(tree);
    assert_true(flame_tree_is_empty(tree));
    assert_int_equal(tree->place_count, 1);
    flame_tree_free(tree);
}

static void test_profile_sum_is_clamped(void **state)
{
    static const struct flame_code codes[] = {{{"x", 1}, {"", 0}, 0}};
    static const struct flame_node nodes[] = {{0, 0, {UINT64_MAX - 5}, 0, UINT64_MAX},
                                              {0, 0, {10}, 0, 10}};
    const struct flame_profile profile = {nodes, 2, codes, 1, NULL, 0, {0}, NULL};
    struct flame_tree *tree = flame_tree_from_profile(&profile, FLAME_CLOCK_WALL);
    (void)state;

    assert_place(tree, 0, "[request]", 0, UINT64_MAX - 5, UINT64_MAX);
    assert_place(tree, 1, "x", 1, 5, 5);
    assert_int_equal(flame_place_samples(tree, 0), UINT64_MAX);
    flame_tree_free(tree);
}

static void test_folded(void **state)
{
    struct flame_ignored ignored;
    struct flame_tree *tree =
        tree_from_text("a;b 3\r\n\na;c (dir (x)/f.py:12) 4\na 5\nb;a 1  \nz 0",
                       FLAME_UNIT_SAMPLES, &ignored);
    const struct flame_function *c = &tree->functions[tree->places[3].function];
    (void)state;

    assert_int_equal(ignored.count, 0);
    assert_consistent(tree);
    assert_place(tree, 0, "[all]", 0, 0, 13);
    assert_place(tree, 1, "a", 1, 5, 12);
    assert_place(tree, 2, "b", 2, 3, 3);
    assert_place(tree, 3, "c", 2, 4, 4);
    assert_int_equal(c->file.length, strlen("dir (x)/f.py"));
    assert_int_equal(c->line, 12);
    assert_place(tree, 4, "b", 1, 0, 1);
    assert_place(tree, 6, "z", 1, 0, 0);
    assert_int_equal(flame_place_samples(tree, 0), 13);
    flame_tree_free(tree);
}

static void test_what_looks_like_a_file_but_is_not(void **state)
{
    static const char *const frames[] = {
        "f (x)",  "f (:3)", "f (x:)",   "f (x:3a)", "f (x:1234567890)",
        "f x:3)", "(x:3)",  "f (x:3) ", ")",
    };
    char line[64];
    struct flame_ignored ignored;
    (void)state;

    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        snprintf(line, sizeof line, "%s 1", frames[i]);
        struct flame_tree *tree = tree_from_text(line, FLAME_UNIT_SAMPLES, &ignored);
        assert_int_equal(ignored.count, 0);
        assert_place(tree, 1, frames[i], 1, 1, 1);
        flame_tree_free(tree);
    }
}

static void test_lines_without_sense_are_counted(void **state)
{
    struct flame_ignored ignored;
    struct flame_tree *tree = tree_from_text(
        "a\na nan\na -3\na 1.5\n7\n 7\na 99999999999999999999999999999999\n"
        "a 18446744073709551616\n\n  \nok 2\na 00000000000000000000000000000005\n",
        FLAME_UNIT_SAMPLES, &ignored);
    (void)state;

    assert_int_equal(ignored.count, 7);
    assert_int_equal(tree->place_count, 3);
    assert_place(tree, 1, "a", 1, 6, 6);
    assert_place(tree, 2, "ok", 1, 2, 2);
    flame_tree_free(tree);
}

static void test_dialects(void **state)
{
    struct flame_ignored ignored;
    (void)state;

    struct flame_tree *tree =
        tree_from_text("# austin: 3.6\r\na;b_[k] 1.5\r\n#\na;b_[k] 0.0009\na 2.25\n",
                       FLAME_UNIT_MICROSECONDS, &ignored);
    assert_int_equal(ignored.count, 0);
    assert_place(tree, 0, "[all]", 0, 0, 3750);
    assert_place(tree, 2, "b_[k]", 2, 1500, 1500);
    flame_tree_free(tree);
    /* Halves of samples are not lost. */
    tree = tree_from_text("a 0.5\nb 0.5\nc 1.\nd 1.2.3\ne .5\n", FLAME_UNIT_SAMPLES,
                          &ignored);
    assert_int_equal(ignored.count, 2);
    assert_int_equal(tree->places[0].total, 2);
    flame_tree_free(tree);
}

static void test_two_columns_are_a_difference(void **state)
{
    struct flame_ignored ignored;
    struct flame_tree *tree =
        tree_from_text("a;b 10 30\na;c 10 0\n", FLAME_UNIT_SAMPLES, &ignored);
    (void)state;

    assert_int_equal(ignored.count, 0);
    assert_int_equal(tree->all_before, 20);
    assert_place(tree, 0, "[all]", 0, 0, 30);
    assert_place(tree, 2, "b", 2, 30, 30);
    assert_int_equal(flame_place_total(tree, 2, FLAME_FACT_BEFORE), 10);
    assert_int_equal(flame_place_total(tree, 3, FLAME_FACT_BEFORE), 10);
    flame_tree_free(tree);
    /* One line without: the others' first number belongs to a name. */
    tree = tree_from_text("a 1 2\nb 3\n", FLAME_UNIT_SAMPLES, &ignored);
    assert_int_equal(tree->all_before, 0);
    assert_place(tree, 1, "a 1", 1, 2, 2);
    flame_tree_free(tree);
}

static void test_counts_that_overflow(void **state)
{
    struct flame_ignored ignored;
    struct flame_tree *tree =
        tree_from_text("a 18446744073709551615\nb 1\n", FLAME_UNIT_SAMPLES, &ignored);
    (void)state;

    assert_int_equal(ignored.count, 1);
    assert_place(tree, 0, "[all]", 0, 0, UINT64_MAX);
    flame_tree_free(tree);

    /* microseconds are kept as nanoseconds: the limit is a thousandth */
    tree = tree_from_text("a 18446744073709552\nb 18446744073709551\nc 1\n",
                          FLAME_UNIT_MICROSECONDS, &ignored);
    assert_int_equal(ignored.count, 2);
    assert_int_equal(tree->places[0].total, UINT64_C(18446744073709551000));
    flame_tree_free(tree);
}

static void test_nothing(void **state)
{
    struct flame_ignored ignored;
    (void)state;

    struct flame_tree *tree = tree_from_text("", FLAME_UNIT_SAMPLES, &ignored);
    assert_true(flame_tree_is_empty(tree));
    flame_tree_free(tree);
    tree = flame_tree_from_folded(NULL, 0, FLAME_UNIT_SAMPLES, &ignored);
    assert_true(flame_tree_is_empty(tree));
    flame_tree_free(tree);
    tree = tree_from_text("a;b 0\nc 0\n", FLAME_UNIT_SAMPLES, &ignored);
    assert_true(flame_tree_is_empty(tree));
    assert_int_equal(ignored.count, 0);
    flame_tree_free(tree);
}

/* Random bytes of what the parser looks at: no crash, a consistent tree. */
static void test_random_text(void **state)
{
    static const char alphabet[] = "ab;; \n\n01239()(:\\x3b\\u20\xff\x01\r\t";
    uint64_t random = 88172645463325252u;
    struct flame_ignored ignored;
    (void)state;

    for (int round = 0; round < 3000; round++) {
        size_t length = (size_t)round % 97;
        char *text = malloc(length + 1);
        for (size_t i = 0; i < length; i++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            text[i] = alphabet[random % (sizeof alphabet - 1)];
        }
        char *exact = realloc(text, length != 0 ? length : 1);
        struct flame_tree *tree =
            flame_tree_from_folded(exact, length, FLAME_UNIT_MICROSECONDS, &ignored);
        assert_non_null(tree);
        assert_consistent(tree);
        flame_tree_free(tree);
        free(exact);
    }
}

static void test_a_million_deep(void **state)
{
    enum { DEPTH = 1000000 };
    struct flame_writer text = {0};
    struct flame_writer again = {0};
    struct flame_ignored ignored;
    (void)state;

    for (int i = 0; i < DEPTH; i++) {
        flame_write_text(&text, i == 0 ? "f" : i % 2 == 0 ? ";f" : ";g");
    }
    flame_write_text(&text, " 7\n");
    struct flame_tree *tree =
        flame_tree_from_folded(text.data, text.length, FLAME_UNIT_SAMPLES, &ignored);
    assert_non_null(tree);
    assert_int_equal(tree->place_count, DEPTH + 1);
    assert_place(tree, DEPTH, "g", DEPTH, 7, 7);
    assert_int_equal(tree->places[0].total, 7);
    assert_int_equal(flame_render_folded(tree, &again), 0);
    assert_int_equal(again.length, text.length);
    assert_memory_equal(again.data, text.data, text.length);
    flame_tree_free(tree);
    flame_writer_free(&text);
    flame_writer_free(&again);
}

static void test_sum_of_trees(void **state)
{
    struct flame_tree *tree =
        flame_tree_from_profile(example_profile(), FLAME_CLOCK_WALL);
    struct flame_tree *const both[] = {tree, tree};
    struct flame_tree *sum = flame_tree_sum(both, 2);
    (void)state;

    assert_non_null(sum);
    assert_consistent(sum);
    assert_int_equal(sum->place_count, tree->place_count);
    for (uint32_t i = 0; i < tree->place_count; i++) {
        assert_int_equal(sum->places[i].total, 2 * tree->places[i].total);
        for (enum flame_fact fact = 0; fact <= FLAME_FACT_SAMPLES; fact++) {
            assert_int_equal(flame_place_own(sum, i, fact),
                             2 * flame_place_own(tree, i, fact));
        }
    }
    assert_true(sum->has_times && sum->has_samples && sum->is_time);
    flame_tree_free(sum);
    flame_tree_free(tree);
}

static void test_what_counts_differently_has_no_sum(void **state)
{
    static const char folded[] = "a 1\n";
    struct flame_ignored ignored;
    struct flame_tree *trees[] = {
        flame_tree_from_folded(folded, strlen(folded), FLAME_UNIT_SAMPLES, &ignored),
        flame_tree_from_folded(folded, strlen(folded), FLAME_UNIT_MICROSECONDS,
                               &ignored)};
    (void)state;

    assert_null(flame_tree_sum(trees, 2));
    flame_tree_free(trees[0]);
    flame_tree_free(trees[1]);
}

/* a calls b, which calls a again. */
static void test_rows(void **state)
{
    static const char folded[] = "a;b;a 5\na;b 2\nc 4\n";
    struct flame_ignored ignored;
    struct flame_tree *tree =
        flame_tree_from_folded(folded, strlen(folded), FLAME_UNIT_SAMPLES, &ignored);
    uint32_t count = 0;
    struct flame_row *rows = flame_tree_rows(tree, &count);
    static const struct {
        const char *name;
        uint64_t self, total;
        uint32_t places;
    } expected[] = {
        {"a", 5, 7, 2}, {"c", 4, 4, 1}, {"b", 2, 7, 1}, {"[all]", 0, 11, 1}};
    (void)state;

    assert_non_null(rows);
    assert_int_equal(count, 4);
    for (uint32_t i = 0; i < count; i++) {
        assert_true(flame_slice_is(rows[i].name, expected[i].name));
        assert_int_equal(rows[i].self, expected[i].self);
        assert_int_equal(rows[i].total, expected[i].total);
        assert_int_equal(rows[i].samples, expected[i].total);
        assert_int_equal(rows[i].places, expected[i].places);
    }
    free(rows);
    flame_tree_free(tree);
}

/* A tree of folded text whose patterns leave that. */
static void assert_rest(const char *folded, const char *const *patterns,
                        const char *expected, uint64_t weight)
{
    struct flame_ignored ignored;
    struct flame_left_out left_out;
    struct flame_tree *tree = tree_from_text(folded, FLAME_UNIT_SAMPLES, &ignored);
    struct flame_tree *rest = flame_tree_without_idle(tree, patterns, &left_out);
    struct flame_writer writer = {0};

    assert_non_null(rest);
    assert_consistent(rest);
    assert_int_equal(flame_render_folded(rest, &writer), 0);
    assert_written(&writer, expected);
    assert_int_equal(left_out.weight, weight);
    assert_int_equal(left_out.samples, weight);
    assert_int_equal(rest->places[0].total + weight, tree->places[0].total);
    flame_writer_free(&writer);
    flame_tree_free(rest);
    flame_tree_free(tree);
}

static void test_without_idle(void **state)
{
    static const char folded[] =
        "[thread a] 3\n"
        "[thread a];run (/x/a.py:1) 5\n"
        "[thread a];run (/x/a.py:1);C.wait (/lib/threading.py:7);hook (/x/a.py:9) 2\n"
        "[thread a];run (/x/a.py:1);C.wait (/lib/threading.py:7);lock.acquire(…) 40\n"
        "[thread b];C.await (/lib/mythreading.py:7) 1\n"
        "[thread b];C.wait (/lib/threading.py:7) 50\n";
    static const char *const threads[] = {"[thread]", NULL};
    static const char *const waits[] = {"wait (threading.py)", NULL};
    static const char *const all[] = {"[thread]", "run",   "C.wait",
                                      "hook",     "await", NULL};
    static const char *const none[] = {"",   "()", "ait", "wait (hreading.py)",
                                       " (", NULL};
    (void)state;

    assert_rest(folded, threads, strchr(folded, '\n') + 1, 3);
    assert_rest(folded, waits,
                "[thread a] 3\n"
                "[thread a];run (/x/a.py:1) 5\n"
                "[thread a];run (/x/a.py:1);C.wait (/lib/threading.py:7);hook "
                "(/x/a.py:9) 2\n"
                "[thread b];C.await (/lib/mythreading.py:7) 1\n",
                90);
    assert_rest(folded, all, "", 101);
    assert_rest(folded, none, folded, 0);
}

static void test_without_what_begins_so(void **state)
{
    static const char folded[] =
        "[thread a];load (/x/b.py:1) 7\n"
        "[thread a];load (/x/b.py:1);read (/x/b.py:9) 20\n"
        "[thread a];main (/x/a.py:1) 3\n"
        "[thread a];main (/x/a.py:1);load (/x/b.py:1) 5\n"
        "load (/x/b.py:1);read (/x/b.py:9);main (/x/a.py:1) 2\n";
    static const char *const first[] = {"^load (b.py)", "none", NULL};
    static const char *const none[] = {"^read", "^", "^[thread]", NULL};
    (void)state;

    assert_rest(folded, first,
                "[thread a];main (/x/a.py:1) 3\n"
                "[thread a];main (/x/a.py:1);load (/x/b.py:1) 5\n",
                29);
    assert_rest(folded, none, folded, 0);
}

static void test_other_names(void **state)
{
    static const char folded[] = "a;b;a 5\na;b 2\nc 4\n";
    struct flame_ignored ignored;
    struct flame_tree *tree = tree_from_text(folded, FLAME_UNIT_SAMPLES, &ignored);
    struct flame_slice names[4];
    struct flame_writer writer = {0};
    (void)state;

    assert_int_equal(tree->function_count, 4);
    for (uint32_t i = 0; i < 4; i++) {
        bool is_c = flame_slice_is(tree->functions[i].name, "c");
        names[i] = flame_slice_of(is_c ? "one" : "other");
    }
    struct flame_tree *renamed = flame_tree_renamed(tree, names);
    assert_non_null(renamed);
    assert_consistent(renamed);
    assert_int_equal(flame_render_folded(renamed, &writer), 0);
    assert_written(&writer, "one 4\nother;other 2\nother;other;other 5\n");
    struct flame_tally tally = flame_tree_tally(renamed);
    assert_int_equal(tally.stacks, 3);
    assert_int_equal(tally.samples, 11);
    assert_int_equal(tally.weight, 11);
    flame_writer_free(&writer);
    flame_tree_free(renamed);
    flame_tree_free(tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example_profile),
        cmocka_unit_test(test_same_function_merges),
        cmocka_unit_test(test_order_of_nodes_does_not_matter),
        cmocka_unit_test(test_root_alone),
        cmocka_unit_test(test_profile_sum_is_clamped),
        cmocka_unit_test(test_folded),
        cmocka_unit_test(test_what_looks_like_a_file_but_is_not),
        cmocka_unit_test(test_lines_without_sense_are_counted),
        cmocka_unit_test(test_counts_that_overflow),
        cmocka_unit_test(test_dialects),
        cmocka_unit_test(test_two_columns_are_a_difference),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_random_text),
        cmocka_unit_test(test_a_million_deep),
        cmocka_unit_test(test_sum_of_trees),
        cmocka_unit_test(test_what_counts_differently_has_no_sum),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_without_idle),
        cmocka_unit_test(test_without_what_begins_so),
        cmocka_unit_test(test_other_names),
    };

    return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
