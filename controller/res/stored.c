// SPDX-License-Identifier: Apache-2.0
// Objects as an API server hands them out: only what a kind's own table is about is checked, and
// what nobody here reads is dropped, since a cluster's objects stay in memory.
#include "controller/res/res.h"

#include <stdlib.h>

static const char *const envelope[] = {"apiVersion", "kind", "metadata", "status", NULL};

// What is read of metadata, here, in translation or by who writes statuses.
static const char *const kept[] = {"name",
                                   "namespace",
                                   "uid",
                                   "resourceVersion",
                                   "generation",
                                   "creationTimestamp",
                                   "deletionTimestamp",
                                   "labels",
                                   "annotations",
                                   "ownerReferences",
                                   NULL};

// As large as the object itself, and a copy of it.
#define LAST_APPLIED "kubectl.kubernetes.io/last-applied-configuration"
// Changes with every change of endpoints and says when.
#define LAST_TRIGGER "endpoints.kubernetes.io/last-change-trigger-time"

static bool is_in(const char *const *list, const char *name) {
    for (; *list; list++)
        if (strcmp(*list, name) == 0) return true;
    return false;
}

static void prune_metadata(json_t *meta) {
    const char *key;
    json_t *v;
    void *tmp;
    json_object_foreach_safe(meta, tmp, key, v) {
        if (!is_in(kept, key) || json_is_null(v)) json_object_del(meta, key);
    }
    json_t *annotations = gw_json_get(meta, "annotations");
    json_object_del(annotations, LAST_APPLIED);
    json_object_del(annotations, LAST_TRIGGER);
    if (annotations && json_object_size(annotations) == 0) json_object_del(meta, "annotations");
}

static void drop_unknown(json_t *v, const struct gw_field *f);

static void drop_unknown_members(json_t *obj, const struct gw_field *fields, bool outermost) {
    const char *key;
    json_t *v;
    void *tmp;
    json_object_foreach_safe(obj, tmp, key, v) {
        const struct gw_field *f = fields;
        while (f->name && strcmp(f->name, key) != 0)
            f++;
        if (f->name)
            drop_unknown(v, f);
        else if (!outermost || !is_in(envelope, key))
            json_object_del(obj, key);
    }
}

static void drop_unknown(json_t *v, const struct gw_field *f) {
    if (f->type == GW_F_OBJECT) drop_unknown_members(v, f->fields, false);
    if (f->type == GW_F_LIST)
        for (size_t i = 0; i < json_array_size(v); i++)
            drop_unknown(json_array_get(v, i), f->elem);
    if (f->type == GW_F_MAP) {
        const char *key;
        json_t *elem;
        json_object_foreach(v, key, elem) drop_unknown(elem, f->elem);
    }
}

// Without its envelope; values are shared.
static json_t *own_members(json_t *obj) {
    json_t *own = json_object();
    const char *key;
    json_t *v;
    json_object_foreach(obj, key, v) {
        if (!is_in(envelope, key)) json_object_set_nocheck(own, key, v);
    }
    return own;
}

enum gw_rc ctl_res_take_stored(const struct ctl_res_kind *kind, json_t *obj,
                               struct gw_schema_problem *ret) {
    prune_metadata(gw_json_get(obj, "metadata"));
    if (kind->builtin) drop_unknown_members(obj, kind->fields, true);
    GW_JSON_AUTO own = own_members(obj);
    GW_TRY(gw_schema_check(own, kind->fields, "", ret));
    if (kind->check) GW_TRY(kind->check(obj, ret));
    GW_JSON_AUTO status = json_incref(json_object_get(obj, "status"));
    ctl_res_settle(kind, obj);
    if (status) json_object_set_nocheck(obj, "status", status);
    return GW_OK;
}
