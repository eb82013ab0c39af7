// SPDX-License-Identifier: Apache-2.0
// One run: what is dirty in the store marks nodes, marked nodes are translated in the order that
// tr.h gives, and what differs from the run before becomes the result.
#include "controller/translate/tr.h"

#include <stdio.h>

struct ctl_translator *ctl_translator_new(const struct ctl_translate_opts *o) {
    struct ctl_translator *t = gw_alloc(sizeof(*t));
    t->o = *o;
    return t;
}

void ctl_translator_free(struct ctl_translator *t) {
    if (!t) return;
    tr_graph_free(t);
    tr_classes_free(t);
    tr_index_free(t);
    gw_map_fini(&t->attached, free);
    GW_VEC_FINI(&t->reports);
    free(t);
}

// --- marking -----------------------------------------------------------------------------------

// Kinds whose objects are nodes, and kinds that nodes refer to by name.
static const struct {
    const struct ctl_res_kind *kind;
    enum tr_type type;
    size_t bytes;
} node_kinds[] = {
    {&ctl_res_gateway, TR_GATEWAY, sizeof(struct tr_gateway)},
    {&ctl_res_llm_backend, TR_LLM, sizeof(struct tr_llm)},
    {&ctl_res_http_route, TR_ROUTE, sizeof(struct tr_route)},
};
static const struct {
    const struct ctl_res_kind *kind;
    const char *target;
} named_kinds[] = {
    {&ctl_res_service, "Service"},
    {&ctl_res_secret, "Secret"},
    {&ctl_res_namespace, "Namespace"},
};

static void mark_object(struct ctl_translator *t, const struct ctl_res_kind *kind, struct gw_str ns,
                        struct gw_str name) {
    char key[TR_KEY_MAX];
    if (kind == &ctl_res_gateway_class) tr_class_translate(t, name);
    tr_index(t, kind, ns, name);
    for (size_t i = 0; i < GW_ARRAY_LEN(named_kinds); i++)
        if (kind == named_kinds[i].kind) tr_fire(t, named_kinds[i].target, ns, name);
    for (size_t i = 0; i < GW_ARRAY_LEN(node_kinds); i++)
        if (kind == node_kinds[i].kind)
            tr_mark(t, tr_node_need(t, node_kinds[i].type, node_kinds[i].bytes, ns, name,
                                    tr_key(key, ns, name)));
}

static void mark_classes(struct ctl_translator *t) {
    size_t n;
    const struct ctl_object **list = ctl_store_list(t->store, &ctl_res_gateway_class, &n);
    for (size_t i = 0; i < n; i++)
        tr_class_translate(t, list[i]->name);
    free(list);
}

// Everything that is there, and everything that was.
static void mark_all(struct ctl_translator *t) {
    for (const struct ctl_res_kind *const *k = ctl_res_kinds; *k; k++) {
        size_t n;
        const struct ctl_object **list = ctl_store_list(t->store, *k, &n);
        for (size_t i = 0; i < n; i++)
            mark_object(t, *k, list[i]->ns, list[i]->name);
        free(list);
    }
    for (int type = 0; type < TR_TYPE_COUNT; type++) {
        size_t it = 0;
        struct gw_str key;
        void *node;
        while (gw_map_next(&t->nodes[type], &it, &key, &node))
            tr_mark(t, node);
    }
}

// --- translating -------------------------------------------------------------------------------

static void translate_node(struct ctl_translator *t, struct tr_node *n) {
    switch (n->type) {
    case TR_TLS:
        tr_tls_translate(t, GW_CONTAINER_OF(n, struct tr_tls, node));
        break;
    case TR_GATEWAY:
        tr_gateway_translate(t, GW_CONTAINER_OF(n, struct tr_gateway, node));
        break;
    case TR_LLM:
        tr_llm_translate(t, GW_CONTAINER_OF(n, struct tr_llm, node));
        break;
    case TR_ROUTE:
        tr_route_translate(t, GW_CONTAINER_OF(n, struct tr_route, node));
        break;
    case TR_PORT:
        tr_port_translate(t, GW_CONTAINER_OF(n, struct tr_port, node));
        break;
    case TR_TYPE_COUNT:
        break;
    }
}

// A type marks only types after it, so each list is final when its turn comes.
static void translate_dirty(struct ctl_translator *t) {
    for (int type = 0; type < TR_TYPE_COUNT; type++) {
        for (size_t i = 0; i < t->dirty[type].len; i++) {
            struct tr_node *n = t->dirty[type].ptr[i];
            n->dirty = false;
            translate_node(t, n);
        }
        t->dirty[type].len = 0;
    }
}

static struct gw_str key_of(struct tr_node *n, char key[TR_KEY_MAX]) {
    struct gw_str s = tr_key(key, gw_str_of(n->ns), gw_str_of(n->name));
    if (n->type != TR_PORT) return s;
    int len = snprintf(key + s.len, TR_KEY_MAX - s.len, "/%u",
                       GW_CONTAINER_OF(n, struct tr_port, node)->port);
    return (struct gw_str){key, s.len + (size_t)len};
}

static void finish_touched(struct ctl_translator *t) {
    for (size_t i = 0; i < t->touched.len; i++) {
        struct tr_node *n = t->touched.ptr[i];
        n->touched = false;
        if (n->type == TR_TLS) tr_tls_finish(t, GW_CONTAINER_OF(n, struct tr_tls, node));
        if (n->type == TR_GATEWAY)
            tr_gateway_finish(t, GW_CONTAINER_OF(n, struct tr_gateway, node));
        if (n->type == TR_LLM) tr_llm_finish(t, GW_CONTAINER_OF(n, struct tr_llm, node));
    }
    for (size_t i = 0; i < t->touched.len; i++) {
        char key[TR_KEY_MAX];
        struct tr_node *n = t->touched.ptr[i];
        if (!n->gone) continue;
        gw_map_del(&t->nodes[n->type], key_of(n, key));
        tr_node_free(t, n);
    }
    t->touched.len = 0;
}

static int compare_reports(const void *a, const void *b) {
    const struct ctl_status_report *x = a, *y = b;
    int c = strcmp(x->kind->name, y->kind->name);
    if (c == 0) c = strcmp(x->ns, y->ns);
    return c ? c : strcmp(x->name, y->name);
}

void ctl_translate(struct ctl_translator *t, const struct ctl_store *store,
                   const struct ctl_ref *dirty, size_t dirty_n, bool all,
                   struct ctl_translate_result *ret) {
    *ret = (struct ctl_translate_result){0};
    bool is_sight_other = t->unread_changes != ctl_store_unread_changes(store);
    t->store = store;
    t->rules_translated = 0;
    t->unread_changes = ctl_store_unread_changes(store);
    for (size_t i = 0; i < dirty_n; i++)
        mark_object(t, dirty[i].kind, dirty[i].ns, dirty[i].name);
    if (all || is_sight_other) mark_all(t);
    if (t->crd_changes != ctl_store_crd_changes(store)) mark_classes(t);
    t->crd_changes = ctl_store_crd_changes(store);
    translate_dirty(t);
    finish_touched(t);
    tr_resources_finish(t, ret);
    if (t->reports.len)
        qsort(t->reports.ptr, t->reports.len, sizeof(*t->reports.ptr), compare_reports);
    ret->reports = t->reports.ptr;
    ret->reports_n = t->reports.len;
    ret->rules_translated = t->rules_translated;
    t->reports.ptr = NULL;
    t->reports.len = t->reports.cap = 0;
    t->store = NULL;
}

void ctl_translate_result_fini(struct ctl_translate_result *r) {
    for (size_t i = 0; i < r->resources_n; i++) {
        free(r->resources[i].name);
        json_decref(r->resources[i].body);
    }
    free(r->resources);
    for (size_t i = 0; i < r->reports_n; i++)
        ctl_status_report_fini(&r->reports[i]);
    free(r->reports);
    *r = (struct ctl_translate_result){0};
}
