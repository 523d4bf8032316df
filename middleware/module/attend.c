/*
 * What `flameprof run` has in the script's process beside a session: a thread that says
 * how far it is, and ends the profile where a signal ends the process. It holds the GIL
 * only then.
 */
#include "middleware/module/deadly.h"
#include "middleware/module/progress.h"
#include "middleware/module/python.h"
#include "middleware/request.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define SECOND UINT64_C(1000000000)

/* One of a process. The owner sets it up before the thread starts; `lock` is for
 * the terminal. */
static struct {
    bool there; /* the thread is */
    pthread_t thread;
    PyObject *session; /* strong, as finish */
    PyObject *finish;
    const struct flame_session *running;
    uint64_t started_ns;
    pthread_mutex_t lock;
    atomic_bool shows;
    struct flame_progress progress;
} attendant = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void show(void)
{
    pthread_mutex_lock(&attendant.lock);
    if (attendant.shows) {
        flame_progress_show(&attendant.progress, flame_now_ns() - attendant.started_ns,
                            flame_session_samples(attendant.running));
    }
    pthread_mutex_unlock(&attendant.lock);
}

static void hide(void)
{
    pthread_mutex_lock(&attendant.lock);
    if (attendant.shows) {
        flame_progress_erase(&attendant.progress);
        attendant.shows = false;
    }
    pthread_mutex_unlock(&attendant.lock);
}

/*
 * Ended without a frame of Python's, which would be in the profile; by whoever comes
 * first, if the script comes to its end by itself at the moment of a signal.
 */
static void stop_session(void)
{
    const struct timespec moment = {.tv_nsec = 1000000};

    while (((struct flame_session_object *)attendant.session)->busy) {
        Py_BEGIN_ALLOW_THREADS
        nanosleep(&moment, NULL);
        Py_END_ALLOW_THREADS
    }
    PyObject *done = PyObject_CallMethod(attendant.session, "stop", NULL);

    if (done == NULL) {
        PyErr_Clear(); /* it has been stopped already */
    }
    Py_XDECREF(done);
}

/* The GIL is kept once it is drawn: the application does nothing more. */
static void die_of(int number)
{
    struct sigaction usual = {.sa_handler = SIG_DFL};
    sigset_t itself;

    hide(); /* somebody may keep the GIL until a second signal kills */
    PyGILState_Ensure();
    stop_session();
    PyObject *done = PyObject_CallObject(attendant.finish, NULL);
    if (done == NULL) {
        PyErr_WriteUnraisable(attendant.finish);
    }
    sigemptyset(&usual.sa_mask);
    sigaction(number, &usual, NULL);
    sigemptyset(&itself);
    sigaddset(&itself, number);
    pthread_sigmask(SIG_UNBLOCK, &itself, NULL);
    kill(getpid(), number);
}

static void *attend_main(void *unused)
{
    int came;

    (void)unused;
    prctl(PR_SET_NAME, "flameprof-run", 0UL, 0UL, 0UL);
    while ((came = flame_deadly_wait(attendant.shows ? SECOND : 0)) ==
           FLAME_DEADLY_NONE) {
        show();
    }
    if (came != FLAME_DEADLY_OVER) {
        die_of(came);
    }
    return NULL;
}

/* It hears of no signal itself. 0, or an errno. */
static int start_thread(void)
{
    sigset_t all;
    sigset_t before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&attendant.thread, NULL, attend_main, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

static struct flame_session_object *running_session(PyObject *module, PyObject *object)
{
    PyObject *type = PyObject_GetAttrString(module, "Session");
    int right = type == NULL ? -1 : PyObject_IsInstance(object, type);
    struct flame_session_object *session = (struct flame_session_object *)object;

    Py_XDECREF(type);
    if (right == 0 || (right == 1 && session->running == NULL)) {
        PyErr_SetString(PyExc_ValueError, "attend() takes a Session that runs");
    }
    return right == 1 && session->running != NULL ? session : NULL;
}

static void forget(void)
{
    Py_CLEAR(attendant.session);
    Py_CLEAR(attendant.finish);
}

static PyObject *attend(PyObject *module, PyObject *args)
{
    PyObject *session;
    PyObject *finish;
    int progress;

    if (!PyArg_ParseTuple(args, "OOp:attend", &session, &finish, &progress)) {
        return NULL;
    }
    struct flame_session_object *object = running_session(module, session);
    if (object == NULL) {
        return NULL;
    }
    if (attendant.there) {
        PyErr_SetString(PyExc_RuntimeError, "a run is attended already");
        return NULL;
    }
    Py_INCREF(session);
    Py_INCREF(finish);
    attendant.session = session;
    attendant.finish = finish;
    attendant.running = object->running;
    attendant.started_ns = flame_now_ns();
    attendant.shows = progress && flame_progress_open(&attendant.progress);
    flame_deadly_install();
    if (start_thread() != 0) {
        flame_deadly_remove();
        forget();
        PyErr_SetString(PyExc_RuntimeError, "no thread can be started");
        return NULL;
    }
    attendant.there = true;
    Py_RETURN_NONE;
}

static PyObject *conclude(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    if (attendant.session != NULL) {
        stop_session();
    }
    Py_RETURN_NONE;
}

static PyObject *hush(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    hide();
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyObject *unseen(PyObject *module, PyObject *call)
{
    (void)module;
    flame_trace_functions_hear(false);
    PyObject *result = PyObject_CallNoArgs(call);
    flame_trace_functions_hear(true);
    return result;
}

static PyObject *dismiss(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    if (!attendant.there) {
        Py_RETURN_NONE;
    }
    if (flame_deadly_over()) {
        flame_deadly_remove();
    } /* else it is about to end the process, which is waited for */
    Py_BEGIN_ALLOW_THREADS
    pthread_join(attendant.thread, NULL);
    Py_END_ALLOW_THREADS
    attendant.there = false;
    forget();
    Py_RETURN_NONE;
}

PyMethodDef flame_attend_functions[] = {
    {"attend", attend, METH_VARARGS,
     "attend(session, finish, progress)\n--\n\n"
     "Where SIGTERM, SIGHUP or SIGQUIT would end the process, stop the Session, call\n"
     "finish() in another thread, and then die of the signal. progress: a line on the\n"
     "terminal says how far it is. Once in a process, on its main thread; not for "
     "forked\n"
     "children."},
    {"conclude", conclude, METH_NOARGS,
     "conclude()\n--\n\nStop the Session of attend(), unless a signal has."},
    {"hush", hush, METH_NOARGS, "hush()\n--\n\nTake the line from the terminal."},
    {"unseen", unseen, METH_O,
     "unseen(call)\n--\n\n"
     "call(), of which the functions of sys.settrace() and sys.setprofile() hear "
     "nothing."},
    {"dismiss", dismiss, METH_NOARGS, "dismiss()\n--\n\nEnd what attend() began."},
    {NULL, NULL, 0, NULL},
};
