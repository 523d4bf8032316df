/*
 * What the sub-commands of the program `flameprof` share. Each has a function that gets
 * its part of the command line, argv[0] being its name, and returns an exit status.
 */
#ifndef FLAME_RENDERER_COMMAND_H
#define FLAME_RENDERER_COMMAND_H

enum {
    FLAME_EXIT_FAILED = 1,  /* something could not be read, made or written */
    FLAME_EXIT_USAGE = 2,   /* the command line makes no sense */
    FLAME_EXIT_NOTHING = 3, /* a picture was written, but there was nothing to draw */
};

/* render and diff. */
int flame_render_command(int argc, char **argv);
/* Their part of --help. */
extern const char flame_render_help[];

/* Says what is wrong with the command line; returns FLAME_EXIT_USAGE. */
int flame_misused(const char *what, const char *detail);

#endif
