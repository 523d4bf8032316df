/*
 * The server's options in one table, from which each door makes its own form: uWSGI's
 * --flameprof-NAME and the Middleware's keyword NAME, with "_" for "-".
 *
 * Ordinary context, before requests run; one thread. Knows neither uWSGI nor Python.
 */
#ifndef FLAME_MIDDLEWARE_OPTIONS_H
#define FLAME_MIDDLEWARE_OPTIONS_H

#include "middleware/request.h"

enum flame_option_kind {
    FLAME_OPTION_SECONDS, /* a uint64_t, in ns; as text with s, ms or without a unit */
    FLAME_OPTION_COUNT,   /* a uint64_t; as text with K, M or G: 1024 each */
    FLAME_OPTION_FLAG,    /* a bool; uWSGI's takes no value */
    FLAME_OPTION_TEXT,    /* a char *, the configuration's own; NULL: not given */
    FLAME_OPTION_LIST,    /* may be repeated, each value taken by `add` */
};

struct flame_option {
    const char *name; /* as uWSGI's, without "flameprof-"; NULL: the table's end */
    enum flame_option_kind kind;
    size_t offset;        /* of a field of struct flame_config, if there is no `add` */
    uint64_t least, most; /* ns, or a count */
    /* 0, -EINVAL: that is not what is accepted, or -ENOMEM. */
    int (*add)(struct flame_config *config, struct flame_slice value);
    const char *accepted; /* "V is not ...": what a value is, in a few words */
    const char *help;     /* for uWSGI's --help */
};

extern const struct flame_option flame_options[];

/* Each of them: 0, -EINVAL: that is not what the option accepts, or -ENOMEM. */
int flame_option_set_text(struct flame_config *config,
                          const struct flame_option *option, struct flame_slice value);
/* ns of _SECONDS, or a _COUNT. */
int flame_option_set_number(struct flame_config *config,
                            const struct flame_option *option, uint64_t value);
void flame_option_set_flag(struct flame_config *config,
                           const struct flame_option *option, bool on);
/* Where its value stands, if it has no `add`: as its kind has it. */
const void *flame_option_value(const struct flame_config *config,
                               const struct flame_option *option);
/* Its value may have a password in it, and is not to be logged. */
bool flame_option_is_secret(const struct flame_option *option);
/* Gives back what _TEXT holds. */
void flame_options_free(struct flame_config *config);

#endif
