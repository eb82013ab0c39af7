// SPDX-License-Identifier: Apache-2.0
// Counters, gauges and histograms in Prometheus text format. A series is registered once under a
// mutex and gets an id; adding to it is a plain add in a shard of the calling thread (no lock, no
// shared cache line); scraping sums the shards. Series are never removed; at GW_METRIC_SERIES_MAX
// further ones of a family fall into one series whose label values are all "other".
#ifndef GW_SHARED_METRIC_H
#define GW_SHARED_METRIC_H

#include "shared/str.h"

// Of seven for each rule of 28,000. A series costs some 200 bytes and 8 a slot and shard, once it
// is registered: 200,000 series are some 50 MiB.
#define GW_METRIC_SERIES_MAX 200000
#define GW_METRIC_LABELS_MAX 6

enum gw_metric_type { GW_METRIC_COUNTER, GW_METRIC_GAUGE, GW_METRIC_HISTOGRAM };

// One family; static const, so that the list of a program's metrics is a table.
struct gw_metric_family {
    const char *name, *help;
    enum gw_metric_type type;
    const char *labels[GW_METRIC_LABELS_MAX + 1]; // NULL-terminated label names
    // Histograms observe integers in `unit` parts (1000000 with observed microseconds gives
    // seconds) and have ascending bucket bounds in observed units, 0-terminated.
    double unit;
    const uint64_t *buckets;
};

typedef uint32_t gw_metric_id; // 0 is "none": adding to it does nothing

// values: one per label, copied. Same family and values: same id. Any thread.
gw_metric_id gw_metric_series(const struct gw_metric_family *f, const struct gw_str *values);
void gw_metric_add(gw_metric_id id, int64_t n);          // counter, gauge
void gw_metric_set(gw_metric_id id, int64_t value);      // gauge kept by one thread
void gw_metric_observe(gw_metric_id id, uint64_t value); // histogram
int64_t gw_metric_get(gw_metric_id id);                  // sum over shards (histogram: count)

// Called by the scraper just before output, to set gauges from outside facts.
void gw_metric_on_scrape(void (*fn)(void *), void *arg);
void gw_metric_text(struct gw_text *out); // whole exposition, families sorted by name

#endif
