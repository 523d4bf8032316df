/*
 * Numbers as text: integers only, so that no locale and no rounding mode matters.
 */
#include "renderer/numbers.h"

/* The longest of all numbers: twenty digits, six commas, what is behind them; and the
 * eight bytes that are stored where one digit is meant. */
#define NUMBER_MAX 48

/* Eight digits of a value below 10^8, the first in the lowest byte: the halves are
 * taken apart side by side, into two digits each, then one. */
static inline uint64_t eight_digits(uint32_t value)
{
    uint64_t fours = value / 10000 | (uint64_t)(value % 10000) << 32;
    uint64_t hundreds = (fours * 10486 >> 20) & UINT64_C(0x0000007f0000007f);
    uint64_t twos = hundreds | (fours - 100 * hundreds) << 16;
    uint64_t tens = (twos * 103 >> 10) & UINT64_C(0x000f000f000f000f);

    return tens | (twos - 10 * tens) << 8;
}

static char *put_eight(char *to, uint64_t digits)
{
    digits = htole64(digits | UINT64_C(0x3030303030303030));
    memcpy(to, &digits, sizeof digits);
    return to + sizeof digits;
}

/* A value below 10^4, the same way. */
static char *put_few(char *to, uint32_t value)
{
    uint32_t hundreds = value * 10486 >> 20;
    uint32_t twos = hundreds | (value - 100 * hundreds) << 16;
    uint32_t tens = (twos * 103 >> 10) & UINT32_C(0x000f000f);
    uint32_t digits = tens | (twos - 10 * tens) << 8;
    unsigned zeros = (unsigned)__builtin_ctz(digits | UINT32_C(1) << 24) / 8;

    digits = htole32((digits | UINT32_C(0x30303030)) >> 8 * zeros);
    memcpy(to, &digits, sizeof digits);
    return to + 4 - zeros;
}

/* Most of a picture's bytes are digits: no loop over them. */
char *flame_put_many_digits(char *to, uint64_t value)
{
    const uint64_t limit = 100000000;

    if (value < 10000) {
        return put_few(to, (uint32_t)value);
    }
    if (value >= limit) {
        to = flame_put_many_digits(to, value / limit);
        return put_eight(to, eight_digits((uint32_t)(value % limit)));
    }
    uint64_t digits = eight_digits((uint32_t)value);
    /* The last digit is there even if it is a zero. */
    unsigned zeros = (unsigned)__builtin_ctzll(digits | UINT64_C(1) << 56) / 8;
    put_eight(to, digits >> 8 * zeros);
    return to + 8 - zeros;
}

char *flame_put_hundredths(char *to, uint64_t value)
{
    to = flame_put_digits(to, value / 100);
    if (value % 100 == 0) {
        return to;
    }
    to[0] = '.';
    to[1] = (char)('0' + value / 10 % 10);
    to[2] = (char)('0' + value % 10);
    return to + 2 + (value % 10 != 0);
}

/* 1234567 as "1,234,567" */
static char *put_grouped(char *to, uint64_t value)
{
    if (value < 1000) {
        return flame_put_digits(to, value);
    }
    to = put_grouped(to, value / 1000);
    to[0] = ',';
    to[1] = (char)('0' + value / 100 % 10);
    to[2] = (char)('0' + value / 10 % 10);
    to[3] = (char)('0' + value % 10);
    return to + 4;
}

/* value / 10^decimals, with all its decimals */
static char *put_decimals(char *to, uint64_t value, unsigned decimals)
{
    static const uint32_t powers[] = {1, 10, 100, 1000};

    to = put_grouped(to, value / powers[decimals]);
    if (decimals == 0) {
        return to;
    }
    *to = '.';
    for (unsigned at = decimals; at > 0; at--) {
        to[at] = (char)('0' + value % 10);
        value /= 10;
    }
    return to + decimals + 1;
}

static char *put_percent(char *to, uint64_t part, uint64_t whole)
{
    to = put_decimals(to, whole == 0 ? 0 : flame_share(part, whole, 10000), 2);
    return flame_put_text(to, " %");
}

static char *put_duration(char *to, uint64_t nanoseconds)
{
    static const struct {
        uint64_t from;
        uint64_t step; /* of what is shown */
        unsigned decimals;
        const char *unit;
    } scales[] = {
        {UINT64_C(100000000000), 100000000, 1, " s"},
        {UINT64_C(10000000000), 10000000, 2, " s"},
        {1000000000, 1000000, 3, " s"},
        {100000000, 100000, 1, " ms"},
        {10000000, 10000, 2, " ms"},
        {1000000, 1000, 3, " ms"},
        {100000, 100, 1, " µs"},
        {10000, 10, 2, " µs"},
        {1000, 1, 3, " µs"},
        {0, 1, 0, " ns"},
    };
    size_t scale = nanoseconds < 1000000 ? 6 : 0;

    while (nanoseconds < scales[scale].from) {
        scale++;
    }
    uint64_t step = scales[scale].step;
    uint64_t steps = nanoseconds / step + (nanoseconds % step >= step - step / 2);
    to = put_decimals(to, steps, scales[scale].decimals);
    return flame_put_text(to, scales[scale].unit);
}

/* What was put into `text`, up to `end`. */
static void pass_on(struct flame_writer *writer, const char *text, const char *end)
{
    flame_write_bytes(writer, text, (size_t)(end - text));
}

void flame_write_unsigned(struct flame_writer *writer, uint64_t value)
{
    char text[FLAME_DIGITS_MAX];

    pass_on(writer, text, flame_put_digits(text, value));
}

void flame_write_grouped(struct flame_writer *writer, uint64_t value)
{
    char text[NUMBER_MAX];

    pass_on(writer, text, put_grouped(text, value));
}

void flame_write_hundredths(struct flame_writer *writer, uint64_t value)
{
    char text[FLAME_HUNDREDTHS_MAX];

    pass_on(writer, text, flame_put_hundredths(text, value));
}

void flame_write_percent(struct flame_writer *writer, uint64_t part, uint64_t whole)
{
    char text[NUMBER_MAX];

    pass_on(writer, text, put_percent(text, part, whole));
}

void flame_write_duration(struct flame_writer *writer, uint64_t nanoseconds)
{
    char text[NUMBER_MAX];

    pass_on(writer, text, put_duration(text, nanoseconds));
}
