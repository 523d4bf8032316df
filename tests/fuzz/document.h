/*
 * A fuzzer's input as a document: read, and written in every way. What the targets of
 * the formats that are read share.
 */
#ifndef FLAME_TESTS_FUZZ_DOCUMENT_H
#define FLAME_TESTS_FUZZ_DOCUMENT_H

#include "renderer/renderer.h"

/* The first function of libFuzzer's interface; each target defines it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * `begin` stands before each document, so that it is of the format it is meant to be.
 * The first byte of the input chooses what folded text counts, in which pieces the
 * document comes, the format written of it, and whether it is a difference between the
 * halves. Aborts where the reader contradicts itself.
 */
void fuzz_document(const char *begin, const uint8_t *data, size_t size);

/* One document, fed in one piece or byte by byte; NULL: none, and a sentence says why.
 * The caller frees the document in either case. */
struct flame_tree *fuzz_read(const char *begin, struct flame_slice text,
                             enum flame_unit unit, bool bytewise,
                             struct flame_document *document);

#endif
