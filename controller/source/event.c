// SPDX-License-Identifier: Apache-2.0
// Counts what sources did; one family for all of them.
#include "controller/source/event.h"

#include "shared/metric.h"

static const struct gw_metric_family source_events = {
    .name = "controller_source_events_total",
    .help = "Changes of files or of objects of the API server, by what they did.",
    .type = GW_METRIC_COUNTER,
    .labels = {"result"},
};

void ctl_source_count(bool ok) {
    const struct gw_str value = ok ? GW_STR("applied") : GW_STR("refused");
    gw_metric_add(gw_metric_series(&source_events, &value), 1);
}
