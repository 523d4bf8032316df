/*
 * What is on a shelf, as profiles: written as pprof's with the facts of their requests
 * (--flameprof-dir), listed, and drawn; the panel's, which are JSON of ours, are drawn
 * by the same.
 *
 * Any thread, no lock, no GIL; they write and read files, which can take as long as the
 * disk does: keeper.h writes beside the request.
 */
#ifndef FLAME_MIDDLEWARE_ARCHIVE_H
#define FLAME_MIDDLEWARE_ARCHIVE_H

#include "middleware/archive/facts.h"
#include "middleware/archive/shelf.h"

#define FLAME_ARCHIVE_PROFILES 1000u
#define FLAME_ARCHIVE_BYTES (UINT64_C(256) << 20)
#define FLAME_ARCHIVE_SUFFIX ".pb.gz"

/* A shelf of --flameprof-dir, without an age. 0, or -ENAMETOOLONG. */
int flame_archive_init(struct flame_shelf *archive, struct flame_slice folder);

/* Writes one under a name of flame_shelf_make_name(). 0; an error of flame_shelf_put(),
 * or of flame_render(). */
int flame_archive_put(const struct flame_shelf *archive,
                      const struct flame_profile *profile,
                      const struct flame_facts *facts,
                      const char name[FLAME_SHELF_NAME + 1]);

struct flame_archive_entry {
    char name[FLAME_SHELF_NAME + 1];
    uint64_t size;
    struct flame_facts facts;
};

/*
 * The newest, at most `most`, malloc'd; *all: how many there are. What is no profile
 * with facts is left out. 0, or a negative errno, without entries.
 */
int flame_archive_list(const struct flame_shelf *archive, size_t most,
                       struct flame_archive_entry **entries, size_t *count,
                       size_t *all);

/* 0 and the profile, which the caller frees; -EINVAL: it is none; an error of
 * flame_shelf_get(). */
int flame_archive_read(const struct flame_shelf *shelf, struct flame_slice name,
                       struct flame_document *document);

/*
 * What has changed from a profile that was kept to this tree, by the same clock; what
 * that one was is said in `subtitle`, behind what stands there. NULL and an error of
 * flame_archive_read(), or -ENOMEM.
 */
struct flame_tree *flame_archive_difference(const struct flame_shelf *shelf,
                                            struct flame_slice before,
                                            const struct flame_tree *after,
                                            enum flame_clock clock,
                                            struct flame_writer *subtitle, int *error);

/* What is to be drawn of which profile. */
struct flame_drawn {
    struct flame_slice name;
    struct flame_slice before; /* the name of another: the difference; empty: none */
    enum flame_format format;
    enum flame_clock clock;
    /* What they do not say (title, subtitle) the profile says itself. */
    const struct flame_picture_options *options;
};

/* 0; an error of flame_archive_read(); or, with *drawing, one of flame_render(). */
int flame_archive_render(const struct flame_shelf *shelf,
                         const struct flame_drawn *drawn, struct flame_writer *out,
                         bool *drawing);

#endif
