/* What the headers of an answer say, and what they become for a page with a badge. */
#include "middleware/wsgi/wsgi.h"

#include <string.h>
#include <strings.h>

static bool is(struct flame_slice text, const char *expected)
{
    return text.data != NULL && text.length == strlen(expected) &&
           strncasecmp(text.data, expected, text.length) == 0;
}

static bool begins(struct flame_slice text, const char *with)
{
    return text.length >= strlen(with) && text.data != NULL &&
           strncasecmp(text.data, with, strlen(with)) == 0;
}

/* ---- headers ----------------------------------------------------------------- */

/* Of the pair at `index`; data NULL: it is none, or not of Latin-1. */
static struct flame_slice part_of(PyObject *headers, Py_ssize_t index, Py_ssize_t part)
{
    PyObject *pair = PyList_GET_ITEM(headers, index);

    return PyTuple_Check(pair) && PyTuple_GET_SIZE(pair) == 2
               ? flame_bytes_of(PyTuple_GET_ITEM(pair, part))
               : (struct flame_slice){NULL, 0};
}

/* Its first value; data NULL: it is not there. */
static struct flame_slice header(PyObject *headers, const char *name)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(headers); i++) {
        if (is(part_of(headers, i, 0), name)) {
            return part_of(headers, i, 1);
        }
    }
    return (struct flame_slice){NULL, 0};
}

/* As PEP 3333 has them; others are left to the server. */
static bool are_plain(PyObject *headers)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(headers); i++) {
        if (part_of(headers, i, 0).data == NULL ||
            part_of(headers, i, 1).data == NULL) {
            return false;
        }
    }
    return true;
}

bool flame_headers_say_length(PyObject *headers)
{
    struct flame_slice length = header(headers, "Content-Length");
    size_t value = 0;

    for (size_t i = 0; i < length.length && value <= FLAME_PAGE_MAX; i++) {
        if (length.data[i] < '0' || length.data[i] > '9') {
            return false;
        }
        value = value * 10 + (size_t)(length.data[i] - '0');
    }
    return length.length > 0 && value <= FLAME_PAGE_MAX;
}

static bool contains(struct flame_slice text, const char *part)
{
    size_t length = strlen(part);

    for (size_t i = 0; i + length <= text.length; i++) {
        if (strncasecmp(text.data + i, part, length) == 0) {
            return true;
        }
    }
    return false;
}

/* An encoding in which a `<` is not a byte. */
static bool is_wide(struct flame_slice type)
{
    return contains(type, "utf-16") || contains(type, "utf-32");
}

/* HTML that is there as itself, for a window to show. */
bool flame_headers_are_a_page(const struct flame_said *said)
{
    struct flame_slice type = header(said->headers, "Content-Type");
    struct flame_slice encoding = header(said->headers, "Content-Encoding");

    return are_plain(said->headers) && begins(type, "text/html") && !is_wide(type) &&
           (encoding.data == NULL || is(encoding, "identity")) &&
           header(said->headers, "Transfer-Encoding").data == NULL &&
           header(said->headers, "Content-Range").data == NULL &&
           !begins(header(said->headers, "Content-Disposition"), "attachment");
}

/* Tells a shared cache more than Cache-Control does: CDN-Cache-Control and its kind. */
static bool is_for_caches(struct flame_slice name)
{
    static const char end[] = "-Cache-Control";
    size_t length = sizeof end - 1;

    return is(name, "Surrogate-Control") ||
           (name.length > length &&
            strncasecmp(name.data + name.length - length, end, length) == 0);
}

/* Of a page that was changed these would be wrong, or bring an old badge back. */
static bool is_outdated(struct flame_slice name)
{
    static const char *const outdated[] = {
        "Content-Length", "Content-MD5",   "Digest",        "Content-Digest",
        "Repr-Digest",    "ETag",          "Last-Modified", "Accept-Ranges",
        "Expires",        "Cache-Control", "Pragma",        "X-Accel-Expires",
        "Edge-Control",
    };

    for (size_t i = 0; i < sizeof outdated / sizeof outdated[0]; i++) {
        if (is(name, outdated[i])) {
            return true;
        }
    }
    return is_for_caches(name);
}

static bool is_policy(struct flame_slice name)
{
    return is(name, "Content-Security-Policy") ||
           is(name, "Content-Security-Policy-Report-Only");
}

/* Others than who asked may be answered with it. */
bool flame_headers_are_shared(PyObject *headers)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(headers); i++) {
        struct flame_slice name = part_of(headers, i, 0);
        struct flame_slice value = part_of(headers, i, 1);
        if (is_for_caches(name) || is(name, "X-Accel-Expires") ||
            (is(name, "Cache-Control") &&
             (contains(value, "public") ||
              (contains(value, "max") && !contains(value, "max-age=0"))))) {
            return true;
        }
    }
    return false;
}

int flame_headers_add(PyObject *headers, const char *name, PyObject *value)
{
    PyObject *pair = value == NULL ? NULL : Py_BuildValue("(sN)", name, value);
    int result = pair == NULL ? -1 : PyList_Append(headers, pair);

    Py_XDECREF(pair);
    return result;
}

int flame_headers_add_timing(PyObject *headers, const struct flame_badge *badge)
{
    char timing[128];

    if (badge->profile == NULL) {
        return 0;
    }
    flame_badge_timing(badge, timing, sizeof timing);
    return flame_headers_add(headers, "Server-Timing", PyUnicode_FromString(timing));
}

/* 1: added; 0: the page does not want the badge; -1: an exception. */
static int add_policy(PyObject *headers, struct flame_slice name,
                      struct flame_slice value, bool *frames)
{
    struct flame_writer changed = {0};
    int result = 0;

    if (flame_badge_policy(value, &changed, frames)) {
        PyObject *key =
            PyUnicode_DecodeLatin1(name.data, (Py_ssize_t)name.length, NULL);
        PyObject *text =
            PyUnicode_DecodeLatin1(changed.data, (Py_ssize_t)changed.length, NULL);
        PyObject *pair =
            key == NULL || text == NULL ? NULL : PyTuple_Pack(2, key, text);
        result = pair == NULL || PyList_Append(headers, pair) != 0 ? -1 : 1;
        Py_XDECREF(pair);
        Py_XDECREF(text);
        Py_XDECREF(key);
    }
    flame_writer_free(&changed);
    return result;
}

/* The headers of the page with the badge, all but those that depend on it. 1, 0 or -1
 * as add_policy(). */
int flame_headers_change(PyObject *changed, PyObject *headers, bool *frames)
{
    int result = 1;

    for (Py_ssize_t i = 0; result == 1 && i < PyList_GET_SIZE(headers); i++) {
        struct flame_slice name = part_of(headers, i, 0);
        struct flame_slice value = part_of(headers, i, 1);
        if (is_policy(name) && value.length != 0) {
            result = add_policy(changed, name, value, frames);
        } else if (!is_outdated(name) &&
                   PyList_Append(changed, PyList_GET_ITEM(headers, i)) != 0) {
            result = -1;
        }
    }
    return result;
}
