/*
 * Requests that are passed on to the application untouched, but watched: those that
 * prove slow or failed are kept (middleware/slow.h).
 *
 * One per core is watched at a time, by its thread. Not in uWSGI's async modes, where
 * one thread leaves a request for others: there it says so once, and watches none.
 */
#ifndef FLAME_PLUGIN_CAPTURE_H
#define FLAME_PLUGIN_CAPTURE_H

#include "middleware/request.h"

struct wsgi_request;

/*
 * Once, main thread, in post_init. `config` is kept, and only the
 * roots of its names change. True: requests are to be watched,
 * by flame_capture_request() in the place of flame_python_request(). False: none is
 * wanted, or it cannot be had here.
 */
bool flame_capture_install(struct flame_config *config);

/* Runs the original, and looks on. GIL not held. */
int flame_capture_request(struct wsgi_request *wsgi_req);

/* ---- of a request that is watched, or not; GIL held -------------------------- */

/* The application's own interpreter has become current. */
void flame_capture_entered(void);
/* An exception is set that the application let through; it stays set. */
void flame_capture_raised(struct wsgi_request *wsgi_req);

#endif
