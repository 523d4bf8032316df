#include "plugin/capture.h"

#include "middleware/slow.h"
#include "plugin/answer.h"
#include "plugin/host.h"
#include "plugin/python_plugin.h"
#include "plugin/watch.h"

#include <Python.h>
#include <uwsgi.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

extern struct uwsgi_server uwsgi;

static struct {
    const struct flame_config *config; /* NULL: nothing is watched */
    struct flame_lookout_options options;
    /* By core: the type of the exception that its request let through; empty: none. */
    char (*raised)[FLAME_RAISED_SIZE];
} capture;

/* A thread's first request. NULL: none of its requests is watched. */
static struct flame_watcher *join(void)
{
    static bool complained;
    struct flame_watcher *watcher;
    int error = flame_lookout_join(&watcher);
    if (error) {
        if (!complained) {
            uwsgi_log("%s\n", flame_slow_error(error));
        }
        complained = true;
        return NULL;
    }
    flame_python_gil_get();
    flame_lookout_home(watcher, PyThreadState_Get());
    flame_python_gil_release();
    return watcher;
}

static void keep(struct wsgi_request *wsgi_req, struct flame_watched *watched)
{
    const char *raised = capture.raised[wsgi_req->async_id];
    const char *host = flame_host_name();
    const struct flame_outcome outcome = {
        .method = {wsgi_req->method, wsgi_req->method_len},
        .path = {wsgi_req->uri, wsgi_req->uri_len},
        .status = flame_application_status(wsgi_req),
        .raised = {raised, strlen(raised)},
        .server = {host, strlen(host)},
        .runs = 1,
    };
    char line[FLAME_SLOW_LINE];
    flame_slow_keep(capture.config, watched, &outcome, line);
    if (line[0]) {
        uwsgi_log("%s\n", line);
    }
}

int flame_capture_request(struct wsgi_request *wsgi_req)
{
    struct flame_watcher *watcher = flame_lookout_mine();
    if (!watcher) {
        watcher = join();
    }
    uint64_t request = watcher ? flame_lookout_begin(watcher, &capture.options) : 0;
    if (!request) {
        return flame_python_request(wsgi_req);
    }
    int ret = flame_python_request(wsgi_req);
    struct flame_watched watched = flame_lookout_end(watcher, request);
    char *raised = capture.raised[wsgi_req->async_id];
    if (flame_slow_is_kept(capture.config, &watched,
                           wsgi_req->status >= 500 || raised[0])) {
        keep(wsgi_req, &watched);
    } else {
        flame_lookout_drop(&watched);
    }
    raised[0] = '\0';
    return ret;
}

void flame_capture_entered(void)
{
    struct flame_watcher *watcher = flame_lookout_mine();
    if (watcher) {
        flame_lookout_enter(watcher, PyThreadState_Get());
    }
}

void flame_capture_raised(struct wsgi_request *wsgi_req)
{
    if (capture.config && !capture.raised[wsgi_req->async_id][0]) {
        flame_watch_name_exception(wsgi_req, capture.raised[wsgi_req->async_id]);
    }
}

bool flame_capture_install(const struct flame_config *config)
{
    if (!flame_slow_is_on(config)) {
        return false;
    }
    if (uwsgi.async > 1 || uwsgi.loop) {
        uwsgi_log("[flameprof] slow requests are not seen: with --gevent and --async "
                  "one thread leaves a request for others\n");
        return false;
    }
    capture.raised = calloc((size_t)uwsgi.cores, sizeof(*capture.raised));
    if (!capture.raised) {
        uwsgi_log("%s\n", flame_slow_error(-ENOMEM));
        return false;
    }
    capture.options = flame_slow_options(config);
    capture.config = config;
    return true;
}
