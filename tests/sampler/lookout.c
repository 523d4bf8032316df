/*
 * The lookout under a test in Python, test_lookout.py: begins and ends a request on the
 * calling thread, and shows what was kept of it as text. With a sampler of its own.
 */
#include <Python.h>

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "sampler/lookout.h"
#include "sampler/sampler.h"

#define SHOWN __attribute__((visibility("default")))

SHOWN int flame_test_begin(double interval, double slow, double finer, double most);
SHOWN int flame_test_begin_at_home(double interval);
SHOWN void flame_test_enter_here(void);
SHOWN int flame_test_end(int keep, char *text, size_t size);
SHOWN double flame_test_spin(unsigned count, double interval);
SHOWN unsigned long long flame_test_unwatched(void);
/* A handler of SIGURG that calls the one it found; and how often it was called. */
SHOWN void flame_test_chain(void);
SHOWN int flame_test_chained(void);

static _Thread_local uint64_t request;
static _Thread_local struct flame_watcher *whose; /* it is; kept beyond a fork */

static struct flame_watcher *watcher(void)
{
    struct flame_watcher *mine = flame_lookout_mine();

    if (mine == NULL) {
        int error;
        Py_BEGIN_ALLOW_THREADS
        error = flame_lookout_join(&mine);
        Py_END_ALLOW_THREADS
        if (error != 0) {
            fprintf(stderr, "join: %d\n", error);
        }
    }
    return mine;
}

static uint64_t ns(double seconds)
{
    return (uint64_t)(seconds * 1e9);
}

int flame_test_begin(double interval, double slow, double finer, double most)
{
    const struct flame_lookout_options options = {.interval_ns = ns(interval),
                                                  .slow_ns = ns(slow),
                                                  .finer_ns = ns(finer),
                                                  .max_ns = ns(most)};
    struct flame_watcher *mine = watcher();

    uint64_t begun = mine == NULL ? 0 : flame_lookout_begin_here(mine, &options);
    request = begun != 0 ? begun : request;
    whose = mine;
    return begun != 0;
}

int flame_test_begin_at_home(double interval)
{
    const struct flame_lookout_options options = {.interval_ns = ns(interval),
                                                  .slow_ns = UINT64_MAX};
    struct flame_watcher *mine = watcher();

    if (mine == NULL) {
        return 0;
    }
    flame_lookout_home(mine, PyThreadState_Get());
    request = flame_lookout_begin(mine, &options);
    whose = mine;
    return request != 0;
}

void flame_test_enter_here(void)
{
    flame_lookout_enter_here(flame_lookout_mine());
}

static size_t write_path(const struct flame_profile *profile, uint32_t node, char *text,
                         size_t size)
{
    if (node == 0 || size == 0) {
        return 0;
    }
    size_t used = write_path(profile, profile->nodes[node].parent, text, size);
    uint32_t code = profile->nodes[node].code;
    if (code == FLAME_CODE_OF_PARENT || used + 100 >= size) {
        return used;
    }
    return used + (size_t)snprintf(text + used, size - used, ";%.*s",
                                   (int)profile->codes[code].name.length,
                                   profile->codes[code].name.data);
}

/* "wall cpu samples interval", then a line for each place: "path wall samples". */
static void write_profile(const struct flame_profile *profile, char *text, size_t size)
{
    const struct flame_quality *quality = &profile->quality;
    size_t used = (size_t)snprintf(
        text, size, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
        quality->duration_ns, quality->cpu_ns, quality->samples, quality->interval_ns);

    for (uint32_t i = 0; i < profile->node_count && used + 1000 < size; i++) {
        used += write_path(profile, i, text + used, size - used);
        used += (size_t)snprintf(text + used, size - used, " %" PRIu64 " %" PRIu64 "\n",
                                 flame_node_wall(&profile->nodes[i]),
                                 profile->nodes[i].samples);
    }
}

int flame_test_end(int keep, char *text, size_t size)
{
    struct flame_watched watched = flame_lookout_end(whose, request);
    bool seen = watched.session != NULL;

    text[0] = '\0';
    if (keep) {
        struct flame_session *session = flame_lookout_keep(&watched);
        if (session != NULL) {
            write_profile(flame_session_profile(session), text, size);
            flame_session_free(session);
        }
    } else {
        flame_lookout_drop(&watched);
    }
    return watched.wall_ns == 0 ? -1 : seen;
}

/* Seconds of CPU that so many requests of nothing take. */
double flame_test_spin(unsigned count, double interval)
{
    const struct flame_lookout_options options = {.interval_ns = ns(interval),
                                                  .slow_ns = UINT64_MAX};
    struct flame_watcher *mine = watcher();
    struct timespec begun;
    struct timespec ended;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begun);
    for (unsigned i = 0; i < count; i++) {
        struct flame_watched watched =
            flame_lookout_end(mine, flame_lookout_begin_here(mine, &options));
        flame_lookout_drop(&watched);
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ended);
    return (double)(ended.tv_sec - begun.tv_sec) +
           (double)(ended.tv_nsec - begun.tv_nsec) / 1e9;
}

unsigned long long flame_test_unwatched(void)
{
    return flame_lookout_unwatched();
}

static struct sigaction found;
static volatile sig_atomic_t chained;

static void chain(int number, siginfo_t *info, void *context)
{
    chained++;
    if (found.sa_flags & SA_SIGINFO) {
        found.sa_sigaction(number, info, context);
    }
}

void flame_test_chain(void)
{
    const struct sigaction own = {.sa_sigaction = chain,
                                  .sa_flags = SA_SIGINFO | SA_RESTART};

    sigaction(SIGURG, &own, &found);
}

int flame_test_chained(void)
{
    return chained;
}
