/*
 * What the parts of the SVG share: measures, colours, cut text, the view.
 *
 * The static first view holds what is at least half a pixel wide, in
 * presentation attributes only, so it is right wherever no script runs. The
 * data block holds everything; page/ takes over from there.
 */
#ifndef FLAME_RENDERER_SVG_H
#define FLAME_RENDERER_SVG_H

#include "renderer/numbers.h"
#include "renderer/tree/tree.h"

#define FLAME_SVG_WIDTH 1200
#define FLAME_SVG_WIDTH_LEAST 320 /* as FLAME_WIDTH_RANGE says */
#define FLAME_SVG_WIDTH_MOST 10000
#define FLAME_SVG_MARGIN 16
#define FLAME_SVG_SMALLEST 50 /* 1/100 px */
#define FLAME_SVG_ROW 18
/* 1,500 rows are 27,000 px: under the 32,767 that librsvg can draw. */
#define FLAME_SVG_ROWS 1500
#define FLAME_SVG_FONT "DejaVu Sans,Verdana,sans-serif"
#define FLAME_SVG_LABEL_SIZE 11

/* Index into the palette; 0, grey, is for synthetic functions, the last for places at
 * which little is done but wait. */
#define FLAME_SVG_COLOURS 26
#define FLAME_SVG_WAITING (FLAME_SVG_COLOURS - 1)
uint32_t flame_svg_colour(const struct flame_function *function,
                          enum flame_colours colours);

const char *flame_svg_colour_value(uint32_t colour);
/* Of a difference: how a place's share has changed, from half or less (0) to double or
 * more (FLAME_SVG_CHANGES - 1). */
#define FLAME_SVG_CHANGES 17
uint32_t flame_svg_change(const struct flame_tree *tree, uint32_t index);
const char *flame_svg_change_value(uint32_t change);
/* What a colour stands for: "application", "library", ... */
const char *flame_svg_origin(uint32_t colour);
#define FLAME_SVG_ORIGINS 5

/* The colours of a tree, which are looked for once: a function has many places. */
struct flame_colouring {
    const struct flame_tree *tree;
    uint8_t *functions;                 /* by function */
    uint32_t legend[FLAME_SVG_ORIGINS]; /* a colour of each origin that occurs */
    uint32_t legend_count;              /* 0: hues do not say where code comes from */
};

/* False: out of memory; to be freed all the same. */
bool flame_colouring_start(struct flame_colouring *colouring,
                           const struct flame_tree *tree, enum flame_colours by);
void flame_colouring_free(struct flame_colouring *colouring);
/* A place may have another colour than its function: at a leaf that waits. */
uint32_t flame_colouring_place(const struct flame_colouring *colouring, uint32_t place);

/* Width in 1/100 px of text as it will be shown. */
uint64_t flame_text_width(struct flame_slice text, uint32_t font_size);
/*
 * How much of the front of text fits into `width` 1/100 px, whole if all does,
 * else with room for an ellipsis behind; 0: not even three characters.
 */
size_t flame_text_fit(struct flame_slice text, uint32_t font_size, uint64_t width);
/* How much of the front of text to put on a line before going on to the next. */
size_t flame_text_line(struct flame_slice text, uint32_t font_size, uint64_t width);
/* Writes text, cut so, escaped for XML. */
void flame_text_write_cut(struct flame_writer *writer, struct flame_slice text,
                          uint32_t font_size, uint64_t width);

/*
 * A walk over what is drawn, in preorder: the places that are wide enough, and
 * a mark wherever neighbours that are not, together are.
 */
struct flame_view {
    const struct flame_tree *tree;
    uint64_t width; /* of the root, 1/100 px */
    uint64_t least; /* weight that is wide enough */
    uint32_t next;
    uint64_t edges[FLAME_SVG_ROWS + 2]; /* next free weight offset, by depth */
    /* what was passed over */
    uint64_t narrow, narrow_weight;
    uint64_t deep; /* beyond the last row */
};

struct flame_box {
    uint32_t place;
    uint32_t narrow; /* 0; or the box marks so many frames, from place on */
    uint64_t weight;
    uint64_t x, width; /* 1/100 px */
};

void flame_view_start(struct flame_view *view, const struct flame_tree *tree,
                      uint64_t width, uint64_t smallest);
bool flame_view_next(struct flame_view *view, struct flame_box *box);

/*
 * The tree of who called whom: below the root every function that has time of its own,
 * below each its callers. What is narrower than `smallest` of `width` is not taken
 * apart. The caller frees it. NULL: out of memory.
 */
struct flame_tree *flame_tree_callers(const struct flame_tree *tree, uint64_t width,
                                      uint64_t smallest);

/* The sentences of the title block and of the foot; nothing if there is none. */
void flame_write_quality(struct flame_writer *writer,
                         const struct flame_picture_options *options);
void flame_write_warnings(struct flame_writer *writer,
                          const struct flame_picture_options *options);
/* "running 1.20 s, blocked 30.0 ms, CPU 1.18 s": what is not zero. */
void flame_write_times(struct flame_writer *writer, const struct flame_tree *tree,
                       uint32_t place);
/* " ± 1.20 %": half the width of the 95 % confidence interval of a share. */
void flame_write_confidence(struct flame_writer *writer, uint64_t part, uint64_t whole,
                            uint64_t samples);
/* Why there is no graph. */
void flame_write_nothing(struct flame_writer *writer,
                         const struct flame_picture_options *options);

/* Everything, for the script. */
void flame_write_data(struct flame_writer *writer,
                      const struct flame_colouring *colouring,
                      const struct flame_picture_options *options);

#endif
