// SPDX-License-Identifier: Apache-2.0
// Nodes, what they refer to and what they hold. A target is a name that some node referred to,
// whether an object of that name exists or not. A resource lives while a node holds it.
#include "controller/translate/tr.h"

#include <stdio.h>

struct tr_target {
    char *key;
    struct gw_map dependents; // address of a node -> node
};

struct tr_resource {
    char *name;
    json_t *now, *before; // before: as it was when this run began
    unsigned holders;
    bool touched;
};

struct gw_str tr_key(char dst[TR_KEY_MAX], struct gw_str ns, struct gw_str name) {
    int n = snprintf(dst, TR_KEY_MAX, GW_STR_FMT "/" GW_STR_FMT, GW_STR_ARG(ns), GW_STR_ARG(name));
    GW_ASSERT(n > 0 && n < TR_KEY_MAX);
    return (struct gw_str){dst, (size_t)n};
}

// --- nodes -------------------------------------------------------------------------------------

struct tr_node *tr_node_get(const struct ctl_translator *t, enum tr_type type, struct gw_str key) {
    return gw_map_get(&t->nodes[type], key);
}

struct tr_node *tr_node_need(struct ctl_translator *t, enum tr_type type, size_t bytes,
                             struct gw_str ns, struct gw_str name, struct gw_str key) {
    struct tr_node *n = tr_node_get(t, type, key);
    if (n) return n;
    n = gw_alloc(bytes);
    n->type = type;
    n->ns = gw_strndup(ns.ptr, ns.len);
    n->name = gw_strndup(name.ptr, name.len);
    gw_map_put(&t->nodes[type], key, n);
    return n;
}

void tr_node_free(struct ctl_translator *t, struct tr_node *n) {
    tr_forget(t, n);
    tr_release(t, &n->holds);
    tr_report_free(n->report);
    if (n->type == TR_TLS) tr_tls_fini(GW_CONTAINER_OF(n, struct tr_tls, node));
    if (n->type == TR_GATEWAY) tr_gateway_fini(GW_CONTAINER_OF(n, struct tr_gateway, node));
    if (n->type == TR_LLM) tr_llm_fini(GW_CONTAINER_OF(n, struct tr_llm, node));
    GW_VEC_FINI(&n->targets);
    free(n->ns);
    free(n->name);
    free(n); // node is the first member of each type
}

void tr_mark(struct ctl_translator *t, struct tr_node *n) {
    if (n->dirty) return;
    n->dirty = true;
    GW_VEC_PUSH(&t->dirty[n->type], n);
}

void tr_touch(struct ctl_translator *t, struct tr_node *n) {
    if (n->touched) return;
    n->touched = true;
    GW_VEC_PUSH(&t->touched, n);
}

// --- references --------------------------------------------------------------------------------

struct target_key {
    char bytes[TR_KEY_MAX];
};

static struct gw_str target_key(struct target_key *k, const char *kind, struct gw_str ns,
                                struct gw_str name) {
    int n = snprintf(k->bytes, sizeof(k->bytes), "%s/" GW_STR_FMT "/" GW_STR_FMT, kind,
                     GW_STR_ARG(ns), GW_STR_ARG(name));
    GW_ASSERT(n > 0 && (size_t)n < sizeof(k->bytes));
    return (struct gw_str){k->bytes, (size_t)n};
}

static struct gw_str address_key(struct tr_node *const *n) {
    return (struct gw_str){(const char *)n, sizeof(*n)};
}

void tr_refer(struct ctl_translator *t, struct tr_node *n, const char *kind, struct gw_str ns,
              struct gw_str name) {
    struct target_key k;
    struct gw_str key = target_key(&k, kind, ns, name);
    struct tr_target *target = gw_map_get(&t->targets, key);
    if (!target) {
        target = gw_alloc(sizeof(*target));
        target->key = gw_strndup(key.ptr, key.len);
        gw_map_put(&t->targets, key, target);
    }
    if (!gw_map_put(&target->dependents, address_key(&n), n)) GW_VEC_PUSH(&n->targets, target);
}

static void target_free(void *arg) {
    struct tr_target *target = arg;
    gw_map_fini(&target->dependents, NULL);
    free(target->key);
    free(target);
}

void tr_forget(struct ctl_translator *t, struct tr_node *n) {
    for (size_t i = 0; i < n->targets.len; i++) {
        struct tr_target *target = n->targets.ptr[i];
        gw_map_del(&target->dependents, address_key(&n));
        if (target->dependents.len > 0) continue;
        gw_map_del(&t->targets, gw_str_of(target->key));
        target_free(target);
    }
    n->targets.len = 0;
}

void tr_fire(struct ctl_translator *t, const char *kind, struct gw_str ns, struct gw_str name) {
    struct target_key k;
    const struct tr_target *target = gw_map_get(&t->targets, target_key(&k, kind, ns, name));
    size_t it = 0;
    struct gw_str key;
    void *node;
    while (target && gw_map_next(&target->dependents, &it, &key, &node))
        tr_mark(t, node);
}

// --- resources ---------------------------------------------------------------------------------

bool tr_names_have(const struct tr_names *list, const char *name) {
    for (size_t i = 0; i < list->len; i++)
        if (strcmp(list->ptr[i], name) == 0) return true;
    return false;
}

void tr_names_add(struct tr_names *list, const char *name) {
    if (!tr_names_have(list, name)) GW_VEC_PUSH(list, gw_strdup(name));
}

void tr_names_fini(struct tr_names *list) {
    for (size_t i = 0; i < list->len; i++)
        free(list->ptr[i]);
    GW_VEC_FINI(list);
}

static void touch_resource(struct ctl_translator *t, struct tr_resource *r) {
    if (r->touched) return;
    r->touched = true;
    r->before = json_incref(r->now);
    GW_VEC_PUSH(&t->changed, r);
}

void tr_emit(struct ctl_translator *t, struct tr_names *holds, const char *name, json_t *body) {
    if (tr_names_have(holds, name)) {
        json_decref(body);
        return;
    }
    struct tr_resource *r = gw_map_get(&t->resources, gw_str_of(name));
    if (!r) {
        r = gw_alloc(sizeof(*r));
        r->name = gw_strdup(name);
        gw_map_put(&t->resources, gw_str_of(name), r);
    }
    touch_resource(t, r);
    if (json_equal(r->now, body)) {
        json_decref(body);
    } else {
        json_decref(r->now);
        r->now = body;
    }
    r->holders++;
    GW_VEC_PUSH(holds, gw_strdup(name));
}

void tr_release(struct ctl_translator *t, struct tr_names *holds) {
    for (size_t i = 0; i < holds->len; i++) {
        struct tr_resource *r = gw_map_get(&t->resources, gw_str_of(holds->ptr[i]));
        GW_ASSERT(r && r->holders > 0);
        touch_resource(t, r);
        r->holders--;
    }
    tr_names_fini(holds);
}

void tr_hold(struct ctl_translator *t, struct tr_node *n, struct tr_names *next) {
    struct tr_names last = n->holds;
    n->holds = *next;
    *next = (struct tr_names){0};
    tr_release(t, &last);
}

static void resource_free(void *arg) {
    struct tr_resource *r = arg;
    json_decref(r->now);
    json_decref(r->before);
    free(r->name);
    free(r);
}

static int compare_changes(const void *a, const void *b) {
    return strcmp(((const struct ctl_resource_change *)a)->name,
                  ((const struct ctl_resource_change *)b)->name);
}

void tr_resources_finish(struct ctl_translator *t, struct ctl_translate_result *ret) {
    ret->resources = gw_alloc((t->changed.len + 1) * sizeof(*ret->resources));
    for (size_t i = 0; i < t->changed.len; i++) {
        struct tr_resource *r = t->changed.ptr[i];
        json_t *now = r->holders ? r->now : NULL;
        if (now ? !json_equal(now, r->before) : r->before != NULL)
            ret->resources[ret->resources_n++] =
                (struct ctl_resource_change){gw_strdup(r->name), json_incref(now)};
        json_decref(r->before);
        r->before = NULL;
        r->touched = false;
        if (r->holders > 0) continue;
        gw_map_del(&t->resources, gw_str_of(r->name));
        resource_free(r);
    }
    t->changed.len = 0;
    qsort(ret->resources, ret->resources_n, sizeof(*ret->resources), compare_changes);
}

void tr_graph_free(struct ctl_translator *t) {
    for (int type = 0; type < TR_TYPE_COUNT; type++) {
        size_t it = 0;
        struct gw_str key;
        void *node;
        while (gw_map_next(&t->nodes[type], &it, &key, &node)) {
            if (type == TR_ROUTE)
                tr_route_detach(t, GW_CONTAINER_OF((struct tr_node *)node, struct tr_route, node));
        }
    }
    for (int type = 0; type < TR_TYPE_COUNT; type++) {
        size_t it = 0;
        struct gw_str key;
        void *node;
        while (gw_map_next(&t->nodes[type], &it, &key, &node))
            tr_node_free(t, node);
        gw_map_fini(&t->nodes[type], NULL);
        GW_VEC_FINI(&t->dirty[type]);
    }
    GW_VEC_FINI(&t->touched);
    GW_VEC_FINI(&t->changed);
    gw_map_fini(&t->targets, target_free);
    gw_map_fini(&t->resources, resource_free);
}
