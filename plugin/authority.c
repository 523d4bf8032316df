#include "plugin/authority.h"

#include "plugin/python_plugin.h"

#include <Python.h>
#include <uwsgi.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

extern struct uwsgi_server uwsgi;

/* Of one application, in its interpreter; changed under the GIL. */
struct judge {
    PyObject *function; /* NULL: not imported yet, or it cannot be */
    bool broken;
};

static struct {
    const char *name; /* as given */
    char *module;
    const char *callable; /* behind the colon of `name` */
    struct judge *judges; /* by app_id; each worker's own */
} authority;

bool flame_authority_is_name(const char *text)
{
    const char *colon = strchr(text, ':');
    return colon && colon > text && colon[1] && !strpbrk(colon + 1, ":. /") &&
           strcspn(text, " /") == strlen(text);
}

/* ---- the function ------------------------------------------------------------ */

/* Logs the exception that is set, and clears it. */
static void complain(void)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    PyObject *text = value ? PyObject_Str(value) : NULL;
    const char *said = text ? PyUnicode_AsUTF8(text) : NULL;
    uwsgi_log("[flameprof] --flameprof-authorize %s lets nobody in, since it cannot be "
              "had: %s: %s\n",
              authority.name,
              type && PyType_Check(type) ? ((PyTypeObject *)type)->tp_name : "?",
              said ? said : "?");
    PyErr_Clear();
    Py_XDECREF(text);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
}

/* NULL: an exception is set. */
static PyObject *import(void)
{
    PyObject *module = PyImport_ImportModule(authority.module);
    PyObject *function =
        module ? PyObject_GetAttrString(module, authority.callable) : NULL;
    Py_XDECREF(module);
    if (function && !PyCallable_Check(function)) {
        Py_CLEAR(function);
        PyErr_SetString(PyExc_TypeError, "it is not callable");
    }
    return function;
}

/* Borrowed; NULL: there is none. Another thread may import it meanwhile. */
static PyObject *function_of(struct judge *judge)
{
    if (judge->function || judge->broken) {
        return judge->function;
    }
    PyObject *function = import();
    if (judge->function || judge->broken) {
        PyErr_Clear();
        Py_XDECREF(function);
        return judge->function;
    }
    judge->function = function;
    judge->broken = !function;
    if (judge->broken) {
        complain();
    }
    return function;
}

/* ---- what it is given -------------------------------------------------------- */

/* Takes the value. */
static int put(PyObject *env, const char *name, PyObject *value)
{
    int error = value ? PyDict_SetItemString(env, name, value) : -1;
    Py_XDECREF(value);
    return error;
}

static PyObject *latin1(const struct iovec *text)
{
    return PyUnicode_DecodeLatin1(text->iov_base, (Py_ssize_t)text->iov_len, NULL);
}

static int put_variables(PyObject *env, const struct wsgi_request *wsgi_req)
{
    int error = 0;
    for (int i = 0; !error && i + 1 < wsgi_req->var_cnt; i += 2) {
        PyObject *name = latin1(&wsgi_req->hvec[i]);
        PyObject *value = latin1(&wsgi_req->hvec[i + 1]);
        error = name && value ? PyDict_SetItem(env, name, value) : -1;
        Py_XDECREF(name);
        Py_XDECREF(value);
    }
    return error;
}

static PyObject *scheme_of(const struct wsgi_request *wsgi_req)
{
    if (wsgi_req->scheme_len) {
        return PyUnicode_DecodeLatin1(wsgi_req->scheme, wsgi_req->scheme_len, NULL);
    }
    bool secure = wsgi_req->https_len &&
                  (*wsgi_req->https == '1' || !strncasecmp(wsgi_req->https, "on", 2));
    return PyUnicode_FromString(secure ? "https" : "http");
}

/* The body is the application's to read: there is none here. */
static PyObject *empty_input(void)
{
    PyObject *io = PyImport_ImportModule("io");
    PyObject *input = io ? PyObject_CallMethod(io, "BytesIO", NULL) : NULL;
    Py_XDECREF(io);
    return input;
}

static PyObject *own(void *object)
{
    Py_XINCREF((PyObject *)object);
    return object;
}

/* What PEP 3333 wants to be there, so that a framework's request can be made of it. */
static PyObject *environ_of(const struct wsgi_request *wsgi_req,
                            const struct uwsgi_app *app)
{
    PyObject *env = PyDict_New();
    if (env && (put_variables(env, wsgi_req) ||
                put(env, "wsgi.version", own(app->gateway_version)) ||
                put(env, "wsgi.url_scheme", scheme_of(wsgi_req)) ||
                put(env, "wsgi.input", empty_input()) ||
                put(env, "wsgi.errors", own(app->error)) ||
                put(env, "wsgi.multithread", PyBool_FromLong(uwsgi.threads > 1)) ||
                put(env, "wsgi.multiprocess", PyBool_FromLong(uwsgi.numproc > 1)) ||
                put(env, "wsgi.run_once", PyBool_FromLong(false)))) {
        Py_CLEAR(env);
    }
    return env;
}

/* ---- the question ------------------------------------------------------------ */

/* GIL held, in the application's interpreter. Whoever cannot be asked about may not. */
static bool ask(const struct wsgi_request *wsgi_req, const struct uwsgi_app *app)
{
    PyObject *function = function_of(&authority.judges[wsgi_req->app_id]);
    if (!function) {
        return false;
    }
    PyObject *env = environ_of(wsgi_req, app);
    PyObject *said = env ? PyObject_CallFunctionObjArgs(function, env, NULL) : NULL;
    int may = said ? PyObject_IsTrue(said) : -1;
    if (may < 0) {
        PyErr_WriteUnraisable(function);
    }
    Py_XDECREF(said);
    Py_XDECREF(env);
    return may > 0;
}

static bool authorize(void *unused, void *door_request)
{
    struct wsgi_request *wsgi_req = door_request;
    int app_id = wsgi_req->app_id;
    (void)unused;
    struct uwsgi_app *app = flame_python_app(wsgi_req);
    bool may = false;
    if (app) {
        flame_python_enter(wsgi_req, app);
        flame_python_gil_get();
        may = ask(wsgi_req, app);
        flame_python_gil_release();
        flame_python_leave(wsgi_req, app);
    }
    wsgi_req->app_id = app_id; /* the python plugin finds it by itself */
    return may;
}

int flame_authority_install(struct flame_config *config, const char *name)
{
    const char *colon = strchr(name, ':');
    authority.name = name;
    authority.callable = colon + 1;
    authority.module = strndup(name, (size_t)(colon - name));
    authority.judges = calloc((size_t)uwsgi.max_apps, sizeof(*authority.judges));
    if (!authority.module || !authority.judges) {
        return -ENOMEM;
    }
    config->authorize = authorize;
    return 0;
}
