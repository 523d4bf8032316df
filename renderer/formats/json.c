#include "renderer/formats/json.h"

#include <stddef.h>

#define EXACT_MAX (UINT64_C(1) << 53)

static const struct {
    const char *name;
    size_t offset;
} QUALITY[FLAME_QUALITY_FACTS] = {
#define FACT(name)                                  \
    {                                               \
#name, offsetof(struct flame_quality, name) \
    }
    FACT(interval_ns),
    FACT(duration_ns),
    FACT(beside_ns),
    FACT(cpu_ns),
    FACT(children),
    FACT(unwatched),
    FACT(samples),
    FACT(missed),
    FACT(rejected),
    FACT(cut),
    FACT(overflow),
    FACT(spacing_mean_ns),
    FACT(spacing_deviation_ns),
    FACT(sampling_ns),
#undef FACT
};

const char *flame_quality_fact_name(size_t fact)
{
    return QUALITY[fact].name;
}

uint64_t *flame_quality_fact(struct flame_quality *quality, size_t fact)
{
    return (uint64_t *)(void *)((char *)quality + QUALITY[fact].offset);
}

void flame_json_key(struct flame_writer *writer, const char *key)
{
    bool first = writer->last == '{' || writer->last == '[' || writer->last == '\0';

    flame_write_text(writer, first ? "\"" : ",\"");
    flame_write_text(writer, key);
    flame_write_text(writer, "\":");
}

void flame_json_string(struct flame_writer *writer, struct flame_slice text)
{
    flame_write_text(writer, "\"");
    flame_write_escaped(writer, text, FLAME_ESCAPE_JSON);
    flame_write_text(writer, "\"");
}

void flame_json_number(struct flame_writer *writer, uint64_t value)
{
    const char *quote = value > EXACT_MAX ? "\"" : "";

    flame_write_text(writer, quote);
    flame_write_unsigned(writer, value);
    flame_write_text(writer, quote);
}

void flame_json_list_start(struct flame_json_list *list, struct flame_writer *writer,
                           uint32_t per_line)
{
    list->writer = writer;
    list->per_line = per_line;
    list->left = per_line;
    list->length = 0;
}

static void pass_on(struct flame_json_list *list, size_t length)
{
    flame_write_bytes(list->writer, list->text, length);
    list->length = 0;
}

/* Behind each number is its comma, which the last one does not keep. */
void flame_json_list_add(struct flame_json_list *list, uint64_t value)
{
    bool quoted = value > EXACT_MAX;

    if (sizeof list->text - list->length < FLAME_DIGITS_MAX + sizeof "\n\"\",") {
        pass_on(list, list->length);
    }
    char *to = list->text + list->length;
    if (list->left == 0) {
        *to++ = '\n';
        list->left = list->per_line;
    }
    list->left--;
    *to = '"';
    to = flame_put_digits(to + quoted, value);
    *to = '"';
    to += quoted;
    *to++ = ',';
    list->length = (size_t)(to - list->text);
}

void flame_json_list_end(struct flame_json_list *list)
{
    pass_on(list, list->length - (list->length != 0));
}

void flame_json_numbers(struct flame_writer *writer, const void *context,
                        uint32_t count, flame_json_value *value)
{
    struct flame_json_list list;

    flame_write_text(writer, "[");
    flame_json_list_start(&list, writer, 32);
    for (uint32_t i = 0; i < count && writer->error == 0; i++) {
        flame_json_list_add(&list, value(context, i));
    }
    flame_json_list_end(&list);
    flame_write_text(writer, "]");
}
