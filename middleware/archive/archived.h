/*
 * What requests want of the archive (--flameprof-dir): its list and its profiles under
 * --flameprof-url, and to be kept there themselves. Both doors; knows neither.
 */
#ifndef FLAME_MIDDLEWARE_ARCHIVED_H
#define FLAME_MIDDLEWARE_ARCHIVED_H

#include "middleware/archive/archive.h"
#include "middleware/request.h"

#include <string.h>

#define FLAME_URL "/_flameprof/"

/*
 * Once a door's options are read: makes `archive`, which it owns, the configuration's,
 * if there is a dir. 0; or -EINVAL and a sentence: the url is no "/path/", or the dir
 * is too long a path.
 */
int flame_archived_configure(struct flame_config *config, struct flame_shelf *archive,
                             char sentence[FLAME_SENTENCE_SIZE]);

/* True if this path may be the archive's: cheap, for the path of every request. */
static inline bool flame_archived_mentions(const struct flame_config *config,
                                           struct flame_slice path)
{
    return config->archive != NULL && path.length >= config->url_length &&
           memcmp(path.data, config->url, config->url_length) == 0;
}

/* What is wanted. */
struct flame_wanted {
    enum { FLAME_WANTS_LIST, FLAME_WANTS_PROFILE, FLAME_WANTS_NOTHING } what;
    int order;                  /* of the list */
    struct flame_params params; /* of the picture */
};

/*
 * Decides about a request whose path flame_archived_mentions(). FLAME_ORDINARY: it is
 * not for us, or comes from somebody who may not, which is counted and logged as of
 * flame_request_decide(); FLAME_MALFORMED: the sentence for a 400; FLAME_KEPT:
 * flame_archived_answer() has the answer. wanted->params.head is set in any case.
 */
enum flame_decision flame_archived_decide(const struct flame_config *config,
                                          flame_lookup *lookup, void *door_request,
                                          void (*log)(const char *line),
                                          struct flame_wanted *wanted,
                                          char sentence[FLAME_SENTENCE_SIZE]);

/* Reads files and draws, within the limits: any thread, no GIL. The owner frees the
 * answer. */
void flame_archived_answer(const struct flame_config *config,
                           const struct flame_wanted *wanted,
                           struct flame_answer *answer);

/* One of a shelf, which the archive is or the panel has; the same. */
void flame_archived_draw(const struct flame_config *config,
                         const struct flame_shelf *shelf,
                         const struct flame_params *params,
                         struct flame_answer *answer);

/*
 * Of a request that asks for a profile: whether what it wants of the archive can be
 * had. 0, or -EINVAL and a sentence for the person who asked.
 */
int flame_archived_check(const struct flame_config *config,
                         const struct flame_params *params,
                         char sentence[FLAME_SENTENCE_SIZE]);

/* The facts of a request, but for why and the profile's own; it ends now. */
void flame_archived_facts(const struct flame_outcome *outcome, uint64_t duration_ns,
                          struct flame_facts *facts);

#endif
