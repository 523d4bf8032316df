/* A profile that waits to be pushed, with all that it takes to do so. */
#include "middleware/push/push_parts.h"
#include "middleware/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS_PER_S UINT64_C(1000000000)

void flame_push_item_free(struct flame_push_item *item)
{
    if (item == NULL) {
        return;
    }
    flame_tree_free(item->tree);
    flame_writer_free(&item->packed);
    free(item->address);
    free(item->user);
    free(item->token);
    free(item->url);
    free(item->title);
    free(item->subtitle);
    free(item->warning);
    free(item);
}

/* NULL for NULL; *ok: there was memory. */
static char *copy(const char *text, bool *ok)
{
    char *made = text == NULL ? NULL : strdup(text);

    *ok = *ok && (text == NULL || made != NULL);
    return made;
}

static char *join(const char *before, struct flame_slice text, const char *after,
                  bool *ok)
{
    int length = text.length < 1000 ? (int)text.length : 1000;
    char *made = NULL;

    if (asprintf(&made, "%s%.*s%s", before, length, length > 0 ? text.data : "",
                 after) < 0) {
        *ok = false;
        return NULL;
    }
    return made;
}

static bool describe(struct flame_push_item *item,
                     const struct flame_push_target *target,
                     const struct flame_pushed *pushed)
{
    char pattern[FLAME_PUSH_LABEL_MAX + 1];
    char method[32];
    int length = pushed->method.length < 16 ? (int)pushed->method.length : 16;
    int64_t until = (int64_t)time(NULL) + 1;
    int64_t seconds =
        (int64_t)((pushed->quality.duration_ns + NS_PER_S - 1) / NS_PER_S);
    bool ok = true;

    flame_push_pattern(pushed->path, pattern);
    snprintf(method, sizeof method, "%.*s ", length,
             length > 0 ? pushed->method.data : "");
    item->title = join(method, flame_slice_of(pattern), "", &ok);
    item->subtitle = join("", pushed->status, "", &ok);
    item->warning = pushed->raised.length == 0
                        ? NULL
                        : join("The application raised ", pushed->raised, ".", &ok);
    item->user = copy(target->user, &ok);
    item->token = copy(target->token, &ok);
    item->url = copy(target->url, &ok);
    item->address =
        flame_push_address(target, pushed->path, until - 1 - seconds, until);
    return ok && item->address != NULL;
}

struct flame_push_item *flame_push_item_new(const struct flame_push_target *target,
                                            struct flame_tree *tree,
                                            const struct flame_pushed *pushed)
{
    struct flame_push_item *item = calloc(1, sizeof *item);

    if (item == NULL) {
        flame_tree_free(tree);
        return NULL;
    }
    *item = (struct flame_push_item){.tree = tree,
                                     .size = flame_tree_size(tree),
                                     .begun_ns = flame_now_ns(),
                                     .quality = pushed->quality,
                                     .clock = pushed->clock};
    if (!describe(item, target, pushed)) {
        flame_push_item_free(item);
        return NULL;
    }
    return item;
}

bool flame_push_item_pack(struct flame_push_item *item)
{
    struct flame_picture_options options = {.quality = &item->quality,
                                            .clock = item->clock};

    if (item->tree == NULL) {
        return true;
    }
    options.title = flame_slice_of(item->title);
    options.subtitle = flame_slice_of(item->subtitle);
    options.warning = flame_slice_of(item->warning != NULL ? item->warning : "");
    item->packed.limit = FLAME_PUSH_BYTES;
    int error = flame_render_pprof(item->tree, &options, &item->packed);
    flame_tree_free(item->tree);
    item->tree = NULL;
    item->size = item->packed.length;
    return error == 0;
}
