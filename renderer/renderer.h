/*
 * A profile or what somebody wrote of one in, a picture or text out.
 *
 * profile | folded text, JSON, pprof -> flame_tree -> svg, png, folded, pprof, ...
 * Nothing here knows Python, HTTP or signals. Not thread-safe per object;
 * different objects may be used by different threads at once. No globals.
 */
#ifndef FLAME_RENDERER_RENDERER_H
#define FLAME_RENDERER_RENDERER_H

#include "sampler/profile.h"

/* A constant, or text that lives as long as the slice; not copied. */
struct flame_slice flame_slice_of(const char *text);

/* ---- where the bytes go, with a sticky error --------------------------------- */

/* Takes bytes: 0, or a negative errno, after which it is not called again. */
typedef int flame_sink(void *context, const char *data, size_t length);

/*
 * Append freely, check `error` once at the end. 0, or a negative errno
 * (-ENOMEM, -E2BIG over `limit`, or the sink's). data is malloc'd; the writer's owner
 * frees it with flame_writer_free() or takes it with flame_writer_take().
 * With a sink, bytes are passed on as they come, and flame_writer_flush() passes on
 * the last of them.
 */
struct flame_writer {
    char *data;
    size_t length;
    size_t capacity;
    size_t limit; /* of all that is written; 0: none */
    int error;
    flame_sink *sink; /* NULL: all stays in memory */
    void *context;
    uint64_t passed_on;
    char last; /* byte that was written */
};

/* Returns the writer's error. */
int flame_writer_flush(struct flame_writer *writer);

void flame_writer_free(struct flame_writer *writer);

/* Hands the bytes over: free() them. The writer is empty afterwards. */
char *flame_writer_take(struct flame_writer *writer, size_t *length);

/* ---- the call tree ----------------------------------------------------------- */

struct flame_tree;

/* What the weights of folded text count. flameprof itself writes microseconds. */
enum flame_unit { FLAME_UNIT_MICROSECONDS, FLAME_UNIT_SAMPLES };

/* Where code comes from, as the colours show it. */
enum flame_origin {
    FLAME_ORIGIN_UNKNOWN, /* what name and file look like says it */
    FLAME_ORIGIN_APPLICATION,
    FLAME_ORIGIN_LIBRARY,
    FLAME_ORIGIN_STANDARD,
    FLAME_ORIGIN_C,
};

/* A folder that code is imported from: no slash at its end, and not "/" itself. */
struct flame_root {
    struct flame_slice path;
    bool standard; /* Python's own library; else a project */
};

/*
 * What a picture may tell of functions and files. Files of packages are told from the
 * package on, Python's own library as "<stdlib>/...", those below a root from there on,
 * others as "…/" and their name, with the folder they are in where that is deeper than
 * two levels. Files that would then look alike are numbered, "[1]/six.py": no two are
 * one. Read-only while trees are made of it.
 */
struct flame_names {
    bool full_paths; /* as they are */
    const struct flame_root *roots;
    size_t root_count;
    /* Patterns as flame_tree_without_idle() takes them, by the whole path; what matches
     * is "[redacted]", with what is written in it (a lambda, a call into C), and one
     * with its neighbours. The last one NULL; NULL: none. */
    const char *const *redact;
};

/* Which time a tree weighs. */
enum flame_clock {
    FLAME_CLOCK_WALL,
    FLAME_CLOCK_CPU,    /* CPU time used */
    FLAME_CLOCK_OFFCPU, /* wall time off the CPU, whatever the reason */
    FLAME_CLOCK_GIL,    /* wall time spent waiting for the GIL */
};

/* "wall", "cpu", "offcpu", "gil"; returns 0 and the clock, or -EINVAL. */
int flame_clock_from_name(struct flame_slice name, enum flame_clock *clock);
const char *flame_clock_name(enum flame_clock clock);

/*
 * Builds a call tree: same function under same parent merged, children in a
 * deterministic order. Copies what it needs from the profile, and of names and files
 * only what `names` of it lets be told: whatever is written is made of a tree.
 * The caller frees it with flame_tree_free(). NULL: out of memory.
 */
struct flame_tree *flame_tree_from_profile(const struct flame_profile *profile,
                                           enum flame_clock clock);

/*
 * Another clock's weights, where what each place's time was is known (of a profile, and
 * of JSON that says so). False: it is not, or there is no memory; the tree is as it
 * was.
 */
bool flame_tree_weigh(struct flame_tree *tree, enum flame_clock clock);

/* What made no sense in the input. */
#define FLAME_IGNORED_NAMED 5
struct flame_ignored {
    const char *what; /* "line" or "sample" */
    uint64_t count;
    uint64_t numbers[FLAME_IGNORED_NAMED]; /* of the first, from 1 */
};

/*
 * Reads folded stacks ("root;child;leaf 42" per line, LF or CRLF; decimals count, to
 * the thousandth). Lines that begin with # and empty ones are comments. Where the first
 * hundred lines have two numbers (difffolded.pl), the tree is a difference. Lines that
 * make no sense are ignored and counted; so are those whose weight would take the sum
 * over 64 bits. NULL: out of memory.
 */
struct flame_tree *flame_tree_from_folded(const char *text, size_t length,
                                          enum flame_unit unit,
                                          struct flame_ignored *ignored);
void flame_tree_free(struct flame_tree *tree);
/* Bytes of memory that it holds, about. */
size_t flame_tree_size(const struct flame_tree *tree);

/*
 * What has changed from one tree to the other: every place of either, weighing what it
 * does in `after`, and knowing what it did. Changes are of shares of the whole;
 * absolute: of the weights themselves. Both may be freed afterwards. NULL: out of
 * memory, or they count different things.
 */
struct flame_tree *flame_tree_difference(const struct flame_tree *before,
                                         const struct flame_tree *after, bool absolute);

/*
 * All of them in one, which count the same; the order of time is lost. At least one.
 * NULL: out of memory, or they count different things.
 */
struct flame_tree *flame_tree_sum(struct flame_tree *const trees[], size_t count);

/*
 * Without the time of places where threads only wait for work: a new tree, whose order
 * of time is lost. Patterns, the last one NULL, are "function (file)", of which the
 * name's and the path's last parts are enough, "function", or "[thread]" for what a
 * thread does that runs no Python function. "*" is every function, "folder/" every file
 * below one, "* (shop/billing/)". A call into C is its function's. "^function (file)"
 * is a thread's first function, and all that it calls. NULL: out of memory.
 */
struct flame_left_out {
    uint64_t weight;
    uint64_t samples;
};
struct flame_tree *flame_tree_without_idle(const struct flame_tree *tree,
                                           const char *const *patterns,
                                           struct flame_left_out *left_out);
/* The waits of Python's own library and of well-known servers. */
extern const char *const flame_idle_usual[];

/* With other names of the functions, given by a number each has in the rows; those of
 * one name are one, without a file. The order of time is lost. NULL: out of memory. */
struct flame_tree *flame_tree_renamed(const struct flame_tree *tree,
                                      const struct flame_slice *names);

/* Of all places, of which those that have anything of their own are stacks. */
struct flame_tally {
    uint64_t weight;
    uint64_t samples; /* 0: not known */
    uint32_t stacks;
};
struct flame_tally flame_tree_tally(const struct flame_tree *tree);

/* Of a function: its own weight, and with all that it calls, where a call inside its
 * own counts once. */
struct flame_row {
    struct flame_slice name; /* of the tree's, as is the file */
    struct flame_slice file; /* empty: not known */
    uint32_t line;           /* 0: not known */
    uint32_t function;       /* by name, file and line: their order */
    uint32_t places;
    uint64_t self;
    uint64_t total;
    uint64_t samples; /* 0: not known */
};

/* Each function of the tree, the one with the largest `self` first: malloc'd. NULL: out
 * of memory. */
struct flame_row *flame_tree_rows(const struct flame_tree *tree, uint32_t *count);

/* Its weights are nanoseconds; else they count samples. */
bool flame_tree_is_time(const struct flame_tree *tree);

/* The sum of all weights is zero: pictures of it only say so. */
bool flame_tree_is_empty(const struct flame_tree *tree);

/* ---- pictures ---------------------------------------------------------------- */

enum flame_format {
    FLAME_FORMAT_SVG,
    FLAME_FORMAT_FOLDED,
    FLAME_FORMAT_PNG,
    FLAME_FORMAT_PDF,
    FLAME_FORMAT_HTML,
    FLAME_FORMAT_JSON,
    FLAME_FORMAT_SPEEDSCOPE,
    FLAME_FORMAT_PPROF,
    FLAME_FORMAT_GECKO,
};

/* What a hue says. */
enum flame_colours {
    FLAME_COLOURS_ORIGIN, /* where the code comes from */
    FLAME_COLOURS_FILE,   /* which file it is in */
    FLAME_COLOURS_WARM,   /* nothing */
};

/* What stands around the graph, and how it is drawn. All zero is the usual. Strings are
 * escaped here; empty: left out. */
struct flame_picture_options {
    struct flame_slice title;            /* "GET /shop/?page=2" */
    struct flame_slice subtitle;         /* "status 200, uWSGI 2.0.21, Python 3.11" */
    struct flame_slice warning;          /* "The application raised ValueError." */
    const struct flame_quality *quality; /* NULL: unknown (folded input) */
    enum flame_clock clock;              /* what the tree's weights are */
    uint32_t width;                      /* px of the static picture; 0: 1200 */
    uint32_t smallest; /* narrower frames are not drawn, 1/100 px; 0: 50 */
    uint32_t scale;    /* of a PNG, hundredths; 0: 200, or 100 where that is too much */
    enum flame_colours colours;
    bool inverted; /* the root at the top */
    bool callers;  /* each function by its own time, its callers on it */
    /* Of pprof only: when it began, of the epoch; 0: unknown. And the extra field of
     * its gzip header, for who wants to know something of it unopened: at most 64 KiB
     * less one. */
    int64_t time_ns;
    struct flame_slice extra;
};

#define FLAME_WIDTH_RANGE "320 to 10000"
#define FLAME_SMALLEST_RANGE "0.1 to 100"
#define FLAME_SCALE_RANGE "0.5 to 4"
#define FLAME_COLOURS_NAMES "origin, file or warm"

/*
 * Sets title, subtitle, width, smallest, scale, colours, inverted or callers from text;
 * texts are not copied. NULL, or what is wrong: a constant.
 */
const char *flame_picture_option(struct flame_picture_options *options,
                                 struct flame_slice name, struct flame_slice value);

/*
 * Each writes the whole of one format into the writer. 0 or a negative errno;
 * _png() and _pdf() return -ENOSYS when librsvg or cairo cannot be loaded
 * and -ENOENT when no font is installed; flame_render_error() says it in
 * one sentence for the person who asked.
 */
int flame_render_svg(const struct flame_tree *tree,
                     const struct flame_picture_options *options,
                     struct flame_writer *writer);
/*
 * One line per place with weight: `function (file:line)` frames from the root,
 * joined by `;`, a space, whole microseconds (or samples, for a tree that came
 * in as such). Rounding remainders are carried to the next line, so that the
 * sum is right. The root's own time stands under its name, `[request]`. Of a
 * difference there are two numbers, what was and what is, as difffolded.pl writes them.
 * In names `;` is written `\x3b`, a backslash `\x5c`, a # that begins a line `\x23`, a
 * control character or a byte that is not UTF-8 `\xHH`, other invisible characters
 * `\uHHHH`; flame_tree_from_folded() undoes exactly this.
 */
int flame_render_folded(const struct flame_tree *tree, struct flame_writer *writer);
int flame_render_png(const struct flame_tree *tree,
                     const struct flame_picture_options *options,
                     struct flame_writer *writer);
int flame_render_pdf(const struct flame_tree *tree,
                     const struct flame_picture_options *options,
                     struct flame_writer *writer);
/* The SVG in a page. */
int flame_render_html(const struct flame_tree *tree,
                      const struct flame_picture_options *options,
                      struct flame_writer *writer);
/* Everything that is known: docs/formats.md. */
int flame_render_json(const struct flame_tree *tree,
                      const struct flame_picture_options *options,
                      struct flame_writer *writer);
int flame_render_speedscope(const struct flame_tree *tree,
                            const struct flame_picture_options *options,
                            struct flame_writer *writer);
/* For the Firefox Profiler. */
int flame_render_gecko(const struct flame_tree *tree,
                       const struct flame_picture_options *options,
                       struct flame_writer *writer);
/* pprof's profile, gzipped; the root stands in a stack only where there is no more. */
int flame_render_pprof(const struct flame_tree *tree,
                       const struct flame_picture_options *options,
                       struct flame_writer *writer);
int flame_render(enum flame_format format, const struct flame_tree *tree,
                 const struct flame_picture_options *options,
                 struct flame_writer *writer);
const char *flame_render_error(int error);

/* "image/svg+xml", "text/plain; charset=utf-8", ... */
const char *flame_format_content_type(enum flame_format format);
const char *flame_format_name(enum flame_format format);
/* "svg", "folded", ...; returns 0 and the format, or -EINVAL. */
int flame_format_from_name(struct flame_slice name, enum flame_format *format);
/* By a file's ending: its format's name, ".pb.gz", ".speedscope.json" or ".gecko.json".
 */
#define FLAME_FORMAT_ENDINGS \
    ".svg, .html, .folded, .json, .pb.gz, .speedscope.json, .gecko.json, .png or .pdf"
int flame_format_from_path(struct flame_slice path, enum flame_format *format);
/* Every name: "svg, folded, ... or gecko". */
#define FLAME_FORMAT_NAMES \
    "svg, folded, png, pdf, html, json, speedscope, pprof or gecko"
/* Whether a browser runs what is in it, if it is not told what to. */
bool flame_format_has_script(enum flame_format format);

/* ---- reading ----------------------------------------------------------------- */

/* What was read, and what it says of itself. */
struct flame_document {
    struct flame_tree *tree;
    struct flame_picture_options options; /* title and so on; lives as long as this */
    struct flame_quality quality;         /* options.quality, where it is known */
    struct flame_ignored ignored;         /* lines of folded text, samples of pprof */
    struct flame_text *text;              /* what the options point into */
    char problem[200];                    /* why it could not be read: a sentence */
};

void flame_document_free(struct flame_document *document);

/*
 * Reads folded text (as flame_tree_from_folded()), our own JSON and pprof's profiles,
 * each as it is or gzipped, as it comes: of folded text a line is in memory, of the
 * others all, each up to 1 GiB. Errors are sticky: feeding more does nothing.
 * unit: what the numbers of folded text count.
 */
struct flame_reader;
struct flame_reader *flame_reader_new(enum flame_unit unit);
int flame_reader_feed(struct flame_reader *reader, const char *data, size_t length);
/* Frees the reader. 0, or a negative errno: then the document is empty, but for
 * `problem`. */
int flame_reader_finish(struct flame_reader *reader, struct flame_document *document);

/*
 * The Content-Security-Policy under which the SVG's own script and style run
 * and nothing else does: a constant, since their bytes are.
 */
const char *flame_svg_content_security_policy(void);

#endif
