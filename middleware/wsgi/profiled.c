/*
 * A request that is profiled, in the WSGI door: the application is called, iterated and
 * closed inside its profile, its body thrown away as it comes, and the picture is the
 * answer.
 */
#include "middleware/common/taking.h"
#include "middleware/wsgi/wsgi.h"

#include <string.h>

/* ---- the environ ------------------------------------------------------------- */

struct flame_slice flame_environ_lookup(void *env, const char *name)
{
    PyObject *value = PyDict_GetItemString(env, name);
    struct flame_slice bytes = flame_bytes_of(value);

    /* Were it taken for absent, a path would be another one, and a proxy's header
     * none. */
    return bytes.data == NULL && value != NULL && PyUnicode_Check(value)
               ? (struct flame_slice){"?", 1}
               : bytes;
}

/* A body can be read once only. */
static bool has_content(PyObject *env)
{
    struct flame_slice length = flame_environ_lookup(env, "CONTENT_LENGTH");

    return (length.length > 0 && !(length.length == 1 && *length.data == '0')) ||
           PyDict_GetItemString(env, "HTTP_TRANSFER_ENCODING") != NULL;
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
        flame_log_to_stderr(line);
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

/* A profile that was cut short is kept, too, where there is an archive; an exception
 * that is set stays so. Frees the taking. */
static void end_session(struct flame_middleware *self, PyObject *env,
                        struct flame_taking *taking, const struct flame_said *said,
                        enum flame_cut cut)
{
    const struct flame_quality *quality =
        &flame_session_profile(taking->session)->quality;
    char name[FLAME_SHELF_NAME + 1];
    struct flame_told told;
    struct flame_facts facts;

    cut =
        cut == FLAME_CUT_NOT && quality->deadline_reached ? FLAME_CUT_MAX_SECONDS : cut;
    if (self->config.archive == NULL || cut == FLAME_CUT_NOT ||
        flame_shelf_make_name(true, name) != 0) {
        flame_taking_free(taking);
        return;
    }
    flame_told_read(env, said->status, &told);
    flame_archived_facts(&told.outcome, quality->duration_ns, &facts);
    facts.why = FLAME_WHY_CUT;
    facts.cut = cut;
    (void)flame_keeper_keep(self->config.archive, NULL, flame_taking_take(taking),
                            &facts, name);
}

PyObject *flame_reply_refusal(PyObject *start_response,
                              const struct flame_refusal *refusal,
                              const struct flame_params *params)
{
    static const struct flame_said nothing = {NULL, NULL};
    struct flame_answer answer;

    flame_answer_refusal(refusal, &params->receipt, &answer);
    return flame_reply(start_response, &answer, params->head, &nothing);
}

PyObject *flame_profile_call(struct flame_middleware *self, PyObject *env,
                             PyObject *start_response,
                             const struct flame_params *params)
{
    struct flame_session_options options =
        flame_session_options_of(params, self->config.max_ns);
    struct flame_taking taking;
    struct flame_refusal refusal;
    char raised[200];
    PyObject *result = NULL;
    PyObject *response = flame_response_new(self->response_type);

    if (response == NULL) {
        return NULL;
    }
    if (!flame_taking_start(&self->config, &options, &taking, &refusal)) {
        Py_DECREF(response);
        return flame_reply_refusal(start_response, &refusal, params);
    }
    unsigned runs = run_repeatedly(self, taking.session, params, env, &response);
    flame_session_stop(taking.session);
    struct flame_said said = flame_response_take(response);
    enum flame_cut cut = FLAME_CUT_STOPPED; /* by SystemExit, as servers do it */
    if (take_exception(raised, sizeof raised) == 0) {
        cut = FLAME_CUT_NOT;
        result =
            answer_profile(env, start_response, flame_session_profile(taking.session),
                           params, &said, raised, runs);
    }
    end_session(self, env, &taking, &said, cut);
    flame_said_clear(&said);
    Py_DECREF(response);
    return result;
}
