/* What a finished Session is asked for: pictures, rows, quality. */
#include "middleware/python.h"

#include <errno.h>
#include <math.h>

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

static int read_keyword(PyObject *key, PyObject *value,
                        struct flame_asked_picture *asked)
{
    struct flame_slice name;
    struct flame_slice text;
    const char *problem = "it is one of wall, cpu, offcpu and gil";

    if (value == Py_None) {
        return 0; /* as if it were not there */
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

int flame_picture_keywords(PyObject *kwargs, struct flame_asked_picture *asked)
{
    Py_ssize_t at = 0;
    PyObject *key;
    PyObject *value;

    *asked = (struct flame_asked_picture){.texts = PyList_New(0)};
    if (asked->texts == NULL) {
        return -1;
    }
    while (kwargs != NULL && PyDict_Next(kwargs, &at, &key, &value)) {
        if (read_keyword(key, value, asked) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Or RuntimeError. */
static bool is_finished(const struct flame_session_object *self)
{
    if (self->run_count == 0 || self->running) {
        PyErr_SetString(PyExc_RuntimeError, "the Session has not been stopped");
        return false;
    }
    return true;
}

/* ---- several runs are one profile -------------------------------------------- */

/* Needs no GIL; the runs stay as long as their Session. NULL: out of memory. */
static struct flame_tree *tree_of(const struct flame_session_object *self,
                                  enum flame_clock clock)
{
    struct flame_tree **trees = calloc(self->run_count, sizeof *trees);
    struct flame_tree *sum = NULL;
    bool ok = trees != NULL;

    for (size_t i = 0; ok && i < self->run_count; i++) {
        trees[i] = flame_tree_from_profile(
            flame_session_profile(self->runs[i]->session), clock);
        ok = trees[i] != NULL;
    }
    if (ok && self->run_count == 1) {
        sum = trees[0];
        trees[0] = NULL;
    } else if (ok) {
        sum = flame_tree_sum(trees, self->run_count);
    }
    for (size_t i = 0; trees != NULL && i < self->run_count; i++) {
        flame_tree_free(trees[i]);
    }
    free(trees);
    return sum;
}

static void add_quality(struct flame_quality *sum, const struct flame_quality *more)
{
    sum->duration_ns += more->duration_ns;
    sum->beside_ns += more->beside_ns;
    sum->cpu_ns += more->cpu_ns;
    sum->children += more->children;
    sum->unwatched += more->unwatched;
    sum->samples += more->samples;
    sum->missed += more->missed;
    sum->rejected += more->rejected;
    sum->cut += more->cut;
    sum->overflow += more->overflow;
    sum->sampling_ns += more->sampling_ns;
    sum->deadline_reached |= more->deadline_reached;
    sum->gil_wait_known &= more->gil_wait_known;
    sum->runnable_known &= more->runnable_known;
}

/* Mean and deviation of the spacing of all samples, from those of each run. */
static void pool_spacing(const struct flame_session_object *self,
                         struct flame_quality *quality)
{
    double count = 0;
    double sum = 0;
    double squares = 0;

    for (size_t i = 0; i < self->run_count; i++) {
        const struct flame_quality *one =
            &flame_session_profile(self->runs[i]->session)->quality;
        double mean = (double)one->spacing_mean_ns;
        double deviation = (double)one->spacing_deviation_ns;
        double samples = (double)one->samples;
        count += samples;
        sum += samples * mean;
        squares += samples * (mean * mean + deviation * deviation);
    }
    if (count > 0) {
        double mean = sum / count;
        quality->spacing_mean_ns = (uint64_t)llround(mean);
        quality->spacing_deviation_ns =
            (uint64_t)llround(sqrt(fmax(0, squares / count - mean * mean)));
    }
}

/* The interval is the first run's. */
static struct flame_quality quality_of(const struct flame_session_object *self)
{
    struct flame_quality quality =
        flame_session_profile(self->runs[0]->session)->quality;

    for (size_t i = 1; i < self->run_count; i++) {
        add_quality(&quality, &flame_session_profile(self->runs[i]->session)->quality);
    }
    if (self->run_count > 1) {
        pool_spacing(self, &quality);
    }
    return quality;
}

/* ---- drawing ----------------------------------------------------------------- */

/* Draws without the GIL. False: an exception is set. */
static bool draw(struct flame_session_object *self, enum flame_format format,
                 struct flame_asked_picture *asked, struct flame_writer *writer)
{
    struct flame_quality quality = quality_of(self);
    int error;

    asked->options.quality = &quality;
    asked->options.clock = asked->clock;
    self->readers++;
    Py_BEGIN_ALLOW_THREADS
    struct flame_tree *tree = tree_of(self, asked->clock);
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
    struct flame_asked_picture asked = {.texts = NULL};
    struct flame_writer writer = {0};
    PyObject *result = NULL;

    if (is_finished(self) && flame_picture_keywords(kwargs, &asked) == 0 &&
        draw(self, format, &asked, &writer)) {
        const char *data = writer.data != NULL ? writer.data : "";
        Py_ssize_t length = (Py_ssize_t)writer.length;
        result = as_text ? PyUnicode_DecodeUTF8(data, length, "replace")
                         : PyBytes_FromStringAndSize(data, length);
    }
    flame_writer_free(&writer);
    Py_XDECREF(asked.texts);
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

PyObject *flame_session_functions(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"clock", NULL};
    struct flame_session_object *self = (struct flame_session_object *)object;
    const char *name = "wall";
    enum flame_clock clock;
    struct flame_tree *tree;
    struct flame_row *rows;
    uint32_t count = 0;

    if (!is_finished(self) ||
        !PyArg_ParseTupleAndKeywords(args, kwargs, "|$s:functions", names, &name)) {
        return NULL;
    }
    if (flame_clock_from_name(flame_slice_of(name), &clock) != 0) {
        return PyErr_Format(PyExc_ValueError,
                            "clock='%.20s': it is one of wall, cpu, offcpu and gil",
                            name);
    }
    self->readers++;
    Py_BEGIN_ALLOW_THREADS
    tree = tree_of(self, clock);
    rows = tree != NULL ? flame_tree_rows(tree, &count) : NULL;
    Py_END_ALLOW_THREADS
    self->readers--;
    PyObject *list = rows != NULL ? list_from(rows, count) : PyErr_NoMemory();
    free(rows);
    flame_tree_free(tree);
    return list;
}

PyObject *flame_session_quality(PyObject *object, PyObject *unused)
{
    const struct flame_session_object *self = (struct flame_session_object *)object;

    (void)unused;
    if (!is_finished(self)) {
        return NULL;
    }
    const struct flame_quality all = quality_of(self);
    const struct flame_quality *quality = &all;
    return Py_BuildValue(
        "{sKsKsKsKsKsKsKsKsKsKsKsKsKsKsOsOsO}", "interval_ns", quality->interval_ns,
        "duration_ns", quality->duration_ns, "beside_ns", quality->beside_ns,
        "children", quality->children, "unwatched", quality->unwatched, "cpu_ns",
        quality->cpu_ns, "samples", quality->samples, "missed", quality->missed,
        "rejected", quality->rejected, "cut", quality->cut, "overflow",
        quality->overflow, "spacing_mean_ns", quality->spacing_mean_ns,
        "spacing_deviation_ns", quality->spacing_deviation_ns, "sampling_ns",
        quality->sampling_ns, "deadline_reached",
        quality->deadline_reached ? Py_True : Py_False, "gil_wait_known",
        quality->gil_wait_known ? Py_True : Py_False, "runnable_known",
        quality->runnable_known ? Py_True : Py_False);
}
