#include "tests/fuzz/document.h"

#include <stdlib.h>
#include <string.h>

/* More than any input is long. */
#define BODY_MAX ((size_t)64 << 20)

static void feed(struct flame_reader *reader, struct flame_slice text, bool bytewise)
{
    size_t piece = bytewise ? 1 : text.length;

    for (size_t at = 0; at < text.length; at += piece) {
        flame_reader_feed(reader, text.data + at, piece);
    }
}

struct flame_tree *fuzz_read(const char *begin, struct flame_slice text,
                             enum flame_unit unit, bool bytewise,
                             struct flame_document *document)
{
    struct flame_reader *reader = flame_reader_new(unit);

    feed(reader, flame_slice_of(begin), bytewise);
    feed(reader, text, bytewise);
    int error = flame_reader_finish(reader, document);
    if ((error == 0) != (document->tree != NULL) ||
        (error == 0) != (document->problem[0] == '\0')) {
        abort();
    }
    return document->tree;
}

static enum flame_unit unit_of(uint8_t choice)
{
    return choice & 1 ? FLAME_UNIT_SAMPLES : FLAME_UNIT_MICROSECONDS;
}

static enum flame_format format_of(uint8_t choice)
{
    static const enum flame_format formats[] = {FLAME_FORMAT_SVG, FLAME_FORMAT_FOLDED,
                                                FLAME_FORMAT_JSON, FLAME_FORMAT_PPROF};

    return formats[choice >> 6];
}

static void render(const struct flame_tree *tree, uint8_t choice,
                   const struct flame_picture_options *options)
{
    struct flame_writer writer = {.limit = BODY_MAX};

    flame_render(format_of(choice), tree, options, &writer);
    flame_writer_free(&writer);
}

static void one(const char *begin, struct flame_slice text, uint8_t choice)
{
    struct flame_document document;

    if (fuzz_read(begin, text, unit_of(choice), choice & 8, &document) != NULL) {
        document.options.callers = choice & 16;
        document.options.inverted = choice & 32;
        render(document.tree, choice, &document.options);
    }
    flame_document_free(&document);
}

static void difference(const char *begin, struct flame_slice text, uint8_t choice)
{
    struct flame_slice first = {text.data, text.length / 2};
    struct flame_slice second = {text.data + first.length, text.length - first.length};
    struct flame_document before, after;
    bool both = fuzz_read(begin, first, unit_of(choice), choice & 8, &before) != NULL;

    both &= fuzz_read(begin, second, unit_of(choice), choice & 8, &after) != NULL;
    if (both) {
        struct flame_tree *tree =
            flame_tree_difference(before.tree, after.tree, choice & 4);
        if (tree != NULL) {
            render(tree, choice, &after.options);
        }
        flame_tree_free(tree);
    }
    flame_document_free(&before);
    flame_document_free(&after);
}

void fuzz_document(const char *begin, const uint8_t *data, size_t size)
{
    if (size == 0) {
        return;
    }
    struct flame_slice text = {(const char *)data + 1, size - 1};
    if (data[0] & 2) {
        difference(begin, text, data[0]);
    } else {
        one(begin, text, data[0]);
    }
}
