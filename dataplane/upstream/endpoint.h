// SPDX-License-Identifier: Apache-2.0
// One address that requests can be sent to, shared by all routes, workers and configs: its load and
// health live here and survive a config swap. Interned by (host, port, tls, server name).
#ifndef DP_UPSTREAM_ENDPOINT_H
#define DP_UPSTREAM_ENDPOINT_H

#include "shared/metric.h"
#include "shared/str.h"

#include <stdatomic.h>
#include <sys/socket.h>

#define DP_WORKERS_MAX 64

struct dp_pool; // upstream/pool.h: connections of one worker to one endpoint

struct dp_endpoint {
    atomic_uint refs;      // everybody: configs, pools, requests
    atomic_uint conf_refs; // configs alone; 0: idle connections are closed soon
    char *host;            // an IP address, or a name where `named`
    uint16_t port;
    struct gw_str label;          // "127.0.0.1:9001", for logs and metrics
    bool named;                   // resolved by upstream/dns.h before each connect
    bool tls;                     // verified against host
    struct sockaddr_storage addr; // where !named
    socklen_t addr_len;
    // Balancing: requests under way, and a decaying mean of time to first byte.
    atomic_uint active;
    atomic_uint latency_us; // 0: it never answered
    atomic_uint sampled_ms; // when the mean was last renewed; wraps
    gw_metric_id requests, failures, connects;
    struct dp_pool *pools[DP_WORKERS_MAX]; // each touched by its worker alone
};

// Finds or makes. host is borrowed; named is decided by whether host is an IP address (IPv6 with or
// without brackets). Any thread. Both kinds of reference are counted for the caller.
struct dp_endpoint *dp_endpoint_intern(struct gw_str host, uint16_t port, bool tls);
void dp_endpoint_conf_unref(struct dp_endpoint *e); // drops what intern gave
struct dp_endpoint *dp_endpoint_ref(struct dp_endpoint *e);
void dp_endpoint_unref(struct dp_endpoint *e);

#endif
