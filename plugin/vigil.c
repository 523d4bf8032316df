#include "plugin/vigil.h"

#include "middleware/archive/keeper.h"
#include "plugin/watch.h"

#include <uwsgi.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

extern struct uwsgi_server uwsgi;

/*
 * The master looks once a second, and kills when its clock, in whole seconds, is past
 * the deadline: a second after it at the earliest. Since 2.0.22 harakiri strikes when
 * the clock has come to it (uWSGI's core/master_checks.c, core/master.c).
 */
#define MERCY_ENDS_AFTER_S 1
#define HARAKIRI_STRIKES_AFTER_S                                                    \
    (UWSGI_VERSION_BASE * 10000 + UWSGI_VERSION_MAJOR * 100 + UWSGI_VERSION_MINOR < \
     20022)
/* To write takes milliseconds; a busy machine may not let us at once. */
#define BEFORE_NS 500000000
#define LOOK_EVERY_NS 100000000
#define EXIT_SECONDS 2

static struct {
    pthread_mutex_t lock; /* of what follows, and held while one is written */
    pthread_cond_t changed;
    const struct flame_shelf *archive;
    struct flame_watch *watches; /* linked by next_watched */
    bool running;                /* the thread */
    bool exiting;
} vigil = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* ---- the thread, under lock -------------------------------------------------- */

/* The master may kill `after_s` seconds after that deadline. */
static bool is_near(time_t deadline, int after_s)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t left_ns =
        (int64_t)(deadline + after_s - now.tv_sec) * 1000000000 - now.tv_nsec;
    return deadline > 0 && left_ns <= BEFORE_NS;
}

/* What is about to end the worker, if anything. */
static enum flame_cut threat(void)
{
    const struct uwsgi_worker *worker = &uwsgi.workers[uwsgi.mywid];
    if (is_near(worker->harakiri, HARAKIRI_STRIKES_AFTER_S) ||
        is_near(worker->user_harakiri, HARAKIRI_STRIKES_AFTER_S)) {
        return FLAME_CUT_HARAKIRI;
    }
    if (vigil.exiting ||
        (worker->cursed_at > 0 && is_near(worker->no_mercy_at, MERCY_ENDS_AFTER_S))) {
        return FLAME_CUT_STOPPED;
    }
    return FLAME_CUT_NOT;
}

static void write_watch(struct flame_watch *watch, enum flame_cut cut)
{
    struct flame_facts facts = watch->facts;
    facts.cut = cut;
    (void)flame_keeper_write(vigil.archive, flame_session_cut(watch->session), &facts,
                             watch->name);
    watch->written = true;
}

static void look(void)
{
    enum flame_cut cut = threat();
    if (cut == FLAME_CUT_NOT) {
        return;
    }
    for (struct flame_watch *watch = vigil.watches; watch;
         watch = watch->next_watched) {
        if (!watch->written) {
            write_watch(watch, cut);
        }
    }
}

static void *keep_vigil(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&vigil.lock);
    while (vigil.watches) {
        look();
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += LOOK_EVERY_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_clockwait(&vigil.changed, &vigil.lock, CLOCK_MONOTONIC, &until);
        if (vigil.exiting) {
            look();
            break;
        }
    }
    vigil.running = false;
    pthread_cond_broadcast(&vigil.changed);
    pthread_mutex_unlock(&vigil.lock);
    return NULL;
}

static void start_thread(void)
{
    pthread_attr_t detached;
    pthread_t thread;
    sigset_t all, before;
    if (pthread_attr_init(&detached)) {
        return;
    }
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    vigil.running = !pthread_create(&thread, &detached, keep_vigil, NULL);
    if (vigil.running) {
        pthread_setname_np(thread, "flame-vigil");
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&detached);
}

/* ---- requests ---------------------------------------------------------------- */

void flame_vigil_begin(struct flame_watch *watch)
{
    if (!vigil.archive) {
        return;
    }
    pthread_mutex_lock(&vigil.lock);
    watch->next_watched = vigil.watches;
    vigil.watches = watch;
    if (!vigil.running) {
        start_thread();
    }
    pthread_mutex_unlock(&vigil.lock);
}

void flame_vigil_end(struct flame_watch *watch)
{
    if (!vigil.archive) {
        return;
    }
    pthread_mutex_lock(&vigil.lock);
    for (struct flame_watch **link = &vigil.watches; *link;
         link = &(*link)->next_watched) {
        if (*link == watch) {
            *link = watch->next_watched;
            break;
        }
    }
    if (!vigil.watches) {
        pthread_cond_broadcast(&vigil.changed);
    }
    pthread_mutex_unlock(&vigil.lock);
}

/* ---- the process ------------------------------------------------------------- */

void flame_vigil_exit(void)
{
    struct timespec until;
    int error = 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += EXIT_SECONDS;
    /* The handler may have interrupted who holds it. */
    if (!vigil.archive ||
        pthread_mutex_clocklock(&vigil.lock, CLOCK_MONOTONIC, &until)) {
        return;
    }
    vigil.exiting = true;
    pthread_cond_broadcast(&vigil.changed);
    while (vigil.running && !error) {
        error = pthread_cond_clockwait(&vigil.changed, &vigil.lock, CLOCK_MONOTONIC,
                                       &until);
    }
    pthread_mutex_unlock(&vigil.lock);
}

/*
 * A request that forks is watched in the parent; the child has no such thread. All is
 * made anew here, so that a fork need not wait for the lock: who has it may wait for
 * the sampler's, which the fork has by then.
 */
static void after_fork_in_child(void)
{
    vigil.watches = NULL;
    vigil.running = false;
    vigil.lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    vigil.changed = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
}

int flame_vigil_install(const struct flame_shelf *archive)
{
    if (pthread_atfork(NULL, NULL, after_fork_in_child)) {
        return -ENOMEM;
    }
    vigil.archive = archive;
    return 0;
}
