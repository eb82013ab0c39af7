// SPDX-License-Identifier: Apache-2.0
// Compiles matches into a router: sorts them by host, path and precedence, then makes one list per
// host and path, and one hash table over all lists.
#include "dataplane/route/router_internal.h"
#include "shared/vec.h"

struct entry {
    struct gw_str host; // as in struct dp_route_host
    struct gw_str path;
    enum dp_path_match path_type;
    size_t order;
    struct dp_route_candidate candidate;
};

struct dp_router_builder {
    struct dp_router *router;
    GW_VEC(struct entry) entries;
};

struct dp_router_builder *dp_router_builder_new(void) {
    struct dp_router_builder *b = gw_alloc(sizeof(*b));
    b->router = gw_alloc(sizeof(*b->router));
    gw_arena_init(&b->router->arena, NULL, 0, 0);
    return b;
}

// --- adding ------------------------------------------------------------------------------------

enum dp_method dp_route_method_of(struct gw_str method) {
    static const struct {
        struct gw_str text;
        enum dp_method method;
    } known[] = {
        {{"GET", 3}, DP_METHOD_GET},         {{"HEAD", 4}, DP_METHOD_HEAD},
        {{"POST", 4}, DP_METHOD_POST},       {{"PUT", 3}, DP_METHOD_PUT},
        {{"DELETE", 6}, DP_METHOD_DELETE},   {{"OPTIONS", 7}, DP_METHOD_OPTIONS},
        {{"PATCH", 5}, DP_METHOD_PATCH},     {{"TRACE", 5}, DP_METHOD_TRACE},
        {{"CONNECT", 7}, DP_METHOD_CONNECT},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(known); i++) {
        if (gw_str_eq(known[i].text, method)) return known[i].method;
    }
    return DP_METHOD_OTHER;
}

// Of entries with an equivalent name only the first counts (HTTPHeaderMatch.name), also for
// precedence. Header names are equivalent without regard to case, query names are not.
static void add_headers(struct dp_route_candidate *c, const struct dp_match *m,
                        struct gw_arena *arena) {
    if (m->headers_n == 0) return;
    struct dp_route_header *headers = gw_arena_alloc(arena, m->headers_n * sizeof(*headers));
    for (unsigned i = 0; i < m->headers_n; i++) {
        struct gw_str name = m->headers[i].name;
        bool is_first = true;
        for (unsigned j = 0; j < c->headers_n; j++)
            is_first &= !gw_str_eq_nocase(headers[j].name, name);
        if (!is_first) continue;
        headers[c->headers_n++] =
            (struct dp_route_header){name, m->headers[i].value, dp_field_id_of(name)};
    }
    c->headers = headers;
}

static void add_query(struct dp_route_candidate *c, const struct dp_match *m,
                      struct gw_arena *arena) {
    if (m->query_n == 0) return;
    struct dp_match_pair *query = gw_arena_alloc(arena, m->query_n * sizeof(*query));
    for (unsigned i = 0; i < m->query_n; i++) {
        bool is_first = true;
        for (unsigned j = 0; j < c->query_n; j++)
            is_first &= !gw_str_eq(query[j].name, m->query[i].name);
        if (is_first) query[c->query_n++] = m->query[i];
    }
    c->query = query;
}

void dp_router_add(struct dp_router_builder *b, struct gw_str hostname, const struct dp_match *m,
                   const void *target) {
    GW_ASSERT(target && m->headers_n <= UINT16_MAX && m->query_n <= UINT16_MAX);
    struct entry e = {
        .host = hostname,
        .path = m->path,
        .path_type = m->path_type,
        .order = b->entries.len,
        .candidate = {.target = target, .method = m->method},
    };
    if (hostname.len && hostname.ptr[0] == '*')
        e.host = (struct gw_str){hostname.ptr + 1, hostname.len - 1};
    e.candidate.known_method = dp_route_method_of(m->method);
    add_headers(&e.candidate, m, &b->router->arena);
    add_query(&e.candidate, m, &b->router->arena);
    GW_VEC_PUSH(&b->entries, e);
}

// --- building ----------------------------------------------------------------------------------

static int by_key(const struct entry *a, const struct entry *b) {
    int order = gw_str_cmp(a->host, b->host);
    if (order == 0) order = (int)a->path_type - (int)b->path_type;
    return order ? order : gw_str_cmp(a->path, b->path);
}

static int by_precedence(const void *left, const void *right) {
    const struct entry *a = left, *b = right;
    int order = by_key(a, b);
    if (order) return order;
    const struct dp_route_candidate *x = &a->candidate, *y = &b->candidate;
    if (!x->method.len != !y->method.len) return x->method.len ? -1 : 1;
    if (x->headers_n != y->headers_n) return x->headers_n > y->headers_n ? -1 : 1;
    if (x->query_n != y->query_n) return x->query_n > y->query_n ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static void note_length(struct dp_route_lengths *l, size_t n) {
    l->bits |= UINT64_C(1) << (n & 63);
    if (n > l->max) l->max = (uint32_t)n;
}

static struct dp_route_table table_new(size_t entries, struct gw_arena *arena) {
    uint64_t slots = 2;
    while (slots < 2 * entries)
        slots *= 2;
    return (struct dp_route_table){
        .slots = gw_arena_zalloc(arena, slots * sizeof(struct dp_route_slot)),
        .mask = slots - 1,
    };
}

static void table_put(struct dp_route_table *t, uint64_t hash, uint32_t index) {
    uint64_t at = hash & t->mask;
    while (t->slots[at].index)
        at = (at + 1) & t->mask;
    t->slots[at] = (struct dp_route_slot){(uint32_t)(hash >> 32), index + 1};
}

// Sorted entries: how many hosts and lists there are.
static void count(const struct dp_router_builder *b, size_t *ret_hosts, size_t *ret_lists) {
    for (size_t i = 0; i < b->entries.len; i++) {
        const struct entry *e = &b->entries.ptr[i];
        *ret_hosts += i == 0 || !gw_str_eq(e->host, e[-1].host);
        *ret_lists += i == 0 || by_key(e, e - 1) != 0;
    }
}

static void fill(struct dp_router *r, const struct entry *entries, size_t n) {
    uint32_t hosts = 0, lists = 0;
    for (size_t i = 0; i < n; i++) {
        const struct entry *e = &entries[i];
        r->candidates[i] = e->candidate;
        if (i == 0 || !gw_str_eq(e->host, e[-1].host)) r->hosts[hosts++].name = e->host;
        struct dp_route_host *host = &r->hosts[hosts - 1];
        if (i > 0 && by_key(e, e - 1) == 0) {
            r->lists[lists - 1].n++;
            continue;
        }
        r->lists[lists++] = (struct dp_route_list){
            .path = e->path,
            .host = hosts - 1,
            .first = (uint32_t)i,
            .n = 1,
            .path_type = (uint8_t)e->path_type,
        };
        note_length(e->path_type == DP_PATH_EXACT ? &host->exact : &host->prefix, e->path.len);
    }
}

static void index_all(struct dp_router *r, uint32_t hosts_n, uint32_t lists_n) {
    r->by_host = table_new(hosts_n, &r->arena);
    r->by_path = table_new(lists_n, &r->arena);
    r->any_host = DP_ROUTE_NO_HOST;
    for (uint32_t i = 0; i < hosts_n; i++) {
        struct gw_str name = r->hosts[i].name;
        if (name.len == 0) r->any_host = i;
        if (name.len && name.ptr[0] == '.') note_length(&r->wildcards, name.len);
        table_put(&r->by_host, dp_route_host_hash(name), i);
    }
    for (uint32_t i = 0; i < lists_n; i++) {
        const struct dp_route_list *l = &r->lists[i];
        table_put(&r->by_path, dp_route_path_hash(l->host, l->path_type, l->path), i);
    }
}

struct dp_router *dp_router_build(struct dp_router_builder *b) {
    struct dp_router *r = b->router;
    size_t n = b->entries.len, hosts = 0, lists = 0;
    if (n) qsort(b->entries.ptr, n, sizeof(*b->entries.ptr), by_precedence);
    count(b, &hosts, &lists);
    r->candidates = gw_arena_alloc(&r->arena, n * sizeof(*r->candidates));
    r->hosts = gw_arena_zalloc(&r->arena, hosts * sizeof(*r->hosts));
    r->lists = gw_arena_alloc(&r->arena, lists * sizeof(*r->lists));
    r->lists_n = (uint32_t)lists;
    fill(r, b->entries.ptr, n);
    index_all(r, (uint32_t)hosts, (uint32_t)lists);
    GW_VEC_FINI(&b->entries);
    free(b);
    return r;
}

void dp_router_free(struct dp_router *r) {
    if (!r) return;
    gw_arena_fini(&r->arena);
    free(r);
}
