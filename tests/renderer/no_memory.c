/*
 * Memory that ends: preloaded, it lets allocation number FAIL_AT fail, counted from 1,
 * or with FAIL_FROM set that one and all after it. glibc's own names stand behind.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);

static bool fails(void)
{
    static long count = -1;
    static long fail_at;
    static bool from;

    if (count < 0) {
        const char *text = getenv("FAIL_AT");
        fail_at = text != NULL ? atol(text) : 0;
        from = getenv("FAIL_FROM") != NULL;
        count = 0;
    }
    count++;
    if (fail_at == 0 || (from ? count < fail_at : count != fail_at)) {
        return false;
    }
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    return fails() ? NULL : __libc_realloc(memory, size);
}
