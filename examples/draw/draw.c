/*
 * Draws folded stacks with the library:
 *
 *   cc draw.c $(pkg-config --cflags --libs flameprof) -o draw
 *   ./draw <stacks.folded >picture.svg
 */
#include <renderer/renderer.h>

#include <stdio.h>

static int to_stdout(void *context, const char *data, size_t length)
{
    (void)context;
    return fwrite(data, 1, length, stdout) == length ? 0 : -1;
}

int main(void)
{
    struct flame_reader *reader = flame_reader_new(FLAME_UNIT_SAMPLES);
    struct flame_writer writer = {.sink = to_stdout};
    struct flame_document document;
    char buffer[1 << 16];
    size_t got;

    if (reader == NULL) {
        return 1;
    }
    while ((got = fread(buffer, 1, sizeof buffer, stdin)) > 0) {
        flame_reader_feed(reader, buffer, got);
    }
    if (flame_reader_finish(reader, &document) != 0) {
        fprintf(stderr, "draw: %s\n", document.problem);
        return 1;
    }
    document.options.title = flame_slice_of("Drawn by the library");
    flame_render(FLAME_FORMAT_SVG, document.tree, &document.options, &writer);
    int error = flame_writer_flush(&writer);
    flame_writer_free(&writer);
    flame_document_free(&document);
    return error != 0;
}
