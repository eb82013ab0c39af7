// SPDX-License-Identifier: Apache-2.0
// Objects of one kind into the store. One that our own tables refuse leaves the store and is kept
// aside with the reason, so that traffic and status agree.
#include "controller/source/kube_impl.h"

#include <stdio.h>
#include <stdlib.h>

// --- names ---------------------------------------------------------------------------------------

static bool is_name(struct gw_str s, size_t max) {
    if (s.len == 0 || s.len > max) return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.'))
            return false;
    }
    return true;
}

// Where an object belongs. The names of all our kinds are DNS names; whatever has another one is
// none of theirs.
struct place {
    struct gw_str ns, name, key;
    char bytes[KUBE_KEY_MAX];
};

static bool place_of(const struct ctl_res_kind *kind, const json_t *object, struct place *ret) {
    const json_t *meta = gw_json_get(object, "metadata");
    ret->ns = gw_json_str(meta, "namespace");
    ret->name = gw_json_str(meta, "name");
    if (!is_name(ret->name, 253)) return false;
    if (kind->namespaced ? !is_name(ret->ns, 63) : ret->ns.len > 0) return false;
    if (!kind->namespaced) ret->ns = GW_STR("");
    int n = snprintf(ret->bytes, sizeof(ret->bytes), GW_STR_FMT "/" GW_STR_FMT, GW_STR_ARG(ret->ns),
                     GW_STR_ARG(ret->name));
    ret->key = (struct gw_str){ret->bytes, (size_t)n};
    return true;
}

// --- refused ones --------------------------------------------------------------------------------

static void refused_free(void *arg) {
    struct ctl_refused *r = arg;
    free(r->reason);
    json_decref(r->json);
    free(r);
}

static void on_refused(struct kube_kind *k) {
    const struct ctl_kube_source_opts *o = &k->source->o;
    if (o->on_refused) o->on_refused(o->arg);
}

static bool forget_refused(struct kube_kind *k, struct gw_str key) {
    void *old = gw_map_del(&k->refused, key);
    if (old) refused_free(old);
    return old != NULL;
}

static void tell_refused(struct kube_kind *k, const struct place *at, const char *reason) {
    char what[64 + KUBE_KEY_MAX];
    struct gw_str key = at->ns.len ? at->key : at->name;
    snprintf(what, sizeof(what), "%s " GW_STR_FMT, k->kind->name, GW_STR_ARG(key));
    struct ctl_source_event e = {.file = what, .text = reason};
    k->source->o.on_event(k->source->o.arg, &e);
}

static void refuse(struct kube_kind *k, const struct place *at, json_t *object,
                   const char *reason) {
    struct ctl_refused *r = gw_alloc(sizeof(*r));
    r->kind = k->kind;
    r->json = json_incref(object);
    // The object's own texts live as long as its tree.
    r->ns = at->ns;
    r->name = at->name;
    r->generation = gw_json_int(gw_json_get(object, "metadata"), "generation", 0);
    r->reason = gw_strdup(reason);
    struct ctl_refused *old = gw_map_put(&k->refused, at->key, r);
    if (!old || old->generation != r->generation || strcmp(old->reason, reason) != 0)
        tell_refused(k, at, reason);
    if (old) refused_free(old);
    on_refused(k);
}

void kube_refused_fini(struct kube_kind *k) {
    gw_map_fini(&k->refused, refused_free);
}

// --- putting and deleting ------------------------------------------------------------------------

static void set_type(const struct kube_kind *k, json_t *object) {
    char text[128];
    const char *version = k->kind->versions[k->version], *group = k->kind->group;
    snprintf(text, sizeof(text), "%s%s%s", group, *group ? "/" : "", version);
    json_object_set_new_nocheck(object, "apiVersion", json_string_nocheck(text));
    json_object_set_new_nocheck(object, "kind", json_string_nocheck(k->kind->name));
}

#define NO_NAME "an object without a proper name is left out"

struct counts {
    unsigned added, changed, removed;
};

static void put(struct kube_kind *k, const struct place *at, json_t *object, struct counts *n) {
    struct ctl_store *store = k->source->o.store;
    struct gw_schema_problem problem;
    set_type(k, object);
    if (ctl_res_take_stored(k->kind, object, &problem) != GW_OK) {
        n->removed += ctl_store_del(store, k->kind, at->ns, at->name);
        refuse(k, at, object, problem.err.text);
        return;
    }
    bool is_new = !ctl_store_get(store, k->kind, at->ns, at->name);
    const json_t *meta = gw_json_get(object, "metadata");
    bool changed = ctl_store_put(store, k->kind, object, gw_json_int(meta, "generation", 0),
                                 gw_json_str(meta, "creationTimestamp"), GW_STR(""));
    n->added += changed && is_new;
    n->changed += changed && !is_new;
    if (forget_refused(k, at->key)) on_refused(k);
}

static void count_change(const struct counts *n) {
    if (n->added + n->changed + n->removed) ctl_source_count(true);
}

void kube_object_put(struct kube_kind *k, json_t *object) {
    struct place at;
    struct counts n = {0};
    if (!place_of(k->kind, object, &at)) {
        kube_tell_trouble(k->source, k->kind->plural, NO_NAME);
        return;
    }
    put(k, &at, object, &n);
    count_change(&n);
}

void kube_object_del(struct kube_kind *k, json_t *object) {
    struct place at;
    struct counts n = {0};
    if (!place_of(k->kind, object, &at)) return;
    n.removed = ctl_store_del(k->source->o.store, k->kind, at.ns, at.name);
    count_change(&n);
    if (forget_refused(k, at.key)) on_refused(k);
}

// --- whole lists ---------------------------------------------------------------------------------

// Of the store and of the refused ones, what the list did not name.
static void delete_unseen(struct kube_kind *k, const struct gw_map *seen, struct counts *n) {
    size_t len, it = 0;
    struct ctl_store *store = k->source->o.store;
    const struct ctl_object **list = ctl_store_list(store, k->kind, &len);
    for (size_t i = 0; i < len; i++) {
        char bytes[KUBE_KEY_MAX];
        int chars = snprintf(bytes, sizeof(bytes), GW_STR_FMT "/" GW_STR_FMT,
                             GW_STR_ARG(list[i]->ns), GW_STR_ARG(list[i]->name));
        if (gw_map_get(seen, (struct gw_str){bytes, (size_t)chars})) continue;
        n->removed += ctl_store_del(store, k->kind, list[i]->ns, list[i]->name);
    }
    free(list);
    struct gw_str key;
    void *r;
    bool any = false;
    while (gw_map_next(&k->refused, &it, &key, &r)) {
        if (gw_map_get(seen, key)) continue;
        gw_map_del(&k->refused, key);
        refused_free(r);
        any = true;
    }
    if (any) on_refused(k);
}

void kube_object_replace(struct kube_kind *k, json_t *const *objects, size_t len) {
    struct gw_map seen = {0};
    struct counts n = {0};
    for (size_t i = 0; i < len; i++) {
        struct place at;
        if (!place_of(k->kind, objects[i], &at)) {
            kube_tell_trouble(k->source, k->kind->plural, NO_NAME);
            continue;
        }
        gw_map_put(&seen, at.key, k);
        put(k, &at, objects[i], &n);
    }
    delete_unseen(k, &seen, &n);
    gw_map_fini(&seen, NULL);
    count_change(&n);
    char text[128];
    snprintf(text, sizeof(text), "%u added, %u changed, %u removed", n.added, n.changed, n.removed);
    struct ctl_source_event e = {.file = k->kind->plural,
                                 .ok = true,
                                 .text = text,
                                 .added = n.added,
                                 .changed = n.changed,
                                 .removed = n.removed};
    k->source->o.on_event(k->source->o.arg, &e);
}

void kube_object_purge(struct kube_kind *k) {
    struct gw_map none = {0};
    struct counts n = {0};
    delete_unseen(k, &none, &n);
    count_change(&n);
}

size_t kube_object_count(const struct kube_kind *k) {
    size_t n;
    free(ctl_store_list(k->source->o.store, k->kind, &n));
    return n;
}
