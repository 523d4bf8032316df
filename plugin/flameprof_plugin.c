/*
 * The uWSGI door: `uwsgi --plugin flameprof`, options and hooks.
 *
 * It has no request function of its own: modifier1 would be 0, and it would
 * stand in the python plugin's place instead of before it.
 */
#include "plugin/host.h"
#include "plugin/python_plugin.h"
#include "plugin/trampoline.h"

#include <Python.h>
#include <uwsgi.h>

#include <stdio.h>
#include <string.h>

extern struct uwsgi_server uwsgi;
extern PyObject *PyInit__flameprof(void);

static struct {
    struct flame_config config;
    struct uwsgi_string_list *allowed; /* as given, for the line at start */
    int disabled;
    bool usable;    /* the host is the one we were built for */
    bool installed; /* the trampoline stands */
} plugin;

/* ---- options: called while uWSGI reads its configuration, before any hook ---- */

static void refuse_option(const char *option, const char *value, const char *accepted)
{
    uwsgi_log("[flameprof] --%s: \"%s\" is not %s\n", option, value, accepted);
    exit(1);
}

static uint64_t seconds_option(const char *option, const char *value, uint64_t min_ns,
                               uint64_t max_ns, const char *accepted)
{
    uint64_t ns = 0;
    struct flame_slice text = {value, strlen(value)};
    if (flame_parse_seconds(text, &ns) || ns < min_ns || ns > max_ns) {
        refuse_option(option, value, accepted);
    }
    return ns;
}

static void set_interval(char *option, char *value, void *data)
{
    (void)data;
    plugin.config.interval_ns =
        seconds_option(option, value, FLAME_INTERVAL_MIN_NS, FLAME_INTERVAL_MOST_NS,
                       FLAME_INTERVAL_ACCEPTED);
}

static void set_max_seconds(char *option, char *value, void *data)
{
    (void)data;
    plugin.config.max_ns = seconds_option(option, value, FLAME_MAX_NS_LEAST,
                                          FLAME_MAX_NS_MOST, FLAME_MAX_NS_ACCEPTED);
}

static void add_allowed(char *option, char *value, void *data)
{
    (void)data;
    if (flame_config_allow(&plugin.config,
                           (struct flame_slice){value, strlen(value)})) {
        refuse_option(option, value, "a network such as 10.0.0.0/8, ::1 or fd00::/8");
    }
    uwsgi_string_new_list(&plugin.allowed, value);
}

static struct uwsgi_option options[] = {
    {"flameprof-interval", required_argument, 0,
     "seconds between samples when the URL has no interval= (default 0.001)",
     set_interval, NULL, 0},
    {"flameprof-max-seconds", required_argument, 0,
     "end a profile after that many seconds: the request runs on, but a body that "
     "still comes is closed (default 60)",
     set_max_seconds, NULL, 0},
    {"flameprof-allow", required_argument, 0,
     "network that may ask for profiles, can be given several times (default: only "
     "requests that come straight from this machine)",
     add_allowed, NULL, 0},
    {"flameprof-disable", no_argument, 0,
     "leave every request alone, as if the plugin were not loaded", uwsgi_opt_true,
     &plugin.disabled, 0},
    {NULL, 0, 0, NULL, NULL, NULL, 0},
};

/* ---- hooks, in the order uWSGI calls them ------------------------------------ */

static void on_load(void)
{
    flame_config_init(&plugin.config);
}

static int init(void)
{
    char why[512];
    plugin.usable = flame_host_check(why, sizeof(why));
    if (!plugin.usable) {
        uwsgi_log("[flameprof] off: %s\n", why);
        return 0;
    }
    /*
     * `import flameprof` in the application finds this _flameprof, and with it
     * the one sampler of the process. Only possible before Py_Initialize().
     */
    if (!Py_IsInitialized() &&
        PyImport_AppendInittab("_flameprof", PyInit__flameprof)) {
        uwsgi_log("[flameprof] no memory to register the module _flameprof\n");
    }
    return 0;
}

/* One line: who may ask, so that nobody has to guess what is open. */
static void log_who_may_ask(void)
{
    if (!plugin.allowed) {
        uwsgi_log(
            "[flameprof] ?flamegraph=1 is answered to requests straight from this "
            "machine only: a proxy here that adds no forwarding header would pass "
            "for one (--flameprof-allow NETWORK for others)\n");
        return;
    }
    char networks[512] = "";
    size_t used = 0;
    for (struct uwsgi_string_list *network = plugin.allowed; network;
         network = network->next) {
        int added =
            snprintf(networks + used, sizeof(networks) - used, " %s", network->value);
        if (added < 0 || (size_t)added >= sizeof(networks) - used) {
            break;
        }
        used += (size_t)added;
    }
    uwsgi_log("[flameprof] ?flamegraph=1 is answered to%s: whoever is there can read "
              "this application's function names and slow it down\n",
              networks);
}

/* uwsgi_get_exported_opt() does not tell an option without a value from none. */
static bool has_option(const char *name)
{
    for (int i = 0; i < uwsgi.exported_opts_cnt; i++) {
        if (!strcmp(uwsgi.exported_opts[i]->key, name)) {
            return true;
        }
    }
    return false;
}

/* Why no profile can be had in this server; NULL: it can. */
static const char *refusal_of_options(void)
{
    if (has_option("start_response-nodelay")) {
        return "No profile with --start_response-nodelay: the headers of the "
               "application are sent before they can be exchanged for the picture's.";
    }
    /* Seen there: CPython ends the process ("non-NULL old thread state") when a
     * profiled request comes back to its stack. */
    if (has_option("ugreen") && PY_VERSION_HEX >= 0x030C0000) {
        return "No profile with --ugreen under Python 3.12 and later: use --gevent, "
               "--threads or processes.";
    }
    return NULL;
}

static void post_init(void)
{
    if (!plugin.usable || plugin.disabled) {
        return;
    }
    char why[128];
    if (!flame_python_find(why, sizeof(why))) {
        uwsgi_log("[flameprof] off: %s\n", why);
        return;
    }
    const char *refusal = refusal_of_options();
    if (refusal) {
        uwsgi_log("[flameprof] %s\n", refusal);
    }
    if (flame_trampoline_install(&plugin.config, refusal)) {
        uwsgi_log("[flameprof] off: no memory\n");
        return;
    }
    plugin.installed = true;
    log_who_may_ask();
}

static void post_fork(void)
{
    if (plugin.installed) {
        flame_trampoline_post_fork();
    }
}

__attribute__((visibility("default"))) struct uwsgi_plugin flameprof_plugin = {
    .name = "flameprof",
    .options = options,
    .on_load = on_load,
    .init = init,
    .post_init = post_init,
    .post_fork = post_fork,
};
