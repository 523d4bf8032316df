#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sampler/store.h"

/* The index of one of `from`'s functions in `into`. */
static uint32_t intern(struct flame_store *into, const struct flame_code *code)
{
    const struct flame_code_key key = {.first_line = code->first_line};

    return flame_store_code_sigsafe(into, &key, code->name, code->file);
}

/* `codes` and `nodes`: room for an index of each. */
static void merge(struct flame_store *into, const struct flame_profile *from,
                  uint32_t root, uint32_t *codes, uint32_t *nodes)
{
    memset(codes, 0xff, from->code_count * sizeof *codes); /* FLAME_NONE */
    nodes[0] = root;
    flame_store_add(into, root, &from->nodes[0]);
    for (uint32_t i = 1; i < from->node_count; i++) {
        const struct flame_node *node = &from->nodes[i];
        nodes[i] = nodes[node->parent];
        if (node->code != FLAME_CODE_OF_PARENT) {
            if (codes[node->code] == FLAME_NONE) {
                codes[node->code] = intern(into, &from->codes[node->code]);
            }
            nodes[i] = flame_store_child_sigsafe(into, nodes[i], codes[node->code]);
        }
        flame_store_add(into, nodes[i], node);
    }
}

/* Each node is its own counterpart, whatever its code is. */
static void merge_with_itself(struct flame_store *store,
                              const struct flame_profile *profile)
{
    for (uint32_t i = 0; i < profile->node_count; i++) {
        flame_store_add(store, i, &profile->nodes[i]);
    }
}

static uint32_t root_named(struct flame_store *store, const char *label)
{
    const struct flame_code named = {.name = {label, strlen(label)}, .file = {"", 0}};

    return flame_store_child_sigsafe(store, 0, intern(store, &named));
}

int flame_store_merge(struct flame_store *into, const struct flame_store *from,
                      const char *label)
{
    struct flame_profile profile = {0};

    flame_store_read(from, &profile);
    if (into == from) {
        merge_with_itself(into, &profile);
        return 0;
    }
    uint32_t *room = malloc((profile.code_count + profile.node_count) * sizeof *room);
    if (room == NULL) {
        return -ENOMEM;
    }
    merge(into, &profile, label == NULL ? 0 : root_named(into, label), room,
          room + profile.code_count);
    free(room);
    return flame_store_overflowed_sigsafe(into) ? -ENOSPC : 0;
}
