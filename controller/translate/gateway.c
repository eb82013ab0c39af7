// SPDX-License-Identifier: Apache-2.0
// GatewayClasses and Gateways: which are ours, which of their listeners can be served, and their
// reports. What routes see of a Gateway is compared from run to run, so that an edit that changes
// nothing for them translates none of them.
#include "controller/translate/tr.h"

#include <stdio.h>

// --- classes -----------------------------------------------------------------------------------

void tr_class_translate(struct ctl_translator *t, struct gw_str name) {
    const struct ctl_object *o = ctl_store_get(t->store, &ctl_res_gateway_class, GW_STR(""), name);
    struct tr_class *c = gw_map_get(&t->classes, name);
    struct ctl_status_report *report = NULL;
    if (!c) {
        c = gw_alloc(sizeof(*c));
        gw_map_put(&t->classes, name, c);
    }
    c->ours = o && gw_str_eq(gw_json_str(gw_json_get(o->json, "spec"), "controllerName"),
                             GW_STR(CTL_CONTROLLER_NAME));
    if (c->ours) {
        report = tr_report_new(o->kind, o->ns, o->name, o->generation);
        tr_condition(tr_report_part(report), "Accepted", true, "Accepted",
                     "Gateways of this class are served");
    }
    tr_report_set(t, &c->report, &ctl_res_gateway_class, GW_STR(""), name, report);
    tr_fire(t, "GatewayClass", GW_STR(""), name);
    if (!o) {
        gw_map_del(&t->classes, name);
        free(c);
    }
}

static void class_free(void *arg) {
    struct tr_class *c = arg;
    tr_report_free(c->report);
    free(c);
}

void tr_classes_free(struct ctl_translator *t) {
    gw_map_fini(&t->classes, class_free);
}

// --- listeners ---------------------------------------------------------------------------------

static char *dup_str(struct gw_str s) {
    return gw_strndup(s.ptr ? s.ptr : "", s.len);
}

static void listeners_free(struct tr_listener *list, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct tr_listener *l = &list[i];
        free(l->name);
        free(l->resource);
        free(l->hostname);
        free(l->from);
        free(l->protocol);
        free(l->conflict_message);
        free(l->bad_kinds);
        json_decref(l->selector);
    }
    free(list);
}

void tr_gateway_fini(struct tr_gateway *g) {
    listeners_free(g->listeners, g->listeners_n);
    free(g->class_name);
}

// HTTPRoute is the one kind that HTTP listeners take today; others are named in the report.
static void judge_kinds(struct tr_listener *l, const json_t *kinds) {
    GW_CLEANUP(gw_text_fini) struct gw_text bad = {0};
    l->takes_http = json_array_size(kinds) == 0;
    for (size_t i = 0; i < json_array_size(kinds); i++) {
        const json_t *k = json_array_get(kinds, i);
        struct gw_str group = tr_str_or(k, "group", GW_STR(TR_GROUP)),
                      kind = gw_json_str(k, "kind");
        if (gw_str_eq(group, GW_STR(TR_GROUP)) && gw_str_eq(kind, GW_STR("HTTPRoute"))) {
            l->takes_http = true;
            continue;
        }
        gw_text_addf(&bad, "%s" GW_STR_FMT "%s" GW_STR_FMT, bad.len ? ", " : "", GW_STR_ARG(kind),
                     group.len ? "." : "", GW_STR_ARG(group));
    }
    if (bad.len) l->bad_kinds = dup_str(gw_text_str(&bad));
}

static void read_listener(const struct tr_gateway *g, const json_t *spec, struct tr_listener *l) {
    char name[GW_IR_NAME_MAX + 1];
    const json_t *allowed = gw_json_get(spec, "allowedRoutes");
    const json_t *namespaces = gw_json_get(allowed, "namespaces");
    l->name = dup_str(gw_json_str(spec, "name"));
    snprintf(name, sizeof(name), "listener/%s/%s/%s", g->node.ns, g->node.name, l->name);
    l->resource = gw_strdup(name);
    l->hostname = dup_str(gw_json_str(spec, "hostname"));
    l->port = (int)gw_json_int(spec, "port", 0);
    l->protocol = dup_str(gw_json_str(spec, "protocol"));
    l->from = dup_str(tr_str_or(namespaces, "from", GW_STR("Same")));
    l->selector = json_incref(gw_json_get(namespaces, "selector"));
    bool http = strcmp(l->protocol, "HTTP") == 0;
    if (http) judge_kinds(l, gw_json_get(allowed, "kinds"));
    if (!http)
        l->why = "UnsupportedProtocol";
    else if (!l->takes_http)
        l->why = "InvalidRouteKinds";
}

// Protocols that can share a port (told apart by hostname) are in one family.
static int family(const char *protocol) {
    static const struct {
        const char *protocol;
        int family;
    } families[] = {{"HTTP", 1}, {"HTTPS", 2}, {"TLS", 2}, {"TCP", 3}, {"UDP", 4}};
    for (size_t i = 0; i < GW_ARRAY_LEN(families); i++)
        if (strcmp(protocol, families[i].protocol) == 0) return families[i].family;
    return 0; // of another implementation
}

// NULL: both can be served.
static const char *conflict_of(const struct tr_listener *a, const struct tr_listener *b) {
    int fa = family(a->protocol), fb = family(b->protocol);
    if (a->port != b->port || !fa || !fb) return NULL;
    if (fa != fb) return fa == 4 || fb == 4 ? NULL : "ProtocolConflict";
    if (fa >= 3) return "ProtocolConflict";
    return strcmp(a->hostname, b->hostname) == 0 ? "HostnameConflict" : NULL;
}

// All of a Gateway's conflicting listeners lose; the message names the first other one.
static void judge_conflicts(struct tr_listener *list, size_t n) {
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < n && !list[i].conflict; k++) {
            if (i == k) continue;
            list[i].conflict = conflict_of(&list[i], &list[k]);
            if (!list[i].conflict) continue;
            char text[512];
            bool host = strcmp(list[i].conflict, "HostnameConflict") == 0;
            snprintf(text, sizeof(text), "listener '%s' has port %d %s", list[k].name, list[k].port,
                     host ? "with the same hostname" : "with another protocol");
            list[i].conflict_message = gw_strdup(text);
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (list[i].conflict && !list[i].why) list[i].why = list[i].conflict;
        list[i].served = list[i].why == NULL;
    }
}

static json_t *listener_body(const struct tr_gateway *g, const struct tr_listener *l) {
    char gateway[TR_KEY_MAX];
    tr_key(gateway, gw_str_of(g->node.ns), gw_str_of(g->node.name));
    json_t *body = json_object();
    tr_set(body, "gateway", json_string_nocheck(gateway));
    tr_set(body, "name", json_string_nocheck(l->name));
    tr_set(body, "port", json_integer(l->port));
    tr_set(body, "protocol", json_string_nocheck(l->protocol));
    if (*l->hostname) tr_set(body, "hostname", json_string_nocheck(l->hostname));
    return body;
}

// --- Gateways ----------------------------------------------------------------------------------

// What routes see.
static bool same_listener(const struct tr_listener *a, const struct tr_listener *b) {
    return strcmp(a->name, b->name) == 0 && strcmp(a->hostname, b->hostname) == 0 &&
           a->port == b->port && a->served == b->served &&
           (a->why == b->why || (a->why && b->why && strcmp(a->why, b->why) == 0)) &&
           a->takes_http == b->takes_http && strcmp(a->from, b->from) == 0 &&
           (a->selector == b->selector || json_equal(a->selector, b->selector));
}

static bool same_face(const struct tr_gateway *a, const struct tr_gateway *b) {
    if (a->state != b->state || a->listeners_n != b->listeners_n) return false;
    if (a->state == TR_GATEWAY_CLASSLESS && strcmp(a->class_name, b->class_name) != 0) return false;
    for (size_t i = 0; i < a->listeners_n; i++)
        if (!same_listener(&a->listeners[i], &b->listeners[i])) return false;
    return true;
}

static enum tr_gateway_state state_of(const struct ctl_translator *t, const struct ctl_object *o,
                                      struct gw_str class_name) {
    if (!o) return TR_GATEWAY_ABSENT;
    const struct tr_class *c = gw_map_get(&t->classes, class_name);
    if (!c) return TR_GATEWAY_CLASSLESS;
    return c->ours ? TR_GATEWAY_OURS : TR_GATEWAY_FOREIGN;
}

void tr_gateway_translate(struct ctl_translator *t, struct tr_gateway *g) {
    struct gw_str ns = gw_str_of(g->node.ns), name = gw_str_of(g->node.name);
    const struct ctl_object *o = ctl_store_get(t->store, &ctl_res_gateway, ns, name);
    const json_t *spec = o ? gw_json_get(o->json, "spec") : NULL;
    struct gw_str class_name = gw_json_str(spec, "gatewayClassName");
    struct tr_gateway last = *g;
    struct tr_names holds = {0};
    tr_forget(t, &g->node);
    if (o) tr_refer(t, &g->node, "GatewayClass", GW_STR(""), class_name);
    g->state = state_of(t, o, class_name);
    g->class_name = dup_str(class_name);
    g->generation = o ? o->generation : 0;
    g->node.gone = o == NULL;
    g->listeners = NULL;
    g->listeners_n = 0;
    if (g->state == TR_GATEWAY_OURS) {
        const json_t *list = gw_json_get(spec, "listeners");
        g->listeners_n = json_array_size(list);
        g->listeners = gw_alloc(g->listeners_n * sizeof(*g->listeners) + 1);
        for (size_t i = 0; i < g->listeners_n; i++)
            read_listener(g, json_array_get(list, i), &g->listeners[i]);
        judge_conflicts(g->listeners, g->listeners_n);
    }
    for (size_t i = 0; i < g->listeners_n; i++)
        if (g->listeners[i].served)
            tr_emit(t, &holds, g->listeners[i].resource, listener_body(g, &g->listeners[i]));
    tr_hold(t, &g->node, &holds);
    if (!same_face(&last, g)) tr_fire(t, "Gateway", ns, name);
    listeners_free(last.listeners, last.listeners_n);
    free(last.class_name);
    tr_touch(t, &g->node);
}

// --- reports -----------------------------------------------------------------------------------

static void report_listener(const struct ctl_translator *t, const struct tr_listener *l,
                            struct ctl_status_part *p) {
    const unsigned *attached = gw_map_get(&t->attached, gw_str_of(l->resource));
    bool http = strcmp(l->protocol, "HTTP") == 0;
    p->listener = gw_strdup(l->name);
    p->attached_routes = attached ? (int)*attached : 0;
    p->supported_kinds = json_array();
    if (l->takes_http)
        json_array_append_new(p->supported_kinds,
                              json_pack("{ssss}", "group", TR_GROUP, "kind", "HTTPRoute"));
    if (!http)
        tr_condition(p, "Accepted", false, "UnsupportedProtocol",
                     "protocol %s is not supported yet (HTTP is)", l->protocol);
    else if (l->conflict)
        tr_condition(p, "Accepted", false, l->conflict, "%s", l->conflict_message);
    else
        tr_condition(p, "Accepted", true, "Accepted", "the listener is valid");
    if (l->conflict)
        tr_condition(p, "Conflicted", true, l->conflict, "%s", l->conflict_message);
    else
        tr_condition(p, "Conflicted", false, "NoConflicts", "no other listener is in its way");
    if (l->bad_kinds)
        tr_condition(p, "ResolvedRefs", false, "InvalidRouteKinds",
                     "allowedRoutes.kinds: a listener of protocol %s does not take %s", l->protocol,
                     l->bad_kinds);
    else
        tr_condition(p, "ResolvedRefs", true, "ResolvedRefs", "all references are resolved");
    tr_programmed(p, l->served, &(char *){l->resource}, l->served ? 1 : 0);
}

static void report_gateway(const struct tr_gateway *g, struct ctl_status_part *p) {
    GW_CLEANUP(gw_text_fini) struct gw_text invalid = {0};
    size_t served = 0;
    bool resolved = true;
    for (size_t i = 0; i < g->listeners_n; i++) {
        const struct tr_listener *l = &g->listeners[i];
        served += l->served;
        resolved = resolved && !l->bad_kinds;
        if (!l->served)
            gw_text_addf(&invalid, "%slistener '%s' is not valid (%s)", invalid.len ? ", " : "",
                         l->name, l->why);
    }
    if (invalid.len)
        tr_condition(p, "Accepted", served > 0, "ListenersNotValid", "%s", invalid.ptr);
    else
        tr_condition(p, "Accepted", true, "Accepted", "all listeners are valid");
    if (resolved)
        tr_condition(p, "ResolvedRefs", true, "ResolvedRefs", "all references are resolved");
    else
        tr_condition(p, "ResolvedRefs", false, "ListenersNotResolved",
                     "the listeners say what is not resolved");
    tr_programmed(p, served > 0, g->node.holds.ptr, g->node.holds.len);
}

void tr_gateway_finish(struct ctl_translator *t, struct tr_gateway *g) {
    struct gw_str ns = gw_str_of(g->node.ns), name = gw_str_of(g->node.name);
    struct ctl_status_report *r = NULL;
    if (g->state == TR_GATEWAY_CLASSLESS || g->state == TR_GATEWAY_OURS)
        r = tr_report_new(&ctl_res_gateway, ns, name, g->generation);
    // In a folder nobody else would say it.
    if (g->state == TR_GATEWAY_CLASSLESS)
        tr_condition(tr_report_part(r), "Accepted", false, "Pending",
                     "GatewayClass '%s' does not exist", g->class_name);
    if (g->state == TR_GATEWAY_OURS) {
        report_gateway(g, tr_report_part(r));
        for (size_t i = 0; i < g->listeners_n; i++)
            report_listener(t, &g->listeners[i], tr_report_part(r));
    }
    tr_report_set(t, &g->node.report, &ctl_res_gateway, ns, name, r);
}
