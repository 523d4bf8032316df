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
            flame_walk_intern_sigsafe(session, code);
        depth++;
        Py_DECREF(code);
        PyFrameObject *back = PyFrame_GetBack(frame);
        Py_DECREF(frame);
        frame = back;
    }
    Py_XDECREF(frame);
    session->depth = depth;
    session->site = FLAME_NONE;
    session->collecting = false;
}

static void switched(PyObject *origin, PyObject *target)
{
    struct flame_session *found[FLAME_SESSIONS_MAX];
    size_t count = flame_ticker_of_greenlet(origin, found, FLAME_SESSIONS_MAX);

    for (size_t i = 0; i < count; i++) {
        flame_ticker_park_begin(found[i]);
        read_parked(found[i], origin);
        flame_ticker_park_end(found[i]);
    }
    count = flame_ticker_of_greenlet(target, found, FLAME_SESSIONS_MAX);
    for (size_t i = 0; i < count; i++) {
        flame_ticker_unpark(found[i]);
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
    PyObject *modules = PyImport_GetModuleDict();

    return modules == NULL ? NULL : PyDict_GetItemString(modules, "greenlet");
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
    if (current == NULL || install_trace(module) != 0) {
        PyErr_Clear();
        Py_XDECREF(current);
        return;
    }
    session->greenlet = current;
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
        if (flame_ticker_greenlets_here() == 0) {
            remove_trace(module);
        }
        PyErr_Clear();
        PyErr_Restore(type, value, traceback);
    }
    PyObject *greenlet = session->greenlet;
    session->greenlet = NULL;
    Py_XDECREF(greenlet);
}
