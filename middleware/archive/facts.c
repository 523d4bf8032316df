#include "middleware/archive/facts.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#include "renderer/formats/json.h"
#include "renderer/writer.h"

static const char *const WHYS[FLAME_WHYS] = {[FLAME_WHY_ASKED] = "asked",
                                             [FLAME_WHY_SLOW] = "slow",
                                             [FLAME_WHY_FAILED] = "failed",
                                             [FLAME_WHY_CUT] = "cut short"};

static const char *const CUTS[FLAME_CUTS] = {[FLAME_CUT_NOT] = "",
                                             [FLAME_CUT_MAX_SECONDS] = "max-seconds",
                                             [FLAME_CUT_HARAKIRI] = "harakiri",
                                             [FLAME_CUT_CLIENT_GONE] = "client gone",
                                             [FLAME_CUT_STOPPED] = "worker stopped"};

/* Of the subfield: two letters and the length of what follows. */
enum { SUBFIELD_HEAD = 4 };
static const char SUBFIELD[] = "fp";

/* That in ns is a number with a sign; somebody may have written more into a file. */
#define TIME_MOST_MS ((uint64_t)(INT64_MAX / 1000000))

const char *flame_why_name(enum flame_why why)
{
    return WHYS[why];
}

const char *flame_cut_name(enum flame_cut cut)
{
    return CUTS[cut];
}

void flame_fact_set(char *out, size_t size, struct flame_slice text)
{
    size_t length = text.length < size ? text.length : size - 1;

    if (length < text.length) {
        while (length > 0 && ((unsigned char)text.data[length] & 0xc0) == 0x80) {
            length--;
        }
    }
    if (length != 0) {
        memcpy(out, text.data, length);
    }
    out[length] = '\0';
}

/* "page=" of "page=2"; nothing of what has no "=", nor of our own parameters. */
static struct flame_slice key_of(const char *from, const char *end)
{
    static const char ours[] = "flamegraph";
    const char *equals = memchr(from, '=', (size_t)(end - from));
    struct flame_slice key = {from, equals == NULL ? 0 : (size_t)(equals + 1 - from)};

    return flame_slice_begins(key, ours) ? (struct flame_slice){from, 0} : key;
}

void flame_facts_path(struct flame_facts *facts, struct flame_slice path)
{
    const char *query = path.length == 0 ? NULL : memchr(path.data, '?', path.length);
    const char *end = path.data + path.length;
    const char *between = "?";
    struct flame_writer out = {.limit = 0};

    if (query == NULL) {
        FLAME_FACT(facts->path, path);
        return;
    }
    flame_write_bytes(&out, path.data, (size_t)(query - path.data));
    for (const char *at = query + 1; at < end && out.length < sizeof facts->path;) {
        const char *stop = memchr(at, '&', (size_t)(end - at));
        stop = stop == NULL ? end : stop;
        struct flame_slice key = key_of(at, stop);
        if (key.length != 0) {
            flame_write_text(&out, between);
            flame_write_bytes(&out, key.data, key.length);
            between = "&";
        }
        at = stop + 1;
    }
    FLAME_FACT(facts->path, ((struct flame_slice){out.data, out.length}));
    flame_writer_free(&out);
}

void flame_facts_begun(struct flame_facts *facts, uint64_t duration_ns)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    facts->time_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 -
                     duration_ns / 1000000;
}

/* ---- out --------------------------------------------------------------------- */

static void put_text(struct flame_writer *out, const char *key, const char *text)
{
    flame_json_key(out, key);
    flame_json_string(out, flame_slice_of(text));
}

static void put_flag(struct flame_writer *out, const char *key, bool flag)
{
    flame_json_key(out, key);
    flame_write_text(out, flag ? "true" : "false");
}

static void put_quality(struct flame_writer *out, struct flame_quality quality)
{
    flame_json_key(out, "quality");
    flame_write_text(out, "{");
    for (size_t i = 0; i < FLAME_QUALITY_FACTS; i++) {
        flame_json_key(out, flame_quality_fact_name(i));
        flame_json_number(out, *flame_quality_fact(&quality, i));
    }
    put_flag(out, "deadline_reached", quality.deadline_reached);
    put_flag(out, "gil_wait_known", quality.gil_wait_known);
    put_flag(out, "runnable_known", quality.runnable_known);
    flame_write_text(out, "}");
}

int flame_facts_write(const struct flame_facts *facts, struct flame_writer *extra)
{
    struct flame_writer json = {.limit = FLAME_FACTS_MAX - SUBFIELD_HEAD};

    flame_write_text(&json, "{");
    flame_json_key(&json, "time_ms");
    flame_json_number(&json, facts->time_ms);
    put_text(&json, "why", WHYS[facts->why]);
    put_text(&json, "cut", CUTS[facts->cut]);
    put_text(&json, "method", facts->method);
    put_text(&json, "path", facts->path);
    put_text(&json, "status", facts->status);
    put_text(&json, "raised", facts->raised);
    put_text(&json, "server", facts->server);
    put_quality(&json, facts->quality);
    flame_write_text(&json, "}");
    if (json.error != 0) {
        extra->error = json.error;
    } else {
        const char size[2] = {(char)(json.length & 0xff), (char)(json.length >> 8)};
        flame_write_bytes(extra, SUBFIELD, 2);
        flame_write_bytes(extra, size, sizeof size);
        flame_write_bytes(extra, json.data, json.length);
    }
    flame_writer_free(&json);
    return extra->error;
}

/* ---- in ---------------------------------------------------------------------- */

static uint64_t get_number(const json_t *from, const char *key)
{
    const json_t *value = json_object_get(from, key);
    json_int_t number = json_integer_value(value);

    if (json_is_string(value)) { /* beyond 2^53 */
        return strtoull(json_string_value(value), NULL, 10);
    }
    return number > 0 ? (uint64_t)number : 0;
}

static struct flame_slice get_text(const json_t *from, const char *key)
{
    const json_t *value = json_object_get(from, key);

    return (struct flame_slice){json_string_value(value), json_string_length(value)};
}

/* Which of the names it is; 0: none of them. */
static int get_choice(const json_t *from, const char *key, const char *const *names,
                      int count)
{
    struct flame_slice text = get_text(from, key);

    for (int i = count; i-- > 1;) {
        if (flame_slice_is(text, names[i])) {
            return i;
        }
    }
    return 0;
}

static void read_json(const json_t *json, struct flame_facts *facts)
{
    const json_t *quality = json_object_get(json, "quality");

    uint64_t time_ms = get_number(json, "time_ms");

    *facts = (struct flame_facts){.time_ms =
                                      time_ms < TIME_MOST_MS ? time_ms : TIME_MOST_MS};
    facts->why = (enum flame_why)get_choice(json, "why", WHYS, FLAME_WHYS);
    facts->cut = (enum flame_cut)get_choice(json, "cut", CUTS, FLAME_CUTS);
    FLAME_FACT(facts->method, get_text(json, "method"));
    FLAME_FACT(facts->path, get_text(json, "path"));
    FLAME_FACT(facts->status, get_text(json, "status"));
    FLAME_FACT(facts->raised, get_text(json, "raised"));
    FLAME_FACT(facts->server, get_text(json, "server"));
    for (size_t i = 0; i < FLAME_QUALITY_FACTS; i++) {
        *flame_quality_fact(&facts->quality, i) =
            get_number(quality, flame_quality_fact_name(i));
    }
    facts->quality.deadline_reached =
        json_is_true(json_object_get(quality, "deadline_reached"));
    facts->quality.gil_wait_known =
        json_is_true(json_object_get(quality, "gil_wait_known"));
    facts->quality.runnable_known =
        json_is_true(json_object_get(quality, "runnable_known"));
}

/* The bytes of our subfield; empty: there is none. */
static struct flame_slice find_subfield(struct flame_slice extra)
{
    while (extra.length >= SUBFIELD_HEAD) {
        const unsigned char *head = (const unsigned char *)extra.data;
        size_t length = head[2] | (size_t)head[3] << 8;
        bool ours = memcmp(head, SUBFIELD, 2) == 0;
        extra = flame_slice_from(extra, SUBFIELD_HEAD);
        if (length > extra.length) {
            break;
        }
        if (ours) {
            return (struct flame_slice){extra.data, length};
        }
        extra = flame_slice_from(extra, length);
    }
    return (struct flame_slice){NULL, 0};
}

/* zlib reads the header; `extra` has room for FLAME_FACTS_MAX. Its length, or 0. */
static size_t read_header(struct flame_slice head, unsigned char *extra)
{
    enum { GZIP_ONLY = 16 };
    gz_header header = {.extra = extra, .extra_max = FLAME_FACTS_MAX};
    unsigned char none[1];
    z_stream zip = {.next_in = (unsigned char *)(uintptr_t)head.data,
                    .avail_in = (uInt)head.length,
                    .next_out = none,
                    .avail_out = 0};
    size_t length = 0;

    if (inflateInit2(&zip, MAX_WBITS + GZIP_ONLY) != Z_OK) {
        return 0;
    }
    (void)inflateGetHeader(&zip, &header);
    (void)inflate(&zip, Z_BLOCK);
    if (header.done == 1 && header.extra != NULL &&
        header.extra_len <= FLAME_FACTS_MAX) {
        length = header.extra_len;
    }
    inflateEnd(&zip);
    return length;
}

int flame_facts_read(struct flame_slice head, struct flame_facts *facts)
{
    unsigned char extra[FLAME_FACTS_MAX];
    size_t length = read_header(
        (struct flame_slice){
            head.data, head.length < FLAME_FACTS_HEAD ? head.length : FLAME_FACTS_HEAD},
        extra);
    struct flame_slice found =
        find_subfield((struct flame_slice){(const char *)extra, length});
    json_t *json = found.length == 0
                       ? NULL
                       : json_loadb(found.data, found.length, JSON_ALLOW_NUL, NULL);

    if (!json_is_object(json)) {
        json_decref(json);
        return -EINVAL;
    }
    read_json(json, facts);
    json_decref(json);
    return 0;
}
