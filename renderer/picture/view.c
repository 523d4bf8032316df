/*
 * Which places are drawn, and where.
 */
#include "renderer/picture/svg.h"

void flame_view_start(struct flame_view *view, const struct flame_tree *tree,
                      uint64_t width, uint64_t smallest)
{
    view->tree = tree;
    view->width = width;
    view->least =
        (uint64_t)(((unsigned __int128)tree->places[0].total * smallest + width - 1) /
                   width);
    view->next = 0;
    view->edges[0] = 0;
    view->narrow = 0;
    view->narrow_weight = 0;
    view->deep = 0;
}

static uint64_t scale(const struct flame_view *view, uint64_t weight)
{
    return flame_share(weight, view->tree->places[0].total, view->width);
}

/* Takes `weight` of the row at `depth`; what is below begins where it does. */
static void place_box(struct flame_view *view, struct flame_box *box, uint32_t depth)
{
    uint64_t start = view->edges[depth];

    view->edges[depth] += box->weight;
    view->edges[depth + 1] = start;
    box->x = scale(view, start);
    box->width = scale(view, start + box->weight) - box->x;
}

/* From view->next on, all neighbours that are too narrow, as one box. */
static void skip_narrow(struct flame_view *view, struct flame_box *box)
{
    const struct flame_tree *tree = view->tree;
    uint32_t depth = tree->places[view->next].depth;

    *box = (struct flame_box){.place = view->next};
    while (view->next < tree->place_count) {
        const struct flame_place *place = &tree->places[view->next];
        if (place->depth != depth || place->total >= view->least) {
            break;
        }
        box->weight += place->total;
        box->narrow += place->end - view->next;
        view->next = place->end;
    }
    view->narrow += box->narrow;
    view->narrow_weight += box->weight;
    place_box(view, box, depth);
}

bool flame_view_next(struct flame_view *view, struct flame_box *box)
{
    while (view->next < view->tree->place_count) {
        uint32_t at = view->next;
        const struct flame_place *place = &view->tree->places[at];
        if (place->depth >= FLAME_SVG_ROWS) {
            view->deep += place->end - at;
            view->next = place->end;
        } else if (place->total < view->least) {
            skip_narrow(view, box);
            if (box->weight >= view->least) {
                return true;
            }
        } else {
            *box = (struct flame_box){.place = at, .weight = place->total};
            place_box(view, box, place->depth);
            view->next = at + 1;
            return true;
        }
    }
    return false;
}
