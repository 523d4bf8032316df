/*
 * Which places are drawn, where, and in which colour.
 */
#include "renderer/svg.h"

#include <string.h>

/* Least width drawn: half a pixel. */
#define LEAST 50

void flame_view_start(struct flame_view *view, const struct flame_tree *tree,
                      uint64_t width)
{
    view->tree = tree;
    view->width = width;
    view->next = 0;
    view->edges[0] = 0;
    view->narrow = 0;
    view->narrow_weight = 0;
    view->deep = 0;
}

static uint64_t scale(const struct flame_view *view, uint64_t weight)
{
    uint64_t total = view->tree->places[0].total;

    return (uint64_t)(((unsigned __int128)weight * view->width + total / 2) / total);
}

bool flame_view_next(struct flame_view *view, struct flame_box *box)
{
    uint64_t total = view->tree->places[0].total;

    while (view->next < view->tree->place_count) {
        uint32_t at = view->next;
        const struct flame_place *place = &view->tree->places[at];
        if (place->depth >= FLAME_SVG_ROWS) {
            view->deep += place->end - at;
            view->next = place->end;
            continue;
        }
        uint64_t start = view->edges[place->depth];
        view->edges[place->depth] += place->total;
        if ((unsigned __int128)place->total * view->width <
            (unsigned __int128)total * LEAST) {
            view->narrow += place->end - at;
            view->narrow_weight += place->total;
            view->next = place->end;
            continue;
        }
        view->edges[place->depth + 1] = start;
        view->next = at + 1;
        box->place = at;
        box->x = scale(view, start);
        box->width = scale(view, start + place->total) - box->x;
        return true;
    }
    return false;
}

static const char *const PALETTE[FLAME_SVG_COLOURS] = {
    "#dedad6", "#f9b49a", "#fbbd95", "#fcc78f", "#fdd08c", "#fbd98c",
    "#f8e08f", "#f6b08f", "#f8c6a3", "#fcd3a0", "#fbe0a0", "#f3b7a3",
    "#f7bf8b", "#f5ca7d", "#f3d67c", "#f9cbb0", "#fadcae",
};

uint32_t flame_svg_colour(const struct flame_function *function)
{
    uint32_t hash = 2166136261u;

    if (flame_function_is_synthetic(function))
        return 0;
    for (size_t i = 0; i < function->name.length; i++)
        hash = (hash ^ (unsigned char)function->name.data[i]) * 16777619u;
    hash ^= hash >> 15;
    hash *= 0x2c1b3c6du;
    hash ^= hash >> 12;
    return 1 + hash % (FLAME_SVG_COLOURS - 1);
}

const char *flame_svg_colour_value(uint32_t colour)
{
    return PALETTE[colour];
}
