/*
 * Folded stacks: for other tools, and for flame_tree_from_folded().
 */
#include "renderer/numbers.h"
#include "renderer/tree/tree.h"

#include <errno.h>
#include <stdlib.h>

/* first: of its line, which would be a comment if it began with #. */
static void write_frame(struct flame_writer *writer,
                        const struct flame_function *function, bool first)
{
    struct flame_slice name = function->name;

    if (first && name.length != 0 && name.data[0] == '#') {
        flame_write_text(writer, "\\x23");
        name = (struct flame_slice){name.data + 1, name.length - 1};
    }
    flame_write_escaped(writer, name, FLAME_ESCAPE_FOLDED);
    if (function->file.length == 0) {
        if (function->name.length == 0) {
            flame_write_text(writer, "[no name]"); /* else the line would be none */
        }
        return;
    }
    flame_write_text(writer, " (");
    flame_write_escaped(writer, function->file, FLAME_ESCAPE_FOLDED);
    flame_write_text(writer, ":");
    flame_write_unsigned(writer, function->line);
    flame_write_text(writer, ")");
}

/*
 * The root's frame is left out, except for its own time. `path` holds the
 * functions from the root to here.
 */
static void write_stack(struct flame_writer *writer, const struct flame_tree *tree,
                        const uint32_t *path, uint32_t depth)
{
    uint32_t first = depth == 0 ? 0 : 1;

    for (uint32_t at = first; at <= depth; at++) {
        if (at > first) {
            flame_write_text(writer, ";");
        }
        write_frame(writer, &tree->functions[path[at]], at == first);
    }
}

struct column {
    uint64_t sum;
    uint64_t written; /* of it, rounded */
};

/*
 * Rounds the sum so far, not the single weight, so that many small ones are
 * not lost. Returns what this weight adds to the rounded sum.
 */
static uint64_t next_microseconds(struct column *column, uint64_t weight)
{
    column->sum += weight;
    uint64_t rounded = column->sum / 1000 + (column->sum % 1000 >= 500);
    uint64_t step = rounded - column->written;
    column->written = rounded;
    return step;
}

static void write_weight(struct flame_writer *writer, const struct flame_tree *tree,
                         struct column *column, uint64_t weight)
{
    flame_write_text(writer, " ");
    flame_write_unsigned(writer,
                         tree->is_time ? next_microseconds(column, weight) : weight);
}

int flame_render_folded(const struct flame_tree *tree, struct flame_writer *writer)
{
    struct column is = {0};
    struct column was = {0};
    bool difference = tree->all_before != 0;
    uint32_t *path = malloc(((size_t)flame_tree_depth(tree) + 1) * sizeof *path);

    if (path == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < tree->place_count && writer->error == 0; i++) {
        const struct flame_place *place = &tree->places[i];
        uint64_t before = flame_place_own(tree, i, FLAME_FACT_BEFORE);
        path[place->depth] = place->function;
        if (place->self == 0 && before == 0 && flame_place_self_samples(tree, i) == 0) {
            continue;
        }
        write_stack(writer, tree, path, place->depth);
        if (difference) {
            write_weight(writer, tree, &was, before);
        }
        write_weight(writer, tree, &is, place->self);
        flame_write_text(writer, "\n");
    }
    free(path);
    return writer->error;
}
