/* The folders that an interpreter imports from. */
#include "middleware/module/python.h"
#include "middleware/names.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* As the sampler copies a code's file: lone surrogates stand for bytes that are not
 * UTF-8. `until_slash`: only the folder of a file. */
static void add(struct flame_names *names, PyObject *path, bool standard,
                bool until_slash)
{
    PyObject *bytes = path != NULL && PyUnicode_Check(path)
                          ? PyUnicode_AsEncodedString(path, "utf-8", "surrogatepass")
                          : NULL;

    if (bytes != NULL) {
        const char *text = PyBytes_AS_STRING(bytes);
        const char *slash = until_slash ? strrchr(text, '/') : NULL;
        size_t length = until_slash ? (slash == NULL ? 0 : (size_t)(slash - text))
                                    : (size_t)PyBytes_GET_SIZE(bytes);
        flame_names_add_root(names, (struct flame_slice){text, length}, standard);
        Py_DECREF(bytes);
    }
}

/* os is there in every Python, and its code is in a file. */
static void add_library(struct flame_names *names)
{
    PyObject *os = PyImport_ImportModule("os");
    PyObject *file = os == NULL ? NULL : PyObject_GetAttrString(os, "__file__");

    add(names, file, true, true);
    Py_XDECREF(file);
    Py_XDECREF(os);
}

static void add_working_directory(struct flame_names *names)
{
    char *folder = getcwd(NULL, 0);

    if (folder != NULL) {
        flame_names_add_root(names, flame_slice_of(folder), false);
    }
    free(folder);
}

void flame_names_read_roots(struct flame_names *names)
{
    struct flame_names found = {0};
    PyObject *type;
    PyObject *value;
    PyObject *traceback;

    if (names->roots != NULL) {
        return;
    }
    PyErr_Fetch(&type, &value, &traceback);
    add_library(&found);
    PyObject *path = PySys_GetObject("path"); /* borrowed */
    for (Py_ssize_t i = 0;
         path != NULL && PyList_Check(path) && i < PyList_GET_SIZE(path); i++) {
        add(&found, PyList_GET_ITEM(path, i), false, false);
    }
    add_working_directory(&found);
    /* An import may have let another thread be first, whose profile uses its own. */
    if (names->roots == NULL) {
        names->roots = found.roots;
        names->root_count = found.root_count;
    } else {
        flame_names_free(&found);
    }
    PyErr_Clear();
    PyErr_Restore(type, value, traceback);
}
