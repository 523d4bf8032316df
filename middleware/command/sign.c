/* flameprof sign */
#include "middleware/command/sign.h"
#include "middleware/request.h"
#include "renderer/command/command.h"

#include <sodium.h>

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char flame_sign_help[] =
    "sign prints what is to stand behind the ? of a page's address, so that whoever "
    "has\n"
    "it may profile that page:\n"
    "\n"
    "      --secret-file FILE the secret, which the server has as well\n"
    "      --path PATH        the page's, as it stands in its address: /shop/\n"
    "      --expires TIME     for how long: 45s, 10m (default), 8h, 30d at most\n"
    "      --once             good for one profile only\n"
    "      --interval-min SECONDS\n"
    "                         the smallest interval that may be asked for with it\n";

#define EXPIRES_USUAL_S 600u
#define EXPIRES_ACCEPTED "--expires takes 45s, 10m, 8h or the like, 30d at most"
#define PATH_ACCEPTED \
    "--path takes a page's path, from its / to before its ?, 1024 bytes at most"

struct order {
    const char *secret_file;
    char path[FLAME_TOKEN_PATH_MAX];
    size_t path_length; /* 0: none was given */
    struct flame_token token;
};

/* "10m" */
static bool read_expires(const char *text, uint32_t *seconds)
{
    static const struct {
        char unit;
        uint32_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    uint64_t count = 0;
    const char *at = text;

    while (*at >= '0' && *at <= '9' && count <= FLAME_TOKEN_SECONDS_MAX) {
        count = count * 10 + (uint64_t)(*at++ - '0');
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (at > text && at[0] == units[i].unit && at[1] == '\0') {
            uint64_t all = count * units[i].seconds;
            *seconds = (uint32_t)all;
            return all > 0 && all <= FLAME_TOKEN_SECONDS_MAX;
        }
    }
    return false;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* As a server hands it on: without its escapes. */
static bool read_path(const char *text, struct order *order)
{
    order->path_length = 0;
    if (*text != '/' || strpbrk(text, "?#") != NULL) {
        return false;
    }
    for (const char *at = text; *at != '\0'; at++) {
        char c = *at;
        if (c == '%' && hex(at[1]) >= 0 && hex(at[2]) >= 0) {
            c = (char)(hex(at[1]) * 16 + hex(at[2]));
            at += 2;
        }
        if (order->path_length == sizeof order->path) {
            return false;
        }
        order->path[order->path_length++] = c;
    }
    return true;
}

static bool read_interval(const char *text, uint32_t *ns)
{
    uint64_t interval;
    bool right = flame_parse_seconds(flame_slice_of(text), &interval) == 0 &&
                 interval >= FLAME_INTERVAL_MIN_NS &&
                 interval <= FLAME_INTERVAL_MOST_NS;

    *ns = right ? (uint32_t)interval : 0;
    return right;
}

enum { SECRET_FILE, PATH, EXPIRES, ONCE, INTERVAL_MIN };

/* 0, or an exit status. */
static int read_option(struct order *order, int option)
{
    switch (option) {
    case SECRET_FILE:
        if (order->secret_file != NULL) {
            return flame_misused("one secret signs", optarg);
        }
        order->secret_file = optarg;
        return 0;
    case PATH:
        return read_path(optarg, order) ? 0 : flame_misused(PATH_ACCEPTED, optarg);
    case EXPIRES:
        return read_expires(optarg, &order->token.seconds)
                   ? 0
                   : flame_misused(EXPIRES_ACCEPTED, optarg);
    case ONCE:
        order->token.once = true;
        return 0;
    case INTERVAL_MIN:
        return read_interval(optarg, &order->token.interval_min_ns)
                   ? 0
                   : flame_misused("--interval-min takes " FLAME_INTERVAL_ACCEPTED,
                                   optarg);
    default:
        fputs("Try: flameprof --help\n", stderr);
        return FLAME_EXIT_USAGE;
    }
}

static int read_order(struct order *order, int argc, char **argv)
{
    static const struct option options[] = {
        {"secret-file", required_argument, NULL, SECRET_FILE},
        {"path", required_argument, NULL, PATH},
        {"expires", required_argument, NULL, EXPIRES},
        {"once", no_argument, NULL, ONCE},
        {"interval-min", required_argument, NULL, INTERVAL_MIN},
        {NULL, 0, NULL, 0}};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        int wrong = read_option(order, option);
        if (wrong != 0) {
            return wrong;
        }
    }
    if (optind < argc) {
        return flame_misused("sign takes options only", argv[optind]);
    }
    if (order->secret_file == NULL) {
        return flame_misused("sign", "--secret-file is missing");
    }
    return order->path_length != 0 ? 0 : flame_misused("sign", "--path is missing");
}

int flame_sign_command(int argc, char **argv)
{
    struct order order = {.token = {.seconds = EXPIRES_USUAL_S}};
    struct flame_secrets secrets = {NULL, 0};
    char token[FLAME_TOKEN_LENGTH + 1];
    char why[200];
    int status = read_order(&order, argc, argv);

    if (status != 0) {
        return status;
    }
    if (flame_secrets_add(&secrets, order.secret_file, why, sizeof why) != 0) {
        fprintf(stderr, "flameprof: %s: %s\n", order.secret_file, why);
        return FLAME_EXIT_FAILED;
    }
    order.token.signed_at = (uint32_t)time(NULL);
    randombytes_buf(order.token.nonce, sizeof order.token.nonce);
    flame_token_sign(&secrets, &order.token,
                     (struct flame_slice){order.path, order.path_length}, token);
    flame_secrets_free(&secrets);
    return printf("flamegraph=1&flamegraph_token=%s\n", token) > 0 &&
                   fflush(stdout) == 0
               ? 0
               : FLAME_EXIT_FAILED;
}
