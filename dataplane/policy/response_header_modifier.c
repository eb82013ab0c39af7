// SPDX-License-Identifier: Apache-2.0
// Filter ResponseHeaderModifier.
#include "dataplane/policy/header_modifier.h"
#include "dataplane/policy/types.h"

static enum gw_rc compile(const json_t *spec, struct gw_arena *arena, const void **ret_conf,
                          struct gw_err *err) {
    return dp_header_modifier_compile(spec, false, arena, ret_conf, err);
}

static enum gw_rc response(const void *conf, struct dp_policy_call *c) {
    return dp_header_modifier_apply(conf, &c->answer->fields, c->arena, 502, c->err);
}

const struct dp_policy_type dp_policy_response_header_modifier = {
    .name = "ResponseHeaderModifier",
    .compile = compile,
    .response = response,
};
