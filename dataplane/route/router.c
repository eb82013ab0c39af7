// SPDX-License-Identifier: Apache-2.0
// Asks a compiled router: hosts from the best fit down, of each the exact path and then prefixes
// from the longest down, of each the candidates in order.
#include "dataplane/route/query.h"
#include "dataplane/route/router_internal.h"

#include <limits.h>

// --- what is left to check ---------------------------------------------------------------------

// Cuts part, and the ", " that follows it where more is to come, off the front of *rest.
static bool take_part(struct gw_str *rest, struct gw_str part, bool is_first) {
    if (!is_first) {
        if (!gw_str_starts(*rest, GW_STR(", "))) return false;
        *rest = (struct gw_str){rest->ptr + 2, rest->len - 2};
    }
    if (!gw_str_starts(*rest, part)) return false;
    *rest = (struct gw_str){rest->ptr + part.len, rest->len - part.len};
    return true;
}

static bool header_matches(const struct dp_head *head, const struct dp_route_header *want) {
    if (want->id == DP_F_HOST) {
        return head->authority.ptr && gw_str_eq(head->authority, want->value);
    }
    struct gw_str rest = want->value;
    bool is_first = true;
    for (unsigned i = 0; i < head->fields.len; i++) {
        const struct dp_field *f = &head->fields.ptr[i];
        if (f->id != want->id) continue;
        if (f->id == DP_F_OTHER && !gw_str_eq_nocase(f->name, want->name)) continue;
        if (!take_part(&rest, f->value, is_first)) return false;
        is_first = false;
    }
    return !is_first && rest.len == 0;
}

static inline bool method_matches(const struct dp_head *head, const struct dp_route_candidate *c) {
    if (c->method.len == 0) return true;
    if (c->known_method != DP_METHOD_OTHER) return c->known_method == head->method;
    return gw_str_eq(c->method, head->method_text);
}

static bool candidate_matches(const struct dp_head *head, const struct dp_route_candidate *c) {
    if (!method_matches(head, c)) return false;
    for (unsigned i = 0; i < c->headers_n; i++) {
        if (!header_matches(head, &c->headers[i])) return false;
    }
    for (unsigned i = 0; i < c->query_n; i++) {
        if (!dp_query_has(head->query, c->query[i].name, c->query[i].value)) return false;
    }
    return true;
}

// --- look-ups ----------------------------------------------------------------------------------

static const void *ask_path(const struct dp_router *r, uint32_t host, enum dp_path_match type,
                            struct gw_str path, const struct dp_head *head) {
    uint64_t hash = dp_route_path_hash(host, type, path);
    for (uint64_t at = hash & r->by_path.mask;; at = (at + 1) & r->by_path.mask) {
        const struct dp_route_slot *slot = &r->by_path.slots[at];
        if (slot->index == 0) return NULL;
        if (slot->hash != (uint32_t)(hash >> 32)) continue;
        const struct dp_route_list *list = &r->lists[slot->index - 1];
        if (list->host != host || list->path_type != type || !gw_str_eq(list->path, path)) continue;
        for (uint32_t i = list->first; i < list->first + list->n; i++) {
            if (candidate_matches(head, &r->candidates[i])) return r->candidates[i].target;
        }
        return NULL;
    }
}

// A prefix ends where a segment does. Only as much of the path is looked at as the longest
// configured prefix is long, so that a path of slashes costs nothing.
static const void *ask_prefixes(const struct dp_router *r, uint32_t host,
                                const struct dp_head *head) {
    const struct dp_route_lengths *lengths = &r->hosts[host].prefix;
    struct gw_str path = head->path;
    if (lengths->bits == 0 || path.len == 0 || path.ptr[0] != '/') return NULL;
    size_t n = path.len;
    if (n > lengths->max) {
        const char *slash = memrchr(path.ptr, '/', (size_t)lengths->max + 1);
        n = (size_t)(slash - path.ptr);
    }
    while (n > 1) {
        if (dp_route_has_length(lengths, n)) {
            const void *target =
                ask_path(r, host, DP_PATH_PREFIX, (struct gw_str){path.ptr, n}, head);
            if (target) return target;
        }
        n = (size_t)((const char *)memrchr(path.ptr, '/', n) - path.ptr);
    }
    if (!dp_route_has_length(lengths, 1)) return NULL;
    return ask_path(r, host, DP_PATH_PREFIX, GW_STR("/"), head);
}

static const void *ask_host(const struct dp_router *r, uint32_t host, const struct dp_head *head) {
    if (dp_route_has_length(&r->hosts[host].exact, head->path.len)) {
        const void *target = ask_path(r, host, DP_PATH_EXACT, head->path, head);
        if (target) return target;
    }
    return ask_prefixes(r, host, head);
}

static uint32_t find_host(const struct dp_router *r, struct gw_str name) {
    uint64_t hash = dp_route_host_hash(name);
    for (uint64_t at = hash & r->by_host.mask;; at = (at + 1) & r->by_host.mask) {
        const struct dp_route_slot *slot = &r->by_host.slots[at];
        if (slot->index == 0) return DP_ROUTE_NO_HOST;
        if (slot->hash != (uint32_t)(hash >> 32)) continue;
        if (gw_str_eq(r->hosts[slot->index - 1].name, name)) return slot->index - 1;
    }
}

static const void *ask_wildcards(const struct dp_router *r, const struct dp_head *head) {
    struct gw_str rest = head->host;
    for (ptrdiff_t dot = gw_str_find(rest, '.'); dot >= 0; dot = gw_str_find(rest, '.')) {
        struct gw_str suffix = {rest.ptr + dot, rest.len - (size_t)dot};
        rest = (struct gw_str){suffix.ptr + 1, suffix.len - 1};
        // A name cannot begin with the dot, or the wildcard would stand for no label.
        if (suffix.ptr == head->host.ptr || !dp_route_has_length(&r->wildcards, suffix.len)) {
            continue;
        }
        uint32_t host = find_host(r, suffix);
        const void *target = host == DP_ROUTE_NO_HOST ? NULL : ask_host(r, host, head);
        if (target) return target;
    }
    return NULL;
}

const void *dp_router_match(const struct dp_router *r, const struct dp_head *head) {
    // ".example.com" is what a wildcard is filed under, not a host.
    if (head->host.len && head->host.ptr[0] != '.') {
        uint32_t host = find_host(r, head->host);
        const void *target = host == DP_ROUTE_NO_HOST ? NULL : ask_host(r, host, head);
        if (target) return target;
    }
    if (r->wildcards.bits) {
        const void *target = ask_wildcards(r, head);
        if (target) return target;
    }
    return r->any_host == DP_ROUTE_NO_HOST ? NULL : ask_host(r, r->any_host, head);
}

// --- for explanations --------------------------------------------------------------------------

static unsigned add_host(const struct dp_router *r, struct gw_str name, struct gw_str *ret,
                         unsigned n, unsigned max) {
    if (n < max && find_host(r, name) != DP_ROUTE_NO_HOST) ret[n++] = name;
    return n;
}

unsigned dp_router_hostnames(const struct dp_router *r, struct gw_str host, struct gw_str *ret,
                             unsigned max) {
    unsigned n = 0;
    struct gw_str rest = host;
    if (host.len && host.ptr[0] != '.') n = add_host(r, host, ret, n, max);
    for (ptrdiff_t dot = gw_str_find(rest, '.'); dot >= 0; dot = gw_str_find(rest, '.')) {
        struct gw_str suffix = {rest.ptr + dot, rest.len - (size_t)dot};
        if (suffix.ptr != host.ptr) n = add_host(r, suffix, ret, n, max);
        rest = (struct gw_str){suffix.ptr + 1, suffix.len - 1};
    }
    if (r->any_host != DP_ROUTE_NO_HOST && n < max) ret[n++] = (struct gw_str){NULL, 0};
    return n;
}

static bool host_covers(struct gw_str name, struct gw_str host) {
    if (name.len == 0) return true;
    if (host.len == 0 || host.ptr[0] == '.') return false;
    return name.ptr[0] == '.' ? host.len > name.len && gw_str_ends(host, name)
                              : gw_str_eq(name, host);
}

static bool path_fits(const struct dp_route_list *l, struct gw_str path) {
    if (l->path_type == DP_PATH_EXACT || path.len <= l->path.len) return gw_str_eq(path, l->path);
    return gw_str_starts(path, l->path) && (l->path.len == 1 || path.ptr[l->path.len] == '/');
}

// How many conditions of a candidate hold, from the first on; *miss is the one that does not.
static unsigned conditions_met(const struct dp_head *head, const struct dp_route_candidate *c,
                               struct dp_router_miss *miss) {
    *miss = (struct dp_router_miss){.target = c->target, .what = "method"};
    if (!method_matches(head, c)) return 0;
    for (unsigned i = 0; i < c->headers_n; i++) {
        miss->what = "header";
        miss->name = c->headers[i].name;
        if (!header_matches(head, &c->headers[i])) return 1 + i;
    }
    for (unsigned i = 0; i < c->query_n; i++) {
        miss->what = "query";
        miss->name = c->query[i].name;
        if (!dp_query_has(head->query, c->query[i].name, c->query[i].value))
            return 1 + c->headers_n + i;
    }
    return UINT_MAX;
}

// Of equals the first counts, which is the one that has precedence within its host and path.
struct dp_router_miss dp_router_nearest(const struct dp_router *r, const struct dp_head *head) {
    struct dp_router_miss nearest = {.what = "hostname"};
    unsigned most = 0;
    for (uint32_t i = 0; i < r->lists_n; i++) {
        const struct dp_route_list *l = &r->lists[i];
        if (!host_covers(r->hosts[l->host].name, head->host)) continue;
        if (!nearest.target) nearest.what = "path";
        if (!path_fits(l, head->path)) continue;
        for (uint32_t k = l->first; k < l->first + l->n; k++) {
            struct dp_router_miss miss;
            unsigned met = conditions_met(head, &r->candidates[k], &miss);
            if (nearest.target && met <= most) continue;
            nearest = miss;
            most = met;
        }
    }
    return nearest;
}
