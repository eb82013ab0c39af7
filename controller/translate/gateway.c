// SPDX-License-Identifier: Apache-2.0
// Gateways: which are ours, whether they can be served at all, and their listeners' resources. What
// routes see of a Gateway is compared from run to run, so that an edit that changes nothing for
// them translates none of them.
#include "controller/translate/tr.h"

#include <stdio.h>

void tr_gateway_fini(struct tr_gateway *g) {
    tr_listeners_free(NULL, g->listeners, g->listeners_n);
    free(g->class_name);
    free(g->refusal_message);
    free(g->address_message);
}

// --- as a whole --------------------------------------------------------------------------------

static void refuse(struct tr_gateway *g, const char *reason, const char *fmt, ...) GW_PRINTF(3, 4);
static void refuse(struct tr_gateway *g, const char *reason, const char *fmt, ...) {
    char text[1024];
    va_list ap;
    if (g->refusal) return; // the first one is told
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    g->refusal = reason;
    g->refusal_message = gw_strdup(text);
}

static void judge_parameters(struct tr_gateway *g, const json_t *spec) {
    const json_t *params = gw_json_path(spec, "infrastructure.parametersRef");
    if (params)
        refuse(g, "InvalidParameters",
               "infrastructure.parametersRef: kind " GW_STR_FMT "." GW_STR_FMT
               " holds no parameters that are supported",
               GW_STR_ARG(gw_json_str(params, "kind")), GW_STR_ARG(gw_json_str(params, "group")));
}

// Data planes have the addresses they have: one that is asked for without a value is the one that
// they tell, one with a value cannot be given.
static void judge_addresses(struct tr_gateway *g, const json_t *spec) {
    const json_t *list = gw_json_get(spec, "addresses");
    GW_CLEANUP(gw_text_fini) struct gw_text unusable = {0};
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *a = json_array_get(list, i);
        struct gw_str type = tr_str_or(a, "type", GW_STR("IPAddress")),
                      value = gw_json_str(a, "value");
        if (!gw_str_eq(type, GW_STR("IPAddress")))
            refuse(g, "UnsupportedAddress",
                   "addresses[%zu]: type '" GW_STR_FMT "' is not supported (IPAddress is)", i,
                   GW_STR_ARG(type));
        else if (value.len)
            gw_text_addf(&unusable, "%s" GW_STR_FMT, unusable.len ? ", " : "", GW_STR_ARG(value));
    }
    if (unusable.len == 0) return;
    char text[1024];
    snprintf(text, sizeof(text),
             "addresses: %s cannot be given: a Gateway has the addresses of its data planes, which "
             "serve it there",
             unusable.ptr);
    g->address_message = gw_strdup(text);
}

static enum tr_gateway_state state_of(const struct ctl_translator *t, const struct ctl_object *o,
                                      struct tr_gateway *g) {
    if (!o) return TR_GATEWAY_ABSENT;
    const struct tr_class *c = gw_map_get(&t->classes, gw_str_of(g->class_name));
    if (!c) return TR_GATEWAY_CLASSLESS;
    if (!c->ours) return TR_GATEWAY_FOREIGN;
    if (!c->accepted)
        refuse(g, "InvalidParameters", "GatewayClass '%s' is not accepted: see its conditions",
               g->class_name);
    return TR_GATEWAY_OURS;
}

// --- what routes see ---------------------------------------------------------------------------

static bool same_listener(const struct tr_listener *a, const struct tr_listener *b) {
    return strcmp(a->name, b->name) == 0 && strcmp(a->hostname, b->hostname) == 0 &&
           a->port == b->port && a->served == b->served &&
           tr_listener_works(a) == tr_listener_works(b) &&
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

// --- translation -------------------------------------------------------------------------------

static void read_object(struct ctl_translator *t, struct tr_gateway *g,
                        const struct ctl_object *o) {
    const json_t *spec = o ? gw_json_get(o->json, "spec") : NULL;
    struct gw_str class_name = tr_str_or(spec, "gatewayClassName", GW_STR(""));
    if (o) tr_refer(t, &g->node, "GatewayClass", GW_STR(""), class_name);
    g->class_name = gw_strndup(class_name.ptr, class_name.len);
    g->generation = o ? o->generation : 0;
    g->node.gone = o == NULL;
    g->state = state_of(t, o, g);
    if (g->state != TR_GATEWAY_OURS) return;
    const json_t *infrastructure = gw_json_get(spec, "infrastructure");
    g->wants_infrastructure = json_object_size(gw_json_get(infrastructure, "labels")) ||
                              json_object_size(gw_json_get(infrastructure, "annotations"));
    judge_parameters(g, spec);
    judge_addresses(g, spec);
    g->listeners = tr_listeners_read(t, g, gw_json_get(spec, "listeners"), &g->listeners_n);
}

void tr_gateway_translate(struct ctl_translator *t, struct tr_gateway *g) {
    struct gw_str ns = gw_str_of(g->node.ns), name = gw_str_of(g->node.name);
    struct tr_gateway last = *g;
    struct tr_names holds = {0};
    tr_forget(t, &g->node);
    g->class_name = g->refusal_message = g->address_message = NULL;
    g->refusal = NULL;
    g->wants_infrastructure = false;
    g->listeners = NULL;
    g->listeners_n = 0;
    read_object(t, g, ctl_store_get(t->store, &ctl_res_gateway, ns, name));
    for (size_t i = 0; i < g->listeners_n; i++)
        if (g->listeners[i].served)
            tr_emit(t, &holds, g->listeners[i].resource, tr_listener_body(g, &g->listeners[i]));
    tr_hold(t, &g->node, &holds);
    if (!same_face(&last, g)) tr_fire(t, "Gateway", ns, name);
    // After the new ones took theirs, so that certificates that stay are not read again.
    tr_listeners_free(t, last.listeners, last.listeners_n);
    last.listeners = NULL;
    last.listeners_n = 0;
    tr_gateway_fini(&last);
    tr_touch(t, &g->node);
}
