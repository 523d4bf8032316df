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

struct flame_slice flame_slice_of(const char *text)
{
    return (struct flame_slice){text, strlen(text)};
}

bool flame_slice_is(struct flame_slice slice, const char *text)
{
    return slice.length == strlen(text) && memcmp(slice.data, text, slice.length) == 0;
}

struct flame_slice flame_writer_slice(const struct flame_writer *writer)
{
    return (struct flame_slice){writer->data, writer->length};
}

/* ---- numbers: integers only, so that no locale and no rounding mode matters */

static size_t count_digits(uint64_t value)
{
    static const uint64_t powers[FLAME_DIGITS_MAX] = {
        0, /* even of 0 there is one digit */
        UINT64_C(10),
        UINT64_C(100),
        UINT64_C(1000),
        UINT64_C(10000),
        UINT64_C(100000),
        UINT64_C(1000000),
        UINT64_C(10000000),
        UINT64_C(100000000),
        UINT64_C(1000000000),
        UINT64_C(10000000000),
        UINT64_C(100000000000),
        UINT64_C(1000000000000),
        UINT64_C(10000000000000),
        UINT64_C(100000000000000),
        UINT64_C(1000000000000000),
        UINT64_C(10000000000000000),
        UINT64_C(100000000000000000),
        UINT64_C(1000000000000000000),
        UINT64_C(10000000000000000000),
    };
    /* Bits times log10(2): the digits, or one less. */
    unsigned digits = (64 - (unsigned)__builtin_clzll(value | 1)) * 1233 >> 12;

    return digits + (value >= powers[digits]);
}

/* Two at a time, and where they belong: most of a picture's bytes are digits. */
char *flame_put_digits(char *to, uint64_t value)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    char *end = to + count_digits(value);
    char *at = end;

    for (; value >= 100; value /= 100) {
        at -= 2;
        memcpy(at, pairs + value % 100 * 2, 2);
    }
    if (value >= 10) {
        memcpy(to, pairs + value * 2, 2);
    } else {
        *to = (char)('0' + value);
    }
    return end;
}

void flame_write_unsigned(struct flame_writer *writer, uint64_t value)
{
    char digits[FLAME_DIGITS_MAX];

    flame_write_bytes(writer, digits,
                      (size_t)(flame_put_digits(digits, value) - digits));
}

void flame_write_grouped(struct flame_writer *writer, uint64_t value)
{
    char digits[FLAME_DIGITS_MAX];
    const char *end = flame_put_digits(digits, value);

    for (const char *at = digits; at < end;) {
        size_t group = (size_t)(end - at - 1) % 3 + 1;
        flame_write_bytes(writer, at, group);
        at += group;
        flame_write_text(writer, at < end ? "," : "");
    }
}

void flame_write_hundredths(struct flame_writer *writer, uint64_t value)
{
    char fraction[3] = {'.', (char)('0' + value / 10 % 10), (char)('0' + value % 10)};

    flame_write_unsigned(writer, value / 100);
    if (value % 10 != 0) {
        flame_write_bytes(writer, fraction, 3);
    } else if (value % 100 != 0) {
        flame_write_bytes(writer, fraction, 2);
    }
}

/* value / 10^decimals, with all its decimals */
static void write_decimals(struct flame_writer *writer, uint64_t value,
                           unsigned decimals)
{
    char fraction[8];
    uint64_t whole = value;

    for (unsigned at = decimals; at > 0; at--) {
        fraction[at] = (char)('0' + whole % 10);
        whole /= 10;
    }
    fraction[0] = '.';
    flame_write_grouped(writer, whole);
    if (decimals != 0) {
        flame_write_bytes(writer, fraction, decimals + 1);
    }
}

void flame_write_percent(struct flame_writer *writer, uint64_t part, uint64_t whole)
{
    unsigned __int128 scaled = (unsigned __int128)part * 10000;

    if (whole != 0) {
        scaled = (scaled + whole / 2) / whole;
    }
    write_decimals(writer, whole == 0 ? 0 : (uint64_t)scaled, 2);
    flame_write_text(writer, " %");
}

void flame_write_duration(struct flame_writer *writer, uint64_t nanoseconds)
{
    static const struct {
        uint64_t size;
        const char *name;
    } units[] = {{1000000000, " s"}, {1000000, " ms"}, {1000, " µs"}};

    for (size_t at = 0; at < sizeof units / sizeof *units; at++) {
        uint64_t size = units[at].size;
        if (nanoseconds < size) {
            continue;
        }
        unsigned decimals = nanoseconds / size < 10    ? 3
                            : nanoseconds / size < 100 ? 2
                                                       : 1;
        uint64_t step = size / (decimals == 3 ? 1000 : decimals == 2 ? 100 : 10);
        uint64_t steps = nanoseconds / step + (nanoseconds % step >= step - step / 2);
        write_decimals(writer, steps, decimals);
        flame_write_text(writer, units[at].name);
        return;
    }
    flame_write_unsigned(writer, nanoseconds);
    flame_write_text(writer, " ns");
}

/* ---- text from outside ------------------------------------------------------ */

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

/* How many bytes from the front are written as they are, whatever the escape: most
 * names are nothing else. */
static size_t plain_length(struct flame_slice text)
{
    static const bool plain[256] = {
        [' ' ... '!'] = true, ['#' ... '%'] = true, ['(' ... ':'] = true,
        ['='] = true,         ['?' ... '['] = true, [']' ... '~'] = true,
    };
    size_t length = 0;

    while (length < text.length && plain[(unsigned char)text.data[length]]) {
        length++;
    }
    return length;
}

void flame_write_escaped(struct flame_writer *writer, struct flame_slice text,
                         enum flame_escape escape)
{
    struct flame_glyph glyph;

    for (;;) {
        size_t plain = plain_length(text);
        flame_write_bytes(writer, text.data, plain);
        text.data += plain;
        text.length -= plain;
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
