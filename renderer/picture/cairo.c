/*
 * The SVG as PNG and as PDF. librsvg and cairo are loaded when one is asked for, and
 * only then: a process that never draws one maps none of the forty libraries
 * they bring. Their few functions are declared here by hand, so that building
 * needs no headers of theirs either.
 */
#include "renderer/renderer.h"
#include "renderer/writer.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CAIRO_ARGB32 0
#define CAIRO_SUCCESS 0
#define CAIRO_WRITE_ERROR 11
#define FONTCONFIG_SYSTEM 0
/* What cairo can address, and what is reasonable to hold: 160 MB. */
#define SIDE_MAX 32767
#define PIXELS_MAX 40000000.0
/* librsvg holds forty bytes for each of the SVG's, and PNG and PDF are small: where an
 * answer is limited the SVG is to a part of that, or to what is nothing much. */
#define SVG_PART 16
#define SVG_LEAST ((size_t)1 << 20)

/* librsvg's and fontconfig's structures, as their ABI has them. */
struct rectangle {
    double x, y, width, height;
};

struct font_set {
    int count;
    int capacity;
    void **fonts;
};

typedef int (*write_function)(void *closure, const unsigned char *data,
                              unsigned length);

struct libraries {
    void *rsvg, *cairo, *gobject, *fontconfig;
    int (*fonts_init)(void);
    struct font_set *(*fonts_get)(void *config, int set);
    void *(*svg_new)(const unsigned char *data, size_t length, void **error);
    int (*svg_size)(void *svg, double *width, double *height);
    int (*svg_draw)(void *svg, void *cairo, const struct rectangle *area, void **error);
    void (*unref)(void *object);
    void *(*surface_new)(int format, int width, int height);
    int (*surface_status)(void *surface);
    int (*surface_write)(void *surface, write_function write, void *closure);
    void *(*paper_new)(write_function write, void *closure, double width,
                       double height);
    void (*surface_finish)(void *surface);
    void (*surface_free)(void *surface);
    void *(*context_new)(void *surface);
    void (*context_free)(void *context);
};

static void unload(struct libraries *libraries)
{
    void *handles[] = {libraries->rsvg, libraries->cairo, libraries->gobject,
                       libraries->fontconfig};

    for (size_t i = 0; i < sizeof handles / sizeof *handles; i++) {
        if (handles[i] != NULL) {
            dlclose(handles[i]);
        }
    }
}

/* GObject cannot be unloaded again, hence NODELETE. */
static void *open_library(const char *name)
{
    return dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
}

/* dlsym() hands out data pointers; POSIX says they may be copied so. */
static bool find(void *library, const char *name, void *function)
{
    void *symbol = dlsym(library, name);

    memcpy(function, &symbol, sizeof symbol);
    return symbol != NULL;
}

static bool load(struct libraries *l)
{
    *l = (struct libraries){.rsvg = open_library("librsvg-2.so.2"),
                            .cairo = open_library("libcairo.so.2"),
                            .gobject = open_library("libgobject-2.0.so.0"),
                            .fontconfig = open_library("libfontconfig.so.1")};
    return l->rsvg != NULL && l->cairo != NULL && l->gobject != NULL &&
           l->fontconfig != NULL && find(l->fontconfig, "FcInit", &l->fonts_init) &&
           find(l->fontconfig, "FcConfigGetFonts", &l->fonts_get) &&
           find(l->rsvg, "rsvg_handle_new_from_data", &l->svg_new) &&
           find(l->rsvg, "rsvg_handle_get_intrinsic_size_in_pixels", &l->svg_size) &&
           find(l->rsvg, "rsvg_handle_render_document", &l->svg_draw) &&
           find(l->gobject, "g_object_unref", &l->unref) &&
           find(l->cairo, "cairo_image_surface_create", &l->surface_new) &&
           find(l->cairo, "cairo_surface_status", &l->surface_status) &&
           find(l->cairo, "cairo_surface_write_to_png_stream", &l->surface_write) &&
           find(l->cairo, "cairo_pdf_surface_create_for_stream", &l->paper_new) &&
           find(l->cairo, "cairo_surface_finish", &l->surface_finish) &&
           find(l->cairo, "cairo_surface_destroy", &l->surface_free) &&
           find(l->cairo, "cairo_create", &l->context_new) &&
           find(l->cairo, "cairo_destroy", &l->context_free);
}

/* Without one, librsvg draws boxes and reports success. */
static bool has_font(const struct libraries *libraries)
{
    struct font_set *set;

    if (!libraries->fonts_init()) {
        return false;
    }
    set = libraries->fonts_get(NULL, FONTCONFIG_SYSTEM);
    return set != NULL && set->count > 0;
}

static int append(void *closure, const unsigned char *data, unsigned length)
{
    struct flame_writer *writer = closure;

    flame_write_bytes(writer, (const char *)data, length);
    return writer->error == 0 ? CAIRO_SUCCESS : CAIRO_WRITE_ERROR;
}

/* Draws, and finishes what the surface is for; frees it. */
typedef bool finish_with(const struct libraries *l, void *surface,
                         struct flame_writer *writer);

static int draw_on(const struct libraries *l, void *surface, void *svg,
                   struct rectangle area, finish_with *finish,
                   struct flame_writer *writer)
{
    int error = -ENOMEM;

    if (l->surface_status(surface) == CAIRO_SUCCESS) {
        void *context = l->context_new(surface);
        bool drawn = l->svg_draw(svg, context, &area, NULL) != 0;
        l->context_free(context);
        error = drawn && finish(l, surface, writer) ? 0 : -EIO;
        if (writer->error != 0) {
            error = writer->error;
        }
    }
    l->surface_free(surface);
    return error;
}

static bool finish_pixels(const struct libraries *l, void *surface,
                          struct flame_writer *writer)
{
    return l->surface_write(surface, append, writer) == CAIRO_SUCCESS;
}

static bool finish_paper(const struct libraries *l, void *surface,
                         struct flame_writer *writer)
{
    (void)writer; /* it has been written to all along */
    l->surface_finish(surface);
    return l->surface_status(surface) == CAIRO_SUCCESS;
}

/* scale: hundredths, 0 for the usual. */
typedef int draw_with(const struct libraries *l, void *svg, double width, double height,
                      uint32_t scale, struct flame_writer *writer);

/* Its pixels, of four bytes each, are in memory before any is compressed: they are
 * held to the limit, too. */
static bool fits(const struct flame_writer *writer, double width, double height)
{
    double pixels = width * height;

    return width <= SIDE_MAX && height <= SIDE_MAX && pixels <= PIXELS_MAX &&
           (writer->limit == 0 || pixels * 4 <= (double)writer->limit);
}

/* Twice the size for sharp text, unless that is too much. What was asked for is done,
 * or refused. */
static int draw_pixels(const struct libraries *l, void *svg, double width,
                       double height, uint32_t scale, struct flame_writer *writer)
{
    double usual = fits(writer, width * 2, height * 2) ? 2 : 1;
    double factor = scale != 0 ? (double)scale / 100 : usual;
    struct rectangle area = {0, 0, width * factor, height * factor};

    if (!fits(writer, area.width, area.height)) {
        return -E2BIG;
    }
    return draw_on(l, l->surface_new(CAIRO_ARGB32, (int)area.width, (int)area.height),
                   svg, area, finish_pixels, writer);
}

/* One page, in points: 3/4 of a pixel. */
static int draw_paper(const struct libraries *l, void *svg, double width, double height,
                      uint32_t scale, struct flame_writer *writer)
{
    (void)scale; /* paper has no pixels */
    struct rectangle area = {0, 0, width * 3 / 4, height * 3 / 4};

    return draw_on(l, l->paper_new(append, writer, area.width, area.height), svg, area,
                   finish_paper, writer);
}

static int draw_svg(const struct libraries *libraries,
                    const struct flame_writer *source, draw_with *draw, uint32_t scale,
                    struct flame_writer *writer)
{
    double width = 0;
    double height = 0;
    int error = -EIO;
    void *svg =
        libraries->svg_new((const unsigned char *)source->data, source->length, NULL);

    if (svg == NULL) {
        return -EIO;
    }
    if (libraries->svg_size(svg, &width, &height)) {
        error = draw(libraries, svg, width, height, scale, writer);
    }
    libraries->unref(svg);
    return error;
}

static size_t svg_limit(size_t limit)
{
    size_t least = limit < SVG_LEAST ? limit : SVG_LEAST;

    return limit / SVG_PART > least ? limit / SVG_PART : least;
}

static int render(const struct flame_tree *tree,
                  const struct flame_picture_options *options, draw_with *draw,
                  struct flame_writer *writer)
{
    struct libraries libraries;
    struct flame_writer svg = {.limit = svg_limit(writer->limit)};
    int error = -ENOSYS;

    if (load(&libraries)) {
        error = has_font(&libraries) ? 0 : -ENOENT;
    }
    if (error == 0) {
        error = flame_render_svg(tree, options, &svg);
    }
    if (error == 0) {
        error = draw_svg(&libraries, &svg, draw, options->scale, writer);
    }
    flame_writer_free(&svg);
    unload(&libraries);
    return error;
}

int flame_render_png(const struct flame_tree *tree,
                     const struct flame_picture_options *options,
                     struct flame_writer *writer)
{
    return render(tree, options, draw_pixels, writer);
}

int flame_render_pdf(const struct flame_tree *tree,
                     const struct flame_picture_options *options,
                     struct flame_writer *writer)
{
    return render(tree, options, draw_paper, writer);
}
