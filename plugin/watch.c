#include "plugin/watch.h"

#include "plugin/body.h"
#include "plugin/python_plugin.h"

#include <Python.h>
#include <uwsgi.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int flame_watch_start(const struct flame_params *params, uint64_t max_ns,
                      struct flame_watch **out)
{
    struct flame_session_options options = flame_session_options_of(params, max_ns);
    struct flame_watch *watch = calloc(1, sizeof(*watch));
    if (!watch) {
        return -ENOMEM;
    }
    watch->params = *params;
    flame_python_gil_get();
    int error = flame_session_start(&options, &watch->session);
    flame_python_gil_release();
    if (error) {
        free(watch);
        return error;
    }
    watch->begun_ns = flame_now_ns();
    watch->ends_ns = watch->begun_ns + max_ns;
    *out = watch;
    return 0;
}

void flame_watch_pause(struct flame_watch *watch)
{
    flame_python_gil_get();
    flame_session_pause(watch->session);
    flame_python_gil_release();
}

void flame_watch_resume(struct flame_watch *watch)
{
    flame_python_gil_get();
    flame_session_resume(watch->session);
    flame_python_gil_release();
}

void flame_watch_run(struct flame_watch *watch)
{
    flame_python_gil_get();
    flame_session_phase(watch->session, FLAME_PHASE_UWSGI, FLAME_PHASE_APPLICATION);
    flame_python_gil_release();
}

static void stop(struct flame_watch *watch)
{
    if (!watch->stopped) {
        flame_session_stop(watch->session);
    }
    watch->stopped = true;
}

void flame_watch_stop(struct flame_watch *watch)
{
    flame_python_gil_get();
    stop(watch);
    flame_python_gil_release();
}

void flame_watch_free(struct flame_watch *watch)
{
    flame_body_forget(watch);
    flame_session_free(watch->session);
    free(watch);
}

void flame_watch_entered(struct flame_watch *watch)
{
    flame_session_use_thread_state(watch->session, PyThreadState_Get());
}

static void note_exception(struct flame_watch *watch, struct wsgi_request *wsgi_req)
{
    static const char module[] = "builtins.";
    struct uwsgi_buffer *found = flame_python_exception_class(wsgi_req);
    const char *name = found ? found->buf : "exception";
    size_t length = found ? found->pos : strlen(name);
    if (length > sizeof(module) - 1 && !memcmp(name, module, sizeof(module) - 1)) {
        name += sizeof(module) - 1;
        length -= sizeof(module) - 1;
    }
    snprintf(watch->raised, sizeof(watch->raised), "%.*s", (int)length, name);
    if (found) {
        uwsgi_buffer_destroy(found);
    }
}

void flame_watch_raised(struct flame_watch *watch, struct wsgi_request *wsgi_req)
{
    if (!watch->raised[0]) {
        note_exception(watch, wsgi_req);
    }
    /* Printing this one finalizes the interpreter and ends the process. */
    if (PyErr_ExceptionMatches(PyExc_SystemExit)) {
        stop(watch);
    }
}

bool flame_watch_body(struct flame_watch *watch, struct wsgi_request *wsgi_req)
{
    if (watch->body) {
        return false;
    }
    flame_session_phase(watch->session, FLAME_PHASE_ITERATION, NULL);
    flame_body_replace(watch, wsgi_req);
    return watch->body != NULL;
}

void flame_watch_body_done(struct flame_watch *watch)
{
    flame_session_phase(watch->session, FLAME_PHASE_UWSGI, NULL);
}
