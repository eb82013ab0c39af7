// SPDX-License-Identifier: Apache-2.0
// See merge.h. The order of what is there is kept, so that equal content is equal JSON.
#include "controller/status/merge.h"

#include "controller/translate/translate.h"

// Types that this controller sets somewhere; one that is not wanted any more is taken away.
static const char *const our_types[] = {
    "Accepted",   "ResolvedRefs",     "Programmed",           "PartiallyInvalid",
    "Conflicted", "SupportedVersion", "OverlappingTLSConfig", NULL,
};

static bool is_our_type(struct gw_str type) {
    for (const char *const *t = our_types; *t; t++)
        if (gw_str_eq(type, gw_str_of(*t))) return true;
    return false;
}

const json_t *ctl_status_condition(const json_t *conditions, struct gw_str type) {
    for (size_t i = 0; i < json_array_size(conditions); i++)
        if (gw_str_eq(gw_json_str(json_array_get(conditions, i), "type"), type))
            return json_array_get(conditions, i);
    return NULL;
}

// --- conditions --------------------------------------------------------------------------------

static bool same_member(const json_t *a, const json_t *b, const char *member) {
    return gw_str_eq(gw_json_str(a, member), gw_json_str(b, member));
}

static json_t *with_time(const json_t *before, const json_t *wanted, const char *now) {
    json_t *c = json_copy((json_t *)(uintptr_t)wanted);
    const char *since = now;
    if (before && same_member(before, wanted, "status"))
        since = json_string_value(json_object_get(before, "lastTransitionTime"));
    json_object_set_new(c, "lastTransitionTime", json_string(since ? since : now));
    return c;
}

static int64_t generation_of(const json_t *condition) {
    return gw_json_int(condition, "observedGeneration", 0);
}

// Of all that is wanted at once; conditions of one object are observed together. Where nothing is
// wanted any more, nothing of ours is too new for it.
static int64_t newest_of(const json_t *conditions) {
    int64_t newest = json_array_size(conditions) ? 0 : INT64_MAX;
    for (size_t i = 0; i < json_array_size(conditions); i++) {
        int64_t g = generation_of(json_array_get(conditions, i));
        if (g > newest) newest = g;
    }
    return newest;
}

static json_t *merge_conditions(const json_t *before, const json_t *wanted, const char *now) {
    json_t *list = json_array();
    int64_t newest = newest_of(wanted);
    for (size_t i = 0; i < json_array_size(before); i++) {
        json_t *old = json_array_get(before, i);
        struct gw_str type = gw_json_str(old, "type");
        const json_t *next = ctl_status_condition(wanted, type);
        if (generation_of(old) > newest || (!next && !is_our_type(type)))
            json_array_append(list, old);
        else if (next)
            json_array_append_new(list, with_time(old, next, now));
    }
    for (size_t i = 0; i < json_array_size(wanted); i++) {
        const json_t *next = json_array_get(wanted, i);
        if (!ctl_status_condition(before, gw_json_str(next, "type")))
            json_array_append_new(list, with_time(NULL, next, now));
    }
    return list;
}

// An entry or a whole status: all of wanted, with its conditions merged.
static json_t *merge_member(const json_t *before, const json_t *wanted, const char *now) {
    json_t *out = json_copy((json_t *)(uintptr_t)wanted);
    json_object_set_new(out, "conditions",
                        merge_conditions(gw_json_get(before, "conditions"),
                                         gw_json_get(wanted, "conditions"), now));
    return out;
}

// --- lists by parent or ancestor ---------------------------------------------------------------

static const struct list_form {
    const char *list, *ref;
    size_t max;
} list_forms[] = {
    {"parents", "parentRef", CTL_STATUS_PARENTS_MAX},
    {"ancestors", "ancestorRef", CTL_STATUS_ANCESTORS_MAX},
};

static bool is_ours(const json_t *entry) {
    return gw_str_eq(gw_json_str(entry, "controllerName"), GW_STR(CTL_CONTROLLER_NAME));
}

static struct gw_str or_default(struct gw_str s, struct gw_str otherwise) {
    return s.ptr ? s : otherwise;
}

// An API server fills in group and kind, in a spec and in a status.
static bool same_ref(const json_t *a, const json_t *b) {
    static const char *const members[] = {"namespace", "name", "sectionName", NULL};
    const struct gw_str group = GW_STR("gateway.networking.k8s.io"), kind = GW_STR("Gateway");
    for (const char *const *m = members; *m; m++)
        if (!same_member(a, b, *m)) return false;
    return gw_json_int(a, "port", 0) == gw_json_int(b, "port", 0) &&
           gw_str_eq(or_default(gw_json_str(a, "group"), group),
                     or_default(gw_json_str(b, "group"), group)) &&
           gw_str_eq(or_default(gw_json_str(a, "kind"), kind),
                     or_default(gw_json_str(b, "kind"), kind));
}

// Our entry for a reference; NULL: none.
static json_t *entry_of(const json_t *list, const char *ref_name, const json_t *ref) {
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *e = json_array_get(list, i);
        if (is_ours(e) && same_ref(gw_json_get(e, ref_name), ref)) return e;
    }
    return NULL;
}

static json_t *merge_list(const json_t *before, const json_t *wanted, const struct list_form *f,
                          const char *now) {
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(before); i++) {
        json_t *old = json_array_get(before, i);
        json_t *ref = gw_json_get(old, f->ref);
        json_t *next = entry_of(wanted, f->ref, ref);
        if (!is_ours(old)) {
            json_array_append(list, old);
        } else if (next && entry_of(before, f->ref, ref) == old) {
            json_t *entry = merge_member(old, next, now);
            json_object_set(entry, f->ref, ref); // as it is there, with the API's defaults
            json_array_append_new(list, entry);
        }
    }
    for (size_t i = 0; i < json_array_size(wanted) && json_array_size(list) < f->max; i++) {
        const json_t *next = json_array_get(wanted, i);
        const json_t *ref = gw_json_get(next, f->ref);
        if (!entry_of(before, f->ref, ref) && !entry_of(list, f->ref, ref))
            json_array_append_new(list, merge_member(NULL, next, now));
    }
    return list;
}

// --- listeners ---------------------------------------------------------------------------------

static const json_t *listener_of(const json_t *list, struct gw_str name) {
    for (size_t i = 0; i < json_array_size(list); i++)
        if (gw_str_eq(gw_json_str(json_array_get(list, i), "name"), name))
            return json_array_get(list, i);
    return NULL;
}

static json_t *merge_listeners(const json_t *before, const json_t *wanted, const char *now) {
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(wanted); i++) {
        const json_t *next = json_array_get(wanted, i);
        json_array_append_new(
            list, merge_member(listener_of(before, gw_json_str(next, "name")), next, now));
    }
    return list;
}

// --- the whole ---------------------------------------------------------------------------------

static json_t *merge_one(const char *key, const json_t *before, json_t *wanted, const char *now) {
    if (strcmp(key, "conditions") == 0) return merge_conditions(before, wanted, now);
    if (strcmp(key, "listeners") == 0) return merge_listeners(before, wanted, now);
    for (size_t i = 0; i < GW_ARRAY_LEN(list_forms); i++)
        if (strcmp(key, list_forms[i].list) == 0)
            return merge_list(before, wanted, &list_forms[i], now);
    return json_incref(wanted);
}

json_t *ctl_status_merge(const json_t *before, const json_t *wanted, const char *now) {
    json_t *out = json_is_object(before) ? json_copy((json_t *)(uintptr_t)before) : json_object();
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)wanted, key, v) {
        json_object_set_new(out, key, merge_one(key, gw_json_get(before, key), v, now));
    }
    return out;
}

json_t *ctl_status_without_ours(const json_t *before) {
    json_t *out = json_is_object(before) ? json_copy((json_t *)(uintptr_t)before) : json_object();
    for (size_t i = 0; i < GW_ARRAY_LEN(list_forms); i++) {
        const json_t *list = gw_json_get(before, list_forms[i].list);
        if (list)
            json_object_set_new(out, list_forms[i].list,
                                merge_list(list, NULL, &list_forms[i], NULL));
    }
    return out;
}

json_t *ctl_status_difference(const json_t *before, const json_t *after) {
    json_t *out = json_object();
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)after, key, v) {
        const json_t *old = gw_json_get(before, key);
        if (!old || !json_equal(old, v)) json_object_set(out, key, v);
    }
    if (json_object_size(out) > 0) return out;
    json_decref(out);
    return NULL;
}

bool ctl_status_has_ours(const json_t *status) {
    for (size_t f = 0; f < GW_ARRAY_LEN(list_forms); f++) {
        const json_t *list = gw_json_get(status, list_forms[f].list);
        for (size_t i = 0; i < json_array_size(list); i++)
            if (is_ours(json_array_get(list, i))) return true;
    }
    return false;
}

static bool takes_back_of(const json_t *before, const json_t *after) {
    const struct gw_str type = GW_STR("Programmed");
    const json_t *old = ctl_status_condition(gw_json_get(before, "conditions"), type);
    const json_t *next = ctl_status_condition(gw_json_get(after, "conditions"), type);
    return old && next && gw_str_eq(gw_json_str(old, "status"), GW_STR("True")) &&
           !gw_str_eq(gw_json_str(next, "status"), GW_STR("True")) &&
           gw_str_eq(gw_json_str(next, "reason"), GW_STR("Pending")) &&
           generation_of(old) == generation_of(next);
}

bool ctl_status_takes_back(const json_t *before, const json_t *after) {
    const json_t *old = gw_json_get(before, "listeners"), *next = gw_json_get(after, "listeners");
    if (takes_back_of(before, after)) return true;
    if (json_array_size(gw_json_get(before, "addresses")) > 0 &&
        json_array_size(gw_json_get(after, "addresses")) == 0)
        return true;
    for (size_t i = 0; i < json_array_size(next); i++) {
        const json_t *l = json_array_get(next, i);
        if (takes_back_of(listener_of(old, gw_json_str(l, "name")), l)) return true;
    }
    for (size_t f = 0; f < GW_ARRAY_LEN(list_forms); f++) {
        old = gw_json_get(before, list_forms[f].list);
        next = gw_json_get(after, list_forms[f].list);
        for (size_t i = 0; i < json_array_size(next); i++) {
            const json_t *e = json_array_get(next, i);
            const json_t *ref = gw_json_get(e, list_forms[f].ref);
            if (is_ours(e) && takes_back_of(entry_of(old, list_forms[f].ref, ref), e)) return true;
        }
    }
    return false;
}
