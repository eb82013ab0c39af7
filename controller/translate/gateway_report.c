// SPDX-License-Identifier: Apache-2.0
// Reports of Gateways and their listeners.
#include "controller/translate/tr.h"

// --- listeners ---------------------------------------------------------------------------------

static void report_accepted(const struct tr_gateway *g, const struct tr_listener *l,
                            struct ctl_status_part *p) {
    if (l->why_message)
        tr_condition(p, "Accepted", false, l->why, "%s", l->why_message);
    else if (l->conflict)
        tr_condition(p, "Accepted", false, l->conflict, "%s", l->conflict_message);
    else if (g->refusal)
        tr_condition(p, "Accepted", false, "Pending", "the Gateway is not accepted (%s)",
                     g->refusal);
    else
        tr_condition(p, "Accepted", true, "Accepted", "the listener is valid");
    if (l->conflict)
        tr_condition(p, "Conflicted", true, l->conflict, "%s", l->conflict_message);
    else
        tr_condition(p, "Conflicted", false, "NoConflicts", "no other listener is in its way");
}

static void report_references(const struct tr_listener *l, struct ctl_status_part *p) {
    if (l->bad_kinds)
        tr_condition(p, "ResolvedRefs", false, "InvalidRouteKinds",
                     "allowedRoutes.kinds: a listener of protocol %s does not take %s", l->protocol,
                     l->bad_kinds);
    else if (l->refs_reason)
        tr_condition(p, "ResolvedRefs", false, l->refs_reason, "%s", l->refs_message.ptr);
    else
        tr_condition(p, "ResolvedRefs", true, "ResolvedRefs", "%s",
                     l->refs_message.len ? l->refs_message.ptr : "all references are resolved");
}

// The listener and the certificates it shows.
static void add_resources(const struct tr_listener *l, struct tr_names *ret) {
    if (!l->served) return;
    tr_names_add(ret, l->resource);
    for (size_t i = 0; i < l->certificates.len; i++)
        if (l->certificates.ptr[i]->read.chain) tr_names_add(ret, l->certificates.ptr[i]->resource);
}

static void report_listener(const struct ctl_translator *t, const struct tr_gateway *g,
                            const struct tr_listener *l, struct ctl_status_part *p) {
    const unsigned *attached = gw_map_get(&t->attached, gw_str_of(l->resource));
    struct tr_names resources = {0};
    p->listener = gw_strdup(l->name);
    p->attached_routes = attached ? (int)*attached : 0;
    p->supported_kinds = json_array();
    if (l->takes_http)
        json_array_append_new(p->supported_kinds,
                              json_pack("{ssss}", "group", TR_GROUP, "kind", "HTTPRoute"));
    report_accepted(g, l, p);
    report_references(l, p);
    if (l->overlap)
        tr_condition(p, "OverlappingTLSConfig", true, l->overlap, "%s", l->overlap_message);
    add_resources(l, &resources);
    tr_programmed(p, tr_listener_works(l), resources.ptr, resources.len);
    tr_names_fini(&resources);
}

// --- the Gateway -------------------------------------------------------------------------------

static void report_gateway_accepted(const struct tr_gateway *g, struct ctl_status_part *p) {
    GW_CLEANUP(gw_text_fini) struct gw_text invalid = {0};
    size_t served = 0;
    for (size_t i = 0; i < g->listeners_n; i++) {
        const struct tr_listener *l = &g->listeners[i];
        served += l->served;
        if (!l->served)
            gw_text_addf(&invalid, "%slistener '%s' is not valid (%s)", invalid.len ? ", " : "",
                         l->name, l->why);
    }
    if (g->refusal)
        tr_condition(p, "Accepted", false, g->refusal, "%s", g->refusal_message);
    else if (invalid.len)
        tr_condition(p, "Accepted", served > 0, "ListenersNotValid", "%s", invalid.ptr);
    else
        tr_condition(p, "Accepted", true, "Accepted", "all listeners are valid%s",
                     g->wants_infrastructure
                         ? "; infrastructure: no object is made for the Gateway that labels and "
                           "annotations could be given to"
                         : "");
}

static void report_gateway(const struct tr_gateway *g, struct ctl_status_part *p) {
    struct tr_names resources = {0};
    bool is_resolved = true, works = false;
    for (size_t i = 0; i < g->listeners_n; i++) {
        const struct tr_listener *l = &g->listeners[i];
        works = works || tr_listener_works(l);
        is_resolved = is_resolved && !l->bad_kinds && !l->refs_reason;
        add_resources(l, &resources);
    }
    report_gateway_accepted(g, p);
    if (is_resolved)
        tr_condition(p, "ResolvedRefs", true, "ResolvedRefs", "all references are resolved");
    else
        tr_condition(p, "ResolvedRefs", false, "ListenersNotResolved",
                     "the listeners say what is not resolved");
    if (works && g->address_message)
        tr_condition(p, "Programmed", false, "AddressNotUsable", "%s", g->address_message);
    else
        tr_programmed(p, works, resources.ptr, resources.len);
    tr_names_fini(&resources);
}

void tr_gateway_finish(struct ctl_translator *t, struct tr_gateway *g) {
    struct gw_str ns = gw_str_of(g->node.ns), name = gw_str_of(g->node.name);
    struct ctl_status_report *r = NULL;
    bool is_orphan = g->state == TR_GATEWAY_CLASSLESS && !t->o.is_shared;
    if (is_orphan || g->state == TR_GATEWAY_OURS)
        r = tr_report_new(&ctl_res_gateway, ns, name, g->generation);
    if (is_orphan)
        tr_condition(tr_report_part(r), "Accepted", false, "Pending",
                     "GatewayClass '%s' does not exist", g->class_name);
    if (g->state == TR_GATEWAY_OURS) {
        report_gateway(g, tr_report_part(r));
        for (size_t i = 0; i < g->listeners_n; i++)
            report_listener(t, g, &g->listeners[i], tr_report_part(r));
    }
    tr_report_set(t, &g->node.report, &ctl_res_gateway, ns, name, r);
}
