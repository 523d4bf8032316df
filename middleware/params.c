/* What a query string asks for. */
#include "middleware/parts.h"
#include "middleware/query.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Printable ASCII stays; the rest is shown as \xNN. Bounded. */
static void escape(const struct flame_query_text *text, char *out, size_t size)
{
    size_t used = 0;
    size_t kept = text->length < FLAME_VALUE_MAX ? text->length : FLAME_VALUE_MAX;

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
                    const struct flame_query_text *value, const char *accepted)
{
    char shown[FLAME_VALUE_MAX * 4 + 8];

    escape(value, shown, sizeof shown);
    snprintf(sentence, FLAME_SENTENCE_SIZE, "%s=\"%s\" is not accepted: it takes %s.",
             name, shown, accepted);
    return -EINVAL;
}

static int complain_of_unknown(char sentence[FLAME_SENTENCE_SIZE],
                               const struct flame_query_text *name)
{
    char shown[FLAME_VALUE_MAX * 4 + 8];
    size_t used;

    escape(name, shown, sizeof shown);
    snprintf(sentence, FLAME_SENTENCE_SIZE,
             "\"%s\" is no parameter of flameprof: it knows", shown);
    for (int i = FLAME_ASKS_INTERVAL; i < FLAME_ASKS_PROFILE; i++) {
        used = strlen(sentence);
        snprintf(sentence + used, FLAME_SENTENCE_SIZE - used, "%s %s%s",
                 i == FLAME_ASKS_PROFILE - 1 ? " and" : "", flame_parameter_names[i],
                 i < FLAME_ASKS_PROFILE - 2    ? ","
                 : i == FLAME_ASKS_PROFILE - 1 ? "."
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

static bool read_keep(struct flame_slice text, struct flame_params *params)
{
    return read_switch(text, &params->keep);
}

static bool read_diff(struct flame_slice text, struct flame_params *params)
{
    return keep_text(text, &params->diff);
}

static bool read_panel(struct flame_slice text, struct flame_params *params)
{
    bool on;

    (void)params; /* it is the badge's, not the picture's */
    return read_switch(text, &on);
}

static bool read_token(struct flame_slice text, struct flame_params *params)
{
    (void)text; /* whether it is good has been decided */
    (void)params;
    return true;
}

/* flamegraph itself has been read; of the two intervals the prefixed one wins. What has
 * no reader is an option of the picture, which knows it by its name. */
static const struct {
    read_value *read;
    const char *accepted;
} readers[FLAME_PARAMETERS] = {
    [FLAME_ASKS_BARE_INTERVAL] = {read_interval, FLAME_INTERVAL_ACCEPTED},
    [FLAME_ASKS_INTERVAL] = {read_interval, FLAME_INTERVAL_ACCEPTED},
    [FLAME_ASKS_FORMAT] = {read_format, FLAME_FORMAT_NAMES},
    [FLAME_ASKS_CLOCK] = {read_clock, "wall, cpu, offcpu or gil"},
    [FLAME_ASKS_LINES] = {read_lines, "1 or 0"},
    [FLAME_ASKS_REPEAT] = {read_repeat, "a whole number from 2 to 1000"},
    [FLAME_ASKS_THREADS] = {read_threads, "1 or 0"},
    [FLAME_ASKS_CHILDREN] = {read_children, "1 or 0"},
    [FLAME_ASKS_TITLE] = {read_title, FLAME_TEXT_ACCEPTED},
    [FLAME_ASKS_SUBTITLE] = {read_subtitle, FLAME_TEXT_ACCEPTED},
    [FLAME_ASKS_WIDTH] = {NULL, "pixels from " FLAME_WIDTH_RANGE},
    [FLAME_ASKS_SMALLEST] = {NULL, "pixels from " FLAME_SMALLEST_RANGE},
    [FLAME_ASKS_SCALE] = {NULL, "a factor from " FLAME_SCALE_RANGE},
    [FLAME_ASKS_COLOURS] = {NULL, FLAME_COLOURS_NAMES},
    [FLAME_ASKS_INVERTED] = {NULL, "1 or 0"},
    [FLAME_ASKS_CALLERS] = {NULL, "1 or 0"},
    [FLAME_ASKS_KEEP] = {read_keep, "1 or 0"},
    [FLAME_ASKS_DIFF] = {read_diff, "the name of a profile that was kept"},
    [FLAME_ASKS_PROFILE] = {read_profile, "the name of a profile that was kept"},
    [FLAME_ASKS_PANEL] = {read_panel, "1 or 0"},
    [FLAME_ASKS_TOKEN] = {read_token, "a signed token"},
};

static bool read_parameter(int parameter, struct flame_slice text,
                           struct flame_params *params)
{
    if (readers[parameter].read != NULL) {
        return readers[parameter].read(text, params);
    }
    const char *option = strchr(flame_parameter_names[parameter], '_') + 1;
    return flame_picture_option(&params->picture,
                                (struct flame_slice){option, strlen(option)},
                                text) == NULL;
}

int flame_params_read(struct flame_slice query, struct flame_params *params,
                      char sentence[FLAME_SENTENCE_SIZE])
{
    struct flame_query asked;

    flame_query_read(query, &asked);
    if (asked.unknown.present) {
        return complain_of_unknown(sentence, &asked.unknown);
    }
    if (asked.values[FLAME_ASKS_INTERVAL].present) {
        asked.values[FLAME_ASKS_BARE_INTERVAL].present = false;
    }
    for (int i = FLAME_ASKS_BARE_INTERVAL; i < FLAME_PARAMETERS; i++) {
        const struct flame_query_text *value = &asked.values[i];
        if (value->present &&
            (value->length > FLAME_VALUE_MAX ||
             !read_parameter(i, (struct flame_slice){value->data, value->length},
                             params))) {
            return complain(sentence, flame_parameter_names[i], value,
                            readers[i].accepted);
        }
    }
    return 0;
}
