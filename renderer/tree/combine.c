/*
 * Trees made of trees: what has changed between two, and the sum of many.
 */
#include "renderer/tree/builder.h"

#include <stdlib.h>

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

static bool add_tree(struct flame_builder *builder, const struct flame_tree *tree,
                     take_place *take)
{
    uint32_t *functions = malloc(tree->function_count * sizeof *functions);
    uint32_t *places = malloc(tree->place_count * sizeof *places);
    uint32_t *parents = flame_tree_parents(tree);
    bool ok = functions != NULL && places != NULL && parents != NULL;

    for (uint32_t i = 0; ok && i < tree->function_count; i++) {
        functions[i] = flame_builder_function(builder, tree->functions[i]);
        ok = functions[i] != FLAME_NONE;
    }
    for (uint32_t i = 0; ok && i < tree->place_count; i++) {
        places[i] = i == 0 ? 0
                           : flame_builder_child(builder, places[parents[i]],
                                                 functions[tree->places[i].function]);
        ok = places[i] != FLAME_NONE;
        if (ok) {
            take(builder, places[i], tree, i);
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
        add_tree(&builder, after, take_after) &&
        add_tree(&builder, before, take_before)) {
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
             add_tree(&builder, trees[i], take_all);
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
