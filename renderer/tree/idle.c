/*
 * Threads of a server mostly wait for work: which places are that, and the tree without
 * them.
 */
#include "renderer/tree/tree.h"
#include "renderer/writer.h"

#include <stdlib.h>
#include <string.h>

#define FIRST '^'

/* The library that waits, not the application: a wait of the application's own, say for
 * a database, is none of these. */
const char *const flame_idle_usual[] = {
    "[thread]", /* no Python function: C code's, such as uWSGI's between two requests */
    "wait (threading.py)",
    "_wait_for_tstate_lock (threading.py)",
    "join (threading.py)",
    "_shutdown (threading.py)",
    "get (queue.py)",
    "select (selectors.py)",
    "accept (socket.py)",
    "serve_forever (socketserver.py)",
    "_worker (concurrent/futures/thread.py)",
    "run (asyncio/runners.py)", /* of uvloop, whose loop is C */
    "poll (asyncore.py)",
    "poll2 (asyncore.py)",
    "poll (multiprocessing/popen_fork.py)",
    "handler_thread (waitress/task.py)",
    "poll (waitress/wasyncore.py)",
    "poll2 (waitress/wasyncore.py)",
    "wait (gunicorn/workers/sync.py)",
    "sleep (gunicorn/arbiter.py)",
    "run (gevent/hub.py)",
    "wait (eventlet/hubs/selects.py)",
    "do_poll (eventlet/hubs/poll.py)",
    "do_poll (eventlet/hubs/epolls.py)",
    "doPoll (twisted/internet/epollreactor.py)",
    "run (werkzeug/_reloader.py)",
    "tick (django/utils/autoreload.py)",
    NULL,
};

/* `text` ends with `tail`, a whole part of what `separator` parts. */
static bool has_tail(struct flame_slice text, struct flame_slice tail, char separator)
{
    if (tail.length == 0 || tail.length > text.length) {
        return false;
    }
    const char *at = text.data + text.length - tail.length;
    return memcmp(at, tail.data, tail.length) == 0 &&
           (at == text.data || at[-1] == separator);
}

/* "billing/" is a folder somewhere on the way to the file. */
static bool is_below(struct flame_slice file, struct flame_slice folder)
{
    for (size_t i = 0; i + folder.length < file.length; i++) {
        if ((i == 0 || file.data[i - 1] == '/') &&
            memcmp(file.data + i, folder.data, folder.length) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_in(struct flame_slice file, struct flame_slice wanted)
{
    return wanted.length > 0 && wanted.data[wanted.length - 1] == '/'
               ? is_below(file, wanted)
               : has_tail(file, wanted, '/');
}

/* "select (selectors.py)": the function's name, and where there is one, the file's. */
bool flame_function_matches(const struct flame_function *function, const char *pattern)
{
    const char *open = strstr(pattern, " (");
    struct flame_slice name = flame_slice_of(pattern);
    struct flame_slice file = {"", 0};

    if (open != NULL && pattern[name.length - 1] == ')') {
        const char *end = pattern + name.length - 1;
        name.length = (size_t)(open - pattern);
        file = (struct flame_slice){open + 2, (size_t)(end - open - 2)};
    }
    return (flame_slice_is(name, "*") || has_tail(function->name, name, '.')) &&
           (file.length == 0 || is_in(function->file, file));
}

/* What a thread does that runs no Python function. */
static bool is_thread(const struct flame_function *function)
{
    return flame_function_is_synthetic(function) &&
           flame_slice_begins(function->name, "[thread ");
}

/* first: by the patterns that begin with FIRST, else by the others. */
static bool is_idle(const struct flame_function *function, const char *const *patterns,
                    bool first)
{
    for (; *patterns != NULL; patterns++) {
        const char *pattern = *patterns;
        if ((pattern[0] == FIRST) != first) {
            continue;
        }
        if (strcmp(pattern, "[thread]") == 0
                ? is_thread(function)
                : flame_function_matches(function, pattern + first)) {
            return true;
        }
    }
    return false;
}

bool flame_function_is_call(const struct flame_function *function)
{
    return function->name.length > 0 &&
           function->name.data[function->name.length - 1] == ')';
}

/* Adds what is called by a thread's first function that is idle as a whole. A place
 * stands behind its parent. False: out of memory. */
static bool add_firsts(const struct flame_tree *tree, const uint32_t *parents,
                       const char *const *patterns, bool *idle)
{
    bool *below = calloc(tree->place_count, sizeof *below);

    for (uint32_t i = 1; below != NULL && i < tree->place_count; i++) {
        const struct flame_function *above =
            &tree->functions[tree->places[parents[i]].function];
        below[i] =
            below[parents[i]] ||
            ((parents[i] == 0 || is_thread(above)) &&
             is_idle(&tree->functions[tree->places[i].function], patterns, true));
        idle[i] = idle[i] || below[i];
    }
    free(below);
    return below != NULL;
}

/* By place: its own time is idle. NULL: out of memory. */
static bool *find_idle(const struct flame_tree *tree, const char *const *patterns)
{
    bool *functions = malloc(tree->function_count * sizeof *functions);
    bool *idle = malloc(tree->place_count * sizeof *idle);
    uint32_t *parents = flame_tree_parents(tree);
    bool ok = functions != NULL && idle != NULL && parents != NULL;

    for (uint32_t i = 0; ok && i < tree->function_count; i++) {
        functions[i] = is_idle(&tree->functions[i], patterns, false);
    }
    for (uint32_t i = 0; ok && i < tree->place_count; i++) {
        uint32_t function = tree->places[i].function;
        uint32_t above = tree->places[parents[i]].function;
        idle[i] =
            functions[function] ||
            (flame_function_is_call(&tree->functions[function]) && functions[above]);
    }
    ok = ok && add_firsts(tree, parents, patterns, idle);
    free(functions);
    free(parents);
    if (!ok) {
        free(idle);
        idle = NULL;
    }
    return idle;
}

struct flame_tree *flame_tree_without_idle(const struct flame_tree *tree,
                                           const char *const *patterns,
                                           struct flame_left_out *left_out)
{
    bool *idle = find_idle(tree, patterns);
    struct flame_tree *rest = NULL;

    *left_out = (struct flame_left_out){0};
    for (uint32_t i = 0; idle != NULL && i < tree->place_count; i++) {
        if (idle[i]) {
            left_out->weight += tree->places[i].self;
            left_out->samples += flame_place_self_samples(tree, i);
        }
    }
    if (idle != NULL) {
        rest = flame_tree_without(tree, idle);
    }
    free(idle);
    return rest;
}

struct flame_tally flame_tree_tally(const struct flame_tree *tree)
{
    struct flame_tally tally = {.weight = tree->places[0].total,
                                .samples = flame_place_samples(tree, 0)};

    for (uint32_t i = 0; i < tree->place_count; i++) {
        tally.stacks +=
            tree->places[i].self != 0 || flame_place_self_samples(tree, i) != 0;
    }
    return tally;
}
