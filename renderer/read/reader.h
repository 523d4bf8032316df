/*
 * The formats that are read, each in its file; flame_reader_feed() chooses one.
 */
#ifndef FLAME_RENDERER_READER_H
#define FLAME_RENDERER_READER_H

#include "renderer/tree/tree.h"

/* Folded text, as it comes. A negative errno is sticky. */
struct flame_folded;
struct flame_folded *flame_folded_new(enum flame_unit unit);
int flame_folded_feed(struct flame_folded *folded, const char *data, size_t length);
/* Frees the reader. NULL: out of memory. */
struct flame_tree *flame_folded_finish(struct flame_folded *folded,
                                       struct flame_ignored *ignored);

/* Whole texts, into an empty document. 0, -ENOMEM, or -EINVAL and a sentence in
 * document->problem. */
int flame_read_json(const char *data, size_t length, struct flame_document *document);
int flame_read_pprof(const char *data, size_t length, struct flame_document *document);

/* A sentence that document->problem has room for; -EINVAL. */
int flame_document_refuse(struct flame_document *document, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A copy that lives as long as the document; false: out of memory. */
bool flame_document_keep(struct flame_document *document, struct flame_slice *to,
                         struct flame_slice text);
/* One more line, or sample: `number`, from 1. */
void flame_ignore(struct flame_ignored *ignored, uint64_t number);

#endif
