#include "middleware/badge/badge.h"

#include "middleware/parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "badge_assets.h"
#include "renderer/writer.h"

/* The cookie by which somebody does not want to see it. */
#define COOKIE_OFF "flameprof_panel=off"

/* ---- the request ------------------------------------------------------------- */

static bool is(struct flame_slice text, const char *expected)
{
    return text.data != NULL && text.length == strlen(expected) &&
           strncasecmp(text.data, expected, text.length) == 0;
}

/* Where `text`, which begins with a small letter or a sign, stands in whatever case;
 * NULL: nowhere. */
static const char *find(struct flame_slice in, const char *text)
{
    size_t length = strlen(text);

    for (size_t i = 0; i + length <= in.length; i++) {
        if ((in.data[i] | ' ') == *text &&
            strncasecmp(in.data + i, text, length) == 0) {
            return in.data + i;
        }
    }
    return NULL;
}

/* Browsers say it themselves, but not to a site without TLS on another machine. */
static enum flame_purpose purpose_of(flame_lookup *lookup, void *request)
{
    struct flame_slice destination = lookup(request, "HTTP_SEC_FETCH_DEST");

    if (destination.data != NULL) {
        return is(destination, "document") || is(destination, "iframe") ||
                       is(destination, "frame")
                   ? FLAME_PAGE
               : is(destination, "empty") ? FLAME_BY_SCRIPT
                                          : FLAME_NEITHER;
    }
    if (lookup(request, "HTTP_X_REQUESTED_WITH").data != NULL) {
        return FLAME_BY_SCRIPT;
    }
    return find(lookup(request, "HTTP_ACCEPT"), "text/html") != NULL ? FLAME_PAGE
                                                                     : FLAME_NEITHER;
}

enum flame_purpose flame_badge_purpose(const struct flame_config *config,
                                       flame_lookup *lookup, void *request)
{
    /* The rules are cheap, and most are strangers; a function of the site's is asked
     * last. */
    if (config->authorize == NULL && !flame_allowed(config, lookup, request)) {
        return FLAME_NEITHER;
    }
    enum flame_purpose purpose = purpose_of(lookup, request);
    if (purpose == FLAME_NEITHER || lookup(request, FLAME_TAKEN).data != NULL ||
        is(lookup(request, "REQUEST_METHOD"), "HEAD") ||
        is(lookup(request, "HTTP_UPGRADE"), "websocket")) {
        return FLAME_NEITHER;
    }
    if (find(lookup(request, "HTTP_COOKIE"), COOKIE_OFF) != NULL &&
        !flame_query_asks_for_badge(lookup(request, "QUERY_STRING"))) {
        return FLAME_NEITHER;
    }
    return config->authorize == NULL || flame_allowed(config, lookup, request)
               ? purpose
               : FLAME_NEITHER;
}

/* ---- the policy -------------------------------------------------------------- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static struct flame_slice trimmed(struct flame_slice text)
{
    while (text.length != 0 && is_space(text.data[0])) {
        text = flame_slice_from(text, 1);
    }
    while (text.length != 0 && is_space(text.data[text.length - 1])) {
        text.length--;
    }
    return text;
}

/* Takes what stands before the next `end`, or white space if that is 0, off *rest. */
static bool next_part(struct flame_slice *rest, char end, struct flame_slice *part)
{
    size_t length = 0;

    *rest = end == 0 ? trimmed(*rest) : *rest;
    if (rest->length == 0) {
        return false;
    }
    while (length < rest->length &&
           !(end == 0 ? is_space(rest->data[length]) : rest->data[length] == end)) {
        length++;
    }
    *part = trimmed((struct flame_slice){rest->data, length});
    *rest = flame_slice_from(*rest, length + 1);
    return true;
}

/* A directive's sources; data NULL: there is none. Of two the first counts. */
static struct flame_slice sources_of(struct flame_slice policy, const char *name)
{
    struct flame_slice directive;

    while (next_part(&policy, ';', &directive)) {
        struct flame_slice rest = directive;
        struct flame_slice found;
        if (next_part(&rest, 0, &found) && is(found, name)) {
            return trimmed(rest);
        }
    }
    return (struct flame_slice){NULL, 0};
}

static bool has_source(struct flame_slice sources, const char *source)
{
    struct flame_slice one;

    while (next_part(&sources, 0, &one)) {
        if (is(one, source)) {
            return true;
        }
    }
    return false;
}

/* A nonce, a hash or 'strict-dynamic': 'unsafe-inline' then means nothing. */
static bool names_scripts(struct flame_slice sources)
{
    return find(sources, "'nonce-") != NULL || find(sources, "'sha256-") != NULL ||
           find(sources, "'sha384-") != NULL || find(sources, "'sha512-") != NULL ||
           find(sources, "'strict-dynamic'") != NULL;
}

static bool frames_allowed(struct flame_slice policy)
{
    static const char *const deciding[] = {"frame-src", "child-src", "default-src"};

    for (size_t i = 0; i < sizeof deciding / sizeof deciding[0]; i++) {
        struct flame_slice sources = sources_of(policy, deciding[i]);
        if (sources.data != NULL) {
            return has_source(sources, "'self'") || has_source(sources, "*");
        }
    }
    return true;
}

/* Which directive says what scripts may run, and its sources. */
static const char *deciding_directive(struct flame_slice policy,
                                      struct flame_slice *sources)
{
    static const char *const deciding[] = {"script-src-elem", "script-src",
                                           "default-src"};

    for (size_t i = 0; i < sizeof deciding / sizeof deciding[0]; i++) {
        *sources = sources_of(policy, deciding[i]);
        if (sources->data != NULL) {
            return deciding[i];
        }
    }
    return NULL;
}

static void write_slice(struct flame_writer *out, struct flame_slice text)
{
    flame_write_bytes(out, text.data, text.length);
}

/* One is said for scripts alone where they only had what is said for everything. */
static void write_with_hash(struct flame_writer *out, struct flame_slice policy,
                            struct flame_slice sources, bool everything)
{
    const char *end = sources.data + sources.length;
    size_t rest = (size_t)(policy.data + policy.length - end);

    if (everything) {
        write_slice(out, policy);
        flame_write_text(out, "; script-src ");
        write_slice(out, sources);
        flame_write_text(out, " '" FLAME_ASSET_BADGE_HASH "'");
        return;
    }
    flame_write_bytes(out, policy.data, (size_t)(end - policy.data));
    flame_write_text(out, " '" FLAME_ASSET_BADGE_HASH "'");
    flame_write_bytes(out, end, rest);
}

static bool allow_in(struct flame_slice policy, struct flame_writer *out, bool *frames)
{
    struct flame_slice sources;
    struct flame_slice sandbox = sources_of(policy, "sandbox");
    const char *directive = deciding_directive(policy, &sources);

    if (sandbox.data != NULL && !has_source(sandbox, "allow-scripts")) {
        return false;
    }
    *frames = *frames && frames_allowed(policy);
    if (directive == NULL ||
        (has_source(sources, "'unsafe-inline'") && !names_scripts(sources))) {
        write_slice(out, policy);
    } else if (sources.length == 0 || has_source(sources, "'none'")) {
        return false;
    } else {
        write_with_hash(out, policy, sources, strcmp(directive, "default-src") == 0);
    }
    return true;
}

bool flame_badge_policy(struct flame_slice header, struct flame_writer *out,
                        bool *frames)
{
    struct flame_slice policy;
    const char *between = "";

    while (next_part(&header, ',', &policy)) {
        flame_write_text(out, between);
        if (!allow_in(policy, out, frames)) {
            return false;
        }
        between = ", ";
    }
    return out->error == 0;
}

/* ---- the page ---------------------------------------------------------------- */

/* The last one: scripts of the page may hold others. NULL: there is none. `text`
 * begins with a sign. */
static const char *find_last(struct flame_slice in, const char *text)
{
    size_t length = strlen(text);

    for (size_t i = in.length >= length ? in.length - length + 1 : 0; i-- > 0;) {
        if (in.data[i] == *text && strncasecmp(in.data + i, text, length) == 0) {
            return in.data + i;
        }
    }
    return NULL;
}

static void write_number(struct flame_writer *out, const char *name, uint64_t value)
{
    char text[64];

    snprintf(text, sizeof text, " data-%s=\"%" PRIu64 "\"", name, value);
    flame_write_text(out, text);
}

static void write_badge(const struct flame_badge *badge, struct flame_writer *out)
{
    flame_write_text(out, "<flameprof-badge");
    if (badge->profile != NULL) {
        flame_write_text(out, " data-profile=\"");
        flame_write_text(out, badge->profile);
        flame_write_text(out, "\"");
    } else {
        flame_write_text(out, " data-problem=\"");
        flame_write_escaped(out, flame_slice_of(badge->problem), FLAME_ESCAPE_XML);
        flame_write_text(out, "\"");
    }
    write_number(out, "microseconds", badge->duration_ns / 1000);
    write_number(out, "samples", badge->samples);
    write_number(out, "frames", badge->frames);
    flame_write_text(out, "></flameprof-badge><script>");
    flame_write_bytes(out, flame_asset_badge, sizeof flame_asset_badge - 1);
    flame_write_text(out, "</script>");
}

/* Takes `text`, white space and `>` off *rest. */
static bool skip_tag(struct flame_slice *rest, const char *text)
{
    struct flame_slice after = flame_slice_from(*rest, strlen(text));

    if (find(*rest, text) != rest->data || rest->length < strlen(text)) {
        return false;
    }
    while (after.length != 0 && is_space(after.data[0])) {
        after = flame_slice_from(after, 1);
    }
    if (after.length == 0 || after.data[0] != '>') {
        return false;
    }
    *rest = flame_slice_from(after, 1);
    return true;
}

static bool skip_comment(struct flame_slice *rest)
{
    const char *end = rest->length >= 4 && memcmp(rest->data, "<!--", 4) == 0
                          ? memmem(rest->data, rest->length, "-->", 3)
                          : NULL;

    if (end == NULL) {
        return false;
    }
    *rest = flame_slice_from(*rest, (size_t)(end + 3 - rest->data));
    return true;
}

/* Nothing but the ends of body and html, white space and comments. */
static bool is_the_end(struct flame_slice rest)
{
    bool more = skip_tag(&rest, "</body");

    while (more && (rest = trimmed(rest)).length != 0) {
        more = skip_tag(&rest, "</html") || skip_comment(&rest);
    }
    return more;
}

/* None of what `open` begins is still open. */
static bool is_closed(struct flame_slice page, const char *open, const char *close)
{
    const char *last = find_last(page, open);

    return last == NULL ||
           find_last(
               (struct flame_slice){last, page.length - (size_t)(last - page.data)},
               close) != NULL;
}

/*
 * Where the body ends; NULL: that is not sure. `</body>` may be left out and stand in a
 * script, an attribute or a comment instead: what is put there would break out of it.
 */
static const char *find_end(struct flame_slice page)
{
    static const char *const holding[][2] = {
        {"<script", "</script"}, {"<style", "</style"}, {"<textarea", "</textarea"},
        {"<title", "</title"},   {"<!--", "-->"},       {"<", ">"},
    };
    const char *end = find_last(page, "</body");

    if (end == NULL) {
        return NULL;
    }
    struct flame_slice before = {page.data, (size_t)(end - page.data)};
    bool sure = is_the_end(flame_slice_from(page, before.length));
    for (size_t i = 0; sure && i < sizeof holding / sizeof holding[0]; i++) {
        sure = is_closed(before, holding[i][0], holding[i][1]);
    }
    return sure ? end : NULL;
}

bool flame_badge_insert(struct flame_slice page, const struct flame_badge *badge,
                        struct flame_writer *out)
{
    const char *end = find_end(page);

    if (end == NULL || find(page, "content-security-policy") != NULL ||
        find(page, "<flameprof-badge") != NULL) {
        return false;
    }
    size_t before = (size_t)(end - page.data);
    flame_write_bytes(out, page.data, before);
    write_badge(badge, out);
    write_slice(out, flame_slice_from(page, before));
    return out->error == 0;
}

void flame_badge_timing(const struct flame_badge *badge, char *out, size_t size)
{
    uint64_t microseconds = badge->duration_ns / 1000;

    snprintf(out, size, "flameprof;dur=%" PRIu64 ".%03" PRIu64 ";desc=\"%s\"",
             microseconds / 1000, microseconds % 1000,
             badge->profile != NULL ? badge->profile : "");
}
