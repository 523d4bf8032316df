#include "middleware/archive/keeper.h"

#include "middleware/common/common.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOG_EVERY_S 60

struct waiting {
    struct flame_shelf archive;
    bool archived; /* it goes there */
    const struct flame_push_target *push;
    struct flame_session *session;
    struct flame_facts facts;
    char name[FLAME_SHELF_NAME + 1];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of what follows */
static pthread_cond_t written = PTHREAD_COND_INITIALIZER;
static struct waiting *queue[FLAME_KEEPER_WAITING]; /* the first is being written */
static size_t queued;
static bool known_to_process; /* its end and its forks */

static _Atomic uint64_t kept;
static _Atomic uint64_t lost;
static _Atomic time_t quiet_until;
static void (*_Atomic log_line)(const char *line);

void flame_keeper_log(void (*log)(const char *line))
{
    atomic_store(&log_line, log);
}

struct flame_keeper_counts flame_keeper_counts(void)
{
    return (struct flame_keeper_counts){atomic_load(&kept), atomic_load(&lost)};
}

static void note_loss(const char *why)
{
    void (*log)(const char *) = atomic_load(&log_line);
    struct timespec now;
    char line[400];

    uint64_t count = atomic_fetch_add(&lost, 1) + 1;
    flame_count(FLAME_COUNT_NOT_KEPT, 1);
    clock_gettime(CLOCK_MONOTONIC, &now);
    time_t quiet = atomic_load(&quiet_until);
    if (now.tv_sec < quiet || !atomic_compare_exchange_strong(
                                  &quiet_until, &quiet, now.tv_sec + LOG_EVERY_S)) {
        return;
    }
    snprintf(line, sizeof line,
             "[flameprof] %llu profile%s of this process could not be kept, the last "
             "since: %s",
             (unsigned long long)count, count == 1 ? "" : "s", why);
    if (log != NULL) {
        log(line);
    } else {
        fprintf(stderr, "%s\n", line);
    }
}

int flame_keeper_write(const struct flame_shelf *archive,
                       const struct flame_profile *profile,
                       const struct flame_facts *facts,
                       const char name[FLAME_SHELF_NAME + 1])
{
    int error = flame_archive_put(archive, profile, facts, name);

    if (error == 0) {
        atomic_fetch_add(&kept, 1);
        flame_count(FLAME_COUNT_KEPT, 1);
    } else {
        note_loss(flame_shelf_error(error));
    }
    return error;
}

/* ---- the thread -------------------------------------------------------------- */

static void push(const struct waiting *waiting)
{
    const struct flame_facts *facts = &waiting->facts;
    const struct flame_pushed pushed = {.method = flame_slice_of(facts->method),
                                        .path = flame_slice_of(facts->path),
                                        .status = flame_slice_of(facts->status),
                                        .raised = flame_slice_of(facts->raised),
                                        .clock = FLAME_CLOCK_WALL};

    flame_push_profile(waiting->push, flame_session_profile(waiting->session), &pushed);
}

static void write_one(const struct waiting *waiting)
{
    if (waiting->archived) {
        (void)flame_keeper_write(&waiting->archive,
                                 flame_session_profile(waiting->session),
                                 &waiting->facts, waiting->name);
    }
    if (waiting->push != NULL) {
        push(waiting);
    }
}

static void *write_what_waits(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&lock);
    while (queued > 0) {
        struct waiting *next = queue[0];
        pthread_mutex_unlock(&lock);
        write_one(next);
        flame_session_free(next->session);
        free(next);
        pthread_mutex_lock(&lock);
        queued--;
        memmove(queue, queue + 1, queued * sizeof *queue);
        pthread_cond_broadcast(&written);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* Of a server whose threads take signals, this is none. Under lock. */
static int start_thread(void)
{
    pthread_attr_t detached;
    pthread_t thread;
    sigset_t all;
    sigset_t before;

    if (pthread_attr_init(&detached) != 0) {
        return -ENOMEM;
    }
    (void)pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread, &detached, write_what_waits, NULL);
    if (error == 0) {
        (void)pthread_setname_np(thread, "flame-keeper");
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&detached);
    return error == 0 ? 0 : -EAGAIN;
}

/* ---- the process ------------------------------------------------------------- */

bool flame_keeper_drain(unsigned seconds)
{
    struct timespec until;
    int error = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += seconds;
    /* Where a signal's handler ends the process it may have interrupted who holds it.
     */
    if (pthread_mutex_clocklock(&lock, CLOCK_MONOTONIC, &until) != 0) {
        return false;
    }
    while (queued > 0 && error == 0) {
        error = pthread_cond_clockwait(&written, &lock, CLOCK_MONOTONIC, &until);
    }
    bool drained = queued == 0;
    pthread_mutex_unlock(&lock);
    return drained;
}

static void at_exit(void)
{
    (void)flame_keeper_drain(FLAME_KEEPER_PATIENCE_S);
}

static void before_fork(void)
{
    pthread_mutex_lock(&lock);
}

static void after_fork_in_parent(void)
{
    pthread_mutex_unlock(&lock);
}

/* The parent's thread writes them; here they only take room. */
static void after_fork_in_child(void)
{
    for (size_t i = 0; i < queued; i++) {
        flame_session_free(queue[i]->session);
    }
    queued = 0;
    atomic_store(&kept, 0);
    atomic_store(&lost, 0);
    written = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    pthread_mutex_unlock(&lock);
}

/* Under lock. */
static int get_to_know_process(void)
{
    if (known_to_process) {
        return 0;
    }
    if (pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) != 0 ||
        atexit(at_exit) != 0) {
        return -ENOMEM;
    }
    known_to_process = true;
    return 0;
}

/* Under lock. */
static int enqueue(struct waiting *waiting)
{
    int error = get_to_know_process();

    if (error == 0 && queued == FLAME_KEEPER_WAITING) {
        error = -EAGAIN;
    }
    if (error == 0 && queued == 0) {
        error = start_thread();
    }
    if (error == 0) {
        queue[queued++] = waiting;
    }
    return error;
}

int flame_keeper_keep(const struct flame_shelf *archive,
                      const struct flame_push_target *target,
                      struct flame_session *session, const struct flame_facts *facts,
                      const char *name)
{
    struct waiting *waiting = malloc(sizeof *waiting);
    int error = -ENOMEM;

    if (waiting != NULL) {
        *waiting = (struct waiting){.session = session,
                                    .facts = *facts,
                                    .push = target,
                                    .archived = archive != NULL};
        if (archive != NULL) {
            waiting->archive = *archive;
            memcpy(waiting->name, name, sizeof waiting->name);
        }
        pthread_mutex_lock(&lock);
        error = enqueue(waiting);
        pthread_mutex_unlock(&lock);
    }
    if (error != 0) {
        note_loss(error == -EAGAIN ? "too many wait to be written" : "no memory");
        flame_session_free(session);
        free(waiting);
    }
    return error;
}
