/*
 * A body between the application's and the server: it passes on part after part as the
 * application makes them, and close(), once. What else is to happen at these moments is
 * its use's: a profile goes on and stands still (onward.c), a request is looked at
 * (watched.c), parts come first that were taken off before (passing.c).
 *
 * GIL held, Python's error conventions.
 */
#ifndef FLAME_MIDDLEWARE_THROUGH_H
#define FLAME_MIDDLEWARE_THROUGH_H

#include "middleware/module/python.h"

struct flame_through;

/* Called before and after the application's close(), once; after it an exception may be
 * set, and stays so. NULL: there is nothing to do. */
struct flame_through_use {
    void (*closes)(struct flame_through *self);
    void (*closed)(struct flame_through *self);
};

/* What an object of a use begins with. */
struct flame_through {
    PyObject_HEAD const struct flame_through_use *use;
    PyObject *body;  /* strong; NULL: there is none, or it has been closed */
    PyObject *parts; /* its iterator; NULL: not begun */
};

/*
 * True if a server gets this body as it is: it may ask for its length, or send a file
 * by itself.
 */
bool flame_through_is_not_for(PyObject *env, PyObject *body);

/* For tp_iternext: the next of the parts, which begins them. */
PyObject *flame_through_part(struct flame_through *self);
/* For tp_methods: close(). */
extern PyMethodDef flame_through_methods[];
PyObject *flame_through_close(PyObject *object, PyObject *unused);
/* For tp_traverse and tp_clear. */
int flame_through_visit(const struct flame_through *self, visitproc visit, void *arg);
void flame_through_clear(struct flame_through *self);

/* The type of the exception that is set, which stays so; cut at the array's end. */
void flame_write_raised(char *out, size_t size);

#endif
