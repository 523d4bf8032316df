/* What a Middleware is made with, from Python. */
#include "middleware/common/common.h"
#include "middleware/options.h"
#include "middleware/wsgi/wsgi.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* ---- the options of the table ------------------------------------------------ */

bool flame_option_is_keyword(const struct flame_option *option, const char *keyword)
{
    const char *name = option->name;

    for (; *keyword != '\0' && *name != '\0'; keyword++, name++) {
        if (*keyword != (*name == '-' ? '_' : *name)) {
            return false;
        }
    }
    return *keyword == *name;
}

int flame_option_raise(const struct flame_option *option, PyObject *value, int error)
{
    if (error == -ENOMEM) {
        PyErr_NoMemory();
    } else {
        bool secret = flame_option_is_secret(option);
        PyObject *shown = secret ? PyUnicode_FromString("(hidden)") : NULL;
        PyErr_Format(PyExc_ValueError, "%s: %R is not %s", option->name,
                     shown != NULL ? shown : value, option->accepted);
        Py_XDECREF(shown);
    }
    return -1;
}

static int set_seconds(struct flame_config *config, const struct flame_option *option,
                       const char *keyword, PyObject *value)
{
    uint64_t ns = 0;
    double seconds = PyFloat_AsDouble(value);

    if (seconds == -1 && PyErr_Occurred() != NULL) {
        return -1;
    }
    if (flame_seconds_from_python(seconds, keyword, option->least, option->most,
                                  option->accepted, &ns) != 0) {
        return -1;
    }
    return flame_option_set_number(config, option, ns);
}

static int set_count(struct flame_config *config, const struct flame_option *option,
                     PyObject *value)
{
    unsigned long long count = PyLong_AsUnsignedLongLong(value);

    if (count == (unsigned long long)-1 && PyErr_Occurred() != NULL) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError)) {
            return -1;
        }
        PyErr_Clear();
        return flame_option_raise(option, value, -EINVAL);
    }
    int error = flame_option_set_number(config, option, count);
    return error == 0 ? 0 : flame_option_raise(option, value, error);
}

/* A path, or another text. */
static int set_text(struct flame_config *config, const struct flame_option *option,
                    PyObject *value)
{
    PyObject *bytes = NULL;

    if (value == Py_None) {
        return 0; /* as if it were not there */
    }
    if (!PyUnicode_FSConverter(value, &bytes)) {
        return -1;
    }
    struct flame_slice text = {PyBytes_AS_STRING(bytes),
                               (size_t)PyBytes_GET_SIZE(bytes)};
    int error = flame_option_set_text(config, option, text);
    Py_DECREF(bytes);
    return error == 0 ? 0 : flame_option_raise(option, value, error);
}

static int set_list(struct flame_config *config, const struct flame_option *option,
                    const char *keyword, PyObject *values)
{
    PyObject *item;
    int result = 0;

    if (PyUnicode_Check(values) || PyBytes_Check(values)) {
        PyErr_Format(PyExc_ValueError, "%s takes a list, not %R", keyword, values);
        return -1;
    }
    PyObject *iterator = PyObject_GetIter(values);
    if (iterator == NULL) {
        return -1;
    }
    while (result == 0 && (item = PyIter_Next(iterator)) != NULL) {
        Py_ssize_t length = 0;
        PyObject *path = PyOS_FSPath(item); /* a str is one already */
        const char *text = path != NULL && PyUnicode_Check(path)
                               ? PyUnicode_AsUTF8AndSize(path, &length)
                               : NULL;
        PyErr_Clear(); /* of what is no text */
        int error =
            text == NULL
                ? -EINVAL
                : flame_option_set_text(config, option,
                                        (struct flame_slice){text, (size_t)length});
        result = error == 0 ? 0 : flame_option_raise(option, item, error);
        Py_XDECREF(path);
        Py_DECREF(item);
    }
    Py_DECREF(iterator);
    return PyErr_Occurred() != NULL ? -1 : result;
}

static int set_flag(struct flame_config *config, const struct flame_option *option,
                    PyObject *value)
{
    int on = PyObject_IsTrue(value);

    if (on < 0) {
        return -1;
    }
    flame_option_set_flag(config, option, on > 0);
    return 0;
}

static int set(struct flame_config *config, const struct flame_option *option,
               const char *keyword, PyObject *value)
{
    switch (option->kind) {
    case FLAME_OPTION_SECONDS:
        return set_seconds(config, option, keyword, value);
    case FLAME_OPTION_COUNT:
        return set_count(config, option, value);
    case FLAME_OPTION_FLAG:
        return set_flag(config, option, value);
    case FLAME_OPTION_TEXT:
        return set_text(config, option, value);
    case FLAME_OPTION_LIST:
        break;
    }
    return set_list(config, option, keyword, value);
}

int flame_option_from_python(struct flame_config *config, const char *name,
                             PyObject *value)
{
    for (const struct flame_option *option = flame_options; option->name != NULL;
         option++) {
        if (flame_option_is_keyword(option, name)) {
            if (value == Py_None) { /* not given */
                return 1;
            }
            return set(config, option, name, value) == 0 ? 1 : -1;
        }
    }
    return 0;
}

/* ---- the Middleware's own ---------------------------------------------------- */

struct own {
    PyObject *app;
    PyObject *authorize;
    PyObject *panel;
    PyObject *panel_folder;
};

/* Whoever cannot be asked about may not. */
static bool ask(void *authority, void *env)
{
    PyObject *said = PyObject_CallFunctionObjArgs(authority, env, NULL);
    int may = said == NULL ? -1 : PyObject_IsTrue(said);

    if (may < 0) {
        PyErr_WriteUnraisable(authority);
    }
    Py_XDECREF(said);
    return may > 0;
}

static int configure_authorize(struct flame_middleware *self, PyObject *authorize)
{
    if (authorize == NULL || authorize == Py_None) {
        return 0;
    }
    if (!PyCallable_Check(authorize)) {
        PyErr_SetString(PyExc_TypeError, "authorize takes a callable");
        return -1;
    }
    if (self->config.allow.count > 0) {
        PyErr_SetString(PyExc_ValueError,
                        "allow and authorize exclude each other: either decides alone");
        return -1;
    }
    Py_INCREF(authorize);
    Py_XSETREF(self->authorize, authorize);
    self->config.authorize = ask;
    self->config.authority = authorize;
    return 0;
}

static int configure_panel(struct flame_middleware *self, PyObject *panel,
                           PyObject *folder)
{
    PyObject *bytes = NULL;
    struct flame_slice text = {"", 0};
    int on = panel == NULL ? 0 : PyObject_IsTrue(panel);

    if (on < 0 || (folder != NULL && !PyUnicode_FSConverter(folder, &bytes))) {
        return -1;
    }
    if (bytes != NULL) {
        text = flame_slice_of(PyBytes_AS_STRING(bytes));
    }
    int error = flame_shelf_init(&self->shelf, text);
    Py_XDECREF(bytes);
    if (error != 0) {
        PyErr_SetString(PyExc_ValueError, "panel_folder is too long a path");
        return -1;
    }
    self->config.shelf = on > 0 ? &self->shelf : NULL;
    return 0;
}

/* NULL: a keyword of that name is not the Middleware's own. */
static PyObject **own_keyword(struct own *own, const char *name)
{
    const struct {
        const char *name;
        PyObject **value;
    } keywords[] = {{"app", &own->app},
                    {"authorize", &own->authorize},
                    {"panel", &own->panel},
                    {"panel_folder", &own->panel_folder}};

    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++) {
        if (strcmp(keywords[i].name, name) == 0) {
            return keywords[i].value;
        }
    }
    return NULL;
}

static int read_keyword(struct flame_config *config, struct own *own, PyObject *key,
                        PyObject *value)
{
    const char *name = PyUnicode_AsUTF8(key);

    if (name == NULL) {
        return -1;
    }
    PyObject **kept = own_keyword(own, name);
    if (kept == NULL) {
        int done = flame_option_from_python(config, name, value);
        if (done == 0) {
            PyErr_Format(PyExc_TypeError, "Middleware() has no option '%.50s'", name);
        }
        return done > 0 ? 0 : -1;
    }
    if (*kept != NULL) {
        PyErr_SetString(PyExc_TypeError, "Middleware() was given app twice");
        return -1;
    }
    *kept = value;
    return 0;
}

/* The first Middleware of a process finds what all workers share; not behind the
 * plugin, which has made it. */
static void find_common(const struct flame_shelf *shelf)
{
    char line[300];

    if (flame_common_sharing(flame_common_here()) != FLAME_OF_PROCESS) {
        return;
    }
    int folder = flame_shelf_open_folder(shelf);
    int error = flame_common_make_in_folder(folder, shelf->folder);

    if (folder >= 0) {
        close(folder);
    }
    if (error != 0) {
        flame_common_explain(error, line, sizeof line);
        flame_log_to_stderr(line);
    }
}

int flame_configure(struct flame_middleware *self, PyObject *args, PyObject *kwargs,
                    PyObject **app)
{
    struct own own = {NULL, NULL, NULL, NULL};
    Py_ssize_t at = 0;
    PyObject *key;
    PyObject *value;
    char sentence[FLAME_SENTENCE_SIZE];

    if (!PyArg_ParseTuple(args, "|O:Middleware", &own.app)) {
        return -1;
    }
    flame_config_free(&self->config);
    flame_config_init(&self->config);
    while (kwargs != NULL && PyDict_Next(kwargs, &at, &key, &value)) {
        if (read_keyword(&self->config, &own, key, value) != 0) {
            return -1;
        }
    }
    if (own.app == NULL || !PyCallable_Check(own.app)) {
        PyErr_SetString(PyExc_TypeError, "app must be a WSGI application (a callable)");
        return -1;
    }
    if (flame_archived_configure(&self->config, &self->archive, sentence) != 0) {
        PyErr_SetString(PyExc_ValueError, sentence);
        return -1;
    }
    *app = own.app;
    if (configure_authorize(self, own.authorize) != 0 ||
        configure_panel(self, own.panel, own.panel_folder) != 0) {
        return -1;
    }
    find_common(&self->shelf);
    return 0;
}
