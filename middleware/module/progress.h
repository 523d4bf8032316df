/*
 * A line on the terminal that says how far a run is: the last one, which what the
 * terminal scrolls leaves alone meanwhile. It is on standard error; all of it is
 * silent where that is no terminal, or not at this moment: in the background, under
 * a program that draws on the whole screen or edits its lines itself.
 */
#ifndef FLAME_MIDDLEWARE_PROGRESS_H
#define FLAME_MIDDLEWARE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct flame_progress {
    struct stat terminal; /* as it was: the application may open another file as 2 */
    int rows;             /* of the terminal, with our line; 0: it is not there */
};

/* False: nobody would see it. Not in a thread beside one that changes the environment.
 */
bool flame_progress_open(struct flame_progress *progress);
/* One thread at a time. */
void flame_progress_show(struct flame_progress *progress, uint64_t elapsed_ns,
                         uint64_t samples);
/* As if there had been nothing. */
void flame_progress_erase(struct flame_progress *progress);

#endif
