/* flameprof sign: a query string that permits a profile of one path. */
#ifndef FLAME_MIDDLEWARE_COMMAND_SIGN_H
#define FLAME_MIDDLEWARE_COMMAND_SIGN_H

/* As renderer/command/command.h has it. */
int flame_sign_command(int argc, char **argv);
extern const char flame_sign_help[];

#endif
