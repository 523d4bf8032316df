#include "sampler/store.h"

#include <string.h>
#include <sys/mman.h>

#define NODE_SLOTS (FLAME_NODES_MAX * 2u)
#define CODE_SLOTS (FLAME_CODES_MAX * 2u)
#define SITE_SLOTS (FLAME_SITES_MAX * 2u)
#define CACHE_SLOTS 8192u
#define CACHE_PROBES 4u

struct cached {
    struct flame_code_key key;
    uint32_t generation; /* of the store when it was written; else empty */
    uint32_t code;
};

/* An instruction that was asked for; free if it is of another generation. */
struct asked {
    uint32_t generation;
    uint32_t code;
    uint32_t instruction;
    uint32_t index; /* FLAME_NONE: it is no site */
};

/* One anonymous mapping; pages come when touched and stay for the next profile. */
struct flame_store {
    uint32_t node_count;
    uint32_t code_count;
    uint32_t names_used;
    uint32_t asked_count;
    uint32_t generation;
    uint32_t stretch_count;
    uint32_t passed_ns; /* not yet in any stretch: less than a microsecond */
    /* How much of the room below is used: all, or of a small one a share. */
    uint32_t nodes_room;
    uint32_t codes_room;
    uint32_t stretches_room;
    uint32_t names_room;
    bool overflowed;
    uint32_t overflow_code;          /* FLAME_NONE until needed */
    uint32_t node_slots[NODE_SLOTS]; /* node index, 0: empty (the root is not in) */
    uint32_t code_slots[CODE_SLOTS]; /* code index + 1, 0: empty */
    struct flame_node nodes[FLAME_NODES_MAX];
    struct flame_code codes[FLAME_CODES_MAX];
    uint32_t code_hashes[FLAME_CODES_MAX];
    uint32_t slot_of_node[FLAME_NODES_MAX];   /* where it stands in node_slots */
    uint32_t slot_of_code[FLAME_CODES_MAX];   /* FLAME_NONE: it is a site, in none */
    struct flame_site sites[FLAME_CODES_MAX]; /* by code index */
    struct asked asked[SITE_SLOTS];
    struct cached cache[CACHE_SLOTS];
    struct flame_stretch stretches[FLAME_STRETCHES_MAX];
    char names[FLAME_NAMES_BYTES];
};

/* Above this much of names or nodes, a reset gives the pages back. */
#define KEEP_NODES 4096u
#define KEEP_CODES 2048u

struct flame_store *flame_store_new(void)
{
    void *memory = mmap(NULL, sizeof(struct flame_store), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED) {
        return NULL;
    }
    struct flame_store *store = memory;
    flame_store_reset(store);
    return store;
}

void flame_store_free(struct flame_store *store)
{
    if (store != NULL) {
        munmap(store, sizeof *store);
    }
}

static void give_room(struct flame_store *store, uint32_t share)
{
    store->nodes_room = FLAME_NODES_MAX / share;
    store->codes_room = FLAME_CODES_MAX / share;
    store->stretches_room = FLAME_STRETCHES_MAX / share;
    store->names_room = FLAME_NAMES_BYTES / share;
}

void flame_store_make_small(struct flame_store *store)
{
    give_room(store, FLAME_SMALL_SHARE);
}

uint64_t flame_store_bytes(bool small)
{
    const struct flame_store *store = NULL;
    uint64_t room = sizeof store->nodes + sizeof store->codes +
                    sizeof store->code_hashes + sizeof store->sites +
                    sizeof store->stretches + sizeof store->names;

    return sizeof *store - (small ? room - room / FLAME_SMALL_SHARE : 0);
}

static uint32_t mix(uint64_t value)
{
    value ^= value >> 33;
    value *= UINT64_C(0xff51afd7ed558ccd);
    value ^= value >> 33;
    value *= UINT64_C(0xc4ceb9fe1a85ec53);
    return (uint32_t)(value >> 32);
}

static uint32_t node_hash(uint32_t parent, uint32_t code)
{
    return mix(((uint64_t)parent << 32) | code);
}

/* One by one: the tables are a hundred times as large as what a short profile has. */
static void empty_slots(struct flame_store *store)
{
    for (uint32_t i = 1; i < store->node_count; i++) {
        store->node_slots[store->slot_of_node[i]] = 0;
    }
    for (uint32_t i = 0; i < store->code_count; i++) {
        if (store->slot_of_code[i] != FLAME_NONE) {
            store->code_slots[store->slot_of_code[i]] = 0;
        }
    }
}

void flame_store_reset(struct flame_store *store)
{
    uint32_t generation = store->generation + 1;

    if (store->node_count > KEEP_NODES || store->code_count > KEEP_CODES ||
        generation == 0) {
        madvise(store, sizeof *store, MADV_DONTNEED);
        generation = 1;
    } else {
        empty_slots(store);
    }
    store->generation = generation;
    give_room(store, 1);
    store->code_count = 0;
    store->names_used = 0;
    store->asked_count = 0;
    store->stretch_count = 0;
    store->passed_ns = 0;
    store->overflowed = false;
    store->overflow_code = FLAME_NONE;
    store->nodes[0] = (struct flame_node){0};
    store->node_count = 1;
}

static uint32_t cache_start(const struct flame_code_key *key)
{
    return mix(key->code) & (CACHE_SLOTS - 1);
}

/* All of the key: a freed code's address may belong to another one by now. */
static bool key_equal(const struct flame_code_key *a, const struct flame_code_key *b)
{
    return a->code == b->code && a->name == b->name && a->file == b->file &&
           a->name_hash == b->name_hash && a->first_line == b->first_line;
}

uint32_t flame_store_cached_sigsafe(const struct flame_store *store,
                                    const struct flame_code_key *key)
{
    uint32_t start = cache_start(key);

    for (uint32_t probe = 0; probe < CACHE_PROBES; probe++) {
        const struct cached *entry = &store->cache[(start + probe) & (CACHE_SLOTS - 1)];
        if (entry->generation == store->generation && key_equal(&entry->key, key)) {
            return entry->code;
        }
    }
    return FLAME_NONE;
}

static void cache_put(struct flame_store *store, const struct flame_code_key *key,
                      uint32_t code)
{
    uint32_t start = cache_start(key);
    struct cached *entry = &store->cache[start];

    for (uint32_t probe = 0; probe < CACHE_PROBES; probe++) {
        struct cached *candidate = &store->cache[(start + probe) & (CACHE_SLOTS - 1)];
        if (candidate->generation != store->generation ||
            candidate->key.code == key->code) {
            entry = candidate;
            break;
        }
    }
    entry->key = *key;
    entry->code = code;
    entry->generation = store->generation;
}

static uint32_t content_hash(struct flame_slice name, struct flame_slice file,
                             uint32_t first_line)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < name.length; i++) {
        hash = (hash ^ (unsigned char)name.data[i]) * UINT64_C(1099511628211);
    }
    hash = (hash ^ 0xff) * UINT64_C(1099511628211);
    for (size_t i = 0; i < file.length; i++) {
        hash = (hash ^ (unsigned char)file.data[i]) * UINT64_C(1099511628211);
    }
    return mix(hash ^ first_line);
}

static bool slice_equal(struct flame_slice a, struct flame_slice b)
{
    return a.length == b.length && memcmp(a.data, b.data, a.length) == 0;
}

static struct flame_slice names_put(struct flame_store *store, struct flame_slice text)
{
    char *place = store->names + store->names_used;

    memcpy(place, text.data, text.length);
    store->names_used += (uint32_t)text.length;
    return (struct flame_slice){place, text.length};
}

/* Finds or adds by content; FLAME_NONE if full but for the `spare` last codes. */
static uint32_t intern(struct flame_store *store, struct flame_slice name,
                       struct flame_slice file, uint32_t first_line, uint32_t spare)
{
    uint32_t hash = content_hash(name, file, first_line);
    uint32_t slot = hash & (CODE_SLOTS - 1);

    for (; store->code_slots[slot] != 0; slot = (slot + 1) & (CODE_SLOTS - 1)) {
        uint32_t index = store->code_slots[slot] - 1;
        const struct flame_code *code = &store->codes[index];
        if (store->code_hashes[index] == hash && code->first_line == first_line &&
            slice_equal(code->name, name) && slice_equal(code->file, file)) {
            return index;
        }
    }
    if (store->code_count + spare >= store->codes_room ||
        name.length + file.length + spare * 64u >
            store->names_room - store->names_used) {
        return FLAME_NONE;
    }
    uint32_t index = store->code_count++;
    store->codes[index].name = names_put(store, name);
    store->codes[index].file = names_put(store, file);
    store->codes[index].first_line = first_line;
    store->code_hashes[index] = hash;
    store->sites[index].code = FLAME_NONE;
    store->code_slots[slot] = index + 1;
    store->slot_of_code[index] = slot;
    return index;
}

/* Codes kept free for marks, so that "full" can always be said. */
#define SPARE_CODES 16u

uint32_t flame_store_mark_sigsafe(struct flame_store *store, const char *name)
{
    struct flame_slice text = {name, strlen(name)};

    return intern(store, text, (struct flame_slice){"", 0}, 0, 0);
}

uint32_t flame_store_code_sigsafe(struct flame_store *store,
                                  const struct flame_code_key *key,
                                  struct flame_slice name, struct flame_slice file)
{
    uint32_t code = intern(store, name, file, key->first_line, SPARE_CODES);

    if (code != FLAME_NONE) {
        cache_put(store, key, code);
        return code;
    }
    store->overflowed = true;
    if (store->overflow_code == FLAME_NONE) {
        store->overflow_code = flame_store_mark_sigsafe(store, "[overflow]");
    }
    return store->overflow_code;
}

/* The slot of an instruction, or the free one where it belongs. */
static uint32_t asked_slot(const struct flame_store *store, uint32_t code,
                           uint32_t instruction)
{
    uint32_t slot = node_hash(code, instruction) & (SITE_SLOTS - 1);

    while (store->asked[slot].generation == store->generation &&
           (store->asked[slot].code != code ||
            store->asked[slot].instruction != instruction)) {
        slot = (slot + 1) & (SITE_SLOTS - 1);
    }
    return slot;
}

bool flame_store_site_known_sigsafe(const struct flame_store *store, uint32_t code,
                                    uint32_t instruction, uint32_t *index)
{
    const struct asked *asked = &store->asked[asked_slot(store, code, instruction)];

    bool known = asked->generation == store->generation;

    *index = known ? asked->index : FLAME_NONE;
    return known;
}

static void remember_asked(struct flame_store *store, uint32_t code,
                           uint32_t instruction, uint32_t index)
{
    store->asked_count++;
    store->asked[asked_slot(store, code, instruction)] =
        (struct asked){store->generation, code, instruction, index};
}

uint32_t flame_store_site_sigsafe(struct flame_store *store, uint32_t code,
                                  uint32_t instruction,
                                  const struct flame_position *position)
{
    uint32_t index = FLAME_NONE;

    if (store->asked_count == FLAME_SITES_MAX) {
        return FLAME_NONE;
    }
    if (position != NULL && store->code_count + SPARE_CODES < store->codes_room) {
        index = store->code_count++;
        store->codes[index] = (struct flame_code){.name = {"", 0},
                                                  .file = store->codes[code].file,
                                                  .first_line = position->line};
        store->sites[index] = (struct flame_site){code, *position};
        store->slot_of_code[index] = FLAME_NONE;
    }
    remember_asked(store, code, instruction, index);
    return index;
}

/* In the table of what was asked, apart from the sites of the same function. */
#define OF_LINE 0x80000000u

bool flame_store_line_known_sigsafe(const struct flame_store *store, uint32_t code,
                                    uint32_t instruction, uint32_t *index)
{
    return flame_store_site_known_sigsafe(store, code | OF_LINE, instruction, index);
}

uint32_t flame_store_line_sigsafe(struct flame_store *store, uint32_t code,
                                  uint32_t instruction, uint32_t line)
{
    const struct flame_code *function = &store->codes[code];
    uint32_t index = FLAME_NONE;

    if (store->asked_count < FLAME_SITES_MAX && line != 0) {
        index = intern(store, function->name, function->file, line, SPARE_CODES);
    }
    if (index == FLAME_NONE && line != 0) {
        store->overflowed = true;
    } else if (store->asked_count < FLAME_SITES_MAX) {
        remember_asked(store, code | OF_LINE, instruction, index);
    }
    return index;
}

const struct flame_site *flame_store_site_at(const struct flame_store *store,
                                             uint32_t index)
{
    return &store->sites[index];
}

void flame_store_name(struct flame_store *store, uint32_t index,
                      struct flame_slice name)
{
    if (name.length <= store->names_room - store->names_used) {
        store->codes[index].name = names_put(store, name);
    }
}

void flame_store_give_to_parent(struct flame_store *store, uint32_t node)
{
    store->nodes[node].code = FLAME_CODE_OF_PARENT;
}

uint32_t flame_store_child_sigsafe(struct flame_store *store, uint32_t parent,
                                   uint32_t code)
{
    uint32_t slot = node_hash(parent, code) & (NODE_SLOTS - 1);

    for (; store->node_slots[slot] != 0; slot = (slot + 1) & (NODE_SLOTS - 1)) {
        uint32_t index = store->node_slots[slot];
        if (store->nodes[index].parent == parent && store->nodes[index].code == code) {
            return index;
        }
    }
    if (store->node_count == store->nodes_room) {
        store->overflowed = true;
        return parent;
    }
    uint32_t index = store->node_count++;
    store->nodes[index] = (struct flame_node){.parent = parent, .code = code};
    store->node_slots[slot] = index;
    store->slot_of_node[index] = slot;
    return index;
}

void flame_store_charge_sigsafe(struct flame_store *store, uint32_t node,
                                enum flame_state state, uint64_t wall_ns,
                                uint64_t cpu_ns)
{
    store->nodes[node].wall_ns[state] += wall_ns;
    store->nodes[node].cpu_ns += cpu_ns;
}

/* Two by two; the longer one says where. */
static void halve_stretches(struct flame_store *store)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i + 1 < store->stretch_count; i += 2) {
        struct flame_stretch both = store->stretches[i];
        const struct flame_stretch *next = &store->stretches[i + 1];
        if (next->microseconds > both.microseconds) {
            both.node = next->node;
        }
        both.microseconds = both.microseconds > UINT32_MAX - next->microseconds
                                ? UINT32_MAX
                                : both.microseconds + next->microseconds;
        store->stretches[kept++] = both;
    }
    store->stretch_count = kept;
}

void flame_store_pass_sigsafe(struct flame_store *store, uint32_t node,
                              uint64_t wall_ns)
{
    uint64_t passed = store->passed_ns + wall_ns;
    uint64_t us = passed / 1000;
    uint32_t count = store->stretch_count;
    struct flame_stretch *last = count == 0 ? NULL : &store->stretches[count - 1];

    store->passed_ns = (uint32_t)(passed % 1000);
    if (us == 0) {
        return;
    }
    us = us < UINT32_MAX ? us : UINT32_MAX;
    if (last != NULL && last->node == node && last->microseconds <= UINT32_MAX - us) {
        last->microseconds += (uint32_t)us;
        return;
    }
    if (store->stretch_count == store->stretches_room) {
        halve_stretches(store);
    }
    store->stretches[store->stretch_count++] =
        (struct flame_stretch){node, (uint32_t)us};
}

void flame_store_forget_order(struct flame_store *store)
{
    store->stretch_count = 0;
    store->passed_ns = 0;
}

void flame_store_add(struct flame_store *store, uint32_t node,
                     const struct flame_node *more)
{
    struct flame_node *sum = &store->nodes[node];

    for (int state = 0; state < FLAME_STATES; state++) {
        sum->wall_ns[state] += more->wall_ns[state];
    }
    sum->cpu_ns += more->cpu_ns;
    sum->samples += more->samples;
}

void flame_store_count_sample_sigsafe(struct flame_store *store, uint32_t node)
{
    store->nodes[node].samples++;
}

bool flame_store_overflowed_sigsafe(struct flame_store *store)
{
    bool overflowed = store->overflowed;

    store->overflowed = false;
    return overflowed;
}

/* Wall time at a node that no CPU time is known for; `over`: the other way round. */
static uint64_t room_at(const struct flame_node *node, uint64_t *over)
{
    uint64_t wall = flame_node_wall(node);

    *over = node->cpu_ns > wall ? node->cpu_ns - wall : 0;
    return node->cpu_ns < wall ? wall - node->cpu_ns : 0;
}

void flame_store_settle_cpu(struct flame_store *store)
{
    uint64_t excess = 0;
    uint64_t room = 0;
    uint64_t passed = 0;
    uint64_t given = 0;
    uint64_t over;

    for (uint32_t i = 0; i < store->node_count; i++) {
        room += room_at(&store->nodes[i], &over);
        excess += over;
    }
    if (excess > room) {
        return;
    }
    for (uint32_t i = 0; i < store->node_count && excess > 0; i++) {
        passed += room_at(&store->nodes[i], &over);
        /* A double's 53 bits are enough for shares; the last one has the rest. */
        uint64_t due = passed == room
                           ? excess
                           : (uint64_t)((double)excess * (double)passed / (double)room);
        store->nodes[i].cpu_ns += due - given;
        store->nodes[i].cpu_ns -= over;
        given = due;
    }
}

static void take_for_running(uint64_t *wall, enum flame_state from, uint64_t missing)
{
    uint64_t moved = missing < wall[from] ? missing : wall[from];

    wall[from] -= moved;
    wall[FLAME_RUNNING] += moved;
}

void flame_store_settle_running(struct flame_store *store)
{
    for (uint32_t i = 0; i < store->node_count; i++) {
        const struct flame_node *node = &store->nodes[i];
        static const enum flame_state others[] = {FLAME_RUNNABLE, FLAME_BLOCKED};
        for (size_t at = 0; at < 2; at++) {
            uint64_t ran = node->wall_ns[FLAME_RUNNING];
            if (node->cpu_ns > ran) {
                take_for_running(store->nodes[i].wall_ns, others[at],
                                 node->cpu_ns - ran);
            }
        }
    }
}

void flame_store_read(const struct flame_store *store, struct flame_profile *profile)
{
    profile->nodes = store->nodes;
    profile->node_count = store->node_count;
    profile->codes = store->codes;
    profile->code_count = store->code_count;
    profile->stretches = store->stretches;
    profile->stretch_count = store->stretch_count;
}
