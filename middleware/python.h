/*
 * The extension module's own parts: what module.c, wsgi.c and session.c share.
 * All of it: GIL held, Python's error conventions.
 */
#ifndef FLAME_MIDDLEWARE_PYTHON_H
#define FLAME_MIDDLEWARE_PYTHON_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "middleware/request.h"

extern PyType_Spec flame_middleware_spec; /* wsgi.c: Middleware */
extern PyType_Spec flame_response_spec;   /* wsgi.c: what the app is handed */
extern PyType_Spec flame_session_spec;    /* session.c: Session */

struct flame_module_state {
    PyTypeObject *response_type;
};

/* Seconds of a Python number as ns; -1 and ValueError naming `what` if it is
 * not from `least` to `most` ns. */
int flame_seconds_from_python(double seconds, const char *what, uint64_t least,
                              uint64_t most, uint64_t *ns);
/* An OSError or ValueError with the sentence for a negative errno of the
 * sampler; returns NULL. */
PyObject *flame_raise_start_error(int error);
const char *flame_start_error_sentence(int error);

#endif
