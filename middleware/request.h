/*
 * Everything between a request and its profile that both doors share:
 * was a profile asked for, may this caller ask, with which parameters,
 * and what the answer looks like. Knows neither uWSGI nor WSGI.
 */
#ifndef FLAME_MIDDLEWARE_REQUEST_H
#define FLAME_MIDDLEWARE_REQUEST_H

#include <time.h>

#include "middleware/access/networks.h"
#include "middleware/access/token.h"
#include "middleware/names.h"
#include "middleware/push/push.h"
#include "sampler/sampler.h"

/* ---- configuration: one per door, read-only once requests run ---------------- */

struct flame_shelf;

/* What each door accepts, and how it says so. */
#define FLAME_INTERVAL_MOST_NS UINT64_C(1000000000)
#define FLAME_INTERVAL_ACCEPTED "seconds from 0.00005 to 1"
/* Of everybody, which may be watched for days. */
#define FLAME_INTERVAL_ACCEPTED_OF_ALL "seconds from 0.00005 to 10"
#define FLAME_MAX_NS_LEAST UINT64_C(1000000)
#define FLAME_MAX_NS_MOST UINT64_C(86400000000000)
#define FLAME_MAX_NS_ACCEPTED "seconds from 0.001 to 86400"

struct flame_config {
    uint64_t interval_ns;                  /* default of interval=; 1 ms */
    uint64_t max_ns;                       /* longest profile; 60 s */
    struct flame_networks allow;           /* none: loopback only, the strict rules */
    struct flame_networks trusted_proxies; /* whose forwarding headers count */
    struct flame_secrets secrets;          /* that sign tokens; none: no token counts */
    char *off_file; /* while it is there nothing is profiled; owned; NULL: none */
    /* NULL, or what decides in place of those who may; owned by the door. Not asked
     * about what another site's page asked for. */
    bool (*authorize)(void *authority, void *door_request);
    void *authority;
    const struct flame_shelf *shelf; /* of the panel's profiles; NULL: no panel */
    struct flame_names names;        /* what pictures tell of functions and files; its
                                        roots are read when the first profile is begun */
    struct flame_push_target push;   /* where profiles are sent to as well */
    /* archived.h */
    const struct flame_shelf *archive; /* of --flameprof-dir; NULL: none */
    char *dir;                         /* what it was made from */
    uint64_t dir_profiles;             /* at most */
    uint64_t dir_bytes;                /* at most, of all of them */
    char *url;                         /* where it is shown: "/_flameprof/" */
    size_t url_length;
    bool unsafe_methods; /* POST and others are profiled, too */
    /* limits.h */
    uint64_t at_once;        /* profiles, in all workers */
    uint64_t worker_at_once; /* in one */
    uint64_t per_minute;     /* begun, in all */
    uint64_t least_interval_ns;
    uint64_t max_profile_bytes;
    uint64_t max_picture_bytes;
    uint64_t slower_than_ns;   /* such requests are kept unasked; 0: none is */
    uint64_t slow_interval_ns; /* between samples, until one is slow; 20 ms */
    uint64_t slow_per_minute;  /* kept at most */
    bool on_error;             /* so are those that failed */
};

void flame_config_init(struct flame_config *config);
/* Adds "10.0.0.0/8", "::1" or "fd00::/8". 0, -EINVAL or -ENOMEM. */
int flame_config_allow(struct flame_config *config, struct flame_slice cidr);
int flame_config_trust(struct flame_config *config, struct flame_slice cidr);
/* A file of middleware/access/token.h's; an absolute path. The same errors. */
int flame_config_secret(struct flame_config *config, struct flame_slice file);
int flame_config_off_file(struct flame_config *config, struct flame_slice file);
/* Each of them: 0, -EINVAL or -ENOMEM. Adds a pattern of what is not told. */
int flame_config_redact(struct flame_config *config, struct flame_slice pattern);
/* push.h */
int flame_config_push(struct flame_config *config, struct flame_slice url);
int flame_config_push_service(struct flame_config *config, struct flame_slice name);
int flame_config_push_credentials(struct flame_config *config, struct flame_slice path);
void flame_config_free(struct flame_config *config);

/* Seconds as decimal text ("0.0005", "1e-3"; no nan, no hex) to ns. */
int flame_parse_seconds(struct flame_slice text, uint64_t *ns);

/* Now, on the clock a profile's longest time is measured by. */
uint64_t flame_now_ns(void);

/* ---- what was asked ---------------------------------------------------------- */

/*
 * True if this query string could ask for a profile: cheap, exact enough for
 * the path of every request. False: leave the request alone.
 */
bool flame_query_mentions_us(struct flame_slice query);

/*
 * How a door looks up a CGI variable ("REMOTE_ADDR", "HTTP_HOST", ...).
 * data == NULL: absent. The slice stays valid while the request does.
 */
typedef struct flame_slice flame_lookup(void *door_request, const char *name);

/*
 * The variable by which one door tells another behind it in the same process
 * that the request has its session: the other leaves it alone.
 */
#define FLAME_TAKEN "FLAMEPROF_TAKEN"

/*
 * True if this caller may have a profile without a token: of the rules in
 * docs/security.md those that do not depend on the method, nor on what is asked. For
 * what is shown on each page; who asks is judged by flame_access_check().
 */
bool flame_allowed(const struct flame_config *config, flame_lookup *lookup,
                   void *door_request);

/* The same, or by a token; a refusal is counted and logged. What *access (access.h)
 * says is to be spent is the caller's to spend, with what the URL asks for known to be
 * sound. */
struct flame_access;
bool flame_request_may(const struct flame_config *config, flame_lookup *lookup,
                       void *door_request, void (*log)(const char *line),
                       struct flame_access *access);
/* Of a token that was good once, and is spent for a request. All zero: of none. */
struct flame_receipt {
    bool spent;
    unsigned char digest[16];
};

/* Spends it. False: somebody was faster, which is counted and logged, too. */
bool flame_request_spend(struct flame_access *access, flame_lookup *lookup,
                         void *door_request, void (*log)(const char *line),
                         struct flame_receipt *receipt);

enum flame_decision {
    FLAME_ORDINARY,  /* nothing asked, or asked by somebody who may not */
    FLAME_MALFORMED, /* may ask, but asked nonsense: answer 400 */
    FLAME_PROFILE,
    FLAME_KEPT, /* wants one that was kept, and may */
};

#define FLAME_REPEAT_MAX 1000u

/* Text from the query. */
#define FLAME_TEXT_MAX 64u
#define FLAME_TEXT_ACCEPTED "at most 64 bytes"
struct flame_params_text {
    char data[FLAME_TEXT_MAX];
    size_t length; /* 0: none was given */
};

struct flame_params {
    uint64_t interval_ns;
    enum flame_format format;
    enum flame_clock clock; /* of folded, and of the picture */
    bool lines;             /* a function's lines are told apart */
    bool threads;           /* with the threads that the request starts */
    bool greenlets;         /* with its greenlets */
    unsigned repeat;        /* how often the application is called; 1 if not asked */
    bool head;              /* HEAD: headers only */
    size_t max_bytes;       /* of the answer's body */
    struct flame_params_text title, subtitle;
    struct flame_params_text kept;        /* the name of a profile that was */
    struct flame_params_text diff;        /* of one to compare with, */
    const struct flame_shelf *archive;    /* from here */
    bool keep;                            /* in the archive; the answer is its own */
    struct flame_picture_options picture; /* how it is drawn; no text */
    const struct flame_push_target *push; /* NULL: it is not sent anywhere */
    struct flame_receipt receipt;         /* for flame_answer_refusal() */
};

#define FLAME_SENTENCE_SIZE 1024 /* enough for every sentence, with its NUL */

/*
 * Decides. Order: asked at all, method, may the caller (access.h), the parameters.
 * Refusals of callers are counted and logged at most once a minute through
 * `log` (one line, no newline). MALFORMED: the sentence for the 400 stands in
 * `sentence`. Reads only what it needs through `lookup`.
 */
enum flame_decision flame_request_decide(const struct flame_config *config,
                                         flame_lookup *lookup, void *door_request,
                                         void (*log)(const char *line),
                                         struct flame_params *params,
                                         char sentence[FLAME_SENTENCE_SIZE]);

/*
 * The stretches of a request, for flame_session_phase(). What a server does by
 * itself around them has its own name.
 */
#define FLAME_PHASE_APPLICATION "[application]"
#define FLAME_PHASE_ITERATION "[iteration]"
#define FLAME_PHASE_CLOSE "[close]"

/* What the sampler has to know of that. */
struct flame_session_options flame_session_options_of(const struct flame_params *params,
                                                      uint64_t max_ns);
/* Why there is none: a sentence for an error of flame_session_start(). */
const char *flame_start_error_sentence(int error);

/* ---- the answer -------------------------------------------------------------- */

/* An application's header that would break the picture (ETag, Location, ...). */
bool flame_header_is_dropped(struct flame_slice name);
/* The same, as a NULL-terminated list of names, for a door that wants it. */
extern const char *const flame_dropped_headers[];

struct flame_answer {
    int status;         /* 200, or 500/503 when drawing failed */
    const char *reason; /* "OK" */
    const char *content_type;
    const char *security_policy; /* NULL: none */
    struct flame_writer body;
    unsigned runs;    /* for X-Flameprof-Runs; 0: not to be said */
    unsigned retry_s; /* for Retry-After; 0: the same */
    uint64_t drawing_ns;
};

/* What the application did, for the title block. */
struct flame_outcome {
    struct flame_slice method;
    struct flame_slice path;   /* with the query, as the person sees it */
    struct flame_slice status; /* "404 Not Found"; empty: none was given */
    struct flame_slice raised; /* exception type's name; empty: none */
    struct flame_slice server; /* "uWSGI 2.0.21, Python 3.11.2" */
    unsigned runs;             /* how often the application was called */
};

/*
 * True if it is to be called once more: asked for, nothing was raised, and one more
 * run like the others would be over at `ends_ns`.
 */
bool flame_runs_again(const struct flame_params *params, unsigned runs,
                      uint64_t begun_ns, uint64_t ends_ns);

/*
 * Draws. Never fails: if the picture cannot be made the answer is a text that
 * says why. Owner frees with flame_answer_free().
 */
void flame_answer_make(const struct flame_profile *profile,
                       const struct flame_params *params,
                       const struct flame_outcome *outcome,
                       struct flame_answer *answer);
/* Draws one that was kept, or says that there is none. */
void flame_answer_kept(const struct flame_shelf *shelf,
                       const struct flame_params *params, struct flame_answer *answer);
/* A text/plain answer of one sentence (400, 503). */
void flame_answer_text(int status, const char *reason, const char *sentence,
                       struct flame_answer *answer);
void flame_answer_free(struct flame_answer *answer);

/* The log line of one profile: path, duration, samples, missed, costs. */
void flame_answer_log(const struct flame_profile *profile,
                      const struct flame_outcome *outcome,
                      const struct flame_answer *answer, char *line, size_t size);

#endif
