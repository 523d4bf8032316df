/*
 * libFuzzer's target for the reader of folded text and all that is written of it.
 * The first byte chooses how it is read, the format, and whether it is a difference
 * between the halves.
 */
#include "renderer/writer.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct flame_tree *read_text(const char *text, size_t length, uint8_t choice)
{
    struct flame_ignored ignored;

    return flame_tree_from_folded(
        text, length, choice & 1 ? FLAME_UNIT_SAMPLES : FLAME_UNIT_MICROSECONDS,
        &ignored);
}

static struct flame_tree *read_halves(const char *text, size_t length, uint8_t choice)
{
    struct flame_tree *before = read_text(text, length / 2, choice);
    struct flame_tree *after =
        read_text(text + length / 2, length - length / 2, choice);
    struct flame_tree *tree = flame_tree_difference(before, after, choice & 4);

    flame_tree_free(before);
    flame_tree_free(after);
    return tree;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum flame_format formats[] = {
        FLAME_FORMAT_SVG,        FLAME_FORMAT_FOLDED, FLAME_FORMAT_JSON,
        FLAME_FORMAT_SPEEDSCOPE, FLAME_FORMAT_PPROF,  FLAME_FORMAT_GECKO};
    const size_t format_count = sizeof formats / sizeof *formats;
    const struct flame_picture_options options = {.title = {"fuzz", 4}};
    struct flame_writer writer = {.limit = 64u << 20};

    if (size == 0) {
        return 0;
    }
    uint8_t choice = data[0];
    const char *text = (const char *)data + 1;
    struct flame_tree *tree = choice & 2 ? read_halves(text, size - 1, choice)
                                         : read_text(text, size - 1, choice);
    if (tree == NULL) {
        abort();
    }
    flame_render(formats[(choice >> 3) % format_count], tree, &options, &writer);
    flame_writer_free(&writer);
    flame_tree_free(tree);
    return 0;
}
