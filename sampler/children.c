/*
 * What a watched stretch starts besides: threads and greenlets of its own. Each
 * has a session, which ends with its parent's at the latest; its profile then
 * becomes a root of the parent's.
 */
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "sampler/sampler.h"
#include "sampler/session.h"

void flame_child_label(const char *kind, const char *name, char *out, size_t size)
{
    const char *shown = name != NULL ? name : "without a name";
    size_t length = strnlen(shown, size - strlen("[greenlet ]") - 1);

    /* Not cut within a character. */
    while (length > 0 && ((unsigned char)shown[length] & 0xC0) == 0x80) {
        length--;
    }
    snprintf(out, size, "[%s %.*s]", kind, (int)length, shown);
}

struct flame_session *flame_child_take(struct flame_session *parent, const char *label)
{
    struct flame_session *child = NULL;

    if (flame_session_take(&child, FLAME_SESSIONS_KEPT) != 0) {
        return NULL;
    }
    /* Not in step with its parent, nor with another child. What the ticker changes of
     * the parent is not read here: it may be at work. */
    uint64_t seed =
        (parent->started_ns ^ (uintptr_t)child) * UINT64_C(2862933555777941757);
    flame_session_clear(child, parent->interval_ns, seed);
    child->parent = parent;
    if (parent->children_small) {
        flame_store_make_small(child->store);
    }
    child->started_ns = 0;
    child->lines = parent->lines;
    child->sources = parent->sources;
    child->code_type = parent->code_type;
    child->entry = NULL;
    child->ends_ns = parent->ends_ns;
    child->thread = parent->thread;
    child->tid = parent->tid;
    child->cpu_clock = parent->cpu_clock;
    atomic_store(&child->gil, atomic_load(&parent->gil));
    child->gil_size = parent->gil_size;
    child->interpreter = parent->interpreter;
    snprintf(child->label, sizeof child->label, "%s", label);
    return child;
}

struct flame_session *flame_child_root(struct flame_session *session)
{
    return session->parent != NULL ? session->parent : session;
}

void flame_child_begin(struct flame_session *child, uint64_t since_ns)
{
    child->cpu_mark_ns = flame_cpu_now_sigsafe(child->cpu_clock);
    if (child->started_ns == 0) {
        child->started_ns = since_ns;
    } else {
        /* Modulo 2^64: the next one may have begun before the last one ended. */
        child->paused_ns += since_ns - child->last_ns;
    }
    child->last_ns = since_ns;
    flame_offcpu_begin(child);
}

static void end(struct flame_session *parent, struct flame_session *child,
                uint64_t end_ns)
{
    struct flame_quality *sum = &parent->quality;

    while (flame_handler_take_back(child) == FLAME_ANSWERING) {
        sched_yield();
    }
    flame_sites_name(child->store, child->sources);
    flame_session_complete(child, end_ns, flame_cpu_now_sigsafe(child->cpu_clock));
    sum->beside_ns += child->quality.duration_ns;
    flame_quality_count(sum, &child->quality);
    if (parent->everybody) {
        flame_session_pool_spacing(parent, child);
        sum->gil_wait_known &= child->quality.gil_wait_known;
        sum->runnable_known &= child->quality.runnable_known;
    }
    /* A lane's store has the label of each thread that used it. */
    const char *label = parent->everybody ? NULL : child->label;
    if (flame_store_merge(parent->store, child->store, label) != 0) {
        sum->overflow++;
    }
}

void flame_children_end(struct flame_session *parent, uint64_t end_ns)
{
    for (unsigned i = 0; i < parent->child_count; i++) {
        end(parent, parent->children[i], end_ns);
        flame_greenlet_release(parent->children[i]);
        flame_session_free(parent->children[i]);
    }
    parent->child_count = 0;
    for (unsigned i = 0; i < parent->expected_count; i++) {
        parent->quality.unwatched += !parent->expected[i].known;
    }
    parent->expected_count = 0;
    if (parent->everybody) {
        flame_session_note_spacing(parent);
    }
}
