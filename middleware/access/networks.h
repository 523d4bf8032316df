/*
 * Addresses and networks, of IPv4 and IPv6 alike.
 * Pure functions: any thread, no memory of their own but where it says so.
 */
#ifndef FLAME_MIDDLEWARE_NETWORKS_H
#define FLAME_MIDDLEWARE_NETWORKS_H

#include "renderer/renderer.h"

struct flame_address {
    unsigned char bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
};

struct flame_network {
    struct flame_address address;
    unsigned bits; /* of the 128 */
};

struct flame_networks {
    struct flame_network *list; /* owned; NULL: there is none */
    size_t count;
};

/* "192.0.2.1", "2001:db8::1": nothing before it, nothing after it. */
bool flame_address_read(struct flame_slice text, struct flame_address *address);
bool flame_address_is_same(const struct flame_address *one,
                           const struct flame_address *other);
bool flame_address_is_loopback(const struct flame_address *address);

/* Adds "10.0.0.0/8", "::1" or "fd00::/8". 0, -EINVAL or -ENOMEM. */
int flame_networks_add(struct flame_networks *networks, struct flame_slice cidr);
/* Looks at all of them, so that it takes the same whichever it is. */
bool flame_networks_have(const struct flame_networks *networks,
                         const struct flame_address *address);
void flame_networks_free(struct flame_networks *networks);

#endif
