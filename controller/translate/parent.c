// SPDX-License-Identifier: Apache-2.0
// What a route's parentRef comes to: which listeners of which Gateway take the route, for which
// hostnames, or why none does.
#include "controller/translate/tr.h"

#include <stdio.h>

// --- hostnames ---------------------------------------------------------------------------------

// "*.example.com" covers names that end in ".example.com" and are longer than that.
static bool covers(struct gw_str wildcard, struct gw_str name) {
    struct gw_str tail = {wildcard.ptr + 1, wildcard.len - 1};
    return name.len > tail.len && gw_str_ends(name, tail);
}

static bool is_wildcard(struct gw_str s) {
    return gw_str_starts(s, GW_STR("*."));
}

bool tr_hostname_meet(struct gw_str listener, struct gw_str route, struct gw_str *ret) {
    if (listener.len == 0 || gw_str_eq(listener, route)) {
        *ret = route;
        return true;
    }
    // Two wildcards meet in the longer one: "*.a.example.com" is covered by "*.example.com".
    if (is_wildcard(listener) && covers(listener, route)) {
        *ret = route;
        return true;
    }
    if (is_wildcard(route) && covers(route, listener)) {
        *ret = listener;
        return true;
    }
    return false;
}

static int compare_texts(const void *a, const void *b) {
    return strcmp(json_string_value(*(json_t *const *)a), json_string_value(*(json_t *const *)b));
}

static json_t *sorted_once(json_t *list) {
    size_t n = json_array_size(list);
    json_t **ptr = gw_alloc((n + 1) * sizeof(*ptr));
    for (size_t i = 0; i < n; i++)
        ptr[i] = json_array_get(list, i);
    if (n) qsort(ptr, n, sizeof(*ptr), compare_texts);
    json_t *sorted = json_array();
    for (size_t i = 0; i < n; i++)
        if (i == 0 || !json_equal(ptr[i], ptr[i - 1])) json_array_append(sorted, ptr[i]);
    free(ptr);
    json_decref(list);
    return sorted;
}

// NULL: they have none in common. An empty list: any host of the listener.
static json_t *hostnames_of(const struct tr_listener *l, const json_t *hostnames) {
    json_t *list = json_array();
    size_t n = json_array_size(hostnames);
    for (size_t i = 0; i < n; i++) {
        struct gw_str common;
        if (tr_hostname_meet(gw_str_of(l->hostname), gw_json_str_of(json_array_get(hostnames, i)),
                             &common))
            json_array_append_new(list, tr_string(common));
    }
    if (n == 0 || json_array_size(list) > 0) return sorted_once(list);
    json_decref(list);
    return NULL;
}

// --- listeners ---------------------------------------------------------------------------------

static bool takes_namespace(struct ctl_translator *t, struct tr_route *r,
                            const struct tr_gateway *g, const struct tr_listener *l) {
    if (strcmp(l->from, "All") == 0) return true;
    if (strcmp(l->from, "Same") == 0) return strcmp(g->node.ns, r->node.ns) == 0;
    struct gw_str ns = gw_str_of(r->node.ns);
    tr_refer(t, &r->node, "Namespace", GW_STR(""), ns);
    return tr_selects(t, l->selector, ns);
}

static void refuse(struct tr_parent *p, const char *reason, const char *fmt, ...) GW_PRINTF(3, 4);
static void refuse(struct tr_parent *p, const char *reason, const char *fmt, ...) {
    va_list ap;
    p->reason = reason;
    va_start(ap, fmt);
    vsnprintf(p->message, sizeof(p->message), fmt, ap);
    va_end(ap);
}

// How far the listeners came; a later stage of one listener wins over an earlier one of another.
enum stage { STAGE_SERVED, STAGE_ALLOWED, STAGE_ATTACHED, STAGE_COUNT };

static void refuse_by(struct tr_parent *p, const struct tr_route *r, const unsigned *reached,
                      const struct tr_listener *unserved) {
    const struct tr_node *g = &p->gateway->node;
    struct gw_str section = gw_json_str(p->ref, "sectionName");
    int64_t port = gw_json_int(p->ref, "port", 0);
    if (reached[STAGE_ALLOWED])
        refuse(p, "NoMatchingListenerHostname",
               "no listener of Gateway %s/%s has a hostname in common with the route", g->ns,
               g->name);
    else if (reached[STAGE_SERVED])
        refuse(p, "NotAllowedByListeners",
               "no listener of Gateway %s/%s takes HTTPRoutes of namespace '%s' (allowedRoutes)",
               g->ns, g->name, r->node.ns);
    else if (unserved)
        refuse(p, "NotAllowedByListeners", "listener '%s' of Gateway %s/%s is not served (%s)",
               unserved->name, g->ns, g->name, unserved->why);
    else if (section.ptr && port)
        refuse(p, "NoMatchingParent",
               "Gateway %s/%s has no listener '" GW_STR_FMT "' with port %lld", g->ns, g->name,
               GW_STR_ARG(section), (long long)port);
    else if (section.ptr)
        refuse(p, "NoMatchingParent", "Gateway %s/%s has no listener '" GW_STR_FMT "'", g->ns,
               g->name, GW_STR_ARG(section));
    else
        refuse(p, "NoMatchingParent", "Gateway %s/%s has no listener with port %lld", g->ns,
               g->name, (long long)port);
}

static void judge_listeners(struct ctl_translator *t, struct tr_route *r, const json_t *hostnames,
                            struct tr_parent *p) {
    struct gw_str section = gw_json_str(p->ref, "sectionName");
    int64_t port = gw_json_int(p->ref, "port", 0);
    unsigned reached[STAGE_COUNT] = {0};
    const struct tr_listener *unserved = NULL;
    for (size_t i = 0; i < p->gateway->listeners_n; i++) {
        const struct tr_listener *l = &p->gateway->listeners[i];
        if (section.ptr && !gw_str_eq(section, gw_str_of(l->name))) continue;
        if (port && port != l->port) continue;
        if (!l->served) {
            unserved = unserved ? unserved : l;
            continue;
        }
        reached[STAGE_SERVED]++;
        if (!takes_namespace(t, r, p->gateway, l)) continue;
        reached[STAGE_ALLOWED]++;
        json_t *common = hostnames_of(l, hostnames);
        if (!common) continue;
        reached[STAGE_ATTACHED]++;
        GW_VEC_PUSH(&p->attach, ((struct tr_attach){l, common}));
    }
    p->accepted = reached[STAGE_ATTACHED] > 0;
    if (p->accepted)
        refuse(p, "Accepted", "Gateway %s/%s takes the route", p->gateway->node.ns,
               p->gateway->node.name);
    else
        refuse_by(p, r, reached, unserved);
}

// --- parents -----------------------------------------------------------------------------------

bool tr_parent_judge(struct ctl_translator *t, struct tr_route *r, const struct ctl_object *o,
                     const json_t *ref, struct tr_parent *ret) {
    char key[TR_KEY_MAX];
    struct gw_str ns = tr_str_or(ref, "namespace", o->ns), name = gw_json_str(ref, "name");
    if (!gw_str_eq(tr_str_or(ref, "group", GW_STR(TR_GROUP)), GW_STR(TR_GROUP)) ||
        !gw_str_eq(tr_str_or(ref, "kind", GW_STR("Gateway")), GW_STR("Gateway")))
        return false;
    tr_refer(t, &r->node, "Gateway", ns, name);
    struct tr_node *node = tr_node_get(t, TR_GATEWAY, tr_key(key, ns, name));
    const struct tr_gateway *g = node ? GW_CONTAINER_OF(node, struct tr_gateway, node) : NULL;
    if (g && g->state == TR_GATEWAY_FOREIGN) return false;
    if (t->o.is_shared && (!g || g->state != TR_GATEWAY_OURS)) return false;
    *ret = (struct tr_parent){.ref = ref, .gateway = g};
    if (!g || g->state == TR_GATEWAY_ABSENT)
        refuse(ret, "NoMatchingParent", "Gateway " GW_STR_FMT "/" GW_STR_FMT " does not exist",
               GW_STR_ARG(ns), GW_STR_ARG(name));
    else if (g->state == TR_GATEWAY_CLASSLESS)
        refuse(ret, "NoMatchingParent",
               "Gateway " GW_STR_FMT "/" GW_STR_FMT
               " is of GatewayClass '%s', which does not exist",
               GW_STR_ARG(ns), GW_STR_ARG(name), g->class_name);
    else
        judge_listeners(t, r, gw_json_path(o->json, "spec.hostnames"), ret);
    return true;
}

void tr_parent_fini(struct tr_parent *p) {
    for (size_t i = 0; i < p->attach.len; i++)
        json_decref(p->attach.ptr[i].hostnames);
    GW_VEC_FINI(&p->attach);
}
