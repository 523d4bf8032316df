/*
 * The program `flameprof`: its sub-commands, and what it says of itself. Python's
 * `python -m flameprof` is the same, through the extension module.
 */
#ifndef FLAME_MIDDLEWARE_COMMAND_PROGRAM_H
#define FLAME_MIDDLEWARE_COMMAND_PROGRAM_H

/* A whole command line; argv[0] is not looked at. Returns the exit status. Not from two
 * threads at once: getopt() has one state. */
int flame_program(int argc, char **argv);

#endif
