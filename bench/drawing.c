/*
 * How long a picture takes from a profile that is in memory: times
 * flame_tree_from_profile() and flame_render_svg() of 50,000 places. For render.py.
 *
 * Prints the places that are different, the picture's bytes, and the milliseconds of
 * each time it was drawn.
 */
#include "renderer/tree/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PLACES 50000
#define FUNCTIONS 4000
#define STRETCHES 65536 /* as many as a profile keeps */

struct names {
    char name[32];
    char file[32];
};

static struct names names[FUNCTIONS];
static struct flame_code codes[FUNCTIONS];
static struct flame_node nodes[PLACES];
static struct flame_stretch stretches[STRETCHES];

/* The same numbers on every run. */
static uint32_t below(uint32_t limit)
{
    static uint64_t state = 1;

    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((state >> 32) * limit >> 32);
}

static void make_codes(void)
{
    for (uint32_t i = 0; i < FUNCTIONS; i++) {
        int name = snprintf(names[i].name, sizeof names[i].name, "Handler%u.step_%u",
                            i % 97, i);
        int file = snprintf(names[i].file, sizeof names[i].file,
                            "/srv/shop/part_%u/views.py", i % 211);
        codes[i] = (struct flame_code){
            {names[i].name, (size_t)name}, {names[i].file, (size_t)file}, i % 900 + 1};
    }
}

/* Each place is called by the one before, or by one of those above it: the deeper, the
 * more levels it may be. That makes stacks of about 40. */
static void make_nodes(void)
{
    static uint32_t depths[PLACES];

    for (uint32_t i = 1; i < PLACES; i++) {
        uint32_t parent = i - 1;
        for (uint32_t up = below(1 + depths[parent] / 13); up > 0; up--) {
            parent = nodes[parent].parent;
        }
        depths[i] = depths[parent] + 1;
        uint64_t samples = 1 + below(3);
        nodes[i] = (struct flame_node){.parent = parent,
                                       .code = below(FUNCTIONS),
                                       .wall_ns = {samples * (700000 + below(1000)), 0,
                                                   samples * below(300000), 0},
                                       .cpu_ns = samples * (690000 + below(1000)),
                                       .samples = samples};
    }
    for (uint32_t i = 0; i < STRETCHES; i++) {
        stretches[i] = (struct flame_stretch){1 + below(PLACES - 1), 900 + below(200)};
    }
}

static double now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

struct drawn {
    uint32_t places;
    size_t bytes;
    double ms;
};

static struct drawn draw(const struct flame_profile *profile)
{
    struct flame_picture_options options = {.quality = &profile->quality};
    struct flame_writer writer = {0};
    double begun = now_ms();
    struct flame_tree *tree = flame_tree_from_profile(profile, FLAME_CLOCK_WALL);

    if (tree == NULL || flame_render_svg(tree, &options, &writer) != 0) {
        fputs("the picture could not be drawn\n", stderr);
        exit(1);
    }
    struct drawn drawn = {tree->place_count, writer.length, now_ms() - begun};
    flame_writer_free(&writer);
    flame_tree_free(tree);
    return drawn;
}

int main(int argc, char **argv)
{
    const struct flame_profile profile = {
        .nodes = nodes,
        .node_count = PLACES,
        .codes = codes,
        .code_count = FUNCTIONS,
        .stretches = stretches,
        .stretch_count = STRETCHES,
        .quality = {.interval_ns = 1000000, .duration_ns = UINT64_C(100000000000)},
    };
    int rounds = argc > 1 ? atoi(argv[1]) : 1;

    make_codes();
    make_nodes();
    for (int round = 0; round < rounds; round++) {
        struct drawn drawn = draw(&profile);
        if (round == 0) {
            printf("%u %zu", drawn.places, drawn.bytes);
        }
        printf(" %.3f", drawn.ms);
    }
    putchar('\n');
    return 0;
}
