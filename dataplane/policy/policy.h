// SPDX-License-Identifier: Apache-2.0
// Tier-1 policies and filters that look at heads alone: one file = one const descriptor, one line
// in policy.c's table.
#ifndef DP_POLICY_POLICY_H
#define DP_POLICY_POLICY_H

#include "dataplane/dp_types.h"
#include "shared/json.h"

struct dp_policy_type {
    const char *name; // the filter's type in a rule resource: "RequestHeaderModifier"
    // Compiles one filter's JSON into memory of arena; off the workers.
    enum gw_rc (*compile)(const json_t *spec, struct gw_arena *arena, const void **ret_conf,
                          struct gw_err *err);
    // Either may be NULL. Strings they put into head live in `a` or in the config (which outlives
    // the request). An error refuses the request with err->code.
    enum gw_rc (*request)(const void *conf, struct dp_head *head, struct gw_arena *a,
                          struct gw_err *err);
    enum gw_rc (*response)(const void *conf, struct dp_head *head, struct gw_arena *a,
                           struct gw_err *err);
};
extern const struct dp_policy_type *const dp_policy_types[]; // NULL-terminated
const struct dp_policy_type *dp_policy_find(struct gw_str name);

// A compiled filter of a rule.
struct dp_policy {
    const struct dp_policy_type *type;
    const void *conf;
};

#endif
