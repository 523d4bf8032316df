/*
 * Query strings of somebody who may ask. What comes out must be in the ranges that
 * request.h states, and nothing may be asked for by a query that the doors' cheap look
 * lets pass.
 */
#include "middleware/parts.h"
#include "middleware/shelf.h"

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
    free(copy);
    return 0;
}
