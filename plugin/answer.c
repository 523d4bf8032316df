#include "plugin/answer.h"

#include <uwsgi.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

extern struct uwsgi_server uwsgi;

/* A header as configured, "Name: value", that would spoil the answer. */
static bool spoils(const struct uwsgi_string_list *header)
{
    const char *colon = memchr(header->value, ':', header->len);
    size_t length = colon ? (size_t)(colon - header->value) : header->len;
    return flame_header_is_dropped((struct flame_slice){header->value, length});
}

/*
 * Removes headers a route added (`addheader:`) before the application ran:
 * they bypass the remove list.
 */
static void drop_added_headers(struct wsgi_request *wsgi_req)
{
    struct uwsgi_string_list **link = &wsgi_req->additional_headers;
    while (*link) {
        struct uwsgi_string_list *header = *link;
        if (!spoils(header)) {
            link = &header->next;
            continue;
        }
        *link = header->next;
        free(header->value);
        free(header);
    }
}

void flame_divert(struct wsgi_request *wsgi_req)
{
    wsgi_req->ignore_body = 1;
    /* Error and response routes would answer, redirect or add by themselves. */
    wsgi_req->is_error_routing = 1;
    wsgi_req->is_response_routing = 1;
    wsgi_req->response_routes_applied = 1;
    drop_added_headers(wsgi_req);
    for (const char *const *name = flame_dropped_headers; *name; name++) {
        uwsgi_remove_header(wsgi_req, (char *)(uintptr_t)*name,
                            (uint16_t)strlen(*name));
    }
}

bool flame_can_rewind(struct wsgi_request *wsgi_req)
{
    char chunked[] = "HTTP_TRANSFER_ENCODING";
    uint16_t length;
    return !wsgi_req->post_cl && !wsgi_req->fd_closed && !wsgi_req->headers_sent &&
           !wsgi_req->headers_size && !wsgi_req->response_size &&
           !uwsgi_get_var(wsgi_req, chunked, sizeof(chunked) - 1, &length);
}

void flame_rewind(struct wsgi_request *wsgi_req)
{
    if (wsgi_req->headers) {
        wsgi_req->headers->pos = 0;
    }
    wsgi_req->header_cnt = 0;
    wsgi_req->status = 0;
    /* What the python plugin leaves behind, and takes for its own of this run. */
    wsgi_req->async_result = NULL;
    wsgi_req->async_placeholder = NULL;
    wsgi_req->async_sendfile = NULL;
    wsgi_req->async_input = NULL;
    wsgi_req->async_environ = NULL;
    wsgi_req->sendfile_fd = -1;
}

/*
 * How long the protocol's own beginning of a status line is: "HTTP/1.1 " or
 * "Status: ". Asked from the protocol, so that each stays right.
 */
static size_t status_prefix(struct wsgi_request *wsgi_req)
{
    char status[] = "200 OK";
    struct uwsgi_buffer *line =
        wsgi_req->socket->proto_prepare_headers(wsgi_req, status, sizeof(status) - 1);
    if (!line) {
        return 0;
    }
    size_t length = line->pos;
    uwsgi_buffer_destroy(line);
    size_t rest = sizeof(status) - 1 + strlen("\r\n");
    return length > rest ? length - rest : 0;
}

struct flame_slice flame_application_status(struct wsgi_request *wsgi_req)
{
    struct flame_slice none = {NULL, 0};
    struct uwsgi_buffer *headers = wsgi_req->headers;
    if (!headers || headers->pos == 0) {
        return none;
    }
    const char *end = memmem(headers->buf, headers->pos, "\r\n", 2);
    size_t prefix = status_prefix(wsgi_req);
    if (!end || headers->buf + prefix >= end) {
        return none;
    }
    return (struct flame_slice){headers->buf + prefix,
                                (size_t)(end - headers->buf) - prefix};
}

/* The first line of what the application wrote, exchanged for ours. */
static int swap_status(struct wsgi_request *wsgi_req, char *status, size_t length)
{
    struct uwsgi_buffer *old = wsgi_req->headers;
    const char *end = memmem(old->buf, old->pos, "\r\n", 2);
    if (!end) {
        return -1;
    }
    struct uwsgi_buffer *swapped =
        wsgi_req->socket->proto_prepare_headers(wsgi_req, status, (uint16_t)length);
    if (!swapped) {
        return -1;
    }
    size_t first = (size_t)(end - old->buf) + strlen("\r\n");
    if (uwsgi_buffer_append(swapped, old->buf + first, old->pos - first)) {
        uwsgi_buffer_destroy(swapped);
        return -1;
    }
    wsgi_req->headers = swapped;
    uwsgi_buffer_destroy(old);
    return 0;
}

static int put_status(struct wsgi_request *wsgi_req, const struct flame_answer *answer)
{
    char status[128];
    int length =
        snprintf(status, sizeof(status), "%d %s", answer->status, answer->reason);
    if (length < 0 || (size_t)length >= sizeof(status)) {
        return -1;
    }
    wsgi_req->status = answer->status;
    if (wsgi_req->headers && wsgi_req->headers->pos) {
        return swap_status(wsgi_req, status, (size_t)length);
    }
    return uwsgi_response_prepare_headers(wsgi_req, status, (uint16_t)length);
}

/* By the _force calls: the others obey the list of removed headers. */
static int put_header(struct wsgi_request *wsgi_req, const char *name,
                      const char *value, size_t length)
{
    return uwsgi_response_add_header_force(wsgi_req, (char *)(uintptr_t)name,
                                           (uint16_t)strlen(name),
                                           (char *)(uintptr_t)value, (uint16_t)length);
}

static int put_text(struct wsgi_request *wsgi_req, const char *name, const char *value)
{
    return put_header(wsgi_req, name, value, strlen(value));
}

static int put_headers(struct wsgi_request *wsgi_req, const struct flame_answer *answer,
                       struct flame_slice status)
{
    char length[24];
    snprintf(length, sizeof(length), "%zu", answer->body.length);
    if (put_text(wsgi_req, "Content-Type", answer->content_type) ||
        put_text(wsgi_req, "Content-Length", length) ||
        put_text(wsgi_req, "Cache-Control", "no-store") ||
        put_text(wsgi_req, "X-Content-Type-Options", "nosniff")) {
        return -1;
    }
    if (answer->security_policy &&
        put_text(wsgi_req, "Content-Security-Policy", answer->security_policy)) {
        return -1;
    }
    char seconds[16];
    snprintf(seconds, sizeof(seconds), "%u", answer->retry_s);
    if (answer->retry_s && put_text(wsgi_req, "Retry-After", seconds)) {
        return -1;
    }
    char runs[16];
    snprintf(runs, sizeof(runs), "%u", answer->runs);
    if (answer->runs && put_text(wsgi_req, "X-Flameprof-Runs", runs)) {
        return -1;
    }
    if (status.data &&
        put_header(wsgi_req, "X-Flameprof-Status", status.data, status.length)) {
        return -1;
    }
    return 0;
}

static bool configured_headers_spoil(void)
{
    for (const struct uwsgi_string_list *header = uwsgi.additional_headers; header;
         header = header->next) {
        if (spoils(header)) {
            return true;
        }
    }
    return false;
}

static int add_harmless(struct wsgi_request *wsgi_req, struct uwsgi_string_list *header)
{
    for (; header; header = header->next) {
        if (!spoils(header) &&
            uwsgi_response_add_header(wsgi_req, NULL, 0, header->value,
                                      (uint16_t)header->len)) {
            return -1;
        }
    }
    return 0;
}

/*
 * uWSGI adds the headers of --add-header itself when it sends, unasked. Where
 * one of them would spoil the answer (a policy that forbids the picture's
 * script, say), the others are added and the headers are sent from here.
 */
static int send_headers_without_spoilers(struct wsgi_request *wsgi_req)
{
    if (add_harmless(wsgi_req, uwsgi.additional_headers) ||
        add_harmless(wsgi_req, wsgi_req->additional_headers)) {
        return -1;
    }
    if (wsgi_req->socket->proto_fix_headers(wsgi_req) ||
        uwsgi_simple_write(wsgi_req, wsgi_req->headers->buf, wsgi_req->headers->pos)) {
        return -1;
    }
    wsgi_req->write_pos = 0;
    wsgi_req->headers_size += wsgi_req->headers->pos;
    wsgi_req->headers_sent = 1;
    return 0;
}

static int send_head(struct wsgi_request *wsgi_req, const struct flame_answer *answer,
                     struct flame_slice status)
{
    /* It stands in the buffer that is replaced. */
    char kept[256];
    if (status.data) {
        status.length = status.length < sizeof(kept) ? status.length : sizeof(kept);
        memcpy(kept, status.data, status.length);
        status.data = kept;
    }
    if (wsgi_req->headers) {
        wsgi_req->headers->limit = 0;
    }
    if (put_status(wsgi_req, answer) || put_headers(wsgi_req, answer, status)) {
        return -1;
    }
    return configured_headers_spoil() ? send_headers_without_spoilers(wsgi_req) : 0;
}

int flame_send(struct wsgi_request *wsgi_req, const struct flame_answer *answer,
               bool head, struct flame_slice status)
{
    /* uwsgi.disconnect(): the descriptor can be another client's by now. The
     * core would still send the headers that were collected. */
    if (wsgi_req->fd_closed) {
        wsgi_req->headers_sent = 1;
        return -ENOTCONN;
    }
    if (wsgi_req->headers_sent || wsgi_req->headers_size || wsgi_req->response_size) {
        return -EALREADY;
    }
    if (wsgi_req->transformations) {
        uwsgi_free_transformations(wsgi_req);
        wsgi_req->transformations = NULL;
    }
    /* Nothing was sent: whatever failed was the collecting of headers. */
    wsgi_req->write_errors = 0;
    if (send_head(wsgi_req, answer, status)) {
        wsgi_req->write_errors++;
        return 0;
    }
    wsgi_req->ignore_body = 0;
    if (head || answer->body.length == 0) {
        uwsgi_response_write_headers_do(wsgi_req);
    } else {
        uwsgi_response_write_body_do(wsgi_req, answer->body.data, answer->body.length);
    }
    wsgi_req->ignore_body = 1;
    return 0;
}
