/*
 * What stands in the place of the python plugin's request function.
 *
 * Per request one look at the query string; a request that asks for a profile
 * and may is watched by a session of its own and answered with the picture.
 */
#ifndef FLAME_PLUGIN_TRAMPOLINE_H
#define FLAME_PLUGIN_TRAMPOLINE_H

#include "middleware/request.h"

/*
 * Puts the trampoline in place. Once, main thread, in post_init, after
 * flame_python_find() said yes. `config` is kept, and only what each worker
 * finds out of it (names.roots) changes from now on.
 * `refusal`: when not NULL a profile cannot be had in this server, and this
 * sentence is the answer (503) to those who may ask. 0 or -ENOMEM.
 */
int flame_trampoline_install(struct flame_config *config, const char *refusal);

/* In each worker after its fork, when it was installed. */
void flame_trampoline_post_fork(void);

#endif
