/*
 * Why a thread that is off the CPU is: from two files of /proc.
 *
 * /proc/self/task/TID/syscall says "running" for one that could run, else the
 * number and the arguments of the system call it sleeps in. A wait for the GIL is
 * a futex inside the GIL's own structure: no other wait is. The file cannot be
 * opened where the process may not be dumped (a server that has dropped root);
 * then .../stat tells at least who could run.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sampler/session.h"

static int open_file(const struct flame_session *session, const char *name)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/self/task/%ld/%s", (long)session->tid, name);
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* Applications close descriptors by number, all there are, and open others. */
static bool is_still_ours(const struct flame_session *session)
{
    struct stat found;

    return session->offcpu_file >= 0 && fstat(session->offcpu_file, &found) == 0 &&
           found.st_ino == session->offcpu_inode &&
           found.st_dev == session->offcpu_device;
}

static void note_identity(struct flame_session *session)
{
    struct stat found;

    if (session->offcpu_file >= 0 && fstat(session->offcpu_file, &found) == 0) {
        session->offcpu_inode = found.st_ino;
        session->offcpu_device = found.st_dev;
    }
}

void flame_offcpu_open(struct flame_session *session)
{
    session->offcpu_file = open_file(session, "syscall");
    session->quality.gil_wait_known = session->offcpu_file >= 0;
    if (session->offcpu_file < 0) {
        session->offcpu_file = open_file(session, "stat");
    }
    session->quality.runnable_known = session->offcpu_file >= 0;
    note_identity(session);
}

void flame_offcpu_close(struct flame_session *session)
{
    if (is_still_ours(session)) {
        close(session->offcpu_file);
    }
    session->offcpu_file = -1;
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

enum flame_state flame_offcpu_state(const struct flame_session *session)
{
    char line[256];
    ssize_t length = pread(session->offcpu_file, line, sizeof line - 1, 0);

    if (length <= 0) {
        return FLAME_BLOCKED;
    }
    line[length] = '\0';
    if (!session->quality.gil_wait_known) {
        return stat_says_running(line) ? FLAME_RUNNABLE : FLAME_BLOCKED;
    }
    if (strncmp(line, "running", 7) == 0) {
        return FLAME_RUNNABLE;
    }
    return waits_for_gil(session, line) ? FLAME_GIL_WAIT : FLAME_BLOCKED;
}
