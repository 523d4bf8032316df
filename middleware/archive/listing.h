/*
 * The page that lists the profiles of an archive: plain HTML without a script, its
 * links relative to where it is shown. Any thread; knows neither Python nor HTTP.
 */
#ifndef FLAME_MIDDLEWARE_LISTING_H
#define FLAME_MIDDLEWARE_LISTING_H

#include "middleware/archive/archive.h"

/* Of more only the newest are shown, and how many there are. */
#define FLAME_LISTING_MOST ((size_t)500)

/* By which column: its name in the page's links ("duration", "path", ...); the newest
 * first for an empty one. 0, or -EINVAL: there is no such column. */
int flame_listing_order(struct flame_slice name, int *order);

/* 0, or a negative errno of flame_archive_list(), or the writer's error. */
int flame_listing_write(const struct flame_shelf *archive, int order,
                        struct flame_writer *out);

/* The policy under which nothing but its own style and form work. */
const char *flame_listing_policy(void);

#endif
