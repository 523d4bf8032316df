#include "plugin/watch.h"

#include "plugin/body.h"
#include "plugin/python_plugin.h"
#include "plugin/vigil.h"

#include <Python.h>
#include <uwsgi.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool flame_watch_start(struct flame_config *config, const struct flame_params *params,
                       struct flame_watch **out, struct flame_refusal *refusal)
{
    struct flame_session_options options =
        flame_session_options_of(params, config->max_ns);
    struct flame_watch *watch = calloc(1, sizeof(*watch));
    if (!watch) {
        flame_refuse_start(-ENOMEM, refusal);
        return false;
    }
    watch->params = *params;
    flame_python_gil_get();
    bool started = flame_taking_start(config, &options, &watch->taking, refusal);
    flame_python_gil_release();
    if (!started) {
        free(watch);
        return false;
    }
    watch->session = watch->taking.session;
    watch->begun_ns = flame_now_ns();
    /* One whose answer goes on is the client's to leave. */
    watch->ends_ns = params->keep ? UINT64_MAX : watch->begun_ns + config->max_ns;
    *out = watch;
    return true;
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

struct flame_session *flame_watch_take_session(struct flame_watch *watch)
{
    struct flame_session *session = flame_taking_take(&watch->taking);
    flame_body_forget(watch);
    free(watch);
    return session;
}

void flame_watch_free(struct flame_watch *watch)
{
    flame_body_forget(watch);
    flame_taking_free(&watch->taking);
    free(watch);
}

void flame_watch_entered(struct flame_watch *watch)
{
    flame_session_use_thread_state(watch->session, PyThreadState_Get());
}

void flame_watch_name_exception(struct wsgi_request *wsgi_req,
                                char name[FLAME_RAISED_SIZE])
{
    static const char module[] = "builtins.";
    struct uwsgi_buffer *found = flame_python_exception_class(wsgi_req);
    const char *text = found ? found->buf : "exception";
    size_t length = found ? found->pos : strlen(text);
    if (length > sizeof(module) - 1 && !memcmp(text, module, sizeof(module) - 1)) {
        text += sizeof(module) - 1;
        length -= sizeof(module) - 1;
    }
    snprintf(name, FLAME_RAISED_SIZE, "%.*s", (int)length, text);
    if (found) {
        uwsgi_buffer_destroy(found);
    }
}

void flame_watch_raised(struct flame_watch *watch, struct wsgi_request *wsgi_req)
{
    if (!watch->raised[0]) {
        flame_watch_name_exception(wsgi_req, watch->raised);
    }
    /* Printing this one finalizes the interpreter and ends the process, and then the
     * vigil writes what is to be kept. */
    if (PyErr_ExceptionMatches(PyExc_SystemExit)) {
        flame_vigil_end(watch);
        stop(watch);
        if (watch->name[0]) {
            flame_vigil_begin(watch);
        }
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
