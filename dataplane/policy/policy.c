// SPDX-License-Identifier: Apache-2.0
// The table of policies.
#include "dataplane/codec/chars.h"
#include "dataplane/policy/types.h"

const struct dp_policy_type *const dp_policy_types[] = {
    &dp_policy_cors,
    &dp_policy_request_header_modifier,
    &dp_policy_request_redirect,
    &dp_policy_response_header_modifier,
    &dp_policy_url_rewrite,
    NULL,
};

const struct dp_policy_type *dp_policy_find(struct gw_str name) {
    for (const struct dp_policy_type *const *t = dp_policy_types; *t; t++) {
        if (gw_str_eq(gw_str_of((*t)->name), name)) return *t;
    }
    return NULL;
}

struct gw_str dp_policy_preflight(const struct dp_head *head) {
    static const struct gw_str none = {NULL, 0};
    if (head->method != DP_METHOD_OPTIONS) return none;
    if (!dp_fields_find_name(&head->fields, GW_STR("origin"))) return none;
    const struct dp_field *f =
        dp_fields_find_name(&head->fields, GW_STR("access-control-request-method"));
    return f && dp_str_is_token(f->value) ? f->value : none;
}
