/*
 * Names of functions, of files and in the title, as the sampler copies them: any bytes.
 * The picture must be XML for a parser that forgives nothing, the JSON must be JSON,
 * and folded text must be one that is read the same.
 */
#include "renderer/tree/tree.h"
#include "tests/fuzz/document.h"

#include <expat.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define NODES_MAX 64
#define ENDS 0xff /* of a name in the input: no UTF-8 has it */

struct names {
    struct flame_code codes[NODES_MAX];
    struct flame_node nodes[NODES_MAX];
    uint32_t count; /* of nodes; of codes one less */
};

static struct flame_slice next_name(struct flame_slice *rest)
{
    struct flame_slice name = {rest->data, rest->length};
    const char *end = memchr(rest->data, ENDS, rest->length);

    if (end != NULL) {
        name.length = (size_t)(end - rest->data);
    }
    size_t used = name.length + (end != NULL);
    rest->data += used;
    rest->length -= used;
    return name;
}

/* Each node has a byte for its parent and its weight, then a name and a file. */
static void take_apart(struct flame_slice rest, struct names *names)
{
    names->count = 1;
    names->nodes[0] = (struct flame_node){.wall_ns = {1000}};
    while (rest.length > 1 && names->count < NODES_MAX) {
        uint32_t here = names->count++;
        uint8_t what = (uint8_t)*rest.data++;
        rest.length--;
        struct flame_code *code = &names->codes[here - 1];
        code->name = next_name(&rest);
        code->file = next_name(&rest);
        code->first_line = what;
        names->nodes[here] = (struct flame_node){.parent = what % here,
                                                 .code = here - 1,
                                                 .wall_ns = {UINT64_C(1000) * what},
                                                 .samples = what};
    }
}

static struct flame_writer written(const struct flame_tree *tree,
                                   enum flame_format format,
                                   const struct flame_picture_options *options)
{
    struct flame_writer writer = {.limit = 0};

    if (flame_render(format, tree, options, &writer) != 0) {
        abort();
    }
    return writer;
}

static void check_xml(const struct flame_tree *tree,
                      const struct flame_picture_options *options)
{
    struct flame_writer svg = written(tree, FLAME_FORMAT_SVG, options);
    XML_Parser parser = XML_ParserCreate(NULL);

    if (XML_Parse(parser, svg.data, (int)svg.length, XML_TRUE) != XML_STATUS_OK) {
        abort();
    }
    XML_ParserFree(parser);
    flame_writer_free(&svg);
}

static void check_json(const struct flame_tree *tree, enum flame_format format,
                       const struct flame_picture_options *options)
{
    struct flame_writer text = written(tree, format, options);
    json_t *json = json_loadb(text.data, text.length,
                              JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);

    if (json == NULL) {
        abort();
    }
    json_decref(json);
    flame_writer_free(&text);
}

/* What reading the text yields, written again; every line of it must make sense. */
static struct flame_writer again(const struct flame_writer *text)
{
    struct flame_document document;

    if (fuzz_read("", (struct flame_slice){text->data, text->length},
                  FLAME_UNIT_MICROSECONDS, false, &document) == NULL ||
        document.ignored.count != 0) {
        abort();
    }
    struct flame_writer written_again =
        written(document.tree, FLAME_FORMAT_FOLDED, &document.options);
    flame_document_free(&document);
    return written_again;
}

/* Two functions whose text is the same are one after the first time. */
static void check_folded(const struct flame_tree *tree,
                         const struct flame_picture_options *options)
{
    struct flame_writer first = written(tree, FLAME_FORMAT_FOLDED, options);
    struct flame_writer second = again(&first);
    struct flame_writer third = again(&second);

    if (third.length != second.length ||
        (third.length != 0 && memcmp(third.data, second.data, third.length) != 0)) {
        abort();
    }
    flame_writer_free(&first);
    flame_writer_free(&second);
    flame_writer_free(&third);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct names names;
    struct flame_slice rest = {(const char *)data + 1, size - 1};

    if (size == 0) {
        return 0;
    }
    struct flame_picture_options options = {.inverted = data[0] & 1,
                                            .callers = data[0] & 2};
    options.title = next_name(&rest);
    options.subtitle = next_name(&rest);
    options.warning = next_name(&rest);
    take_apart(rest, &names);
    struct flame_profile profile = {.nodes = names.nodes,
                                    .node_count = names.count,
                                    .codes = names.codes,
                                    .code_count = names.count - 1};
    struct flame_tree *tree = flame_tree_from_profile(&profile, FLAME_CLOCK_WALL);
    check_xml(tree, &options);
    check_json(tree, FLAME_FORMAT_JSON, &options);
    check_json(tree, FLAME_FORMAT_SPEEDSCOPE, &options);
    check_json(tree, FLAME_FORMAT_GECKO, &options);
    check_folded(tree, &options);
    flame_tree_free(tree);
    return 0;
}
