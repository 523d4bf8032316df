/*
 * Signals that end a process where nobody handles them, and a thread of ours that hears
 * of them in time. Of a process: one thread waits, and the handlers are of all.
 */
#ifndef FLAME_MIDDLEWARE_DEADLY_H
#define FLAME_MIDDLEWARE_DEADLY_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * SIGTERM, SIGHUP and SIGQUIT (the key Ctrl-\), where they have their default
 * action, wake who waits below, once: one that comes FLAME_DEADLY_SAID_TWICE_S later
 * kills, and so does a key at once. Until then it is the first said twice, as
 * timeout(1) does, to the process and to its group, and a shell whose terminal is
 * closed. Python does not see that: signal.getsignal() says SIG_DFL, and whoever sets a
 * handler of his own has that one. A forked child dies of them as ever, an executed
 * program has the default. Nothing is done in a container's first process: the kernel
 * keeps from it what it does not handle. Ordinary context, one thread.
 */
enum { FLAME_DEADLY_SAID_TWICE_S = 1 };
void flame_deadly_install(void);
/* Where they are ours still, the default action again. */
void flame_deadly_remove(void);

/*
 * The signal that came, FLAME_DEADLY_NONE or FLAME_DEADLY_OVER. Waits for it, `ns` at
 * most; 0: as long as it takes. One thread.
 */
enum { FLAME_DEADLY_NONE = 0, FLAME_DEADLY_OVER = -1 };
int flame_deadly_wait(uint64_t ns);
/* Whoever waits is told that there is nothing to wait for. False: a signal came before.
 */
bool flame_deadly_over(void);
/* Begins anew. */
void flame_deadly_reset(void);

/* The handler: signal context. */
void flame_deadly_handler_sigsafe(int number, siginfo_t *info, void *context);
/* Wakes who waits. Signal context or any other. */
bool flame_deadly_say_sigsafe(int what);

#endif
