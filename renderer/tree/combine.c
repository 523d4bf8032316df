/*
 * Trees made of trees: what has changed between two, the sum of many, a part of one,
 * and one by other names.
 */
#include "renderer/tree/builder.h"

#include <stdlib.h>
#include <string.h>

/* How the places of one tree become part of another's. */
typedef void take_place(struct flame_builder *builder, uint32_t to,
                        const struct flame_tree *tree, uint32_t place);

static void take_before(struct flame_builder *builder, uint32_t to,
                        const struct flame_tree *tree, uint32_t place)
{
    flame_builder_know(builder, to, FLAME_FACT_BEFORE, tree->places[place].self);
}

static void take_after(struct flame_builder *builder, uint32_t to,
                       const struct flame_tree *tree, uint32_t place)
{
    flame_builder_weigh(builder, to, tree->places[place].self);
    flame_builder_know(builder, to, FLAME_FACT_SAMPLES,
                       flame_place_self_samples(tree, place));
}

/* Times beyond what 64 bits hold are left out. */
static void take_all(struct flame_builder *builder, uint32_t to,
                     const struct flame_tree *tree, uint32_t place)
{
    uint64_t times[FLAME_TIMES];

    for (enum flame_fact fact = 0; fact < FLAME_TIMES; fact++) {
        times[fact] = flame_place_own(tree, place, fact);
    }
    take_after(builder, to, tree, place);
    (void)flame_builder_times(builder, to, times);
}

/* What of a tree is taken, and as what. */
struct taken {
    take_place *take;
    const bool *places;              /* by place; NULL: all */
    const bool *empty;               /* by place: nothing of its own; NULL: none */
    const struct flame_slice *names; /* by function; NULL: its own */
};

/* A place's function, which is added with the first place that has it; `functions`: by
 * the tree's number, FLAME_NONE at first. FLAME_NONE: out of memory. */
static uint32_t function_of(struct flame_builder *builder,
                            const struct flame_tree *tree, uint32_t place,
                            const struct taken *taken, uint32_t *functions)
{
    uint32_t function = tree->places[place].function;

    if (functions[function] == FLAME_NONE) {
        functions[function] = flame_builder_function(
            builder, taken->names == NULL
                         ? tree->functions[function]
                         : (struct flame_function){.name = taken->names[function]});
    }
    return functions[function];
}

/* FLAME_NONE: out of memory. */
static uint32_t child_of(struct flame_builder *builder, uint32_t parent,
                         uint32_t function)
{
    return function == FLAME_NONE ? FLAME_NONE
                                  : flame_builder_child(builder, parent, function);
}

static bool add_tree(struct flame_builder *builder, const struct flame_tree *tree,
                     const struct taken *taken)
{
    uint32_t *functions = malloc(tree->function_count * sizeof *functions);
    uint32_t *places = malloc(tree->place_count * sizeof *places);
    uint32_t *parents = flame_tree_parents(tree);
    bool ok = functions != NULL && places != NULL && parents != NULL;

    if (ok) {
        memset(functions, 0xff, tree->function_count * sizeof *functions);
    }
    for (uint32_t i = 0; ok && i < tree->place_count; i++) {
        if (taken->places != NULL && !taken->places[i]) {
            continue;
        }
        places[i] = i == 0 ? 0
                           : child_of(builder, places[parents[i]],
                                      function_of(builder, tree, i, taken, functions));
        ok = places[i] != FLAME_NONE;
        if (ok && (taken->empty == NULL || !taken->empty[i])) {
            taken->take(builder, places[i], tree, i);
        }
    }
    free(functions);
    free(places);
    free(parents);
    return ok;
}

struct flame_tree *flame_tree_difference(const struct flame_tree *before,
                                         const struct flame_tree *after, bool absolute)
{
    struct flame_builder builder;
    struct flame_tree *tree = NULL;

    if (before->is_time != after->is_time) {
        return NULL;
    }
    if (flame_builder_start(&builder, flame_function_named("[all]"), true) &&
        flame_builder_reserve(&builder, after->function_count, after->place_count) &&
        add_tree(&builder, after, &(struct taken){.take = take_after}) &&
        add_tree(&builder, before, &(struct taken){.take = take_before})) {
        tree = flame_builder_finish(&builder, after->is_time, NULL);
    }
    if (tree != NULL) {
        uint64_t whole = absolute ? tree->places[0].total
                                  : flame_place_total(tree, 0, FLAME_FACT_BEFORE);
        tree->all_before = whole != 0 ? whole : 1;
    }
    flame_builder_free(&builder);
    return tree;
}

struct flame_tree *flame_tree_sum(struct flame_tree *const trees[], size_t count)
{
    const struct flame_tree *first = trees[0];
    struct flame_builder builder;
    struct flame_tree *tree = NULL;
    bool ok = flame_builder_start(&builder, first->functions[first->places[0].function],
                                  true);

    for (size_t i = 0; ok && i < count; i++) {
        ok = trees[i]->is_time == first->is_time &&
             add_tree(&builder, trees[i], &(struct taken){.take = take_all});
    }
    if (ok) {
        tree = flame_builder_finish(&builder, first->is_time, NULL);
    }
    if (tree != NULL) {
        tree->has_times = true;
        for (size_t i = 0; i < count; i++) {
            tree->has_times &= trees[i]->has_times;
        }
    }
    flame_builder_free(&builder);
    return tree;
}

/* A tree of one, which is no difference. */
static struct flame_tree *remake(const struct flame_tree *tree,
                                 const struct taken *taken)
{
    struct flame_function root = tree->functions[tree->places[0].function];
    struct flame_builder builder;
    struct flame_tree *made = NULL;

    if (taken->names != NULL) {
        root = (struct flame_function){.name = taken->names[tree->places[0].function]};
    }
    if (flame_builder_start(&builder, root, true) && add_tree(&builder, tree, taken)) {
        made = flame_builder_finish(&builder, tree->is_time, NULL);
    }
    if (made != NULL) {
        made->has_times = tree->has_times;
    }
    flame_builder_free(&builder);
    return made;
}

/* A place is there if it, or one below it, has something that is not idle. */
static void find_kept(const struct flame_tree *tree, const bool *idle,
                      const uint32_t *parents, bool *kept)
{
    for (uint32_t i = 0; i < tree->place_count; i++) {
        kept[i] = i == 0 || (!idle[i] && (tree->places[i].self != 0 ||
                                          flame_place_self_samples(tree, i) != 0));
    }
    for (uint32_t i = tree->place_count; i-- > 1;) {
        kept[parents[i]] |= kept[i];
    }
}

struct flame_tree *flame_tree_without(const struct flame_tree *tree, const bool *idle)
{
    uint32_t *parents = flame_tree_parents(tree);
    bool *kept = malloc(tree->place_count * sizeof *kept);
    struct flame_tree *rest = NULL;

    if (parents != NULL && kept != NULL) {
        find_kept(tree, idle, parents, kept);
        rest = remake(tree,
                      &(struct taken){.take = take_all, .places = kept, .empty = idle});
    }
    free(parents);
    free(kept);
    return rest;
}

struct flame_tree *flame_tree_renamed(const struct flame_tree *tree,
                                      const struct flame_slice *names)
{
    return remake(tree, &(struct taken){.take = take_all, .names = names});
}
