/*
 * _flameprof.Middleware: the WSGI door.
 *
 * On the path of every request: one dictionary look-up and a scan of the query
 * string. A profiled one is called, iterated and closed inside its profile, its
 * body thrown away as it comes.
 */
#include "middleware/wsgi.h"

#include <string.h>
#include <structmember.h>

static struct flame_middleware *middleware_of(PyObject *object)
{
    return (struct flame_middleware *)object;
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

void flame_close_body(PyObject *body)
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
    flame_close_body(body);
    Py_DECREF(body);
}

/*
 * The application is called once, or as often as was asked and there is time: each
 * time with the environ as it came. Returns how often.
 */
static unsigned run_repeatedly(struct flame_middleware *self,
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
        out, size, "%.*s%.*s%s%.*s", (int)(script.length < 200 ? script.length : 200),
        script.data ? script.data : "", (int)(path.length < 400 ? path.length : 400),
        path.data ? path.data : "", query.length > 0 ? "?" : "",
        (int)(query.length < 300 ? query.length : 300), query.data ? query.data : "");
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

static struct flame_slice copy(struct flame_slice text, char *out, size_t size)
{
    size_t length = text.length < size ? text.length : size;

    if (length != 0) {
        memcpy(out, text.data, length);
    }
    return (struct flame_slice){out, length};
}

void flame_told_read(PyObject *env, PyObject *status, struct flame_told *told)
{
    write_path(env, told->path, sizeof told->path);
    write_server(env, told->server, sizeof told->server);
    told->outcome = (struct flame_outcome){
        .method = copy(flame_environ_lookup(env, "REQUEST_METHOD"), told->method,
                       sizeof told->method),
        .path = slice(told->path),
        .status = copy(flame_bytes_of(status), told->status, sizeof told->status),
        .server = slice(told->server)};
}

static PyObject *answer_profile(PyObject *env, PyObject *start_response,
                                const struct flame_profile *profile,
                                const struct flame_params *params,
                                const struct flame_said *said, const char *raised,
                                unsigned runs)
{
    char line[600];
    struct flame_answer answer;
    struct flame_told told;

    flame_told_read(env, said->status, &told);
    told.outcome.raised = slice(raised);
    told.outcome.runs = runs;
    Py_BEGIN_ALLOW_THREADS
    flame_answer_make(profile, params, &told.outcome, &answer);
    Py_END_ALLOW_THREADS
    flame_answer_log(profile, &told.outcome, &answer, line, sizeof line);
    log_to_server(env, line);
    return flame_reply(start_response, &answer, params->head, said);
}

static PyObject *profile_call(struct flame_middleware *self, PyObject *env,
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

static PyObject *answer_kept(struct flame_middleware *self, PyObject *start_response,
                             const struct flame_params *params)
{
    static const struct flame_said nothing = {NULL, NULL};
    struct flame_answer answer;

    Py_BEGIN_ALLOW_THREADS
    flame_answer_kept(&self->shelf, params, &answer);
    Py_END_ALLOW_THREADS
    return flame_reply(start_response, &answer, params->head, &nothing);
}

/* As it is, or with a badge for those who may. */
static PyObject *pass_on(struct flame_middleware *self, PyObject *const *args,
                         size_t count)
{
    enum flame_purpose purpose =
        self->config.shelf == NULL
            ? FLAME_NEITHER
            : flame_badge_purpose(&self->config, flame_environ_lookup, args[0]);

    return purpose == FLAME_NEITHER ? PyObject_Vectorcall(self->app, args, count, NULL)
                                    : flame_panel_call(self, args[0], args[1], purpose);
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

    if (PyVectorcall_NARGS(count) != 2 || names != NULL || !PyDict_Check(args[0])) {
        return PyObject_Vectorcall(self->app, args, count, names);
    }
    if (!mentioned(self, args[0])) {
        return pass_on(self, args, count);
    }
    switch (flame_request_decide(&self->config, flame_environ_lookup, args[0],
                                 log_to_stderr, &params, sentence)) {
    case FLAME_PROFILE:
        return profile_call(self, args[0], args[1], &params);
    case FLAME_MALFORMED:
        return flame_reply_sentence(args[1], 400, "Bad Request", sentence, params.head);
    case FLAME_KEPT:
        return answer_kept(self, args[1], &params);
    case FLAME_ORDINARY:
        break;
    }
    return pass_on(self, args, count);
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

/* Whoever cannot be asked about may not. */
static bool ask(void *authority, void *env)
{
    PyObject *said = PyObject_CallFunctionObjArgs(authority, env, NULL);
    int may = said == NULL ? -1 : PyObject_IsTrue(said);

    if (may < 0) {
        PyErr_WriteUnraisable(authority);
    }
    Py_XDECREF(said);
    return may > 0;
}

static int configure_authorize(struct flame_middleware *self, PyObject *authorize)
{
    if (authorize == Py_None) {
        return 0;
    }
    if (!PyCallable_Check(authorize)) {
        PyErr_SetString(PyExc_TypeError, "authorize takes a callable");
        return -1;
    }
    if (self->config.allow_count > 0) {
        PyErr_SetString(PyExc_ValueError,
                        "allow and authorize exclude each other: either decides alone");
        return -1;
    }
    Py_INCREF(authorize);
    Py_XSETREF(self->authorize, authorize);
    self->config.authorize = ask;
    self->config.authority = authorize;
    return 0;
}

static int configure_panel(struct flame_middleware *self, bool panel,
                           const char *folder)
{
    if (flame_shelf_init(&self->shelf, flame_slice_of(folder)) != 0) {
        PyErr_SetString(PyExc_ValueError, "panel_folder is too long a path");
        return -1;
    }
    self->config.shelf = panel ? &self->shelf : NULL;
    return 0;
}

static int configure(struct flame_middleware *self, double interval, double max_seconds,
                     PyObject *allow)
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
    static char *names[] = {"app",       "interval", "allow",        "max_seconds",
                            "authorize", "panel",    "panel_folder", NULL};
    struct flame_middleware *self = middleware_of(object);
    PyObject *app;
    PyObject *allow = NULL;
    PyObject *authorize = Py_None;
    double interval = 0.001;
    double max_seconds = 60;
    const char *folder = "";
    int panel = 0;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$dOdOps:Middleware", names, &app,
                                     &interval, &allow, &max_seconds, &authorize,
                                     &panel, &folder)) {
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
        configure(self, interval, max_seconds, allow) != 0 ||
        configure_authorize(self, authorize) != 0 ||
        configure_panel(self, panel != 0, folder) != 0) {
        Py_XDECREF(key);
        return -1;
    }
    self->vectorcall = middleware_vectorcall;
    Py_INCREF(app);
    Py_XSETREF(self->app, app);
    Py_XSETREF(self->query_key, key);
    Py_INCREF(state->response_type);
    Py_XSETREF(self->response_type, state->response_type);
    Py_INCREF(state->passing_type);
    Py_XSETREF(self->passing_type, state->passing_type);
    Py_INCREF(state->body_type);
    Py_XSETREF(self->body_type, state->body_type);
    return 0;
}

static int middleware_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(middleware_of(object)->app);
    Py_VISIT(middleware_of(object)->response_type);
    Py_VISIT(middleware_of(object)->passing_type);
    Py_VISIT(middleware_of(object)->body_type);
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

static void middleware_dealloc(PyObject *object)
{
    struct flame_middleware *self = middleware_of(object);
    PyTypeObject *type = Py_TYPE(object);

    PyObject_GC_UnTrack(object);
    middleware_clear(object);
    Py_CLEAR(self->query_key);
    Py_CLEAR(self->response_type);
    Py_CLEAR(self->passing_type);
    Py_CLEAR(self->body_type);
    flame_config_free(&self->config);
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

static PyType_Slot middleware_slots[] = {
    {Py_tp_doc,
     "Middleware(app, *, interval=0.001, allow=(), max_seconds=60, authorize=None,\n"
     "           panel=False, panel_folder='')\n"
     "--\n\n"
     "A WSGI application that answers a request with ?flamegraph=1 by a flame graph\n"
     "of what app does for it, and passes every other request on untouched.\n\n"
     "interval: seconds between samples unless the request says (0.00005 to 1).\n"
     "allow: networks (\"10.0.0.0/8\") that may ask besides this host itself.\n"
     "authorize: instead of that, a callable that is given the environ and says "
     "whether\n"
     "its request may have a profile; if it raises, it may not.\n"
     "panel: puts a badge into their pages, with the flame graph behind it; its\n"
     "profiles wait in panel_folder, \"flameprof-UID\" in TMPDIR or /tmp.\n"
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
                                     .basicsize = sizeof(struct flame_middleware),
                                     .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
                                              Py_TPFLAGS_HAVE_VECTORCALL,
                                     .slots = middleware_slots};
