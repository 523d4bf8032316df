/*
 * pprof's profile (https://github.com/google/pprof/blob/main/proto/profile.proto):
 * protobuf, gzipped. It goes out in pieces: messages of a kind one after the other are
 * one message, so that no more than a piece is in memory.
 */
#include "renderer/formats/pprof.h"
#include "renderer/tree/tree.h"
#include "renderer/writer.h"

#include "pprof.pb-c.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* The strings that are always there, by their numbers. */
enum string {
    NO_STRING,
    COUNT,
    NANOSECONDS,
    SAMPLES,
    WALL,
    CPU,
    OFFCPU,
    GIL,
    BLOCKED,
    NO_CPU,
    AFTER,
    BEFORE,
    THREAD,
    GREENLET,
    PHASE,
    PRODUCER,
    APPLICATION, /* in the order of enum flame_origin */
    LIBRARY,
    STANDARD_LIBRARY,
    C_CODE,
    FIXED_STRINGS
};

static const char *const STRINGS[FIXED_STRINGS] = {
    [NO_STRING] = "",
    [COUNT] = "count",
    [NANOSECONDS] = "nanoseconds",
    [SAMPLES] = "samples",
    [WALL] = "wall",
    [CPU] = "cpu",
    [OFFCPU] = "offcpu",
    [GIL] = "gil",
    [BLOCKED] = "blocked",
    [NO_CPU] = "no_cpu",
    [AFTER] = "after",
    [BEFORE] = "before",
    [THREAD] = "thread",
    [GREENLET] = "greenlet",
    [PHASE] = "phase",
    [PRODUCER] = FLAME_PPROF_PRODUCER " " FLAME_VERSION,
    [APPLICATION] = "[application]",
    [LIBRARY] = "[library]",
    [STANDARD_LIBRARY] = "[standard library]",
    [C_CODE] = "[C]",
};

static const enum string CLOCKS[] = {[FLAME_CLOCK_WALL] = WALL,
                                     [FLAME_CLOCK_CPU] = CPU,
                                     [FLAME_CLOCK_OFFCPU] = OFFCPU,
                                     [FLAME_CLOCK_GIL] = GIL};

enum { TYPES_MAX = 8, TEXTS = FLAME_PPROF_TEXTS };

struct pprof {
    const struct flame_tree *tree;
    const struct flame_picture_options *options;
    struct flame_writer *writer;
    uint32_t *parents;
    uint64_t *locations; /* room for the deepest stack */
    z_stream zip;
    enum string types[TYPES_MAX];
    size_t type_count;
};

/* ---- out, gzipped ------------------------------------------------------------ */

static void deflate_bytes(struct pprof *pprof, const uint8_t *data, size_t length,
                          int flush)
{
    uint8_t out[1 << 14];

    /* Pieces are small: they fit zlib's 32 bits. */
    pprof->zip.next_in = (uint8_t *)(uintptr_t)data;
    pprof->zip.avail_in = (uInt)length;
    do {
        pprof->zip.next_out = out;
        pprof->zip.avail_out = sizeof out;
        (void)deflate(&pprof->zip, flush);
        flame_write_bytes(pprof->writer, (const char *)out,
                          sizeof out - pprof->zip.avail_out);
    } while (pprof->zip.avail_out == 0 && pprof->writer->error == 0);
}

struct piece {
    ProtobufCBuffer buffer;
    struct pprof *pprof;
};

static void append(ProtobufCBuffer *buffer, size_t length, const uint8_t *data)
{
    struct piece *piece = (struct piece *)buffer;

    deflate_bytes(piece->pprof, data, length, Z_NO_FLUSH);
}

static void put(struct pprof *pprof, const Flame__Pprof__Profile *profile)
{
    struct piece piece = {.buffer = {.append = append}, .pprof = pprof};

    if (pprof->writer->error == 0) {
        protobuf_c_message_pack_to_buffer(&profile->base, &piece.buffer);
    }
}

/* ---- strings ----------------------------------------------------------------- */

static int64_t name_string(uint32_t function)
{
    return FIXED_STRINGS + 3 * (int64_t)function;
}

static int64_t file_string(uint32_t function)
{
    return name_string(function) + 1;
}

/* What a label says of a function that stands for a thread, a greenlet or a phase. */
static int64_t label_string(uint32_t function)
{
    return name_string(function) + 2;
}

static int64_t comment_string(const struct flame_tree *tree, uint32_t index)
{
    return name_string(tree->function_count) + index;
}

static void put_string(struct pprof *pprof, struct flame_slice text)
{
    struct flame_writer shown = {0};
    Flame__Pprof__Profile profile = FLAME__PPROF__PROFILE__INIT;

    flame_write_escaped(&shown, text, FLAME_ESCAPE_NONE);
    flame_write_bytes(&shown, "", 1);
    if (shown.error != 0) {
        pprof->writer->error = shown.error;
    } else {
        profile.n_string_table = 1;
        profile.string_table = &shown.data;
        put(pprof, &profile);
    }
    flame_writer_free(&shown);
}

/* "[thread pool-1]": the key THREAD, and "pool-1". */
static enum string split_mark(struct flame_slice mark, struct flame_slice *value)
{
    static const struct {
        const char *start;
        enum string key;
    } known[] = {{"[thread ", THREAD}, {"[greenlet ", GREENLET}, {"[", PHASE}};
    size_t i = 0;

    while (mark.length <= strlen(known[i].start) ||
           !flame_slice_begins(mark, known[i].start)) {
        i++;
    }
    size_t start = strlen(known[i].start);
    *value = (struct flame_slice){mark.data + start, mark.length - start - 1};
    return known[i].key;
}

static void put_strings(struct pprof *pprof)
{
    const struct flame_tree *tree = pprof->tree;
    const struct flame_picture_options *options = pprof->options;

    for (int i = 0; i < FIXED_STRINGS; i++) {
        put_string(pprof, flame_slice_of(STRINGS[i]));
    }
    for (uint32_t i = 0; i < tree->function_count && pprof->writer->error == 0; i++) {
        const struct flame_function *function = &tree->functions[i];
        struct flame_slice label = {"", 0};
        if (flame_function_is_synthetic(function)) {
            split_mark(function->name, &label);
        }
        put_string(pprof, function->name);
        put_string(pprof, function->file);
        put_string(pprof, label);
    }
    put_string(pprof, options->title);
    put_string(pprof, options->subtitle);
    put_string(pprof, options->warning);
}

/* ---- what the values are ----------------------------------------------------- */

static void choose_types(struct pprof *pprof)
{
    static const enum string times[] = {WALL, CPU, OFFCPU, GIL, BLOCKED, NO_CPU};
    const struct flame_tree *tree = pprof->tree;

    if (tree->all_before != 0) {
        pprof->types[pprof->type_count++] = AFTER;
        pprof->types[pprof->type_count++] = BEFORE;
        return;
    }
    if (tree->has_samples) {
        pprof->types[pprof->type_count++] = SAMPLES;
    }
    if (tree->has_times) {
        memcpy(pprof->types + pprof->type_count, times, sizeof times);
        pprof->type_count += sizeof times / sizeof *times;
    } else if (tree->is_time) {
        pprof->types[pprof->type_count++] = CLOCKS[pprof->options->clock];
    }
}

static uint64_t value_of(const struct flame_tree *tree, uint32_t place,
                         enum string type)
{
    uint64_t off = flame_place_own(tree, place, FLAME_FACT_GIL_WAIT) +
                   flame_place_own(tree, place, FLAME_FACT_BLOCKED) +
                   flame_place_own(tree, place, FLAME_FACT_RUNNABLE);

    if (type == SAMPLES) {
        return flame_place_self_samples(tree, place);
    }
    if (type == BEFORE) {
        return flame_place_own(tree, place, FLAME_FACT_BEFORE);
    }
    if (!tree->has_times) {
        return tree->places[place].self;
    }
    switch (type) {
    case WALL:
        return flame_place_own(tree, place, FLAME_FACT_RUNNING) + off;
    case CPU:
        return flame_place_own(tree, place, FLAME_FACT_CPU);
    case OFFCPU:
        return off;
    case GIL:
        return flame_place_own(tree, place, FLAME_FACT_GIL_WAIT);
    case BLOCKED:
        return flame_place_own(tree, place, FLAME_FACT_BLOCKED);
    default:
        return flame_place_own(tree, place, FLAME_FACT_RUNNABLE);
    }
}

static void put_head(struct pprof *pprof)
{
    const struct flame_picture_options *options = pprof->options;
    const struct flame_tree *tree = pprof->tree;
    Flame__Pprof__ValueType types[TYPES_MAX];
    Flame__Pprof__ValueType *pointers[TYPES_MAX];
    Flame__Pprof__ValueType period = FLAME__PPROF__VALUE_TYPE__INIT;
    Flame__Pprof__Profile profile = FLAME__PPROF__PROFILE__INIT;
    int64_t comments[TEXTS + 1];
    struct flame_slice texts[TEXTS] = {options->title, options->subtitle,
                                       options->warning};

    for (size_t i = 0; i < pprof->type_count; i++) {
        bool is_time = tree->is_time && pprof->types[i] != SAMPLES;
        types[i] = (Flame__Pprof__ValueType)FLAME__PPROF__VALUE_TYPE__INIT;
        types[i].type = pprof->types[i];
        types[i].unit = is_time ? NANOSECONDS : COUNT;
        pointers[i] = &types[i];
    }
    profile.n_sample_type = pprof->type_count;
    profile.sample_type = pointers;
    profile.default_sample_type =
        tree->has_times
            ? CLOCKS[options->clock]
            : pprof->types[tree->all_before != 0 ? 0 : pprof->type_count - 1];
    /* By their place, so that they can be told apart when they are read. */
    for (uint32_t i = 0; i < TEXTS; i++) {
        comments[i] = texts[i].length != 0 ? comment_string(tree, i) : NO_STRING;
    }
    comments[TEXTS] = PRODUCER;
    profile.n_comment = TEXTS + 1;
    profile.comment = comments;
    profile.time_nanos = options->time_ns;
    if (options->quality != NULL) {
        period.type = WALL;
        period.unit = NANOSECONDS;
        profile.period_type = &period;
        profile.period = (int64_t)options->quality->interval_ns;
        profile.duration_nanos = (int64_t)options->quality->duration_ns;
    }
    put(pprof, &profile);
}

/* ---- functions and samples --------------------------------------------------- */

/*
 * Where code comes from, which a shortened path does not say any more, is a mapping.
 * Names in brackets are those of no file that pprof would look for.
 */
static void put_mappings(struct pprof *pprof)
{
    for (uint64_t origin = FLAME_ORIGIN_APPLICATION; origin <= FLAME_ORIGIN_C;
         origin++) {
        Flame__Pprof__Mapping mapping = FLAME__PPROF__MAPPING__INIT;
        Flame__Pprof__Profile profile = FLAME__PPROF__PROFILE__INIT;
        Flame__Pprof__Mapping *mappings = &mapping;

        mapping.id = origin;
        mapping.filename = APPLICATION + (int64_t)origin - FLAME_ORIGIN_APPLICATION;
        mapping.has_functions = mapping.has_filenames = mapping.has_line_numbers = true;
        profile.n_mapping = 1;
        profile.mapping = &mappings;
        put(pprof, &profile);
    }
}

/* 0, none: pprof would also call a function without a name as its mapping. */
static uint64_t mapping_of(const struct flame_function *function)
{
    if (flame_function_is_synthetic(function) || function->name.length == 0) {
        return 0;
    }
    return (uint64_t)flame_function_origin(function);
}

static void put_functions(struct pprof *pprof)
{
    for (uint32_t i = 0; i < pprof->tree->function_count; i++) {
        Flame__Pprof__Function function = FLAME__PPROF__FUNCTION__INIT;
        Flame__Pprof__Line line = FLAME__PPROF__LINE__INIT;
        Flame__Pprof__Location location = FLAME__PPROF__LOCATION__INIT;
        Flame__Pprof__Profile profile = FLAME__PPROF__PROFILE__INIT;
        Flame__Pprof__Function *functions = &function;
        Flame__Pprof__Location *locations = &location;
        Flame__Pprof__Line *lines = &line;

        function.id = location.id = line.function_id = (uint64_t)i + 1;
        /* No system_name: pprof would read it as C++, and <module> as <unknown>. */
        function.name = name_string(i);
        function.filename =
            pprof->tree->functions[i].file.length != 0 ? file_string(i) : 0;
        function.start_line = line.line = pprof->tree->functions[i].line;
        location.n_line = 1;
        location.line = &lines;
        location.mapping_id = mapping_of(&pprof->tree->functions[i]);
        profile.n_function = profile.n_location = 1;
        profile.function = &functions;
        profile.location = &locations;
        put(pprof, &profile);
    }
}

/* From the leaf up; the root only where there is nothing else. Returns how many. */
static size_t list_locations(struct pprof *pprof, uint32_t place)
{
    size_t count = 0;

    do {
        pprof->locations[count++] = (uint64_t)pprof->tree->places[place].function + 1;
        place = pprof->parents[place];
    } while (place != 0);
    return count;
}

/* below_root: the place at depth 1 that this one is or stands under; 0: none. */
static void put_sample(struct pprof *pprof, uint32_t place, uint32_t below_root)
{
    const struct flame_tree *tree = pprof->tree;
    int64_t values[TYPES_MAX];
    bool any = false;
    Flame__Pprof__Sample sample = FLAME__PPROF__SAMPLE__INIT;
    Flame__Pprof__Label label = FLAME__PPROF__LABEL__INIT;
    Flame__Pprof__Label *labels = &label;
    Flame__Pprof__Sample *samples = &sample;
    Flame__Pprof__Profile profile = FLAME__PPROF__PROFILE__INIT;

    for (size_t i = 0; i < pprof->type_count; i++) {
        uint64_t value = value_of(tree, place, pprof->types[i]);
        values[i] = value > INT64_MAX ? INT64_MAX : (int64_t)value;
        any |= value != 0;
    }
    if (!any) {
        return;
    }
    uint32_t function = tree->places[below_root].function;
    if (below_root != 0 && flame_function_is_synthetic(&tree->functions[function])) {
        struct flame_slice value;
        label.key = split_mark(tree->functions[function].name, &value);
        label.str = label_string(function);
        sample.n_label = 1;
        sample.label = &labels;
    }
    sample.n_location_id = list_locations(pprof, place);
    sample.location_id = pprof->locations;
    sample.n_value = pprof->type_count;
    sample.value = values;
    profile.n_sample = 1;
    profile.sample = &samples;
    put(pprof, &profile);
}

static void put_samples(struct pprof *pprof)
{
    const struct flame_tree *tree = pprof->tree;
    uint32_t below_root = 0;

    for (uint32_t i = 0; i < tree->place_count && pprof->writer->error == 0; i++) {
        below_root = tree->places[i].depth == 1 ? i : below_root;
        put_sample(pprof, i, below_root);
    }
}

static void write_all(struct pprof *pprof)
{
    choose_types(pprof);
    put_head(pprof);
    put_samples(pprof);
    put_mappings(pprof);
    put_functions(pprof);
    put_strings(pprof);
    deflate_bytes(pprof, NULL, 0, Z_FINISH);
}

static bool start_gzip(struct pprof *pprof, gz_header *header)
{
    enum { GZIP_HEADER = 16, MEMORY_LEVEL = 8, UNIX = 3 };
    struct flame_slice extra = pprof->options->extra;

    if (deflateInit2(&pprof->zip, Z_DEFAULT_COMPRESSION, Z_DEFLATED,
                     MAX_WBITS + GZIP_HEADER, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        return false;
    }
    if (extra.length == 0) {
        return true;
    }
    *header = (gz_header){.os = UNIX,
                          .extra = (unsigned char *)(uintptr_t)extra.data,
                          .extra_len = (uInt)extra.length};
    return deflateSetHeader(&pprof->zip, header) == Z_OK;
}

int flame_render_pprof(const struct flame_tree *tree,
                       const struct flame_picture_options *options,
                       struct flame_writer *writer)
{
    struct pprof pprof = {.tree = tree, .options = options, .writer = writer};
    gz_header header;

    pprof.parents = flame_tree_parents(tree);
    pprof.locations = malloc(((size_t)flame_tree_depth(tree) + 1) * sizeof(uint64_t));
    if (pprof.parents == NULL || pprof.locations == NULL ||
        !start_gzip(&pprof, &header)) {
        writer->error = -ENOMEM;
    } else {
        write_all(&pprof);
        deflateEnd(&pprof.zip);
    }
    free(pprof.parents);
    free(pprof.locations);
    return writer->error;
}
