#include "middleware/access/private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* NULL: nothing is against it. */
static const char *problem_of(int file)
{
    struct stat found;

    if (fstat(file, &found) != 0) {
        return strerror(errno);
    }
    if (!S_ISREG(found.st_mode)) {
        return "it is no regular file";
    }
    if ((found.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return "others than its owner can read it: chmod 600 keeps it secret";
    }
    return found.st_uid != geteuid() && found.st_uid != 0 ? "it belongs to another user"
                                                          : NULL;
}

/* The number of bytes, or -1. */
static ssize_t read_whole(int file, char *bytes, size_t size)
{
    size_t used = 0;

    while (used < size) {
        ssize_t got = read(file, bytes + used, size - used);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return got < 0 ? -1 : (ssize_t)used;
        }
        used += (size_t)got;
    }
    return (ssize_t)used;
}

ssize_t flame_private_read(const char *path, void *bytes, size_t size, const char **why)
{
    int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    ssize_t length = -1;

    *why = file < 0 ? strerror(errno) : problem_of(file);
    if (*why == NULL) {
        length = read_whole(file, bytes, size);
        *why = length < 0 ? strerror(errno) : NULL;
    }
    if (file >= 0) {
        close(file);
    }
    return length;
}
