/*
 * Who is about to be killed writes down what was seen of it.
 *
 * uWSGI's master kills a worker with SIGKILL when a request's harakiri is over, or a
 * reload's mercy; the request's own thread may never run Python again. So while a
 * watched request runs, and there is an archive, a thread of ours reads what the master
 * will go by, and ends and writes the profile just before. It never takes the GIL and
 * has every signal blocked.
 */
#ifndef FLAME_PLUGIN_VIGIL_H
#define FLAME_PLUGIN_VIGIL_H

#include "middleware/archive/archive.h"

struct flame_watch;

/* Once, before requests run. 0 or -ENOMEM. */
int flame_vigil_install(const struct flame_shelf *archive);

/*
 * From here to _end() the watch may be cut short and written by the vigil's thread, and
 * then has watch->written. Its facts and name are filled in. Called by the request's
 * thread, GIL held or not, and not again in between; without a thread nothing happens.
 * _end: before the session is stopped; it waits while it is being written. Does nothing
 * for a watch that was not begun.
 */
void flame_vigil_begin(struct flame_watch *watch);
void flame_vigil_end(struct flame_watch *watch);

/* The process exits, perhaps in a signal's handler in the middle of a request: all
 * watched are written, for two seconds at most. */
void flame_vigil_exit(void);

#endif
