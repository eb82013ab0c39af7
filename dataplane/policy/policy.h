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
    struct gw_str origin;   // of the request as it came; empty: none, or more than one
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
    enum gw_rc (*response)(const void *conf, struct dp_policy_call *c);
    // It answers CORS preflights: its request is asked before those of all other filters, and a
    // preflight belongs to a rule with it where the request that it announces does.
    bool answers_preflights;
    // Its response is asked also for answers of ours, once a rule was found; not for one that it
    // gave itself.
    bool on_refusals;
};
extern const struct dp_policy_type *const dp_policy_types[]; // NULL-terminated
const struct dp_policy_type *dp_policy_find(struct gw_str name);
// The method that a CORS preflight asks for (Fetch 3.2.2); empty: the request is none.
struct gw_str dp_policy_preflight(const struct dp_head *head);

// A compiled filter of a rule or of one of its backends.
struct dp_policy {
    const struct dp_policy_type *type;
    const void *conf;
};

#endif
