/* Who may have a profile. */
#include "middleware/parts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct flame_network {
    unsigned char address[16]; /* IPv4 as ::ffff:a.b.c.d */
    unsigned bits;
};

#define ADDRESS_MAX 64u

static bool slice_is(struct flame_slice slice, const char *text)
{
    return slice.data != NULL && slice.length == strlen(text) &&
           strncasecmp(slice.data, text, slice.length) == 0;
}

/* An address as 16 bytes; *v4 tells which kind it was written as. */
static bool read_address(struct flame_slice text, unsigned char out[16], bool *v4)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    char copy[ADDRESS_MAX];

    if (text.length == 0 || text.length >= sizeof copy ||
        memchr(text.data, '\0', text.length) != NULL) {
        return false;
    }
    memcpy(copy, text.data, text.length);
    copy[text.length] = '\0';
    memcpy(out, mapped, sizeof mapped);
    *v4 = inet_pton(AF_INET, copy, out + 12) == 1;
    return *v4 || inet_pton(AF_INET6, copy, out) == 1;
}

int flame_config_allow(struct flame_config *config, struct flame_slice cidr)
{
    const char *slash = cidr.length == 0 ? NULL : memchr(cidr.data, '/', cidr.length);
    struct flame_slice address = cidr;
    struct flame_network network;
    unsigned widest;
    bool v4;

    if (slash != NULL) {
        address.length = (size_t)(slash - cidr.data);
    }
    if (!read_address(address, network.address, &v4)) {
        return -EINVAL;
    }
    widest = v4 ? 32 : 128;
    network.bits = widest;
    if (slash != NULL) {
        size_t digits = cidr.length - address.length - 1;
        network.bits = 0;
        if (digits == 0 || digits > 3) {
            return -EINVAL;
        }
        for (size_t i = 1; i <= digits; i++) {
            if (slash[i] < '0' || slash[i] > '9') {
                return -EINVAL;
            }
            network.bits = network.bits * 10 + (unsigned)(slash[i] - '0');
        }
        if (network.bits > widest) {
            return -EINVAL;
        }
    }
    network.bits += v4 ? 96 : 0;
    struct flame_network *more =
        realloc(config->allow, (config->allow_count + 1) * sizeof *more);
    if (more == NULL) {
        return -ENOMEM;
    }
    config->allow = more;
    config->allow[config->allow_count++] = network;
    return 0;
}

void flame_config_init(struct flame_config *config)
{
    *config =
        (struct flame_config){.interval_ns = 1000000, .max_ns = UINT64_C(60000000000)};
}

void flame_config_free(struct flame_config *config)
{
    free(config->allow);
    config->allow = NULL;
    config->allow_count = 0;
}

static bool in_network(const struct flame_network *network,
                       const unsigned char address[16])
{
    unsigned whole = network->bits / 8;
    unsigned rest = network->bits % 8;

    if (memcmp(network->address, address, whole) != 0) {
        return false;
    }
    return rest == 0 || ((network->address[whole] ^ address[whole]) >> (8 - rest)) == 0;
}

static bool is_loopback(const unsigned char address[16])
{
    static const struct flame_network v4 = {
        .address = {[10] = 0xff, [11] = 0xff, [12] = 127}, .bits = 104};
    static const struct flame_network v6 = {.address = {[15] = 1}, .bits = 128};

    return in_network(&v4, address) || in_network(&v6, address);
}

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
    unsigned char address[16];
    bool v4;

    if (name.length > 2 && name.data[0] == '[' && name.data[name.length - 1] == ']') {
        name = (struct flame_slice){name.data + 1, name.length - 2};
    }
    return slice_is(name, "localhost") ||
           (read_address(name, address, &v4) && is_loopback(address));
}

/*
 * A proxy on this host makes everybody look local. These are the marks the
 * common ones leave: a header that tells of the client or of the address it
 * asked for, HTTP/1.0 (nginx's default), or the public name in Host.
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

    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        if (lookup(door_request, marks[i]).data != NULL) {
            return true;
        }
    }
    return slice_is(lookup(door_request, "SERVER_PROTOCOL"), "HTTP/1.0") ||
           !host_is_loopback(lookup(door_request, "HTTP_HOST"));
}

bool flame_allowed(const struct flame_config *config, flame_lookup *lookup,
                   void *door_request)
{
    struct flame_slice remote = lookup(door_request, "REMOTE_ADDR");
    unsigned char address[16];
    bool v4;

    /* Another site's page made the browser ask. */
    if (slice_is(lookup(door_request, "HTTP_SEC_FETCH_SITE"), "cross-site")) {
        return false;
    }
    if (config->authorize != NULL) {
        return config->authorize(config->authority, door_request);
    }
    if (remote.data == NULL || !read_address(remote, address, &v4)) {
        return false;
    }
    for (size_t i = 0; i < config->allow_count; i++) {
        if (in_network(&config->allow[i], address)) {
            return true;
        }
    }
    return is_loopback(address) && !looks_proxied(lookup, door_request);
}
