/* What a finished Session is asked for, and its pictures. */
#include "middleware/module/asked.h"

#include <errno.h>

void flame_asked_end(struct flame_asked *asked)
{
    PyMem_Free(asked->own_idle);
    Py_CLEAR(asked->texts);
}

/* The text of a str, a number or a bool, which is "1" or "0"; kept in `texts`. */
static int text_of(PyObject *value, PyObject *texts, struct flame_slice *text)
{
    PyObject *string = PyBool_Check(value)
                           ? PyUnicode_FromString(value == Py_True ? "1" : "0")
                           : PyObject_Str(value);
    Py_ssize_t length;

    if (string == NULL) {
        return -1;
    }
    int kept = PyList_Append(texts, string);
    Py_DECREF(string);
    text->data = kept == 0 ? PyUnicode_AsUTF8AndSize(string, &length) : NULL;
    if (text->data == NULL) {
        return -1;
    }
    text->length = (size_t)length;
    return 0;
}

/* A sequence of str. */
static int read_patterns(PyObject *value, struct flame_asked *asked)
{
    PyObject *patterns = PyUnicode_Check(value) ? NULL : PySequence_Tuple(value);
    Py_ssize_t count = patterns == NULL ? 0 : PyTuple_GET_SIZE(patterns);

    if (patterns == NULL || PyList_Append(asked->texts, patterns) != 0) {
        Py_XDECREF(patterns);
        PyErr_SetString(PyExc_TypeError,
                        "idle takes True, False or a list of \"function (file)\"");
        return -1;
    }
    Py_DECREF(patterns); /* the list has it */
    PyMem_Free(asked->own_idle);
    asked->own_idle = PyMem_Calloc((size_t)count + 1, sizeof *asked->own_idle);
    if (asked->own_idle == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        asked->own_idle[i] = PyUnicode_AsUTF8(PyTuple_GET_ITEM(patterns, i));
        if (asked->own_idle[i] == NULL) {
            return -1;
        }
    }
    asked->idle = asked->own_idle;
    return 0;
}

static int read_idle(PyObject *value, struct flame_asked *asked)
{
    if (!PyBool_Check(value)) {
        return read_patterns(value, asked);
    }
    asked->idle = value == Py_True ? flame_idle_usual : NULL;
    return 0;
}

int flame_asked_keyword(struct flame_asked *asked, PyObject *key, PyObject *value)
{
    struct flame_slice name;
    struct flame_slice text;
    const char *problem = "it is one of wall, cpu, offcpu and gil";

    if (value == Py_None) {
        return 0; /* as if it were not there */
    }
    if (PyUnicode_CompareWithASCIIString(key, "idle") == 0) {
        return read_idle(value, asked);
    }
    if (text_of(key, asked->texts, &name) != 0 ||
        text_of(value, asked->texts, &text) != 0) {
        return -1;
    }
    if (PyUnicode_CompareWithASCIIString(key, "clock") != 0) {
        problem = flame_picture_option(&asked->options, name, text);
    } else if (flame_clock_from_name(text, &asked->clock) == 0) {
        problem = NULL;
    }
    if (problem != NULL) {
        PyErr_Format(PyExc_ValueError, "%U=%R: %s", key, value, problem);
        return -1;
    }
    return 0;
}

int flame_asked_start(struct flame_asked *asked,
                      const struct flame_session_object *session)
{
    bool everybody = session != NULL && session->options.everybody;

    *asked = (struct flame_asked){.texts = PyList_New(0),
                                  .idle = everybody ? flame_idle_usual : NULL};
    return asked->texts == NULL ? -1 : 0;
}

int flame_asked_read(struct flame_asked *asked, const struct flame_session_object *self,
                     PyObject *kwargs)
{
    Py_ssize_t at = 0;
    PyObject *key;
    PyObject *value;

    if (flame_asked_start(asked, self) != 0) {
        return -1;
    }
    while (kwargs != NULL && PyDict_Next(kwargs, &at, &key, &value)) {
        if (flame_asked_keyword(asked, key, value) != 0) {
            return -1;
        }
    }
    return 0;
}

bool flame_session_is_finished(const struct flame_session_object *self)
{
    if (self->seen == NULL || self->running != NULL || self->busy) {
        PyErr_SetString(PyExc_RuntimeError, "the Session has not been stopped");
        return false;
    }
    return true;
}

struct flame_tree *flame_session_tree(const struct flame_session_object *self,
                                      const struct flame_asked *asked,
                                      struct flame_left_out *left_out)
{
    struct flame_profile profile = *flame_session_profile(self->seen);

    profile.names = self->options.names;
    profile.is_code = !self->is_request;
    struct flame_tree *tree = flame_tree_from_profile(&profile, asked->clock);

    *left_out = (struct flame_left_out){0};
    if (tree == NULL || asked->idle == NULL) {
        return tree;
    }
    struct flame_tree *rest = flame_tree_without_idle(tree, asked->idle, left_out);
    flame_tree_free(tree);
    return rest;
}

/* ---- drawing ----------------------------------------------------------------- */

/* Draws without the GIL. False: an exception is set. */
static bool draw(struct flame_session_object *self, enum flame_format format,
                 struct flame_asked *asked, struct flame_writer *writer)
{
    struct flame_quality quality = flame_session_profile(self->seen)->quality;
    struct flame_left_out left_out;
    int error;

    asked->options.quality = &quality;
    asked->options.clock = asked->clock;
    self->readers++;
    Py_BEGIN_ALLOW_THREADS
    struct flame_tree *tree = flame_session_tree(self, asked, &left_out);
    quality.idle_ns = left_out.weight;
    error =
        tree == NULL ? -ENOMEM : flame_render(format, tree, &asked->options, writer);
    flame_tree_free(tree);
    Py_END_ALLOW_THREADS
    self->readers--;
    if (error != 0) {
        PyErr_SetString(PyExc_RuntimeError, flame_render_error(error));
    }
    return error == 0;
}

/* bytes, or for formats that are text, if it is wanted, a str. */
static PyObject *rendered(struct flame_session_object *self, enum flame_format format,
                          PyObject *kwargs, bool as_text)
{
    struct flame_asked asked = {.texts = NULL};
    struct flame_writer writer = {0};
    PyObject *result = NULL;

    if (flame_session_is_finished(self) &&
        flame_asked_read(&asked, self, kwargs) == 0 &&
        draw(self, format, &asked, &writer)) {
        const char *data = writer.data != NULL ? writer.data : "";
        Py_ssize_t length = (Py_ssize_t)writer.length;
        result = as_text ? PyUnicode_DecodeUTF8(data, length, "replace")
                         : PyBytes_FromStringAndSize(data, length);
    }
    flame_writer_free(&writer);
    flame_asked_end(&asked);
    return result;
}

PyObject *flame_session_folded(PyObject *object, PyObject *args, PyObject *kwargs)
{
    if (!PyArg_ParseTuple(args, ":folded")) {
        return NULL;
    }
    return rendered((struct flame_session_object *)object, FLAME_FORMAT_FOLDED, kwargs,
                    true);
}

PyObject *flame_session_svg(PyObject *object, PyObject *args, PyObject *kwargs)
{
    if (!PyArg_ParseTuple(args, ":svg")) {
        return NULL;
    }
    return rendered((struct flame_session_object *)object, FLAME_FORMAT_SVG, kwargs,
                    true);
}

PyObject *flame_session_render(PyObject *object, PyObject *args, PyObject *kwargs)
{
    const char *name;
    enum flame_format format;

    if (!PyArg_ParseTuple(args, "s:render", &name)) {
        return NULL;
    }
    if (flame_format_from_name(flame_slice_of(name), &format) != 0) {
        PyErr_Format(PyExc_ValueError, "format='%.20s': it is one of %s", name,
                     FLAME_FORMAT_NAMES);
        return NULL;
    }
    return rendered((struct flame_session_object *)object, format, kwargs, false);
}
