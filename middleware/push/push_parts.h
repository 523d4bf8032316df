/* What the parts of push.h's implementation offer each other. */
#ifndef FLAME_MIDDLEWARE_PUSH_PARTS_H
#define FLAME_MIDDLEWARE_PUSH_PARTS_H

#include "middleware/push/push.h"

/* ---- push_label.c -------------------------------------------------------------- */

/* "/shop/41/é?page=2" as "/shop/:id/_": numbers, hexadecimal ids, UUIDs and what looks
 * like a token are ":id"; what a label may not hold is "_". NUL at the end. */
void flame_push_pattern(struct flame_slice path, char out[FLAME_PUSH_LABEL_MAX + 1]);
/* The address to post to; malloc'd, NULL: out of memory. from and until: UNIX time. */
char *flame_push_address(const struct flame_push_target *target,
                         struct flame_slice path, int64_t from, int64_t until);

/* ---- push_http.c --------------------------------------------------------------- */

/* The thread's libcurl, of a process, and never given back. NULL: it cannot be loaded,
 * or the process ends. at_exit: called by exit() before what libcurl uses tidies up
 * after itself; whoever calls this may not be in it any more when that returns. */
struct flame_push_client;
struct flame_push_client *flame_push_client_new(void (*at_exit)(void));

#define FLAME_PUSH_POLL_MS 100

enum flame_push_outcome {
    FLAME_PUSH_DONE,
    FLAME_PUSH_LATER,   /* it may go another time */
    FLAME_PUSH_NEVER,   /* the server does not want it */
    FLAME_PUSH_STOPPED, /* `stopped` said so */
};

/* One attempt. user: "user:password"; either it or the token may be NULL. stopped() is
 * asked every FLAME_PUSH_POLL_MS, and then all is left as it is. why: what went wrong,
 * without the address; *wait_s: when the server wants to be asked again, 0: it did not
 * say. */
enum flame_push_outcome flame_push_post(struct flame_push_client *client,
                                        const char *address, const char *user,
                                        const char *token, struct flame_slice body,
                                        bool (*stopped)(void), char why[200],
                                        unsigned *wait_s);

/* ---- push_item.c --------------------------------------------------------------- */

/* One profile that waits; whoever has it is the only one. */
struct flame_push_item {
    struct flame_push_item *next;
    struct flame_tree *tree;    /* NULL: it has been written */
    struct flame_writer packed; /* as pprof */
    size_t size;
    uint64_t begun_ns;
    char *address, *user, *token;
    char *url; /* for the log */
    char *title, *subtitle, *warning;
    struct flame_quality quality;
    enum flame_clock clock;
};

/* Takes the tree. NULL: out of memory. */
struct flame_push_item *flame_push_item_new(const struct flame_push_target *target,
                                            struct flame_tree *tree,
                                            const struct flame_pushed *pushed);
/* Writes it as pprof, which is a tenth of the tree. False: out of memory. */
bool flame_push_item_pack(struct flame_push_item *item);
void flame_push_item_free(struct flame_push_item *item);

#endif
