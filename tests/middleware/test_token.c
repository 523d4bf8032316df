/* Signed tokens, and the files of their secrets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "middleware/access/token.h"

#define NOW 1800000000u

static char folder[] = "/tmp/flameprof-token-XXXXXX";
static char file[sizeof folder + 10];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(file, sizeof file, "%s/secret", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(file);
    return rmdir(folder);
}

static struct flame_slice text(const char *string)
{
    return (struct flame_slice){string, string == NULL ? 0 : strlen(string)};
}

static void write_file(size_t length, char c, mode_t mode)
{
    FILE *stream = fopen(file, "w");

    assert_non_null(stream);
    for (size_t i = 0; i < length; i++) {
        fputc(c, stream);
    }
    assert_int_equal(fclose(stream), 0);
    assert_int_equal(chmod(file, mode), 0);
}

/* As many as there are characters: a secret of 32 times each. */
static struct flame_secrets secrets_of(const char *characters)
{
    struct flame_secrets secrets = {NULL, 0};
    char why[200] = "";

    for (; *characters != '\0'; characters++) {
        write_file(32, *characters, 0600);
        if (flame_secrets_add(&secrets, file, why, sizeof why) != 0) {
            fail_msg("%s", why);
        }
    }
    return secrets;
}

static void sign(const char *secret, const struct flame_token *token, const char *path,
                 char out[FLAME_TOKEN_LENGTH + 1])
{
    struct flame_secrets secrets = secrets_of(secret);

    flame_token_sign(&secrets, token, text(path), out);
    flame_secrets_free(&secrets);
}

/* By the secrets, of a copy whose end ASan knows. */
static enum flame_token_state check(const char *secret, const char *token,
                                    const char *script, const char *info, uint64_t now,
                                    struct flame_token *found)
{
    struct flame_secrets secrets = secrets_of(secret);
    size_t length = token == NULL ? 0 : strlen(token);
    char *copy = token == NULL ? NULL : malloc(length + (length == 0));

    if (copy != NULL) {
        memcpy(copy, token, length);
    }
    enum flame_token_state state =
        flame_token_check(&secrets, (struct flame_slice){copy, length}, text(script),
                          text(info), now, found);
    free(copy);
    flame_secrets_free(&secrets);
    return state;
}

static const struct flame_token good = {.signed_at = NOW,
                                        .seconds = 600,
                                        .interval_min_ns = 5000000,
                                        .nonce = {1, 2, 3, 4}};

static void one_that_was_signed_is_good(void **state)
{
    char token[FLAME_TOKEN_LENGTH + 1];
    struct flame_token once = good;
    struct flame_token found;

    (void)state;
    once.once = true;
    sign("a", &good, "/shop/", token);
    assert_int_equal(strlen(token), FLAME_TOKEN_LENGTH);
    assert_int_equal(check("a", token, "", "/shop/", NOW, &found), FLAME_TOKEN_GOOD);
    assert_int_equal(found.signed_at, NOW);
    assert_int_equal(found.seconds, 600);
    assert_int_equal(found.interval_min_ns, 5000000);
    assert_false(found.once);
    assert_memory_equal(found.nonce, good.nonce, sizeof good.nonce);
    assert_int_equal(flame_token_ends(&found), NOW + 600 + FLAME_TOKEN_SKEW_S);
    sign("a", &once, "/shop/", token);
    assert_int_equal(check("a", token, "/sh", "op/", NOW, &found), FLAME_TOKEN_GOOD);
    assert_true(found.once);
}

/* By hand, so that a token of one release is one for the next. */
static void the_format_is_what_the_header_says(void **state)
{
    static const unsigned char said[16] = {0x10, 0x6b, 0x49, 0xd2, 0x00, 0x00,
                                           0x02, 0x58, 0x00, 0x4c, 0x4b, 0x40,
                                           1,    2,    3,    4};
    unsigned char message[64] = "flameprof token";
    unsigned char secret[32];
    unsigned char bytes[48];
    char expected[FLAME_TOKEN_LENGTH + 1];
    char token[FLAME_TOKEN_LENGTH + 1];

    (void)state;
    memset(secret, 'a', sizeof secret);
    memcpy(message + 16, said, 16);
    memcpy(message + 32, "/shop/", 6);
    memcpy(bytes, said, 16);
    crypto_auth_hmacsha256(bytes + 16, message, 38, secret);
    sodium_bin2base64(expected, sizeof expected, bytes, sizeof bytes,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sign("a", &good, "/shop/", token);
    assert_string_equal(token, expected);
}

static void others_are_not(void **state)
{
    static const char *const paths[] = {"",       "/",       "/shop", "/shop/ ",
                                        "/Shop/", "/shop//", "shop/", "/shop/x"};
    char token[FLAME_TOKEN_LENGTH + 2];
    struct flame_token found;

    (void)state;
    assert_int_equal(check("a", NULL, "", "/shop/", NOW, &found), FLAME_TOKEN_ABSENT);
    sign("a", &good, "/shop/", token);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        if (check("a", token, "", paths[i], NOW, &found) != FLAME_TOKEN_BAD) {
            fail_msg("good for %s", paths[i]);
        }
    }
    assert_int_equal(check("b", token, "", "/shop/", NOW, &found), FLAME_TOKEN_BAD);
    assert_int_equal(found.signed_at, 0);
    /* Each character of it counts. */
    for (size_t i = 0; i < FLAME_TOKEN_LENGTH; i++) {
        char was = token[i];
        for (const char *other = "AB-_ =/+%\x7f\xc3"; *other != '\0'; other++) {
            token[i] = *other == was ? 'C' : *other;
            if (check("a", token, "", "/shop/", NOW, &found) != FLAME_TOKEN_BAD) {
                fail_msg("good: %s", token);
            }
        }
        token[i] = was;
    }
    for (const char *more = "A= \n.&"; *more != '\0'; more++) {
        token[FLAME_TOKEN_LENGTH] = *more;
        token[FLAME_TOKEN_LENGTH + 1] = '\0';
        assert_int_equal(check("a", token, "", "/shop/", NOW, &found), FLAME_TOKEN_BAD);
    }
    token[FLAME_TOKEN_LENGTH] = '\0';
    assert_int_equal(check("a", token, "", "/shop/", NOW, &found), FLAME_TOKEN_GOOD);
    for (size_t length = FLAME_TOKEN_LENGTH; length-- > 0;) {
        token[length] = '\0';
        assert_int_equal(check("a", token, "", "/shop/", NOW, &found), FLAME_TOKEN_BAD);
    }
}

static void very_long_ones_are_not_read(void **state)
{
    static char token[100000];
    struct flame_token found;

    (void)state;
    sign("a", &good, "/shop/", token);
    memset(token + FLAME_TOKEN_LENGTH, 'A', sizeof token - FLAME_TOKEN_LENGTH - 1);
    assert_int_equal(check("a", token, "", "/shop/", NOW, &found), FLAME_TOKEN_BAD);
}

/* Signed as it should be, of a version there is not, or with flags there are not. */
static void other_versions_are_refused(void **state)
{
    struct flame_secrets secrets = secrets_of("a");
    crypto_auth_hmacsha256_state hmac;
    unsigned char secret[32];

    (void)state;
    memset(secret, 'a', sizeof secret);
    for (unsigned first = 0; first < 256; first++) {
        unsigned char bytes[48] = {
            (unsigned char)first, 0x6b, 0x49, 0xd2, 0x00, 0, 2, 0x58};
        char token[FLAME_TOKEN_LENGTH + 1];
        struct flame_token found;
        crypto_auth_hmacsha256_init(&hmac, secret, sizeof secret);
        crypto_auth_hmacsha256_update(&hmac, (const unsigned char *)"flameprof token",
                                      16);
        crypto_auth_hmacsha256_update(&hmac, bytes, 16);
        crypto_auth_hmacsha256_update(&hmac, (const unsigned char *)"/", 1);
        crypto_auth_hmacsha256_final(&hmac, bytes + 16);
        sodium_bin2base64(token, sizeof token, bytes, sizeof bytes,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING);
        assert_int_equal(
            flame_token_check(&secrets, text(token), text(""), text("/"), NOW, &found),
            first == 0x10 || first == 0x11 ? FLAME_TOKEN_GOOD : FLAME_TOKEN_BAD);
    }
    flame_secrets_free(&secrets);
}

static void clocks_may_differ_by_half_a_minute(void **state)
{
    char token[FLAME_TOKEN_LENGTH + 1];
    struct flame_token long_one = good;
    struct flame_token once = good;
    struct flame_token found;

    (void)state;
    sign("a", &good, "/", token);
    assert_int_equal(check("a", token, "", "/", NOW - 30, &found), FLAME_TOKEN_GOOD);
    assert_int_equal(check("a", token, "", "/", NOW - 31, &found), FLAME_TOKEN_EARLY);
    assert_int_equal(check("a", token, "", "/", 0, &found), FLAME_TOKEN_EARLY);
    assert_int_equal(check("a", token, "", "/", NOW + 630, &found), FLAME_TOKEN_GOOD);
    assert_int_equal(check("a", token, "", "/", NOW + 631, &found),
                     FLAME_TOKEN_EXPIRED);
    assert_int_equal(check("a", token, "", "/", UINT64_MAX, &found),
                     FLAME_TOKEN_EXPIRED);
    assert_int_equal(check("b", token, "", "/", NOW + 631, &found), FLAME_TOKEN_BAD);

    once.once = true;
    sign("a", &once, "/", token);
    assert_int_equal(check("a", token, "", "/", NOW, &found), FLAME_TOKEN_GOOD);
    assert_int_equal(check("a", token, "", "/", NOW - 1, &found), FLAME_TOKEN_EARLY);

    long_one.seconds = FLAME_TOKEN_SECONDS_MAX;
    sign("a", &long_one, "/", token);
    assert_int_equal(check("a", token, "", "/", NOW, &found), FLAME_TOKEN_GOOD);
    long_one.seconds++;
    sign("a", &long_one, "/", token);
    assert_int_equal(check("a", token, "", "/", NOW, &found), FLAME_TOKEN_EXPIRED);
}

static void each_of_two_secrets_may_have_signed(void **state)
{
    char token[FLAME_TOKEN_LENGTH + 1];
    struct flame_token found;

    (void)state;
    sign("a", &good, "/", token);
    assert_int_equal(check("ab", token, "", "/", NOW, &found), FLAME_TOKEN_GOOD);
    assert_int_equal(check("ba", token, "", "/", NOW, &found), FLAME_TOKEN_GOOD);
    assert_int_equal(check("bc", token, "", "/", NOW, &found), FLAME_TOKEN_BAD);
    /* The first signs. */
    sign("ba", &good, "/", token);
    assert_int_equal(check("b", token, "", "/", NOW, &found), FLAME_TOKEN_GOOD);
    assert_int_equal(check("a", token, "", "/", NOW, &found), FLAME_TOKEN_BAD);
}

static void paths_are_bounded(void **state)
{
    char path[FLAME_TOKEN_PATH_MAX + 2] = "";
    char token[FLAME_TOKEN_LENGTH + 1];
    struct flame_token found;

    (void)state;
    memset(path, '/', FLAME_TOKEN_PATH_MAX);
    sign("a", &good, path, token);
    assert_int_equal(check("a", token, "", path, NOW, &found), FLAME_TOKEN_GOOD);
    /* One that is longer is not taken for its beginning. */
    path[FLAME_TOKEN_PATH_MAX] = '/';
    path[FLAME_TOKEN_PATH_MAX + 1] = '\0';
    assert_int_equal(check("a", token, "", path, NOW, &found), FLAME_TOKEN_BAD);
    assert_int_equal(check("a", token, path, "", NOW, &found), FLAME_TOKEN_BAD);
    assert_int_equal(check("a", token, "/", path + 1, NOW, &found), FLAME_TOKEN_BAD);
}

static void digests_tell_them_apart(void **state)
{
    char token[FLAME_TOKEN_LENGTH + 1];
    struct flame_token other = good;
    struct flame_token one;
    struct flame_token two;

    (void)state;
    other.nonce[3]++;
    sign("a", &good, "/", token);
    assert_int_equal(check("a", token, "", "/", NOW, &one), FLAME_TOKEN_GOOD);
    sign("a", &other, "/", token);
    assert_int_equal(check("a", token, "", "/", NOW, &two), FLAME_TOKEN_GOOD);
    assert_memory_not_equal(one.digest, two.digest, sizeof one.digest);
}

static void secret_files(void **state)
{
    static const struct {
        size_t length;
        mode_t mode;
        const char *said; /* NULL: it is taken */
    } cases[] = {
        {32, 0600, NULL},
        {32, 0400, NULL},
        {4096, 0600, NULL},
        {0, 0600, "less than 32 bytes"},
        {31, 0600, "less than 32 bytes"},
        {4097, 0600, "more than 4096 bytes"},
        {100000, 0600, "more than 4096 bytes"},
        {32, 0640, "others than its owner"},
        {32, 0604, "others than its owner"},
        {32, 0620, "others than its owner"},
        {32, 0666, "others than its owner"},
    };
    struct flame_secrets secrets = {NULL, 0};
    char why[200];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_file(cases[i].length, 's', cases[i].mode);
        int result = flame_secrets_add(&secrets, file, why, sizeof why);
        if (result != (cases[i].said == NULL ? 0 : -1) ||
            (result != 0 && strstr(why, cases[i].said) == NULL)) {
            fail_msg("%zu bytes, %o: %s", cases[i].length, (unsigned)cases[i].mode,
                     why);
        }
    }
    assert_int_equal(secrets.count, 3);
    unlink(file);
    assert_int_equal(flame_secrets_add(&secrets, file, why, sizeof why), -1);
    assert_string_equal(why, "No such file or directory");
    assert_int_equal(flame_secrets_add(&secrets, folder, why, sizeof why), -1);
    assert_non_null(strstr(why, "no regular file"));
    assert_int_equal(mkfifo(file, 0600), 0);
    assert_int_equal(flame_secrets_add(&secrets, file, why, sizeof why), -1);
    assert_non_null(strstr(why, "no regular file"));
    unlink(file);
    assert_int_equal(secrets.count, 3);
    flame_secrets_free(&secrets);
    assert_null(secrets.list);
}

static void somebody_elses_file_is_refused(void **state)
{
    struct flame_secrets secrets = {NULL, 0};
    char why[200] = "";

    (void)state;
    if (geteuid() != 0) {
        print_message("SKIPPED: only root can make a file another user's\n");
        skip();
    }
    write_file(32, 's', 0600);
    assert_int_equal(chown(file, 12345, 12345), 0);
    assert_int_equal(flame_secrets_add(&secrets, file, why, sizeof why), -1);
    assert_non_null(strstr(why, "another user"));
    assert_int_equal(chown(file, 0, 0), 0);
    assert_int_equal(flame_secrets_add(&secrets, file, why, sizeof why), 0);
    flame_secrets_free(&secrets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_was_signed_is_good),
        cmocka_unit_test(the_format_is_what_the_header_says),
        cmocka_unit_test(others_are_not),
        cmocka_unit_test(very_long_ones_are_not_read),
        cmocka_unit_test(other_versions_are_refused),
        cmocka_unit_test(clocks_may_differ_by_half_a_minute),
        cmocka_unit_test(each_of_two_secrets_may_have_signed),
        cmocka_unit_test(paths_are_bounded),
        cmocka_unit_test(digests_tell_them_apart),
        cmocka_unit_test(secret_files),
        cmocka_unit_test(somebody_elses_file_is_refused),
    };
    return cmocka_run_group_tests_name("token", tests, make_folder, remove_folder);
}
