#include "plugin/metrics.h"

#include "middleware/common/common.h"

#include <uwsgi.h>

#include <stdio.h>
#include <string.h>

/* uWSGI's default, which it does not name: how often a value is read, in seconds. */
#define EVERY_SECOND 1

static int64_t running(struct uwsgi_metric *metric)
{
    (void)metric;
    return flame_common_running(flame_common_here());
}

static void add(const char *name, uint8_t type, const char *collector, void *data)
{
    char metric[64];
    snprintf(metric, sizeof(metric), "flameprof.%s", name);
    uwsgi_register_metric(metric, NULL, type, (char *)(uintptr_t)collector, data,
                          EVERY_SECOND, NULL);
}

void flame_metrics_register(void)
{
    const struct flame_common *common = flame_common_here();
    for (unsigned i = 0; i < FLAME_COUNTERS; i++) {
        add(flame_counter_name(i), UWSGI_METRIC_COUNTER, "ptr",
            (void *)(uintptr_t)flame_counter_address(common, i));
    }
    uwsgi_register_metric_collector("flameprof", running);
    add("running", UWSGI_METRIC_GAUGE, "flameprof", NULL);
}
