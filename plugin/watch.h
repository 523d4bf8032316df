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

#include "middleware/archive/archive.h"
#include "middleware/common/taking.h"

struct flame_body;
struct wsgi_request;

/* What uWSGI itself does around the application. */
#define FLAME_PHASE_UWSGI "[uWSGI]"

#define FLAME_RAISED_SIZE 128u

struct flame_watch {
    struct flame_taking taking;
    struct flame_session *session; /* of it */
    struct flame_params params;
    uint64_t begun_ns;       /* by flame_now_ns() */
    uint64_t ends_ns;        /* when a body that still comes is closed */
    unsigned runs;           /* of the application, that are done */
    struct flame_body *body; /* whose parts are being iterated; NULL: none yet */
    bool stopped;
    char raised[FLAME_RAISED_SIZE]; /* the exception's type; empty: none */
    /* In the archive, if it comes there: what is known at the start. */
    struct flame_facts facts;
    char name[FLAME_SHELF_NAME + 1];
    bool written;                     /* by the vigil, which cut it short */
    struct flame_watch *next_watched; /* the vigil's */
};

/* Starts to watch the calling thread, within the limits; GIL not held. False: *refusal
 * says why not. The owner frees with flame_watch_free(). */
bool flame_watch_start(struct flame_config *config, const struct flame_params *params,
                       struct flame_watch **out, struct flame_refusal *refusal);
/* GIL not held. */
void flame_watch_pause(struct flame_watch *watch);
void flame_watch_resume(struct flame_watch *watch);
/* A run of the application begins: uWSGI's own part of it comes first. */
void flame_watch_run(struct flame_watch *watch);
void flame_watch_stop(struct flame_watch *watch);
void flame_watch_free(struct flame_watch *watch); /* a stopped one */
/* The same, but for its session, which is the caller's. */
struct flame_session *flame_watch_take_session(struct flame_watch *watch);

/* ---- called with the GIL ----------------------------------------------------- */

/* The application's own interpreter has become current: look at that one. */
void flame_watch_entered(struct flame_watch *watch);
/* An exception is set that the application let through; it stays set. */
void flame_watch_raised(struct flame_watch *watch, struct wsgi_request *wsgi_req);
/* The type's name of an exception that is set, of a request that need not be watched.
 */
void flame_watch_name_exception(struct wsgi_request *wsgi_req,
                                char name[FLAME_RAISED_SIZE]);
/* Around the iteration of the body: before its first part (true: an iterator over it
 * was made just now), and after its close(). */
bool flame_watch_body(struct flame_watch *watch, struct wsgi_request *wsgi_req);
void flame_watch_body_done(struct flame_watch *watch);

#endif
