/*
 * A query string, taken apart: what of it is ours. params.c says what that means.
 * Any thread; no memory but the caller's.
 */
#ifndef FLAME_MIDDLEWARE_QUERY_H
#define FLAME_MIDDLEWARE_QUERY_H

#include "middleware/request.h"

/* Bytes of a decoded key or value that matter. */
#define FLAME_VALUE_MAX FLAME_TEXT_MAX

struct flame_query_text {
    char data[FLAME_VALUE_MAX + 1];
    size_t length; /* of the whole, also when more than was kept */
    bool present;
};

/* What we listen to; only the first two are bare words. */
enum flame_parameter {
    FLAME_ASKS_FLAMEGRAPH,
    FLAME_ASKS_BARE_INTERVAL,
    FLAME_ASKS_INTERVAL,
    FLAME_ASKS_FORMAT,
    FLAME_ASKS_CLOCK,
    FLAME_ASKS_LINES,
    FLAME_ASKS_REPEAT,
    FLAME_ASKS_THREADS,
    FLAME_ASKS_CHILDREN,
    FLAME_ASKS_TITLE,
    FLAME_ASKS_SUBTITLE,
    FLAME_ASKS_WIDTH,
    FLAME_ASKS_SMALLEST,
    FLAME_ASKS_SCALE,
    FLAME_ASKS_COLOURS,
    FLAME_ASKS_INVERTED,
    FLAME_ASKS_CALLERS,
    FLAME_ASKS_KEEP,
    FLAME_ASKS_DIFF,
    FLAME_ASKS_PROFILE, /* from here on nobody is told of */
    FLAME_ASKS_PANEL,
    FLAME_ASKS_TOKEN,
    FLAME_PARAMETERS
};

extern const char *const flame_parameter_names[FLAME_PARAMETERS];

struct flame_query {
    struct flame_query_text values[FLAME_PARAMETERS];
    struct flame_query_text unknown; /* a name */
};

/* The first of each name. */
void flame_query_read(struct flame_slice query, struct flame_query *asked);
bool flame_query_text_is(const struct flame_query_text *text, const char *expected);

#endif
