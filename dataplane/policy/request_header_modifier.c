// SPDX-License-Identifier: Apache-2.0
// Filter RequestHeaderModifier. Setting Host changes what the upstream is asked for; the route was
// chosen by the client's.
#include "dataplane/policy/header_modifier.h"
#include "dataplane/policy/types.h"

static enum gw_rc compile(const json_t *spec, struct gw_arena *arena, const void **ret_conf,
                          struct gw_err *err) {
    return dp_header_modifier_compile(spec, true, arena, ret_conf, err);
}

static enum gw_rc request(const void *conf, struct dp_policy_call *c) {
    const struct dp_header_modifier *m = conf;
    if (m->authority.ptr) c->head->authority = m->authority;
    return dp_header_modifier_apply(m, &c->head->fields, c->arena, 431, c->err);
}

const struct dp_policy_type dp_policy_request_header_modifier = {
    .name = "RequestHeaderModifier",
    .compile = compile,
    .request = request,
};
