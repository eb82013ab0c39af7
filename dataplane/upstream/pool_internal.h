// SPDX-License-Identifier: Apache-2.0
// What pool.c, connect.c and h2_pool.c share.
#ifndef DP_UPSTREAM_POOL_INTERNAL_H
#define DP_UPSTREAM_POOL_INTERNAL_H

#include "dataplane/upstream/pool.h"

struct dp_pool {
    struct dp_upstream *upstream;
    struct dp_endpoint *endpoint; // holds a reference
    struct dp_pool *next;
    struct dp_upconn *idle; // the most recently used first
    unsigned idle_n, live;
    struct dp_h2_pool *h2; // connections that speak HTTP/2; NULL: none was wanted
};

struct dp_pool *dp_pool_of(struct dp_upstream *u, struct dp_endpoint *e);

struct dp_upconn *dp_upconn_new(struct dp_upstream *u, struct dp_endpoint *e);
void dp_upconn_destroy(struct dp_upconn *c);

// Set from dp_metrics by whoever starts workers; 0 (nothing is counted) in tests.
extern gw_metric_id dp_upstream_gauge, dp_upstream_total;

#endif
