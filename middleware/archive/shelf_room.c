#include "middleware/archive/shelf_parts.h"

#include "middleware/common/common.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- what is there ----------------------------------------------------------- */

struct entries {
    struct flame_shelf_entry *all;
    size_t count;
    size_t room;
    time_t parts_too_old;
};

/* Of ours; `part`: and not whole. */
static bool is_ours(const struct flame_shelf *shelf, const char *name, bool *part)
{
    size_t suffix = strlen(shelf->suffix);

    if (!flame_shelf_begins_with_name(name) ||
        strncmp(name + FLAME_SHELF_NAME, shelf->suffix, suffix) != 0) {
        return false;
    }
    const char *rest = name + FLAME_SHELF_NAME + suffix;
    *part = strcmp(rest, FLAME_SHELF_PART) == 0;
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

int flame_shelf_list_folder(const struct flame_shelf *shelf, int folder,
                            struct flame_shelf_entry **found, size_t *count)
{
    struct entries entries = {.parts_too_old = time(NULL) - FLAME_SHELF_PART_SECONDS};
    const struct dirent *entry;
    DIR *directory = open_directory(folder);
    bool ok = true;

    *found = NULL;
    *count = 0;
    if (directory == NULL) {
        return -errno;
    }
    while (ok && (entry = readdir(directory)) != NULL) {
        ok = add_entry(shelf, &entries, folder, entry->d_name);
    }
    closedir(directory);
    if (!ok) {
        free(entries.all);
        return -ENOMEM;
    }
    if (entries.count != 0) {
        qsort(entries.all, entries.count, sizeof entries.all[0], newest_first);
    }
    *found = entries.all;
    *count = entries.count;
    return 0;
}

/* ---- room -------------------------------------------------------------------- */

/* So many, and so much. */
struct share {
    size_t count;
    uint64_t size;
};

struct room {
    const struct flame_shelf *shelf;
    struct flame_shelf_entry *entries; /* the newest first; no name: it is gone */
    size_t left;                       /* none is beyond */
    size_t unasked_left;               /* and none of those that nobody asked for */
    struct share all;
    struct share unasked;
};

static void add_share(struct room *room, const struct flame_shelf_entry *entry)
{
    room->all.count++;
    room->all.size += entry->size;
    if (!flame_shelf_was_asked_for(entry->name)) {
        room->unasked.count++;
        room->unasked.size += entry->size;
    }
}

static bool is_too_much(const struct flame_shelf *shelf, const struct share *share,
                        unsigned part)
{
    return share->count > (shelf->profiles + part - 1) / part ||
           share->size > shelf->bytes / part;
}

/* NULL: none has to go. */
static struct flame_shelf_entry *next_to_go(struct room *room)
{
    struct flame_shelf_entry *entries = room->entries;

    while (room->left > 0 && entries[room->left - 1].name[0] == '\0') {
        room->left--;
    }
    if (room->left == 0 ||
        (!is_too_much(room->shelf, &room->all, 1) &&
         !flame_shelf_is_too_old(room->shelf, entries[room->left - 1].changed_ns))) {
        return NULL;
    }
    if (is_too_much(room->shelf, &room->unasked, FLAME_SHELF_UNASKED_PART)) {
        while (room->unasked_left > 0) {
            struct flame_shelf_entry *entry = &entries[--room->unasked_left];
            if (entry->name[0] != '\0' && !flame_shelf_was_asked_for(entry->name)) {
                return entry;
            }
        }
    }
    return &entries[room->left - 1];
}

static void remove_entry(struct room *room, int folder, struct flame_shelf_entry *entry)
{
    char name[FLAME_SHELF_FILE_SIZE];

    flame_shelf_file(room->shelf, entry->name, "", name);
    flame_count(FLAME_COUNT_CLEARED, unlinkat(folder, name, 0) == 0 ? 1 : 0);
    room->all.count--;
    room->all.size -= entry->size;
    if (!flame_shelf_was_asked_for(entry->name)) {
        room->unasked.count--;
        room->unasked.size -= entry->size;
    }
    entry->name[0] = '\0';
}

int flame_shelf_make_room(const struct flame_shelf *shelf, int folder,
                          const struct flame_shelf_entry *next)
{
    struct room room = {.shelf = shelf};
    struct flame_shelf_entry *entry;
    int error = flame_shelf_list_folder(shelf, folder, &room.entries, &room.left);

    room.unasked_left = room.left;
    add_share(&room, next);
    for (size_t i = 0; i < room.left; i++) {
        add_share(&room, &room.entries[i]);
    }
    while ((entry = next_to_go(&room)) != NULL) {
        remove_entry(&room, folder, entry);
    }
    free(room.entries);
    return error;
}
