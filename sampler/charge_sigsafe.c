/*
 * Where a sample's time goes.
 *
 * Wall time since the last sample goes to this one's place, in this one's
 * state: late and missed ticks cost resolution, not truth. CPU time cannot be
 * dated so: it is carried until the thread is next seen running, which is where
 * it is being spent. (Given to whatever sample comes next, a thread that mostly
 * waits has its work charged to its waiting.)
 */
#include <string.h>
#include <time.h>

#include "sampler/session.h"

uint64_t flame_now_sigsafe(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

uint64_t flame_cpu_now_sigsafe(clockid_t clock)
{
    struct timespec now;

    if (clock_gettime(clock, &now) != 0) {
        return 0;
    }
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

uint64_t flame_charge_note_cpu_sigsafe(struct flame_session *session, uint64_t cpu_ns)
{
    uint64_t used = cpu_ns > session->cpu_mark_ns ? cpu_ns - session->cpu_mark_ns : 0;

    session->quality.cpu_ns += used;
    session->cpu_carried_ns += used;
    session->cpu_mark_ns += used;
    return used;
}

/* The time that comes next in the session's own: `wall_ns` of it, spent there. */
static void charge(struct flame_session *session, uint32_t node, enum flame_state state,
                   uint64_t wall_ns, uint64_t cpu_ns)
{
    flame_store_charge_sigsafe(session->store, node, state, wall_ns, cpu_ns);
    flame_store_pass_sigsafe(session->store, node, wall_ns);
}

/* All CPU time not charged yet, for the last node to have. */
static uint64_t take_carried(struct flame_session *session)
{
    uint64_t carried = session->cpu_carried_ns;

    session->cpu_carried_ns = 0;
    session->last_running_node = session->last_node;
    return carried;
}

/* The time since the last sample, of whatever outcome it is. */
static uint64_t take_elapsed(struct flame_session *session, uint64_t now_ns)
{
    /* The ticker can have lost the CPU since it looked at the clock, and the thread
     * have taken a sample of its own meanwhile. */
    uint64_t elapsed = now_ns > session->last_ns ? now_ns - session->last_ns : 0;

    session->last_ns += elapsed;
    return elapsed;
}

static void note_spacing(struct flame_session *session, uint64_t elapsed)
{
    session->spacing_count++;
    session->spacing_sum_ns += elapsed;
    session->spacing_squares += (unsigned __int128)elapsed * elapsed;
}

/*
 * Where ticks were missed the machine had no CPU for the ticker, so most likely
 * none for the thread: what it ran since the last sample is what its clock says.
 */
static void charge_late(struct flame_session *session, uint64_t elapsed, uint64_t cpu)
{
    uint64_t ran = cpu < elapsed ? cpu : elapsed;

    charge(session, session->last_node, FLAME_RUNNING, ran, take_carried(session));
    charge(session, session->last_node, FLAME_RUNNABLE, elapsed - ran, 0);
}

/*
 * Found running, the thread is where its CPU time goes. So it is when it waits for a
 * CPU and has the GIL, or ran for most of the time since the last sample: somebody,
 * often the ticker itself, has just taken its place. Otherwise it has as likely just
 * been woken, in the call where it slept.
 */
static bool has_been_running(const struct flame_session *session,
                             enum flame_state state, uint64_t elapsed, uint64_t cpu)
{
    return state == FLAME_RUNNING ||
           (state == FLAME_RUNNABLE && (session->has_gil || 2 * cpu > elapsed));
}

static void charge_last_node(struct flame_session *session,
                             const struct flame_moment *moment)
{
    uint64_t elapsed = take_elapsed(session, moment->now_ns);
    uint64_t cpu = flame_charge_note_cpu_sigsafe(session, moment->cpu_ns);

    session->quality.samples++;
    if (!session->away) { /* what is away has exact time, and nothing to count */
        note_spacing(session, elapsed);
        flame_store_count_sample_sigsafe(session->store, session->last_node);
        session->sampled_node = session->last_node;
        session->unblocked =
            moment->state == FLAME_BLOCKED ? 0 : session->unblocked + 1;
    }
    if (moment->state == FLAME_RUNNING && elapsed > 2 * session->interval_ns) {
        charge_late(session, elapsed, cpu);
        return;
    }
    charge(session, session->last_node, moment->state, elapsed,
           has_been_running(session, moment->state, elapsed, cpu)
               ? take_carried(session)
               : 0);
}

/* The node of the path just walked, made if need be. */
static uint32_t find_node(struct flame_session *session, enum flame_walk walk)
{
    struct flame_store *store = session->store;
    uint32_t depth = session->depth;
    uint32_t kept = depth < FLAME_DEPTH_MAX ? depth : FLAME_DEPTH_MAX;
    bool leaf_cut = depth > FLAME_DEPTH_MAX;

    if (depth > 0 && session->next_phase != 0) {
        session->phase = session->next_phase;
        session->next_phase = 0;
    }
    uint32_t node = session->phase;
    if (walk == FLAME_WALK_CUT && !leaf_cut) {
        node = flame_store_child_sigsafe(store, node,
                                         flame_store_mark_sigsafe(store, "[cut]"));
    }
    for (uint32_t i = 1; i <= kept; i++) {
        uint32_t code = session->path[(depth - i) % FLAME_DEPTH_MAX];
        node = flame_store_child_sigsafe(store, node, code);
    }
    if (leaf_cut) {
        node = flame_store_child_sigsafe(
            store, node, flame_store_mark_sigsafe(store, "[deeper frames cut]"));
    } else if (session->collecting) {
        node = flame_store_child_sigsafe(
            store, node, flame_store_mark_sigsafe(store, "[garbage collection]"));
    } else if (session->site != FLAME_NONE) {
        node = flame_store_child_sigsafe(store, node, session->site);
    }
    return node;
}

static void go_to_node(struct flame_session *session, enum flame_walk walk)
{
    session->last_node = find_node(session, walk);
    session->placed = true;
    session->quality.overflow += flame_store_overflowed_sigsafe(session->store);
}

void flame_charge_walked_sigsafe(struct flame_session *session, enum flame_walk walk,
                                 const struct flame_moment *moment)
{
    session->quality.cut += walk == FLAME_WALK_CUT;
    go_to_node(session, walk);
    charge_last_node(session, moment);
}

void flame_charge_nothing_sigsafe(struct flame_session *session)
{
    session->quality.rejected++;
    session->unblocked++;
}

void flame_charge_again_sigsafe(struct flame_session *session,
                                const struct flame_moment *moment)
{
    charge_last_node(session, moment);
}

void flame_charge_rest_sigsafe(struct flame_session *session, uint64_t now_ns,
                               uint64_t cpu_ns)
{
    uint64_t elapsed = take_elapsed(session, now_ns);

    flame_charge_note_cpu_sigsafe(session, cpu_ns);
    if (session->away) {
        charge(session, session->last_node, FLAME_BLOCKED, elapsed, 0);
        elapsed = session->set_aside_ns;
        session->set_aside_ns = 0;
    }
    uint64_t carried = session->cpu_carried_ns;
    session->cpu_carried_ns = 0;
    if (session->sampled_node == 0 && session->pot != NULL) {
        flame_store_pass_sigsafe(session->store, session->phase, elapsed);
        session->pot->wall_ns += elapsed;
        session->pot->cpu_ns += carried;
        return;
    }
    uint64_t ran = carried < elapsed ? carried : elapsed;
    charge(session, session->sampled_node, FLAME_RUNNING, ran, 0);
    charge(session, session->sampled_node, FLAME_BLOCKED, elapsed - ran, 0);
    charge(session, session->last_running_node, FLAME_RUNNING, 0, carried);
}

/*
 * The moment of a switch is not a random one: given the time since the last sample, as
 * a sample is, the call that switches would have what others did before it.
 */
void flame_charge_park_sigsafe(struct flame_session *session, enum flame_walk walk,
                               const struct flame_moment *moment, bool due)
{
    if (session->away) { /* nobody told of its return: it has been there again */
        charge(session, session->last_node, FLAME_BLOCKED,
               take_elapsed(session, moment->now_ns), 0);
        session->cpu_mark_ns = moment->cpu_ns;
        return;
    }
    if (walk == FLAME_WALK_TORN) {
        session->quality.rejected += due;
    } else if (due) {
        flame_charge_walked_sigsafe(session, walk, moment);
    } else {
        go_to_node(session, walk);
    }
    session->set_aside_ns = take_elapsed(session, moment->now_ns);
    session->away = true;
    session->parks = true;
    flame_charge_note_cpu_sigsafe(session, moment->cpu_ns);
}

void flame_charge_unpark_sigsafe(struct flame_session *session,
                                 const struct flame_moment *moment)
{
    uint64_t away = take_elapsed(session, moment->now_ns);

    charge(session, session->last_node, FLAME_BLOCKED, away, 0);
    session->last_ns -= session->set_aside_ns;
    session->set_aside_ns = 0;
    session->away = false;
    session->cpu_mark_ns = moment->cpu_ns; /* meanwhile the thread worked for others */
}

void flame_charge_thread_sigsafe(struct flame_session *session, const char *label)
{
    const struct flame_code_key key = {0};
    const struct flame_slice name = {label, strlen(label)};
    struct flame_store *store = session->store;

    flame_store_charge_sigsafe(store, session->last_running_node, FLAME_RUNNING, 0,
                               session->cpu_carried_ns);
    session->cpu_carried_ns = 0;
    /* Names are anybody's: there may be too many. */
    session->phase = flame_store_child_sigsafe(
        store, 0,
        flame_store_code_sigsafe(store, &key, name, (struct flame_slice){"", 0}));
    session->last_node = session->phase;
    session->placed = false;
    session->last_running_node = session->phase;
    session->sampled_node = session->phase;
}

static uint32_t phase_node(struct flame_store *store, const char *name)
{
    return flame_store_child_sigsafe(store, 0, flame_store_mark_sigsafe(store, name));
}

/* NULL: it would be one too many. */
static struct flame_pot *pot_of(struct flame_session *session, uint32_t phase,
                                uint32_t then)
{
    for (unsigned i = 0; i < session->pot_count; i++) {
        struct flame_pot *pot = &session->pots[i];
        if (pot->phase == phase && pot->then == then) {
            return pot;
        }
    }
    if (session->pot_count == FLAME_PHASES_MAX) {
        return NULL;
    }
    struct flame_pot *pot = &session->pots[session->pot_count++];
    *pot = (struct flame_pot){.phase = phase, .then = then};
    return pot;
}

void flame_charge_phase_sigsafe(struct flame_session *session, const char *name,
                                const char *then)
{
    session->phase = phase_node(session->store, name);
    session->next_phase = then == NULL ? 0 : phase_node(session->store, then);
    session->pot = pot_of(session, session->phase, session->next_phase);
    session->last_node = session->phase;
    session->last_running_node = session->phase;
    session->sampled_node = session->pot == NULL ? session->phase : 0;
}
