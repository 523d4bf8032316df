#include "middleware/shelf.h"

#include "middleware/common.h"

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

/* A name being written. Nobody writes to one this old any more: it goes. */
#define PART ".part"
#define PART_SECONDS 60

/* A name, with what stands behind it. */
#define FILE_NAME_SIZE (FLAME_SHELF_NAME + 16 + sizeof PART)

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

/* ---- what is there ----------------------------------------------------------- */

struct entries {
    struct flame_shelf_entry *all;
    size_t count;
    size_t room;
    uint64_t size;
    time_t parts_too_old; /* those go as they are met */
};

static bool begins_with_name(const char *text)
{
    return strspn(text, "0123456789abcdef") == FLAME_SHELF_NAME;
}

/* Of ours; `part`: and not whole. */
static bool is_ours(const struct flame_shelf *shelf, const char *name, bool *part)
{
    size_t suffix = strlen(shelf->suffix);

    if (!begins_with_name(name) ||
        strncmp(name + FLAME_SHELF_NAME, shelf->suffix, suffix) != 0) {
        return false;
    }
    const char *rest = name + FLAME_SHELF_NAME + suffix;
    *part = strcmp(rest, PART) == 0;
    return *part || *rest == '\0';
}

static struct flame_shelf_entry *room_for_entry(struct entries *entries)
{
    if (entries->count == entries->room) {
        size_t room = entries->room == 0 ? 64 : 2 * entries->room;
        void *more = realloc(entries->all, room * sizeof *entries->all);
        if (more == NULL) {
            return NULL;
        }
        entries->all = more;
        entries->room = room;
    }
    return &entries->all[entries->count++];
}

/* false: no memory */
static bool add_entry(const struct flame_shelf *shelf, struct entries *entries,
                      int folder, const char *name)
{
    struct stat found;
    bool part;

    if (!is_ours(shelf, name, &part) ||
        fstatat(folder, name, &found, AT_SYMLINK_NOFOLLOW) != 0) {
        return true;
    }
    if (part) {
        if (found.st_mtime < entries->parts_too_old) {
            (void)unlinkat(folder, name, 0);
        }
        return true;
    }
    struct flame_shelf_entry *entry = room_for_entry(entries);
    if (entry == NULL) {
        return false;
    }
    memcpy(entry->name, name, FLAME_SHELF_NAME);
    entry->name[FLAME_SHELF_NAME] = '\0';
    entry->changed_ns =
        (int64_t)found.st_mtim.tv_sec * 1000000000 + found.st_mtim.tv_nsec;
    entry->size = (uint64_t)found.st_size;
    entries->size += entry->size;
    return true;
}

static int newest_first(const void *a, const void *b)
{
    const struct flame_shelf_entry *left = a;
    const struct flame_shelf_entry *right = b;

    return left->changed_ns != right->changed_ns
               ? (left->changed_ns < right->changed_ns) -
                     (left->changed_ns > right->changed_ns)
               : strcmp(left->name, right->name);
}

static DIR *open_directory(int folder)
{
    int again = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = again < 0 ? NULL : fdopendir(again);

    if (directory == NULL && again >= 0) {
        int error = errno;
        close(again);
        errno = error;
    }
    return directory;
}

/* On an error there are no entries. */
static int list(const struct flame_shelf *shelf, int folder, struct entries *entries)
{
    const struct dirent *found;
    DIR *directory = open_directory(folder);
    bool ok = true;

    *entries = (struct entries){.parts_too_old = time(NULL) - PART_SECONDS};
    if (directory == NULL) {
        return -errno;
    }
    while (ok && (found = readdir(directory)) != NULL) {
        ok = add_entry(shelf, entries, folder, found->d_name);
    }
    closedir(directory);
    if (!ok) {
        free(entries->all);
        *entries = (struct entries){0};
        return -ENOMEM;
    }
    if (entries->count != 0) {
        qsort(entries->all, entries->count, sizeof entries->all[0], newest_first);
    }
    return 0;
}

int flame_shelf_list(const struct flame_shelf *shelf,
                     struct flame_shelf_entry **entries, size_t *count)
{
    struct entries found = {0};
    int folder = open_folder(shelf);
    int error = folder == -ENOENT ? 0 : folder;

    if (folder >= 0) {
        error = list(shelf, folder, &found);
        close(folder);
    }
    *entries = found.all;
    *count = found.count;
    return error;
}

static bool is_too_old(const struct flame_shelf *shelf, int64_t changed)
{
    return shelf->seconds != 0 && changed < (int64_t)time(NULL) - shelf->seconds;
}

static void file_name(const struct flame_shelf *shelf, const char *name,
                      const char *end, char out[FILE_NAME_SIZE])
{
    snprintf(out, FILE_NAME_SIZE, "%s%s%s", name, shelf->suffix, end);
}

/* Room for one more of that size. Another process may be faster: no matter. */
static int make_room(const struct flame_shelf *shelf, int folder, uint64_t size)
{
    struct entries entries;
    char name[FILE_NAME_SIZE];
    int error = list(shelf, folder, &entries);

    for (size_t left = entries.count; left-- > 0;) {
        const struct flame_shelf_entry *oldest = &entries.all[left];
        if (!is_too_old(shelf, oldest->changed_ns / 1000000000) &&
            left + 1 < shelf->profiles && entries.size + size <= shelf->bytes) {
            break;
        }
        file_name(shelf, oldest->name, "", name);
        flame_count(FLAME_COUNT_CLEARED, unlinkat(folder, name, 0) == 0 ? 1 : 0);
        entries.size -= oldest->size;
    }
    free(entries.all);
    return error;
}

/* ---- in and out -------------------------------------------------------------- */

int flame_shelf_make_name(char name[FLAME_SHELF_NAME + 1])
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
static int write_file(const struct flame_shelf *shelf, int folder, const char *name,
                      struct flame_slice profile)
{
    char part[FILE_NAME_SIZE];
    char whole[FILE_NAME_SIZE];

    file_name(shelf, name, PART, part);
    file_name(shelf, name, "", whole);
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
    if (profile.length > shelf->bytes) {
        return -E2BIG;
    }
    int folder = make_folder(shelf);
    if (folder < 0) {
        return folder;
    }
    int error = make_room(shelf, folder, profile.length);
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
    char path[FILE_NAME_SIZE];

    if (name.length == FLAME_SHELF_NAME) {
        memcpy(text, name.data, FLAME_SHELF_NAME);
    }
    if (!begins_with_name(text)) {
        return -ENOENT;
    }
    int folder = open_folder(shelf);
    if (folder < 0) {
        return folder;
    }
    file_name(shelf, text, "", path);
    int file = openat(folder, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int error = file < 0 || fstat(file, found) != 0 ? -errno : 0;
    close(folder);
    if (error == 0 &&
        (!S_ISREG(found->st_mode) || (uint64_t)found->st_size > shelf->bytes ||
         is_too_old(shelf, found->st_mtime))) {
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
