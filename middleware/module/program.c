/* The program `flameprof`, for `python -m flameprof`. */
#include "middleware/command/program.h"
#include "middleware/module/python.h"

/* The words of a list of bytes, which keeps them; a NULL ends them. */
static char **words_of(PyObject *list, Py_ssize_t *count)
{
    *count = PyList_Check(list) ? PyList_GET_SIZE(list) : 0;
    char **words = PyMem_Calloc((size_t)*count + 1, sizeof *words);

    for (Py_ssize_t i = 0; words != NULL && i < *count; i++) {
        words[i] = PyBytes_AsString(PyList_GET_ITEM(list, i));
        if (words[i] == NULL) {
            PyMem_Free(words);
            return NULL;
        }
    }
    return words != NULL ? words : (char **)PyErr_NoMemory();
}

static PyObject *command(PyObject *module, PyObject *list)
{
    Py_ssize_t count;
    char **words = words_of(list, &count);
    int status;

    (void)module;
    if (words == NULL) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    status = flame_program((int)count, words);
    Py_END_ALLOW_THREADS
    PyMem_Free(words);
    return PyLong_FromLong(status);
}

PyMethodDef flame_program_functions[] = {
    {"command", command, METH_O,
     "command(words)\n--\n\n"
     "Run the program flameprof with a command line, a list of bytes; its exit "
     "status."},
    {NULL, NULL, 0, NULL},
};
