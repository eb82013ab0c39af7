// SPDX-License-Identifier: Apache-2.0
// The whole pipeline of the controller wired on one screen: source > store > translate > publish
// and status, with an admin port beside it.
#ifndef CTL_CONTROLLER_H
#define CTL_CONTROLLER_H

#include "controller/cluster.h"
#include "controller/publish/publish.h"
#include "controller/source/dir.h"
#include "shared/httpd.h"
#include "shared/map.h"

// How long a burst of changes may gather before translation (also capped: never later than this
// after the first).
#define CTL_DEBOUNCE_MS 20

struct ctl_options {
    // A folder; NULL: the API server that kubeconfig names (NULL: the one of the cluster).
    const char *source_dir, *kubeconfig;
    // Push CA and bootstrap token. NULL (an API server alone): the CA is in a Secret of namespace
    // (NULL: the kubeconfig's or the pod's), and data planes show ServiceAccount tokens for
    // audience (NULL: the API server's own).
    const char *state_dir, *namespace, *audience;
    unsigned recheck_ms;                      // between two looks at a data plane's token; 0: none
    const char *lease_name;                   // of an API server alone
    unsigned duration_ms, renew_ms, retry_ms; // of the Lease
    // Where other replicas reach the push port: host "": as advertise.h says; port 0: the one that
    // is listened at.
    const char *advertise_host;
    uint16_t advertise_port;
    const char *const *push_names; // more names of the push server, NULL-terminated; or NULL
    const char *listen_host, *admin_host;
    uint16_t listen_port, admin_port;
    struct gw_map endpoints; // "ns/service" -> "host:port"; copied
};

struct ctl_controller; // opaque
// The ports answer once the loop runs. Of a folder the first snapshot is made before it returns; of
// an API server once everything was listed, and until then no data plane is told anything.
struct ctl_controller *ctl_controller_new(struct gw_loop *l, const struct ctl_options *o,
                                          struct gw_err *err);
void ctl_controller_free(struct ctl_controller *c); // outside of a turn of the loop
uint16_t ctl_controller_admin_port(const struct ctl_controller *c);
uint16_t ctl_controller_listen_port(const struct ctl_controller *c);

#endif
