/* Making the block, and what is simple about it. */
#include "middleware/common/block.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Files of ours, whatever their version, begin so. */
#define PREFIX "common-"
/* Of another boot, and not written for so long, nobody uses it: were the folder on a
 * network, another machine might. */
#define OLD_SECONDS (30 * 24 * 3600)

static struct flame_block own_block = {.magic = FLAME_BLOCK_MAGIC,
                                       .version = FLAME_BLOCK_VERSION,
                                       .size = sizeof(struct flame_block),
                                       .mutex = PTHREAD_MUTEX_INITIALIZER};
static struct flame_common own = {.block = &own_block, .sharing = FLAME_OF_PROCESS};
static _Atomic(struct flame_common *) here = &own;

struct flame_common *flame_common_here(void)
{
    return atomic_load_explicit(&here, memory_order_acquire);
}

/* ---- the mutex --------------------------------------------------------------- */

static int init_mutex(pthread_mutex_t *mutex)
{
    pthread_mutexattr_t attributes;
    int error = pthread_mutexattr_init(&attributes);

    if (error != 0) {
        return -error;
    }
    error = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    if (error == 0) {
        error = pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    }
    if (error == 0) {
        error = pthread_mutex_init(mutex, &attributes);
    }
    pthread_mutexattr_destroy(&attributes);
    return -error;
}

bool flame_block_lock(struct flame_block *block)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += FLAME_COMMON_WAIT_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    int error = pthread_mutex_clocklock(&block->mutex, CLOCK_MONOTONIC, &until);
    if (error == EOWNERDEAD) {
        /* Whatever it was about to do, the last word of it was not written: it did not
         * happen. */
        error = pthread_mutex_consistent(&block->mutex);
    }
    return error == 0;
}

void flame_block_unlock(struct flame_block *block)
{
    pthread_mutex_unlock(&block->mutex);
}

bool flame_block_is_copied(const struct flame_block *block)
{
    return block == &own_block;
}

/* ---- memory ------------------------------------------------------------------ */

static int init_block(struct flame_block *block)
{
    block->magic = FLAME_BLOCK_MAGIC;
    block->version = FLAME_BLOCK_VERSION;
    block->size = sizeof *block;
    block->since = (int64_t)time(NULL);
    return init_mutex(&block->mutex);
}

/* file < 0: of nobody but the children. NULL: errno says why. */
static struct flame_block *map_block(int file)
{
    void *memory = mmap(NULL, sizeof(struct flame_block), PROT_READ | PROT_WRITE,
                        file < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED, file, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

static int map_anonymous(struct flame_common *common)
{
    common->block = map_block(-1);
    if (common->block == NULL) {
        return -errno;
    }
    int error = init_block(common->block);
    if (error != 0) {
        munmap(common->block, sizeof *common->block);
    }
    return error;
}

/* ---- the file ---------------------------------------------------------------- */

/* Of this boot, in hexadecimal; "0" where the kernel does not say. */
static void read_boot(char out[9])
{
    int file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t got = file < 0 ? -1 : read(file, out, 8);

    if (file >= 0) {
        close(file);
    }
    out[8] = '\0';
    if (got != 8 || strspn(out, "0123456789abcdef") != 8) {
        strcpy(out, "0");
    }
}

/* Processes of another PID namespace have other numbers for the same processes. */
static void write_name(char name[FLAME_COMMON_NAME_SIZE])
{
    struct stat namespace;
    char boot[9];
    bool known = stat("/proc/self/ns/pid", &namespace) == 0;

    read_boot(boot);
    snprintf(name, FLAME_COMMON_NAME_SIZE, PREFIX "%u-%zx-%s-%llx", FLAME_BLOCK_VERSION,
             sizeof(struct flame_block), boot,
             known ? (unsigned long long)namespace.st_ino : 0);
}

/* A file that stands there: ours, whole, and of this layout. */
static int open_file(int folder, const char *name, struct flame_common *common)
{
    struct stat found;
    int file = openat(folder, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);

    if (file < 0) {
        return errno == ELOOP ? -EPERM : -errno;
    }
    int error = fstat(file, &found) != 0 ? -errno : 0;
    if (error == 0 && (!S_ISREG(found.st_mode) || found.st_uid != geteuid() ||
                       (found.st_mode & (S_IRWXG | S_IRWXO)) != 0)) {
        error = -EPERM;
    }
    if (error == 0 && found.st_size != (off_t)sizeof(struct flame_block)) {
        error = -EPROTO;
    }
    if (error == 0) {
        common->block = map_block(file);
        error = common->block == NULL ? -errno : 0;
    }
    close(file);
    if (error != 0) {
        return error;
    }
    const struct flame_block *block = common->block;
    if (block->magic != FLAME_BLOCK_MAGIC || block->version != FLAME_BLOCK_VERSION ||
        block->size != sizeof *block) {
        munmap(common->block, sizeof *block);
        return -EPROTO;
    }
    common->device = found.st_dev;
    common->inode = found.st_ino;
    return 0;
}

static int fill_file(int file)
{
    int error = -posix_fallocate(file, 0, sizeof(struct flame_block));
    struct flame_block *block = error == 0 ? map_block(file) : NULL;

    if (block == NULL) {
        return error != 0 ? error : -errno;
    }
    error = init_block(block);
    munmap(block, sizeof *block);
    return error;
}

/* Under its name only when it is whole; that somebody else was first is no error. */
static int make_file(int folder, const char *name)
{
    char part[FLAME_COMMON_NAME_SIZE + 16];
    uint32_t random;

    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random) {
        return -EAGAIN;
    }
    snprintf(part, sizeof part, "%s.%08x", name, random);
    int file =
        openat(folder, part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (file < 0) {
        return -errno;
    }
    int error = fill_file(file);
    close(file);
    if (error == 0 && linkat(folder, part, folder, name, 0) != 0 && errno != EEXIST) {
        error = -errno;
    }
    (void)unlinkat(folder, part, 0);
    return error;
}

static void clear_old(int folder, const char *name)
{
    const struct dirent *found;
    struct stat status;
    int again = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = again < 0 ? NULL : fdopendir(again);

    if (directory == NULL) {
        if (again >= 0) {
            close(again);
        }
        return;
    }
    while ((found = readdir(directory)) != NULL) {
        if (strncmp(found->d_name, PREFIX, sizeof PREFIX - 1) == 0 &&
            strcmp(found->d_name, name) != 0 &&
            fstatat(folder, found->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            status.st_mtime < time(NULL) - OLD_SECONDS) {
            (void)unlinkat(folder, found->d_name, 0);
        }
    }
    closedir(directory);
}

static int map_file(int folder, const char *path, struct flame_common *common)
{
    char name[FLAME_COMMON_NAME_SIZE];

    write_name(name);
    int length = snprintf(common->path, sizeof common->path, "%s/%s", path, name);
    if ((size_t)length >= sizeof common->path) {
        return -ENAMETOOLONG;
    }
    int error = open_file(folder, name, common);
    if (error == -ENOENT) {
        error = make_file(folder, name);
        if (error == 0) {
            clear_old(folder, name);
            error = open_file(folder, name, common);
        }
    }
    return error;
}

/* ---- making ------------------------------------------------------------------ */

struct flame_common *flame_common_new(int folder, const char *path, int *error)
{
    struct flame_common *common = calloc(1, sizeof *common);

    if (common == NULL) {
        *error = -ENOMEM;
        return NULL;
    }
    common->sharing = folder < 0 ? FLAME_OF_FORK : FLAME_OF_FOLDER;
    *error = folder < 0 ? map_anonymous(common) : map_file(folder, path, common);
    if (*error != 0) {
        free(common);
        return NULL;
    }
    return common;
}

void flame_common_free(struct flame_common *common)
{
    if (common != NULL) {
        munmap(common->block, sizeof *common->block);
        free(common);
    }
}

/* What was counted before goes along. */
static void use(struct flame_common *common)
{
    for (unsigned i = 0; i < FLAME_COUNTERS; i++) {
        atomic_fetch_add(&common->block->counters[i],
                         atomic_exchange(&own_block.counters[i], 0));
    }
    atomic_store_explicit(&here, common, memory_order_release);
}

int flame_common_make_before_fork(void)
{
    int error = 0;

    if (flame_common_here() == &own) {
        struct flame_common *common = flame_common_new(-1, "", &error);
        if (common != NULL) {
            use(common);
        }
    }
    return error;
}

int flame_common_make_in_folder(int folder, const char *path)
{
    int error = 0;
    int worse;

    if (flame_common_here() != &own) {
        return 0;
    }
    struct flame_common *common =
        folder < 0 ? NULL : flame_common_new(folder, path, &error);
    if (common == NULL) {
        error = folder < 0 ? folder : error;
        common = flame_common_new(-1, "", &worse);
        if (common != NULL) {
            common->sharing = FLAME_OF_PROCESS;
        }
    }
    if (common != NULL) {
        use(common);
    }
    return error;
}

static const char *reason(int error)
{
    switch (error) {
    case -EPERM:
        return "the folder for what workers share, or its file, is somebody else's, or "
               "others may look into it";
    case -ENOSPC:
    case -EDQUOT:
    case -EFBIG:
        return "there is no room in the folder for what workers share";
    case -EPROTO:
        return "the file for what workers share is none of this flameprof's";
    case -ENOMEM:
        return "there is no memory for what workers share";
    default:
        return "the folder for what workers share cannot be used";
    }
}

void flame_common_explain(int error, char *line, size_t size)
{
    snprintf(line, size,
             "[flameprof] limits hold for each worker by itself, and single-use tokens "
             "are refused: %s",
             reason(error));
}

enum flame_sharing flame_common_sharing(const struct flame_common *common)
{
    return common->sharing;
}

int64_t flame_common_since(const struct flame_common *common)
{
    return common->block->since;
}
