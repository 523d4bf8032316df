/* Who may have a profile. */
#include "middleware/access/access.h"
#include "middleware/access/proxies.h"
#include "middleware/archive/archive.h"
#include "middleware/common/limits.h"
#include "middleware/options.h"
#include "middleware/parts.h"
#include "middleware/slow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>

static bool slice_is(struct flame_slice slice, const char *text)
{
    return slice.data != NULL && slice.length == strlen(text) &&
           strncasecmp(slice.data, text, slice.length) == 0;
}

/* ---- the configuration ------------------------------------------------------- */

void flame_config_init(struct flame_config *config)
{
    *config = (struct flame_config){.interval_ns = 1000000,
                                    .max_ns = UINT64_C(60000000000),
                                    .dir_profiles = FLAME_ARCHIVE_PROFILES,
                                    .dir_bytes = FLAME_ARCHIVE_BYTES,
                                    .slow_interval_ns = 20000000,
                                    .slow_per_minute = FLAME_SLOW_PER_MINUTE};
    flame_limits_init(config);
}

int flame_config_allow(struct flame_config *config, struct flame_slice cidr)
{
    return flame_networks_add(&config->allow, cidr);
}

int flame_config_trust(struct flame_config *config, struct flame_slice cidr)
{
    return flame_networks_add(&config->trusted_proxies, cidr);
}

/* As a string of its own. */
static int keep_path(struct flame_slice text, char **path)
{
    if (text.length == 0 || memchr(text.data, '\0', text.length) != NULL) {
        return -EINVAL;
    }
    *path = strndup(text.data, text.length);
    return *path != NULL ? 0 : -ENOMEM;
}

int flame_config_secret(struct flame_config *config, struct flame_slice file)
{
    char why[200]; /* the table's sentence has it all */
    char *path;
    int error = keep_path(file, &path);

    if (error != 0) {
        return error;
    }
    error = flame_secrets_add(&config->secrets, path, why, sizeof why);
    free(path);
    return error == 0 ? 0 : -EINVAL;
}

int flame_config_off_file(struct flame_config *config, struct flame_slice file)
{
    char *path;
    int error =
        file.length != 0 && file.data[0] == '/' ? keep_path(file, &path) : -EINVAL;

    if (error == 0) {
        free(config->off_file);
        config->off_file = path;
    }
    return error;
}

void flame_config_free(struct flame_config *config)
{
    flame_networks_free(&config->allow);
    flame_networks_free(&config->trusted_proxies);
    flame_secrets_free(&config->secrets);
    free(config->off_file);
    config->off_file = NULL;
    flame_names_free(&config->names);
    flame_push_target_free(&config->push);
    flame_options_free(config);
}

/* ---- this machine, and networks ---------------------------------------------- */

static struct flame_slice without_port(struct flame_slice host)
{
    size_t end = host.length;

    while (end > 0 && host.data[end - 1] >= '0' && host.data[end - 1] <= '9') {
        end--;
    }
    if (end > 0 && host.data[end - 1] == ':') {
        host.length = end - 1;
    }
    return host;
}

/* "localhost", "127.0.0.1", "[::1]", each with or without a port. */
static bool host_is_loopback(struct flame_slice host)
{
    struct flame_slice name = without_port(host);
    struct flame_address address;

    if (name.length > 2 && name.data[0] == '[' && name.data[name.length - 1] == ']') {
        name = (struct flame_slice){name.data + 1, name.length - 2};
    }
    return slice_is(name, "localhost") ||
           (flame_address_read(name, &address) && flame_address_is_loopback(&address));
}

/*
 * A proxy on this host makes everybody look local. These are the marks the
 * common ones leave: a header that tells of the client or of the address it
 * asked for, HTTP/1.0 (nginx's default before 1.29.7), or the public name in Host.
 * Looks for all of them, whatever it finds.
 */
static bool looks_proxied(flame_lookup *lookup, void *door_request)
{
    static const char *const marks[] = {
        "HTTP_FORWARDED",           "HTTP_VIA",
        "HTTP_X_FORWARDED",         "HTTP_X_FORWARDED_FOR",
        "HTTP_X_FORWARDED_HOST",    "HTTP_X_FORWARDED_PROTO",
        "HTTP_X_FORWARDED_PORT",    "HTTP_X_FORWARDED_SERVER",
        "HTTP_X_FORWARDED_PREFIX",  "HTTP_X_FORWARDED_PROTOCOL",
        "HTTP_X_FORWARDED_SCHEME",  "HTTP_X_FORWARDED_SSL",
        "HTTP_X_FORWARDED_BY",      "HTTP_X_FORWARDED_URI",
        "HTTP_X_FORWARDED_PATH",    "HTTP_X_FORWARDED_METHOD",
        "HTTP_X_FORWARDED_USER",    "HTTP_X_FORWARDED_CLIENT_CERT",
        "HTTP_X_ORIGINAL_FOR",      "HTTP_X_ORIGINAL_FORWARDED_FOR",
        "HTTP_X_ORIGINAL_HOST",     "HTTP_X_ORIGINAL_URI",
        "HTTP_X_REAL_IP",           "HTTP_X_CLIENT_IP",
        "HTTP_CLIENT_IP",           "HTTP_TRUE_CLIENT_IP",
        "HTTP_X_CLUSTER_CLIENT_IP", "HTTP_X_ENVOY_EXTERNAL_ADDRESS",
        "HTTP_CF_CONNECTING_IP",    "HTTP_CDN_LOOP",
    };

    bool proxied = slice_is(lookup(door_request, "SERVER_PROTOCOL"), "HTTP/1.0");

    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        proxied |= lookup(door_request, marks[i]).data != NULL;
    }
    return proxied | !host_is_loopback(lookup(door_request, "HTTP_HOST"));
}

/*
 * Where the request comes from. `proxied` is not looked for unless it matters, if it is
 * NULL: on the path of pages that only may get a badge.
 */
static enum flame_verdict judge_address(const struct flame_config *config,
                                        flame_lookup *lookup, void *door_request,
                                        const bool *proxied)
{
    struct flame_slice text = lookup(door_request, "REMOTE_ADDR");
    enum flame_client kind = FLAME_CLIENT_STRAIGHT;
    enum flame_verdict stranger =
        config->allow.count > 0 ? FLAME_REFUSED_NETWORK : FLAME_REFUSED_NOT_LOCAL;
    struct flame_address remote = {{0}};
    struct flame_address client = {{0}};
    bool known = text.data != NULL && flame_address_read(text, &remote);

    if (config->trusted_proxies.count > 0) {
        kind = flame_client_find(&config->trusted_proxies, &remote,
                                 lookup(door_request, "HTTP_X_FORWARDED_FOR"),
                                 lookup(door_request, "HTTP_FORWARDED"), &client);
    }
    if (kind == FLAME_CLIENT_STRAIGHT) {
        client = remote;
    }
    bool allowed = flame_networks_have(&config->allow, &client);
    if (!known) {
        return stranger;
    }
    if (kind == FLAME_CLIENT_NOBODY) {
        return FLAME_REFUSED_CLIENT;
    }
    if (allowed) {
        return FLAME_MAY;
    }
    /* What another machine says of its own loopback address is not about this one. */
    if (kind == FLAME_CLIENT_BEHIND || !flame_address_is_loopback(&client)) {
        return stranger;
    }
    return (proxied != NULL ? *proxied : looks_proxied(lookup, door_request))
               ? stranger
               : FLAME_MAY;
}

/* Another site's page made the browser ask. */
static bool is_cross_site(flame_lookup *lookup, void *door_request)
{
    return slice_is(lookup(door_request, "HTTP_SEC_FETCH_SITE"), "cross-site");
}

/* ---- tokens ------------------------------------------------------------------ */

#define COOKIE "flameprof_token="

/* "a=b; flameprof_token=...; c=d": the first of that name. */
static struct flame_slice find_cookie(struct flame_slice header)
{
    const char *at = header.data;
    const char *end = header.data + header.length;

    while (header.data != NULL && at < end) {
        const char *stop = memchr(at, ';', (size_t)(end - at));
        stop = stop == NULL ? end : stop;
        while (at < stop && *at == ' ') {
            at++;
        }
        if ((size_t)(stop - at) >= sizeof COOKIE - 1 &&
            memcmp(at, COOKIE, sizeof COOKIE - 1) == 0) {
            at += sizeof COOKIE - 1;
            return (struct flame_slice){at, (size_t)(stop - at)};
        }
        at = stop + 1;
    }
    return (struct flame_slice){NULL, 0};
}

static enum flame_verdict refusal_of(enum flame_token_state state)
{
    switch (state) {
    case FLAME_TOKEN_GOOD:
        return FLAME_MAY;
    case FLAME_TOKEN_EARLY:
        return FLAME_REFUSED_TOKEN_EARLY;
    case FLAME_TOKEN_EXPIRED:
        return FLAME_REFUSED_TOKEN_EXPIRED;
    case FLAME_TOKEN_ABSENT:
    case FLAME_TOKEN_BAD:
        break;
    }
    return FLAME_REFUSED_TOKEN_BAD;
}

/* Of a token that is good once. What was spent before our memory began is not known. */
static enum flame_verdict judge_once(const struct flame_token *token)
{
    const struct flame_common *common = flame_common_here();
    bool known = flame_common_can_spend(common);
    bool spent = flame_common_is_spent(common, token->digest);

    if (!known || (int64_t)token->signed_at <= flame_common_since(common)) {
        return FLAME_REFUSED_TOKEN_UNSPENDABLE;
    }
    return spent ? FLAME_REFUSED_TOKEN_SPENT : FLAME_MAY;
}

/* What the token says, that of the URL before that of the header before that of the
 * cookie. False: there is none. */
static bool judge_token(const struct flame_config *config, flame_lookup *lookup,
                        void *door_request, bool cross_site,
                        struct flame_access *access)
{
    struct flame_params_text asked;
    struct flame_token token;

    bool in_url = flame_query_token(lookup(door_request, "QUERY_STRING"), &asked);
    struct flame_slice header = lookup(door_request, "HTTP_X_FLAMEPROF_TOKEN");
    struct flame_slice cookie = find_cookie(lookup(door_request, "HTTP_COOKIE"));
    struct flame_slice text = header.data != NULL ? header : cookie;
    if (in_url) {
        text = (struct flame_slice){asked.data, asked.length};
    }
    enum flame_token_state state = flame_token_check(
        &config->secrets, text, lookup(door_request, "SCRIPT_NAME"),
        lookup(door_request, "PATH_INFO"), (uint64_t)time(NULL), &token);

    *access = (struct flame_access){.verdict = refusal_of(state),
                                    .interval_min_ns = token.interval_min_ns,
                                    .once = token.once,
                                    .ends = flame_token_ends(&token)};
    memcpy(access->digest, token.digest, sizeof access->digest);
    enum flame_verdict once = judge_once(&token);
    if (access->verdict == FLAME_MAY && token.once) {
        access->verdict = once;
    }
    if (access->verdict == FLAME_MAY && cross_site && text.data == cookie.data) {
        access->verdict = FLAME_REFUSED_TOKEN_CROSS_SITE;
    }
    return state != FLAME_TOKEN_ABSENT;
}

/* ---- all of it --------------------------------------------------------------- */

bool flame_switched_off(const struct flame_config *config)
{
    struct stat file;

    return config->off_file != NULL &&
           (stat(config->off_file, &file) == 0 || errno != ENOENT);
}

void flame_access_check(const struct flame_config *config, flame_lookup *lookup,
                        void *door_request, struct flame_access *access)
{
    bool off = flame_switched_off(config);
    bool cross_site = is_cross_site(lookup, door_request);
    bool proxied = looks_proxied(lookup, door_request);
    enum flame_verdict address = judge_address(config, lookup, door_request, &proxied);
    bool token = false;

    *access = (struct flame_access){.verdict = FLAME_REFUSED_TOKEN_BAD};
    if (config->secrets.count > 0) {
        token = judge_token(config, lookup, door_request, cross_site, access);
    }
    if (off) {
        access->verdict = FLAME_REFUSED_OFF;
        return;
    }
    if (access->verdict == FLAME_MAY) {
        access->by_token =
            config->authorize != NULL || cross_site || address != FLAME_MAY;
        return;
    }
    enum flame_verdict refusal = address;
    if (cross_site) {
        refusal = FLAME_REFUSED_CROSS_SITE;
    } else if (config->authorize != NULL) {
        refusal = config->authorize(config->authority, door_request)
                      ? FLAME_MAY
                      : FLAME_REFUSED_AUTHORIZE;
    }
    refusal = refusal != FLAME_MAY && token ? access->verdict : refusal;
    *access = (struct flame_access){.verdict = refusal};
}

bool flame_allowed(const struct flame_config *config, flame_lookup *lookup,
                   void *door_request)
{
    if (is_cross_site(lookup, door_request)) {
        return false;
    }
    bool may = config->authorize != NULL
                   ? config->authorize(config->authority, door_request)
                   : judge_address(config, lookup, door_request, NULL) == FLAME_MAY;
    return may && !flame_switched_off(config);
}

bool flame_access_spend(struct flame_access *access)
{
    if (access->once && !flame_common_spend(flame_common_here(), access->digest,
                                            (int64_t)access->ends)) {
        access->verdict = FLAME_REFUSED_TOKEN_SPENT;
        return false;
    }
    return true;
}
