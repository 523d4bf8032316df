/*
 * The data block: the entire tree as JSON, for page/.
 *
 * {"time": are weights nanoseconds, "samples": are they known,
 *  "title", "subtitle", "quality", "warning": text of the title block,
 *  "margin", "row", "rows", "size", "smallest": measures,
 *  "view": which one is first, "inverted": with the root at the top, "palette": {class:
 * colour}, "origins": the legend, "waiting": the colour of waits, "clock": which one
 * the first view has; of a difference, "changes": how many colours there are from less
 * to more, "allBefore": the whole that shares were of, "functions": [name, file, line,
 * colour, ...], "tree": [levels up, function, own weight, own samples, ...],
 *  "parts": what is known of each place, "clocks": [label, parts to add up] by name,
 *  "times": [each part of the first place, of the next, ...]: its own, most are zero,
 *  "stretches": [place, microseconds, ...] in the order of time}
 * The tree is in preorder; a place's depth is that of the one before it, plus one,
 * minus `levels up`. The weight is left out where there are times, which say it, too;
 * samples where they are not known, or the weight.
 */
#include "renderer/formats/json.h"
#include "renderer/picture/svg.h"

static void write_sentences(struct flame_writer *writer,
                            const struct flame_picture_options *options)
{
    struct flame_writer sentence = {.limit = writer->limit};

    flame_json_key(writer, "title");
    flame_json_string(writer, options->title);
    flame_json_key(writer, "subtitle");
    flame_json_string(writer, options->subtitle);
    flame_json_key(writer, "quality");
    flame_write_quality(&sentence, options);
    flame_json_string(writer, flame_writer_slice(&sentence));
    sentence.length = 0;
    flame_json_key(writer, "warning");
    flame_write_warnings(&sentence, options);
    flame_json_string(writer, flame_writer_slice(&sentence));
    if (writer->error == 0) {
        writer->error = sentence.error;
    }
    flame_writer_free(&sentence);
}

static void write_measures(struct flame_writer *writer)
{
    flame_json_key(writer, "margin");
    flame_write_unsigned(writer, FLAME_SVG_MARGIN);
    flame_json_key(writer, "row");
    flame_write_unsigned(writer, FLAME_SVG_ROW);
    flame_json_key(writer, "rows");
    flame_write_unsigned(writer, FLAME_SVG_ROWS);
    flame_json_key(writer, "size");
    flame_write_unsigned(writer, FLAME_SVG_LABEL_SIZE);
}

/* {class: colour} */
static void write_palette(struct flame_writer *writer, const struct flame_tree *tree)
{
    bool difference = tree->all_before != 0;
    uint32_t count = difference ? FLAME_SVG_CHANGES : FLAME_SVG_COLOURS;

    flame_json_key(writer, "palette");
    for (uint32_t i = 0; i < count; i++) {
        flame_write_text(writer, i == 0 ? "{\"" : ",\"");
        flame_write_text(writer, difference ? "d" : "c");
        flame_write_unsigned(writer, i);
        flame_write_text(writer, "\":");
        flame_json_string(writer,
                          flame_slice_of(difference ? flame_svg_change_value(i)
                                                    : flame_svg_colour_value(i)));
    }
    flame_write_text(writer, "}");
}

/* [[what a colour stands for, the colour], ...]: of those that occur. */
static void write_origins(struct flame_writer *writer,
                          const struct flame_colouring *colouring)
{
    const uint32_t *colours = colouring->legend;

    flame_json_key(writer, "waiting");
    flame_write_unsigned(writer, FLAME_SVG_WAITING);
    flame_json_key(writer, "origins");
    flame_write_text(writer, "[");
    for (uint32_t i = 0; i < colouring->legend_count; i++) {
        flame_write_text(writer, i == 0 ? "[" : ",[");
        flame_json_string(writer, flame_slice_of(flame_svg_origin(colours[i])));
        flame_write_text(writer, ",");
        flame_write_unsigned(writer, colours[i]);
        flame_write_text(writer, "]");
    }
    flame_write_text(writer, "]");
}

static void write_functions(struct flame_writer *writer,
                            const struct flame_colouring *colouring)
{
    const struct flame_tree *tree = colouring->tree;

    flame_json_key(writer, "functions");
    for (uint32_t i = 0; i < tree->function_count && writer->error == 0; i++) {
        const struct flame_function *function = &tree->functions[i];
        flame_write_text(writer, i == 0 ? "[\n" : ",\n");
        flame_json_string(writer, function->name);
        flame_write_text(writer, ",");
        flame_json_string(writer, function->file);
        flame_write_text(writer, ",");
        flame_write_unsigned(writer, function->line);
        flame_write_text(writer, ",");
        flame_write_unsigned(writer, colouring->functions[i]);
    }
    flame_write_text(writer, "]");
}

/* Beside weights that are not samples themselves. */
static bool counts_samples(const struct flame_tree *tree)
{
    return tree->is_time && tree->has_samples;
}

/* Whether a weight is a sum of several. */
static bool has_parts(const struct flame_tree *tree)
{
    return tree->has_times || tree->all_before != 0;
}

/* Sixteen places a line, with so many numbers each. */
_Static_assert(16 * FLAME_TIMES <= FLAME_JSON_PER_LINE_MAX, "there is room for a line");
static void start_list(struct flame_writer *writer, const char *key,
                       struct flame_json_list *list, uint32_t numbers)
{
    flame_json_key(writer, key);
    flame_write_text(writer, "[\n");
    flame_json_list_start(list, writer, 16 * numbers);
}

static void end_list(struct flame_json_list *list)
{
    flame_json_list_end(list);
    flame_write_text(list->writer, "]");
}

static void write_tree(struct flame_writer *writer, const struct flame_tree *tree)
{
    struct flame_json_list list;
    bool samples = counts_samples(tree);
    bool weights = !has_parts(tree);
    uint32_t depth = 0; /* that a child of the place before has */

    start_list(writer, "tree", &list, 2u + weights + samples);
    for (uint32_t i = 0; i < tree->place_count && writer->error == 0; i++) {
        const struct flame_place *place = &tree->places[i];
        flame_json_list_add(&list, depth - place->depth);
        flame_json_list_add(&list, place->function);
        if (weights) {
            flame_json_list_add(&list, place->self);
        }
        if (samples) {
            flame_json_list_add(&list, flame_place_self_samples(tree, i));
        }
        depth = place->depth + 1;
    }
    end_list(&list);
}

/* The parts of the time that occur, and always those that the page looks for. */
struct parts {
    enum flame_fact of[FLAME_TIMES];
    uint32_t count;
};

static struct parts parts_of(const struct flame_tree *tree)
{
    struct parts parts = {.count = 0};

    for (enum flame_fact part = 0; part < FLAME_TIMES; part++) {
        if (part == FLAME_FACT_RUNNING || part == FLAME_FACT_CPU ||
            flame_place_total(tree, 0, part) != 0) {
            parts.of[parts.count++] = part;
        }
    }
    return parts;
}

/* Which parts a clock adds up, as bits, by their numbers in the data. */
static void write_clock(struct flame_writer *writer, const char *clock,
                        const struct parts *parts, uint32_t bits)
{
    flame_write_text(writer, clock);
    for (uint32_t i = 0; i < parts->count; i++) {
        if ((bits >> parts->of[i] & 1) != 0) {
            flame_write_text(writer, ",");
            flame_write_unsigned(writer, i);
        }
    }
    flame_write_text(writer, "]");
}

static void write_clocks(struct flame_writer *writer, const struct parts *parts)
{
    enum {
        OFF = 1 << FLAME_FACT_GIL_WAIT | 1 << FLAME_FACT_BLOCKED |
              1 << FLAME_FACT_RUNNABLE
    };

    flame_write_text(writer, ",\"clocks\":{");
    write_clock(writer, "\"wall\":[\"Wall\"", parts, OFF | 1 << FLAME_FACT_RUNNING);
    write_clock(writer, ",\"cpu\":[\"CPU\"", parts, 1 << FLAME_FACT_CPU);
    write_clock(writer, ",\"offcpu\":[\"Off CPU\"", parts, OFF);
    write_clock(writer, ",\"gil\":[\"GIL wait\"", parts, 1 << FLAME_FACT_GIL_WAIT);
    flame_write_text(writer, "}");
}

/* What there is of each place, and which clocks are sums of which of it. */
static void write_parts(struct flame_writer *writer, const struct flame_tree *tree)
{
    static const char *const names[FLAME_TIMES] = {
        [FLAME_FACT_RUNNING] = "running", [FLAME_FACT_GIL_WAIT] = "waiting for the GIL",
        [FLAME_FACT_BLOCKED] = "blocked", [FLAME_FACT_RUNNABLE] = "no CPU free",
        [FLAME_FACT_CPU] = "CPU time",
    };

    if (tree->all_before != 0) {
        flame_write_text(writer, ",\"parts\":[\"after\",\"before\"],\"clocks\":"
                                 "{\"after\":[\"After\",0],\"before\":[\"Before\",1]}");
        flame_json_key(writer, "allBefore");
        flame_json_number(writer, tree->all_before);
        flame_json_key(writer, "changes");
        flame_write_unsigned(writer, FLAME_SVG_CHANGES);
    } else if (tree->has_times) {
        struct parts parts = parts_of(tree);
        flame_json_key(writer, "parts");
        for (uint32_t i = 0; i < parts.count; i++) {
            flame_write_text(writer, i == 0 ? "[" : ",");
            flame_json_string(writer, flame_slice_of(names[parts.of[i]]));
        }
        flame_write_text(writer, "]");
        write_clocks(writer, &parts);
    }
}

static void write_times(struct flame_writer *writer, const struct flame_tree *tree)
{
    struct parts parts = parts_of(tree);
    struct flame_json_list list;

    start_list(writer, "times", &list, parts.count);
    for (uint32_t i = 0; i < tree->place_count && writer->error == 0; i++) {
        for (uint32_t part = 0; part < parts.count; part++) {
            flame_json_list_add(&list, flame_place_own(tree, i, parts.of[part]));
        }
    }
    end_list(&list);
}

/* Of a difference. */
static void write_changes(struct flame_writer *writer, const struct flame_tree *tree)
{
    struct flame_json_list list;

    start_list(writer, "times", &list, 2);
    for (uint32_t i = 0; i < tree->place_count && writer->error == 0; i++) {
        flame_json_list_add(&list, tree->places[i].self);
        flame_json_list_add(&list, flame_place_own(tree, i, FLAME_FACT_BEFORE));
    }
    end_list(&list);
}

/* [place, microseconds, ...], neighbours at one place together. */
static void write_stretches(struct flame_writer *writer, const struct flame_tree *tree)
{
    struct flame_json_list list;

    if (tree->stretch_count == 0) {
        return;
    }
    start_list(writer, "stretches", &list, 2);
    for (uint32_t i = 0; i < tree->stretch_count && writer->error == 0; i++) {
        flame_json_list_add(&list, tree->stretches[i].node);
        flame_json_list_add(&list, tree->stretches[i].microseconds);
    }
    end_list(&list);
}

/* What is as usual is left out. */
static void write_first_view(struct flame_writer *writer,
                             const struct flame_picture_options *options)
{
    if (options->smallest != 0) {
        flame_json_key(writer, "smallest");
        flame_write_hundredths(writer, options->smallest);
    }
    if (options->callers) {
        flame_json_key(writer, "view");
        flame_write_text(writer, "\"callers\"");
    }
    if (options->inverted) {
        flame_json_key(writer, "inverted");
        flame_write_text(writer, "true");
    }
}

void flame_write_data(struct flame_writer *writer,
                      const struct flame_colouring *colouring,
                      const struct flame_picture_options *options)
{
    const struct flame_tree *tree = colouring->tree;

    flame_write_text(writer, "<script id=\"flame-data\" type=\"application/json\">"
                             "{\"time\":");
    flame_write_text(writer, tree->is_time ? "true" : "false");
    flame_json_key(writer, "samples");
    flame_write_text(writer, counts_samples(tree) ? "true" : "false");
    write_sentences(writer, options);
    flame_json_key(writer, "clock");
    flame_json_string(writer, flame_slice_of(tree->all_before != 0
                                                 ? "after"
                                                 : flame_clock_name(options->clock)));
    write_parts(writer, tree);
    write_measures(writer);
    write_first_view(writer, options);
    write_palette(writer, tree);
    write_origins(writer, colouring);
    write_functions(writer, colouring);
    write_tree(writer, tree);
    if (tree->all_before != 0) {
        write_changes(writer, tree);
    } else if (tree->has_times) {
        write_times(writer, tree);
    }
    write_stretches(writer, tree);
    flame_write_text(writer, "}</script>\n");
}
