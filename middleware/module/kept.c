/* _flameprof.Shelf: profiles kept for those who come back for them, from Python. */
#include "middleware/archive/archive.h"
#include "middleware/common/limits.h"
#include "middleware/module/asked.h"

#include <errno.h>

struct shelf_object {
    PyObject_HEAD struct flame_shelf shelf;
};

static const struct flame_shelf *shelf_of(PyObject *object)
{
    return &((struct shelf_object *)object)->shelf;
}

static int shelf_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"folder", NULL};
    const char *folder = "";

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|s:Shelf", names, &folder)) {
        return -1;
    }
    if (flame_shelf_init(&((struct shelf_object *)object)->shelf,
                         flame_slice_of(folder)) != 0) {
        PyErr_SetString(PyExc_ValueError, "the folder's path is too long");
        return -1;
    }
    return 0;
}

/* An OSError with our sentence, a KeyError for what is not there; NULL. */
static PyObject *raise_error(int error)
{
    if (error == -ENOENT) {
        PyErr_SetString(PyExc_KeyError, flame_shelf_error(error));
    } else {
        PyErr_SetString(PyExc_OSError, flame_shelf_error(error));
    }
    return NULL;
}

static PyObject *shelf_keep(PyObject *object, PyObject *profile)
{
    char name[FLAME_SHELF_NAME + 1];
    char *data;
    Py_ssize_t length;
    int error;

    if (PyBytes_AsStringAndSize(profile, &data, &length) != 0) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    error = flame_shelf_make_name(true, name);
    if (error == 0) {
        error = flame_shelf_put(shelf_of(object),
                                (struct flame_slice){data, (size_t)length}, name);
    }
    Py_END_ALLOW_THREADS
    return error == 0 ? PyUnicode_FromString(name) : raise_error(error);
}

static PyObject *draw(const struct flame_shelf *shelf, struct flame_slice name,
                      enum flame_format format, const struct flame_asked *asked)
{
    const struct flame_drawn drawn = {.name = name,
                                      .format = format,
                                      .clock = asked->clock,
                                      .options = &asked->options};
    struct flame_writer out = {.limit = FLAME_PICTURE_BYTES_DEFAULT};
    PyObject *result = NULL;
    bool drawing;
    int error;

    Py_BEGIN_ALLOW_THREADS
    error = flame_archive_render(shelf, &drawn, &out, &drawing);
    Py_END_ALLOW_THREADS
    if (error == 0) {
        result = PyBytes_FromStringAndSize(out.data, (Py_ssize_t)out.length);
    } else if (drawing) {
        PyErr_SetString(PyExc_RuntimeError, flame_render_error(error));
    } else {
        raise_error(error);
    }
    flame_writer_free(&out);
    return result;
}

static PyObject *shelf_render(PyObject *object, PyObject *args, PyObject *kwargs)
{
    struct flame_asked asked = {.texts = NULL};
    const char *name;
    const char *format_name = "svg";
    enum flame_format format;
    PyObject *result = NULL;

    if (!PyArg_ParseTuple(args, "s|s:render", &name, &format_name)) {
        return NULL;
    }
    if (flame_format_from_name(flame_slice_of(format_name), &format) != 0) {
        return PyErr_Format(PyExc_ValueError, "format='%.20s': it is one of %s",
                            format_name, FLAME_FORMAT_NAMES);
    }
    if (flame_asked_read(&asked, NULL, kwargs) != 0) {
        result = NULL;
    } else if (asked.idle != NULL) {
        PyErr_SetString(PyExc_ValueError, "idle: that was decided when it was kept");
    } else {
        result = draw(shelf_of(object), flame_slice_of(name), format, &asked);
    }
    flame_asked_end(&asked);
    return result;
}

static void shelf_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);

    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"keep", shelf_keep, METH_O,
     "keep($self, profile)\n--\n\n"
     "Keep a profile, as the bytes of its json format. Its name, which nobody can\n"
     "guess. OSError: it cannot be kept, and why."},
    {"render", (PyCFunction)(void (*)(void))shelf_render, METH_VARARGS | METH_KEYWORDS,
     "render($self, name, format='svg', /, *, clock='wall', **options)\n--\n\n"
     "A kept profile as bytes of a format; options: as of Session.render(). KeyError:\n"
     "it is not, or no longer, here. ValueError, RuntimeError: as of "
     "Session.render()."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc,
     "Shelf(folder='')\n--\n\n"
     "Keeps profiles in a folder that all workers of a server reach, at most 100 for "
     "at\n"
     "most an hour, for nobody but this user. folder: \"flameprof-UID\" in TMPDIR or "
     "/tmp."},
    {Py_tp_init, shelf_init},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_dealloc, shelf_dealloc},
    {Py_tp_methods, methods},
    {0, NULL},
};

PyType_Spec flame_shelf_spec = {.name = "_flameprof.Shelf",
                                .basicsize = sizeof(struct shelf_object),
                                .flags = Py_TPFLAGS_DEFAULT,
                                .slots = slots};
