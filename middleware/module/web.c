/*
 * What the doors share, for a door that is written in Python: whether this caller
 * may, and the headers that go with each format.
 */
#include "middleware/module/asked.h"
#include "middleware/parts.h"

static PyObject *allowed(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"environ", "allow", NULL};
    struct flame_config config;
    PyObject *env;
    PyObject *allow = NULL;

    (void)module;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!|$O:allowed", names, &PyDict_Type,
                                     &env, &allow)) {
        return NULL;
    }
    flame_config_init(&config);
    int done = allow == NULL ? 0 : flame_option_from_python(&config, "allow", allow);
    bool may = done >= 0 && flame_allowed(&config, flame_environ_lookup, env);
    flame_config_free(&config);
    return done >= 0 ? PyBool_FromLong(may) : NULL;
}

static PyObject *asked(PyObject *module, PyObject *query)
{
    (void)module;
    return PyBool_FromLong(flame_query_asks(flame_bytes_of(query)));
}

static PyObject *shown_path(PyObject *module, PyObject *path)
{
    char shown[1100];
    Py_ssize_t length;
    const char *text = PyUnicode_AsUTF8AndSize(path, &length);

    (void)module;
    if (text == NULL) {
        return NULL;
    }
    struct flame_slice told = flame_without_token(
        (struct flame_slice){text, (size_t)length}, shown, sizeof shown);
    return PyUnicode_DecodeUTF8(told.data, (Py_ssize_t)told.length, "replace");
}

static PyObject *check_picture(PyObject *module, PyObject *args, PyObject *kwargs)
{
    struct flame_asked picture = {.texts = NULL};

    (void)module;
    int error = PyArg_ParseTuple(args, ":check_picture")
                    ? flame_asked_read(&picture, NULL, kwargs)
                    : -1;
    flame_asked_end(&picture);
    if (error != 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static int add(PyObject *headers, const char *name, const char *value)
{
    PyObject *text = PyUnicode_FromString(value);
    int result = text == NULL ? -1 : PyDict_SetItemString(headers, name, text);

    Py_XDECREF(text);
    return result;
}

static PyObject *headers_of(PyObject *module, PyObject *argument)
{
    const char *name = PyUnicode_AsUTF8(argument);
    enum flame_format format;

    (void)module;
    if (name == NULL) {
        return NULL;
    }
    if (flame_format_from_name(flame_slice_of(name), &format) != 0) {
        PyErr_Format(PyExc_ValueError, "format='%.20s': it is one of %s", name,
                     FLAME_FORMAT_NAMES);
        return NULL;
    }
    PyObject *headers = PyDict_New();
    if (headers != NULL &&
        (add(headers, "Content-Type", flame_format_content_type(format)) != 0 ||
         add(headers, "Cache-Control", "no-store") != 0 ||
         add(headers, "X-Content-Type-Options", "nosniff") != 0 ||
         (flame_format_has_script(format) &&
          add(headers, "Content-Security-Policy",
              flame_svg_content_security_policy()) != 0))) {
        Py_CLEAR(headers);
    }
    return headers;
}

PyMethodDef flame_web_functions[] = {
    {"allowed", (PyCFunction)(void (*)(void))allowed, METH_VARARGS | METH_KEYWORDS,
     "allowed(environ, *, allow=())\n--\n\n"
     "Whether the caller of a WSGI environ may have a profile: it asks straight from\n"
     "this machine, or from one of the networks. ValueError: that is no network."},
    {"asked", asked, METH_O,
     "asked(query)\n--\n\n"
     "Whether a query string, as of WSGI, asks for a profile: flamegraph=1."},
    {"check_picture", (PyCFunction)(void (*)(void))check_picture,
     METH_VARARGS | METH_KEYWORDS,
     "check_picture(*, clock='wall', **options)\n--\n\n"
     "ValueError, with a sentence: Session.render() does not take these."},
    {"shown_path", shown_path, METH_O,
     "shown_path(path)\n--\n\n"
     "As much of a path with its query as a title has room for, without the value of\n"
     "a token of a signed link."},
    {"headers_of", headers_of, METH_O,
     "headers_of(format)\n--\n\n"
     "A dict of the headers that go with a rendered format. ValueError: it is none."},
    {NULL, NULL, 0, NULL},
};
