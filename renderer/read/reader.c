/*
 * What flameprof reads: it is told apart by its first bytes, after it is unpacked.
 */
#include "renderer/read/reader.h"
#include "renderer/writer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* Bytes that tell the formats apart: pprof's six numbers, and what is behind them. */
#define HEAD 80
/* What is not read as it comes must be in memory as a whole. */
#define WHOLE_MAX ((size_t)1 << 30)

/* So much space before anything else is folded text. */
#define SPACE_MAX ((size_t)1 << 16)
/* Of two bytes with which gzip begins. */
static const char FIRST = 0x1f;

enum kind { UNKNOWN, FOLDED, JSON, PPROF };

struct flame_reader {
    enum flame_unit unit;
    enum kind kind;
    bool held;    /* a byte came alone with which packed input would begin */
    bool started; /* it is known whether it is packed */
    bool packed;
    bool packed_ended;
    bool padded; /* zeros follow: there is no more */
    z_stream zip;
    struct flame_writer whole; /* what came, while it is not known or no folded text */
    struct flame_folded *folded;
    int error;
    const char *problem; /* with -EINVAL */
};

/* ---- documents --------------------------------------------------------------- */

void flame_document_free(struct flame_document *document)
{
    flame_tree_free(document->tree);
    flame_text_free(document->text);
    *document = (struct flame_document){0};
}

int flame_document_refuse(struct flame_document *document, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(document->problem, sizeof document->problem, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

bool flame_document_keep(struct flame_document *document, struct flame_slice *to,
                         struct flame_slice text)
{
    struct flame_text *copy = malloc(sizeof *copy + text.length);

    if (copy == NULL) {
        return false;
    }
    if (text.length == 0) {
        text.data = "";
    }
    *copy = (struct flame_text){.next = document->text, .used = text.length};
    memcpy(copy->bytes, text.data, text.length);
    document->text = copy;
    *to = (struct flame_slice){copy->bytes, text.length};
    return true;
}

void flame_ignore(struct flame_ignored *ignored, uint64_t number)
{
    if (ignored->count < FLAME_IGNORED_NAMED) {
        ignored->numbers[ignored->count] = number;
    }
    ignored->count++;
}

/* ---- what it is -------------------------------------------------------------- */

static struct flame_slice skip_space(struct flame_slice text)
{
    while (text.length != 0 && memchr(" \t\r\n", text.data[0], 4) != NULL) {
        text.data++;
        text.length--;
    }
    return text;
}

/* Whether the first message is one of two numbers, a sample type. Go's runtime writes
 * numbers of the profile's own before it, field 7, 8, 9, 10, 12 or 14, and the type of
 * the period, a short message in field 11. */
static bool is_pprof(struct flame_slice text)
{
    const unsigned char *at = (const unsigned char *)text.data;

    if (text.length == 0) {
        return false;
    }
    const unsigned char *end = at + text.length;
    while (end - at >= 2 && strchr("8@HPZ`p", *at) != NULL && *at != '\0') {
        if (*at == 'Z') {
            at += at[1] < end - at ? at[1] : 0;
        }
        do {
            at++;
        } while (at < end && *at >= 0x80);
        at += at < end;
    }
    return end - at >= 3 && at[0] == 0x0a && at[2] == 0x08;
}

/* By how it begins; UNKNOWN: that is not enough. Folded text may begin with anything
 * but control characters. */
static enum kind kind_of(struct flame_slice text)
{
    bool enough = text.length > SPACE_MAX;

    if (is_pprof(text)) {
        return PPROF;
    }
    text = skip_space(text);
    if (text.length == 0) {
        return enough ? FOLDED : UNKNOWN;
    }
    if (text.data[0] != '{') {
        return FOLDED;
    }
    text = skip_space((struct flame_slice){text.data + 1, text.length - 1});
    if (text.length == 0) {
        return enough ? FOLDED : UNKNOWN;
    }
    return text.data[0] == '"' || text.data[0] == '}' ? JSON : FOLDED;
}

static void refuse(struct flame_reader *reader, const char *problem)
{
    reader->error = -EINVAL;
    reader->problem = problem;
}

static void feed_folded(struct flame_reader *reader, const char *data, size_t length)
{
    if (reader->folded == NULL) {
        reader->folded = flame_folded_new(reader->unit);
    }
    reader->error = reader->folded == NULL
                        ? -ENOMEM
                        : flame_folded_feed(reader->folded, data, length);
}

static void feed_unpacked(struct flame_reader *reader, const char *data, size_t length)
{
    if (reader->kind == FOLDED) {
        feed_folded(reader, data, length);
        return;
    }
    flame_write_bytes(&reader->whole, data, length);
    if (reader->whole.error != 0) {
        reader->error = reader->whole.error;
    } else if (reader->kind == UNKNOWN && reader->whole.length >= HEAD) {
        reader->kind = kind_of(flame_writer_slice(&reader->whole));
        if (reader->kind == FOLDED) {
            feed_folded(reader, reader->whole.data, reader->whole.length);
            flame_writer_free(&reader->whole);
        }
    }
}

/* Members of a gzip file follow each other. */
static void unpack(struct flame_reader *reader, const char *data, size_t length)
{
    char *out = malloc(1 << 18);
    z_stream *zip = &reader->zip;

    if (out == NULL) {
        reader->error = -ENOMEM;
        return;
    }
    zip->next_in = (unsigned char *)(uintptr_t)data;
    zip->avail_in = (uInt)length;
    do {
        zip->next_out = (unsigned char *)out;
        zip->avail_out = 1 << 18;
        int status = inflate(zip, Z_NO_FLUSH);
        feed_unpacked(reader, out, (1 << 18) - zip->avail_out);
        reader->packed_ended = status == Z_STREAM_END;
        if (reader->packed_ended && zip->avail_in != 0) {
            reader->padded = *zip->next_in == 0;
            inflateReset(zip);
        } else if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) {
            refuse(reader, "what it is packed in is broken");
        }
    } while (reader->error == 0 && (zip->avail_in != 0 || zip->avail_out == 0) &&
             !(reader->packed_ended && (zip->avail_in == 0 || reader->padded)));
    free(out);
}

/* ---- as it comes ------------------------------------------------------------- */

struct flame_reader *flame_reader_new(enum flame_unit unit)
{
    struct flame_reader *reader = calloc(1, sizeof *reader);

    if (reader != NULL) {
        reader->unit = unit;
        reader->whole.limit = WHOLE_MAX;
    }
    return reader;
}

static void take(struct flame_reader *reader, const char *data, size_t length)
{
    if (!reader->packed) {
        feed_unpacked(reader, data, length);
    } else if (!reader->padded) {
        unpack(reader, data, length);
    }
}

static void start(struct flame_reader *reader, const char *data, size_t length)
{
    const char *second = reader->held ? data : data + 1;

    reader->started = true;
    reader->packed = (reader->held || (length >= 2 && data[0] == FIRST)) &&
                     (unsigned char)*second == 0x8b;
    if (reader->packed && inflateInit2(&reader->zip, MAX_WBITS + 16) != Z_OK) {
        reader->packed = false;
        reader->error = -ENOMEM;
    } else if (reader->held) {
        take(reader, &FIRST, 1);
    }
}

int flame_reader_feed(struct flame_reader *reader, const char *data, size_t length)
{
    /* zlib counts in 32 bits. */
    const size_t most = (size_t)1 << 30;

    if (!reader->started && length != 0) {
        if (!reader->held && length == 1 && data[0] == FIRST) {
            reader->held = true;
            return reader->error;
        }
        start(reader, data, length);
    }
    while (length != 0 && reader->error == 0) {
        size_t part = length < most ? length : most;
        take(reader, data, part);
        data += part;
        length -= part;
    }
    return reader->error;
}

static void finish(struct flame_reader *reader, struct flame_document *document)
{
    if (reader->held && !reader->started) {
        feed_unpacked(reader, &FIRST, 1);
    }
    struct flame_slice whole = flame_writer_slice(&reader->whole);

    if (reader->packed && !reader->packed_ended) {
        refuse(reader, "what it is packed in ends too early");
        return;
    }
    if (reader->kind == UNKNOWN) {
        reader->kind = kind_of(whole);
        if (reader->kind == UNKNOWN || reader->kind == FOLDED) {
            feed_folded(reader, whole.data, whole.length);
        }
    }
    if (reader->error != 0) {
        return;
    }
    switch (reader->kind) {
    case JSON:
        reader->error = flame_read_json(whole.data, whole.length, document);
        return;
    case PPROF:
        reader->error = flame_read_pprof(whole.data, whole.length, document);
        return;
    default:
        document->tree = flame_folded_finish(reader->folded, &document->ignored);
        reader->folded = NULL;
        reader->error = document->tree != NULL ? 0 : -ENOMEM;
    }
}

int flame_reader_finish(struct flame_reader *reader, struct flame_document *document)
{
    *document = (struct flame_document){0};
    if (reader->error == 0) {
        finish(reader, document);
    }
    int error = reader->error;
    if (error != 0) {
        char problem[sizeof document->problem];
        memcpy(problem, document->problem, sizeof problem);
        flame_document_free(document);
        memcpy(document->problem, problem, sizeof problem);
        if (reader->problem != NULL) {
            flame_document_refuse(document, "%s", reader->problem);
        } else if (error == -E2BIG) {
            flame_document_refuse(document, "larger than 1 GiB, in one piece or line");
        } else if (error != -EINVAL) {
            flame_document_refuse(document, "%s", strerror(-error));
        }
    }
    if (reader->folded != NULL) {
        struct flame_ignored ignored;
        flame_tree_free(flame_folded_finish(reader->folded, &ignored));
    }
    if (reader->packed) {
        inflateEnd(&reader->zip);
    }
    flame_writer_free(&reader->whole);
    free(reader);
    return error;
}
