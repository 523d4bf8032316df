/*
 * What the renderer's tests share: an example profile and golden files.
 */
#ifndef FLAME_TESTS_RENDERER_SUPPORT_H
#define FLAME_TESTS_RENDERER_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "renderer/tree/tree.h"
#include "renderer/writer.h"

/* A request of 1.5 s with some of everything; static storage. */
const struct flame_profile *example_profile(void);
const struct flame_picture_options *example_options(void);

/*
 * Compares with tests/renderer/golden/NAME. With FLAME_BLESS=1 in the
 * environment writes it instead. What differs is kept in build/golden/NAME.
 * Bytes inside CDATA, the style and the script, are left out of it.
 */
void assert_golden(const char *name, const struct flame_writer *actual);

/* Leaves out the bytes inside CDATA: the style and the script. */
void append_without_assets(struct flame_writer *to, const struct flame_writer *from);

/* Does the text occur in it? How often? */
size_t occurrences(const struct flame_writer *writer, const char *text);

/* Asserts that these bytes are what was written, and empties the writer. */
void assert_written(struct flame_writer *writer, const char *expected);

struct flame_tree *tree_from_text(const char *text, enum flame_unit unit,
                                  struct flame_ignored *ignored);

#endif
