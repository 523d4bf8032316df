/*
 * What lies in the folder of kept profiles, which a full disk or another program may
 * have left in any state: it is drawn, or refused.
 */
#include "middleware/shelf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME "0123456789abcdef0123456789abcdef"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct flame_shelf shelf;
static char path[sizeof shelf.folder + sizeof NAME + 1];

static void end(void)
{
    unlink(path);
    rmdir(shelf.folder);
}

static void begin(void)
{
    char folder[] = "/dev/shm/flameprof-fuzz-XXXXXX";

    if (mkdtemp(folder) == NULL ||
        flame_shelf_init(&shelf, flame_slice_of(folder)) != 0) {
        abort();
    }
    snprintf(path, sizeof path, "%s/%s", shelf.folder, NAME);
    atexit(end);
}

static void store(const uint8_t *data, size_t size)
{
    FILE *file = fopen(path, "wb");

    if (file == NULL || fwrite(data, 1, size, file) != size || fclose(file) != 0) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct flame_picture_options options = {.width = 800};
    struct flame_writer out = {.limit = FLAME_SHELF_BYTES};
    bool drawing;

    if (shelf.folder[0] == '\0') {
        begin();
    }
    if (size == 0) {
        return 0;
    }
    store(data + 1, size - 1);
    int error =
        flame_shelf_render(&shelf, flame_slice_of(NAME),
                           data[0] & 4 ? FLAME_FORMAT_SVG : FLAME_FORMAT_PPROF,
                           (enum flame_clock)(data[0] & 3), &options, &out, &drawing);
    if (error == 0 && out.length == 0) {
        abort();
    }
    flame_writer_free(&out);
    return 0;
}
