#include "renderer/tree/tree.h"
#include "renderer/tree/builder.h"

#include <stdlib.h>
#include <string.h>

void flame_tree_free(struct flame_tree *tree)
{
    if (tree == NULL) {
        return;
    }
    free(tree->functions);
    free(tree->places);
    free(tree->details);
    free(tree->stretches);
    flame_text_free(tree->text);
    free(tree);
}

bool flame_tree_is_empty(const struct flame_tree *tree)
{
    return tree->places[0].total == 0;
}

bool flame_function_is_synthetic(const struct flame_function *function)
{
    return function->file.length == 0 && function->name.length >= 2 &&
           function->name.data[0] == '[' &&
           function->name.data[function->name.length - 1] == ']';
}

struct flame_function flame_function_named(const char *name)
{
    return (struct flame_function){.name = {name, strlen(name)}};
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

/* ---- what more is known of a place ----------------------------------------------- */

uint64_t flame_place_samples(const struct flame_tree *tree, uint32_t place)
{
    if (!tree->is_time) {
        return tree->places[place].total;
    }
    return tree->details != NULL ? tree->details[place].samples : 0;
}

uint64_t flame_place_self_samples(const struct flame_tree *tree, uint32_t place)
{
    if (!tree->is_time) {
        return tree->places[place].self;
    }
    return tree->details != NULL ? tree->details[place].self_samples : 0;
}

uint64_t flame_place_before(const struct flame_tree *tree, uint32_t place)
{
    return tree->details != NULL ? tree->details[place].before : 0;
}

const struct flame_times *flame_place_times(const struct flame_tree *tree,
                                            uint32_t place)
{
    static const struct flame_times unknown;

    return tree->details != NULL ? &tree->details[place].times : &unknown;
}

uint32_t flame_tree_depth(const struct flame_tree *tree)
{
    uint32_t deepest = 0;

    for (uint32_t i = 0; i < tree->place_count; i++) {
        deepest = tree->places[i].depth > deepest ? tree->places[i].depth : deepest;
    }
    return deepest;
}

struct flame_detail *flame_tree_own_details(const struct flame_tree *tree,
                                            const uint32_t *parents)
{
    struct flame_detail *own = malloc(tree->place_count * sizeof *own);

    for (uint32_t i = 0; own != NULL && i < tree->place_count; i++) {
        const struct flame_detail *detail = &tree->details[i];
        struct flame_detail *above = &own[parents[i]];
        own[i] = *detail;
        if (i == 0) {
            continue;
        }
        for (int state = 0; state < FLAME_STATES; state++) {
            above->times.wall[state] -= detail->times.wall[state];
        }
        above->times.cpu -= detail->times.cpu;
        above->samples -= detail->samples;
        above->before -= detail->before;
    }
    return own;
}

/* ---- threads --------------------------------------------------------------------- */

static bool begins(struct flame_slice text, const char *part)
{
    size_t length = strlen(part);

    return text.length >= length && memcmp(text.data, part, length) == 0;
}

static bool is_beside(const struct flame_tree *tree, uint32_t place)
{
    const struct flame_function *function =
        &tree->functions[tree->places[place].function];

    return tree->places[place].depth == 1 && flame_function_is_synthetic(function) &&
           (begins(function->name, "[thread ") || begins(function->name, "[greenlet "));
}

struct flame_thread flame_tree_request(const struct flame_tree *tree)
{
    return (struct flame_thread){.end = tree->place_count};
}

bool flame_thread_next(struct flame_thread *thread, const struct flame_tree *tree)
{
    uint32_t place = thread->number == 0 ? 1 : thread->end;

    while (place < tree->place_count && !is_beside(tree, place)) {
        place = tree->places[place].end;
    }
    if (place >= tree->place_count) {
        return false;
    }
    *thread = (struct flame_thread){thread->number + 1, place, tree->places[place].end};
    return true;
}

struct flame_slice flame_thread_name(const struct flame_thread *thread,
                                     const struct flame_tree *tree,
                                     const struct flame_picture_options *options)
{
    if (thread->number != 0) {
        return tree->functions[tree->places[thread->start].function].name;
    }
    return options->title.length != 0 ? options->title
                                      : flame_function_named("flameprof").name;
}

bool flame_thread_has_order(const struct flame_thread *thread,
                            const struct flame_tree *tree, enum flame_clock clock)
{
    return thread->number == 0 && tree->stretch_count > 0 && clock == FLAME_CLOCK_WALL;
}

bool flame_thread_next_place(const struct flame_thread *thread,
                             const struct flame_tree *tree, uint32_t *next,
                             uint32_t *place)
{
    while (*next < thread->end) {
        uint32_t at = (*next)++;
        if (thread->number == 0 && is_beside(tree, at)) {
            *next = tree->places[at].end;
        } else if (tree->places[at].self != 0) {
            *place = at;
            return true;
        }
    }
    return false;
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

/* The builder's number of a code: only those that a node needs are in the tree. */
static uint32_t function_of(struct flame_builder *builder,
                            const struct flame_profile *profile, uint32_t index,
                            uint32_t *functions)
{
    const struct flame_code *code = &profile->codes[index];

    if (functions[index] == FLAME_NONE) {
        functions[index] = flame_builder_function(
            builder, (struct flame_function){code->name, code->file, code->first_line});
    }
    return functions[index];
}

/* functions: by code, FLAME_NONE for those not asked for yet; places: by node. */
static bool add_nodes(struct flame_builder *builder,
                      const struct flame_profile *profile, enum flame_clock clock,
                      uint32_t *functions, uint32_t *places)
{
    memset(functions, 0xff, profile->code_count * sizeof *functions);
    places[0] = 0;
    flame_builder_weigh(builder, 0, weigh(&profile->nodes[0], clock));
    for (uint32_t i = 1; i < profile->node_count; i++) {
        const struct flame_node *node = &profile->nodes[i];
        places[i] = places[node->parent];
        if (node->code != FLAME_CODE_OF_PARENT) {
            uint32_t function = function_of(builder, profile, node->code, functions);
            places[i] = function == FLAME_NONE
                            ? FLAME_NONE
                            : flame_builder_child(builder, places[i], function);
        }
        if (places[i] == FLAME_NONE) {
            return false;
        }
        flame_builder_weigh(builder, places[i], weigh(node, clock));
    }
    return true;
}

static void add_times(struct flame_times *sum, const struct flame_times *times)
{
    for (int state = 0; state < FLAME_STATES; state++) {
        sum->wall[state] += times->wall[state];
    }
    sum->cpu += times->cpu;
}

/* Every place's own, first; all: of the samples, whose sum must fit, too. */
static void add_details(struct flame_detail *detail, const struct flame_node *node,
                        uint64_t *all)
{
    struct flame_times times = {.cpu = node->cpu_ns};
    uint64_t room = UINT64_MAX - *all;
    uint64_t samples = node->samples < room ? node->samples : room;

    memcpy(times.wall, node->wall_ns, sizeof times.wall);
    add_times(&detail->times, &times);
    detail->self_samples += samples;
    detail->samples += samples;
    *all += samples;
}

/* What more a profile knows of its places: where they are now, since it is much. */
static bool find_details(struct flame_tree *tree, const struct flame_profile *profile,
                         const uint32_t *places, const uint32_t *place_of)
{
    struct flame_detail *details = calloc(tree->place_count, sizeof *details);
    uint32_t *parents = flame_tree_parents(tree);
    uint64_t all = 0;

    tree->details = details;
    if (details == NULL || parents == NULL) {
        free(parents);
        return false;
    }
    for (uint32_t i = 0; i < profile->node_count; i++) {
        add_details(&details[place_of[places[i]]], &profile->nodes[i], &all);
    }
    for (uint32_t i = tree->place_count - 1; i > 0; i--) {
        details[parents[i]].samples += details[i].samples;
        add_times(&details[parents[i]].times, &details[i].times);
    }
    free(parents);
    tree->has_times = true;
    tree->has_samples = all != 0;
    return true;
}

/* places: by node, the builder's. place_of: by those, the tree's. */
static bool add_stretches(struct flame_tree *tree, const struct flame_profile *profile,
                          const uint32_t *places, const uint32_t *place_of)
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
            (struct flame_stretch){place_of[places[from->node]], from->microseconds};
    }
    tree->stretch_count = count;
    return true;
}

struct flame_tree *flame_tree_from_profile(const struct flame_profile *profile,
                                           enum flame_clock clock)
{
    struct flame_builder builder;
    struct flame_tree *tree = NULL;
    uint32_t *place_of = NULL;
    uint32_t *functions = malloc((profile->code_count + 1) * sizeof *functions);
    uint32_t *places = malloc(profile->node_count * sizeof *places);

    if (flame_builder_start(&builder, flame_function_named("[request]"), false) &&
        flame_builder_reserve(&builder, profile->code_count, profile->node_count) &&
        functions != NULL && places != NULL &&
        add_nodes(&builder, profile, clock, functions, places)) {
        tree = flame_builder_finish(&builder, true, &place_of);
    }
    if (tree != NULL && !(find_details(tree, profile, places, place_of) &&
                          add_stretches(tree, profile, places, place_of))) {
        flame_tree_free(tree);
        tree = NULL;
    }
    flame_builder_free(&builder);
    free(place_of);
    free(functions);
    free(places);
    return tree;
}

/* ---- from two trees ----------------------------------------------------------------
 */

static void add_place(struct flame_builder *builder, uint32_t to,
                      const struct flame_tree *tree, uint32_t place, bool is)
{
    if (!is) {
        flame_builder_before(builder, to, tree->places[place].self);
        return;
    }
    flame_builder_weigh(builder, to, tree->places[place].self);
    flame_builder_samples(builder, to, flame_place_self_samples(tree, place));
}

/* Adds a tree's places, as what is (samples, too) or as what was. */
static bool add_tree(struct flame_builder *builder, const struct flame_tree *tree,
                     bool is)
{
    uint32_t *functions = malloc(tree->function_count * sizeof *functions);
    uint32_t *places = malloc(tree->place_count * sizeof *places);
    uint32_t *parents = flame_tree_parents(tree);
    bool ok = functions != NULL && places != NULL && parents != NULL;

    for (uint32_t i = 0; ok && i < tree->function_count; i++) {
        functions[i] = flame_builder_function(builder, tree->functions[i]);
        ok = functions[i] != FLAME_NONE;
    }
    for (uint32_t i = 0; ok && i < tree->place_count; i++) {
        places[i] = i == 0 ? 0
                           : flame_builder_child(builder, places[parents[i]],
                                                 functions[tree->places[i].function]);
        ok = places[i] != FLAME_NONE;
        if (ok) {
            add_place(builder, places[i], tree, i, is);
        }
    }
    free(functions);
    free(places);
    free(parents);
    return ok;
}

struct flame_tree *flame_tree_difference(const struct flame_tree *before,
                                         const struct flame_tree *after, bool absolute)
{
    struct flame_builder builder;
    struct flame_tree *tree = NULL;

    if (before->is_time != after->is_time) {
        return NULL;
    }
    if (flame_builder_start(&builder, flame_function_named("[all]"), true) &&
        flame_builder_reserve(&builder, after->function_count, after->place_count) &&
        add_tree(&builder, after, true) && add_tree(&builder, before, false)) {
        tree = flame_builder_finish(&builder, after->is_time, NULL);
    }
    if (tree != NULL) {
        uint64_t whole = absolute ? tree->places[0].total : flame_place_before(tree, 0);
        tree->all_before = whole != 0 ? whole : 1;
    }
    flame_builder_free(&builder);
    return tree;
}
