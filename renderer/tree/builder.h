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
#include "renderer/writer.h"

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

/* A place before it is sorted. A parent's index is smaller than its children's. */
struct flame_sprout {
    union {
        flame_path path; /* while it grows */
        struct {         /* while it is sorted; FLAME_NONE: there is none */
            union {
                uint32_t child; /* the first */
                uint32_t place; /* in the tree, once the walk is below it */
            };
            uint32_t sibling;
        };
    };
    uint64_t self;
    uint32_t parent;   /* of one that was merged into another: that one */
    uint32_t function; /* likewise: FLAME_NONE */
};

/* What is known of a place alone. */
struct flame_own {
    uint64_t facts[FLAME_FACTS];
};

struct flame_builder {
    uint64_t keys[2];
    struct flame_function *functions;
    uint64_t *function_hashes;
    struct flame_sprout *sprouts;
    struct flame_own *own; /* by sprout, of a builder that is detailed */
    bool detailed;
    bool blind; /* no place is looked for */
    uint32_t function_count, function_capacity;
    uint32_t sprout_count, sprout_capacity;
    struct flame_table by_function, by_path;
    struct flame_text *text;
    char *scratch;
    size_t scratch_size;
    /* of all, so that no sum can overflow */
    uint64_t weight;
    uint64_t time;
    uint64_t facts[FLAME_FACTS];
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
/* Adds, for who knows from flame_builder_find_function() that it is not there. */
uint32_t flame_builder_new_function(struct flame_builder *builder,
                                    struct flame_function function, uint64_t frame);
uint32_t flame_builder_child(struct flame_builder *builder, uint32_t parent,
                             uint32_t function);

/* From now on places are only added, and never looked for: that takes less memory and
 * time for who knows most of them to be different. Of a builder that is not detailed.
 */
void flame_builder_only_add(struct flame_builder *builder);
/* After that: a child, even if there is one of that function. They are one in the tree.
 */
uint32_t flame_builder_add(struct flame_builder *builder, uint32_t parent,
                           uint32_t function);

/* FLAME_NONE: there is none. By a frame as folded text has it. */
uint32_t flame_builder_find_function(const struct flame_builder *builder,
                                     uint64_t frame);
/* Weights beyond what 64 bits can sum are clamped: 584 years, in nanoseconds. */
void flame_builder_weigh(struct flame_builder *builder, uint32_t place,
                         uint64_t weight);
/* More of a place than its weight, of a builder that is detailed. */
void flame_builder_know(struct flame_builder *builder, uint32_t place,
                        enum flame_fact fact, uint64_t value);
/* The times, all of them. false: not added, since all together would not fit 64 bits.
 */
bool flame_builder_times(struct flame_builder *builder, uint32_t place,
                         const uint64_t times[FLAME_TIMES]);

/*
 * preorder.c: the tree, of weights in nanoseconds or in samples. The builder is empty
 * afterwards, whatever happened. place_of, if not NULL: by the builder's number of a
 * place, that of the tree; malloc'd. NULL: out of memory.
 */
struct flame_tree *flame_builder_finish(struct flame_builder *builder, bool is_time,
                                        uint32_t **place_of);

/* ---- paths: inline, since reading folded text is little else ------------------ */

/* Multiplied into 128 bits, whose halves are folded: every bit depends on every one. */
static inline uint64_t flame_fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Of a frame as folded text has it, without escapes: `name` or `name (file:line)`. */
static inline uint64_t flame_builder_hash(const struct flame_builder *builder,
                                          struct flame_slice frame)
{
    uint64_t hash = builder->keys[0] ^ frame.length;
    uint64_t words[2] = {0, 0};

    for (; frame.length > sizeof words; frame = flame_slice_from(frame, sizeof words)) {
        memcpy(words, frame.data, sizeof words);
        hash = flame_fold(words[0] ^ builder->keys[1], words[1] ^ hash);
    }
    words[0] = words[1] = 0;
    if (frame.length >= sizeof *words) {
        /* They may overlap: the length says how far. */
        memcpy(&words[0], frame.data, sizeof *words);
        memcpy(&words[1], frame.data + frame.length - sizeof *words, sizeof *words);
    } else if (frame.length > 0) {
        memcpy(&words[0], frame.data, frame.length);
    }
    return flame_fold(words[0] ^ builder->keys[1], words[1] ^ hash);
}

/* What `frame`, its hash, makes of the path above it. */
static inline flame_path flame_builder_step(const struct flame_builder *builder,
                                            flame_path above, uint64_t frame)
{
    return flame_fold(above ^ builder->keys[0], frame ^ builder->keys[1]);
}

static inline flame_path flame_builder_path(const struct flame_builder *builder,
                                            uint32_t place)
{
    return builder->sprouts[place].path;
}

static inline struct flame_slot *flame_slot_at(const struct flame_table *table,
                                               uint64_t hash)
{
    return &table->slots[hash & (table->size - 1)];
}

static inline struct flame_slot *flame_slot_after(const struct flame_table *table,
                                                  struct flame_slot *slot)
{
    return slot + 1 == table->slots + table->size ? table->slots : slot + 1;
}

/* FLAME_NONE: there is none. */
static inline uint32_t flame_builder_find(const struct flame_builder *builder,
                                          flame_path path)
{
    struct flame_slot *slot = flame_slot_at(&builder->by_path, path);

    for (; slot->index != 0; slot = flame_slot_after(&builder->by_path, slot)) {
        if (slot->tag == (uint32_t)(path >> 32) &&
            builder->sprouts[slot->index - 1].path == path) {
            return slot->index - 1;
        }
    }
    return FLAME_NONE;
}

/* Says that a path will be looked for, so that memory is asked for it by now. */
static inline void flame_builder_prefetch(const struct flame_builder *builder,
                                          flame_path path)
{
    __builtin_prefetch(flame_slot_at(&builder->by_path, path));
}

#endif
