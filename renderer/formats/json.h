/*
 * Pieces of JSON, for the data block and the formats that are JSON. Every string goes
 * out through flame_write_escaped().
 */
#ifndef FLAME_RENDERER_JSON_H
#define FLAME_RENDERER_JSON_H

#include "renderer/tree/tree.h"
#include "renderer/writer.h"

/* `"key":`, behind a comma unless an object or an array has just been opened. */
void flame_json_key(struct flame_writer *writer, const char *key);
void flame_json_string(struct flame_writer *writer, struct flame_slice text);
/* A number; beyond 2^53, where a double is not exact, in quotes: no reader is misled.
 */
void flame_json_number(struct flame_writer *writer, uint64_t value);

/*
 * Numbers between brackets that the caller writes: commas between them, and a line's
 * end after each `per_line`. They are gathered here first, since to pass on so many
 * one by one costs more than to make their digits.
 */
struct flame_json_list {
    struct flame_writer *writer;
    uint32_t per_line;
    uint32_t left; /* numbers before the next line's end */
    size_t length;
    char text[4096];
};
void flame_json_list_start(struct flame_json_list *list, struct flame_writer *writer,
                           uint32_t per_line);
void flame_json_list_add(struct flame_json_list *list, uint64_t value);
void flame_json_list_end(struct flame_json_list *list);

/* The numbers of a quality block, by the names they have in our JSON. */
#define FLAME_QUALITY_FACTS 14
const char *flame_quality_fact_name(size_t fact);
uint64_t *flame_quality_fact(struct flame_quality *quality, size_t fact);
/* [value(context, 0), value(context, 1), ...] */
typedef uint64_t flame_json_value(const void *context, uint32_t index);
void flame_json_numbers(struct flame_writer *writer, const void *context,
                        uint32_t count, flame_json_value *value);

#endif
