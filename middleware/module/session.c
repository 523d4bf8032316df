/* _flameprof.Session: one profile, of the calling thread or of all, from Python. */
#include "middleware/module/python.h"

#include <errno.h>

static struct flame_session_object *cast(PyObject *object)
{
    return (struct flame_session_object *)object;
}

/* ---- what is told of names ----------------------------------------------------- */

static void free_names(PyObject *capsule)
{
    struct flame_names *names = PyCapsule_GetPointer(capsule, NULL);

    flame_names_free(names);
    PyMem_Free(names);
}

static int add_redacted(struct flame_names *names, PyObject *patterns)
{
    PyObject *tuple = PyUnicode_Check(patterns) ? NULL : PySequence_Tuple(patterns);
    int error = tuple == NULL ? -EINVAL : 0;

    for (Py_ssize_t i = 0; error == 0 && i < PyTuple_GET_SIZE(tuple); i++) {
        PyObject *item = PyTuple_GET_ITEM(tuple, i);
        Py_ssize_t length = 0;
        const char *text =
            PyUnicode_Check(item) ? PyUnicode_AsUTF8AndSize(item, &length) : NULL;
        error =
            text == NULL
                ? -EINVAL
                : flame_names_redact(names, (struct flame_slice){text, (size_t)length});
    }
    Py_XDECREF(tuple);
    if (error == -ENOMEM) {
        PyErr_NoMemory();
    } else if (error != 0) {
        PyErr_Format(PyExc_ValueError, "redact takes a list of texts, each %s, not %R",
                     FLAME_REDACT_ACCEPTED, patterns);
    }
    return error == 0 ? 0 : -1;
}

/* Full paths are what a program is told of itself by itself; who shows a profile to
 * others says otherwise. */
static int set_names(struct flame_session_object *self, bool full_paths,
                     PyObject *redact)
{
    struct flame_names *names = PyMem_Calloc(1, sizeof *names);
    PyObject *capsule =
        names == NULL ? PyErr_NoMemory() : PyCapsule_New(names, NULL, free_names);

    if (capsule == NULL) {
        PyMem_Free(names);
        return -1;
    }
    Py_XSETREF(self->names, capsule);
    self->options.names = names;
    names->full_paths = full_paths;
    if (!full_paths) {
        flame_names_read_roots(names);
    }
    return redact == NULL ? 0 : add_redacted(names, redact);
}

static int session_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"interval", "max_seconds", "lines",      "threads",
                            "children", "everybody",   "full_paths", "redact",
                            "sources",  "request",     NULL};
    struct flame_session_options options = {0};
    double interval = 0.001;
    double max_seconds = 0;
    int lines = 0;
    int threads = 0;
    int children = 0;
    int everybody = 0;
    int full_paths = 1;
    int request = 0;
    PyObject *redact = NULL;
    PyObject *sources = NULL;

    if (cast(object)->names != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "a Session is made once");
        return -1;
    }
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$ddpppppOOp:Session", names,
                                     &interval, &max_seconds, &lines, &threads,
                                     &children, &everybody, &full_paths, &redact,
                                     &sources, &request) ||
        flame_seconds_from_python(
            interval, "interval", FLAME_INTERVAL_MIN_NS,
            everybody ? FLAME_INTERVAL_MAX_NS : FLAME_INTERVAL_MOST_NS,
            everybody ? FLAME_INTERVAL_ACCEPTED_OF_ALL : FLAME_INTERVAL_ACCEPTED,
            &options.interval_ns) != 0 ||
        flame_seconds_from_python(max_seconds, "max_seconds", 0, FLAME_MAX_NS_MOST,
                                  "seconds from 0 (no limit) to 86400",
                                  &options.max_ns) != 0) {
        return -1;
    }
    if (everybody && (threads || children)) {
        PyErr_SetString(
            PyExc_ValueError,
            "everybody has all threads: threads and children go without it");
        return -1;
    }
    options.lines = lines != 0;
    options.threads = threads != 0;
    options.greenlets = children != 0;
    options.everybody = everybody != 0;
    if (sources != NULL) {
        Py_XSETREF(cast(object)->sources,
                   flame_sources_from_python(sources, &options.sources));
    }
    cast(object)->options = options;
    cast(object)->is_request = request != 0;
    return sources != NULL && cast(object)->sources == NULL
               ? -1
               : set_names(cast(object), full_paths != 0, redact);
}

static bool is_free(const struct flame_session_object *self)
{
    if (self->busy) {
        PyErr_SetString(PyExc_RuntimeError,
                        "another thread starts or stops the Session at this moment");
    }
    return !self->busy;
}

/* While pictures are drawn without the GIL, what was seen stays as it is. */
static bool may_change(const struct flame_session_object *self)
{
    if (self->running != NULL || self->readers != 0) {
        PyErr_SetString(PyExc_RuntimeError, self->running != NULL
                                                ? "the Session is running"
                                                : "the Session is being drawn");
        return false;
    }
    return is_free(self);
}

/* Running, and of this thread or of everybody; else RuntimeError. */
static bool is_ours(const struct flame_session_object *self)
{
    if (!is_free(self)) {
        return false;
    }
    if (self->running == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the Session is not running");
        return false;
    }
    if (!self->options.everybody && !pthread_equal(self->thread, pthread_self())) {
        PyErr_SetString(PyExc_RuntimeError,
                        "a Session stops on the thread it was started on");
        return false;
    }
    return true;
}

/* ---- running: the GIL may be given up, so that `busy` keeps others off --------- */

static bool start(struct flame_session_object *self)
{
    self->busy = true;
    int error = flame_session_start(&self->options, &self->running);
    self->busy = false;
    if (error != 0) {
        flame_raise_start_error(error);
        return false;
    }
    self->thread = pthread_self();
    self->paused = false;
    return true;
}

/* For what was seen. */
static bool make_room(struct flame_session_object *self)
{
    int error = self->seen == NULL ? flame_session_new_empty(&self->seen) : 0;

    if (error != 0) {
        flame_raise_start_error(error);
    }
    return error == 0;
}

/* Adds what another one has seen. It stays as it is. */
static bool take_in(struct flame_session_object *self,
                    const struct flame_session *other)
{
    int error;

    if (!make_room(self)) {
        return false;
    }
    self->busy = true;
    Py_BEGIN_ALLOW_THREADS
    error = flame_session_absorb(self->seen, other);
    Py_END_ALLOW_THREADS
    self->busy = false;
    if (error != 0) {
        PyErr_NoMemory();
    }
    return error == 0;
}

static bool stop(struct flame_session_object *self)
{
    struct flame_session *session = self->running;

    self->busy = true;
    flame_session_stop(session);
    self->running = NULL;
    self->paused = false;
    self->busy = false;
    if (self->seen == NULL) {
        self->seen = session;
        return true;
    }
    bool ok = take_in(self, session);
    flame_session_free(session);
    return ok;
}

static void set_paused(struct flame_session_object *self, bool paused)
{
    self->busy = true;
    if (paused) {
        flame_session_pause(self->running);
    } else {
        flame_session_resume(self->running);
    }
    self->paused = paused;
    self->busy = false;
}

/* ---- methods ------------------------------------------------------------------- */

static PyObject *none_if(bool ok)
{
    if (!ok) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *session_start(PyObject *object, PyObject *unused)
{
    (void)unused;
    return none_if(may_change(cast(object)) && start(cast(object)));
}

static PyObject *session_stop(PyObject *object, PyObject *unused)
{
    (void)unused;
    return none_if(is_ours(cast(object)) && stop(cast(object)));
}

static PyObject *change_pause(struct flame_session_object *self, bool paused)
{
    if (!is_ours(self)) {
        return NULL;
    }
    if (self->paused != paused) {
        set_paused(self, paused);
    }
    Py_RETURN_NONE;
}

static PyObject *session_pause(PyObject *object, PyObject *unused)
{
    (void)unused;
    return change_pause(cast(object), true);
}

static PyObject *session_resume(PyObject *object, PyObject *unused)
{
    (void)unused;
    return change_pause(cast(object), false);
}

static PyObject *session_merge(PyObject *object, PyObject *argument)
{
    struct flame_session_object *self = cast(object);
    struct flame_session_object *other = cast(argument);

    if (!PyObject_TypeCheck(argument, Py_TYPE(object))) {
        PyErr_SetString(PyExc_TypeError, "merge() takes a Session");
        return NULL;
    }
    if (!may_change(self) || !may_change(other)) {
        return NULL;
    }
    if (other->seen == NULL) {
        Py_RETURN_NONE;
    }
    other->busy = true;
    bool ok = take_in(self, other->seen);
    other->busy = false;
    return none_if(ok);
}

/* Ends what runs and begins anew, as it was: what was seen until now is whole. */
static bool cut(struct flame_session_object *self)
{
    bool paused = self->paused;

    if (!self->options.everybody) {
        PyErr_SetString(PyExc_RuntimeError,
                        "the Session is running: only one of everybody has snapshots");
        return false;
    }
    if (!is_ours(self) || !stop(self) || !start(self)) {
        return false;
    }
    if (paused) {
        set_paused(self, true);
    }
    return true;
}

static PyObject *session_snapshot(PyObject *object, PyObject *unused)
{
    struct flame_session_object *self = cast(object);

    (void)unused;
    if (!is_free(self) || (self->running != NULL && !cut(self))) {
        return NULL;
    }
    PyObject *made = PyType_GenericNew(Py_TYPE(object), NULL, NULL);
    if (made == NULL) {
        return NULL;
    }
    cast(made)->options = self->options;
    Py_XINCREF(self->names);
    cast(made)->names = self->names;
    Py_XINCREF(self->sources);
    cast(made)->sources = self->sources;
    self->busy = true;
    bool ok =
        self->seen == NULL ? make_room(cast(made)) : take_in(cast(made), self->seen);
    self->busy = false;
    if (!ok) {
        Py_CLEAR(made);
    }
    return made;
}

static void session_dealloc(PyObject *object)
{
    struct flame_session_object *self = cast(object);
    PyTypeObject *type = Py_TYPE(object);

    if (self->running != NULL) {
        flame_session_stop(self->running);
        flame_session_free(self->running);
    }
    flame_session_free(self->seen);
    Py_XDECREF(self->names);
    Py_XDECREF(self->sources);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"start", session_start, METH_NOARGS,
     "Watch the calling thread, or everybody, from here on.\n\n"
     "What was watched before stays part of the profile. Raises RuntimeError if it\n"
     "cannot."},
    {"stop", session_stop, METH_NOARGS,
     "End the profile; on the thread of start(), unless it is of everybody."},
    {"pause", session_pause, METH_NOARGS,
     "Watch nothing until resume(): the time is not the profile's. On start()'s "
     "thread."},
    {"resume", session_resume, METH_NOARGS, "Go on after pause()."},
    {"merge", session_merge, METH_O,
     "merge($self, other, /)\n--\n\n"
     "Take in what another Session has seen; it stays as it is. Neither may be "
     "running."},
    {"snapshot", session_snapshot, METH_NOARGS,
     "What has been seen so far, as a Session that has ended. One of everybody goes "
     "on;\n"
     "another one may not be running."},
    {"functions", (PyCFunction)(void (*)(void))flame_session_functions,
     METH_VARARGS | METH_KEYWORDS,
     "functions($self, *, clock='wall', idle=None, name=None)\n--\n\n"
     "A list of (name, file, line, own, total, samples, places), the largest own time\n"
     "first: ns. A function inside its own calls counts once in total and samples.\n\n"
     "idle: patterns of places that only wait for work, which are left out; True: the\n"
     "usual ones, IDLE; False: none. Of everybody True, else False. name: called with\n"
     "(name, file, line) of each function; those for which it returns the same text "
     "are\n"
     "one."},
    {"tally", (PyCFunction)(void (*)(void))flame_session_tally,
     METH_VARARGS | METH_KEYWORDS,
     "tally($self, *, clock='wall', idle=None)\n--\n\n"
     "A dict of what functions() tells of: the number of different stacks, samples "
     "and\n"
     "time_ns; idle_samples and idle_ns of what was left out."},
    {"folded", (PyCFunction)(void (*)(void))flame_session_folded,
     METH_VARARGS | METH_KEYWORDS,
     "folded($self, *, clock='wall', **options)\n--\n\n"
     "The profile as folded stacks: root first, ';', weight in microseconds.\n\n"
     "clock: wall, cpu, offcpu or gil."},
    {"render", (PyCFunction)(void (*)(void))flame_session_render,
     METH_VARARGS | METH_KEYWORDS,
     "render($self, format, *, clock='wall', **options)\n--\n\n"
     "The profile as bytes of a format: " FLAME_FORMAT_NAMES ".\n\n"
     "options: title, subtitle, inverted, callers, colours, width, smallest, scale,\n"
     "as in the URL; idle as of functions(). ValueError: there is no such format or "
     "option, or it does not\n"
     "take that value. RuntimeError: it could not be drawn."},
    {"svg", (PyCFunction)(void (*)(void))flame_session_svg,
     METH_VARARGS | METH_KEYWORDS,
     "svg($self, *, clock='wall', **options)\n--\n\n"
     "The flame graph, as SVG text. options: as of render()."},
    {"quality", flame_session_quality, METH_NOARGS,
     "How the profile came about: a dict of counts, and of times in ns."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc,
     "Session(*, interval=0.001, max_seconds=0, lines=False, threads=False,\n"
     "        children=False, everybody=False, full_paths=True, redact=(),\n"
     "        sources={}, request=False)\n--\n\n"
     "One profile of one thread; interval in seconds, 0.00005 to 1.\n\n"
     "max_seconds: sampling ends by itself after that long; 0: never.\n"
     "lines: a function's lines are places of their own.\n"
     "threads, children: what the thread starts meanwhile, threads and greenlets,\n"
     "become roots of their own.\n"
     "everybody: all threads, each a root with its whole stack; interval up to 10. "
     "Any\n"
     "thread may start and stop it.\n"
     "full_paths: False: files from the package or the project on, as a Middleware\n"
     "tells them. redact: patterns of functions that are shown as [redacted]:\n"
     "\"name\", \"name (file)\" or \"* (folder/)\". sources: texts by file, of those "
     "that\n"
     "the file system does not have. request: the root is called [request], not "
     "[all]."},
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
