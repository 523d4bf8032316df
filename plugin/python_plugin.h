/*
 * What we need of uWSGI's python plugin: its request function, its way of
 * taking the GIL, and the moment it enters an application's interpreter.
 *
 * Its header is not installed anywhere, and its one structure, `up`, changes
 * with every release. So the pointers inside are found by what they point to:
 * functions the plugin exports under stable names since uWSGI 1.9.
 */
#ifndef FLAME_PLUGIN_PYTHON_PLUGIN_H
#define FLAME_PLUGIN_PYTHON_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>

/* uwsgi.h has no include guard: only .c files take it in. */
struct wsgi_request;
struct uwsgi_app;
struct uwsgi_buffer;

typedef int flame_request_hook(struct wsgi_request *);
typedef void flame_exception_hook(struct wsgi_request *);
typedef void flame_switch_hook(struct wsgi_request *); /* NULL: the main stack */
typedef void flame_enter_hook(struct wsgi_request *, struct uwsgi_app *);

/*
 * Finds the python plugin and what is named above. Main thread, in post_init.
 * False: one sentence in `why`, and nothing was changed.
 */
bool flame_python_find(char *why, size_t size);

/*
 * Puts ours in the place of the plugin's own; the originals are reached by
 * the functions below. request and exception: once, in post_init, before the
 * first fork. enter: in post_fork, since --enable-threads sets it late.
 */
void flame_python_hook(flame_request_hook *request, flame_exception_hook *exception);
void flame_python_hook_enter(flame_enter_hook *enter);

/*
 * Around the moments at which an engine that switches stacks below Python (ugreen)
 * leaves a request and comes back to it. Once, with the others. For engines that
 * keep the frames themselves (greenlet, gevent) it is not called.
 */
void flame_python_hook_switch(flame_switch_hook *suspend, flame_switch_hook *resume);

/*
 * Puts ours in the place of what sends the next part of a WSGI body. Kept by the
 * application, in memory all workers share: it stays once it is there. Not
 * called for a request that comes back after UWSGI_AGAIN. GIL held.
 */
void flame_python_hook_next_part(struct uwsgi_app *app, flame_request_hook *next_part);

/*
 * The application that the plugin will choose for this request, whose app_id becomes
 * that one's; NULL: it is none that is loaded. Around calls of Python in that one's own
 * interpreter: enter, take the GIL, release it, leave.
 */
struct uwsgi_app *flame_python_app(struct wsgi_request *wsgi_req);
void flame_python_leave(struct wsgi_request *wsgi_req, struct uwsgi_app *app);

/* The originals. */
int flame_python_request(struct wsgi_request *wsgi_req);
void flame_python_exception_log(struct wsgi_request *wsgi_req);
void flame_python_enter(struct wsgi_request *wsgi_req, struct uwsgi_app *app);
int flame_python_next_part(struct wsgi_request *wsgi_req);
void flame_python_suspend(struct wsgi_request *wsgi_req);
void flame_python_resume(struct wsgi_request *wsgi_req);

/*
 * The type name of the exception being handled. The caller frees it with
 * uwsgi_buffer_destroy(); NULL: unknown. GIL held, exception set.
 */
struct uwsgi_buffer *flame_python_exception_class(struct wsgi_request *wsgi_req);

/*
 * As the python plugin itself does: the GIL with the thread state it keeps
 * for this thread. They do nothing where uWSGI runs without threads and the
 * one thread always holds it. To be used in pairs, not nested.
 */
void flame_python_gil_get(void);
void flame_python_gil_release(void);

#endif
