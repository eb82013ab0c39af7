// SPDX-License-Identifier: Apache-2.0
// What one kind's name does not tell: the slices of a Service, and whether a selector takes a
// namespace.
#include "controller/translate/tr.h"

// --- indexes -----------------------------------------------------------------------------------

void tr_set_free(void *arg) {
    gw_map_fini(arg, NULL);
    free(arg);
}

void tr_set_put(struct gw_map *sets, struct gw_str key, struct gw_str member, void *any) {
    struct gw_map *set = gw_map_get(sets, key);
    if (!set) {
        set = gw_alloc(sizeof(*set));
        gw_map_put(sets, key, set);
    }
    gw_map_put(set, member, any);
}

void tr_set_del(struct gw_map *sets, struct gw_str key, struct gw_str member) {
    struct gw_map *set = gw_map_get(sets, key);
    if (!set) return;
    gw_map_del(set, member);
    if (set->len == 0) tr_set_free(gw_map_del(sets, key));
}

static void index_slice(struct ctl_translator *t, const struct ctl_object *o, struct gw_str ns,
                        struct gw_str name) {
    char self_key[TR_KEY_MAX], service_key[TR_KEY_MAX];
    struct gw_str self = tr_key(self_key, ns, name);
    struct gw_str service = {NULL, 0};
    if (o)
        service =
            gw_json_str(gw_json_path(o->json, "metadata.labels"), "kubernetes.io/service-name");
    char *was = gw_map_del(&t->slices, self);
    if (was) {
        tr_set_del(&t->slices_of, tr_key(service_key, ns, gw_str_of(was)), name);
        tr_fire(t, "Slices", ns, gw_str_of(was));
        free(was);
    }
    if (service.len == 0) return;
    gw_map_put(&t->slices, self, gw_strndup(service.ptr, service.len));
    tr_set_put(&t->slices_of, tr_key(service_key, ns, service), name, t);
    tr_fire(t, "Slices", ns, service);
}

const char *tr_absence(const struct ctl_translator *t, const struct ctl_res_kind *kind) {
    return ctl_store_is_unread(t->store, kind)
               ? "cannot be seen: the controller may not list objects of this kind"
               : "does not exist";
}

const char *tr_grants_unread(const struct ctl_translator *t) {
    return ctl_store_is_unread(t->store, &ctl_res_reference_grant)
               ? " (the controller may not list ReferenceGrants)"
               : "";
}

void tr_index(struct ctl_translator *t, const struct ctl_res_kind *kind, struct gw_str ns,
              struct gw_str name) {
    const struct ctl_object *o = ctl_store_get(t->store, kind, ns, name);
    if (kind == &ctl_res_endpoint_slice) {
        index_slice(t, o, ns, name);
    } else if (kind == &ctl_res_reference_grant) {
        tr_grant_index(t, o, ns, name);
    }
}

void tr_index_free(struct ctl_translator *t) {
    gw_map_fini(&t->slices, free);
    gw_map_fini(&t->slices_of, tr_set_free);
    tr_grants_free(t);
}

struct gw_str *tr_slices_of(const struct ctl_translator *t, struct gw_str ns, struct gw_str service,
                            size_t *ret_n) {
    char key[TR_KEY_MAX];
    const struct gw_map *set = gw_map_get(&t->slices_of, tr_key(key, ns, service));
    *ret_n = set ? set->len : 0;
    return set ? gw_map_sorted_keys(set) : NULL;
}

// --- selectors ---------------------------------------------------------------------------------

// An API server gives every namespace the label with its name; in a folder a namespace may have no
// object at all.
static struct gw_str label_of(const json_t *labels, struct gw_str ns, const char *key) {
    struct gw_str value = gw_json_str(labels, key);
    if (!value.ptr && strcmp(key, "kubernetes.io/metadata.name") == 0) return ns;
    return value;
}

static bool expression_holds(const json_t *e, const json_t *labels, struct gw_str ns) {
    struct gw_str op = gw_json_str(e, "operator");
    const char *key = json_string_value(gw_json_get(e, "key"));
    struct gw_str value = label_of(labels, ns, key ? key : "");
    if (gw_str_eq(op, GW_STR("Exists"))) return value.ptr != NULL;
    if (gw_str_eq(op, GW_STR("DoesNotExist"))) return value.ptr == NULL;
    bool among = false;
    const json_t *values = gw_json_get(e, "values");
    for (size_t i = 0; value.ptr && i < json_array_size(values); i++)
        among = among || gw_str_eq(value, gw_json_str_of(json_array_get(values, i)));
    return gw_str_eq(op, GW_STR("In")) ? among : !among;
}

bool tr_selects(const struct ctl_translator *t, const json_t *selector, struct gw_str ns) {
    if (!selector) return false; // as the API has it: an absent selector takes nothing
    const struct ctl_object *o = ctl_store_get(t->store, &ctl_res_namespace, GW_STR(""), ns);
    const json_t *labels = o ? gw_json_path(o->json, "metadata.labels") : NULL;
    json_t *wanted = gw_json_get(selector, "matchLabels");
    const char *key;
    json_t *value;
    json_object_foreach(wanted, key, value) {
        struct gw_str has = label_of(labels, ns, key);
        if (!has.ptr || !gw_str_eq(has, gw_json_str_of(value))) return false;
    }
    const json_t *expressions = gw_json_get(selector, "matchExpressions");
    for (size_t i = 0; i < json_array_size(expressions); i++)
        if (!expression_holds(json_array_get(expressions, i), labels, ns)) return false;
    return true;
}
