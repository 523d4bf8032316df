/* flameprof render and diff: pictures from folded stacks and from profiles. */
#include "renderer/command/command.h"
#include "renderer/command/files.h"
#include "renderer/numbers.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char flame_render_help[] =
    "render and diff draw folded stacks (\"root;child;leaf 42\" per line), as "
    "flameprof writes\n"
    "them with flamegraph_format=folded or as other profilers do, flameprof's JSON,\n"
    "and pprof's profiles; each may be gzipped.\n"
    "They read FILE, or standard input, and write to standard output. diff draws "
    "AFTER,\n"
    "and what has become more since BEFORE in red, what has become less in blue.\n"
    "\n"
    "  -o, --output FILE      write to FILE instead\n"
    "  -f, --format FORMAT    " FLAME_FORMAT_NAMES "\n"
    "                         (default: by the ending of the output FILE, else svg)\n"
    "  -u, --unit UNIT        what the numbers of folded stacks count: microseconds\n"
    "                         (default) or samples, as most other profilers write\n"
    "  -a, --absolute         diff: compare the numbers, not their shares of the "
    "whole\n"
    "\n"
    "The picture:\n"
    "  -t, --title TITLE      what stands above it (default: what the input says, or "
    "the file's name)\n"
    "      --subtitle TEXT    and below that\n"
    "      --inverted         with the root at the top\n"
    "      --callers          each function by its own time, its callers on it\n"
    "      --colours WHAT     a hue for each " FLAME_COLOURS_NAMES "\n"
    "      --width PIXELS     of the picture without script: " FLAME_WIDTH_RANGE
    " (default 1200)\n"
    "      --smallest PIXELS  narrower frames are not drawn: " FLAME_SMALLEST_RANGE
    " (default 0.5)\n"
    "      --scale FACTOR     of a PNG: " FLAME_SCALE_RANGE " (default 2)\n";

struct command {
    const char *input;  /* "-": standard input */
    const char *before; /* of a difference; NULL: there is none */
    const char *output;
    enum flame_format format;
    bool format_given;
    enum flame_unit unit;
    bool absolute;
    struct flame_picture_options options; /* what the command line says of them */
};

int flame_misused(const char *what, const char *detail)
{
    fprintf(stderr, "flameprof: %s: %s\nTry: flameprof --help\n", what, detail);
    return FLAME_EXIT_USAGE;
}

static int complain(const char *what, const char *detail)
{
    fprintf(stderr, "flameprof: %s: %s\n", what, detail);
    return FLAME_EXIT_FAILED;
}

/* ---- the command line -------------------------------------------------------- */

static bool parse_unit(const char *name, enum flame_unit *unit)
{
    *unit = strcmp(name, "samples") == 0 ? FLAME_UNIT_SAMPLES : FLAME_UNIT_MICROSECONDS;
    return *unit == FLAME_UNIT_SAMPLES || strcmp(name, "microseconds") == 0 ||
           strcmp(name, "us") == 0;
}

static void format_from_ending(struct command *command)
{
    command->format = FLAME_FORMAT_SVG;
    if (command->output != NULL) {
        (void)flame_format_from_path(flame_slice_of(command->output), &command->format);
    }
}

/* Long options without a letter are those of the picture, by their names. */
#define PICTURE_OPTION 256

static int parse_option(struct command *command, int option, const char *name)
{
    const char *problem;

    switch (option) {
    case 'o':
        command->output = optarg;
        return 0;
    case 'a':
        command->absolute = true;
        return 0;
    case 'f':
        command->format_given = true;
        if (flame_format_from_name(flame_slice_of(optarg), &command->format) == 0) {
            return 0;
        }
        return flame_misused("no such format (" FLAME_FORMAT_NAMES ")", optarg);
    case 'u':
        if (parse_unit(optarg, &command->unit)) {
            return 0;
        }
        return flame_misused("no such unit (microseconds and samples are)", optarg);
    case 't':
    case PICTURE_OPTION:
        problem = flame_picture_option(&command->options,
                                       flame_slice_of(option == 't' ? "title" : name),
                                       flame_slice_of(optarg != NULL ? optarg : "1"));
        return problem == NULL ? 0 : flame_misused(problem, optarg);
    default:
        fputs("Try: flameprof --help\n", stderr);
        return FLAME_EXIT_USAGE;
    }
}

/* What is left of the command line: what to read. */
static int parse_inputs(struct command *command, int count, char **inputs,
                        bool difference)
{
    if (!difference && count > 1) {
        return flame_misused("one input at a time", inputs[1]);
    }
    if (difference && count != 2) {
        return flame_misused("two inputs, what was before and what is after",
                             count > 2 ? inputs[2] : "diff");
    }
    command->before = difference ? inputs[0] : NULL;
    command->input = count > 0 ? inputs[count - 1] : "-";
    return 0;
}

/* Returns 0, or an exit status. argv[0] is the sub-command. */
static int parse(struct command *command, int argc, char **argv)
{
    static const struct option options[] = {
        {"output", required_argument, NULL, 'o'},
        {"format", required_argument, NULL, 'f'},
        {"unit", required_argument, NULL, 'u'},
        {"absolute", no_argument, NULL, 'a'},
        {"title", required_argument, NULL, 't'},
        {"subtitle", required_argument, NULL, PICTURE_OPTION},
        {"inverted", no_argument, NULL, PICTURE_OPTION},
        {"callers", no_argument, NULL, PICTURE_OPTION},
        {"colours", required_argument, NULL, PICTURE_OPTION},
        {"width", required_argument, NULL, PICTURE_OPTION},
        {"smallest", required_argument, NULL, PICTURE_OPTION},
        {"scale", required_argument, NULL, PICTURE_OPTION},
        {NULL, 0, NULL, 0}};
    int option;
    int index = 0;

    while ((option = getopt_long(argc, argv, "o:f:t:u:a", options, &index)) != -1) {
        int wrong = parse_option(command, option, options[index].name);
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
    return 0;
}

/* ---- drawing ----------------------------------------------------------------- */

static struct flame_slice file_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (strcmp(path, "-") == 0) {
        return flame_slice_of("Flame graph");
    }
    return flame_slice_of(slash != NULL ? slash + 1 : path);
}

/* "2 lines of x.folded made no sense and were ignored: 4 and 17." */
static void describe_ignored(const char *path, const struct flame_ignored *ignored,
                             struct flame_writer *warning)
{
    bool one = ignored->count == 1;
    uint64_t named =
        ignored->count < FLAME_IGNORED_NAMED ? ignored->count : FLAME_IGNORED_NAMED;
    struct flame_slice name =
        strcmp(path, "-") == 0 ? flame_slice_of("the input") : file_name(path);

    if (ignored->count == 0) {
        return;
    }
    flame_write_text(warning, warning->length != 0 ? " " : "");
    flame_write_grouped(warning, ignored->count);
    flame_write_text(warning, " ");
    flame_write_text(warning, ignored->what);
    flame_write_text(warning, one ? " of " : "s of ");
    flame_write_escaped(warning, name, FLAME_ESCAPE_NONE);
    flame_write_text(warning, one ? " made no sense and was ignored: "
                                  : " made no sense and were ignored: ");
    for (uint64_t i = 0; i < named; i++) {
        bool last = i + 1 == ignored->count;
        flame_write_text(warning, i == 0 ? "" : last ? " and " : ", ");
        flame_write_unsigned(warning, ignored->numbers[i]);
    }
    flame_write_text(warning, named < ignored->count ? ", ..." : ".");
}

/* The command line's, else what the document says of itself. */
static struct flame_picture_options
choose_options(const struct command *command, const struct flame_document *document)
{
    struct flame_picture_options options = command->options;
    const struct flame_picture_options *found = &document->options;

    if (options.title.length == 0) {
        options.title =
            found->title.length != 0 ? found->title : file_name(command->input);
    }
    if (options.subtitle.length == 0) {
        options.subtitle = found->subtitle;
    }
    options.warning = found->warning;
    options.quality = found->quality;
    options.clock = found->clock;
    return options;
}

static int write_picture(const struct command *command, const struct flame_tree *tree,
                         const struct flame_picture_options *options)
{
    struct flame_file file = {.path = command->output, .descriptor = -1};
    struct flame_writer output = {.sink = flame_file_write, .context = &file};
    const char *where = command->output != NULL ? command->output : "standard output";
    int error = flame_render(command->format, tree, options, &output);
    bool writing = output.passed_on != 0; /* or it was tried */
    int status = 0;

    if (error == 0) {
        writing = true;
        error = flame_writer_flush(&output);
    }
    if (error == 0) {
        error = flame_file_write(&file, "", 0); /* there it is, even if it is empty */
    }
    int closing = flame_file_close(&file);
    error = error != 0 ? error : closing;
    if (error != 0) {
        status = writing ? complain(where, strerror(-error))
                         : complain(command->input, flame_render_error(error));
    }
    flame_writer_free(&output);
    return status;
}

/* before: NULL, if there was none. */
static int draw(const struct command *command, const struct flame_tree *tree,
                const struct flame_document *document,
                const struct flame_document *before)
{
    struct flame_writer warning = {0};
    struct flame_picture_options options = choose_options(command, document);

    flame_write_bytes(&warning, document->options.warning.data,
                      document->options.warning.length);
    size_t known = warning.length;
    if (before != NULL) {
        describe_ignored(command->before, &before->ignored, &warning);
    }
    describe_ignored(command->input, &document->ignored, &warning);
    if (warning.error != 0) {
        int error = warning.error;
        flame_writer_free(&warning);
        return complain(command->input, strerror(-error));
    }
    if (warning.length != known) {
        size_t start = known == 0 ? 0 : known + 1;
        fprintf(stderr, "flameprof: %.*s\n", (int)(warning.length - start),
                warning.data + start);
        options.warning = flame_writer_slice(&warning);
    }
    int status = write_picture(command, tree, &options);
    if (status == 0 && flame_tree_is_empty(tree)) {
        complain(command->input, "no samples in it");
        status = FLAME_EXIT_NOTHING;
    }
    flame_writer_free(&warning);
    return status;
}

static int draw_difference(const struct command *command,
                           const struct flame_document *after)
{
    struct flame_document before;
    int status = FLAME_EXIT_FAILED;

    if (!flame_file_read(command->before, command->unit, &before)) {
        return FLAME_EXIT_FAILED;
    }
    bool same_clock = before.options.quality == NULL ||
                      after->options.quality == NULL ||
                      before.options.clock == after->options.clock;
    if (!same_clock ||
        flame_tree_is_time(before.tree) != flame_tree_is_time(after->tree)) {
        complain(command->before, "counts something else than the other");
    } else {
        struct flame_tree *difference =
            flame_tree_difference(before.tree, after->tree, command->absolute);
        status = difference != NULL ? draw(command, difference, after, &before)
                                    : complain(command->before, strerror(ENOMEM));
        flame_tree_free(difference);
    }
    flame_document_free(&before);
    return status;
}

int flame_render_command(int argc, char **argv)
{
    struct command command = {0};
    struct flame_document document;
    int status = parse(&command, argc, argv);

    if (status != 0) {
        return status;
    }
    if (!flame_file_read(command.input, command.unit, &document)) {
        return FLAME_EXIT_FAILED;
    }
    status = command.before != NULL ? draw_difference(&command, &document)
                                    : draw(&command, document.tree, &document, NULL);
    flame_document_free(&document);
    return status;
}
