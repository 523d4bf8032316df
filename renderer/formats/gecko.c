/*
 * The Firefox Profiler's processed profile, in its version 60, which later ones read:
 * https://github.com/firefox-devtools/profiler/blob/main/src/types/profile.ts
 *
 * A frame is a function and a stack is a place, by the same numbers. The request is one
 * thread, in the order of time where that is known, else each place once; what ran
 * beside it is a thread each. Weights are plain numbers however large they are: the
 * profiler adds them up as doubles, and would append a string.
 */
#include "renderer/formats/json.h"
#include "renderer/picture/svg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_MS 1000000u
#define NS_PER_US 1000u

struct gecko {
    const struct flame_tree *tree;
    const struct flame_picture_options *options;
    struct flame_writer *writer;
    uint32_t *parents;
};

/* ---- columns ----------------------------------------------------------------- */

typedef void write_cell(const struct gecko *gecko, uint32_t index);

/* What stands before a cell. */
static void write_comma(struct flame_writer *writer, uint32_t index)
{
    if (index > 0) {
        flame_write_text(writer, index % 32 == 0 ? ",\n" : ",");
    }
}

static void write_column(const struct gecko *gecko, const char *key, uint32_t count,
                         write_cell *cell)
{
    struct flame_writer *writer = gecko->writer;

    flame_json_key(writer, key);
    flame_write_text(writer, "[");
    for (uint32_t i = 0; i < count && writer->error == 0; i++) {
        write_comma(writer, i);
        cell(gecko, i);
    }
    flame_write_text(writer, "]");
}

/* Where every cell says the same. */
static void write_same(const struct gecko *gecko, const char *key, uint32_t count,
                       const char *cell)
{
    struct flame_writer *writer = gecko->writer;

    flame_json_key(writer, key);
    flame_write_text(writer, "[");
    for (uint32_t i = 0; i < count && writer->error == 0; i++) {
        write_comma(writer, i);
        flame_write_text(writer, cell);
    }
    flame_write_text(writer, "]");
}

static void write_index(const struct gecko *gecko, uint32_t index)
{
    flame_write_unsigned(gecko->writer, index);
}

static void write_line(const struct gecko *gecko, uint32_t function)
{
    uint32_t line = gecko->tree->functions[function].line;

    if (line != 0) {
        flame_write_unsigned(gecko->writer, line);
    } else {
        flame_write_text(gecko->writer, "null");
    }
}

static void write_length(const struct gecko *gecko, uint32_t length)
{
    flame_json_key(gecko->writer, "length");
    flame_write_unsigned(gecko->writer, length);
}

static void open_table(const struct gecko *gecko, const char *key)
{
    flame_json_key(gecko->writer, key);
    flame_write_text(gecko->writer, "{");
}

static void close_table(const struct gecko *gecko, uint32_t length)
{
    write_length(gecko, length);
    flame_write_text(gecko->writer, "}");
}

/* A table of what we do not have. */
static void write_no_rows(const struct gecko *gecko, const char *key,
                          const char *const columns[])
{
    open_table(gecko, key);
    for (size_t i = 0; columns[i] != NULL; i++) {
        write_column(gecko, columns[i], 0, NULL);
    }
    close_table(gecko, 0);
}

/* ---- what it is of ----------------------------------------------------------- */

/* By what flame_svg_origin() calls them; one has to be grey. */
static const struct {
    const char *name;
    const char *colour;
} CATEGORIES[] = {{"no function", "grey"},
                  {"application", "orange"},
                  {"library", "blue"},
                  {"standard library", "yellow"},
                  {"C", "purple"}};

static void write_categories(struct flame_writer *writer)
{
    flame_json_key(writer, "categories");
    flame_write_text(writer, "[");
    for (size_t i = 0; i < sizeof CATEGORIES / sizeof *CATEGORIES; i++) {
        flame_write_text(writer, i == 0 ? "{" : ",{");
        flame_json_key(writer, "name");
        flame_json_string(writer, flame_slice_of(CATEGORIES[i].name));
        flame_json_key(writer, "color");
        flame_json_string(writer, flame_slice_of(CATEGORIES[i].colour));
        flame_json_key(writer, "subcategories");
        flame_write_text(writer, "[\"Other\"]}");
    }
    flame_write_text(writer, "]");
}

static void write_category(const struct gecko *gecko, uint32_t function)
{
    const char *origin = flame_svg_origin(
        flame_svg_colour(&gecko->tree->functions[function], FLAME_COLOURS_ORIGIN));
    size_t category = 0;

    while (strcmp(CATEGORIES[category].name, origin) != 0) {
        category++;
    }
    flame_write_unsigned(gecko->writer, category);
}

static void write_remark(struct flame_writer *writer, const char *label,
                         struct flame_slice text)
{
    if (text.length != 0) {
        flame_write_text(writer, writer->last == '[' ? "{" : ",{");
        flame_json_key(writer, "label");
        flame_json_string(writer, flame_slice_of(label));
        flame_json_key(writer, "format");
        flame_write_text(writer, "\"string\"");
        flame_json_key(writer, "value");
        flame_json_string(writer, text);
        flame_write_text(writer, "}");
    }
}

/* Milliseconds, as all times of this format. */
static void write_milliseconds(struct flame_writer *writer, uint64_t nanoseconds)
{
    char fraction[] = ".000000";
    size_t length = 0;

    flame_write_unsigned(writer, nanoseconds / NS_PER_MS);
    for (size_t at = strlen(fraction) - 1, rest = nanoseconds % NS_PER_MS; rest != 0;
         at--, rest /= 10) {
        fraction[at] = (char)('0' + rest % 10);
        length = length == 0 && rest % 10 != 0 ? at + 1 : length;
    }
    flame_write_bytes(writer, fraction, length);
}

static void write_meta(const struct gecko *gecko)
{
    struct flame_writer *writer = gecko->writer;
    const struct flame_picture_options *options = gecko->options;
    uint64_t interval = options->quality != NULL ? options->quality->interval_ns : 0;

    flame_json_key(writer, "meta");
    flame_write_text(
        writer, "{\"product\":\"flameprof\",\"importedFrom\":\"flameprof " FLAME_VERSION
                "\",\"version\":33,\"preprocessedProfileVersion\":60,"
                "\"startTime\":0,\"processType\":0,\"stackwalk\":1,"
                "\"symbolicated\":true,\"symbolicationNotSupported\":true,"
                "\"usesOnlyOneStackType\":true,\"sourceCodeIsNotOnSearchfox\":true,"
                "\"keepProfileThreadOrder\":true,\"initialSelectedThreads\":[0],"
                "\"markerSchema\":[]");
    flame_json_key(writer, "interval");
    write_milliseconds(writer, interval != 0 ? interval : NS_PER_MS);
    write_categories(writer);
    flame_json_key(writer, "extra");
    flame_write_text(writer, "[{\"label\":\"flameprof\",\"entries\":[");
    write_remark(writer, "Subtitle", options->subtitle);
    write_remark(writer, "Warning", options->warning);
    flame_write_text(writer, "]}]}");
}

/* ---- functions and places ---------------------------------------------------- */

/* Strings are the names, then the files. */
static void write_string(const struct gecko *gecko, uint32_t index)
{
    const struct flame_tree *tree = gecko->tree;
    uint32_t count = tree->function_count;

    flame_json_string(gecko->writer, index < count
                                         ? tree->functions[index].name
                                         : tree->functions[index - count].file);
}

static void write_file(const struct gecko *gecko, uint32_t function)
{
    flame_write_unsigned(gecko->writer, gecko->tree->function_count + function);
}

/* Each function has a source of its own, by its own number. */
static void write_source(const struct gecko *gecko, uint32_t function)
{
    if (gecko->tree->functions[function].file.length != 0) {
        flame_write_unsigned(gecko->writer, function);
    } else {
        flame_write_text(gecko->writer, "null");
    }
}

static void write_functions(const struct gecko *gecko)
{
    uint32_t count = gecko->tree->function_count;

    open_table(gecko, "funcTable");
    write_column(gecko, "name", count, write_index);
    write_same(gecko, "isJS", count, "false");
    write_same(gecko, "relevantForJS", count, "false");
    write_same(gecko, "resource", count, "-1");
    write_column(gecko, "source", count, write_source);
    write_column(gecko, "lineNumber", count, write_line);
    write_same(gecko, "columnNumber", count, "null");
    close_table(gecko, count);

    open_table(gecko, "frameTable");
    write_same(gecko, "address", count, "-1");
    write_same(gecko, "inlineDepth", count, "0");
    write_column(gecko, "category", count, write_category);
    write_same(gecko, "subcategory", count, "0");
    write_column(gecko, "func", count, write_index);
    write_same(gecko, "nativeSymbol", count, "null");
    write_same(gecko, "innerWindowID", count, "null");
    write_column(gecko, "line", count, write_line);
    write_same(gecko, "column", count, "null");
    close_table(gecko, count);
}

static void write_function_of(const struct gecko *gecko, uint32_t place)
{
    flame_write_unsigned(gecko->writer, gecko->tree->places[place].function);
}

static void write_parent(const struct gecko *gecko, uint32_t place)
{
    if (place != 0) {
        flame_write_unsigned(gecko->writer, gecko->parents[place]);
    } else {
        flame_write_text(gecko->writer, "null");
    }
}

static void write_shared(const struct gecko *gecko)
{
    static const char *const resources[] = {"lib", "name", "host", "type", NULL};
    static const char *const symbols[] = {"libIndex", "address", "name", "functionSize",
                                          NULL};
    uint32_t functions = gecko->tree->function_count;
    uint32_t places = gecko->tree->place_count;

    open_table(gecko, "shared");
    write_column(gecko, "stringArray", 2 * functions, write_string);
    open_table(gecko, "sources");
    write_same(gecko, "id", functions, "null");
    write_column(gecko, "filename", functions, write_file);
    close_table(gecko, functions);
    write_functions(gecko);
    open_table(gecko, "stackTable");
    write_column(gecko, "frame", places, write_function_of);
    write_column(gecko, "prefix", places, write_parent);
    close_table(gecko, places);
    write_no_rows(gecko, "resourceTable", resources);
    write_no_rows(gecko, "nativeSymbols", symbols);
    flame_write_text(gecko->writer, "}");
}

/* ---- threads ----------------------------------------------------------------- */

struct sample {
    uint32_t next; /* place or stretch to look at */
    uint32_t place;
    uint64_t weight;
    uint64_t time; /* the sum of the weights before */
};

static bool next_stretch(const struct gecko *gecko, struct sample *sample)
{
    if (sample->next == gecko->tree->stretch_count) {
        return false;
    }
    const struct flame_stretch *stretch = &gecko->tree->stretches[sample->next++];
    sample->place = stretch->node;
    sample->weight = (uint64_t)stretch->microseconds * NS_PER_US;
    return true;
}

static bool next_place(const struct gecko *gecko, const struct flame_thread *thread,
                       struct sample *sample)
{
    if (!flame_thread_next_place(thread, gecko->tree, &sample->next, &sample->place)) {
        return false;
    }
    sample->weight = gecko->tree->places[sample->place].self;
    return true;
}

/* From {.next = thread->start} on. */
static bool next_sample(const struct gecko *gecko, const struct flame_thread *thread,
                        struct sample *sample)
{
    sample->time += sample->weight;
    sample->weight = 0;
    return flame_thread_has_order(thread, gecko->tree, gecko->options->clock)
               ? next_stretch(gecko, sample)
               : next_place(gecko, thread, sample);
}

/* A count that is no time is shown as if each took a millisecond. */
static void write_value(const struct gecko *gecko, uint64_t value)
{
    if (gecko->tree->is_time) {
        write_milliseconds(gecko->writer, value);
    } else {
        flame_write_unsigned(gecko->writer, value);
    }
}

enum column { STACK, TIME, WEIGHT, COLUMNS };

static void write_field(const struct gecko *gecko, const struct sample *sample,
                        enum column column)
{
    switch (column) {
    case STACK:
        flame_write_unsigned(gecko->writer, sample->place);
        break;
    case TIME:
        write_value(gecko, sample->time);
        break;
    default:
        write_value(gecko, sample->weight);
    }
    flame_write_text(gecko->writer, sample->next % 32 == 0 ? ",\n" : ",");
}

/* A sample lasts until the next one: the last, nowhere, is the end. */
static void write_samples(const struct gecko *gecko, const struct flame_thread *thread)
{
    static const char *const keys[COLUMNS] = {"stack", "time", "weight"};
    struct flame_writer *writer = gecko->writer;
    uint32_t count = 0;

    open_table(gecko, "samples");
    for (enum column column = 0; column < COLUMNS; column++) {
        struct sample sample = {.next = thread->start};
        flame_json_key(writer, keys[column]);
        flame_write_text(writer, "[");
        for (count = 0; next_sample(gecko, thread, &sample) && writer->error == 0;
             count++) {
            write_field(gecko, &sample, column);
        }
        if (column == STACK) {
            flame_write_text(writer, "null");
        } else {
            write_value(gecko, column == TIME ? sample.time : 0);
        }
        flame_write_text(writer, "]");
    }
    flame_json_key(writer, "weightType");
    flame_write_text(writer, gecko->tree->is_time ? "\"tracing-ms\"" : "\"samples\"");
    close_table(gecko, count + 1);
}

static void write_thread(const struct gecko *gecko, const struct flame_thread *thread)
{
    static const char *const markers[] = {"data",  "name",     "startTime", "endTime",
                                          "phase", "category", NULL};
    struct flame_writer *writer = gecko->writer;
    const struct flame_thread request = flame_tree_request(gecko->tree);

    flame_write_text(writer, thread->number == 0 ? "{" : ",{");
    flame_write_text(writer,
                     "\"processType\":\"default\",\"processStartupTime\":0,"
                     "\"processShutdownTime\":null,\"registerTime\":0,"
                     "\"unregisterTime\":null,\"pausedRanges\":[],\"pid\":\"0\"");
    flame_json_key(writer, "processName");
    flame_json_string(writer, flame_thread_name(&request, gecko->tree, gecko->options));
    flame_json_key(writer, "name");
    flame_json_string(writer, flame_thread_name(thread, gecko->tree, gecko->options));
    flame_json_key(writer, "isMainThread");
    flame_write_text(writer, thread->number == 0 ? "true" : "false");
    flame_json_key(writer, "tid");
    flame_write_unsigned(writer, thread->number);
    write_no_rows(gecko, "markers", markers);
    write_samples(gecko, thread);
    flame_write_text(writer, "}");
}

static void write_threads(const struct gecko *gecko)
{
    struct flame_thread thread = flame_tree_request(gecko->tree);

    flame_json_key(gecko->writer, "threads");
    flame_write_text(gecko->writer, "[");
    do {
        write_thread(gecko, &thread);
    } while (flame_thread_next(&thread, gecko->tree));
    flame_write_text(gecko->writer, "]");
}

int flame_render_gecko(const struct flame_tree *tree,
                       const struct flame_picture_options *options,
                       struct flame_writer *writer)
{
    struct gecko gecko = {tree, options, writer, flame_tree_parents(tree)};

    if (gecko.parents == NULL) {
        return -ENOMEM;
    }
    flame_write_text(writer, "{");
    write_meta(&gecko);
    flame_json_key(writer, "libs");
    flame_write_text(writer, "[]");
    write_shared(&gecko);
    write_threads(&gecko);
    flame_write_text(writer, "}\n");
    free(gecko.parents);
    return writer->error;
}
