/* Whose request it is behind proxies: tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "middleware/access/proxies.h"

static struct flame_slice text(const char *string)
{
    return (struct flame_slice){string, string == NULL ? 0 : strlen(string)};
}

/* In memory of its own, so that a read too far is seen; the caller frees its data. */
static struct flame_slice exact(const char *string)
{
    struct flame_slice slice = text(string);
    char *copy = string == NULL ? NULL : malloc(slice.length + (slice.length == 0));

    if (copy != NULL) {
        memcpy(copy, string, slice.length);
    }
    slice.data = copy;
    return slice;
}

/* 10.0.0.0/8, 127.0.0.1 and 2001:db8:1::/48 are proxies. */
static enum flame_client find(const char *remote, const char *list,
                              const char *forwarded, struct flame_address *client)
{
    struct flame_networks trusted = {NULL, 0};
    struct flame_address address;
    struct flame_slice headers[] = {exact(list), exact(forwarded)};

    assert_int_equal(flame_networks_add(&trusted, text("10.0.0.0/8")), 0);
    assert_int_equal(flame_networks_add(&trusted, text("127.0.0.1")), 0);
    assert_int_equal(flame_networks_add(&trusted, text("2001:db8:1::/48")), 0);
    assert_true(flame_address_read(text(remote), &address));
    enum flame_client kind =
        flame_client_find(&trusted, &address, headers[0], headers[1], client);
    flame_networks_free(&trusted);
    free((char *)(uintptr_t)headers[0].data);
    free((char *)(uintptr_t)headers[1].data);
    return kind;
}

/* `expected` NULL: nobody. */
static void check(const char *list, const char *forwarded, const char *expected)
{
    struct flame_address client;
    struct flame_address right;
    enum flame_client kind = find("10.0.0.1", list, forwarded, &client);
    bool found = kind == FLAME_CLIENT_BEHIND;

    if (found != (expected != NULL) ||
        (found && (!flame_address_read(text(expected), &right) ||
                   !flame_address_is_same(&client, &right)))) {
        fail_msg("%s | %s: not %s", list == NULL ? "-" : list,
                 forwarded == NULL ? "-" : forwarded,
                 expected == NULL ? "nobody" : expected);
    }
}

static void networks_have_what_their_bits_say(void **state)
{
    static const struct {
        const char *network;
        const char *address;
        bool has;
    } cases[] = {
        {"192.0.2.128/25", "192.0.2.129", true},
        {"192.0.2.128/25", "192.0.2.127", false},
        {"192.0.2.0/24", "192.0.2.255", true},
        {"192.0.2.0/24", "192.0.3.0", false},
        {"0.0.0.0/0", "192.0.2.1", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "192.0.2.1", true},
        {"2001:db8::/33", "2001:db8:7fff::", true},
        {"192.0.2.1", "192.0.2.1", true},
        {"2001:db8::/33", "2001:db8:8000::", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct flame_networks networks = {NULL, 0};
        struct flame_address address;
        assert_int_equal(flame_networks_add(&networks, text(cases[i].network)), 0);
        assert_true(flame_address_read(text(cases[i].address), &address));
        if (flame_networks_have(&networks, &address) != cases[i].has) {
            fail_msg("%s, %s", cases[i].network, cases[i].address);
        }
        flame_networks_free(&networks);
    }
}

static void lists(void **state)
{
    static const struct {
        const char *header;
        const char *client;
    } cases[] = {
        {"192.0.2.1", "192.0.2.1"},
        {" 192.0.2.1\t", "192.0.2.1"},
        {"192.0.2.1, 10.1.2.3", "192.0.2.1"},
        {"192.0.2.1,10.1.2.3,10.9.9.9", "192.0.2.1"},
        /* what a client writes itself stands to the left */
        {"127.0.0.1, 192.0.2.1", "192.0.2.1"},
        {"10.0.0.7, 192.0.2.1, 10.1.2.3", "192.0.2.1"},
        {"nonsense, 192.0.2.1", "192.0.2.1"},
        {"\"quote, 192.0.2.1", "192.0.2.1"},
        {"unknown, 192.0.2.1", "192.0.2.1"},
        {", 192.0.2.1", "192.0.2.1"},
        {"2001:db8::7", "2001:db8::7"},
        {"2001:db8::7, 2001:db8:1::9", "2001:db8::7"},
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"192.0.2.1:4711", "192.0.2.1"},
        {"[2001:db8::7]", "2001:db8::7"},
        {"[2001:db8::7]:4711", "2001:db8::7"},
        {"", NULL},
        {" ", NULL},
        {",", NULL},
        {"192.0.2.1,", NULL},
        {"192.0.2.1, ,10.1.2.3", NULL},
        {"10.0.0.7", NULL},
        {"10.0.0.7, 10.0.0.8", NULL},
        {"192.0.2.1, unknown", NULL},
        {"192.0.2.1, unknown, 10.1.2.3", NULL},
        {"192.0.2.1, _hidden", NULL},
        {"192.0.2.1 10.1.2.3", NULL},
        {"192.0.2.1;10.1.2.3", NULL},
        {"\"192.0.2.1\"", NULL},
        {"for=192.0.2.1", NULL},
        {"192.0.2.256", NULL},
        {"192.0.2", NULL},
        {"192.0.2.01", NULL},
        {"0xc0000201", NULL},
        {"192.0.2.1:", NULL},
        {"192.0.2.1:x", NULL},
        {"192.0.2.1:123456", NULL},
        {"192.0.2.1:80:80", NULL},
        {"[2001:db8::7", NULL},
        {"[2001:db8::7]x", NULL},
        {"[2001:db8::7]:", NULL},
        {"[192.0.2.1]", NULL},
        {"[]", NULL},
        {"fe80::1%eth0", NULL},
        {"192.0.2.1/32", NULL},
        {"localhost", NULL},
        {"192.0.2.1\r", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check(cases[i].header, NULL, cases[i].client);
    }
}

static void forwarded_headers(void **state)
{
    static const struct {
        const char *header;
        const char *client;
    } cases[] = {
        {"for=192.0.2.1", "192.0.2.1"},
        {"For=192.0.2.1", "192.0.2.1"},
        {"for=\"192.0.2.1\"", "192.0.2.1"},
        {"for=\"192.0.2.1:80\"", "192.0.2.1"},
        {"for=\"[2001:db8::7]\"", "2001:db8::7"},
        {"for=\"[2001:db8::7]:4711\"", "2001:db8::7"},
        {"proto=https;for=192.0.2.1;by=10.0.0.1;host=\"a, b;c\"", "192.0.2.1"},
        {"for=192.0.2.1 ; proto=http , for=10.0.0.2", "192.0.2.1"},
        {"for=192.0.2.1,for=10.0.0.2,for=10.0.0.3", "192.0.2.1"},
        {"for=_hidden, for=192.0.2.1", "192.0.2.1"},
        {"for=unknown;x=y, for=192.0.2.1", "192.0.2.1"},
        {"by=10.0.0.1, for=192.0.2.1", "192.0.2.1"},
        {"for=127.0.0.1, for=192.0.2.1, for=10.0.0.2", "192.0.2.1"},
        {"host=\"a\\\"b\";for=192.0.2.1", "192.0.2.1"},
        {"", NULL},
        {"for=", NULL},
        {"for=\"\"", NULL},
        {"for", NULL},
        {"=192.0.2.1", NULL},
        {"for=10.0.0.2", NULL},
        {"for=_hidden", NULL},
        {"for=unknown", NULL},
        {"for=\"_hidden:80\"", NULL},
        {"for=192.0.2.1, for=unknown", NULL},
        {"for=192.0.2.1, by=10.0.0.1", NULL},
        {"for=192.0.2.1;for=192.0.2.1", NULL},
        {"for=192.0.2.1,", NULL},
        {"for=192.0.2.1;", NULL},
        {", for=192.0.2.1", NULL},
        {"for=192.0.2.1:80", NULL},
        {"for=[2001:db8::7]", NULL},
        {"for =192.0.2.1", NULL},
        {"for= 192.0.2.1", NULL},
        {"192.0.2.1", NULL},
        {"for=192.0.2.1 for=10.0.0.1", NULL},
        {"for=\"192.0.2.1\"x", NULL},
        {"for=\"192.0.2.\\1\"", NULL},
        {"for=\"192.0.2.1", NULL},
        {"for=\"192.0.2.1\\", NULL},
        {"for=\"192.0.2.1\\\"", NULL},
        {"for=192.0.2.1;host=\"\x01\"", NULL},
        /* a quote that a client leaves open, to swallow what a proxy adds */
        {"for=\", for=192.0.2.1", NULL},
        {"for=127.0.0.1;x=\", for=\"[2001:db8::7]\"", NULL},
        {"for=127.0.0.1;x=\"\\, for=\"[2001:db8::7]\"", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check(NULL, cases[i].header, cases[i].client);
    }
}

static void both_must_agree(void **state)
{
    (void)state;
    check(NULL, NULL, NULL);
    check("192.0.2.1", "for=192.0.2.1", "192.0.2.1");
    check("192.0.2.1, 10.0.0.2", "for=192.0.2.1", "192.0.2.1");
    check("192.0.2.1", "for=192.0.2.2", NULL);
    check("192.0.2.2", "for=192.0.2.1", NULL);
    check("192.0.2.1", "", NULL);
    check("", "for=192.0.2.1", NULL);
    check("192.0.2.1", "for=unknown", NULL);
    check("nonsense", "for=192.0.2.1", NULL);
    check("10.0.0.1", "for=10.0.0.1", NULL);
}

static void headers_are_bounded(void **state)
{
    char list[4096] = "192.0.2.1";
    char forwarded[4096] = "for=192.0.2.1";

    (void)state;
    for (unsigned i = 1; i < FLAME_HOPS_MAX; i++) {
        strcat(list, ", 10.0.0.2");
        strcat(forwarded, ", for=10.0.0.2");
    }
    check(list, NULL, "192.0.2.1");
    check(NULL, forwarded, "192.0.2.1");
    check(strcat(list, ",10.0.0.2"), NULL, NULL);
    check(NULL, strcat(forwarded, ",for=10.0.0.2"), NULL);

    memset(list, ' ', sizeof list);
    strcpy(list + FLAME_FORWARDED_MAX - 9, "192.0.2.1");
    check(list, NULL, "192.0.2.1");
    list[FLAME_FORWARDED_MAX - 9] = ' ';
    strcpy(list + FLAME_FORWARDED_MAX - 8, "192.0.2.1");
    check(list, NULL, NULL);
}

static void only_a_trusted_proxy_is_asked(void **state)
{
    struct flame_address client;

    (void)state;
    assert_int_equal(find("192.0.2.9", "127.0.0.1", NULL, &client),
                     FLAME_CLIENT_STRAIGHT);
    assert_int_equal(find("192.0.2.9", "nonsense,", "nonsense", &client),
                     FLAME_CLIENT_STRAIGHT);
    assert_int_equal(find("127.0.0.2", "192.0.2.1", NULL, &client),
                     FLAME_CLIENT_STRAIGHT);
    assert_int_equal(find("127.0.0.1", "192.0.2.1", NULL, &client),
                     FLAME_CLIENT_BEHIND);
    assert_int_equal(find("2001:db8:1::5", "192.0.2.1", NULL, &client),
                     FLAME_CLIENT_BEHIND);
    assert_int_equal(find("2001:db8:2::5", "192.0.2.1", NULL, &client),
                     FLAME_CLIENT_STRAIGHT);
    assert_int_equal(find("127.0.0.1", NULL, NULL, &client), FLAME_CLIENT_NOBODY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_have_what_their_bits_say),
        cmocka_unit_test(lists),
        cmocka_unit_test(forwarded_headers),
        cmocka_unit_test(both_must_agree),
        cmocka_unit_test(headers_are_bounded),
        cmocka_unit_test(only_a_trusted_proxy_is_asked),
    };
    return cmocka_run_group_tests_name("proxies", tests, NULL, NULL);
}
