// SPDX-License-Identifier: Apache-2.0
// The compiled matcher: one router per listener, immutable once built, any thread. Precedence
// (Gateway API HTTPRouteRule): hostname (exact, then the longest wildcard, then none), then exact
// path, longest prefix, method, most headers, most query parameters, then the order given by
// the builder (oldest rule first). Where no rule of the best hostname matches, the next best
// hostname is asked. Lookups touch a few hash slots, whatever the number of routes.
#ifndef DP_ROUTE_ROUTE_H
#define DP_ROUTE_ROUTE_H

#include "dataplane/dp_types.h"

enum dp_path_match { DP_PATH_PREFIX, DP_PATH_EXACT };
struct dp_match_pair {
    struct gw_str name, value; // header names in lower case
};
struct dp_match {
    enum dp_path_match path_type;
    struct gw_str path;   // a prefix has no trailing slash but "/" itself
    struct gw_str method; // empty: any
    const struct dp_match_pair *headers, *query;
    unsigned headers_n, query_n;
};

struct dp_router;         // opaque
struct dp_router_builder; // opaque

struct dp_router_builder *dp_router_builder_new(void);
// hostname: "" any, "a.example.com", "*.example.com" (lower case). All strings of m must outlive
// the router (they live in the config's arena). Rules are added in order, oldest first; target is
// what a match returns.
void dp_router_add(struct dp_router_builder *b, struct gw_str hostname, const struct dp_match *m,
                   const void *target);
struct dp_router *dp_router_build(struct dp_router_builder *b); // frees b
void dp_router_free(struct dp_router *r);

// host: lower case without port. NULL: nothing matches. Repeated header fields of one name match as
// one value joined by ", " (RFC 9110 5.3); of repeated query names the first counts. Query names
// and values are percent-decoded ('+' is a blank) before they are compared; paths are compared as
// received.
const void *dp_router_match(const struct dp_router *r, const struct dp_head *head);
// The configured hostnames that cover host, the best first: of "" (any) ptr is NULL, wildcards are
// without their asterisk (".example.com"). Returns how many, at most max.
unsigned dp_router_hostnames(const struct dp_router *r, struct gw_str host, struct gw_str *ret,
                             unsigned max);
// Of a head that nothing matches: what the match that came closest lacks. Hostnames come first,
// then the path, the method, headers and query parameters in the order in which they are given.
struct dp_router_miss {
    const void *target; // of that match; NULL: no hostname, or no path of those that cover the host
    const char *what;   // "hostname", "path", "method", "header", "query"
    struct gw_str name; // of the header or parameter; lives as long as the router
};
// Goes through the whole router: for explanations.
struct dp_router_miss dp_router_nearest(const struct dp_router *r, const struct dp_head *head);
enum dp_method dp_route_method_of(struct gw_str method); // case counts

// Whether a listener's or route's hostname ("" any, exact, "*.x") covers host, and how well: 0 no,
// else a number that is larger for a better fit.
unsigned dp_hostname_fit(struct gw_str hostname, struct gw_str host);

#endif
