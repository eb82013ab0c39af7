// SPDX-License-Identifier: Apache-2.0
// One line per policy file: its descriptor. policy.c lists them.
#ifndef DP_POLICY_TYPES_H
#define DP_POLICY_TYPES_H

#include "dataplane/policy/policy.h"

extern const struct dp_policy_type dp_policy_cors;
extern const struct dp_policy_type dp_policy_request_header_modifier;
extern const struct dp_policy_type dp_policy_request_redirect;
extern const struct dp_policy_type dp_policy_response_header_modifier;
extern const struct dp_policy_type dp_policy_url_rewrite;

#endif
