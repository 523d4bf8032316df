/* What is read: our own formats back, whoever wrote them, in whatever pieces they come.
 */
#include "tests/renderer/support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "renderer/picture/svg.h"

static const enum flame_format WRITTEN_AND_READ[] = {FLAME_FORMAT_JSON,
                                                     FLAME_FORMAT_PPROF};

static int read_bytes(const char *data, size_t length, size_t piece,
                      struct flame_document *document)
{
    struct flame_reader *reader = flame_reader_new(FLAME_UNIT_MICROSECONDS);

    for (size_t at = 0; at < length; at += piece) {
        size_t left = length - at;
        flame_reader_feed(reader, data + at, left < piece ? left : piece);
    }
    return flame_reader_finish(reader, document);
}

static int read_string(const char *text, struct flame_document *document)
{
    return read_bytes(text, strlen(text), 1 << 20, document);
}

static void render_as(enum flame_format format, const struct flame_tree *tree,
                      const struct flame_picture_options *options,
                      struct flame_writer *writer)
{
    assert_int_equal(flame_render(format, tree, options, writer), 0);
}

static void assert_same_bytes(const struct flame_writer *a,
                              const struct flame_writer *b)
{
    assert_int_equal(a->length, b->length);
    assert_memory_equal(a->data, b->data, a->length);
}

/* ---- back to what it was ----------------------------------------------------- */

/* What is in no other example. */
static const struct flame_quality OF_ALL_THREADS = {.interval_ns = 10000000,
                                                    .everybody = true,
                                                    .duration_ns = 1500000000,
                                                    .beside_ns = 1500000000,
                                                    .children = 3,
                                                    .unwatched = 1,
                                                    .idle_ns = 250000000,
                                                    .samples = 12,
                                                    .deadline_reached = true};

/* The picture of what was read from our JSON is the profile's, byte for byte. */
static void test_json_loses_nothing(void **state)
{
    static const enum flame_clock clocks[] = {FLAME_CLOCK_WALL, FLAME_CLOCK_CPU,
                                              FLAME_CLOCK_OFFCPU, FLAME_CLOCK_GIL};
    (void)state;

    for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++) {
        struct flame_picture_options options = *example_options();
        struct flame_tree *tree = flame_tree_from_profile(example_profile(), clocks[i]);
        struct flame_writer text = {0}, picture = {0}, again = {0}, twice = {0};
        struct flame_document document;

        options.clock = clocks[i];
        if (clocks[i] == FLAME_CLOCK_OFFCPU) {
            options.quality = &OF_ALL_THREADS;
        }
        render_as(FLAME_FORMAT_JSON, tree, &options, &text);
        render_as(FLAME_FORMAT_SVG, tree, &options, &picture);
        assert_int_equal(read_bytes(text.data, text.length, 100, &document), 0);
        render_as(FLAME_FORMAT_SVG, document.tree, &document.options, &again);
        assert_same_bytes(&picture, &again);
        render_as(FLAME_FORMAT_JSON, document.tree, &document.options, &twice);
        assert_same_bytes(&text, &twice);
        flame_document_free(&document);
        flame_tree_free(tree);
        flame_writer_free(&text);
        flame_writer_free(&picture);
        flame_writer_free(&again);
        flame_writer_free(&twice);
    }
}

/* What was kept of one clock is drawn by another, as if it had been asked for. */
static void test_another_clock(void **state)
{
    static const enum flame_clock clocks[] = {FLAME_CLOCK_CPU, FLAME_CLOCK_OFFCPU,
                                              FLAME_CLOCK_GIL, FLAME_CLOCK_WALL};
    struct flame_tree *wall =
        flame_tree_from_profile(example_profile(), FLAME_CLOCK_WALL);
    struct flame_writer text = {0};
    struct flame_document document;
    (void)state;

    render_as(FLAME_FORMAT_JSON, wall, example_options(), &text);
    assert_int_equal(read_bytes(text.data, text.length, 100, &document), 0);
    for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++) {
        struct flame_tree *tree = flame_tree_from_profile(example_profile(), clocks[i]);
        struct flame_writer picture = {0}, again = {0};

        document.options.clock = clocks[i];
        struct flame_picture_options options = *example_options();
        options.clock = clocks[i];
        render_as(FLAME_FORMAT_SVG, tree, &options, &picture);
        assert_true(flame_tree_weigh(document.tree, clocks[i]));
        render_as(FLAME_FORMAT_SVG, document.tree, &document.options, &again);
        assert_same_bytes(&picture, &again);
        flame_tree_free(tree);
        flame_writer_free(&picture);
        flame_writer_free(&again);
    }
    flame_document_free(&document);
    flame_tree_free(wall);
    flame_writer_free(&text);
}

/* Where times are not known there is but one clock. */
static void test_no_other_clock(void **state)
{
    struct flame_document document;
    (void)state;

    assert_int_equal(read_bytes("a;b 7\n", 6, 100, &document), 0);
    assert_false(flame_tree_weigh(document.tree, FLAME_CLOCK_CPU));
    assert_int_equal(document.tree->places[0].total, 7000);
    flame_document_free(&document);
}

/* pprof has no root of its own and no order of time, and a name that hides something
 * is written as it is shown; all else comes back. */
static void test_pprof_keeps_times_and_samples(void **state)
{
    struct flame_tree *tree =
        flame_tree_from_profile(example_profile(), FLAME_CLOCK_WALL);
    struct flame_writer packed = {0};
    struct flame_document document;
    (void)state;

    render_as(FLAME_FORMAT_PPROF, tree, example_options(), &packed);
    assert_int_equal(read_bytes(packed.data, packed.length, 7, &document), 0);
    const struct flame_tree *again = document.tree;
    assert_true(again->has_times && again->has_samples && again->is_time);
    /* the root's own time now stands under a function of its name */
    assert_int_equal(again->place_count,
                     tree->place_count + (tree->places[0].self != 0));
    assert_int_equal(again->places[0].total, tree->places[0].total);
    assert_int_equal(flame_place_samples(again, 0), flame_place_samples(tree, 0));
    for (enum flame_fact time = 0; time < FLAME_TIMES; time++) {
        assert_int_equal(flame_place_total(again, 0, time),
                         flame_place_total(tree, 0, time));
    }
    assert_int_equal(document.options.title.length, example_options()->title.length);
    assert_memory_equal(document.options.title.data, example_options()->title.data,
                        document.options.title.length);
    flame_document_free(&document);
    flame_tree_free(tree);
    flame_writer_free(&packed);
}

static void test_differences_come_back(void **state)
{
    struct flame_document before, after;
    (void)state;

    assert_int_equal(read_string("a;b 60\na;c 40\n", &before), 0);
    assert_int_equal(read_string("a;b 30\nd 50\n", &after), 0);
    struct flame_tree *tree = flame_tree_difference(before.tree, after.tree, false);
    for (size_t i = 0; i < 2; i++) {
        struct flame_writer once = {0}, twice = {0};
        struct flame_document document;
        render_as(WRITTEN_AND_READ[i], tree, &after.options, &once);
        assert_int_equal(read_bytes(once.data, once.length, 1 << 20, &document), 0);
        assert_int_equal(document.tree->all_before, 100000);
        assert_int_equal(document.tree->places[0].total, 80000);
        assert_int_equal(flame_place_total(document.tree, 0, FLAME_FACT_BEFORE),
                         100000);
        render_as(WRITTEN_AND_READ[i], document.tree, &document.options, &twice);
        if (WRITTEN_AND_READ[i] == FLAME_FORMAT_JSON) {
            assert_same_bytes(&once, &twice);
        }
        flame_document_free(&document);
        flame_writer_free(&once);
        flame_writer_free(&twice);
    }
    flame_tree_free(tree);
    flame_document_free(&before);
    flame_document_free(&after);
}

/* ---- folded text in pieces --------------------------------------------------- */

static void test_pieces_make_no_difference(void **state)
{
    static const char text[] =
        "# a comment\r\nmain;a;b 10\nmain;a;b;c 5.5\nmain;a 1\n"
        "\nnonsense\nmain;a;\\x3b (f.py:3) 7\nmain;ab;b 2\nx;y 3";
    (void)state;

    for (size_t piece = sizeof text; piece > 0; piece--) {
        struct flame_writer folded = {0};
        struct flame_document document;
        assert_int_equal(read_bytes(text, sizeof text - 1, piece, &document), 0);
        assert_int_equal(document.ignored.count, 1);
        assert_int_equal(document.ignored.numbers[0], 6);
        render_as(FLAME_FORMAT_FOLDED, document.tree, &document.options, &folded);
        if (piece == sizeof text) {
            assert_written(&folded, "main;a 1\nmain;a;\\x3b (f.py:3) 7\nmain;a;b 10\n"
                                    "main;a;b;c 6\nmain;ab;b 2\nx;y 3\n");
        }
        flame_document_free(&document);
        flame_writer_free(&folded);
    }
}

/* Two ways to write a name are one place, wherever they stand. */
static void test_escapes_are_undone_before_merging(void **state)
{
    struct flame_document document;
    (void)state;

    assert_int_equal(read_string("r;\xc3\x28 1\nr;\\xc3( 2\nr;a (f:01) 1\nr;a (f:1) 1\n"
                                 "r;\\xc3( 3\nr;\xc3\x28;z 4\nr;\\xc3(;z 5\n",
                                 &document),
                     0);
    /* the root, r, "\xc3(", its z, "a (f:01)" and a of f:1 */
    assert_int_equal(document.tree->place_count, 6);
    flame_document_free(&document);
}

static void test_deep_and_wide(void **state)
{
    enum { DEPTH = 200000 };
    struct flame_writer text = {0};
    struct flame_document document;
    (void)state;

    for (int i = 0; i < DEPTH; i++) {
        flame_write_text(&text, i == 0 ? "f" : ";f");
    }
    flame_write_text(&text, " 1\n");
    for (int i = 0; i < 3000; i++) {
        flame_write_text(&text, "g;");
        flame_write_unsigned(&text, (uint64_t)i);
        flame_write_text(&text, " 1\n");
    }
    assert_int_equal(read_bytes(text.data, text.length, 4096, &document), 0);
    assert_int_equal(flame_tree_depth(document.tree), DEPTH);
    assert_int_equal(document.tree->place_count, DEPTH + 1 + 3001);
    flame_document_free(&document);
    flame_writer_free(&text);
}

/* ---- what cannot be read says why -------------------------------------------- */

static void test_problems_are_sentences(void **state)
{
    static const struct {
        const char *text;
        const char *said;
    } cases[] = {
        {"{\"format\":\"speedscope\"}", "no profile of ours"},
        {"{\"format\":\"flameprof\",\"version\":2}", "newer"},
        {"{\"format\":\"flameprof\",\"version\":1,", "line 1"},
        {"{\"a\":1,\"a\":2}", "line 1"},
        {"{\"format\":\"flameprof\",\"version\":1}", "\"clock\""},
        {"{\"format\":\"flameprof\",\"version\":1,\"clock\":\"cpu\"}", "\"unit\""},
        {"{\"format\":\"flameprof\",\"version\":1,\"clock\":\"cpu\",\"unit\":"
         "\"samples\"}",
         "\"places\""},
        {"{\"format\":\"flameprof\",\"version\":1,\"clock\":\"cpu\",\"unit\":"
         "\"samples\","
         "\"functions\":[{\"name\":\"a\"}],"
         "\"places\":{\"parent\":[0,2],\"function\":[0,0],\"self\":[1,1]}}",
         "place 1"},
        {"{\"format\":\"flameprof\",\"version\":1,\"clock\":\"cpu\",\"unit\":"
         "\"samples\","
         "\"functions\":[{\"name\":\"a\"}],"
         "\"places\":{\"parent\":[0],\"function\":[1],\"self\":[1]}}",
         "root has no function"},
        {"{\"format\":\"flameprof\",\"version\":1,\"clock\":\"cpu\",\"unit\":"
         "\"samples\","
         "\"functions\":[{\"name\":\"a\"}],"
         "\"places\":{\"parent\":[0],\"function\":[0],\"self\":[-1]}}",
         "negative"},
        {"{\"format\":\"flameprof\",\"version\":1,\"clock\":\"cpu\",\"unit\":"
         "\"samples\","
         "\"functions\":[{\"name\":\"a\"}],"
         "\"places\":{\"parent\":[0,0],\"function\":[0,0],\"self\":[1]}}",
         "\"self\""},
        {"\x0a\x02\x08\x01\xff", "pprof"},
        {"\x1f\x8b nonsense", "packed"},
        {"\x1f\x8b", "too early"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct flame_document document;
        int error = read_string(cases[i].text, &document);
        if (error != -EINVAL || strstr(document.problem, cases[i].said) == NULL) {
            fail_msg("case %zu: %d, \"%s\"", i, error, document.problem);
        }
        assert_null(document.tree);
        flame_document_free(&document);
    }
}

/* Every beginning of a good file, and every byte of it turned round: an answer, never
 * a crash, and a tree only without an error. */
static void test_broken_files(void **state)
{
    struct flame_tree *tree =
        flame_tree_from_profile(example_profile(), FLAME_CLOCK_WALL);
    (void)state;

    for (size_t i = 0; i < 2; i++) {
        struct flame_writer good = {0};
        render_as(WRITTEN_AND_READ[i], tree, example_options(), &good);
        for (size_t at = 0; at < good.length; at++) {
            struct flame_document document;
            int error = read_bytes(good.data, at, 1 << 20, &document);
            assert_true((error == 0) == (document.tree != NULL));
            flame_document_free(&document);
            good.data[at] = (char)~good.data[at];
            error = read_bytes(good.data, good.length, 1 << 20, &document);
            assert_true((error == 0) == (document.tree != NULL));
            flame_document_free(&document);
            good.data[at] = (char)~good.data[at];
        }
        flame_writer_free(&good);
    }
    flame_tree_free(tree);
}

/* ---- the writer's sink ------------------------------------------------------- */

struct collected {
    struct flame_writer all;
    size_t calls;
    size_t calls_until_full; /* 0: never */
};

static int collect(void *context, const char *data, size_t length)
{
    struct collected *collected = context;

    if (++collected->calls == collected->calls_until_full) {
        return -ENOSPC;
    }
    flame_write_bytes(&collected->all, data, length);
    return 0;
}

static void test_sink_gets_what_memory_would(void **state)
{
    struct flame_tree *tree =
        flame_tree_from_profile(example_profile(), FLAME_CLOCK_WALL);
    static const enum flame_format formats[] = {FLAME_FORMAT_SVG, FLAME_FORMAT_JSON,
                                                FLAME_FORMAT_PPROF,
                                                FLAME_FORMAT_SPEEDSCOPE};
    (void)state;

    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        struct collected collected = {0};
        struct flame_writer memory = {0};
        struct flame_writer passing = {.sink = collect, .context = &collected};
        render_as(formats[i], tree, example_options(), &memory);
        render_as(formats[i], tree, example_options(), &passing);
        assert_int_equal(flame_writer_flush(&passing), 0);
        assert_int_equal(passing.passed_on, memory.length);
        assert_same_bytes(&memory, &collected.all);
        flame_writer_free(&memory);
        flame_writer_free(&passing);
        flame_writer_free(&collected.all);
    }
    struct collected full = {.calls_until_full = 1};
    struct flame_writer writer = {.sink = collect, .context = &full};
    int error = flame_render(FLAME_FORMAT_SVG, tree, example_options(), &writer);
    assert_int_equal(error != 0 ? error : flame_writer_flush(&writer), -ENOSPC);
    flame_write_text(&writer, "more");
    assert_int_equal(flame_writer_flush(&writer), -ENOSPC);
    assert_int_equal(full.calls, 1);
    flame_writer_free(&writer);
    flame_tree_free(tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_loses_nothing),
        cmocka_unit_test(test_another_clock),
        cmocka_unit_test(test_no_other_clock),
        cmocka_unit_test(test_pprof_keeps_times_and_samples),
        cmocka_unit_test(test_differences_come_back),
        cmocka_unit_test(test_pieces_make_no_difference),
        cmocka_unit_test(test_escapes_are_undone_before_merging),
        cmocka_unit_test(test_deep_and_wide),
        cmocka_unit_test(test_problems_are_sentences),
        cmocka_unit_test(test_broken_files),
        cmocka_unit_test(test_sink_gets_what_memory_would),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
