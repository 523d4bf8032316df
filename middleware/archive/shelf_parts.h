/* What the parts of shelf.h's implementation offer each other: shelf.c has a folder and
 * its files, shelf_room.c what is there and what has to go. */
#ifndef FLAME_MIDDLEWARE_SHELF_PARTS_H
#define FLAME_MIDDLEWARE_SHELF_PARTS_H

#include "middleware/archive/shelf.h"

/* Behind the name of a file that is being written. Nobody writes to one this old any
 * more: it goes. */
#define FLAME_SHELF_PART ".part"
#define FLAME_SHELF_PART_SECONDS 60

/* A name, with what stands behind it. */
#define FLAME_SHELF_FILE_SIZE (FLAME_SHELF_NAME + 16 + sizeof FLAME_SHELF_PART)
void flame_shelf_file(const struct flame_shelf *shelf, const char *name,
                      const char *end, char out[FLAME_SHELF_FILE_SIZE]);

bool flame_shelf_begins_with_name(const char *text);
bool flame_shelf_was_asked_for(const char *name);
bool flame_shelf_is_too_old(const struct flame_shelf *shelf, int64_t changed_ns);

/* What is in the folder, the newest first, malloc'd; parts that are too old go as they
 * are met. 0, or a negative errno, without entries. */
int flame_shelf_list_folder(const struct flame_shelf *shelf, int folder,
                            struct flame_shelf_entry **entries, size_t *count);
/* Makes room in the folder for what comes, of which the name and the size are known.
 * Another process may take it first: no matter. 0, or an error of the list. */
int flame_shelf_make_room(const struct flame_shelf *shelf, int folder,
                          const struct flame_shelf_entry *next);

#endif
