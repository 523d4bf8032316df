/* What is told of a profile's functions and files, and what is not. */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#define SLICE(text)            \
    {                          \
        text, sizeof(text) - 1 \
    }
#define CODE(name, file, line)         \
    {                                  \
        SLICE(name), SLICE(file), line \
    }

static const struct flame_root ROOTS[] = {
    {SLICE("/srv/shop"), false},
    {SLICE("/srv/shop/lib"), false},
    {SLICE("/usr/lib/python3.11"), true},
    {SLICE("/opt/tools"), false},
};
static const struct flame_names SHORT = {.roots = ROOTS, .root_count = 4};

/* A stack of these, each a millisecond of its own. */
static struct flame_tree *tree_of(const struct flame_code *codes, uint32_t count,
                                  const struct flame_names *names)
{
    struct flame_node nodes[32] = {{.parent = 0}};
    struct flame_profile profile = {.nodes = nodes,
                                    .node_count = count + 1,
                                    .codes = codes,
                                    .code_count = count,
                                    .names = names};

    for (uint32_t i = 0; i < count; i++) {
        nodes[i + 1] = (struct flame_node){
            .parent = i, .code = i, .wall_ns = {1000000}, .samples = 1};
    }
    struct flame_tree *tree = flame_tree_from_profile(&profile, FLAME_CLOCK_WALL);
    assert_non_null(tree);
    return tree;
}

static const struct flame_function *at(const struct flame_tree *tree, uint32_t depth)
{
    return &tree->functions[tree->places[depth].function];
}

static void assert_slice(struct flame_slice slice, const char *expected)
{
    if (!flame_slice_is(slice, expected)) {
        fail_msg("\"%.*s\" is not \"%s\"", (int)slice.length, slice.data, expected);
    }
}

struct case_of_path {
    const char *path;
    const char *told;
    enum flame_origin origin;
};

static void test_paths(void **state)
{
    static const struct case_of_path cases[] = {
        {"/srv/shop/views.py", "views.py", FLAME_ORIGIN_APPLICATION},
        {"/srv/shop/lib/extra/pay.py", "extra/pay.py", FLAME_ORIGIN_APPLICATION},
        {"/srv/shop//views.py", "views.py", FLAME_ORIGIN_APPLICATION},
        {"/srv/shopping/views.py", "…/views.py", FLAME_ORIGIN_APPLICATION},
        {"/usr/lib/python3.11/threading.py", "<stdlib>/threading.py",
         FLAME_ORIGIN_STANDARD},
        {"/usr/lib/python3.11/json/decoder.py", "<stdlib>/json/decoder.py",
         FLAME_ORIGIN_STANDARD},
        {"/usr/lib/python3/dist-packages/django/core/handlers/base.py",
         "django/core/handlers/base.py", FLAME_ORIGIN_LIBRARY},
        {"/srv/shop/.venv/lib/python3.11/site-packages/flask/app.py", "flask/app.py",
         FLAME_ORIGIN_LIBRARY},
        {"/opt/python/lib/python3.13t/ssl.py", "<stdlib>/ssl.py",
         FLAME_ORIGIN_STANDARD},
        {"/people/alice/run.py", "…/run.py", FLAME_ORIGIN_APPLICATION},
        {"/people/alice/jobs/run.py", "…/jobs/run.py", FLAME_ORIGIN_APPLICATION},
        {"/people/alice/jobs/nightly/run.py", "…/nightly/run.py",
         FLAME_ORIGIN_APPLICATION},
        {"/run.py", "…/run.py", FLAME_ORIGIN_APPLICATION},
        {"views.py", "views.py", FLAME_ORIGIN_APPLICATION},
        {"./shop/views.py", "shop/views.py", FLAME_ORIGIN_APPLICATION},
        {"../secret/views.py", "…/views.py", FLAME_ORIGIN_APPLICATION},
        {"/srv/shop/../secret/views.py", "…/views.py", FLAME_ORIGIN_APPLICATION},
        {"file:///people/alice/run.py", "…/run.py", FLAME_ORIGIN_APPLICATION},
        {"<string>", "<string>", FLAME_ORIGIN_APPLICATION},
        {"<frozen importlib._bootstrap>", "<frozen importlib._bootstrap>",
         FLAME_ORIGIN_STANDARD},
        {"<template /srv/secret/page.html>", "<…/page.html>", FLAME_ORIGIN_APPLICATION},
        {"/srv/shop/[1]/six.py", "./[1]/six.py", FLAME_ORIGIN_APPLICATION},
        {"/srv/shop/<stdlib>/six.py", "./<stdlib>/six.py", FLAME_ORIGIN_APPLICATION},
        {"/srv/shop/…/six.py", "./…/six.py", FLAME_ORIGIN_APPLICATION},
        {"/", "…/", FLAME_ORIGIN_APPLICATION},
        {"/srv/shop/", "…/", FLAME_ORIGIN_APPLICATION},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct flame_code code = {
            SLICE("f"), {cases[i].path, strlen(cases[i].path)}, 7};
        struct flame_tree *tree = tree_of(&code, 1, &SHORT);
        assert_slice(at(tree, 1)->file, cases[i].told);
        assert_int_equal(at(tree, 1)->origin, cases[i].origin);
        assert_int_equal(at(tree, 1)->line, 7);
        flame_tree_free(tree);
    }
}

static void test_a_call_into_c_stays_one(void **state)
{
    static const struct flame_code code = CODE("zlib.compress(…)", "/srv/shop/a.py", 3);
    struct flame_tree *tree = tree_of(&code, 1, &SHORT);
    (void)state;

    assert_int_equal(at(tree, 1)->origin, FLAME_ORIGIN_C);
    assert_slice(at(tree, 1)->file, "a.py");
    flame_tree_free(tree);
}

static void test_no_two_files_become_one(void **state)
{
    static const struct flame_code codes[] = {
        CODE("f", "/srv/shop/six.py", 1),
        CODE("f", "/usr/lib/python3/dist-packages/six.py", 1),
        CODE("f", "/opt/tools/six.py", 1),
        CODE("g", "/srv/shop/six.py", 1),
        CODE("f", "/people/b/six.py", 1),
        CODE("f", "/people/a/six.py", 1),
    };
    static const char *const told[] = {"[2]/six.py", "[3]/six.py",   "[1]/six.py",
                                       "[2]/six.py", "[2]/…/six.py", "[1]/…/six.py"};
    struct flame_tree *tree = tree_of(codes, 6, &SHORT);
    (void)state;

    assert_int_equal(tree->function_count, 7);
    for (uint32_t i = 0; i < 6; i++) {
        assert_slice(at(tree, i + 1)->file, told[i]);
    }
    flame_tree_free(tree);
}

static void test_full_paths(void **state)
{
    static const struct flame_names names = {.full_paths = true};
    static const struct flame_code codes[] = {CODE("f", "/srv/shop/six.py", 1)};
    struct flame_tree *tree = tree_of(codes, 1, &names);
    (void)state;

    assert_slice(at(tree, 1)->file, "/srv/shop/six.py");
    flame_tree_free(tree);
    tree = tree_of(codes, 1, NULL);
    assert_slice(at(tree, 1)->file, "/srv/shop/six.py");
    flame_tree_free(tree);
}

static const struct flame_code STACK[] = {
    CODE("[application]", "", 0),
    CODE("view", "/srv/shop/views.py", 1),
    CODE("Card.charge", "/srv/shop/billing/card.py", 2),
    CODE("Card.charge.<locals>.<lambda>", "/srv/shop/billing/card.py", 3),
    CODE("bank.send(…)", "/srv/shop/billing/card.py", 4),
    CODE("render", "/srv/shop/billing.py", 5),
    CODE("recharge", "/srv/shop/views.py", 6),
};

static void assert_stack(const char *const *redact, const char *expected)
{
    const struct flame_names names = {
        .roots = ROOTS, .root_count = 4, .redact = redact};
    struct flame_tree *tree = tree_of(STACK, 7, &names);
    struct flame_writer writer = {0};
    uint64_t whole = tree->places[0].total;

    for (uint32_t i = 1; i < tree->place_count; i++) {
        flame_write_bytes(&writer, at(tree, i)->name.data, at(tree, i)->name.length);
        flame_write_text(&writer, " ");
    }
    assert_written(&writer, expected);
    flame_writer_free(&writer);
    assert_int_equal(whole, 7000000);
    flame_tree_free(tree);
}

static void test_redact(void **state)
{
    static const char *const function[] = {"charge", NULL};
    static const char *const in_file[] = {"charge (billing/card.py)", NULL};
    static const char *const other_file[] = {"charge (views.py)", NULL};
    static const char *const folder[] = {"* (billing/)", NULL};
    static const char *const whole_path[] = {"* (srv/shop/billing/)", NULL};
    static const char *const two[] = {"view", "* (billing.py)", NULL};
    static const char *const all[] = {"*", NULL};
    const char *hidden = "[application] view [redacted] render recharge ";
    const char *shown = "[application] view Card.charge Card.charge.<locals>.<lambda> "
                        "bank.send(…) render recharge ";
    (void)state;

    assert_stack(NULL, shown);
    assert_stack(function, hidden);
    assert_stack(in_file, hidden);
    assert_stack(other_file, shown);
    assert_stack(folder, hidden);
    assert_stack(whole_path, hidden);
    assert_stack(two,
                 "[application] [redacted] Card.charge "
                 "Card.charge.<locals>.<lambda> bank.send(…) [redacted] recharge ");
    assert_stack(all, "[application] [redacted] ");
}

/* Nothing of what is hidden, and no folder, is in what any format writes. */
static void test_no_format_tells(void **state)
{
    static const char *const redact[] = {"* (billing/)", NULL};
    static const struct flame_names names = {
        .roots = ROOTS, .root_count = 4, .redact = redact};
    static const enum flame_format formats[] = {
        FLAME_FORMAT_SVG,  FLAME_FORMAT_HTML,  FLAME_FORMAT_FOLDED,
        FLAME_FORMAT_JSON, FLAME_FORMAT_GECKO, FLAME_FORMAT_SPEEDSCOPE};
    struct flame_tree *tree = tree_of(STACK, 7, &names);
    (void)state;

    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        struct flame_picture_options options = {0};
        struct flame_writer writer = {0};
        assert_int_equal(flame_render(formats[i], tree, &options, &writer), 0);
        assert_int_equal(occurrences(&writer, "/srv"), 0);
        assert_int_equal(occurrences(&writer, "charge"),
                         1 * occurrences(&writer, "recharge"));
        assert_int_equal(occurrences(&writer, "card.py"), 0);
        assert_int_equal(occurrences(&writer, "bank"), 0);
        assert_true(occurrences(&writer, "[redacted]") > 0);
        flame_writer_free(&writer);
    }
    flame_tree_free(tree);
}

/* Where code comes from, which short paths do not say, is in what can be read again. */
static void test_origins_are_kept(void **state)
{
    static const struct flame_code codes[] = {
        CODE("get", "/usr/lib/python3/dist-packages/django/views.py", 1),
        CODE("run", "/usr/lib/python3.11/threading.py", 2),
        CODE("view", "/srv/shop/views.py", 3),
        CODE("x.send(…)", "/srv/shop/views.py", 4),
    };
    static const enum flame_origin origins[] = {
        FLAME_ORIGIN_LIBRARY, FLAME_ORIGIN_STANDARD, FLAME_ORIGIN_APPLICATION,
        FLAME_ORIGIN_C};
    static const enum flame_format formats[] = {FLAME_FORMAT_JSON, FLAME_FORMAT_PPROF};
    struct flame_tree *tree = tree_of(codes, 4, &SHORT);
    (void)state;

    for (size_t i = 0; i < 2; i++) {
        struct flame_picture_options options = {0};
        struct flame_writer writer = {0};
        struct flame_document document;
        assert_int_equal(flame_render(formats[i], tree, &options, &writer), 0);
        struct flame_reader *reader = flame_reader_new(FLAME_UNIT_SAMPLES);
        assert_int_equal(flame_reader_feed(reader, writer.data, writer.length), 0);
        assert_int_equal(flame_reader_finish(reader, &document), 0);
        for (uint32_t depth = 1; depth <= 4; depth++) {
            assert_int_equal(at(document.tree, depth)->origin, origins[depth - 1]);
        }
        flame_document_free(&document);
        flame_writer_free(&writer);
    }
    flame_tree_free(tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_a_call_into_c_stays_one),
        cmocka_unit_test(test_no_two_files_become_one),
        cmocka_unit_test(test_full_paths),
        cmocka_unit_test(test_redact),
        cmocka_unit_test(test_no_format_tells),
        cmocka_unit_test(test_origins_are_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
