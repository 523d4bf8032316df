/*
 * The interactive picture: title block, graph, foot, data, script.
 */
#include "renderer/picture/svg.h"

#include "assets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TITLE_SIZE 19
#define TEXT_SIZE 12
#define LINE 19
#define LINES_MAX 3
/* A tooltip is no place for a name of a megabyte: about 400 characters. */
#define TOOLTIP_WIDTH 300000
/* Of what stands on a box, where that is more than a name. */
#define LABEL_MAX 256
#define GAP 100
#define NARROW_COLOUR "#eee9e4"

struct picture {
    struct flame_writer *writer;
    const struct flame_tree *tree;
    const struct flame_picture_options *options;
    const struct flame_colouring *colouring;
    uint32_t width;  /* of the graph, px */
    uint32_t y;      /* of the last line written */
    uint32_t rows;   /* of the graph, with that for what is too deep */
    uint32_t height; /* of everything */
    uint32_t top;    /* of the graph */
    struct flame_view view;
};

static void write_attribute(struct flame_writer *writer, const char *name,
                            uint64_t hundredths)
{
    flame_write_text(writer, " ");
    flame_write_text(writer, name);
    flame_write_text(writer, "=\"");
    flame_write_hundredths(writer, hundredths);
    flame_write_text(writer, "\"");
}

/* ---- the title block and the foot -------------------------------------------- */

static void write_line(struct picture *picture, struct flame_slice text,
                       const char *style, uint32_t size, bool last)
{
    struct flame_writer *writer = picture->writer;

    flame_write_text(writer, "<text");
    write_attribute(writer, "x", FLAME_SVG_MARGIN * 100);
    write_attribute(writer, "y", picture->y * 100);
    write_attribute(writer, "font-size", size * 100);
    flame_write_text(writer, style);
    flame_write_text(writer, ">");
    if (last) {
        flame_text_write_cut(writer, text, size, picture->width * 100);
    } else {
        flame_write_escaped(writer, text, FLAME_ESCAPE_XML);
    }
    flame_write_text(writer, "</text>\n");
}

/* Wraps at spaces, cuts what does not fit into `lines`. */
static void write_paragraph(struct picture *picture, struct flame_slice text,
                            const char *style, uint32_t size, uint32_t lines)
{
    for (uint32_t line = 1; text.length != 0; line++) {
        size_t length = flame_text_line(text, size, picture->width * 100);
        bool last = line == lines || length == text.length;
        picture->y += LINE;
        write_line(picture,
                   (struct flame_slice){text.data, last ? text.length : length}, style,
                   size, last);
        if (last) {
            return;
        }
        text.data += length;
        text.length -= length;
    }
}

/* One of the sentences, composed in `sentence`, which is emptied for the next. */
static void write_sentence(struct picture *picture, struct flame_writer *sentence,
                           const char *style)
{
    write_paragraph(picture, flame_writer_slice(sentence), style, TEXT_SIZE, LINES_MAX);
    sentence->length = 0;
}

static void write_head(struct picture *picture, struct flame_writer *sentence)
{
    static const char plain[] = " class=\"ink\" fill=\"#33302e\"";
    static const char quiet[] = " class=\"quiet\" fill=\"#77706a\"";
    static const char alarm[] = " class=\"alarm\" fill=\"#b3261e\"";
    const struct flame_picture_options *options = picture->options;
    struct flame_slice title = options->title;

    if (title.length == 0) {
        title = flame_slice_of("Flame graph");
    }
    picture->y = FLAME_SVG_MARGIN;
    flame_write_text(picture->writer, "<g id=\"flame-head\">\n");
    write_paragraph(picture, title, plain, TITLE_SIZE, 1);
    picture->y += 2;
    write_paragraph(picture, options->subtitle, quiet, TEXT_SIZE, LINES_MAX);
    flame_write_quality(sentence, options);
    write_sentence(picture, sentence, quiet);
    flame_write_warnings(sentence, options);
    write_sentence(picture, sentence, alarm);
    if (flame_tree_is_empty(picture->tree)) {
        flame_write_nothing(sentence, options);
        picture->y += LINE;
        write_sentence(picture, sentence, plain);
    }
    flame_write_text(picture->writer, "</g>\n");
}

/* What the colours stand for, where there is more than one; for the static view. */
static void write_legend(struct picture *picture)
{
    struct flame_writer *writer = picture->writer;
    const uint32_t *colours = picture->colouring->legend;
    uint32_t count = picture->colouring->legend_count;
    uint64_t x = FLAME_SVG_MARGIN * 100;

    if (count < 2 || picture->tree->all_before != 0) {
        return;
    }
    picture->y += LINE;
    for (uint32_t i = 0; i < count; i++) {
        struct flame_slice name = flame_slice_of(flame_svg_origin(colours[i]));
        flame_write_text(writer, "<rect class=\"c");
        flame_write_unsigned(writer, colours[i]);
        flame_write_text(writer, "\"");
        write_attribute(writer, "x", x);
        write_attribute(writer, "y", (picture->y - 10) * 100);
        flame_write_text(writer, " width=\"11\" height=\"11\" fill=\"");
        flame_write_text(writer, flame_svg_colour_value(colours[i]));
        flame_write_text(writer, "\"/><text class=\"quiet\" fill=\"#77706a\"");
        write_attribute(writer, "x", x + 1600);
        write_attribute(writer, "y", picture->y * 100);
        write_attribute(writer, "font-size", FLAME_SVG_LABEL_SIZE * 100);
        flame_write_text(writer, ">");
        flame_write_escaped(writer, name, FLAME_ESCAPE_XML);
        flame_write_text(writer, "</text>\n");
        x += 3200 + flame_text_width(name, FLAME_SVG_LABEL_SIZE);
    }
}

static void write_foot(struct picture *picture, struct flame_writer *sentence)
{
    const struct flame_view *view = &picture->view;

    flame_write_text(picture->writer, "<g id=\"flame-foot\">\n");
    if (view->narrow != 0) {
        flame_write_grouped(sentence, view->narrow);
        flame_write_text(sentence, view->narrow == 1 ? " frame" : " frames");
        flame_write_text(sentence, " too narrow to draw (pale), ");
        flame_write_percent(sentence, view->narrow_weight,
                            picture->tree->places[0].total);
        flame_write_text(sentence, " of the width");
    }
    picture->y += 2;
    write_sentence(picture, sentence, " class=\"quiet\" fill=\"#77706a\"");
    write_legend(picture);
    flame_write_text(picture->writer, "</g>\n");
}

/* ---- the graph --------------------------------------------------------------- */

static void write_weight(struct picture *picture, uint64_t weight)
{
    if (picture->tree->is_time) {
        flame_write_duration(picture->writer, weight);
    } else {
        flame_write_grouped(picture->writer, weight);
    }
    flame_write_text(picture->writer, ", ");
    flame_write_percent(picture->writer, weight, picture->tree->places[0].total);
}

static void write_tooltip(struct picture *picture, uint32_t index,
                          const struct flame_function *function)
{
    const struct flame_place *place = &picture->tree->places[index];
    struct flame_writer *writer = picture->writer;

    flame_write_text(writer, "<title>");
    flame_text_write_cut(writer, function->name, FLAME_SVG_LABEL_SIZE, TOOLTIP_WIDTH);
    if (function->file.length != 0) {
        flame_write_text(writer, " (");
        flame_text_write_cut(writer, function->file, FLAME_SVG_LABEL_SIZE,
                             TOOLTIP_WIDTH);
        flame_write_text(writer, ":");
        flame_write_unsigned(writer, function->line);
        flame_write_text(writer, ")");
    }
    flame_write_text(writer, "\n");
    write_weight(picture, place->total);
    if (picture->tree->is_time) {
        flame_write_confidence(writer, place->total, picture->tree->places[0].total,
                               flame_place_samples(picture->tree, 0));
    }
    if (place->self != 0) {
        flame_write_text(writer, "; self ");
        write_weight(picture, place->self);
    }
    if (picture->tree->all_before != 0) {
        flame_write_text(writer, "; before ");
        flame_write_percent(writer,
                            flame_place_total(picture->tree, index, FLAME_FACT_BEFORE),
                            picture->tree->all_before);
    }
    if (picture->tree->has_samples && picture->tree->is_time) {
        flame_write_text(writer, "; samples ");
        flame_write_grouped(writer, flame_place_samples(picture->tree, index));
    }
    if (picture->tree->has_times) {
        flame_write_text(writer, "\n");
        flame_write_times(writer, picture->tree, index);
    }
    flame_write_text(writer, "</title>");
}

/* A gap to the next frame where there is room for one. */
static uint64_t drawn_width(uint64_t width)
{
    return width > 4 * GAP ? width - GAP : width - width / 4;
}

/* Of the path's part that ends there. */
static size_t begin_of_part(struct flame_slice path, size_t end)
{
    while (end != 0 && path.data[end - 1] != '/') {
        end--;
    }
    return end;
}

/* A path's last part, and of a package's own files the package with it. */
static struct flame_slice short_path(struct flame_slice path)
{
    size_t first = begin_of_part(path, path.length);
    struct flame_slice last = flame_slice_from(path, first);

    if (first != 0 &&
        (flame_slice_is(last, "__init__.py") || flame_slice_is(last, "__main__.py"))) {
        return flame_slice_from(path, begin_of_part(path, first - 1));
    }
    return last;
}

/* What stands on a box, perhaps in `room`. The code of every module is called <module>:
 * which one says its file. */
static struct flame_slice label_of(const struct flame_function *function,
                                   char room[LABEL_MAX])
{
    static const char module[] = "<module> ";
    const size_t length = sizeof module - 1;
    struct flame_slice path = short_path(function->file);

    if (!flame_slice_is(function->name, "<module>") || path.length == 0 ||
        path.length > LABEL_MAX - length) {
        return function->name;
    }
    memcpy(room, module, length);
    memcpy(room + length, path.data, path.length);
    return (struct flame_slice){room, length + path.length};
}

static void write_label(struct picture *picture, const struct flame_box *box,
                        struct flame_slice name, uint64_t y)
{
    static const uint64_t padding = 400;
    struct flame_writer *writer = picture->writer;

    if (box->width <= 2 * padding ||
        flame_text_fit(name, FLAME_SVG_LABEL_SIZE, box->width - 2 * padding) == 0) {
        return;
    }
    char text[64 + 2 * FLAME_HUNDREDTHS_MAX];
    char *end = flame_put_text(text, "<text x=\"");
    end = flame_put_hundredths(end, box->x + padding);
    end = flame_put_text(end, "\" y=\"");
    end = flame_put_hundredths(end, y + 1250);
    end = flame_put_text(end, "\">");
    flame_write_bytes(writer, text, (size_t)(end - text));
    flame_text_write_cut(writer, name, FLAME_SVG_LABEL_SIZE, box->width - 2 * padding);
    flame_write_text(writer, "</text>");
}

static uint64_t row_of(const struct picture *picture, const struct flame_box *box)
{
    uint32_t depth = picture->tree->places[box->place].depth;
    uint32_t row = picture->options->inverted ? depth : picture->rows - 1 - depth;

    return (uint64_t)row * FLAME_SVG_ROW * 100;
}

/* Made as a whole before it is written, since there are thousands; so are labels. */
static void write_rectangle(struct picture *picture, const struct flame_box *box,
                            uint64_t y, const char *fill)
{
    char text[64 + 3 * FLAME_HUNDREDTHS_MAX];
    char *end = flame_put_text(text, " x=\"");

    end = flame_put_hundredths(end, box->x);
    end = flame_put_text(end, "\" y=\"");
    end = flame_put_hundredths(end, y);
    end = flame_put_text(end, "\" width=\"");
    end = flame_put_hundredths(end, drawn_width(box->width));
    end = flame_put_text(end, "\" height=\"17\" fill=\"");
    end = flame_put_text(end, fill);
    end = flame_put_text(end, "\"/>");
    flame_write_bytes(picture->writer, text, (size_t)(end - text));
}

static void write_frame(struct picture *picture, const struct flame_box *box)
{
    const struct flame_tree *tree = picture->tree;
    const struct flame_function *function =
        &tree->functions[tree->places[box->place].function];
    struct flame_writer *writer = picture->writer;
    uint64_t y = row_of(picture, box);
    char room[LABEL_MAX];
    bool changed = tree->all_before != 0;
    uint32_t colour = changed ? flame_svg_change(tree, box->place)
                              : flame_colouring_place(picture->colouring, box->place);

    flame_write_text(writer, "<g>");
    write_tooltip(picture, box->place, function);
    flame_write_text(writer, changed ? "<rect class=\"d" : "<rect class=\"c");
    flame_write_unsigned(writer, colour);
    flame_write_text(writer, "\"");
    write_rectangle(picture, box, y,
                    changed ? flame_svg_change_value(colour)
                            : flame_svg_colour_value(colour));
    write_label(picture, box, label_of(function, room), y);
    flame_write_text(writer, "</g>\n");
}

/* Where frames are, but none of them can be seen: this is not self time. */
static void write_narrow(struct picture *picture, const struct flame_box *box)
{
    struct flame_writer *writer = picture->writer;

    flame_write_text(writer, "<g><title>");
    flame_write_grouped(writer, box->narrow);
    flame_write_text(writer, box->narrow == 1 ? " frame" : " frames");
    flame_write_text(writer, " too narrow to draw\n");
    write_weight(picture, box->weight);
    flame_write_text(writer, "</title><rect class=\"narrow\"");
    write_rectangle(picture, box, row_of(picture, box), NARROW_COLOUR);
    flame_write_text(writer, "</g>\n");
}

/* The row behind the last, for what stands deeper. */
static void write_deep(struct picture *picture, uint64_t deep)
{
    struct flame_writer *writer = picture->writer;
    uint64_t row = picture->options->inverted ? picture->rows - 1 : 0;

    if (deep == 0) {
        return;
    }
    flame_write_text(writer, "<text id=\"flame-deep\" class=\"alarm\" x=\"4\"");
    write_attribute(writer, "y", row * FLAME_SVG_ROW * 100 + 1250);
    flame_write_text(writer, " fill=\"#b3261e\">");
    flame_write_grouped(writer, deep);
    flame_write_text(writer, " frames stand deeper than the ");
    flame_write_grouped(writer, FLAME_SVG_ROWS);
    flame_write_text(writer, " rows drawn</text>\n");
}

static uint64_t smallest_of(const struct flame_picture_options *options)
{
    return options->smallest != 0 ? options->smallest : FLAME_SVG_SMALLEST;
}

static void start_view(struct picture *picture)
{
    flame_view_start(&picture->view, picture->tree, picture->width * 100,
                     smallest_of(picture->options));
}

static void write_graph(struct picture *picture)
{
    struct flame_writer *writer = picture->writer;
    struct flame_box box;

    flame_write_text(writer, "<g id=\"flame-graph\" transform=\"translate(");
    flame_write_unsigned(writer, FLAME_SVG_MARGIN);
    flame_write_text(writer, " ");
    flame_write_unsigned(writer, picture->top);
    flame_write_text(writer, ")\" font-size=\"");
    flame_write_unsigned(writer, FLAME_SVG_LABEL_SIZE);
    flame_write_text(writer, "\" fill=\"#33261c\">\n");
    start_view(picture);
    while (writer->error == 0 && flame_view_next(&picture->view, &box)) {
        (box.narrow != 0 ? write_narrow : write_frame)(picture, &box);
    }
    write_deep(picture, picture->view.deep);
    flame_write_text(writer, "</g>\n");
}

/* A walk without writing: how many rows there will be, and what the foot says. */
static void count_rows(struct picture *picture)
{
    struct flame_box box;
    uint32_t deepest = 0;

    picture->rows = 0;
    if (flame_tree_is_empty(picture->tree)) {
        return;
    }
    start_view(picture);
    while (flame_view_next(&picture->view, &box)) {
        uint32_t depth = picture->tree->places[box.place].depth;
        deepest = depth > deepest ? depth : deepest;
    }
    picture->rows = deepest + 1 + (picture->view.deep != 0);
}

/* ---- the whole --------------------------------------------------------------- */

static void write_document_title(struct picture *picture)
{
    struct flame_slice title = picture->options->title;

    flame_write_text(picture->writer, "<title>");
    if (title.length != 0) {
        flame_text_write_cut(picture->writer, title, FLAME_SVG_LABEL_SIZE,
                             TOOLTIP_WIDTH);
        flame_write_text(picture->writer, " · ");
    }
    flame_write_text(picture->writer, "flame graph</title>\n");
}

static void write_opening(struct picture *picture, uint32_t height)
{
    struct flame_writer *writer = picture->writer;
    uint32_t width = picture->width + 2 * FLAME_SVG_MARGIN;

    flame_write_text(writer, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                             "<svg xmlns=\"http://www.w3.org/2000/svg\"");
    write_attribute(writer, "width", (uint64_t)width * 100);
    write_attribute(writer, "height", (uint64_t)height * 100);
    flame_write_text(writer, " viewBox=\"0 0 ");
    flame_write_unsigned(writer, width);
    flame_write_text(writer, " ");
    flame_write_unsigned(writer, height);
    flame_write_text(writer, "\" font-family=\"" FLAME_SVG_FONT "\">\n");
    write_document_title(picture);
    flame_write_text(writer, "<style><![CDATA[");
    flame_write_text(writer, flame_asset_css);
    flame_write_text(writer, "]]></style>\n<rect id=\"flame-paper\" width=\"100%\" "
                             "height=\"100%\" fill=\"#fffdfb\"/>\n");
}

/* whole: what the page shows, however the first view does. */
static void write_closing(struct picture *picture, const struct flame_colouring *whole)
{
    struct flame_writer *writer = picture->writer;

    if (!flame_tree_is_empty(whole->tree)) {
        flame_write_data(writer, whole, picture->options);
        flame_write_text(writer, "<script><![CDATA[");
        flame_write_text(writer, flame_asset_js);
        flame_write_text(writer, "]]></script>\n");
    }
    flame_write_text(writer, "</svg>\n");
}

/*
 * How high all is stands in the first line, and head and foot say how high they are
 * only once they are written: into bodies of their own. The graph, which is much, is
 * not.
 */
static void write_around(struct picture *picture, struct flame_writer *head,
                         struct flame_writer *foot)
{
    struct flame_writer sentence = {.limit = head->limit};

    count_rows(picture);
    picture->writer = head;
    write_head(picture, &sentence);
    picture->top = picture->y + 16;
    if (picture->rows != 0) {
        picture->y = picture->top + picture->rows * FLAME_SVG_ROW;
        picture->writer = foot;
        write_foot(picture, &sentence);
    }
    picture->height = picture->y + FLAME_SVG_MARGIN;
    if (head->error == 0) {
        head->error = sentence.error;
    }
    flame_writer_free(&sentence);
}

static int write_svg(struct picture *picture, const struct flame_colouring *whole,
                     struct flame_writer *writer)
{
    struct flame_writer head = {.limit = writer->limit};
    struct flame_writer foot = {.limit = writer->limit};

    write_around(picture, &head, &foot);
    picture->writer = writer;
    write_opening(picture, picture->height);
    flame_write_bytes(writer, head.data, head.length);
    if (picture->rows != 0) {
        write_graph(picture);
    }
    flame_write_bytes(writer, foot.data, foot.length);
    write_closing(picture, whole);
    if (writer->error == 0) {
        writer->error = head.error != 0 ? head.error : foot.error;
    }
    flame_writer_free(&head);
    flame_writer_free(&foot);
    return writer->error;
}

/* From code it may be anything: what no window has is taken for the nearest that is. */
static uint32_t width_of(const struct flame_picture_options *options)
{
    uint32_t width = options->width != 0 ? options->width : FLAME_SVG_WIDTH;

    width = width < FLAME_SVG_WIDTH_LEAST ? FLAME_SVG_WIDTH_LEAST : width;
    return width > FLAME_SVG_WIDTH_MOST ? FLAME_SVG_WIDTH_MOST : width;
}

int flame_render_svg(const struct flame_tree *tree,
                     const struct flame_picture_options *options,
                     struct flame_writer *writer)
{
    uint32_t width = width_of(options) - 2 * FLAME_SVG_MARGIN;
    struct picture *picture = calloc(1, sizeof *picture);
    struct flame_colouring whole;
    struct flame_colouring turned = {0};
    bool ok = flame_colouring_start(&whole, tree, options->colours) && picture != NULL;
    struct flame_tree *callers = NULL;
    int error = -ENOMEM;

    if (ok && options->callers && !flame_tree_is_empty(tree)) {
        callers = flame_tree_callers(tree, (uint64_t)width * 100, smallest_of(options));
        ok = callers != NULL &&
             flame_colouring_start(&turned, callers, options->colours);
    }
    if (ok) {
        *picture = (struct picture){.tree = callers != NULL ? callers : tree,
                                    .colouring = callers != NULL ? &turned : &whole,
                                    .options = options,
                                    .width = width};
        error = write_svg(picture, &whole, writer);
    }
    flame_colouring_free(&whole);
    flame_colouring_free(&turned);
    flame_tree_free(callers);
    free(picture);
    return error;
}

const char *flame_svg_content_security_policy(void)
{
    return "default-src 'none'; script-src '" FLAME_ASSET_JS_HASH
           "'; style-src '" FLAME_ASSET_CSS_HASH
           "'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; "
           "sandbox allow-scripts allow-downloads "
           "allow-top-navigation-to-custom-protocols";
}
