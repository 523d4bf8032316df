/*
 * A machine that refuses: preloaded, it lets one call of flameprof's fail, or one and
 * all after it, and steps the calendar's clock. Only calls from our own code and from
 * the libraries that only we use are counted: the application's memory is its own.
 *
 * The application tells it what, by ctypes. glibc's own names stand behind.
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);

/* EXIT: no call fails, but in one that would make a thread the process exits, as it
 * does in the handler of a signal that comes at this moment. */
enum what { MEMORY = 1, MAPPING = 2, THREAD = 4, EXIT = 8 };

/* What fails: bits of `what`, the how many-th of them, and whether all that follow. */
void refuse_begin(int what, long at, int from);
/* How many there were since; nothing fails any more. */
long refuse_end(void);
void refuse_step_clock(long seconds);

#define RANGES_MAX 8
static struct range {
    uintptr_t start, end;
} ranges[RANGES_MAX];
static size_t range_count;
static _Atomic int refused;
static _Atomic long seen;
static long fails_at;
static int and_all_after;
static _Atomic long step_s;

static int note_ours(struct dl_phdr_info *info, size_t size, void *data)
{
    static const char *const names[] = {"flameprof", "libjansson", "libprotobuf-c",
                                        "libz.so"};
    (void)size;
    (void)data;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strstr(info->dlpi_name, names[i]) == NULL || range_count == RANGES_MAX) {
            continue;
        }
        for (int part = 0; part < info->dlpi_phnum; part++) {
            const ElfW(Phdr) *header = &info->dlpi_phdr[part];
            if (header->p_type == PT_LOAD && (header->p_flags & PF_X)) {
                uintptr_t start = info->dlpi_addr + header->p_vaddr;
                ranges[range_count++] = (struct range){start, start + header->p_memsz};
                break;
            }
        }
    }
    return 0;
}

void refuse_begin(int what, long at, int from)
{
    range_count = 0;
    dl_iterate_phdr(note_ours, NULL);
    fails_at = at;
    and_all_after = from;
    seen = 0;
    refused = what;
}

long refuse_end(void)
{
    refused = 0;
    return seen;
}

void refuse_step_clock(long seconds)
{
    step_s = seconds;
}

static bool is_ours(const void *caller)
{
    for (size_t i = 0; i < range_count; i++) {
        if ((uintptr_t)caller - ranges[i].start < ranges[i].end - ranges[i].start) {
            return true;
        }
    }
    return false;
}

static bool fails(enum what what, const void *caller)
{
    if ((refused & (int)what) == 0 || !is_ours(caller)) {
        return false;
    }
    long number = ++seen;
    return number == fails_at || (and_all_after && number > fails_at);
}

#define CALLER __builtin_return_address(0)

static void *out_of_memory(void)
{
    errno = ENOMEM;
    return NULL;
}

void *malloc(size_t size)
{
    return fails(MEMORY, CALLER) ? out_of_memory() : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails(MEMORY, CALLER) ? out_of_memory() : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    return fails(MEMORY, CALLER) ? out_of_memory() : __libc_realloc(memory, size);
}

void *mmap(void *where, size_t length, int protection, int flags, int file,
           off_t offset)
{
    if (fails(MAPPING, CALLER)) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return (void *)syscall(SYS_mmap, where, length, protection, flags, file, offset);
}

typedef int create_thread(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument);

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                   void *(*start)(void *), void *argument)
{
    static create_thread *theirs;

    if (theirs == NULL) {
        *(void **)&theirs = dlsym(RTLD_NEXT, "pthread_create");
    }
    if (fails(EXIT, CALLER)) {
        exit(0);
    }
    return fails(THREAD, CALLER) ? EAGAIN : theirs(thread, attributes, start, argument);
}

/* ---- the calendar's clock ---------------------------------------------------- */

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int error = (int)syscall(SYS_clock_gettime, clock, now);

    if (error == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        now->tv_sec += step_s;
    }
    return error;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;
    (void)zone;

    clock_gettime(CLOCK_REALTIME, &precise);
    *now = (struct timeval){precise.tv_sec, precise.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *now)
{
    struct timespec precise;

    clock_gettime(CLOCK_REALTIME, &precise);
    if (now != NULL) {
        *now = precise.tv_sec;
    }
    return precise.tv_sec;
}
