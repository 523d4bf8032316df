/*
 * The WSGI door's own parts: what wsgi.c, panel.c, headers.c and passing.c share.
 * All of it: GIL held, Python's error conventions.
 */
#ifndef FLAME_MIDDLEWARE_WSGI_H
#define FLAME_MIDDLEWARE_WSGI_H

#include "middleware/archive/archived.h"
#include "middleware/archive/keeper.h"
#include "middleware/badge/badge.h"
#include "middleware/common/taking.h"
#include "middleware/module/python.h"
#include "middleware/slow.h"

struct flame_middleware {
    PyObject_HEAD vectorcallfunc vectorcall;
    PyObject *app;
    PyObject *query_key; /* "QUERY_STRING", interned */
    PyTypeObject *response_type;
    PyTypeObject *passing_type;
    PyTypeObject *body_type;
    PyTypeObject *watched_type;
    PyObject *authorize; /* NULL: the rules of the configuration decide */
    struct flame_config config;
    struct flame_shelf shelf;   /* of the panel */
    struct flame_shelf archive; /* of dir= */
    PyObject *path_key;         /* "PATH_INFO", interned */
    PyTypeObject *onward_type;
    struct flame_lookout_options slow;
    bool watches;    /* requests that it passes on, to keep those that are slow */
    bool complained; /* that it cannot */
};

/* What an outcome's slices point into: copies, since without the GIL the application's
 * threads may let go of what these were. */
struct flame_told {
    struct flame_outcome outcome;
    char method[32];
    char path[1000];
    char status[200];
    char server[200];
};

/* What is to be told of a request and of its status (NULL: there was none). */
void flame_told_read(PyObject *env, PyObject *status, struct flame_told *told);
/* Another Middleware behind this one leaves the request alone meanwhile. An exception
 * that is set stays so. */
void flame_mark_taken(PyObject *env, bool taken);
/* Calls close() even after an error, which it then keeps. */
void flame_close_body(PyObject *body);

/* wsgi.c: a line where a server shows what goes wrong. */
void flame_log_to_stderr(const char *line);

/* configure.c: what a Middleware is made with. 0 and the application, borrowed; -1: an
 * exception is set. */
int flame_configure(struct flame_middleware *self, PyObject *args, PyObject *kwargs,
                    PyObject **app);

/* profiled.c: calls the application under a profile and answers with that. */
PyObject *flame_profile_call(struct flame_middleware *self, PyObject *env,
                             PyObject *start_response,
                             const struct flame_params *params);

/* The same file: what somebody who may ask is told instead. */
PyObject *flame_reply_refusal(PyObject *start_response,
                              const struct flame_refusal *refusal,
                              const struct flame_params *params);

/*
 * onward.c: calls the application under a profile that goes to the archive, while its
 * own answer goes on as it always does, but for a header with the profile's name.
 */
PyObject *flame_onward_call(struct flame_middleware *self, PyObject *env,
                            PyObject *start_response,
                            const struct flame_params *params);
extern PyType_Spec flame_onward_spec; /* a body under its profile */
/* watched.c: calls the application as it is, and looks on; for what the configuration
 * wants to have kept. */
PyObject *flame_watched_call(struct flame_middleware *self, PyObject *const *args,
                             size_t count);

/* panel.c: calls the application, and answers what it does with the badge in it, or
 * just as it does. `purpose` is not FLAME_NEITHER. */
PyObject *flame_panel_call(struct flame_middleware *self, PyObject *env,
                           PyObject *start_response, enum flame_purpose purpose);

/* ---- headers.c: headers are a list, as start_response() is given them --------------
 */

/* HTML that is there as itself, for a window to show. */
bool flame_headers_are_a_page(const struct flame_said *said);
/* A Content-Length that a page may have. */
bool flame_headers_say_length(PyObject *headers);
/* Others than who asked may be answered with it. */
bool flame_headers_are_shared(PyObject *headers);
/* Adds those of the page with the badge to `changed`, all but those that depend on it;
 * a policy may say no to `frames`. 1; 0: the page does not want the badge; -1: an
 * exception. */
int flame_headers_change(PyObject *changed, PyObject *headers, bool *frames);
/* Takes the value; NULL: an exception is set. 0 or -1. */
int flame_headers_add(PyObject *headers, const char *name, PyObject *value);
int flame_headers_add_timing(PyObject *headers, const struct flame_badge *badge);

/* ---- passing.c: an answer that is held back until it is known what goes on ---------
 */

extern PyType_Spec flame_passing_spec; /* a start_response */
extern PyType_Spec flame_body_spec;    /* a body */

/*
 * A start_response that holds what it is told, until it is let go: from then on it is
 * the server's own. The first write() lets it go.
 */
PyObject *flame_passing_new(PyTypeObject *type, PyObject *start_response);
/* What is held; NULL: nothing was said yet, or it has been let go. Borrowed. */
const struct flame_said *flame_passing_held(PyObject *passing);
/* With these headers in place of what was said; NULL: as it was said. 0, or -1. If
 * nothing was said yet, it will go on as it is said. */
int flame_passing_let_go(PyObject *passing, PyObject *headers);

/*
 * What is left of a body: parts (a list) taken off it already, then what still comes
 * from `rest` (NULL: nothing), or the exception that ended it (the current one, which
 * this takes). close() is `body`'s.
 */
PyObject *flame_body_new(PyTypeObject *type, PyObject *taken, PyObject *rest,
                         PyObject *body);

#endif
