/*
 * Faults that a sanitizer must report, for ctypes: linked into the extension that is
 * looked at, and built as it is.
 */
#include <limits.h>
#include <stdlib.h>

#define SHOWN __attribute__((visibility("default")))

SHOWN int planted_race(int rounds);
SHOWN int planted_overflow(int past);
SHOWN int planted_undefined(int number);

static volatile int unprotected;

/* To be called by two threads at once. */
SHOWN int planted_race(int rounds)
{
    for (int i = 0; i < rounds; i++) {
        unprotected += 1;
    }
    return unprotected;
}

SHOWN int planted_overflow(int past)
{
    volatile char *memory = malloc(16);
    int result = memory == NULL ? 0 : memory[15 + past];

    free((void *)memory);
    return result;
}

SHOWN int planted_undefined(int number)
{
    return INT_MAX - 1 + number;
}
