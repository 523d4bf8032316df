/*
 * The threads a watched stretch starts.
 *
 * While somebody wants to know, the functions that start threads are wrapped. (CPython
 * has an audit event for it, but only since 3.12, and a hook for those can never be
 * taken away again.) The next thread state the interpreter makes is the new thread's:
 * the ticker looks for that one until it runs, and serves it from there.
 */
#include "sampler/cpython.h"

#include <string.h>

#include "sampler/sampler.h"
#include "sampler/session.h"

/* Ticks after which a thread that was not found has ended already. */
#define LOOKS_MAX 50u

static const char own_label[] = "[thread " FLAME_OWN_THREAD "]";

/* "Thread-1 (work)" of threading's own, else the function's name. */
static void write_name(PyObject *arguments, char *out, size_t size)
{
    PyObject *function = PyTuple_Check(arguments) && PyTuple_GET_SIZE(arguments) > 0
                             ? PyTuple_GET_ITEM(arguments, 0)
                             : Py_None;
    PyObject *thread = PyObject_GetAttrString(function, "__self__");
    PyObject *name = thread == NULL ? NULL : PyObject_GetAttrString(thread, "_name");

    PyErr_Clear();
    if (name == NULL || !PyUnicode_Check(name)) {
        Py_XDECREF(name);
        name = PyObject_GetAttrString(function, "__name__");
    }
    const char *text =
        name != NULL && PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : NULL;
    PyErr_Clear();
    flame_child_label("thread", text, out, size);
    Py_XDECREF(name);
    Py_XDECREF(thread);
}

/* A thread that starts another. */
struct starting {
    uint64_t own_id; /* of the starter's PyThreadState */
    const void *interpreter;
    struct flame_expected expected;
};

/* The starter may be too new itself for the ticker to have found it. */
static bool expects(const struct flame_session *session, uint64_t id)
{
    for (unsigned i = 0; i < session->expected_count; i++) {
        if (session->expected[i].id == id) {
            return true;
        }
    }
    return false;
}

static bool watches_this_thread(const struct flame_session *session)
{
    return !session->paused && atomic_load(&session->active) &&
           !atomic_load(&session->parked) &&
           pthread_equal(session->thread, pthread_self());
}

/* True if it is to know of what the calling thread starts. */
static bool gathers(struct flame_session *session, void *data)
{
    const struct starting *starting = data;
    const struct flame_session *root = flame_child_root(session);

    if (root->everybody) {
        return session == root && !session->paused && atomic_load(&session->active) &&
               session->interpreter == starting->interpreter;
    }
    return root->threads &&
           (watches_this_thread(session) || expects(session, starting->own_id));
}

/* Two profiles may want the same thread: so it never says that it was enough. */
static bool expect(struct flame_session *session, void *data)
{
    const struct starting *starting = data;
    struct flame_session *root = flame_child_root(session);

    if (!gathers(session, data)) {
        return false;
    }
    if (root->everybody) {
        root->newest_id = starting->expected.id;
    }
    if (root->expected_count == FLAME_CHILDREN_MAX) {
        root->quality.unwatched++;
        return false;
    }
    struct flame_expected *expected = &root->expected[root->expected_count++];
    *expected = starting->expected;
    if (root->everybody) {
        flame_everybody_common_label(expected->label);
    }
    return false;
}

/* From now on it is there, or has ended. */
static bool expect_at_once(struct flame_session *session, void *data)
{
    const struct starting *starting = data;

    for (unsigned i = 0; i < session->expected_count; i++) {
        if (session->expected[i].id == starting->expected.id) {
            session->expected[i].started = true;
        }
    }
    return false;
}

/* It was not started after all: another one will have its id. */
static bool expect_no_more(struct flame_session *session, void *data)
{
    const struct starting *starting = data;

    for (unsigned i = 0; i < session->expected_count; i++) {
        if (session->expected[i].id == starting->expected.id) {
            session->expected[i] = session->expected[--session->expected_count];
        }
    }
    if (session->everybody && session->newest_id == starting->expected.id) {
        session->newest_id--;
    }
    return false;
}

/* In the place of a function that starts a thread: self is that function. */
static PyObject *on_start(PyObject *original, PyObject *arguments, PyObject *keywords)
{
    const PyThreadState *thread_state = PyThreadState_Get();
    struct starting starting = {.own_id = thread_state->id,
                                .interpreter = flame_cpython_interpreter(thread_state),
                                .expected = {.starter = pthread_self()}};

    bool wanted = flame_ticker_any(gathers, &starting);

    if (wanted) {
        write_name(arguments, starting.expected.label, sizeof starting.expected.label);
        starting.expected.id = flame_cpython_next_thread_id(starting.interpreter);
        starting.expected.since_ns = flame_now_sigsafe();
        starting.expected.is_new = true;
        flame_ticker_any(expect, &starting);
    }
    PyObject *result = PyObject_Call(original, arguments, keywords);
    if (wanted) {
        flame_ticker_any(result == NULL ? expect_no_more : expect_at_once, &starting);
    }
    return result;
}

static PyMethodDef on_start_method = {
    "flameprof_on_start", (PyCFunction)(void (*)(void))on_start,
    METH_VARARGS | METH_KEYWORDS,
    "Tells flameprof's profiles of a thread that starts, and starts it."};

/* Where they stand: what threading.Thread uses, and what it has it from. */
static const struct {
    const char *module;
    const char *name;
} starters[] = {{"threading", "_start_new_thread"},
                {"threading", "_start_joinable_thread"}, /* since 3.13 */
                {"_thread", "start_new_thread"},
                {"_thread", "start_joinable_thread"}};

static bool is_ours(PyObject *function)
{
    return PyCFunction_Check(function) &&
           PyCFunction_GET_FUNCTION(function) == (PyCFunction)(void (*)(void))on_start;
}

/* One that Python code has put there (gevent's) starts no thread. */
static PyObject *replacement(PyObject *function, bool listen)
{
    if (listen) {
        return PyCFunction_Check(function) && !is_ours(function)
                   ? PyCFunction_New(&on_start_method, function)
                   : NULL;
    }
    if (!is_ours(function)) {
        return NULL;
    }
    PyObject *original = PyCFunction_GET_SELF(function);
    Py_INCREF(original);
    return original;
}

/* In the interpreter the session watches, which need not be the current one; from
 * another thread, whose state the session's is not to be used, in the current one. */
static void replace_all(struct flame_session *session, bool listen)
{
    PyThreadState *before = PyThreadState_Get();
    bool elsewhere = session->interpreter != flame_cpython_interpreter(before) &&
                     pthread_equal(session->thread, pthread_self());
    if (elsewhere) {
        PyThreadState_Swap(
            (PyThreadState *)(uintptr_t)atomic_load(&session->thread_state));
    }
    for (size_t i = 0; i < sizeof starters / sizeof starters[0]; i++) {
        PyObject *module = flame_cpython_module(starters[i].module);
        PyObject *function =
            module == NULL ? NULL : PyObject_GetAttrString(module, starters[i].name);
        PyObject *other = function == NULL ? NULL : replacement(function, listen);
        if (other != NULL) {
            PyObject_SetAttrString(module, starters[i].name, other);
        }
        Py_XDECREF(other);
        Py_XDECREF(function);
        PyErr_Clear();
    }
    if (elsewhere) {
        PyThreadState_Swap(before);
    }
}

void flame_threads_listen(struct flame_session *session)
{
    session->threads = true;
    replace_all(session, true);
}

static bool listens_too(struct flame_session *session, void *data)
{
    const struct flame_session *other = data;

    return session != other && session->threads &&
           session->interpreter == other->interpreter;
}

void flame_threads_listen_no_more(struct flame_session *session)
{
    PyObject *type;
    PyObject *value;
    PyObject *traceback;

    if (!session->threads) {
        return;
    }
    session->threads = false;
    if (!flame_ticker_any(listens_too, session)) {
        PyErr_Fetch(&type, &value, &traceback);
        replace_all(session, false);
        PyErr_Restore(type, value, traceback);
    }
}

/* Through the interpreter's list of threads; to be run under a guard. */
static const PyThreadState *find_state(const struct flame_session *session, uint64_t id)
{
    const PyThreadState *found =
        flame_cpython_threads(atomic_load(&session->interpreter));

    for (unsigned steps = 0; found != NULL && steps < FLAME_CHAIN_MAX; steps++) {
        if (found->id == id) {
            return found;
        }
        found = found->next;
    }
    return NULL;
}

/* What was found of a thread expected, which can end while it is looked at. */
struct sight {
    const PyThreadState *state;
    pthread_t thread;
    clockid_t clock;
};

enum seen { SEEN_NOT, SEEN_STARTING, SEEN_RUNNING };

/* To be run under a guard. Until a thread runs, its state has no thread or, before
 * 3.12, its starter's. */
static enum seen look_for(const struct flame_session *session,
                          const struct flame_expected *expected, struct sight *sight)
{
    sight->state = find_state(session, expected->id);
    if (sight->state == NULL) {
        return SEEN_NOT;
    }
    sight->thread = (pthread_t)sight->state->thread_id;
    if (sight->thread == 0 || sight->thread == expected->starter) {
        return SEEN_STARTING;
    }
    /* Reads the thread's own structure, which may have gone meanwhile. */
    return pthread_getcpuclockid(sight->thread, &sight->clock) == 0 ? SEEN_RUNNING
                                                                    : SEEN_NOT;
}

/* A session for the thread expected; NULL: it does not run yet, or any more. */
static struct flame_session *watch(struct flame_session *session,
                                   struct flame_expected *expected,
                                   struct flame_guard *guard)
{
    struct sight sight;
    enum seen seen = SEEN_NOT;

    if (strcmp(expected->label, own_label) == 0) {
        expected->looks = LOOKS_MAX;
        return NULL;
    }
    if (flame_guard_enter_sigsafe(guard)) {
        seen = look_for(session, expected, &sight);
        flame_guard_leave_sigsafe(guard);
    } else {
        seen = SEEN_NOT; /* a jump back */
    }
    if (seen == SEEN_NOT) {
        expected->looks = expected->started ? LOOKS_MAX : expected->looks + 1;
        session->quality.unwatched += expected->looks == LOOKS_MAX;
    }
    if (seen != SEEN_RUNNING) {
        return NULL;
    }
    expected->looks = LOOKS_MAX;
    struct flame_session *child = session->everybody
                                      ? flame_everybody_lane(session, expected->label)
                                      : flame_child_take(session, expected->label);
    if (child == NULL) {
        session->quality.unwatched++;
        return NULL;
    }
    child->thread = sight.thread;
    child->cpu_clock = sight.clock;
    /* How Linux makes the clock of a thread; <linux/posix-timers.h>. */
    child->tid = ~(sight.clock >> 3);
    /* Its state can be gone by now, and is read under a guard only. */
    atomic_store(&child->thread_state, sight.state);
    child->state_id = expected->id;
    /* On a busy machine it may have been there for long, and is not to be short of it.
     */
    flame_child_begin(child, expected->since_ns != 0 ? expected->since_ns
                                                     : flame_now_sigsafe());
    if (expected->is_new) {
        child->cpu_mark_ns = 0;
    }
    child->quality.children += !expected->known;
    return child;
}

struct flame_session *flame_threads_look(struct flame_session *session,
                                         struct flame_guard *guard)
{
    for (unsigned i = session->expected_count; i-- > 0;) {
        struct flame_expected *expected = &session->expected[i];
        struct flame_session *child = watch(session, expected, guard);
        if (expected->looks == LOOKS_MAX) {
            *expected = session->expected[--session->expected_count];
        }
        if (child != NULL) {
            return child;
        }
    }
    return NULL;
}
