#include "middleware/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What the lists of ours point to, which renderer.h only lets be read. */
static void give_back(const void *memory)
{
    free((void *)(uintptr_t)memory);
}

int flame_names_redact(struct flame_names *names, struct flame_slice pattern)
{
    size_t count = 0;

    if (pattern.length == 0 || pattern.length > FLAME_REDACT_MAX ||
        memchr(pattern.data, '\0', pattern.length) != NULL) {
        return -EINVAL;
    }
    while (names->redact != NULL && names->redact[count] != NULL) {
        count++;
    }
    const char **longer =
        realloc((void *)(uintptr_t)names->redact, (count + 2) * sizeof *longer);
    if (longer == NULL) {
        return -ENOMEM;
    }
    names->redact = longer;
    longer[count] = strndup(pattern.data, pattern.length);
    longer[count + 1] = NULL;
    return longer[count] != NULL ? 0 : -ENOMEM;
}

int flame_config_redact(struct flame_config *config, struct flame_slice pattern)
{
    return flame_names_redact(&config->names, pattern);
}

/* It is `root`, or below it. */
static bool is_within(struct flame_slice path, struct flame_slice root)
{
    return path.length >= root.length &&
           memcmp(path.data, root.data, root.length) == 0 &&
           (path.length == root.length || path.data[root.length] == '/');
}

static bool is_standard(const struct flame_names *names, struct flame_slice path)
{
    for (size_t i = 0; i < names->root_count; i++) {
        if (names->roots[i].standard && is_within(path, names->roots[i].path)) {
            return true;
        }
    }
    return false;
}

void flame_names_add_root(struct flame_names *names, struct flame_slice path,
                          bool standard)
{
    while (path.length > 0 && path.data[path.length - 1] == '/') {
        path.length--;
    }
    if (path.length < 2 || path.data[0] != '/') {
        return;
    }
    char *copy = malloc(path.length);
    struct flame_root *longer = realloc((void *)(uintptr_t)names->roots,
                                        (names->root_count + 1) * sizeof *longer);
    names->roots = longer != NULL ? longer : names->roots;
    if (copy == NULL || longer == NULL) {
        free(copy);
        return;
    }
    memcpy(copy, path.data, path.length);
    longer[names->root_count] =
        (struct flame_root){{copy, path.length}, standard || is_standard(names, path)};
    names->root_count++;
}

void flame_names_free(struct flame_names *names)
{
    for (size_t i = 0; names->redact != NULL && names->redact[i] != NULL; i++) {
        give_back(names->redact[i]);
    }
    for (size_t i = 0; i < names->root_count; i++) {
        give_back(names->roots[i].path.data);
    }
    give_back(names->redact);
    give_back(names->roots);
    *names = (struct flame_names){0};
}
