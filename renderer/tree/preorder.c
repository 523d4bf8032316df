/*
 * From the builder to a tree: functions are ranked, siblings sorted, places numbered
 * from the root down.
 */
#include "renderer/tree/builder.h"
#include "renderer/writer.h"

#include <stdlib.h>
#include <string.h>

static int compare_slices(struct flame_slice a, struct flame_slice b)
{
    size_t shorter = a.length < b.length ? a.length : b.length;
    int order = shorter == 0 ? 0 : memcmp(a.data, b.data, shorter);

    return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

static int compare_functions(const struct flame_function *a,
                             const struct flame_function *b)
{
    int order = compare_slices(a->name, b->name);

    if (order == 0) {
        order = compare_slices(a->file, b->file);
    }
    return order != 0 ? order : (a->line > b->line) - (a->line < b->line);
}

/* Most functions differ in the first bytes of their names. */
static uint64_t front_of(const struct flame_function *function)
{
    return __builtin_bswap64(flame_slice_word(function->name));
}

static int compare_ranked(const void *left, const void *right)
{
    const struct flame_function *a = *(struct flame_function *const *)left;
    const struct flame_function *b = *(struct flame_function *const *)right;
    uint64_t first = front_of(a);
    uint64_t second = front_of(b);

    return first != second ? (first > second ? 1 : -1) : compare_functions(a, b);
}

/* Sorts the functions and renumbers the sprouts: a number is now a rank. */
static bool rank_functions(struct flame_builder *builder)
{
    uint32_t count = builder->function_count;
    struct flame_function *functions = malloc(count * sizeof *functions);
    struct flame_function **sorted = malloc(count * sizeof *sorted);
    uint32_t *ranks = malloc(count * sizeof *ranks);
    bool ok = functions != NULL && sorted != NULL && ranks != NULL;

    for (uint32_t i = 0; ok && i < count; i++) {
        sorted[i] = &builder->functions[i];
    }
    if (ok) {
        qsort(sorted, count, sizeof *sorted, compare_ranked);
    }
    for (uint32_t rank = 0; ok && rank < count; rank++) {
        functions[rank] = *sorted[rank];
        ranks[sorted[rank] - builder->functions] = rank;
    }
    for (uint32_t i = 0; ok && i < builder->sprout_count; i++) {
        builder->sprouts[i].function = ranks[builder->sprouts[i].function];
    }
    if (ok) {
        free(builder->functions);
        builder->functions = functions;
        functions = NULL;
    }
    free(functions);
    free(sorted);
    free(ranks);
    return ok;
}

/* Lists of siblings as they were met, in the room of the paths, which nobody looks for
 * any more. */
static void link_children(struct flame_builder *builder)
{
    struct flame_sprout *sprouts = builder->sprouts;

    for (uint32_t i = 0; i < builder->sprout_count; i++) {
        sprouts[i].child = sprouts[i].sibling = FLAME_NONE;
    }
    for (uint32_t i = builder->sprout_count; i-- > 1;) {
        struct flame_sprout *parent = &sprouts[sprouts[i].parent];
        sprouts[i].sibling = parent->child;
        parent->child = i;
    }
}

/* One list of two that are in the order of their functions. */
static uint32_t merge_lists(struct flame_sprout *sprouts, uint32_t a, uint32_t b)
{
    uint32_t head;
    uint32_t *tail = &head;

    while (a != FLAME_NONE && b != FLAME_NONE) {
        uint32_t *first = sprouts[a].function < sprouts[b].function ? &a : &b;
        *tail = *first;
        tail = &sprouts[*first].sibling;
        *first = *tail;
    }
    *tail = a != FLAME_NONE ? a : b;
    return head;
}

/* lists[i] has 2^i siblings, or none: a list of one is merged with those of its length
 * upwards, as a bit is added to a number. */
static uint32_t sort_siblings(struct flame_sprout *sprouts, uint32_t list)
{
    uint32_t lists[32];
    uint32_t sorted = FLAME_NONE;
    uint32_t used = 0;

    if (list == FLAME_NONE || sprouts[list].sibling == FLAME_NONE) {
        return list;
    }
    while (list != FLAME_NONE) {
        uint32_t one = list;
        uint32_t at = 0;
        list = sprouts[one].sibling;
        sprouts[one].sibling = FLAME_NONE;
        for (; at < used && lists[at] != FLAME_NONE; at++) {
            one = merge_lists(sprouts, lists[at], one);
            lists[at] = FLAME_NONE;
        }
        lists[at] = one;
        used = at == used ? used + 1 : used;
    }
    for (uint32_t at = 0; at < used; at++) {
        sorted = merge_lists(sprouts, lists[at], sorted);
    }
    return sorted;
}

/* Makes `into` of two siblings. */
static void merge_sprouts(struct flame_builder *builder, uint32_t into, uint32_t from)
{
    struct flame_sprout *sprouts = builder->sprouts;
    uint32_t *last = &sprouts[from].child;

    sprouts[into].self += sprouts[from].self;
    while (*last != FLAME_NONE) {
        sprouts[*last].parent = into;
        last = &sprouts[*last].sibling;
    }
    *last = sprouts[into].child;
    sprouts[into].child = sprouts[from].child;
    sprouts[from].parent = into;
    sprouts[from].function = FLAME_NONE;
}

/* In the order of their functions, each of which has one place. */
static uint32_t order_siblings(struct flame_builder *builder, uint32_t list)
{
    struct flame_sprout *sprouts = builder->sprouts;
    uint32_t sorted = sort_siblings(sprouts, list);

    for (uint32_t at = sorted; builder->blind && at != FLAME_NONE;
         at = sprouts[at].sibling) {
        uint32_t next = sprouts[at].sibling;
        while (next != FLAME_NONE && sprouts[next].function == sprouts[at].function) {
            sprouts[at].sibling = sprouts[next].sibling;
            merge_sprouts(builder, at, next);
            next = sprouts[at].sibling;
        }
    }
    return sorted;
}

static void lay_out_facts(struct flame_tree *tree, uint32_t place,
                          const struct flame_own *own)
{
    for (enum flame_fact fact = 0; fact < FLAME_FACTS; fact++) {
        if (tree->facts[fact] != NULL) {
            tree->facts[fact][place + 1] = own->facts[fact];
        }
    }
}

/* The place is the next. */
static void enter(struct flame_builder *builder, struct flame_tree *tree,
                  uint32_t sprout, uint32_t depth)
{
    struct flame_sprout *from = &builder->sprouts[sprout];

    from->place = tree->place_count++;
    tree->places[from->place] = (struct flame_place){.function = from->function,
                                                     .depth = depth,
                                                     .self = from->self,
                                                     .total = from->self};
    if (builder->detailed) {
        lay_out_facts(tree, from->place, &builder->own[sprout]);
    }
}

/* The place is complete; returns its parent's sprout. */
static uint32_t leave(const struct flame_builder *builder, struct flame_tree *tree,
                      uint32_t sprout)
{
    struct flame_place *place = &tree->places[builder->sprouts[sprout].place];
    uint32_t parent = builder->sprouts[sprout].parent;

    place->end = tree->place_count;
    if (parent != FLAME_NONE) {
        tree->places[builder->sprouts[parent].place].total += place->total;
    }
    return parent;
}

/* The walk goes down, then sideways, then up: no recursion, whatever the depth. */
static void lay_out(struct flame_builder *builder, struct flame_tree *tree)
{
    struct flame_sprout *sprouts = builder->sprouts;
    uint32_t sprout = 0;
    uint32_t depth = 0;

    tree->place_count = 0;
    while (sprout != FLAME_NONE) {
        uint32_t below = sprouts[sprout].child;
        enter(builder, tree, sprout, depth);
        if (below != FLAME_NONE) {
            sprout = order_siblings(builder, below);
            depth++;
            continue;
        }
        uint32_t parent = leave(builder, tree, sprout);
        while (sprouts[sprout].sibling == FLAME_NONE && parent != FLAME_NONE) {
            sprout = parent;
            parent = leave(builder, tree, sprout);
            depth--;
        }
        sprout = sprouts[sprout].sibling;
    }
    flame_tree_add_up(tree);
}

/* By number in the builder. */
static void list_places(const struct flame_builder *builder, uint32_t *place_of)
{
    const struct flame_sprout *sprouts = builder->sprouts;

    for (uint32_t i = 0; i < builder->sprout_count; i++) {
        bool merged = sprouts[i].function == FLAME_NONE;
        place_of[i] = sprouts[merged ? sprouts[i].parent : i].place;
    }
}

static bool sort_into(struct flame_builder *builder, struct flame_tree *tree,
                      uint32_t **place_of)
{
    bool ok = rank_functions(builder);

    tree->place_count = builder->sprout_count;
    tree->places = ok ? malloc(tree->place_count * sizeof *tree->places) : NULL;
    ok = tree->places != NULL;
    for (enum flame_fact fact = 0; ok && fact < FLAME_FACTS; fact++) {
        ok = builder->facts[fact] == 0 || flame_tree_make_fact(tree, fact);
    }
    if (ok && place_of != NULL) {
        *place_of = malloc(tree->place_count * sizeof **place_of);
        ok = *place_of != NULL;
    }
    if (ok) {
        link_children(builder);
        lay_out(builder, tree);
    }
    if (ok && place_of != NULL) {
        list_places(builder, *place_of);
    }
    return ok;
}

struct flame_tree *flame_builder_finish(struct flame_builder *builder, bool is_time,
                                        uint32_t **place_of)
{
    struct flame_tree *tree = calloc(1, sizeof *tree);

    /* What only looking up needs, before anything else is asked for. */
    free(builder->by_function.slots);
    free(builder->by_path.slots);
    builder->by_function = builder->by_path = (struct flame_table){0};
    if (place_of != NULL) {
        *place_of = NULL;
    }
    if (tree != NULL && !sort_into(builder, tree, place_of)) {
        if (place_of != NULL) {
            free(*place_of);
            *place_of = NULL;
        }
        flame_tree_free(tree);
        tree = NULL;
    }
    if (tree != NULL) {
        tree->functions = builder->functions;
        tree->function_count = builder->function_count;
        tree->text = builder->text;
        tree->is_time = is_time;
        tree->has_samples = !is_time || builder->facts[FLAME_FACT_SAMPLES] != 0;
        builder->functions = NULL;
        builder->text = NULL;
    }
    flame_builder_free(builder);
    return tree;
}
