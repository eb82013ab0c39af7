// SPDX-License-Identifier: Apache-2.0
// Views: which resources the data planes of one Gateway get, the version of the whole, and the log
// of changes that deltas are made from.
#include "controller/publish/internal.h"

#include <stdlib.h>

void ctl_pub_resource_unref(struct ctl_pub_resource *r) {
    if (--r->refs) return;
    free(r->name);
    json_decref(r->body);
    free(r);
}

static void free_entry(void *value) {
    struct ctl_view_entry *e = value;
    ctl_pub_resource_unref(e->resource);
    free(e);
}

void ctl_view_free(struct ctl_view *v) {
    gw_map_fini(&v->entries, free_entry);
    for (size_t i = 0; i < v->log.len; i++)
        free(v->log.ptr[i].name);
    GW_VEC_FINI(&v->log);
    GW_VEC_FINI(&v->sorted);
    free(v->gateway);
    free(v);
}

// --- which resources ---------------------------------------------------------------------------

static void add_name(const struct ctl_publish *p, struct gw_map *scope, struct gw_str name);

static void add_llm_keys(const struct ctl_publish *p, struct gw_map *scope, const json_t *body) {
    const json_t *keys = gw_json_get(body, "keys");
    for (size_t i = 0; i < json_array_size(keys); i++)
        add_name(p, scope, gw_json_str(json_array_get(keys, i), "secret"));
}

static void add_certificates(const struct ctl_publish *p, struct gw_map *scope,
                             const json_t *body) {
    const json_t *names = gw_json_path(body, "tls.certificates");
    for (size_t i = 0; i < json_array_size(names); i++)
        add_name(p, scope, gw_json_str_of(json_array_get(names, i)));
}

static void add_mirrors(const struct ctl_publish *p, struct gw_map *scope, const json_t *filters) {
    for (size_t i = 0; i < json_array_size(filters); i++)
        add_name(p, scope, gw_json_str(json_array_get(filters, i), "backend"));
}

static void add_backends(const struct ctl_publish *p, struct gw_map *scope, const json_t *body) {
    const json_t *backends = gw_json_get(body, "backends");
    for (size_t i = 0; i < json_array_size(backends); i++) {
        const json_t *one = json_array_get(backends, i);
        add_name(p, scope, gw_json_str(one, "backend"));
        add_mirrors(p, scope, gw_json_get(one, "filters"));
    }
}

// Adds a resource and what it refers to; references point one way, so this ends.
static void add_name(const struct ctl_publish *p, struct gw_map *scope, struct gw_str name) {
    struct ctl_pub_resource *r = name.len ? gw_map_get(&p->resources, name) : NULL;
    if (!r || gw_map_get(scope, name)) return;
    gw_map_put(scope, name, r);
    struct gw_str endpoints = gw_json_str(r->body, "endpoints");
    if (endpoints.len) add_name(p, scope, endpoints);
    add_llm_keys(p, scope, r->body);
    add_certificates(p, scope, r->body);
    add_backends(p, scope, r->body);
    add_mirrors(p, scope, gw_json_get(r->body, "filters"));
}

static bool is_attached(const struct gw_map *scope, const json_t *rule) {
    const json_t *attach = gw_json_get(rule, "attach");
    for (size_t i = 0; i < json_array_size(attach); i++)
        if (gw_map_get(scope, gw_json_str(json_array_get(attach, i), "listener"))) return true;
    return false;
}

// name -> resource of everything that a Gateway's data planes need.
static void scope_of(const struct ctl_publish *p, const char *gateway, struct gw_map *scope) {
    size_t it = 0;
    struct gw_str name;
    void *value;
    while (gw_map_next(&p->resources, &it, &name, &value)) {
        const struct ctl_pub_resource *r = value;
        bool is_ours = gw_str_eq(gw_json_str(r->body, "gateway"), gw_str_of(gateway));
        if (gw_str_starts(name, GW_STR("listener/")) && is_ours) add_name(p, scope, name);
    }
    it = 0;
    while (gw_map_next(&p->resources, &it, &name, &value)) {
        const struct ctl_pub_resource *r = value;
        if (gw_str_starts(name, GW_STR("rule/")) && is_attached(scope, r->body))
            add_name(p, scope, name);
    }
}

// --- what changed ------------------------------------------------------------------------------

static void log_change(struct ctl_view *v, struct gw_str name) {
    struct ctl_view_change c = {v->serial, gw_strndup(name.ptr, name.len)};
    GW_VEC_PUSH(&v->log, c);
    if (v->log.len <= CTL_VIEW_LOG_MAX) return;
    size_t half = v->log.len / 2;
    v->log_begin = v->log.ptr[half - 1].serial;
    for (size_t i = 0; i < half; i++)
        free(v->log.ptr[i].name);
    memmove(v->log.ptr, v->log.ptr + half, (v->log.len - half) * sizeof(*v->log.ptr));
    v->log.len -= half;
}

static size_t drop(struct ctl_publish *p, struct ctl_view *v, struct gw_str name) {
    if (!gw_map_get(&v->entries, name)) return 0;
    ctl_publish_add_news(p, name);
    log_change(v, name);
    free_entry(gw_map_del(&v->entries, name));
    v->is_sorted = false;
    return 1;
}

static size_t take(struct ctl_publish *p, struct ctl_view *v, struct gw_str name,
                   struct ctl_pub_resource *r) {
    struct ctl_view_entry *e = gw_map_get(&v->entries, name);
    if (e && e->resource == r) return 0;
    ctl_publish_add_news(p, name);
    if (!e) {
        e = gw_alloc(sizeof(*e));
        gw_map_put(&v->entries, name, e);
        v->is_sorted = false;
    } else {
        ctl_pub_resource_unref(e->resource);
    }
    r->refs++;
    *e = (struct ctl_view_entry){r, v->serial};
    log_change(v, name);
    return 1;
}

static int compare_entries(const void *a, const void *b) {
    return strcmp((*(struct ctl_view_entry *const *)a)->resource->name,
                  (*(struct ctl_view_entry *const *)b)->resource->name);
}

static void sort(struct ctl_view *v) {
    size_t it = 0;
    struct gw_str name;
    void *value;
    v->sorted.len = 0;
    while (gw_map_next(&v->entries, &it, &name, &value))
        GW_VEC_PUSH(&v->sorted, (struct ctl_view_entry *)value);
    if (v->sorted.len) qsort(v->sorted.ptr, v->sorted.len, sizeof(*v->sorted.ptr), compare_entries);
    v->is_sorted = true;
}

static void compute_root(struct ctl_view *v) {
    struct gw_ir_root *root = gw_ir_root_new();
    if (!v->is_sorted) sort(v);
    for (size_t i = 0; i < v->sorted.len; i++) {
        const struct ctl_pub_resource *r = v->sorted.ptr[i]->resource;
        gw_ir_root_add(root, gw_str_of(r->name), r->version);
    }
    gw_ir_root_finish(root, v->root);
}

// By what the Gateway needs now. Follows the whole graph, because one rule may bring in or leave
// what others share.
static size_t refresh_scope(struct ctl_publish *p, struct ctl_view *v) {
    struct gw_map scope = {0};
    size_t it = 0, n = 0;
    struct gw_str name;
    void *value;
    scope_of(p, v->gateway, &scope);
    while (gw_map_next(&v->entries, &it, &name, &value))
        if (!gw_map_get(&scope, name)) n += drop(p, v, name);
    it = 0;
    while (gw_map_next(&scope, &it, &name, &value))
        n += take(p, v, name, value);
    gw_map_fini(&scope, NULL);
    return n;
}

void ctl_view_refresh(struct ctl_publish *p, struct ctl_view *v,
                      const struct ctl_resource_change *changes, size_t n) {
    size_t changed = 0;
    v->serial++;
    if (*v->gateway) {
        changed = refresh_scope(p, v);
    } else {
        for (size_t i = 0; i < n; i++) {
            struct gw_str name = gw_str_of(changes[i].name);
            struct ctl_pub_resource *r = gw_map_get(&p->resources, name);
            changed += r ? take(p, v, name, r) : drop(p, v, name);
        }
    }
    if (changed)
        compute_root(v);
    else
        v->serial--;
}

struct ctl_view *ctl_view_of(struct ctl_publish *p, const char *gateway) {
    for (struct ctl_view *v = p->views; v; v = v->next)
        if (strcmp(v->gateway, gateway) == 0) return v;
    struct ctl_view *v = gw_alloc(sizeof(*v));
    v->gateway = gw_strdup(gateway);
    v->next = p->views;
    p->views = v;
    compute_root(v); // of nothing: an empty view has a root, too
    if (*gateway) ctl_view_refresh(p, v, NULL, 0);
    return v;
}

// The view of all resources stays: its root is the snapshot's version.
void ctl_view_leave(struct ctl_publish *p, struct ctl_view *v) {
    if (v->remotes) return;
    for (const struct ctl_peer *peer = p->peers; peer; peer = peer->next)
        if (peer->view == v) return;
    for (struct ctl_view **at = &p->views; *at && *v->gateway; at = &(*at)->next) {
        if (*at != v) continue;
        *at = v->next;
        ctl_view_free(v);
        return;
    }
}

void ctl_view_changes(const struct ctl_view *v, uint64_t since, ctl_view_change_fn fn, void *arg) {
    struct gw_map seen = {0};
    for (size_t i = v->log.len; i-- > 0 && v->log.ptr[i].serial > since;) {
        struct gw_str name = gw_str_of(v->log.ptr[i].name);
        if (!gw_map_put(&seen, name, &seen)) fn(arg, name.ptr, gw_map_get(&v->entries, name));
    }
    gw_map_fini(&seen, NULL);
}
