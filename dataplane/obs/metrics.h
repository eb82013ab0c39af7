// SPDX-License-Identifier: Apache-2.0
// The data plane's metric families, as one table; and the series that belong to no config object.
#ifndef DP_OBS_METRICS_H
#define DP_OBS_METRICS_H

#include "shared/metric.h"

extern const struct gw_metric_family
    dp_metric_handshakes,      // tandem_tls_handshakes_total
                               // {result=full|resumed|unserved|failed|timeout}
    dp_metric_requests,        // tandem_requests_total {gateway=, route, rule, code=1xx..5xx|none}
    dp_metric_request_seconds, // tandem_request_seconds {route, rule}, histogram, observed in us
    dp_metric_bytes,           // tandem_bytes_total {direction=in|out}
    dp_metric_retries,         // tandem_upstream_retries_total {}
    dp_metric_connections,     // tandem_connections {side=downstream|upstream}, gauge
    dp_metric_connections_total, // tandem_connections_total {side}
    dp_metric_refused,           // tandem_refused_total {reason}: by status of codec and caps
    dp_metric_upstream_requests, // tandem_upstream_requests_total {endpoint}
    dp_metric_upstream_failures, // tandem_upstream_failures_total {endpoint}
    dp_metric_upstream_connects, // tandem_upstream_connects_total {endpoint}
    dp_metric_tokens,            // tandem_tokens_total {model, kind=input|output|cached,
                                 // usage=reported|estimated}
    dp_metric_llm_requests,      // tandem_llm_requests_total {model, backend,
                                 // outcome=ok|error|cut|cancelled}
    dp_metric_first_token,       // tandem_first_token_seconds {model}, histogram, observed in us
    dp_metric_mirrors,           // tandem_mirrors_total {outcome=answered|failed|slow|incomplete|
                                 // limit}
    dp_metric_snapshot_info,     // tandem_snapshot_info {version} 1
    dp_metric_snapshots,         // tandem_snapshots_total {result=applied|refused}
    dp_metric_log_dropped,       // tandem_access_log_dropped_total
    dp_metric_fiber_stack;       // tandem_fiber_stack_high_water_bytes, gauge

// Series without a config object, registered by dp_metrics_init before any worker starts.
struct dp_metrics {
    gw_metric_id bytes_in, bytes_out, retries, log_dropped, fiber_stack;
    gw_metric_id downstream, upstream, downstream_total, upstream_total;
    gw_metric_id handshakes_full, handshakes_resumed, handshakes_unserved, handshakes_failed,
        handshakes_timeout;
    gw_metric_id snapshots_applied, snapshots_refused;
};
extern struct dp_metrics dp_metrics;
void dp_metrics_init(void);

#endif
