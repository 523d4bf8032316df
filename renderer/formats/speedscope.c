/*
 * speedscope's sampled schema (https://www.speedscope.app/file-format-schema.json):
 * the request in the order of time where that is known, else each place once; what ran
 * beside it is a profile each. Weights are plain numbers however large they are:
 * speedscope adds them up as doubles, and would append a string.
 */
#include "renderer/formats/json.h"

#include <errno.h>
#include <stdlib.h>

struct walk {
    struct flame_writer *writer;
    const struct flame_tree *tree;
    const struct flame_picture_options *options;
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

static uint64_t write_by_place(const struct walk *walk,
                               const struct flame_thread *thread)
{
    const struct flame_tree *tree = walk->tree;
    struct flame_writer *writer = walk->writer;
    const char *between = "\n";
    uint64_t sum = 0;
    uint32_t place;

    for (uint32_t next = thread->start;
         flame_thread_next_place(thread, tree, &next, &place) && writer->error == 0;) {
        flame_write_text(writer, between);
        write_stack(walk, place);
        between = ",\n";
    }
    flame_write_text(writer, "],\"weights\":[");
    between = "";
    for (uint32_t next = thread->start;
         flame_thread_next_place(thread, tree, &next, &place) && writer->error == 0;) {
        flame_write_text(writer, between);
        flame_write_unsigned(writer, tree->places[place].self);
        sum += tree->places[place].self;
        between = ",";
    }
    flame_write_text(writer, "]");
    return sum;
}

static void write_profile(const struct walk *walk, const struct flame_thread *thread)
{
    struct flame_writer *writer = walk->writer;
    const struct flame_tree *tree = walk->tree;
    bool in_order = flame_thread_has_order(thread, tree, walk->options->clock);

    flame_write_text(writer, thread->number == 0 ? "{" : ",{");
    flame_write_text(writer, "\"type\":\"sampled\"");
    flame_json_key(writer, "name");
    flame_json_string(writer, flame_thread_name(thread, tree, walk->options));
    flame_json_key(writer, "unit");
    flame_write_text(writer, in_order        ? "\"microseconds\""
                             : tree->is_time ? "\"nanoseconds\""
                                             : "\"none\"");
    flame_write_text(writer, ",\"startValue\":0,\"samples\":[");
    uint64_t end = in_order ? write_in_order(walk) : write_by_place(walk, thread);
    flame_json_key(writer, "endValue");
    flame_write_unsigned(writer, end);
    flame_write_text(writer, "}");
}

static void write_profiles(const struct walk *walk)
{
    struct flame_thread thread = flame_tree_request(walk->tree);

    flame_write_text(walk->writer, ",\"profiles\":[");
    do {
        write_profile(walk, &thread);
    } while (flame_thread_next(&thread, walk->tree));
    flame_write_text(walk->writer, "]");
}

int flame_render_speedscope(const struct flame_tree *tree,
                            const struct flame_picture_options *options,
                            struct flame_writer *writer)
{
    struct walk walk = {
        .writer = writer,
        .tree = tree,
        .options = options,
        .parents = flame_tree_parents(tree),
        .path = malloc(((size_t)flame_tree_depth(tree) + 1) * sizeof(uint32_t))};
    const struct flame_thread request = flame_tree_request(tree);
    int error = -ENOMEM;

    if (walk.parents != NULL && walk.path != NULL) {
        flame_write_text(
            writer,
            "{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",");
        write_frames(writer, tree);
        write_profiles(&walk);
        flame_json_key(writer, "name");
        flame_json_string(writer, flame_thread_name(&request, tree, options));
        flame_write_text(
            writer, ",\"activeProfileIndex\":0,\"exporter\":\"flameprof " FLAME_VERSION
                    "\"}\n");
        error = writer->error;
    }
    free(walk.parents);
    free(walk.path);
    return error;
}
