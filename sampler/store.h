/*
 * The memory of one profile: functions, the call tree, their names.
 *
 * Its size is fixed when it is made and no sample ever grows it: what no
 * longer fits is charged to the deepest place that does, and counted.
 *
 * flame_store_new/free/reset: ordinary context. Everything that ends in
 * _sigsafe: any context, no locks, no allocation; one caller at a time.
 */
#ifndef FLAME_SAMPLER_STORE_H
#define FLAME_SAMPLER_STORE_H

#include "sampler/position.h"
#include "sampler/profile.h"

#define FLAME_NODES_MAX 65536u
#define FLAME_CODES_MAX 16384u
#define FLAME_SITES_MAX 8192u
#define FLAME_STRETCHES_MAX 65536u
#define FLAME_NAMES_BYTES (4u << 20)
/* A small store has so much less of each of these. */
#define FLAME_SMALL_SHARE 8u
#define FLAME_NONE UINT32_MAX

/* What tells that a code object seen before is still the same one. */
struct flame_code_key {
    uintptr_t code;
    uintptr_t name;
    uintptr_t file;
    uint64_t name_hash;
    uint32_t first_line;
};

struct flame_store;

/* NULL: no memory. The caller frees with flame_store_free(). */
struct flame_store *flame_store_new(void);
void flame_store_free(struct flame_store *store);
/* Empty again, as new; gives back memory a large profile took. */
void flame_store_reset(struct flame_store *store);
/* An empty one has less room, until it is reset. */
void flame_store_make_small(struct flame_store *store);
/* Bytes that one may use at most. */
uint64_t flame_store_bytes(bool small);

/* The function's index if this very code object was interned, or FLAME_NONE. */
uint32_t flame_store_cached_sigsafe(const struct flame_store *store,
                                    const struct flame_code_key *key);
/*
 * Interns a function by content and remembers its key. Full: the index of the
 * function "[overflow]", and the store has overflowed.
 */
uint32_t flame_store_code_sigsafe(struct flame_store *store,
                                  const struct flame_code_key *key,
                                  struct flame_slice name, struct flame_slice file);
/*
 * Sites: places within a function that a leaf can stand at, each with an index of
 * its own beside the functions'. Its name is empty until flame_store_name().
 */
struct flame_site {
    uint32_t code; /* the function's index; FLAME_NONE: this is no site */
    struct flame_position position;
};

/* True if this instruction was asked for before; *index: FLAME_NONE, it is no site. */
bool flame_store_site_known_sigsafe(const struct flame_store *store, uint32_t code,
                                    uint32_t instruction, uint32_t *index);
/* Remembers an instruction; position NULL: it is no site. FLAME_NONE also if full. */
uint32_t flame_store_site_sigsafe(struct flame_store *store, uint32_t code,
                                  uint32_t instruction,
                                  const struct flame_position *position);
/* The same for a line: the index of its function at that line; 0: it has none. An
 * instruction can be both, a site and in a line: neither is taken for the other. */
bool flame_store_line_known_sigsafe(const struct flame_store *store, uint32_t code,
                                    uint32_t instruction, uint32_t *index);
uint32_t flame_store_line_sigsafe(struct flame_store *store, uint32_t code,
                                  uint32_t instruction, uint32_t line);
/* For ordinary context, once nothing is sampled any more. */
const struct flame_site *flame_store_site_at(const struct flame_store *store,
                                             uint32_t index);
/* Names a site; left without a name if there is no room. */
void flame_store_name(struct flame_store *store, uint32_t index,
                      struct flame_slice name);
/* The node's time is its parent's own from here on. */
void flame_store_give_to_parent(struct flame_store *store, uint32_t node);

/* A function that is none: a mark such as "[cut]". */
uint32_t flame_store_mark_sigsafe(struct flame_store *store, const char *name);

/* The child of `parent` for `code`, made if need be; `parent` itself if full. */
uint32_t flame_store_child_sigsafe(struct flame_store *store, uint32_t parent,
                                   uint32_t code);
/* Adds time to a node: wall time spent in one state, and CPU time. */
void flame_store_charge_sigsafe(struct flame_store *store, uint32_t node,
                                enum flame_state state, uint64_t wall_ns,
                                uint64_t cpu_ns);
/* The time goes on, and passes at that node. */
void flame_store_pass_sigsafe(struct flame_store *store, uint32_t node,
                              uint64_t wall_ns);
/* The order of time is not known any more. */
void flame_store_forget_order(struct flame_store *store);
/* Adds all that `more` says of itself. Ordinary context. */
void flame_store_add(struct flame_store *store, uint32_t node,
                     const struct flame_node *more);
void flame_store_count_sample_sigsafe(struct flame_store *store, uint32_t node);

/* True if anything did not fit since the last call. */
bool flame_store_overflowed_sigsafe(struct flame_store *store);

/*
 * At the end, ordinary context: no place used more CPU time than wall time passed
 * there. What is too much was used elsewhere, mostly on the way into and out of waits,
 * where a thread is never seen to run: all others share it, by the wall time that they
 * have left.
 */
void flame_store_settle_cpu(struct flame_store *store);
/*
 * After that: no place ran for less wall time than it used CPU time. What is missing
 * was taken for waiting: the ticker, on the thread's CPU, sees it displaced by itself.
 */
void flame_store_settle_running(struct flame_store *store);

/*
 * merge.c. What is in another store becomes a root of this one, named `label`; NULL:
 * its roots become roots of this one. Ordinary context; names of sites are settled; the
 * stores may be the same if there is no label. 0; -ENOSPC: what did not fit is charged
 * to a coarser place; -ENOMEM: nothing was added.
 */
int flame_store_merge(struct flame_store *into, const struct flame_store *from,
                      const char *label);

/* Fills in nodes, codes and stretches; the rest is the caller's. */
void flame_store_read(const struct flame_store *store, struct flame_profile *profile);

#endif
