/*
 * Our answer in the place of the application's, through uWSGI's own calls.
 *
 * The body the application sends is discarded by the core (ignore_body), its
 * headers are collected as ever and not sent before the end; then the status
 * line is swapped, ours are added and the body is written.
 */
#ifndef FLAME_PLUGIN_ANSWER_H
#define FLAME_PLUGIN_ANSWER_H

#include "middleware/request.h"

struct wsgi_request;

/* Before the application runs: nothing of its answer reaches the client. */
void flame_divert(struct wsgi_request *wsgi_req);

/*
 * A request whose application has run is made as it was before, so that it can run
 * once more. Not one with a body, which can be read once only, and not one that
 * the application has answered by itself.
 */
bool flame_can_rewind(struct wsgi_request *wsgi_req);
void flame_rewind(struct wsgi_request *wsgi_req);

/*
 * The status the application gave ("404 Not Found"), as it stands in the
 * collected headers; data == NULL: none yet. Valid until flame_send().
 */
struct flame_slice flame_application_status(struct wsgi_request *wsgi_req);

/*
 * Sends the answer; the GIL need not be held. `head`: headers only.
 * `status`: of the application, for X-Flameprof-Status; data == NULL: none.
 * 0; -EALREADY: the application sent headers by itself; -ENOTCONN: it closed the
 * connection. Nothing is sent then, now or later.
 */
int flame_send(struct wsgi_request *wsgi_req, const struct flame_answer *answer,
               bool head, struct flame_slice status);

#endif
