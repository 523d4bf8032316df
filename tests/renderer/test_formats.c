/* The folded and SVG output, their limits, and what the formats are called. */
#include "tests/renderer/support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "renderer/picture/svg.h"

/* ---- folded ------------------------------------------------------------------ */

static void test_folded_golden(void **state)
{
    struct flame_tree *tree =
        flame_tree_from_profile(example_profile(), FLAME_CLOCK_WALL);
    struct flame_writer writer = {0};
    (void)state;

    assert_int_equal(flame_render_folded(tree, &writer), 0);
    assert_golden("example.folded", &writer);
    flame_writer_free(&writer);
    flame_tree_free(tree);
}

/* What is written and read again is the same tree: names, files, lines, time. */
static void test_folded_round_trip(void **state)
{
    struct flame_tree *tree =
        flame_tree_from_profile(example_profile(), FLAME_CLOCK_WALL);
    struct flame_writer once = {0};
    struct flame_writer twice = {0};
    struct flame_ignored ignored;
    (void)state;

    assert_int_equal(flame_render_folded(tree, &once), 0);
    struct flame_tree *again = flame_tree_from_folded(
        once.data, once.length, FLAME_UNIT_MICROSECONDS, &ignored);
    assert_int_equal(ignored.count, 0);
    assert_int_equal(flame_render_folded(again, &twice), 0);
    assert_int_equal(once.length, twice.length);
    for (uint32_t i = 1; i < tree->function_count; i++) {
        const struct flame_function *was = &tree->functions[i];
        bool found = false;
        for (uint32_t j = 0; j < again->function_count; j++) {
            const struct flame_function *is = &again->functions[j];
            found |= is->line == was->line && is->name.length == was->name.length &&
                     is->file.length == was->file.length &&
                     memcmp(is->name.data, was->name.data, is->name.length) == 0 &&
                     memcmp(is->file.data, was->file.data, is->file.length) == 0;
        }
        assert_true(found);
    }
    flame_writer_free(&once);
    flame_writer_free(&twice);
    flame_tree_free(tree);
    flame_tree_free(again);
}

/* A stack of nothing would be no line to anybody. */
static void test_folded_without_a_name(void **state)
{
    const struct flame_code codes[] = {{{"", 0}, {"", 0}, 1}};
    const struct flame_node nodes[] = {{.samples = 0},
                                       {.wall_ns = {5000}, .samples = 1}};
    const struct flame_profile profile = {nodes, 2, codes, 1, NULL, 0, {0}, NULL};
    struct flame_writer writer = {0};
    (void)state;

    struct flame_tree *tree = flame_tree_from_profile(&profile, FLAME_CLOCK_WALL);
    assert_int_equal(flame_render_folded(tree, &writer), 0);
    assert_written(&writer, "[no name] 5\n");
    flame_writer_free(&writer);
    flame_tree_free(tree);
}

/* Ten thousand places of 400 ns are 4 ms, not nothing. */
static void test_folded_carries_remainders(void **state)
{
    enum { COUNT = 10000 };
    static char names[COUNT][8];
    static struct flame_code codes[COUNT];
    static struct flame_node nodes[COUNT + 1];
    struct flame_writer writer = {0};
    struct flame_ignored ignored;
    (void)state;

    for (uint32_t i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "f%u", i);
        codes[i] = (struct flame_code){.name = flame_slice_of(names[i])};
        nodes[i + 1] = (struct flame_node){.code = i, .wall_ns = {400}, .samples = 1};
    }
    const struct flame_profile profile = {nodes, COUNT + 1, codes, COUNT,
                                          NULL,  0,         {0},   NULL};
    struct flame_tree *tree = flame_tree_from_profile(&profile, FLAME_CLOCK_WALL);
    assert_int_equal(flame_render_folded(tree, &writer), 0);
    assert_int_equal(occurrences(&writer, "\n"), COUNT);
    flame_tree_free(tree);
    tree = flame_tree_from_folded(writer.data, writer.length, FLAME_UNIT_MICROSECONDS,
                                  &ignored);
    assert_int_equal(tree->places[0].total, UINT64_C(4000000));
    flame_tree_free(tree);
    flame_writer_free(&writer);
}

static void test_limit_is_kept(void **state)
{
    struct flame_tree *tree =
        flame_tree_from_profile(example_profile(), FLAME_CLOCK_WALL);
    struct flame_writer writer = {.limit = 100};
    (void)state;

    assert_int_equal(flame_render_folded(tree, &writer), -E2BIG);
    flame_writer_free(&writer);
    writer.limit = 20000;
    assert_int_equal(flame_render_svg(tree, example_options(), &writer), -E2BIG);
    assert_true(writer.length <= 20000);
    flame_writer_free(&writer);
    flame_tree_free(tree);
}

/* ---- SVG --------------------------------------------------------------------- */

/* Without the style and the script. */
static void render_text(const char *text, enum flame_unit unit,
                        const struct flame_picture_options *options,
                        struct flame_writer *writer)
{
    struct flame_ignored ignored;
    struct flame_writer whole = {0};
    struct flame_tree *tree = tree_from_text(text, unit, &ignored);

    assert_int_equal(flame_render_svg(tree, options, &whole), 0);
    append_without_assets(writer, &whole);
    flame_writer_free(&whole);
    flame_tree_free(tree);
}

static void test_svg_golden(void **state)
{
    struct flame_tree *tree =
        flame_tree_from_profile(example_profile(), FLAME_CLOCK_WALL);
    struct flame_writer writer = {0};
    struct flame_writer again = {0};
    struct flame_picture_options narrow = *example_options();
    (void)state;

    assert_int_equal(flame_render_svg(tree, example_options(), &writer), 0);
    assert_golden("example.svg", &writer);
    assert_int_equal(flame_render_svg(tree, example_options(), &again), 0);
    assert_int_equal(writer.length, again.length);
    assert_memory_equal(writer.data, again.data, writer.length);
    narrow.width = 320;
    again.length = 0;
    assert_int_equal(flame_render_svg(tree, &narrow, &again), 0);
    assert_golden("example-320.svg", &again);
    flame_writer_free(&writer);
    flame_writer_free(&again);
    flame_tree_free(tree);
}

static void test_svg_of_nothing_says_so(void **state)
{
    static const struct flame_node nodes[] = {{.parent = 0}};
    const struct flame_profile profile = {
        nodes, 1, NULL, 0, NULL, 0, {.interval_ns = 1000000, .duration_ns = 300000},
        NULL};
    const struct flame_picture_options options = {.title = {"GET /", 5},
                                                  .quality = &profile.quality};
    struct flame_tree *tree = flame_tree_from_profile(&profile, FLAME_CLOCK_WALL);
    struct flame_writer writer = {0};
    (void)state;

    assert_int_equal(flame_render_svg(tree, &options, &writer), 0);
    assert_golden("nothing.svg", &writer);
    assert_int_equal(occurrences(&writer, "<script"), 0);
    flame_writer_free(&writer);
    flame_tree_free(tree);
}

/* Whatever names say, the markup is ours: two scripts, one style, no CDATA more. */
static void test_every_clock_says_which_it_is(void **state)
{
    static const struct {
        enum flame_clock clock;
        const char *total; /* of the example */
        const char *said;
    } cases[] = {
        {FLAME_CLOCK_WALL, "1.500 s, 100.00 %", "interval"},
        {FLAME_CLOCK_CPU, "1.110 s, 100.00 %", "widths are CPU time"},
        {FLAME_CLOCK_OFFCPU, "400.0 ms, 100.00 %", "widths are time off the CPU"},
        {FLAME_CLOCK_GIL, "20.00 ms, 100.00 %", "widths are time waiting for the GIL"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct flame_picture_options options = *example_options();
        struct flame_tree *tree =
            flame_tree_from_profile(example_profile(), cases[i].clock);
        struct flame_writer writer = {0};
        options.clock = cases[i].clock;
        assert_int_equal(flame_render_svg(tree, &options, &writer), 0);
        assert_true(occurrences(&writer, cases[i].total) >= 1);
        assert_true(occurrences(&writer, cases[i].said) >= 1);
        flame_writer_free(&writer);
        flame_tree_free(tree);
    }
}

static void test_what_is_said_of_all_threads(void **state)
{
    static const char *const said[] = {
        "1.500 s watched, 2.500 s of all threads together, CPU time",
        " · 1 threads or greenlets not watched · 250.0 ms idle, left out",
        "Only 12 samples: too few to trust the shares. Watch for longer.",
        "The profile reached its time limit.",
    };
    const struct flame_quality quality = {.interval_ns = 10000000,
                                          .everybody = true,
                                          .duration_ns = 1500000000,
                                          .beside_ns = 2500000000,
                                          .unwatched = 1,
                                          .idle_ns = 250000000,
                                          .samples = 12,
                                          .deadline_reached = true};
    struct flame_picture_options options = *example_options();
    struct flame_tree *tree =
        flame_tree_from_profile(example_profile(), FLAME_CLOCK_WALL);
    struct flame_writer writer = {0};
    (void)state;

    options.quality = &quality;
    assert_int_equal(flame_render_svg(tree, &options, &writer), 0);
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        assert_true(occurrences(&writer, said[i]) >= 1);
    }
    assert_int_equal(occurrences(&writer, "ran on after it"), 0);
    flame_writer_free(&writer);
    flame_tree_free(tree);
}

static void test_svg_hostile_text(void **state)
{
    static const char hostile[] =
        "</text><script>alert(1)</script> (]]></script><script>x.py:1);"
        "<![CDATA[;__proto__;constructor;\" onload=\"x;&#x0;&amp;;\x80\xff\xed\xa0\x80"
        ";\xe2\x80\xaegnp;a\x01\x1b[31m;--><!--;%s%n;${x} 5\n";
    const struct flame_picture_options options = {
        .title = flame_slice_of("</title><script>1</script>"),
        .subtitle = flame_slice_of("\"><script>2</script>"),
        .warning = flame_slice_of("]]><script>3</script>\x80"),
    };
    struct flame_writer writer = {0};
    (void)state;

    render_text(hostile, FLAME_UNIT_SAMPLES, &options, &writer);
    assert_int_equal(occurrences(&writer, "<script"), 2);
    assert_int_equal(occurrences(&writer, "</script"), 2);
    assert_int_equal(occurrences(&writer, "<style"), 1);
    assert_int_equal(occurrences(&writer, "<![CDATA["), 2);
    assert_int_equal(occurrences(&writer, "]]>"), 2);
    assert_int_equal(occurrences(&writer, "onload=\""), 0);
    for (size_t i = 0; i < writer.length; i++) {
        assert_true((unsigned char)writer.data[i] >= 0x20 || writer.data[i] == '\n');
    }
    flame_writer_free(&writer);
}

static void test_svg_deep_stacks_are_capped(void **state)
{
    struct flame_writer text = {0};
    struct flame_writer writer = {0};
    const struct flame_picture_options options = {0};
    (void)state;

    for (int i = 0; i < 1000000; i++) {
        flame_write_text(&text, i == 0 ? "f" : ";f");
    }
    flame_write_bytes(&text, " 7\n", 4);
    render_text(text.data, FLAME_UNIT_SAMPLES, &options, &writer);
    assert_int_equal(occurrences(&writer, "<rect"), FLAME_SVG_ROWS + 1);
    assert_int_equal(
        occurrences(&writer, ">998,501 frames stand deeper than the 1,500 rows drawn<"),
        1);
    assert_true(writer.length < 12000000);
    flame_writer_free(&text);
    flame_writer_free(&writer);
}

/* 20,000 leaves of which none is half a pixel wide: one mark drawn, all in the data. */
static void test_svg_culls(void **state)
{
    struct flame_writer text = {0};
    struct flame_writer writer = {0};
    const struct flame_picture_options options = {0};
    char line[32];
    (void)state;

    for (int i = 0; i < 20000; i++) {
        snprintf(line, sizeof line, "f;g%d 3\n", i);
        flame_write_text(&text, line);
    }
    flame_write_bytes(&text, "", 1);
    render_text(text.data, FLAME_UNIT_SAMPLES, &options, &writer);
    assert_int_equal(occurrences(&writer, "<rect"), 4);
    assert_int_equal(occurrences(&writer, "<rect class=\"narrow\" x=\"0\""), 1);
    assert_int_equal(occurrences(&writer, "\"g19999\""), 1);
    assert_int_equal(occurrences(&writer, "20,000 frames too narrow to draw "
                                          "(pale), 100.00 % of the width"),
                     1);
    flame_writer_free(&text);
    flame_writer_free(&writer);
}

static void test_svg_of_huge_weights(void **state)
{
    struct flame_writer writer = {0};
    const struct flame_picture_options options = {0};
    (void)state;

    render_text("a;b 9223372036854775807\na;c 9223372036854775807\n",
                FLAME_UNIT_SAMPLES, &options, &writer);
    assert_int_equal(occurrences(&writer, "9,223,372,036,854,775,807, 50.00 %;"), 2);
    assert_int_equal(occurrences(&writer, ",\"9223372036854775807\""), 2);
    assert_int_equal(occurrences(&writer, "x=\"584\" y="), 1);
    flame_writer_free(&writer);
}

/* ---- text that is cut to fit ------------------------------------------------- */

static void test_cut_text_fits(void **state)
{
    static const char *const texts[] = {
        "QuerySet._fetch_all", "größer_als_世界_und_mehr", "\x01\x02\x80\x81 control",
        "iiiiiiii", "WWWWWW"};
    struct flame_writer writer = {0};
    (void)state;

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct flame_slice text = flame_slice_of(texts[i]);
        for (uint64_t width = 0; width < 30000; width += 37) {
            size_t fits = flame_text_fit(text, 11, width);
            writer.length = 0;
            flame_write_bytes(&writer, text.data, fits);
            if (fits != 0 && fits < text.length) {
                flame_write_text(&writer, "...");
            }
            assert_true(flame_text_width(flame_writer_slice(&writer), 11) <= width);
            if (flame_text_width(text, 11) <= width) {
                assert_int_equal(fits, text.length);
            }
        }
    }
    flame_writer_free(&writer);
}

/* ---- names of formats -------------------------------------------------------- */

static void test_formats(void **state)
{
    enum flame_format format = FLAME_FORMAT_SVG;
    (void)state;

    assert_int_equal(flame_format_from_name(flame_slice_of("folded"), &format), 0);
    assert_int_equal(format, FLAME_FORMAT_FOLDED);
    assert_int_equal(flame_format_from_name(flame_slice_of("png"), &format), 0);
    assert_string_equal(flame_format_content_type(format), "image/png");
    assert_int_equal(flame_format_from_name(flame_slice_of("SVG"), &format), -EINVAL);
    assert_int_equal(flame_format_from_name(flame_slice_of(""), &format), -EINVAL);
    assert_int_equal(flame_format_from_name(flame_slice_of("svgz"), &format), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folded_golden),
        cmocka_unit_test(test_folded_round_trip),
        cmocka_unit_test(test_folded_without_a_name),
        cmocka_unit_test(test_folded_carries_remainders),
        cmocka_unit_test(test_limit_is_kept),
        cmocka_unit_test(test_svg_golden),
        cmocka_unit_test(test_svg_of_nothing_says_so),
        cmocka_unit_test(test_every_clock_says_which_it_is),
        cmocka_unit_test(test_what_is_said_of_all_threads),
        cmocka_unit_test(test_svg_hostile_text),
        cmocka_unit_test(test_svg_deep_stacks_are_capped),
        cmocka_unit_test(test_svg_culls),
        cmocka_unit_test(test_svg_of_huge_weights),
        cmocka_unit_test(test_cut_text_fits),
        cmocka_unit_test(test_formats),
    };

    return cmocka_run_group_tests_name("formats", tests, NULL, NULL);
}
