/* A query string, taken apart. */
#include "middleware/query.h"

#include "middleware/parts.h"

#include <stddef.h>
#include <string.h>

#define WORD "flamegraph"
#define WORD_LENGTH (sizeof WORD - 1)

const char *const flame_parameter_names[FLAME_PARAMETERS] = {
    [FLAME_ASKS_FLAMEGRAPH] = "flamegraph",
    [FLAME_ASKS_BARE_INTERVAL] = "interval",
    [FLAME_ASKS_PROFILE] = "flamegraph_profile",
    [FLAME_ASKS_PANEL] = "flamegraph_panel",
    [FLAME_ASKS_INTERVAL] = "flamegraph_interval",
    [FLAME_ASKS_FORMAT] = "flamegraph_format",
    [FLAME_ASKS_CLOCK] = "flamegraph_clock",
    [FLAME_ASKS_LINES] = "flamegraph_lines",
    [FLAME_ASKS_REPEAT] = "flamegraph_repeat",
    [FLAME_ASKS_THREADS] = "flamegraph_threads",
    [FLAME_ASKS_CHILDREN] = "flamegraph_children",
    [FLAME_ASKS_TITLE] = "flamegraph_title",
    [FLAME_ASKS_SUBTITLE] = "flamegraph_subtitle",
    [FLAME_ASKS_WIDTH] = "flamegraph_width",
    [FLAME_ASKS_SMALLEST] = "flamegraph_smallest",
    [FLAME_ASKS_SCALE] = "flamegraph_scale",
    [FLAME_ASKS_COLOURS] = "flamegraph_colours",
    [FLAME_ASKS_INVERTED] = "flamegraph_inverted",
    [FLAME_ASKS_CALLERS] = "flamegraph_callers",
    [FLAME_ASKS_KEEP] = "flamegraph_keep",
    [FLAME_ASKS_DIFF] = "flamegraph_diff",
    [FLAME_ASKS_TOKEN] = "flamegraph_token",
};

/* Of these names. */
#define SHORTEST (sizeof "interval" - 1)

static int hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* application/x-www-form-urlencoded, as servers and frameworks read it. */
static void decode(const char *from, const char *end, struct flame_query_text *out)
{
    out->length = 0;
    out->present = true;
    while (from < end) {
        char c = *from++;
        if (c == '+') {
            c = ' ';
        } else if (c == '%' && end - from >= 2 && hex(from[0]) >= 0 &&
                   hex(from[1]) >= 0) {
            c = (char)(hex(from[0]) * 16 + hex(from[1]));
            from += 2;
        }
        if (out->length < FLAME_VALUE_MAX) {
            out->data[out->length] = c;
        }
        out->length++;
    }
    out->data[out->length < FLAME_VALUE_MAX ? out->length : FLAME_VALUE_MAX] = '\0';
}

bool flame_query_text_is(const struct flame_query_text *text, const char *expected)
{
    return text->present && text->length == strlen(expected) &&
           memcmp(text->data, expected, text->length) == 0;
}

/*
 * A key that is long enough for the shortest name and begins as one, or with an escape.
 * A query of a stranger's may be all keys: what each costs can be noticed.
 */
static bool may_be_ours(const char *from, const char *end)
{
    return end - from >= (ptrdiff_t)SHORTEST &&
           (*from == 'f' || *from == 'i' || *from == '%');
}

static bool begins_as_ours(const struct flame_query_text *key)
{
    return flame_query_text_is(key, "interval") ||
           (key->length >= WORD_LENGTH && memcmp(key->data, WORD, WORD_LENGTH) == 0);
}

static void read_pair(struct flame_query *asked, const char *from, const char *end)
{
    struct flame_query_text key;

    if (!may_be_ours(from, end)) {
        return; /* most of an application's own, at no more cost */
    }
    const char *equals = memchr(from, '=', (size_t)(end - from));
    const char *value = equals == NULL ? end : equals + 1;
    decode(from, equals == NULL ? end : equals, &key);
    if (!begins_as_ours(&key)) {
        return;
    }
    for (int i = 0; i < FLAME_PARAMETERS; i++) {
        if (flame_query_text_is(&key, flame_parameter_names[i])) {
            if (!asked->values[i].present) {
                decode(value, end, &asked->values[i]);
            }
            return;
        }
    }
    if (strncmp(key.data, WORD "_", WORD_LENGTH + 1) == 0 && !asked->unknown.present) {
        asked->unknown = key;
    }
}

void flame_query_read(struct flame_slice query, struct flame_query *asked)
{
    const char *from = query.data;
    const char *end = from + query.length;

    memset(asked, 0, sizeof *asked);
    while (from < end) {
        const char *stop = memchr(from, '&', (size_t)(end - from));
        stop = stop == NULL ? end : stop;
        read_pair(asked, from, stop);
        from = stop + 1;
    }
}

/*
 * The path of every request: memchr() for its first letter costs a third of what
 * memmem() does to search a string as short as this.
 */
static bool holds_the_word(const char *at, const char *end)
{
    while ((size_t)(end - at) >= WORD_LENGTH) {
        at = memchr(at, WORD[0], (size_t)(end - at) - WORD_LENGTH + 1);
        if (at == NULL) {
            return false;
        }
        if (memcmp(at, WORD, WORD_LENGTH) == 0) {
            return true;
        }
        at++;
    }
    return false;
}

/* An escape in which a letter of the word could hide: they are %61 to %72. */
static bool holds_an_escaped_letter(const char *at, const char *end)
{
    while ((at = memchr(at, '%', (size_t)(end - at))) != NULL) {
        at++;
        if (at < end && (*at == '6' || *at == '7')) {
            return true;
        }
    }
    return false;
}

/* Every way to ask holds the word itself, or an escape for a part of it. */
bool flame_query_mentions_us(struct flame_slice query)
{
    if (query.data == NULL || query.length < sizeof WORD "=1" - 1) {
        return false;
    }
    const char *end = query.data + query.length;
    return holds_the_word(query.data, end) || holds_an_escaped_letter(query.data, end);
}

bool flame_query_asks(struct flame_slice query)
{
    struct flame_query asked;

    if (!flame_query_mentions_us(query)) {
        return false;
    }
    flame_query_read(query, &asked);
    return flame_query_text_is(&asked.values[FLAME_ASKS_FLAMEGRAPH], "1");
}

bool flame_query_asks_for_kept(struct flame_slice query)
{
    struct flame_query asked;

    if (!flame_query_mentions_us(query)) {
        return false;
    }
    flame_query_read(query, &asked);
    return asked.values[FLAME_ASKS_PROFILE].present;
}

bool flame_query_asks_for_badge(struct flame_slice query)
{
    struct flame_query asked;

    if (!flame_query_mentions_us(query)) {
        return false;
    }
    flame_query_read(query, &asked);
    return flame_query_text_is(&asked.values[FLAME_ASKS_PANEL], "1");
}

bool flame_query_token(struct flame_slice query, struct flame_params_text *token)
{
    struct flame_query asked;
    const struct flame_query_text *text = &asked.values[FLAME_ASKS_TOKEN];

    token->length = 0;
    if (query.data == NULL) {
        return false;
    }
    flame_query_read(query, &asked);
    if (text->present && text->length <= FLAME_VALUE_MAX) {
        memcpy(token->data, text->data, text->length);
        token->length = text->length;
    }
    return text->present;
}

bool flame_query_is_token(struct flame_slice pair)
{
    const char *end = pair.data + pair.length;
    struct flame_query_text key;
    const char *equals =
        may_be_ours(pair.data, end) ? memchr(pair.data, '=', pair.length) : NULL;

    if (equals == NULL) {
        return false;
    }
    decode(pair.data, equals, &key);
    return flame_query_text_is(&key, flame_parameter_names[FLAME_ASKS_TOKEN]);
}
