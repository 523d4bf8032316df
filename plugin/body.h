/*
 * The parts of a WSGI body under a profile: an iterator of ours stands in the
 * place of the application's. It knows when the body ends, which uWSGI tells
 * nobody, and ends it when the profile's longest time is over: a stream without
 * an end would hold the worker for ever, as nothing is written and so nobody
 * sees its client leave.
 */
#ifndef FLAME_PLUGIN_BODY_H
#define FLAME_PLUGIN_BODY_H

struct flame_watch;
struct wsgi_request;

/*
 * Before uWSGI asks for the first part. A body that is no iterable, or a file for
 * uWSGI to send, is left as it is. GIL held, no exception set.
 */
void flame_body_replace(struct flame_watch *watch, struct wsgi_request *wsgi_req);

/* The watch goes: an iterator that somebody still holds is to forget it. */
void flame_body_forget(struct flame_watch *watch);

#endif
