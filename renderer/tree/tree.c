#include "renderer/tree/tree.h"
#include "renderer/tree/builder.h"
#include "renderer/writer.h"

#include <stdlib.h>
#include <string.h>

void flame_tree_free(struct flame_tree *tree)
{
    if (tree == NULL) {
        return;
    }
    free(tree->functions);
    free(tree->places);
    for (int fact = 0; fact < FLAME_FACTS; fact++) {
        free(tree->facts[fact]);
    }
    free(tree->stretches);
    flame_text_free(tree->text);
    free(tree);
}

size_t flame_tree_size(const struct flame_tree *tree)
{
    size_t size = sizeof *tree + tree->function_count * sizeof *tree->functions +
                  tree->place_count * sizeof *tree->places +
                  tree->stretch_count * sizeof *tree->stretches;

    for (int fact = 0; fact < FLAME_FACTS; fact++) {
        size +=
            tree->facts[fact] == NULL ? 0 : (tree->place_count + 1) * sizeof(uint64_t);
    }
    for (const struct flame_text *text = tree->text; text != NULL; text = text->next) {
        size += sizeof *text + text->size;
    }
    return size;
}

bool flame_tree_is_empty(const struct flame_tree *tree)
{
    return tree->places[0].total == 0;
}

bool flame_tree_is_time(const struct flame_tree *tree)
{
    return tree->is_time;
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

/* ---- what more is known of a place ------------------------------------------- */

uint64_t flame_place_samples(const struct flame_tree *tree, uint32_t place)
{
    if (!tree->is_time) {
        return tree->places[place].total;
    }
    return flame_place_total(tree, place, FLAME_FACT_SAMPLES);
}

uint64_t flame_place_self_samples(const struct flame_tree *tree, uint32_t place)
{
    if (!tree->is_time) {
        return tree->places[place].self;
    }
    return flame_place_own(tree, place, FLAME_FACT_SAMPLES);
}

bool flame_tree_make_fact(struct flame_tree *tree, enum flame_fact fact)
{
    tree->facts[fact] = calloc((size_t)tree->place_count + 1, sizeof(uint64_t));
    return tree->facts[fact] != NULL;
}

void flame_tree_add_up(struct flame_tree *tree)
{
    for (int fact = 0; fact < FLAME_FACTS; fact++) {
        uint64_t *sums = tree->facts[fact];
        for (uint32_t i = 0; sums != NULL && i < tree->place_count; i++) {
            sums[i + 1] += sums[i];
        }
    }
}

uint32_t flame_tree_depth(const struct flame_tree *tree)
{
    uint32_t deepest = 0;

    for (uint32_t i = 0; i < tree->place_count; i++) {
        deepest = tree->places[i].depth > deepest ? tree->places[i].depth : deepest;
    }
    return deepest;
}

/* ---- threads ----------------------------------------------------------------- */

static bool is_beside(const struct flame_tree *tree, uint32_t place)
{
    const struct flame_function *function =
        &tree->functions[tree->places[place].function];

    return tree->places[place].depth == 1 && flame_function_is_synthetic(function) &&
           (flame_slice_begins(function->name, "[thread ") ||
            flame_slice_begins(function->name, "[greenlet "));
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

/* ---- from a profile ---------------------------------------------------------- */

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

/* The codes of a profile on their way into a builder. */
struct codes {
    struct flame_function *told; /* what may be told of each */
    struct flame_text *text;     /* of those */
    uint32_t *functions;         /* the builder's number; FLAME_NONE: not asked for */
};

/* The builder's number of a code: only those that a node needs are in the tree. */
static uint32_t function_of(struct flame_builder *builder, uint32_t index,
                            const struct codes *codes)
{
    if (codes->functions[index] == FLAME_NONE) {
        codes->functions[index] = flame_builder_function(builder, codes->told[index]);
    }
    return codes->functions[index];
}

static bool is_redacted(const struct flame_function *function)
{
    return function->file.length == 0 &&
           flame_slice_is(function->name, flame_names_redacted);
}

/* What is hidden is one with what is hidden above it, and so are its calls into C. */
static bool is_one_with(const struct flame_builder *builder, uint32_t parent,
                        const struct flame_function *told)
{
    uint32_t above = builder->sprouts[parent].function;

    return (is_redacted(told) || flame_function_is_call(told)) &&
           is_redacted(&builder->functions[above]);
}

/* FLAME_NONE: out of memory. */
static uint32_t place_of_node(struct flame_builder *builder, uint32_t parent,
                              uint32_t code, const struct codes *codes)
{
    if (is_one_with(builder, parent, &codes->told[code])) {
        return parent;
    }
    uint32_t function = function_of(builder, code, codes);
    return function == FLAME_NONE ? FLAME_NONE
                                  : flame_builder_add(builder, parent, function);
}

/* places: by node. */
static bool add_nodes(struct flame_builder *builder,
                      const struct flame_profile *profile, enum flame_clock clock,
                      const struct codes *codes, uint32_t *places)
{
    memset(codes->functions, 0xff, profile->code_count * sizeof *codes->functions);
    places[0] = 0;
    flame_builder_weigh(builder, 0, weigh(&profile->nodes[0], clock));
    for (uint32_t i = 1; i < profile->node_count; i++) {
        const struct flame_node *node = &profile->nodes[i];
        places[i] = places[node->parent];
        if (node->code != FLAME_CODE_OF_PARENT) {
            places[i] = place_of_node(builder, places[i], node->code, codes);
        }
        if (places[i] == FLAME_NONE) {
            return false;
        }
        flame_builder_weigh(builder, places[i], weigh(node, clock));
    }
    return true;
}

static uint64_t fact_of(const struct flame_node *node, enum flame_fact fact)
{
    switch (fact) {
    case FLAME_FACT_CPU:
        return node->cpu_ns;
    case FLAME_FACT_SAMPLES:
        return node->samples;
    default:
        return node->wall_ns[fact];
    }
}

/* Room for what any node has. */
static bool make_facts(struct flame_tree *tree, const struct flame_profile *profile)
{
    uint64_t any[FLAME_FACTS] = {0};
    bool ok = true;

    for (uint32_t i = 0; i < profile->node_count; i++) {
        for (enum flame_fact fact = 0; fact <= FLAME_FACT_SAMPLES; fact++) {
            any[fact] |= fact_of(&profile->nodes[i], fact);
        }
    }
    for (enum flame_fact fact = 0; ok && fact < FLAME_FACTS; fact++) {
        ok = any[fact] == 0 || flame_tree_make_fact(tree, fact);
    }
    return ok;
}

/* The sum of all samples, which is more than a profile can have, is clamped. */
static bool find_facts(struct flame_tree *tree, const struct flame_profile *profile,
                       const uint32_t *places, const uint32_t *place_of)
{
    uint64_t room = UINT64_MAX; /* for samples */

    if (!make_facts(tree, profile)) {
        return false;
    }
    for (uint32_t i = 0; i < profile->node_count; i++) {
        const struct flame_node *node = &profile->nodes[i];
        uint32_t place = place_of[places[i]];
        for (enum flame_fact fact = 0; fact < FLAME_FACT_SAMPLES; fact++) {
            if (tree->facts[fact] != NULL) {
                tree->facts[fact][place + 1] += fact_of(node, fact);
            }
        }
        if (tree->facts[FLAME_FACT_SAMPLES] != NULL) {
            uint64_t samples = node->samples < room ? node->samples : room;
            tree->facts[FLAME_FACT_SAMPLES][place + 1] += samples;
            room -= samples;
        }
    }
    flame_tree_add_up(tree);
    tree->has_times = true;
    tree->has_samples = tree->facts[FLAME_FACT_SAMPLES] != NULL;
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

static const char *root_of(const struct flame_profile *profile)
{
    return profile->quality.everybody ? "[all threads]"
           : profile->is_code         ? "[all]"
                                      : "[request]";
}

struct flame_tree *flame_tree_from_profile(const struct flame_profile *profile,
                                           enum flame_clock clock)
{
    struct flame_builder builder;
    struct flame_tree *tree = NULL;
    uint32_t *place_of = NULL;
    struct codes codes = {
        .functions = malloc((profile->code_count + 1) * sizeof *codes.functions)};
    uint32_t *places = malloc(profile->node_count * sizeof *places);

    bool ok =
        flame_builder_start(&builder, flame_function_named(root_of(profile)), false);

    /* Its nodes are few more than its places. */
    flame_builder_only_add(&builder);
    codes.told = flame_names_apply(profile, &codes.text);
    if (ok && codes.told != NULL &&
        flame_builder_reserve(&builder, profile->code_count, profile->node_count) &&
        codes.functions != NULL && places != NULL &&
        add_nodes(&builder, profile, clock, &codes, places)) {
        tree = flame_builder_finish(&builder, true, &place_of);
    }
    if (tree != NULL && !(find_facts(tree, profile, places, place_of) &&
                          add_stretches(tree, profile, places, place_of))) {
        flame_tree_free(tree);
        tree = NULL;
    }
    flame_builder_free(&builder);
    flame_text_free(codes.text);
    free(codes.told);
    free(place_of);
    free(codes.functions);
    free(places);
    return tree;
}

/* ---- another clock ----------------------------------------------------------- */

static uint64_t own_by(const struct flame_tree *tree, uint32_t place,
                       enum flame_clock clock)
{
    struct flame_node node = {.cpu_ns = flame_place_own(tree, place, FLAME_FACT_CPU)};

    for (enum flame_fact fact = 0; fact < FLAME_FACT_CPU; fact++) {
        node.wall_ns[fact] = flame_place_own(tree, place, fact);
    }
    return weigh(&node, clock);
}

bool flame_tree_weigh(struct flame_tree *tree, enum flame_clock clock)
{
    uint32_t *parents;

    if (!tree->is_time || !tree->has_times || tree->all_before != 0) {
        return false;
    }
    parents = flame_tree_parents(tree);
    if (parents == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < tree->place_count; i++) {
        tree->places[i].total = tree->places[i].self = own_by(tree, i, clock);
    }
    for (uint32_t i = tree->place_count - 1; i > 0; i--) {
        tree->places[parents[i]].total += tree->places[i].total;
    }
    free(parents);
    return true;
}
