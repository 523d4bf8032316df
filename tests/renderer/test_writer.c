/* The growing buffer, numbers as text, and the one way out for foreign text. */
#include "tests/renderer/support.h"

#include "renderer/formats/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void test_error_is_sticky(void **state)
{
    struct flame_writer writer = {.limit = 10};
    (void)state;

    flame_write_text(&writer, "12345678");
    flame_write_text(&writer, "9012");
    assert_int_equal(writer.error, -E2BIG);
    flame_write_text(&writer, "9");
    assert_int_equal(writer.error, -E2BIG);
    assert_int_equal(writer.length, 8);
    flame_writer_free(&writer);
    assert_int_equal(writer.error, 0);
    assert_int_equal(writer.limit, 10);
}

static void test_take_hands_over(void **state)
{
    struct flame_writer writer = {0};
    size_t length;
    (void)state;

    flame_write_text(&writer, "flame");
    char *data = flame_writer_take(&writer, &length);
    assert_int_equal(length, 5);
    assert_memory_equal(data, "flame", 5);
    assert_null(writer.data);
    free(data);
}

static void test_numbers(void **state)
{
    struct flame_writer writer = {0};
    (void)state;

    flame_write_unsigned(&writer, 0);
    assert_written(&writer, "0");
    flame_write_unsigned(&writer, UINT64_MAX);
    assert_written(&writer, "18446744073709551615");
    flame_write_grouped(&writer, UINT64_MAX);
    assert_written(&writer, "18,446,744,073,709,551,615");
    flame_write_grouped(&writer, 999);
    assert_written(&writer, "999");
    flame_write_hundredths(&writer, 1205);
    assert_written(&writer, "12.05");
    flame_write_hundredths(&writer, 1250);
    assert_written(&writer, "12.5");
    flame_write_hundredths(&writer, 1200);
    assert_written(&writer, "12");
    flame_writer_free(&writer);
}

/* Where the number of digits changes. */
static void test_every_length(void **state)
{
    struct flame_writer writer = {0};
    char expected[32];
    (void)state;

    for (uint64_t power = 1; power <= UINT64_MAX / 10; power *= 10) {
        for (uint64_t value = power * 10 - 2; value < power * 10 + 2; value++) {
            snprintf(expected, sizeof expected, "%llu", (unsigned long long)value);
            flame_write_unsigned(&writer, value);
            assert_written(&writer, expected);
        }
    }
    flame_writer_free(&writer);
}

/* More than is gathered at once, and what no double holds. */
static void test_list(void **state)
{
    struct flame_writer writer = {0};
    struct flame_writer expected = {0};
    struct flame_json_list list;
    (void)state;

    flame_json_list_start(&list, &writer, 3);
    flame_json_list_end(&list);
    assert_int_equal(writer.length, 0);
    flame_json_list_start(&list, &writer, 3);
    for (uint64_t i = 0; i < 3000; i++) {
        flame_write_text(&expected, i == 0 ? "" : i % 3 == 0 ? ",\n" : ",");
        flame_json_number(&expected, i % 2 == 0 ? i : UINT64_MAX - i);
        flame_json_list_add(&list, i % 2 == 0 ? i : UINT64_MAX - i);
    }
    flame_json_list_end(&list);
    flame_write_bytes(&expected, "", 1);
    assert_written(&writer, expected.data);
    flame_writer_free(&writer);
    flame_writer_free(&expected);
}

/* A list errs where any bytes would: neither sooner nor later. */
static void test_list_at_its_limit(void **state)
{
    (void)state;

    for (size_t limit = 1; limit < 40; limit++) {
        struct flame_writer writer = {.limit = limit};
        struct flame_json_list list;
        flame_json_list_start(&list, &writer, 4);
        for (uint64_t i = 10; i < 20; i++) {
            flame_json_list_add(&list, i);
        }
        flame_json_list_end(&list);
        /* ten numbers, nine commas, two lines' ends */
        assert_int_equal(writer.error, limit < 31 ? -E2BIG : 0);
        assert_int_equal(writer.length, limit < 31 ? writer.length : 31);
        flame_writer_free(&writer);
    }
}

static void test_percent(void **state)
{
    struct flame_writer writer = {0};
    (void)state;

    flame_write_percent(&writer, 1, 3);
    assert_written(&writer, "33.33 %");
    flame_write_percent(&writer, UINT64_MAX, UINT64_MAX);
    assert_written(&writer, "100.00 %");
    flame_write_percent(&writer, UINT64_MAX / 2, UINT64_MAX);
    assert_written(&writer, "50.00 %");
    flame_write_percent(&writer, 0, 0);
    assert_written(&writer, "0.00 %");
    flame_writer_free(&writer);
}

static void test_duration(void **state)
{
    static const struct {
        uint64_t nanoseconds;
        const char *text;
    } cases[] = {
        {0, "0 ns"},
        {999, "999 ns"},
        {1000, "1.000 µs"},
        {1234567, "1.235 ms"},
        {12345678, "12.35 ms"},
        {250000000, "250.0 ms"},
        {1500000000, "1.500 s"},
        {UINT64_C(3600000000000), "3,600.0 s"},
        {UINT64_MAX, "18,446,744,073.7 s"},
    };
    struct flame_writer writer = {0};
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        flame_write_duration(&writer, cases[i].nanoseconds);
        assert_written(&writer, cases[i].text);
    }
    flame_writer_free(&writer);
}

struct escape_case {
    const char *text;
    const char *xml, *json, *folded;
};

static void test_escapes(void **state)
{
    static const struct escape_case cases[] = {
        {"plain", "plain", "plain", "plain"},
        {"<a&b>\"'", "&lt;a&amp;b&gt;&quot;&#39;", "\\u003ca\\u0026b\\u003e\\\"'",
         "<a&b>\"'"},
        {"a;b\\c", "a;b\\c", "a;b\\\\c", "a\\x3bb\\x5cc"},
        {"tab\there", "tab here", "tab\\there", "tab\\x09here"},
        {"nl\ncr\r\x1b\x7f", "nl\\x0acr\\x0d\\x1b\\x7f",
         "nl\\\\x0acr\\\\x0d\\\\x1b\\\\x7f", "nl\\x0acr\\x0d\\x1b\\x7f"},
        {"größe 世界 \xf0\x9f\x94\xa5", "größe 世界 \xf0\x9f\x94\xa5",
         "größe 世界 \xf0\x9f\x94\xa5", "größe 世界 \xf0\x9f\x94\xa5"},
        /* C1, bidirectional override, line separator, non-character */
        {"\xc2\x85\xe2\x80\xae\xe2\x80\xa8\xef\xbf\xbe", "\\u0085\\u202e\\u2028\\ufffe",
         "\\\\u0085\\\\u202e\\\\u2028\\\\ufffe", "\\u0085\\u202e\\u2028\\ufffe"},
        /* a lone surrogate as a profile spells it */
        {"\xed\xb2\x80", "\\udc80", "\\\\udc80", "\\udc80"},
        /* not UTF-8: stray, overlong, too large, cut off */
        {"\x80", "\\x80", "\\\\x80", "\\x80"},
        {"\xc0\xaf", "\\xc0\\xaf", "\\\\xc0\\\\xaf", "\\xc0\\xaf"},
        {"\xe0\x80\x80", "\\xe0\\x80\\x80", "\\\\xe0\\\\x80\\\\x80", "\\xe0\\x80\\x80"},
        {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80", "\\\\xf4\\\\x90\\\\x80\\\\x80",
         "\\xf4\\x90\\x80\\x80"},
        {"a\xe2\x82", "a\\xe2\\x82", "a\\\\xe2\\\\x82", "a\\xe2\\x82"},
        {"]]></script>", "]]&gt;&lt;/script&gt;", "]]\\u003e\\u003c/script\\u003e",
         "]]></script>"},
    };
    struct flame_writer writer = {0};
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct flame_slice text = flame_slice_of(cases[i].text);
        flame_write_escaped(&writer, text, FLAME_ESCAPE_XML);
        assert_written(&writer, cases[i].xml);
        flame_write_escaped(&writer, text, FLAME_ESCAPE_JSON);
        assert_written(&writer, cases[i].json);
        flame_write_escaped(&writer, text, FLAME_ESCAPE_FOLDED);
        assert_written(&writer, cases[i].folded);
    }
    flame_writer_free(&writer);
}

/* Every byte, and every pair of bytes: what comes out is ASCII or was UTF-8. */
static void test_every_pair_of_bytes(void **state)
{
    struct flame_writer writer = {0};
    (void)state;

    for (unsigned pair = 0; pair < 65536; pair++) {
        char bytes[2] = {(char)(pair >> 8), (char)(pair & 255)};
        bool two = (pair >> 8) >= 0xc2 && (pair >> 8) <= 0xdf && (pair & 0xc0) == 0x80;
        flame_write_escaped(&writer, (struct flame_slice){bytes, 2}, FLAME_ESCAPE_XML);
        for (size_t i = 0; i < writer.length; i++) {
            unsigned char c = (unsigned char)writer.data[i];
            if (c < 0x20 || c == 0x7f || (c >= 0x80 && !two)) {
                fail_msg("%04x comes out with byte %02x", pair, c);
            }
        }
        writer.length = 0;
    }
    assert_int_equal(writer.error, 0);
    flame_writer_free(&writer);
}

/* No read beyond the end: ASan watches a block of exactly the length. */
static void test_cut_off_sequences(void **state)
{
    static const char whole[] = "\xf0\x9f\x94\xa5";
    struct flame_writer writer = {0};
    (void)state;

    for (size_t length = 1; length < 4; length++) {
        char *block = malloc(length);
        memcpy(block, whole, length);
        flame_write_escaped(&writer, (struct flame_slice){block, length},
                            FLAME_ESCAPE_XML);
        assert_int_equal(writer.length, 4 * length);
        writer.length = 0;
        free(block);
    }
    flame_writer_free(&writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_is_sticky),
        cmocka_unit_test(test_take_hands_over),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_every_length),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_list_at_its_limit),
        cmocka_unit_test(test_percent),
        cmocka_unit_test(test_duration),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_every_pair_of_bytes),
        cmocka_unit_test(test_cut_off_sequences),
    };

    return cmocka_run_group_tests_name("writer", tests, NULL, NULL);
}
