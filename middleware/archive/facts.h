/*
 * What is known of a request whose profile is kept, beside the profile itself: what a
 * list of them shows without opening any.
 *
 * It stands in the extra field of the file's gzip header, as a subfield "fp" of JSON,
 * which readers of gzip skip. Text in it comes from outside: whoever shows it escapes
 * it. Any thread.
 */
#ifndef FLAME_MIDDLEWARE_FACTS_H
#define FLAME_MIDDLEWARE_FACTS_H

#include "renderer/renderer.h"

/* Why a profile is kept. */
enum flame_why {
    FLAME_WHY_ASKED, /* somebody wanted it kept */
    FLAME_WHY_SLOW,
    FLAME_WHY_FAILED,
    FLAME_WHY_CUT, /* a picture was asked for, but the profile was cut short */
    FLAME_WHYS
};

/* What cut it short, while the request still ran. */
enum flame_cut {
    FLAME_CUT_NOT,
    FLAME_CUT_MAX_SECONDS,
    FLAME_CUT_HARAKIRI,
    FLAME_CUT_CLIENT_GONE,
    FLAME_CUT_STOPPED, /* the worker was told to stop */
    FLAME_CUTS
};

/* "asked", "slow", ...; "", "max-seconds", "harakiri", "client gone", "worker stopped".
 */
const char *flame_why_name(enum flame_why why);
const char *flame_cut_name(enum flame_cut cut);

struct flame_facts {
    uint64_t time_ms; /* when it began, of the epoch */
    enum flame_why why;
    enum flame_cut cut;
    char method[24];
    char path[512];  /* with the query's keys, without their values */
    char status[64]; /* "404 Not Found"; empty: none was given */
    char raised[64]; /* the exception's type; empty: none */
    char server[96];
    struct flame_quality quality; /* duration, CPU time, samples, ... */
};

/* Cuts at the array's end, at no code point's middle; always with a NUL. */
#define FLAME_FACT(array, text) flame_fact_set((array), sizeof(array), (text))
void flame_fact_set(char *out, size_t size, struct flame_slice text);

/*
 * "/shop/?page=&q=" of "/shop/?page=2&q=secret": what stands behind a "=" is not kept,
 * nor is a part without one, which may be a value too.
 */
void flame_facts_path(struct flame_facts *facts, struct flame_slice path);

/* The time is `duration_ns` ago. */
void flame_facts_begun(struct flame_facts *facts, uint64_t duration_ns);

/* Of all that is written into a header, and of a file's beginning that holds it. */
#define FLAME_FACTS_MAX ((size_t)12 << 10)
#define FLAME_FACTS_HEAD (FLAME_FACTS_MAX + 64)

/* The extra field's bytes. 0, or the writer's error. */
int flame_facts_write(const struct flame_facts *facts, struct flame_writer *extra);

/* From the first FLAME_FACTS_HEAD bytes of a file, or all it has. 0, or -EINVAL: it has
 * none, or is no file of ours; -ENOMEM. */
int flame_facts_read(struct flame_slice head, struct flame_facts *facts);

#endif
