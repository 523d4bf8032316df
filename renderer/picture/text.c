/*
 * How wide text is, and cutting it to fit.
 */
#include "renderer/picture/svg.h"
#include "renderer/picture/widths.h"

#define ELLIPSIS "…"
#define ELLIPSIS_WIDTH 2048
#define LEAST_GLYPHS 3
/* No byte is shown wider than this: the four characters of one that is not UTF-8. */
#define WIDEST_BYTE (2 * FLAME_WIDTHS_OTHER)

static uint64_t glyph_width(const struct flame_glyph *glyph)
{
    uint64_t width = 0;

    if (!glyph->described) {
        uint32_t c = glyph->code_point == '\t' ? ' ' : glyph->code_point;
        return c >= FLAME_WIDTHS_FIRST && c <= FLAME_WIDTHS_LAST
                   ? flame_widths[c - FLAME_WIDTHS_FIRST]
                   : FLAME_WIDTHS_OTHER;
    }
    for (uint32_t i = 0; i < glyph->length; i++) {
        width += flame_widths[glyph->bytes[i] - FLAME_WIDTHS_FIRST];
    }
    return width;
}

/* From 1/2048 em to 1/100 px, rounded up. */
static uint64_t to_pixels(uint64_t width, uint32_t font_size)
{
    return (width * font_size * 100 + FLAME_WIDTHS_EM - 1) / FLAME_WIDTHS_EM;
}

uint64_t flame_text_width(struct flame_slice text, uint32_t font_size)
{
    struct flame_glyph glyph;
    uint64_t width = 0;

    while (flame_glyph_next(&text, &glyph)) {
        width += glyph_width(&glyph);
    }
    return to_pixels(width, font_size);
}

size_t flame_text_fit(struct flame_slice text, uint32_t font_size, uint64_t width)
{
    struct flame_slice rest = text;
    struct flame_glyph glyph;
    uint64_t used = 0;
    size_t cut = 0; /* as far as an ellipsis still fits behind */
    uint32_t glyphs = 0;

    if (to_pixels(text.length * WIDEST_BYTE, font_size) <= width) {
        return text.length;
    }
    while (flame_glyph_next(&rest, &glyph)) {
        used += glyph_width(&glyph);
        if (to_pixels(used, font_size) > width) {
            return glyphs < LEAST_GLYPHS ? 0 : cut;
        }
        if (to_pixels(used + ELLIPSIS_WIDTH, font_size) <= width) {
            cut = text.length - rest.length;
            glyphs++;
        }
    }
    return text.length;
}

size_t flame_text_line(struct flame_slice text, uint32_t font_size, uint64_t width)
{
    struct flame_slice rest = text;
    struct flame_glyph glyph;
    uint64_t used = 0;
    size_t space = 0;
    size_t before = 0;

    while (flame_glyph_next(&rest, &glyph)) {
        used += glyph_width(&glyph);
        if (to_pixels(used, font_size) > width && before != 0) {
            return space != 0 ? space : before;
        }
        before = text.length - rest.length;
        if (glyph.code_point == ' ') {
            space = before;
        }
    }
    return text.length;
}

void flame_text_write_cut(struct flame_writer *writer, struct flame_slice text,
                          uint32_t font_size, uint64_t width)
{
    size_t fits = flame_text_fit(text, font_size, width);

    flame_write_escaped(writer, (struct flame_slice){text.data, fits},
                        FLAME_ESCAPE_XML);
    if (fits != 0 && fits < text.length) {
        flame_write_text(writer, ELLIPSIS);
    }
}
