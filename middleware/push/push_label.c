/* Where profiles are pushed to, and under which labels. */
#include "middleware/push/push_parts.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "middleware/access/private.h"

#define URL_MAX 1000u
#define SERVICE_MAX 100u
#define CREDENTIALS_MAX 4000u

/* ---- the target --------------------------------------------------------------- */

static int keep(char **kept, const char *text, size_t length)
{
    char *copy = strndup(text, length);

    if (copy == NULL) {
        return -ENOMEM;
    }
    free(*kept);
    *kept = copy;
    return 0;
}

static bool begins(struct flame_slice text, const char *with)
{
    size_t length = strlen(with);

    return text.length > length && strncasecmp(text.data, with, length) == 0;
}

/* "%40" as "@", in place. */
static void decode(char *text)
{
    char *to = text;
    unsigned byte;

    for (; *text != '\0'; text++) {
        if (*text == '%' && isxdigit((unsigned char)text[1]) &&
            isxdigit((unsigned char)text[2]) && sscanf(text + 1, "%2x", &byte) == 1) {
            *to++ = (char)byte;
            text += 2;
        } else {
            *to++ = *text;
        }
    }
    *to = '\0';
}

int flame_push_set_url(struct flame_push_target *target, struct flame_slice url)
{
    size_t scheme = begins(url, "https://") ? 8 : begins(url, "http://") ? 7 : 0;

    for (size_t i = 0; i < url.length; i++) {
        if (url.data[i] <= ' ' || url.data[i] >= 0x7f ||
            strchr("?#\"\\", url.data[i])) {
            return -EINVAL;
        }
    }
    while (url.length > scheme && url.data[url.length - 1] == '/') {
        url.length--;
    }
    if (scheme == 0 || url.length > URL_MAX || url.length <= scheme) {
        return -EINVAL;
    }
    const char *host = url.data + scheme;
    const char *end = url.data + url.length;
    const char *slash = memchr(host, '/', (size_t)(end - host));
    const char *at = memrchr(host, '@', (size_t)((slash == NULL ? end : slash) - host));
    char *bare = NULL;
    if (at != NULL && target->token == NULL) {
        if (keep(&target->user, host, (size_t)(at - host)) != 0) {
            return -ENOMEM;
        }
        decode(target->user);
    }
    host = at == NULL ? host : at + 1;
    if (host == end || *host == '/' || *host == ':') {
        return -EINVAL;
    }
    if (asprintf(&bare, "%.*s%.*s", (int)scheme, url.data, (int)(end - host), host) <
        0) {
        return -ENOMEM;
    }
    free(target->url);
    target->url = bare;
    return 0;
}

/* As the servers' own rule for names has it. */
int flame_push_set_service(struct flame_push_target *target, struct flame_slice name)
{
    if (name.length == 0 || name.length > SERVICE_MAX) {
        return -EINVAL;
    }
    for (size_t i = 0; i < name.length; i++) {
        unsigned char c = (unsigned char)name.data[i];
        if (c >= 0x80 || (!isalnum(c) && (c == '\0' || strchr("-./_", c) == NULL))) {
            return -EINVAL;
        }
    }
    return keep(&target->service, name.data, name.length);
}

/* One line; its length, or 0. */
static size_t read_line(const char *path, char line[CREDENTIALS_MAX])
{
    const char *why; /* the table's sentence has it all */
    ssize_t got = flame_private_read(path, line, CREDENTIALS_MAX - 1, &why);

    line[got > 0 ? got : 0] = '\0';
    size_t length = strcspn(line, "\r\n");
    bool more = strspn(line + length, "\r\n") != strlen(line + length);
    line[length] = '\0';
    return more || strlen(line) != length || got == CREDENTIALS_MAX - 1 ? 0 : length;
}

int flame_push_set_credentials(struct flame_push_target *target,
                               struct flame_slice path)
{
    static const char bearer[] = "Bearer ";
    char line[CREDENTIALS_MAX];
    char *name = strndup(path.data, path.length);
    int error = -EINVAL;

    if (name == NULL) {
        return -ENOMEM;
    }
    size_t length = read_line(name, line);
    size_t prefix = sizeof bearer - 1;
    bool is_token = strncmp(line, bearer, prefix) == 0 && length > prefix;
    if (is_token) {
        error = keep(&target->token, line + prefix, length - prefix);
    } else if (length > 0 && strchr(line, ':') != NULL) {
        error = keep(&target->user, line, length);
    }
    if (error == 0) {
        char **other = is_token ? &target->user : &target->token;
        free(*other);
        *other = NULL;
    }
    explicit_bzero(line, sizeof line);
    free(name);
    return error;
}

void flame_push_target_free(struct flame_push_target *target)
{
    free(target->url);
    free(target->service);
    free(target->user);
    free(target->token);
    *target = (struct flame_push_target){NULL, NULL, NULL, NULL};
}

/* ---- the path's pattern -------------------------------------------------------- */

/* Of a part of a path: what kinds of characters are in it. */
struct kinds {
    size_t digits, hex_letters, dashes, others;
};

static struct kinds kinds_of(struct flame_slice part)
{
    struct kinds kinds = {0, 0, 0, 0};

    for (size_t i = 0; i < part.length; i++) {
        unsigned char c = (unsigned char)part.data[i];
        kinds.digits += isdigit(c) != 0;
        kinds.hex_letters += !isdigit(c) && isxdigit(c);
        kinds.dashes += c == '-';
        kinds.others += !isxdigit(c) && c != '-';
    }
    return kinds;
}

/* A number, eight hexadecimal digits or more, a UUID; or so long, with digits in it,
 * that it may be a token. */
static bool is_id(struct flame_slice part)
{
    struct kinds kinds = kinds_of(part);
    bool is_hex = kinds.others == 0 && kinds.digits > 0;

    return (is_hex && kinds.hex_letters == 0 && kinds.dashes == 0) ||
           (is_hex && part.length >= 8) || (kinds.digits > 0 && part.length >= 20);
}

struct pattern {
    char *text;
    size_t used;
};

static void append(struct pattern *pattern, const char *text, size_t length)
{
    for (size_t i = 0; i < length && pattern->used < FLAME_PUSH_LABEL_MAX; i++) {
        unsigned char c = (unsigned char)text[i];
        bool may = c > ' ' && c < 0x7f && strchr(",{}=\"\\", c) == NULL;
        pattern->text[pattern->used++] = may ? (char)c : '_';
    }
}

/* "order-12345.html" as "order-:id.html"; "v2" stays. */
static void append_part(struct pattern *pattern, struct flame_slice part)
{
    size_t from = 0;

    while (from < part.length) {
        size_t digits = 0;
        while (from + digits < part.length &&
               isdigit((unsigned char)part.data[from + digits])) {
            digits++;
        }
        if (digits >= 3) {
            append(pattern, ":id", 3);
        } else {
            append(pattern, part.data + from, digits > 0 ? digits : 1);
        }
        from += digits > 0 ? digits : 1;
    }
}

void flame_push_pattern(struct flame_slice path, char out[FLAME_PUSH_LABEL_MAX + 1])
{
    const char *query = path.length == 0 ? NULL : memchr(path.data, '?', path.length);
    struct pattern pattern = {out, 0};
    size_t end = query == NULL ? path.length : (size_t)(query - path.data);

    for (size_t at = 0; at < end;) {
        struct flame_slice part = {path.data + at, 0};
        while (at + part.length < end && part.data[part.length] != '/') {
            part.length++;
        }
        if (part.length > 0 && is_id(part)) {
            append(&pattern, ":id", 3);
        } else {
            append_part(&pattern, part);
        }
        at += part.length;
        if (at < end) {
            append(&pattern, "/", 1);
            at++;
        }
    }
    out[pattern.used] = '\0';
}

/* ---- the address --------------------------------------------------------------- */

static bool is_plain(unsigned char c)
{
    return isalnum(c) || c == '-' || c == '.' || c == '_' || c == '~' || c == '/';
}

/* Into a query's value. */
static void write_encoded(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (is_plain(c)) {
            fputc(c, out);
        } else {
            fprintf(out, "%%%02X", c);
        }
    }
}

char *flame_push_address(const struct flame_push_target *target,
                         struct flame_slice path, int64_t from, int64_t until)
{
    char pattern[FLAME_PUSH_LABEL_MAX + 1];
    char host[FLAME_PUSH_LABEL_MAX + 1] = "";
    char *address = NULL;
    size_t size;
    FILE *out = open_memstream(&address, &size);

    if (out == NULL) {
        return NULL;
    }
    flame_push_pattern(path, pattern);
    (void)gethostname(host, sizeof host - 1);
    fprintf(out, "%s/ingest?name=", target->url);
    write_encoded(out, target->service != NULL ? target->service : "flameprof");
    write_encoded(out, "{path=");
    write_encoded(out, pattern);
    write_encoded(out, ",host=");
    write_encoded(out, host);
    write_encoded(out, "}");
    fprintf(out, "&from=%" PRId64 "&until=%" PRId64 "&format=pprof&spyName=flameprof",
            from, until);
    if (fclose(out) != 0) {
        free(address);
        return NULL;
    }
    return address;
}
