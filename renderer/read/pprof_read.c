/*
 * pprof's profile, without its gzip, into a tree. Only one of its values can be the
 * weight: the one it says itself, else, as pprof does, the last. Ours says all we know.
 */
#include "renderer/formats/pprof.h"
#include "renderer/read/reader.h"
#include "renderer/tree/builder.h"
#include "renderer/writer.h"

#include "pprof.pb-c.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A sample of more frames, of which a location may stand for any number, is ignored;
 * of names so much is kept. */
#define DEPTH_MAX ((size_t)100000)
#define NAME_MAX_LENGTH ((size_t)4096)

struct id_map {
    uint64_t id;
    size_t index;
};

struct read {
    const Flame__Pprof__Profile *profile;
    struct flame_document *document;
    struct flame_builder builder;
    uint32_t *functions;         /* by index in the profile, the builder's */
    struct id_map *function_ids; /* sorted */
    struct id_map *location_ids; /* sorted */
    size_t weight;               /* which value that is */
    size_t samples;              /* likewise; SIZE_MAX: there is none */
    size_t wall, cpu, gil, blocked, no_cpu, before;
    uint64_t scale; /* nanoseconds of one of the unit; 0: no time */
    bool has_times;
};

static struct flame_slice string_at(const struct read *read, int64_t index)
{
    return index >= 0 && (size_t)index < read->profile->n_string_table
               ? flame_slice_of(read->profile->string_table[index])
               : (struct flame_slice){"", 0};
}

/* ---- numbers of things ------------------------------------------------------- */

static int compare_ids(const void *left, const void *right)
{
    uint64_t a = ((const struct id_map *)left)->id;
    uint64_t b = ((const struct id_map *)right)->id;

    return (a > b) - (a < b);
}

/* SIZE_MAX: there is none. */
static size_t find_id(const struct id_map *map, size_t count, uint64_t id)
{
    struct id_map wanted = {.id = id};
    const struct id_map *found =
        count == 0 ? NULL : bsearch(&wanted, map, count, sizeof *map, compare_ids);

    return found != NULL ? found->index : SIZE_MAX;
}

static bool map_ids(struct read *read)
{
    const Flame__Pprof__Profile *profile = read->profile;

    read->function_ids = calloc(profile->n_function + 1, sizeof(struct id_map));
    read->location_ids = calloc(profile->n_location + 1, sizeof(struct id_map));
    if (read->function_ids == NULL || read->location_ids == NULL) {
        return false;
    }
    for (size_t i = 0; i < profile->n_function; i++) {
        read->function_ids[i] = (struct id_map){profile->function[i]->id, i};
    }
    for (size_t i = 0; i < profile->n_location; i++) {
        read->location_ids[i] = (struct id_map){profile->location[i]->id, i};
    }
    qsort(read->function_ids, profile->n_function, sizeof(struct id_map), compare_ids);
    qsort(read->location_ids, profile->n_location, sizeof(struct id_map), compare_ids);
    return true;
}

/* ---- what the values are ----------------------------------------------------- */

static size_t type_named(const struct read *read, const char *name)
{
    for (size_t i = 0; i < read->profile->n_sample_type; i++) {
        if (flame_slice_is(string_at(read, read->profile->sample_type[i]->type),
                           name)) {
            return i;
        }
    }
    return SIZE_MAX;
}

/* Nanoseconds in one of a unit's; 0: it is no unit of time. */
static uint64_t scale_of(struct flame_slice unit)
{
    static const struct {
        const char *name;
        uint64_t scale;
    } units[] = {{"nanoseconds", 1},        {"ns", 1},
                 {"microseconds", 1000},    {"us", 1000},
                 {"milliseconds", 1000000}, {"ms", 1000000},
                 {"seconds", 1000000000},   {"s", 1000000000}};

    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (flame_slice_is(unit, units[i].name)) {
            return units[i].scale;
        }
    }
    return 0;
}

static int choose_types(struct read *read)
{
    const Flame__Pprof__Profile *profile = read->profile;
    struct flame_slice wanted = string_at(read, profile->default_sample_type);

    if (profile->n_sample_type == 0) {
        return flame_document_refuse(read->document,
                                     "no pprof profile: it has no sample type");
    }
    read->weight = profile->n_sample_type - 1;
    for (size_t i = 0; i < profile->n_sample_type && wanted.length != 0; i++) {
        struct flame_slice type = string_at(read, profile->sample_type[i]->type);
        if (type.length == wanted.length &&
            memcmp(type.data, wanted.data, type.length) == 0) {
            read->weight = i;
        }
    }
    read->samples = type_named(read, "samples");
    read->wall = type_named(read, "wall");
    read->cpu = type_named(read, "cpu");
    read->gil = type_named(read, "gil");
    read->blocked = type_named(read, "blocked");
    read->no_cpu = type_named(read, "no_cpu");
    read->before =
        type_named(read, "after") != SIZE_MAX ? type_named(read, "before") : SIZE_MAX;
    read->has_times = read->wall != SIZE_MAX && read->cpu != SIZE_MAX &&
                      read->gil != SIZE_MAX && read->blocked != SIZE_MAX &&
                      read->no_cpu != SIZE_MAX;
    const Flame__Pprof__ValueType *type = profile->sample_type[read->weight];
    read->scale = scale_of(string_at(read, type->unit));
    (void)flame_clock_from_name(string_at(read, type->type),
                                &read->document->options.clock);
    return 0;
}

static bool is_ours(const struct read *read)
{
    const Flame__Pprof__Profile *profile = read->profile;

    return profile->n_comment == FLAME_PPROF_TEXTS + 1 &&
           flame_slice_begins(string_at(read, profile->comment[FLAME_PPROF_TEXTS]),
                              FLAME_PPROF_PRODUCER);
}

/* ---- functions --------------------------------------------------------------- */

/* "[library]", of ours. */
static enum flame_origin origin_of(const struct read *read,
                                   const Flame__Pprof__Location *location)
{
    const Flame__Pprof__Profile *profile = read->profile;

    for (size_t i = 0; i < profile->n_mapping && i < FLAME_ORIGIN_C; i++) {
        struct flame_slice name = string_at(read, profile->mapping[i]->filename);
        if (profile->mapping[i]->id == location->mapping_id && name.length > 2) {
            return flame_origin_from_name(
                (struct flame_slice){name.data + 1, name.length - 2});
        }
    }
    return FLAME_ORIGIN_UNKNOWN;
}

/* By function in the profile. NULL: out of memory. */
static enum flame_origin *find_origins(const struct read *read)
{
    const Flame__Pprof__Profile *profile = read->profile;
    enum flame_origin *origins = calloc(profile->n_function + 1, sizeof *origins);

    for (size_t i = 0; origins != NULL && is_ours(read) && i < profile->n_location;
         i++) {
        const Flame__Pprof__Location *location = profile->location[i];
        size_t function = location->n_line == 0
                              ? SIZE_MAX
                              : find_id(read->function_ids, profile->n_function,
                                        location->line[0]->function_id);
        if (function != SIZE_MAX) {
            origins[function] = origin_of(read, location);
        }
    }
    return origins;
}

/* A thousand functions may share a name of a megabyte, and each has a copy. */
static struct flame_slice name_at(const struct read *read, int64_t index)
{
    struct flame_slice name = string_at(read, index);

    return (struct flame_slice){
        name.data, name.length < NAME_MAX_LENGTH ? name.length : NAME_MAX_LENGTH};
}

static bool add_functions(struct read *read)
{
    const Flame__Pprof__Profile *profile = read->profile;

    enum flame_origin *origins = find_origins(read);
    read->functions = malloc((profile->n_function + 1) * sizeof(uint32_t));
    bool ok = origins != NULL && read->functions != NULL;

    for (size_t i = 0; ok && i < profile->n_function; i++) {
        const Flame__Pprof__Function *from = profile->function[i];
        struct flame_function function = {.name = name_at(read, from->name),
                                          .file = name_at(read, from->filename),
                                          .origin = origins[i]};
        if (function.name.length == 0) {
            function.name = name_at(read, from->system_name);
        }
        if (from->start_line > 0 && from->start_line <= UINT32_MAX) {
            function.line = (uint32_t)from->start_line;
        }
        read->functions[i] = flame_builder_function(&read->builder, function);
        ok = read->functions[i] != FLAME_NONE;
    }
    free(origins);
    return ok;
}

/* A place nobody named: its address. FLAME_NONE: out of memory. */
static uint32_t unnamed_function(struct read *read, uint64_t address)
{
    char name[32];

    snprintf(name, sizeof name, "0x%llx", (unsigned long long)address);
    return flame_builder_function(&read->builder, flame_function_named(name));
}

/* The children of `place` that a location stands for, outermost first. */
static uint32_t add_location(struct read *read, uint32_t place,
                             const Flame__Pprof__Location *location)
{
    if (location->n_line == 0) {
        uint32_t function = unnamed_function(read, location->address);
        return function == FLAME_NONE
                   ? FLAME_NONE
                   : flame_builder_child(&read->builder, place, function);
    }
    for (size_t i = location->n_line; i-- > 0 && place != FLAME_NONE;) {
        size_t function = find_id(read->function_ids, read->profile->n_function,
                                  location->line[i]->function_id);
        if (function != SIZE_MAX) {
            place =
                flame_builder_child(&read->builder, place, read->functions[function]);
        }
    }
    return place;
}

/* ---- samples ----------------------------------------------------------------- */

static uint64_t value_at(const Flame__Pprof__Sample *sample, size_t type)
{
    return type < sample->n_value && sample->value[type] > 0
               ? (uint64_t)sample->value[type]
               : 0;
}

static bool is_sound(const struct read *read, const Flame__Pprof__Sample *sample,
                     uint64_t *weight)
{
    if (sample->n_value != read->profile->n_sample_type ||
        sample->value[read->weight] < 0 ||
        __builtin_mul_overflow((uint64_t)sample->value[read->weight],
                               read->scale != 0 ? read->scale : 1, weight)) {
        return false;
    }
    size_t frames = 0;
    for (size_t i = 0; i < sample->n_location_id && frames <= DEPTH_MAX; i++) {
        size_t location = find_id(read->location_ids, read->profile->n_location,
                                  sample->location_id[i]);
        if (location == SIZE_MAX) {
            return false;
        }
        size_t lines = read->profile->location[location]->n_line;
        frames += lines != 0 ? lines : 1;
    }
    return frames <= DEPTH_MAX && *weight <= UINT64_MAX - read->builder.weight;
}

/* false: more than can be added up */
static bool weigh(struct read *read, uint32_t place, const Flame__Pprof__Sample *sample,
                  uint64_t weight)
{
    struct flame_builder *builder = &read->builder;

    if (read->has_times) {
        uint64_t times[FLAME_TIMES] = {
            [FLAME_FACT_GIL_WAIT] = value_at(sample, read->gil),
            [FLAME_FACT_BLOCKED] = value_at(sample, read->blocked),
            [FLAME_FACT_RUNNABLE] = value_at(sample, read->no_cpu),
            [FLAME_FACT_CPU] = value_at(sample, read->cpu)};
        uint64_t off = times[FLAME_FACT_GIL_WAIT] + times[FLAME_FACT_BLOCKED] +
                       times[FLAME_FACT_RUNNABLE];
        uint64_t wall = value_at(sample, read->wall);
        times[FLAME_FACT_RUNNING] = wall > off ? wall - off : 0;
        if (!flame_builder_times(builder, place, times)) {
            return false;
        }
    }
    flame_builder_weigh(builder, place, weight);
    flame_builder_know(builder, place, FLAME_FACT_SAMPLES,
                       value_at(sample, read->samples));
    if (read->before != SIZE_MAX) {
        flame_builder_know(builder, place, FLAME_FACT_BEFORE,
                           value_at(sample, read->before));
    }
    return true;
}

/* false: out of memory */
static bool add_sample(struct read *read, const Flame__Pprof__Sample *sample,
                       size_t number)
{
    uint32_t place = 0;
    uint64_t weight;

    if (!is_sound(read, sample, &weight)) {
        flame_ignore(&read->document->ignored, number);
        return true;
    }
    for (size_t i = sample->n_location_id; i-- > 0 && place != FLAME_NONE;) {
        size_t location = find_id(read->location_ids, read->profile->n_location,
                                  sample->location_id[i]);
        place = add_location(read, place, read->profile->location[location]);
    }
    if (place == FLAME_NONE) {
        return false;
    }
    if (!weigh(read, place, sample, weight)) {
        flame_ignore(&read->document->ignored, number);
    }
    return true;
}

/* ---- all of it --------------------------------------------------------------- */

/* Other people's comments are no title of a picture. */
static bool keep_comments(struct read *read)
{
    struct flame_picture_options *options = &read->document->options;
    struct flame_slice *texts[] = {&options->title, &options->subtitle,
                                   &options->warning};

    if (!is_ours(read)) {
        return true;
    }
    for (size_t i = 0; i < FLAME_PPROF_TEXTS; i++) {
        if (!flame_document_keep(read->document, texts[i],
                                 string_at(read, read->profile->comment[i]))) {
            return false;
        }
    }
    return true;
}

static bool build(struct read *read)
{
    bool ok =
        keep_comments(read) && map_ids(read) &&
        flame_builder_start(&read->builder, flame_function_named("[all]"), true) &&
        add_functions(read);

    for (size_t i = 0; ok && i < read->profile->n_sample; i++) {
        ok = add_sample(read, read->profile->sample[i], i + 1);
    }
    if (!ok) {
        return false;
    }
    struct flame_tree *tree =
        flame_builder_finish(&read->builder, read->scale != 0, NULL);
    read->document->tree = tree;
    if (tree != NULL) {
        tree->has_times = read->has_times;
        if (read->before != SIZE_MAX) {
            uint64_t before = flame_place_total(tree, 0, FLAME_FACT_BEFORE);
            tree->all_before = before != 0 ? before : 1;
        }
    }
    return tree != NULL;
}

int flame_read_pprof(const char *data, size_t length, struct flame_document *document)
{
    Flame__Pprof__Profile *profile =
        flame__pprof__profile__unpack(NULL, length, (const uint8_t *)data);
    struct read read = {.profile = profile, .document = document};

    if (profile == NULL) {
        return flame_document_refuse(document, "no pprof profile, or a broken one");
    }
    document->ignored.what = "sample";
    int error = choose_types(&read);
    if (error == 0 && !build(&read)) {
        error = -ENOMEM;
    }
    flame_builder_free(&read.builder);
    free(read.functions);
    free(read.function_ids);
    free(read.location_ids);
    flame__pprof__profile__free_unpacked(profile, NULL);
    return error;
}
