#include "middleware/wsgi/through.h"

#include "middleware/wsgi/wsgi.h"

bool flame_through_is_not_for(PyObject *env, PyObject *body)
{
    if (PyList_CheckExact(body) || PyTuple_CheckExact(body)) {
        return true;
    }
    PyObject *wrapper = PyDict_GetItemString(env, "wsgi.file_wrapper");
    bool is_file = wrapper != NULL && PyType_Check(wrapper) &&
                   PyObject_TypeCheck(body, (PyTypeObject *)wrapper);

    return is_file || PyObject_HasAttrString(body, "__len__") ||
           PyObject_HasAttrString(body, "fileno") ||
           !PyObject_HasAttrString(body, "__iter__");
}

PyObject *flame_through_part(struct flame_through *self)
{
    if (self->parts == NULL && self->body != NULL) {
        self->parts = PyObject_GetIter(self->body);
    }
    return self->parts == NULL ? NULL : PyIter_Next(self->parts);
}

PyObject *flame_through_close(PyObject *object, PyObject *unused)
{
    struct flame_through *self = (struct flame_through *)object;
    PyObject *body = self->body;

    (void)unused;
    self->body = NULL;
    if (body != NULL) {
        if (self->use->closes != NULL) {
            self->use->closes(self);
        }
        flame_close_body(body);
        if (self->use->closed != NULL) {
            self->use->closed(self);
        }
        Py_DECREF(body);
    }
    if (PyErr_Occurred() != NULL) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyMethodDef flame_through_methods[] = {
    {"close", flame_through_close, METH_NOARGS, "The application's close(), once."},
    {NULL, NULL, 0, NULL},
};

int flame_through_visit(const struct flame_through *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->body);
    Py_VISIT(self->parts);
    return 0;
}

void flame_through_clear(struct flame_through *self)
{
    Py_CLEAR(self->body);
    Py_CLEAR(self->parts);
}

void flame_write_raised(char *out, size_t size)
{
    PyObject *type = PyErr_Occurred();

    PyOS_snprintf(out, size, "%s",
                  PyType_Check(type) ? ((PyTypeObject *)type)->tp_name
                                     : "an exception");
}
