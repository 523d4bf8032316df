/*
 * X-Forwarded-For and Forwarded, as a trusted proxy hands on what a client wrote, with
 * the client's true address behind it. Whatever stands before, the proxy's own word
 * decides: it is that address, or nobody's.
 */
#include "middleware/access/proxies.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

/* What the client wrote, if anything, and behind it what the proxy adds. The caller
 * frees its data, which is no byte longer than it says. */
static struct flame_slice appended(const uint8_t *data, size_t size,
                                   const char *addition)
{
    size_t added = strlen(addition);
    size_t comma = size > 0 ? 2 : 0;
    char *text = malloc(size + comma + added + 1);

    if (size > 0) {
        memcpy(text, data, size);
        memcpy(text + size, ", ", 2);
    }
    memcpy(text + size + comma, addition, added);
    struct flame_slice header = {text, size + comma + added};
    header.data = realloc(text, header.length);
    return header;
}

static void give_back(struct flame_slice header)
{
    free((void *)(uintptr_t)header.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const forms[][2] = {
        {"192.0.2.7", "for=192.0.2.7"},
        {"192.0.2.7, 10.0.0.2", "for=\"192.0.2.7:80\", for=10.0.0.2"},
        {"2001:db8::7", "for=\"[2001:db8::7]\";proto=https"},
        {"[2001:db8::7]:4711", "by=10.0.0.1;for=\"[2001:db8::7]:4711\""},
    };
    static struct flame_networks trusted;
    static const struct flame_slice none = {NULL, 0};
    struct flame_address proxy;
    struct flame_address truth;
    struct flame_address client;

    if (trusted.count == 0) {
        flame_networks_add(&trusted, flame_slice_of("10.0.0.0/8"));
    }
    flame_address_read(flame_slice_of("10.0.0.1"), &proxy);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        flame_address_read(flame_slice_of(i < 2 ? "192.0.2.7" : "2001:db8::7"), &truth);
        struct flame_slice list = appended(data, size, forms[i][0]);
        struct flame_slice forwarded = appended(data, size, forms[i][1]);
        enum flame_client kinds[] = {
            flame_client_find(&trusted, &proxy, list, none, &client),
            flame_client_find(&trusted, &proxy, none, forwarded, &client),
            flame_client_find(&trusted, &proxy, list, forwarded, &client),
        };
        for (size_t each = 0; each < sizeof kinds / sizeof *kinds; each++) {
            require(kinds[each] != FLAME_CLIENT_STRAIGHT);
        }
        /* A list says it whatever stands before, if it is not too long. */
        enum flame_client kind =
            flame_client_find(&trusted, &proxy, list, none, &client);
        require(kind == FLAME_CLIENT_NOBODY || flame_address_is_same(&client, &truth));
        kind = flame_client_find(&trusted, &proxy, none, forwarded, &client);
        require(kind == FLAME_CLIENT_NOBODY || flame_address_is_same(&client, &truth));
        give_back(list);
        give_back(forwarded);
    }
    /* The client's alone, with no proxy's word behind it. */
    char *copy = malloc(size > 0 ? size : 1);
    if (size > 0) {
        memcpy(copy, data, size);
    }
    struct flame_slice alone = {copy, size};
    flame_client_find(&trusted, &proxy, alone, alone, &client);
    free(copy);
    return 0;
}
