/*
 * The command's files: a document read from one, bytes that go to one.
 */
#ifndef FLAME_RENDERER_FILES_H
#define FLAME_RENDERER_FILES_H

#include "renderer/renderer.h"

/*
 * Reads a file, "-" being standard input, and tells a terminal how far it is once that
 * takes more than a second. False: it has been said on standard error why not.
 */
bool flame_file_read(const char *path, enum flame_unit unit,
                     struct flame_document *document);

/* Opened, and emptied, by the first byte that is written: what fails before leaves the
 * file as it was. */
struct flame_file {
    const char *path; /* NULL or "-": standard output */
    int descriptor;   /* -1: not open */
};

/* A flame_sink; context: a struct flame_file. */
int flame_file_write(void *context, const char *data, size_t length);
/* 0, or a negative errno of what only closing finds out. */
int flame_file_close(struct flame_file *file);

#endif
