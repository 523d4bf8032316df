#include "renderer/json.h"

#define EXACT_MAX (UINT64_C(1) << 53)

void flame_json_key(struct flame_writer *writer, const char *key)
{
    char last = writer->length > 0 ? writer->data[writer->length - 1] : '{';

    flame_write_text(writer, last == '{' || last == '[' ? "\"" : ",\"");
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

void flame_json_numbers(struct flame_writer *writer, const void *context,
                        uint32_t count, flame_json_value *value)
{
    flame_write_text(writer, "[");
    for (uint32_t i = 0; i < count && writer->error == 0; i++) {
        if (i > 0) {
            flame_write_text(writer, i % 32 == 0 ? ",\n" : ",");
        }
        flame_json_number(writer, value(context, i));
    }
    flame_write_text(writer, "]");
}
