#include "middleware/archive/archived.h"

#include <errno.h>
#include <stdio.h>

#include "middleware/access/access.h"
#include "middleware/archive/listing.h"
#include "middleware/common/limits.h"
#include "middleware/parts.h"

static bool is(struct flame_slice slice, const char *text)
{
    return slice.length == strlen(text) && memcmp(slice.data, text, slice.length) == 0;
}

int flame_archived_configure(struct flame_config *config, struct flame_shelf *archive,
                             char sentence[FLAME_SENTENCE_SIZE])
{
    if (config->url == NULL) {
        config->url = strdup(FLAME_URL);
    }
    config->url_length = config->url == NULL ? 0 : strlen(config->url);
    if (config->url_length < 3 || config->url[0] != '/' ||
        config->url[config->url_length - 1] != '/') {
        snprintf(sentence, FLAME_SENTENCE_SIZE,
                 "url takes a path that begins and ends with a slash, such as "
                 "%s",
                 FLAME_URL);
        return -EINVAL;
    }
    if (config->dir == NULL) {
        return 0;
    }
    if (flame_archive_init(
            archive, (struct flame_slice){config->dir, strlen(config->dir)}) != 0) {
        snprintf(sentence, FLAME_SENTENCE_SIZE, "dir is too long a path");
        return -EINVAL;
    }
    archive->profiles = (uint32_t)config->dir_profiles;
    archive->bytes = config->dir_bytes;
    config->archive = archive;
    return 0;
}

/* ---- the list and its profiles ----------------------------------------------- */

/* "?flamegraph_diff=NAME&flamegraph_profile=NAME", as the list's form sends it. */
static enum flame_decision decide_list(struct flame_slice query,
                                       struct flame_wanted *wanted,
                                       char sentence[FLAME_SENTENCE_SIZE])
{
    wanted->what = FLAME_WANTS_LIST;
    if (flame_listing_order(query, &wanted->order) == 0) {
        return FLAME_KEPT;
    }
    if (!flame_query_mentions_us(query)) {
        return FLAME_KEPT; /* something that a proxy or a person has added */
    }
    wanted->what = FLAME_WANTS_PROFILE;
    if (flame_params_read(query, &wanted->params, sentence) != 0) {
        return FLAME_MALFORMED;
    }
    if (wanted->params.kept.length == 0 && wanted->params.diff.length == 0) {
        wanted->what = FLAME_WANTS_LIST; /* by a signed link, say */
        return FLAME_KEPT;
    }
    if (wanted->params.kept.length == 0 || wanted->params.diff.length == 0) {
        snprintf(sentence, FLAME_SENTENCE_SIZE,
                 "Two profiles are compared: choose what was before, and what is "
                 "after.");
        return FLAME_MALFORMED;
    }
    return FLAME_KEPT;
}

static enum flame_decision decide_one(struct flame_slice name, struct flame_slice query,
                                      bool by_token, struct flame_wanted *wanted,
                                      char sentence[FLAME_SENTENCE_SIZE])
{
    wanted->what = FLAME_WANTS_PROFILE;
    if (flame_params_read(query, &wanted->params, sentence) != 0) {
        return FLAME_MALFORMED;
    }
    if (by_token && flame_params_check_scope(&wanted->params, sentence) != 0) {
        return FLAME_MALFORMED;
    }
    if (name.length != FLAME_SHELF_NAME) {
        wanted->what = FLAME_WANTS_NOTHING;
        return FLAME_KEPT;
    }
    memcpy(wanted->params.kept.data, name.data, name.length);
    wanted->params.kept.length = name.length;
    return FLAME_KEPT;
}

enum flame_decision flame_archived_decide(const struct flame_config *config,
                                          flame_lookup *lookup, void *door_request,
                                          void (*log)(const char *line),
                                          struct flame_wanted *wanted,
                                          char sentence[FLAME_SENTENCE_SIZE])
{
    struct flame_slice method = lookup(door_request, "REQUEST_METHOD");
    bool head = is(method, "HEAD");
    struct flame_access access;

    *wanted = (struct flame_wanted){
        .params = {
            .repeat = 1, .head = head, .max_bytes = (size_t)config->max_picture_bytes}};
    if ((!head && !is(method, "GET")) ||
        !flame_request_may(config, lookup, door_request, log, &access)) {
        return FLAME_ORDINARY;
    }
    /* Only now: authorize() may be anything. */
    struct flame_slice path = lookup(door_request, "PATH_INFO");
    struct flame_slice query = lookup(door_request, "QUERY_STRING");
    if (!flame_archived_mentions(config, path)) {
        return FLAME_ORDINARY;
    }
    path.data += config->url_length;
    path.length -= config->url_length;
    if (query.data == NULL) {
        query = (struct flame_slice){"", 0};
    }
    enum flame_decision decision =
        path.length == 0 ? decide_list(query, wanted, sentence)
                         : decide_one(path, query, access.by_token, wanted, sentence);
    return decision != FLAME_KEPT || flame_request_spend(&access, lookup, door_request,
                                                         log, &wanted->params.receipt)
               ? decision
               : FLAME_ORDINARY;
}

static void answer_list(const struct flame_shelf *archive, int order,
                        struct flame_answer *answer)
{
    struct flame_writer body = {.limit = FLAME_PICTURE_BYTES_DEFAULT};
    int error = flame_listing_write(archive, order, &body);

    if (error != 0) {
        flame_writer_free(&body);
        flame_answer_text(500, "Internal Server Error", flame_shelf_error(error),
                          answer);
        return;
    }
    *answer = (struct flame_answer){.status = 200,
                                    .reason = "OK",
                                    .content_type = "text/html; charset=utf-8",
                                    .security_policy = flame_listing_policy(),
                                    .body = body};
}

void flame_archived_draw(const struct flame_config *config,
                         const struct flame_shelf *shelf,
                         const struct flame_params *params, struct flame_answer *answer)
{
    struct flame_refusal refusal;

    if (!flame_limits_enter_drawing(config, &refusal)) {
        flame_answer_refusal(&refusal, &params->receipt, answer);
        return;
    }
    flame_answer_kept(shelf, params, answer);
    flame_limits_leave_drawing();
}

void flame_archived_answer(const struct flame_config *config,
                           const struct flame_wanted *wanted,
                           struct flame_answer *answer)
{
    switch (wanted->what) {
    case FLAME_WANTS_LIST:
        answer_list(config->archive, wanted->order, answer);
        return;
    case FLAME_WANTS_PROFILE:
        flame_archived_draw(config, config->archive, &wanted->params, answer);
        return;
    case FLAME_WANTS_NOTHING:
        flame_answer_text(404, "Not Found", flame_shelf_error(-ENOENT), answer);
    }
}

/* ---- to be kept -------------------------------------------------------------- */

static const char *problem_of(const struct flame_config *config,
                              const struct flame_params *params)
{
    char byte;

    if (config->archive == NULL) {
        return "nothing is kept here, since there is no --flameprof-dir (uWSGI) or "
               "dir= (Middleware).";
    }
    if (params->keep && params->repeat > 1) {
        return "the answer goes out once, so the application is called once: leave "
               "flamegraph_repeat away.";
    }
    if (params->diff.length == 0) {
        return NULL;
    }
    ssize_t found = flame_shelf_begins(
        config->archive, (struct flame_slice){params->diff.data, params->diff.length},
        &byte, 1);
    return found < 0 ? flame_shelf_error((int)found) : NULL;
}

int flame_archived_check(const struct flame_config *config,
                         const struct flame_params *params,
                         char sentence[FLAME_SENTENCE_SIZE])
{
    if (!params->keep && params->diff.length == 0) {
        return 0;
    }
    const char *problem = problem_of(config, params);
    if (problem == NULL) {
        return 0;
    }
    snprintf(sentence, FLAME_SENTENCE_SIZE, "%s: %s",
             params->keep ? "flamegraph_keep=1" : "flamegraph_diff", problem);
    return -EINVAL;
}

void flame_archived_facts(const struct flame_outcome *outcome, uint64_t duration_ns,
                          struct flame_facts *facts)
{
    *facts = (struct flame_facts){.why = FLAME_WHY_ASKED};
    flame_facts_begun(facts, duration_ns);
    flame_facts_path(facts, outcome->path);
    FLAME_FACT(facts->method, outcome->method);
    FLAME_FACT(facts->status, outcome->status);
    FLAME_FACT(facts->raised, outcome->raised);
    FLAME_FACT(facts->server, outcome->server);
}
