// SPDX-License-Identifier: Apache-2.0
// Requests to the API server behind three functions, for modules that are tested without one.
#ifndef CTL_KUBE_API_H
#define CTL_KUBE_API_H

#include "controller/kube/client.h"
#include "controller/res/res.h"

struct ctl_kube_api {
    void *arg;
    // As ctl_kube_send, ctl_kube_watch and ctl_kube_cancel.
    struct ctl_kube_call *(*send)(void *arg, const struct ctl_kube_request *r, struct gw_err *err);
    struct ctl_kube_call *(*watch)(void *arg, const struct ctl_kube_watch_opts *o,
                                   struct gw_err *err);
    void (*cancel)(void *arg, struct ctl_kube_call *c);
};
struct ctl_kube_api ctl_kube_api_of(struct ctl_kube *k); // borrows k

// "/apis/group/version/namespaces/ns/plural/name" and suffix ("", "/status"); ns "" for a
// cluster-scoped kind.
void ctl_kube_path(struct gw_text *t, const struct ctl_res_kind *kind, struct gw_str ns,
                   struct gw_str name, const char *suffix);

// What a source has seen last of an object on the API server. Borrowed until the object changes.
struct ctl_kube_seen {
    const json_t *status;           // NULL: none yet
    struct gw_str resource_version; // "": not known
    struct gw_str uid;
};
// false: no such object has been seen.
typedef bool (*ctl_kube_seen_fn)(void *arg, const struct ctl_res_kind *kind, struct gw_str ns,
                                 struct gw_str name, struct ctl_kube_seen *ret);

// Whether resourceVersion a is newer than b: they are decimal numbers without leading zeros
// (KEP-5504). Where one is not, a is taken for newer.
bool ctl_kube_is_newer(struct gw_str a, struct gw_str b);

// Milliseconds before the next try after so many failures in a row; at least what the server asked
// for. random spreads replicas.
int64_t ctl_kube_backoff_ms(unsigned failures, int retry_after_s, uint32_t random);

#endif
