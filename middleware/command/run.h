/* flameprof run: a script's profile. What runs it is Python's `flameprof.run`. */
#ifndef FLAME_MIDDLEWARE_COMMAND_RUN_H
#define FLAME_MIDDLEWARE_COMMAND_RUN_H

/* As renderer/command/command.h has it; returns only if there is no Python to go on. */
int flame_run_command(int argc, char **argv);
extern const char flame_run_help[];

#endif
