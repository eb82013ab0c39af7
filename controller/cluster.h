// SPDX-License-Identifier: Apache-2.0
// What a controller has besides where its objects come from an API server: statuses and events go
// back there, and what it was seen to hold is what they are merged with. Of several replicas the
// holder of a Lease alone writes.
#ifndef CTL_CLUSTER_H
#define CTL_CLUSTER_H

#include "controller/kube/lease.h"
#include "controller/source/kube.h"
#include "controller/status/status.h"

struct ctl_cluster {
    struct ctl_kube *kube; // owned
    char *ns;              // the controller's own
    struct ctl_store *store;
    struct ctl_kube_source *source; // owned; NULL until it starts
    struct ctl_lease *lease;
    struct ctl_events *events;
    struct ctl_status_writer *writer;
    struct ctl_status *status; // borrowed
    bool is_sweep_due;         // some object has entries of ours and no report
    bool is_begun;             // the first translation is done: statuses may be compared
    bool is_writing;           // the Lease is held
    bool is_leaving;
    char *server;                // URL of the API server
    char identity[256];          // among replicas
    void (*on_lease)(void *arg); // who holds it, or where that one is reached, has changed
    void *arg;
};

struct ctl_cluster_opts {
    struct gw_loop *loop;
    struct ctl_store *store;
    const char *kubeconfig;                   // NULL: the pod's
    const char *ns;                           // NULL: the kubeconfig's, or the pod's
    const char *lease_name;                   // in ns
    unsigned duration_ms, renew_ms, retry_ms; // of the Lease
    void (*on_lease)(void *arg);
    void *arg;
};

enum gw_rc ctl_cluster_init(struct ctl_cluster *c, const struct ctl_cluster_opts *o,
                            struct gw_err *err);
// Before the end, outside of a turn of the loop: gives the Lease free, for which it turns the loop
// for a while.
void ctl_cluster_leave(struct ctl_cluster *c, struct gw_loop *l);
// Writer, events and source end before what they refer to; the connection ends last.
void ctl_cluster_stop(struct ctl_cluster *c);
void ctl_cluster_fini(struct ctl_cluster *c);

struct ctl_kube_api ctl_cluster_api(const struct ctl_cluster *c);
// After each translation, before statuses are refreshed. The first one asks for the Lease: a
// replica that has seen nothing must not have it.
void ctl_cluster_translated(struct ctl_cluster *c);

#endif
