#include "renderer/writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char HEX[] = "0123456789abcdef";

/* Without a sink: memory grows. With one: it is passed on in pieces of this size. */
#define PIECE ((size_t)1 << 16)

void flame_writer_free(struct flame_writer *writer)
{
    free(writer->data);
    *writer = (struct flame_writer){
        .limit = writer->limit, .sink = writer->sink, .context = writer->context};
}

char *flame_writer_take(struct flame_writer *writer, size_t *length)
{
    char *data = writer->data;

    *length = writer->length;
    writer->data = NULL;
    flame_writer_free(writer);
    return data;
}

/* What there is room for is allowed, too: who writes looks at the room only. */
static void keep_limit(struct flame_writer *writer)
{
    if (writer->limit != 0 && writer->capacity > writer->limit - writer->passed_on) {
        writer->capacity = writer->limit - writer->passed_on;
    }
}

int flame_writer_flush(struct flame_writer *writer)
{
    if (writer->sink != NULL && writer->error == 0 && writer->length != 0) {
        writer->error = writer->sink(writer->context, writer->data, writer->length);
        writer->passed_on += writer->length;
        writer->length = 0;
        keep_limit(writer);
    }
    return writer->error;
}

static bool reserve(struct flame_writer *writer, size_t more)
{
    size_t capacity = writer->capacity ? writer->capacity : 4096;

    if (writer->error != 0) {
        return false;
    }
    if (more > SIZE_MAX / 4 - writer->length ||
        (writer->limit != 0 &&
         writer->passed_on + writer->length + more > writer->limit)) {
        writer->error = -E2BIG;
        return false;
    }
    if (writer->sink != NULL && writer->length + more > PIECE &&
        flame_writer_flush(writer) != 0) {
        return false;
    }
    if (writer->length + more <= writer->capacity) {
        return true;
    }
    while (capacity < writer->length + more) {
        capacity *= 2;
    }
    char *data = realloc(writer->data, capacity);
    if (data == NULL) {
        writer->error = -ENOMEM;
        return false;
    }
    writer->data = data;
    writer->capacity = capacity;
    keep_limit(writer);
    return true;
}

void flame_write_more(struct flame_writer *writer, const char *data, size_t length)
{
    if (length != 0 && reserve(writer, length)) {
        flame_write_bytes(writer, data, length);
    }
}

char *flame_writer_room(struct flame_writer *writer, size_t size)
{
    bool beyond =
        writer->limit != 0 && writer->passed_on + writer->length + size > writer->limit;

    return !beyond && reserve(writer, size) ? writer->data + writer->length : NULL;
}

void flame_writer_end(struct flame_writer *writer, const char *end)
{
    if (end > writer->data + writer->length) {
        writer->length = (size_t)(end - writer->data);
        writer->last = end[-1];
    }
}

struct flame_slice flame_slice_of(const char *text)
{
    return (struct flame_slice){text, strlen(text)};
}

bool flame_slice_is(struct flame_slice slice, const char *text)
{
    return slice.length == strlen(text) && memcmp(slice.data, text, slice.length) == 0;
}

bool flame_slice_begins(struct flame_slice slice, const char *text)
{
    size_t length = strlen(text);

    return slice.length >= length && memcmp(slice.data, text, length) == 0;
}

struct flame_slice flame_writer_slice(const struct flame_writer *writer)
{
    return (struct flame_slice){writer->data, writer->length};
}

/* ---- text from outside ------------------------------------------------------- */

/* How many bytes from `lead` on, by its own account; 0: not a lead byte. */
static uint32_t sequence_length(unsigned char lead)
{
    if (lead < 0x80) {
        return 1;
    }
    if (lead >= 0xc2 && lead <= 0xdf) {
        return 2;
    }
    if (lead >= 0xe0 && lead <= 0xef) {
        return 3;
    }
    if (lead >= 0xf0 && lead <= 0xf4) {
        return 4;
    }
    return 0;
}

/*
 * Strict UTF-8, but with surrogates let through: a profile spells lone ones
 * like any code point. Returns the bytes used, 0 if the first is invalid.
 */
static uint32_t decode(struct flame_slice text, uint32_t *code_point)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *at = (const unsigned char *)text.data;
    uint32_t length = sequence_length(at[0]);
    uint32_t value;

    if (length == 0 || length > text.length) {
        return 0;
    }
    value = length == 1 ? at[0] : at[0] & (0x7fu >> length);
    for (uint32_t i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
        value = value << 6 | (at[i] & 0x3fu);
    }
    if (value < smallest[length] || value > 0x10ffff) {
        return 0;
    }
    *code_point = value;
    return length;
}

static bool must_be_described(uint32_t c)
{
    return (c < 0x20 && c != '\t') || (c >= 0x7f && c <= 0x9f) ||
           (c >= 0xd800 && c <= 0xdfff) || c == 0xfffe || c == 0xffff || c == 0x061c ||
           c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069);
}

static void describe(struct flame_glyph *glyph, uint32_t value, bool is_byte)
{
    uint32_t digits = is_byte ? 2 : 4;

    glyph->described = true;
    glyph->code_point = 0;
    glyph->length = digits + 2;
    glyph->bytes[0] = '\\';
    glyph->bytes[1] = is_byte ? 'x' : 'u';
    for (uint32_t at = digits + 1; at >= 2; at--) {
        glyph->bytes[at] = HEX[value & 15];
        value >>= 4;
    }
}

bool flame_glyph_next(struct flame_slice *rest, struct flame_glyph *glyph)
{
    uint32_t code_point = 0;
    uint32_t used;

    if (rest->length == 0) {
        return false;
    }
    if (*rest->data >= ' ' && *rest->data <= '~') {
        *glyph = (struct flame_glyph){
            .bytes = {*rest->data}, .length = 1, .code_point = (uint32_t)*rest->data};
        rest->data++;
        rest->length--;
        return true;
    }
    used = decode(*rest, &code_point);
    if (used == 0) {
        describe(glyph, (unsigned char)rest->data[0], true);
        used = 1;
    } else if (must_be_described(code_point)) {
        describe(glyph, code_point, code_point < 0x80);
    } else {
        glyph->described = false;
        glyph->code_point = code_point;
        glyph->length = used;
        memcpy(glyph->bytes, rest->data, used);
    }
    rest->data += used;
    rest->length -= used;
    return true;
}

static const char *xml_entity(uint32_t code_point)
{
    switch (code_point) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    case '\t':
        return " ";
    default:
        return NULL;
    }
}

static const char *json_escape(uint32_t code_point)
{
    switch (code_point) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\t':
        return "\\t";
    case '<':
        return "\\u003c";
    case '>':
        return "\\u003e";
    case '&':
        return "\\u0026";
    default:
        return NULL;
    }
}

static const char *folded_escape(uint32_t code_point)
{
    switch (code_point) {
    case ';':
        return "\\x3b";
    case '\\':
        return "\\x5c";
    case '\t':
        return "\\x09";
    default:
        return NULL;
    }
}

static const char *replacement(uint32_t code_point, enum flame_escape escape)
{
    switch (escape) {
    case FLAME_ESCAPE_XML:
        return xml_entity(code_point);
    case FLAME_ESCAPE_JSON:
        return json_escape(code_point);
    case FLAME_ESCAPE_NONE:
        return NULL;
    default:
        return folded_escape(code_point);
    }
}

typedef unsigned char sixteen __attribute__((vector_size(16)));

/* How many of sixteen bytes from the front are written as they are, whatever the
 * escape. */
static size_t plain_of_sixteen(const char *bytes)
{
    sixteen all;
    uint64_t halves[2];

    memcpy(&all, bytes, sizeof all);
    sixteen other = (sixteen)((all < ' ') | (all > '~') | (all == '"') | (all == '&') |
                              (all == '\'') | (all == ';') | (all == '<') |
                              (all == '>') | (all == '\\'));
    memcpy(halves, &other, sizeof halves);
    for (size_t half = 0; half < 2; half++) {
        if (halves[half] != 0) {
            return 8 * half + (size_t)__builtin_ctzll(le64toh(halves[half])) / 8;
        }
    }
    return 16;
}

/* The same of any text: most names are nothing else. */
static size_t plain_length(struct flame_slice text)
{
    char last[16] = "";
    size_t length = 0;

    for (; text.length - length >= 16; length += 16) {
        size_t plain = plain_of_sixteen(text.data + length);
        if (plain < 16) {
            return length + plain;
        }
    }
    /* The zeros behind it are not plain. */
    if (length < text.length) {
        memcpy(last, text.data + length, text.length - length);
        length += plain_of_sixteen(last);
    }
    return length;
}

void flame_write_escaped(struct flame_writer *writer, struct flame_slice text,
                         enum flame_escape escape)
{
    struct flame_glyph glyph;

    for (;;) {
        size_t plain = plain_length(text);
        if (plain != 0) { /* text of nothing may be nowhere */
            flame_write_bytes(writer, text.data, plain);
            text = flame_slice_from(text, plain);
        }
        if (!flame_glyph_next(&text, &glyph)) {
            return;
        }
        const char *other =
            glyph.described ? NULL : replacement(glyph.code_point, escape);
        if (other != NULL) {
            flame_write_text(writer, other);
            continue;
        }
        if (glyph.described && escape == FLAME_ESCAPE_JSON) {
            flame_write_bytes(writer, "\\", 1);
        }
        flame_write_bytes(writer, glyph.bytes, glyph.length);
    }
}
