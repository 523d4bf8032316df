/*
 * Pieces of JSON, for the data block and the formats that are JSON. Every string goes
 * out through flame_write_escaped().
 */
#ifndef FLAME_RENDERER_JSON_H
#define FLAME_RENDERER_JSON_H

#include "renderer/tree.h"
#include "renderer/writer.h"

/* `"key":`, behind a comma unless an object or an array has just been opened. */
void flame_json_key(struct flame_writer *writer, const char *key);
void flame_json_string(struct flame_writer *writer, struct flame_slice text);
/* A number; beyond 2^53, where a double is not exact, in quotes: no reader is misled.
 */
void flame_json_number(struct flame_writer *writer, uint64_t value);
/* The numbers of a quality block, by the names they have in our JSON. */
#define FLAME_QUALITY_FACTS 14
const char *flame_quality_fact_name(size_t fact);
uint64_t *flame_quality_fact(struct flame_quality *quality, size_t fact);
/* [value(context, 0), value(context, 1), ...] */
typedef uint64_t flame_json_value(const void *context, uint32_t index);
void flame_json_numbers(struct flame_writer *writer, const void *context,
                        uint32_t count, flame_json_value *value);

#endif
