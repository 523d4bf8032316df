/*
 * What a finished profile says: its read interface.
 *
 * The sampler fills it, the renderer reads it; this header is all they share.
 * It knows nothing of Python or HTTP and pulls in libc only.
 */
#ifndef FLAME_SAMPLER_PROFILE_H
#define FLAME_SAMPLER_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A run of bytes somebody else owns. Not NUL-terminated; any byte may occur. */
struct flame_slice {
    const char *data;
    size_t length;
};

/*
 * One function, copied while it was sampled. Names are UTF-8 with lone
 * surrogates encoded like other code points: text from outside, to be
 * escaped by whoever shows it. A synthetic function (a mark such as
 * "[overflow]") has an empty file and line 0.
 */
struct flame_code {
    struct flame_slice name; /* qualified where Python knows it (3.11+) */
    struct flame_slice file;
    uint32_t first_line; /* of the definition, from 1; of a call: its line */
};

/* In place of a code: this node is no place of its own, but its parent. */
#define FLAME_CODE_OF_PARENT UINT32_MAX

/* What a thread does with its wall time. */
enum flame_state {
    FLAME_RUNNING,  /* on a CPU */
    FLAME_GIL_WAIT, /* wants the interpreter, which another thread holds */
    FLAME_BLOCKED,  /* waits for anything else: I/O, a lock, a sleep */
    FLAME_RUNNABLE, /* could run, but the machine had no CPU for it */
    FLAME_STATES
};

/*
 * One place in the call tree: a function called from its parent's place.
 * Node 0 is the root and stands for the request itself; it has no code.
 * A parent's index is always smaller than its children's.
 * All values are self values: of this place as the leaf.
 */
struct flame_node {
    uint32_t parent;
    uint32_t code; /* into codes, or FLAME_CODE_OF_PARENT; of node 0: none */
    uint64_t wall_ns[FLAME_STATES]; /* by state; their sum is the wall time */
    uint64_t cpu_ns;
    uint64_t samples;
};

static inline uint64_t flame_node_wall(const struct flame_node *node)
{
    uint64_t sum = 0;

    for (int state = 0; state < FLAME_STATES; state++) {
        sum += node->wall_ns[state];
    }
    return sum;
}

/*
 * A stretch of the watched thread's time, in the order of time: one sample, or several
 * at the same place. When there are too many, neighbours become one.
 */
struct flame_stretch {
    uint32_t node;
    uint32_t microseconds;
};

/* How the profile came about and how far it can be trusted. */
struct flame_quality {
    uint64_t interval_ns;          /* asked */
    uint64_t duration_ns;          /* wall time watched */
    uint64_t beside_ns;            /* of other threads and greenlets, added up; with
                                      duration_ns the sum of all wall_ns, or alone, of
                                      everybody */
    uint64_t cpu_ns;               /* CPU time meanwhile, of all of them, exact */
    uint64_t children;             /* those other threads and greenlets */
    uint64_t unwatched;            /* of them: too short, or too many */
    uint64_t samples;              /* taken */
    uint64_t missed;               /* due, but not taken; their time went to the next */
    uint64_t rejected;             /* reads that faulted or contradicted themselves */
    uint64_t cut;                  /* taken, but the stack's root or leaf end is lost */
    uint64_t overflow;             /* charged to a coarser place: memory was full */
    uint64_t spacing_mean_ns;      /* achieved, between samples */
    uint64_t spacing_deviation_ns; /* its standard deviation */
    uint64_t sampling_ns;          /* spent in the signal handler and the ticker */
    uint64_t idle_ns;              /* left out of what is shown of the profile */
    bool everybody;                /* no thread in particular: all are beside */
    bool deadline_reached;         /* the request ran on after the profile ended */
    bool gil_wait_known;           /* false: it stands under FLAME_BLOCKED */
    bool runnable_known;           /* false: that does, too */
};

struct flame_names; /* renderer.h */

/* Valid as long as its owner says; pointers lead into the owner's memory. */
struct flame_profile {
    const struct flame_node *nodes;
    uint32_t node_count; /* at least 1: the root */
    const struct flame_code *codes;
    uint32_t code_count;
    const struct flame_stretch *stretches;
    uint32_t stretch_count;
    struct flame_quality quality;
    const struct flame_names *names; /* what may be told of functions; NULL: all */
    bool is_code;                    /* any code's, not a request's */
};

#endif
