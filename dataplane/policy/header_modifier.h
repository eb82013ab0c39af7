// SPDX-License-Identifier: Apache-2.0
// What RequestHeaderModifier and ResponseHeaderModifier share (Gateway API HTTPHeaderFilter): set,
// then add, then remove. Names are compared without regard to case; of entries of one list with
// an equivalent name only the first counts.
#ifndef DP_POLICY_HEADER_MODIFIER_H
#define DP_POLICY_HEADER_MODIFIER_H

#include "dataplane/policy/policy.h"

// Of each list; Gateway API has 16.
#define DP_HEADER_MODIFIER_ENTRIES_MAX 64
#define DP_HEADER_NAME_BYTES_MAX 256
#define DP_HEADER_VALUE_BYTES_MAX 4096

struct dp_header_modifier {
    const struct dp_field *set, *add;
    const struct gw_str *remove;
    unsigned set_n, add_n, remove_n;
    struct gw_str authority; // "set" of Host in a request; ptr NULL: untouched
};

// Refused: fields that frame a message or speak of one connection, bytes that no name or value may
// have, Host anywhere but in a request's "set". The text names the entry ("add[0]: ...").
// may_set_host: for requests. Strings live in arena.
enum gw_rc dp_header_modifier_compile(const json_t *spec, bool may_set_host, struct gw_arena *arena,
                                      const void **ret_conf, struct gw_err *err) GW_MUST_USE;
// Authority aside. GW_ERR_LIMIT where the arena's cap is reached; err->code is limit_status.
enum gw_rc dp_header_modifier_apply(const struct dp_header_modifier *m, struct dp_fields *fields,
                                    struct gw_arena *a, int limit_status, struct gw_err *err)
    GW_MUST_USE;

#endif
