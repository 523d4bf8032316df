#include "sampler/position.h"

/* The forms an entry can have; those below ONE_LINE hold their columns in a byte. */
enum {
    FORM_ONE_LINE = 10, /* 10 to 12: so many lines further, columns in two bytes */
    FORM_NO_COLUMNS = 13,
    FORM_LONG = 14,
    FORM_NONE = 15,
};

struct reader {
    const unsigned char *at, *end;
};

static uint32_t read_byte(struct reader *reader)
{
    return reader->at < reader->end ? *reader->at++ : 0;
}

/* Six bits a byte, the least first; 64 says that more follow. */
static uint32_t read_unsigned(struct reader *reader)
{
    uint32_t byte = read_byte(reader);
    uint32_t value = byte & 63;

    for (unsigned shift = 6; (byte & 64) != 0 && shift < 32; shift += 6) {
        byte = read_byte(reader);
        value |= (byte & 63) << shift;
    }
    return value;
}

/* The sign is the lowest bit. Added to a line modulo 2^32, as a whole number. */
static uint32_t read_signed(struct reader *reader)
{
    uint32_t value = read_unsigned(reader);

    return (value & 1) != 0 ? 0 - (value >> 1) : value >> 1;
}

/* One entry's place, relative to `line`, which it moves on; false: no columns. */
static bool read_entry(struct reader *reader, uint32_t form, uint32_t *line,
                       struct flame_position *position)
{
    uint32_t byte;
    uint32_t end_lines = 0;

    switch (form) {
    case FORM_NONE:
        return false;
    case FORM_NO_COLUMNS:
        *line += read_signed(reader);
        return false;
    case FORM_LONG:
        *line += read_signed(reader);
        end_lines = read_unsigned(reader);
        position->column = read_unsigned(reader) - 1; /* 0 said that there is none */
        position->end_column = read_unsigned(reader) - 1;
        break;
    case FORM_ONE_LINE:
    case FORM_ONE_LINE + 1:
    case FORM_ONE_LINE + 2:
        *line += form - FORM_ONE_LINE;
        position->column = read_byte(reader);
        position->end_column = read_byte(reader);
        break;
    default:
        byte = read_byte(reader);
        position->column = form * 8 + (byte >> 4);
        position->end_column = position->column + (byte & 15);
    }
    position->line = *line;
    position->end_line = *line + end_lines;
    return position->column != UINT32_MAX && position->end_column != UINT32_MAX;
}

/* The line of an instruction, 0: none; and its columns, if it says true. */
static bool locate(const unsigned char *table, size_t size, uint32_t first_line,
                   uint32_t at, uint32_t *found, struct flame_position *position)
{
    struct reader reader = {table, table + size};
    uint32_t line = first_line;
    uint32_t covered = 0;

    *found = 0;
    while (reader.at < reader.end) {
        uint32_t head = read_byte(&reader);
        bool columns = read_entry(&reader, head >> 3 & 15, &line, position);
        covered += (head & 7) + 1;
        if (at < covered) {
            *found = (head >> 3 & 15) == FORM_NONE ? 0 : line;
            return columns;
        }
    }
    return false;
}

bool flame_position_find_sigsafe(const unsigned char *table, size_t size,
                                 uint32_t first_line, uint32_t at,
                                 struct flame_position *position)
{
    uint32_t line;

    return locate(table, size, first_line, at, &line, position);
}

uint32_t flame_position_line_sigsafe(const unsigned char *table, size_t size,
                                     uint32_t first_line, uint32_t at)
{
    struct flame_position position;
    uint32_t line;

    locate(table, size, first_line, at, &line, &position);
    return line;
}

/* Bytes that a range has, and how its line differs from the last one's. */
#define NO_LINE (-128)

uint32_t flame_position_line_310_sigsafe(const unsigned char *table, size_t size,
                                         uint32_t first_line, uint32_t at)
{
    uint32_t line = first_line;
    uint32_t covered = 0;

    for (size_t i = 0; i + 1 < size; i += 2) {
        int delta = (signed char)table[i + 1];
        covered += table[i];
        line += delta == NO_LINE ? 0u : (uint32_t)delta;
        if (at < covered) {
            return delta == NO_LINE ? 0 : line;
        }
    }
    return 0;
}

uint32_t flame_position_line_39_sigsafe(const unsigned char *table, size_t size,
                                        uint32_t first_line, uint32_t at)
{
    uint32_t line = first_line;
    uint32_t begins = 0;

    for (size_t i = 0; i + 1 < size; i += 2) {
        begins += table[i];
        if (begins > at) {
            break;
        }
        int delta = (signed char)table[i + 1];
        line += (uint32_t)delta;
    }
    return line;
}
