/* Our answer, by the server's start_response. */
#include "middleware/module/python.h"

/* WSGI's strings hold bytes as Latin-1; anything wider is nobody's header. */
struct flame_slice flame_bytes_of(PyObject *text)
{
    if (text == NULL || !PyUnicode_Check(text) || PyUnicode_READY(text) != 0 ||
        PyUnicode_KIND(text) != PyUnicode_1BYTE_KIND) {
        return (struct flame_slice){NULL, 0};
    }
    return (struct flame_slice){(const char *)PyUnicode_1BYTE_DATA(text),
                                (size_t)PyUnicode_GET_LENGTH(text)};
}

static int add_header(PyObject *headers, const char *name, PyObject *value)
{
    PyObject *pair = value == NULL ? NULL : Py_BuildValue("(sN)", name, value);
    int result = pair == NULL ? -1 : PyList_Append(headers, pair);

    Py_XDECREF(pair);
    return result;
}

/* A header a server will take: another would cost the person the picture. */
static bool is_sendable(PyObject *text)
{
    struct flame_slice bytes = flame_bytes_of(text);

    for (size_t i = 0; i < bytes.length; i++) {
        unsigned char c = (unsigned char)bytes.data[i];
        if ((c < ' ' && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return bytes.data != NULL;
}

static bool is_kept(PyObject *pair)
{
    if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2) {
        return false;
    }
    PyObject *name = PyTuple_GET_ITEM(pair, 0);
    return is_sendable(name) && is_sendable(PyTuple_GET_ITEM(pair, 1)) &&
           !flame_header_is_dropped(flame_bytes_of(name));
}

/* The list is the application's still: any allocation can run code of its. */
static int keep_headers(PyObject *headers, PyObject *applications)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(applications); i++) {
        PyObject *pair = PyList_GET_ITEM(applications, i);
        if (is_kept(pair) && PyList_Append(headers, pair) != 0) {
            return -1;
        }
    }
    return 0;
}

static int own_headers(PyObject *headers, const struct flame_answer *answer,
                       PyObject *status)
{
    if (status != NULL && is_sendable(status)) {
        Py_INCREF(status);
        if (add_header(headers, "X-Flameprof-Status", status) != 0) {
            return -1;
        }
    }
    if (answer->runs > 0 && add_header(headers, "X-Flameprof-Runs",
                                       PyUnicode_FromFormat("%u", answer->runs)) != 0) {
        return -1;
    }
    if (answer->retry_s > 0 &&
        add_header(headers, "Retry-After",
                   PyUnicode_FromFormat("%u", answer->retry_s)) != 0) {
        return -1;
    }
    if (answer->security_policy != NULL &&
        add_header(headers, "Content-Security-Policy",
                   PyUnicode_FromString(answer->security_policy)) != 0) {
        return -1;
    }
    return add_header(headers, "Content-Type",
                      PyUnicode_FromString(answer->content_type)) != 0 ||
                   add_header(headers, "Content-Length",
                              PyUnicode_FromFormat("%zu", answer->body.length)) != 0 ||
                   add_header(headers, "Cache-Control",
                              PyUnicode_FromString("no-store")) != 0 ||
                   add_header(headers, "X-Content-Type-Options",
                              PyUnicode_FromString("nosniff")) != 0
               ? -1
               : 0;
}

PyObject *flame_reply(PyObject *start_response, struct flame_answer *answer, bool head,
                      const struct flame_said *said)
{
    PyObject *headers = PyList_New(0);
    PyObject *write = NULL;
    PyObject *result = NULL;

    if (headers != NULL &&
        (said->headers == NULL || keep_headers(headers, said->headers) == 0) &&
        own_headers(headers, answer, said->status) == 0) {
        write = PyObject_CallFunction(
            start_response, "NO",
            PyUnicode_FromFormat("%d %s", answer->status, answer->reason), headers);
    }
    if (write != NULL) {
        /* Where there was no memory for a sentence: no bytes, not None. */
        result = head ? PyList_New(0)
                      : Py_BuildValue("[N]", PyBytes_FromStringAndSize(
                                                 answer->body.data,
                                                 (Py_ssize_t)answer->body.length));
    }
    Py_XDECREF(write);
    Py_XDECREF(headers);
    flame_answer_free(answer);
    return result;
}

PyObject *flame_reply_sentence(PyObject *start_response, int status, const char *reason,
                               const char *sentence, bool head)
{
    static const struct flame_said nothing = {NULL, NULL};
    struct flame_answer answer;

    flame_answer_text(status, reason, sentence, &answer);
    return flame_reply(start_response, &answer, head, &nothing);
}
