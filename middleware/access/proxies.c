/* The client behind trusted proxies. */
#include "middleware/access/proxies.h"

#include <string.h>
#include <strings.h>

/* What is left of a header, read from the left. */
struct text {
    const char *at;
    const char *end;
};

/* The hops of one header, as they stand there: the last FLAME_HOPS_MAX at most. */
struct hops {
    struct flame_slice nodes[FLAME_HOPS_MAX]; /* data == NULL: a hop without a name */
    size_t count;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static void skip_spaces(struct text *text)
{
    while (text->at < text->end && is_space(*text->at)) {
        text->at++;
    }
}

static bool skip(struct text *text, char c)
{
    if (text->at == text->end || *text->at != c) {
        return false;
    }
    text->at++;
    return true;
}

static bool add_hop(struct hops *hops, struct flame_slice node)
{
    if (hops->count == FLAME_HOPS_MAX) {
        return false;
    }
    hops->nodes[hops->count++] = node;
    return true;
}

/* ---- a hop's name ------------------------------------------------------------ */

/* Nothing, or ":80". */
static bool is_port(const char *at, const char *end)
{
    if (at == end) {
        return true;
    }
    if (*at != ':' || end - at < 2 || end - at > 6) {
        return false;
    }
    for (at++; at < end; at++) {
        if (*at < '0' || *at > '9') {
            return false;
        }
    }
    return true;
}

/*
 * "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:80".
 * A port is what some proxies write into X-Forwarded-For, too.
 */
static bool read_node(struct flame_slice node, struct flame_address *address)
{
    const char *end = node.data + node.length;

    if (node.length == 0) {
        return false;
    }
    if (node.data[0] == '[') {
        const char *bracket = memchr(node.data, ']', node.length);
        if (bracket == NULL || !is_port(bracket + 1, end)) {
            return false;
        }
        struct flame_slice inside = {node.data + 1, (size_t)(bracket - node.data) - 1};
        return memchr(inside.data, ':', inside.length) != NULL &&
               flame_address_read(inside, address);
    }
    const char *colon = memchr(node.data, ':', node.length);
    if (colon != NULL && memchr(colon + 1, ':', (size_t)(end - colon) - 1) == NULL) {
        if (!is_port(colon, end)) {
            return false;
        }
        node.length = (size_t)(colon - node.data);
    }
    return flame_address_read(node, address);
}

/* ---- X-Forwarded-For: "client, proxy, proxy" --------------------------------- */

static bool read_list(struct flame_slice header, struct hops *hops)
{
    struct text text = {header.data, header.data + header.length};

    do {
        skip_spaces(&text);
        const char *from = text.at;
        while (text.at < text.end && *text.at != ',') {
            text.at++;
        }
        const char *to = text.at;
        while (to > from && is_space(to[-1])) {
            to--;
        }
        if (!add_hop(hops, (struct flame_slice){from, (size_t)(to - from)})) {
            return false;
        }
    } while (skip(&text, ','));
    return true;
}

/* ---- Forwarded: for=client;proto=https, for="[2001:db8::1]:80" --------------- */

static bool is_token_character(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool read_token(struct text *text, struct flame_slice *token)
{
    const char *from = text->at;

    while (text->at < text->end && is_token_character(*text->at)) {
        text->at++;
    }
    *token = (struct flame_slice){from, (size_t)(text->at - from)};
    return token->length != 0;
}

/* Behind the first quote. No address needs an escape: with one it stands as it is, and
 * is none. */
static bool read_quoted(struct text *text, struct flame_slice *value)
{
    const char *from = text->at;

    for (; text->at < text->end; text->at++) {
        unsigned char c = (unsigned char)*text->at;
        if (c == '"') {
            *value = (struct flame_slice){from, (size_t)(text->at - from)};
            text->at++;
            return true;
        }
        if (c == '\\' && ++text->at == text->end) {
            return false;
        }
        if ((c < ' ' && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return false;
}

static bool read_pair(struct text *text, struct flame_slice *name,
                      struct flame_slice *value)
{
    if (!read_token(text, name) || !skip(text, '=')) {
        return false;
    }
    return skip(text, '"') ? read_quoted(text, value) : read_token(text, value);
}

/* One hop: pairs between semicolons. */
static bool read_element(struct text *text, struct flame_slice *node)
{
    struct flame_slice name;
    struct flame_slice value;

    *node = (struct flame_slice){NULL, 0};
    do {
        skip_spaces(text);
        if (!read_pair(text, &name, &value)) {
            return false;
        }
        if (name.length == 3 && strncasecmp(name.data, "for", 3) == 0) {
            if (node->data != NULL) {
                return false;
            }
            *node = value;
        }
        skip_spaces(text);
    } while (skip(text, ';'));
    return true;
}

static bool read_forwarded(struct flame_slice header, struct hops *hops)
{
    struct text text = {header.data, header.data + header.length};

    do {
        struct flame_slice node;
        if (!read_element(&text, &node) || !add_hop(hops, node)) {
            return false;
        }
    } while (skip(&text, ','));
    return text.at == text.end;
}

/* ---- both -------------------------------------------------------------------- */

typedef bool read_header(struct flame_slice header, struct hops *hops);

/* False: it does not say. */
static bool find_in(read_header *read, struct flame_slice header,
                    const struct flame_networks *trusted, struct flame_address *client)
{
    struct hops hops = {.count = 0};

    if (header.length == 0 || header.length > FLAME_FORWARDED_MAX ||
        !read(header, &hops)) {
        return false;
    }
    for (size_t i = hops.count; i-- > 0;) {
        if (hops.nodes[i].data == NULL || !read_node(hops.nodes[i], client)) {
            return false;
        }
        if (!flame_networks_have(trusted, client)) {
            return true;
        }
    }
    return false;
}

enum flame_client flame_client_find(const struct flame_networks *trusted,
                                    const struct flame_address *remote,
                                    struct flame_slice x_forwarded_for,
                                    struct flame_slice forwarded,
                                    struct flame_address *client)
{
    struct flame_address other;
    bool listed = x_forwarded_for.data != NULL;
    bool told = forwarded.data != NULL;
    bool found = listed || told;

    if (listed) {
        found &= find_in(read_list, x_forwarded_for, trusted, client);
    }
    if (told) {
        found &= find_in(read_forwarded, forwarded, trusted, listed ? &other : client);
    }
    if (listed && told) {
        found = found && flame_address_is_same(client, &other);
    }
    if (!flame_networks_have(trusted, remote)) {
        return FLAME_CLIENT_STRAIGHT;
    }
    return found ? FLAME_CLIENT_BEHIND : FLAME_CLIENT_NOBODY;
}
