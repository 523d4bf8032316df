/* Single-use tokens that are spent. */
#include "middleware/common/block.h"

#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* Who cleans up temporary folders may have taken the file away: those that start now
 * would share another one, with another memory. */
static bool is_shared(const struct flame_common *common)
{
    struct stat found;

    switch (common->sharing) {
    case FLAME_OF_FORK:
        return true;
    case FLAME_OF_FOLDER:
        return lstat(common->path, &found) == 0 && found.st_dev == common->device &&
               found.st_ino == common->inode;
    case FLAME_OF_PROCESS:
        break;
    }
    return false;
}

bool flame_common_can_spend(const struct flame_common *common)
{
    return is_shared(common);
}

/* A free place for it; NULL: it is spent, or there is none. */
static struct flame_spent *find_place(struct flame_block *block,
                                      const unsigned char digest[16], int64_t now)
{
    struct flame_spent *place = NULL;

    for (size_t i = 0; i < FLAME_COMMON_TOKENS; i++) {
        struct flame_spent *spent = &block->spent[i];
        if (atomic_load_explicit(&spent->expires, memory_order_relaxed) < now) {
            place = place == NULL ? spent : place;
        } else if (memcmp(spent->digest, digest, sizeof spent->digest) == 0) {
            return NULL;
        }
    }
    return place;
}

bool flame_common_spend(struct flame_common *common, const unsigned char digest[16],
                        int64_t expires)
{
    struct flame_block *block = common->block;
    int64_t now = (int64_t)time(NULL);

    if (expires < now || !is_shared(common) || !flame_block_lock(block)) {
        return false;
    }
    struct flame_spent *place = find_place(block, digest, now);
    if (place != NULL) {
        memcpy(place->digest, digest, sizeof place->digest);
        atomic_store_explicit(&place->expires, expires, memory_order_release);
    }
    flame_block_unlock(block);
    return place != NULL;
}

void flame_common_unspend(struct flame_common *common, const unsigned char digest[16])
{
    struct flame_block *block = common->block;

    if (!flame_block_lock(block)) {
        return;
    }
    for (size_t i = 0; i < FLAME_COMMON_TOKENS; i++) {
        struct flame_spent *spent = &block->spent[i];
        if (memcmp(spent->digest, digest, sizeof spent->digest) == 0) {
            atomic_store_explicit(&spent->expires, 0, memory_order_release);
        }
    }
    flame_block_unlock(block);
}

bool flame_common_is_spent(const struct flame_common *common,
                           const unsigned char digest[16])
{
    const struct flame_block *block = common->block;
    int64_t now = (int64_t)time(NULL);
    bool found = false;

    for (size_t i = 0; i < FLAME_COMMON_TOKENS; i++) {
        const struct flame_spent *spent = &block->spent[i];
        bool valid = atomic_load_explicit(&spent->expires, memory_order_acquire) >= now;
        found |= valid & (memcmp(spent->digest, digest, sizeof spent->digest) == 0);
    }
    return found;
}
