/*
 * HTTP by libcurl, which is loaded when there is something to push and only then: a
 * worker that never pushes maps neither it nor its thirty libraries.
 */
#include "middleware/push/push_parts.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT_MS 3000L
#define OPENSSL_INIT_NO_ATEXIT 0x00080000u /* <openssl/crypto.h>, 1.1.1 and later */
#define ANSWER_MAX (64u << 10)             /* of its body, of which nothing is read */

struct flame_push_client {
    CURLM *multi;
    CURL *easy;
    CURLcode (*global_init)(long);
    CURL *(*easy_new)(void);
    void (*easy_reset)(CURL *);
    CURLcode (*set)(CURL *, CURLoption, ...);
    CURLcode (*get)(CURL *, CURLINFO, ...);
    const char *(*describe)(CURLcode);
    CURLM *(*multi_new)(void);
    CURLMcode (*add)(CURLM *, CURL *);
    CURLMcode (*remove)(CURLM *, CURL *);
    CURLMcode (*perform)(CURLM *, int *);
    CURLMcode (*poll)(CURLM *, struct curl_waitfd *, unsigned, int, int *);
    CURLMsg *(*read)(CURLM *, int *);
    struct curl_slist *(*list_add)(struct curl_slist *, const char *);
    void (*list_free)(struct curl_slist *);
};

/* dlsym() hands out data pointers; POSIX says they may be copied so. */
static bool find(void *library, const char *name, void *function)
{
    void *symbol = dlsym(library, name);

    memcpy(function, &symbol, sizeof symbol);
    return symbol != NULL;
}

static bool find_all(struct flame_push_client *c, void *library)
{
    return find(library, "curl_global_init", &c->global_init) &&
           find(library, "curl_easy_init", &c->easy_new) &&
           find(library, "curl_easy_reset", &c->easy_reset) &&
           find(library, "curl_easy_setopt", &c->set) &&
           find(library, "curl_easy_getinfo", &c->get) &&
           find(library, "curl_easy_strerror", &c->describe) &&
           find(library, "curl_multi_init", &c->multi_new) &&
           find(library, "curl_multi_add_handle", &c->add) &&
           find(library, "curl_multi_remove_handle", &c->remove) &&
           find(library, "curl_multi_perform", &c->perform) &&
           find(library, "curl_multi_poll", &c->poll) &&
           find(library, "curl_multi_info_read", &c->read) &&
           find(library, "curl_slist_append", &c->list_add) &&
           find(library, "curl_slist_free_all", &c->list_free);
}

/*
 * OpenSSL below libcurl tidies up by a handler of exit(), which it registers when it is
 * first used: that may be called while it is used here, unless `at_exit`, which waits
 * for this thread, is called before it. So OpenSSL is first used without a handler,
 * which it has then only if somebody else has used it before; and whoever does so in
 * between and ends the process makes the second call fail.
 */
static bool register_last(void *library, void (*at_exit)(void))
{
    int (*initialise)(uint64_t, const void *);
    bool is_there = find(library, "OPENSSL_init_crypto", &initialise);

    if (is_there) {
        (void)initialise(OPENSSL_INIT_NO_ATEXIT, NULL);
    }
    return atexit(at_exit) == 0 &&
           (!is_there || initialise(OPENSSL_INIT_NO_ATEXIT, NULL) == 1);
}

struct flame_push_client *flame_push_client_new(void (*at_exit)(void))
{
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    struct flame_push_client *client = calloc(1, sizeof *client);

    if (library == NULL || client == NULL || !find_all(client, library) ||
        !register_last(library, at_exit) ||
        client->global_init(CURL_GLOBAL_ALL) != CURLE_OK) {
        free(client);
        return NULL;
    }
    client->multi = client->multi_new();
    client->easy = client->easy_new();
    if (client->multi == NULL || client->easy == NULL) {
        free(client);
        return NULL;
    }
    return client;
}

/* ---- one request -------------------------------------------------------------- */

static size_t ignore(char *data, size_t size, size_t count, void *context)
{
    size_t *seen = context;

    (void)data;
    *seen += size * count;
    return *seen <= ANSWER_MAX ? size * count : 0;
}

static struct curl_slist *headers_of(const struct flame_push_client *client)
{
    static const char *const lines[] = {"Content-Type: application/octet-stream",
                                        "Expect:" /* no wait for "100 Continue" */};
    struct curl_slist *list = NULL;

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct curl_slist *longer = client->list_add(list, lines[i]);
        list = longer != NULL ? longer : list;
    }
    return list;
}

/* No redirects: who answers with one is not the server that was named. No connection is
 * kept: a fork would have a part in it. */
static void prepare(const struct flame_push_client *c, const char *address,
                    const char *user, const char *token, struct flame_slice body,
                    struct curl_slist *headers, size_t *seen)
{
    c->easy_reset(c->easy);
    c->set(c->easy, CURLOPT_URL, address);
    c->set(c->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    c->set(c->easy, CURLOPT_NOSIGNAL, 1L);
    c->set(c->easy, CURLOPT_QUICK_EXIT, 1L);
    c->set(c->easy, CURLOPT_FORBID_REUSE, 1L);
    c->set(c->easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    c->set(c->easy, CURLOPT_TIMEOUT_MS, (long)FLAME_PUSH_TIMEOUT_MS);
    c->set(c->easy, CURLOPT_USERAGENT, "flameprof/" FLAME_VERSION);
    c->set(c->easy, CURLOPT_POST, 1L);
    c->set(c->easy, CURLOPT_POSTFIELDS, body.data);
    c->set(c->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.length);
    c->set(c->easy, CURLOPT_HTTPHEADER, headers);
    c->set(c->easy, CURLOPT_WRITEFUNCTION, ignore);
    c->set(c->easy, CURLOPT_WRITEDATA, seen);
    if (token != NULL) {
        c->set(c->easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        c->set(c->easy, CURLOPT_XOAUTH2_BEARER, token);
    } else if (user != NULL) {
        c->set(c->easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        c->set(c->easy, CURLOPT_USERPWD, user);
    }
}

/* False: it was stopped, or libcurl itself gave up. */
static bool transfer(const struct flame_push_client *c, bool (*stopped)(void),
                     CURLcode *result)
{
    int running = 1;
    int left;

    *result = CURLE_FAILED_INIT;
    if (c->add(c->multi, c->easy) != CURLM_OK) {
        return true;
    }
    while (c->perform(c->multi, &running) == CURLM_OK && running > 0) {
        if (stopped()) {
            return false;
        }
        if (c->poll(c->multi, NULL, 0, FLAME_PUSH_POLL_MS, NULL) != CURLM_OK) {
            break;
        }
    }
    for (CURLMsg *message; (message = c->read(c->multi, &left)) != NULL;) {
        *result = message->msg == CURLMSG_DONE ? message->data.result : *result;
    }
    c->remove(c->multi, c->easy);
    return true;
}

static enum flame_push_outcome judge(const struct flame_push_client *c, char why[200],
                                     unsigned *wait_s)
{
    curl_off_t retry_s = 0;
    long status = 0;

    c->get(c->easy, CURLINFO_RESPONSE_CODE, &status);
    c->get(c->easy, CURLINFO_RETRY_AFTER, &retry_s);
    *wait_s = retry_s > 0 && retry_s < 3600 ? (unsigned)retry_s : 0;
    if (status >= 200 && status < 300) {
        return FLAME_PUSH_DONE;
    }
    snprintf(why, 200, "it answered %ld", status);
    return status >= 500 || status == 429 || status == 408 ? FLAME_PUSH_LATER
                                                           : FLAME_PUSH_NEVER;
}

enum flame_push_outcome flame_push_post(struct flame_push_client *client,
                                        const char *address, const char *user,
                                        const char *token, struct flame_slice body,
                                        bool (*stopped)(void), char why[200],
                                        unsigned *wait_s)
{
    struct curl_slist *headers = headers_of(client);
    size_t seen = 0;
    CURLcode result;

    *wait_s = 0;
    prepare(client, address, user, token, body, headers, &seen);
    if (!transfer(client, stopped, &result)) {
        return FLAME_PUSH_STOPPED; /* the process ends: nothing is tidied up */
    }
    client->list_free(headers);
    /* Whose answer has no end has said what became of the profile at its beginning. */
    if (result == CURLE_OK || seen > ANSWER_MAX) {
        return judge(client, why, wait_s);
    }
    snprintf(why, 200, "%s", client->describe(result));
    return FLAME_PUSH_LATER;
}
