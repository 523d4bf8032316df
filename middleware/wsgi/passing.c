/* An application's answer that goes on to the server, later or in parts. */
#include "middleware/wsgi/wsgi.h"

#include "middleware/wsgi/through.h"

/* ---- start_response ---------------------------------------------------------- */

struct passing {
    PyObject_HEAD PyObject *server; /* its start_response */
    PyObject *write;                /* its write(), once it was let go */
    struct flame_said said;
    bool gone;
};

static struct passing *passing_of(PyObject *object)
{
    return (struct passing *)object;
}

PyObject *flame_passing_new(PyTypeObject *type, PyObject *start_response)
{
    PyObject *object = type->tp_alloc(type, 0);

    if (object != NULL) {
        Py_INCREF(start_response);
        passing_of(object)->server = start_response;
    }
    return object;
}

const struct flame_said *flame_passing_held(PyObject *object)
{
    const struct passing *self = passing_of(object);

    return self->gone || self->said.status == NULL ? NULL : &self->said;
}

int flame_passing_let_go(PyObject *object, PyObject *headers)
{
    struct passing *self = passing_of(object);

    self->gone = true;
    if (self->said.status == NULL) {
        return 0;
    }
    PyObject *write = PyObject_CallFunctionObjArgs(
        self->server, self->said.status, headers != NULL ? headers : self->said.headers,
        NULL);
    flame_said_clear(&self->said);
    Py_XSETREF(self->write, write);
    return write != NULL ? 0 : -1;
}

static PyObject *passing_call(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"status", "headers", "exc_info", NULL};
    struct passing *self = passing_of(object);
    PyObject *status;
    PyObject *headers;
    PyObject *exc_info = Py_None;

    if (self->gone) {
        return PyObject_Call(self->server, args, kwargs);
    }
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "UO!|O:start_response", names,
                                     &status, &PyList_Type, &headers, &exc_info)) {
        /* The server knows best what it takes. */
        PyErr_Clear();
        return flame_passing_let_go(object, NULL) != 0
                   ? NULL
                   : PyObject_Call(self->server, args, kwargs);
    }
    if (self->said.status != NULL && exc_info == Py_None) {
        PyErr_SetString(PyExc_AssertionError,
                        "start_response() called twice without exc_info");
        return NULL;
    }
    Py_INCREF(status);
    Py_XSETREF(self->said.status, status);
    Py_INCREF(headers);
    Py_XSETREF(self->said.headers, headers);
    return PyObject_GetAttrString(object, "write");
}

static PyObject *passing_write(PyObject *object, PyObject *data)
{
    struct passing *self = passing_of(object);

    if (!self->gone && flame_passing_let_go(object, NULL) != 0) {
        return NULL;
    }
    if (self->write == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the server did not take start_response()");
        return NULL;
    }
    return PyObject_CallFunctionObjArgs(self->write, data, NULL);
}

static int passing_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(passing_of(object)->server);
    Py_VISIT(passing_of(object)->write);
    Py_VISIT(passing_of(object)->said.headers);
    return 0;
}

static void passing_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);

    PyObject_GC_UnTrack(object);
    Py_CLEAR(passing_of(object)->server);
    Py_CLEAR(passing_of(object)->write);
    flame_said_clear(&passing_of(object)->said);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef passing_methods[] = {
    {"write", passing_write, METH_O, "The server's write()."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot passing_slots[] = {
    {Py_tp_doc, "start_response of a request with a badge."},
    {Py_tp_call, passing_call},
    {Py_tp_methods, passing_methods},
    {Py_tp_traverse, passing_traverse},
    {Py_tp_dealloc, passing_dealloc},
    {0, NULL},
};

PyType_Spec flame_passing_spec = {.name = "_flameprof.Passing",
                                  .basicsize = sizeof(struct passing),
                                  .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
                                  .slots = passing_slots};

/* ---- the body ---------------------------------------------------------------- */

struct body {
    struct flame_through
        through;      /* its parts are the rest; NULL: none comes any more */
    PyObject *taken;  /* a list */
    Py_ssize_t given; /* of it */
    PyObject *type;   /* of the exception that ended it; NULL: none */
    PyObject *value;
    PyObject *traceback;
};

static struct body *body_of(PyObject *object)
{
    return (struct body *)object;
}

static const struct flame_through_use use;

PyObject *flame_body_new(PyTypeObject *type, PyObject *taken, PyObject *rest,
                         PyObject *body)
{
    PyObject *error[3];

    PyErr_Fetch(&error[0], &error[1], &error[2]);
    PyObject *object = type->tp_alloc(type, 0);
    if (object == NULL) {
        Py_XDECREF(error[0]);
        Py_XDECREF(error[1]);
        Py_XDECREF(error[2]);
        return NULL;
    }
    struct body *self = body_of(object);
    Py_INCREF(taken);
    Py_XINCREF(rest);
    Py_INCREF(body);
    self->through.use = &use;
    self->through.body = body;
    self->through.parts = rest;
    self->taken = taken;
    self->type = error[0];
    self->value = error[1];
    self->traceback = error[2];
    return object;
}

static PyObject *body_next(PyObject *object)
{
    struct body *self = body_of(object);

    if (self->taken != NULL && self->given < PyList_GET_SIZE(self->taken)) {
        PyObject *part = PyList_GET_ITEM(self->taken, self->given++);
        Py_INCREF(part);
        return part;
    }
    Py_CLEAR(self->taken);
    if (self->type != NULL) {
        PyErr_Restore(self->type, self->value, self->traceback);
        self->type = self->value = self->traceback = NULL;
        Py_CLEAR(self->through.parts);
        return NULL;
    }
    return self->through.parts == NULL ? NULL : flame_through_part(&self->through);
}

static int body_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(body_of(object)->value);
    Py_VISIT(body_of(object)->traceback);
    return flame_through_visit(&body_of(object)->through, visit, arg);
}

static int body_clear(PyObject *object)
{
    flame_through_clear(&body_of(object)->through);
    Py_CLEAR(body_of(object)->type);
    Py_CLEAR(body_of(object)->value);
    Py_CLEAR(body_of(object)->traceback);
    return 0;
}

static void body_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);

    PyObject_GC_UnTrack(object);
    body_clear(object);
    Py_CLEAR(body_of(object)->taken);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyType_Slot body_slots[] = {
    {Py_tp_doc, "The body of a request with a badge."},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, body_next},
    {Py_tp_methods, flame_through_methods},
    {Py_tp_traverse, body_traverse},
    {Py_tp_clear, body_clear},
    {Py_tp_dealloc, body_dealloc},
    {0, NULL},
};

PyType_Spec flame_body_spec = {.name = "_flameprof.Body",
                               .basicsize = sizeof(struct body),
                               .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
                               .slots = body_slots};
