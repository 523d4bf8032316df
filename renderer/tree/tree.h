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
    enum flame_origin origin;
};

/* What may be known of a place beside its weight. Time is in nanoseconds; the sum of
 * its states may exceed the weight where that is another clock than wall time. */
enum flame_fact {
    /* wall time by what the thread did: as enum flame_state */
    FLAME_FACT_RUNNING,
    FLAME_FACT_GIL_WAIT,
    FLAME_FACT_BLOCKED,
    FLAME_FACT_RUNNABLE,
    FLAME_FACT_CPU,
    FLAME_FACT_SAMPLES,
    FLAME_FACT_BEFORE, /* of a difference: the weight that it had */
    FLAME_FACTS
};
#define FLAME_TIMES (FLAME_FACT_CPU + 1)
_Static_assert((int)FLAME_FACT_RUNNABLE == FLAME_RUNNABLE &&
                   (int)FLAME_FACT_CPU == FLAME_STATES,
               "the states of wall time are the first facts, in their order");

struct flame_place {
    uint32_t function;
    uint32_t depth; /* of the root: 0 */
    uint32_t end;
    uint64_t self; /* nanoseconds, or samples for FLAME_UNIT_SAMPLES */
    uint64_t total;
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
    /* By place, and one more: the sum over all places before it. What a place and all
     * below it have, and what it has itself, are both differences. NULL: all zero. */
    uint64_t *facts[FLAME_FACTS];
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

/* A fact of a place with all below it, and of itself alone. */
static inline uint64_t flame_place_total(const struct flame_tree *tree, uint32_t place,
                                         enum flame_fact fact)
{
    const uint64_t *sums = tree->facts[fact];

    return sums != NULL ? sums[tree->places[place].end] - sums[place] : 0;
}

static inline uint64_t flame_place_own(const struct flame_tree *tree, uint32_t place,
                                       enum flame_fact fact)
{
    const uint64_t *sums = tree->facts[fact];

    return sums != NULL ? sums[place + 1] - sums[place] : 0;
}

/* Its samples, which may be what it weighs. */
uint64_t flame_place_samples(const struct flame_tree *tree, uint32_t place);
uint64_t flame_place_self_samples(const struct flame_tree *tree, uint32_t place);

/* Room for a fact, all zero: of a place in the room of the one behind it, until
 * flame_tree_add_up() makes sums of it. false: out of memory. */
bool flame_tree_make_fact(struct flame_tree *tree, enum flame_fact fact);
void flame_tree_add_up(struct flame_tree *tree);

/* The parent of each place, of the root itself: malloc'd. NULL: out of memory. */
uint32_t *flame_tree_parents(const struct flame_tree *tree);

uint32_t flame_tree_depth(const struct flame_tree *tree);

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

/*
 * combine.c: without what is idle (by place) of the places' own, and without places
 * that then have nothing; and with functions by other names, where places of one name
 * become one. The order of time is lost. NULL: out of memory.
 */
struct flame_tree *flame_tree_without(const struct flame_tree *tree, const bool *idle);

/*
 * names.c: the functions of a profile by number of its codes, as they may be told;
 * malloc'd, pointing into the profile and into `text`, of which the caller frees both.
 * NULL: out of memory.
 */
struct flame_function *flame_names_apply(const struct flame_profile *profile,
                                         struct flame_text **text);
extern const char flame_names_redacted[]; /* the name of what is hidden */

/* colours.c: by what name and file look like, where it is not known. */
enum flame_origin flame_function_origin(const struct flame_function *function);
/* "library"; not of FLAME_ORIGIN_UNKNOWN, which any other name is. */
const char *flame_origin_name(enum flame_origin origin);
enum flame_origin flame_origin_from_name(struct flame_slice name);
/* idle.c: a pattern of flame_tree_without_idle(), but "[thread]". */
bool flame_function_matches(const struct flame_function *function, const char *pattern);
/* A call into C, "waiter.acquire(…)": what its function does. */
bool flame_function_is_call(const struct flame_function *function);

/* One without a file. */
struct flame_function flame_function_named(const char *name);
/* A mark such as "[overflow]", not a function somebody wrote. */
bool flame_function_is_synthetic(const struct flame_function *function);

#endif
