// SPDX-License-Identifier: Apache-2.0
// Events (core/v1) on the objects of users, where `kubectl describe` shows them. The same event
// again counts up in the one that is there; each object has a budget; what cannot be written is
// dropped. Of several replicas one writes: it is stopped at first, and then everything is dropped.
// Nothing here can hold up or fail anything else. One thread (the loop's).
#ifndef CTL_STATUS_EVENT_H
#define CTL_STATUS_EVENT_H

#include "controller/kube/api.h"

#define CTL_EVENT_NOTE_MAX 1024 // Event.message of the API

struct ctl_event {
    const struct ctl_res_kind *kind;
    struct gw_str ns, name;
    bool is_warning;
    const char *reason; // one word, "Programmed"
    const char *note;   // cut after CTL_EVENT_NOTE_MAX bytes
};

struct ctl_events; // opaque
struct ctl_events_opts {
    struct gw_loop *loop;
    struct ctl_kube_api api;
    ctl_kube_seen_fn seen;
    void *seen_arg;
};
struct ctl_events *ctl_events_new(const struct ctl_events_opts *o);
void ctl_events_free(struct ctl_events *e);
void ctl_events_start(struct ctl_events *e);
void ctl_events_stop(struct ctl_events *e); // those under way are given up
void ctl_events_add(struct ctl_events *e, const struct ctl_event *ev); // copies

#endif
