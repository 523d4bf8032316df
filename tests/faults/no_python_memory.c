/*
 * Memory of Python's that ends: one allocation of an interpreter fails, for the test
 * that loads this by ctypes.PyDLL. GIL held by whoever calls.
 */
#include <Python.h>

#define SHOWN __attribute__((visibility("default")))

SHOWN void no_memory_begin(long at);
SHOWN long no_memory_end(void);

static const PyMemAllocatorDomain domains[] = {PYMEM_DOMAIN_MEM, PYMEM_DOMAIN_OBJ};
enum { DOMAINS = sizeof domains / sizeof *domains };
static PyMemAllocatorEx before[DOMAINS];
static long seen, fails_at;

static int fails(void)
{
    return ++seen == fails_at;
}

static void *no_malloc(void *context, size_t size)
{
    const PyMemAllocatorEx *real = context;

    return fails() ? NULL : real->malloc(real->ctx, size);
}

static void *no_calloc(void *context, size_t count, size_t size)
{
    const PyMemAllocatorEx *real = context;

    return fails() ? NULL : real->calloc(real->ctx, count, size);
}

static void *no_realloc(void *context, void *memory, size_t size)
{
    const PyMemAllocatorEx *real = context;

    return fails() ? NULL : real->realloc(real->ctx, memory, size);
}

static void give_back(void *context, void *memory)
{
    const PyMemAllocatorEx *real = context;

    real->free(real->ctx, memory);
}

/* The how many-th from now on. */
void no_memory_begin(long at)
{
    seen = 0;
    fails_at = at;
    for (int i = 0; i < DOMAINS; i++) {
        PyMemAllocatorEx ours = {&before[i], no_malloc, no_calloc, no_realloc,
                                 give_back};
        PyMem_GetAllocator(domains[i], &before[i]);
        PyMem_SetAllocator(domains[i], &ours);
    }
}

/* How many there were. */
long no_memory_end(void)
{
    for (int i = 0; i < DOMAINS; i++) {
        PyMem_SetAllocator(domains[i], &before[i]);
    }
    return seen;
}
