#include "middleware/options.h"

#include "middleware/archive/archived.h"
#include "middleware/common/limits.h"
#include "middleware/slow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const struct flame_option flame_options[] = {
    {"interval", FLAME_OPTION_SECONDS, offsetof(struct flame_config, interval_ns),
     FLAME_INTERVAL_MIN_NS, FLAME_INTERVAL_MOST_NS, NULL, FLAME_INTERVAL_ACCEPTED,
     "seconds between samples when the URL has no interval= (default 0.001)"},
    {"max-seconds", FLAME_OPTION_SECONDS, offsetof(struct flame_config, max_ns),
     FLAME_MAX_NS_LEAST, FLAME_MAX_NS_MOST, NULL, FLAME_MAX_NS_ACCEPTED,
     "end a profile after that many seconds: the request runs on, but a body that "
     "still comes is closed (default 60)"},
    {"allow", FLAME_OPTION_LIST, 0, 0, 0, flame_config_allow,
     "a network such as 10.0.0.0/8, ::1 or fd00::/8",
     "network that may ask for profiles, can be given several times (default: only "
     "requests that come straight from this machine)"},
    {"dir", FLAME_OPTION_TEXT, offsetof(struct flame_config, dir), 0, 0, NULL,
     "a folder's path",
     "folder in which profiles are kept: those of requests with flamegraph_keep=1, and "
     "those cut short (default: none is kept)"},
    {"dir-profiles", FLAME_OPTION_COUNT, offsetof(struct flame_config, dir_profiles), 1,
     1000000, NULL, "a number from 1 to 1000000",
     "so many profiles are kept, the newest ones (default 1000)"},
    {"dir-bytes", FLAME_OPTION_COUNT, offsetof(struct flame_config, dir_bytes),
     UINT64_C(1) << 20, UINT64_C(1) << 40, NULL, "a size from 1M to 1024G",
     "and so much of them, in bytes (default 256M)"},
    {"url", FLAME_OPTION_TEXT, offsetof(struct flame_config, url), 0, 0, NULL,
     "a path such as " FLAME_URL,
     "path under which those who may ask see what is kept (default " FLAME_URL ")"},
    {"unsafe-methods", FLAME_OPTION_FLAG, offsetof(struct flame_config, unsafe_methods),
     0, 0, NULL, "",
     "profile POST and other methods too: what they do is done, the picture is the "
     "answer"},
    {"trusted-proxies", FLAME_OPTION_LIST, 0, 0, 0, flame_config_trust,
     "a network such as 10.0.0.0/8, ::1 or fd00::/8",
     "network of proxies whose X-Forwarded-For or Forwarded says who asks, can be "
     "given "
     "several times; then that address is compared with flameprof-allow"},
    {"secret-file", FLAME_OPTION_LIST, 0, 0, 0, flame_config_secret,
     "a file of 32 to 4096 bytes that its owner alone can read (chmod 600)",
     "file of the secret with which `flameprof sign` signs links; given twice, both "
     "are "
     "good, so that it can be changed"},
    {"off-file", FLAME_OPTION_TEXT, 0, 0, 0, flame_config_off_file, "an absolute path",
     "while this file is there nothing is profiled"},
    {"at-once", FLAME_OPTION_COUNT, offsetof(struct flame_config, at_once), 1,
     FLAME_COMMON_SLOTS, NULL, "a number from 1 to 256",
     "profiles at once in all workers (default 4)"},
    {"worker-at-once", FLAME_OPTION_COUNT,
     offsetof(struct flame_config, worker_at_once), 1, FLAME_SESSIONS_MAX, NULL,
     "a number from 1 to 64", "profiles at once in one worker (default 2)"},
    {"per-minute", FLAME_OPTION_COUNT, offsetof(struct flame_config, per_minute), 1,
     FLAME_PER_MINUTE_MOST, NULL, "a number from 1 to 1000000",
     "profiles begun in a minute in all workers (default 60)"},
    {"min-interval", FLAME_OPTION_SECONDS,
     offsetof(struct flame_config, least_interval_ns), FLAME_INTERVAL_MIN_NS,
     FLAME_INTERVAL_MOST_NS, NULL, FLAME_INTERVAL_ACCEPTED,
     "shortest interval= that may be asked for (default 0.0001)"},
    {"max-profile-bytes", FLAME_OPTION_COUNT,
     offsetof(struct flame_config, max_profile_bytes), FLAME_BYTES_LEAST,
     FLAME_PROFILE_BYTES_MOST, NULL, "bytes from 16M to 1G",
     "memory of one profile, with the threads and greenlets it watches (default 96M)"},
    {"max-picture-bytes", FLAME_OPTION_COUNT,
     offsetof(struct flame_config, max_picture_bytes), FLAME_PICTURE_BYTES_LEAST,
     FLAME_PICTURE_BYTES_MOST, NULL, "bytes from 64K to 1G",
     "largest answer, in whatever format (default 32M)"},
    {"full-paths", FLAME_OPTION_FLAG, offsetof(struct flame_config, names.full_paths),
     0, 0, NULL, NULL,
     "tell the files' whole paths (default: from the package or the project on)"},
    {"redact", FLAME_OPTION_LIST, 0, 0, 0, flame_config_redact, FLAME_REDACT_ACCEPTED,
     "show these functions as [redacted]: \"name\", \"name (file)\" or \"* "
     "(folder/)\", "
     "can be given several times"},
    {"push", FLAME_OPTION_TEXT, 0, 0, 0, flame_config_push, FLAME_PUSH_ACCEPTED,
     "send profiles to this Pyroscope-compatible server, too (default: nowhere)"},
    {"push-service", FLAME_OPTION_TEXT, 0, 0, 0, flame_config_push_service,
     FLAME_PUSH_SERVICE_ACCEPTED, "under this name (default flameprof)"},
    {"push-credentials", FLAME_OPTION_TEXT, 0, 0, 0, flame_config_push_credentials,
     FLAME_PUSH_CREDENTIALS_ACCEPTED,
     "file with user:password or \"Bearer TOKEN\" for it"},
    {"slower-than", FLAME_OPTION_SECONDS, offsetof(struct flame_config, slower_than_ns),
     FLAME_SLOW_INTERVAL_LEAST_NS, FLAME_MAX_NS_MOST, NULL, FLAME_MAX_NS_ACCEPTED,
     "watch every request, and keep the profiles of those that take longer than so "
     "many "
     "seconds (default: none is watched)"},
    {"on-error", FLAME_OPTION_FLAG, offsetof(struct flame_config, on_error), 0, 0, NULL,
     NULL,
     "watch every request, and keep the profiles of those that are answered with a "
     "status of 500 or more, or raise an exception"},
    {"slow-interval", FLAME_OPTION_SECONDS,
     offsetof(struct flame_config, slow_interval_ns), FLAME_SLOW_INTERVAL_LEAST_NS,
     FLAME_INTERVAL_MOST_NS, NULL, FLAME_SLOW_INTERVAL_ACCEPTED,
     "seconds between samples of the requests watched, until one is slow "
     "(default 0.02)"},
    {"slow-per-minute", FLAME_OPTION_COUNT,
     offsetof(struct flame_config, slow_per_minute), 1, 1000000, NULL,
     "a number from 1 to 1000000",
     "of the slow or failed requests of a process so many are kept in a minute "
     "(default 30)"},
    {NULL, FLAME_OPTION_FLAG, 0, 0, 0, NULL, NULL, NULL},
};

int flame_config_push(struct flame_config *config, struct flame_slice url)
{
    return flame_push_set_url(&config->push, url);
}

int flame_config_push_service(struct flame_config *config, struct flame_slice name)
{
    return flame_push_set_service(&config->push, name);
}

int flame_config_push_credentials(struct flame_config *config, struct flame_slice path)
{
    return flame_push_set_credentials(&config->push, path);
}

bool flame_option_is_secret(const struct flame_option *option)
{
    return option->add == flame_config_push;
}

static void *field(struct flame_config *config, const struct flame_option *option)
{
    return (char *)config + option->offset;
}

const void *flame_option_value(const struct flame_config *config,
                               const struct flame_option *option)
{
    return (const char *)config + option->offset;
}

int flame_option_set_number(struct flame_config *config,
                            const struct flame_option *option, uint64_t value)
{
    if (value < option->least || value > option->most) {
        return -EINVAL;
    }
    *(uint64_t *)field(config, option) = value;
    return 0;
}

void flame_option_set_flag(struct flame_config *config,
                           const struct flame_option *option, bool on)
{
    *(bool *)field(config, option) = on;
}

/* "64M" */
static int read_count(struct flame_slice text, uint64_t *count)
{
    static const char units[] = "KMG";
    size_t digits = text.length;
    unsigned shift = 0;

    for (unsigned unit = 0; text.length > 0 && units[unit] != '\0'; unit++) {
        if (text.data[text.length - 1] == units[unit]) {
            shift = 10 * (unit + 1);
            digits = text.length - 1;
        }
    }
    if (digits == 0) {
        return -EINVAL;
    }
    *count = 0;
    for (size_t i = 0; i < digits; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' ||
            __builtin_mul_overflow(*count, UINT64_C(10), count) ||
            __builtin_add_overflow(*count, (uint64_t)(text.data[i] - '0'), count)) {
            return -EINVAL;
        }
    }
    return __builtin_mul_overflow(*count, UINT64_C(1) << shift, count) ? -EINVAL : 0;
}

/* "2", "2s", "20ms" */
static int read_seconds(struct flame_slice text, uint64_t *ns)
{
    uint64_t unit = 1; /* parts of a second */

    if (text.length > 1 && text.data[text.length - 1] == 's') {
        text.length--;
        if (text.data[text.length - 1] == 'm') {
            text.length--;
            unit = 1000;
        }
    }
    int error = flame_parse_seconds(text, ns);
    *ns /= unit;
    return error;
}

/* As the configuration's own. */
static int keep_text(char **kept, struct flame_slice value)
{
    if (value.length == 0 || memchr(value.data, '\0', value.length) != NULL) {
        return -EINVAL;
    }
    char *text = strndup(value.data, value.length);
    if (text == NULL) {
        return -ENOMEM;
    }
    free(*kept);
    *kept = text;
    return 0;
}

int flame_option_set_text(struct flame_config *config,
                          const struct flame_option *option, struct flame_slice value)
{
    uint64_t number = 0;
    int error = 0;

    if (option->add != NULL) {
        return option->add(config, value);
    }
    switch (option->kind) {
    case FLAME_OPTION_TEXT:
        return keep_text(field(config, option), value);
    case FLAME_OPTION_SECONDS:
        error = read_seconds(value, &number);
        break;
    case FLAME_OPTION_COUNT:
        error = read_count(value, &number);
        break;
    case FLAME_OPTION_FLAG:
    case FLAME_OPTION_LIST:
        return -EINVAL;
    }
    return error != 0 ? error : flame_option_set_number(config, option, number);
}

void flame_options_free(struct flame_config *config)
{
    for (const struct flame_option *option = flame_options; option->name != NULL;
         option++) {
        if (option->kind == FLAME_OPTION_TEXT && option->add == NULL) {
            char **text = field(config, option);
            free(*text);
            *text = NULL;
        }
    }
}
