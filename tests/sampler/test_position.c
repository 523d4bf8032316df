/* The table of positions: every form, and tables that make no sense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sampler/position.h"

/* Instructions covered: 2, 1, 8, 3, 1, 1. First line 10. */
static const unsigned char TABLE[] = {
    0x80 | 1 << 3 | 1,  0x25,                 /* columns 8 + 2 to 15 */
    0x80 | 11 << 3 | 0, 4,    9,              /* a line on */
    0x80 | 14 << 3 | 7, 3,    0x41, 1, 6, 21, /* a line back; 65 lines long */
    0x80 | 13 << 3 | 2, 4,                    /* two lines on, no columns */
    0x80 | 15 << 3 | 0,                       /* nothing */
    0x80 | 10 << 3 | 0, 0,    1,
};

static void assert_at(uint32_t at, uint32_t line, uint32_t end_line, uint32_t column,
                      uint32_t end_column)
{
    struct flame_position found;

    assert_true(flame_position_find_sigsafe(TABLE, sizeof TABLE, 10, at, &found));
    assert_int_equal(found.line, line);
    assert_int_equal(found.end_line, end_line);
    assert_int_equal(found.column, column);
    assert_int_equal(found.end_column, end_column);
}

static void every_form(void **state)
{
    struct flame_position found;

    (void)state;
    assert_at(0, 10, 10, 10, 15);
    assert_at(1, 10, 10, 10, 15);
    assert_at(2, 11, 11, 4, 9);
    assert_at(3, 10, 75, 5, 20);
    assert_at(10, 10, 75, 5, 20);
    for (uint32_t at = 11; at < 15; at++) {
        assert_false(flame_position_find_sigsafe(TABLE, sizeof TABLE, 10, at, &found));
    }
    assert_at(15, 12, 12, 0, 1);
    assert_false(flame_position_find_sigsafe(TABLE, sizeof TABLE, 10, 16, &found));
    assert_false(
        flame_position_find_sigsafe(TABLE, sizeof TABLE, 10, UINT32_MAX, &found));
    assert_false(flame_position_find_sigsafe(NULL, 0, 10, 0, &found));
}

static void lines_alone(void **state)
{
    static const uint32_t lines[] = {10, 10, 11, 10, 10, 10, 10, 10, 10,
                                     10, 10, 12, 12, 12, 0,  12, 0};

    (void)state;
    for (uint32_t at = 0; at < sizeof lines / sizeof lines[0]; at++) {
        assert_int_equal(flame_position_line_sigsafe(TABLE, sizeof TABLE, 10, at),
                         lines[at]);
    }
}

/* Pairs of bytes: how many bytes of code, how many lines further. */
static void lines_before_3_11(void **state)
{
    static const unsigned char table[] = {4, 1, 2, 0, 2, 0x80, 6, 0xfe, 0, 5, 2, 1};

    (void)state;
    assert_int_equal(flame_position_line_310_sigsafe(table, sizeof table, 10, 0), 11);
    assert_int_equal(flame_position_line_310_sigsafe(table, sizeof table, 10, 4), 11);
    assert_int_equal(flame_position_line_310_sigsafe(table, sizeof table, 10, 6), 0);
    assert_int_equal(flame_position_line_310_sigsafe(table, sizeof table, 10, 8), 9);
    assert_int_equal(flame_position_line_310_sigsafe(table, sizeof table, 10, 14), 15);
    assert_int_equal(flame_position_line_310_sigsafe(table, sizeof table, 10, 16), 0);

    static const unsigned char older[] = {4, 1, 2, 0xfe, 0, 5, 255, 0, 3, 1, 9};
    assert_int_equal(flame_position_line_39_sigsafe(older, sizeof older, 10, 0), 10);
    assert_int_equal(flame_position_line_39_sigsafe(older, sizeof older, 10, 4), 11);
    assert_int_equal(flame_position_line_39_sigsafe(older, sizeof older, 10, 6), 14);
    assert_int_equal(flame_position_line_39_sigsafe(older, sizeof older, 10, 263), 14);
    assert_int_equal(flame_position_line_39_sigsafe(older, sizeof older, 10, 264), 15);
}

/* Exactly as large as it says: the sanitizer sees a byte too far. */
static void any_bytes(void **state)
{
    struct flame_position found;
    uint32_t random = 1;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        random = random * 1664525 + 1013904223;
        size_t size = random >> 16 & 31;
        unsigned char *table = malloc(size + 1);
        unsigned char *exact = table + 1;
        assert_non_null(table);
        for (size_t i = 0; i < size; i++) {
            random = random * 1664525 + 1013904223;
            exact[i] = (unsigned char)(random >> 24);
        }
        for (uint32_t at = 0; at < 40; at++) {
            flame_position_find_sigsafe(exact, size, 1, at, &found);
        }
        free(table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form),
        cmocka_unit_test(lines_alone),
        cmocka_unit_test(lines_before_3_11),
        cmocka_unit_test(any_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
