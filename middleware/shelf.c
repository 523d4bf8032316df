#include "middleware/shelf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A name being written; what a crash leaves of it goes like the others. */
#define PART ".part"
#define ENTRIES_MAX (4 * FLAME_SHELF_PROFILES)

int flame_shelf_init(struct flame_shelf *shelf, struct flame_slice folder)
{
    const char *temporary = getenv("TMPDIR");
    int length =
        folder.length != 0
            ? snprintf(shelf->folder, sizeof shelf->folder, "%.*s", (int)folder.length,
                       folder.data)
            : snprintf(shelf->folder, sizeof shelf->folder, "%s/flameprof-%u",
                       temporary != NULL ? temporary : "/tmp", (unsigned)geteuid());

    return (size_t)length < sizeof shelf->folder ? 0 : -ENAMETOOLONG;
}

const char *flame_shelf_error(int error)
{
    switch (error) {
    case -ENOENT:
        return "This profile is not kept here, or no longer.";
    case -EPERM:
        return "No profile can be kept: the folder for them is somebody else's, or "
               "others may look into it.";
    case -E2BIG:
        return "This profile is too large to be kept.";
    case -EINVAL:
        return "What is kept under this name is no profile.";
    case -ENOSPC:
        return "No profile can be kept: there is no room in the folder for them.";
    default:
        return "No profile can be kept: the folder for them cannot be used.";
    }
}

/* ---- the folder -------------------------------------------------------------- */

/*
 * /tmp is everybody's: a folder that somebody put there before us, or a link to
 * another one, is not ours.
 */
static int open_folder(const struct flame_shelf *shelf)
{
    struct stat found;
    int folder = open(shelf->folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (folder < 0) {
        /* A link, or a file, in its place. */
        return errno == ELOOP || errno == ENOTDIR ? -EPERM : -errno;
    }
    if (fstat(folder, &found) != 0 || found.st_uid != geteuid() ||
        (found.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        close(folder);
        return -EPERM;
    }
    return folder;
}

static int make_folder(const struct flame_shelf *shelf)
{
    int folder = open_folder(shelf);

    if (folder == -ENOENT) {
        if (mkdir(shelf->folder, S_IRWXU) != 0 && errno != EEXIST) {
            return errno == ENOENT ? -ENOTDIR : -errno; /* not a profile's absence */
        }
        folder = open_folder(shelf);
    }
    return folder;
}

/* ---- what is there ----------------------------------------------------------- */

struct entry {
    char name[FLAME_SHELF_NAME + sizeof PART];
    struct timespec changed;
    uint64_t size;
};

struct entries {
    struct entry all[ENTRIES_MAX];
    size_t count;
    uint64_t size;
};

static bool begins_with_name(const char *text)
{
    return strspn(text, "0123456789abcdef") == FLAME_SHELF_NAME;
}

/* A file of ours, whole or not. */
static bool is_ours(const char *name)
{
    return begins_with_name(name) && (name[FLAME_SHELF_NAME] == '\0' ||
                                      strcmp(name + FLAME_SHELF_NAME, PART) == 0);
}

static void add_entry(struct entries *entries, int folder, const char *name)
{
    struct stat found;
    struct entry *entry = &entries->all[entries->count];

    if (!is_ours(name) || fstatat(folder, name, &found, AT_SYMLINK_NOFOLLOW) != 0) {
        return;
    }
    snprintf(entry->name, sizeof entry->name, "%.*s", (int)sizeof entry->name - 1,
             name);
    entry->changed = found.st_mtim;
    entry->size = (uint64_t)found.st_size;
    entries->size += entry->size;
    entries->count++;
}

static int oldest_first(const void *a, const void *b)
{
    const struct timespec *left = &((const struct entry *)a)->changed;
    const struct timespec *right = &((const struct entry *)b)->changed;

    return left->tv_sec != right->tv_sec
               ? (left->tv_sec > right->tv_sec) - (left->tv_sec < right->tv_sec)
               : (left->tv_nsec > right->tv_nsec) - (left->tv_nsec < right->tv_nsec);
}

static int list(int folder, struct entries *entries)
{
    const struct dirent *found;
    int again = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = again < 0 ? NULL : fdopendir(again);

    entries->count = 0;
    entries->size = 0;
    if (directory == NULL) {
        int error = errno;
        if (again >= 0) {
            close(again);
        }
        return -error;
    }
    while (entries->count < ENTRIES_MAX && (found = readdir(directory)) != NULL) {
        add_entry(entries, folder, found->d_name);
    }
    closedir(directory);
    qsort(entries->all, entries->count, sizeof entries->all[0], oldest_first);
    return 0;
}

/* Room for one more of that size. Another process may be faster: no matter. */
static int make_room(int folder, uint64_t size)
{
    struct entries *entries = malloc(sizeof *entries);
    time_t too_old = time(NULL) - FLAME_SHELF_SECONDS;

    if (entries == NULL) {
        return -ENOMEM;
    }
    int error = list(folder, entries);
    size_t left = error == 0 ? entries->count : 0;
    for (size_t i = 0; i < entries->count && error == 0; i++) {
        const struct entry *entry = &entries->all[i];
        bool old = entry->changed.tv_sec < too_old;
        bool part = entry->name[FLAME_SHELF_NAME] != '\0'; /* somebody writes it now */
        if (!old && (part || (left < FLAME_SHELF_PROFILES &&
                              entries->size + size <= FLAME_SHELF_BYTES))) {
            continue;
        }
        (void)unlinkat(folder, entry->name, 0);
        entries->size -= entry->size;
        left--;
    }
    free(entries);
    return error;
}

/* ---- in and out -------------------------------------------------------------- */

static int make_name(char name[FLAME_SHELF_NAME + 1])
{
    unsigned char random[FLAME_SHELF_NAME / 2];

    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        return -EAGAIN;
    }
    for (size_t i = 0; i < sizeof random; i++) {
        snprintf(name + 2 * i, 3, "%02x", random[i]);
    }
    return 0;
}

static int write_all(int file, struct flame_slice bytes)
{
    while (bytes.length != 0) {
        ssize_t done = write(file, bytes.data, bytes.length);
        if (done < 0 && errno != EINTR) {
            return -errno;
        }
        if (done > 0) {
            bytes.data += done;
            bytes.length -= (size_t)done;
        }
    }
    return 0;
}

/* Under its name only when it is whole. */
static int write_file(int folder, const char *name, struct flame_slice profile)
{
    char part[FLAME_SHELF_NAME + sizeof PART];

    snprintf(part, sizeof part, "%s" PART, name);
    int file = openat(folder, part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                      S_IRUSR | S_IWUSR);
    if (file < 0) {
        return -errno;
    }
    int error = write_all(file, profile);
    if (close(file) != 0 && error == 0) {
        error = -errno;
    }
    if (error == 0 && renameat(folder, part, folder, name) != 0) {
        error = -EIO; /* whatever it was: not a profile's absence */
    }
    if (error != 0) {
        (void)unlinkat(folder, part, 0);
    }
    return error;
}

int flame_shelf_put(const struct flame_shelf *shelf, struct flame_slice profile,
                    char name[FLAME_SHELF_NAME + 1])
{
    if (profile.length > FLAME_SHELF_BYTES) {
        return -E2BIG;
    }
    int folder = make_folder(shelf);
    if (folder < 0) {
        return folder;
    }
    int error = make_name(name);
    if (error == 0) {
        error = make_room(folder, profile.length);
    }
    if (error == 0) {
        error = write_file(folder, name, profile);
    }
    close(folder);
    return error;
}

static int read_all(int file, struct flame_writer *profile)
{
    struct stat found;

    if (fstat(file, &found) != 0) {
        return -errno;
    }
    if (!S_ISREG(found.st_mode) || (uint64_t)found.st_size > FLAME_SHELF_BYTES ||
        found.st_mtime < time(NULL) - FLAME_SHELF_SECONDS) {
        return -ENOENT;
    }
    profile->capacity = (size_t)found.st_size;
    profile->data = malloc(profile->capacity + 1);
    if (profile->data == NULL) {
        return -ENOMEM;
    }
    while (profile->length < profile->capacity) {
        ssize_t got = read(file, profile->data + profile->length,
                           profile->capacity - profile->length);
        if (got == 0 || (got < 0 && errno != EINTR)) {
            return got == 0 ? -EIO : -errno;
        }
        profile->length += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

int flame_shelf_get(const struct flame_shelf *shelf, struct flame_slice name,
                    struct flame_writer *profile)
{
    char path[FLAME_SHELF_NAME + 1] = "";

    *profile = (struct flame_writer){0};
    if (name.length == FLAME_SHELF_NAME) {
        memcpy(path, name.data, FLAME_SHELF_NAME);
    }
    if (!begins_with_name(path)) {
        return -ENOENT;
    }
    int folder = open_folder(shelf);
    if (folder < 0) {
        return folder;
    }
    int file = openat(folder, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    int error = file < 0 ? -errno : read_all(file, profile);
    if (file >= 0) {
        close(file);
    }
    close(folder);
    if (error != 0) {
        flame_writer_free(profile);
        *profile = (struct flame_writer){0};
    }
    return error;
}

/* ---- drawing ----------------------------------------------------------------- */

static int read_document(struct flame_slice profile, struct flame_document *document)
{
    if (profile.length == 0 || *profile.data != '{') {
        return -EINVAL; /* nothing of ours */
    }
    struct flame_reader *reader = flame_reader_new(FLAME_UNIT_MICROSECONDS);

    if (reader == NULL) {
        return -ENOMEM;
    }
    (void)flame_reader_feed(reader, profile.data, profile.length);
    return flame_reader_finish(reader, document);
}

static int draw(struct flame_document *document, enum flame_format format,
                enum flame_clock clock, struct flame_picture_options options,
                struct flame_writer *out)
{
    const struct flame_picture_options *found = &document->options;

    if (clock != found->clock && !flame_tree_weigh(document->tree, clock)) {
        return -ENOMEM;
    }
    options.title = options.title.length != 0 ? options.title : found->title;
    options.subtitle =
        options.subtitle.length != 0 ? options.subtitle : found->subtitle;
    options.warning = found->warning;
    options.quality = found->quality;
    options.clock = clock;
    return flame_render(format, document->tree, &options, out);
}

int flame_shelf_render(const struct flame_shelf *shelf, struct flame_slice name,
                       enum flame_format format, enum flame_clock clock,
                       const struct flame_picture_options *options,
                       struct flame_writer *out, bool *drawing)
{
    struct flame_document document;
    struct flame_writer profile;

    *drawing = false;
    int error = flame_shelf_get(shelf, name, &profile);
    if (error != 0) {
        return error;
    }
    error =
        read_document((struct flame_slice){profile.data, profile.length}, &document);
    flame_writer_free(&profile);
    if (error == 0) {
        *drawing = true;
        error = draw(&document, format, clock, *options, out);
        flame_document_free(&document);
    }
    return error;
}
