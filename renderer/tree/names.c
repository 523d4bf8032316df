/*
 * What may be told of a profile's functions: files without the host's folders, and
 * nothing of what is to be hidden. Between a profile and a tree, so that whatever is
 * written, kept or sent has been here.
 */
#include "renderer/numbers.h"
#include "renderer/tree/builder.h"

#include <stdlib.h>
#include <string.h>

const char flame_names_redacted[] = "[redacted]";

#define ELSEWHERE "…/"
#define STDLIB "<stdlib>/"

/* One file of the profile, and how it is told: `before`, then `rest`. */
struct file {
    struct flame_slice whole;
    const char *before;
    struct flame_slice rest;
    uint32_t number; /* among files that are told alike; 0: there is no other */
    bool standard;   /* Python's own library */
};

struct files {
    struct file *files;
    uint32_t *of_code; /* FLAME_NONE: the code has no file */
    uint32_t count;
    struct flame_table table;
};

/* ---- what to hide ------------------------------------------------------------ */

/* "Card.charge.<locals>.<lambda>" is written in Card.charge. */
static bool is_hidden(struct flame_function function, const char *const *patterns)
{
    static const char inside[] = ".<locals>.";
    const size_t length = sizeof inside - 1;
    const struct flame_slice whole = function.name;

    for (; *patterns != NULL; patterns++) {
        function.name = whole;
        bool hidden = flame_function_matches(&function, *patterns);
        for (size_t i = 0; !hidden && i + length < whole.length; i++) {
            if (memcmp(whole.data + i, inside, length) == 0) {
                function.name.length = i;
                hidden = flame_function_matches(&function, *patterns);
            }
        }
        if (hidden) {
            return true;
        }
    }
    return false;
}

static void hide(struct flame_function *told, uint32_t count,
                 const char *const *patterns)
{
    for (uint32_t i = 0; patterns != NULL && i < count; i++) {
        if (told[i].file.length != 0 && is_hidden(told[i], patterns)) {
            told[i] = flame_function_named(flame_names_redacted);
        }
    }
}

/* ---- one path ---------------------------------------------------------------- */

/* Behind the last occurrence; empty: there is none. */
static struct flame_slice behind_last(struct flame_slice text, const char *part)
{
    size_t length = strlen(part);

    for (size_t i = text.length; i >= length; i--) {
        if (memcmp(text.data + i - length, part, length) == 0) {
            return flame_slice_from(text, i);
        }
    }
    return (struct flame_slice){"", 0};
}

static struct flame_slice behind_packages(struct flame_slice path)
{
    struct flame_slice site = behind_last(path, "/site-packages/");
    struct flame_slice dist = behind_last(path, "/dist-packages/");

    return site.length == 0 || (dist.length != 0 && dist.length < site.length) ? dist
                                                                               : site;
}

/* "/lib/python3.11/" of a Python whose folder is not among the roots. */
static struct flame_slice behind_some_library(struct flame_slice path)
{
    struct flame_slice version = behind_last(path, "/lib/python3.");
    const char *slash =
        version.length == 0 ? NULL : memchr(version.data, '/', version.length);

    return slash == NULL
               ? (struct flame_slice){"", 0}
               : flame_slice_from(version, (size_t)(slash - version.data) + 1);
}

static const struct flame_root *longest_root(const struct flame_names *names,
                                             struct flame_slice path)
{
    const struct flame_root *longest = NULL;

    for (size_t i = 0; i < names->root_count; i++) {
        const struct flame_root *root = &names->roots[i];
        if (root->path.length < path.length && path.data[root->path.length] == '/' &&
            memcmp(root->path.data, path.data, root->path.length) == 0 &&
            (longest == NULL || root->path.length > longest->path.length)) {
            longest = root;
        }
    }
    return longest;
}

static bool goes_up(struct flame_slice path)
{
    for (size_t i = 0; i + 2 <= path.length; i++) {
        if (path.data[i] == '.' && path.data[i + 1] == '.' &&
            (i == 0 || path.data[i - 1] == '/') &&
            (i + 2 == path.length || path.data[i + 2] == '/')) {
            return true;
        }
    }
    return false;
}

/* Of a file in a home the folder would say whose it is. */
static struct flame_slice last_parts(struct flame_slice path)
{
    size_t name = 0;
    size_t folder = 0;
    size_t slashes = 0;

    for (size_t i = path.length; i > 0; i--) {
        if (path.data[i - 1] == '/') {
            slashes++;
            name = slashes == 1 ? i : name;
            folder = slashes == 2 ? i : folder;
        }
    }
    bool deep = slashes > 3 && path.data[0] == '/' && !goes_up(path);
    return flame_slice_from(path, deep ? folder : name);
}

/* A name that is no path: "<string>", "<template /srv/shop/page.html>". */
static void tell_pseudo(struct file *file)
{
    struct flame_slice last = behind_last(file->whole, "/");

    file->before = last.length == 0 ? "" : "<" ELSEWHERE;
    file->rest = last.length == 0 ? file->whole : last;
}

static struct flame_slice part_to_tell(struct file *file,
                                       const struct flame_names *names)
{
    struct flame_slice path = file->whole;
    const struct flame_root *root = longest_root(names, path);
    struct flame_slice rest = behind_packages(path);

    if (rest.length != 0) {
        return rest;
    }
    if (root != NULL) {
        file->standard = root->standard;
        return flame_slice_from(path, root->path.length);
    }
    rest = behind_some_library(path);
    file->standard = rest.length != 0;
    if (rest.length == 0 && path.data[0] != '/' &&
        behind_last(path, ":/").length == 0) {
        return path;
    }
    return rest;
}

static void tell(struct file *file, const struct flame_names *names)
{
    if (file->whole.data[0] == '<') {
        tell_pseudo(file);
        return;
    }
    struct flame_slice rest = part_to_tell(file, names);
    while (rest.length != 0 &&
           (rest.data[0] == '/' || flame_slice_begins(rest, "./"))) {
        rest = flame_slice_from(rest, rest.data[0] == '/' ? 1 : 2);
    }
    if (rest.length == 0 || goes_up(rest)) {
        file->before = ELSEWHERE;
        file->rest = last_parts(file->whole);
        return;
    }
    /* What we write in front of others shall not be a folder's name. */
    bool looks_ours = rest.data[0] == '[' || rest.data[0] == '<' ||
                      flame_slice_begins(rest, ELSEWHERE);
    file->before = file->standard ? STDLIB : looks_ours ? "./" : "";
    file->rest = rest;
}

/* ---- each file once ---------------------------------------------------------- */

static uint64_t hash_of(struct flame_slice text)
{
    uint64_t hash = text.length;

    for (; text.length > 0; text = flame_slice_from(text, 8)) {
        hash = flame_fold(hash ^ UINT64_C(0x9e3779b97f4a7c15),
                          flame_slice_word(text) ^ UINT64_C(0xd6e8feb86659fd93));
    }
    return hash;
}

static bool same(struct flame_slice a, struct flame_slice b)
{
    return a.length == b.length && memcmp(a.data, b.data, a.length) == 0;
}

static uint32_t find_file(struct files *files, struct flame_slice path)
{
    struct flame_slot *slot = flame_slot_at(&files->table, hash_of(path));

    for (; slot->index != 0; slot = flame_slot_after(&files->table, slot)) {
        if (same(files->files[slot->index - 1].whole, path)) {
            return slot->index - 1;
        }
    }
    files->files[files->count] = (struct file){.whole = path};
    slot->index = ++files->count;
    return files->count - 1;
}

/* false: out of memory; to be freed all the same */
static bool find_files(struct files *files, const struct flame_function *told,
                       uint32_t count)
{
    uint32_t size = 16;

    while (size < count * 2) {
        size *= 2;
    }
    *files = (struct files){
        .files = malloc((count + 1) * sizeof *files->files),
        .of_code = malloc((count + 1) * sizeof *files->of_code),
        .table = {.slots = calloc(size, sizeof(struct flame_slot)), .size = size}};
    if (files->files == NULL || files->of_code == NULL || files->table.slots == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        files->of_code[i] =
            told[i].file.length == 0 ? FLAME_NONE : find_file(files, told[i].file);
    }
    return true;
}

static void free_files(struct files *files)
{
    free(files->files);
    free(files->of_code);
    free(files->table.slots);
}

/* ---- no two are one ---------------------------------------------------------- */

static int compare_slices(struct flame_slice a, struct flame_slice b)
{
    int order = memcmp(a.data, b.data, a.length < b.length ? a.length : b.length);

    return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

static int compare_told(const struct file *a, const struct file *b)
{
    int order = compare_slices(a->rest, b->rest);

    return order != 0 ? order : strcmp(a->before, b->before);
}

static int compare_files(const void *left, const void *right)
{
    const struct file *a = *(struct file *const *)left;
    const struct file *b = *(struct file *const *)right;
    int order = compare_told(a, b);

    return order != 0 ? order : compare_slices(a->whole, b->whole);
}

/* By their whole paths, so that the same files have the same numbers. */
static bool number_files(struct files *files)
{
    struct file **sorted = malloc((files->count + 1) * sizeof *sorted);

    if (sorted == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < files->count; i++) {
        sorted[i] = &files->files[i];
    }
    qsort(sorted, files->count, sizeof *sorted, compare_files);
    for (uint32_t i = 1; i < files->count; i++) {
        if (compare_told(sorted[i - 1], sorted[i]) == 0) {
            sorted[i - 1]->number += sorted[i - 1]->number == 0;
            sorted[i]->number = sorted[i - 1]->number + 1;
        }
    }
    free(sorted);
    return true;
}

/* ---- into text --------------------------------------------------------------- */

/* "[4294967295]/" and the longest `before`. */
#define FRONT_MAX ((size_t)32)

static bool is_new_text(const struct file *file)
{
    return file->number != 0 || *file->before != '\0';
}

static char *put(char *at, const char *data, size_t length)
{
    memcpy(at, data, length);
    return at + length;
}

static struct flame_slice write_file(struct flame_text *text, const struct file *file)
{
    char *start = text->bytes + text->used;
    char *at = start;

    if (file->number != 0) {
        at = put(at, "[", 1);
        at = flame_put_digits(at, file->number);
        at = put(at, "]/", 2);
    }
    at = put(at, file->before, strlen(file->before));
    at = put(at, file->rest.data, file->rest.length);
    text->used += (size_t)(at - start);
    return (struct flame_slice){start, (size_t)(at - start)};
}

/* Leaves in `rest` all that is told. NULL: out of memory. */
static struct flame_text *write_files(struct files *files)
{
    size_t size = 0;

    for (uint32_t i = 0; i < files->count; i++) {
        size +=
            is_new_text(&files->files[i]) ? files->files[i].rest.length + FRONT_MAX : 0;
    }
    struct flame_text *text = malloc(sizeof *text + size);
    if (text == NULL) {
        return NULL;
    }
    *text = (struct flame_text){.size = size};
    for (uint32_t i = 0; i < files->count; i++) {
        if (is_new_text(&files->files[i])) {
            files->files[i].rest = write_file(text, &files->files[i]);
        }
    }
    return text;
}

/* ---- all of it --------------------------------------------------------------- */

static void shorten_code(struct flame_function *told, const struct file *file)
{
    told->origin = flame_function_origin(told);
    if (told->origin == FLAME_ORIGIN_APPLICATION && file->standard) {
        told->origin = FLAME_ORIGIN_STANDARD;
    }
    told->file = file->rest;
}

/* false: out of memory */
static bool shorten(struct flame_function *told, uint32_t count,
                    const struct flame_names *names, struct flame_text **text)
{
    struct files files;
    bool ok = find_files(&files, told, count);

    for (uint32_t i = 0; ok && i < files.count; i++) {
        tell(&files.files[i], names);
    }
    if (ok && number_files(&files)) {
        *text = write_files(&files);
    }
    for (uint32_t i = 0; *text != NULL && i < count; i++) {
        if (files.of_code[i] != FLAME_NONE) {
            shorten_code(&told[i], &files.files[files.of_code[i]]);
        }
    }
    free_files(&files);
    return *text != NULL;
}

struct flame_function *flame_names_apply(const struct flame_profile *profile,
                                         struct flame_text **text)
{
    const struct flame_names *names = profile->names;
    struct flame_function *told = malloc((profile->code_count + 1) * sizeof *told);

    *text = NULL;
    if (told == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < profile->code_count; i++) {
        const struct flame_code *code = &profile->codes[i];
        told[i] = (struct flame_function){
            .name = code->name, .file = code->file, .line = code->first_line};
    }
    if (names == NULL) {
        return told;
    }
    hide(told, profile->code_count, names->redact);
    if (!names->full_paths && !shorten(told, profile->code_count, names, text)) {
        free(told);
        return NULL;
    }
    return told;
}
