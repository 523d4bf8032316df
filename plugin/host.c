#include "plugin/host.h"

#include <Python.h>
#include <uwsgi.h>

#include <stdio.h>
#include <string.h>

/* FLAME_HOST_CFLAGS: what `uwsgi --cflags` said when this was compiled. */
#include "host_cflags.h"

static char host_name[96];

/*
 * Of all compiler flags only uWSGI's own -D switches change its structures;
 * the directory of the plugins does not, nor do the paths and hardening flags
 * a distribution's rebuild changes.
 */
static bool shapes_structures(const char *flag, size_t length)
{
    static const char ours[] = "-DUWSGI_", harmless[] = "-DUWSGI_PLUGIN_DIR";
    if (length < sizeof(ours) - 1 || memcmp(flag, ours, sizeof(ours) - 1) != 0) {
        return false;
    }
    return length < sizeof(harmless) - 1 ||
           memcmp(flag, harmless, sizeof(harmless) - 1) != 0;
}

/* The next flag that shapes structures; *length is 0 at the end. */
static const char *next_flag(const char *text, size_t *length)
{
    for (;;) {
        text += strspn(text, " ");
        *length = strcspn(text, " ");
        if (*length == 0 || shapes_structures(text, *length)) {
            return text;
        }
        text += *length;
    }
}

static bool check_uwsgi(char *why, size_t size)
{
    char *running = uwsgi_get_cflags();
    const char *built = FLAME_HOST_CFLAGS, *found = running;
    bool same = true;
    for (;;) {
        size_t built_length, found_length;
        built = next_flag(built, &built_length);
        found = next_flag(found, &found_length);
        same = built_length == found_length && memcmp(built, found, found_length) == 0;
        if (!same) {
            snprintf(why, size, "built for uWSGI %s with %.*s, this one has %.*s",
                     UWSGI_VERSION, built_length ? (int)built_length : 7,
                     built_length ? built : "nothing",
                     found_length ? (int)found_length : 7,
                     found_length ? found : "nothing");
        }
        if (!same || built_length == 0) {
            break;
        }
        built += built_length;
        found += found_length;
    }
    free(running);
    return same;
}

/*
 * Our references to CPython are weak (see plugin.mk): without an interpreter
 * in the process, or with one that lacks what we need, they are NULL instead
 * of keeping uWSGI from starting.
 */
#pragma weak Py_GetVersion

static bool check_python(char *why, size_t size)
{
    if (!Py_GetVersion) {
        snprintf(
            why, size,
            "no Python in this process yet: load the python plugin before this one");
        return false;
    }
    int major = 0, minor = 0;
    const char *version = Py_GetVersion();
    if (sscanf(version, "%d.%d", &major, &minor) != 2 || major != PY_MAJOR_VERSION ||
        minor != PY_MINOR_VERSION) {
        snprintf(why, size, "built for Python %d.%d, this process has %.*s",
                 PY_MAJOR_VERSION, PY_MINOR_VERSION, (int)strcspn(version, " "),
                 version);
        return false;
    }
    /* Too late to give `import flameprof` the sampler that is here. */
    if (Py_IsInitialized()) {
        snprintf(why, size,
                 "Python was started before this plugin could: an application that "
                 "imports flameprof would have a second sampler");
        return false;
    }
    snprintf(host_name, sizeof(host_name), "uWSGI %d.%d.%d, Python %.*s",
             UWSGI_VERSION_BASE, UWSGI_VERSION_MAJOR, UWSGI_VERSION_MINOR,
             (int)strcspn(version, " "), version);
    return true;
}

bool flame_host_check(char *why, size_t size)
{
    return check_uwsgi(why, size) && check_python(why, size);
}

const char *flame_host_name(void)
{
    return host_name;
}
