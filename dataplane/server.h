// SPDX-License-Identifier: Apache-2.0
// All threads of the data plane on one screen: workers carry traffic, one thread follows the
// controller, one writes the access log, one answers operators.
#ifndef DP_SERVER_H
#define DP_SERVER_H

#include "dataplane/admin/admin.h"
#include "dataplane/proxy/worker.h"

struct dp_options {
    const char *controller_host; // NULL: the state folder alone
    uint16_t controller_port;
    const char *ca_file, *token_file;
    const char *node, *gateway, *address;
    const char *state_dir; // NULL: none
    const char *bind_host;
    const struct gw_map
        *port_map; // "8080" -> "18080": where a Gateway's port is bound; may be NULL
    const char *admin_host;
    uint16_t admin_port;
    const char *access_log;
    const char *upstream_ca_file; // NULL: the system's trust store
    unsigned workers;             // 0: by cores and cgroup quota
    struct dp_settings settings;
};

struct dp_server; // opaque
struct dp_server *dp_server_start(const struct dp_options *o, struct gw_err *err);
void dp_server_drain(struct dp_server *s);      // readiness fails, streams finish
void dp_server_wait(struct dp_server *s);       // until all workers have ended
void dp_server_reopen_log(struct dp_server *s); // after rotation
void dp_server_free(struct dp_server *s);       // after dp_server_wait

unsigned dp_server_default_workers(void);

#endif
