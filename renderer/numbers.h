/*
 * Numbers as text: most of what a picture is made of.
 */
#ifndef FLAME_RENDERER_NUMBERS_H
#define FLAME_RENDERER_NUMBERS_H

#include "renderer/writer.h"

/* What `part` of `whole`, which is not 0, is as a part of `of`: rounded. */
static inline uint64_t flame_share(uint64_t part, uint64_t whole, uint64_t of)
{
    uint64_t product;

    /* Dividing 128 bits takes ten times as long. */
    if (!__builtin_mul_overflow(part, of, &product) &&
        !__builtin_add_overflow(product, whole / 2, &product)) {
        return product / whole;
    }
    return (uint64_t)(((unsigned __int128)part * of + whole / 2) / whole);
}

/*
 * Putting is for who makes a piece of many parts before it is written: each puts its
 * own where there is room for its largest, and returns its end. What stands behind may
 * be overwritten, as far as the room goes.
 */
#define FLAME_DIGITS_MAX 24
char *flame_put_many_digits(char *to, uint64_t value);

static inline char *flame_put_digits(char *to, uint64_t value)
{
    if (value < 10) {
        *to = (char)('0' + value);
        return to + 1;
    }
    return flame_put_many_digits(to, value);
}

/* 1250 as "12.5": hundredths without trailing zeros */
#define FLAME_HUNDREDTHS_MAX (FLAME_DIGITS_MAX + 3)
char *flame_put_hundredths(char *to, uint64_t value);

static inline char *flame_put_text(char *to, const char *text)
{
    size_t length = strlen(text);

    memcpy(to, text, length);
    return to + length;
}

void flame_write_unsigned(struct flame_writer *writer, uint64_t value);
/* 1234567 as "1,234,567" */
void flame_write_grouped(struct flame_writer *writer, uint64_t value);
void flame_write_hundredths(struct flame_writer *writer, uint64_t value);
/* part of whole as "12.34 %"; of nothing: "0.00 %" */
void flame_write_percent(struct flame_writer *writer, uint64_t part, uint64_t whole);
/* "1.234 s", "12.35 ms", "250.0 µs", "80 ns" */
void flame_write_duration(struct flame_writer *writer, uint64_t nanoseconds);

#endif
