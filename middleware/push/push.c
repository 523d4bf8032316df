/* What waits to be pushed, and the thread that does it. */
#include "middleware/common/common.h"
#include "middleware/push/push_parts.h"
#include "middleware/request.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)
#define WAIT_MOST_S 60u
#define SAY_EVERY_S 60u
#define STACK_SIZE ((size_t)512 << 10) /* libcurl with OpenSSL takes a fifth */
#define JOIN_MS 200u                   /* the thread ends by itself before that */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct flame_push_item *first; /* the oldest */
    unsigned count;
    size_t bytes;
    bool known;   /* fork and exit are told of us */
    bool running; /* the thread */
    bool useless; /* there is no libcurl */
    bool stopping;
    uint64_t ends_ns; /* when it stops at the latest */
    pthread_t thread;
    unsigned wait_s; /* 0: the last attempt succeeded */
    uint64_t not_before_ns;
    unsigned long lost; /* since it was said */
    uint64_t quiet_until_ns;
} push = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static struct timespec timespec_of(uint64_t ns)
{
    return (struct timespec){(time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S)};
}

/* ---- what waits: all under the lock ------------------------------------------- */

static struct flame_push_item *pop(void)
{
    struct flame_push_item *item = push.first;

    push.first = item->next;
    push.count--;
    push.bytes -= item->size;
    return item;
}

static void lose(struct flame_push_item *item)
{
    flame_push_item_free(item);
    push.lost++;
    flame_count(FLAME_COUNT_PUSH_LOST, 1);
}

static bool is_full(void)
{
    return push.count > FLAME_PUSH_PROFILES || push.bytes > FLAME_PUSH_BYTES;
}

static void append(struct flame_push_item *item)
{
    struct flame_push_item **last = &push.first;

    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = item;
    push.count++;
    push.bytes += item->size;
    while (is_full()) {
        lose(pop());
    }
}

/* Back to where it was; the oldest has to go if there is no room any more. */
static void put_back(struct flame_push_item *item)
{
    item->next = push.first;
    push.first = item;
    push.count++;
    push.bytes += item->size;
    if (is_full()) {
        lose(pop());
    }
}

/* Once a minute at most, or at the end. */
static void say(const char *url, const char *why, bool at_the_end)
{
    uint64_t now = flame_now_ns();

    if (now < push.quiet_until_ns && !at_the_end) {
        return;
    }
    push.quiet_until_ns = now + SAY_EVERY_S * NS_PER_S;
    dprintf(STDERR_FILENO,
            "[flameprof] pushing profiles to %s: %s; %u wait, %lu were given up\n", url,
            why, push.count, push.lost);
    push.lost = 0;
}

static void lose_all(const char *why)
{
    char *url = push.first == NULL ? NULL : push.first->url;

    if (url == NULL) {
        return;
    }
    push.first->url = NULL;
    while (push.first != NULL) {
        lose(pop());
    }
    say(url, why, true);
    free(url);
}

/* ---- the thread ---------------------------------------------------------------- */

static bool must_stop(void)
{
    pthread_mutex_lock(&push.lock);
    bool stop = push.stopping && flame_now_ns() >= push.ends_ns;
    pthread_mutex_unlock(&push.lock);
    return stop;
}

/* So that a thousand workers do not come back at the same moment. */
static uint64_t shortened(unsigned seconds)
{
    uint32_t random = 0;
    uint64_t whole = seconds * NS_PER_S;

    (void)!getrandom(&random, sizeof random, GRND_NONBLOCK);
    return whole - whole / 2 * random / UINT32_MAX;
}

static void wait_longer(unsigned asked_s)
{
    push.wait_s = push.wait_s == 0 ? 1 : push.wait_s * 2;
    push.wait_s = push.wait_s < WAIT_MOST_S ? push.wait_s : WAIT_MOST_S;
    uint64_t asked_ns = (asked_s < WAIT_MOST_S ? asked_s : WAIT_MOST_S) * NS_PER_S;
    uint64_t wait_ns = shortened(push.wait_s);
    push.not_before_ns = flame_now_ns() + (wait_ns > asked_ns ? wait_ns : asked_ns);
}

/* Under the lock: what becomes of it. */
static void settle(struct flame_push_item *item, enum flame_push_outcome outcome,
                   const char *why, unsigned asked_s)
{
    char *url = item->url;

    item->url = NULL;
    if (outcome == FLAME_PUSH_DONE) {
        push.wait_s = 0;
        flame_count(FLAME_COUNT_PUSHED, 1);
        flame_push_item_free(item);
        free(url);
        return;
    }
    if (outcome == FLAME_PUSH_STOPPED) {
        item->url = url;
        put_back(item); /* to be lost with the others */
        return;
    }
    flame_count(FLAME_COUNT_PUSH_ERRORS, 1);
    bool old = flame_now_ns() - item->begun_ns > FLAME_PUSH_AGE_S * NS_PER_S;
    if (outcome != FLAME_PUSH_LATER || old || push.stopping) {
        lose(item);
        say(url, why, false);
        free(url);
    } else {
        wait_longer(asked_s);
        say(url, why, false);
        item->url = url;
        put_back(item);
    }
}

/* Under the lock, which it gives up meanwhile. False: the end. */
static bool wait_for_work(void)
{
    for (;;) {
        uint64_t now = flame_now_ns();
        if (push.stopping) {
            return push.first != NULL && now < push.ends_ns;
        }
        if (push.first != NULL && now >= push.not_before_ns) {
            return true;
        }
        if (push.first == NULL) {
            pthread_cond_wait(&push.changed, &push.lock);
        } else {
            struct timespec until = timespec_of(push.not_before_ns);
            pthread_cond_clockwait(&push.changed, &push.lock, CLOCK_MONOTONIC, &until);
        }
    }
}

static void push_one(struct flame_push_client *client)
{
    struct flame_push_item *item = pop();
    char why[200] = "there is no memory to write it";
    unsigned asked_s = 0;
    enum flame_push_outcome outcome = FLAME_PUSH_NEVER;

    pthread_mutex_unlock(&push.lock);
    if (flame_push_item_pack(item)) {
        outcome = flame_push_post(
            client, item->address, item->user, item->token,
            (struct flame_slice){item->packed.data, item->packed.length}, must_stop,
            why, &asked_s);
    }
    pthread_mutex_lock(&push.lock);
    settle(item, outcome, why, asked_s);
}

static void stop_at_exit(void);

static void *run(void *unused)
{
    struct flame_push_client *client = flame_push_client_new(stop_at_exit);

    (void)unused;
    pthread_mutex_lock(&push.lock);
    push.useless = client == NULL;
    if (client == NULL) {
        lose_all("libcurl.so.4 cannot be loaded");
    }
    while (client != NULL && wait_for_work()) {
        push_one(client);
    }
    lose_all("the process ends");
    pthread_mutex_unlock(&push.lock);
    return NULL;
}

/* ---- from the outside ----------------------------------------------------------- */

/* Of a child the thread is gone, and what waited is its parent's. */
static void before_fork(void)
{
    pthread_mutex_lock(&push.lock);
}

static void after_fork_in_parent(void)
{
    pthread_mutex_unlock(&push.lock);
}

static void after_fork_in_child(void)
{
    pthread_mutex_init(&push.lock, NULL);
    pthread_cond_init(&push.changed, NULL);
    while (push.first != NULL) {
        flame_push_item_free(pop());
    }
    push.running = push.useless = push.stopping = false;
    push.wait_s = 0;
    push.not_before_ns = push.quiet_until_ns = 0;
    push.lost = 0;
}

static void stop_at_exit(void)
{
    uint64_t ends_ns = flame_now_ns() + FLAME_PUSH_EXIT_MS * NS_PER_MS;
    struct timespec until = timespec_of(ends_ns + JOIN_MS * NS_PER_MS);

    /* Where a signal's handler ends the process it may have interrupted who holds it.
     */
    if (pthread_mutex_clocklock(&push.lock, CLOCK_MONOTONIC, &until) != 0) {
        return;
    }
    bool running = push.running;
    push.running = false;
    push.stopping = true;
    push.ends_ns = ends_ns;
    pthread_cond_signal(&push.changed);
    pthread_mutex_unlock(&push.lock);
    if (running) {
        (void)pthread_clockjoin_np(push.thread, NULL, CLOCK_MONOTONIC, &until);
    }
}

/* Under the lock. False: what waits does so until the next one comes. */
static bool start_thread(void)
{
    pthread_attr_t attributes;
    sigset_t all;
    sigset_t before;

    if (push.running || push.stopping) {
        return true;
    }
    if (!push.known) {
        push.known = pthread_atfork(before_fork, after_fork_in_parent,
                                    after_fork_in_child) == 0 &&
                     atexit(stop_at_exit) == 0;
    }
    if (!push.known || pthread_attr_init(&attributes) != 0) {
        return false;
    }
    sigfillset(&all);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    push.running = pthread_create(&push.thread, &attributes, run, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return push.running;
}

/* NULL: it could not be made. */
static void take(const struct flame_push_target *target, struct flame_push_item *item)
{
    pthread_mutex_lock(&push.lock);
    if (item == NULL || push.useless || push.stopping) {
        lose(item);
    } else {
        append(item);
        if (!start_thread()) {
            say(target->url, "no thread can be started", false);
        }
        pthread_cond_signal(&push.changed);
    }
    pthread_mutex_unlock(&push.lock);
}

void flame_push(const struct flame_push_target *target, struct flame_tree *tree,
                const struct flame_pushed *pushed)
{
    take(target, flame_push_item_new(target, tree, pushed));
}

void flame_push_profile(const struct flame_push_target *target,
                        const struct flame_profile *profile,
                        const struct flame_pushed *pushed)
{
    struct flame_pushed all = *pushed;

    if (target->url == NULL) {
        return;
    }
    all.quality = profile->quality;
    struct flame_tree *tree = flame_tree_from_profile(profile, all.clock);
    take(target, tree == NULL ? NULL : flame_push_item_new(target, tree, &all));
}
