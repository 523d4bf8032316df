/*
 * The server's options, for a door that is written in Python: which there are, and
 * what is wrong with a value.
 */
#include "middleware/options.h"
#include "middleware/archive/archived.h"
#include "middleware/module/python.h"

/* None: it has none, or that is said elsewhere. */
static PyObject *value_of(const struct flame_config *config,
                          const struct flame_option *option)
{
    const void *value = flame_option_value(config, option);

    switch (option->kind) {
    case FLAME_OPTION_SECONDS:
        if (*(const uint64_t *)value != 0) {
            return PyFloat_FromDouble((double)*(const uint64_t *)value / 1e9);
        }
        break;
    case FLAME_OPTION_COUNT:
        return PyLong_FromUnsignedLongLong(*(const uint64_t *)value);
    case FLAME_OPTION_FLAG:
        return PyBool_FromLong(*(const bool *)value);
    case FLAME_OPTION_LIST:
        return PyTuple_New(0);
    case FLAME_OPTION_TEXT:
        break;
    }
    Py_RETURN_NONE;
}

static PyObject *keyword_of(const struct flame_option *option)
{
    char keyword[64];
    size_t length = 0;

    for (; option->name[length] != '\0' && length < sizeof keyword; length++) {
        keyword[length] = option->name[length] == '-' ? '_' : option->name[length];
    }
    return PyUnicode_FromStringAndSize(keyword, (Py_ssize_t)length);
}

static PyObject *options(PyObject *module, PyObject *unused)
{
    struct flame_config config;
    PyObject *result = PyList_New(0);

    (void)module;
    (void)unused;
    flame_config_init(&config);
    for (const struct flame_option *option = flame_options;
         result != NULL && option->name != NULL; option++) {
        PyObject *item =
            Py_BuildValue("(NNN)", keyword_of(option), value_of(&config, option),
                          PyBool_FromLong(flame_option_is_secret(option)));
        if (item == NULL || PyList_Append(result, item) != 0) {
            Py_CLEAR(result);
        }
        Py_XDECREF(item);
    }
    flame_config_free(&config);
    return result;
}

static PyObject *check_options(PyObject *module, PyObject *args, PyObject *kwargs)
{
    struct flame_config config;
    struct flame_shelf archive;
    char sentence[FLAME_SENTENCE_SIZE];
    Py_ssize_t at = 0;
    PyObject *key;
    PyObject *value;
    int done = 1;

    (void)module;
    if (!PyArg_ParseTuple(args, ":check_options")) {
        return NULL;
    }
    flame_config_init(&config);
    while (done > 0 && kwargs != NULL && PyDict_Next(kwargs, &at, &key, &value)) {
        const char *name = PyUnicode_AsUTF8(key);
        done = name == NULL ? -1 : flame_option_from_python(&config, name, value);
    }
    if (done > 0 && flame_archived_configure(&config, &archive, sentence) != 0) {
        PyErr_SetString(PyExc_ValueError, sentence);
        done = -1;
    }
    flame_config_free(&config);
    if (done == 0) {
        PyErr_Format(PyExc_TypeError, "there is no option %R", key);
    }
    if (done <= 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* NULL: none of that keyword takes a number or a text. */
static const struct flame_option *option_of(const char *keyword)
{
    for (const struct flame_option *option = flame_options; option->name != NULL;
         option++) {
        if (flame_option_is_keyword(option, keyword)) {
            return option->kind == FLAME_OPTION_FLAG ||
                           option->kind == FLAME_OPTION_LIST
                       ? NULL
                       : option;
        }
    }
    return NULL;
}

static PyObject *option_of_text(PyObject *module, PyObject *args)
{
    const char *keyword;
    PyObject *text;
    Py_ssize_t length;
    struct flame_config config;

    (void)module;
    if (!PyArg_ParseTuple(args, "sU:option_of_text", &keyword, &text)) {
        return NULL;
    }
    const struct flame_option *option = option_of(keyword);
    const char *data = PyUnicode_AsUTF8AndSize(text, &length);
    if (data == NULL) {
        return NULL;
    }
    if (option == NULL) {
        return PyErr_Format(PyExc_TypeError,
                            "no option '%.50s' takes a number or a text", keyword);
    }
    flame_config_init(&config);
    int error = flame_option_set_text(&config, option,
                                      (struct flame_slice){data, (size_t)length});
    PyObject *value = NULL;
    if (error != 0) {
        flame_option_raise(option, text, error);
    } else if (option->kind == FLAME_OPTION_TEXT) {
        value = text;
        Py_INCREF(value);
    } else {
        value = value_of(&config, option);
    }
    flame_config_free(&config);
    return value;
}

PyMethodDef flame_options_functions[] = {
    {"check_options", (PyCFunction)(void (*)(void))check_options,
     METH_VARARGS | METH_KEYWORDS,
     "check_options(**options)\n--\n\n"
     "ValueError or TypeError, with a sentence: no server option takes this."},
    {"options", options, METH_NOARGS,
     "options()\n--\n\n"
     "Each server option as (keyword, default, hidden): None is a default that is "
     "said\n"
     "elsewhere; what is hidden is not to be shown in messages."},
    {"option_of_text", option_of_text, METH_VARARGS,
     "option_of_text(keyword, text, /)\n--\n\n"
     "What text says to a server option that takes a number or a text, as in uWSGI's\n"
     "ini files: \"20ms\" is 0.02, \"64M\" is 67108864. ValueError: it does not take\n"
     "this."},
    {NULL, NULL, 0, NULL},
};
