/*
 * The extension module's own parts: what the files of this folder and of wsgi/ share.
 * All of it: GIL held, Python's error conventions.
 */
#ifndef FLAME_MIDDLEWARE_PYTHON_H
#define FLAME_MIDDLEWARE_PYTHON_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "middleware/request.h"

#include <pthread.h>

extern PyType_Spec flame_middleware_spec; /* wsgi.c: Middleware */
extern PyType_Spec flame_response_spec;   /* response.c: what the app is handed */
extern PyType_Spec flame_session_spec;    /* session.c: Session */
extern PyType_Spec flame_shelf_spec;      /* kept.c: Shelf */
extern PyType_Spec flame_watched_spec;    /* watched.c: around a watched request */

struct flame_session_object {
    PyObject_HEAD struct flame_session *seen; /* all that was; NULL: nothing yet */
    struct flame_session *running;            /* NULL: none */
    size_t readers;                           /* threads that draw it without the GIL */
    bool busy; /* a thread changes it, perhaps without the GIL */
    pthread_t thread;
    bool paused;                          /* and running */
    bool is_request;                      /* and its root is called so */
    struct flame_session_options options; /* names: of the capsule */
    PyObject *names;                      /* a capsule, which its snapshots share */
    PyObject *sources;                    /* the same, of options.sources; or NULL */
};

/*
 * sources.c: a dict of texts by file as sources, of which *out is valid as long as the
 * capsule that is returned. NULL: an exception is set.
 */
PyObject *flame_sources_from_python(PyObject *mapping,
                                    const struct flame_sources **out);

/* picture.c and rows.c: methods of a Session that has ended. */
PyObject *flame_session_folded(PyObject *object, PyObject *args, PyObject *kwargs);
PyObject *flame_session_svg(PyObject *object, PyObject *args, PyObject *kwargs);
PyObject *flame_session_render(PyObject *object, PyObject *args, PyObject *kwargs);
PyObject *flame_session_functions(PyObject *object, PyObject *args, PyObject *kwargs);
PyObject *flame_session_tally(PyObject *object, PyObject *args, PyObject *kwargs);
PyObject *flame_session_quality(PyObject *object, PyObject *unused);

struct flame_module_state {
    PyTypeObject *response_type;
    PyTypeObject *passing_type;
    PyTypeObject *body_type;
    PyTypeObject *onward_type;
    PyTypeObject *watched_type;
};

/* WSGI's strings hold bytes as Latin-1. data == NULL: this is none such. The slice
 * is valid while the string is. */
struct flame_slice flame_bytes_of(PyObject *text);

/* What an application told start_response; owned; NULL: it was not called. */
struct flame_said {
    PyObject *status;  /* str */
    PyObject *headers; /* list, the application's own */
};

/* A flame_lookup of a WSGI environ, a dict. Text that holds no bytes is "?". */
struct flame_slice flame_environ_lookup(void *env, const char *name);
/* configure.c: sets the option of that name, a keyword. 1; 0: there is none; -1: an
 * exception is set. */
int flame_option_from_python(struct flame_config *config, const char *name,
                             PyObject *value);

struct flame_option;
/* "max_seconds" is the keyword of "max-seconds". */
bool flame_option_is_keyword(const struct flame_option *option, const char *keyword);
/* -1 and the exception of an error of options.h; `value` borrowed. */
int flame_option_raise(const struct flame_option *option, PyObject *value, int error);

/* web.c, options.c: what a door that is written in Python calls; functions of the
 * module. */
extern PyMethodDef flame_web_functions[];
extern PyMethodDef flame_options_functions[];
extern PyMethodDef flame_stats_functions[];
/* attend.c and program.c: what the command `flameprof` needs of Python's process. */
extern PyMethodDef flame_attend_functions[];
extern PyMethodDef flame_program_functions[];

/* Of the type of flame_response_spec; a new reference, or NULL. */
PyObject *flame_response_new(PyTypeObject *type);
/* What was said so far; what is said from now on is not heard. The caller ends
 * it with flame_said_clear(). */
struct flame_said flame_response_take(PyObject *response);
void flame_said_clear(struct flame_said *said);

/*
 * Our answer as a WSGI application's, with the headers of the other's that go
 * with it: start_response is called, the body returned. Frees the answer.
 */
PyObject *flame_reply(PyObject *start_response, struct flame_answer *answer, bool head,
                      const struct flame_said *said);
/* The same with a text/plain answer of one sentence. */
PyObject *flame_reply_sentence(PyObject *start_response, int status, const char *reason,
                               const char *sentence, bool head);

/* Seconds of a Python number as ns; -1 and ValueError ("interval takes ...") if it
 * is not from `least` to `most` ns. */
int flame_seconds_from_python(double seconds, const char *what, uint64_t least,
                              uint64_t most, const char *accepted, uint64_t *ns);
/* An OSError or ValueError with the sentence for a negative errno of the
 * sampler; returns NULL. */
PyObject *flame_raise_start_error(int error);

#endif
