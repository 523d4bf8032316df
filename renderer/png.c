/*
 * The SVG as pixels. librsvg and cairo are loaded when a PNG is asked for, and
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

static int draw(const struct libraries *l, void *svg, struct rectangle area,
                struct flame_writer *writer)
{
    void *surface = l->surface_new(CAIRO_ARGB32, (int)area.width, (int)area.height);
    int error = -ENOMEM;

    if (l->surface_status(surface) == CAIRO_SUCCESS) {
        void *context = l->context_new(surface);
        bool drawn = l->svg_draw(svg, context, &area, NULL) != 0;
        l->context_free(context);
        error = -EIO;
        if (drawn && l->surface_write(surface, append, writer) == CAIRO_SUCCESS) {
            error = 0;
        }
        if (writer->error != 0) {
            error = writer->error;
        }
    }
    l->surface_free(surface);
    return error;
}

/* Twice the size for sharp text, unless that is too much. */
static struct rectangle area_for(double width, double height)
{
    double factor = height * 2 <= SIDE_MAX && width * height * 4 <= PIXELS_MAX ? 2 : 1;

    return (struct rectangle){0, 0, width * factor, height * factor};
}

static int draw_svg(const struct libraries *libraries,
                    const struct flame_writer *source, struct flame_writer *writer)
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
        struct rectangle area = area_for(width, height);
        error = area.width > SIDE_MAX || area.height > SIDE_MAX
                    ? -E2BIG
                    : draw(libraries, svg, area, writer);
    }
    libraries->unref(svg);
    return error;
}

int flame_render_png(const struct flame_tree *tree,
                     const struct flame_picture_options *options,
                     struct flame_writer *writer)
{
    struct libraries libraries;
    struct flame_writer svg = {.limit = writer->limit};
    int error = -ENOSYS;

    if (load(&libraries)) {
        error = has_font(&libraries) ? 0 : -ENOENT;
    }
    if (error == 0) {
        error = flame_render_svg(tree, options, &svg);
    }
    if (error == 0) {
        error = draw_svg(&libraries, &svg, writer);
    }
    flame_writer_free(&svg);
    unload(&libraries);
    return error;
}
