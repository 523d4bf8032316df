/*
 * The panel for every site: a request of somebody who may is answered as it always is,
 * with the badge in it if it is a page, and a note of its profile in any case.
 *
 * The session ends before the answer goes on: what a server does to send it, and the
 * application's close(), are not in the graph. A body is taken in only if its end is in
 * sight: it says how long it is, or is there as a list.
 */
#include "middleware/wsgi.h"

#include <string.h>
#include <strings.h>

/* One request. */
struct visit {
    struct flame_middleware *self;
    PyObject *env;
    PyObject *passing; /* the application's start_response */
    PyObject *body;    /* what it returned */
    PyObject *taken;   /* its parts so far, a list; NULL: it was not begun */
    PyObject *rest;    /* its iterator; NULL: it came to its end */
    enum flame_purpose purpose;
    struct flame_badge badge;
    char profile[FLAME_SHELF_NAME + 1];
};

static bool is(struct flame_slice text, const char *expected)
{
    return text.data != NULL && text.length == strlen(expected) &&
           strncasecmp(text.data, expected, text.length) == 0;
}

static bool begins(struct flame_slice text, const char *with)
{
    return text.length >= strlen(with) && text.data != NULL &&
           strncasecmp(text.data, with, strlen(with)) == 0;
}

/* ---- headers ----------------------------------------------------------------- */

/* Of the pair at `index`; data NULL: it is none, or not of Latin-1. */
static struct flame_slice part_of(PyObject *headers, Py_ssize_t index, Py_ssize_t part)
{
    PyObject *pair = PyList_GET_ITEM(headers, index);

    return PyTuple_Check(pair) && PyTuple_GET_SIZE(pair) == 2
               ? flame_bytes_of(PyTuple_GET_ITEM(pair, part))
               : (struct flame_slice){NULL, 0};
}

/* Its first value; data NULL: it is not there. */
static struct flame_slice header(PyObject *headers, const char *name)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(headers); i++) {
        if (is(part_of(headers, i, 0), name)) {
            return part_of(headers, i, 1);
        }
    }
    return (struct flame_slice){NULL, 0};
}

static bool says_length(PyObject *headers)
{
    struct flame_slice length = header(headers, "Content-Length");
    size_t value = 0;

    for (size_t i = 0; i < length.length && value <= FLAME_PAGE_MAX; i++) {
        if (length.data[i] < '0' || length.data[i] > '9') {
            return false;
        }
        value = value * 10 + (size_t)(length.data[i] - '0');
    }
    return length.length > 0 && value <= FLAME_PAGE_MAX;
}

/* An encoding in which a `<` is not a byte. */
static bool is_wide(struct flame_slice type)
{
    for (size_t i = 0; i + 4 < type.length; i++) {
        if (strncasecmp(type.data + i, "utf-1", 5) == 0 ||
            strncasecmp(type.data + i, "utf-3", 5) == 0) {
            return true;
        }
    }
    return false;
}

/* HTML that is there as itself, for a window to show. */
static bool is_page(const struct flame_said *said)
{
    struct flame_slice type = header(said->headers, "Content-Type");
    struct flame_slice encoding = header(said->headers, "Content-Encoding");

    return begins(type, "text/html") && !is_wide(type) &&
           (encoding.data == NULL || is(encoding, "identity")) &&
           header(said->headers, "Transfer-Encoding").data == NULL &&
           header(said->headers, "Content-Range").data == NULL &&
           !begins(header(said->headers, "Content-Disposition"), "attachment");
}

/* Of a page that was changed these would be wrong, or bring an old badge back. */
static bool is_outdated(struct flame_slice name)
{
    static const char *const outdated[] = {
        "Content-Length", "Content-MD5",   "Digest",        "Content-Digest",
        "Repr-Digest",    "ETag",          "Last-Modified", "Accept-Ranges",
        "Expires",        "Cache-Control",
    };

    for (size_t i = 0; i < sizeof outdated / sizeof outdated[0]; i++) {
        if (is(name, outdated[i])) {
            return true;
        }
    }
    return false;
}

static bool is_policy(struct flame_slice name)
{
    return is(name, "Content-Security-Policy") ||
           is(name, "Content-Security-Policy-Report-Only");
}

static int add(PyObject *headers, const char *name, PyObject *value)
{
    PyObject *pair = value == NULL ? NULL : Py_BuildValue("(sN)", name, value);
    int result = pair == NULL ? -1 : PyList_Append(headers, pair);

    Py_XDECREF(pair);
    return result;
}

static int add_timing(PyObject *headers, const struct flame_badge *badge)
{
    char timing[128];

    if (badge->profile == NULL) {
        return 0;
    }
    flame_badge_timing(badge, timing, sizeof timing);
    return add(headers, "Server-Timing", PyUnicode_FromString(timing));
}

/* 1: added; 0: the page does not want the badge; -1: an exception. */
static int add_policy(PyObject *headers, struct flame_slice name,
                      struct flame_slice value, bool *frames)
{
    struct flame_writer changed = {0};
    int result = 0;

    if (flame_badge_policy(value, &changed, frames)) {
        PyObject *key =
            PyUnicode_DecodeLatin1(name.data, (Py_ssize_t)name.length, NULL);
        PyObject *text =
            PyUnicode_DecodeLatin1(changed.data, (Py_ssize_t)changed.length, NULL);
        PyObject *pair =
            key == NULL || text == NULL ? NULL : PyTuple_Pack(2, key, text);
        result = pair == NULL || PyList_Append(headers, pair) != 0 ? -1 : 1;
        Py_XDECREF(pair);
        Py_XDECREF(text);
        Py_XDECREF(key);
    }
    flame_writer_free(&changed);
    return result;
}

/* The headers of the page with the badge, all but those that depend on it. 1, 0 or -1
 * as add_policy(). */
static int change_headers(PyObject *changed, PyObject *headers, bool *frames)
{
    int result = 1;

    for (Py_ssize_t i = 0; result == 1 && i < PyList_GET_SIZE(headers); i++) {
        struct flame_slice name = part_of(headers, i, 0);
        struct flame_slice value = part_of(headers, i, 1);
        if (is_policy(name) && value.length != 0) {
            result = add_policy(changed, name, value, frames);
        } else if (!is_outdated(name) &&
                   PyList_Append(changed, PyList_GET_ITEM(headers, i)) != 0) {
            result = -1;
        }
    }
    return result;
}

/* ---- the body ---------------------------------------------------------------- */

/* Takes its parts, as far as a page may reach. On return an exception is set if one
 * ended it. */
static void take_parts(struct visit *visit)
{
    size_t length = 0;
    PyObject *part;

    visit->taken = PyList_New(0);
    visit->rest = visit->taken == NULL ? NULL : PyObject_GetIter(visit->body);
    if (visit->rest == NULL) {
        return;
    }
    while (length <= FLAME_PAGE_MAX && (part = PyIter_Next(visit->rest)) != NULL) {
        length += PyBytes_Check(part) ? (size_t)PyBytes_GET_SIZE(part) : 0;
        int error = PyList_Append(visit->taken, part);
        Py_DECREF(part);
        if (error != 0) {
            return;
        }
    }
    if (length <= FLAME_PAGE_MAX) {
        Py_CLEAR(visit->rest);
    }
}

/* Its end is in sight: it says how long it is, or is there already. */
static bool ends_soon(const struct visit *visit, const struct flame_said *said)
{
    return PyList_Check(visit->body) || PyTuple_Check(visit->body) ||
           says_length(said->headers);
}

/* ---- the answer -------------------------------------------------------------- */

static void keep(struct visit *visit, const struct flame_profile *profile,
                 const struct flame_said *said)
{
    const struct flame_params params = {.format = FLAME_FORMAT_JSON, .repeat = 1};
    struct flame_badge *badge = &visit->badge;
    struct flame_answer answer;
    struct flame_told told;
    int error = -1;

    flame_told_read(visit->env, &told);
    told.outcome.status = flame_bytes_of(said->status);
    told.outcome.runs = 1;
    Py_BEGIN_ALLOW_THREADS
    flame_answer_make(profile, &params, &told.outcome, &answer);
    if (answer.status == 200) {
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
    return add(headers, "Content-Length", PyUnicode_FromFormat("%zd", length)) != 0 ||
                   add(headers, "Cache-Control", PyUnicode_FromString("no-store")) !=
                       0 ||
                   add_timing(headers, &visit->badge) != 0
               ? -1
               : 0;
}

/* 1: what was taken is the page with the badge, and it was let go; 0: the page is left
 * alone; -1: an exception. */
static int answer_page(struct visit *visit, const struct flame_said *said)
{
    PyObject *headers = PyList_New(0);
    int result = headers == NULL
                     ? -1
                     : change_headers(headers, said->headers, &visit->badge.frames);
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
        }
    }
    Py_XDECREF(page);
    Py_XDECREF(headers);
    return result;
}

/* As it is, with a note of its profile. */
static int answer_unchanged(struct visit *visit, const struct flame_said *said)
{
    PyObject *headers = PyList_GetSlice(said->headers, 0, PY_SSIZE_T_MAX);
    int result = headers == NULL || add_timing(headers, &visit->badge) != 0
                     ? -1
                     : flame_passing_let_go(visit->passing, headers);

    Py_XDECREF(headers);
    return result;
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
    keep(visit, profile, said);
    bool whole = visit->taken != NULL && visit->rest == NULL && type == NULL;
    int result = whole && visit->purpose == FLAME_PAGE && is_page(said)
                     ? answer_page(visit, said)
                     : 0;
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

static void run(struct visit *visit, struct flame_session *session)
{
    flame_session_phase(session, FLAME_PHASE_APPLICATION, NULL);
    visit->body = PyObject_CallFunctionObjArgs(visit->self->app, visit->env,
                                               visit->passing, NULL);
    const struct flame_said *said =
        visit->body == NULL ? NULL : flame_passing_held(visit->passing);
    if (said != NULL && ends_soon(visit, said)) {
        flame_session_phase(session, FLAME_PHASE_ITERATION, NULL);
        take_parts(visit);
    }
    flame_session_stop(session);
}

/* What the server is handed in place of the body. */
static PyObject *body_of(struct visit *visit)
{
    if (visit->taken == NULL) {
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
    struct flame_session *session;
    PyObject *result = NULL;

    if (flame_session_start(&options, &session) != 0) {
        return PyObject_CallFunctionObjArgs(self->app, env, start_response, NULL);
    }
    visit.passing = flame_passing_new(self->passing_type, start_response);
    if (visit.passing == NULL) {
        flame_session_stop(session);
    } else {
        run(&visit, session);
        if (visit.body != NULL && let_go(&visit, flame_session_profile(session)) == 0) {
            result = body_of(&visit);
        } else if (visit.body != NULL) {
            flame_close_body(visit.body);
        }
    }
    flame_session_free(session);
    Py_XDECREF(visit.taken);
    Py_XDECREF(visit.rest);
    Py_XDECREF(visit.body);
    Py_XDECREF(visit.passing);
    return result;
}
