/*
 * Query strings of somebody who may ask. What comes out must be in the ranges that
 * request.h states, nothing may be asked for by a query that the doors' cheap look lets
 * pass, and no token may be shown.
 */
#include "middleware/archive/shelf.h"
#include "middleware/parts.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct flame_slice lookup(void *door_request, const char *name)
{
    static const char *const others[][2] = {{"REQUEST_METHOD", "GET"},
                                            {"REMOTE_ADDR", "127.0.0.1"},
                                            {"HTTP_HOST", "localhost"},
                                            {"SERVER_PROTOCOL", "HTTP/1.1"}};

    if (strcmp(name, "QUERY_STRING") == 0) {
        return *(const struct flame_slice *)door_request;
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (strcmp(name, others[i][0]) == 0) {
            return flame_slice_of(others[i][1]);
        }
    }
    return (struct flame_slice){NULL, 0};
}

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void check_params(const struct flame_params *params)
{
    require(params->interval_ns >= FLAME_INTERVAL_MIN_NS &&
            params->interval_ns <= FLAME_INTERVAL_MOST_NS);
    require(params->repeat >= 1 && params->repeat <= FLAME_REPEAT_MAX);
    require(params->format <= FLAME_FORMAT_GECKO);
    require(params->clock <= FLAME_CLOCK_GIL);
    require(params->title.length <= FLAME_TEXT_MAX &&
            params->subtitle.length <= FLAME_TEXT_MAX &&
            params->kept.length <= FLAME_TEXT_MAX);
}

/* One line that a terminal may see, cut where there was no room. */
static void check_sentence(const char sentence[FLAME_SENTENCE_SIZE])
{
    size_t length = strnlen(sentence, FLAME_SENTENCE_SIZE);

    require(length > 0 && length < FLAME_SENTENCE_SIZE);
    for (size_t i = 0; i < length; i++) {
        require((unsigned char)sentence[i] >= ' ' && sentence[i] != 0x7f);
    }
}

static bool is_hidden(const struct flame_params_text *token)
{
    return token->length == 3 && memcmp(token->data, "...", 3) == 0;
}

/* What counts as a token, however it is spelled, is not shown. */
static void check_that_tokens_are_hidden(struct flame_slice query)
{
    size_t size = 2 * query.length + 64;
    char *path = malloc(query.length + 2);
    char *out = malloc(size);
    struct flame_params_text token;

    memcpy(path, "/?", 2);
    if (query.length > 0) {
        memcpy(path + 2, query.data, query.length);
    }
    struct flame_slice shown =
        flame_without_token((struct flame_slice){path, query.length + 2}, out, size);
    require(shown.length >= 2 && shown.length <= size);
    if (flame_query_token((struct flame_slice){out + 2, shown.length - 2}, &token)) {
        require(token.length == 0 || is_hidden(&token));
    }
    free(path);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct flame_config config;
    static const struct flame_shelf shelf;
    char sentence[FLAME_SENTENCE_SIZE] = "";
    struct flame_params params;
    /* Of its own, so that a byte too far is seen. */
    char *copy = malloc(size + 1);
    struct flame_slice query = {copy, size};

    if (config.interval_ns == 0) {
        flame_config_init(&config);
        config.shelf = &shelf;
    }
    if (size > 0) {
        memcpy(copy, data, size);
    }
    copy = realloc(copy, size > 0 ? size : 1);
    query.data = copy;
    enum flame_decision decision =
        flame_request_decide(&config, lookup, &query, NULL, &params, sentence);
    if (decision != FLAME_ORDINARY) {
        require(flame_query_mentions_us(query));
    }
    if (decision == FLAME_MALFORMED) {
        check_sentence(sentence);
    } else if (decision != FLAME_ORDINARY) {
        check_params(&params);
    }
    check_that_tokens_are_hidden(query);
    free(copy);
    return 0;
}
