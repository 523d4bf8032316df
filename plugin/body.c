#include "plugin/body.h"

#include "plugin/watch.h"

#include <Python.h>
#include <uwsgi.h>

#include <stdlib.h>

/* Owned by the capsule that the iterator's function is bound to. */
struct flame_body {
    struct flame_watch *watch; /* NULL: it has gone */
    PyObject *parts;           /* the application's iterator */
    PyObject *end;             /* what tells PyCallIter that there are no more */
};

static const char capsule_name[] = "flameprof.body";

static void release(PyObject *capsule)
{
    struct flame_body *body = PyCapsule_GetPointer(capsule, capsule_name);
    if (body->watch) {
        body->watch->body = NULL;
    }
    Py_DECREF(body->parts);
    Py_DECREF(body->end);
    free(body);
}

static PyObject *next_part(PyObject *capsule, PyObject *unused)
{
    (void)unused;
    struct flame_body *body = PyCapsule_GetPointer(capsule, capsule_name);
    if (!body->watch || flame_now_ns() < body->watch->ends_ns) {
        PyObject *part = PyIter_Next(body->parts);
        if (part) {
            return part;
        }
    }
    if (body->watch) {
        flame_session_phase(body->watch->session, FLAME_PHASE_CLOSE, NULL);
    }
    if (PyErr_Occurred()) {
        return NULL;
    }
    Py_INCREF(body->end);
    return body->end;
}

static PyMethodDef next_part_def = {"next_part", next_part, METH_NOARGS, NULL};

/* Steals `parts`. NULL: no memory, an exception is set. */
static PyObject *iterator_over(struct flame_watch *watch, PyObject *parts)
{
    struct flame_body *body = malloc(sizeof(*body));
    PyObject *end = PyList_New(0);
    PyObject *capsule =
        body && end ? PyCapsule_New(body, capsule_name, release) : PyErr_NoMemory();
    if (!capsule) {
        free(body);
        Py_XDECREF(end);
        Py_DECREF(parts);
        return NULL;
    }
    *body = (struct flame_body){watch, parts, end};
    watch->body = body;
    PyObject *function = PyCFunction_New(&next_part_def, capsule);
    PyObject *iterator = function ? PyCallIter_New(function, end) : NULL;
    Py_XDECREF(function);
    Py_DECREF(capsule);
    return iterator;
}

void flame_body_replace(struct flame_watch *watch, struct wsgi_request *wsgi_req)
{
    if (wsgi_req->async_placeholder ||
        wsgi_req->async_sendfile == wsgi_req->async_result) {
        return;
    }
    PyObject *parts = PyObject_GetIter(wsgi_req->async_result);
    wsgi_req->async_placeholder = parts ? iterator_over(watch, parts) : NULL;
    /* uWSGI will see for itself, and say so. */
    if (!wsgi_req->async_placeholder) {
        PyErr_Clear();
    }
}

void flame_body_forget(struct flame_watch *watch)
{
    if (watch->body) {
        watch->body->watch = NULL;
    }
}
