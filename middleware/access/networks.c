/* Addresses and networks. */
#include "middleware/access/networks.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ADDRESS_MAX 64u

/* *v4 tells which kind it was written as. */
static bool read_kind(struct flame_slice text, struct flame_address *address, bool *v4)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    char copy[ADDRESS_MAX];

    if (text.length == 0 || text.length >= sizeof copy ||
        memchr(text.data, '\0', text.length) != NULL) {
        return false;
    }
    memcpy(copy, text.data, text.length);
    copy[text.length] = '\0';
    memcpy(address->bytes, mapped, sizeof mapped);
    *v4 = inet_pton(AF_INET, copy, address->bytes + 12) == 1;
    return *v4 || inet_pton(AF_INET6, copy, address->bytes) == 1;
}

bool flame_address_read(struct flame_slice text, struct flame_address *address)
{
    bool v4;

    return read_kind(text, address, &v4);
}

bool flame_address_is_same(const struct flame_address *one,
                           const struct flame_address *other)
{
    return memcmp(one->bytes, other->bytes, sizeof one->bytes) == 0;
}

/* The digits behind the slash. */
static int read_bits(const char *digits, size_t count, unsigned widest, unsigned *bits)
{
    *bits = 0;
    if (count == 0 || count > 3) {
        return -EINVAL;
    }
    for (size_t i = 0; i < count; i++) {
        if (digits[i] < '0' || digits[i] > '9') {
            return -EINVAL;
        }
        *bits = *bits * 10 + (unsigned)(digits[i] - '0');
    }
    return *bits <= widest ? 0 : -EINVAL;
}

static int read_network(struct flame_slice cidr, struct flame_network *network)
{
    const char *slash = cidr.length == 0 ? NULL : memchr(cidr.data, '/', cidr.length);
    struct flame_slice address = cidr;
    bool v4;

    if (slash != NULL) {
        address.length = (size_t)(slash - cidr.data);
    }
    if (!read_kind(address, &network->address, &v4)) {
        return -EINVAL;
    }
    unsigned widest = v4 ? 32 : 128;
    unsigned bits = widest;
    if (slash != NULL &&
        read_bits(slash + 1, cidr.length - address.length - 1, widest, &bits) != 0) {
        return -EINVAL;
    }
    network->bits = bits + (v4 ? 96 : 0);
    return 0;
}

int flame_networks_add(struct flame_networks *networks, struct flame_slice cidr)
{
    struct flame_network network;

    if (read_network(cidr, &network) != 0) {
        return -EINVAL;
    }
    struct flame_network *more =
        realloc(networks->list, (networks->count + 1) * sizeof *more);
    if (more == NULL) {
        return -ENOMEM;
    }
    networks->list = more;
    networks->list[networks->count++] = network;
    return 0;
}

void flame_networks_free(struct flame_networks *networks)
{
    free(networks->list);
    *networks = (struct flame_networks){NULL, 0};
}

static bool is_in(const struct flame_network *network,
                  const struct flame_address *address)
{
    unsigned whole = network->bits / 8;
    unsigned rest = network->bits % 8;

    if (memcmp(network->address.bytes, address->bytes, whole) != 0) {
        return false;
    }
    return rest == 0 ||
           ((network->address.bytes[whole] ^ address->bytes[whole]) >> (8 - rest)) == 0;
}

bool flame_networks_have(const struct flame_networks *networks,
                         const struct flame_address *address)
{
    bool have = false;

    for (size_t i = 0; i < networks->count; i++) {
        have |= is_in(&networks->list[i], address);
    }
    return have;
}

bool flame_address_is_loopback(const struct flame_address *address)
{
    static const struct flame_network v4 = {
        .address = {{[10] = 0xff, [11] = 0xff, [12] = 127}}, .bits = 104};
    static const struct flame_network v6 = {.address = {{[15] = 1}}, .bits = 128};

    return is_in(&v4, address) || is_in(&v6, address);
}
