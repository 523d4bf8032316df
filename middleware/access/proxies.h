/*
 * Whose request it is when it comes through proxies that are trusted: of the hops that
 * X-Forwarded-For or Forwarded (RFC 7239) name, the last one that is not trusted.
 * Pure: any thread, no memory.
 */
#ifndef FLAME_MIDDLEWARE_PROXIES_H
#define FLAME_MIDDLEWARE_PROXIES_H

#include "middleware/access/networks.h"

/* A header longer than this, or with more hops, is nobody's. */
#define FLAME_FORWARDED_MAX 2048u
#define FLAME_HOPS_MAX 16u

enum flame_client {
    FLAME_CLIENT_STRAIGHT, /* no trusted proxy: the address the connection is from */
    FLAME_CLIENT_BEHIND,   /* what a trusted proxy says, in `client` */
    FLAME_CLIENT_NOBODY, /* came from a trusted proxy, which does not say whose it is */
};

/*
 * `remote`: who the connection is from. The headers as the server joins several lines
 * of one, with commas; data == NULL: there is none.
 *
 * Both are read from the right, each hop while the one after it is trusted. Nobody's it
 * is if the hop that is come to is no address ("unknown", "_hidden"), if all are
 * trusted or there is no header, if a header is not what its grammar says, too long or
 * of too many hops, or if both are there and do not agree. What stands left of the
 * client is the client's own word: of X-Forwarded-For it is not read; of Forwarded it
 * has to be well-formed, since a quote that is not closed would change what follows.
 *
 * Reads the headers even if `remote` is no trusted proxy: it costs the same then.
 */
enum flame_client flame_client_find(const struct flame_networks *trusted,
                                    const struct flame_address *remote,
                                    struct flame_slice x_forwarded_for,
                                    struct flame_slice forwarded,
                                    struct flame_address *client);

#endif
