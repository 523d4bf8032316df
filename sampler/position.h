/*
 * Where in its source an instruction stands, from the code object's own table.
 */
#ifndef FLAME_SAMPLER_POSITION_H
#define FLAME_SAMPLER_POSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Lines from 1; columns are bytes of UTF-8 from 0, the last one excluded. */
struct flame_position {
    uint32_t line, end_line;
    uint32_t column, end_column;
};

/*
 * Finds instruction `at` (in code units) in a table of CPython 3.11's format and
 * later ones': the CPython source tree describes it in Objects/locations.md
 * (InternalDocs/code_objects.md). False: not in it, or without columns. Any
 * context, any bytes: a table that makes no sense is read to its end at most.
 */
bool flame_position_find_sigsafe(const unsigned char *table, size_t size,
                                 uint32_t first_line, uint32_t at,
                                 struct flame_position *position);

/* The same tables' line alone, which more instructions have; 0: none. */
uint32_t flame_position_line_sigsafe(const unsigned char *table, size_t size,
                                     uint32_t first_line, uint32_t at);

/* The line by a table of CPython 3.10's format, and of 3.9's and older ones'
 * (Objects/lnotab_notes.txt of each). `at` is in bytes. 0: none. */
uint32_t flame_position_line_310_sigsafe(const unsigned char *table, size_t size,
                                         uint32_t first_line, uint32_t at);
uint32_t flame_position_line_39_sigsafe(const unsigned char *table, size_t size,
                                        uint32_t first_line, uint32_t at);

#endif
