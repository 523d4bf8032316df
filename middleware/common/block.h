/*
 * The shared block as it lies in memory. Private to common.c, slots.c and spent.c.
 *
 * Nothing in it is a pointer. Each change of its layout is a new FLAME_BLOCK_VERSION:
 * processes of another version find another file.
 */
#ifndef FLAME_MIDDLEWARE_BLOCK_H
#define FLAME_MIDDLEWARE_BLOCK_H

#include "middleware/common/common.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#define FLAME_BLOCK_MAGIC UINT64_C(0x666c616d65636f6d) /* "flamecom" */
#define FLAME_BLOCK_VERSION 1u

/* A profile that runs. Written under the mutex, `process` last; taken while that is
 * not 0. */
struct flame_slot {
    uint64_t serial;
    uint64_t started; /* the process, in the kernel's ticks since boot; 0: unknown */
    uint64_t over_ns; /* when it is free whatever its process does; flame_now_ns() */
    _Atomic int32_t process;
};

/* Written under the mutex, `expires` last: free once that has passed. */
struct flame_spent {
    unsigned char digest[16];
    _Atomic int64_t expires;
};

struct flame_block {
    uint64_t magic;
    uint32_t version;
    uint32_t size;
    int64_t since; /* CLOCK_REALTIME, seconds */
    pthread_mutex_t mutex;
    uint64_t serial;           /* of the last slot taken; under the mutex */
    _Atomic uint64_t begun_ns; /* where the begun profiles reach to; slots.c */
    _Atomic int64_t counters[FLAME_COUNTERS];
    struct flame_slot slots[FLAME_COMMON_SLOTS];
    struct flame_spent spent[FLAME_COMMON_TOKENS];
};

struct flame_common {
    struct flame_block *block;
    enum flame_sharing sharing;
    /* Of a file: its path, and which it is. */
    char path[600];
    dev_t device;
    ino_t inode;
};

/* The mutex, whose last holder may have been killed; false: it could not be had. */
bool flame_block_lock(struct flame_block *block);
void flame_block_unlock(struct flame_block *block);
/* True if it is ordinary memory: a forked child has a copy, in which its parent's
 * profiles never end. */
bool flame_block_is_copied(const struct flame_block *block);

#endif
