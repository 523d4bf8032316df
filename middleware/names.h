/*
 * What a door's pictures may tell, as its owner keeps it: struct flame_names of
 * renderer.h, whose lists these functions make and free. Zeroed, it tells short paths
 * and hides nothing. Once trees are made of it, it stays as it is.
 */
#ifndef FLAME_MIDDLEWARE_NAMES_H
#define FLAME_MIDDLEWARE_NAMES_H

#include "renderer/renderer.h"

#define FLAME_REDACT_MAX 1000u /* bytes of a pattern */
#define FLAME_REDACT_ACCEPTED \
    "a function's name, \"function (file)\" or \"* (folder/)\""

/* Adds a pattern, which is copied. 0, -EINVAL or -ENOMEM. */
int flame_names_redact(struct flame_names *names, struct flame_slice pattern);

/* Adds a root, which is copied, and known below Python's own library if it is there.
 * Ignored: what is not absolute, "/", and what there is no memory for. */
void flame_names_add_root(struct flame_names *names, struct flame_slice path,
                          bool standard);

/*
 * roots.c: the folders that the current interpreter imports from, the one its own
 * library is in, and the working directory. Once: does nothing if there are roots.
 * GIL held; no exception is set afterwards that was not set before.
 */
void flame_names_read_roots(struct flame_names *names);

void flame_names_free(struct flame_names *names);

#endif
