#include "renderer/tree/builder.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

/* Indices are 32 bits; tables are twice as large as what they hold. */
#define COUNT_MAX (UINT32_C(1) << 30)
#define TEXT_BLOCK ((size_t)1 << 16)

/* A place before it is sorted. A parent's index is smaller than its children's. */
struct flame_sprout {
    union {
        flame_path path; /* while it grows */
        struct {         /* while it is sorted; FLAME_NONE: there is none */
            uint32_t child, sibling;
        };
    };
    uint64_t self;
    uint32_t parent;
    uint32_t function;
};

/* ---- hashing ------------------------------------------------------------------- */

/* Multiplied into 128 bits, whose halves are folded: every bit depends on every one. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t load(const char *bytes, size_t count)
{
    uint64_t value = 0;

    memcpy(&value, bytes, count);
    return value;
}

uint64_t flame_builder_hash(const struct flame_builder *builder,
                            struct flame_slice frame)
{
    const char *at = frame.data;
    size_t left = frame.length;
    uint64_t hash = builder->keys[0] ^ left;

    for (; left > 16; at += 16, left -= 16) {
        hash = fold(load(at, 8) ^ builder->keys[1], load(at + 8, 8) ^ hash);
    }
    uint64_t low = 0;
    uint64_t high = 0;
    if (left >= 8) {
        low = load(at, 8);
        high = load(at + left - 8, 8);
    } else if (left > 0) {
        low = load(at, left);
    }
    return fold(low ^ builder->keys[1], high ^ hash);
}

flame_path flame_builder_step(const struct flame_builder *builder, flame_path above,
                              uint64_t frame)
{
    return fold(above ^ builder->keys[0], frame ^ builder->keys[1]);
}

static void choose_keys(struct flame_builder *builder)
{
    struct timespec now;

    if (getrandom(builder->keys, sizeof builder->keys, GRND_NONBLOCK) !=
        (ssize_t)sizeof builder->keys) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        builder->keys[0] = (uint64_t)now.tv_nsec * UINT64_C(0x9e3779b97f4a7c15);
        builder->keys[1] = (uint64_t)(uintptr_t)builder ^ (uint64_t)now.tv_sec;
    }
    /* A key of zero would let a zero through. */
    builder->keys[0] |= 1;
    builder->keys[1] |= 1;
}

static struct flame_slot *slot_at(const struct flame_table *table, uint64_t hash)
{
    return &table->slots[hash & (table->size - 1)];
}

static struct flame_slot *next_slot(const struct flame_table *table,
                                    struct flame_slot *slot)
{
    return slot + 1 == table->slots + table->size ? table->slots : slot + 1;
}

static void table_put(struct flame_table *table, uint64_t hash, uint32_t index)
{
    struct flame_slot *slot = slot_at(table, hash);

    while (slot->index != 0) {
        slot = next_slot(table, slot);
    }
    *slot = (struct flame_slot){index + 1, (uint32_t)(hash >> 32)};
}

static bool table_clear(struct flame_table *table, uint32_t capacity)
{
    free(table->slots);
    table->slots = calloc((size_t)capacity * 2, sizeof *table->slots);
    table->size = table->slots != NULL ? capacity * 2 : 0;
    return table->slots != NULL;
}

/* ---- room ----------------------------------------------------------------------- */

/* Arrays that grow together. */
static bool resize(void *array_of, uint32_t capacity, size_t size)
{
    void **array = array_of;
    void *larger = realloc(*array, capacity * size);

    if (larger == NULL) {
        return false;
    }
    *array = larger;
    return true;
}

/* A power of two that is enough, twice what there was or more; 0: too many. */
static uint32_t capacity_for(uint32_t capacity, uint32_t count)
{
    capacity = capacity == 0 ? 64 : capacity;
    while (capacity < count && capacity <= COUNT_MAX) {
        capacity *= 2;
    }
    return capacity <= COUNT_MAX ? capacity : 0;
}

/* Room for `count` functions. */
static bool grow_functions(struct flame_builder *builder, uint32_t count)
{
    uint32_t capacity = capacity_for(builder->function_capacity, count);

    if (count <= builder->function_capacity) {
        return true;
    }
    if (capacity == 0 ||
        !resize(&builder->functions, capacity, sizeof *builder->functions) ||
        !resize(&builder->function_hashes, capacity, sizeof(uint64_t)) ||
        !table_clear(&builder->by_function, capacity)) {
        return false;
    }
    builder->function_capacity = capacity;
    for (uint32_t i = 0; i < builder->function_count; i++) {
        table_put(&builder->by_function, builder->function_hashes[i], i);
    }
    return true;
}

/* Room for `count` places. */
static bool grow_sprouts(struct flame_builder *builder, uint32_t count, bool detailed)
{
    uint32_t capacity = capacity_for(builder->sprout_capacity, count);

    if (count <= builder->sprout_capacity) {
        return true;
    }
    if (capacity == 0 ||
        !resize(&builder->sprouts, capacity, sizeof *builder->sprouts) ||
        (detailed && !resize(&builder->details, capacity, sizeof *builder->details)) ||
        !table_clear(&builder->by_path, capacity)) {
        return false;
    }
    builder->sprout_capacity = capacity;
    for (uint32_t i = 0; i < builder->sprout_count; i++) {
        table_put(&builder->by_path, builder->sprouts[i].path, i);
    }
    return true;
}

bool flame_builder_reserve(struct flame_builder *builder, uint32_t functions,
                           uint32_t places)
{
    return grow_functions(builder, functions) &&
           grow_sprouts(builder, places, builder->details != NULL);
}

static struct flame_text *text_block(struct flame_text *next, size_t size)
{
    struct flame_text *block = malloc(sizeof *block + size);

    if (block != NULL) {
        *block = (struct flame_text){.next = next, .size = size};
    }
    return block;
}

/* A copy that lives as long as the tree; false: out of memory. */
static bool keep(struct flame_builder *builder, struct flame_slice *text)
{
    struct flame_text *block = builder->text;

    if (text->length == 0) {
        *text = (struct flame_slice){"", 0};
        return true;
    }
    if (block == NULL || block->size - block->used < text->length) {
        size_t size = text->length > TEXT_BLOCK ? text->length : TEXT_BLOCK;
        block = text_block(builder->text, size);
        if (block == NULL) {
            return false;
        }
        builder->text = block;
    }
    char *copy = block->bytes + block->used;
    memcpy(copy, text->data, text->length);
    block->used += text->length;
    text->data = copy;
    return true;
}

/* ---- interning --------------------------------------------------------------------
 */

static bool slice_equal(struct flame_slice a, struct flame_slice b)
{
    return a.length == b.length && (a.length == 0 || !memcmp(a.data, b.data, a.length));
}

static bool function_equal(const struct flame_function *a,
                           const struct flame_function *b)
{
    return a->line == b->line && slice_equal(a->name, b->name) &&
           slice_equal(a->file, b->file);
}

static char *put(char *to, const char *bytes, size_t length)
{
    if (length != 0) {
        memcpy(to, bytes, length);
    }
    return to + length;
}

static char *put_number(char *to, uint32_t value)
{
    char digits[10];
    size_t count = 0;

    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    while (count > 0) {
        *to++ = digits[--count];
    }
    return to;
}

/* As its text hashes, so that both ways of asking lead to one place. */
static bool hash_function(struct flame_builder *builder,
                          const struct flame_function *function, uint64_t *hash)
{
    size_t wanted = function->name.length + function->file.length + 16;

    if (function->file.length == 0 && function->line == 0) {
        *hash = flame_builder_hash(builder, function->name);
        return true;
    }
    if (builder->scratch_size < wanted) {
        char *larger = realloc(builder->scratch, wanted * 2);
        if (larger == NULL) {
            return false;
        }
        builder->scratch = larger;
        builder->scratch_size = wanted * 2;
    }
    char *end = put(builder->scratch, function->name.data, function->name.length);
    end = put(end, " (", 2);
    end = put(end, function->file.data, function->file.length);
    end = put(end, ":", 1);
    end = put_number(end, function->line);
    end = put(end, ")", 1);
    *hash = flame_builder_hash(
        builder,
        (struct flame_slice){builder->scratch, (size_t)(end - builder->scratch)});
    return true;
}

uint32_t flame_builder_function(struct flame_builder *builder,
                                struct flame_function function)
{
    uint64_t hash;

    if (!grow_functions(builder, builder->function_count + 1) ||
        !hash_function(builder, &function, &hash)) {
        return FLAME_NONE;
    }
    struct flame_slot *slot = slot_at(&builder->by_function, hash);
    for (; slot->index != 0; slot = next_slot(&builder->by_function, slot)) {
        if (slot->tag == (uint32_t)(hash >> 32) &&
            function_equal(&builder->functions[slot->index - 1], &function)) {
            return slot->index - 1;
        }
    }
    if (!keep(builder, &function.name) || !keep(builder, &function.file)) {
        return FLAME_NONE;
    }
    *slot = (struct flame_slot){builder->function_count + 1, (uint32_t)(hash >> 32)};
    builder->functions[builder->function_count] = function;
    builder->function_hashes[builder->function_count] = hash;
    return builder->function_count++;
}

flame_path flame_builder_path(const struct flame_builder *builder, uint32_t place)
{
    return builder->sprouts[place].path;
}

uint32_t flame_builder_find(const struct flame_builder *builder, flame_path path)
{
    struct flame_slot *slot = slot_at(&builder->by_path, path);

    for (; slot->index != 0; slot = next_slot(&builder->by_path, slot)) {
        if (slot->tag == (uint32_t)(path >> 32) &&
            builder->sprouts[slot->index - 1].path == path) {
            return slot->index - 1;
        }
    }
    return FLAME_NONE;
}

uint32_t flame_builder_find_function(const struct flame_builder *builder,
                                     uint64_t frame)
{
    struct flame_slot *slot = slot_at(&builder->by_function, frame);

    for (; slot->index != 0; slot = next_slot(&builder->by_function, slot)) {
        if (slot->tag == (uint32_t)(frame >> 32) &&
            builder->function_hashes[slot->index - 1] == frame) {
            return slot->index - 1;
        }
    }
    return FLAME_NONE;
}

void flame_builder_prefetch(const struct flame_builder *builder, flame_path path)
{
    __builtin_prefetch(slot_at(&builder->by_path, path));
}

static uint32_t add_sprout(struct flame_builder *builder, struct flame_sprout sprout,
                           bool detailed)
{
    if (!grow_sprouts(builder, builder->sprout_count + 1, detailed)) {
        return FLAME_NONE;
    }
    table_put(&builder->by_path, sprout.path, builder->sprout_count);
    builder->sprouts[builder->sprout_count] = sprout;
    if (detailed) {
        builder->details[builder->sprout_count] = (struct flame_detail){0};
    }
    return builder->sprout_count++;
}

uint32_t flame_builder_child(struct flame_builder *builder, uint32_t parent,
                             uint32_t function)
{
    flame_path path = flame_builder_step(builder, builder->sprouts[parent].path,
                                         builder->function_hashes[function]);
    struct flame_slot *slot = slot_at(&builder->by_path, path);

    for (; slot->index != 0; slot = next_slot(&builder->by_path, slot)) {
        const struct flame_sprout *sprout = &builder->sprouts[slot->index - 1];
        if (slot->tag == (uint32_t)(path >> 32) && sprout->parent == parent &&
            sprout->function == function) {
            return slot->index - 1;
        }
    }
    return add_sprout(
        builder,
        (struct flame_sprout){.path = path, .parent = parent, .function = function},
        builder->details != NULL);
}

bool flame_builder_start(struct flame_builder *builder, struct flame_function root,
                         bool detailed)
{
    *builder = (struct flame_builder){0};
    choose_keys(builder);
    uint32_t function = flame_builder_function(builder, root);
    return function != FLAME_NONE &&
           add_sprout(builder,
                      (struct flame_sprout){.path = builder->function_hashes[function],
                                            .parent = FLAME_NONE,
                                            .function = function},
                      detailed) != FLAME_NONE;
}

void flame_text_free(struct flame_text *text)
{
    while (text != NULL) {
        struct flame_text *next = text->next;
        free(text);
        text = next;
    }
}

void flame_builder_free(struct flame_builder *builder)
{
    free(builder->functions);
    free(builder->function_hashes);
    free(builder->sprouts);
    free(builder->details);
    free(builder->by_function.slots);
    free(builder->by_path.slots);
    free(builder->scratch);
    flame_text_free(builder->text);
    *builder = (struct flame_builder){0};
}

/* ---- weights ----------------------------------------------------------------------
 */

static void add_clamped(uint64_t *sum, uint64_t *all, uint64_t value)
{
    if (value > UINT64_MAX - *all) {
        value = UINT64_MAX - *all;
    }
    *all += value;
    *sum += value;
}

void flame_builder_weigh(struct flame_builder *builder, uint32_t place, uint64_t weight)
{
    add_clamped(&builder->sprouts[place].self, &builder->weight, weight);
}

void flame_builder_samples(struct flame_builder *builder, uint32_t place,
                           uint64_t samples)
{
    add_clamped(&builder->details[place].self_samples, &builder->samples, samples);
}

void flame_builder_before(struct flame_builder *builder, uint32_t place,
                          uint64_t weight)
{
    add_clamped(&builder->details[place].before, &builder->before, weight);
}

static void add_times(struct flame_times *sum, const struct flame_times *times)
{
    for (int state = 0; state < FLAME_STATES; state++) {
        sum->wall[state] += times->wall[state];
    }
    sum->cpu += times->cpu;
}

bool flame_builder_times(struct flame_builder *builder, uint32_t place,
                         const struct flame_times *times)
{
    uint64_t time = builder->time;
    bool fits = !__builtin_add_overflow(time, times->cpu, &time);

    for (int state = 0; state < FLAME_STATES; state++) {
        fits &= !__builtin_add_overflow(time, times->wall[state], &time);
    }
    if (fits) {
        builder->time = time;
        add_times(&builder->details[place].times, times);
    }
    return fits;
}

/* ---- from the builder to preorder --------------------------------------------- */

static int compare_slices(struct flame_slice a, struct flame_slice b)
{
    size_t shorter = a.length < b.length ? a.length : b.length;
    int order = shorter == 0 ? 0 : memcmp(a.data, b.data, shorter);

    return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

struct ranked {
    struct flame_function function;
    uint32_t index;
};

static int compare_functions(const void *left, const void *right)
{
    const struct flame_function *a = &((const struct ranked *)left)->function;
    const struct flame_function *b = &((const struct ranked *)right)->function;
    int order = compare_slices(a->name, b->name);

    if (order == 0) {
        order = compare_slices(a->file, b->file);
    }
    return order != 0 ? order : (a->line > b->line) - (a->line < b->line);
}

/* Sorts the functions and renumbers the sprouts: a number is now a rank. */
static bool rank_functions(struct flame_builder *builder)
{
    uint32_t count = builder->function_count;
    struct ranked *sorted = malloc(count * sizeof *sorted);
    uint32_t *ranks = malloc(count * sizeof *ranks);
    bool ok = sorted != NULL && ranks != NULL;

    for (uint32_t i = 0; ok && i < count; i++) {
        sorted[i] = (struct ranked){builder->functions[i], i};
    }
    if (ok) {
        qsort(sorted, count, sizeof *sorted, compare_functions);
    }
    for (uint32_t rank = 0; ok && rank < count; rank++) {
        builder->functions[rank] = sorted[rank].function;
        ranks[sorted[rank].index] = rank;
    }
    for (uint32_t i = 0; ok && i < builder->sprout_count; i++) {
        builder->sprouts[i].function = ranks[builder->sprouts[i].function];
    }
    free(sorted);
    free(ranks);
    return ok;
}

/* Lists of siblings as they were met, in the room of the paths, which nobody looks for
 * any more. */
static void link_children(struct flame_builder *builder)
{
    struct flame_sprout *sprouts = builder->sprouts;

    for (uint32_t i = 0; i < builder->sprout_count; i++) {
        sprouts[i].child = sprouts[i].sibling = FLAME_NONE;
    }
    for (uint32_t i = builder->sprout_count; i-- > 1;) {
        struct flame_sprout *parent = &sprouts[sprouts[i].parent];
        sprouts[i].sibling = parent->child;
        parent->child = i;
    }
}

/* One list of two that are in the order of their functions. */
static uint32_t merge_lists(struct flame_sprout *sprouts, uint32_t a, uint32_t b)
{
    uint32_t head;
    uint32_t *tail = &head;

    while (a != FLAME_NONE && b != FLAME_NONE) {
        uint32_t *first = sprouts[a].function < sprouts[b].function ? &a : &b;
        *tail = *first;
        tail = &sprouts[*first].sibling;
        *first = *tail;
    }
    *tail = a != FLAME_NONE ? a : b;
    return head;
}

/* lists[i] has 2^i siblings, or none: a list of one is merged with those of its length
 * upwards, as a bit is added to a number. */
static uint32_t sort_siblings(struct flame_sprout *sprouts, uint32_t list)
{
    uint32_t lists[32];
    uint32_t sorted = FLAME_NONE;
    uint32_t used = 0;

    if (list == FLAME_NONE || sprouts[list].sibling == FLAME_NONE) {
        return list;
    }
    while (list != FLAME_NONE) {
        uint32_t one = list;
        uint32_t at = 0;
        list = sprouts[one].sibling;
        sprouts[one].sibling = FLAME_NONE;
        for (; at < used && lists[at] != FLAME_NONE; at++) {
            one = merge_lists(sprouts, lists[at], one);
            lists[at] = FLAME_NONE;
        }
        lists[at] = one;
        used = at == used ? used + 1 : used;
    }
    for (uint32_t at = 0; at < used; at++) {
        sorted = merge_lists(sprouts, lists[at], sorted);
    }
    return sorted;
}

/* The walk goes down, then sideways, then up: no recursion, whatever the depth.
 * Returns the depth of the deepest. */
static uint32_t lay_out(const struct flame_builder *builder, struct flame_tree *tree,
                        uint32_t *place_of)
{
    struct flame_sprout *sprouts = builder->sprouts;
    uint32_t sprout = 0;
    uint32_t count = 0;
    uint32_t depth = 0;
    uint32_t deepest = 0;

    for (;;) {
        const struct flame_sprout *from = &sprouts[sprout];
        if (place_of != NULL) {
            place_of[sprout] = count;
        }
        if (tree->details != NULL) {
            tree->details[count] = builder->details[sprout];
        }
        tree->places[count++] = (struct flame_place){
            .function = from->function, .depth = depth, .self = from->self};
        deepest = depth > deepest ? depth : deepest;
        if (from->child != FLAME_NONE) {
            sprout = sort_siblings(sprouts, from->child);
            depth++;
            continue;
        }
        while (sprouts[sprout].sibling == FLAME_NONE) {
            sprout = sprouts[sprout].parent;
            if (sprout == FLAME_NONE) {
                return deepest;
            }
            depth--;
        }
        sprout = sprouts[sprout].sibling;
    }
}

static void add_to_parent(struct flame_tree *tree, uint32_t place, uint32_t parent)
{
    tree->places[parent].total += tree->places[place].total;
    if (tree->details != NULL) {
        struct flame_detail *above = &tree->details[parent];
        const struct flame_detail *detail = &tree->details[place];
        above->samples += detail->samples;
        above->before += detail->before;
        add_times(&above->times, &detail->times);
    }
}

/* Closes the open places from `depth` down: each ends at `end`, its parent grows. */
static void close_places(struct flame_tree *tree, const uint32_t *open,
                         uint32_t open_count, uint32_t depth, uint32_t end)
{
    for (; open_count > depth; open_count--) {
        tree->places[open[open_count - 1]].end = end;
        if (open_count > 1) {
            add_to_parent(tree, open[open_count - 1], open[open_count - 2]);
        }
    }
}

/* Totals and ends. `open` holds, per depth, the place whose subtree goes on. */
static bool sum_up(struct flame_tree *tree, uint32_t deepest)
{
    uint32_t *open = malloc(((size_t)deepest + 1) * sizeof *open);
    uint32_t open_count = 0;

    if (open == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < tree->place_count; i++) {
        struct flame_place *place = &tree->places[i];
        place->total = place->self;
        if (tree->details != NULL) {
            tree->details[i].samples = tree->details[i].self_samples;
        }
        close_places(tree, open, open_count, place->depth, i);
        open[place->depth] = i;
        open_count = place->depth + 1;
    }
    close_places(tree, open, open_count, 0, tree->place_count);
    free(open);
    return true;
}

static bool sort_into(struct flame_builder *builder, struct flame_tree *tree,
                      uint32_t **place_of)
{
    uint32_t deepest = 0;
    bool ok = rank_functions(builder);

    tree->place_count = builder->sprout_count;
    tree->places = ok ? malloc(tree->place_count * sizeof *tree->places) : NULL;
    ok = tree->places != NULL;
    if (ok && builder->details != NULL) {
        tree->details = malloc(tree->place_count * sizeof *tree->details);
        ok = tree->details != NULL;
    }
    if (ok && place_of != NULL) {
        *place_of = malloc(tree->place_count * sizeof **place_of);
        ok = *place_of != NULL;
    }
    if (ok) {
        link_children(builder);
        deepest = lay_out(builder, tree, place_of != NULL ? *place_of : NULL);
    }
    return ok && sum_up(tree, deepest);
}

struct flame_tree *flame_builder_finish(struct flame_builder *builder, bool is_time,
                                        uint32_t **place_of)
{
    struct flame_tree *tree = calloc(1, sizeof *tree);

    /* What only looking up needs, before anything else is asked for. */
    free(builder->by_function.slots);
    free(builder->by_path.slots);
    builder->by_function = builder->by_path = (struct flame_table){0};
    if (place_of != NULL) {
        *place_of = NULL;
    }
    if (tree != NULL && !sort_into(builder, tree, place_of)) {
        if (place_of != NULL) {
            free(*place_of);
            *place_of = NULL;
        }
        flame_tree_free(tree);
        tree = NULL;
    }
    if (tree != NULL) {
        tree->functions = builder->functions;
        tree->function_count = builder->function_count;
        tree->text = builder->text;
        tree->is_time = is_time;
        tree->has_samples = !is_time || builder->samples != 0;
        builder->functions = NULL;
        builder->text = NULL;
    }
    flame_builder_free(builder);
    return tree;
}
