/* What a finished Session says in numbers: rows of functions, a tally, its quality. */
#include "middleware/module/asked.h"

/* ---- from a tree to rows ------------------------------------------------------- */

static PyObject *text_from(struct flame_slice text)
{
    return PyUnicode_DecodeUTF8(text.data, (Py_ssize_t)text.length, "surrogatepass");
}

static PyObject *row_from(const struct flame_row *row)
{
    PyObject *name = text_from(row->name);
    PyObject *file = text_from(row->file);
    PyObject *made = NULL;

    if (name != NULL && file != NULL) {
        made = Py_BuildValue("(OOIKKKI)", name, file, row->line, row->self, row->total,
                             row->samples, row->places);
    }
    Py_XDECREF(name);
    Py_XDECREF(file);
    return made;
}

static PyObject *list_from(const struct flame_row *rows, uint32_t count)
{
    PyObject *list = PyList_New(0);

    for (uint32_t i = 0; list != NULL && i < count; i++) {
        PyObject *row = row_from(&rows[i]);
        if (row == NULL || PyList_Append(list, row) != 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(row);
    }
    return list;
}

/* Frees the tree. */
static PyObject *rows_of(struct flame_tree *tree)
{
    uint32_t count = 0;
    struct flame_row *rows = tree != NULL ? flame_tree_rows(tree, &count) : NULL;
    PyObject *list = rows != NULL ? list_from(rows, count) : PyErr_NoMemory();

    free(rows);
    flame_tree_free(tree);
    return list;
}

/* ---- by names of the caller's -------------------------------------------------- */

/* "[thread NAME]" and the like are no functions, and keep their names. */
static bool is_mark(const struct flame_row *row)
{
    return row->file.length == 0 && row->name.length > 0 && row->name.data[0] == '[';
}

/* What `namer` makes of one; kept in `texts`. -1: an exception is set. */
static int name_row(PyObject *namer, const struct flame_row *row, PyObject *texts,
                    struct flame_slice *name)
{
    PyObject *seen = row_from(row);
    PyObject *said =
        seen == NULL ? NULL
                     : PyObject_CallFunctionObjArgs(namer, PyTuple_GET_ITEM(seen, 0),
                                                    PyTuple_GET_ITEM(seen, 1),
                                                    PyTuple_GET_ITEM(seen, 2), NULL);
    Py_ssize_t length;

    if (said != NULL && !PyUnicode_Check(said)) {
        PyErr_Format(PyExc_TypeError, "name() returned %R, which is not a str", said);
    } else if (said != NULL && PyList_Append(texts, said) == 0) {
        name->data = PyUnicode_AsUTF8AndSize(said, &length);
        name->length = name->data == NULL ? 0 : (size_t)length;
    }
    Py_XDECREF(seen);
    Py_XDECREF(said);
    return PyErr_Occurred() ? -1 : 0;
}

/* By number of the function. NULL: an exception is set. */
static struct flame_slice *names_of(const struct flame_tree *tree, PyObject *namer,
                                    PyObject *texts)
{
    uint32_t count = 0;
    struct flame_row *rows = flame_tree_rows(tree, &count);
    struct flame_slice *names = rows == NULL ? NULL : calloc(count, sizeof *names);

    if (names == NULL) {
        PyErr_NoMemory();
    }
    for (uint32_t i = 0; names != NULL && i < count; i++) {
        struct flame_slice *name = &names[rows[i].function];
        if (is_mark(&rows[i])) {
            *name = rows[i].name;
        } else if (name_row(namer, &rows[i], texts, name) != 0) {
            free(names);
            names = NULL;
        }
    }
    free(rows);
    return names;
}

/* In place of the tree, which is freed. NULL: an exception is set. */
static struct flame_tree *rename_all(struct flame_tree *tree, PyObject *namer,
                                     PyObject *texts)
{
    struct flame_slice *names = names_of(tree, namer, texts);
    struct flame_tree *renamed = names == NULL ? NULL : flame_tree_renamed(tree, names);

    if (names != NULL && renamed == NULL) {
        PyErr_NoMemory();
    }
    free(names);
    flame_tree_free(tree);
    return renamed;
}

/* ---- methods ------------------------------------------------------------------- */

/* clock= and idle=, either perhaps NULL. */
static int read_keywords(struct flame_asked *asked,
                         const struct flame_session_object *self, PyObject *clock,
                         PyObject *idle)
{
    const struct {
        const char *name;
        PyObject *value;
    } given[] = {{"clock", clock}, {"idle", idle}};
    int result = flame_asked_start(asked, self);

    for (size_t i = 0; result == 0 && i < 2; i++) {
        PyObject *key = PyUnicode_FromString(given[i].name);
        result = key == NULL ? -1
                 : given[i].value == NULL
                     ? 0
                     : flame_asked_keyword(asked, key, given[i].value);
        Py_XDECREF(key);
    }
    return result;
}

static struct flame_tree *tree_of(struct flame_session_object *self,
                                  const struct flame_asked *asked,
                                  struct flame_left_out *left_out)
{
    struct flame_tree *tree;

    self->readers++;
    Py_BEGIN_ALLOW_THREADS
    tree = flame_session_tree(self, asked, left_out);
    Py_END_ALLOW_THREADS
    self->readers--;
    if (tree == NULL) {
        PyErr_NoMemory();
    }
    return tree;
}

PyObject *flame_session_functions(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"clock", "idle", "name", NULL};
    struct flame_session_object *self = (struct flame_session_object *)object;
    PyObject *clock = NULL;
    PyObject *idle = NULL;
    PyObject *namer = Py_None;
    struct flame_asked asked;
    struct flame_left_out left_out;
    PyObject *list = NULL;

    if (!flame_session_is_finished(self) ||
        !PyArg_ParseTupleAndKeywords(args, kwargs, "|$OOO:functions", names, &clock,
                                     &idle, &namer)) {
        return NULL;
    }
    if (read_keywords(&asked, self, clock, idle) == 0) {
        struct flame_tree *tree = tree_of(self, &asked, &left_out);
        if (tree != NULL && namer != Py_None) {
            tree = rename_all(tree, namer, asked.texts);
        }
        list = tree == NULL ? NULL : rows_of(tree);
    }
    flame_asked_end(&asked);
    return list;
}

PyObject *flame_session_tally(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"clock", "idle", NULL};
    struct flame_session_object *self = (struct flame_session_object *)object;
    PyObject *clock = NULL;
    PyObject *idle = NULL;
    struct flame_asked asked;
    struct flame_left_out left_out;
    PyObject *tally = NULL;

    if (!flame_session_is_finished(self) ||
        !PyArg_ParseTupleAndKeywords(args, kwargs, "|$OO:tally", names, &clock,
                                     &idle)) {
        return NULL;
    }
    if (read_keywords(&asked, self, clock, idle) == 0) {
        struct flame_tree *tree = tree_of(self, &asked, &left_out);
        if (tree != NULL) {
            struct flame_tally all = flame_tree_tally(tree);
            tally = Py_BuildValue("{sIsKsKsKsK}", "stacks", all.stacks, "samples",
                                  all.samples, "time_ns", all.weight, "idle_samples",
                                  left_out.samples, "idle_ns", left_out.weight);
            flame_tree_free(tree);
        }
    }
    flame_asked_end(&asked);
    return tally;
}

PyObject *flame_session_quality(PyObject *object, PyObject *unused)
{
    const struct flame_session_object *self = (struct flame_session_object *)object;

    (void)unused;
    if (!flame_session_is_finished(self)) {
        return NULL;
    }
    const struct flame_quality *quality = &flame_session_profile(self->seen)->quality;
    return Py_BuildValue(
        "{sKsKsKsKsKsKsKsKsKsKsKsKsKsKsOsOsOsO}", "interval_ns", quality->interval_ns,
        "duration_ns", quality->duration_ns, "beside_ns", quality->beside_ns,
        "children", quality->children, "unwatched", quality->unwatched, "cpu_ns",
        quality->cpu_ns, "samples", quality->samples, "missed", quality->missed,
        "rejected", quality->rejected, "cut", quality->cut, "overflow",
        quality->overflow, "spacing_mean_ns", quality->spacing_mean_ns,
        "spacing_deviation_ns", quality->spacing_deviation_ns, "sampling_ns",
        quality->sampling_ns, "everybody", quality->everybody ? Py_True : Py_False,
        "deadline_reached", quality->deadline_reached ? Py_True : Py_False,
        "gil_wait_known", quality->gil_wait_known ? Py_True : Py_False,
        "runnable_known", quality->runnable_known ? Py_True : Py_False);
}
