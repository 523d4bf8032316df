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

#include <endian.h>
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

/* Where up to `size` bytes may be put, up to flame_writer_end(). NULL: so many may not
 * be written any more, or the writer has an error. */
char *flame_writer_room(struct flame_writer *writer, size_t size);
void flame_writer_end(struct flame_writer *writer, const char *end);

static inline void flame_write_text(struct flame_writer *writer, const char *text)
{
    flame_write_bytes(writer, text, strlen(text));
}

void flame_write_escaped(struct flame_writer *writer, struct flame_slice text,
                         enum flame_escape escape);

/* Without its first bytes, or empty. */
static inline struct flame_slice flame_slice_from(struct flame_slice slice,
                                                  size_t first)
{
    first = first < slice.length ? first : slice.length;
    return (struct flame_slice){slice.data + first, slice.length - first};
}

/* Its first eight bytes, or less and zeros, as a number: the first is the lowest. */
static inline uint64_t flame_slice_word(struct flame_slice slice)
{
    uint64_t word = 0;

    if (slice.length >= sizeof word) {
        memcpy(&word, slice.data, sizeof word);
    } else if (slice.length > 0) {
        memcpy(&word, slice.data, slice.length);
    }
    return le64toh(word);
}

bool flame_slice_is(struct flame_slice slice, const char *text);
bool flame_slice_begins(struct flame_slice slice, const char *text);
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
