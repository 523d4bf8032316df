#include "renderer/formats/json.h"

#include <stddef.h>

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
    FACT(idle_ns),
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
    char text[FLAME_JSON_NUMBER_MAX];
    char *end = flame_json_put_number(text, value);

    flame_write_bytes(writer, text, (size_t)(end - text));
}

static void start_line(struct flame_json_list *list)
{
    char *room = flame_writer_room(list->writer, FLAME_JSON_LINE_SIZE(list->per_line));

    list->in_place = room != NULL;
    list->end = list->in_place ? room : list->text;
    list->left = list->per_line;
}

static void end_line(struct flame_json_list *list)
{
    if (list->in_place) {
        flame_writer_end(list->writer, list->end);
    } else {
        flame_write_bytes(list->writer, list->text, (size_t)(list->end - list->text));
    }
}

void flame_json_list_start(struct flame_json_list *list, struct flame_writer *writer,
                           uint32_t per_line)
{
    list->writer = writer;
    list->per_line = per_line;
    start_line(list);
}

void flame_json_list_line(struct flame_json_list *list)
{
    end_line(list);
    start_line(list);
    *list->end++ = '\n';
}

char *flame_json_put_quoted(char *to, uint64_t value)
{
    *to = '"';
    to = flame_put_digits(to + 1, value);
    *to = '"';
    return to + 1;
}

void flame_json_list_end(struct flame_json_list *list)
{
    list->end -= list->left != list->per_line;
    end_line(list);
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
