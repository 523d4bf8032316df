/*
 * --flameprof-authorize module:callable: a function of the application's says who may
 * have a profile, in place of the rules about addresses, as Middleware(authorize=)
 * does.
 *
 * It is asked before the python plugin takes the request, in the interpreter of the
 * application that the request is for, and imported there when it is first needed: what
 * cannot be imported is logged once by each worker, and lets nobody in. Nor is anybody
 * let in by an application that is still to be loaded by the request itself.
 */
#ifndef FLAME_PLUGIN_AUTHORITY_H
#define FLAME_PLUGIN_AUTHORITY_H

#include "middleware/request.h"

#define FLAME_AUTHORITY_ACCEPTED "a function such as shop.users:may"

/* Whether this is "module:callable". */
bool flame_authority_is_name(const char *text);

/*
 * Main thread, in post_init: from now on `config` asks the function of this name, which
 * is kept. door_request is a wsgi_request, whose variables have been parsed; its
 * thread, GIL not held. 0 or -ENOMEM.
 */
int flame_authority_install(struct flame_config *config, const char *name);

#endif
