/*
 * Colours: a hue says where code comes from, its brightness is the function's own.
 *
 * The hues differ in lightness too, so that they can be told apart in grey and by the
 * colour-blind. page.css has the same palette for dark windows.
 */
#include "renderer/picture/svg.h"

#include <stdlib.h>
#include <string.h>

#define SHADES 6u

/* Grey for what is no function; then SHADES of each origin; then waiting. */
static const char *const PALETTE[FLAME_SVG_COLOURS] = {
    "#dedad6", "#f3ab85", "#f5b08a", "#f0a583", "#f6b487", "#efab7c", "#f4a98e",
    "#a5d0f2", "#aed4f3", "#9dcbef", "#a9d3ea", "#b3d5f5", "#9fd0ee", "#e3e8a8",
    "#e8eab0", "#dde5a0", "#e6e6a2", "#e0ebb2", "#dfe6ab", "#a88cc6", "#ad92c9",
    "#a286c2", "#b093c3", "#a48dcb", "#ab8dbf", "#d9e0e4",
};

/* From blue, less, over grey to red, more. */
static const char *const CHANGES[FLAME_SVG_CHANGES] = {
    "#6fa8e8", "#7cafe8", "#89b6e7", "#97bde7", "#a5c4e7", "#b5cce6",
    "#c5d4e6", "#d7dde6", "#efeae5", "#efd6cd", "#efc7bb", "#efb9ab",
    "#f0ad9c", "#f0a18e", "#f09580", "#f08a73", "#f07f66",
};

enum { ORIGINS = FLAME_ORIGIN_C };

/* memmem() prepares itself for texts longer than paths are. */
static bool contains(struct flame_slice text, const char *part)
{
    size_t length = strlen(part);
    const char *at = text.data;
    const char *end = at + text.length;

    while ((size_t)(end - at) >= length) {
        at = memchr(at, part[0], (size_t)(end - at) - length + 1);
        if (at == NULL || memcmp(at, part, length) == 0) {
            return at != NULL;
        }
        at++;
    }
    return false;
}

/* "do_syscall_64_[k]": perf's stackcollapse marks what is not Python's so. */
static bool is_annotated(struct flame_slice name)
{
    const char *end = name.data + name.length;

    return name.length > 4 && end[-4] == '_' && end[-3] == '[' && end[-1] == ']';
}

/*
 * By what names and files look like, so that folded stacks have colours, too. A call
 * into C is written as a call, `zlib.compress(…)`, which no Python function's name is;
 * so are C++ functions.
 */
enum flame_origin flame_function_origin(const struct flame_function *function)
{
    struct flame_slice name = function->name;
    struct flame_slice file = function->file;

    if (function->origin != FLAME_ORIGIN_UNKNOWN) {
        return function->origin;
    }
    if ((name.length > 1 && name.data[name.length - 1] == ')') || is_annotated(name)) {
        return FLAME_ORIGIN_C;
    }
    if (file.length == 0) {
        return FLAME_ORIGIN_APPLICATION;
    }
    if (contains(file, "/site-packages/") || contains(file, "/dist-packages/")) {
        return FLAME_ORIGIN_LIBRARY;
    }
    return flame_slice_begins(file, "<frozen ") ||
                   flame_slice_begins(file, "<stdlib>/") ||
                   contains(file, "/lib/python3.")
               ? FLAME_ORIGIN_STANDARD
               : FLAME_ORIGIN_APPLICATION;
}

/* Eight bytes at a time: the same on every machine, and on every day. */
static uint32_t hash_name(struct flame_slice name)
{
    const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t hash = name.length;

    for (; name.length > 0; name = flame_slice_from(name, 8)) {
        hash = (hash ^ flame_slice_word(name)) * odd;
        hash ^= hash >> 32;
    }
    return (uint32_t)hash;
}

/* From 0. */
static uint32_t hue_of(const struct flame_function *function,
                       enum flame_colours colours)
{
    switch (colours) {
    case FLAME_COLOURS_FILE:
        return hash_name(function->file) % ORIGINS;
    case FLAME_COLOURS_WARM:
        return 0;
    default:
        return (uint32_t)flame_function_origin(function) - 1;
    }
}

uint32_t flame_svg_colour(const struct flame_function *function,
                          enum flame_colours colours)
{
    if (flame_function_is_synthetic(function)) {
        return 0;
    }
    return 1 + hue_of(function, colours) * SHADES +
           hash_name(colours == FLAME_COLOURS_FILE ? function->file : function->name) %
               SHADES;
}

/* A leaf that was off the CPU for most of its time. */
static bool waits_at(const struct flame_tree *tree, uint32_t index)
{
    uint64_t wall = 0;

    if (!tree->has_times || tree->places[index].end != index + 1) {
        return false;
    }
    for (enum flame_fact state = 0; state < FLAME_FACT_CPU; state++) {
        wall += flame_place_own(tree, index, state);
    }
    return flame_place_own(tree, index, FLAME_FACT_RUNNING) < wall / 2;
}

const char *flame_svg_colour_value(uint32_t colour)
{
    return PALETTE[colour];
}

static const char *const ORIGIN_NAMES[] = {[FLAME_ORIGIN_APPLICATION] = "application",
                                           [FLAME_ORIGIN_LIBRARY] = "library",
                                           [FLAME_ORIGIN_STANDARD] = "standard library",
                                           [FLAME_ORIGIN_C] = "C"};

const char *flame_svg_origin(uint32_t colour)
{
    if (colour == 0) {
        return "no function";
    }
    return colour == FLAME_SVG_WAITING
               ? "waiting"
               : ORIGIN_NAMES[FLAME_ORIGIN_APPLICATION + (colour - 1) / SHADES];
}

const char *flame_origin_name(enum flame_origin origin)
{
    return ORIGIN_NAMES[origin];
}

enum flame_origin flame_origin_from_name(struct flame_slice name)
{
    for (enum flame_origin origin = FLAME_ORIGIN_C; origin > 0; origin--) {
        if (flame_slice_is(name, ORIGIN_NAMES[origin])) {
            return origin;
        }
    }
    return FLAME_ORIGIN_UNKNOWN;
}

static void find_legend(struct flame_colouring *colouring)
{
    const struct flame_tree *tree = colouring->tree;
    bool used[FLAME_SVG_COLOURS] = {false};
    const char *last = flame_svg_origin(0);

    for (uint32_t i = 0; i < tree->function_count; i++) {
        used[colouring->functions[i]] = true;
    }
    for (uint32_t i = 0; i < tree->place_count && !used[FLAME_SVG_WAITING]; i++) {
        used[FLAME_SVG_WAITING] = waits_at(tree, i);
    }
    for (uint32_t i = 1; i < FLAME_SVG_COLOURS; i++) {
        if (used[i] && flame_svg_origin(i) != last) {
            last = flame_svg_origin(i);
            colouring->legend[colouring->legend_count++] = i;
        }
    }
}

bool flame_colouring_start(struct flame_colouring *colouring,
                           const struct flame_tree *tree, enum flame_colours by)
{
    *colouring = (struct flame_colouring){.tree = tree,
                                          .functions = malloc(tree->function_count)};
    if (colouring->functions == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < tree->function_count; i++) {
        colouring->functions[i] = (uint8_t)flame_svg_colour(&tree->functions[i], by);
    }
    if (by == FLAME_COLOURS_ORIGIN) {
        find_legend(colouring);
    }
    return true;
}

void flame_colouring_free(struct flame_colouring *colouring)
{
    free(colouring->functions);
}

uint32_t flame_colouring_place(const struct flame_colouring *colouring, uint32_t place)
{
    return waits_at(colouring->tree, place)
               ? FLAME_SVG_WAITING
               : colouring->functions[colouring->tree->places[place].function];
}

/* Eight steps from one share to its double, rounded as page/ does. No logarithm: the
 * program would have to load the library of it. */
uint32_t flame_svg_change(const struct flame_tree *tree, uint32_t index)
{
    /* 2^((k + 1 - 8.5) / 8): from there on it is the change k + 1. */
    static const double bounds[FLAME_SVG_CHANGES - 1] = {
        0.52213689121370688, 0.56939431737834578, 0.620928906036742,
        0.67712777346844633, 0.73841307296974967, 0.80524516597462714,
        0.87812608018664973, 0.9576032806985737,  1.0442737824274138,
        1.1387886347566916,  1.241857812073484,   1.3542555469368927,
        1.4768261459394993,  1.6104903319492543,  1.7562521603732995,
        1.9152065613971474};
    double is = (double)tree->places[index].total / (double)tree->places[0].total;
    double was = (double)flame_place_total(tree, index, FLAME_FACT_BEFORE) /
                 (double)tree->all_before;
    uint32_t change = 0;

    if (is == was) {
        return FLAME_SVG_CHANGES / 2;
    }
    while (change < FLAME_SVG_CHANGES - 1 && is >= was * bounds[change]) {
        change++;
    }
    return change;
}

const char *flame_svg_change_value(uint32_t change)
{
    return CHANGES[change];
}
