#include "middleware/command/program.h"
#include "middleware/command/run.h"
#include "middleware/command/sign.h"
#include "renderer/command/command.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: flameprof run [options] SCRIPT|-m MODULE|-c CODE [ARGS]\n"
    "       flameprof render [options] [FILE|-]\n"
    "       flameprof diff [options] BEFORE AFTER\n"
    "       flameprof sign [options]\n";
static const char others[] =
    "      --help             show this help\n"
    "      --version          show the version\n"
    "\n"
    "exit status: 0 all well; 1 cannot read, draw or write; 2 wrong command line;\n"
    "3 a picture was written, but there was nothing to draw in it. Of run: the "
    "script's.\n";

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {{"run", flame_run_command},
                {"render", flame_render_command},
                {"diff", flame_render_command},
                {"sign", flame_sign_command}};

static int say_help(void)
{
    bool said = printf("%s\n%s\n%s\n%s\n%s", usage, flame_run_help, flame_render_help,
                       flame_sign_help, others) > 0;

    return said && fflush(stdout) == 0 ? 0 : FLAME_EXIT_FAILED;
}

static int say_version(void)
{
    return puts("flameprof " FLAME_VERSION) >= 0 && fflush(stdout) == 0
               ? 0
               : FLAME_EXIT_FAILED;
}

/* Anywhere among the options; of run only in front, since most are the script's. */
static bool wants_help(int argc, char **argv)
{
    int last = strcmp(argv[0], "run") == 0 && argc > 2 ? 2 : argc;

    for (int i = 1; i < last && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            return true;
        }
    }
    return false;
}

int flame_program(int argc, char **argv)
{
    optind = 0; /* whoever called getopt() before */
    if (argc < 2) {
        return flame_misused("a command is missing", "run, render, diff or sign");
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            return wants_help(argc - 1, argv + 1) ? say_help()
                                                  : commands[i].run(argc - 1, argv + 1);
        }
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        return say_help();
    }
    return strcmp(argv[1], "--version") == 0
               ? say_version()
               : flame_misused("no such command, but run, render, diff and sign",
                               argv[1]);
}
