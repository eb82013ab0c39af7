// SPDX-License-Identifier: Apache-2.0
// Resources to a config: secrets and endpoints, then backends, then certificates and listeners,
// then rules in the order of their age, and at last one router per listener. Each resource is
// refused alone.
#include "dataplane/conf/compile.h"

#include "dataplane/obs/metrics.h"

#include <stdlib.h>

// Resources of one kind.
struct of_kind {
    GW_VEC(const struct dp_resource *) list;
};

static void compile_each(struct dp_compile *c, const struct of_kind *k, dp_compile_fn fn) {
    for (size_t i = 0; i < k->list.len; i++) {
        const struct dp_resource *r = k->list.ptr[i];
        struct gw_err err;
        if (fn(c, r->name, r->body, &err) != GW_OK) dp_conf_refuse(c->refusals, r->name, err.text);
    }
}

// --- listeners ----------------------------------------------------------------------------------

// Two Gateways may ask for the same port and hostname, or for a port as HTTP and as HTTPS; on one
// data plane only one can have it. The translation judges listeners of one Gateway alone.
static enum gw_rc check_is_free(const struct dp_compile *c, const json_t *body,
                                struct gw_err *err) {
    size_t it = 0;
    struct gw_str name, hostname = gw_json_str(body, "hostname");
    void *value;
    while (gw_map_next(&c->listeners, &it, &name, &value)) {
        const struct dp_listener_build *other = value;
        if (other->port != gw_json_int(body, "port", 0)) continue;
        if (other->listener->is_tls != (gw_json_get(body, "tls") != NULL))
            return gw_err_set(err, GW_ERR_INPUT, 0, "port %u is served as %s by " GW_STR_FMT,
                              other->port, other->listener->is_tls ? "HTTPS" : "HTTP",
                              GW_STR_ARG(name));
        if (gw_str_eq(other->listener->hostname, hostname))
            return gw_err_set(err, GW_ERR_INPUT, 0,
                              "port %u and hostname '" GW_STR_FMT "' are served by " GW_STR_FMT
                              " already",
                              other->port, hostname.len ? (int)hostname.len : 1,
                              hostname.len ? hostname.ptr : "*", GW_STR_ARG(name));
    }
    return GW_OK;
}

enum gw_rc dp_compile_listener(struct dp_compile *c, struct gw_str name, const json_t *body,
                               struct gw_err *err) {
    GW_TRY(check_is_free(c, body, err));
    struct dp_listener_build *b = gw_arena_zalloc(c->arena, sizeof(*b));
    struct dp_listener *l = gw_arena_zalloc(c->arena, sizeof(*l));
    l->name = gw_arena_dup(c->arena, name);
    l->gateway = gw_arena_dup(c->arena, gw_json_str(body, "gateway"));
    l->section = gw_arena_dup(c->arena, gw_json_str(body, "name"));
    l->hostname = gw_arena_dup(c->arena, gw_json_str(body, "hostname"));
    const struct gw_str labels[] = {l->gateway, GW_STR(""), GW_STR(""), GW_STR("4xx")};
    l->requests_unrouted = gw_metric_series(&dp_metric_requests, labels);
    l->port = (uint16_t)gw_json_int(body, "port", 0);
    l->is_tls = gw_json_get(body, "tls") != NULL;
    if (l->is_tls) dp_compile_listener_tls(c, body, l);
    b->listener = l;
    b->port = l->port;
    b->router = dp_router_builder_new();
    gw_map_put(&c->listeners, name, b);
    return GW_OK;
}

struct listeners {
    struct dp_listener_build **ptr;
    size_t len;
};

static int by_port_and_name(const void *x, const void *y) {
    const struct dp_listener_build *const *a = x, *const *b = y;
    int order = (int)(*a)->port - (int)(*b)->port;
    return order ? order : gw_str_cmp((*a)->listener->name, (*b)->listener->name);
}

// Listeners sorted by port, then by name; the array is the caller's.
static struct listeners sorted_listeners(struct dp_compile *c) {
    struct listeners all = {gw_alloc((c->listeners.len + 1) * sizeof(struct dp_listener_build *)),
                            0};
    size_t it = 0;
    struct gw_str name;
    void *value;
    while (gw_map_next(&c->listeners, &it, &name, &value))
        all.ptr[all.len++] = value;
    qsort(all.ptr, all.len, sizeof(*all.ptr), by_port_and_name);
    return all;
}

static void build_ports(struct dp_compile *c) {
    struct listeners all = sorted_listeners(c);
    const struct dp_listener **list = gw_arena_alloc(c->arena, (all.len + 1) * sizeof(*list));
    struct dp_conf *conf = c->conf;
    conf->ports = gw_arena_zalloc(c->arena, (all.len + 1) * sizeof(*conf->ports));
    for (size_t i = 0; i < all.len; i++) {
        struct dp_listener_build *b = all.ptr[i];
        b->listener->router = dp_router_build(b->router);
        GW_VEC_PUSH(&c->owned->routers, b->listener->router);
        list[i] = b->listener;
        if (i == 0 || all.ptr[i - 1]->port != b->port)
            conf->ports[conf->ports_n++] =
                (struct dp_port){b->port, b->listener->is_tls, &list[i], 0};
        conf->ports[conf->ports_n - 1].len++;
    }
    free(all.ptr);
}

// --- rules --------------------------------------------------------------------------------------

static int by_age(const void *x, const void *y) {
    const struct dp_rule_build *a = x, *b = y;
    int order = gw_str_cmp(a->age, b->age);
    if (order == 0) order = gw_str_cmp(a->rule->route, b->rule->route);
    if (order) return order;
    return (a->rule->index > b->rule->index) - (a->rule->index < b->rule->index);
}

static void compile_rules(struct dp_compile *c, const struct of_kind *k) {
    struct dp_rule_build *rules = gw_alloc((k->list.len + 1) * sizeof(*rules));
    size_t rules_n = 0;
    for (size_t i = 0; i < k->list.len; i++) {
        const struct dp_resource *r = k->list.ptr[i];
        struct gw_err err;
        if (dp_compile_rule(c, r->name, r->body, &rules[rules_n], &err) == GW_OK)
            rules_n++;
        else
            dp_conf_refuse(c->refusals, r->name, err.text);
    }
    qsort(rules, rules_n, sizeof(*rules), by_age);
    for (size_t i = 0; i < rules_n; i++)
        dp_compile_attach(c, &rules[i]);
    c->conf->rules_n = (unsigned)rules_n;
    free(rules);
}

// --- the whole ----------------------------------------------------------------------------------

static struct dp_conf *new_conf(const char *version, struct dp_conf_owned **ret_owned) {
    struct dp_conf *conf = gw_alloc(sizeof(*conf));
    atomic_init(&conf->refs, 1);
    size_t n = strlen(version);
    if (n > GW_IR_VERSION_CHARS) n = GW_IR_VERSION_CHARS;
    memcpy(conf->version, version, n);
    gw_arena_init(&conf->arena, NULL, 0, 0);
    conf->owned = *ret_owned = gw_alloc(sizeof(struct dp_conf_owned));
    return conf;
}

static int by_name(const void *x, const void *y) {
    const struct dp_resource *const *a = x, *const *b = y;
    return gw_str_cmp((*a)->name, (*b)->name);
}

// Of two listeners that exclude each other the first one by name is served; nothing else depends on
// an order here.
static void sort_out(const struct dp_resource *resources, size_t n, struct of_kind *kinds) {
    for (size_t i = 0; i < n; i++) {
        enum gw_ir_kind k;
        if (gw_ir_kind_of(resources[i].name, &k, NULL) == GW_OK)
            GW_VEC_PUSH(&kinds[k].list, &resources[i]);
    }
    struct of_kind *l = &kinds[GW_IR_LISTENER];
    if (l->list.len) qsort(l->list.ptr, l->list.len, sizeof(*l->list.ptr), by_name);
}

struct dp_conf *dp_conf_compile(const struct dp_resource *resources, size_t n, const char *version,
                                unsigned workers, struct dp_conf_refusals *refusals) {
    struct dp_compile c = {.workers = workers, .refusals = refusals};
    struct of_kind kinds[GW_IR_KIND_COUNT] = {0};
    c.conf = new_conf(version, &c.owned);
    c.arena = &c.conf->arena;
    sort_out(resources, n, kinds);
    compile_each(&c, &kinds[GW_IR_SECRET], dp_compile_secret);
    compile_each(&c, &kinds[GW_IR_ENDPOINTS], dp_compile_endpoints);
    compile_each(&c, &kinds[GW_IR_BACKEND], dp_compile_backend);
    compile_each(&c, &kinds[GW_IR_TLS], dp_compile_tls);
    compile_each(&c, &kinds[GW_IR_LISTENER], dp_compile_listener);
    compile_rules(&c, &kinds[GW_IR_RULE]);
    build_ports(&c);
    c.conf->backends_n = (unsigned)c.backends.len;
    gw_map_fini(&c.secrets, NULL);
    gw_map_fini(&c.endpoints, NULL);
    gw_map_fini(&c.backends, NULL);
    gw_map_fini(&c.listeners, NULL);
    gw_map_fini(&c.certs, NULL);
    for (int k = 0; k < GW_IR_KIND_COUNT; k++)
        GW_VEC_FINI(&kinds[k].list);
    return c.conf;
}
