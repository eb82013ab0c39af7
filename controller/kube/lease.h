// SPDX-License-Identifier: Apache-2.0
// Leader election among replicas by a Lease (coordination.k8s.io/v1), as client-go does it: who
// holds it renews it every retry_ms; one whose record has not changed for its duration, by our own
// clock, may be taken; every write carries the resourceVersion that it was decided from. A holder
// that could not renew it for renew_ms, counted from before its last write was sent, holds it no
// more, and so stops before anybody can take it. One thread (the loop's).
#ifndef CTL_KUBE_LEASE_H
#define CTL_KUBE_LEASE_H

#include "controller/kube/api.h"

// Where flags say nothing: what the others wait for, what a holder stops after, and what both wait
// between tries.
#define CTL_LEASE_DURATION_MS 15000
#define CTL_LEASE_RENEW_MS 10000
#define CTL_LEASE_RETRY_MS 2000
// Annotation: where other replicas reach the holder's push port.
#define CTL_LEASE_ADDRESS "kgateway.dev/push-address"

struct ctl_lease; // opaque
struct ctl_lease_opts {
    struct gw_loop *loop;
    struct ctl_kube_api api;
    const char *ns, *name;                    // copied, as all texts
    const char *identity;                     // holderIdentity; of this process alone
    unsigned duration_ms, renew_ms, retry_ms; // the first in whole seconds
    // Whether it is held, who holds it or where the holder is reached has changed. Not from within
    // a call of this module but ctl_lease_release.
    void (*on_change)(void *arg);
    void *arg;
};
struct ctl_lease *ctl_lease_new(const struct ctl_lease_opts *o); // does nothing yet
void ctl_lease_free(struct ctl_lease *l);                        // without a release
// Where others reach this replica, "HOST:PORT"; told with the next write of a holder.
void ctl_lease_set_address(struct ctl_lease *l, const char *address);
void ctl_lease_start(struct ctl_lease *l); // idempotent
// Looks at it now: the holder may have gone.
void ctl_lease_hurry(struct ctl_lease *l);
// Holds it no more and gives it free for the next one; for good.
void ctl_lease_release(struct ctl_lease *l);
bool ctl_lease_is_released(const struct ctl_lease *l); // nothing is left to be waited for

// By the clock as it is now, also in a process that was stopped meanwhile.
bool ctl_lease_is_held(const struct ctl_lease *l);
// "" where nobody is known to hold it. Borrowed until on_change.
const char *ctl_lease_holder(const struct ctl_lease *l);
bool ctl_lease_is_ours(const struct ctl_lease *l); // the holder is this one, held or not any more
const char *ctl_lease_holder_address(const struct ctl_lease *l);
// Why it cannot be had: "leases: ..."; NULL: nothing is wrong.
const char *ctl_lease_problem(const struct ctl_lease *l);
// For the admin port: {"namespace", "name", "identity", "held", "holder", "address",
// "transitions", "problem"}. New reference.
json_t *ctl_lease_dump(const struct ctl_lease *l);

// The API server for writes that are the holder's: send fails (GW_CANCELLED) while it is not held.
// Borrows l.
struct ctl_kube_api ctl_lease_guard(struct ctl_lease *l);

// The machine's name and something of chance, into dst.
void ctl_lease_identity(char *dst, size_t cap);

#endif
