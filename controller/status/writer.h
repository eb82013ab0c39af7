// SPDX-License-Identifier: Apache-2.0
// Brings statuses to an API server: PATCH (merge) of the status subresource with the
// resourceVersion that the merge was made from. On 409 the object is read again and merged anew; a
// 404 waits until the object is seen again; other failures are tried again, ever more slowly. At
// most one write of an object each second, and CTL_STATUS_WRITES_MAX at once. Of several replicas
// one writes: it is stopped at first, and then only keeps what is wanted. One thread (the loop's).
#ifndef CTL_STATUS_WRITER_H
#define CTL_STATUS_WRITER_H

#include "controller/kube/api.h"
#include "controller/status/event.h"

// Enough to keep one HTTP/2 connection busy; the rest waits here, where it still coalesces.
#define CTL_STATUS_WRITES_MAX 16

struct ctl_status_writer; // opaque

struct ctl_status_writer_opts {
    struct gw_loop *loop;
    struct ctl_kube_api api;
    ctl_kube_seen_fn seen;
    void *seen_arg;
    struct ctl_events *events; // told where a Gateway becomes programmed; NULL: nobody
};
struct ctl_status_writer *ctl_status_writer_new(const struct ctl_status_writer_opts *o);
void ctl_status_writer_free(struct ctl_status_writer *w);
// Compares all that is wanted with what is there. Idempotent, as the other.
void ctl_status_writer_start(struct ctl_status_writer *w);
// Nothing is written any more; writes under way are given up.
void ctl_status_writer_stop(struct ctl_status_writer *w);

// wanted as merge.h says (takes a reference; must not change any more). is_pending: data planes
// will answer soon.
void ctl_status_writer_want(struct ctl_status_writer *w, const struct ctl_res_kind *kind,
                            struct gw_str ns, struct gw_str name, json_t *wanted, bool is_pending);
// The object is gone or not ours any more: our entries of its lists are taken away, where it is
// still there, and it is forgotten.
void ctl_status_writer_clear(struct ctl_status_writer *w, const struct ctl_res_kind *kind,
                             struct gw_str ns, struct gw_str name);
// The source has seen another form of the object (a status that somebody else wrote, too). Call it
// only after the first translation: entries of ours that nobody wants are taken away.
void ctl_status_writer_look(struct ctl_status_writer *w, const struct ctl_res_kind *kind,
                            struct gw_str ns, struct gw_str name);

#endif
