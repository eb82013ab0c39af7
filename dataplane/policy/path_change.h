// SPDX-License-Identifier: Apache-2.0
// HTTPPathModifier of the Gateway API, which RequestRedirect and URLRewrite share. Paths are
// compared and joined as they stand on the wire: nothing is decoded.
#ifndef DP_POLICY_PATH_CHANGE_H
#define DP_POLICY_PATH_CHANGE_H

#include "dataplane/dp_types.h"
#include "shared/json.h"

#define DP_PATH_CHANGE_BYTES_MAX 1024 // of value and prefix, as in the Gateway API

enum dp_path_change_type { DP_PATH_CHANGE_NONE, DP_PATH_CHANGE_FULL, DP_PATH_CHANGE_PREFIX };

struct dp_path_change {
    enum dp_path_change_type type;
    struct gw_str value;  // FULL: begins with '/'. PREFIX: so too, or empty
    struct gw_str prefix; // that PREFIX takes away, without its last slash; "" of "/"
};

// spec: {type, value, prefix}; NULL: no change. A value without a slash in front gets one. Refused:
// bytes that no path has ('?', '#', blanks, what is not ASCII), a prefix change without a prefix.
// Strings live in arena.
enum gw_rc dp_path_change_compile(const json_t *spec, struct gw_arena *arena,
                                  struct dp_path_change *ret, struct gw_err *err) GW_MUST_USE;
// The new path; lives in a, in the config or is path itself. It begins with one slash and no more.
// A path that does not begin with the prefix stays as it is, and so does one without a slash ("*").
// ptr NULL: a's cap was reached.
struct gw_str dp_path_change_apply(const struct dp_path_change *c, struct gw_str path,
                                   struct gw_arena *a);

#endif
