/*
 * _flameprof.Middleware: the WSGI door.
 *
 * On the path of every request: one dictionary look-up and a scan of the query
 * string. A profiled one is called, iterated and closed inside its profile, its
 * body thrown away as it comes.
 */
#include "middleware/python.h"

#include <string.h>
#include <structmember.h>

struct middleware_object {
    PyObject_HEAD vectorcallfunc vectorcall;
    PyObject *app;
    PyObject *query_key; /* "QUERY_STRING", interned */
    PyTypeObject *response_type;
    struct flame_config config;
};

static struct middleware_object *middleware_of(PyObject *object)
{
    return (struct middleware_object *)object;
}

/* ---- the environ ------------------------------------------------------------- */

struct flame_slice flame_environ_lookup(void *env, const char *name)
{
    return flame_bytes_of(PyDict_GetItemString(env, name));
}

/* A body can be read once only. */
static bool has_content(PyObject *env)
{
    struct flame_slice length = flame_environ_lookup(env, "CONTENT_LENGTH");

    return (length.length > 0 && !(length.length == 1 && *length.data == '0')) ||
           PyDict_GetItemString(env, "HTTP_TRANSFER_ENCODING") != NULL;
}

static void log_to_stderr(const char *line)
{
    PySys_WriteStderr("%s\n", line);
}

static void log_to_server(PyObject *env, const char *line)
{
    PyObject *stream = PyDict_GetItemString(env, "wsgi.errors");
    PyObject *result = stream == NULL
                           ? NULL
                           : PyObject_CallMethod(stream, "write", "N",
                                                 PyUnicode_FromFormat("%s\n", line));

    if (result == NULL) {
        PyErr_Clear();
        log_to_stderr(line);
    }
    Py_XDECREF(result);
}

/* ---- the profiled application ------------------------------------------------ */

/* Calls close() even after an error, which it then keeps. */
static void close_body(PyObject *body)
{
    PyObject *type;
    PyObject *value;
    PyObject *traceback;

    PyErr_Fetch(&type, &value, &traceback);
    PyObject *close = PyObject_GetAttrString(body, "close");
    if (close == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
    } else if (close != NULL) {
        Py_XDECREF(PyObject_CallNoArgs(close));
        Py_DECREF(close);
    }
    if (type != NULL) {
        PyErr_Clear();
        PyErr_Restore(type, value, traceback);
    }
}

/*
 * All of what a server does with an application. On return an exception is set
 * if anything raised. A body that still comes at `ends_ns` is closed, as if its
 * client had left: one without an end would hold its worker for ever.
 */
static void run_application(struct flame_session *session, PyObject *app, PyObject *env,
                            PyObject *response, uint64_t ends_ns)
{
    flame_session_phase(session, FLAME_PHASE_APPLICATION, NULL);
    PyObject *body = PyObject_CallFunctionObjArgs(app, env, response, NULL);

    if (body == NULL) {
        return;
    }
    flame_session_phase(session, FLAME_PHASE_ITERATION, NULL);
    PyObject *iterator = PyObject_GetIter(body);
    if (iterator != NULL) {
        PyObject *part;
        do {
            part = PyIter_Next(iterator);
            Py_XDECREF(part);
        } while (part != NULL && flame_now_ns() < ends_ns);
        Py_DECREF(iterator);
    }
    flame_session_phase(session, FLAME_PHASE_CLOSE, NULL);
    close_body(body);
    Py_DECREF(body);
}

/*
 * The application is called once, or as often as was asked and there is time: each
 * time with the environ as it came. Returns how often.
 */
static unsigned run_repeatedly(struct middleware_object *self,
                               struct flame_session *session,
                               const struct flame_params *params, PyObject *env,
                               PyObject **response)
{
    uint64_t begun = flame_now_ns();
    uint64_t ends = begun + self->config.max_ns;
    PyObject *unused = params->repeat > 1 ? PyDict_Copy(env) : NULL;
    unsigned runs = 1;

    run_application(session, self->app, env, *response, ends);
    while (unused != NULL && PyErr_Occurred() == NULL && !has_content(unused) &&
           flame_runs_again(params, runs, begun, ends)) {
        flame_session_pause(session);
        PyObject *fresh = PyDict_Copy(unused);
        PyObject *next = flame_response_new(self->response_type);
        flame_session_resume(session);
        if (fresh != NULL && next != NULL) {
            Py_SETREF(*response, next);
            run_application(session, self->app, fresh, next, ends);
            runs++;
        } else {
            Py_XDECREF(next);
        }
        Py_XDECREF(fresh);
    }
    Py_XDECREF(unused);
    return runs;
}

/*
 * Takes the exception that is set, if any: its type's name into `name`. Returns
 * -1, the exception still set, for one that is not an application's error
 * (SystemExit, KeyboardInterrupt, GeneratorExit).
 */
static int take_exception(char *name, size_t size)
{
    PyObject *type = PyErr_Occurred();

    name[0] = '\0';
    if (type == NULL) {
        return 0;
    }
    if (!PyErr_ExceptionMatches(PyExc_Exception)) {
        return -1;
    }
    PyOS_snprintf(name, size, "%s",
                  PyType_Check(type) ? ((PyTypeObject *)type)->tp_name
                                     : "an exception");
    PyErr_Clear();
    return 0;
}

/* ---- the answer -------------------------------------------------------------- */

/* "/shop/?page=2", as the person typed it, bounded. */
static void write_path(PyObject *env, char *out, size_t size)
{
    struct flame_slice script = flame_environ_lookup(env, "SCRIPT_NAME");
    struct flame_slice path = flame_environ_lookup(env, "PATH_INFO");
    struct flame_slice query = flame_environ_lookup(env, "QUERY_STRING");

    PyOS_snprintf(
        out, size, "%.*s%.*s?%.*s", (int)(script.length < 200 ? script.length : 200),
        script.data ? script.data : "", (int)(path.length < 400 ? path.length : 400),
        path.data ? path.data : "", (int)(query.length < 300 ? query.length : 300),
        query.data ? query.data : "");
}

static void write_server(PyObject *env, char *out, size_t size)
{
    struct flame_slice software = flame_environ_lookup(env, "SERVER_SOFTWARE");
    size_t length = software.length < 100 ? software.length : 100;

    PyOS_snprintf(out, size, "%.*s%sPython %d.%d.%d", (int)length,
                  software.data ? software.data : "", software.data ? ", " : "",
                  PY_MAJOR_VERSION, PY_MINOR_VERSION, PY_MICRO_VERSION);
}

static struct flame_slice slice(const char *text)
{
    return (struct flame_slice){text, strlen(text)};
}

static PyObject *answer_profile(PyObject *env, PyObject *start_response,
                                const struct flame_profile *profile,
                                const struct flame_params *params,
                                const struct flame_said *said, const char *raised,
                                unsigned runs)
{
    char path[1000];
    char server[200];
    char line[600];
    struct flame_answer answer;

    write_path(env, path, sizeof path);
    write_server(env, server, sizeof server);
    struct flame_outcome outcome = {.method = slice(params->head ? "HEAD" : "GET"),
                                    .path = slice(path),
                                    .status = flame_bytes_of(said->status),
                                    .raised = slice(raised),
                                    .server = slice(server),
                                    .runs = runs};
    Py_BEGIN_ALLOW_THREADS
    flame_answer_make(profile, params, &outcome, &answer);
    Py_END_ALLOW_THREADS
    flame_answer_log(profile, &outcome, &answer, line, sizeof line);
    log_to_server(env, line);
    return flame_reply(start_response, &answer, params->head, said);
}

static PyObject *profile_call(struct middleware_object *self, PyObject *env,
                              PyObject *start_response,
                              const struct flame_params *params)
{
    struct flame_session_options options =
        flame_session_options_of(params, self->config.max_ns);
    struct flame_session *session;
    char raised[200];
    PyObject *result = NULL;
    PyObject *response = flame_response_new(self->response_type);

    if (response == NULL) {
        return NULL;
    }
    int error = flame_session_start(&options, &session);
    if (error != 0) {
        Py_DECREF(response);
        return flame_reply_sentence(start_response, 503, "Service Unavailable",
                                    flame_start_error_sentence(error), params->head);
    }
    unsigned runs = run_repeatedly(self, session, params, env, &response);
    flame_session_stop(session);
    struct flame_said said = flame_response_take(response);
    if (take_exception(raised, sizeof raised) == 0) {
        result = answer_profile(env, start_response, flame_session_profile(session),
                                params, &said, raised, runs);
    }
    flame_session_free(session);
    flame_said_clear(&said);
    Py_DECREF(response);
    return result;
}

/* ---- Middleware -------------------------------------------------------------- */

/* True if the query string is worth a closer look. */
static bool mentioned(struct middleware_object *self, PyObject *env)
{
    PyObject *query = PyDict_GetItemWithError(env, self->query_key);

    return query != NULL && flame_query_mentions_us(flame_bytes_of(query));
}

static PyObject *middleware_vectorcall(PyObject *object, PyObject *const *args,
                                       size_t count, PyObject *names)
{
    struct middleware_object *self = middleware_of(object);
    struct flame_params params;
    char sentence[FLAME_SENTENCE_SIZE];

    if (PyVectorcall_NARGS(count) != 2 || names != NULL || !PyDict_Check(args[0]) ||
        !mentioned(self, args[0])) {
        return PyObject_Vectorcall(self->app, args, count, names);
    }
    switch (flame_request_decide(&self->config, flame_environ_lookup, args[0],
                                 log_to_stderr, &params, sentence)) {
    case FLAME_PROFILE:
        return profile_call(self, args[0], args[1], &params);
    case FLAME_MALFORMED:
        return flame_reply_sentence(args[1], 400, "Bad Request", sentence, params.head);
    case FLAME_ORDINARY:
        break;
    }
    return PyObject_Vectorcall(self->app, args, count, names);
}

int flame_allow_from_python(struct flame_config *config, PyObject *allow)
{
    PyObject *item;

    if (PyUnicode_Check(allow)) {
        PyErr_Format(PyExc_ValueError, "allow takes a list of networks, not %R", allow);
        return -1;
    }
    PyObject *iterator = PyObject_GetIter(allow);
    if (iterator == NULL) {
        return -1;
    }
    while ((item = PyIter_Next(iterator)) != NULL) {
        struct flame_slice cidr = flame_bytes_of(item);
        if (cidr.data == NULL || flame_config_allow(config, cidr) != 0) {
            PyErr_Format(PyExc_ValueError,
                         "allow takes networks such as \"10.0.0.0/8\", not %R", item);
            Py_DECREF(item);
            Py_DECREF(iterator);
            return -1;
        }
        Py_DECREF(item);
    }
    Py_DECREF(iterator);
    return PyErr_Occurred() != NULL ? -1 : 0;
}

static int configure(struct middleware_object *self, double interval,
                     double max_seconds, PyObject *allow)
{
    flame_config_free(&self->config);
    flame_config_init(&self->config);
    if (flame_seconds_from_python(interval, "interval", FLAME_INTERVAL_MIN_NS,
                                  FLAME_INTERVAL_MOST_NS, FLAME_INTERVAL_ACCEPTED,
                                  &self->config.interval_ns) != 0 ||
        flame_seconds_from_python(max_seconds, "max_seconds", FLAME_MAX_NS_LEAST,
                                  FLAME_MAX_NS_MOST, FLAME_MAX_NS_ACCEPTED,
                                  &self->config.max_ns) != 0) {
        return -1;
    }
    return allow == NULL ? 0 : flame_allow_from_python(&self->config, allow);
}

static int middleware_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"app", "interval", "allow", "max_seconds", NULL};
    struct middleware_object *self = middleware_of(object);
    PyObject *app;
    PyObject *allow = NULL;
    double interval = 0.001;
    double max_seconds = 60;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$dOd:Middleware", names, &app,
                                     &interval, &allow, &max_seconds)) {
        return -1;
    }
    if (self->app != NULL) {
        /* A call that runs needs what another one would free. */
        PyErr_SetString(PyExc_RuntimeError, "a Middleware is made once");
        return -1;
    }
    if (!PyCallable_Check(app)) {
        PyErr_SetString(PyExc_TypeError, "app must be a WSGI application (a callable)");
        return -1;
    }
    struct flame_module_state *state = PyType_GetModuleState(Py_TYPE(object));
    PyObject *key = PyUnicode_InternFromString("QUERY_STRING");
    if (state == NULL || key == NULL ||
        configure(self, interval, max_seconds, allow) != 0) {
        Py_XDECREF(key);
        return -1;
    }
    self->vectorcall = middleware_vectorcall;
    Py_INCREF(app);
    Py_XSETREF(self->app, app);
    Py_XSETREF(self->query_key, key);
    Py_INCREF(state->response_type);
    Py_XSETREF(self->response_type, state->response_type);
    return 0;
}

static int middleware_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(middleware_of(object)->app);
    Py_VISIT(middleware_of(object)->response_type);
    return 0;
}

static int middleware_clear(PyObject *object)
{
    middleware_of(object)->vectorcall = NULL; /* others in the cycle may still call */
    Py_CLEAR(middleware_of(object)->app);
    return 0;
}

static void middleware_dealloc(PyObject *object)
{
    struct middleware_object *self = middleware_of(object);
    PyTypeObject *type = Py_TYPE(object);

    PyObject_GC_UnTrack(object);
    middleware_clear(object);
    Py_CLEAR(self->query_key);
    Py_CLEAR(self->response_type);
    flame_config_free(&self->config);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMemberDef middleware_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(struct middleware_object, vectorcall),
     READONLY, NULL},
    {"app", T_OBJECT_EX, offsetof(struct middleware_object, app), READONLY,
     "The application behind."},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot middleware_slots[] = {
    {Py_tp_doc,
     "Middleware(app, *, interval=0.001, allow=(), max_seconds=60)\n--\n\n"
     "A WSGI application that answers a request with ?flamegraph=1 by a flame graph\n"
     "of what app does for it, and passes every other request on untouched.\n\n"
     "interval: seconds between samples unless the request says (0.00005 to 1).\n"
     "allow: networks (\"10.0.0.0/8\") that may ask besides this host itself.\n"
     "max_seconds: the longest profile; the request runs on, but a body that still\n"
     "comes then is closed.\n"
     "Raises TypeError if app is no callable, ValueError for a bad option."},
    {Py_tp_init, middleware_init},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_members, middleware_members},
    {Py_tp_traverse, middleware_traverse},
    {Py_tp_clear, middleware_clear},
    {Py_tp_dealloc, middleware_dealloc},
    {0, NULL},
};

PyType_Spec flame_middleware_spec = {.name = "_flameprof.Middleware",
                                     .basicsize = sizeof(struct middleware_object),
                                     .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
                                              Py_TPFLAGS_HAVE_VECTORCALL,
                                     .slots = middleware_slots};
