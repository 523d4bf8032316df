/*
 * A session of everybody: one that is no thread's, whose children are all threads.
 *
 * Its ticks only look who has come and who has gone. A child is a lane: when its thread
 * has ended, the next one goes on in it, under its own label in the same store; so a
 * server with a thread for each request needs as many lanes as it has threads at a
 * time. Who is there at the start is told by name, with the GIL; later ones tell of
 * themselves when they are started (threads.c), and those of C code are found in the
 * interpreter's list, without a name.
 */
#include "sampler/cpython.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sampler/sampler.h"
#include "sampler/session.h"

/* A list that is read while it changes can lack a thread: once, not this often. */
#define ABSENT_TO_BE_SURE 3u

static atomic_int running;

void flame_everybody_count(int more)
{
    atomic_fetch_add(&running, more);
}

void flame_session_admit(void)
{
    static _Thread_local bool admitted;
    static _Thread_local sigset_t before;
    sigset_t ignored;

    if (atomic_load_explicit(&running, memory_order_relaxed) > 0) {
        /* Each time: a profile of the thread alone may have put its mask back. */
        flame_session_unblock_signals(admitted ? &ignored : &before);
        admitted = true;
    } else if (admitted) {
        flame_session_block_again(&before);
        admitted = false;
    }
}

void flame_everybody_common_label(char *label)
{
    char *to = label;
    bool within = false; /* a number */

    for (const char *from = label; *from != '\0'; from++) {
        bool digit = *from >= '0' && *from <= '9';
        if (!digit) {
            *to++ = *from;
        } else if (!within) {
            *to++ = 'N';
        }
        within = digit;
    }
    *to = '\0';
}

/* ---- who is there ------------------------------------------------------------ */

/* As threading would call the calling thread, if somebody imports it; NULL: it does not
 * know it yet. */
static const char *own_name(unsigned long ident)
{
    return pthread_equal((pthread_t)ident, pthread_self()) &&
                   syscall(SYS_gettid) == getpid()
               ? "MainThread"
               : NULL;
}

/* threading's name of a thread. `threads`: threading's own dictionary, or NULL: nobody
 * has imported it. */
static void write_label(PyObject *threads, unsigned long ident, char *out, size_t size)
{
    PyObject *key = threads == NULL ? NULL : PyLong_FromUnsignedLong(ident);
    PyObject *thread = key == NULL ? NULL : PyObject_GetItem(threads, key);
    PyObject *name = thread == NULL ? NULL : PyObject_GetAttrString(thread, "_name");
    const char *text = name != NULL && PyUnicode_Check(name) ? PyUnicode_AsUTF8(name)
                       : threads == NULL                     ? own_name(ident)
                                                             : NULL;

    PyErr_Clear();
    flame_child_label("thread", text, out, size);
    flame_everybody_common_label(out);
    Py_XDECREF(name);
    Py_XDECREF(thread);
    Py_XDECREF(key);
}

/* Before 3.12 a thread that does not run yet has its starter's ident, as the starter's
 * own state has, which is older. */
static pthread_t starter_of(const pthread_t *idents, unsigned at, unsigned count)
{
    for (unsigned older = at + 1; older < count; older++) {
        if (idents[older] == idents[at]) {
            return idents[at];
        }
    }
    return 0;
}

/* Nothing of Python's runs while the list is read. */
static void note_all(struct flame_session *session, pthread_t *idents)
{
    PyInterpreterState *interpreter =
        (PyInterpreterState *)(uintptr_t)atomic_load(&session->interpreter);
    uint64_t known_id = session->newest_id;
    uint64_t now = flame_now_sigsafe();
    unsigned count = 0;

    for (PyThreadState *state = PyInterpreterState_ThreadHead(interpreter);
         state != NULL; state = PyThreadState_Next(state)) {
        uint64_t id = PyThreadState_GetID(state);
        session->newest_id = id > session->newest_id ? id : session->newest_id;
        if (count == FLAME_CHILDREN_MAX) {
            session->quality.unwatched += id > known_id;
            continue;
        }
        idents[count] = (pthread_t)state->thread_id;
        session->expected[count++] = (struct flame_expected){
            .id = id, .started = true, .known = id <= known_id, .since_ns = now};
    }
    session->expected_count = count;
}

void flame_everybody_expect_all(struct flame_session *session)
{
    pthread_t idents[FLAME_CHILDREN_MAX];
    PyObject *type;
    PyObject *value;
    PyObject *traceback;

    PyErr_Fetch(&type, &value, &traceback);
    PyObject *module = flame_cpython_module("threading");
    PyObject *threads =
        module == NULL ? NULL : PyObject_GetAttrString(module, "_active");
    note_all(session, idents);
    for (unsigned i = 0; i < session->expected_count; i++) {
        struct flame_expected *expected = &session->expected[i];
        expected->starter = starter_of(idents, i, session->expected_count);
        write_label(threads, idents[i], expected->label, sizeof expected->label);
    }
    Py_XDECREF(threads);
    PyErr_Clear();
    PyErr_Restore(type, value, traceback);
}

/* ---- who comes and goes ------------------------------------------------------ */

/* What the interpreter's list says. */
struct roll {
    uint64_t newest_id;
    uint64_t fresh[FLAME_CHILDREN_MAX]; /* nobody has told of them */
    unsigned fresh_count;
    unsigned fresh_beyond;          /* more of them */
    bool there[FLAME_CHILDREN_MAX]; /* by lane */
};

static bool is_expected(const struct flame_session *session, uint64_t id)
{
    for (unsigned i = 0; i < session->expected_count; i++) {
        if (session->expected[i].id == id) {
            return true;
        }
    }
    return false;
}

static void note_state(const struct flame_session *session, uint64_t id,
                       struct roll *roll)
{
    for (unsigned i = 0; i < session->child_count; i++) {
        roll->there[i] |= session->children[i]->state_id == id;
    }
    if (id <= session->newest_id || is_expected(session, id)) {
        return;
    }
    roll->newest_id = id > roll->newest_id ? id : roll->newest_id;
    if (roll->fresh_count < FLAME_CHILDREN_MAX) {
        roll->fresh[roll->fresh_count++] = id;
    } else {
        roll->fresh_beyond++;
    }
}

/* Under a guard. Memory that is not a thread state any more can have any id. */
static void call_roll(const struct flame_session *session, struct roll *roll)
{
    const void *interpreter = atomic_load(&session->interpreter);
    const PyThreadState *state = flame_cpython_threads(interpreter);
    uint64_t next_id = flame_cpython_next_thread_id(interpreter);

    for (unsigned steps = 0; state != NULL && steps < FLAME_CHAIN_MAX; steps++) {
        if (state->id < next_id) {
            note_state(session, state->id, roll);
        }
        state = state->next;
    }
}

/* Its thread has no state any more, but may not have ended: C code's, between two calls
 * of Python. */
static void count_absence(struct flame_session *lane, bool there)
{
    lane->absent = there ? 0 : lane->absent + 1;
    if (lane->absent >= ABSENT_TO_BE_SURE && atomic_load(&lane->active) &&
        flame_handler_take_back(lane) != FLAME_ANSWERING) {
        lane->ends_ns = lane->last_ns;
        atomic_store(&lane->active, false);
    }
}

static void expect_fresh(struct flame_session *session, uint64_t id)
{
    if (session->expected_count == FLAME_CHILDREN_MAX) {
        session->quality.unwatched++;
        return;
    }
    struct flame_expected *expected = &session->expected[session->expected_count++];
    *expected = (struct flame_expected){.id = id, .started = true};
    flame_child_label("thread", NULL, expected->label, sizeof expected->label);
}

void flame_everybody_look(struct flame_session *session, struct flame_guard *guard)
{
    struct roll roll = {.newest_id = session->newest_id};

    if (!flame_guard_enter_sigsafe(guard)) {
        return;
    }
    call_roll(session, &roll);
    flame_guard_leave_sigsafe(guard);
    for (unsigned i = 0; i < session->child_count; i++) {
        count_absence(session->children[i], roll.there[i]);
    }
    for (unsigned i = 0; i < roll.fresh_count; i++) {
        expect_fresh(session, roll.fresh[i]);
    }
    session->quality.unwatched += roll.fresh_beyond;
    session->newest_id = roll.newest_id;
}

/* ---- lanes ------------------------------------------------------------------- */

/* Rather one that a thread of the same name had: its places are in the store. */
static struct flame_session *free_lane(const struct flame_session *session,
                                       const char *label)
{
    struct flame_session *found = NULL;

    for (unsigned i = 0; i < session->child_count; i++) {
        struct flame_session *lane = session->children[i];
        bool same = strcmp(lane->label, label) == 0;
        if (!atomic_load(&lane->active) && (same || found == NULL)) {
            found = lane;
            if (same) {
                break;
            }
        }
    }
    return found;
}

struct flame_session *flame_everybody_lane(struct flame_session *session,
                                           const char *label)
{
    struct flame_session *lane = free_lane(session, label);

    if (lane == NULL) {
        lane = session->child_count == FLAME_CHILDREN_MAX
                   ? NULL
                   : flame_child_take(session, label);
        if (lane == NULL) {
            return NULL;
        }
    } else {
        (void)flame_handler_take_back(lane); /* a thread that has ended has no turn */
        snprintf(lane->label, sizeof lane->label, "%s", label);
        lane->ends_ns = session->ends_ns;
        lane->unblocked = 0;
        lane->passed = 0;
    }
    lane->absent = 0;
    flame_charge_thread_sigsafe(lane, label);
    return lane;
}

void flame_everybody_pause(struct flame_session *session)
{
    uint64_t now = flame_now_sigsafe();

    session->paused = true;
    session->paused_at_ns = now;
    session->due_again_ns = 0;
    for (unsigned i = 0; i < session->child_count; i++) {
        struct flame_session *lane = session->children[i];
        if (atomic_exchange(&lane->active, false)) {
            while (flame_handler_take_back(lane) == FLAME_ANSWERING) {
                sched_yield(); /* microseconds */
            }
            flame_charge_rest_sigsafe(lane, now < lane->ends_ns ? now : lane->ends_ns,
                                      flame_cpu_now_sigsafe(lane->cpu_clock));
            lane->ends_ns = lane->last_ns;
        }
    }
    /* They will be expected again, and are to be counted then. */
    for (unsigned i = 0; i < session->expected_count; i++) {
        const struct flame_expected *expected = &session->expected[i];
        if (!expected->known && expected->id <= session->newest_id) {
            session->newest_id = expected->id - 1;
        }
    }
    session->expected_count = 0;
}

void flame_everybody_complete(struct flame_session *session, uint64_t end_ns)
{
    struct flame_quality *quality = &session->quality;

    if (session->paused) {
        end_ns = session->paused_at_ns;
    }
    end_ns = end_ns < session->ends_ns ? end_ns : session->ends_ns;
    quality->sampling_ns += session->ticker_ns;
    quality->duration_ns = end_ns - session->started_ns - session->paused_ns;
}
