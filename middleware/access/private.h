/* Files with a secret in them, which are taken from the server's user or root only. */
#ifndef FLAME_MIDDLEWARE_PRIVATE_H
#define FLAME_MIDDLEWARE_PRIVATE_H

#include <stddef.h>
#include <sys/types.h>

/*
 * Reads a whole file that nobody but its owner can read or write, and that belongs to
 * us or to root; of a larger one the first `size` bytes. How many, or -1 and in *why
 * the reason, a sentence without the file's name, which stays until the thread's next
 * call. A pipe in its place is not waited for. Not for signal context.
 */
ssize_t flame_private_read(const char *path, void *bytes, size_t size,
                           const char **why);

#endif
