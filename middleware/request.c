/* The decision: asked at all, by whom, for what. */
#include "middleware/parts.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define REFUSALS_EVERY_S 60

/* A line a minute at most, whatever knocks. */
static void count_refusal(struct flame_slice remote, const char *why,
                          void (*log)(const char *line))
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static unsigned long refused;
    static time_t quiet_until;
    struct timespec now;
    unsigned long count = 0;
    char line[400];
    char from[64];
    size_t length = remote.length < sizeof from - 1 ? remote.length : sizeof from - 1;

    clock_gettime(CLOCK_MONOTONIC, &now);
    pthread_mutex_lock(&lock);
    refused++;
    if (now.tv_sec >= quiet_until) {
        quiet_until = now.tv_sec + REFUSALS_EVERY_S;
        count = refused;
        refused = 0;
    }
    pthread_mutex_unlock(&lock);
    if (count == 0 || log == NULL) {
        return;
    }
    for (size_t i = 0; i < length; i++) {
        char c = remote.data[i];
        from[i] = c > ' ' && c < 0x7f ? c : '?';
    }
    from[length] = '\0';
    snprintf(
        line, sizeof line,
        "[flameprof] %lu request%s for a flame graph refused, the last from %s: %s",
        count, count == 1 ? "" : "s", length == 0 ? "(no address)" : from, why);
    log(line);
}

static bool is(struct flame_slice slice, const char *text)
{
    return slice.data != NULL && slice.length == strlen(text) &&
           memcmp(slice.data, text, slice.length) == 0;
}

enum flame_decision flame_request_decide(const struct flame_config *config,
                                         flame_lookup *lookup, void *door_request,
                                         void (*log)(const char *line),
                                         struct flame_params *params,
                                         char sentence[FLAME_SENTENCE_SIZE])
{
    struct flame_slice query = lookup(door_request, "QUERY_STRING");
    struct flame_slice method = lookup(door_request, "REQUEST_METHOD");
    bool head = is(method, "HEAD");

    if (query.data == NULL || (!head && !is(method, "GET")) ||
        lookup(door_request, FLAME_TAKEN).data != NULL) {
        return FLAME_ORDINARY;
    }
    bool kept = config->shelf != NULL && flame_params_kept(query);
    if (!kept && !flame_params_asked(query)) {
        return FLAME_ORDINARY;
    }
    if (!flame_allowed(config, lookup, door_request)) {
        count_refusal(
            lookup(door_request, "REMOTE_ADDR"),
            config->authorize != NULL
                ? "authorize did not let it, or it came from another site"
                : "only direct requests from this host may ask; --flameprof-allow "
                  "NETWORK (uWSGI) or allow=[NETWORK] (Middleware) widens that",
            log);
        return FLAME_ORDINARY;
    }
    query = lookup(door_request, "QUERY_STRING"); /* authorize() may be anything */
    if (query.data == NULL) {
        return FLAME_ORDINARY;
    }
    *params = (struct flame_params){.interval_ns = config->interval_ns,
                                    .format = FLAME_FORMAT_SVG,
                                    .repeat = 1,
                                    .head = head};
    if (flame_params_read(query, params, sentence) != 0) {
        return FLAME_MALFORMED;
    }
    return kept ? FLAME_KEPT : FLAME_PROFILE;
}

struct flame_session_options flame_session_options_of(const struct flame_params *params,
                                                      uint64_t max_ns)
{
    return (struct flame_session_options){.interval_ns = params->interval_ns,
                                          .max_ns = max_ns,
                                          .lines = params->lines,
                                          .threads = params->threads,
                                          .greenlets = params->greenlets};
}

const char *flame_start_error_sentence(int error)
{
    switch (error) {
    case -EBUSY:
        return "Too many profiles are being taken at this moment: ask again later.";
    case -EAGAIN:
        return "No profile can be taken now: the system lets no further thread start.";
    case -ENOMEM:
        return "No profile can be taken now: there is no memory for it.";
    case -EINVAL:
        return "The interval is out of range: it takes " FLAME_INTERVAL_ACCEPTED ".";
    default:
        return "No profile can be taken here: this system does not offer what sampling "
               "needs.";
    }
}
