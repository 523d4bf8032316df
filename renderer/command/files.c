#include "renderer/command/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Little enough to be in the nearest cache still when it is read. */
#define CHUNK ((size_t)1 << 16)

/* ---- reading, and saying how far it is --------------------------------------- */

struct progress {
    const char *path;
    uint64_t size; /* 0: not known */
    uint64_t done;
    int64_t next; /* when there is something to say, ns; 0: nobody looks */
    bool said;
};

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static struct progress progress_of(const char *path, int descriptor)
{
    struct progress progress = {.path = path};
    struct stat status;

    if (fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode)) {
        progress.size = (uint64_t)status.st_size;
    }
    if (isatty(STDERR_FILENO)) {
        progress.next = now_ns() + 1000000000;
    }
    return progress;
}

static void say_progress(struct progress *progress, size_t more)
{
    progress->done += more;
    if (progress->next == 0 || now_ns() < progress->next) {
        return;
    }
    progress->said = true;
    progress->next = now_ns() + 200000000;
    fprintf(stderr, "\rflameprof: %s: %llu MB read", progress->path,
            (unsigned long long)(progress->done / 1000000));
    if (progress->size != 0) {
        fprintf(stderr, ", %.0f %%",
                100.0 * (double)progress->done / (double)progress->size);
    }
    fputs(" \x1b[K", stderr);
}

static void end_progress(const struct progress *progress)
{
    if (progress->said) {
        fputs("\r\x1b[K", stderr);
    }
}

/* 0 or a negative errno of reading; what the reader finds wrong it says at its end. */
static int read_all(int descriptor, struct flame_reader *reader,
                    struct progress *progress)
{
    char *buffer = malloc(CHUNK);
    int error = buffer == NULL ? -ENOMEM : 0;

    while (error == 0) {
        ssize_t got = read(descriptor, buffer, CHUNK);
        if (got < 0) {
            error = errno == EINTR ? 0 : -errno;
            continue;
        }
        if (got == 0 || flame_reader_feed(reader, buffer, (size_t)got) != 0) {
            break;
        }
        say_progress(progress, (size_t)got);
    }
    free(buffer);
    return error;
}

static bool read_descriptor(int descriptor, const char *path, enum flame_unit unit,
                            struct flame_document *document)
{
    struct flame_reader *reader = flame_reader_new(unit);
    struct progress progress = progress_of(path, descriptor);
    int error = -ENOMEM;

    if (reader != NULL) {
        error = read_all(descriptor, reader, &progress);
        int wrong = flame_reader_finish(reader, document);
        if (error == 0 && wrong != 0) {
            end_progress(&progress);
            fprintf(stderr, "flameprof: %s: %s\n", path, document->problem);
            return false;
        }
    }
    end_progress(&progress);
    if (error != 0) {
        fprintf(stderr, "flameprof: %s: %s\n", path, strerror(-error));
        flame_document_free(document);
    }
    return error == 0;
}

bool flame_file_read(const char *path, enum flame_unit unit,
                     struct flame_document *document)
{
    *document = (struct flame_document){0};
    if (strcmp(path, "-") == 0) {
        return read_descriptor(STDIN_FILENO, "standard input", unit, document);
    }
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        fprintf(stderr, "flameprof: %s: %s\n", path, strerror(errno));
        return false;
    }
    bool ok = read_descriptor(descriptor, path, unit, document);
    close(descriptor);
    return ok;
}

/* ---- writing ----------------------------------------------------------------- */

static bool is_standard_output(const struct flame_file *file)
{
    return file->path == NULL || strcmp(file->path, "-") == 0;
}

int flame_file_write(void *context, const char *data, size_t length)
{
    struct flame_file *file = context;

    if (file->descriptor < 0) {
        file->descriptor =
            is_standard_output(file)
                ? STDOUT_FILENO
                : open(file->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (file->descriptor < 0) {
            return -errno;
        }
    }
    while (length != 0) {
        ssize_t put = write(file->descriptor, data, length);
        if (put < 0 && errno != EINTR) {
            return -errno;
        }
        if (put > 0) {
            data += put;
            length -= (size_t)put;
        }
    }
    return 0;
}

int flame_file_close(struct flame_file *file)
{
    int error = 0;

    if (file->descriptor >= 0 && !is_standard_output(file) &&
        close(file->descriptor) != 0) {
        error = -errno;
    }
    file->descriptor = -1;
    return error;
}
