#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sampler/sampler.h"
#include "sampler/session.h"

#define SOURCE_BYTES_MAX (8u << 20) /* of a file worth reading */
#define FILES_MAX 500u              /* read for one profile */
#define NAME_BYTES 60u              /* shown of what is called; its end counts */
#define ELLIPSIS "\xe2\x80\xa6"

/* ---- what a call is called --------------------------------------------------- */

/* "a.b(…)" in the making. */
struct call {
    char text[NAME_BYTES * 2];
    size_t length;
    size_t group; /* where the last bracket was opened */
    bool cut;     /* the front was */
};

static void put(struct call *call, const char *text, size_t length)
{
    if (call->length + length > sizeof call->text) {
        memmove(call->text, call->text + NAME_BYTES, call->length - NAME_BYTES);
        call->length -= NAME_BYTES;
        call->group -= call->group < NAME_BYTES ? call->group : NAME_BYTES;
        call->cut = true;
    }
    memcpy(call->text + call->length, text, length);
    call->length += length;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\\';
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_' || (c & 0x80) != 0;
}

/* The end of the string literal that begins at `at`; NULL: it has none here. */
static const char *skip_string(const char *at, const char *end)
{
    return memchr(at + 1, *at, (size_t)(end - at - 1));
}

/* The bracket that closes the one at `at`; NULL: there is none here. */
static const char *skip_brackets(const char *at, const char *end)
{
    size_t open = 0;

    for (; at != NULL && at < end; at++) {
        if (*at == '"' || *at == '\'') {
            at = skip_string(at, end);
            if (at == NULL) {
                return NULL;
            }
        }
        open += *at == '(' || *at == '[' || *at == '{';
        open -= *at == ')' || *at == ']' || *at == '}';
        if (open == 0) {
            return at;
        }
    }
    return NULL;
}

/* What stands between delimiters is left out; returns the closing one, or NULL. */
static const char *put_elided(struct call *call, const char *at, const char *close)
{
    if (close != NULL) {
        call->group = call->length;
        put(call, at, 1);
        put(call, ELLIPSIS, close == at + 1 ? 0 : strlen(ELLIPSIS));
        put(call, close, 1);
    }
    return close;
}

/*
 * Names, attributes, subscripts and calls in a row. False for anything else: a
 * sum that ends in a call ("a + f(x)"), a statement that does ("raise E(x)").
 */
static bool read_call(struct flame_slice text, struct call *call)
{
    const char *end = text.data + text.length;
    char before = '.';
    bool spaced = false;

    for (const char *at = text.data; at < end; at++) {
        if (is_space(*at)) {
            spaced = true;
            continue;
        }
        if (is_word(*at) && !(spaced && before != '.')) {
            put(call, at, 1);
        } else if (*at == '.') {
            put(call, at, 1);
        } else if (*at == '"' || *at == '\'') {
            at = put_elided(call, at, skip_string(at, end));
        } else if (*at == '(' || *at == '[' || *at == '{') {
            at = put_elided(call, at, skip_brackets(at, end));
        } else {
            return false;
        }
        if (at == NULL) {
            return false;
        }
        before = *at;
        spaced = false;
    }
    return before == ')' && (call->group > 0 || call->cut);
}

/* "zlib.compress(…)" into `call`; an empty slice if the text is no call. */
static struct flame_slice call_name(struct flame_slice text, struct call *call)
{
    *call = (struct call){.length = 0};
    if (!read_call(text, call)) {
        return (struct flame_slice){"", 0};
    }
    if (call->length <= NAME_BYTES && !call->cut) {
        return (struct flame_slice){call->text, call->length};
    }
    /* Its end says what is called; not to be cut within a character. */
    char *from =
        call->text + (call->length < NAME_BYTES ? 0 : call->length - NAME_BYTES);
    while ((*from & 0xC0) == 0x80) {
        from++;
    }
    size_t length = (size_t)(call->text + call->length - from);
    memmove(call->text + strlen(ELLIPSIS), from, length);
    memcpy(call->text, ELLIPSIS, strlen(ELLIPSIS));
    return (struct flame_slice){call->text, strlen(ELLIPSIS) + length};
}

/* ---- source files ------------------------------------------------------------ */

/* A file's text, and how far its lines have been counted. */
struct source {
    const char *end;
    const char *line_start;
    uint32_t line;
    char *owned; /* to be freed; NULL: it is the sources' */
};

static bool find_source(struct source *source, const struct flame_sources *sources,
                        struct flame_slice path)
{
    for (size_t i = 0; sources != NULL && i < sources->count; i++) {
        struct flame_slice file = sources->list[i].file;
        struct flame_slice text = sources->list[i].text;

        if (file.length == path.length &&
            memcmp(file.data, path.data, path.length) == 0) {
            *source = (struct source){text.data + text.length, text.data, 1, NULL};
            return true;
        }
    }
    return false;
}

static bool open_source(struct source *source, struct flame_slice path)
{
    char name[FLAME_FILE_MAX + 1];
    struct stat status;

    memcpy(name, path.data, path.length);
    name[path.length] = '\0';
    int file = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (file < 0) {
        return false;
    }
    bool fits = fstat(file, &status) == 0 && S_ISREG(status.st_mode) &&
                status.st_size > 0 && status.st_size <= SOURCE_BYTES_MAX;
    char *data = fits ? malloc((size_t)status.st_size) : NULL;
    /* Read, not mapped: a file that shrinks meanwhile shall not fault. */
    ssize_t size = data == NULL ? -1 : read(file, data, (size_t)status.st_size);
    close(file);
    if (size <= 0) {
        free(data);
        return false;
    }
    *source = (struct source){data + size, data, 1, data};
    return true;
}

/* Goes forward to a line; false: there are not so many. */
static bool go_to_line(struct source *source, uint32_t line)
{
    while (source->line < line) {
        const char *newline = memchr(source->line_start, '\n',
                                     (size_t)(source->end - source->line_start));
        if (newline == NULL) {
            return false;
        }
        source->line_start = newline + 1;
        source->line++;
    }
    return true;
}

/* The text of a position that ends on its own line, or up to there. */
static struct flame_slice text_at(struct source *source,
                                  const struct flame_position *position)
{
    struct source ahead = *source;
    const char *from = source->line_start + position->column;

    if (!go_to_line(&ahead, position->end_line)) {
        return (struct flame_slice){"", 0};
    }
    const char *to = ahead.line_start + position->end_column;
    if (from >= to || to > source->end) {
        return (struct flame_slice){"", 0};
    }
    return (struct flame_slice){from, (size_t)(to - from)};
}

/* ---- all sites of a profile -------------------------------------------------- */

struct named {
    struct flame_slice file;
    const struct flame_position *position;
    uint32_t index;
};

static int compare_named(const void *left, const void *right)
{
    const struct named *a = left;
    const struct named *b = right;
    size_t shorter = a->file.length < b->file.length ? a->file.length : b->file.length;
    int order = memcmp(a->file.data, b->file.data, shorter);

    if (order == 0) {
        order = (a->file.length > b->file.length) - (a->file.length < b->file.length);
    }
    return order != 0 ? order
                      : (a->position->line > b->position->line) -
                            (a->position->line < b->position->line);
}

static bool same_file(const struct named *a, const struct named *b)
{
    return a->file.length == b->file.length &&
           memcmp(a->file.data, b->file.data, a->file.length) == 0;
}

/* Names the sites of one file, which are in the order of their lines. */
static void name_in_file(struct flame_store *store, const struct named *sites,
                         size_t count, const struct flame_sources *sources)
{
    struct source source;
    struct call call;

    if (!find_source(&source, sources, sites[0].file) &&
        !open_source(&source, sites[0].file)) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (!go_to_line(&source, sites[i].position->line)) {
            break;
        }
        struct flame_slice text = text_at(&source, sites[i].position);
        flame_store_name(store, sites[i].index, call_name(text, &call));
    }
    free(source.owned);
}

static void name_all(struct flame_store *store, struct named *sites, size_t count,
                     const struct flame_sources *sources)
{
    size_t files = 0;

    qsort(sites, count, sizeof *sites, compare_named);
    for (size_t first = 0; first < count && files < FILES_MAX; files++) {
        size_t next = first + 1;
        while (next < count && same_file(&sites[first], &sites[next])) {
            next++;
        }
        name_in_file(store, sites + first, next - first, sources);
        first = next;
    }
}

static void name_sites(struct flame_store *store, const struct flame_profile *profile,
                       const struct flame_sources *sources)
{
    struct named *sites = malloc((profile->code_count + 1) * sizeof *sites);
    size_t count = 0;

    if (sites == NULL) {
        return;
    }
    for (uint32_t i = 0; i < profile->code_count; i++) {
        const struct flame_site *site = flame_store_site_at(store, i);
        if (site->code != FLAME_NONE) {
            sites[count++] = (struct named){profile->codes[i].file, &site->position, i};
        }
    }
    name_all(store, sites, count, sources);
    free(sites);
}

/* The function a call names: "compress" of "zlib.compress(…)". */
static struct flame_slice callee_of(struct flame_slice call)
{
    const char *end = memrchr(call.data, '(', call.length);
    const char *start = end;

    while (start != NULL && start > call.data && is_word(start[-1])) {
        start--;
    }
    return (struct flame_slice){start, (size_t)(end - start)};
}

/* True if one of the parts of a qualified name is `word`. */
static bool has_part(struct flame_slice name, struct flame_slice word)
{
    const char *at = name.data;
    const char *end = name.data + name.length;

    while (word.length > 0 &&
           (at = memmem(at, (size_t)(end - at), word.data, word.length)) != NULL) {
        const char *after = at + word.length;
        if ((at == name.data || at[-1] == '.') && (after == end || *after == '.')) {
            return true;
        }
        at = after;
    }
    return false;
}

static bool is_site(const struct flame_store *store, uint32_t code)
{
    return flame_store_site_at(store, code)->code != FLAME_NONE;
}

/*
 * A call of a Python function is seen for a moment before its frame is there and
 * after it has gone. Beside that frame the moment is no place of its own.
 */
static void merge_with_frames(struct flame_store *store,
                              const struct flame_profile *profile, uint32_t *first,
                              uint32_t *next)
{
    const struct flame_node *nodes = profile->nodes;

    memset(first, 0, profile->node_count * sizeof *first);
    for (uint32_t i = 1; i < profile->node_count; i++) {
        if (nodes[i].code != FLAME_CODE_OF_PARENT && is_site(store, nodes[i].code)) {
            next[i] = first[nodes[i].parent];
            first[nodes[i].parent] = i;
        }
    }
    for (uint32_t i = 1; i < profile->node_count; i++) {
        uint32_t code = nodes[i].code;
        if (code == FLAME_CODE_OF_PARENT || is_site(store, code)) {
            continue;
        }
        for (uint32_t site = first[nodes[i].parent]; site != 0; site = next[site]) {
            if (nodes[site].code != FLAME_CODE_OF_PARENT &&
                has_part(profile->codes[code].name,
                         callee_of(profile->codes[nodes[site].code].name))) {
                flame_store_give_to_parent(store, site);
            }
        }
    }
}

void flame_sites_name(struct flame_store *store, const struct flame_sources *sources)
{
    struct flame_profile profile = {0};

    flame_store_read(store, &profile);
    name_sites(store, &profile, sources);
    for (uint32_t i = 1; i < profile.node_count; i++) {
        uint32_t code = profile.nodes[i].code;
        if (profile.codes[code].name.length == 0 && is_site(store, code)) {
            flame_store_give_to_parent(store, i);
        }
    }
    uint32_t *links = malloc(2 * profile.node_count * sizeof *links);
    if (links != NULL) {
        merge_with_frames(store, &profile, links, links + profile.node_count);
        free(links);
    }
}
