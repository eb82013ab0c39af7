// SPDX-License-Identifier: Apache-2.0
// Ports of Services that attached rules use: each is a backend and an endpoint set. EndpointSlices
// concern the endpoint set alone, so a pod that comes or goes translates no rule.
#include "controller/translate/tr.h"

#include <stdio.h>

// More than any data plane balances over; a resource must stay below GW_IR_RESOURCE_BYTES_MAX.
#define ADDRESSES_MAX 10000

static struct gw_str port_key(char dst[TR_KEY_MAX], struct gw_str ns, struct gw_str service,
                              uint16_t port) {
    int n = snprintf(dst, TR_KEY_MAX, GW_STR_FMT "/" GW_STR_FMT "/%u", GW_STR_ARG(ns),
                     GW_STR_ARG(service), port);
    GW_ASSERT(n > 0 && n < TR_KEY_MAX);
    return (struct gw_str){dst, (size_t)n};
}

struct tr_port *tr_port_need(struct ctl_translator *t, struct gw_str ns, struct gw_str service,
                             uint16_t port) {
    char key[TR_KEY_MAX];
    struct tr_node *n = tr_node_need(t, TR_PORT, sizeof(struct tr_port), ns, service,
                                     port_key(key, ns, service, port));
    struct tr_port *p = GW_CONTAINER_OF(n, struct tr_port, node);
    p->port = port;
    if (p->users == 0) tr_mark(t, n);
    return p;
}

void tr_port_leave(struct ctl_translator *t, struct tr_port *p) {
    GW_ASSERT(p->users > 0);
    if (--p->users == 0) tr_mark(t, &p->node);
}

// Names of KEP-3726, those that carry TLS, and the one that gRPC services are given.
bool tr_app_protocol(struct gw_str app, const char **ret_protocol) {
    static const struct {
        const char *app, *protocol;
    } known[] = {
        {"kubernetes.io/h2c", "h2c"}, {"grpc", "h2c"}, {"kubernetes.io/ws", "ws"},
        {"kubernetes.io/wss", NULL},  {"https", NULL},
    };
    *ret_protocol = NULL;
    for (size_t i = 0; i < GW_ARRAY_LEN(known); i++) {
        if (!gw_str_eq(app, gw_str_of(known[i].app))) continue;
        *ret_protocol = known[i].protocol;
        return known[i].protocol != NULL;
    }
    return true;
}

// --- addresses ---------------------------------------------------------------------------------

static json_t *host_port(struct gw_str host, int64_t port) {
    json_t *v = json_object();
    tr_set(v, "host", tr_string(host));
    tr_set(v, "port", json_integer(port));
    return v;
}

static const json_t *service_port(const struct ctl_object *o, uint16_t port) {
    const json_t *ports = gw_json_path(o->json, "spec.ports");
    for (size_t i = 0; i < json_array_size(ports); i++) {
        const json_t *p = json_array_get(ports, i);
        if (gw_json_int(p, "port", 0) == port &&
            gw_str_eq(tr_str_or(p, "protocol", GW_STR("TCP")), GW_STR("TCP")))
            return p;
    }
    return NULL;
}

// The number that a slice gives the Service's port; 0: it does not have it.
static int64_t slice_port(const json_t *slice, const json_t *port, uint16_t number) {
    struct gw_str name = tr_str_or(port, "name", GW_STR(""));
    const json_t *list = gw_json_get(slice, "ports");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *p = json_array_get(list, i);
        if (!gw_str_eq(tr_str_or(p, "name", GW_STR("")), name) ||
            !gw_str_eq(tr_str_or(p, "protocol", GW_STR("TCP")), GW_STR("TCP")))
            continue;
        // Without a number it stands for all ports, so the Service's own target counts.
        return gw_json_int(p, "port", gw_json_int(port, "targetPort", number));
    }
    return 0;
}

// Of a Service's endpoints.
struct found {
    json_t *ready;
    json_t *leaving; // terminating, and still serving
};

// Unknown counts as ready, as the API has it; whether an endpoint that is not still serves is only
// believed where it is said.
static json_t *list_for(const json_t *endpoint, const struct found *f) {
    const json_t *c = gw_json_get(endpoint, "conditions");
    if (gw_json_bool(c, "ready", true)) return f->ready;
    bool leaves = gw_json_bool(c, "serving", false) && gw_json_bool(c, "terminating", false);
    return leaves ? f->leaving : NULL;
}

static void add_slice(const struct ctl_object *slice, const json_t *port, uint16_t number,
                      const struct found *f) {
    int64_t target = slice_port(slice->json, port, number);
    const json_t *endpoints = gw_json_get(slice->json, "endpoints");
    if (target == 0 ||
        gw_str_eq(gw_json_str(slice->json, "addressType"), GW_STR("FQDN"))) // deprecated, no IPs
        return;
    for (size_t i = 0; i < json_array_size(endpoints); i++) {
        const json_t *e = json_array_get(endpoints, i);
        const json_t *addresses = gw_json_get(e, "addresses");
        json_t *list = list_for(e, f);
        for (size_t k = 0; list && k < json_array_size(addresses); k++)
            json_array_append_new(list,
                                  host_port(gw_json_str_of(json_array_get(addresses, k)), target));
    }
}

static int compare_addresses(const void *a, const void *b) {
    const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
    int c = gw_str_cmp(gw_json_str(x, "host"), gw_json_str(y, "host"));
    int64_t px = gw_json_int(x, "port", 0), py = gw_json_int(y, "port", 0);
    return c ? c : (px > py) - (px < py);
}

static json_t *sorted_once(const json_t *list) {
    size_t n = json_array_size(list);
    json_t **ptr = gw_alloc((n + 1) * sizeof(*ptr));
    for (size_t i = 0; i < n; i++)
        ptr[i] = json_array_get(list, i);
    if (n) qsort(ptr, n, sizeof(*ptr), compare_addresses);
    json_t *sorted = json_array();
    for (size_t i = 0; i < n && json_array_size(sorted) < ADDRESSES_MAX; i++)
        if (i == 0 || compare_addresses(&ptr[i], &ptr[i - 1]) != 0)
            json_array_append(sorted, ptr[i]);
    free(ptr);
    return sorted;
}

static json_t *from_slices(const struct ctl_translator *t, const struct tr_port *p,
                           const json_t *port, const struct gw_str *names, size_t n) {
    struct gw_str ns = gw_str_of(p->node.ns);
    GW_JSON_AUTO ready = json_array();
    GW_JSON_AUTO leaving = json_array();
    const struct found f = {ready, leaving};
    for (size_t i = 0; i < n; i++) {
        const struct ctl_object *o = ctl_store_get(t->store, &ctl_res_endpoint_slice, ns, names[i]);
        if (o) add_slice(o, port, p->port, &f);
    }
    // As every proxy of Services does: better a pod that leaves than none.
    json_t *body = json_object();
    tr_set(body, "addresses", sorted_once(json_array_size(ready) ? ready : leaving));
    return body;
}

// "host:port" or "[v6]:port", as --endpoint checked it.
static json_t *from_option(const char *text) {
    const char *colon = strrchr(text, ':');
    uint64_t port = 0;
    if (!colon || gw_str_to_u64(gw_str_of(colon + 1), 65535, &port) != GW_OK) return NULL;
    struct gw_str host = {text, (size_t)(colon - text)};
    if (host.len >= 2 && host.ptr[0] == '[') host = (struct gw_str){host.ptr + 1, host.len - 2};
    json_t *body = json_object();
    if (gw_str_is_ip(host)) {
        json_t *list = json_array();
        json_array_append_new(list, host_port(host, (int64_t)port));
        tr_set(body, "addresses", list);
    } else {
        tr_set(body, "dns", host_port(host, (int64_t)port));
    }
    return body;
}

// The cluster's name of the Service. A headless one resolves to its pods, behind no port mapping.
static json_t *from_name(const struct tr_port *p, const struct ctl_object *o, const json_t *port) {
    char host[512];
    bool headless =
        gw_str_eq(gw_json_str(gw_json_get(o->json, "spec"), "clusterIP"), GW_STR("None"));
    snprintf(host, sizeof(host), "%s.%s.svc", p->node.name, p->node.ns);
    json_t *body = json_object();
    tr_set(
        body, "dns",
        host_port(gw_str_of(host), headless ? gw_json_int(port, "targetPort", p->port) : p->port));
    return body;
}

static json_t *endpoints_of(const struct ctl_translator *t, const struct tr_port *p,
                            const struct ctl_object *o, const json_t *port) {
    char key[TR_KEY_MAX];
    size_t n;
    struct gw_str ns = gw_str_of(p->node.ns), name = gw_str_of(p->node.name);
    struct gw_str *slices = tr_slices_of(t, ns, name, &n);
    json_t *body = n ? from_slices(t, p, port, slices, n) : NULL;
    free(slices);
    if (body) return body;
    const char *option = t->o.endpoints ? gw_map_get(t->o.endpoints, tr_key(key, ns, name)) : NULL;
    if (option) body = from_option(option);
    return body ? body : from_name(p, o, port);
}

// --- the port ----------------------------------------------------------------------------------

void tr_port_translate(struct ctl_translator *t, struct tr_port *p) {
    struct gw_str ns = gw_str_of(p->node.ns), name = gw_str_of(p->node.name);
    char key[TR_KEY_MAX], backend[TR_KEY_MAX + 32], endpoints[TR_KEY_MAX + 32];
    struct tr_names holds = {0};
    const char *protocol;
    tr_forget(t, &p->node);
    const struct ctl_object *o =
        p->users ? ctl_store_get(t->store, &ctl_res_service, ns, name) : NULL;
    const json_t *port = o ? service_port(o, p->port) : NULL;
    if (p->users) {
        tr_refer(t, &p->node, "Service", ns, name);
        tr_refer(t, &p->node, "Slices", ns, name);
    }
    if (port) {
        port_key(key, ns, name, p->port);
        snprintf(backend, sizeof(backend), "backend/service/%s", key);
        snprintf(endpoints, sizeof(endpoints), "endpoints/%s", key);
        json_t *body = json_object();
        tr_set(body, "type", json_string_nocheck("service"));
        tr_set(body, "endpoints", json_string_nocheck(endpoints));
        if (tr_app_protocol(gw_json_str(port, "appProtocol"), &protocol) && protocol)
            tr_set(body, "protocol", json_string_nocheck(protocol));
        tr_emit(t, &holds, backend, body);
        tr_emit(t, &holds, endpoints, endpoints_of(t, p, o, port));
    }
    tr_hold(t, &p->node, &holds);
    p->node.gone = p->users == 0;
    if (p->node.gone) tr_touch(t, &p->node); // to be freed
}
