/*
 * Is this process the uWSGI and the Python the plugin was built for?
 *
 * uWSGI has no ABI check: a plugin built for one release loads into another
 * and reads its structures at the wrong offsets. So nothing of `uwsgi.*` and
 * nothing of CPython may be touched before flame_host_check() said yes.
 */
#ifndef FLAME_PLUGIN_HOST_H
#define FLAME_PLUGIN_HOST_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Compares versions and layout-relevant build flags by function calls only; and
 * Python must not run yet, since only then the process can have one sampler.
 * False: one sentence that says what does not fit stands in `why`.
 * Main thread, before the first fork.
 */
bool flame_host_check(char *why, size_t size);

/* "uWSGI 2.0.21, Python 3.11.2"; static, valid after flame_host_check(). */
const char *flame_host_name(void);

#endif
