// SPDX-License-Identifier: Apache-2.0
// The real client behind api.h.
#include "controller/kube/api.h"

static struct ctl_kube_call *send(void *arg, const struct ctl_kube_request *r, struct gw_err *err) {
    return ctl_kube_send(arg, r, err);
}

static struct ctl_kube_call *watch(void *arg, const struct ctl_kube_watch_opts *o,
                                   struct gw_err *err) {
    return ctl_kube_watch(arg, o, err);
}

static void cancel(void *arg, struct ctl_kube_call *c) {
    (void)arg;
    ctl_kube_cancel(c);
}

struct ctl_kube_api ctl_kube_api_of(struct ctl_kube *k) {
    return (struct ctl_kube_api){.arg = k, .send = send, .watch = watch, .cancel = cancel};
}
