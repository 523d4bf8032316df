/*
 * The SVG in a page of its own, for those who can keep HTML files only.
 */
#include "renderer/writer.h"

#include <string.h>

int flame_render_html(const struct flame_tree *tree,
                      const struct flame_picture_options *options,
                      struct flame_writer *writer)
{
    struct flame_writer svg = {.limit = writer->limit};
    int error = flame_render_svg(tree, options, &svg);

    if (error == 0) {
        struct flame_slice text = flame_writer_slice(&svg);
        const char *start = memmem(text.data, text.length, "<svg", 4);
        size_t prolog = (size_t)(start - text.data);
        flame_write_text(writer, "<!DOCTYPE html>\n<html lang=\"en\">\n<meta "
                                 "charset=\"utf-8\">\n<title>");
        flame_write_escaped(writer, options->title, FLAME_ESCAPE_XML);
        flame_write_text(writer, "</title>\n<body class=\"flame-page\">\n");
        flame_write_bytes(writer, text.data + prolog, text.length - prolog);
        flame_write_text(writer, "</body>\n</html>\n");
        error = writer->error;
    }
    flame_writer_free(&svg);
    return error;
}
