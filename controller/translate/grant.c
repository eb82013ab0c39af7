// SPDX-License-Identifier: Apache-2.0
// ReferenceGrants, found by what they let from and what they let to: a route may refer to hundreds
// of objects of a namespace that has thousands of grants, and its owner may have written them all.
#include "controller/translate/tr.h"

#include <stdio.h>
#include <stdlib.h>

// No object has such a name.
#define ANY_NAME "*"

// Keys under which a grant is filed.
struct grant {
    struct tr_names from, to;
};

// "ns/kind/from_ns": one who refers from there to ns.
static struct gw_str from_key(char dst[TR_KEY_MAX], struct gw_str ns, struct gw_str kind,
                              struct gw_str from_ns) {
    int n = snprintf(dst, TR_KEY_MAX, GW_STR_FMT "/" GW_STR_FMT "/" GW_STR_FMT, GW_STR_ARG(ns),
                     GW_STR_ARG(kind), GW_STR_ARG(from_ns));
    GW_ASSERT(n > 0 && n < TR_KEY_MAX);
    return (struct gw_str){dst, (size_t)n};
}

// "ns/group/kind/name": what is referred to in ns.
static struct gw_str to_key(char dst[TR_KEY_MAX], struct gw_str ns, struct gw_str group,
                            struct gw_str kind, struct gw_str name) {
    int n = snprintf(dst, TR_KEY_MAX, GW_STR_FMT "/" GW_STR_FMT "/" GW_STR_FMT "/" GW_STR_FMT,
                     GW_STR_ARG(ns), GW_STR_ARG(group), GW_STR_ARG(kind), GW_STR_ARG(name));
    GW_ASSERT(n > 0 && n < TR_KEY_MAX);
    return (struct gw_str){dst, (size_t)n};
}

static void read_grant(const struct ctl_object *o, struct grant *ret) {
    const json_t *from = gw_json_path(o->json, "spec.from");
    const json_t *to = gw_json_path(o->json, "spec.to");
    char key[TR_KEY_MAX];
    for (size_t i = 0; i < json_array_size(from); i++) {
        const json_t *f = json_array_get(from, i);
        if (!gw_str_eq(gw_json_str(f, "group"), GW_STR(TR_GROUP))) continue; // nobody we know
        from_key(key, o->ns, gw_json_str(f, "kind"), gw_json_str(f, "namespace"));
        tr_names_add(&ret->from, key);
    }
    for (size_t i = 0; i < json_array_size(to); i++) {
        const json_t *one = json_array_get(to, i);
        to_key(key, o->ns, gw_json_str(one, "group"), gw_json_str(one, "kind"),
               tr_str_or(one, "name", GW_STR(ANY_NAME)));
        tr_names_add(&ret->to, key);
    }
}

static void file(struct gw_map *sets, const struct tr_names *keys, struct gw_str name, bool is_in) {
    for (size_t i = 0; i < keys->len; i++) {
        if (is_in)
            tr_set_put(sets, gw_str_of(keys->ptr[i]), name, sets);
        else
            tr_set_del(sets, gw_str_of(keys->ptr[i]), name);
    }
}

static void grant_free(void *arg) {
    struct grant *g = arg;
    tr_names_fini(&g->from);
    tr_names_fini(&g->to);
    free(g);
}

void tr_grant_index(struct ctl_translator *t, const struct ctl_object *o, struct gw_str ns,
                    struct gw_str name) {
    char key[TR_KEY_MAX];
    struct grant *g = gw_map_del(&t->grants, tr_key(key, ns, name));
    if (g) {
        file(&t->grants_from, &g->from, name, false);
        file(&t->grants_to, &g->to, name, false);
        grant_free(g);
    }
    if (o) {
        g = gw_alloc(sizeof(*g));
        read_grant(o, g);
        file(&t->grants_from, &g->from, name, true);
        file(&t->grants_to, &g->to, name, true);
        gw_map_put(&t->grants, tr_key(key, ns, name), g);
    }
    tr_fire(t, "Grants", ns, GW_STR(""));
}

void tr_grants_free(struct ctl_translator *t) {
    gw_map_fini(&t->grants, grant_free);
    gw_map_fini(&t->grants_from, tr_set_free);
    gw_map_fini(&t->grants_to, tr_set_free);
}

// Whether one grant is in both.
static bool meet(const struct gw_map *a, const struct gw_map *b) {
    size_t it = 0;
    struct gw_str name;
    void *any;
    if (!a || !b) return false;
    const struct gw_map *fewer = a->len < b->len ? a : b, *more = fewer == a ? b : a;
    while (gw_map_next(fewer, &it, &name, &any))
        if (gw_map_get(more, name)) return true;
    return false;
}

bool tr_is_granted(const struct ctl_translator *t, struct gw_str from_kind, struct gw_str from_ns,
                   struct gw_str to_group, struct gw_str to_kind, struct gw_str to_ns,
                   struct gw_str to_name) {
    char key[TR_KEY_MAX];
    const struct gw_map *from =
        gw_map_get(&t->grants_from, from_key(key, to_ns, from_kind, from_ns));
    if (!from) return false;
    const struct gw_map *any =
        gw_map_get(&t->grants_to, to_key(key, to_ns, to_group, to_kind, GW_STR(ANY_NAME)));
    if (meet(from, any)) return true;
    return meet(from, gw_map_get(&t->grants_to, to_key(key, to_ns, to_group, to_kind, to_name)));
}
