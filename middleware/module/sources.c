/* Texts of files that the file system does not have: of a Session, from Python. */
#include "middleware/module/python.h"

struct kept {
    struct flame_sources sources; /* its slices are of the strings below */
    PyObject *strings;            /* a tuple of (file, text) */
};

static void free_kept(PyObject *capsule)
{
    struct kept *kept = PyCapsule_GetPointer(capsule, NULL);

    Py_XDECREF(kept->strings);
    PyMem_Free((void *)(uintptr_t)kept->sources.list);
    PyMem_Free(kept);
}

/* The strings keep their UTF-8 as long as they are there. */
static bool read_text(PyObject *string, struct flame_slice *out)
{
    Py_ssize_t length;

    if (!PyUnicode_Check(string)) {
        PyErr_SetString(PyExc_TypeError, "sources takes a dict: a text by its file");
        return false;
    }
    out->data = PyUnicode_AsUTF8AndSize(string, &length);
    out->length = out->data == NULL ? 0 : (size_t)length;
    return out->data != NULL;
}

static bool read_all(struct kept *kept)
{
    size_t count = (size_t)PyTuple_GET_SIZE(kept->strings);
    struct flame_source *list = PyMem_Calloc(count + 1, sizeof *list);

    kept->sources = (struct flame_sources){count, list};
    if (list == NULL) {
        PyErr_NoMemory();
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        PyObject *pair = PyTuple_GET_ITEM(kept->strings, (Py_ssize_t)i);

        if (!read_text(PyTuple_GET_ITEM(pair, 0), &list[i].file) ||
            !read_text(PyTuple_GET_ITEM(pair, 1), &list[i].text)) {
            return false;
        }
    }
    return true;
}

PyObject *flame_sources_from_python(PyObject *mapping, const struct flame_sources **out)
{
    if (!PyDict_Check(mapping)) {
        PyErr_SetString(PyExc_TypeError, "sources takes a dict: a text by its file");
        return NULL;
    }
    struct kept *kept = PyMem_Calloc(1, sizeof *kept);
    PyObject *capsule =
        kept == NULL ? PyErr_NoMemory() : PyCapsule_New(kept, NULL, free_kept);
    if (capsule == NULL) {
        PyMem_Free(kept);
        return NULL;
    }
    PyObject *items = PyDict_Items(mapping);
    kept->strings = items == NULL ? NULL : PyList_AsTuple(items);
    Py_XDECREF(items);
    if (kept->strings == NULL || !read_all(kept)) {
        Py_DECREF(capsule);
        return NULL;
    }
    *out = &kept->sources;
    return capsule;
}
