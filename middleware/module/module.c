/* The extension module _flameprof: multi-phase, one sampler per process. */
#include "middleware/wsgi/wsgi.h"

#include <errno.h>
#include <math.h>

int flame_seconds_from_python(double seconds, const char *what, uint64_t least,
                              uint64_t most, const char *accepted, uint64_t *ns)
{
    if (!(seconds * 1e9 >= (double)least - 0.5 &&
          seconds * 1e9 <= (double)most + 0.5)) {
        PyErr_Format(PyExc_ValueError, "%s takes %s", what, accepted);
        return -1;
    }
    *ns = (uint64_t)llround(seconds * 1e9);
    return 0;
}

PyObject *flame_raise_start_error(int error)
{
    PyErr_SetString(error == -EINVAL ? PyExc_ValueError : PyExc_RuntimeError,
                    flame_start_error_sentence(error));
    return NULL;
}

static struct flame_module_state *state_of(PyObject *module)
{
    return PyModule_GetState(module);
}

/* IDLE: what idle=True leaves out, for who wants to add to it. */
static int add_idle(PyObject *module)
{
    PyObject *list = PyList_New(0);
    int result = list == NULL ? -1 : 0;

    for (size_t i = 0; result == 0 && flame_idle_usual[i] != NULL; i++) {
        PyObject *text = PyUnicode_FromString(flame_idle_usual[i]);
        result = text == NULL ? -1 : PyList_Append(list, text);
        Py_XDECREF(text);
    }
    PyObject *patterns = result == 0 ? PyList_AsTuple(list) : NULL;
    result = patterns == NULL ? -1 : PyModule_AddObject(module, "IDLE", patterns);
    if (result != 0) {
        Py_XDECREF(patterns);
    }
    Py_XDECREF(list);
    return result;
}

/* One that the module does not show. */
static int make_type(PyObject *module, PyType_Spec *spec, PyTypeObject **type)
{
    *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    return *type != NULL ? 0 : -1;
}

static int execute(PyObject *module)
{
    PyType_Spec *const offered[] = {&flame_middleware_spec, &flame_session_spec,
                                    &flame_shelf_spec};

    for (size_t i = 0; i < sizeof offered / sizeof offered[0]; i++) {
        PyObject *type = PyType_FromModuleAndSpec(module, offered[i], NULL);
        if (type == NULL || PyModule_AddType(module, (PyTypeObject *)type) != 0) {
            Py_XDECREF(type);
            return -1;
        }
        Py_DECREF(type);
    }
    if (make_type(module, &flame_response_spec, &state_of(module)->response_type) !=
            0 ||
        make_type(module, &flame_passing_spec, &state_of(module)->passing_type) != 0 ||
        make_type(module, &flame_body_spec, &state_of(module)->body_type) != 0 ||
        make_type(module, &flame_onward_spec, &state_of(module)->onward_type) != 0 ||
        make_type(module, &flame_watched_spec, &state_of(module)->watched_type) != 0) {
        return -1;
    }
    if (PyModule_AddFunctions(module, flame_web_functions) != 0 ||
        PyModule_AddFunctions(module, flame_options_functions) != 0 ||
        PyModule_AddFunctions(module, flame_stats_functions) != 0 ||
        PyModule_AddFunctions(module, flame_attend_functions) != 0 ||
        PyModule_AddFunctions(module, flame_program_functions) != 0 ||
        PyModule_AddStringConstant(module, "OWN_THREAD", FLAME_OWN_THREAD) != 0 ||
        add_idle(module) != 0) {
        return -1;
    }
    return PyModule_AddStringConstant(module, "__version__", FLAME_VERSION);
}

static int traverse(PyObject *module, visitproc visit, void *arg)
{
    Py_VISIT(state_of(module)->response_type);
    Py_VISIT(state_of(module)->passing_type);
    Py_VISIT(state_of(module)->body_type);
    Py_VISIT(state_of(module)->onward_type);
    Py_VISIT(state_of(module)->watched_type);
    return 0;
}

static int clear(PyObject *module)
{
    Py_CLEAR(state_of(module)->response_type);
    Py_CLEAR(state_of(module)->passing_type);
    Py_CLEAR(state_of(module)->body_type);
    Py_CLEAR(state_of(module)->onward_type);
    Py_CLEAR(state_of(module)->watched_type);
    return 0;
}

static PyObject *format_of(PyObject *module, PyObject *path)
{
    enum flame_format format;
    PyObject *bytes;

    (void)module;
    if (!PyUnicode_FSConverter(path, &bytes)) {
        return NULL;
    }
    int error = flame_format_from_path(
        (struct flame_slice){PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes)},
        &format);
    Py_DECREF(bytes);
    if (error != 0) {
        return PyErr_Format(PyExc_ValueError,
                            "%R: no format has this ending, but " FLAME_FORMAT_ENDINGS,
                            path);
    }
    return PyUnicode_FromString(flame_format_name(format));
}

static PyObject *admit(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    flame_session_admit();
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"admit", admit, METH_NOARGS,
     "admit()\n--\n\n"
     "Let a Session(everybody=True) see what the calling thread computes, even if it\n"
     "blocks signals, as uWSGI's do; for a server's hook, at each request."},
    {"format_of", format_of, METH_O,
     "format_of(path)\n--\n\n"
     "The format that a file's ending stands for. ValueError: it is none."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, execute},
#if defined(Py_mod_multiple_interpreters)
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_SUPPORTED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "_flameprof",
    .m_doc = "The compiled part of flameprof.",
    .m_size = sizeof(struct flame_module_state),
    .m_methods = functions,
    .m_slots = slots,
    .m_traverse = traverse,
    .m_clear = clear,
};

PyMODINIT_FUNC PyInit__flameprof(void);

PyMODINIT_FUNC PyInit__flameprof(void)
{
    return PyModuleDef_Init(&definition);
}
