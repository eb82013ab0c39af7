// SPDX-License-Identifier: Apache-2.0
// The table of policies.
#include "dataplane/policy/types.h"

const struct dp_policy_type *const dp_policy_types[] = {
    &dp_policy_request_header_modifier,
    &dp_policy_response_header_modifier,
    NULL,
};

const struct dp_policy_type *dp_policy_find(struct gw_str name) {
    for (const struct dp_policy_type *const *t = dp_policy_types; *t; t++) {
        if (gw_str_eq(gw_str_of((*t)->name), name)) return *t;
    }
    return NULL;
}
