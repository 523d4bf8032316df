/*
 * Our own format: all we know, for programs. docs/formats.md has the schema.
 */
#include "renderer/formats/json.h"
#include "renderer/picture/svg.h"

#include <errno.h>
#include <stdlib.h>

static void write_fact(struct flame_writer *writer, const char *key, uint64_t value)
{
    flame_json_key(writer, key);
    flame_json_number(writer, value);
}

static void write_flag(struct flame_writer *writer, const char *key, bool value)
{
    flame_json_key(writer, key);
    flame_write_text(writer, value ? "true" : "false");
}

static void write_quality(struct flame_writer *writer,
                          const struct flame_quality *quality)
{
    struct flame_quality copy = *quality;

    flame_json_key(writer, "quality");
    flame_write_text(writer, "{");
    for (size_t i = 0; i < FLAME_QUALITY_FACTS; i++) {
        write_fact(writer, flame_quality_fact_name(i), *flame_quality_fact(&copy, i));
    }
    write_flag(writer, "everybody", quality->everybody);
    write_flag(writer, "deadline_reached", quality->deadline_reached);
    write_flag(writer, "gil_wait_known", quality->gil_wait_known);
    write_flag(writer, "runnable_known", quality->runnable_known);
    flame_write_text(writer, "}");
}

static void write_functions(struct flame_writer *writer, const struct flame_tree *tree)
{
    flame_json_key(writer, "functions");
    flame_write_text(writer, "[");
    for (uint32_t i = 0; i < tree->function_count && writer->error == 0; i++) {
        const struct flame_function *function = &tree->functions[i];
        flame_write_text(writer, i == 0 ? "\n{" : ",\n{");
        flame_json_key(writer, "name");
        flame_json_string(writer, function->name);
        flame_json_key(writer, "file");
        flame_json_string(writer, function->file);
        write_fact(writer, "line", function->line);
        flame_json_key(writer, "origin");
        flame_json_string(writer, flame_slice_of(flame_svg_origin(flame_svg_colour(
                                      function, FLAME_COLOURS_ORIGIN))));
        flame_write_text(writer, "}");
    }
    flame_write_text(writer, "]");
}

/* A tree with what it does not keep: who is whose parent, and what is one's own. */
struct places {
    const struct flame_tree *tree;
    uint32_t *parents;    /* of the root: itself */
    enum flame_fact fact; /* which of the times is being written */
};

static uint64_t function_at(const void *context, uint32_t index)
{
    return ((const struct places *)context)->tree->places[index].function;
}

static uint64_t parent_at(const void *context, uint32_t index)
{
    return ((const struct places *)context)->parents[index];
}

static uint64_t self_at(const void *context, uint32_t index)
{
    return ((const struct places *)context)->tree->places[index].self;
}

static uint64_t before_at(const void *context, uint32_t index)
{
    return flame_place_total(((const struct places *)context)->tree, index,
                             FLAME_FACT_BEFORE);
}

static uint64_t samples_at(const void *context, uint32_t index)
{
    return flame_place_self_samples(((const struct places *)context)->tree, index);
}

static uint64_t time_at(const void *context, uint32_t index)
{
    const struct places *places = context;

    return flame_place_own(places->tree, index, places->fact);
}

static uint64_t stretch_place_at(const void *context, uint32_t index)
{
    return ((const struct places *)context)->tree->stretches[index].node;
}

static uint64_t stretch_length_at(const void *context, uint32_t index)
{
    return ((const struct places *)context)->tree->stretches[index].microseconds;
}

static void write_column(struct flame_writer *writer, const char *key,
                         const struct places *places, uint32_t count,
                         flame_json_value *value)
{
    flame_json_key(writer, key);
    flame_json_numbers(writer, places, count, value);
}

static void write_places(struct flame_writer *writer, struct places *places)
{
    static const char *const times[FLAME_TIMES] = {
        [FLAME_FACT_RUNNING] = "running_ns", [FLAME_FACT_GIL_WAIT] = "gil_wait_ns",
        [FLAME_FACT_BLOCKED] = "blocked_ns", [FLAME_FACT_RUNNABLE] = "no_cpu_ns",
        [FLAME_FACT_CPU] = "cpu_ns",
    };
    const struct flame_tree *tree = places->tree;
    uint32_t count = tree->place_count;

    flame_json_key(writer, "places");
    flame_write_text(writer, "{");
    write_column(writer, "parent", places, count, parent_at);
    write_column(writer, "function", places, count, function_at);
    write_column(writer, "self", places, count, self_at);
    if (tree->all_before != 0) {
        write_column(writer, "before_total", places, count, before_at);
    }
    if (tree->has_samples) {
        write_column(writer, "samples", places, count, samples_at);
    }
    if (tree->has_times) {
        for (places->fact = 0; places->fact < FLAME_TIMES; places->fact++) {
            write_column(writer, times[places->fact], places, count, time_at);
        }
    }
    flame_write_text(writer, "}");
    if (tree->stretch_count > 0) {
        flame_json_key(writer, "stretches");
        flame_write_text(writer, "{");
        write_column(writer, "place", places, tree->stretch_count, stretch_place_at);
        write_column(writer, "microseconds", places, tree->stretch_count,
                     stretch_length_at);
        flame_write_text(writer, "}");
    }
}

int flame_render_json(const struct flame_tree *tree,
                      const struct flame_picture_options *options,
                      struct flame_writer *writer)
{
    struct places places = {.tree = tree, .parents = flame_tree_parents(tree)};

    if (places.parents == NULL) {
        return -ENOMEM;
    }
    flame_write_text(writer, "{\"format\":\"flameprof\"");
    write_fact(writer, "version", 1);
    flame_json_key(writer, "title");
    flame_json_string(writer, options->title);
    flame_json_key(writer, "subtitle");
    flame_json_string(writer, options->subtitle);
    flame_json_key(writer, "warning");
    flame_json_string(writer, options->warning);
    flame_json_key(writer, "clock");
    flame_json_string(writer, flame_slice_of(flame_clock_name(options->clock)));
    flame_json_key(writer, "unit");
    flame_write_text(writer, tree->is_time ? "\"nanoseconds\"" : "\"samples\"");
    if (tree->all_before != 0) {
        write_fact(writer, "all_before", tree->all_before);
    }
    if (options->quality != NULL) {
        write_quality(writer, options->quality);
    }
    write_functions(writer, tree);
    write_places(writer, &places);
    flame_write_text(writer, "}\n");
    free(places.parents);
    return writer->error;
}
