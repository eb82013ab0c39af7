// SPDX-License-Identifier: Apache-2.0
// Plain YAML scalars to JSON values, as kubectl reads them (YAML 1.1 of sigs.k8s.io/yaml).
#ifndef GW_SHARED_YAML_SCALAR_H
#define GW_SHARED_YAML_SCALAR_H

#include "shared/json.h"

// An unquoted scalar without a tag. NULL: cannot be JSON; err says why. New reference.
json_t *gw_yaml_plain(struct gw_str s, struct gw_err *err);
// A resolved scalar as a member's name ("true", "12"); false: null or a float has no name.
bool gw_yaml_key(const json_t *scalar, char *dst, size_t cap);

#endif
