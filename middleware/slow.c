#include "middleware/slow.h"

#include "middleware/archive/archived.h"
#include "middleware/archive/keeper.h"
#include "middleware/common/taking.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define MINUTE_NS UINT64_C(60000000000)

struct flame_lookout_options flame_slow_options(const struct flame_config *config)
{
    uint64_t interval = config->slow_interval_ns;

    return (struct flame_lookout_options){
        .interval_ns = interval,
        .slow_ns = config->slower_than_ns != 0 ? config->slower_than_ns : UINT64_MAX,
        .finer_ns = config->interval_ns < interval ? config->interval_ns : interval,
        .max_ns = config->max_ns,
        .names = &config->names};
}

/* True if this one may be kept; *others: how many could not since the last that did.
 * Without a lock, which a fork could find held. */
static bool take_turn(uint64_t per_minute, uint64_t *others)
{
    static _Atomic uint64_t minute_ends_ns;
    static _Atomic uint64_t came; /* in this minute */
    static _Atomic uint64_t refused;
    uint64_t now = flame_now_ns();
    uint64_t ends = atomic_load(&minute_ends_ns);

    if (now >= ends &&
        atomic_compare_exchange_strong(&minute_ends_ns, &ends, now + MINUTE_NS)) {
        atomic_store(&came, 0);
    }
    bool may = atomic_fetch_add(&came, 1) < per_minute;
    *others = may ? atomic_exchange(&refused, 0) : 0;
    atomic_fetch_add(&refused, !may);
    return may;
}

/* "GET /shop/", without what stands in the query, nor what would break a line. */
static void write_request(const struct flame_outcome *outcome, char *out, size_t size)
{
    const char *query = memchr(outcome->path.data, '?', outcome->path.length);
    size_t length =
        query != NULL ? (size_t)(query - outcome->path.data) : outcome->path.length;

    snprintf(out, size, "%.*s %.*s",
             (int)(outcome->method.length < 20 ? outcome->method.length : 20),
             outcome->method.data, (int)(length < 200 ? length : 200),
             outcome->path.data);
    for (char *c = out; *c != '\0'; c++) {
        *c = *c < ' ' || *c > '~' ? '?' : *c;
    }
}

/* "200 OK", "raised ValueError"; empty: there was neither. */
static void write_end(const struct flame_outcome *outcome, char *out, size_t size)
{
    bool raised = outcome->raised.length != 0;
    const struct flame_slice *said = raised ? &outcome->raised : &outcome->status;

    snprintf(out, size, "%s%s%.*s", said->length != 0 ? ", " : "",
             raised ? "raised " : "", (int)(said->length < 60 ? said->length : 60),
             said->data != NULL ? said->data : "");
    for (char *c = out; *c != '\0'; c++) {
        *c = *c < ' ' || *c > '~' ? '?' : *c;
    }
}

static void write_line(const struct flame_quality *quality,
                       const struct flame_outcome *outcome, bool slow, uint64_t others,
                       char line[FLAME_SLOW_LINE])
{
    char request[240];
    char end[80];
    char more[64] = "";
    uint64_t ms = quality->duration_ns / 1000000;

    write_request(outcome, request, sizeof request);
    write_end(outcome, end, sizeof end);
    if (others != 0) {
        snprintf(more, sizeof more, "; %" PRIu64 " others were not kept", others);
    }
    snprintf(line, FLAME_SLOW_LINE,
             "[flameprof] %s: %s: %" PRIu64 ".%03" PRIu64 " s%s, %" PRIu64 " samples%s",
             slow ? "slow" : "failed", request, ms / 1000, ms % 1000, end,
             quality->samples, more);
}

static void count(const struct flame_quality *quality, enum flame_why why)
{
    flame_taking_count(quality);
    flame_count(why == FLAME_WHY_SLOW ? FLAME_COUNT_SLOW : FLAME_COUNT_FAILED, 1);
}

/* To where profiles go, if there is such a place; takes the session. */
static int put(const struct flame_config *config, struct flame_session *session,
               const struct flame_outcome *outcome, enum flame_why why)
{
    const struct flame_quality *quality = &flame_session_profile(session)->quality;
    char name[FLAME_SHELF_NAME + 1];
    struct flame_facts facts;

    count(quality, why);
    int error = config->archive == NULL ? 0 : flame_shelf_make_name(false, name);
    if ((config->archive == NULL && config->push.url == NULL) || error != 0) {
        flame_session_free(session);
        return error;
    }
    flame_archived_facts(outcome, quality->duration_ns, &facts);
    facts.why = why;
    facts.cut = quality->deadline_reached ? FLAME_CUT_MAX_SECONDS : FLAME_CUT_NOT;
    return flame_keeper_keep(config->archive, &config->push, session, &facts, name);
}

void flame_slow_keep(const struct flame_config *config, struct flame_watched *watched,
                     const struct flame_outcome *outcome, char line[FLAME_SLOW_LINE])
{
    bool slow =
        config->slower_than_ns != 0 && watched->wall_ns >= config->slower_than_ns;
    uint64_t others;

    line[0] = '\0';
    if (!take_turn(config->slow_per_minute, &others)) {
        flame_lookout_drop(watched);
        return;
    }
    struct flame_session *session = flame_lookout_keep(watched);
    if (session != NULL) {
        write_line(&flame_session_profile(session)->quality, outcome, slow, others,
                   line);
    }
    if (session == NULL ||
        put(config, session, outcome, slow ? FLAME_WHY_SLOW : FLAME_WHY_FAILED) != 0) {
        snprintf(
            line, FLAME_SLOW_LINE,
            "[flameprof] a slow or failed request was not kept: there are too many "
            "at this moment, or there is no memory");
    }
}

const char *flame_slow_error(int error)
{
    switch (error) {
    case -EAGAIN:
        return "[flameprof] slow requests are not seen: the system lets no further "
               "thread start";
    case -EBUSY:
        return "[flameprof] slow requests are not seen on some threads: there are too "
               "many";
    case -ENOMEM:
        return "[flameprof] slow requests are not seen: there is no memory for it";
    default:
        return "[flameprof] slow requests are not seen: this system does not offer "
               "what that needs";
    }
}
