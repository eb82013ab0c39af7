// SPDX-License-Identifier: Apache-2.0
// Plain YAML scalars to JSON values, as kubectl reads them (YAML 1.1 of sigs.k8s.io/yaml).
#ifndef GW_SHARED_YAML_SCALAR_H
#define GW_SHARED_YAML_SCALAR_H

#include "shared/json.h"

// An unquoted scalar without a tag. NULL: cannot be JSON; err says why. New reference.
json_t *gw_yaml_plain(struct gw_str s, struct gw_err *err);
// The same with a core tag ("int", "bool", "float" or "null"), which the text must be of.
json_t *gw_yaml_tagged(struct gw_str s, const char *tag, struct gw_err *err);
// A resolved scalar as a member's name ("true", "12", "1.5"); false: null has none, or it is longer
// than cap.
bool gw_yaml_key(const json_t *scalar, char *dst, size_t cap);

#endif
