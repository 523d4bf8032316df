#include "plugin/trampoline.h"

#include "plugin/answer.h"
#include "plugin/host.h"
#include "plugin/python_plugin.h"
#include "plugin/watch.h"

#include <uwsgi.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

extern struct uwsgi_server uwsgi;

static struct {
    const struct flame_config *config;
    const char *refusal;
    /*
     * One per core, by async_id: a request that returns UWSGI_AGAIN comes back
     * under the same one. Private to the worker; NULL: nothing is watched.
     */
    struct flame_watch **watches;
} trampoline;

/* Drawing, and what sampling costs, on top of what harakiri allows. */
#define FLAME_HARAKIRI_GRACE 10

/* Lines of the middleware's: they begin with "[flameprof]" already. */
static void log_line(const char *line)
{
    uwsgi_log("%s\n", line);
}

static struct flame_slice look_up(void *door_request, const char *name)
{
    uint16_t length = 0;
    char *value = uwsgi_get_var(door_request, (char *)(uintptr_t)name,
                                (uint16_t)strlen(name), &length);
    return (struct flame_slice){value, length};
}

static int answer_sentence(struct wsgi_request *wsgi_req, int status,
                           const char *reason, const char *sentence)
{
    struct flame_answer answer;
    flame_answer_text(status, reason, sentence, &answer);
    flame_divert(wsgi_req);
    bool head = wsgi_req->method_len == 4 && !memcmp(wsgi_req->method, "HEAD", 4);
    flame_send(wsgi_req, &answer, head, (struct flame_slice){NULL, 0});
    flame_answer_free(&answer);
    return UWSGI_OK;
}

static void extend_harakiri(void)
{
    time_t deadline = (time_t)uwsgi.workers[uwsgi.mywid].harakiri;
    if (deadline > 0) {
        set_harakiri((int)(deadline - uwsgi_now()) + FLAME_HARAKIRI_GRACE);
    }
}

static struct flame_outcome outcome_of(const struct wsgi_request *wsgi_req,
                                       const struct flame_watch *watch,
                                       struct flame_slice status)
{
    const char *host = flame_host_name();
    return (struct flame_outcome){
        .method = {wsgi_req->method, wsgi_req->method_len},
        .path = {wsgi_req->uri, wsgi_req->uri_len},
        .status = status,
        .raised = {watch->raised, strlen(watch->raised)},
        .server = {host, strlen(host)},
        .runs = watch->runs,
    };
}

static void answer_profile(struct wsgi_request *wsgi_req,
                           const struct flame_watch *watch)
{
    const struct flame_profile *profile = flame_session_profile(watch->session);
    struct flame_slice status = flame_application_status(wsgi_req);
    struct flame_outcome outcome = outcome_of(wsgi_req, watch, status);
    struct flame_answer answer;
    char line[1024];
    flame_answer_make(profile, &watch->params, &outcome, &answer);
    flame_answer_log(profile, &outcome, &answer, line, sizeof(line));
    /* Without a status uWSGI answers nothing and counts the request as a 500. */
    if (!status.data) {
        status = (struct flame_slice){"500", 3};
    }
    int error = flame_send(wsgi_req, &answer, watch->params.head, status);
    if (error) {
        uwsgi_log("[flameprof] the application %s by itself: no picture for it\n",
                  error == -ENOTCONN ? "closed the connection" : "sent its headers");
    }
    flame_answer_free(&answer);
    log_line(line);
}

/* Whether the application is to be called once more; harakiri shall not strike. */
static bool runs_again(struct wsgi_request *wsgi_req, const struct flame_watch *watch)
{
    time_t harakiri = (time_t)uwsgi.workers[uwsgi.mywid].harakiri;
    uint64_t ends = watch->ends_ns;
    if (harakiri > 0) {
        time_t left = harakiri - FLAME_HARAKIRI_GRACE - uwsgi_now();
        uint64_t strikes =
            flame_now_ns() + (left > 0 ? (uint64_t)left * UINT64_C(1000000000) : 0);
        ends = strikes < ends ? strikes : ends;
    }
    return !watch->stopped && !watch->raised[0] && flame_can_rewind(wsgi_req) &&
           flame_runs_again(&watch->params, watch->runs, watch->begun_ns, ends);
}

/*
 * A bare async loop has one stack: what happens until it calls again is others'.
 * Engines that keep a stack per request say themselves when they leave it, and the
 * request waits there; a pause on top of that would take its time off twice.
 */
static bool has_one_stack(void)
{
    return uwsgi.schedule_to_req == async_schedule_to_req;
}

/* Runs the application, or the next stretch of it, and answers at its end. */
static int run(struct wsgi_request *wsgi_req, struct flame_watch *watch)
{
    for (;;) {
        int ret = flame_python_request(wsgi_req);
        if (ret == UWSGI_AGAIN) {
            if (has_one_stack()) {
                flame_watch_pause(watch);
            }
            return ret;
        }
        watch->runs++;
        if (!runs_again(wsgi_req, watch)) {
            break;
        }
        flame_rewind(wsgi_req);
        flame_watch_run(watch);
    }
    trampoline.watches[wsgi_req->async_id] = NULL;
    flame_watch_stop(watch);
    answer_profile(wsgi_req, watch);
    flame_watch_free(watch);
    return UWSGI_OK;
}

/* A Middleware in the application would answer with a picture of its own. */
static void mark_taken(struct wsgi_request *wsgi_req)
{
    char name[] = FLAME_TAKEN, value[] = "1";
    uwsgi_req_append(wsgi_req, name, sizeof(name) - 1, value, sizeof(value) - 1);
}

static int profile(struct wsgi_request *wsgi_req, const struct flame_params *params)
{
    if (trampoline.refusal) {
        return answer_sentence(wsgi_req, 503, "Service Unavailable",
                               trampoline.refusal);
    }
    struct flame_watch *watch;
    int error = flame_watch_start(params, trampoline.config->max_ns, &watch);
    if (error) {
        return answer_sentence(wsgi_req, 503, "Service Unavailable",
                               flame_start_error_sentence(error));
    }
    mark_taken(wsgi_req);
    flame_divert(wsgi_req);
    extend_harakiri();
    trampoline.watches[wsgi_req->async_id] = watch;
    flame_watch_run(watch);
    return run(wsgi_req, watch);
}

/* A query string that mentions us: decided in full. */
static int consider(struct wsgi_request *wsgi_req)
{
    struct flame_params params;
    char sentence[FLAME_SENTENCE_SIZE];
    switch (flame_request_decide(trampoline.config, look_up, wsgi_req, log_line,
                                 &params, sentence)) {
    case FLAME_MALFORMED:
        return answer_sentence(wsgi_req, 400, "Bad Request", sentence);
    case FLAME_PROFILE:
        return profile(wsgi_req, &params);
    default:
        return flame_python_request(wsgi_req);
    }
}

/* A request that returned UWSGI_AGAIN has come back. */
static int resume(struct wsgi_request *wsgi_req, struct flame_watch *watch)
{
    if (has_one_stack()) {
        flame_watch_resume(watch);
    }
    return run(wsgi_req, watch);
}

/* The engine gave a paused request up without telling anybody. */
static void abandon(struct wsgi_request *wsgi_req, struct flame_watch *watch)
{
    trampoline.watches[wsgi_req->async_id] = NULL;
    flame_watch_stop(watch);
    flame_watch_free(watch);
}

static int trampoline_request(struct wsgi_request *wsgi_req)
{
    struct flame_watch *watch = trampoline.watches[wsgi_req->async_id];
    if (watch && wsgi_req->async_force_again) {
        return resume(wsgi_req, watch);
    }
    if (watch) {
        abandon(wsgi_req, watch);
    }
    /* What the original would do before it parses, it shall do. */
    if (wsgi_req->is_raw || wsgi_req->async_force_again || !wsgi_req->uh->pktsize) {
        return flame_python_request(wsgi_req);
    }
    if (uwsgi_parse_vars(wsgi_req)) {
        return -1;
    }
    if (wsgi_req->query_string_len == 0 || wsgi_req->http_sec_websocket_key_len > 0 ||
        !flame_query_mentions_us(
            (struct flame_slice){wsgi_req->query_string, wsgi_req->query_string_len})) {
        return flame_python_request(wsgi_req);
    }
    return consider(wsgi_req);
}

/* Called with the GIL, for each exception the application let through. */
static void exception_log(struct wsgi_request *wsgi_req)
{
    struct flame_watch *watch = trampoline.watches[wsgi_req->async_id];
    if (watch) {
        flame_watch_raised(watch, wsgi_req);
    }
    flame_python_exception_log(wsgi_req);
}

/* Called with the GIL, for each part of a body of the applications below. */
static int next_part(struct wsgi_request *wsgi_req)
{
    struct flame_watch *watch = trampoline.watches[wsgi_req->async_id];
    if (!watch) {
        return flame_python_next_part(wsgi_req);
    }
    /* In its async modes uWSGI leaves the request for a moment when it has made the
     * iterator, and so an application may rely on having been left once. */
    if (flame_watch_body(watch, wsgi_req) && uwsgi.async > 0) {
        return UWSGI_AGAIN;
    }
    int ret = flame_python_next_part(wsgi_req);
    if (ret == UWSGI_OK) {
        flame_watch_body_done(watch);
    }
    return ret;
}

/* The application's own interpreter has become current. */
static void enter(struct wsgi_request *wsgi_req, struct uwsgi_app *app)
{
    flame_python_enter(wsgi_req, app);
    struct flame_watch *watch = trampoline.watches[wsgi_req->async_id];
    if (!watch) {
        return;
    }
    flame_python_gil_get();
    flame_python_hook_next_part(app, next_part);
    flame_watch_entered(watch);
    flame_python_gil_release();
}

/* The request leaves its stack, with all of its frames still in place. */
static void suspend(struct wsgi_request *wsgi_req)
{
    struct flame_watch *watch =
        wsgi_req ? trampoline.watches[wsgi_req->async_id] : NULL;
    if (watch) {
        flame_session_park(watch->session);
    }
    flame_python_suspend(wsgi_req);
}

static void resume_stack(struct wsgi_request *wsgi_req)
{
    flame_python_resume(wsgi_req);
    struct flame_watch *watch =
        wsgi_req ? trampoline.watches[wsgi_req->async_id] : NULL;
    if (watch) {
        flame_session_unpark(watch->session);
    }
}

int flame_trampoline_install(const struct flame_config *config, const char *refusal)
{
    trampoline.config = config;
    trampoline.refusal = refusal;
    trampoline.watches = calloc((size_t)uwsgi.cores, sizeof(*trampoline.watches));
    if (!trampoline.watches) {
        return -ENOMEM;
    }
    flame_python_hook(trampoline_request, exception_log);
    flame_python_hook_switch(suspend, resume_stack);
    return 0;
}

void flame_trampoline_post_fork(void)
{
    flame_python_hook_enter(enter);
}
