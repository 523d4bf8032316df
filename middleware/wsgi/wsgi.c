/*
 * _flameprof.Middleware: the WSGI door.
 *
 * On the path of every request: one dictionary look-up and a scan of the query
 * string.
 */
#include "middleware/wsgi/wsgi.h"

#include <structmember.h>

static struct flame_middleware *middleware_of(PyObject *object)
{
    return (struct flame_middleware *)object;
}

void flame_log_to_stderr(const char *line)
{
    PySys_WriteStderr("%s\n", line);
}

/* ---- Middleware -------------------------------------------------------------- */

static PyObject *answer_kept(struct flame_middleware *self, PyObject *start_response,
                             const struct flame_params *params)
{
    static const struct flame_said nothing = {NULL, NULL};
    struct flame_answer answer;

    Py_BEGIN_ALLOW_THREADS
    flame_archived_draw(&self->config, &self->shelf, params, &answer);
    Py_END_ALLOW_THREADS
    return flame_reply(start_response, &answer, params->head, &nothing);
}

/* What is kept, for those who may; false: the request is the application's. */
static bool answer_archived(struct flame_middleware *self, PyObject *env,
                            PyObject *start_response, PyObject **result)
{
    static const struct flame_said nothing = {NULL, NULL};
    struct flame_wanted wanted;
    struct flame_answer answer;
    char sentence[FLAME_SENTENCE_SIZE];

    switch (flame_archived_decide(&self->config, flame_environ_lookup, env,
                                  flame_log_to_stderr, &wanted, sentence)) {
    case FLAME_KEPT:
        Py_BEGIN_ALLOW_THREADS
        flame_archived_answer(&self->config, &wanted, &answer);
        Py_END_ALLOW_THREADS
        *result = flame_reply(start_response, &answer, wanted.params.head, &nothing);
        return true;
    case FLAME_MALFORMED:
        *result = flame_reply_sentence(start_response, 400, "Bad Request", sentence,
                                       wanted.params.head);
        return true;
    default:
        return false;
    }
}

/* True if the path is worth a closer look. */
static bool is_archived(struct flame_middleware *self, PyObject *env)
{
    if (self->config.archive == NULL) {
        return false;
    }
    PyObject *path = PyDict_GetItemWithError(env, self->path_key);
    return path != NULL && flame_archived_mentions(&self->config, flame_bytes_of(path));
}

/* As it is, or with a badge for those who may. */
static PyObject *pass_on(struct flame_middleware *self, PyObject *const *args,
                         size_t count)
{
    enum flame_purpose purpose =
        self->config.shelf == NULL
            ? FLAME_NEITHER
            : flame_badge_purpose(&self->config, flame_environ_lookup, args[0]);

    if (purpose != FLAME_NEITHER) {
        return flame_panel_call(self, args[0], args[1], purpose);
    }
    return self->watches ? flame_watched_call(self, args, count)
                         : PyObject_Vectorcall(self->app, args, count, NULL);
}

/* True if the query string is worth a closer look. */
static bool mentioned(struct flame_middleware *self, PyObject *env)
{
    PyObject *query = PyDict_GetItemWithError(env, self->query_key);

    return query != NULL && flame_query_mentions_us(flame_bytes_of(query));
}

static PyObject *middleware_vectorcall(PyObject *object, PyObject *const *args,
                                       size_t count, PyObject *names)
{
    struct flame_middleware *self = middleware_of(object);
    struct flame_params params;
    char sentence[FLAME_SENTENCE_SIZE];
    PyObject *result = NULL;

    if (PyVectorcall_NARGS(count) != 2 || names != NULL || !PyDict_Check(args[0])) {
        return PyObject_Vectorcall(self->app, args, count, names);
    }
    if (is_archived(self, args[0]) &&
        answer_archived(self, args[0], args[1], &result)) {
        return result;
    }
    if (!mentioned(self, args[0])) {
        return pass_on(self, args, count);
    }
    switch (flame_request_decide(&self->config, flame_environ_lookup, args[0],
                                 flame_log_to_stderr, &params, sentence)) {
    case FLAME_PROFILE:
        return params.keep ? flame_onward_call(self, args[0], args[1], &params)
                           : flame_profile_call(self, args[0], args[1], &params);
    case FLAME_MALFORMED:
        return flame_reply_sentence(args[1], 400, "Bad Request", sentence, params.head);
    case FLAME_KEPT:
        return answer_kept(self, args[1], &params);
    case FLAME_ORDINARY:
        break;
    }
    return pass_on(self, args, count);
}

static PyObject *middleware_concerns(PyObject *object, PyObject *env)
{
    struct flame_middleware *self = middleware_of(object);

    if (!PyDict_Check(env)) {
        PyErr_SetString(PyExc_TypeError, "concerns() takes an environ, a dict");
        return NULL;
    }
    return PyBool_FromLong(self->watches || self->config.shelf != NULL ||
                           is_archived(self, env) || mentioned(self, env));
}

static int middleware_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    struct flame_middleware *self = middleware_of(object);
    PyObject *app;

    if (self->app != NULL) {
        /* A call that runs needs what another one would free. */
        PyErr_SetString(PyExc_RuntimeError, "a Middleware is made once");
        return -1;
    }
    struct flame_module_state *state = PyType_GetModuleState(Py_TYPE(object));
    PyObject *key = PyUnicode_InternFromString("QUERY_STRING");
    PyObject *path_key = PyUnicode_InternFromString("PATH_INFO");
    if (state == NULL || key == NULL || path_key == NULL ||
        flame_configure(self, args, kwargs, &app) != 0) {
        Py_XDECREF(key);
        Py_XDECREF(path_key);
        return -1;
    }

    self->vectorcall = middleware_vectorcall;
    Py_INCREF(app);
    Py_XSETREF(self->app, app);
    Py_XSETREF(self->query_key, key);
    Py_XSETREF(self->path_key, path_key);
    Py_INCREF(state->response_type);
    Py_XSETREF(self->response_type, state->response_type);
    Py_INCREF(state->passing_type);
    Py_XSETREF(self->passing_type, state->passing_type);
    Py_INCREF(state->body_type);
    Py_XSETREF(self->body_type, state->body_type);
    Py_INCREF(state->onward_type);
    Py_XSETREF(self->onward_type, state->onward_type);
    Py_INCREF(state->watched_type);
    Py_XSETREF(self->watched_type, state->watched_type);
    self->slow = flame_slow_options(&self->config);
    self->watches = flame_slow_is_on(&self->config);
    return 0;
}

static int middleware_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(middleware_of(object)->app);
    Py_VISIT(middleware_of(object)->response_type);
    Py_VISIT(middleware_of(object)->passing_type);
    Py_VISIT(middleware_of(object)->body_type);
    Py_VISIT(middleware_of(object)->onward_type);
    Py_VISIT(middleware_of(object)->watched_type);
    Py_VISIT(middleware_of(object)->authorize);
    return 0;
}

static int middleware_clear(PyObject *object)
{
    middleware_of(object)->vectorcall = NULL; /* others in the cycle may still call */
    Py_CLEAR(middleware_of(object)->app);
    middleware_of(object)->config.authorize = NULL;
    Py_CLEAR(middleware_of(object)->authorize);
    return 0;
}

/* Profiles that wait to be written use its names. Where a disk hangs for too long they
 * keep them: a little memory is lost. */
static void free_config(struct flame_config *config)
{
    bool keeps = config->archive != NULL || config->push.url != NULL;

    if (!keeps || flame_keeper_drain(FLAME_KEEPER_PATIENCE_S)) {
        flame_config_free(config);
    }
}

static void middleware_dealloc(PyObject *object)
{
    struct flame_middleware *self = middleware_of(object);
    PyTypeObject *type = Py_TYPE(object);

    PyObject_GC_UnTrack(object);
    middleware_clear(object);
    Py_CLEAR(self->query_key);
    Py_CLEAR(self->path_key);
    Py_CLEAR(self->response_type);
    Py_CLEAR(self->passing_type);
    Py_CLEAR(self->body_type);
    Py_CLEAR(self->onward_type);
    Py_CLEAR(self->watched_type);
    free_config(&self->config);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMemberDef middleware_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(struct flame_middleware, vectorcall),
     READONLY, NULL},
    {"app", T_OBJECT_EX, offsetof(struct flame_middleware, app), READONLY,
     "The application behind."},
    {NULL, 0, 0, 0, NULL},
};

static PyMethodDef middleware_methods[] = {
    {"concerns", middleware_concerns, METH_O,
     "concerns($self, environ, /)\n--\n\n"
     "False if this request would only be passed on: its query, path and the options\n"
     "say so at once."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot middleware_slots[] = {
    {Py_tp_doc,
     "Middleware(app, *, interval=0.001, allow=(), max_seconds=60, authorize=None,\n"
     "           panel=False, panel_folder='', dir=None, dir_profiles=1000,\n"
     "           dir_bytes=268435456, url='/_flameprof/', unsafe_methods=False,\n"
     "           at_once=4, worker_at_once=2, per_minute=60, min_interval=0.0001,\n"
     "           max_profile_bytes=100663296, max_picture_bytes=33554432,\n"
     "           trusted_proxies=(), secret_file=(), off_file=None,\n"
     "           full_paths=False, redact=(), push=None, push_service='flameprof',\n"
     "           push_credentials=None, slower_than=None, on_error=False,\n"
     "           slow_interval=0.02, slow_per_minute=30)\n"
     "--\n\n"
     "A WSGI application that answers a request with ?flamegraph=1 by a flame graph\n"
     "of what app does for it, and passes every other request on untouched.\n\n"
     "interval: seconds between samples unless the request says (0.00005 to 1).\n"
     "allow: networks (\"10.0.0.0/8\") that may ask besides this host itself.\n"
     "authorize: instead of that, a callable that is given the environ and says "
     "whether\n"
     "its request may have a profile; if it raises, it may not.\n"
     "trusted_proxies: networks of proxies whose X-Forwarded-For or Forwarded says "
     "who\n"
     "asks. secret_file: files of the secrets with which `flameprof sign` signs "
     "links.\n"
     "off_file: while it is there nothing is profiled.\n"
     "panel: puts a badge into their pages, with the flame graph behind it; its\n"
     "profiles wait in panel_folder, \"flameprof-UID\" in TMPDIR or /tmp.\n"
     "dir: a folder in which profiles are kept, dir_profiles and dir_bytes at most;\n"
     "those who may see them under url.\n"
     "unsafe_methods: profile POST and others, too.\n"
     "slower_than, on_error: every request is watched, and the profiles of those are\n"
     "kept that take longer than so many seconds, or fail; slow_interval: seconds\n"
     "between samples until one is slow; slow_per_minute: so many are kept at most.\n"
     "max_seconds: the longest profile; the request runs on, but a body that still\n"
     "comes then is closed.\n"
     "full_paths: tell the files' whole paths, not from the package or project on.\n"
     "redact: functions that are shown as [redacted]: \"name\", \"name (file)\" or\n"
     "\"* (folder/)\".\n"
     "push: address of a Pyroscope-compatible server that profiles are sent to, too;\n"
     "push_service: under that name; push_credentials: file with user:password or\n"
     "\"Bearer TOKEN\".\n"
     "Raises TypeError if app is no callable, ValueError for a bad option."},
    {Py_tp_init, middleware_init},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_members, middleware_members},
    {Py_tp_methods, middleware_methods},
    {Py_tp_traverse, middleware_traverse},
    {Py_tp_clear, middleware_clear},
    {Py_tp_dealloc, middleware_dealloc},
    {0, NULL},
};

PyType_Spec flame_middleware_spec = {.name = "_flameprof.Middleware",
                                     .basicsize = sizeof(struct flame_middleware),
                                     .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
                                              Py_TPFLAGS_HAVE_VECTORCALL,
                                     .slots = middleware_slots};
