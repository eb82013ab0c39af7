// SPDX-License-Identifier: Apache-2.0
// The Lease as an object: what of it counts, and the next form of it. Pure: the time is a
// parameter. Only for lease.c and its tests.
#ifndef CTL_KUBE_LEASE_OBJECT_H
#define CTL_KUBE_LEASE_OBJECT_H

#include "shared/json.h"

// A record that asks for longer is of no controller: it counts as this.
#define CTL_LEASE_SECONDS_MAX 3600

struct ctl_lease_next {
    const char *ns, *name, *identity, *address;
    unsigned seconds;
    int64_t now_us; // CLOCK_REALTIME, for people
};

struct gw_str ctl_lease_holder_of(const json_t *object); // {"", 0}: nobody
struct gw_str ctl_lease_address_of(const json_t *object);
// How long the record holds; otherwise where it does not say, or not soundly.
unsigned ctl_lease_seconds_of(const json_t *object, unsigned otherwise);

// The object as it is to be written, from the one that is there (NULL: none), whose other members
// stay. New references. Held by n->identity: acquireTime and leaseTransitions change only where
// another one had it.
json_t *ctl_lease_take(const json_t *object, const struct ctl_lease_next *n);
json_t *ctl_lease_give(const json_t *object, const struct ctl_lease_next *n); // held by nobody

#endif
