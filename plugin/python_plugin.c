#include "plugin/python_plugin.h"

#include <uwsgi.h>

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

extern struct uwsgi_server uwsgi;

/*
 * A function pointer as a word of memory, to be compared with the words of
 * `up`. POSIX, which dlsym() is from, promises that this conversion works.
 */
typedef uintptr_t word;

static struct {
    struct uwsgi_plugin *plugin;
    flame_request_hook *request;
    flame_exception_hook *exception;
    flame_enter_hook *enter;
    flame_request_hook *next_part;
    flame_switch_hook *suspend;
    flame_switch_hook *resume;
    /* places inside `up`: other plugins (gevent) change what stands there */
    void (**gil_get)(void);
    void (**gil_release)(void);
    flame_enter_hook **enter_slot;
    flame_enter_hook **leave_slot;
} python;

/* `up` of the object that holds the python plugin, and its size. */
static const word *find_up(void *object, size_t *words)
{
    void *up = dlsym(object, "up");
    Dl_info info;
    ElfW(Sym) *symbol = NULL;
    if (!up || !dladdr1(up, &info, (void **)&symbol, RTLD_DL_SYMENT) || !symbol ||
        info.dli_saddr != up) {
        return NULL;
    }
    *words = symbol->st_size / sizeof(word);
    return up;
}

static bool is_one_of(word value, void *object, const char *const *names)
{
    for (; *names; names++) {
        if (value && value == (word)dlsym(object, *names)) {
            return true;
        }
    }
    return false;
}

static const char *const gil_getters[] = {"gil_fake_get", "gil_real_get", NULL};
static const char *const gil_releasers[] = {"gil_fake_release", "gil_real_release",
                                            NULL};
static const char *const enterers[] = {"simple_swap_ts", "simple_threaded_swap_ts",
                                       "threaded_swap_ts", NULL};

static const char *const leavers[] = {"simple_reset_ts", "simple_threaded_reset_ts",
                                      "threaded_reset_ts", NULL};

static bool find_slots(void *object)
{
    size_t words = 0;
    const word *up = find_up(object, &words);
    for (size_t i = 0; up && i + 1 < words; i++) {
        if (is_one_of(up[i], object, enterers) &&
            is_one_of(up[i + 1], object, leavers)) {
            python.enter_slot = (flame_enter_hook **)(uintptr_t)&up[i];
            python.leave_slot = (flame_enter_hook **)(uintptr_t)&up[i + 1];
        }
        if (is_one_of(up[i], object, gil_getters) &&
            is_one_of(up[i + 1], object, gil_releasers)) {
            python.gil_get = (void (**)(void))(uintptr_t)&up[i];
            python.gil_release = (void (**)(void))(uintptr_t)&up[i + 1];
        }
    }
    python.next_part =
        (flame_request_hook *)(word)dlsym(object, "uwsgi_response_subhandler_wsgi");
    return python.enter_slot && python.gil_get && python.next_part;
}

bool flame_python_find(char *why, size_t size)
{
    python.plugin = uwsgi_plugin_get("python");
    if (!python.plugin || !python.plugin->request) {
        snprintf(why, size, "no python plugin is loaded");
        return false;
    }
    Dl_info info;
    void *object = NULL;
    if (dladdr((void *)(word)python.plugin->request, &info)) {
        object = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
    }
    /* Built into the uWSGI binary: dlopen() knows that by no name. */
    if (!object) {
        object = dlopen(NULL, RTLD_NOW);
    }
    if (!object || !find_slots(object)) {
        snprintf(why, size, "this python plugin is not one we know");
        return false;
    }
    return true;
}

void flame_python_hook(flame_request_hook *request, flame_exception_hook *exception)
{
    python.request = python.plugin->request;
    python.plugin->request = request;
    python.exception = python.plugin->exception_log;
    if (python.exception) {
        python.plugin->exception_log = exception;
    }
}

void flame_python_hook_switch(flame_switch_hook *suspend, flame_switch_hook *resume)
{
    python.suspend = python.plugin->suspend;
    python.resume = python.plugin->resume;
    if (!python.suspend || !python.resume) {
        return;
    }
    python.plugin->suspend = suspend;
    python.plugin->resume = resume;
}

void flame_python_hook_enter(flame_enter_hook *enter)
{
    if (*python.enter_slot == enter) {
        return;
    }
    python.enter = *python.enter_slot;
    *python.enter_slot = enter;
}

void flame_python_hook_next_part(struct uwsgi_app *app, flame_request_hook *next_part)
{
    if (app->response_subhandler == python.next_part) {
        app->response_subhandler = next_part;
    }
}

/* As uwsgi_request_wsgi() does it, but for loading one. */
struct uwsgi_app *flame_python_app(struct wsgi_request *wsgi_req)
{
    uint8_t kind = python.plugin->modifier1;
    int id = uwsgi_get_app_id(wsgi_req, wsgi_req->appid, wsgi_req->appid_len, kind);
    if (id == -1 && !wsgi_req->dynamic && !uwsgi.no_default_app &&
        uwsgi.default_app > -1 && uwsgi_apps[uwsgi.default_app].modifier1 == kind) {
        id = uwsgi.default_app;
    }
    wsgi_req->app_id = id;
    return id == -1 ? NULL : &uwsgi_apps[id];
}

void flame_python_leave(struct wsgi_request *wsgi_req, struct uwsgi_app *app)
{
    (*python.leave_slot)(wsgi_req, app);
}

int flame_python_request(struct wsgi_request *wsgi_req)
{
    return python.request(wsgi_req);
}

void flame_python_exception_log(struct wsgi_request *wsgi_req)
{
    python.exception(wsgi_req);
}

void flame_python_enter(struct wsgi_request *wsgi_req, struct uwsgi_app *app)
{
    python.enter(wsgi_req, app);
}

int flame_python_next_part(struct wsgi_request *wsgi_req)
{
    return python.next_part(wsgi_req);
}

void flame_python_suspend(struct wsgi_request *wsgi_req)
{
    python.suspend(wsgi_req);
}

void flame_python_resume(struct wsgi_request *wsgi_req)
{
    python.resume(wsgi_req);
}

struct uwsgi_buffer *flame_python_exception_class(struct wsgi_request *wsgi_req)
{
    if (!python.plugin->exception_class) {
        return NULL;
    }
    return python.plugin->exception_class(wsgi_req);
}

void flame_python_gil_get(void)
{
    (*python.gil_get)();
}

void flame_python_gil_release(void)
{
    (*python.gil_release)();
}
