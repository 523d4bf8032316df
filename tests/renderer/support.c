#include "tests/renderer/support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define GOLDEN "tests/renderer/golden/"
#define ACTUAL "build/golden/"

#define SLICE(text)            \
    {                          \
        text, sizeof(text) - 1 \
    }

static const struct flame_code CODES[] = {
    {SLICE("application"), SLICE("/srv/shop/wsgi.py"), 12},
    {SLICE("ProductList.get"), SLICE("/srv/shop/views.py"), 40},
    {SLICE("QuerySet._fetch_all"), SLICE("/usr/lib/django/db/models/query.py"), 1878},
    {SLICE("Template.render"), SLICE("/usr/lib/django/template/base.py"), 161},
    {SLICE("<listcomp>"), SLICE("/srv/shop/views.py"), 47},
    {SLICE("größer_als_世界"), SLICE("/srv/shop/été.py"), 3},
    {SLICE("[overflow]"), SLICE(""), 0},
    {SLICE("</script><script>alert('&\"')</script>]]>"), SLICE("a;b\\c\x01.py"), 7},
};

static const struct flame_node NODES[] = {
    {0, 0, {4000000}, 4000000, 4},
    {0, 0, {1000000}, 1000000, 1},
    {1, 1, {20000000}, 20000000, 20},
    {2, 2, {100000000, 20000000, 375000000, 5000000}, 110000000, 500},
    {2, 3, {250000000}, 250000000, 249},
    {4, 4, {300000000}, 300000000, 300},
    {4, 5, {123456789}, 123456789, 124},
    {4, 3, {100000000}, 100000000, 100},
    {5, 6, {50000000}, 50000000, 50},
    {2, 7, {150000000}, 150000000, 150},
    {7, 2, {1000}, 1000, 1},
    {7, 4, {1300}, 1300, 1},
    {1, 2, {1540911}, 1540911, 2},
};

static const struct flame_stretch STRETCHES[] = {
    {3, 120000}, {5, 50000}, {3, 80000}, {6, 250000}, {4, 1000}, {3, 99000},
};

const struct flame_profile *example_profile(void)
{
    static const struct flame_profile profile = {
        .nodes = NODES,
        .node_count = sizeof NODES / sizeof *NODES,
        .codes = CODES,
        .code_count = sizeof CODES / sizeof *CODES,
        .stretches = STRETCHES,
        .stretch_count = sizeof STRETCHES / sizeof *STRETCHES,
        .quality = {.interval_ns = 1000000,
                    .duration_ns = 1500000000,
                    .cpu_ns = 1110000000,
                    .gil_wait_known = true,
                    .runnable_known = true,
                    .samples = 1502,
                    .missed = 3,
                    .rejected = 1,
                    .cut = 2,
                    .overflow = 50,
                    .spacing_mean_ns = 1003000,
                    .spacing_deviation_ns = 98000},
    };

    return &profile;
}

const struct flame_picture_options *example_options(void)
{
    static struct flame_picture_options options = {
        .title = SLICE("GET /shop/?page=2&sort=<price>"),
        .subtitle = SLICE("status 200 · uWSGI 2.0.21 · Python 3.11.2"),
        .warning = SLICE("The application raised ValueError: 'no such page'."),
    };

    options.quality = &example_profile()->quality;
    return &options;
}

/* ---- golden files ------------------------------------------------------------ */

void append_without_assets(struct flame_writer *to, const struct flame_writer *from)
{
    const char *at = from->data;
    const char *end = from->data + from->length;

    for (;;) {
        const char *open = memmem(at, (size_t)(end - at), "<![CDATA[", 9);
        const char *close =
            open != NULL ? memmem(open, (size_t)(end - open), "]]>", 3) : NULL;
        if (close == NULL) {
            break;
        }
        flame_write_bytes(to, at, (size_t)(open + 9 - at));
        at = close;
    }
    flame_write_bytes(to, at, (size_t)(end - at));
    assert_int_equal(to->error, 0);
}

static void write_file(const char *folder, const char *name,
                       const struct flame_writer *content)
{
    char path[256];

    snprintf(path, sizeof path, "%s%s", folder, name);
    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        fail_msg("%s: %s", path, strerror(errno));
    }
    assert_int_equal(fwrite(content->data, 1, content->length, file), content->length);
    assert_int_equal(fclose(file), 0);
}

static void read_file(const char *folder, const char *name,
                      struct flame_writer *content)
{
    char path[256];
    char block[4096];
    size_t got;

    snprintf(path, sizeof path, "%s%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fail_msg("%s: %s (FLAME_BLESS=1 writes it)", path, strerror(errno));
    }
    while ((got = fread(block, 1, sizeof block, file)) > 0) {
        flame_write_bytes(content, block, got);
    }
    fclose(file);
}

void assert_golden(const char *name, const struct flame_writer *actual)
{
    struct flame_writer mine = {0};
    struct flame_writer golden = {0};
    const char *bless = getenv("FLAME_BLESS");

    append_without_assets(&mine, actual);
    if (bless != NULL && strcmp(bless, "1") == 0) {
        write_file(GOLDEN, name, &mine);
    }
    read_file(GOLDEN, name, &golden);
    if (mine.length != golden.length ||
        memcmp(mine.data, golden.data, mine.length) != 0) {
        mkdir("build", 0777);
        mkdir(ACTUAL, 0777);
        write_file(ACTUAL, name, &mine);
        fail_msg("differs: diff %s%s %s%s", GOLDEN, name, ACTUAL, name);
    }
    flame_writer_free(&mine);
    flame_writer_free(&golden);
}

/* ---- looking at what was written --------------------------------------------- */

size_t occurrences(const struct flame_writer *writer, const char *text)
{
    size_t count = 0;
    const char *at = writer->data;
    const char *end = writer->data + writer->length;

    while (at != NULL &&
           (at = memmem(at, (size_t)(end - at), text, strlen(text))) != NULL) {
        at++;
        count++;
    }
    return count;
}

void assert_written(struct flame_writer *writer, const char *expected)
{
    assert_int_equal(writer->error, 0);
    flame_write_bytes(writer, "", 1);
    assert_string_equal(writer->data, expected);
    writer->length = 0;
}

struct flame_tree *tree_from_text(const char *text, enum flame_unit unit,
                                  struct flame_ignored *ignored)
{
    struct flame_tree *tree = flame_tree_from_folded(text, strlen(text), unit, ignored);

    assert_non_null(tree);
    return tree;
}
