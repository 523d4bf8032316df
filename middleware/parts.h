/* What the parts of request.h's implementation offer each other. */
#ifndef FLAME_MIDDLEWARE_PARTS_H
#define FLAME_MIDDLEWARE_PARTS_H

#include "middleware/request.h"

/* query.c: true if the query asks for a profile (flamegraph=1, parsed). */
bool flame_query_asks(struct flame_slice query);
/* True if it asks for a profile that was kept (flamegraph_profile=...). */
bool flame_query_asks_for_kept(struct flame_slice query);
/* True if it wants the badge back (flamegraph_panel=1). */
bool flame_query_asks_for_badge(struct flame_slice query);
/* The first flamegraph_token=; empty if it is too long for one. False: there is none.
 */
bool flame_query_token(struct flame_slice query, struct flame_params_text *token);
/* True if this "key=value" of a query is a token's, however its key is spelled. */
bool flame_query_is_token(struct flame_slice pair);
/* answer.c: as much of a path with its query as fits, with "..." for a token's value:
 * that is a permission, and a picture or a log is handed on. */
struct flame_slice flame_without_token(struct flame_slice path, char *out, size_t size);
/* params.c: fills in what the query says, over the defaults that stand in params.
 * 0, or -EINVAL and one sentence for the person who asked. */
int flame_params_read(struct flame_slice query, struct flame_params *params,
                      char sentence[FLAME_SENTENCE_SIZE]);
/* request.c: of who has a token only, for another path than its profile's: the name of
 * one that is kept is not enough. 0, or -EINVAL and a sentence: it names one. */
int flame_params_check_scope(const struct flame_params *params,
                             char sentence[FLAME_SENTENCE_SIZE]);

#endif
