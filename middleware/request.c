/* The decision: asked at all, by whom, for what. */
#include "middleware/access/access.h"
#include "middleware/archive/archived.h"
#include "middleware/common/limits.h"
#include "middleware/parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool is(struct flame_slice slice, const char *text)
{
    return slice.data != NULL && slice.length == strlen(text) &&
           memcmp(slice.data, text, slice.length) == 0;
}

bool flame_request_may(const struct flame_config *config, flame_lookup *lookup,
                       void *door_request, void (*log)(const char *line),
                       struct flame_access *access)
{
    flame_access_check(config, lookup, door_request, access);
    if (access->verdict == FLAME_MAY) {
        return true;
    }
    flame_refused(access->verdict, lookup(door_request, "REMOTE_ADDR"), log);
    return false;
}

bool flame_request_spend(struct flame_access *access, flame_lookup *lookup,
                         void *door_request, void (*log)(const char *line),
                         struct flame_receipt *receipt)
{
    if (flame_access_spend(access)) {
        receipt->spent = access->once;
        memcpy(receipt->digest, access->digest, sizeof receipt->digest);
        return true;
    }
    flame_refused(access->verdict, lookup(door_request, "REMOTE_ADDR"), log);
    return false;
}

/* What a token allows is less than what everybody else may ask for. */
static int check_interval(const struct flame_params *params, uint64_t least_ns,
                          char sentence[FLAME_SENTENCE_SIZE])
{
    if (params->interval_ns >= least_ns) {
        return 0;
    }
    snprintf(sentence, FLAME_SENTENCE_SIZE,
             "The interval is too small for this token: it allows %" PRIu64
             ".%09" PRIu64 " seconds and more.",
             least_ns / 1000000000, least_ns % 1000000000);
    return -EINVAL;
}

int flame_params_check_scope(const struct flame_params *params,
                             char sentence[FLAME_SENTENCE_SIZE])
{
    if (params->kept.length == 0 && params->diff.length == 0) {
        return 0;
    }
    snprintf(sentence, FLAME_SENTENCE_SIZE,
             "%s: a signed link is for its own path, and this is kept of any.",
             params->kept.length != 0 ? "flamegraph_profile" : "flamegraph_diff");
    return -EINVAL;
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

    bool safe = head || is(method, "GET");

    if (query.data == NULL || (!safe && !config->unsafe_methods) ||
        lookup(door_request, FLAME_TAKEN).data != NULL) {
        return FLAME_ORDINARY;
    }
    bool kept = safe && config->shelf != NULL && flame_query_asks_for_kept(query);
    if (!kept && !flame_query_asks(query)) {
        return FLAME_ORDINARY;
    }
    struct flame_access access;
    if (!flame_request_may(config, lookup, door_request, log, &access)) {
        return FLAME_ORDINARY;
    }
    query = lookup(door_request, "QUERY_STRING"); /* authorize() may be anything */
    if (query.data == NULL) {
        return FLAME_ORDINARY;
    }
    *params = (struct flame_params){.interval_ns =
                                        config->interval_ns > access.interval_min_ns
                                            ? config->interval_ns
                                            : access.interval_min_ns,
                                    .format = FLAME_FORMAT_SVG,
                                    .repeat = 1,
                                    .push = &config->push,
                                    .head = head,
                                    .archive = config->archive,
                                    .max_bytes = (size_t)config->max_picture_bytes};
    if (flame_params_read(query, params, sentence) != 0 ||
        (access.by_token && flame_params_check_scope(params, sentence) != 0) ||
        check_interval(params, access.interval_min_ns, sentence) != 0) {
        flame_count(FLAME_COUNT_REFUSED_MALFORMED, 1);
        return FLAME_MALFORMED;
    }
    if (!safe) {
        params->repeat = 1; /* what it does is done once */
    }
    if (flame_archived_check(config, params, sentence) != 0) {
        flame_count(FLAME_COUNT_REFUSED_MALFORMED, 1);
        return FLAME_MALFORMED;
    }
    if (!flame_limits_allow_interval(config, params->interval_ns, sentence)) {
        return FLAME_MALFORMED;
    }
    if (!flame_request_spend(&access, lookup, door_request, log, &params->receipt)) {
        return FLAME_ORDINARY;
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
