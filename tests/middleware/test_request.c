/* What is asked, by whom, and what the answer keeps: tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "middleware/common/limits.h"
#include "middleware/parts.h"
#include "middleware/request.h"

/* A request as CGI variables: "NAME=value" pairs; later ones win. */
struct fake {
    const char *variables[16];
};

static struct flame_slice text(const char *string)
{
    return (struct flame_slice){string, string == NULL ? 0 : strlen(string)};
}

static struct flame_slice lookup(void *request, const char *name)
{
    const struct fake *fake = request;
    struct flame_slice found = {NULL, 0};
    size_t length = strlen(name);

    for (size_t i = 0; i < 16 && fake->variables[i] != NULL; i++) {
        const char *variable = fake->variables[i];
        if (strncmp(variable, name, length) == 0 && variable[length] == '=') {
            found = text(variable + length + 1);
        }
    }
    return found;
}

static char last_log[1000];
static unsigned log_lines;

static void keep_log(const char *line)
{
    snprintf(last_log, sizeof last_log, "%s", line);
    log_lines++;
}

static enum flame_decision decide(const struct flame_config *config,
                                  const char *const *more, struct flame_params *params,
                                  char sentence[FLAME_SENTENCE_SIZE])
{
    struct fake fake = {{"REQUEST_METHOD=GET", "REMOTE_ADDR=127.0.0.1",
                         "HTTP_HOST=127.0.0.1:8000", "SERVER_PROTOCOL=HTTP/1.1"}};
    size_t at = 4;

    for (size_t i = 0; more[i] != NULL; i++) {
        fake.variables[at++] = more[i];
    }
    return flame_request_decide(config, lookup, &fake, keep_log, params, sentence);
}

/* The decision for a query of a local GET. */
static enum flame_decision ask(const char *query, struct flame_params *params,
                               char sentence[FLAME_SENTENCE_SIZE])
{
    char *owned = malloc(strlen(query) + 14); /* exact: ASan sees a read too far */
    struct flame_config config;

    assert_non_null(owned);
    sprintf(owned, "QUERY_STRING=%s", query);
    flame_config_init(&config);
    config.least_interval_ns = FLAME_INTERVAL_MIN_NS;
    enum flame_decision decision =
        decide(&config, (const char *[]){owned, NULL}, params, sentence);
    flame_config_free(&config);
    free(owned);
    return decision;
}

static void queries_that_are_not_ours(void **state)
{
    static const char *const queries[] = {
        "",
        "flamegraph",
        "flamegraph=",
        "flamegraph=0",
        "flamegraph=10",
        "flamegraph=01",
        "flamegraph=1.0",
        "flamegraph=true",
        "xflamegraph=1",
        "flamegraphx=1",
        "x=flamegraph=1",
        "Flamegraph=1",
        "flamegraph =1",
        "flamegraph=1%00",
        "flamegraph=1+",
        "flamegraph=0&flamegraph=1",
        "interval=0.001",
        "flamegraph_format=nonsense",
        "flamegraph_interval=nonsense&flamegraph_nonsense=1",
        "q=%66lamegraph%3D1",
        "%",
        "%f",
        "&&&",
        "=",
        "flamegraph=1;interval=1",
    };

    (void)state;
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) {
        struct flame_params params;
        char sentence[FLAME_SENTENCE_SIZE];
        if (ask(queries[i], &params, sentence) != FLAME_ORDINARY) {
            fail_msg("%s was taken for ours", queries[i]);
        }
    }
}

static void queries_that_are_ours(void **state)
{
    static const struct {
        const char *query;
        uint64_t interval_ns;
        enum flame_format format;
    } cases[] = {
        {"flamegraph=1", 1000000, FLAME_FORMAT_SVG},
        {"a=b&flamegraph=1&c", 1000000, FLAME_FORMAT_SVG},
        {"flamegraph=1&flamegraph=0", 1000000, FLAME_FORMAT_SVG},
        {"%66lamegraph=1", 1000000, FLAME_FORMAT_SVG},
        {"flamegraph=%31", 1000000, FLAME_FORMAT_SVG},
        {"f=ff%&flamegrap%68=1", 1000000, FLAME_FORMAT_SVG},
        {"%66=%20&fla%6Degraph=1", 1000000, FLAME_FORMAT_SVG},
        {"flameg%72aph=1", 1000000, FLAME_FORMAT_SVG},
        {"%66%6c%61%6D%65%67%72%61%70%68=1", 1000000, FLAME_FORMAT_SVG},
        {"flamegraph=1&interval=0.0005", 500000, FLAME_FORMAT_SVG},
        {"interval=0.0005&flamegraph=1", 500000, FLAME_FORMAT_SVG},
        {"flamegraph=1&interval=5e-4", 500000, FLAME_FORMAT_SVG},
        {"flamegraph=1&interval=.0005", 500000, FLAME_FORMAT_SVG},
        {"flamegraph=1&interval=0.00005", 50000, FLAME_FORMAT_SVG},
        {"flamegraph=1&interval=1", 1000000000, FLAME_FORMAT_SVG},
        {"flamegraph=1&interval=1.0", 1000000000, FLAME_FORMAT_SVG},
        {"flamegraph=1&interval=0.1&interval=nonsense", 100000000, FLAME_FORMAT_SVG},
        {"flamegraph=1&interval=nonsense&flamegraph_interval=0.01", 10000000,
         FLAME_FORMAT_SVG},
        {"flamegraph=1&flamegraph_format=folded", 1000000, FLAME_FORMAT_FOLDED},
        {"flamegraph=1&flamegraph_format=png", 1000000, FLAME_FORMAT_PNG},
        {"flamegraph=1&format=csv", 1000000, FLAME_FORMAT_SVG},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct flame_params params;
        char sentence[FLAME_SENTENCE_SIZE];
        if (ask(cases[i].query, &params, sentence) != FLAME_PROFILE) {
            fail_msg("%s was not taken for ours", cases[i].query);
        }
        assert_int_equal(params.interval_ns, cases[i].interval_ns);
        assert_int_equal(params.format, cases[i].format);
        assert_false(params.head);
    }
}

static void clocks_are_read(void **state)
{
    struct flame_params params;
    char sentence[FLAME_SENTENCE_SIZE];

    (void)state;
    assert_int_equal(ask("flamegraph=1", &params, sentence), FLAME_PROFILE);
    assert_int_equal(params.clock, FLAME_CLOCK_WALL);
    ask("flamegraph=1&flamegraph_clock=cpu", &params, sentence);
    assert_int_equal(params.clock, FLAME_CLOCK_CPU);
    ask("flamegraph=1&flamegraph_clock=offcpu", &params, sentence);
    assert_int_equal(params.clock, FLAME_CLOCK_OFFCPU);
    ask("flamegraph=1&flamegraph_clock=gil", &params, sentence);
    assert_int_equal(params.clock, FLAME_CLOCK_GIL);
}

static void switches_and_repeat_are_read(void **state)
{
    struct flame_params params;
    char sentence[FLAME_SENTENCE_SIZE];

    (void)state;
    ask("flamegraph=1", &params, sentence);
    assert_int_equal(params.repeat, 1);
    assert_false(params.lines || params.threads || params.greenlets);
    ask("flamegraph=1&flamegraph_lines=1&flamegraph_repeat=2", &params, sentence);
    assert_int_equal(params.repeat, 2);
    assert_true(params.lines && !params.threads && !params.greenlets);
    ask("flamegraph=1&flamegraph_threads=1&flamegraph_lines=0&flamegraph_repeat=1000",
        &params, sentence);
    assert_int_equal(params.repeat, 1000);
    assert_true(params.threads && !params.lines && !params.greenlets);
    ask("flamegraph=1&flamegraph_children=1", &params, sentence);
    assert_true(params.greenlets && !params.threads);
}

static void the_picture_can_be_chosen(void **state)
{
    struct flame_params params;
    char sentence[FLAME_SENTENCE_SIZE] = "";

    (void)state;
    ask("flamegraph=1", &params, sentence);
    assert_int_equal(params.picture.width, 0);
    assert_int_equal(params.title.length, 0);
    ask("flamegraph=1&flamegraph_width=640&flamegraph_smallest=1.5&flamegraph_scale=3"
        "&flamegraph_colours=file&flamegraph_inverted=1&flamegraph_callers=1"
        "&flamegraph_title=a+%3Ctitle%3E&flamegraph_subtitle=s",
        &params, sentence);
    assert_int_equal(params.picture.width, 640);
    assert_int_equal(params.picture.smallest, 150);
    assert_int_equal(params.picture.scale, 300);
    assert_int_equal(params.picture.colours, FLAME_COLOURS_FILE);
    assert_true(params.picture.inverted && params.picture.callers);
    assert_int_equal(params.title.length, 9);
    assert_memory_equal(params.title.data, "a <title>", 9);
    assert_int_equal(params.subtitle.length, 1);
}

static void seconds_are_exact(void **state)
{
    static const struct {
        const char *text;
        uint64_t ns;
    } cases[] = {
        {"0", 0},
        {"1", 1000000000},
        {"1.", 1000000000},
        {".5", 500000000},
        {"0.000000001", 1},
        {"0.0000000004", 0},
        {"0.0000000005", 1},
        {"1e-3", 1000000},
        {"10E2", 1000000000000},
        {"1e+2", 100000000000},
        {"0e99", 0},
        {"1e-99", 0},
        {"00000000000000000000000000000000000000001", 1000000000},
        {"0.00000000000000000000000000000000000000001", 0},
        {"0.10000000000000000000000000000000000000001", 100000000},
        {"0.123456789123456789123456789", 123456789},
        {"86400", UINT64_C(86400000000000)},
    };
    static const char *const refused[] = {
        "",      ".",    "e1",      "1e",  "1e+",   "1e-",  "+1",
        "-1",    " 1",   "1 ",      "1,5", "1.2.3", "1e1.", "1e99",
        "1e100", "1e+-", "1e99999", "0x1", "nan",   "inf",  "99999999999999999999",
        "1e-100"};
    uint64_t ns;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (flame_parse_seconds(text(cases[i].text), &ns) != 0 || ns != cases[i].ns) {
            fail_msg("%s", cases[i].text);
        }
    }
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        if (flame_parse_seconds(text(refused[i]), &ns) == 0) {
            fail_msg("%s was accepted", refused[i]);
        }
    }
}

static void nonsense_gets_one_sentence(void **state)
{
    static const struct {
        const char *query;
        const char *said; /* must stand in the sentence */
    } cases[] = {
        {"flamegraph=1&interval=", "interval=\"\""},
        {"flamegraph=1&interval=0", "interval=\"0\""},
        {"flamegraph=1&interval=1e-9", "0.00005 to 1"},
        {"flamegraph=1&interval=1e9", "0.00005 to 1"},
        {"flamegraph=1&interval=1e999", "0.00005 to 1"},
        {"flamegraph=1&interval=-1", "interval=\"-1\""},
        {"flamegraph=1&interval=nan", "interval=\"nan\""},
        {"flamegraph=1&interval=inf", "interval=\"inf\""},
        {"flamegraph=1&interval=0x1", "interval=\"0x1\""},
        {"flamegraph=1&interval=1,5", "interval=\"1,5\""},
        {"flamegraph=1&interval=+0.1", "interval=\" 0.1\""},
        {"flamegraph=1&interval=0.1%00", "\\x00"},
        {"flamegraph=1&interval=%0d%0aX:1", "\\x0d\\x0aX:1"},
        {"flamegraph=1&interval=%22%3Cscript%3E", "\\x22<script>"},
        {"flamegraph=1&interval=1.0000001", "0.00005 to 1"},
        {"flamegraph=1&interval=0.1e", "interval=\"0.1e\""},
        {"flamegraph=1&interval=0.1.2", "interval=\"0.1.2\""},
        {"flamegraph=1&flamegraph_interval=2&interval=0.1",
         "flamegraph_interval=\"2\""},
        {"flamegraph=1&flamegraph_format=SVG", FLAME_FORMAT_NAMES},
        {"flamegraph=1&flamegraph_format=", "flamegraph_format=\"\""},
        {"flamegraph=1&flamegraph_nonsense=1", "flamegraph_nonsense"},
        {"flamegraph=1&flamegraph_x=1", "flamegraph_keep and flamegraph_diff."},
        {"flamegraph=1&flamegraph_lines=yes", "flamegraph_lines=\"yes\""},
        {"flamegraph=1&flamegraph_lines=", "1 or 0"},
        {"flamegraph=1&flamegraph_threads=2", "1 or 0"},
        {"flamegraph=1&flamegraph_children=true", "1 or 0"},
        {"flamegraph=1&flamegraph_repeat=1", "2 to 1000"},
        {"flamegraph=1&flamegraph_repeat=1001", "2 to 1000"},
        {"flamegraph=1&flamegraph_repeat=", "2 to 1000"},
        {"flamegraph=1&flamegraph_repeat=2.5", "2 to 1000"},
        {"flamegraph=1&flamegraph_repeat=-3", "2 to 1000"},
        {"flamegraph=1&flamegraph_repeat=99999999999999999999", "2 to 1000"},
        {"flamegraph=1&flamegraph_width=319", "320 to 10000"},
        {"flamegraph=1&flamegraph_width=10001", "320 to 10000"},
        {"flamegraph=1&flamegraph_width=1e3", "320 to 10000"},
        {"flamegraph=1&flamegraph_width=99999999999999999999", "320 to 10000"},
        {"flamegraph=1&flamegraph_smallest=0", "0.1 to 100"},
        {"flamegraph=1&flamegraph_smallest=.5", "0.1 to 100"},
        {"flamegraph=1&flamegraph_smallest=1.", "0.1 to 100"},
        {"flamegraph=1&flamegraph_scale=4.01", "0.5 to 4"},
        {"flamegraph=1&flamegraph_scale=1.234", "0.5 to 4"},
        {"flamegraph=1&flamegraph_colours=red", "origin, file or warm"},
        {"flamegraph=1&flamegraph_inverted=", "1 or 0"},
        {"flamegraph=1&flamegraph_callers=yes", "1 or 0"},
        {"flamegraph=1&flamegraph_title="
         "12345678901234567890123456789012345678901234567890123456789012345",
         "at most 64 bytes"},
        {"flamegraph=1&flamegraph_clock=Wall", "wall, cpu, offcpu or gil"},
        {"flamegraph=1&flamegraph_clock=", "flamegraph_clock=\"\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct flame_params params;
        char sentence[FLAME_SENTENCE_SIZE] = "";
        if (ask(cases[i].query, &params, sentence) != FLAME_MALFORMED ||
            strstr(sentence, cases[i].said) == NULL) {
            fail_msg("%s: \"%s\"", cases[i].query, sentence);
        }
        assert_null(strpbrk(sentence, "\r\n"));
    }
}

static void long_values_are_bounded(void **state)
{
    static char query[20000] = "flamegraph=1&interval=";
    struct flame_params params;
    char sentence[FLAME_SENTENCE_SIZE];

    (void)state;
    memset(query + strlen(query), 1, sizeof query - strlen(query) - 1);
    assert_int_equal(ask(query, &params, sentence), FLAME_MALFORMED);
    assert_true(strlen(sentence) < FLAME_SENTENCE_SIZE);
    assert_non_null(strstr(sentence, "..."));
}

#define ASKED "QUERY_STRING=flamegraph=1"

static void who_may(void **state)
{
    static const struct {
        const char *more[4];
        bool may;
    } cases[] = {
        {{ASKED}, true},
        {{ASKED, "REQUEST_METHOD=HEAD"}, true},
        {{ASKED, "REQUEST_METHOD=POST"}, false},
        {{ASKED, "REQUEST_METHOD=get"}, false},
        {{ASKED, "REMOTE_ADDR=127.9.9.9"}, true},
        {{ASKED, "REMOTE_ADDR=::1"}, true},
        {{ASKED, "REMOTE_ADDR=::ffff:127.0.0.1"}, true},
        {{ASKED, "REMOTE_ADDR="}, false},
        {{ASKED, "REMOTE_ADDR=128.0.0.1"}, false},
        {{ASKED, "REMOTE_ADDR=10.0.0.1"}, false},
        {{ASKED, "REMOTE_ADDR=::2"}, false},
        {{ASKED, "REMOTE_ADDR=127.0.0.1, 10.0.0.1"}, false},
        {{ASKED, "REMOTE_ADDR=localhost"}, false},
        {{ASKED, "HTTP_HOST=localhost"}, true},
        {{ASKED, "HTTP_HOST=LOCALHOST:80"}, true},
        {{ASKED, "HTTP_HOST=[::1]:8000"}, true},
        {{ASKED, "HTTP_HOST=[::1"}, false},
        {{ASKED, "HTTP_HOST=[::1]example.org"}, false},
        {{ASKED, "HTTP_HOST=[::1]:example"}, false},
        {{ASKED, "HTTP_HOST=127.0.0.1:example.org"}, false},
        {{ASKED, "HTTP_HOST=127.0.0.1:"}, true},
        {{ASKED, "HTTP_HOST=localhost."}, false},
        {{ASKED, "FLAMEPROF_TAKEN=1"}, false},
        {{ASKED, "HTTP_HOST=:80"}, false},
        {{ASKED, "HTTP_HOST=example.org"}, false},
        {{ASKED, "HTTP_HOST=localhost.example.org"}, false},
        {{ASKED, "HTTP_HOST="}, false},
        {{ASKED, "SERVER_PROTOCOL=HTTP/1.0"}, false},
        {{ASKED, "SERVER_PROTOCOL=HTTP/2.0"}, true},
        {{ASKED, "HTTP_X_FORWARDED_FOR=127.0.0.1"}, false},
        {{ASKED, "HTTP_X_FORWARDED_FOR="}, false},
        {{ASKED, "HTTP_X_FORWARDED_HOST=a"}, false},
        {{ASKED, "HTTP_X_FORWARDED_PROTO=https"}, false},
        {{ASKED, "HTTP_X_FORWARDED_SCHEME=https"}, false},
        {{ASKED, "HTTP_X_CLIENT_IP=192.0.2.1"}, false},
        {{ASKED, "HTTP_CF_CONNECTING_IP=192.0.2.1"}, false},
        {{ASKED, "HTTP_FORWARDED=for=127.0.0.1"}, false},
        {{ASKED, "HTTP_VIA=1.1 proxy"}, false},
        {{ASKED, "HTTP_X_REAL_IP=127.0.0.1"}, false},
        {{ASKED, "HTTP_SEC_FETCH_SITE=cross-site"}, false},
        {{ASKED, "HTTP_SEC_FETCH_SITE=same-origin"}, true},
        {{ASKED, "HTTP_SEC_FETCH_SITE=none"}, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct flame_config config;
        struct flame_params params;
        char sentence[FLAME_SENTENCE_SIZE];
        flame_config_init(&config);
        bool may = decide(&config, cases[i].more, &params, sentence) == FLAME_PROFILE;
        flame_config_free(&config);
        if (may != cases[i].may) {
            fail_msg("%s: %d", cases[i].more[1], may);
        }
    }
}

static void allowed_networks_widen_it(void **state)
{
    static const struct {
        const char *remote;
        bool may;
    } cases[] = {
        {"REMOTE_ADDR=10.1.2.3", true},        {"REMOTE_ADDR=11.1.2.3", false},
        {"REMOTE_ADDR=192.168.4.7", true},     {"REMOTE_ADDR=192.168.4.8", false},
        {"REMOTE_ADDR=fd00::1", true},         {"REMOTE_ADDR=fe00::1", false},
        {"REMOTE_ADDR=::ffff:10.0.0.9", true}, {"REMOTE_ADDR=127.0.0.1", true},
    };
    struct flame_config config;

    (void)state;
    flame_config_init(&config);
    assert_int_equal(flame_config_allow(&config, text("10.0.0.0/8")), 0);
    assert_int_equal(flame_config_allow(&config, text("192.168.4.7")), 0);
    assert_int_equal(flame_config_allow(&config, text("fd00::/9")), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct flame_params params;
        char sentence[FLAME_SENTENCE_SIZE];
        bool may = decide(&config, (const char *[]){ASKED, cases[i].remote, NULL},
                          &params, sentence) == FLAME_PROFILE;
        if (may != cases[i].may) {
            fail_msg("%s: %d", cases[i].remote, may);
        }
    }
    flame_config_free(&config);
}

static void networks_that_make_no_sense(void **state)
{
    static const char *const networks[] = {"",          "10.0.0.0/33", "10.0.0/8",
                                           "10.0.0.0/", "::1/129",     "10.0.0.0/8x",
                                           "example",   "10.0.0.0/-1", "10.0.0.0/0008"};
    struct flame_config config;

    (void)state;
    flame_config_init(&config);
    for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++) {
        if (flame_config_allow(&config, text(networks[i])) == 0) {
            fail_msg("%s was accepted", networks[i]);
        }
    }
    flame_config_free(&config);
}

static void refusals_are_logged_once_a_minute(void **state)
{
    struct flame_config config;
    struct flame_params params;
    char sentence[FLAME_SENTENCE_SIZE];
    unsigned before = log_lines;

    (void)state;
    flame_config_init(&config);
    for (int i = 0; i < 1000; i++) {
        decide(&config, (const char *[]){ASKED, "REMOTE_ADDR=10.0.0.1", NULL}, &params,
               sentence);
    }
    flame_config_free(&config);
    /* Earlier tests were refused too: this minute's line may be theirs. */
    assert_true(log_lines - before <= 1);
    assert_true(log_lines >= 1);
    assert_non_null(strstr(last_log, "refused"));
    assert_null(strchr(last_log, '\n'));
}

static void headers_dropped(void **state)
{
    static const char *const dropped[] = {"Content-Length", "content-type", "ETAG",
                                          "Location", "Access-Control-Allow-Origin"};
    static const char *const kept[] = {"Set-Cookie", "X-Content", "Vary", "",
                                       "Content-Lengt"};

    (void)state;
    for (size_t i = 0; i < 5; i++) {
        assert_true(flame_header_is_dropped(text(dropped[i])));
        assert_false(flame_header_is_dropped(text(kept[i])));
    }
}

/* Digits and a point, whatever a comma means to the application. */
static void log_lines_are_for_programs_too(void **state)
{
    struct flame_profile profile = {.quality = {.duration_ns = 1002003004,
                                                .samples = 12,
                                                .missed = 3,
                                                .sampling_ns = 45678}};
    struct flame_outcome outcome = {.path = text("/a b?\xc3\xa9\n")};
    struct flame_answer answer = {.drawing_ns = 7000999};
    char line[400];

    (void)state;
    flame_answer_log(&profile, &outcome, &answer, line, sizeof line);
    assert_string_equal(line, "[flameprof] /a?b????: 1.002 s, 12 samples, 3 missed, "
                              "0.045 ms sampling, 7.000 ms drawing");
}

/* Whoever is sent the picture, or reads the log, shall not have the permission. */
static void tokens_are_not_shown(void **state)
{
    static const struct {
        const char *path;
        const char *shown;
    } cases[] = {
        {"/?flamegraph=1&flamegraph_token=abc", "/?flamegraph=1&flamegraph_token=..."},
        {"/?flamegraph_token=abc&a=b&flamegraph_token=&c",
         "/?flamegraph_token=...&a=b&flamegraph_token=...&c"},
        {"/?flamegraph%5Ftoken=abc&b", "/?flamegraph_token=...&b"},
        {"/?a&%66lamegraph%5f%74oken=abc", "/?a&flamegraph_token=..."},
        {"/a?b?flamegraph_token=a?b=c&d", "/a?b?flamegraph_token=...&d"},
        {"/?a=flamegraph_token=abc", "/?a=flamegraph_token=abc"},
        {"/?flamegraph+token=abc", "/?flamegraph+token=abc"},
        {"/?flamegraph%255Ftoken=abc", "/?flamegraph%255Ftoken=abc"},
        {"/?flamegraph_tokens=abc", "/?flamegraph_tokens=abc"},
        {"/?flamegraph_toke=abc", "/?flamegraph_toke=abc"},
        {"/?flamegraph_token", "/?flamegraph_token"},
        {"", ""},
    };
    struct flame_profile profile = {.quality = {.samples = 1}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct flame_outcome outcome = {.path = text(cases[i].path)};
        struct flame_answer answer = {.drawing_ns = 1};
        char line[400];
        char expected[400];
        flame_answer_log(&profile, &outcome, &answer, line, sizeof line);
        snprintf(expected, sizeof expected, "[flameprof] %s: 0.000 s", cases[i].shown);
        assert_memory_equal(line, expected, strlen(expected));
    }
}

/* The shortest of a few runs, in ns, to look for us in a long query of one key. */
static uint64_t reading_time(const char *key)
{
    char query[32768] = "flamegraph=1";
    uint64_t shortest = UINT64_MAX;
    size_t used = strlen(query);

    for (; used + strlen(key) < sizeof query; used += strlen(key)) {
        strcpy(query + used, key);
    }
    for (int i = 0; i < 20; i++) {
        uint64_t begun = flame_now_ns();
        assert_true(flame_query_asks((struct flame_slice){query, used}));
        uint64_t took = flame_now_ns() - begun;
        shortest = took < shortest ? took : shortest;
    }
    return shortest;
}

/* A stranger could measure it. The keys of an application are not read at all. */
static void no_key_takes_longer_than_others(void **state)
{
    static const char *const keys[] = {"&f", "&i", "&%66", "&flamegra"};
    uint64_t usual = reading_time("&x");

    (void)state;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        assert_in_range(reading_time(keys[i]), 0, 4 * usual);
    }
}

static void the_shortest_interval(void **state)
{
    struct flame_config config;
    struct flame_params params;
    char sentence[FLAME_SENTENCE_SIZE];
    const char *const query[] = {"QUERY_STRING=flamegraph=1&interval=0.00099", NULL};
    uint64_t refused = flame_counted(flame_common_here(), FLAME_COUNT_REFUSED_INTERVAL);

    (void)state;
    flame_config_init(&config);
    config.least_interval_ns = 1500000;
    assert_int_equal(decide(&config, query, &params, sentence), FLAME_MALFORMED);
    assert_string_equal(sentence,
                        "interval=\"0.00099\" is not accepted: on this server "
                        "it takes seconds from 0.0015 to 1.");
    assert_int_equal(flame_counted(flame_common_here(), FLAME_COUNT_REFUSED_INTERVAL),
                     refused + 1);
    config.least_interval_ns = FLAME_INTERVAL_MOST_NS;
    assert_int_equal(decide(&config, query, &params, sentence), FLAME_MALFORMED);
    assert_non_null(strstr(sentence, "seconds from 1 to 1."));
    config.interval_ns = 990000; /* the server's own */
    assert_int_equal(decide(&config, query, &params, sentence), FLAME_PROFILE);
    config.interval_ns = 1000000;
    config.least_interval_ns = 990000;
    assert_int_equal(decide(&config, query, &params, sentence), FLAME_PROFILE);
    flame_config_free(&config);
}

static void refusals_say_what_to_do(void **state)
{
    static const struct {
        enum flame_entry entry;
        int status;
        unsigned retry_s;
        const char *sentence;
    } cases[] = {
        {FLAME_FULL, 429, 5,
         "This server takes 4 profiles at once, no more (at-once): ask again in 5 "
         "seconds.\n"},
        {FLAME_FULL_HERE, 429, 5,
         "This worker takes 1 profile at once, no more (worker-at-once): ask again in "
         "5 "
         "seconds.\n"},
        {FLAME_TOO_OFTEN, 429, 1,
         "This server takes 60 profiles a minute, no more (per-minute): ask again in 1 "
         "second.\n"},
        {FLAME_ENTRY_STUCK, 503, 0,
         "No profile can be taken now: a worker that was stopped holds what all "
         "share.\n"},
    };
    static const struct flame_receipt none;
    struct flame_config config;

    (void)state;
    flame_config_init(&config);
    config.worker_at_once = 1;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct flame_refusal refusal;
        struct flame_answer answer;
        flame_refuse_entry(&config, cases[i].entry, cases[i].retry_s, &refusal);
        flame_answer_refusal(&refusal, &none, &answer);
        assert_int_equal(answer.status, cases[i].status);
        assert_int_equal(answer.retry_s, cases[i].retry_s);
        assert_int_equal(answer.body.length, strlen(cases[i].sentence));
        assert_memory_equal(answer.body.data, cases[i].sentence, answer.body.length);
        flame_answer_free(&answer);
    }
    flame_config_free(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queries_that_are_not_ours),
        cmocka_unit_test(queries_that_are_ours),
        cmocka_unit_test(clocks_are_read),
        cmocka_unit_test(the_picture_can_be_chosen),
        cmocka_unit_test(seconds_are_exact),
        cmocka_unit_test(switches_and_repeat_are_read),
        cmocka_unit_test(nonsense_gets_one_sentence),
        cmocka_unit_test(long_values_are_bounded),
        cmocka_unit_test(who_may),
        cmocka_unit_test(allowed_networks_widen_it),
        cmocka_unit_test(networks_that_make_no_sense),
        cmocka_unit_test(refusals_are_logged_once_a_minute),
        cmocka_unit_test(headers_dropped),
        cmocka_unit_test(log_lines_are_for_programs_too),
        cmocka_unit_test(tokens_are_not_shown),
        cmocka_unit_test(no_key_takes_longer_than_others),
        cmocka_unit_test(the_shortest_interval),
        cmocka_unit_test(refusals_say_what_to_do),
    };
    return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
