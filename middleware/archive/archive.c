#include "middleware/archive/archive.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "renderer/writer.h"

int flame_archive_init(struct flame_shelf *archive, struct flame_slice folder)
{
    int error = flame_shelf_init(archive, folder);

    archive->suffix = FLAME_ARCHIVE_SUFFIX;
    archive->profiles = FLAME_ARCHIVE_PROFILES;
    archive->seconds = 0;
    archive->bytes = FLAME_ARCHIVE_BYTES;
    return error;
}

/* ---- writing ----------------------------------------------------------------- */

/* What other tools read of a request: the title and so on, pprof's comments. */
struct texts {
    char title[600];
    char subtitle[200];
    char warning[200];
};

static void write_texts(const struct flame_facts *facts, struct texts *texts)
{
    snprintf(texts->title, sizeof texts->title, "%s %s", facts->method, facts->path);
    snprintf(texts->subtitle, sizeof texts->subtitle, "%s%skept: %s%s%s", facts->status,
             facts->status[0] != '\0' ? ", " : "", flame_why_name(facts->why),
             facts->server[0] != '\0' ? ", " : "", facts->server);
    snprintf(texts->warning, sizeof texts->warning, "%s%s%s%s%s%s",
             facts->raised[0] != '\0' ? "The application raised " : "", facts->raised,
             facts->raised[0] != '\0' ? ". " : "",
             facts->cut != FLAME_CUT_NOT ? "Cut short: " : "",
             flame_cut_name(facts->cut), facts->cut != FLAME_CUT_NOT ? "." : "");
}

static int render(const struct flame_profile *profile, const struct flame_facts *facts,
                  struct flame_writer *out)
{
    struct texts texts;
    struct flame_writer extra = {.limit = FLAME_FACTS_MAX};
    struct flame_tree *tree = flame_tree_from_profile(profile, FLAME_CLOCK_WALL);
    int error = tree == NULL ? -ENOMEM : flame_facts_write(facts, &extra);

    if (error == 0) {
        write_texts(facts, &texts);
        const struct flame_picture_options options = {
            .title = flame_slice_of(texts.title),
            .subtitle = flame_slice_of(texts.subtitle),
            .warning = flame_slice_of(texts.warning),
            .quality = &facts->quality,
            .time_ns = (int64_t)facts->time_ms * 1000000,
            .extra = {extra.data, extra.length}};
        error = flame_render_pprof(tree, &options, out);
    }
    flame_tree_free(tree);
    flame_writer_free(&extra);
    return error;
}

int flame_archive_put(const struct flame_shelf *archive,
                      const struct flame_profile *profile,
                      const struct flame_facts *facts,
                      const char name[FLAME_SHELF_NAME + 1])
{
    struct flame_writer out = {.limit = archive->bytes};
    struct flame_facts all = *facts;

    all.quality = profile->quality;
    int error = render(profile, &all, &out);
    if (error == 0) {
        error =
            flame_shelf_put(archive, (struct flame_slice){out.data, out.length}, name);
    }
    flame_writer_free(&out);
    return error;
}

/* ---- the list ---------------------------------------------------------------- */

static int read_facts(const struct flame_shelf *archive, const char *name,
                      struct flame_facts *facts)
{
    char head[FLAME_FACTS_HEAD];
    ssize_t length =
        flame_shelf_begins(archive, flame_slice_of(name), head, sizeof head);

    return length < 0
               ? (int)length
               : flame_facts_read((struct flame_slice){head, (size_t)length}, facts);
}

int flame_archive_list(const struct flame_shelf *archive, size_t most,
                       struct flame_archive_entry **entries, size_t *count, size_t *all)
{
    struct flame_shelf_entry *found;
    int error = flame_shelf_list(archive, &found, all);

    *count = 0;
    most = *all < most ? *all : most;
    *entries = error != 0 ? NULL : malloc((most + 1) * sizeof **entries);
    if (*entries == NULL) {
        free(found);
        return error != 0 ? error : -ENOMEM;
    }
    for (size_t i = 0; i < *all && *count < most; i++) {
        struct flame_archive_entry *entry = &(*entries)[*count];
        memcpy(entry->name, found[i].name, sizeof entry->name);
        entry->size = found[i].size;
        *count += read_facts(archive, entry->name, &entry->facts) == 0;
    }
    free(found);
    return 0;
}

/* ---- drawing ----------------------------------------------------------------- */

/* pprof has the facts in its header; of JSON the quality is its own. */
static void add_facts(struct flame_slice bytes, struct flame_document *document)
{
    struct flame_facts facts;

    if (flame_facts_read(bytes, &facts) == 0) {
        document->quality = facts.quality;
        document->options.quality = &document->quality;
        document->options.time_ns = (int64_t)facts.time_ms * 1000000;
    }
}

/* Folded text of somebody's would be read as well: it is not ours. */
static bool is_ours(struct flame_slice bytes)
{
    return bytes.length > 2 &&
           (*bytes.data == '{' || memcmp(bytes.data, "\x1f\x8b", 2) == 0);
}

static int read_document(struct flame_slice bytes, struct flame_document *document)
{
    struct flame_reader *reader =
        is_ours(bytes) ? flame_reader_new(FLAME_UNIT_MICROSECONDS) : NULL;

    if (reader == NULL) {
        return is_ours(bytes) ? -ENOMEM : -EINVAL;
    }
    (void)flame_reader_feed(reader, bytes.data, bytes.length);
    int error = flame_reader_finish(reader, document);
    if (error == 0) {
        add_facts(bytes, document);
    }
    return error;
}

int flame_archive_read(const struct flame_shelf *shelf, struct flame_slice name,
                       struct flame_document *document)
{
    struct flame_writer bytes;
    int error = flame_shelf_get(shelf, name, &bytes);

    if (error == 0) {
        error = read_document((struct flame_slice){bytes.data, bytes.length}, document);
        flame_writer_free(&bytes);
    }
    return error;
}

static bool weigh(struct flame_document *document, enum flame_clock clock)
{
    return clock == document->options.clock || flame_tree_weigh(document->tree, clock);
}

/* "compared with GET /shop/ of 2026-11-22 09:19:29 UTC" */
static void say_compared(const struct flame_picture_options *before,
                         struct flame_writer *subtitle)
{
    time_t seconds = (time_t)(before->time_ns / 1000000000);
    struct tm parts;
    char when[64] = "";

    flame_write_text(subtitle,
                     subtitle->length != 0 ? ", compared with " : "compared with ");
    flame_write_bytes(subtitle, before->title.data, before->title.length);
    if (before->time_ns != 0 && gmtime_r(&seconds, &parts) != NULL) {
        strftime(when, sizeof when, " of %Y-%m-%d %H:%M:%S UTC", &parts);
    }
    flame_write_text(subtitle, when);
}

struct flame_tree *flame_archive_difference(const struct flame_shelf *shelf,
                                            struct flame_slice before,
                                            const struct flame_tree *after,
                                            enum flame_clock clock,
                                            struct flame_writer *subtitle, int *error)
{
    struct flame_document document;
    struct flame_tree *difference = NULL;

    *error = flame_archive_read(shelf, before, &document);
    if (*error != 0) {
        return NULL;
    }
    if (weigh(&document, clock)) {
        difference = flame_tree_difference(document.tree, after, false);
    }
    say_compared(&document.options, subtitle);
    *error = difference == NULL ? -ENOMEM : 0;
    flame_document_free(&document);
    return difference;
}

/* Says what was drawn, as far as the options do not. */
static struct flame_picture_options options_of(const struct flame_drawn *drawn,
                                               const struct flame_document *document)
{
    const struct flame_picture_options *found = &document->options;
    struct flame_picture_options options = *drawn->options;

    options.title = options.title.length != 0 ? options.title : found->title;
    options.subtitle =
        options.subtitle.length != 0 ? options.subtitle : found->subtitle;
    options.warning = found->warning;
    options.quality = found->quality;
    options.time_ns = found->time_ns;
    options.clock = drawn->clock;
    return options;
}

static int draw(const struct flame_shelf *shelf, const struct flame_drawn *drawn,
                struct flame_document *document, struct flame_writer *out,
                bool *drawing)
{
    struct flame_picture_options options = options_of(drawn, document);
    struct flame_writer subtitle = {0};
    struct flame_tree *difference = NULL;
    int error = weigh(document, drawn->clock) ? 0 : -ENOMEM;

    if (error == 0 && drawn->before.length != 0) {
        flame_write_bytes(&subtitle, options.subtitle.data, options.subtitle.length);
        difference = flame_archive_difference(shelf, drawn->before, document->tree,
                                              drawn->clock, &subtitle, &error);
        options.subtitle = (struct flame_slice){subtitle.data, subtitle.length};
    }
    if (error == 0) {
        *drawing = true;
        error = flame_render(drawn->format,
                             difference != NULL ? difference : document->tree, &options,
                             out);
    }
    flame_tree_free(difference);
    flame_writer_free(&subtitle);
    return error;
}

/* pprof of an archive, as it was written: with its facts. */
static bool is_the_file(const struct flame_shelf *shelf,
                        const struct flame_drawn *drawn)
{
    return drawn->format == FLAME_FORMAT_PPROF && drawn->before.length == 0 &&
           drawn->options->title.length == 0 && drawn->options->subtitle.length == 0 &&
           strcmp(shelf->suffix, FLAME_ARCHIVE_SUFFIX) == 0;
}

int flame_archive_render(const struct flame_shelf *shelf,
                         const struct flame_drawn *drawn, struct flame_writer *out,
                         bool *drawing)
{
    struct flame_document document;

    *drawing = false;
    if (is_the_file(shelf, drawn)) {
        return flame_shelf_get(shelf, drawn->name, out);
    }
    int error = flame_archive_read(shelf, drawn->name, &document);
    if (error == 0) {
        error = draw(shelf, drawn, &document, out, drawing);
        flame_document_free(&document);
    }
    return error;
}
