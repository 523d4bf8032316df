/*
 * Pieces of JSON, for the data block and the formats that are JSON. Every string goes
 * out through flame_write_escaped().
 */
#ifndef FLAME_RENDERER_JSON_H
#define FLAME_RENDERER_JSON_H

#include "renderer/numbers.h"
#include "renderer/tree/tree.h"

/* `"key":`, behind a comma unless an object or an array has just been opened. */
void flame_json_key(struct flame_writer *writer, const char *key);
void flame_json_string(struct flame_writer *writer, struct flame_slice text);

/* A number; beyond 2^53, where a double is not exact, in quotes: no reader is misled.
 * Put as numbers.h says. */
#define FLAME_JSON_EXACT_MAX (UINT64_C(1) << 53)
#define FLAME_JSON_NUMBER_MAX (FLAME_DIGITS_MAX + 2)
char *flame_json_put_quoted(char *to, uint64_t value);

static inline char *flame_json_put_number(char *to, uint64_t value)
{
    return value > FLAME_JSON_EXACT_MAX ? flame_json_put_quoted(to, value)
                                        : flame_put_digits(to, value);
}

void flame_json_number(struct flame_writer *writer, uint64_t value);

/*
 * Numbers between brackets that the caller writes, and nothing else meanwhile: commas
 * between them, and a line's end after each `per_line`. They are put where they belong,
 * a line's room at a time: to pass on so many one by one costs more than their digits.
 */
#define FLAME_JSON_PER_LINE_MAX 96
#define FLAME_JSON_LINE_SIZE(per_line) \
    ((size_t)(per_line) * (FLAME_JSON_NUMBER_MAX + 1) + 1)
struct flame_json_list {
    struct flame_writer *writer;
    uint32_t per_line; /* at most FLAME_JSON_PER_LINE_MAX */
    uint32_t left;     /* numbers before the next line's end */
    char *end;         /* of what has been put */
    bool in_place;     /* else in `text`: the writer is near its limit */
    char text[FLAME_JSON_LINE_SIZE(FLAME_JSON_PER_LINE_MAX)];
};
void flame_json_list_start(struct flame_json_list *list, struct flame_writer *writer,
                           uint32_t per_line);
/* Ends the line. */
void flame_json_list_line(struct flame_json_list *list);

/* Behind each number is its comma, which the last one does not keep. */
static inline void flame_json_list_add(struct flame_json_list *list, uint64_t value)
{
    if (list->left == 0) {
        flame_json_list_line(list);
    }
    list->left--;
    list->end = flame_json_put_number(list->end, value);
    *list->end++ = ',';
}

void flame_json_list_end(struct flame_json_list *list);

/* The numbers of a quality block, by the names they have in our JSON. */
#define FLAME_QUALITY_FACTS 15
const char *flame_quality_fact_name(size_t fact);
uint64_t *flame_quality_fact(struct flame_quality *quality, size_t fact);
/* [value(context, 0), value(context, 1), ...] */
typedef uint64_t flame_json_value(const void *context, uint32_t index);
void flame_json_numbers(struct flame_writer *writer, const void *context,
                        uint32_t count, flame_json_value *value);

#endif
