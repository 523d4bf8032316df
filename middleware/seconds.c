/* Seconds as text. */
#include "middleware/request.h"

#include <errno.h>
#include <string.h>

/* mantissa * 10^exponent, as far as it was read. */
struct decimal {
    uint64_t mantissa;
    int exponent;
    unsigned digits; /* read, whether they counted or not */
};

#define MANTISSA_MAX UINT64_C(100000000000000000) /* no digit more can overflow */
#define EXPONENT_MAX 99                           /* far beyond any second */

/* Digits, of which those beyond the mantissa's precision only shift. */
static const char *read_digits(const char *at, const char *end, int shift,
                               struct decimal *number)
{
    for (; at < end && *at >= '0' && *at <= '9'; at++, number->digits++) {
        if (number->mantissa < MANTISSA_MAX) {
            number->mantissa = number->mantissa * 10 + (uint64_t)(*at - '0');
            number->exponent -= shift;
        } else {
            number->exponent += 1 - shift;
        }
    }
    return at;
}

/* "e-3"; NULL: no exponent, or one out of all proportion. */
static const char *read_exponent(const char *at, const char *end,
                                 struct decimal *number)
{
    struct decimal exponent = {0};
    bool negative = ++at < end && *at == '-';

    if (at < end && (*at == '-' || *at == '+')) {
        at++;
    }
    at = read_digits(at, end, 0, &exponent);
    if (exponent.digits == 0 || exponent.mantissa > EXPONENT_MAX) {
        return NULL;
    }
    number->exponent += negative ? -(int)exponent.mantissa : (int)exponent.mantissa;
    return at;
}

/* strtod() would take hex, nan and the decimal comma of the process's locale. */
int flame_parse_seconds(struct flame_slice text, uint64_t *ns)
{
    const char *end = text.data + text.length;
    struct decimal number = {.exponent = 9};
    const char *at;
    uint64_t rest = 0;

    if (text.length == 0 || text.length > FLAME_TEXT_MAX) {
        return -EINVAL;
    }
    at = read_digits(text.data, end, 0, &number);
    if (at < end && *at == '.') {
        at = read_digits(at + 1, end, 1, &number);
    }
    if (number.digits > 0 && at < end && (*at == 'e' || *at == 'E')) {
        at = read_exponent(at, end, &number);
    }
    if (number.digits == 0 || at != end) {
        return -EINVAL;
    }
    for (; number.exponent > 0 && number.mantissa > 0; number.exponent--) {
        if (__builtin_mul_overflow(number.mantissa, UINT64_C(10), &number.mantissa)) {
            return -EINVAL;
        }
    }
    for (; number.exponent < 0 && number.mantissa > 0; number.exponent++) {
        rest = number.mantissa % 10;
        number.mantissa /= 10;
    }
    *ns = number.mantissa + (rest >= 5);
    return 0;
}
