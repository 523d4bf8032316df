/*
 * A request whose profile goes to the archive while its own answer goes on.
 *
 * Its session stands still while the server sends: what the application does for the
 * call, for each part of its body and for close() is in the profile, sending is not. A
 * body that the server may know better than by iterating it (a list, a file) is handed
 * over as it is, and the profile ends with the call.
 */
#include "middleware/wsgi/wsgi.h"

#include <errno.h>

#include "middleware/wsgi/through.h"

struct onward {
    struct flame_through through;
    struct flame_middleware *door; /* strong: its names are used */
    PyObject *server;              /* its start_response */
    PyObject *status;              /* as the application said; NULL: not yet */
    struct flame_taking taking;
    struct flame_session *session; /* of it; NULL: it has ended */
    pthread_t thread;
    char name[FLAME_SHELF_NAME + 1];
    char raised[64];
    struct flame_told told;
    enum flame_cut cut;
    bool head;
    bool exhausted;
};

static struct onward *onward_of(PyObject *object)
{
    return (struct onward *)object;
}

/* ---- its end ----------------------------------------------------------------- */

/* The exception that is set, which stays so. */
static void note_exception(struct onward *self)
{
    if (PyErr_Occurred() == NULL || self->raised[0] != '\0') {
        return;
    }
    flame_write_raised(self->raised, sizeof self->raised);
    if (PyErr_ExceptionMatches(PyExc_SystemExit) ||
        PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) {
        self->cut = FLAME_CUT_STOPPED; /* how servers in Python stop a worker */
    }
}

/* Ends the session, if it has not ended, and hands its profile over. */
static void end(struct onward *self)
{
    struct flame_session *session = self->session;
    PyObject *error[3];

    self->session = NULL;
    if (session == NULL) {
        return;
    }
    PyErr_Fetch(&error[0], &error[1], &error[2]);
    flame_session_stop(session);
    const struct flame_quality *quality = &flame_session_profile(session)->quality;
    struct flame_outcome outcome = self->told.outcome;
    struct flame_facts facts;
    outcome.status = flame_bytes_of(self->status);
    outcome.raised = flame_slice_of(self->raised);
    flame_archived_facts(&outcome, quality->duration_ns, &facts);
    facts.cut = self->cut;
    if (facts.cut == FLAME_CUT_NOT && quality->deadline_reached) {
        facts.cut = FLAME_CUT_MAX_SECONDS;
    }
    (void)flame_keeper_keep(self->door->config.archive, &self->door->config.push,
                            flame_taking_take(&self->taking), &facts, self->name);
    PyErr_Restore(error[0], error[1], error[2]);
}

/* True if the session goes on here; it cannot on another thread than its own. */
static bool resume(struct onward *self)
{
    if (self->session != NULL && !pthread_equal(self->thread, pthread_self())) {
        end(self);
    }
    if (self->session == NULL) {
        return false;
    }
    flame_session_resume(self->session);
    return true;
}

/* ---- start_response ---------------------------------------------------------- */

/* The server is told what the application said, and the profile's name. */
static PyObject *onward_start_response(PyObject *object, PyObject *args,
                                       PyObject *kwargs)
{
    static char *names[] = {"status", "headers", "exc_info", NULL};
    struct onward *self = onward_of(object);
    PyObject *status;
    PyObject *headers;
    PyObject *exc_info = NULL;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO!|O:start_response", names,
                                     &status, &PyList_Type, &headers, &exc_info)) {
        /* The server knows best what it takes. */
        PyErr_Clear();
        return PyObject_Call(self->server, args, kwargs);
    }
    PyObject *more = PyList_GetSlice(headers, 0, PY_SSIZE_T_MAX);
    PyObject *result = NULL;
    if (more != NULL && flame_headers_add(more, "X-Flameprof-Kept",
                                          PyUnicode_FromString(self->name)) == 0) {
        Py_INCREF(status);
        Py_XSETREF(self->status, status);
        result =
            PyObject_CallFunctionObjArgs(self->server, status, more, exc_info, NULL);
    }
    Py_XDECREF(more);
    return result;
}

/* ---- the body ---------------------------------------------------------------- */

static PyObject *onward_next(PyObject *object)
{
    struct onward *self = onward_of(object);
    bool watched = resume(self);

    if (watched && self->through.parts == NULL) {
        flame_session_phase(self->session, FLAME_PHASE_ITERATION, NULL);
    }
    PyObject *part = flame_through_part(&self->through);
    if (part == NULL) {
        self->exhausted = true;
        note_exception(self);
    }
    if (watched && self->session != NULL) {
        flame_session_pause(self->session);
    }
    return part;
}

static void closes(struct flame_through *through)
{
    struct onward *self = onward_of((PyObject *)through);

    if (!self->exhausted && !self->head && self->cut == FLAME_CUT_NOT) {
        self->cut = FLAME_CUT_CLIENT_GONE;
    }
    if (resume(self)) {
        flame_session_phase(self->session, FLAME_PHASE_CLOSE, NULL);
    }
}

static void closed(struct flame_through *through)
{
    struct onward *self = onward_of((PyObject *)through);

    note_exception(self);
    end(self);
}

static const struct flame_through_use use = {.closes = closes, .closed = closed};

/* ---- the call ---------------------------------------------------------------- */

/* False: *refusal says why not. */
static bool begin(struct onward *self, struct flame_middleware *middleware,
                  PyObject *env, PyObject *start_response,
                  const struct flame_params *params, struct flame_refusal *refusal)
{
    struct flame_session_options options =
        flame_session_options_of(params, middleware->config.max_ns);

    self->through.use = &use;
    Py_INCREF(middleware);
    self->door = middleware;
    Py_INCREF(start_response);
    self->server = start_response;
    self->thread = pthread_self();
    self->head = params->head;
    flame_told_read(env, NULL, &self->told);
    if (flame_shelf_make_name(true, self->name) != 0) {
        flame_refuse_start(-EAGAIN, refusal);
        return false;
    }
    if (!flame_taking_start(&middleware->config, &options, &self->taking, refusal)) {
        return false;
    }
    self->session = self->taking.session;
    return true;
}

/* What the server is handed: the body, under its profile or as it is; NULL: an
 * exception. */
static PyObject *call(struct onward *self, PyObject *app, PyObject *env)
{
    PyObject *response = PyObject_GetAttrString((PyObject *)self, "start_response");

    if (response == NULL) {
        return NULL;
    }
    flame_mark_taken(env, true);
    flame_session_phase(self->session, FLAME_PHASE_APPLICATION, NULL);
    PyObject *body = PyObject_CallFunctionObjArgs(app, env, response, NULL);
    note_exception(self);
    flame_mark_taken(env, false);
    Py_DECREF(response);
    if (body == NULL || flame_through_is_not_for(env, body)) {
        end(self);
        return body;
    }
    flame_session_pause(self->session);
    self->through.body = body;
    Py_INCREF(self);
    return (PyObject *)self;
}

PyObject *flame_onward_call(struct flame_middleware *self, PyObject *env,
                            PyObject *start_response, const struct flame_params *params)
{
    PyObject *object = self->onward_type->tp_alloc(self->onward_type, 0);
    struct flame_refusal refusal;
    PyObject *result = NULL;

    if (object == NULL) {
        return NULL;
    }
    if (begin(onward_of(object), self, env, start_response, params, &refusal)) {
        result = call(onward_of(object), self->app, env);
    } else {
        result = flame_reply_refusal(start_response, &refusal, params);
    }
    Py_DECREF(object);
    return result;
}

/* ---- the type ---------------------------------------------------------------- */

static int onward_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(onward_of(object)->door);
    Py_VISIT(onward_of(object)->server);
    return flame_through_visit(&onward_of(object)->through, visit, arg);
}

static int onward_clear(PyObject *object)
{
    Py_CLEAR(onward_of(object)->server);
    flame_through_clear(&onward_of(object)->through);
    return 0;
}

/* A server that forgot to close the body: the profile is as far as it came. */
static void onward_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);

    PyObject_GC_UnTrack(object);
    end(onward_of(object));
    onward_clear(object);
    Py_CLEAR(onward_of(object)->status);
    Py_CLEAR(onward_of(object)->door);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"start_response", (PyCFunction)(void (*)(void))onward_start_response,
     METH_VARARGS | METH_KEYWORDS, "The server's, with one header more."},
    {"close", flame_through_close, METH_NOARGS, "The application's close(), once."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "The body of a request whose profile is kept."},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, onward_next},
    {Py_tp_methods, methods},
    {Py_tp_traverse, onward_traverse},
    {Py_tp_clear, onward_clear},
    {Py_tp_dealloc, onward_dealloc},
    {0, NULL},
};

PyType_Spec flame_onward_spec = {.name = "_flameprof.Onward",
                                 .basicsize = sizeof(struct onward),
                                 .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
                                 .slots = slots};
