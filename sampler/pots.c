/*
 * A request too short for a sample is repeated, and most of its phases pass without
 * one. What they took is known exactly, and what of it they ran; where, the samples of
 * the others say: what ran, by what they ran; what waited, by what they waited.
 */
#include <stdlib.h>

#include "sampler/session.h"

/* The nodes a pot is shared among. */
struct share {
    const struct flame_node *nodes;
    uint32_t count;
    const bool *within; /* by node */
};

static uint64_t samples_of(const struct flame_node *node)
{
    return node->samples;
}

static uint64_t cpu_of(const struct flame_node *node)
{
    return node->cpu_ns;
}

static uint64_t waits_of(const struct flame_node *node)
{
    return flame_node_wall(node) - node->wall_ns[FLAME_RUNNING];
}

typedef uint64_t weight_of(const struct flame_node *node);
typedef void give_to(struct flame_store *store, const struct share *share,
                     uint32_t node, uint64_t ns);

static void give_cpu(struct flame_store *store, const struct share *share,
                     uint32_t node, uint64_t ns)
{
    (void)share;
    flame_store_charge_sigsafe(store, node, FLAME_RUNNING, 0, ns);
}

static void give_running(struct flame_store *store, const struct share *share,
                         uint32_t node, uint64_t ns)
{
    (void)share;
    flame_store_charge_sigsafe(store, node, FLAME_RUNNING, ns, 0);
}

static uint64_t part(uint64_t whole, uint64_t of, uint64_t all)
{
    return (uint64_t)((unsigned __int128)whole * of / all);
}

/* For the reasons that it has been seen to wait for. */
static void give_waiting(struct flame_store *store, const struct share *share,
                         uint32_t node, uint64_t ns)
{
    const struct flame_node seen = share->nodes[node];
    uint64_t waits = waits_of(&seen);
    uint64_t gil = waits == 0 ? 0 : part(ns, seen.wall_ns[FLAME_GIL_WAIT], waits);
    uint64_t ready = waits == 0 ? 0 : part(ns, seen.wall_ns[FLAME_RUNNABLE], waits);

    flame_store_charge_sigsafe(store, node, FLAME_GIL_WAIT, gil, 0);
    flame_store_charge_sigsafe(store, node, FLAME_RUNNABLE, ready, 0);
    flame_store_charge_sigsafe(store, node, FLAME_BLOCKED, ns - gil - ready, 0);
}

/* To the last nanosecond; false: nothing there has any weight. */
static bool spread(struct flame_store *store, const struct share *share, uint64_t ns,
                   weight_of *weight, give_to *give)
{
    uint64_t total = 0;
    uint64_t passed = 0;
    uint64_t given = 0;

    for (uint32_t i = 1; i < share->count; i++) {
        total += share->within[i] ? weight(&share->nodes[i]) : 0;
    }
    for (uint32_t i = 1; i < share->count && total > 0; i++) {
        uint64_t own = share->within[i] ? weight(&share->nodes[i]) : 0;
        if (own > 0) {
            passed += own;
            uint64_t due = part(ns, passed, total);
            give(store, share, i, due - given);
            given = due;
        }
    }
    return total > 0;
}

/* A node's parent has the smaller index. */
static void find_nodes(struct share *share, bool *within, const struct flame_pot *pot)
{
    for (uint32_t i = 1; i < share->count; i++) {
        uint32_t parent = share->nodes[i].parent;
        within[i] = i == pot->phase || (pot->then != 0 && i == pot->then) ||
                    (parent != 0 && within[parent]);
    }
    share->within = within;
}

/* What nothing has any weight for is the phase's own. */
static void share_out(struct flame_store *store, const struct share *share,
                      uint32_t phase, uint64_t ns, weight_of *weight, give_to *give)
{
    if (share->within == NULL || !(spread(store, share, ns, weight, give) ||
                                   spread(store, share, ns, samples_of, give))) {
        give(store, share, phase, ns);
    }
}

static void empty(struct flame_store *store, const struct flame_pot *pot)
{
    struct flame_profile profile;
    uint64_t ran = pot->cpu_ns < pot->wall_ns ? pot->cpu_ns : pot->wall_ns;

    flame_store_read(store, &profile);
    struct share share = {.nodes = profile.nodes, .count = profile.node_count};
    bool *within = calloc(share.count, sizeof *within);
    if (within != NULL) {
        find_nodes(&share, within, pot);
    }
    share_out(store, &share, pot->phase, ran, cpu_of, give_running);
    share_out(store, &share, pot->phase, pot->cpu_ns, cpu_of, give_cpu);
    share_out(store, &share, pot->phase, pot->wall_ns - ran, waits_of, give_waiting);
    free(within);
}

void flame_pots_empty(struct flame_session *session)
{
    for (unsigned i = 0; i < session->pot_count; i++) {
        if (session->pots[i].wall_ns > 0 || session->pots[i].cpu_ns > 0) {
            empty(session->store, &session->pots[i]);
        }
    }
    session->pot_count = 0;
    session->pot = NULL;
}
