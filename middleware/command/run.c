/* The program hands over to the Python that is to run the script. */
#include "middleware/command/run.h"
#include "renderer/command/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char flame_run_help[] =
    "run runs a Python script, module or code as python3 does, and writes a picture of "
    "where its\n"
    "time went: all threads, each a root. The script notices nothing.\n"
    "\n"
    "  -o, --output FILE      write to FILE; its ending says the format (default: the "
    "script's\n"
    "                         name and .svg, in the current folder)\n"
    "  -i, --interval SECONDS between two samples, 0.00005 to 10 (default 0.001)\n"
    "      --clock CLOCK      which time the widths are: wall (default), cpu, offcpu "
    "or gil\n"
    "      --lines            tell a function's lines apart\n"
    "      --no-idle          leave out what waits for work: flameprof.IDLE\n"
    "  -t, --title TITLE      what stands above it (default: the script's name)\n"
    "      --no-progress      no line on the terminal meanwhile\n"
    "  --                     the script comes next\n"
    "\n"
    "The program takes $PYTHON, else python3; python -m flameprof is the same with "
    "that "
    "python.\n";

/* The current folder is not where modules of ours are looked for. */
static const char hand_over[] =
    "import sys\n"
    "sys.path[:] = [p for p in sys.path if p]\n"
    "try:\n"
    "    from flameprof.command import main\n"
    "except ImportError as error:\n"
    "    sys.exit(f'flameprof: {sys.executable} has no flameprof of ours ({error}): "
    "install it there, or set PYTHON')\n"
    "sys.exit(main())\n";

int flame_run_command(int argc, char **argv)
{
    const char *named = getenv("PYTHON");
    const char *python = named != NULL && named[0] != '\0' ? named : "python3";
    char **words = calloc((size_t)argc + 4, sizeof *words);

    if (words == NULL) {
        fprintf(stderr, "flameprof: %s\n", strerror(ENOMEM));
        return FLAME_EXIT_FAILED;
    }
    words[0] = (char *)python;
    words[1] = "-c";
    words[2] = (char *)hand_over;
    memcpy(words + 3, argv, (size_t)argc * sizeof *words);
    execvp(python, words);
    fprintf(stderr, "flameprof: %s: %s\n", python, strerror(errno));
    free(words);
    return FLAME_EXIT_FAILED;
}
