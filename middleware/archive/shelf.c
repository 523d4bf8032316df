#include "middleware/archive/shelf_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int flame_shelf_init(struct flame_shelf *shelf, struct flame_slice folder)
{
    const char *temporary = getenv("TMPDIR");
    int length =
        folder.length != 0
            ? snprintf(shelf->folder, sizeof shelf->folder, "%.*s", (int)folder.length,
                       folder.data)
            : snprintf(shelf->folder, sizeof shelf->folder, "%s/flameprof-%u",
                       temporary != NULL ? temporary : "/tmp", (unsigned)geteuid());

    shelf->suffix = "";
    shelf->profiles = FLAME_SHELF_PROFILES;
    shelf->seconds = FLAME_SHELF_SECONDS;
    shelf->bytes = FLAME_SHELF_BYTES;
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
    case -ENOMEM:
        return "No profile can be kept: there is no memory for it.";
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

int flame_shelf_open_folder(const struct flame_shelf *shelf)
{
    return make_folder(shelf);
}

/* ---- names ------------------------------------------------------------------- */

bool flame_shelf_begins_with_name(const char *text)
{
    return strspn(text, "0123456789abcdef") == FLAME_SHELF_NAME;
}

/* The first digit's first bit. */
bool flame_shelf_was_asked_for(const char *name)
{
    return *name < '8';
}

void flame_shelf_file(const struct flame_shelf *shelf, const char *name,
                      const char *end, char out[FLAME_SHELF_FILE_SIZE])
{
    snprintf(out, FLAME_SHELF_FILE_SIZE, "%s%s%s", name, shelf->suffix, end);
}

bool flame_shelf_is_too_old(const struct flame_shelf *shelf, int64_t changed_ns)
{
    return shelf->seconds != 0 &&
           changed_ns / 1000000000 < (int64_t)time(NULL) - shelf->seconds;
}

int flame_shelf_list(const struct flame_shelf *shelf,
                     struct flame_shelf_entry **entries, size_t *count)
{
    int folder = open_folder(shelf);
    int error = folder == -ENOENT ? 0 : folder;

    *entries = NULL;
    *count = 0;
    if (folder >= 0) {
        error = flame_shelf_list_folder(shelf, folder, entries, count);
        close(folder);
    }
    return error;
}

/* ---- in and out -------------------------------------------------------------- */

int flame_shelf_make_name(bool asked, char name[FLAME_SHELF_NAME + 1])
{
    unsigned char random[FLAME_SHELF_NAME / 2];

    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        return -EAGAIN;
    }
    random[0] = (unsigned char)(asked ? random[0] & 0x7f : random[0] | 0x80);
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
static int write_file(const struct flame_shelf *shelf, int folder, const char *name,
                      struct flame_slice profile)
{
    char part[FLAME_SHELF_FILE_SIZE];
    char whole[FLAME_SHELF_FILE_SIZE];

    flame_shelf_file(shelf, name, FLAME_SHELF_PART, part);
    flame_shelf_file(shelf, name, "", whole);
    int file = openat(folder, part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                      S_IRUSR | S_IWUSR);
    if (file < 0) {
        return errno == ENOENT ? -EIO : -errno; /* the folder has gone meanwhile */
    }
    int error = write_all(file, profile);
    if (close(file) != 0 && error == 0) {
        error = -errno;
    }
    if (error == 0 && renameat(folder, part, folder, whole) != 0) {
        error = -EIO; /* whatever it was: not a profile's absence */
    }
    if (error != 0) {
        (void)unlinkat(folder, part, 0);
    }
    return error;
}

int flame_shelf_put(const struct flame_shelf *shelf, struct flame_slice profile,
                    const char name[FLAME_SHELF_NAME + 1])
{
    struct flame_shelf_entry next = {.size = profile.length};

    memcpy(next.name, name, sizeof next.name);
    if (profile.length >
        shelf->bytes /
            (flame_shelf_was_asked_for(name) ? 1 : FLAME_SHELF_UNASKED_PART)) {
        return -E2BIG;
    }
    int folder = make_folder(shelf);
    if (folder < 0) {
        return folder;
    }
    int error = flame_shelf_make_room(shelf, folder, &next);
    if (error == 0) {
        error = write_file(shelf, folder, name, profile);
    }
    close(folder);
    return error;
}

/* The opened file of a profile that is there, or a negative errno. */
static int open_file(const struct flame_shelf *shelf, struct flame_slice name,
                     struct stat *found)
{
    char text[FLAME_SHELF_NAME + 1] = "";
    char path[FLAME_SHELF_FILE_SIZE];

    if (name.length == FLAME_SHELF_NAME) {
        memcpy(text, name.data, FLAME_SHELF_NAME);
    }
    if (!flame_shelf_begins_with_name(text)) {
        return -ENOENT;
    }
    int folder = open_folder(shelf);
    if (folder < 0) {
        return folder;
    }
    flame_shelf_file(shelf, text, "", path);
    int file = openat(folder, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int error = file < 0 || fstat(file, found) != 0 ? -errno : 0;
    close(folder);
    if (error == 0 &&
        (!S_ISREG(found->st_mode) || (uint64_t)found->st_size > shelf->bytes ||
         flame_shelf_is_too_old(shelf, (int64_t)found->st_mtime * 1000000000))) {
        error = -ENOENT;
    }
    if (error != 0 && file >= 0) {
        close(file);
    }
    return error != 0 ? error : file;
}

/* Up to `size` bytes, fewer only at its end: how many, or a negative errno. */
static ssize_t read_up_to(int file, char *bytes, size_t size)
{
    size_t length = 0;

    while (length < size) {
        ssize_t got = read(file, bytes + length, size - length);
        if (got < 0 && errno != EINTR) {
            return -errno;
        }
        if (got == 0) {
            break;
        }
        length += got > 0 ? (size_t)got : 0;
    }
    return (ssize_t)length;
}

ssize_t flame_shelf_begins(const struct flame_shelf *shelf, struct flame_slice name,
                           char *bytes, size_t size)
{
    struct stat found;
    int file = open_file(shelf, name, &found);

    if (file < 0) {
        return file;
    }
    ssize_t length = read_up_to(file, bytes, size);
    close(file);
    return length;
}

int flame_shelf_get(const struct flame_shelf *shelf, struct flame_slice name,
                    struct flame_writer *profile)
{
    struct stat found;
    int file = open_file(shelf, name, &found);
    ssize_t length = file;

    *profile = (struct flame_writer){0};
    if (file < 0) {
        return file;
    }
    profile->capacity = (size_t)found.st_size;
    profile->data = malloc(profile->capacity + 1);
    length = profile->data == NULL ? -ENOMEM
                                   : read_up_to(file, profile->data, profile->capacity);
    close(file);
    if (length == found.st_size) {
        profile->length = (size_t)length;
        return 0;
    }
    flame_writer_free(profile);
    *profile = (struct flame_writer){0};
    return length < 0 ? (int)length : -EIO;
}
