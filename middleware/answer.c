/* What goes back to the person who asked. */
#include "middleware/archive/archive.h"
#include "middleware/common/common.h"
#include "middleware/parts.h"
#include "renderer/writer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The last of them would let another site read the picture that it made a browser of
 * somebody who may ask for. */
const char *const flame_dropped_headers[] = {
    "Content-Length",
    "Content-Type",
    "Content-Encoding",
    "Transfer-Encoding",
    "ETag",
    "Last-Modified",
    "Accept-Ranges",
    "Content-Range",
    "Content-Disposition",
    "Content-Language",
    "Content-Location",
    "Content-MD5",
    "Content-Security-Policy",
    "Content-Security-Policy-Report-Only",
    "Digest",
    "Content-Digest",
    "Repr-Digest",
    "Cache-Control",
    "Expires",
    "Pragma",
    "Age",
    "Refresh",
    "Link",
    "Location",
    "Trailer",
    "X-Content-Type-Options",
    "X-Flameprof-Runs",
    "X-Flameprof-Status",
    "X-Sendfile",
    "X-Accel-Redirect",
    "X-Accel-Buffering",
    "X-Accel-Charset",
    "X-Accel-Expires",
    "X-Accel-Limit-Rate",
    "Timing-Allow-Origin",
    "Access-Control-Allow-Origin",
    "Access-Control-Allow-Credentials",
    "Access-Control-Expose-Headers",
    NULL,
};

bool flame_header_is_dropped(struct flame_slice name)
{
    for (const char *const *dropped = flame_dropped_headers; *dropped != NULL;
         dropped++) {
        if (strlen(*dropped) == name.length &&
            strncasecmp(*dropped, name.data, name.length) == 0) {
            return true;
        }
    }
    return false;
}

uint64_t flame_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

void flame_answer_text(int status, const char *reason, const char *sentence,
                       struct flame_answer *answer)
{
    size_t length = strlen(sentence);

    *answer = (struct flame_answer){.status = status,
                                    .reason = reason,
                                    .content_type = "text/plain; charset=utf-8"};
    answer->body.data = malloc(length + 1);
    if (answer->body.data != NULL) {
        memcpy(answer->body.data, sentence, length);
        answer->body.data[length] = '\n';
        answer->body.length = length + 1;
        answer->body.capacity = length + 1;
    }
}

/* At most `size - 1` bytes of each, cut at a code point by the renderer. */
static int width(struct flame_slice text)
{
    return text.length < 1000 ? (int)text.length : 1000;
}

bool flame_runs_again(const struct flame_params *params, unsigned runs,
                      uint64_t begun_ns, uint64_t ends_ns)
{
    uint64_t now = flame_now_ns();

    return runs < params->repeat && now + (now - begun_ns) / runs < ends_ns;
}

/* "200 OK, called 37 of 50 times, uWSGI 2.0.21", as far as there is something. */
static size_t write_subtitle(const struct flame_params *params,
                             const struct flame_outcome *outcome, char *out,
                             size_t size)
{
    char runs[64] = "";
    struct flame_slice said;
    size_t used = 0;

    if (params->repeat > 1) {
        snprintf(runs, sizeof runs, "called %u of %u times", outcome->runs,
                 params->repeat);
    }
    said = (struct flame_slice){runs, strlen(runs)};
    const struct flame_slice parts[] = {outcome->status, said,
                                        params->lines
                                            ? (struct flame_slice){"split by line", 13}
                                            : (struct flame_slice){"", 0},
                                        outcome->server};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].length > 0) {
            int length = snprintf(out + used, size - used, "%s%.*s",
                                  used > 0 ? ", " : "", width(parts[i]), parts[i].data);
            used += (size_t)length;
        }
    }
    return used;
}

#define TOKEN "flamegraph_token="

/* Where a token's pair that begins at `at` ends; `at`: none begins there. */
static size_t token_end(struct flame_slice path, size_t at)
{
    if (at == 0 || (path.data[at - 1] != '?' && path.data[at - 1] != '&')) {
        return at;
    }
    const char *begin = path.data + at;
    const char *stop = memchr(begin, '&', path.length - at);
    size_t length = stop == NULL ? path.length - at : (size_t)(stop - begin);

    return flame_query_is_token((struct flame_slice){begin, length}) ? at + length : at;
}

struct flame_slice flame_without_token(struct flame_slice path, char *out, size_t size)
{
    size_t used = 0;

    for (size_t i = 0; i < path.length && used + sizeof TOKEN + 3 < size;) {
        size_t end = token_end(path, i);
        if (end == i) {
            out[used++] = path.data[i++];
            continue;
        }
        memcpy(out + used, TOKEN "...", sizeof TOKEN + 2);
        used += sizeof TOKEN + 2;
        i = end;
    }
    return (struct flame_slice){out, used};
}

/* The tree goes where profiles are sent, or nowhere. */
static void part_with(struct flame_tree *tree, const struct flame_profile *profile,
                      const struct flame_params *params,
                      const struct flame_outcome *outcome)
{
    const struct flame_pushed pushed = {.method = outcome->method,
                                        .path = outcome->path,
                                        .status = outcome->status,
                                        .raised = outcome->raised,
                                        .quality = profile->quality,
                                        .clock = params->clock};

    if (params->push != NULL && params->push->url != NULL) {
        flame_push(params->push, tree, &pushed);
    } else {
        flame_tree_free(tree);
    }
}

/* The tree, or what has changed to it. */
static int draw_tree(const struct flame_tree *tree, const struct flame_params *params,
                     struct flame_picture_options *options, struct flame_writer *body)
{
    struct flame_writer subtitle = {0};
    int error = 0;

    if (params->diff.length == 0) {
        return flame_render(params->format, tree, options, body);
    }
    flame_write_bytes(&subtitle, options->subtitle.data, options->subtitle.length);
    struct flame_tree *difference = flame_archive_difference(
        params->archive, (struct flame_slice){params->diff.data, params->diff.length},
        tree, params->clock, &subtitle, &error);
    if (difference != NULL) {
        options->subtitle = (struct flame_slice){subtitle.data, subtitle.length};
        error = flame_render(params->format, difference, options, body);
    }
    flame_tree_free(difference);
    flame_writer_free(&subtitle);
    return error;
}

static int draw(const struct flame_profile *profile, const struct flame_params *params,
                const struct flame_outcome *outcome, struct flame_writer *body)
{
    char title[2200];
    char path[1100];
    char subtitle[2200];
    char warning[1200];
    struct flame_picture_options options = params->picture;
    int length;

    options.quality = &profile->quality;
    options.clock = params->clock;

    struct flame_slice shown = flame_without_token(outcome->path, path, sizeof path);
    length = snprintf(title, sizeof title, "%.*s %.*s", width(outcome->method),
                      outcome->method.data, width(shown), shown.data);
    options.title = (struct flame_slice){title, (size_t)length};
    options.subtitle = (struct flame_slice){
        subtitle, write_subtitle(params, outcome, subtitle, sizeof subtitle)};
    if (params->title.length != 0) {
        options.title = (struct flame_slice){params->title.data, params->title.length};
    }
    if (params->subtitle.length != 0) {
        options.subtitle =
            (struct flame_slice){params->subtitle.data, params->subtitle.length};
    }
    if (outcome->raised.length > 0) {
        length = snprintf(warning, sizeof warning, "The application raised %.*s.",
                          width(outcome->raised), outcome->raised.data);
        options.warning = (struct flame_slice){warning, (size_t)length};
    }
    struct flame_tree *tree = flame_tree_from_profile(profile, params->clock);
    if (tree == NULL) {
        return -ENOMEM;
    }
    int error = draw_tree(tree, params, &options, body);
    part_with(tree, profile, params, outcome);
    return error;
}

static struct flame_answer answer_of(enum flame_format format, struct flame_writer body)
{
    return (struct flame_answer){.status = 200,
                                 .reason = "OK",
                                 .content_type = flame_format_content_type(format),
                                 .security_policy =
                                     flame_format_has_script(format)
                                         ? flame_svg_content_security_policy()
                                         : NULL,
                                 .body = body};
}

static const char *drawing_error(int error)
{
    return error == -E2BIG ? "The picture would be larger than allowed "
                             "(max-picture-bytes): a larger "
                             "flamegraph_smallest= or another format makes it smaller."
                           : flame_render_error(error);
}

static void count_picture(int error, size_t bytes, uint64_t ns)
{
    if (error == 0) {
        flame_count(FLAME_COUNT_PICTURES, 1);
        flame_count(FLAME_COUNT_PICTURES_BYTES, bytes);
    } else if (error == -E2BIG) {
        flame_count(FLAME_COUNT_PICTURES_TOO_LARGE, 1);
    }
    flame_count(FLAME_COUNT_PICTURES_NS, ns);
}

void flame_answer_make(const struct flame_profile *profile,
                       const struct flame_params *params,
                       const struct flame_outcome *outcome, struct flame_answer *answer)
{
    uint64_t begun = flame_now_ns();
    struct flame_writer body = {.limit = params->max_bytes};
    int error = draw(profile, params, outcome, &body);

    if (error == 0) {
        *answer = answer_of(params->format, body);
    } else {
        flame_writer_free(&body);
        flame_answer_text(500, "Internal Server Error", drawing_error(error), answer);
    }
    answer->runs = params->repeat > 1 ? outcome->runs : 0;
    answer->drawing_ns = flame_now_ns() - begun;
    count_picture(error, answer->body.length, answer->drawing_ns);
}

void flame_answer_kept(const struct flame_shelf *shelf,
                       const struct flame_params *params, struct flame_answer *answer)
{
    struct flame_picture_options options = params->picture;
    struct flame_writer body = {.limit = params->max_bytes};
    uint64_t begun = flame_now_ns();
    bool drawing;

    options.title = (struct flame_slice){params->title.data, params->title.length};
    options.subtitle =
        (struct flame_slice){params->subtitle.data, params->subtitle.length};
    const struct flame_drawn drawn = {
        .name = {params->kept.data, params->kept.length},
        .before = {params->diff.data, params->diff.length},
        .format = params->format,
        .clock = params->clock,
        .options = &options};
    int error = flame_archive_render(shelf, &drawn, &body, &drawing);
    if (drawing) {
        count_picture(error, body.length, flame_now_ns() - begun);
    }
    if (error == 0) {
        *answer = answer_of(params->format, body);
        return;
    }
    flame_writer_free(&body);
    if (drawing) {
        flame_answer_text(500, "Internal Server Error", drawing_error(error), answer);
    } else {
        flame_answer_text(404, "Not Found", flame_shelf_error(error), answer);
    }
}

void flame_answer_free(struct flame_answer *answer)
{
    flame_writer_free(&answer->body);
}

/* "1.234" of 1234: printf's %f would obey the application's locale. */
static const char *thousandths(uint64_t value, char text[32])
{
    snprintf(text, 32, "%" PRIu64 ".%03" PRIu64, value / 1000, value % 1000);
    return text;
}

void flame_answer_log(const struct flame_profile *profile,
                      const struct flame_outcome *outcome,
                      const struct flame_answer *answer, char *line, size_t size)
{
    char path[220];
    char took[32];
    char sampling[32];
    char drawing[32];
    size_t length = flame_without_token(outcome->path, path, sizeof path).length;
    const struct flame_quality *quality = &profile->quality;

    for (size_t i = 0; i < length; i++) {
        path[i] = path[i] > ' ' && path[i] < 0x7f ? path[i] : '?';
    }
    path[length] = '\0';
    snprintf(line, size,
             "[flameprof] %s: %s s, %" PRIu64 " samples, %" PRIu64
             " missed, %s ms sampling, %s ms drawing",
             path, thousandths(quality->duration_ns / 1000000, took), quality->samples,
             quality->missed, thousandths(quality->sampling_ns / 1000, sampling),
             thousandths(answer->drawing_ns / 1000, drawing));
}
