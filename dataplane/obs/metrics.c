// SPDX-License-Identifier: Apache-2.0
// See metrics.h. Label order is the order of values that callers give.
#include "dataplane/obs/metrics.h"

// From a keep-alive answer on loopback to the longest that a request usually may take.
static const uint64_t request_buckets_us[] = {
    100,    250,    500,     1000,    2500,    5000,     10000,    25000,    50000, 100000,
    250000, 500000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000, 0};
// First tokens never come in microseconds.
static const uint64_t token_buckets_us[] = {1000,    5000,     10000,    25000,    50000,
                                            100000,  250000,   500000,   1000000,  2500000,
                                            5000000, 10000000, 30000000, 60000000, 0};
#define MICROSECONDS 1000000

const struct gw_metric_family dp_metric_requests = {
    .name = "tandem_requests_total",
    .help = "Requests by rule and class of the answer's status.",
    .type = GW_METRIC_COUNTER,
    .labels = {"gateway", "route", "rule", "code"},
};
const struct gw_metric_family dp_metric_request_seconds = {
    .name = "tandem_request_seconds",
    .help = "From a request's first byte to the end of its answer.",
    .type = GW_METRIC_HISTOGRAM,
    .labels = {"route", "rule"},
    .unit = MICROSECONDS,
    .buckets = request_buckets_us,
};
const struct gw_metric_family dp_metric_bytes = {
    .name = "tandem_bytes_total",
    .help = "Bytes of bodies from (in) and to (out) clients.",
    .type = GW_METRIC_COUNTER,
    .labels = {"direction"},
};
const struct gw_metric_family dp_metric_retries = {
    .name = "tandem_upstream_retries_total",
    .help = "Requests that were sent to an upstream once more.",
    .type = GW_METRIC_COUNTER,
};
const struct gw_metric_family dp_metric_connections = {
    .name = "tandem_connections",
    .help = "Open connections.",
    .type = GW_METRIC_GAUGE,
    .labels = {"side"},
};
const struct gw_metric_family dp_metric_connections_total = {
    .name = "tandem_connections_total",
    .help = "Connections that were made.",
    .type = GW_METRIC_COUNTER,
    .labels = {"side"},
};
const struct gw_metric_family dp_metric_refused = {
    .name = "tandem_refused_total",
    .help = "Requests that this data plane answered with an error of its own.",
    .type = GW_METRIC_COUNTER,
    .labels = {"reason"},
};
const struct gw_metric_family dp_metric_upstream_requests = {
    .name = "tandem_upstream_requests_total",
    .help = "Requests sent to an endpoint, retries included.",
    .type = GW_METRIC_COUNTER,
    .labels = {"endpoint"},
};
const struct gw_metric_family dp_metric_upstream_failures = {
    .name = "tandem_upstream_failures_total",
    .help = "Requests that an endpoint did not answer, or cut.",
    .type = GW_METRIC_COUNTER,
    .labels = {"endpoint"},
};
const struct gw_metric_family dp_metric_upstream_connects = {
    .name = "tandem_upstream_connects_total",
    .help = "Connections made to an endpoint.",
    .type = GW_METRIC_COUNTER,
    .labels = {"endpoint"},
};
const struct gw_metric_family dp_metric_tokens = {
    .name = "tandem_tokens_total",
    .help = "Tokens of model requests.",
    .type = GW_METRIC_COUNTER,
    .labels = {"model", "kind", "usage"},
};
const struct gw_metric_family dp_metric_llm_requests = {
    .name = "tandem_llm_requests_total",
    .help = "Model requests by how they ended.",
    .type = GW_METRIC_COUNTER,
    .labels = {"model", "backend", "outcome"},
};
const struct gw_metric_family dp_metric_first_token = {
    .name = "tandem_first_token_seconds",
    .help = "From a model request's first byte to its first token.",
    .type = GW_METRIC_HISTOGRAM,
    .labels = {"model"},
    .unit = MICROSECONDS,
    .buckets = token_buckets_us,
};
const struct gw_metric_family dp_metric_mirrors = {
    .name = "tandem_mirrors_total",
    .help = "Copies of requests for other backends, by how they ended.",
    .type = GW_METRIC_COUNTER,
    .labels = {"outcome"},
};
const struct gw_metric_family dp_metric_handshakes = {
    .name = "tandem_tls_handshakes_total",
    .help = "TLS handshakes of clients; unserved: for a name without a listener or certificate.",
    .type = GW_METRIC_COUNTER,
    .labels = {"result"},
};
const struct gw_metric_family dp_metric_snapshot_info = {
    .name = "tandem_snapshot_info",
    .help = "1 for the snapshot version that serves.",
    .type = GW_METRIC_GAUGE,
    .labels = {"version"},
};
const struct gw_metric_family dp_metric_snapshots = {
    .name = "tandem_snapshots_total",
    .help = "Snapshots received; refused: applied but for some resources.",
    .type = GW_METRIC_COUNTER,
    .labels = {"result"},
};
const struct gw_metric_family dp_metric_log_dropped = {
    .name = "tandem_access_log_dropped_total",
    .help = "Access-log lines dropped because the writer was too far behind.",
    .type = GW_METRIC_COUNTER,
};
const struct gw_metric_family dp_metric_fiber_stack = {
    .name = "tandem_fiber_stack_high_water_bytes",
    .help = "Most stack that a fiber has used, summed over workers.",
    .type = GW_METRIC_GAUGE,
};

struct dp_metrics dp_metrics;

static gw_metric_id one(const struct gw_metric_family *f, const char *value) {
    struct gw_str v = gw_str_of(value);
    return gw_metric_series(f, &v);
}

void dp_metrics_init(void) {
    dp_metrics = (struct dp_metrics){
        .bytes_in = one(&dp_metric_bytes, "in"),
        .bytes_out = one(&dp_metric_bytes, "out"),
        .retries = gw_metric_series(&dp_metric_retries, NULL),
        .log_dropped = gw_metric_series(&dp_metric_log_dropped, NULL),
        .fiber_stack = gw_metric_series(&dp_metric_fiber_stack, NULL),
        .downstream = one(&dp_metric_connections, "downstream"),
        .upstream = one(&dp_metric_connections, "upstream"),
        .downstream_total = one(&dp_metric_connections_total, "downstream"),
        .upstream_total = one(&dp_metric_connections_total, "upstream"),
        .handshakes_full = one(&dp_metric_handshakes, "full"),
        .handshakes_resumed = one(&dp_metric_handshakes, "resumed"),
        .handshakes_unserved = one(&dp_metric_handshakes, "unserved"),
        .handshakes_failed = one(&dp_metric_handshakes, "failed"),
        .handshakes_timeout = one(&dp_metric_handshakes, "timeout"),
        .snapshots_applied = one(&dp_metric_snapshots, "applied"),
        .snapshots_refused = one(&dp_metric_snapshots, "refused"),
    };
}
