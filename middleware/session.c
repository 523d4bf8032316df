/* _flameprof.Session: one profile of the calling thread, from Python. */
#include "middleware/python.h"

static struct flame_session_object *cast(PyObject *object)
{
    return (struct flame_session_object *)object;
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

/* Room for so many runs more. */
static bool make_room(struct flame_session_object *self, size_t more)
{
    size_t size = (self->run_count + more) * sizeof *self->runs;
    struct flame_run **runs = PyMem_Realloc(self->runs, size);

    if (runs == NULL) {
        PyErr_NoMemory();
        return false;
    }
    self->runs = runs;
    return true;
}

/* While pictures are drawn without the GIL, the runs stay as they are. */
static bool may_change(const struct flame_session_object *self)
{
    if (self->running || self->readers != 0) {
        PyErr_SetString(PyExc_RuntimeError, self->running
                                                ? "the Session is running"
                                                : "the Session is being drawn");
        return false;
    }
    return true;
}

static PyObject *session_start(PyObject *object, PyObject *unused)
{
    struct flame_session_object *self = cast(object);

    (void)unused;
    if (!may_change(self) || !make_room(self, 1)) {
        return NULL;
    }
    struct flame_run *run = PyMem_Malloc(sizeof *run);
    if (run == NULL) {
        return PyErr_NoMemory();
    }
    int error = flame_session_start(&self->options, &run->session);
    if (error != 0) {
        PyMem_Free(run);
        return flame_raise_start_error(error);
    }
    run->users = 1;
    self->runs[self->run_count++] = run;
    self->thread = pthread_self();
    self->running = true;
    Py_RETURN_NONE;
}

/* Running, and of this thread; else RuntimeError. */
static bool is_ours(const struct flame_session_object *self)
{
    if (!self->running) {
        PyErr_SetString(PyExc_RuntimeError, "the Session is not running");
        return false;
    }
    if (!pthread_equal(self->thread, pthread_self())) {
        PyErr_SetString(PyExc_RuntimeError,
                        "a Session stops on the thread it was started on");
        return false;
    }
    return true;
}

static PyObject *session_pause(PyObject *object, PyObject *unused)
{
    struct flame_session_object *self = cast(object);

    (void)unused;
    if (!is_ours(self)) {
        return NULL;
    }
    if (!self->paused) {
        self->paused = true;
        flame_session_pause(self->runs[self->run_count - 1]->session);
    }
    Py_RETURN_NONE;
}

static PyObject *session_resume(PyObject *object, PyObject *unused)
{
    struct flame_session_object *self = cast(object);

    (void)unused;
    if (!is_ours(self)) {
        return NULL;
    }
    if (self->paused) {
        self->paused = false;
        flame_session_resume(self->runs[self->run_count - 1]->session);
    }
    Py_RETURN_NONE;
}

static PyObject *session_stop(PyObject *object, PyObject *unused)
{
    struct flame_session_object *self = cast(object);

    (void)unused;
    if (!is_ours(self)) {
        return NULL;
    }
    self->running = self->paused = false;
    flame_session_stop(self->runs[self->run_count - 1]->session);
    Py_RETURN_NONE;
}

static PyObject *session_merge(PyObject *object, PyObject *argument)
{
    struct flame_session_object *self = cast(object);
    struct flame_session_object *other = cast(argument);

    if (!PyObject_TypeCheck(argument, Py_TYPE(object))) {
        PyErr_SetString(PyExc_TypeError, "merge() takes a Session");
        return NULL;
    }
    if (!may_change(self) || !may_change(other) || !make_room(self, other->run_count)) {
        return NULL;
    }
    size_t count = other->run_count; /* it may be the same */
    for (size_t i = 0; i < count; i++) {
        other->runs[i]->users++;
        self->runs[self->run_count++] = other->runs[i];
    }
    Py_RETURN_NONE;
}

static void session_dealloc(PyObject *object)
{
    struct flame_session_object *self = cast(object);
    PyTypeObject *type = Py_TYPE(object);

    if (self->running) {
        flame_session_stop(self->runs[self->run_count - 1]->session);
    }
    for (size_t i = 0; i < self->run_count; i++) {
        struct flame_run *run = self->runs[i];
        if (--run->users == 0) {
            flame_session_free(run->session);
            PyMem_Free(run);
        }
    }
    PyMem_Free(self->runs);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"start", session_start, METH_NOARGS,
     "Watch the calling thread from here on.\n\n"
     "What was watched before stays part of the profile. Raises RuntimeError if it\n"
     "cannot."},
    {"stop", session_stop, METH_NOARGS, "End the profile; on the thread of start()."},
    {"pause", session_pause, METH_NOARGS,
     "Watch nothing until resume(): the time is not the profile's. On start()'s "
     "thread."},
    {"resume", session_resume, METH_NOARGS, "Go on after pause()."},
    {"merge", session_merge, METH_O,
     "merge(other)\n--\n\n"
     "Take in what another Session has seen; it stays as it is. Neither may be "
     "running."},
    {"functions", (PyCFunction)(void (*)(void))flame_session_functions,
     METH_VARARGS | METH_KEYWORDS,
     "functions(*, clock='wall')\n--\n\n"
     "A list of (name, file, line, own, total, samples, places), the largest own time\n"
     "first: ns. A function inside its own calls counts once in total and samples."},
    {"folded", (PyCFunction)(void (*)(void))flame_session_folded,
     METH_VARARGS | METH_KEYWORDS,
     "folded(*, clock='wall', **options)\n--\n\n"
     "The profile as folded stacks: root first, ';', weight in microseconds.\n\n"
     "clock: wall, cpu, offcpu or gil."},
    {"render", (PyCFunction)(void (*)(void))flame_session_render,
     METH_VARARGS | METH_KEYWORDS,
     "render(format, *, clock='wall', **options)\n--\n\n"
     "The profile as bytes of a format: " FLAME_FORMAT_NAMES ".\n\n"
     "options: title, subtitle, inverted, callers, colours, width, smallest, scale,\n"
     "as in the URL. ValueError: there is no such format or option, or it does not\n"
     "take that value. RuntimeError: it could not be drawn."},
    {"svg", (PyCFunction)(void (*)(void))flame_session_svg,
     METH_VARARGS | METH_KEYWORDS,
     "svg(*, clock='wall', **options)\n--\n\n"
     "The flame graph, as SVG text. options: as of render()."},
    {"quality", flame_session_quality, METH_NOARGS,
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
                                  .basicsize = sizeof(struct flame_session_object),
                                  .flags = Py_TPFLAGS_DEFAULT,
                                  .slots = slots};
