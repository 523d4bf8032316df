/*
 * Text into a growing buffer, and the one way text from outside goes out.
 *
 * Every name, path or title passes through flame_write_escaped(), whatever
 * the format: what could hide, break the syntax or turn text around is made
 * visible there and nowhere else.
 */
#ifndef FLAME_RENDERER_WRITER_H
#define FLAME_RENDERER_WRITER_H

#include "renderer/renderer.h"

#include <string.h>

/* Where escaped text is going to stand. */
enum flame_escape {
    FLAME_ESCAPE_XML,    /* text or attribute: & < > " ' as entities */
    FLAME_ESCAPE_JSON,   /* string literal inside an XML element */
    FLAME_ESCAPE_FOLDED, /* frame of a folded stack */
    FLAME_ESCAPE_NONE,   /* where any text may stand: only what hides is described */
};

/* What there is no room for yet, or no more; flame_write_bytes() calls it. */
void flame_write_more(struct flame_writer *writer, const char *data, size_t length);

/* Inline, since a picture is a million small pieces, most of them literals whose length
 * is known then. */
static inline void flame_write_bytes(struct flame_writer *writer, const char *data,
                                     size_t length)
{
    if (length > writer->capacity - writer->length || length == 0 ||
        writer->error != 0) {
        flame_write_more(writer, data, length);
        return;
    }
    memcpy(writer->data + writer->length, data, length);
    writer->length += length;
    writer->last = data[length - 1];
}

static inline void flame_write_text(struct flame_writer *writer, const char *text)
{
    flame_write_bytes(writer, text, strlen(text));
}

#define FLAME_DIGITS_MAX 20
/* Puts the digits of a number where there is room for so many. Returns their end. */
char *flame_put_digits(char *to, uint64_t value);
void flame_write_unsigned(struct flame_writer *writer, uint64_t value);
/* 1234567 as "1,234,567" */
void flame_write_grouped(struct flame_writer *writer, uint64_t value);
/* 1250 as "12.5": hundredths without trailing zeros */
void flame_write_hundredths(struct flame_writer *writer, uint64_t value);
/* part of whole as "12.34 %"; of nothing: "0.00 %" */
void flame_write_percent(struct flame_writer *writer, uint64_t part, uint64_t whole);
/* "1.234 s", "12.35 ms", "250.0 µs", "80 ns" */
void flame_write_duration(struct flame_writer *writer, uint64_t nanoseconds);
void flame_write_escaped(struct flame_writer *writer, struct flame_slice text,
                         enum flame_escape escape);

bool flame_slice_is(struct flame_slice slice, const char *text);
/* The buffer as it stands, until it is appended to. */
struct flame_slice flame_writer_slice(const struct flame_writer *writer);

/*
 * What one step through text shows: a code point as it is, or, for what must
 * not be shown as it is, its ASCII description: \xHH for control characters and
 * bytes that are not UTF-8, \uHHHH for surrogates, line and paragraph
 * separators, C1 and bidirectional controls, U+FFFE and U+FFFF.
 */
struct flame_glyph {
    char bytes[8];
    uint32_t length;
    uint32_t code_point; /* of a glyph shown as it is */
    bool described;
};

/* Takes one glyph off the front of *rest; false at the end. */
bool flame_glyph_next(struct flame_slice *rest, struct flame_glyph *glyph);

#endif
