/*
 * Why a thread that is off the CPU is: from two files of /proc.
 *
 * /proc/self/task/TID/syscall says "running" for one that could run, else the
 * number and the arguments of the system call it sleeps in. A wait for the GIL is
 * a futex inside the GIL's own structure: no other wait is. The file cannot be
 * opened where the process may not be dumped (a server that has dropped root);
 * then .../stat tells at least who could run.
 *
 * Only the ticker reads them, and has a table of descriptors of its own, in which they
 * stay open: no descriptor of the application's is used up, inherited by what it
 * starts, or closed by one that closes all there are. No handler of the application's
 * runs on that thread, which would miss the application's descriptors there.
 */
#include <fcntl.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sampler/sampler.h"
#include "sampler/session.h"

static int open_file(const struct flame_session *session, const char *name)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/self/task/%ld/%s", (long)session->tid, name);
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* Of each session, the ticker's alone. */
static struct file {
    uint64_t turn; /* of the session when it was opened; 0: it is not open */
    int descriptor;
} files[FLAME_SESSIONS_MAX];

static pthread_t ticker; /* that began last: the files are in its table */
static bool own_table;   /* it has one; otherwise no file stays open */
static atomic_ullong turns;
static atomic_bool gil_unknown; /* as the file that was opened last told */
static atomic_bool runnable_unknown;

void flame_offcpu_begin_ticker(void)
{
    ticker = pthread_self();
    own_table = close_range(0, ~0U, CLOSE_RANGE_UNSHARE) == 0;
    memset(files, 0, sizeof files); /* those of an older ticker went with its table */
}

void flame_offcpu_begin(struct flame_session *session)
{
    session->offcpu_turn = atomic_fetch_add(&turns, 1) + 1;
    session->quality.gil_wait_known = !atomic_load(&gil_unknown);
    session->quality.runnable_known = !atomic_load(&runnable_unknown);
}

static int open_first_that_can_be(struct flame_session *session)
{
    int file = open_file(session, "syscall");

    session->quality.gil_wait_known = file >= 0;
    if (file < 0) {
        file = open_file(session, "stat");
    }
    session->quality.runnable_known = file >= 0;
    atomic_store(&gil_unknown, !session->quality.gil_wait_known);
    atomic_store(&runnable_unknown, !session->quality.runnable_known);
    return file;
}

static void close_file(struct file *file)
{
    if (file->turn != 0 && file->descriptor >= 0) {
        close(file->descriptor);
    }
    file->turn = 0;
}

void flame_offcpu_rest_ticker(void)
{
    if (!pthread_equal(ticker, pthread_self())) {
        return; /* it ends, and another one has begun */
    }
    for (size_t i = 0; i < FLAME_SESSIONS_MAX; i++) {
        close_file(&files[i]);
    }
}

/* The file's first line, or -1. */
static ssize_t read_line(struct flame_session *session, char *line, size_t size)
{
    struct file *file = &files[flame_session_slot(session)];

    if (file->turn != session->offcpu_turn) {
        close_file(file);
        file->turn = session->offcpu_turn;
        file->descriptor = open_first_that_can_be(session);
    }
    ssize_t length = pread(file->descriptor, line, size - 1, 0);
    line[length > 0 ? length : 0] = '\0';
    if (!own_table) {
        close_file(file);
    }
    return length;
}

/* "202 0x7f01... ..." */
static bool waits_for_gil(const struct flame_session *session, const char *line)
{
    char *end;
    long number = strtol(line, &end, 10);
    uintptr_t gil = atomic_load_explicit(&session->gil, memory_order_relaxed);

    return number == SYS_futex && *end == ' ' &&
           (uintptr_t)strtoull(end + 1, NULL, 16) - gil < session->gil_size;
}

/* "4711 (any (name)) R ..." */
static bool stat_says_running(const char *line)
{
    const char *end = strrchr(line, ')');

    return end != NULL && strncmp(end, ") R", 3) == 0;
}

/* Of proc_pid_stat(5), whose second field is in parentheses and may hold anything. */
#define STAT_CPU_FIELD 39

int flame_offcpu_cpu(const struct flame_session *session)
{
    char line[1024];
    int file = open_file(session, "stat");
    ssize_t length = file < 0 ? -1 : read(file, line, sizeof line - 1);

    if (file >= 0) {
        close(file);
    }
    if (length <= 0) {
        return -1;
    }
    line[length] = '\0';
    const char *field = strrchr(line, ')');
    for (int number = 2; number < STAT_CPU_FIELD && field != NULL; number++) {
        field = strchr(field + 1, ' ');
    }
    return field == NULL ? -1 : (int)strtol(field, NULL, 10);
}

enum flame_state flame_offcpu_state(struct flame_session *session)
{
    char line[256];

    if (read_line(session, line, sizeof line) <= 0) {
        return FLAME_BLOCKED;
    }
    if (!session->quality.gil_wait_known) {
        return stat_says_running(line) ? FLAME_RUNNABLE : FLAME_BLOCKED;
    }
    if (strncmp(line, "running", 7) == 0) {
        return FLAME_RUNNABLE;
    }
    return waits_for_gil(session, line) ? FLAME_GIL_WAIT : FLAME_BLOCKED;
}
