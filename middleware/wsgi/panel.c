/*
 * The panel for every site: a request of somebody who may is answered as it always is,
 * with the badge in it if it is a page, and with a note of its profile if a script
 * asked.
 *
 * The session ends before the answer goes on: what a server does to send it, and the
 * application's close(), are not in the graph. A body is taken in only if it is a page
 * whose end is in sight: it says how long it is, or is there as a list.
 */
#include "middleware/common/taking.h"
#include "middleware/wsgi/wsgi.h"

#include <errno.h>

/* One request. */
struct visit {
    struct flame_middleware *self;
    PyObject *env;
    PyObject *passing; /* the application's start_response */
    PyObject *body;    /* what it returned */
    PyObject *taken;   /* its parts so far, a list; NULL: it was not begun */
    PyObject *rest;    /* its iterator; NULL: it came to its end */
    bool changed;      /* taken is the page with the badge */
    enum flame_purpose purpose;
    struct flame_badge badge;
    char profile[FLAME_SHELF_NAME + 1];
};

/* ---- the body ---------------------------------------------------------------- */

/* Parts of one page; a body of more is not of one. */
#define PARTS_MAX 100000

/*
 * Takes its parts, as far as a page may reach and bytes come, until `ends_ns`. On
 * return an exception is set if one ended it.
 */
static void take_parts(struct visit *visit, uint64_t ends_ns)
{
    size_t length = 0;
    PyObject *part;

    visit->taken = PyList_New(0);
    visit->rest = visit->taken == NULL ? NULL : PyObject_GetIter(visit->body);
    if (visit->rest == NULL) {
        return;
    }
    while ((part = PyIter_Next(visit->rest)) != NULL) {
        bool good = PyBytes_Check(part);
        length += good ? (size_t)PyBytes_GET_SIZE(part) : 0;
        int error = PyList_Append(visit->taken, part);
        Py_DECREF(part);
        if (error != 0 || !good || length > FLAME_PAGE_MAX ||
            PyList_GET_SIZE(visit->taken) > PARTS_MAX || flame_now_ns() > ends_ns) {
            return;
        }
    }
    if (PyErr_Occurred() == NULL) {
        Py_CLEAR(visit->rest);
    }
}

/* It can be given to the server as it is, however often it was iterated. */
static bool is_there(const struct visit *visit)
{
    return PyList_CheckExact(visit->body) || PyTuple_CheckExact(visit->body);
}

/* A page whose end is in sight: it says how long it is, or is there already. */
static bool is_to_take(const struct visit *visit, const struct flame_said *said)
{
    return visit->purpose == FLAME_PAGE && flame_headers_are_a_page(said) &&
           (is_there(visit) || flame_headers_say_length(said->headers));
}

/* ---- the answer -------------------------------------------------------------- */

static void keep(struct visit *visit, const struct flame_profile *profile,
                 const struct flame_said *said)
{
    const struct flame_params params = {
        .format = FLAME_FORMAT_JSON,
        .repeat = 1,
        .max_bytes = (size_t)visit->self->config.max_picture_bytes};
    struct flame_badge *badge = &visit->badge;
    struct flame_answer answer;
    struct flame_told told;
    int error = -EIO;

    flame_told_read(visit->env, said->status, &told);
    told.outcome.runs = 1;
    Py_BEGIN_ALLOW_THREADS
    flame_answer_make(profile, &params, &told.outcome, &answer);
    if (answer.status == 200) {
        error = flame_shelf_make_name(true, visit->profile);
    }
    if (error == 0) {
        error = flame_shelf_put(
            &visit->self->shelf,
            (struct flame_slice){answer.body.data, answer.body.length}, visit->profile);
    }
    Py_END_ALLOW_THREADS
    *badge = (struct flame_badge){.profile = error == 0 ? visit->profile : NULL,
                                  .problem = flame_shelf_error(error),
                                  .duration_ns = profile->quality.duration_ns,
                                  .samples = profile->quality.samples,
                                  .frames = true};
    flame_answer_free(&answer);
}

/* The page with the badge, bytes; Py_None: it is left alone; NULL: an exception. */
static PyObject *with_badge(struct visit *visit)
{
    PyObject *empty = PyBytes_FromStringAndSize(NULL, 0);
    PyObject *page =
        empty == NULL ? NULL : PyObject_CallMethod(empty, "join", "O", visit->taken);
    struct flame_writer out = {0};
    PyObject *result = NULL;

    if (page != NULL) {
        struct flame_slice bytes = {PyBytes_AS_STRING(page),
                                    (size_t)PyBytes_GET_SIZE(page)};
        if (flame_badge_insert(bytes, &visit->badge, &out)) {
            result = PyBytes_FromStringAndSize(out.data, (Py_ssize_t)out.length);
        } else {
            Py_INCREF(Py_None);
            result = Py_None;
        }
    }
    flame_writer_free(&out);
    Py_XDECREF(page);
    Py_XDECREF(empty);
    return result;
}

static int add_own(PyObject *headers, const struct visit *visit, Py_ssize_t length)
{
    return flame_headers_add(headers, "Content-Length",
                             PyUnicode_FromFormat("%zd", length)) != 0 ||
                   flame_headers_add(headers, "Cache-Control",
                                     PyUnicode_FromString("no-store")) != 0 ||
                   flame_headers_add_timing(headers, &visit->badge) != 0
               ? -1
               : 0;
}

/* 1: what was taken is the page with the badge, and it was let go; 0: the page is left
 * alone; -1: an exception. */
static int answer_page(struct visit *visit, const struct flame_said *said)
{
    PyObject *headers = PyList_New(0);
    int result = headers == NULL ? -1
                                 : flame_headers_change(headers, said->headers,
                                                        &visit->badge.frames);
    PyObject *page = result == 1 ? with_badge(visit) : NULL;

    if (result == 1 && page == Py_None) {
        result = 0;
    } else if (result == 1) {
        PyObject *only = page == NULL ? NULL : Py_BuildValue("[O]", page);
        if (only == NULL || add_own(headers, visit, PyBytes_GET_SIZE(page)) != 0 ||
            flame_passing_let_go(visit->passing, headers) != 0) {
            Py_XDECREF(only);
            result = -1;
        } else {
            Py_SETREF(visit->taken, only);
            visit->changed = true;
        }
    }
    Py_XDECREF(page);
    Py_XDECREF(headers);
    return result;
}

/* As it is; of a script's request with a note of its profile. */
static int answer_unchanged(struct visit *visit, const struct flame_said *said)
{
    if (visit->purpose != FLAME_BY_SCRIPT || visit->badge.profile == NULL) {
        return flame_passing_let_go(visit->passing, NULL);
    }
    PyObject *headers = PyList_GetSlice(said->headers, 0, PY_SSIZE_T_MAX);
    int result =
        headers == NULL || flame_headers_add_timing(headers, &visit->badge) != 0
            ? -1
            : flame_passing_let_go(visit->passing, headers);

    Py_XDECREF(headers);
    return result;
}

/* Somebody can come back for it. */
static bool is_to_keep(const struct visit *visit, const struct flame_said *said)
{
    return visit->purpose == FLAME_BY_SCRIPT
               ? !flame_headers_are_shared(said->headers)
               : visit->taken != NULL && visit->rest == NULL;
}

/* What was said goes to the server. An exception that ended the body comes behind what
 * was taken of it, as it would have. */
static int let_go(struct visit *visit, const struct flame_profile *profile)
{
    const struct flame_said *said = flame_passing_held(visit->passing);
    PyObject *type;
    PyObject *value;
    PyObject *traceback;

    if (said == NULL) {
        return flame_passing_let_go(visit->passing, NULL);
    }
    PyErr_Fetch(&type, &value, &traceback);
    bool kept = is_to_keep(visit, said);
    if (kept) {
        keep(visit, profile, said);
    }
    int result = kept && visit->purpose == FLAME_PAGE ? answer_page(visit, said) : 0;
    if (result == 0) {
        result = answer_unchanged(visit, said);
    }
    if (result >= 0) {
        PyErr_Restore(type, value, traceback);
        return 0;
    }
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    return -1;
}

/* ---- the visit --------------------------------------------------------------- */

void flame_mark_taken(PyObject *env, bool taken)
{
    PyObject *type;
    PyObject *value;
    PyObject *traceback;

    PyErr_Fetch(&type, &value, &traceback);
    PyObject *mark = taken ? PyUnicode_FromString("1") : NULL;
    if (mark != NULL) {
        (void)PyDict_SetItemString(env, FLAME_TAKEN, mark);
    } else if (!taken) {
        (void)PyDict_DelItemString(env, FLAME_TAKEN);
    }
    Py_XDECREF(mark);
    PyErr_Clear();
    PyErr_Restore(type, value, traceback);
}

static void run(struct visit *visit, struct flame_session *session)
{
    uint64_t ends_ns = flame_now_ns() + visit->self->config.max_ns;

    flame_mark_taken(visit->env, true);
    flame_session_phase(session, FLAME_PHASE_APPLICATION, NULL);
    visit->body = PyObject_CallFunctionObjArgs(visit->self->app, visit->env,
                                               visit->passing, NULL);
    const struct flame_said *said =
        visit->body == NULL ? NULL : flame_passing_held(visit->passing);
    if (said != NULL && is_to_take(visit, said)) {
        flame_session_phase(session, FLAME_PHASE_ITERATION, NULL);
        take_parts(visit, ends_ns);
    }
    flame_session_stop(session);
    flame_mark_taken(visit->env, false);
}

/* What the server is handed in place of the body; NULL: an exception. */
static PyObject *body_of(struct visit *visit)
{
    if (visit->taken == NULL && PyErr_Occurred() != NULL) {
        return NULL; /* there was no memory to begin */
    }
    if (visit->taken == NULL || (!visit->changed && is_there(visit))) {
        PyErr_Clear(); /* of a list's it can only be our own lack of memory */
        Py_INCREF(visit->body);
        return visit->body;
    }
    return flame_body_new(visit->self->body_type, visit->taken, visit->rest,
                          visit->body);
}

PyObject *flame_panel_call(struct flame_middleware *self, PyObject *env,
                           PyObject *start_response, enum flame_purpose purpose)
{
    const struct flame_session_options options = {
        .interval_ns = self->config.interval_ns, .max_ns = self->config.max_ns};
    struct visit visit = {.self = self, .env = env, .purpose = purpose};
    struct flame_taking taking;
    struct flame_refusal refusal;
    PyObject *result = NULL;

    if (!flame_taking_start(&self->config, &options, &taking, &refusal)) {
        return PyObject_CallFunctionObjArgs(self->app, env, start_response, NULL);
    }
    visit.passing = flame_passing_new(self->passing_type, start_response);
    if (visit.passing == NULL) {
        flame_session_stop(taking.session);
    } else {
        run(&visit, taking.session);
        if (visit.body != NULL &&
            let_go(&visit, flame_session_profile(taking.session)) == 0) {
            result = body_of(&visit);
        }
        if (result == NULL && visit.body != NULL) {
            flame_close_body(visit.body);
        }
    }
    flame_taking_free(&taking);
    Py_XDECREF(visit.taken);
    Py_XDECREF(visit.rest);
    Py_XDECREF(visit.body);
    Py_XDECREF(visit.passing);
    return result;
}
