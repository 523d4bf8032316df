/* What a profiled application gets as start_response; write() is its method. */
#include "middleware/module/python.h"

struct response_object {
    PyObject_HEAD struct flame_said said;
};

static struct response_object *response_of(PyObject *object)
{
    return (struct response_object *)object;
}

PyObject *flame_response_new(PyTypeObject *type)
{
    return type->tp_alloc(type, 0);
}

struct flame_said flame_response_take(PyObject *response)
{
    struct flame_said said = response_of(response)->said;

    response_of(response)->said = (struct flame_said){NULL, NULL};
    return said;
}

void flame_said_clear(struct flame_said *said)
{
    Py_CLEAR(said->status);
    Py_CLEAR(said->headers);
}

static PyObject *response_call(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"status", "headers", "exc_info", NULL};
    struct flame_said *said = &response_of(object)->said;
    PyObject *status;
    PyObject *headers;
    PyObject *exc_info = Py_None;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "UO!|O:start_response", names,
                                     &status, &PyList_Type, &headers, &exc_info)) {
        return NULL;
    }
    /* Nothing is ever sent before the end, so exc_info may always replace. */
    if (said->status != NULL && exc_info == Py_None) {
        PyErr_SetString(PyExc_AssertionError,
                        "start_response() called twice without exc_info");
        return NULL;
    }
    Py_INCREF(status);
    Py_XSETREF(said->status, status);
    Py_INCREF(headers);
    Py_XSETREF(said->headers, headers);
    return PyObject_GetAttrString(object, "write");
}

static PyObject *response_write(PyObject *object, PyObject *data)
{
    (void)object;
    if (!PyBytes_Check(data)) {
        PyErr_SetString(PyExc_TypeError, "write() takes bytes");
        return NULL;
    }
    Py_RETURN_NONE;
}

static int response_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(response_of(object)->said.headers);
    return 0;
}

static int response_clear(PyObject *object)
{
    flame_said_clear(&response_of(object)->said);
    return 0;
}

static void response_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);

    PyObject_GC_UnTrack(object);
    response_clear(object);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef response_methods[] = {
    {"write", response_write, METH_O, "Take a part of the body; it is discarded."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot response_slots[] = {
    {Py_tp_doc, "start_response of a profiled request."},
    {Py_tp_call, response_call},
    {Py_tp_methods, response_methods},
    {Py_tp_traverse, response_traverse},
    {Py_tp_clear, response_clear},
    {Py_tp_dealloc, response_dealloc},
    {0, NULL},
};

PyType_Spec flame_response_spec = {.name = "_flameprof.StartResponse",
                                   .basicsize = sizeof(struct response_object),
                                   .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
                                   .slots = response_slots};
