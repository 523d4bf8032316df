/*
 * A call tree while it grows: functions and places are interned as they are met, and
 * sorted at the end into the preorder that the formats read.
 *
 * A place is known by its path: a 64-bit hash of the frames from the root, keyed by
 * random bits, so that nobody can choose frames that collide. Who has functions asks
 * with flame_builder_child(), which compares them; who has only text asks with
 * flame_builder_find(), which believes the hash, and so does the search for a function
 * by its frame's: among two million places, one pair in ten million trees is taken for
 * one.
 */
#ifndef FLAME_RENDERER_BUILDER_H
#define FLAME_RENDERER_BUILDER_H

#include "renderer/tree/tree.h"

#define FLAME_NONE UINT32_MAX

typedef uint64_t flame_path;

/* Indices + 1, 0 for free, and a part of the hash: most misses need no other look. */
struct flame_slot {
    uint32_t index;
    uint32_t tag;
};

struct flame_table {
    struct flame_slot *slots;
    uint32_t size; /* a power of two, or 0 */
};

struct flame_sprout;

struct flame_builder {
    uint64_t keys[2];
    struct flame_function *functions;
    uint64_t *function_hashes;
    struct flame_sprout *sprouts;
    struct flame_detail *details; /* by sprout; NULL: nobody has any */
    uint32_t function_count, function_capacity;
    uint32_t sprout_count, sprout_capacity;
    struct flame_table by_function, by_path;
    struct flame_text *text;
    char *scratch;
    size_t scratch_size;
    uint64_t weight; /* of all, so that no sum can overflow */
    uint64_t samples;
    uint64_t before;
    uint64_t time;
};

/* A builder of a tree that has only a root. false: out of memory; free it all the
 * same. detailed: its places have more than a weight. */
bool flame_builder_start(struct flame_builder *builder, struct flame_function root,
                         bool detailed);
void flame_builder_free(struct flame_builder *builder);
/* Room for about so many of all, for who knows that before. false: out of memory. */
bool flame_builder_reserve(struct flame_builder *builder, uint32_t functions,
                           uint32_t places);

/* Finds or adds; the text is copied. FLAME_NONE: out of memory. */
uint32_t flame_builder_function(struct flame_builder *builder,
                                struct flame_function function);
uint32_t flame_builder_child(struct flame_builder *builder, uint32_t parent,
                             uint32_t function);

/* The path of a place, and of what `frame` (flame_builder_hash()) makes of a path. */
flame_path flame_builder_path(const struct flame_builder *builder, uint32_t place);
flame_path flame_builder_step(const struct flame_builder *builder, flame_path above,
                              uint64_t frame);
/* Of a frame as folded text has it, without escapes: `name` or `name (file:line)`. */
uint64_t flame_builder_hash(const struct flame_builder *builder,
                            struct flame_slice frame);
/* FLAME_NONE: there is none. */
uint32_t flame_builder_find(const struct flame_builder *builder, flame_path path);
uint32_t flame_builder_find_function(const struct flame_builder *builder,
                                     uint64_t frame);
/* Says that a path will be looked for, so that memory is asked for it by now. */
void flame_builder_prefetch(const struct flame_builder *builder, flame_path path);

/* Weights beyond what 64 bits can sum are clamped: 584 years, in nanoseconds. */
void flame_builder_weigh(struct flame_builder *builder, uint32_t place,
                         uint64_t weight);
/* More of a place than its weight, of a builder that is detailed. */
void flame_builder_samples(struct flame_builder *builder, uint32_t place,
                           uint64_t samples);
void flame_builder_before(struct flame_builder *builder, uint32_t place,
                          uint64_t weight);
/* false: not added, since all of them would not fit 64 bits. */
bool flame_builder_times(struct flame_builder *builder, uint32_t place,
                         const struct flame_times *times);

/*
 * The tree, of weights in nanoseconds or in samples. The builder is empty afterwards,
 * whatever happened. place_of, if not NULL: by the builder's number of a place, that
 * of the tree; malloc'd. NULL: out of memory.
 */
struct flame_tree *flame_builder_finish(struct flame_builder *builder, bool is_time,
                                        uint32_t **place_of);

#endif
