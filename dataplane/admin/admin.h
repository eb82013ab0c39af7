// SPDX-License-Identifier: Apache-2.0
// What operators ask a data plane, on its admin port: /metrics, /healthz, /ready, /config
// (redacted).
#ifndef DP_ADMIN_ADMIN_H
#define DP_ADMIN_ADMIN_H

#include "dataplane/conf/conf.h"
#include "shared/httpd.h"

struct dp_admin_opts {
    const char *host;
    uint16_t port;
    struct dp_conf_client *conf;
    const atomic_bool *draining;       // /ready is 503 while it is true
    void (*before_metrics)(void *arg); // refreshes gauges; may be NULL
    void *arg;
};
struct dp_admin; // opaque
struct dp_admin *dp_admin_start(const struct dp_admin_opts *o, struct gw_err *err);
uint16_t dp_admin_port(const struct dp_admin *a);
void dp_admin_stop(struct dp_admin *a);

#endif
