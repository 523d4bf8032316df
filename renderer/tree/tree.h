/*
 * The call tree as the formats read it: functions once, places in preorder.
 *
 * Place 0 is the root; the subtree of place i is [i, places[i].end). Siblings
 * stand in the order of their functions: by name, then file, then line.
 */
#ifndef FLAME_RENDERER_TREE_H
#define FLAME_RENDERER_TREE_H

#include "renderer/renderer.h"

struct flame_function {
    struct flame_slice name;
    struct flame_slice file; /* empty: not known, or a synthetic function */
    uint32_t line;           /* 0: not known */
};

/* Where wall time went, and CPU time: nanoseconds. Their sum may exceed the place's
 * weight where the tree weighs another clock than wall time. */
struct flame_times {
    uint64_t wall[FLAME_STATES];
    uint64_t cpu;
};

struct flame_place {
    uint32_t function;
    uint32_t depth; /* of the root: 0 */
    uint32_t end;
    uint64_t self; /* nanoseconds, or samples for FLAME_UNIT_SAMPLES */
    uint64_t total;
};

/* What more may be known of a place: all zero where it is not. */
struct flame_detail {
    uint64_t self_samples;
    uint64_t samples;         /* total */
    struct flame_times times; /* total */
    uint64_t before;          /* total; of a difference: what it was */
};

/* Text that functions point into. */
struct flame_text {
    struct flame_text *next;
    size_t used;
    size_t size;
    char bytes[];
};

/* Immutable once built: any number of threads may read it. */
struct flame_tree {
    struct flame_function *functions;
    struct flame_place *places;
    struct flame_detail *details;    /* by place; NULL: only weights are known */
    struct flame_stretch *stretches; /* in the order of time; node is a place */
    uint32_t function_count;
    uint32_t place_count;
    uint32_t stretch_count; /* 0: the order is not known */
    bool is_time;           /* weights are nanoseconds; else they are samples */
    bool has_samples;       /* the sample counts are known */
    bool has_times;         /* of each place */
    uint64_t all_before;    /* not 0: a difference, with what was the whole then */
    struct flame_text *text;
};

uint64_t flame_place_samples(const struct flame_tree *tree, uint32_t place);
uint64_t flame_place_self_samples(const struct flame_tree *tree, uint32_t place);
uint64_t flame_place_before(const struct flame_tree *tree, uint32_t place);
const struct flame_times *flame_place_times(const struct flame_tree *tree,
                                            uint32_t place);

/* The parent of each place, of the root itself: malloc'd. NULL: out of memory. */
uint32_t *flame_tree_parents(const struct flame_tree *tree);

uint32_t flame_tree_depth(const struct flame_tree *tree);
/* The details without those of children, of a tree that has details: malloc'd. NULL:
 * out of memory. */
struct flame_detail *flame_tree_own_details(const struct flame_tree *tree,
                                            const uint32_t *parents);

/*
 * The request, number 0, or a thread or a greenlet that ran beside it: [start, end) of
 * the places, in the request's case but for those of the others.
 */
struct flame_thread {
    uint32_t number;
    uint32_t start;
    uint32_t end;
};

struct flame_thread flame_tree_request(const struct flame_tree *tree);
/* Goes on to the next thread; false: there is none. */
bool flame_thread_next(struct flame_thread *thread, const struct flame_tree *tree);
/* The request's name is the title. */
struct flame_slice flame_thread_name(const struct flame_thread *thread,
                                     const struct flame_tree *tree,
                                     const struct flame_picture_options *options);
/* Whether its order is known: stretches are of wall time, and of the request only. */
bool flame_thread_has_order(const struct flame_thread *thread,
                            const struct flame_tree *tree, enum flame_clock clock);
/* Goes on from *next, thread->start at first, to a place with weight of its own. */
bool flame_thread_next_place(const struct flame_thread *thread,
                             const struct flame_tree *tree, uint32_t *next,
                             uint32_t *place);

void flame_text_free(struct flame_text *text);

/* One without a file. */
struct flame_function flame_function_named(const char *name);
/* A mark such as "[overflow]", not a function somebody wrote. */
bool flame_function_is_synthetic(const struct flame_function *function);

#endif
