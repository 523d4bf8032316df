#include "plugin/capture.h"

#include "middleware/archive/archived.h"
#include "middleware/slow.h"
#include "plugin/answer.h"
#include "plugin/host.h"
#include "plugin/python_plugin.h"
#include "plugin/vigil.h"
#include "plugin/watch.h"

#include <Python.h>
#include <uwsgi.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

extern struct uwsgi_server uwsgi;

/* A thread's; its requests are watched one after another. */
struct core {
    struct wsgi_request *request;   /* that is being watched, or was */
    char raised[FLAME_RAISED_SIZE]; /* what it let through; empty: nothing */
    /* Once it is slow, for the vigil: it may be killed for that. Written by the
     * lookout's thread while the request has a session, read by its own when it has
     * none any more. */
    struct flame_watch watch;
    bool guarded;
};

static struct {
    const struct flame_config *config; /* NULL: nothing is watched */
    struct flame_names *names;         /* the configuration's */
    struct flame_lookout_options options;
    struct core *cores; /* by async_id */
} capture;

/* A thread's first request. NULL: none of its requests is watched. */
static struct flame_watcher *join(struct core *core)
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
    flame_lookout_own(watcher, core);
    flame_python_gil_get();
    flame_lookout_home(watcher, PyThreadState_Get());
    flame_names_read_roots(capture.names);
    flame_python_gil_release();
    return watcher;
}

static struct flame_outcome outcome_of(const struct core *core,
                                       struct flame_slice status)
{
    const struct wsgi_request *wsgi_req = core->request;
    const char *host = flame_host_name();
    return (struct flame_outcome){
        .method = {wsgi_req->method, wsgi_req->method_len},
        .path = {wsgi_req->uri, wsgi_req->uri_len},
        .status = status,
        .server = {host, strlen(host)},
        .runs = 1,
    };
}

/* On the lookout's thread; what it reads of the request stands until its end. */
static void became_slow(void *owner, struct flame_session *session)
{
    struct core *core = owner;
    struct flame_outcome outcome = outcome_of(core, (struct flame_slice){NULL, 0});
    core->watch = (struct flame_watch){.session = session};
    flame_archived_facts(&outcome, capture.config->slower_than_ns, &core->watch.facts);
    core->watch.facts.why = FLAME_WHY_SLOW;
    core->guarded = !flame_shelf_make_name(false, core->watch.name);
    if (core->guarded) {
        flame_vigil_begin(&core->watch);
    }
}

/* True if the vigil has written it already, and so nothing is left to keep. */
static bool is_written(struct core *core)
{
    if (!core->guarded) {
        return false;
    }
    flame_vigil_end(&core->watch);
    core->guarded = false;
    return core->watch.written;
}

static void keep(struct core *core, struct flame_watched *watched)
{
    struct flame_outcome outcome =
        outcome_of(core, flame_application_status(core->request));
    outcome.raised = (struct flame_slice){core->raised, strlen(core->raised)};
    char line[FLAME_SLOW_LINE];
    flame_slow_keep(capture.config, watched, &outcome, line);
    if (line[0]) {
        uwsgi_log("%s\n", line);
    }
}

int flame_capture_request(struct wsgi_request *wsgi_req)
{
    struct core *core = &capture.cores[wsgi_req->async_id];
    struct flame_watcher *watcher = flame_lookout_mine();
    if (!watcher) {
        watcher = join(core);
    }
    core->request = wsgi_req;
    uint64_t request = watcher ? flame_lookout_begin(watcher, &capture.options) : 0;
    if (!request) {
        return flame_python_request(wsgi_req);
    }
    int ret = flame_python_request(wsgi_req);
    struct flame_watched watched = flame_lookout_end(watcher, request);
    bool failed = wsgi_req->status >= 500 || core->raised[0];
    if (!(watched.session && is_written(core)) &&
        flame_slow_is_kept(capture.config, &watched, failed)) {
        keep(core, &watched);
    } else {
        flame_lookout_drop(&watched);
    }
    core->raised[0] = '\0';
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
    char *raised = capture.config ? capture.cores[wsgi_req->async_id].raised : NULL;
    if (raised && !raised[0]) {
        flame_watch_name_exception(wsgi_req, raised);
    }
}

bool flame_capture_install(struct flame_config *config)
{
    if (!flame_slow_is_on(config)) {
        return false;
    }
    if (uwsgi.async > 1 || uwsgi.loop) {
        uwsgi_log("[flameprof] slow requests are not seen: with --gevent and --async "
                  "one thread leaves a request for others\n");
        return false;
    }
    capture.cores = calloc((size_t)uwsgi.cores, sizeof(*capture.cores));
    if (!capture.cores) {
        uwsgi_log("%s\n", flame_slow_error(-ENOMEM));
        return false;
    }
    capture.options = flame_slow_options(config);
    capture.options.became_slow = config->archive ? became_slow : NULL;
    capture.names = &config->names;
    capture.config = config;
    return true;
}
