// SPDX-License-Identifier: Apache-2.0
// Objects that their own tables refuse: kept, and made into reports. Internal to status/.
#ifndef CTL_STATUS_REFUSAL_H
#define CTL_STATUS_REFUSAL_H

#include "controller/status/status.h"

struct ctl_refused {
    const struct ctl_res_kind *kind;
    char *ns, *name, *reason;
    int64_t generation;
    json_t *object;
};
struct ctl_refusals {
    struct ctl_refused *ptr;
    size_t len, cap;
};
void ctl_refusals_add(struct ctl_refusals *l, const struct ctl_status_refused *r); // copies
void ctl_refusals_fini(struct ctl_refusals *l);

// Into an empty report. Without parts where the object is not ours: a route with no parent among
// our Gateways, a Gateway of another class, a kind that has no status.
void ctl_refusal_report(const struct ctl_status *s, const struct ctl_refused *r,
                        struct ctl_status_report *ret);

#endif
