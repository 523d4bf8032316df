/* What the parts of request.h's implementation offer each other. */
#ifndef FLAME_MIDDLEWARE_PARTS_H
#define FLAME_MIDDLEWARE_PARTS_H

#include "middleware/request.h"

/* params.c: true if the query asks for a profile (flamegraph=1, parsed). */
bool flame_params_asked(struct flame_slice query);
/* True if it asks for a profile that was kept (flamegraph_profile=...). */
bool flame_params_kept(struct flame_slice query);
/* True if it wants the badge back (flamegraph_panel=1). */
bool flame_params_panel(struct flame_slice query);
/* Fills in what the query says, over the defaults that stand in params.
 * 0, or -EINVAL and one sentence for the person who asked. */
int flame_params_read(struct flame_slice query, struct flame_params *params,
                      char sentence[FLAME_SENTENCE_SIZE]);

#endif
