/*
 * One request under its profile: the session, and what has to be remembered of
 * the request until its answer.
 *
 * Only the thread that runs the request touches it. Each function but the one
 * that allocates may be called in any order and again: a stopped watch stays
 * stopped.
 */
#ifndef FLAME_PLUGIN_WATCH_H
#define FLAME_PLUGIN_WATCH_H

#include "middleware/request.h"

struct flame_body;
struct wsgi_request;

/* What uWSGI itself does around the application. */
#define FLAME_PHASE_UWSGI "[uWSGI]"

struct flame_watch {
    struct flame_session *session;
    struct flame_params params;
    uint64_t begun_ns;       /* by flame_now_ns() */
    uint64_t ends_ns;        /* when max_ns will be over */
    unsigned runs;           /* of the application, that are done */
    struct flame_body *body; /* whose parts are being iterated; NULL: none yet */
    bool stopped;
    char raised[128]; /* the exception's type; empty: none */
};

/* Starts to watch the calling thread; GIL not held. 0, or an error of
 * flame_session_start(). The owner frees with flame_watch_free(). */
int flame_watch_start(const struct flame_params *params, uint64_t max_ns,
                      struct flame_watch **out);
/* GIL not held. */
void flame_watch_pause(struct flame_watch *watch);
void flame_watch_resume(struct flame_watch *watch);
/* A run of the application begins: uWSGI's own part of it comes first. */
void flame_watch_run(struct flame_watch *watch);
void flame_watch_stop(struct flame_watch *watch);
void flame_watch_free(struct flame_watch *watch); /* a stopped one */

/* ---- called with the GIL ----------------------------------------------------- */

/* The application's own interpreter has become current: look at that one. */
void flame_watch_entered(struct flame_watch *watch);
/* An exception is set that the application let through; it stays set. */
void flame_watch_raised(struct flame_watch *watch, struct wsgi_request *wsgi_req);
/* Around the iteration of the body: before its first part (true: an iterator over it
 * was made just now), and after its close(). */
bool flame_watch_body(struct flame_watch *watch, struct wsgi_request *wsgi_req);
void flame_watch_body_done(struct flame_watch *watch);

#endif
