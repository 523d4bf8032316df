/* Who may ask: proxies, tokens, the off file, and that nobody learns which it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "middleware/access/access.h"
#include "middleware/archive/archived.h"
#include "middleware/common/limits.h"

static char folder[] = "/tmp/flameprof-access-XXXXXX";
static char secret[sizeof folder + 10];
static char off_file[sizeof folder + 10];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(secret, sizeof secret, "%s/secret", folder);
    snprintf(off_file, sizeof off_file, "%s/off", folder);
    FILE *stream = fopen(secret, "w");
    if (stream == NULL || chmod(secret, 0600) != 0) {
        return -1;
    }
    fputs("0123456789abcdef0123456789abcdef", stream);
    return fclose(stream) == 0 ? flame_common_make_before_fork() : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(secret);
    return rmdir(folder);
}

static struct flame_slice text(const char *string)
{
    return (struct flame_slice){string, string == NULL ? 0 : strlen(string)};
}

/* ---- a request as CGI variables: "NAME=value"; later ones win ---------------- */

struct fake {
    const char *variables[12];
    unsigned looks; /* how often something was looked up */
};

static struct flame_slice lookup(void *request, const char *name)
{
    struct fake *fake = request;
    struct flame_slice found = {NULL, 0};
    size_t length = strlen(name);

    fake->looks++;
    for (size_t i = 0; i < 12 && fake->variables[i] != NULL; i++) {
        const char *variable = fake->variables[i];
        if (strncmp(variable, name, length) == 0 && variable[length] == '=') {
            found = text(variable + length + 1);
        }
    }
    return found;
}

/* From a stranger, straight, for /shop/, but for what `more` says. */
static struct fake request(const char *const *more)
{
    struct fake fake = {{"REQUEST_METHOD=GET", "REMOTE_ADDR=192.0.2.9",
                         "HTTP_HOST=shop.example", "SERVER_PROTOCOL=HTTP/1.1",
                         "SCRIPT_NAME=", "PATH_INFO=/shop/",
                         "QUERY_STRING=flamegraph=1"},
                        0};

    for (size_t at = 7; *more != NULL; more++) {
        fake.variables[at++] = *more;
    }
    return fake;
}

static char said[1000];

static void keep(const char *line)
{
    snprintf(said, sizeof said, "%s", line);
}

static enum flame_verdict refusal(const struct flame_config *config,
                                  const char *const *more, struct flame_access *access)
{
    struct fake fake = request(more);

    flame_access_check(config, lookup, &fake, access);
    return access->verdict;
}

static bool may(const struct flame_config *config, const char *const *more)
{
    struct flame_access access;

    return refusal(config, more, &access) == FLAME_MAY;
}

#define WITH(...) ((const char *const[]){__VA_ARGS__, NULL})

/* ---- trusted proxies --------------------------------------------------------- */

static struct flame_config behind_proxies(const char *allowed)
{
    struct flame_config config;

    flame_config_init(&config);
    assert_int_equal(flame_config_trust(&config, text("10.0.0.0/8")), 0);
    assert_int_equal(flame_config_trust(&config, text("127.0.0.1")), 0);
    assert_int_equal(flame_config_trust(&config, text("10.0.0.0/33")), -22);
    if (allowed != NULL) {
        assert_int_equal(flame_config_allow(&config, text(allowed)), 0);
    }
    return config;
}

static void the_client_is_compared_with_the_networks(void **state)
{
    struct flame_config config = behind_proxies("192.0.2.0/24");
    const char *proxy = "REMOTE_ADDR=10.0.0.1";

    (void)state;
    assert_true(may(&config, WITH("REMOTE_ADDR=192.0.2.1")));
    assert_true(may(&config, WITH(proxy, "HTTP_X_FORWARDED_FOR=192.0.2.1")));
    assert_true(may(&config, WITH(proxy, "HTTP_FORWARDED=for=192.0.2.1")));
    assert_false(may(&config, WITH(proxy, "HTTP_X_FORWARDED_FOR=198.51.100.1")));
    assert_false(
        may(&config, WITH(proxy, "HTTP_X_FORWARDED_FOR=192.0.2.1, 198.51.100.1")));
    assert_false(may(&config, WITH(proxy)));
    assert_false(may(&config, WITH(proxy, "HTTP_X_FORWARDED_FOR=192.0.2.1",
                                   "HTTP_FORWARDED=for=198.51.100.1")));
    /* Who is no proxy may write what he likes. */
    assert_false(may(
        &config, WITH("REMOTE_ADDR=198.51.100.1", "HTTP_X_FORWARDED_FOR=192.0.2.1")));
    assert_false(may(&config, WITH("REMOTE_ADDR=", "HTTP_X_FORWARDED_FOR=192.0.2.1")));
    flame_config_free(&config);

    /* That the proxy's own address is allowed does not help those behind it. */
    config = behind_proxies("10.0.0.0/8");
    assert_false(may(&config, WITH(proxy)));
    assert_false(may(&config, WITH(proxy, "HTTP_X_FORWARDED_FOR=192.0.2.1")));
    assert_false(may(&config, WITH(proxy, "HTTP_X_FORWARDED_FOR=10.0.0.2")));
    flame_config_free(&config);

    /* Without trusted proxies a header says nothing. */
    flame_config_init(&config);
    assert_int_equal(flame_config_allow(&config, text("192.0.2.0/24")), 0);
    assert_false(may(&config, WITH(proxy, "HTTP_X_FORWARDED_FOR=192.0.2.1")));
    flame_config_free(&config);
}

static void nobody_is_local_behind_a_proxy(void **state)
{
    struct flame_config config = behind_proxies(NULL);
    const char *host = "HTTP_HOST=localhost";

    (void)state;
    assert_false(may(&config, WITH("REMOTE_ADDR=127.0.0.1", host)));
    assert_false(may(&config, WITH("REMOTE_ADDR=127.0.0.1", host,
                                   "HTTP_X_FORWARDED_FOR=127.0.0.1")));
    assert_false(may(
        &config, WITH("REMOTE_ADDR=10.0.0.1", host, "HTTP_X_FORWARDED_FOR=127.0.0.1")));
    assert_false(may(
        &config, WITH("REMOTE_ADDR=10.0.0.1", host, "HTTP_FORWARDED=for=\"[::1]\"")));
    /* Beside them it is as ever. */
    assert_true(may(&config, WITH("REMOTE_ADDR=::1", host)));
    assert_false(
        may(&config, WITH("REMOTE_ADDR=::1", host, "HTTP_X_FORWARDED_FOR=::1")));
    flame_config_free(&config);
}

/* ---- tokens ------------------------------------------------------------------ */

static struct flame_config with_secret(void)
{
    struct flame_config config;

    flame_config_init(&config);
    assert_int_equal(flame_config_secret(&config, text(secret)), 0);
    return config;
}

/* For /shop/, as `prefix`TOKEN. */
static char *signed_as(const struct flame_config *config, const char *prefix,
                       struct flame_token token, char out[200])
{
    char signature[FLAME_TOKEN_LENGTH + 1];

    token.signed_at = token.signed_at != 0 ? token.signed_at : (uint32_t)time(NULL);
    flame_token_sign(&config->secrets, &token, text("/shop/"), signature);
    snprintf(out, 200, "%s%s", prefix, signature);
    return out;
}

#define IN_URL "QUERY_STRING=flamegraph=1&flamegraph_token="
#define IN_HEADER "HTTP_X_FLAMEPROF_TOKEN="
#define IN_COOKIE "HTTP_COOKIE=a=b; flameprof_token="

static const struct flame_token ten_minutes = {.seconds = 600};

static void a_token_permits_its_path_from_anywhere(void **state)
{
    static const char *const places[] = {IN_URL, IN_HEADER, IN_COOKIE,
                                         "HTTP_COOKIE=flameprof_token="};
    struct flame_config config = with_secret();
    char token[200];

    (void)state;
    assert_false(may(&config, WITH("A=")));
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        signed_as(&config, places[i], ten_minutes, token);
        assert_true(may(&config, WITH(token)));
        assert_true(may(&config, WITH(token, "HTTP_X_FORWARDED_FOR=nonsense")));
        assert_true(may(&config, WITH(token, "SCRIPT_NAME=/shop", "PATH_INFO=/")));
        assert_false(may(&config, WITH(token, "PATH_INFO=/shop/other")));
        assert_false(may(&config, WITH(token, "SCRIPT_NAME=/x")));
        token[strlen(token) - 1] ^= 1;
        assert_false(may(&config, WITH(token)));
    }
    strcat(signed_as(&config, IN_COOKIE, ten_minutes, token), "; c=d");
    assert_true(may(&config, WITH(token)));
    signed_as(&config, "HTTP_COOKIE=xflameprof_token=", ten_minutes, token);
    assert_false(may(&config, WITH(token)));
    signed_as(&config, "HTTP_COOKIE=a=flameprof_token=", ten_minutes, token);
    assert_false(may(&config, WITH(token)));
    strcat(signed_as(&config, IN_URL, ten_minutes, token), "&a=b");
    assert_true(may(&config, WITH(token)));
    strcat(signed_as(&config, IN_URL, ten_minutes, token), "A");
    assert_false(may(&config, WITH(token)));
    flame_config_free(&config);

    /* Nor is one looked at where nobody gave a secret. */
    flame_config_init(&config);
    assert_false(may(&config, WITH(token)));
    flame_config_free(&config);
}

static void the_first_token_counts(void **state)
{
    struct flame_config config = with_secret();
    char url[200];
    char header[200];
    char cookie[200];

    (void)state;
    signed_as(&config, IN_HEADER, ten_minutes, header);
    signed_as(&config, IN_COOKIE, ten_minutes, cookie);
    assert_false(may(&config, WITH(IN_URL, header)));
    assert_false(may(&config, WITH(IN_HEADER "x", cookie)));
    signed_as(&config, IN_URL, ten_minutes, url);
    assert_true(may(&config, WITH(url, IN_HEADER "x")));
    assert_true(may(&config, WITH(header, IN_COOKIE "x")));
    flame_config_free(&config);
}

/* A link from another site carries its permission with it, a browser's cookie not. */
static void another_site(void **state)
{
    struct flame_config config = with_secret();
    const char *other = "HTTP_SEC_FETCH_SITE=cross-site";
    struct flame_access access;
    char token[200];

    (void)state;
    assert_true(
        may(&config, WITH(signed_as(&config, IN_URL, ten_minutes, token), other)));
    assert_true(
        may(&config, WITH(signed_as(&config, IN_HEADER, ten_minutes, token), other)));
    signed_as(&config, IN_COOKIE, ten_minutes, token);
    assert_true(may(&config, WITH(token, "HTTP_SEC_FETCH_SITE=same-origin")));
    assert_int_equal(refusal(&config, WITH(token, other), &access),
                     FLAME_REFUSED_TOKEN_CROSS_SITE);
    flame_config_free(&config);
}

static void whoever_may_without_one_still_may(void **state)
{
    struct flame_config config = with_secret();

    (void)state;
    assert_int_equal(flame_config_allow(&config, text("192.0.2.0/24")), 0);
    assert_true(may(&config, WITH("A=")));
    assert_true(may(&config, WITH(IN_URL "nonsense")));
    flame_config_free(&config);
}

static void a_token_bounds_the_interval(void **state)
{
    struct flame_config config = with_secret();
    struct flame_token token = {.seconds = 600, .interval_min_ns = 5000000};
    struct flame_params params;
    char sentence[FLAME_SENTENCE_SIZE];
    char url[200];

    (void)state;
    struct fake fake = request(WITH(signed_as(&config, IN_URL, token, url)));
    assert_int_equal(
        flame_request_decide(&config, lookup, &fake, keep, &params, sentence),
        FLAME_PROFILE);
    assert_int_equal(params.interval_ns, 5000000);
    strcat(url, "&interval=0.006");
    assert_int_equal(
        flame_request_decide(&config, lookup, &fake, keep, &params, sentence),
        FLAME_PROFILE);
    assert_int_equal(params.interval_ns, 6000000);
    url[strlen(url) - 1] = '4';
    assert_int_equal(
        flame_request_decide(&config, lookup, &fake, keep, &params, sentence),
        FLAME_MALFORMED);
    assert_string_equal(sentence, "The interval is too small for this token: it allows "
                                  "0.005000000 seconds and more.");
    flame_config_free(&config);
}

/* As a token that may have been spent has to be: signed after the memory began. */
static void wait_for_the_next_second(void)
{
    while ((int64_t)time(NULL) <= flame_common_since(flame_common_here())) {
        usleep(20000);
    }
}

static enum flame_decision decide(const struct flame_config *config, const char *url)
{
    struct fake fake = request(WITH(url));
    struct flame_params params;
    char sentence[FLAME_SENTENCE_SIZE];

    return flame_request_decide(config, lookup, &fake, keep, &params, sentence);
}

static void a_token_may_be_good_once(void **state)
{
    static const struct flame_token once = {.seconds = 600, .once = true};
    struct flame_config config = with_secret();
    struct flame_common *common = flame_common_here();
    uint64_t refused = flame_counted(common, FLAME_COUNT_REFUSED_TOKEN);
    struct flame_token old = once;
    struct flame_access access;
    char url[200];

    (void)state;
    old.signed_at = (uint32_t)flame_common_since(common);
    signed_as(&config, IN_URL, old, url);
    assert_int_equal(refusal(&config, WITH(url), &access),
                     FLAME_REFUSED_TOKEN_UNSPENDABLE);

    wait_for_the_next_second();
    signed_as(&config, IN_URL, once, url);
    assert_int_equal(refusal(&config, WITH(url), &access), FLAME_MAY);
    strcat(url, "&flamegraph_format=nonsense");
    assert_int_equal(decide(&config, url), FLAME_MALFORMED);
    *strrchr(url, '&') = '\0';
    struct flame_access other = access;
    assert_int_equal(decide(&config, url), FLAME_PROFILE);
    assert_int_equal(decide(&config, url), FLAME_ORDINARY);
    assert_int_equal(flame_counted(common, FLAME_COUNT_REFUSED_TOKEN), refused + 1);
    assert_int_equal(refusal(&config, WITH(url), &access), FLAME_REFUSED_TOKEN_SPENT);
    /* Another request that came as far at the same time. */
    assert_false(flame_access_spend(&other));
    assert_int_equal(other.verdict, FLAME_REFUSED_TOKEN_SPENT);

    signed_as(&config, IN_URL, ten_minutes, url);
    assert_int_equal(decide(&config, url), FLAME_PROFILE);
    assert_int_equal(decide(&config, url), FLAME_PROFILE);
    flame_config_free(&config);
}

/* ---- switched off ------------------------------------------------------------ */

static void the_off_file_switches_off(void **state)
{
    struct flame_config config = with_secret();
    struct flame_access access;
    struct fake local = request(WITH("REMOTE_ADDR=127.0.0.1", "HTTP_HOST=localhost"));
    char token[200];

    (void)state;
    assert_int_equal(flame_config_off_file(&config, text("relative")), -22);
    assert_int_equal(flame_config_off_file(&config, text("")), -22);
    assert_int_equal(flame_config_off_file(&config, text(off_file)), 0);
    signed_as(&config, IN_URL, ten_minutes, token);
    assert_true(may(&config, WITH(token)));
    assert_true(flame_allowed(&config, lookup, &local));

    FILE *stream = fopen(off_file, "w");
    assert_non_null(stream);
    fclose(stream);
    assert_int_equal(refusal(&config, WITH(token), &access), FLAME_REFUSED_OFF);
    assert_int_equal(refusal(&config, WITH("A="), &access), FLAME_REFUSED_OFF);
    assert_false(flame_allowed(&config, lookup, &local));
    unlink(off_file);
    assert_true(may(&config, WITH(token)));
    assert_true(flame_allowed(&config, lookup, &local));

    /* What cannot be looked for might be there. */
    char below[sizeof secret + 4];
    snprintf(below, sizeof below, "%s/off", secret);
    assert_int_equal(flame_config_off_file(&config, text(below)), 0);
    assert_int_equal(refusal(&config, WITH(token), &access), FLAME_REFUSED_OFF);
    flame_config_free(&config);
}

/* ---- authorize --------------------------------------------------------------- */

struct authority {
    bool says;
    unsigned asked;
};

static bool authorize(void *authority, void *door_request)
{
    struct authority *own = authority;

    (void)door_request;
    own->asked++;
    return own->says;
}

static void authorize_is_asked_last_and_only_if_it_matters(void **state)
{
    struct flame_config config = with_secret();
    struct authority authority = {.says = false};
    struct flame_access access;
    char token[200];

    (void)state;
    config.authorize = authorize;
    config.authority = &authority;
    assert_int_equal(refusal(&config, WITH("A="), &access), FLAME_REFUSED_AUTHORIZE);
    assert_int_equal(authority.asked, 1);
    authority.says = true;
    assert_true(may(&config, WITH("A=")));
    assert_int_equal(authority.asked, 2);
    assert_int_equal(refusal(&config, WITH("HTTP_SEC_FETCH_SITE=cross-site"), &access),
                     FLAME_REFUSED_CROSS_SITE);
    assert_true(may(&config, WITH(signed_as(&config, IN_URL, ten_minutes, token))));
    struct fake ordinary = request(WITH("QUERY_STRING=a=b"));
    struct fake posted = request(WITH("REQUEST_METHOD=POST"));
    struct flame_params params;
    char sentence[FLAME_SENTENCE_SIZE];
    flame_request_decide(&config, lookup, &ordinary, keep, &params, sentence);
    flame_request_decide(&config, lookup, &posted, keep, &params, sentence);
    assert_int_equal(authority.asked, 2);
    /* A bad token leaves it to him. */
    assert_true(may(&config, WITH(IN_URL "x")));
    assert_int_equal(authority.asked, 3);
    assert_int_equal(flame_config_off_file(&config, text("/")), 0);
    assert_false(may(&config, WITH("A=")));
    assert_int_equal(authority.asked, 3);
    flame_config_free(&config);
}

/* ---- nobody learns which it was ---------------------------------------------- */

static void the_same_is_done_whatever_fails(void **state)
{
    struct flame_config config = with_secret();
    struct flame_token expired = {.seconds = 1, .signed_at = 1000};
    struct flame_token early = {.seconds = 1, .signed_at = UINT32_MAX};
    struct flame_access access;
    struct flame_token old = {.seconds = 600, .once = true, .signed_at = 1};
    char tokens[4][200];

    (void)state;
    assert_int_equal(flame_config_allow(&config, text("203.0.113.0/24")), 0);
    assert_int_equal(flame_config_trust(&config, text("10.0.0.0/8")), 0);
    const struct {
        const char *more[4];
        enum flame_verdict refusal;
    } cases[] = {
        {{"A="}, FLAME_REFUSED_NETWORK},
        {{"REMOTE_ADDR="}, FLAME_REFUSED_NETWORK},
        {{"REMOTE_ADDR=127.0.0.1"}, FLAME_REFUSED_NETWORK},
        {{"REMOTE_ADDR=127.0.0.1", "HTTP_HOST=localhost", "HTTP_VIA=x"},
         FLAME_REFUSED_NETWORK},
        {{"REMOTE_ADDR=10.0.0.1"}, FLAME_REFUSED_CLIENT},
        {{"REMOTE_ADDR=10.0.0.1", "HTTP_X_FORWARDED_FOR=192.0.2.1"},
         FLAME_REFUSED_NETWORK},
        {{"HTTP_SEC_FETCH_SITE=cross-site"}, FLAME_REFUSED_CROSS_SITE},
        {{IN_URL "x"}, FLAME_REFUSED_TOKEN_BAD},
        {{signed_as(&config, IN_URL, expired, tokens[0])}, FLAME_REFUSED_TOKEN_EXPIRED},
        {{signed_as(&config, IN_URL, early, tokens[1])}, FLAME_REFUSED_TOKEN_EARLY},
        {{signed_as(&config, IN_URL, old, tokens[3])}, FLAME_REFUSED_TOKEN_EXPIRED},
        {{signed_as(&config, IN_URL, ten_minutes, tokens[2]), "PATH_INFO=/"},
         FLAME_REFUSED_TOKEN_BAD},
    };
    unsigned looks = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fake fake = request(cases[i].more);
        flame_access_check(&config, lookup, &fake, &access);
        if (access.verdict != cases[i].refusal || (i > 0 && fake.looks != looks)) {
            fail_msg("case %zu: refused for %d, %u looks", i, (int)access.verdict,
                     fake.looks);
        }
        looks = fake.looks;
    }
    flame_config_free(&config);
}

/* Of one that is kept: whoever is told to come back can. */
static void a_limit_gives_the_token_back(void **state)
{
    struct flame_config config;
    struct flame_refusal refusal;
    struct flame_answer answer;
    struct flame_params params = {
        .receipt = {.spent = true, .digest = "for once only"}};
    const unsigned char *digest = params.receipt.digest;
    int64_t later = (int64_t)time(NULL) + 60;

    (void)state;
    flame_config_init(&config);
    config.worker_at_once = 1;
    assert_true(flame_common_spend(flame_common_here(), digest, later));
    assert_true(flame_limits_enter_drawing(&config, &refusal));
    flame_archived_draw(&config, NULL, &params, &answer);
    flame_limits_leave_drawing();
    assert_int_equal(answer.status, 429);
    flame_answer_free(&answer);
    assert_true(flame_common_spend(flame_common_here(), digest, later));
    assert_false(flame_common_spend(flame_common_here(), digest, later));
    flame_config_free(&config);
}

static void each_reason_has_its_words(void **state)
{
    (void)state;
    for (int i = FLAME_MAY; i <= FLAME_REFUSED_TOKEN_UNSPENDABLE; i++) {
        const char *reason = flame_verdict_reason((enum flame_verdict)i);
        assert_non_null(reason);
        assert_null(strpbrk(reason, "\r\n"));
        for (int other = FLAME_MAY; other < i; other++) {
            assert_string_not_equal(reason,
                                    flame_verdict_reason((enum flame_verdict)other));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_client_is_compared_with_the_networks),
        cmocka_unit_test(nobody_is_local_behind_a_proxy),
        cmocka_unit_test(a_token_permits_its_path_from_anywhere),
        cmocka_unit_test(the_first_token_counts),
        cmocka_unit_test(another_site),
        cmocka_unit_test(whoever_may_without_one_still_may),
        cmocka_unit_test(a_token_bounds_the_interval),
        cmocka_unit_test(a_token_may_be_good_once),
        cmocka_unit_test(the_off_file_switches_off),
        cmocka_unit_test(authorize_is_asked_last_and_only_if_it_matters),
        cmocka_unit_test(the_same_is_done_whatever_fails),
        cmocka_unit_test(a_limit_gives_the_token_back),
        cmocka_unit_test(each_reason_has_its_words),
    };
    return cmocka_run_group_tests_name("access", tests, make_folder, remove_folder);
}
