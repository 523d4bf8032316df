/*
 * speedscope's sampled schema (https://www.speedscope.app/file-format-schema.json):
 * what happened in its order where that is known, else each place once. Weights are
 * plain numbers however large they are: speedscope adds them up as doubles, and would
 * append a string.
 */
#include "renderer/json.h"

#include <errno.h>
#include <stdlib.h>

struct walk {
    struct flame_writer *writer;
    const struct flame_tree *tree;
    uint32_t *parents;
    uint32_t *path; /* room for the deepest */
};

static void write_frames(struct flame_writer *writer, const struct flame_tree *tree)
{
    flame_write_text(writer, "\"shared\":{\"frames\":[");
    for (uint32_t i = 0; i < tree->function_count && writer->error == 0; i++) {
        const struct flame_function *function = &tree->functions[i];
        flame_write_text(writer, i == 0 ? "\n{" : ",\n{");
        flame_json_key(writer, "name");
        flame_json_string(writer, function->name);
        if (function->file.length != 0) {
            flame_json_key(writer, "file");
            flame_json_string(writer, function->file);
        }
        if (function->line != 0) {
            flame_json_key(writer, "line");
            flame_json_number(writer, function->line);
        }
        flame_write_text(writer, "}");
    }
    flame_write_text(writer, "]}");
}

/* The stack of a place, the root first. */
static void write_stack(const struct walk *walk, uint32_t place)
{
    uint32_t depth = walk->tree->places[place].depth;

    for (uint32_t at = place, left = depth + 1; left > 0; left--) {
        walk->path[left - 1] = walk->tree->places[at].function;
        at = walk->parents[at];
    }
    flame_write_text(walk->writer, "[");
    for (uint32_t i = 0; i <= depth && walk->writer->error == 0; i++) {
        if (i > 0) {
            flame_write_text(walk->writer, ",");
        }
        flame_write_unsigned(walk->writer, walk->path[i]);
    }
    flame_write_text(walk->writer, "]");
}

static uint64_t microseconds_at(const void *context, uint32_t index)
{
    return ((const struct flame_tree *)context)->stretches[index].microseconds;
}

static uint64_t write_in_order(const struct walk *walk)
{
    const struct flame_tree *tree = walk->tree;
    uint64_t sum = 0;

    for (uint32_t i = 0; i < tree->stretch_count && walk->writer->error == 0; i++) {
        flame_write_text(walk->writer, i == 0 ? "\n" : ",\n");
        write_stack(walk, tree->stretches[i].node);
        sum += tree->stretches[i].microseconds;
    }
    flame_write_text(walk->writer, "],\"weights\":");
    flame_json_numbers(walk->writer, tree, tree->stretch_count, microseconds_at);
    return sum;
}

static uint64_t write_by_place(const struct walk *walk)
{
    const struct flame_tree *tree = walk->tree;
    struct flame_writer *writer = walk->writer;
    const char *between = "\n";

    for (uint32_t i = 0; i < tree->place_count && writer->error == 0; i++) {
        if (tree->places[i].self != 0) {
            flame_write_text(writer, between);
            write_stack(walk, i);
            between = ",\n";
        }
    }
    flame_write_text(writer, "],\"weights\":[");
    between = "";
    for (uint32_t i = 0; i < tree->place_count && writer->error == 0; i++) {
        if (tree->places[i].self != 0) {
            flame_write_text(writer, between);
            flame_write_unsigned(writer, tree->places[i].self);
            between = ",";
        }
    }
    flame_write_text(writer, "]");
    return tree->places[0].total;
}

static void write_profile(const struct walk *walk, struct flame_slice name,
                          enum flame_clock clock)
{
    struct flame_writer *writer = walk->writer;
    /* Stretches are of wall time. */
    bool in_order = walk->tree->stretch_count > 0 && clock == FLAME_CLOCK_WALL;

    flame_write_text(writer, ",\"profiles\":[{\"type\":\"sampled\"");
    flame_json_key(writer, "name");
    flame_json_string(writer, name);
    flame_json_key(writer, "unit");
    flame_write_text(writer, in_order              ? "\"microseconds\""
                             : walk->tree->is_time ? "\"nanoseconds\""
                                                   : "\"none\"");
    flame_write_text(writer, ",\"startValue\":0,\"samples\":[");
    uint64_t end = (in_order ? write_in_order : write_by_place)(walk);
    flame_json_key(writer, "endValue");
    flame_write_unsigned(writer, end);
    flame_write_text(writer, "}]");
}

int flame_render_speedscope(const struct flame_tree *tree,
                            const struct flame_picture_options *options,
                            struct flame_writer *writer)
{
    struct flame_slice name =
        options->title.length != 0 ? options->title : flame_slice_of("flameprof");
    struct walk walk = {
        .writer = writer,
        .tree = tree,
        .parents = flame_tree_parents(tree),
        .path = malloc(((size_t)flame_tree_depth(tree) + 1) * sizeof(uint32_t))};
    int error = -ENOMEM;

    if (walk.parents != NULL && walk.path != NULL) {
        flame_write_text(
            writer,
            "{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",");
        write_frames(writer, tree);
        write_profile(&walk, name, options->clock);
        flame_json_key(writer, "name");
        flame_json_string(writer, name);
        flame_write_text(
            writer, ",\"activeProfileIndex\":0,\"exporter\":\"flameprof " FLAME_VERSION
                    "\"}\n");
        error = writer->error;
    }
    free(walk.parents);
    free(walk.path);
    return error;
}
