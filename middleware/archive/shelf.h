/*
 * Profiles that are kept: a folder which all workers of a server reach, so that the one
 * asked next has what another one took. The panel's wait there for somebody to come
 * back, those of --flameprof-dir for as long as there is room (store.h).
 *
 * Its files are readable by nobody but their user; what is too many, too much or too
 * old goes with the next that comes. A file is written under another name first: one
 * that is there is whole, wherever its writer was killed. Any thread, no lock; other
 * processes may do the same at once. Knows neither Python nor HTTP, nor what is in a
 * file.
 */
#ifndef FLAME_MIDDLEWARE_SHELF_H
#define FLAME_MIDDLEWARE_SHELF_H

#include <sys/types.h>

#include "renderer/renderer.h"

/* Of the panel's. */
#define FLAME_SHELF_PROFILES 100u
#define FLAME_SHELF_BYTES (UINT64_C(64) << 20) /* of all of them */
#define FLAME_SHELF_SECONDS 3600

/* A profile's name: so many hexadecimal digits, which nobody can guess. The first one
 * tells whether somebody asked for it: what strangers do to a server that keeps
 * profiles by itself shall not push out what people came for. */
#define FLAME_SHELF_NAME 32u
/* Of the places and of the bytes, those that nobody asked for may have one in so many
 * while others need them; a single one never more than that of the bytes. */
#define FLAME_SHELF_UNASKED_PART 2u

struct flame_shelf {
    char folder[512];
    const char *suffix; /* of its files' names; a constant, shorter than 16 */
    uint32_t profiles;  /* at most */
    uint32_t seconds;   /* at most; 0: for ever */
    uint64_t bytes;     /* at most, of all of them */
};

/*
 * A panel's. folder: where; empty: "flameprof-" and the user's number, in TMPDIR or
 * /tmp. It is made by the first flame_shelf_put(). 0, or -ENAMETOOLONG.
 */
int flame_shelf_init(struct flame_shelf *shelf, struct flame_slice folder);

/* A new name. 0, or -EAGAIN: the system has no random bytes yet. */
int flame_shelf_make_name(bool asked, char name[FLAME_SHELF_NAME + 1]);
/* The folder, open, made if need be: for what else its users share. The caller closes
 * it. A negative errno: as of the next. */
int flame_shelf_open_folder(const struct flame_shelf *shelf);

/*
 * Under a name that flame_shelf_make_name() made. 0, or a negative errno: -E2BIG more
 * than it may have, -EPERM the folder is somebody else's, or others may look into it.
 */
int flame_shelf_put(const struct flame_shelf *shelf, struct flame_slice profile,
                    const char name[FLAME_SHELF_NAME + 1]);

/* 0 and its bytes, of which the caller frees the writer; -ENOENT: not, or no longer,
 * here; or another negative errno. */
int flame_shelf_get(const struct flame_shelf *shelf, struct flame_slice name,
                    struct flame_writer *profile);

struct flame_shelf_entry {
    char name[FLAME_SHELF_NAME + 1];
    int64_t changed_ns; /* of the epoch */
    uint64_t size;
};

/* What is there, the newest first: malloc'd. 0, or a negative errno, without entries;
 * no folder is none. */
int flame_shelf_list(const struct flame_shelf *shelf,
                     struct flame_shelf_entry **entries, size_t *count);

/* The first bytes of one, at most `size`: how many, or a negative errno as of get. */
ssize_t flame_shelf_begins(const struct flame_shelf *shelf, struct flame_slice name,
                           char *bytes, size_t size);

/* A sentence for the person who asked, for an error of one of these. */
const char *flame_shelf_error(int error);

#endif
