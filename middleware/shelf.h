/*
 * Profiles that wait for somebody to come back for them: a folder which all workers of
 * a server reach, so that the one asked next has what another one took.
 *
 * Its files are readable by nobody but their user; what is too many, too much or too
 * old goes with the next that comes. Any thread, no lock; other processes may do the
 * same at once. Knows neither Python nor HTTP.
 */
#ifndef FLAME_MIDDLEWARE_SHELF_H
#define FLAME_MIDDLEWARE_SHELF_H

#include "renderer/renderer.h"

#define FLAME_SHELF_PROFILES 100u
#define FLAME_SHELF_BYTES (UINT64_C(64) << 20) /* of all of them */
#define FLAME_SHELF_SECONDS 3600

/* A profile's name: so many hexadecimal digits, which nobody can guess. */
#define FLAME_SHELF_NAME 32u

struct flame_shelf {
    char folder[512];
};

/*
 * folder: where; empty: "flameprof-" and the user's number, in TMPDIR or /tmp. It is
 * made by the first flame_shelf_put(). 0, or -ENAMETOOLONG.
 */
int flame_shelf_init(struct flame_shelf *shelf, struct flame_slice folder);

/*
 * 0 and the name, with a NUL, or a negative errno: -E2BIG more than all may have,
 * -EPERM the folder is somebody else's, or others may look into it.
 */
int flame_shelf_put(const struct flame_shelf *shelf, struct flame_slice profile,
                    char name[FLAME_SHELF_NAME + 1]);

/* 0 and its bytes, of which the caller frees the writer; -ENOENT: not, or no longer,
 * here; or another negative errno. */
int flame_shelf_get(const struct flame_shelf *shelf, struct flame_slice name,
                    struct flame_writer *profile);

/*
 * Draws one of them, which is JSON of ours, as `format`, by `clock`. What `options` do
 * not say (title, subtitle) it says itself. 0; an error of flame_shelf_get(), or
 * -EINVAL: that is no profile; or, with *drawing, one of flame_render().
 */
int flame_shelf_render(const struct flame_shelf *shelf, struct flame_slice name,
                       enum flame_format format, enum flame_clock clock,
                       const struct flame_picture_options *options,
                       struct flame_writer *out, bool *drawing);

/* A sentence for the person who asked, for an error of one of these. */
const char *flame_shelf_error(int error);

#endif
