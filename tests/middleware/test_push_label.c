/* Where profiles are pushed to, and under which labels: tables, under sanitizers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "middleware/push/push_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* At the end of its memory, so that a sanitizer sees what reads on. */
static struct flame_slice exactly(const char *text)
{
    size_t length = strlen(text);
    char *copy = malloc(length + (length == 0));

    memcpy(copy, text, length);
    return (struct flame_slice){copy, length};
}

static void give_back(struct flame_slice slice)
{
    free((void *)(uintptr_t)slice.data);
}

static void patterns(void **state)
{
    static const char *const cases[][2] = {
        {"", ""},
        {"/", "/"},
        {"//", "//"},
        {"/shop/41/", "/shop/:id/"},
        {"/shop/41?page=2/3", "/shop/:id"},
        {"?a=1", ""},
        {"/api/v2/users", "/api/v2/users"},
        {"/42", "/:id"},
        {"/order-12345.html", "/order-:id.html"},
        {"/2023/10/01/news", "/:id/:id/:id/news"},
        {"/deadbeef", "/deadbeef"}, /* a word may be */
        {"/deadbee1", "/:id"},
        {"/5F0C2ab93e", "/:id"},
        {"/123e4567-e89b-12d3-a456-426614174000/x", "/:id/x"},
        {"/reset/c5x9qk-0a1b2c3d4e5f6071", "/reset/:id"},
        {"/about-our-company-and-team", "/about-our-company-and-team"},
        {"/a,b={c}\"\\d", "/a_b__c___d"},
        {"/\xc3\xa9\x01 \x7f", "/_____"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[FLAME_PUSH_LABEL_MAX + 1];
        struct flame_slice path = exactly(cases[i][0]);
        flame_push_pattern(path, out);
        assert_string_equal(out, cases[i][1]);
        give_back(path);
    }
}

static void a_long_path_is_cut(void **state)
{
    char path[5000];
    char out[FLAME_PUSH_LABEL_MAX + 1];
    (void)state;

    for (size_t begin = 0; begin < 4; begin++) {
        memset(path, 'a', sizeof path);
        for (size_t i = begin; i < sizeof path; i += 4) {
            path[i] = '/';
            path[i + (i + 1 < sizeof path)] = '7';
        }
        flame_push_pattern((struct flame_slice){path, sizeof path}, out);
        assert_int_equal(strlen(out), FLAME_PUSH_LABEL_MAX);
    }
}

static void urls(void **state)
{
    static const struct {
        const char *url;
        const char *kept; /* NULL: it is refused */
        const char *user;
    } cases[] = {
        {"http://localhost:4040", "http://localhost:4040", NULL},
        {"https://profiles.example/base///", "https://profiles.example/base", NULL},
        {"HTTPS://h", "HTTPS://h", NULL},
        {"https://ann:p%40s%3As@h:1/x", "https://h:1/x", "ann:p@s:s"},
        {"https://ann:a@b@h", "https://h", "ann:a@b"},
        {"http://h/p@q", "http://h/p@q", NULL},
        {"http://[::1]:4040", "http://[::1]:4040", NULL},
        {"http://a:b%4@h", "http://h", "a:b%4"},
        {"", NULL, NULL},
        {"http://", NULL, NULL},
        {"http:///", NULL, NULL},
        {"http:///path", NULL, NULL},
        {"http://a:b@", NULL, NULL},
        {"http://a:b@/x", NULL, NULL},
        {"http://:80", NULL, NULL},
        {"ftp://h", NULL, NULL},
        {"localhost:4040", NULL, NULL},
        {"http://h/?x", NULL, NULL},
        {"http://h#x", NULL, NULL},
        {"http://h h", NULL, NULL},
        {"http://h\n", NULL, NULL},
        {"http://h\\x", NULL, NULL},
        {"http://\xc3\xa9", NULL, NULL},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct flame_push_target target = {NULL, NULL, NULL, NULL};
        struct flame_slice url = exactly(cases[i].url);
        int error = flame_push_set_url(&target, url);
        assert_int_equal(error, cases[i].kept == NULL ? -EINVAL : 0);
        if (error == 0) {
            assert_string_equal(target.url, cases[i].kept);
            assert_string_equal(target.user != NULL ? target.user : "",
                                cases[i].user != NULL ? cases[i].user : "");
        } else {
            assert_null(target.url);
        }
        give_back(url);
        flame_push_target_free(&target);
    }
}

static void services(void **state)
{
    static const char *const good[] = {"a", "shop/web-1.eu_2"};
    static const char *const bad[] = {"", "a b", "a{b}", "a,b", "\xc3\xa9", "a\n"};
    struct flame_push_target target = {NULL, NULL, NULL, NULL};
    char with_nul[] = "a\0b";
    (void)state;

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(flame_push_set_service(&target, flame_slice_of(good[i])), 0);
        assert_string_equal(target.service, good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(flame_push_set_service(&target, flame_slice_of(bad[i])),
                         -EINVAL);
    }
    assert_int_equal(flame_push_set_service(&target, (struct flame_slice){with_nul, 3}),
                     -EINVAL);
    flame_push_target_free(&target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns),
        cmocka_unit_test(a_long_path_is_cut),
        cmocka_unit_test(urls),
        cmocka_unit_test(services),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
