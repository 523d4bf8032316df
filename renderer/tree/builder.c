#include "renderer/tree/builder.h"
#include "renderer/numbers.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

/* Indices are 32 bits; tables are twice as large as what they hold. */
#define COUNT_MAX (UINT32_C(1) << 30)
#define TEXT_BLOCK ((size_t)1 << 16)

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

static struct flame_slot *free_slot(const struct flame_table *table, uint64_t hash)
{
    struct flame_slot *slot = flame_slot_at(table, hash);

    while (slot->index != 0) {
        slot = flame_slot_after(table, slot);
    }
    return slot;
}

static void table_put(struct flame_table *table, uint64_t hash, uint32_t index)
{
    *free_slot(table, hash) = (struct flame_slot){index + 1, (uint32_t)(hash >> 32)};
}

/* Room for so many, and nothing in it. false: out of memory, and it stays as it was. */
static bool table_clear(struct flame_table *table, uint32_t capacity)
{
    struct flame_slot *slots = calloc((size_t)capacity * 2, sizeof *slots);

    if (slots != NULL) {
        free(table->slots);
        *table = (struct flame_table){slots, capacity * 2};
    }
    return slots != NULL;
}

/* ---- room -------------------------------------------------------------------- */

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
static bool grow_sprouts(struct flame_builder *builder, uint32_t count)
{
    uint32_t capacity = capacity_for(builder->sprout_capacity, count);

    if (count <= builder->sprout_capacity) {
        return true;
    }
    if (capacity == 0 ||
        !resize(&builder->sprouts, capacity, sizeof *builder->sprouts) ||
        (builder->detailed && !resize(&builder->own, capacity, sizeof *builder->own)) ||
        !(builder->blind || table_clear(&builder->by_path, capacity))) {
        return false;
    }
    builder->sprout_capacity = capacity;
    for (uint32_t i = 0; i < builder->sprout_count && !builder->blind; i++) {
        table_put(&builder->by_path, builder->sprouts[i].path, i);
    }
    return true;
}

bool flame_builder_reserve(struct flame_builder *builder, uint32_t functions,
                           uint32_t places)
{
    return grow_functions(builder, functions) && grow_sprouts(builder, places);
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

/* ---- interning --------------------------------------------------------------- */

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

/* As its text hashes, so that both ways of asking lead to one place. */
static bool hash_function(struct flame_builder *builder,
                          const struct flame_function *function, uint64_t *hash)
{
    size_t wanted = function->name.length + function->file.length + FLAME_DIGITS_MAX +
                    sizeof " (:)";

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
    end = flame_put_digits(end, function->line);
    end = put(end, ")", 1);
    *hash = flame_builder_hash(
        builder,
        (struct flame_slice){builder->scratch, (size_t)(end - builder->scratch)});
    return true;
}

/* There is room for it. */
static uint32_t add_function(struct flame_builder *builder,
                             struct flame_function function, uint64_t hash,
                             struct flame_slot *slot)
{
    if (!keep(builder, &function.name) || !keep(builder, &function.file)) {
        return FLAME_NONE;
    }
    builder->functions[builder->function_count] = function;
    builder->function_hashes[builder->function_count] = hash;
    *slot = (struct flame_slot){++builder->function_count, (uint32_t)(hash >> 32)};
    return builder->function_count - 1;
}

uint32_t flame_builder_function(struct flame_builder *builder,
                                struct flame_function function)
{
    uint64_t hash;

    if (!grow_functions(builder, builder->function_count + 1) ||
        !hash_function(builder, &function, &hash)) {
        return FLAME_NONE;
    }
    struct flame_slot *slot = flame_slot_at(&builder->by_function, hash);
    for (; slot->index != 0; slot = flame_slot_after(&builder->by_function, slot)) {
        if (slot->tag == (uint32_t)(hash >> 32) &&
            function_equal(&builder->functions[slot->index - 1], &function)) {
            return slot->index - 1;
        }
    }
    return add_function(builder, function, hash, slot);
}

uint32_t flame_builder_new_function(struct flame_builder *builder,
                                    struct flame_function function, uint64_t frame)
{
    if (!grow_functions(builder, builder->function_count + 1)) {
        return FLAME_NONE;
    }
    return add_function(builder, function, frame,
                        free_slot(&builder->by_function, frame));
}

uint32_t flame_builder_find_function(const struct flame_builder *builder,
                                     uint64_t frame)
{
    struct flame_slot *slot = flame_slot_at(&builder->by_function, frame);

    for (; slot->index != 0; slot = flame_slot_after(&builder->by_function, slot)) {
        if (slot->tag == (uint32_t)(frame >> 32) &&
            builder->function_hashes[slot->index - 1] == frame) {
            return slot->index - 1;
        }
    }
    return FLAME_NONE;
}

static uint32_t add_sprout(struct flame_builder *builder, struct flame_sprout sprout)
{
    if (!grow_sprouts(builder, builder->sprout_count + 1)) {
        return FLAME_NONE;
    }
    if (!builder->blind) {
        table_put(&builder->by_path, sprout.path, builder->sprout_count);
    }
    builder->sprouts[builder->sprout_count] = sprout;
    if (builder->detailed) {
        builder->own[builder->sprout_count] = (struct flame_own){0};
    }
    return builder->sprout_count++;
}

uint32_t flame_builder_child(struct flame_builder *builder, uint32_t parent,
                             uint32_t function)
{
    flame_path path = flame_builder_step(builder, builder->sprouts[parent].path,
                                         builder->function_hashes[function]);
    struct flame_slot *slot = flame_slot_at(&builder->by_path, path);

    for (; slot->index != 0; slot = flame_slot_after(&builder->by_path, slot)) {
        const struct flame_sprout *sprout = &builder->sprouts[slot->index - 1];
        if (slot->tag == (uint32_t)(path >> 32) && sprout->parent == parent &&
            sprout->function == function) {
            return slot->index - 1;
        }
    }
    return add_sprout(
        builder,
        (struct flame_sprout){.path = path, .parent = parent, .function = function});
}

void flame_builder_only_add(struct flame_builder *builder)
{
    free(builder->by_path.slots);
    builder->by_path = (struct flame_table){0};
    builder->blind = true;
}

uint32_t flame_builder_add(struct flame_builder *builder, uint32_t parent,
                           uint32_t function)
{
    return add_sprout(builder,
                      (struct flame_sprout){.parent = parent, .function = function});
}

bool flame_builder_start(struct flame_builder *builder, struct flame_function root,
                         bool detailed)
{
    *builder = (struct flame_builder){.detailed = detailed};
    choose_keys(builder);
    uint32_t function = flame_builder_function(builder, root);
    return function != FLAME_NONE &&
           add_sprout(builder,
                      (struct flame_sprout){.path = builder->function_hashes[function],
                                            .parent = FLAME_NONE,
                                            .function = function}) != FLAME_NONE;
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
    free(builder->own);
    free(builder->by_function.slots);
    free(builder->by_path.slots);
    free(builder->scratch);
    flame_text_free(builder->text);
    *builder = (struct flame_builder){0};
}

/* ---- weights ----------------------------------------------------------------- */

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

void flame_builder_know(struct flame_builder *builder, uint32_t place,
                        enum flame_fact fact, uint64_t value)
{
    add_clamped(&builder->own[place].facts[fact], &builder->facts[fact], value);
}

bool flame_builder_times(struct flame_builder *builder, uint32_t place,
                         const uint64_t times[FLAME_TIMES])
{
    uint64_t time = builder->time;
    bool fits = true;

    for (enum flame_fact fact = 0; fact < FLAME_TIMES; fact++) {
        fits &= !__builtin_add_overflow(time, times[fact], &time);
    }
    for (enum flame_fact fact = 0; fits && fact < FLAME_TIMES; fact++) {
        flame_builder_know(builder, place, fact, times[fact]);
    }
    builder->time = fits ? time : builder->time;
    return fits;
}
