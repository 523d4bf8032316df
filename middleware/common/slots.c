/* Places for the profiles that run, and how often one may begin. */
#include "middleware/common/block.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "middleware/request.h"

#define SECOND_NS UINT64_C(1000000000)
#define MINUTE_NS (60 * SECOND_NS)
/* How long after its longest time a profile that was not ended counts. */
#define GRACE_NS MINUTE_NS
/* When a place may be free: nobody can know. */
#define RETRY_SECONDS 5u

/* ---- processes --------------------------------------------------------------- */

/* What follows the name in /proc/PID/stat, which may hold anything. False: no /proc,
 * or no such process. */
static bool read_stat(int32_t process, char out[512])
{
    char path[32];
    char text[1024];

    snprintf(path, sizeof path, "/proc/%d/stat", process);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (file >= 0) {
        close(file);
    }
    if (got <= 0) {
        return false;
    }
    text[got] = '\0';
    const char *after = strrchr(text, ')');
    if (after == NULL || after[1] != ' ') {
        return false;
    }
    snprintf(out, 512, "%s", after + 2);
    return true;
}

/* Its start time, the 20th field from there; 0: not to be had. */
static uint64_t started(const char *stat)
{
    for (int field = 1; field < 20; field++) {
        stat = strchr(stat, ' ');
        if (stat == NULL) {
            return 0;
        }
        stat++;
    }
    return strtoull(stat, NULL, 10);
}

/* Its process has ended; a number may have come to another one since. */
static bool is_gone(const struct flame_slot *slot, int32_t process)
{
    char stat[512];

    if (kill(process, 0) != 0 && errno == ESRCH) {
        return true;
    }
    if (!read_stat(process, stat)) {
        return false;
    }
    return *stat == 'Z' || *stat == 'X' ||
           (slot->started != 0 && started(stat) != slot->started);
}

/* ---- places ------------------------------------------------------------------ */

struct count {
    unsigned all;
    unsigned own;
    uint32_t free; /* FLAME_COMMON_SLOTS: none */
};

static void give_back(struct flame_slot *slot)
{
    atomic_store_explicit(&slot->process, 0, memory_order_release);
}

/* Under the mutex. `thorough`: asks for each process whether it is there. */
static struct count count_slots(struct flame_block *block, uint64_t now, bool thorough)
{
    struct count count = {.free = FLAME_COMMON_SLOTS};
    int32_t self = getpid();

    for (uint32_t i = 0; i < FLAME_COMMON_SLOTS; i++) {
        struct flame_slot *slot = &block->slots[i];
        int32_t process = atomic_load_explicit(&slot->process, memory_order_relaxed);
        bool foreign = process != self && flame_block_is_copied(block);
        if (process != 0 &&
            (foreign || slot->over_ns < now || (thorough && is_gone(slot, process)))) {
            give_back(slot);
            process = 0;
        }
        count.all += process != 0;
        count.own += process == self;
        if (process == 0 && count.free == FLAME_COMMON_SLOTS) {
            count.free = i;
        }
    }
    return count;
}

static bool is_full(const struct count *count, const struct flame_entry_limits *limits)
{
    return count->all >= limits->at_once || count->own >= limits->worker_at_once ||
           count->free == FLAME_COMMON_SLOTS;
}

/*
 * `begun_ns` is when all profiles begun so far would have been begun, had they come
 * evenly, as many a minute as may; it runs at most a minute ahead. That is a bucket of
 * tokens in one word.
 */
static bool is_too_often(struct flame_block *block, uint32_t per_minute, uint64_t now,
                         unsigned *retry_s)
{
    uint64_t step = MINUTE_NS / per_minute;
    uint64_t begun = atomic_load_explicit(&block->begun_ns, memory_order_relaxed);

    begun = (begun > now ? begun : now) + step;
    if (begun > now + MINUTE_NS) {
        uint64_t wait = begun - now - MINUTE_NS;
        *retry_s = (unsigned)((wait + SECOND_NS - 1) / SECOND_NS);
        return true;
    }
    atomic_store_explicit(&block->begun_ns, begun, memory_order_relaxed);
    return false;
}

static void take(struct flame_block *block, uint32_t index, uint64_t over_ns,
                 struct flame_ticket *ticket)
{
    struct flame_slot *slot = &block->slots[index];
    int32_t self = getpid();
    char stat[512];

    slot->serial = ++block->serial;
    slot->started = read_stat(self, stat) ? started(stat) : 0;
    slot->over_ns = over_ns;
    *ticket =
        (struct flame_ticket){.serial = slot->serial, .process = self, .slot = index};
    atomic_store_explicit(&slot->process, self, memory_order_release);
}

enum flame_entry flame_common_enter(struct flame_common *common,
                                    const struct flame_entry_limits *limits,
                                    uint64_t longest_ns, struct flame_ticket *ticket,
                                    unsigned *retry_s)
{
    struct flame_block *block = common->block;
    uint64_t now = flame_now_ns();
    enum flame_entry entry = FLAME_ENTERED;

    *ticket = (struct flame_ticket){0};
    *retry_s = RETRY_SECONDS;
    if (!flame_block_lock(block)) {
        return FLAME_ENTRY_STUCK;
    }
    struct count count = count_slots(block, now, false);
    if (is_full(&count, limits)) {
        count = count_slots(block, now, true);
    }
    if (count.own >= limits->worker_at_once) {
        entry = FLAME_FULL_HERE;
    } else if (is_full(&count, limits)) {
        entry = FLAME_FULL;
    } else if (is_too_often(block, limits->per_minute, now, retry_s)) {
        entry = FLAME_TOO_OFTEN;
    } else {
        take(block, count.free, now + longest_ns + GRACE_NS, ticket);
    }
    flame_block_unlock(block);
    return entry;
}

/* One that was over may be another profile's by now. Without the mutex it stays taken
 * until it is over. */
void flame_common_leave(struct flame_common *common, struct flame_ticket *ticket)
{
    if (ticket->process != 0 && ticket->process == getpid()) {
        struct flame_slot *slot = &common->block->slots[ticket->slot];
        if (flame_block_lock(common->block)) {
            if (slot->serial == ticket->serial) {
                give_back(slot);
            }
            flame_block_unlock(common->block);
        }
    }
    *ticket = (struct flame_ticket){0};
}

unsigned flame_common_running(struct flame_common *common)
{
    if (!flame_block_lock(common->block)) {
        return 0;
    }
    struct count count = count_slots(common->block, flame_now_ns(), true);
    flame_block_unlock(common->block);
    return count.all;
}
