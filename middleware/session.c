/* _flameprof.Session: one profile of the calling thread, from Python. */
#include "middleware/python.h"

#include <errno.h>
#include <pthread.h>

struct session_object {
    PyObject_HEAD struct flame_session *session; /* NULL before start */
    pthread_t thread;
    bool running;
    struct flame_session_options options;
};

static struct session_object *cast(PyObject *object)
{
    return (struct session_object *)object;
}

static int session_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"interval", "max_seconds", "lines",
                            "threads",  "children",    NULL};
    struct flame_session_options options = {0};
    double interval = 0.001;
    double max_seconds = 0;
    int lines = 0;
    int threads = 0;
    int children = 0;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$ddppp:Session", names, &interval,
                                     &max_seconds, &lines, &threads, &children) ||
        flame_seconds_from_python(interval, "interval", FLAME_INTERVAL_MIN_NS,
                                  FLAME_INTERVAL_MAX_NS, FLAME_INTERVAL_ACCEPTED,
                                  &options.interval_ns) != 0 ||
        flame_seconds_from_python(max_seconds, "max_seconds", 0, FLAME_MAX_NS_MOST,
                                  "seconds from 0 (no limit) to 86400",
                                  &options.max_ns) != 0) {
        return -1;
    }
    options.lines = lines != 0;
    options.threads = threads != 0;
    options.greenlets = children != 0;
    cast(object)->options = options;
    return 0;
}

static PyObject *session_start(PyObject *object, PyObject *unused)
{
    struct session_object *self = cast(object);

    (void)unused;
    if (self->session != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "a Session starts once");
        return NULL;
    }
    int error = flame_session_start(&self->options, &self->session);
    if (error != 0) {
        return flame_raise_start_error(error);
    }
    self->thread = pthread_self();
    self->running = true;
    Py_RETURN_NONE;
}

static PyObject *session_stop(PyObject *object, PyObject *unused)
{
    struct session_object *self = cast(object);

    (void)unused;
    if (!self->running) {
        PyErr_SetString(PyExc_RuntimeError, "the Session is not running");
        return NULL;
    }
    if (!pthread_equal(self->thread, pthread_self())) {
        PyErr_SetString(PyExc_RuntimeError,
                        "a Session stops on the thread it was started on");
        return NULL;
    }
    self->running = false;
    flame_session_stop(self->session);
    Py_RETURN_NONE;
}

/* The finished profile, or NULL and RuntimeError. */
static const struct flame_profile *finished(struct session_object *self)
{
    if (self->session == NULL || self->running) {
        PyErr_SetString(PyExc_RuntimeError, "the Session has not been stopped");
        return NULL;
    }
    return flame_session_profile(self->session);
}

/* What a picture is to be, from keywords. Texts live in `texts`, a list. */
struct asked_picture {
    enum flame_clock clock;
    struct flame_picture_options options;
    PyObject *texts;
};

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

static int read_keyword(PyObject *key, PyObject *value, struct asked_picture *asked)
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

static int read_keywords(PyObject *kwargs, struct asked_picture *asked)
{
    Py_ssize_t at = 0;
    PyObject *key;
    PyObject *value;

    *asked = (struct asked_picture){.texts = PyList_New(0)};
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

/* Draws without the GIL. False: an exception is set. */
static bool draw(const struct flame_profile *profile, enum flame_format format,
                 struct asked_picture *asked, struct flame_writer *writer)
{
    int error;

    asked->options.quality = &profile->quality;
    asked->options.clock = asked->clock;
    Py_BEGIN_ALLOW_THREADS
    struct flame_tree *tree = flame_tree_from_profile(profile, asked->clock);
    error =
        tree == NULL ? -ENOMEM : flame_render(format, tree, &asked->options, writer);
    flame_tree_free(tree);
    Py_END_ALLOW_THREADS
    if (error != 0) {
        PyErr_SetString(PyExc_RuntimeError, flame_render_error(error));
    }
    return error == 0;
}

/* bytes, or for formats that are text, if it is wanted, a str. */
static PyObject *rendered(struct session_object *self, enum flame_format format,
                          PyObject *kwargs, bool as_text)
{
    const struct flame_profile *profile = finished(self);
    struct asked_picture asked = {.texts = NULL};
    struct flame_writer writer = {0};
    PyObject *result = NULL;

    if (profile != NULL && read_keywords(kwargs, &asked) == 0 &&
        draw(profile, format, &asked, &writer)) {
        const char *data = writer.data != NULL ? writer.data : "";
        Py_ssize_t length = (Py_ssize_t)writer.length;
        result = as_text ? PyUnicode_DecodeUTF8(data, length, "replace")
                         : PyBytes_FromStringAndSize(data, length);
    }
    flame_writer_free(&writer);
    Py_XDECREF(asked.texts);
    return result;
}

static PyObject *session_folded(PyObject *object, PyObject *args, PyObject *kwargs)
{
    if (!PyArg_ParseTuple(args, ":folded")) {
        return NULL;
    }
    return rendered(cast(object), FLAME_FORMAT_FOLDED, kwargs, true);
}

static PyObject *session_svg(PyObject *object, PyObject *args, PyObject *kwargs)
{
    if (!PyArg_ParseTuple(args, ":svg")) {
        return NULL;
    }
    return rendered(cast(object), FLAME_FORMAT_SVG, kwargs, true);
}

static PyObject *session_render(PyObject *object, PyObject *args, PyObject *kwargs)
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
    return rendered(cast(object), format, kwargs, false);
}

static PyObject *session_quality(PyObject *object, PyObject *unused)
{
    const struct flame_profile *profile = finished(cast(object));

    (void)unused;
    if (profile == NULL) {
        return NULL;
    }
    const struct flame_quality *quality = &profile->quality;
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

static void session_dealloc(PyObject *object)
{
    struct session_object *self = cast(object);
    PyTypeObject *type = Py_TYPE(object);

    if (self->running) {
        flame_session_stop(self->session);
    }
    flame_session_free(self->session);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"start", session_start, METH_NOARGS,
     "Watch the calling thread from here on.\n\nRaises RuntimeError if it cannot."},
    {"stop", session_stop, METH_NOARGS, "End the profile; on the thread of start()."},
    {"folded", (PyCFunction)(void (*)(void))session_folded,
     METH_VARARGS | METH_KEYWORDS,
     "folded(*, clock='wall', **options)\n--\n\n"
     "The profile as folded stacks: root first, ';', weight in microseconds.\n\n"
     "clock: wall, cpu, offcpu or gil."},
    {"render", (PyCFunction)(void (*)(void))session_render,
     METH_VARARGS | METH_KEYWORDS,
     "render(format, *, clock='wall', **options)\n--\n\n"
     "The profile as bytes of a format: " FLAME_FORMAT_NAMES ".\n\n"
     "options: title, subtitle, inverted, callers, colours, width, smallest, scale,\n"
     "as in the URL. ValueError: there is no such format or option, or it does not\n"
     "take that value. RuntimeError: it could not be drawn."},
    {"svg", (PyCFunction)(void (*)(void))session_svg, METH_VARARGS | METH_KEYWORDS,
     "svg(*, clock='wall', **options)\n--\n\n"
     "The flame graph, as SVG text. options: as of render()."},
    {"quality", session_quality, METH_NOARGS,
     "How the profile came about: a dict of counts, and of times in ns."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc,
     "Session(*, interval=0.001, max_seconds=0, lines=False, threads=False,\n"
     "        children=False)\n--\n\n"
     "One profile of one thread; interval in seconds, 0.00005 to 1.\n\n"
     "max_seconds: sampling ends by itself after that long; 0: never.\n"
     "lines: a function's lines are places of their own.\n"
     "threads, children: what the thread starts meanwhile, threads and greenlets,\n"
     "become roots of their own."},
    {Py_tp_init, session_init},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_dealloc, session_dealloc},
    {Py_tp_methods, methods},
    {0, NULL},
};

PyType_Spec flame_session_spec = {.name = "_flameprof.Session",
                                  .basicsize = sizeof(struct session_object),
                                  .flags = Py_TPFLAGS_DEFAULT,
                                  .slots = slots};
