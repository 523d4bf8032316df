/*
 * The panel for every site: a badge in the corner of a page, with the flame graph of
 * the request behind it. What it needs of a request and an answer, without Python:
 * whether there is to be one, and the page with it.
 */
#ifndef FLAME_MIDDLEWARE_BADGE_H
#define FLAME_MIDDLEWARE_BADGE_H

#include "middleware/archive/shelf.h"
#include "middleware/request.h"

/* What a request is for, as its browser says. */
enum flame_purpose {
    FLAME_NEITHER,   /* a style, an image, nobody who may: left alone */
    FLAME_PAGE,      /* shown in a window or a frame */
    FLAME_BY_SCRIPT, /* fetch() or XMLHttpRequest of a page */
};

/* What of that is to be profiled for the panel, of somebody who may. Reads through
 * `lookup`. */
enum flame_purpose flame_badge_purpose(const struct flame_config *config,
                                       flame_lookup *lookup, void *door_request);

/* A page larger than this is left alone. */
#define FLAME_PAGE_MAX ((size_t)16 << 20)

/*
 * A Content-Security-Policy header, with the badge's script allowed in each of its
 * policies beside the page's own; all else stays as it is. `frames` becomes false if
 * one lets no frame of the site's own in. False: one does not want scripts, or there is
 * no memory.
 */
bool flame_badge_policy(struct flame_slice header, struct flame_writer *out,
                        bool *frames);

struct flame_badge {
    const char *profile;  /* its name on the shelf; NULL: it could not be kept */
    const char *problem;  /* why, a sentence */
    uint64_t duration_ns; /* of the request */
    uint64_t samples;
    bool frames; /* the graph may be shown in a frame over the page */
};

/*
 * The page with the badge before its </body>. False: it is left alone, since it has
 * one, or a policy of its own in it, or its end is not sure, or there is no memory.
 */
bool flame_badge_insert(struct flame_slice page, const struct flame_badge *badge,
                        struct flame_writer *out);

/* The value of a Server-Timing header, by which the badge learns of requests of
 * scripts: NUL-terminated. */
void flame_badge_timing(const struct flame_badge *badge, char *out, size_t size);

#endif
