// SPDX-License-Identifier: Apache-2.0
// The compiled form of a router, shared by router_build.c (makes it) and router.c (asks it).
#ifndef DP_ROUTE_ROUTER_INTERNAL_H
#define DP_ROUTE_ROUTER_INTERNAL_H

#include "dataplane/route/route.h"

struct dp_route_header {
    struct gw_str name, value;
    enum dp_field_id id;
};

// What is left to check of a match once host and path fit.
struct dp_route_candidate {
    const void *target;
    struct gw_str method; // empty: any
    enum dp_method known_method;
    uint16_t headers_n, query_n;
    const struct dp_route_header *headers;
    const struct dp_match_pair *query;
};

// All candidates of one host, path type and path, in order of precedence.
struct dp_route_list {
    struct gw_str path;
    uint32_t host;
    uint32_t first, n; // in candidates
    uint8_t path_type;
};

// Which lengths occur, modulo 64: most look-ups of a length that does not occur are spared.
struct dp_route_lengths {
    uint64_t bits;
    uint32_t max;
};
static inline bool dp_route_has_length(const struct dp_route_lengths *l, size_t n) {
    return n <= l->max && l->bits >> (n & 63) & 1;
}

struct dp_route_host {
    struct gw_str name; // "a.example.com"; ".example.com" of a wildcard; "" any
    struct dp_route_lengths exact, prefix;
};

// Open addressing, at most half full: a slot holds an index + 1 and the hash's upper half.
struct dp_route_slot {
    uint32_t hash, index;
};
struct dp_route_table {
    struct dp_route_slot *slots;
    uint64_t mask;
};

#define DP_ROUTE_NO_HOST UINT32_MAX
struct dp_router {
    struct dp_route_candidate *candidates;
    struct dp_route_list *lists;
    struct dp_route_host *hosts;
    uint32_t lists_n;
    struct dp_route_table by_host, by_path;
    struct dp_route_lengths wildcards; // lengths of ".example.com"
    uint32_t any_host;                 // index, or DP_ROUTE_NO_HOST
    struct gw_arena arena;             // all of the above
};

static inline uint64_t dp_route_host_hash(struct gw_str name) {
    return gw_hash(name.ptr, name.len, 0);
}
static inline uint64_t dp_route_path_hash(uint32_t host, unsigned path_type, struct gw_str path) {
    return gw_hash(path.ptr, path.len, (uint64_t)host << 1 | path_type);
}

#endif
