/* What a query string asks for. */
#include "middleware/parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD "flamegraph"
#define WORD_LENGTH (sizeof WORD - 1)
#define VALUE_MAX FLAME_TEXT_MAX /* bytes of a decoded key or value that matter */

struct text {
    char data[VALUE_MAX + 1];
    size_t length; /* of the whole, also when more than was kept */
    bool present;
};

static int hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* application/x-www-form-urlencoded, as servers and frameworks read it. */
static void decode(const char *from, const char *end, struct text *out)
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
        if (out->length < VALUE_MAX) {
            out->data[out->length] = c;
        }
        out->length++;
    }
    out->data[out->length < VALUE_MAX ? out->length : VALUE_MAX] = '\0';
}

static bool text_is(const struct text *text, const char *expected)
{
    return text->present && text->length == strlen(expected) &&
           memcmp(text->data, expected, text->length) == 0;
}

/* What we listen to; only the first two are bare words. */
enum parameter {
    FLAMEGRAPH,
    BARE_INTERVAL,
    INTERVAL,
    FORMAT,
    CLOCK,
    LINES,
    REPEAT,
    THREADS,
    CHILDREN,
    TITLE,
    SUBTITLE,
    WIDTH,
    SMALLEST,
    SCALE,
    COLOURS,
    INVERTED,
    CALLERS,
    PROFILE, /* this and the next are the badge's */
    PANEL,
    PARAMETERS
};

static const char *const names[PARAMETERS] = {
    [FLAMEGRAPH] = "flamegraph",        [BARE_INTERVAL] = "interval",
    [PROFILE] = "flamegraph_profile",   [PANEL] = "flamegraph_panel",
    [INTERVAL] = "flamegraph_interval", [FORMAT] = "flamegraph_format",
    [CLOCK] = "flamegraph_clock",       [LINES] = "flamegraph_lines",
    [REPEAT] = "flamegraph_repeat",     [THREADS] = "flamegraph_threads",
    [CHILDREN] = "flamegraph_children", [TITLE] = "flamegraph_title",
    [SUBTITLE] = "flamegraph_subtitle", [WIDTH] = "flamegraph_width",
    [SMALLEST] = "flamegraph_smallest", [SCALE] = "flamegraph_scale",
    [COLOURS] = "flamegraph_colours",   [INVERTED] = "flamegraph_inverted",
    [CALLERS] = "flamegraph_callers",
};

struct asked {
    struct text values[PARAMETERS];
    struct text unknown; /* a name */
};

static void read_pair(struct asked *asked, const char *from, const char *end)
{
    const char *equals = memchr(from, '=', (size_t)(end - from));
    const char *value = equals == NULL ? end : equals + 1;
    struct text key;

    decode(from, equals == NULL ? end : equals, &key);
    if (key.data[0] != 'f' && key.data[0] != 'i') {
        return; /* most of an application's own, at no more cost */
    }
    for (int i = 0; i < PARAMETERS; i++) {
        if (text_is(&key, names[i])) {
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

static void read_query(struct flame_slice query, struct asked *asked)
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

bool flame_params_asked(struct flame_slice query)
{
    struct asked asked;

    if (!flame_query_mentions_us(query)) {
        return false;
    }
    read_query(query, &asked);
    return text_is(&asked.values[FLAMEGRAPH], "1");
}

bool flame_params_kept(struct flame_slice query)
{
    struct asked asked;

    if (!flame_query_mentions_us(query)) {
        return false;
    }
    read_query(query, &asked);
    return asked.values[PROFILE].present;
}

bool flame_params_panel(struct flame_slice query)
{
    struct asked asked;

    if (!flame_query_mentions_us(query)) {
        return false;
    }
    read_query(query, &asked);
    return text_is(&asked.values[PANEL], "1");
}

/* mantissa * 10^exponent, as far as it was read. */
struct decimal {
    uint64_t mantissa;
    int exponent;
    unsigned digits; /* read, whether they counted or not */
};

#define MANTISSA_MAX UINT64_C(100000000000000000) /* no digit more can overflow */
#define EXPONENT_MAX 99                           /* far beyond any second */

/* Digits, of which those beyond the mantissa's precision only shift. */
static const char *read_digits(const char *at, const char *end, int shift,
                               struct decimal *number)
{
    for (; at < end && *at >= '0' && *at <= '9'; at++, number->digits++) {
        if (number->mantissa < MANTISSA_MAX) {
            number->mantissa = number->mantissa * 10 + (uint64_t)(*at - '0');
            number->exponent -= shift;
        } else {
            number->exponent += 1 - shift;
        }
    }
    return at;
}

/* "e-3"; NULL: no exponent, or one out of all proportion. */
static const char *read_exponent(const char *at, const char *end,
                                 struct decimal *number)
{
    struct decimal exponent = {0};
    bool negative = ++at < end && *at == '-';

    if (at < end && (*at == '-' || *at == '+')) {
        at++;
    }
    at = read_digits(at, end, 0, &exponent);
    if (exponent.digits == 0 || exponent.mantissa > EXPONENT_MAX) {
        return NULL;
    }
    number->exponent += negative ? -(int)exponent.mantissa : (int)exponent.mantissa;
    return at;
}

/* strtod() would take hex, nan and the decimal comma of the process's locale. */
int flame_parse_seconds(struct flame_slice text, uint64_t *ns)
{
    const char *end = text.data + text.length;
    struct decimal number = {.exponent = 9};
    const char *at;
    uint64_t rest = 0;

    if (text.length == 0 || text.length > VALUE_MAX) {
        return -EINVAL;
    }
    at = read_digits(text.data, end, 0, &number);
    if (at < end && *at == '.') {
        at = read_digits(at + 1, end, 1, &number);
    }
    if (number.digits > 0 && at < end && (*at == 'e' || *at == 'E')) {
        at = read_exponent(at, end, &number);
    }
    if (number.digits == 0 || at != end) {
        return -EINVAL;
    }
    for (; number.exponent > 0 && number.mantissa > 0; number.exponent--) {
        if (__builtin_mul_overflow(number.mantissa, UINT64_C(10), &number.mantissa)) {
            return -EINVAL;
        }
    }
    for (; number.exponent < 0 && number.mantissa > 0; number.exponent++) {
        rest = number.mantissa % 10;
        number.mantissa /= 10;
    }
    *ns = number.mantissa + (rest >= 5);
    return 0;
}

/* Printable ASCII stays; the rest is shown as \xNN. Bounded. */
static void escape(const struct text *text, char *out, size_t size)
{
    size_t used = 0;
    size_t kept = text->length < VALUE_MAX ? text->length : VALUE_MAX;

    for (size_t i = 0; i < kept && used + 5 < size; i++) {
        unsigned char c = (unsigned char)text->data[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            out[used++] = (char)c;
        } else {
            used += (size_t)snprintf(out + used, size - used, "\\x%02x", c);
        }
    }
    snprintf(out + used, size - used, "%s", kept < text->length ? "..." : "");
}

static int complain(char sentence[FLAME_SENTENCE_SIZE], const char *name,
                    const struct text *value, const char *accepted)
{
    char shown[VALUE_MAX * 4 + 8];

    escape(value, shown, sizeof shown);
    snprintf(sentence, FLAME_SENTENCE_SIZE, "%s=\"%s\" is not accepted: it takes %s.",
             name, shown, accepted);
    return -EINVAL;
}

static int complain_of_unknown(char sentence[FLAME_SENTENCE_SIZE],
                               const struct text *name)
{
    char shown[VALUE_MAX * 4 + 8];
    size_t used;

    escape(name, shown, sizeof shown);
    snprintf(sentence, FLAME_SENTENCE_SIZE,
             "\"%s\" is no parameter of flameprof: it knows", shown);
    for (int i = INTERVAL; i < PROFILE; i++) {
        used = strlen(sentence);
        snprintf(sentence + used, FLAME_SENTENCE_SIZE - used, "%s %s%s",
                 i == PROFILE - 1 ? " and" : "", names[i],
                 i < PROFILE - 2    ? ","
                 : i == PROFILE - 1 ? "."
                                    : "");
    }
    return -EINVAL;
}

/* Each reads one value into params; false: it is not one that is accepted. */
typedef bool read_value(struct flame_slice text, struct flame_params *params);

static bool read_interval(struct flame_slice text, struct flame_params *params)
{
    return flame_parse_seconds(text, &params->interval_ns) == 0 &&
           params->interval_ns >= FLAME_INTERVAL_MIN_NS &&
           params->interval_ns <= FLAME_INTERVAL_MOST_NS;
}

static bool read_format(struct flame_slice text, struct flame_params *params)
{
    return flame_format_from_name(text, &params->format) == 0;
}

static bool read_clock(struct flame_slice text, struct flame_params *params)
{
    return flame_clock_from_name(text, &params->clock) == 0;
}

static bool read_switch(struct flame_slice text, bool *on)
{
    *on = text.length == 1 && *text.data == '1';
    return *on || (text.length == 1 && *text.data == '0');
}

static bool read_lines(struct flame_slice text, struct flame_params *params)
{
    return read_switch(text, &params->lines);
}

static bool read_threads(struct flame_slice text, struct flame_params *params)
{
    return read_switch(text, &params->threads);
}

static bool read_children(struct flame_slice text, struct flame_params *params)
{
    return read_switch(text, &params->greenlets);
}

static bool read_repeat(struct flame_slice text, struct flame_params *params)
{
    unsigned times = 0;

    for (size_t i = 0; i < text.length && times <= FLAME_REPEAT_MAX; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        times = times * 10 + (unsigned)(text.data[i] - '0');
    }
    params->repeat = times;
    return times >= 2 && times <= FLAME_REPEAT_MAX;
}

static bool keep_text(struct flame_slice text, struct flame_params_text *kept)
{
    memcpy(kept->data, text.data, text.length);
    kept->length = text.length;
    return true;
}

static bool read_title(struct flame_slice text, struct flame_params *params)
{
    return keep_text(text, &params->title);
}

static bool read_subtitle(struct flame_slice text, struct flame_params *params)
{
    return keep_text(text, &params->subtitle);
}

static bool read_profile(struct flame_slice text, struct flame_params *params)
{
    return keep_text(text, &params->kept);
}

static bool read_panel(struct flame_slice text, struct flame_params *params)
{
    bool on;

    (void)params; /* it is the badge's, not the picture's */
    return read_switch(text, &on);
}

/* flamegraph itself has been read; of the two intervals the prefixed one wins. What has
 * no reader is an option of the picture, which knows it by its name. */
static const struct {
    read_value *read;
    const char *accepted;
} readers[PARAMETERS] = {
    [BARE_INTERVAL] = {read_interval, FLAME_INTERVAL_ACCEPTED},
    [INTERVAL] = {read_interval, FLAME_INTERVAL_ACCEPTED},
    [FORMAT] = {read_format, FLAME_FORMAT_NAMES},
    [CLOCK] = {read_clock, "wall, cpu, offcpu or gil"},
    [LINES] = {read_lines, "1 or 0"},
    [REPEAT] = {read_repeat, "a whole number from 2 to 1000"},
    [THREADS] = {read_threads, "1 or 0"},
    [CHILDREN] = {read_children, "1 or 0"},
    [TITLE] = {read_title, FLAME_TEXT_ACCEPTED},
    [SUBTITLE] = {read_subtitle, FLAME_TEXT_ACCEPTED},
    [WIDTH] = {NULL, "pixels from " FLAME_WIDTH_RANGE},
    [SMALLEST] = {NULL, "pixels from " FLAME_SMALLEST_RANGE},
    [SCALE] = {NULL, "a factor from " FLAME_SCALE_RANGE},
    [COLOURS] = {NULL, FLAME_COLOURS_NAMES},
    [INVERTED] = {NULL, "1 or 0"},
    [CALLERS] = {NULL, "1 or 0"},
    [PROFILE] = {read_profile, "the name of a profile that was kept"},
    [PANEL] = {read_panel, "1 or 0"},
};

static bool read_parameter(int parameter, struct flame_slice text,
                           struct flame_params *params)
{
    if (readers[parameter].read != NULL) {
        return readers[parameter].read(text, params);
    }
    const char *option = strchr(names[parameter], '_') + 1;
    return flame_picture_option(&params->picture,
                                (struct flame_slice){option, strlen(option)},
                                text) == NULL;
}

int flame_params_read(struct flame_slice query, struct flame_params *params,
                      char sentence[FLAME_SENTENCE_SIZE])
{
    struct asked asked;

    read_query(query, &asked);
    if (asked.unknown.present) {
        return complain_of_unknown(sentence, &asked.unknown);
    }
    if (asked.values[INTERVAL].present) {
        asked.values[BARE_INTERVAL].present = false;
    }
    for (int i = BARE_INTERVAL; i < PARAMETERS; i++) {
        const struct text *value = &asked.values[i];
        if (value->present &&
            (value->length > VALUE_MAX ||
             !read_parameter(i, (struct flame_slice){value->data, value->length},
                             params))) {
            return complain(sentence, names[i], value, readers[i].accepted);
        }
    }
    return 0;
}
