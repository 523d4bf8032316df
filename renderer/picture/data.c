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
 * colour, ...], "tree": [levels up, function, total weight, total samples, ...],
 *  "parts": what is known of each place, "clocks": [label, parts to add up] by name,
 *  "times": [each part of the first place, of the next, ...],
 *  "stretches": [place, microseconds, ...] in the order of time}
 * The tree is in preorder; a place's depth is that of the one before it, plus
 * one, minus `levels up`. Samples and times are left out where they are not known,
 * samples also where weights are;
 * times are total, in nanoseconds.
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

/* Sixteen places a line, with so many numbers each. */
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
    uint32_t depth = 0; /* that a child of the place before has */

    start_list(writer, "tree", &list, samples ? 4 : 3);
    for (uint32_t i = 0; i < tree->place_count && writer->error == 0; i++) {
        const struct flame_place *place = &tree->places[i];
        flame_json_list_add(&list, depth - place->depth);
        flame_json_list_add(&list, place->function);
        flame_json_list_add(&list, place->total);
        if (samples) {
            flame_json_list_add(&list, flame_place_samples(tree, i));
        }
        depth = place->depth + 1;
    }
    end_list(&list);
}

/* What there is of each place, and which clocks are sums of which of it. */
static void write_parts(struct flame_writer *writer, const struct flame_tree *tree)
{
    if (tree->all_before != 0) {
        flame_write_text(writer, ",\"parts\":[\"after\",\"before\"],\"clocks\":"
                                 "{\"after\":[\"After\",0],\"before\":[\"Before\",1]}");
        flame_json_key(writer, "allBefore");
        flame_json_number(writer, tree->all_before);
        flame_json_key(writer, "changes");
        flame_write_unsigned(writer, FLAME_SVG_CHANGES);
    } else if (tree->has_times) {
        flame_write_text(writer,
                         ",\"parts\":[\"running\",\"waiting for the GIL\",\"blocked\","
                         "\"no CPU free\",\"CPU time\"],\"clocks\":{"
                         "\"wall\":[\"Wall\",0,1,2,3],\"cpu\":[\"CPU\",4],"
                         "\"offcpu\":[\"Off CPU\",1,2,3],\"gil\":[\"GIL wait\",1]}");
    }
}

static void add_place_times(struct flame_json_list *list, const struct flame_tree *tree,
                            uint32_t place)
{
    const struct flame_times *times = flame_place_times(tree, place);

    if (tree->all_before != 0) {
        flame_json_list_add(list, tree->places[place].total);
        flame_json_list_add(list, flame_place_before(tree, place));
        return;
    }
    for (int state = 0; state < FLAME_STATES; state++) {
        flame_json_list_add(list, times->wall[state]);
    }
    flame_json_list_add(list, times->cpu);
}

static void write_times(struct flame_writer *writer, const struct flame_tree *tree)
{
    struct flame_json_list list;

    if (!tree->has_times && tree->all_before == 0) {
        return;
    }
    start_list(writer, "times", &list, tree->all_before != 0 ? 2 : FLAME_STATES + 1);
    for (uint32_t i = 0; i < tree->place_count && writer->error == 0; i++) {
        add_place_times(&list, tree, i);
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
    write_times(writer, tree);
    write_stretches(writer, tree);
    flame_write_text(writer, "}</script>\n");
}
