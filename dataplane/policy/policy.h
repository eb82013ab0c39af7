// SPDX-License-Identifier: Apache-2.0
// Tier-1 policies and filters that look at heads alone: one file = one const descriptor, one line
// in policy.c's table.
#ifndef DP_POLICY_POLICY_H
#define DP_POLICY_POLICY_H

#include "dataplane/dp_types.h"
#include "shared/json.h"

// What a filter may look at and change, and how it answers by itself.
struct dp_policy_call {
    struct dp_head *head;   // of the request; edited in place
    struct gw_arena *arena; // strings put into a head live here or in the config
    struct gw_str scheme;   // "http" or "https", of the listener: the wire does not carry it
    uint16_t port;          // of the listener, as its Gateway names it
    struct dp_head *answer; // response: the upstream's (or our own) head, edited in place
    // request: set to answer at once; own_fields go out with it, and no body. The other
    // filters are not asked, and no upstream is.
    int own_status;
    struct dp_fields own_fields;
    struct gw_err *err;
};

struct dp_policy_type {
    const char *name; // the filter's type in a rule resource: "RequestHeaderModifier"
    // Compiles one filter's JSON into memory of arena; off the workers.
    enum gw_rc (*compile)(const json_t *spec, struct gw_arena *arena, const void **ret_conf,
                          struct gw_err *err);
    // Either may be NULL. An error refuses the request with err->code.
    enum gw_rc (*request)(const void *conf, struct dp_policy_call *c);
    // Also asked for refusals of ours, once a rule was found (CORS headers belong to them too), if
    // on_refusals says so.
    enum gw_rc (*response)(const void *conf, struct dp_policy_call *c);
    bool on_refusals;
};
extern const struct dp_policy_type *const dp_policy_types[]; // NULL-terminated
const struct dp_policy_type *dp_policy_find(struct gw_str name);

// A compiled filter of a rule or of one of its backends.
struct dp_policy {
    const struct dp_policy_type *type;
    const void *conf;
};

#endif
