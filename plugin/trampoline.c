#include "plugin/trampoline.h"

#include "middleware/archive/archived.h"
#include "middleware/archive/keeper.h"
#include "plugin/answer.h"
#include "plugin/capture.h"
#include "plugin/host.h"
#include "plugin/python_plugin.h"
#include "plugin/vigil.h"
#include "plugin/watch.h"

#include <uwsgi.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern struct uwsgi_server uwsgi;

static struct {
    struct flame_config *config;
    const char *refusal;
    flame_request_hook *ordinary; /* for requests that ask for nothing */
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

/* In place of the application's, which does not run; frees it. */
static int answer_instead(struct wsgi_request *wsgi_req, struct flame_answer *answer)
{
    flame_divert(wsgi_req);
    bool head = wsgi_req->method_len == 4 && !memcmp(wsgi_req->method, "HEAD", 4);
    flame_send(wsgi_req, answer, head, (struct flame_slice){NULL, 0});
    flame_answer_free(answer);
    return UWSGI_OK;
}

static int answer_sentence(struct wsgi_request *wsgi_req, int status,
                           const char *reason, const char *sentence)
{
    struct flame_answer answer;
    flame_answer_text(status, reason, sentence, &answer);
    return answer_instead(wsgi_req, &answer);
}

static int answer_refusal(struct wsgi_request *wsgi_req,
                          const struct flame_refusal *refusal,
                          const struct flame_params *params)
{
    struct flame_answer answer;
    flame_answer_refusal(refusal, &params->receipt, &answer);
    return answer_instead(wsgi_req, &answer);
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

/* What is known before it runs: the vigil may have to write it at any moment. */
static int name_and_facts(const struct wsgi_request *wsgi_req,
                          struct flame_watch *watch)
{
    struct flame_slice none = {NULL, 0};
    struct flame_outcome outcome = outcome_of(wsgi_req, watch, none);
    flame_archived_facts(&outcome, 0, &watch->facts);
    watch->facts.why = watch->params.keep ? FLAME_WHY_ASKED : FLAME_WHY_CUT;
    return flame_shelf_make_name(true, watch->name);
}

/* What cut the profile short, by what the request says at its end. */
static enum flame_cut cut_of(const struct wsgi_request *wsgi_req,
                             const struct flame_watch *watch)
{
    if (flame_session_profile(watch->session)->quality.deadline_reached) {
        return FLAME_CUT_MAX_SECONDS;
    }
    return watch->params.keep && wsgi_req->write_errors ? FLAME_CUT_CLIENT_GONE
                                                        : FLAME_CUT_NOT;
}

/* Ends a stopped watch; what is to be kept of it is. */
static void end(struct wsgi_request *wsgi_req, struct flame_watch *watch,
                enum flame_cut cut)
{
    struct flame_facts facts = watch->facts;
    char number[16], name[FLAME_SHELF_NAME + 1];
    struct flame_slice status = flame_application_status(wsgi_req);
    bool keep = trampoline.config->archive && !watch->written && watch->name[0] &&
                (watch->params.keep || cut != FLAME_CUT_NOT);
    if (!keep) {
        flame_watch_free(watch);
        return;
    }
    if (!status.data) {
        snprintf(number, sizeof(number), "%d", wsgi_req->status);
        status = (struct flame_slice){number, wsgi_req->status ? strlen(number) : 0};
    }
    FLAME_FACT(facts.status, status);
    FLAME_FACT(facts.raised, flame_slice_of(watch->raised));
    facts.cut = cut;
    memcpy(name, watch->name, sizeof(name));
    /* A picture's has been pushed with it. */
    const struct flame_push_target *push =
        watch->params.keep ? &trampoline.config->push : NULL;
    (void)flame_keeper_keep(trampoline.config->archive, push,
                            flame_watch_take_session(watch), &facts, name);
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
    int ret;
    for (;;) {
        ret = flame_python_request(wsgi_req);
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
    flame_vigil_end(watch);
    flame_watch_stop(watch);
    enum flame_cut cut = cut_of(wsgi_req, watch);
    if (watch->params.keep) {
        end(wsgi_req, watch, cut);
        return ret;
    }
    answer_profile(wsgi_req, watch);
    end(wsgi_req, watch, cut);
    return UWSGI_OK;
}

/* The name of the profile goes out with the application's own headers. */
static void announce(struct wsgi_request *wsgi_req, const struct flame_watch *watch)
{
    char header[64];
    int length = snprintf(header, sizeof(header), "X-Flameprof-Kept: %s", watch->name);
    uwsgi_additional_header_add(wsgi_req, header, (uint16_t)length);
}

/* A Middleware in the application would answer with a picture of its own. */
static void mark_taken(struct wsgi_request *wsgi_req)
{
    char name[] = FLAME_TAKEN, value[] = "1";
    uwsgi_req_append(wsgi_req, name, sizeof(name) - 1, value, sizeof(value) - 1);
}

static int profile(struct wsgi_request *wsgi_req, const struct flame_params *params)
{
    struct flame_watch *watch;
    struct flame_refusal refusal = {.status = 503, .reason = "Service Unavailable"};
    if (trampoline.refusal) {
        snprintf(refusal.sentence, sizeof(refusal.sentence), "%s", trampoline.refusal);
        return answer_refusal(wsgi_req, &refusal, params);
    }
    if (!flame_watch_start(trampoline.config, params, &watch, &refusal)) {
        return answer_refusal(wsgi_req, &refusal, params);
    }
    mark_taken(wsgi_req);
    if (name_and_facts(wsgi_req, watch) == 0) {
        flame_vigil_begin(watch);
    }
    if (params->keep) {
        announce(wsgi_req, watch);
    } else {
        flame_divert(wsgi_req);
        extend_harakiri();
    }
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
        return trampoline.ordinary(wsgi_req);
    }
}

/* A path under which the archive is shown. */
static bool answer_archived(struct wsgi_request *wsgi_req)
{
    struct flame_wanted wanted;
    struct flame_answer answer;
    char sentence[FLAME_SENTENCE_SIZE];
    switch (flame_archived_decide(trampoline.config, look_up, wsgi_req, log_line,
                                  &wanted, sentence)) {
    case FLAME_MALFORMED:
        answer_sentence(wsgi_req, 400, "Bad Request", sentence);
        return true;
    case FLAME_KEPT:
        flame_archived_answer(trampoline.config, &wanted, &answer);
        flame_divert(wsgi_req);
        flame_send(wsgi_req, &answer, wanted.params.head,
                   (struct flame_slice){NULL, 0});
        flame_answer_free(&answer);
        return true;
    default:
        return false;
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
    flame_vigil_end(watch);
    flame_watch_stop(watch);
    end(wsgi_req, watch, FLAME_CUT_CLIENT_GONE);
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
    if (flame_archived_mentions(
            trampoline.config,
            (struct flame_slice){wsgi_req->path_info, wsgi_req->path_info_len}) &&
        answer_archived(wsgi_req)) {
        return UWSGI_OK;
    }
    if (wsgi_req->http_sec_websocket_key_len > 0) {
        return flame_python_request(wsgi_req);
    }
    if (wsgi_req->query_string_len == 0 ||
        !flame_query_mentions_us(
            (struct flame_slice){wsgi_req->query_string, wsgi_req->query_string_len})) {
        return trampoline.ordinary(wsgi_req);
    }
    return consider(wsgi_req);
}

/* Called with the GIL, for each exception the application let through. */
static void exception_log(struct wsgi_request *wsgi_req)
{
    struct flame_watch *watch = trampoline.watches[wsgi_req->async_id];
    if (watch) {
        flame_watch_raised(watch, wsgi_req);
    } else {
        flame_capture_raised(wsgi_req);
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
    /* The first application is at home in the main interpreter. */
    bool captured =
        !watch && trampoline.ordinary == flame_capture_request && wsgi_req->app_id > 0;
    if (!watch && !captured) {
        return;
    }
    flame_python_gil_get();
    if (watch) {
        flame_python_hook_next_part(app, next_part);
        flame_watch_entered(watch);
    } else {
        flame_capture_entered();
    }
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

int flame_trampoline_install(struct flame_config *config, const char *refusal)
{
    trampoline.config = config;
    trampoline.refusal = refusal;
    trampoline.watches = calloc((size_t)uwsgi.cores, sizeof(*trampoline.watches));
    if (!trampoline.watches) {
        return -ENOMEM;
    }
    flame_keeper_log(log_line);
    if (config->archive && flame_vigil_install(config->archive)) {
        return -ENOMEM;
    }
    trampoline.ordinary =
        flame_capture_install(config) ? flame_capture_request : flame_python_request;
    flame_python_hook(trampoline_request, exception_log);
    flame_python_hook_switch(suspend, resume_stack);
    return 0;
}

void flame_trampoline_post_fork(void)
{
    flame_python_hook_enter(enter);
}
