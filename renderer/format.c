/*
 * What the formats and the clocks are called, and the one call that writes any
 * format.
 */
#include "renderer/writer.h"

#include <errno.h>

typedef int render(const struct flame_tree *tree,
                   const struct flame_picture_options *options,
                   struct flame_writer *writer);

static int render_folded(const struct flame_tree *tree,
                         const struct flame_picture_options *options,
                         struct flame_writer *writer)
{
    (void)options;
    return flame_render_folded(tree, writer);
}

static const struct {
    const char *name;
    const char *content_type;
    render *render;
} FORMATS[] = {
    [FLAME_FORMAT_SVG] = {"svg", "image/svg+xml", flame_render_svg},
    [FLAME_FORMAT_FOLDED] = {"folded", "text/plain; charset=utf-8", render_folded},
    [FLAME_FORMAT_PNG] = {"png", "image/png", flame_render_png},
    [FLAME_FORMAT_PDF] = {"pdf", "application/pdf", flame_render_pdf},
    [FLAME_FORMAT_HTML] = {"html", "text/html; charset=utf-8", flame_render_html},
    [FLAME_FORMAT_JSON] = {"json", "application/json", flame_render_json},
    [FLAME_FORMAT_SPEEDSCOPE] = {"speedscope", "application/json",
                                 flame_render_speedscope},
    [FLAME_FORMAT_PPROF] = {"pprof", "application/octet-stream", flame_render_pprof},
    [FLAME_FORMAT_GECKO] = {"gecko", "application/json", flame_render_gecko},
};

static const char *const CLOCKS[] = {
    [FLAME_CLOCK_WALL] = "wall",
    [FLAME_CLOCK_CPU] = "cpu",
    [FLAME_CLOCK_OFFCPU] = "offcpu",
    [FLAME_CLOCK_GIL] = "gil",
};

const char *flame_format_content_type(enum flame_format format)
{
    return FORMATS[format].content_type;
}

const char *flame_format_name(enum flame_format format)
{
    return FORMATS[format].name;
}

int flame_format_from_name(struct flame_slice name, enum flame_format *format)
{
    for (size_t i = 0; i < sizeof FORMATS / sizeof *FORMATS; i++) {
        if (flame_slice_is(name, FORMATS[i].name)) {
            *format = (enum flame_format)i;
            return 0;
        }
    }
    return -EINVAL;
}

int flame_format_from_path(struct flame_slice path, enum flame_format *format)
{
    static const struct {
        const char *ending;
        enum flame_format format;
    } others[] = {{".pb.gz", FLAME_FORMAT_PPROF},
                  {".speedscope.json", FLAME_FORMAT_SPEEDSCOPE},
                  {".gecko.json", FLAME_FORMAT_GECKO}};
    const char *dot = path.length != 0 ? memrchr(path.data, '.', path.length) : NULL;

    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        size_t length = strlen(others[i].ending);
        if (path.length > length &&
            flame_slice_is(flame_slice_from(path, path.length - length),
                           others[i].ending)) {
            *format = others[i].format;
            return 0;
        }
    }
    return dot == NULL
               ? -EINVAL
               : flame_format_from_name(
                     flame_slice_from(path, (size_t)(dot - path.data) + 1), format);
}

int flame_clock_from_name(struct flame_slice name, enum flame_clock *clock)
{
    for (size_t i = 0; i < sizeof CLOCKS / sizeof *CLOCKS; i++) {
        if (flame_slice_is(name, CLOCKS[i])) {
            *clock = (enum flame_clock)i;
            return 0;
        }
    }
    return -EINVAL;
}

const char *flame_clock_name(enum flame_clock clock)
{
    return CLOCKS[clock];
}

int flame_render(enum flame_format format, const struct flame_tree *tree,
                 const struct flame_picture_options *options,
                 struct flame_writer *writer)
{
    return FORMATS[format].render(tree, options, writer);
}

bool flame_format_has_script(enum flame_format format)
{
    return format == FLAME_FORMAT_SVG || format == FLAME_FORMAT_HTML;
}

const char *flame_render_error(int error)
{
    switch (error) {
    case -ENOSYS:
        return "PNG and PDF need librsvg and cairo, which could not be loaded "
               "(on Debian: apt install librsvg2-2).";
    case -ENOENT:
        return "PNG and PDF need a font, and fontconfig knows none "
               "(on Debian: apt install fonts-dejavu-core).";
    case -E2BIG:
        return "The picture would be larger than allowed.";
    case -ENOMEM:
        return "There was not enough memory for the picture.";
    default:
        return "The picture could not be drawn.";
    }
}
