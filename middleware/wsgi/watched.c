/*
 * A request that is watched while it is passed on, in the WSGI door: kept if it proves
 * slow or failed (slow.h), else nobody is told.
 *
 * One object per request stands between server and application: as start_response, to
 * know the status, and around a body whose parts are still to be made. A body that the
 * server may know better than by iterating it (a list, a file) is handed over as it is,
 * and the request ends with the call.
 */
#include "middleware/wsgi/wsgi.h"

#include <structmember.h>

#include "middleware/slow.h"
#include "middleware/wsgi/through.h"

struct watched {
    struct flame_through through;
    vectorcallfunc vectorcall;
    struct flame_middleware *door; /* strong */
    struct flame_watcher *watcher;
    uint64_t request; /* 0: it has ended */
    PyObject *server; /* its start_response */
    PyObject *status; /* as the application said; NULL: not yet */
    PyObject *env;
    bool raised;
    char exception[64];
};

static struct watched *watched_of(PyObject *object)
{
    return (struct watched *)object;
}

/* ---- its end ----------------------------------------------------------------- */

/* The exception that is set, which stays so; the end of a server is none. */
static void note_exception(struct watched *self)
{
    if (PyErr_Occurred() == NULL || self->raised ||
        !PyErr_ExceptionMatches(PyExc_Exception)) {
        return;
    }
    self->raised = true;
    flame_write_raised(self->exception, sizeof self->exception);
}

static bool has_failed(const struct watched *self)
{
    struct flame_slice status = self->status == NULL ? (struct flame_slice){NULL, 0}
                                                     : flame_bytes_of(self->status);

    return self->raised || (status.length >= 3 && status.data[0] == '5');
}

/* An exception that is set stays so. */
static void keep(struct watched *self, struct flame_watched *seen)
{
    const struct flame_config *config = &self->door->config;
    struct flame_told told;
    char line[FLAME_SLOW_LINE];
    PyObject *error[3];

    PyErr_Fetch(&error[0], &error[1], &error[2]);
    flame_told_read(self->env, self->status, &told);
    told.outcome.raised = flame_slice_of(self->exception);
    told.outcome.runs = 1;
    Py_BEGIN_ALLOW_THREADS
    flame_slow_keep(config, seen, &told.outcome, line);
    Py_END_ALLOW_THREADS
    if (line[0] != '\0') {
        flame_log_to_stderr(line);
    }
    PyErr_Restore(error[0], error[1], error[2]);
}

static void end(struct watched *self)
{
    if (self->request == 0) {
        return;
    }
    struct flame_watched seen = flame_lookout_end(self->watcher, self->request);
    self->request = 0;
    if (flame_slow_is_kept(&self->door->config, &seen, has_failed(self))) {
        keep(self, &seen);
    } else {
        flame_lookout_drop(&seen);
    }
}

/* ---- start_response ---------------------------------------------------------- */

static PyObject *start_response(PyObject *object, PyObject *const *args, size_t count,
                                PyObject *names)
{
    struct watched *self = watched_of(object);

    if (PyVectorcall_NARGS(count) > 0 && PyUnicode_Check(args[0])) {
        Py_INCREF(args[0]);
        Py_XSETREF(self->status, args[0]);
    }
    return PyObject_Vectorcall(self->server, args, count, names);
}

/* ---- the body ---------------------------------------------------------------- */

static PyObject *next_part(PyObject *object)
{
    struct watched *self = watched_of(object);

    if (self->through.parts == NULL && self->request != 0 &&
        self->watcher == flame_lookout_mine()) {
        flame_lookout_enter_here(self->watcher);
    }
    PyObject *part = flame_through_part(&self->through);
    if (part == NULL) {
        note_exception(self);
    }
    return part;
}

static void closed(struct flame_through *through)
{
    struct watched *self = watched_of((PyObject *)through);

    note_exception(self);
    end(self);
}

static const struct flame_through_use use = {.closed = closed};

/* ---- the call ---------------------------------------------------------------- */

/* The calling thread's watcher; NULL: none of its requests is watched. */
static struct flame_watcher *join(struct flame_middleware *door)
{
    struct flame_watcher *watcher;
    int error;

    if (flame_lookout_is_in_greenlet()) {
        door->watches = false;
        flame_log_to_stderr("[flameprof] slow requests are not seen: this server runs "
                            "them in greenlets");
        return NULL;
    }
    flame_names_read_roots(&door->config.names);
    Py_BEGIN_ALLOW_THREADS
    error = flame_lookout_join(&watcher);
    Py_END_ALLOW_THREADS
    if (error != 0 && !door->complained) {
        door->complained = true;
        flame_log_to_stderr(flame_slow_error(error));
    }
    return watcher;
}

/* What the server is handed; NULL: an exception. */
static PyObject *call(struct watched *self, PyObject *app)
{
    PyObject *args[] = {self->env, (PyObject *)self};
    PyObject *body = PyObject_Vectorcall(app, args, 2, NULL);

    note_exception(self);
    if (body == NULL || flame_through_is_not_for(self->env, body)) {
        end(self);
        return body;
    }
    self->through.body = body;
    Py_INCREF(self);
    return (PyObject *)self;
}

PyObject *flame_watched_call(struct flame_middleware *door, PyObject *const *args,
                             size_t count)
{
    struct flame_watcher *watcher = flame_lookout_mine();

    if (watcher == NULL) {
        watcher = join(door);
    }
    uint64_t request =
        watcher == NULL ? 0 : flame_lookout_begin_here(watcher, &door->slow);
    if (request == 0) {
        return PyObject_Vectorcall(door->app, args, count, NULL);
    }
    PyObject *object = door->watched_type->tp_alloc(door->watched_type, 0);
    if (object == NULL) {
        struct flame_watched nothing = flame_lookout_end(watcher, request);
        flame_lookout_drop(&nothing);
        return NULL;
    }
    struct watched *self = watched_of(object);
    self->through.use = &use;
    self->vectorcall = start_response;
    self->watcher = watcher;
    self->request = request;
    Py_INCREF(door);
    self->door = door;
    Py_INCREF(args[0]);
    self->env = args[0];
    Py_INCREF(args[1]);
    self->server = args[1];
    PyObject *result = call(self, door->app);
    Py_DECREF(object);
    return result;
}

/* ---- the type ---------------------------------------------------------------- */

static int traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(watched_of(object)->door);
    Py_VISIT(watched_of(object)->server);
    Py_VISIT(watched_of(object)->env);
    return flame_through_visit(&watched_of(object)->through, visit, arg);
}

static int clear(PyObject *object)
{
    Py_CLEAR(watched_of(object)->server);
    flame_through_clear(&watched_of(object)->through);
    return 0;
}

/* A server that forgot to close the body ends it all the same. */
static void dealloc(PyObject *object)
{
    struct watched *self = watched_of(object);
    PyTypeObject *type = Py_TYPE(object);

    PyObject_GC_UnTrack(object);
    end(self);
    clear(object);
    Py_CLEAR(self->status);
    Py_CLEAR(self->env);
    Py_CLEAR(self->door);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(struct watched, vectorcall), READONLY,
     NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "What stands between server and application of a watched request."},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, next_part},
    {Py_tp_methods, flame_through_methods},
    {Py_tp_members, members},
    {Py_tp_traverse, traverse},
    {Py_tp_clear, clear},
    {Py_tp_dealloc, dealloc},
    {0, NULL},
};

PyType_Spec flame_watched_spec = {.name = "_flameprof.Watched",
                                  .basicsize = sizeof(struct watched),
                                  .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
                                           Py_TPFLAGS_HAVE_VECTORCALL,
                                  .slots = slots};
