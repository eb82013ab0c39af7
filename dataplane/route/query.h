// SPDX-License-Identifier: Apache-2.0
// Looking at a query string (application/x-www-form-urlencoded) without decoding it into memory.
#ifndef DP_ROUTE_QUERY_H
#define DP_ROUTE_QUERY_H

#include "shared/str.h"

// Whether the first parameter of that name has that value, both compared after percent-decoding
// ('+' is a blank). A broken escape stands for itself; "a" is "a=".
bool dp_query_has(struct gw_str query, struct gw_str name, struct gw_str value);

#endif
