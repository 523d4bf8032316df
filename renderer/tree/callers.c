/*
 * The tree the other way up. A function's callers are sorted out only where they will
 * be wide enough to see, as the page does it: all of them could be a hundred times as
 * many as the places.
 */
#include "renderer/picture/svg.h"
#include "renderer/tree/builder.h"

#include <stdlib.h>

/* A place that has time of its own, on the way from it to the root. */
struct member {
    uint32_t function; /* of `at` */
    uint32_t at;
    uint64_t weight;
    uint64_t samples;
    uint64_t before;
};

/* Neighbours that have come to the same place of the new tree. */
struct group {
    size_t start;
    size_t count;
    uint32_t place;
    uint32_t depth; /* of its children */
};

struct turning {
    const struct flame_tree *tree;
    uint64_t width, smallest;
    struct flame_builder builder;
    uint32_t *parents;
    uint32_t *functions; /* by the tree's function, the builder's, or FLAME_NONE */
    struct member *members;
    struct group *groups;
    size_t group_count, group_capacity;
};

static int compare_members(const void *left, const void *right)
{
    const struct member *a = left;
    const struct member *b = right;

    return (a->function > b->function) - (a->function < b->function);
}

static bool push(struct turning *turning, struct group group)
{
    if (turning->group_count == turning->group_capacity) {
        size_t capacity =
            turning->group_capacity == 0 ? 64 : turning->group_capacity * 2;
        struct group *larger = realloc(turning->groups, capacity * sizeof *larger);
        if (larger == NULL) {
            return false;
        }
        turning->groups = larger;
        turning->group_capacity = capacity;
    }
    turning->groups[turning->group_count++] = group;
    return true;
}

static uint32_t child_of(struct turning *turning, uint32_t parent, uint32_t function)
{
    uint32_t *known = &turning->functions[function];

    if (*known == FLAME_NONE) {
        *known = flame_builder_function(&turning->builder,
                                        turning->tree->functions[function]);
    }
    return *known == FLAME_NONE
               ? FLAME_NONE
               : flame_builder_child(&turning->builder, parent, *known);
}

static void end_here(struct turning *turning, uint32_t place,
                     const struct member *member)
{
    flame_builder_weigh(&turning->builder, place, member->weight);
    flame_builder_know(&turning->builder, place, FLAME_FACT_SAMPLES, member->samples);
    flame_builder_know(&turning->builder, place, FLAME_FACT_BEFORE, member->before);
}

static bool is_narrow(const struct turning *turning, const struct member *members,
                      size_t count)
{
    unsigned __int128 weight = 0;

    for (size_t i = 0; i < count; i++) {
        weight += members[i].weight;
    }
    return weight * turning->width <
           (unsigned __int128)turning->tree->places[0].total * turning->smallest;
}

/* Members of one function, [start, start + count): a child of the group's place. */
static bool add_child(struct turning *turning, const struct group *group, size_t start,
                      size_t count)
{
    struct member *members = turning->members + start;
    uint32_t place = child_of(turning, group->place, members[0].function);
    bool last =
        group->depth + 1 >= FLAME_SVG_ROWS || is_narrow(turning, members, count);
    size_t kept = 0;

    if (place == FLAME_NONE) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        struct member member = members[i];
        uint32_t above = turning->parents[member.at];
        if (last || above == 0) {
            end_here(turning, place, &member);
            continue;
        }
        member.at = above;
        member.function = turning->tree->places[above].function;
        members[kept++] = member;
    }
    return kept == 0 ||
           push(turning, (struct group){start, kept, place, group->depth + 1});
}

static bool split(struct turning *turning, struct group group)
{
    struct member *members = turning->members;
    size_t end = group.start + group.count;
    bool ok = true;

    qsort(members + group.start, group.count, sizeof *members, compare_members);
    for (size_t from = group.start, to = from; ok && from < end; from = to) {
        while (to < end && members[to].function == members[from].function) {
            to++;
        }
        ok = add_child(turning, &group, from, to - from);
    }
    return ok;
}

/* Who is there at first: returns how many. */
static size_t gather(struct turning *turning)
{
    const struct flame_tree *tree = turning->tree;
    size_t count = 0;

    for (uint32_t i = 0; i < tree->place_count; i++) {
        const struct flame_place *place = &tree->places[i];
        uint64_t before = flame_place_own(tree, i, FLAME_FACT_BEFORE);
        if (place->self != 0 || before != 0) {
            turning->members[count++] =
                (struct member){place->function, i, place->self,
                                flame_place_self_samples(tree, i), before};
        }
    }
    return count;
}

static bool turn(struct turning *turning)
{
    const struct flame_tree *tree = turning->tree;
    struct flame_function root = tree->functions[tree->places[0].function];

    turning->parents = flame_tree_parents(tree);
    turning->functions = malloc(tree->function_count * sizeof(uint32_t));
    turning->members = malloc(tree->place_count * sizeof *turning->members);
    if (turning->parents == NULL || turning->functions == NULL ||
        turning->members == NULL ||
        !flame_builder_start(&turning->builder, root, true)) {
        return false;
    }
    for (uint32_t i = 0; i < tree->function_count; i++) {
        turning->functions[i] = FLAME_NONE;
    }
    bool ok = push(turning, (struct group){.count = gather(turning)});
    while (ok && turning->group_count > 0) {
        ok = split(turning, turning->groups[--turning->group_count]);
    }
    return ok;
}

struct flame_tree *flame_tree_callers(const struct flame_tree *tree, uint64_t width,
                                      uint64_t smallest)
{
    struct turning turning = {.tree = tree, .width = width, .smallest = smallest};
    struct flame_tree *turned = NULL;

    if (turn(&turning)) {
        turned = flame_builder_finish(&turning.builder, tree->is_time, NULL);
    }
    if (turned != NULL) {
        turned->all_before = tree->all_before;
    }
    flame_builder_free(&turning.builder);
    free(turning.parents);
    free(turning.functions);
    free(turning.members);
    free(turning.groups);
    return turned;
}
