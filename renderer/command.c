/*
 * The program `flameprof`: pictures from folded stacks.
 *
 * Exit codes: 0 all well; 1 the input could not be read, or the output not be
 * made or written; 2 the command line makes no sense; 3 a picture was written,
 * but there was nothing to draw in it.
 */
#include "renderer/renderer.h"
#include "renderer/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_NOTHING = 3 };

static const char HELP[] =
    "usage: flameprof render [options] [FILE|-]\n"
    "       flameprof diff [options] BEFORE AFTER\n"
    "\n"
    "Draws folded stacks (\"root;child;leaf 42\" per line), as flameprof writes\n"
    "them with flamegraph_format=folded, or as other profilers do.\n"
    "Reads FILE, or standard input; writes to standard output. diff draws AFTER, and\n"
    "what has become more since BEFORE in red, what has become less in blue.\n"
    "\n"
    "  -o, --output FILE      write to FILE instead\n"
    "  -f, --format FORMAT    " FLAME_FORMAT_NAMES "\n"
    "                         (default: by the ending of the output FILE, else svg)\n"
    "  -t, --title TITLE      what stands above the graph (default: the file's name)\n"
    "  -u, --unit UNIT        what the numbers count: microseconds (default) or\n"
    "                         samples, as most other profilers write\n"
    "  -a, --absolute         diff: compare the numbers, not their shares of the "
    "whole\n"
    "      --help             show this help\n"
    "      --version          show the version\n"
    "\n"
    "exit status: 0 all well; 1 cannot read, draw or write; 2 wrong command line;\n"
    "3 a picture was written, but there was nothing to draw in it.\n";

struct command {
    const char *input;  /* "-": standard input */
    const char *before; /* of a difference; NULL: there is none */
    const char *output;
    const char *title;
    enum flame_format format;
    bool format_given;
    enum flame_unit unit;
    bool absolute;
};

static int complain(const char *what, const char *detail)
{
    fprintf(stderr, "flameprof: %s: %s\n", what, detail);
    return EXIT_FAILED;
}

static int misused(const char *what, const char *detail)
{
    fprintf(stderr, "flameprof: %s: %s\nTry: flameprof --help\n", what, detail);
    return EXIT_USAGE;
}

/* ---- the command line ----------------------------------------------------------- */

static bool parse_unit(const char *name, enum flame_unit *unit)
{
    *unit = strcmp(name, "samples") == 0 ? FLAME_UNIT_SAMPLES : FLAME_UNIT_MICROSECONDS;
    return *unit == FLAME_UNIT_SAMPLES || strcmp(name, "microseconds") == 0 ||
           strcmp(name, "us") == 0;
}

static void format_from_ending(struct command *command)
{
    const char *dot = command->output != NULL ? strrchr(command->output, '.') : NULL;

    command->format = FLAME_FORMAT_SVG;
    if (dot != NULL) {
        (void)flame_format_from_name(flame_slice_of(dot + 1), &command->format);
    }
}

static int parse_option(struct command *command, int option)
{
    switch (option) {
    case 'o':
        command->output = optarg;
        return 0;
    case 't':
        command->title = optarg;
        return 0;
    case 'a':
        command->absolute = true;
        return 0;
    case 'f':
        command->format_given = true;
        if (flame_format_from_name(flame_slice_of(optarg), &command->format) == 0) {
            return 0;
        }
        return misused("no such format (" FLAME_FORMAT_NAMES ")", optarg);
    case 'u':
        if (parse_unit(optarg, &command->unit)) {
            return 0;
        }
        return misused("no such unit (microseconds and samples are)", optarg);
    default:
        fputs("Try: flameprof --help\n", stderr);
        return EXIT_USAGE;
    }
}

/* What is left of the command line: what to read. */
static int parse_inputs(struct command *command, int count, char **inputs,
                        bool difference)
{
    if (!difference && count > 1) {
        return misused("one input at a time", inputs[1]);
    }
    if (difference && count != 2) {
        return misused("two inputs, what was before and what is after",
                       count > 2 ? inputs[2] : "diff");
    }
    command->before = difference ? inputs[0] : NULL;
    command->input = count > 0 ? inputs[count - 1] : "-";
    return 0;
}

/* Returns 0, or an exit status. argv[0] is the sub-command. */
static int parse(struct command *command, int argc, char **argv)
{
    static const struct option options[] = {{"output", required_argument, NULL, 'o'},
                                            {"format", required_argument, NULL, 'f'},
                                            {"title", required_argument, NULL, 't'},
                                            {"unit", required_argument, NULL, 'u'},
                                            {"absolute", no_argument, NULL, 'a'},
                                            {NULL, 0, NULL, 0}};
    int option;

    while ((option = getopt_long(argc, argv, "o:f:t:u:a", options, NULL)) != -1) {
        int wrong = parse_option(command, option);
        if (wrong != 0) {
            return wrong;
        }
    }
    int status = parse_inputs(command, argc - optind, argv + optind,
                              strcmp(argv[0], "diff") == 0);
    if (status != 0) {
        return status;
    }
    if (!command->format_given) {
        format_from_ending(command);
    }
    if (command->title == NULL) {
        const char *slash = strrchr(command->input, '/');
        command->title = slash != NULL ? slash + 1 : command->input;
        if (strcmp(command->input, "-") == 0) {
            command->title = "Flame graph";
        }
    }
    return 0;
}

/* ---- reading and writing -----------------------------------------------------------
 */

static int read_all(int descriptor, struct flame_writer *writer)
{
    char *buffer = malloc(1 << 20);
    ssize_t got = 1;

    if (buffer == NULL) {
        return -ENOMEM;
    }
    while (got != 0 && writer->error == 0) {
        got = read(descriptor, buffer, 1 << 20);
        if (got > 0) {
            flame_write_bytes(writer, buffer, (size_t)got);
        } else if (got < 0 && errno != EINTR) {
            writer->error = -errno;
        }
    }
    free(buffer);
    return writer->error;
}

static int read_input(const char *path, struct flame_writer *writer)
{
    int descriptor = STDIN_FILENO;
    int error;

    if (strcmp(path, "-") == 0) {
        return read_all(descriptor, writer);
    }
    descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return -errno;
    }
    error = read_all(descriptor, writer);
    close(descriptor);
    return error;
}

static int write_all(int descriptor, const char *data, size_t length)
{
    while (length != 0) {
        ssize_t put = write(descriptor, data, length);
        if (put < 0 && errno != EINTR) {
            return -errno;
        }
        if (put > 0) {
            data += put;
            length -= (size_t)put;
        }
    }
    return 0;
}

static int write_output(const char *path, const struct flame_writer *writer)
{
    int descriptor;
    int error;

    if (path == NULL || strcmp(path, "-") == 0) {
        return write_all(STDOUT_FILENO, writer->data, writer->length);
    }
    descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (descriptor < 0) {
        return -errno;
    }
    error = write_all(descriptor, writer->data, writer->length);
    if (close(descriptor) != 0 && error == 0) {
        error = -errno;
    }
    return error;
}

/* ---- render -------------------------------------------------------------------------
 */

static void describe_ignored(uint64_t ignored, struct flame_writer *warning)
{
    if (ignored == 0) {
        return;
    }
    flame_write_grouped(warning, ignored);
    flame_write_text(warning, ignored == 1
                                  ? " line of the input made no sense and was ignored."
                                  : " lines of the input made no sense and were "
                                    "ignored.");
    fprintf(stderr, "flameprof: %.*s\n", (int)warning->length, warning->data);
}

static int draw(const struct command *command, const struct flame_tree *tree,
                uint64_t ignored)
{
    struct flame_writer warning = {0};
    struct flame_writer output = {0};
    int status = 0;
    int error;

    describe_ignored(ignored, &warning);
    struct flame_picture_options options = {
        .title = flame_slice_of(command->title),
        .warning = flame_writer_slice(&warning),
    };
    error = flame_render(command->format, tree, &options, &output);
    if (error != 0) {
        status = complain(command->input, flame_render_error(error));
    } else {
        error = write_output(command->output, &output);
        if (error != 0) {
            status = complain(command->output != NULL ? command->output : "output",
                              strerror(-error));
        }
    }
    flame_writer_free(&warning);
    flame_writer_free(&output);
    return status;
}

/* NULL: it has been said why. */
static struct flame_tree *read_tree(const char *path, enum flame_unit unit,
                                    uint64_t *ignored)
{
    struct flame_writer input = {0};
    struct flame_tree *tree = NULL;
    uint64_t here = 0;
    int error = read_input(path, &input);

    if (error == 0) {
        tree = flame_tree_from_folded(input.data, input.length, unit, &here);
        error = tree == NULL ? -ENOMEM : 0;
    }
    if (error != 0) {
        complain(path, strerror(-error));
    }
    flame_writer_free(&input);
    *ignored += here;
    return tree;
}

/* What the command line asks to draw; NULL: it has been said why not. */
static struct flame_tree *read_inputs(const struct command *command, uint64_t *ignored)
{
    struct flame_tree *after = read_tree(command->input, command->unit, ignored);

    if (after == NULL || command->before == NULL) {
        return after;
    }
    struct flame_tree *before = read_tree(command->before, command->unit, ignored);
    struct flame_tree *difference = NULL;
    if (before != NULL) {
        difference = flame_tree_difference(before, after, command->absolute);
        if (difference == NULL) {
            complain(command->before, strerror(ENOMEM));
        }
    }
    flame_tree_free(before);
    flame_tree_free(after);
    return difference;
}

static int render(int argc, char **argv)
{
    struct command command = {0};
    uint64_t ignored = 0;
    int status = parse(&command, argc, argv);

    if (status != 0) {
        return status;
    }
    struct flame_tree *tree = read_inputs(&command, &ignored);
    if (tree == NULL) {
        return EXIT_FAILED;
    }
    status = draw(&command, tree, ignored);
    if (status == 0 && flame_tree_is_empty(tree)) {
        complain(command.input, "no samples in it");
        status = EXIT_NOTHING;
    }
    flame_tree_free(tree);
    return status;
}

static int say(const char *text)
{
    return fputs(text, stdout) < 0 || fflush(stdout) != 0 ? EXIT_FAILED : 0;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        return misused("a command is missing", "render or diff");
    }
    if (strcmp(argv[1], "render") == 0 || strcmp(argv[1], "diff") == 0) {
        for (int i = 2; i < argc && strcmp(argv[i], "--") != 0; i++) {
            if (strcmp(argv[i], "--help") == 0) {
                return say(HELP);
            }
        }
        return render(argc - 1, argv + 1);
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        return say(HELP);
    }
    if (strcmp(argv[1], "--version") == 0) {
        return say("flameprof " FLAME_VERSION "\n");
    }
    return misused("no such command", argv[1]);
}
