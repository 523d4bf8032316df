/*
 * The picture's options by name, for the command line, the URL and whoever else takes
 * them as text.
 */
#include "renderer/writer.h"

#include <string.h>

static const char *const COLOURS[] = {
    [FLAME_COLOURS_ORIGIN] = "origin",
    [FLAME_COLOURS_FILE] = "file",
    [FLAME_COLOURS_WARM] = "warm",
};

/* "1.25" as 125; false: no such number, or more than two decimals. */
static bool parse_hundredths(struct flame_slice text, uint32_t *value)
{
    uint32_t decimals = 0;
    bool point = false;

    *value = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] == '.' && !point && i > 0) {
            point = true;
        } else if (text.data[i] >= '0' && text.data[i] <= '9' && decimals < 2 &&
                   *value < 1000000) {
            *value = *value * 10 + (uint32_t)(text.data[i] - '0');
            decimals += point;
        } else {
            return false;
        }
    }
    for (; decimals < 2; decimals++) {
        *value *= 10;
    }
    return text.length > 0 && text.data[text.length - 1] != '.';
}

static const char *parse_number(struct flame_slice text, uint32_t least, uint32_t most,
                                uint32_t *value, const char *problem)
{
    uint32_t number;

    if (!parse_hundredths(text, &number) || number < least || number > most) {
        return problem;
    }
    *value = number;
    return NULL;
}

static const char *parse_flag(struct flame_slice text, bool *flag, const char *problem)
{
    *flag = flame_slice_is(text, "1");
    return *flag || flame_slice_is(text, "0") ? NULL : problem;
}

static const char *parse_colours(struct flame_slice text, enum flame_colours *colours)
{
    for (size_t i = 0; i < sizeof COLOURS / sizeof *COLOURS; i++) {
        if (flame_slice_is(text, COLOURS[i])) {
            *colours = (enum flame_colours)i;
            return NULL;
        }
    }
    return "colours is " FLAME_COLOURS_NAMES;
}

const char *flame_picture_option(struct flame_picture_options *options,
                                 struct flame_slice name, struct flame_slice value)
{
    const char *problem = "there is no such option of the picture";

    if (flame_slice_is(name, "title")) {
        options->title = value;
        return NULL;
    }
    if (flame_slice_is(name, "subtitle")) {
        options->subtitle = value;
        return NULL;
    }
    if (flame_slice_is(name, "inverted")) {
        return parse_flag(value, &options->inverted, "inverted is 0 or 1");
    }
    if (flame_slice_is(name, "callers")) {
        return parse_flag(value, &options->callers, "callers is 0 or 1");
    }
    if (flame_slice_is(name, "colours")) {
        return parse_colours(value, &options->colours);
    }
    if (flame_slice_is(name, "smallest")) {
        return parse_number(value, 10, 10000, &options->smallest,
                            "smallest is " FLAME_SMALLEST_RANGE
                            " pixels, two decimals at most");
    }
    if (flame_slice_is(name, "scale")) {
        return parse_number(value, 50, 400, &options->scale,
                            "scale is " FLAME_SCALE_RANGE ", two decimals at most");
    }
    if (flame_slice_is(name, "width")) {
        uint32_t hundredths = 0;
        problem = parse_number(value, 32000, 1000000, &hundredths,
                               "width is " FLAME_WIDTH_RANGE " pixels");
        if (problem == NULL && hundredths % 100 != 0) {
            problem = "width is whole pixels";
        }
        options->width = problem == NULL ? hundredths / 100 : options->width;
    }
    return problem;
}
