/*
 * What a tree says of each function: a row of a table.
 */
#include "renderer/tree/tree.h"

#include <stdlib.h>

struct walk {
    const struct flame_tree *tree;
    struct flame_row *rows; /* by function */
    uint32_t *inside;       /* by function: how often it is on the path here */
    uint32_t *open;         /* the places on the path here */
    uint32_t depth;
};

/* But for its own time and its places, a function inside itself counts once. */
static void visit(struct walk *walk, uint32_t place)
{
    const struct flame_tree *tree = walk->tree;
    const struct flame_place *at = &tree->places[place];
    struct flame_row *row = &walk->rows[at->function];

    while (walk->depth > at->depth) {
        walk->inside[tree->places[walk->open[--walk->depth]].function]--;
    }
    row->self += at->self;
    row->places++;
    if (walk->inside[at->function]++ == 0) {
        row->total += at->total;
        row->samples += flame_place_samples(tree, place);
    }
    walk->open[walk->depth++] = place;
}

static int compare_rows(const void *left, const void *right)
{
    const struct flame_row *a = left;
    const struct flame_row *b = right;

    if (a->self != b->self) {
        return a->self < b->self ? 1 : -1;
    }
    if (a->total != b->total) {
        return a->total < b->total ? 1 : -1;
    }
    return (a->function > b->function) - (a->function < b->function);
}

struct flame_row *flame_tree_rows(const struct flame_tree *tree, uint32_t *count)
{
    struct walk walk = {
        .tree = tree,
        .rows = calloc(tree->function_count, sizeof *walk.rows),
        .inside = calloc(tree->function_count, sizeof *walk.inside),
        .open = malloc(((size_t)flame_tree_depth(tree) + 1) * sizeof *walk.open)};
    bool ok = walk.rows != NULL && walk.inside != NULL && walk.open != NULL;

    for (uint32_t i = 0; ok && i < tree->function_count; i++) {
        const struct flame_function *function = &tree->functions[i];
        walk.rows[i] = (struct flame_row){.name = function->name,
                                          .file = function->file,
                                          .line = function->line,
                                          .function = i};
    }
    for (uint32_t i = 0; ok && i < tree->place_count; i++) {
        visit(&walk, i);
    }
    if (ok) {
        qsort(walk.rows, tree->function_count, sizeof *walk.rows, compare_rows);
        *count = tree->function_count;
    } else {
        free(walk.rows);
        walk.rows = NULL;
    }
    free(walk.inside);
    free(walk.open);
    return walk.rows;
}
