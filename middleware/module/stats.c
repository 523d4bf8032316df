/* flameprof.stats(): what was counted, and what runs, in all workers of a server. */
#include "middleware/common/common.h"
#include "middleware/module/python.h"

static int add(PyObject *stats, const char *name, PyObject *value)
{
    int result = value == NULL ? -1 : PyDict_SetItemString(stats, name, value);

    Py_XDECREF(value);
    return result;
}

static PyObject *stats(PyObject *module, PyObject *unused)
{
    struct flame_common *common = flame_common_here();
    PyObject *result = PyDict_New();
    int error = result == NULL ? -1 : 0;

    (void)module;
    (void)unused;
    for (unsigned i = 0; error == 0 && i < FLAME_COUNTERS; i++) {
        error = add(result, flame_counter_name(i),
                    PyLong_FromUnsignedLongLong(flame_counted(common, i)));
    }
    if (error == 0) {
        error = add(result, "running",
                    PyLong_FromUnsignedLong(flame_common_running(common)));
    }
    if (error == 0) {
        error = add(result, "since", PyLong_FromLongLong(flame_common_since(common)));
    }
    if (error == 0) {
        error = add(result, "shared",
                    PyBool_FromLong(flame_common_sharing(common) != FLAME_OF_PROCESS));
    }
    if (error != 0) {
        Py_CLEAR(result);
    }
    return result;
}

PyMethodDef flame_stats_functions[] = {
    {"stats", stats, METH_NOARGS,
     "stats()\n--\n\n"
     "What was counted of profiles of requests, in all workers of this server, as a\n"
     "dict of int: docs/metrics.md has their names. shared: False, if the workers "
     "have\n"
     "nothing in common, and this is one's own."},
    {NULL, NULL, 0, NULL},
};
