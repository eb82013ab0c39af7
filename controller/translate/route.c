// SPDX-License-Identifier: Apache-2.0
// HTTPRoutes: parents judged, rules made, attached and reported. A route that no parent takes
// leaves nothing behind; its references are judged all the same, for its status.
#include "controller/translate/tr.h"

#include <stdio.h>

// --- what a route is attached to ---------------------------------------------------------------

static struct tr_llm *llm_get(const struct ctl_translator *t, const char *key) {
    struct tr_node *n = tr_node_get(t, TR_LLM, gw_str_of(key));
    return n ? GW_CONTAINER_OF(n, struct tr_llm, node) : NULL;
}

static void count_up(struct gw_map *m, const char *key) {
    unsigned *n = gw_map_get(m, gw_str_of(key));
    if (!n) {
        n = gw_alloc(sizeof(*n));
        gw_map_put(m, gw_str_of(key), n);
    }
    ++*n;
}

static void count_down(struct gw_map *m, const char *key) {
    unsigned *n = gw_map_get(m, gw_str_of(key));
    GW_ASSERT(n && *n > 0);
    if (--*n == 0) free(gw_map_del(m, gw_str_of(key)));
}

static void touch_gateways(struct ctl_translator *t, const struct tr_route *r) {
    for (size_t i = 0; i < r->gateways.len; i++) {
        struct tr_node *g = tr_node_get(t, TR_GATEWAY, gw_str_of(r->gateways.ptr[i]));
        if (g) tr_touch(t, g);
    }
}

static void reach_llms(struct ctl_translator *t, const struct tr_route *r, bool up) {
    for (size_t i = 0; i < r->llms.len; i++) {
        struct tr_llm *l = llm_get(t, r->llms.ptr[i]);
        GW_ASSERT(l); // a deleted one stays until its routes have left it
        for (size_t k = 0; k < r->gateways.len; k++) {
            if (up)
                count_up(&l->reached, r->gateways.ptr[k]);
            else
                count_down(&l->reached, r->gateways.ptr[k]);
        }
        tr_touch(t, &l->node);
    }
}

// Moves the marks of an attached route to or from what it is attached to.
static void count_attached(struct ctl_translator *t, const struct tr_route *r, bool up) {
    for (size_t i = 0; i < r->listeners.len; i++) {
        if (up)
            count_up(&t->attached, r->listeners.ptr[i]);
        else
            count_down(&t->attached, r->listeners.ptr[i]);
    }
    touch_gateways(t, r);
    reach_llms(t, r, up);
}

static void clear(struct tr_route *r) {
    tr_names_fini(&r->listeners);
    tr_names_fini(&r->gateways);
    tr_names_fini(&r->llms);
    GW_VEC_FINI(&r->ports);
}

void tr_route_detach(struct ctl_translator *t, struct tr_route *r) {
    count_attached(t, r, false);
    for (size_t i = 0; i < r->ports.len; i++)
        tr_port_leave(t, GW_CONTAINER_OF(r->ports.ptr[i], struct tr_port, node));
    clear(r);
}

static void attach(struct ctl_translator *t, struct tr_route *r, const struct tr_refs *refs) {
    for (size_t i = 0; i < refs->llms.len; i++)
        tr_names_add(&r->llms, refs->llms.ptr[i]);
    for (size_t i = 0; i < refs->ports.len; i++) {
        const struct tr_use *u = &refs->ports.ptr[i];
        struct tr_port *p = tr_port_need(t, u->ns, u->service, u->port);
        p->users++;
        GW_VEC_PUSH(&r->ports, &p->node);
    }
    count_attached(t, r, true);
}

// --- rules -------------------------------------------------------------------------------------

// A rule that cannot be served at all.
struct unserved {
    size_t index;
    const char *why; // static
};
struct made {
    GW_VEC(json_t *) bodies;
    struct tr_refs refs;
    GW_VEC(struct unserved) unserved;
};

static void make_rules(struct ctl_translator *t, struct tr_route *r, const struct ctl_object *o,
                       struct made *m) {
    const json_t *rules = gw_json_path(o->json, "spec.rules");
    // The API's default: one rule that takes everything and has no backend.
    size_t n = json_array_size(rules) ? json_array_size(rules) : 1;
    for (size_t i = 0; i < n; i++) {
        const char *why;
        json_t *body = tr_rule_body(t, r, o, json_array_get(rules, i), i, &m->refs, &why);
        GW_VEC_PUSH(&m->bodies, body);
        if (why) GW_VEC_PUSH(&m->unserved, ((struct unserved){i, why}));
    }
}

static void made_fini(struct made *m) {
    for (size_t i = 0; i < m->bodies.len; i++)
        json_decref(m->bodies.ptr[i]);
    GW_VEC_FINI(&m->bodies);
    GW_VEC_FINI(&m->unserved);
    tr_refs_fini(&m->refs);
}

static bool nothing_served(const struct made *m) {
    return m->unserved.len == m->bodies.len;
}

// --- parents -----------------------------------------------------------------------------------

struct parents {
    struct tr_parent *ptr;
    size_t len, cap;
};

static void judge_parents(struct ctl_translator *t, struct tr_route *r, const struct ctl_object *o,
                          struct parents *ret) {
    const json_t *refs = gw_json_path(o->json, "spec.parentRefs");
    for (size_t i = 0; i < json_array_size(refs); i++) {
        struct tr_parent p;
        if (tr_parent_judge(t, r, o, json_array_get(refs, i), &p)) GW_VEC_PUSH(ret, p);
    }
}

static int compare_attach(const void *a, const void *b) {
    return strcmp(((const struct tr_attach *)a)->listener->resource,
                  ((const struct tr_attach *)b)->listener->resource);
}

// The attachments of all parents, by listener, each once.
static json_t *attachments(struct tr_route *r, const struct parents *parents) {
    GW_VEC(struct tr_attach) all = {0};
    char key[TR_KEY_MAX];
    for (size_t i = 0; i < parents->len; i++) {
        const struct tr_parent *p = &parents->ptr[i];
        for (size_t k = 0; k < p->attach.len; k++)
            GW_VEC_PUSH(&all, p->attach.ptr[k]);
        if (!p->accepted) continue;
        tr_key(key, gw_str_of(p->gateway->node.ns), gw_str_of(p->gateway->node.name));
        tr_names_add(&r->gateways, key);
    }
    if (all.len) qsort(all.ptr, all.len, sizeof(*all.ptr), compare_attach);
    json_t *list = json_array();
    for (size_t i = 0; i < all.len; i++) {
        const char *listener = all.ptr[i].listener->resource;
        if (tr_names_have(&r->listeners, listener)) continue;
        tr_names_add(&r->listeners, listener);
        json_t *entry = json_object();
        tr_set(entry, "listener", json_string_nocheck(listener));
        tr_set(entry, "hostnames", json_incref(all.ptr[i].hostnames));
        json_array_append_new(list, entry);
    }
    GW_VEC_FINI(&all);
    return list;
}

// --- report ------------------------------------------------------------------------------------

// "0, 2 (why); 1 (another why)": the rules of a reason stand together.
static void report_unserved(const struct made *m, struct ctl_status_part *p) {
    GW_CLEANUP(gw_text_fini) struct gw_text list = {0};
    if (m->unserved.len == 0) return;
    for (size_t i = 0; i < m->unserved.len; i++) {
        const char *why = m->unserved.ptr[i].why;
        bool is_first = true;
        for (size_t k = 0; k < i; k++)
            is_first = is_first && m->unserved.ptr[k].why != why;
        if (!is_first) continue;
        for (size_t k = i; k < m->unserved.len; k++)
            if (m->unserved.ptr[k].why == why)
                gw_text_addf(&list, "%s%zu",
                             k > i      ? ", "
                             : list.len ? "; "
                                        : "",
                             m->unserved.ptr[k].index);
        gw_text_addf(&list, " (%s)", why);
    }
    tr_condition(p, "PartiallyInvalid", true, "UnsupportedValue", "rules that answer 500: %s",
                 list.ptr);
}

static void report_refs(const struct tr_refs *refs, unsigned more, struct ctl_status_part *p) {
    if (!refs->reason)
        tr_condition(p, "ResolvedRefs", true, "ResolvedRefs", "all references are resolved");
    else if (more)
        tr_condition(p, "ResolvedRefs", false, refs->reason, "%s; and %u more", refs->message.ptr,
                     more);
    else
        tr_condition(p, "ResolvedRefs", false, refs->reason, "%s", refs->message.ptr);
}

#define MESSAGES_MAX 8 // what ref.c writes out

// By the rules alone: endpoints come and go without a word in the route's status. A listener
// without a certificate carries nothing.
static void report_programmed(const struct tr_node *n, const struct tr_parent *parent,
                              struct ctl_status_part *p) {
    for (size_t i = 0; i < parent->attach.len; i++)
        if (tr_listener_works(parent->attach.ptr[i].listener))
            tr_carried_by(p, parent->attach.ptr[i].listener->resource);
    if (p->carriers_n)
        tr_programmed(p, true, n->holds.ptr, n->holds.len);
    else
        tr_condition(p, "Programmed", false, "Pending",
                     "no listener that takes the route has a usable certificate");
}

static void report_parent(const struct tr_node *n, const struct tr_parent *parent,
                          const struct made *m, struct ctl_status_part *p) {
    p->parent = json_incref((json_t *)(uintptr_t)parent->ref);
    if (parent->accepted && nothing_served(m)) {
        tr_condition(p, "Accepted", false, "UnsupportedValue", "%s", m->unserved.ptr[0].why);
    } else {
        tr_condition(p, "Accepted", parent->accepted, parent->reason, "%s", parent->message);
        if (parent->accepted) report_unserved(m, p);
    }
    report_refs(&m->refs, m->refs.wrong > MESSAGES_MAX ? m->refs.wrong - MESSAGES_MAX : 0, p);
    if (p->conditions[0].status) report_programmed(n, parent, p);
}

// --- the route ---------------------------------------------------------------------------------

static void emit_rules(struct ctl_translator *t, struct tr_route *r, const struct made *m,
                       json_t *attach_list) {
    struct tr_names holds = {0};
    for (size_t i = 0; json_array_size(attach_list) > 0 && i < m->bodies.len; i++) {
        char name[GW_IR_NAME_MAX + 1];
        snprintf(name, sizeof(name), "rule/%s/%s/%zu", r->node.ns, r->node.name, i);
        json_object_set_nocheck(m->bodies.ptr[i], "attach", attach_list);
        tr_emit(t, &holds, name, json_incref(m->bodies.ptr[i]));
    }
    tr_hold(t, &r->node, &holds);
}

static struct ctl_status_report *translate_object(struct ctl_translator *t, struct tr_route *r,
                                                  const struct ctl_object *o) {
    struct ctl_status_report *report = tr_report_new(o->kind, o->ns, o->name, o->generation);
    struct parents parents = {0};
    struct made m = {0};
    judge_parents(t, r, o, &parents);
    if (parents.len > 0) make_rules(t, r, o, &m);
    json_t *attach_list =
        parents.len > 0 && nothing_served(&m) ? json_array() : attachments(r, &parents);
    emit_rules(t, r, &m, attach_list);
    if (json_array_size(attach_list) > 0) attach(t, r, &m.refs);
    for (size_t i = 0; i < parents.len; i++) {
        report_parent(&r->node, &parents.ptr[i], &m, tr_report_part(report));
        tr_parent_fini(&parents.ptr[i]);
    }
    json_decref(attach_list);
    GW_VEC_FINI(&parents);
    made_fini(&m);
    return report;
}

void tr_route_translate(struct ctl_translator *t, struct tr_route *r) {
    struct gw_str ns = gw_str_of(r->node.ns), name = gw_str_of(r->node.name);
    const struct ctl_object *o = ctl_store_get(t->store, &ctl_res_http_route, ns, name);
    struct ctl_status_report *report = NULL;
    tr_forget(t, &r->node);
    tr_route_detach(t, r);
    r->node.gone = o == NULL;
    if (o) {
        report = translate_object(t, r, o);
    } else {
        struct tr_names nothing = {0};
        tr_hold(t, &r->node, &nothing);
        tr_touch(t, &r->node); // to be freed
    }
    tr_report_set(t, &r->node.report, &ctl_res_http_route, ns, name, report);
}
