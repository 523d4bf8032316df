/*
 * Greenlets: a session watches the one it was started in and no other.
 *
 * A thread of greenlets has one Python stack at a time, so a sample taken while
 * another greenlet runs would show somebody else's request. The greenlet
 * module tells of each switch (greenlet.settrace, one callback per thread): at
 * the switch out, the stack that is left is read through the public frame API
 * (we hold the GIL here) and all time until the switch back in is charged to
 * it, exactly. A callback that stood before ours is called on.
 */
#include "sampler/cpython.h"

#include "sampler/lookout.h"
#include "sampler/sampler.h"
#include "sampler/session.h"

/* Reads a switched-out greenlet's stack into path and depth. */
static void read_parked(struct flame_session *session, PyObject *greenlet)
{
    PyObject *object = PyObject_GetAttrString(greenlet, "gr_frame");
    uint32_t depth = 0;

    if (object == NULL || !PyFrame_Check(object)) {
        PyErr_Clear();
        Py_XDECREF(object);
        object = NULL;
    }
    PyFrameObject *frame = (PyFrameObject *)object;
    while (frame != NULL && flame_cpython_inner(frame) != session->entry) {
        PyCodeObject *code = PyFrame_GetCode(frame);
        session->path[depth % FLAME_DEPTH_MAX] =
            flame_walk_place_sigsafe(session, flame_cpython_inner(frame), code);
        depth++;
        Py_DECREF(code);
        PyFrameObject *back = PyFrame_GetBack(frame);
        Py_DECREF(frame);
        frame = back;
    }
    Py_XDECREF(frame);
    session->depth = depth;
    session->site = FLAME_NONE;
    session->has_gil = true;
    session->collecting = false;
}

/* The greenlet that made this one: gevent says so, a plain one's parent is. */
static PyObject *maker_of(PyObject *greenlet)
{
    PyObject *reference = PyObject_GetAttrString(greenlet, "spawning_greenlet");
    PyObject *maker = NULL;

    if (reference != NULL && PyCallable_Check(reference)) {
        maker = PyObject_CallNoArgs(reference);
    } else if (reference == NULL) {
        PyErr_Clear();
        maker = PyObject_GetAttrString(greenlet, "parent");
    }
    Py_XDECREF(reference);
    PyErr_Clear();
    return maker;
}

static void write_label(PyObject *greenlet, char *out, size_t size)
{
    PyObject *run = PyObject_GetAttrString(greenlet, "_run");
    PyObject *name = NULL;

    if (run == NULL) {
        PyErr_Clear();
        run = PyObject_GetAttrString(greenlet, "run");
    }
    if (run != NULL) {
        name = PyObject_GetAttrString(run, "__qualname__");
    }
    const char *text =
        name != NULL && PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : NULL;
    PyErr_Clear();
    flame_child_label("greenlet", text, out, size);
    Py_XDECREF(name);
    Py_XDECREF(run);
}

static bool is_here(const struct flame_session *session)
{
    return session->greenlet != NULL && pthread_equal(session->thread, pthread_self());
}

/* Those that watch one. With the GIL: for a lock each switch would have to wait. */
static struct flame_session *watching[FLAME_SESSIONS_MAX];
static size_t watching_count;

/* Sessions, asked for by what they watch. */
#define WANTED_MAX 8u /* profiles inside profiles */

struct wanted {
    const void *greenlet;
    size_t count;
    struct flame_session *found[WANTED_MAX];
};

static bool watches(const struct flame_session *session, const void *greenlet)
{
    return is_here(session) && session->greenlet == greenlet;
}

static void find_those_of(struct wanted *wanted)
{
    for (size_t i = 0; i < watching_count && wanted->count < WANTED_MAX; i++) {
        struct flame_session *session = watching[i];
        if (watches(session, wanted->greenlet) && !session->paused &&
            atomic_load(&session->active)) {
            wanted->found[wanted->count++] = session;
        }
    }
}

static bool watches_a_greenlet_here(struct flame_session *session, void *unused)
{
    (void)unused;
    return is_here(session);
}

static bool gathers_here(struct flame_session *session, void *unused)
{
    (void)unused;
    return is_here(session) && flame_child_root(session)->greenlets;
}

/* The first to gather what the wanted greenlet makes. */
static bool gathers_of(struct flame_session *session, void *data)
{
    struct wanted *wanted = data;
    struct flame_session *root = flame_child_root(session);

    if (session->greenlet != wanted->greenlet || !gathers_here(session, NULL) ||
        !atomic_load(&root->active)) {
        return false;
    }
    wanted->found[0] = root;
    return true;
}

/* What the child watched is over; its profile waits for its parent's end. */
static bool end_child(struct flame_session *session, void *child)
{
    if (session != child) {
        return false;
    }
    session->ends_ns = session->last_ns;
    atomic_store(&session->active, false);
    return true;
}

static bool count_unwatched(struct flame_session *session, void *parent)
{
    session->quality.unwatched += session == parent;
    return session == parent;
}

/* The current greenlet is told of before its function is called: nothing is on its
 * stack then. One that goes on has what it left. */
static bool has_just_begun(void)
{
    const flame_frame *frame = flame_cpython_top(PyThreadState_Get());

    while (frame != NULL && flame_cpython_is_shim(frame)) {
        frame = flame_cpython_caller(frame);
    }
    return frame == NULL;
}

/*
 * Kept in a tuple: when a thread ends, the greenlet module asks the garbage collector
 * who refers to its main greenlet, and if nobody does but one reference is left, it
 * takes that for a lost one and drops it. False: no memory, an exception is set.
 */
static bool keep(struct flame_session *session, PyObject *greenlet)
{
    session->greenlet_keeper = PyTuple_Pack(1, greenlet);
    if (session->greenlet_keeper == NULL) {
        return false;
    }
    session->greenlet = greenlet;
    watching[watching_count++] = session;
    return true;
}

/* A greenlet that runs for the first time. */
static void adopt(PyObject *greenlet)
{
    char label[FLAME_LABEL_SIZE];
    PyObject *maker = maker_of(greenlet);
    struct wanted wanted = {.greenlet = maker};
    bool ours = maker != NULL && flame_ticker_any(gathers_of, &wanted);

    Py_XDECREF(maker);
    if (!ours) {
        return;
    }
    write_label(greenlet, label, sizeof label);
    struct flame_session *child = flame_child_take(wanted.found[0], label);
    if (child == NULL || !keep(child, greenlet)) {
        PyErr_Clear();
        flame_ticker_any(count_unwatched, wanted.found[0]);
        if (child != NULL) {
            flame_session_free(child);
        }
        return;
    }
    flame_session_note_thread_state(child, PyThreadState_Get());
    flame_child_begin(child, flame_now_sigsafe());
    child->quality.children = 1;
    if (!flame_ticker_serve(child)) {
        flame_greenlet_release(child);
        flame_session_free(child);
    }
}

static bool is_over(PyObject *greenlet)
{
    PyObject *dead = PyObject_GetAttrString(greenlet, "dead");
    bool over = dead == Py_True;

    PyErr_Clear();
    Py_XDECREF(dead);
    return over;
}

static void switched(PyObject *origin, PyObject *target)
{
    struct wanted out = {.greenlet = origin};
    struct wanted in = {.greenlet = target};

    find_those_of(&out);
    /* Before anything that may wait for the ticker: it would see the target's stack. */
    for (size_t i = 0; i < out.count; i++) {
        atomic_store(&out.found[i]->parked, true);
    }
    bool over = out.count > 0 && is_over(origin);

    for (size_t i = 0; i < out.count; i++) {
        /* Reading the one before may have let another thread end this one. */
        if (watches(out.found[i], origin) && flame_ticker_park_begin(out.found[i])) {
            read_parked(out.found[i], origin);
            flame_ticker_park_end(out.found[i], FLAME_WALK_WHOLE);
        }
        if (over && out.found[i]->parent != NULL) {
            flame_ticker_any(end_child, out.found[i]);
        }
    }
    find_those_of(&in);
    if (in.count == 0 && has_just_begun() && flame_ticker_any(gathers_here, NULL)) {
        adopt(target);
    }
    for (size_t i = 0; i < in.count; i++) {
        flame_ticker_unpark(in.found[i]);
    }
}

/* The callback: self is the one that stood before, or None. */
static PyObject *on_switch(PyObject *before, PyObject *arguments)
{
    const char *event;
    PyObject *origin;
    PyObject *target;

    if (!PyArg_ParseTuple(arguments, "s(OO)", &event, &origin, &target)) {
        return NULL;
    }
    switched(origin, target);
    if (before != Py_None) {
        return PyObject_CallObject(before, arguments);
    }
    Py_RETURN_NONE;
}

static PyMethodDef on_switch_method = {
    "flameprof_on_switch", on_switch, METH_VARARGS,
    "Tells flameprof's sessions which greenlet runs; calls the trace before it."};

static bool is_ours(PyObject *trace)
{
    return PyCFunction_Check(trace) && PyCFunction_GET_FUNCTION(trace) == on_switch;
}

/* The greenlet module if anybody has imported it; borrowed, or NULL. */
static PyObject *greenlet_module(void)
{
    return flame_cpython_module("greenlet");
}

static int install_trace(PyObject *module)
{
    PyObject *before = PyObject_CallMethod(module, "gettrace", NULL);
    int result = -1;

    if (before != NULL && is_ours(before)) {
        result = 0;
    } else if (before != NULL) {
        PyObject *ours = PyCFunction_New(&on_switch_method, before);
        PyObject *old =
            ours == NULL ? NULL : PyObject_CallMethod(module, "settrace", "O", ours);
        result = old == NULL ? -1 : 0;
        Py_XDECREF(old);
        Py_XDECREF(ours);
    }
    Py_XDECREF(before);
    return result;
}

void flame_greenlet_attach(struct flame_session *session)
{
    PyObject *module = greenlet_module();

    if (module == NULL) {
        return;
    }
    PyObject *current = PyObject_CallMethod(module, "getcurrent", NULL);
    if (current == NULL || !keep(session, current)) {
        PyErr_Clear();
    } else if (install_trace(module) != 0) {
        PyErr_Clear();
        flame_greenlet_release(session);
    }
    Py_XDECREF(current);
}

bool flame_lookout_is_in_greenlet(void)
{
    PyObject *module = greenlet_module();
    PyObject *current =
        module == NULL ? NULL : PyObject_CallMethod(module, "getcurrent", NULL);
    PyObject *parent =
        current == NULL ? NULL : PyObject_GetAttrString(current, "parent");
    bool result = parent != NULL && parent != Py_None; /* the first one has none */

    PyErr_Clear();
    Py_XDECREF(parent);
    Py_XDECREF(current);
    return result;
}

void flame_greenlet_release(struct flame_session *session)
{
    PyObject *keeper = session->greenlet_keeper;

    for (size_t i = 0; i < watching_count; i++) {
        if (watching[i] == session) {
            watching[i] = watching[--watching_count];
            break;
        }
    }
    session->greenlet = NULL;
    session->greenlet_keeper = NULL;
    Py_XDECREF(keeper);
}

/* Where somebody chained a callback over ours, ours stays under it, inert. */
static void remove_trace(PyObject *module)
{
    PyObject *trace = PyObject_CallMethod(module, "gettrace", NULL);

    if (trace != NULL && is_ours(trace)) {
        PyObject *before = PyCFunction_GET_SELF(trace);
        Py_XDECREF(PyObject_CallMethod(module, "settrace", "O", before));
    }
    Py_XDECREF(trace);
}

void flame_greenlet_detach(struct flame_session *session)
{
    PyObject *module = session->greenlet == NULL ? NULL : greenlet_module();

    if (module != NULL) {
        PyObject *type;
        PyObject *value;
        PyObject *traceback;
        PyErr_Fetch(&type, &value, &traceback);
        if (!flame_ticker_any(watches_a_greenlet_here, NULL)) {
            remove_trace(module);
        }
        PyErr_Clear();
        PyErr_Restore(type, value, traceback);
    }
    flame_greenlet_release(session);
}
