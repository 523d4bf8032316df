/*
 * libFuzzer's target for everything that is read, and all that is written of it.
 * The first byte chooses what folded text counts, in which pieces the input comes, the
 * format, and whether it is a difference between the halves.
 */
#include "renderer/writer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* NULL: it is none of the formats; then there is a sentence that says why. */
static struct flame_tree *read_input(const char *text, size_t length, uint8_t choice,
                                     struct flame_document *document)
{
    struct flame_reader *reader =
        flame_reader_new(choice & 1 ? FLAME_UNIT_SAMPLES : FLAME_UNIT_MICROSECONDS);
    size_t piece = choice & 8 ? 1 : length + 1;

    for (size_t at = 0; at < length; at += piece) {
        size_t left = length - at;
        flame_reader_feed(reader, text + at, left < piece ? left : piece);
    }
    int error = flame_reader_finish(reader, document);
    if ((error == 0) != (document->tree != NULL) ||
        (error == 0) != (document->problem[0] == '\0')) {
        abort();
    }
    return document->tree;
}

static void render(const struct flame_tree *tree, enum flame_format format,
                   const struct flame_picture_options *options)
{
    struct flame_writer writer = {.limit = 64u << 20};

    flame_render(format, tree, options, &writer);
    flame_writer_free(&writer);
}

static void render_difference(const char *text, size_t length, uint8_t choice,
                              enum flame_format format)
{
    struct flame_document before;
    struct flame_document after;
    bool both = read_input(text, length / 2, choice, &before) != NULL;

    both &= read_input(text + length / 2, length - length / 2, choice, &after) != NULL;
    if (both) {
        struct flame_tree *tree =
            flame_tree_difference(before.tree, after.tree, choice & 4);
        if (tree != NULL) {
            render(tree, format, &after.options);
        }
        flame_tree_free(tree);
    }
    flame_document_free(&before);
    flame_document_free(&after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum flame_format formats[] = {FLAME_FORMAT_SVG, FLAME_FORMAT_FOLDED,
                                                FLAME_FORMAT_JSON, FLAME_FORMAT_PPROF};
    struct flame_document document;

    if (size == 0) {
        return 0;
    }
    uint8_t choice = data[0];
    const char *text = (const char *)data + 1;
    enum flame_format format = formats[choice >> 6];
    if (choice & 2) {
        render_difference(text, size - 1, choice, format);
        return 0;
    }
    if (read_input(text, size - 1, choice, &document) != NULL) {
        document.options.callers = choice & 16;
        document.options.inverted = choice & 32;
        render(document.tree, format, &document.options);
    }
    flame_document_free(&document);
    return 0;
}
