/*
 * The uWSGI door: `uwsgi --plugin flameprof`, options and hooks.
 *
 * It has no request function of its own: modifier1 would be 0, and it would
 * stand in the python plugin's place instead of before it.
 */
#include "middleware/archive/archived.h"
#include "middleware/common/common.h"
#include "middleware/options.h"
#include "plugin/authority.h"
#include "plugin/host.h"
#include "plugin/metrics.h"
#include "plugin/python_plugin.h"
#include "plugin/trampoline.h"
#include "plugin/vigil.h"

#include <Python.h>
#include <uwsgi.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

extern struct uwsgi_server uwsgi;
extern PyObject *PyInit__flameprof(void);

static struct {
    struct flame_config config;
    struct flame_shelf archive;        /* of --flameprof-dir */
    struct uwsgi_string_list *allowed; /* as given, for the line at start */
    const char *authorize;             /* "module:callable"; NULL: not given */
    int disabled;
    bool usable;    /* the host is the one we were built for */
    bool installed; /* the trampoline stands */
} plugin;

/* ---- options: called while uWSGI reads its configuration, before any hook ---- */

/* One of the table's, as `data`. */
static void set_option(char *name, char *value, void *data)
{
    const struct flame_option *option = data;
    if (option->kind == FLAME_OPTION_FLAG) {
        flame_option_set_flag(&plugin.config, option, true);
        return;
    }
    int error = flame_option_set_text(&plugin.config, option,
                                      (struct flame_slice){value, strlen(value)});
    if (error == -ENOMEM) {
        uwsgi_log("[flameprof] --%s: no memory\n", name);
        exit(1);
    }
    if (error) {
        const char *shown = flame_option_is_secret(option) ? "(hidden)" : value;
        uwsgi_log("[flameprof] --%s: \"%s\" is not %s\n", name, shown,
                  option->accepted);
        exit(1);
    }
}

static void add_allowed(char *name, char *value, void *data)
{
    set_option(name, value, data);
    uwsgi_string_new_list(&plugin.allowed, value);
}

static void set_authorize(char *name, char *value, void *data)
{
    (void)data;
    if (!flame_authority_is_name(value)) {
        uwsgi_log("[flameprof] --%s: \"%s\" is not %s\n", name, value,
                  FLAME_AUTHORITY_ACCEPTED);
        exit(1);
    }
    plugin.authorize = value;
}

#define OPTIONS_MAX 64
#define NAME_MAX_LENGTH 48

/* Filled in before uWSGI looks at them: the table's, two of our own, and the end. */
static struct uwsgi_option options[OPTIONS_MAX + 3];
static char option_names[OPTIONS_MAX][NAME_MAX_LENGTH];

static void list_options(void)
{
    size_t count = 0;
    for (const struct flame_option *option = flame_options;
         option->name && count < OPTIONS_MAX; option++, count++) {
        snprintf(option_names[count], NAME_MAX_LENGTH, "flameprof-%s", option->name);
        options[count] = (struct uwsgi_option){
            .name = option_names[count],
            .type = option->kind == FLAME_OPTION_FLAG ? no_argument : required_argument,
            .help = (char *)(uintptr_t)option->help,
            .func = option->add == flame_config_allow ? add_allowed : set_option,
            .data = (void *)(uintptr_t)option,
        };
    }
    options[count++] = (struct uwsgi_option){
        .name = "flameprof-authorize",
        .type = required_argument,
        .help = "function of the application's, \"module:callable\", that is given the "
                "environ and says whether its request may have a profile, instead of "
                "flameprof-allow",
        .func = set_authorize,
    };
    options[count] = (struct uwsgi_option){
        .name = "flameprof-disable",
        .type = no_argument,
        .help = "leave every request alone, as if the plugin were not loaded",
        .func = uwsgi_opt_true,
        .data = &plugin.disabled,
    };
}

/* ---- hooks, in the order uWSGI calls them ------------------------------------ */

static void on_load(void)
{
    flame_config_init(&plugin.config);
    list_options();
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
     * the one sampler of the process.
     */
    if (PyImport_AppendInittab("_flameprof", PyInit__flameprof)) {
        plugin.usable = false;
        uwsgi_log("[flameprof] off: no memory to register the module _flameprof\n");
    }
    return 0;
}

/* One line: who may ask, so that nobody has to guess what is open. */
static void log_who_may_ask(void)
{
    if (plugin.authorize) {
        uwsgi_log("[flameprof] ?flamegraph=1 is answered to whomever %s lets\n",
                  plugin.authorize);
        return;
    }
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

/* Before any fork, and before uWSGI sets its metrics up. */
static void share(void)
{
    int error = flame_common_make_before_fork();
    if (error) {
        char line[300];
        flame_common_explain(error, line, sizeof(line));
        uwsgi_log("%s\n", line);
    }
    flame_metrics_register();
}

static void configure_authorize(void)
{
    if (!plugin.authorize) {
        return;
    }
    if (plugin.config.allow.count > 0) {
        uwsgi_log(
            "[flameprof] --flameprof-allow and --flameprof-authorize exclude each "
            "other: either decides alone\n");
        exit(1);
    }
    if (flame_authority_install(&plugin.config, plugin.authorize)) {
        uwsgi_log("[flameprof] --flameprof-authorize: no memory\n");
        exit(1);
    }
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
    char sentence[FLAME_SENTENCE_SIZE];
    if (flame_archived_configure(&plugin.config, &plugin.archive, sentence)) {
        uwsgi_log("[flameprof] --flameprof-%s\n", sentence);
        exit(1);
    }
    configure_authorize();
    const char *refusal = refusal_of_options();
    if (refusal) {
        uwsgi_log("[flameprof] %s\n", refusal);
    }
    if (flame_trampoline_install(&plugin.config, refusal)) {
        uwsgi_log("[flameprof] off: no memory\n");
        return;
    }
    plugin.installed = true;
    share();
    log_who_may_ask();
    if (plugin.config.secrets.count > 0) {
        uwsgi_log("[flameprof] and to whoever has a signed link for its path\n");
    }
}

static void post_fork(void)
{
    if (plugin.installed) {
        flame_trampoline_post_fork();
    }
}

/* In each process of the server, and perhaps in the middle of a request. */
static void at_exit(void)
{
    flame_vigil_exit();
}

__attribute__((visibility("default"))) struct uwsgi_plugin flameprof_plugin = {
    .name = "flameprof",
    .options = options,
    .on_load = on_load,
    .init = init,
    .post_init = post_init,
    .post_fork = post_fork,
    .atexit = at_exit,
};
