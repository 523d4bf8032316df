/*
 * What lies in the folder of kept profiles, which a full disk, a person or another
 * program may have left in any state: names, headers, facts, compressed profiles, all
 * of them cut anywhere. Somebody who may ask gets the list and the profile: the page
 * must be one that a strict parser takes, whatever the facts say, and so must a
 * picture.
 *
 * An input is six bytes of choices, a file's name, what a gzip header has as its extra
 * field, and the content: compressed here, so that what is inside is reached at all, or
 * as it is.
 */
#include "middleware/archive/archived.h"

#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "renderer/writer.h"

#define NAME "0123456789abcdef0123456789abcdef"
#define FILE_MAX ((size_t)1 << 16)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct flame_config config;
static struct flame_shelf archive;

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void end(void)
{
    rmdir(archive.folder);
}

static void begin(void)
{
    char folder[] = "/dev/shm/flameprof-fuzz-XXXXXX";
    char sentence[FLAME_SENTENCE_SIZE];

    require(mkdtemp(folder) != NULL);
    flame_config_init(&config);
    config.dir = strdup(folder);
    require(flame_archived_configure(&config, &archive, sentence) == 0);
    atexit(end);
}

/* ---- the folder -------------------------------------------------------------- */

struct input {
    uint8_t clock, format, question, cut;
    bool compress;
    struct flame_slice name, extra, content;
};

static struct flame_slice take(struct flame_slice *rest, size_t length)
{
    struct flame_slice taken = {rest->data,
                                length < rest->length ? length : rest->length};

    rest->data += taken.length;
    rest->length -= taken.length;
    return taken;
}

static struct input take_apart(const uint8_t *data, size_t size)
{
    struct flame_slice rest = {(const char *)data + 6, size - 6};
    struct input input = {.clock = data[0] & 3,
                          .format = data[0] >> 2 & 3,
                          .compress = data[0] & 16,
                          .question = data[1],
                          .cut = data[2]};

    input.name = take(&rest, data[3]);
    input.extra = take(&rest, data[4] | (size_t)data[5] << 8);
    input.content = rest;
    return input;
}

/* As a gzip file with the extra field, into `file`; its length. */
static size_t compress_into(const struct input *input, char file[FILE_MAX])
{
    enum { GZIP = 16 };
    gz_header header = {.extra = (unsigned char *)(uintptr_t)input->extra.data,
                        .extra_len = (uInt)input->extra.length};
    z_stream zip = {.next_in = (unsigned char *)(uintptr_t)input->content.data,
                    .avail_in = (uInt)input->content.length,
                    .next_out = (unsigned char *)file,
                    .avail_out = FILE_MAX};

    require(deflateInit2(&zip, Z_BEST_SPEED, Z_DEFLATED, MAX_WBITS + GZIP, 8,
                         Z_DEFAULT_STRATEGY) == Z_OK);
    require(deflateSetHeader(&zip, &header) == Z_OK);
    require(deflate(&zip, Z_FINISH) == Z_STREAM_END);
    size_t length = zip.total_out;
    deflateEnd(&zip);
    return length;
}

static void path_of(struct flame_slice name, char path[1024])
{
    snprintf(path, 1024, "%s/%.*s", archive.folder, (int)name.length, name.data);
}

/* False: no file can have that name. */
static bool put_file(struct flame_slice name, struct flame_slice bytes)
{
    char path[1024];

    if (name.length == 0 || memchr(name.data, '/', name.length) != NULL ||
        memchr(name.data, '\0', name.length) != NULL || flame_slice_is(name, ".") ||
        flame_slice_is(name, "..")) {
        return false;
    }
    path_of(name, path);
    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        return false; /* too long */
    }
    require(fwrite(bytes.data, 1, bytes.length, file) == bytes.length);
    require(fclose(file) == 0);
    return true;
}

static void remove_file(struct flame_slice name)
{
    char path[1024];

    path_of(name, path);
    unlink(path);
}

/* ---- who asks ---------------------------------------------------------------- */

struct asked {
    char path[400];
    char query[200];
};

static struct flame_slice lookup(void *door_request, const char *name)
{
    const struct asked *asked = door_request;
    const char *const variables[][2] = {
        {"REQUEST_METHOD", "GET"},  {"REMOTE_ADDR", "127.0.0.1"},
        {"HTTP_HOST", "localhost"}, {"SERVER_PROTOCOL", "HTTP/1.1"},
        {"PATH_INFO", asked->path}, {"QUERY_STRING", asked->query}};

    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        if (strcmp(name, variables[i][0]) == 0) {
            return flame_slice_of(variables[i][1]);
        }
    }
    return (struct flame_slice){NULL, 0};
}

static void check_xml(const char *data, size_t length)
{
    XML_Parser parser = XML_ParserCreate("UTF-8");

    require(XML_Parse(parser, data, (int)length, XML_TRUE) == XML_STATUS_OK);
    XML_ParserFree(parser);
}

/* One of HTML's elements that have no end. */
static bool is_empty_element(const char *tag, size_t length)
{
    static const char *const empty[] = {"<meta ", "<br>", "<input "};
    bool found = false;

    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        found =
            found || flame_slice_begins((struct flame_slice){tag, length}, empty[i]);
    }
    return found;
}

/* Those get one; all else of the page is XML as well. */
static void check_page(const struct flame_writer *page)
{
    const char *at = page->data;
    const char *end = page->data + page->length;
    struct flame_writer xml = {.limit = 0};

    for (const char *stop; (stop = memchr(at, '>', (size_t)(end - at))) != NULL;
         at = stop + 1) {
        const char *tag = memrchr(at, '<', (size_t)(stop - at));
        bool empty = tag != NULL && is_empty_element(tag, (size_t)(stop + 1 - tag));
        flame_write_bytes(&xml, at, (size_t)(stop - at));
        flame_write_text(&xml, empty ? "/>" : ">");
    }
    flame_write_bytes(&xml, at, (size_t)(end - at));
    require(xml.error == 0);
    check_xml(xml.data, xml.length);
    flame_writer_free(&xml);
}

static void check_answer(const struct asked *asked, enum flame_format format)
{
    char sentence[FLAME_SENTENCE_SIZE] = "";
    struct flame_wanted wanted;
    struct flame_answer answer;
    enum flame_decision decision = flame_archived_decide(
        &config, lookup, (void *)(uintptr_t)asked, NULL, &wanted, sentence);

    require(decision == FLAME_KEPT || decision == FLAME_MALFORMED);
    if (decision == FLAME_MALFORMED) {
        require(sentence[0] != '\0');
        return;
    }
    flame_archived_answer(&config, &wanted, &answer);
    require(answer.status >= 200 && answer.status < 600);
    /* A profile of nothing is no folded text, and a file may be empty. */
    require(answer.body.length != 0 ||
            (answer.status == 200 &&
             (format == FLAME_FORMAT_FOLDED || format == FLAME_FORMAT_PPROF)));
    if (wanted.what == FLAME_WANTS_LIST) {
        require(answer.status == 200);
        check_page(&answer.body);
    } else if (answer.status == 200 && format == FLAME_FORMAT_SVG) {
        check_xml(answer.body.data, answer.body.length);
    }
    flame_answer_free(&answer);
}

static void ask(const struct input *input)
{
    static const char *const clocks[] = {"wall", "cpu", "offcpu", "gil"};
    static const struct {
        const char *name;
        enum flame_format format;
    } formats[] = {{"svg", FLAME_FORMAT_SVG},
                   {"folded", FLAME_FORMAT_FOLDED},
                   {"json", FLAME_FORMAT_JSON},
                   {"pprof", FLAME_FORMAT_PPROF}};
    static const char *const orders[] = {"", "time", "path", "cpu", "duration", "why"};
    struct asked asked = {.path = FLAME_URL};

    snprintf(asked.query, sizeof asked.query, "%s", orders[input->question % 6]);
    check_answer(&asked, FLAME_FORMAT_HTML);
    snprintf(asked.path, sizeof asked.path, FLAME_URL "%.*s",
             input->question & 64 ? (int)input->name.length : (int)strlen(NAME),
             input->question & 64 ? input->name.data : NAME);
    snprintf(asked.query, sizeof asked.query,
             "flamegraph_format=%s&flamegraph_clock=%s%s", formats[input->format].name,
             clocks[input->clock],
             input->question & 128 ? "&flamegraph_diff=" NAME : "");
    check_answer(&asked, formats[input->format].format);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char file[FILE_MAX];

    if (size < 6) {
        return 0;
    }
    if (archive.folder[0] == '\0') {
        begin();
    }
    struct input input = take_apart(data, size);
    struct flame_slice bytes = input.content;
    if (input.compress) {
        bytes = (struct flame_slice){file, compress_into(&input, file)};
    }
    bytes.length -= bytes.length * input.cut / 256;
    require(put_file(flame_slice_of(NAME FLAME_ARCHIVE_SUFFIX), bytes));
    bool named = put_file(input.name, bytes);
    ask(&input);
    remove_file(flame_slice_of(NAME FLAME_ARCHIVE_SUFFIX));
    if (named) {
        remove_file(input.name);
    }
    return 0;
}
