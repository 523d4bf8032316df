/*
 * Our own JSON (docs/formats.md) back into a tree, so that a picture of it is the one
 * the profile would have had.
 */
#include "renderer/formats/json.h"
#include "renderer/read/reader.h"
#include "renderer/tree/builder.h"
#include "renderer/writer.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* The columns of "places": NULL where there is no such column. */
struct columns {
    const json_t *parent;
    const json_t *function;
    const json_t *self;
    const json_t *before_total;
    const json_t *samples;
    const json_t *times[FLAME_TIMES];
    size_t count;
};

struct read {
    struct flame_document *document;
    struct flame_builder builder;
    const json_t *functions;
    struct columns columns;
    uint32_t *function_of; /* by number in the input, the builder's */
    uint32_t *place_of;
    uint64_t *before; /* by place, its own; NULL: no difference */
    bool is_time;
};

/* Text of a member; empty: there is none, or it is no text. */
static struct flame_slice text_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_string(value) ? (struct flame_slice){json_string_value(value),
                                                        json_string_length(value)}
                                 : (struct flame_slice){"", 0};
}

/* A whole number that is not negative, beyond 2^53 perhaps in quotes. */
static bool read_value(const json_t *value, uint64_t *number)
{
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *number = (uint64_t)json_integer_value(value);
        return true;
    }
    const char *text = json_string_value(value);
    if (text == NULL || text[0] < '0' || text[0] > '9') {
        return false;
    }
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0';
}

static bool read_member(const json_t *object, const char *key, uint64_t *number)
{
    return read_value(json_object_get(object, key), number);
}

static bool read_at(const json_t *column, size_t index, uint64_t *number)
{
    return read_value(json_array_get(column, index), number);
}

/* ---- what stands around the tree --------------------------------------------- */

static void read_quality(const json_t *from, struct flame_quality *quality)
{
    for (size_t i = 0; i < FLAME_QUALITY_FACTS; i++) {
        (void)read_member(from, flame_quality_fact_name(i),
                          flame_quality_fact(quality, i));
    }
    quality->everybody = json_is_true(json_object_get(from, "everybody"));
    quality->deadline_reached = json_is_true(json_object_get(from, "deadline_reached"));
    quality->gil_wait_known = json_is_true(json_object_get(from, "gil_wait_known"));
    quality->runnable_known = json_is_true(json_object_get(from, "runnable_known"));
}

static int read_surroundings(struct read *read, const json_t *root)
{
    struct flame_document *document = read->document;
    const json_t *quality = json_object_get(root, "quality");
    struct flame_slice clock = text_of(root, "clock");
    struct flame_slice unit = text_of(root, "unit");

    if (flame_clock_from_name(clock, &document->options.clock) != 0) {
        return flame_document_refuse(document, "\"clock\" is none of ours");
    }
    read->is_time = flame_slice_is(unit, "nanoseconds");
    if (!read->is_time && !flame_slice_is(unit, "samples")) {
        return flame_document_refuse(
            document, "\"unit\" is neither \"nanoseconds\" nor \"samples\"");
    }
    if (json_is_object(quality)) {
        read_quality(quality, &document->quality);
        document->options.quality = &document->quality;
    }
    if (!flame_document_keep(document, &document->options.title,
                             text_of(root, "title")) ||
        !flame_document_keep(document, &document->options.subtitle,
                             text_of(root, "subtitle")) ||
        !flame_document_keep(document, &document->options.warning,
                             text_of(root, "warning"))) {
        return -ENOMEM;
    }
    return 0;
}

/* ---- functions and places ---------------------------------------------------- */

static int find_columns(struct read *read, const json_t *places)
{
    struct columns *columns = &read->columns;
    const struct {
        const char *key;
        const json_t **column;
        bool needed;
    } known[] = {
        {"parent", &columns->parent, true},
        {"function", &columns->function, true},
        {"self", &columns->self, true},
        {"before_total", &columns->before_total, false},
        {"samples", &columns->samples, false},
        {"running_ns", &columns->times[FLAME_FACT_RUNNING], false},
        {"gil_wait_ns", &columns->times[FLAME_FACT_GIL_WAIT], false},
        {"blocked_ns", &columns->times[FLAME_FACT_BLOCKED], false},
        {"no_cpu_ns", &columns->times[FLAME_FACT_RUNNABLE], false},
        {"cpu_ns", &columns->times[FLAME_FACT_CPU], false},
    };

    columns->count = json_array_size(json_object_get(places, "parent"));
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        *known[i].column = json_object_get(places, known[i].key);
        if (*known[i].column == NULL && !known[i].needed) {
            continue;
        }
        if (!json_is_array(*known[i].column) ||
            json_array_size(*known[i].column) != columns->count) {
            return flame_document_refuse(read->document,
                                         "the column \"%s\" of \"places\" is missing, "
                                         "or not as long as \"parent\"",
                                         known[i].key);
        }
    }
    if (columns->count == 0) {
        return flame_document_refuse(read->document, "\"places\" is empty");
    }
    if (columns->count >= FLAME_NONE) {
        return flame_document_refuse(read->document, "\"places\" are too many");
    }
    return 0;
}

static bool function_at(const struct read *read, size_t index,
                        struct flame_function *function)
{
    const json_t *from = json_array_get(read->functions, index);
    uint64_t line = 0;

    if (!json_is_object(from) || !json_is_string(json_object_get(from, "name"))) {
        return false;
    }
    (void)read_member(from, "line", &line);
    *function = (struct flame_function){
        .name = text_of(from, "name"),
        .file = text_of(from, "file"),
        .line = line <= UINT32_MAX ? (uint32_t)line : 0,
        .origin = flame_origin_from_name(text_of(from, "origin"))};
    return true;
}

static int add_functions(struct read *read)
{
    for (size_t i = 0; i < json_array_size(read->functions); i++) {
        struct flame_function function;
        if (!function_at(read, i, &function)) {
            return flame_document_refuse(read->document, "function %zu has no \"name\"",
                                         i);
        }
        read->function_of[i] = flame_builder_function(&read->builder, function);
        if (read->function_of[i] == FLAME_NONE) {
            return -ENOMEM;
        }
    }
    return 0;
}

/* Checks a place and gives it to the builder; its weights come later. */
static int add_place(struct read *read, size_t index)
{
    uint64_t parent;
    uint64_t function;

    if (!read_at(read->columns.parent, index, &parent) ||
        !read_at(read->columns.function, index, &function) ||
        function >= json_array_size(read->functions) ||
        (index == 0 ? parent != 0 : parent >= index)) {
        return flame_document_refuse(
            read->document,
            "place %zu has no function, or a parent that does not come before it",
            index);
    }
    read->place_of[index] =
        index == 0 ? 0
                   : flame_builder_child(&read->builder, read->place_of[parent],
                                         read->function_of[function]);
    return read->place_of[index] != FLAME_NONE ? 0 : -ENOMEM;
}

static int weigh_place(struct read *read, size_t index)
{
    const struct columns *columns = &read->columns;
    uint32_t place = read->place_of[index];
    uint64_t times[FLAME_TIMES] = {0};
    uint64_t self;
    uint64_t samples = 0;
    bool ok = read_at(columns->self, index, &self);

    ok = ok && (columns->samples == NULL || read_at(columns->samples, index, &samples));
    for (int fact = 0; ok && fact < FLAME_TIMES; fact++) {
        ok = columns->times[fact] == NULL ||
             read_at(columns->times[fact], index, &times[fact]);
    }
    if (!ok) {
        return flame_document_refuse(
            read->document, "a number of place %zu is none, or negative", index);
    }
    flame_builder_weigh(&read->builder, place, self);
    flame_builder_know(&read->builder, place, FLAME_FACT_SAMPLES, samples);
    if (!flame_builder_times(&read->builder, place, times)) {
        return flame_document_refuse(read->document,
                                     "the times add up to more than 64 bits hold");
    }
    if (read->before != NULL) {
        flame_builder_know(&read->builder, place, FLAME_FACT_BEFORE,
                           read->before[index]);
    }
    return 0;
}

/* What was is written with all below it: a place's own is what its children leave. */
static int find_before(struct read *read)
{
    size_t count = read->columns.count;
    uint64_t parent = 0;
    bool ok = true;

    if (read->columns.before_total == NULL) {
        return 0;
    }
    read->before = calloc(count, sizeof *read->before);
    if (read->before == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; ok && i < count; i++) {
        uint64_t total = 0;
        ok = read_at(read->columns.before_total, i, &total) &&
             (i == 0 || read_at(read->columns.parent, i, &parent)) &&
             (i == 0 || read->before[parent] >= total);
        if (ok) {
            read->before[i] = total;
            read->before[parent] -= i == 0 ? 0 : total;
        }
    }
    return ok ? 0
              : flame_document_refuse(read->document,
                                      "\"before_total\" of a place is less than its "
                                      "children's");
}

static int add_places(struct read *read)
{
    int error = 0;

    for (size_t i = 0; error == 0 && i < read->columns.count; i++) {
        error = add_place(read, i);
    }
    if (error == 0) {
        error = find_before(read);
    }
    for (size_t i = 0; error == 0 && i < read->columns.count; i++) {
        error = weigh_place(read, i);
    }
    return error;
}

/* place_of: by the builder's number, the tree's. */
static int add_stretches(struct read *read, const json_t *stretches,
                         struct flame_tree *tree, const uint32_t *place_of)
{
    const json_t *places = json_object_get(stretches, "place");
    const json_t *lengths = json_object_get(stretches, "microseconds");
    size_t count = json_array_size(places);

    if (count == 0) {
        return 0;
    }
    tree->stretches = malloc(count * sizeof *tree->stretches);
    if (tree->stretches == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t place;
        uint64_t length;
        if (!read_at(places, i, &place) || !read_at(lengths, i, &length) ||
            place >= read->columns.count || length > UINT32_MAX) {
            return flame_document_refuse(read->document,
                                         "stretch %zu has no place or no length", i);
        }
        tree->stretches[i] =
            (struct flame_stretch){place_of[read->place_of[place]], (uint32_t)length};
    }
    tree->stretch_count = (uint32_t)count;
    return 0;
}

/* ---- all of it --------------------------------------------------------------- */

static int build(struct read *read, const json_t *root)
{
    struct flame_document *document = read->document;
    uint32_t *place_of = NULL;
    struct flame_function first;
    uint64_t number = 0;
    int error = find_columns(read, json_object_get(root, "places"));

    if (error != 0) {
        return error;
    }
    (void)read_at(read->columns.function, 0, &number);
    if (!function_at(read, number, &first)) {
        return flame_document_refuse(document, "the root has no function");
    }
    read->function_of =
        malloc((json_array_size(read->functions) + 1) * sizeof(uint32_t));
    read->place_of = malloc(read->columns.count * sizeof(uint32_t));
    if (read->function_of == NULL || read->place_of == NULL ||
        !flame_builder_start(&read->builder, first, true)) {
        return -ENOMEM;
    }
    error = add_functions(read);
    if (error == 0) {
        error = add_places(read);
    }
    if (error != 0) {
        return error;
    }
    document->tree = flame_builder_finish(&read->builder, read->is_time, &place_of);
    if (document->tree == NULL) {
        return -ENOMEM;
    }
    document->tree->has_times = read->columns.times[FLAME_FACT_CPU] != NULL &&
                                read->columns.times[FLAME_FACT_RUNNING] != NULL;
    if (read->before != NULL && (!read_member(root, "all_before", &number) ||
                                 (document->tree->all_before = number) == 0)) {
        error = flame_document_refuse(document, "\"all_before\" is missing");
    }
    if (error == 0) {
        error = add_stretches(read, json_object_get(root, "stretches"), document->tree,
                              place_of);
    }
    free(place_of);
    return error;
}

int flame_read_json(const char *data, size_t length, struct flame_document *document)
{
    struct read read = {.document = document};
    json_error_t problem;
    uint64_t version;
    json_t *root = json_loadb(data, length, JSON_REJECT_DUPLICATES, &problem);

    if (root == NULL) {
        return flame_document_refuse(document, "line %d: %s", problem.line,
                                     problem.text);
    }
    read.functions = json_object_get(root, "functions");
    int error = -EINVAL;
    if (!flame_slice_is(text_of(root, "format"), "flameprof")) {
        flame_document_refuse(document,
                              "JSON, but no profile of ours: \"format\" is not "
                              "\"flameprof\"");
    } else if (!read_member(root, "version", &version) || version != 1) {
        flame_document_refuse(document, "\"version\" is not 1: written by a flameprof "
                                        "that is newer than this one");
    } else {
        error = read_surroundings(&read, root);
        if (error == 0) {
            error = build(&read, root);
        }
    }
    flame_builder_free(&read.builder);
    free(read.function_of);
    free(read.place_of);
    free(read.before);
    json_decref(root);
    return error;
}
