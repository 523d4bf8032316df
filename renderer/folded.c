/*
 * Folded stacks: for other tools, and for flame_tree_from_folded().
 */
#include "renderer/tree.h"
#include "renderer/writer.h"

#include <errno.h>
#include <stdlib.h>

static void write_frame(struct flame_writer *writer,
                        const struct flame_function *function)
{
    flame_write_escaped(writer, function->name, FLAME_ESCAPE_FOLDED);
    if (function->file.length == 0) {
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
    for (uint32_t at = depth == 0 ? 0 : 1; at <= depth; at++) {
        if (at > 1) {
            flame_write_text(writer, ";");
        }
        write_frame(writer, &tree->functions[path[at]]);
    }
}

/*
 * Rounds the sum so far, not the single weight, so that many small ones are
 * not lost. Returns what this weight adds to the rounded sum.
 */
static uint64_t next_microseconds(uint64_t weight, uint64_t *sum, uint64_t *written)
{
    *sum += weight;
    uint64_t rounded = *sum / 1000 + (*sum % 1000 >= 500);
    uint64_t step = rounded - *written;
    *written = rounded;
    return step;
}

int flame_render_folded(const struct flame_tree *tree, struct flame_writer *writer)
{
    uint64_t sum = 0;
    uint64_t written = 0;
    uint32_t *path = malloc(((size_t)flame_tree_depth(tree) + 1) * sizeof *path);

    if (path == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < tree->place_count && writer->error == 0; i++) {
        const struct flame_place *place = &tree->places[i];
        path[place->depth] = place->function;
        if (place->self == 0 && flame_place_self_samples(tree, i) == 0) {
            continue;
        }
        write_stack(writer, tree, path, place->depth);
        flame_write_text(writer, " ");
        flame_write_unsigned(
            writer, tree->is_time ? next_microseconds(place->self, &sum, &written)
                                  : place->self);
        flame_write_text(writer, "\n");
    }
    free(path);
    return writer->error;
}
