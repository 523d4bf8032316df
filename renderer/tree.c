#include "renderer/tree.h"

#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX
/* Indices are 32 bits; tables are twice as large as what they hold. */
#define COUNT_MAX (UINT32_C(1) << 30)

/* ---- the builder: functions and places interned as they are met -------------- */

/* A place before it is sorted. A parent's index is smaller than its children's. */
struct sprout {
    uint32_t parent;
    uint32_t function;
    uint64_t self;
    uint64_t samples;
    struct flame_times times; /* self */
    uint64_t before;
};

/* Open addressing: indices + 1, 0 for free. Hits are verified by the caller. */
struct table {
    uint32_t *slots;
    uint32_t size; /* a power of two, or 0 */
};

struct builder {
    struct flame_function *functions;
    struct sprout *sprouts;
    uint32_t function_count, function_capacity;
    uint32_t sprout_count, sprout_capacity;
    struct table by_function, by_child;
    uint64_t weight; /* of all, so that no sum can overflow */
    uint64_t samples;
    uint32_t *place_of; /* by sprout, once it is finished; NULL: nobody asks */
    bool asked;         /* somebody will */
    char *text;         /* large enough for all that will come */
    size_t text_used;
};

static uint64_t hash_bytes(uint64_t hash, struct flame_slice bytes)
{
    for (size_t at = 0; at < bytes.length; at++) {
        hash = (hash ^ (unsigned char)bytes.data[at]) * UINT64_C(0x100000001b3);
    }
    return (hash ^ bytes.length) * UINT64_C(0x9e3779b97f4a7c15);
}

static uint32_t mix(uint64_t value)
{
    value *= UINT64_C(0x9e3779b97f4a7c15);
    value ^= value >> 32;
    value *= UINT64_C(0xd6e8feb86659fd93);
    return (uint32_t)(value >> 32);
}

static uint32_t hash_function(const struct flame_function *function)
{
    uint64_t hash = hash_bytes(UINT64_C(0xcbf29ce484222325), function->name);

    return mix(hash_bytes(hash, function->file) + function->line);
}

static uint32_t hash_child(uint32_t parent, uint32_t function)
{
    return mix((uint64_t)parent << 32 | function);
}

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

static void table_put(struct table *table, uint32_t hash, uint32_t index)
{
    uint32_t at = hash & (table->size - 1);

    while (table->slots[at] != 0) {
        at = (at + 1) & (table->size - 1);
    }
    table->slots[at] = index + 1;
}

/* Room for one more element behind `array`, at least doubling it. */
static bool grow(void **array, uint32_t count, uint32_t *capacity, size_t size)
{
    uint32_t wanted = *capacity == 0 ? 64 : *capacity * 2;

    if (count < *capacity) {
        return true;
    }
    if (wanted > COUNT_MAX) {
        return false;
    }
    void *larger = realloc(*array, wanted * size);
    if (larger == NULL) {
        return false;
    }
    *array = larger;
    *capacity = wanted;
    return true;
}

static bool table_clear(struct table *table, uint32_t capacity)
{
    uint32_t *slots = calloc((size_t)capacity * 2, sizeof *slots);

    if (slots == NULL) {
        return false;
    }
    free(table->slots);
    table->slots = slots;
    table->size = capacity * 2;
    return true;
}

static bool grow_functions(struct builder *builder)
{
    uint32_t before = builder->function_capacity;

    if (!grow((void **)&builder->functions, builder->function_count,
              &builder->function_capacity, sizeof *builder->functions)) {
        return false;
    }
    if (builder->function_capacity == before) {
        return true;
    }
    if (!table_clear(&builder->by_function, builder->function_capacity)) {
        return false;
    }
    for (uint32_t i = 0; i < builder->function_count; i++) {
        table_put(&builder->by_function, hash_function(&builder->functions[i]), i);
    }
    return true;
}

static bool grow_sprouts(struct builder *builder)
{
    uint32_t before = builder->sprout_capacity;

    if (!grow((void **)&builder->sprouts, builder->sprout_count,
              &builder->sprout_capacity, sizeof *builder->sprouts)) {
        return false;
    }
    if (builder->sprout_capacity == before) {
        return true;
    }
    if (!table_clear(&builder->by_child, builder->sprout_capacity)) {
        return false;
    }
    for (uint32_t i = 0; i < builder->sprout_count; i++) {
        const struct sprout *sprout = &builder->sprouts[i];
        table_put(&builder->by_child, hash_child(sprout->parent, sprout->function), i);
    }
    return true;
}

static struct flame_slice keep(struct builder *builder, struct flame_slice text)
{
    char *copy = builder->text + builder->text_used;

    if (text.length != 0) {
        memmove(copy, text.data, text.length);
    }
    builder->text_used += text.length;
    return (struct flame_slice){copy, text.length};
}

/* Finds or adds; NONE: out of memory. */
static uint32_t intern_function(struct builder *builder, struct flame_function function)
{
    uint32_t hash = hash_function(&function);

    if (!grow_functions(builder)) {
        return NONE;
    }
    for (uint32_t at = hash;; at++) {
        uint32_t slot =
            builder->by_function.slots[at & (builder->by_function.size - 1)];
        if (slot == 0) {
            break;
        }
        if (function_equal(&builder->functions[slot - 1], &function)) {
            return slot - 1;
        }
    }
    function.name = keep(builder, function.name);
    function.file = keep(builder, function.file);
    builder->functions[builder->function_count] = function;
    table_put(&builder->by_function, hash, builder->function_count);
    return builder->function_count++;
}

/* Finds or adds; NONE: out of memory. */
static uint32_t intern_child(struct builder *builder, uint32_t parent,
                             uint32_t function)
{
    uint32_t hash = hash_child(parent, function);

    if (!grow_sprouts(builder)) {
        return NONE;
    }
    for (uint32_t at = hash;; at++) {
        uint32_t slot = builder->by_child.slots[at & (builder->by_child.size - 1)];
        if (slot == 0) {
            break;
        }
        const struct sprout *sprout = &builder->sprouts[slot - 1];
        if (sprout->parent == parent && sprout->function == function) {
            return slot - 1;
        }
    }
    builder->sprouts[builder->sprout_count] =
        (struct sprout){.parent = parent, .function = function};
    table_put(&builder->by_child, hash, builder->sprout_count);
    return builder->sprout_count++;
}

static bool builder_start(struct builder *builder, size_t text, const char *root)
{
    uint32_t function;

    *builder = (struct builder){0};
    /* Untouched pages cost nothing, so the bound may be generous. */
    builder->text = malloc(text + strlen(root) + 1);
    if (builder->text == NULL) {
        return false;
    }
    function =
        intern_function(builder, (struct flame_function){.name = {root, strlen(root)}});
    return function != NONE && intern_child(builder, NONE, function) != NONE;
}

static void builder_free(struct builder *builder)
{
    free(builder->functions);
    free(builder->sprouts);
    free(builder->by_function.slots);
    free(builder->by_child.slots);
    free(builder->place_of);
    free(builder->text);
}

static void add_clamped(uint64_t *sum, uint64_t *all, uint64_t value)
{
    if (value > UINT64_MAX - *all) {
        value = UINT64_MAX - *all;
    }
    *all += value;
    *sum += value;
}

/* Weights beyond what 64 bits can sum are clamped: 584 years, in nanoseconds. */
static void add_weight(struct builder *builder, uint32_t sprout, uint64_t weight,
                       uint64_t samples)
{
    add_clamped(&builder->sprouts[sprout].self, &builder->weight, weight);
    add_clamped(&builder->sprouts[sprout].samples, &builder->samples, samples);
}

static void add_times(struct flame_times *sum, const struct flame_times *times)
{
    for (int state = 0; state < FLAME_STATES; state++) {
        sum->wall[state] += times->wall[state];
    }
    sum->cpu += times->cpu;
}

/* ---- from the builder to preorder --------------------------------------------- */

static int compare_slices(struct flame_slice a, struct flame_slice b)
{
    size_t shorter = a.length < b.length ? a.length : b.length;
    int order = shorter == 0 ? 0 : memcmp(a.data, b.data, shorter);

    return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

static int compare_functions(const void *left, const void *right)
{
    const struct flame_function *a = left;
    const struct flame_function *b = right;
    int order = compare_slices(a->name, b->name);

    if (order == 0) {
        order = compare_slices(a->file, b->file);
    }
    return order != 0 ? order : (a->line > b->line) - (a->line < b->line);
}

/* Sorts the functions and renumbers the sprouts: a number is now a rank. */
static bool rank_functions(struct builder *builder)
{
    uint32_t count = builder->function_count;
    struct flame_function *sorted = malloc(count * sizeof *sorted);
    uint32_t *ranks = malloc(count * sizeof *ranks);

    if (sorted == NULL || ranks == NULL) {
        free(sorted);
        free(ranks);
        return false;
    }
    memcpy(sorted, builder->functions, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_functions);
    for (uint32_t rank = 0; rank < count; rank++) {
        const struct flame_function *function = &sorted[rank];
        uint32_t at = hash_function(function);
        for (;; at++) {
            uint32_t slot =
                builder->by_function.slots[at & (builder->by_function.size - 1)];
            if (function_equal(&builder->functions[slot - 1], function)) {
                ranks[slot - 1] = rank;
                break;
            }
        }
    }
    for (uint32_t i = 0; i < builder->sprout_count; i++) {
        builder->sprouts[i].function = ranks[builder->sprouts[i].function];
    }
    free(builder->functions);
    free(ranks);
    builder->functions = sorted;
    return true;
}

/* Links into lists, NONE at the ends. */
struct links {
    uint32_t *of_rank; /* first sprout of each function */
    uint32_t *same;    /* next sprout of the same function */
    uint32_t *child;   /* first child of each sprout */
    uint32_t *sibling;
};

static void links_free(struct links *links)
{
    free(links->of_rank);
    free(links->same);
    free(links->child);
    free(links->sibling);
}

static bool links_new(struct links *links, uint32_t functions, uint32_t sprouts)
{
    links->of_rank = malloc(functions * sizeof(uint32_t));
    links->same = malloc(sprouts * sizeof(uint32_t));
    links->child = malloc(sprouts * sizeof(uint32_t));
    links->sibling = malloc(sprouts * sizeof(uint32_t));
    if (links->of_rank == NULL || links->same == NULL || links->child == NULL ||
        links->sibling == NULL) {
        links_free(links);
        return false;
    }
    memset(links->of_rank, 0xff, functions * sizeof(uint32_t));
    memset(links->child, 0xff, sprouts * sizeof(uint32_t));
    memset(links->sibling, 0xff, sprouts * sizeof(uint32_t));
    return true;
}

/* From the last rank to the first, each put in front: children come out sorted. */
static void link_children(const struct builder *builder, struct links *links)
{
    for (uint32_t i = 0; i < builder->sprout_count; i++) {
        uint32_t *head = &links->of_rank[builder->sprouts[i].function];
        links->same[i] = *head;
        *head = i;
    }
    for (uint32_t rank = builder->function_count; rank-- > 0;) {
        for (uint32_t i = links->of_rank[rank]; i != NONE; i = links->same[i]) {
            uint32_t parent = builder->sprouts[i].parent;
            if (parent == NONE) {
                continue;
            }
            links->sibling[i] = links->child[parent];
            links->child[parent] = i;
        }
    }
}

/* The walk goes down, then sideways, then up: no recursion, whatever the depth. */
static void lay_out(const struct builder *builder, const struct links *links,
                    struct flame_place *places)
{
    uint32_t sprout = 0;
    uint32_t count = 0;
    uint32_t depth = 0;

    for (;;) {
        const struct sprout *from = &builder->sprouts[sprout];
        if (builder->place_of != NULL) {
            builder->place_of[sprout] = count;
        }
        places[count++] = (struct flame_place){.function = from->function,
                                               .depth = depth,
                                               .self = from->self,
                                               .self_samples = from->samples,
                                               .times = from->times,
                                               .before = from->before};
        if (links->child[sprout] != NONE) {
            sprout = links->child[sprout];
            depth++;
            continue;
        }
        while (links->sibling[sprout] == NONE) {
            sprout = builder->sprouts[sprout].parent;
            if (sprout == NONE) {
                return;
            }
            depth--;
        }
        sprout = links->sibling[sprout];
    }
}

/* Closes the open places from `depth` down: each ends at `end`, its parent grows. */
static void close_places(struct flame_place *places, const uint32_t *open,
                         uint32_t open_count, uint32_t depth, uint32_t end)
{
    for (; open_count > depth; open_count--) {
        struct flame_place *place = &places[open[open_count - 1]];
        place->end = end;
        if (open_count > 1) {
            struct flame_place *parent = &places[open[open_count - 2]];
            parent->total += place->total;
            parent->samples += place->samples;
            parent->before += place->before;
            add_times(&parent->times, &place->times);
        }
    }
}

/* Totals and ends. `open` holds, per depth, the place whose subtree goes on. */
static bool sum_up(struct flame_tree *tree)
{
    uint32_t *open = malloc(tree->place_count * sizeof *open);
    uint32_t open_count = 0;

    if (open == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < tree->place_count; i++) {
        struct flame_place *place = &tree->places[i];
        place->total = place->self;
        place->samples = place->self_samples;
        close_places(tree->places, open, open_count, place->depth, i);
        open[place->depth] = i;
        open_count = place->depth + 1;
    }
    close_places(tree->places, open, open_count, 0, tree->place_count);
    free(open);
    return true;
}

static bool finish(struct builder *builder, struct flame_tree *tree)
{
    struct links links;

    if (!rank_functions(builder) ||
        !links_new(&links, builder->function_count, builder->sprout_count)) {
        return false;
    }
    link_children(builder, &links);
    if (builder->asked) {
        builder->place_of = malloc(builder->sprout_count * sizeof *builder->place_of);
    }
    tree->places = malloc(builder->sprout_count * sizeof *tree->places);
    if (tree->places != NULL) {
        lay_out(builder, &links, tree->places);
    }
    links_free(&links);
    tree->place_count = builder->sprout_count;
    return tree->places != NULL && (!builder->asked || builder->place_of != NULL) &&
           sum_up(tree);
}

/* NULL: out of memory, or it was not ok. The builder has still to be freed. */
static struct flame_tree *to_tree(struct builder *builder, bool ok, bool is_time)
{
    struct flame_tree *tree = ok ? calloc(1, sizeof *tree) : NULL;

    if (tree != NULL && !finish(builder, tree)) {
        flame_tree_free(tree);
        tree = NULL;
    }
    if (tree != NULL) {
        tree->functions = builder->functions;
        tree->function_count = builder->function_count;
        tree->text = builder->text;
        tree->is_time = is_time;
        tree->has_samples = builder->samples != 0;
        builder->functions = NULL;
        builder->text = NULL;
    }
    return tree;
}

void flame_tree_free(struct flame_tree *tree)
{
    if (tree == NULL) {
        return;
    }
    free(tree->functions);
    free(tree->places);
    free(tree->stretches);
    free(tree->text);
    free(tree);
}

bool flame_tree_is_empty(const struct flame_tree *tree)
{
    return tree->places[0].total == 0;
}

static size_t text_of(const struct flame_tree *tree)
{
    size_t length = 0;

    for (uint32_t i = 0; i < tree->function_count; i++) {
        length += tree->functions[i].name.length + tree->functions[i].file.length;
    }
    return length;
}

/* Adds a tree's places, as what is (samples, too) or as what was. */
static bool add_tree(struct builder *builder, const struct flame_tree *tree, bool is)
{
    uint32_t *functions = malloc(tree->function_count * sizeof *functions);
    uint32_t *sprouts = malloc(tree->place_count * sizeof *sprouts);
    uint32_t *parents = flame_tree_parents(tree);
    uint64_t before = 0;
    bool ok = functions != NULL && sprouts != NULL && parents != NULL;

    for (uint32_t i = 0; ok && i < tree->function_count; i++) {
        functions[i] = intern_function(builder, tree->functions[i]);
        ok = functions[i] != NONE;
    }
    for (uint32_t i = 0; ok && i < tree->place_count; i++) {
        const struct flame_place *place = &tree->places[i];
        sprouts[i] = i == 0 ? 0
                            : intern_child(builder, sprouts[parents[i]],
                                           functions[place->function]);
        ok = sprouts[i] != NONE;
        if (ok && is) {
            add_weight(builder, sprouts[i], place->self, place->self_samples);
        } else if (ok) {
            add_clamped(&builder->sprouts[sprouts[i]].before, &before, place->self);
        }
    }
    free(functions);
    free(sprouts);
    free(parents);
    return ok;
}

struct flame_tree *flame_tree_difference(const struct flame_tree *before,
                                         const struct flame_tree *after, bool absolute)
{
    struct builder builder;

    if (before->is_time != after->is_time) {
        return NULL;
    }
    bool ok = builder_start(&builder, text_of(before) + text_of(after), "[all]") &&
              add_tree(&builder, after, true) && add_tree(&builder, before, false);
    struct flame_tree *tree = to_tree(&builder, ok, after->is_time);
    if (tree != NULL) {
        uint64_t whole = absolute ? tree->places[0].total : tree->places[0].before;
        tree->all_before = whole != 0 ? whole : 1;
    }
    builder_free(&builder);
    return tree;
}

uint32_t *flame_tree_parents(const struct flame_tree *tree)
{
    uint32_t *parents = malloc(tree->place_count * sizeof *parents);
    uint32_t above = 0;

    for (uint32_t i = 0; parents != NULL && i < tree->place_count; i++) {
        while (above != 0 && tree->places[above].end <= i) {
            above = parents[above];
        }
        parents[i] = above;
        above = i;
    }
    return parents;
}

bool flame_function_is_synthetic(const struct flame_function *function)
{
    return function->file.length == 0 && function->name.length >= 2 &&
           function->name.data[0] == '[' &&
           function->name.data[function->name.length - 1] == ']';
}

/* ---- from a profile ------------------------------------------------------------ */

static uint64_t weigh(const struct flame_node *node, enum flame_clock clock)
{
    switch (clock) {
    case FLAME_CLOCK_CPU:
        return node->cpu_ns;
    case FLAME_CLOCK_OFFCPU:
        return flame_node_wall(node) - node->wall_ns[FLAME_RUNNING];
    case FLAME_CLOCK_GIL:
        return node->wall_ns[FLAME_GIL_WAIT];
    default:
        return flame_node_wall(node);
    }
}

static void add_node(struct builder *builder, uint32_t sprout,
                     const struct flame_node *node, enum flame_clock clock)
{
    struct flame_times times = {.cpu = node->cpu_ns};

    memcpy(times.wall, node->wall_ns, sizeof times.wall);
    add_weight(builder, sprout, weigh(node, clock), node->samples);
    add_times(&builder->sprouts[sprout].times, &times);
}

static bool add_nodes(struct builder *builder, const struct flame_profile *profile,
                      enum flame_clock clock, const uint32_t *functions,
                      uint32_t *places)
{
    places[0] = 0;
    add_node(builder, 0, &profile->nodes[0], clock);
    for (uint32_t i = 1; i < profile->node_count; i++) {
        const struct flame_node *node = &profile->nodes[i];
        places[i] = places[node->parent];
        if (node->code != FLAME_CODE_OF_PARENT) {
            places[i] = intern_child(builder, places[i], functions[node->code]);
        }
        if (places[i] == NONE) {
            return false;
        }
        add_node(builder, places[i], node, clock);
    }
    return true;
}

static bool add_codes(struct builder *builder, const struct flame_profile *profile,
                      uint32_t *functions)
{
    for (uint32_t i = 0; i < profile->code_count; i++) {
        const struct flame_code *code = &profile->codes[i];
        functions[i] = intern_function(
            builder, (struct flame_function){code->name, code->file, code->first_line});
        if (functions[i] == NONE) {
            return false;
        }
    }
    return true;
}

/* sprouts: by node. place_of: by sprout. */
static bool add_stretches(struct flame_tree *tree, const struct flame_profile *profile,
                          const uint32_t *sprouts, const uint32_t *place_of)
{
    uint32_t count = profile->stretch_count;

    if (count == 0) {
        return true;
    }
    tree->stretches = malloc(count * sizeof *tree->stretches);
    if (tree->stretches == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct flame_stretch *from = &profile->stretches[i];
        tree->stretches[i] =
            (struct flame_stretch){place_of[sprouts[from->node]], from->microseconds};
    }
    tree->stretch_count = count;
    return true;
}

struct flame_tree *flame_tree_from_profile(const struct flame_profile *profile,
                                           enum flame_clock clock)
{
    struct builder builder;
    size_t text = 0;

    for (uint32_t i = 0; i < profile->code_count; i++) {
        text += profile->codes[i].name.length + profile->codes[i].file.length;
    }
    uint32_t *functions = malloc((profile->code_count + 1) * sizeof *functions);
    uint32_t *places = malloc(profile->node_count * sizeof *places);
    bool ok = builder_start(&builder, text, "[request]") && functions != NULL &&
              places != NULL && add_codes(&builder, profile, functions) &&
              add_nodes(&builder, profile, clock, functions, places);
    builder.asked = true;
    struct flame_tree *tree = to_tree(&builder, ok, true);
    if (tree != NULL && !add_stretches(tree, profile, places, builder.place_of)) {
        flame_tree_free(tree);
        tree = NULL;
    }
    if (tree != NULL) {
        tree->has_times = true;
    }
    builder_free(&builder);
    free(functions);
    free(places);
    return tree;
}

/* ---- from folded text ----------------------------------------------------------- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/*
 * Undoes one escape at the front of `rest` into *out; returns the bytes it
 * took, 0 if it is none of those that flame_render_folded() writes. A path
 * such as C:\x64 in other people's folded text stays what it is.
 */
static size_t undo_escape(struct flame_slice rest, uint32_t *value)
{
    size_t digits = rest.length > 1 && rest.data[1] == 'u' ? 4 : 2;

    *value = 0;
    if (rest.length < digits + 2 || rest.data[0] != '\\' ||
        (rest.data[1] != 'x' && rest.data[1] != 'u')) {
        return 0;
    }
    for (size_t at = 2; at < digits + 2; at++) {
        int digit = hex_digit(rest.data[at]);
        if (digit < 0) {
            return 0;
        }
        *value = *value << 4 | (uint32_t)digit;
    }
    if (digits == 2 && *value >= 0x20 && *value < 0x7f && *value != ';' &&
        *value != '\\') {
        return 0;
    }
    return digits == 4 && *value < 0x80 ? 0 : digits + 2;
}

static char *put_code_point(char *to, uint32_t value)
{
    if (value >= 0x800) {
        *to++ = (char)(0xe0 | value >> 12);
        *to++ = (char)(0x80 | (value >> 6 & 0x3f));
    } else {
        *to++ = (char)(0xc0 | value >> 6);
    }
    *to++ = (char)(0x80 | (value & 0x3f));
    return to;
}

/* Into the builder's spare text, where interning will find or keep it. */
static struct flame_slice unescape(char *to, struct flame_slice text)
{
    char *start = to;

    while (text.length != 0) {
        uint32_t value;
        size_t used = text.data[0] == '\\' ? undo_escape(text, &value) : 0;
        if (used == 0) {
            *to++ = text.data[0];
            used = 1;
        } else if (used == 6) {
            to = put_code_point(to, value);
        } else {
            *to++ = (char)value;
        }
        text.data += used;
        text.length -= used;
    }
    return (struct flame_slice){start, (size_t)(to - start)};
}

/* "name (file:12)" taken apart; anything else is a name. Slices of `frame`. */
static struct flame_function split_frame(struct flame_slice frame)
{
    struct flame_function whole = {.name = frame};
    const char *open = memmem(frame.data, frame.length, " (", 2);
    const char *end = frame.data + frame.length - 1;
    const char *colon = end;
    uint64_t line = 0;

    if (open == NULL || *end != ')') {
        return whole;
    }
    while (colon > open + 2 && *colon != ':') {
        colon--;
    }
    if (colon <= open + 2 || end - colon < 2 || end - colon > 10) {
        return whole;
    }
    for (const char *at = colon + 1; at < end; at++) {
        if (*at < '0' || *at > '9') {
            return whole;
        }
        line = line * 10 + (uint64_t)(*at - '0');
    }
    return (struct flame_function){.name = {frame.data, (size_t)(open - frame.data)},
                                   .file = {open + 2, (size_t)(colon - open - 2)},
                                   .line = (uint32_t)line};
}

static uint32_t intern_frame(struct builder *builder, struct flame_slice frame)
{
    char *spare = builder->text + builder->text_used;
    struct flame_function function = {0};

    if (frame.length == 0) {
        return intern_function(builder, function);
    }
    function = split_frame(frame);
    if (memchr(frame.data, '\\', frame.length) != NULL) {
        function.name = unescape(spare, function.name);
        function.file = unescape(spare + function.name.length, function.file);
    }
    return intern_function(builder, function);
}

struct number {
    uint64_t whole;
    uint32_t thousandths;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits and perhaps a point; false: too large, or no number. What is less than a
 * thousandth is dropped. */
static bool read_number(struct flame_slice text, struct number *number)
{
    const char *point = memchr(text.data, '.', text.length);
    size_t digits = point != NULL ? (size_t)(point - text.data) : text.length;
    uint32_t scale = 100;

    *number = (struct number){0, 0};
    for (size_t at = 0; at < digits; at++) {
        uint64_t digit = (uint64_t)(text.data[at] - '0');
        if (__builtin_mul_overflow(number->whole, UINT64_C(10), &number->whole) ||
            __builtin_add_overflow(number->whole, digit, &number->whole)) {
            return false;
        }
    }
    for (size_t at = digits + 1; at < text.length; at++) {
        if (text.data[at] == '.') {
            return false;
        }
        number->thousandths += (uint32_t)(text.data[at] - '0') * scale;
        scale /= 10;
    }
    return digits > 0;
}

/* Takes the number at the end of a line, and the space before it; false: there is none.
 */
static bool take_number(struct flame_slice *line, struct number *number)
{
    size_t start = line->length;

    while (start > 0 &&
           (is_digit(line->data[start - 1]) || line->data[start - 1] == '.')) {
        start--;
    }
    if (start < 2 || start == line->length || line->data[start - 1] != ' ' ||
        !read_number((struct flame_slice){line->data + start, line->length - start},
                     number)) {
        return false;
    }
    line->length = start - 1;
    return true;
}

/* How folded text is to be read. */
struct dialect {
    enum flame_unit unit;
    bool two_columns;  /* what was, and what is */
    uint64_t fraction; /* of samples: thousandths that have not been counted yet */
    uint64_t fraction_before; /* the same of what was */
    uint64_t before;          /* of all, so that no sum can overflow */
};

/* The place of a stack, made if need be; NONE: out of memory. */
static uint32_t add_stack(struct builder *builder, struct flame_slice stack)
{
    uint32_t place = 0;

    for (;;) {
        const char *end = memchr(stack.data, ';', stack.length);
        size_t length = end != NULL ? (size_t)(end - stack.data) : stack.length;
        uint32_t function =
            intern_frame(builder, (struct flame_slice){stack.data, length});
        if (function == NONE) {
            return NONE;
        }
        place = intern_child(builder, place, function);
        if (place == NONE || end == NULL) {
            return place;
        }
        stack.data += length + 1;
        stack.length -= length + 1;
    }
}

/* In nanoseconds or samples, of which a fraction is kept for the next; false: too
 * large. */
static bool to_weight(struct number number, struct dialect *dialect, uint64_t *fraction,
                      uint64_t *weight)
{
    if (dialect->unit == FLAME_UNIT_SAMPLES) {
        *fraction += number.thousandths;
        *weight = *fraction / 1000;
        *fraction %= 1000;
        return !__builtin_add_overflow(*weight, number.whole, weight);
    }
    return !__builtin_mul_overflow(number.whole, UINT64_C(1000), weight) &&
           !__builtin_add_overflow(*weight, number.thousandths, weight);
}

/* -1: out of memory, 0: ignored, 1: taken */
static int add_line(struct builder *builder, struct flame_slice line,
                    struct dialect *dialect)
{
    struct number number;
    uint64_t is;
    uint64_t was = 0;

    if (!take_number(&line, &number) ||
        !to_weight(number, dialect, &dialect->fraction, &is) ||
        is > UINT64_MAX - builder->weight) {
        return 0;
    }
    if (dialect->two_columns &&
        (!take_number(&line, &number) ||
         !to_weight(number, dialect, &dialect->fraction_before, &was) ||
         was > UINT64_MAX - dialect->before)) {
        return 0;
    }
    uint32_t place = add_stack(builder, line);
    if (place == NONE) {
        return -1;
    }
    add_weight(builder, place, is, dialect->unit == FLAME_UNIT_SAMPLES ? is : 0);
    add_clamped(&builder->sprouts[place].before, &dialect->before, was);
    return 1;
}

static struct flame_slice trim(struct flame_slice line)
{
    while (line.length != 0 && memchr(" \t\r", line.data[line.length - 1], 3) != NULL) {
        line.length--;
    }
    return line;
}

/* The next line without its end, or without what is no part of it; false: no more. */
static bool next_line(struct flame_slice *text, struct flame_slice *line)
{
    if (text->length == 0) {
        return false;
    }
    const char *newline = memchr(text->data, '\n', text->length);
    size_t length = newline != NULL ? (size_t)(newline - text->data) : text->length;
    size_t used = newline != NULL ? length + 1 : length;

    *line = trim((struct flame_slice){text->data, length});
    text->data += used;
    text->length -= used;
    return true;
}

static bool is_comment(struct flame_slice line)
{
    return line.length == 0 || line.data[0] == '#';
}

/* Lines looked at to see whether all have two numbers. */
#define LINES_TO_BE_SURE 100

static bool has_two_columns(struct flame_slice text)
{
    struct flame_slice line;
    struct number number;
    uint32_t count = 0;

    while (count < LINES_TO_BE_SURE && next_line(&text, &line)) {
        if (is_comment(line)) {
            continue;
        }
        if (!take_number(&line, &number) || !take_number(&line, &number)) {
            return false;
        }
        count++;
    }
    return count > 0;
}

struct flame_tree *flame_tree_from_folded(const char *text, size_t length,
                                          enum flame_unit unit, uint64_t *ignored_lines)
{
    struct builder builder;
    struct flame_slice rest = {text, length};
    struct flame_slice line;
    struct dialect dialect = {.unit = unit, .two_columns = has_two_columns(rest)};
    bool ok = builder_start(&builder, length, "[all]");

    *ignored_lines = 0;
    while (ok && next_line(&rest, &line)) {
        int taken = is_comment(line) ? 1 : add_line(&builder, line, &dialect);
        ok = taken >= 0;
        *ignored_lines += taken == 0;
    }
    struct flame_tree *tree = to_tree(&builder, ok, unit == FLAME_UNIT_MICROSECONDS);
    if (tree != NULL && dialect.two_columns) {
        tree->all_before = tree->places[0].before != 0 ? tree->places[0].before : 1;
    }
    builder_free(&builder);
    return tree;
}
