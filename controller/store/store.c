// SPDX-License-Identifier: Apache-2.0
// Objects in one hash map per kind, and the list of what changed. Compares content, counts
// generations; knows nothing of what objects mean.
#include "controller/store/store.h"

#include "shared/map.h"
#include "shared/vec.h"

#define KINDS_MAX 32

struct ctl_store {
    struct gw_map objects[KINDS_MAX]; // "ns\0name" -> struct ctl_object, by the kind's index
    struct gw_map dirty_keys;         // deduplicates dirty
    bool is_unread[KINDS_MAX];
    unsigned unread_changes;
    json_t *crd_versions; // NULL: not known
    unsigned crd_changes;
    GW_VEC(struct ctl_ref) dirty;
    void (*on_dirty)(void *arg);
    void *on_dirty_arg;
    void (*on_status)(void *arg, const struct ctl_object *o);
    void *on_status_arg;
};

struct ctl_store *ctl_store_new(void) {
    return gw_alloc(sizeof(struct ctl_store));
}

static void object_unref(void *arg) {
    struct ctl_object *o = arg;
    if (--o->refs > 0) return;
    json_decref(o->json);
    free(o);
}

void ctl_store_free(struct ctl_store *s) {
    if (!s) return;
    for (size_t i = 0; i < KINDS_MAX; i++)
        gw_map_fini(&s->objects[i], object_unref);
    gw_map_fini(&s->dirty_keys, NULL);
    ctl_refs_free(s->dirty.ptr, s->dirty.len);
    json_decref(s->crd_versions);
    free(s);
}

static size_t index_of(const struct ctl_res_kind *kind) {
    size_t i = 0;
    while (ctl_res_kinds[i] && ctl_res_kinds[i] != kind)
        i++;
    GW_ASSERT(ctl_res_kinds[i] && i < KINDS_MAX);
    return i;
}

// '\0' sorts before every byte of a name, so keys sort as (ns, name) pairs do.
struct key {
    char bytes[2 + 63 + 253 + 64];
    size_t len;
};

static struct gw_str make_key(struct key *k, char lead, struct gw_str ns, struct gw_str name) {
    GW_ASSERT(ns.len + name.len + 2 <= sizeof(k->bytes));
    k->len = 0;
    if (lead) k->bytes[k->len++] = lead;
    if (ns.len) memcpy(k->bytes + k->len, ns.ptr, ns.len);
    k->len += ns.len;
    k->bytes[k->len++] = 0;
    if (name.len) memcpy(k->bytes + k->len, name.ptr, name.len);
    k->len += name.len;
    return (struct gw_str){k->bytes, k->len};
}

static bool fits_key(struct gw_str ns, struct gw_str name) {
    return ns.len + name.len + 2 <= sizeof(((struct key *)0)->bytes);
}

static struct gw_str dup_str(struct gw_str s) {
    return (struct gw_str){gw_strndup(s.ptr ? s.ptr : "", s.len), s.len};
}

static void mark_dirty(struct ctl_store *s, const struct ctl_res_kind *kind, struct gw_str ns,
                       struct gw_str name) {
    struct key k;
    struct gw_str key = make_key(&k, (char)(1 + index_of(kind)), ns, name);
    if (gw_map_get(&s->dirty_keys, key)) return;
    gw_map_put(&s->dirty_keys, key, s);
    bool first = s->dirty.len == 0;
    GW_VEC_PUSH(&s->dirty, ((struct ctl_ref){kind, dup_str(ns), dup_str(name)}));
    if (first && s->on_dirty) s->on_dirty(s->on_dirty_arg);
}

// --- content -------------------------------------------------------------------------------------

// Members that say who wrote an object and when, not what it is.
static const char *const noise[] = {
    "creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid", NULL};

static bool is_noise(const char *member) {
    for (const char *const *n = noise; *n; n++)
        if (strcmp(*n, member) == 0) return true;
    return false;
}

// Whether each member of a that is not skipped is in b, equal; called both ways round.
static bool members_within(json_t *a, json_t *b, bool (*skip)(const char *member)) {
    const char *key;
    json_t *v;
    json_object_foreach(a, key, v) {
        if (!skip(key) && !json_equal(v, json_object_get(b, key))) return false;
    }
    return true;
}

static bool is_outer_noise(const char *member) {
    return strcmp(member, "status") == 0 || strcmp(member, "metadata") == 0;
}

static bool same_body(json_t *a, json_t *b) {
    return members_within(a, b, is_outer_noise) && members_within(b, a, is_outer_noise);
}

static bool same_metadata(json_t *a, json_t *b) {
    json_t *ma = gw_json_get(a, "metadata"), *mb = gw_json_get(b, "metadata");
    return members_within(ma, mb, is_noise) && members_within(mb, ma, is_noise);
}

static void copy_member(json_t *dst, json_t *src, const char *member) {
    json_t *v = json_object_get(src, member);
    if (v)
        json_object_set_nocheck(dst, member, v);
    else
        json_object_del(dst, member);
}

// The tree stays, what is no content of it becomes that of the newer one.
static void refresh_noise(json_t *old, json_t *json) {
    if (old == json) return;
    copy_member(old, json, "status");
    for (const char *const *n = noise; *n; n++)
        copy_member(gw_json_get(old, "metadata"), gw_json_get(json, "metadata"), *n);
}

// --- putting and deleting ------------------------------------------------------------------------

static struct ctl_object *object_new(const struct ctl_res_kind *kind, json_t *json,
                                     struct gw_str ns, struct gw_str name, struct gw_str age,
                                     struct gw_str origin) {
    struct ctl_object *o =
        gw_alloc(sizeof(*o) + ns.len + name.len + age.len + origin.len + 4 * sizeof(char));
    char *at = (char *)(o + 1);
    struct gw_str *const dst[] = {&o->ns, &o->name, &o->age, &o->origin};
    const struct gw_str src[] = {ns, name, age, origin};
    for (size_t i = 0; i < GW_ARRAY_LEN(dst); i++) {
        if (src[i].len) memcpy(at, src[i].ptr, src[i].len);
        *dst[i] = (struct gw_str){at, src[i].len};
        at += src[i].len + 1;
    }
    o->kind = kind;
    o->json = json_incref(json);
    o->refs = 1;
    return o;
}

static struct gw_str namespace_of(const struct ctl_res_kind *kind, const json_t *json) {
    struct gw_str ns = gw_json_str(gw_json_get(json, "metadata"), "namespace");
    if (!kind->namespaced) return GW_STR("");
    return ns.len ? ns : GW_STR("default");
}

bool ctl_store_put(struct ctl_store *s, const struct ctl_res_kind *kind, json_t *json,
                   int64_t generation, struct gw_str age, struct gw_str origin) {
    struct gw_str ns = namespace_of(kind, json);
    struct gw_str name = gw_json_str(gw_json_get(json, "metadata"), "name");
    GW_ASSERT(name.len && fits_key(ns, name)); // the kind's table bounds both
    struct key k;
    struct gw_str key = make_key(&k, 0, ns, name);
    struct gw_map *map = &s->objects[index_of(kind)];
    const struct ctl_object *old = gw_map_get(map, key);
    bool body_same = old && same_body(old->json, json);
    bool same = body_same && same_metadata(old->json, json);
    bool status_same =
        old && json_equal(gw_json_get(old->json, "status"), gw_json_get(json, "status"));
    // Equal content keeps its tree, so that who compares trees by address sees no change.
    if (same) refresh_noise(old->json, json);
    // A new age moves the object among equals ("the oldest wins"), a new generation must be
    // observed; a new origin moves nothing.
    bool changed =
        !same || !gw_str_eq(old->age, age) || (generation && generation != old->generation);
    const struct ctl_object *now = old;
    if (changed || !gw_str_eq(old->origin, origin)) {
        struct ctl_object *o = object_new(kind, same ? old->json : json, ns, name, age, origin);
        o->generation = generation ? generation : old ? old->generation + !body_same : 1;
        void *replaced = gw_map_put(map, key, o);
        if (replaced) object_unref(replaced);
        now = o;
    }
    if (changed) mark_dirty(s, kind, now->ns, now->name);
    if (!status_same && s->on_status) s->on_status(s->on_status_arg, now);
    return changed;
}

bool ctl_store_del(struct ctl_store *s, const struct ctl_res_kind *kind, struct gw_str ns,
                   struct gw_str name) {
    if (!fits_key(ns, name)) return false;
    struct key k;
    struct ctl_object *o = gw_map_del(&s->objects[index_of(kind)], make_key(&k, 0, ns, name));
    if (!o) return false;
    mark_dirty(s, kind, o->ns, o->name);
    object_unref(o);
    return true;
}

// --- reading -------------------------------------------------------------------------------------

const struct ctl_object *ctl_store_get(const struct ctl_store *s, const struct ctl_res_kind *kind,
                                       struct gw_str ns, struct gw_str name) {
    if (!fits_key(ns, name)) return NULL;
    struct key k;
    return gw_map_get(&s->objects[index_of(kind)], make_key(&k, 0, ns, name));
}

const struct ctl_object **ctl_store_list(const struct ctl_store *s, const struct ctl_res_kind *kind,
                                         size_t *ret_n) {
    const struct gw_map *map = &s->objects[index_of(kind)];
    struct gw_str *keys = gw_map_sorted_keys(map);
    const struct ctl_object **list = gw_alloc((map->len + 1) * sizeof(struct ctl_object *));
    for (size_t i = 0; i < map->len; i++)
        list[i] = gw_map_get(map, keys[i]);
    free(keys);
    *ret_n = map->len;
    return list;
}

struct ctl_ref *ctl_store_take_dirty(struct ctl_store *s, size_t *ret_n) {
    struct ctl_ref *refs = s->dirty.ptr;
    *ret_n = s->dirty.len;
    s->dirty.ptr = NULL;
    s->dirty.len = s->dirty.cap = 0;
    gw_map_fini(&s->dirty_keys, NULL);
    return refs;
}

static void str_free(struct gw_str s) {
    free((void *)(uintptr_t)s.ptr);
}

void ctl_refs_free(struct ctl_ref *refs, size_t n) {
    for (size_t i = 0; i < n; i++) {
        str_free(refs[i].ns);
        str_free(refs[i].name);
    }
    free(refs);
}

// --- kinds: which may not be read, and of which version they are --------------------------------

// Of something else than an object.
static void tell_dirt(struct ctl_store *s) {
    if (s->dirty.len == 0 && s->on_dirty) s->on_dirty(s->on_dirty_arg);
}

void ctl_store_set_unread(struct ctl_store *s, const struct ctl_res_kind *kind, bool is_unread) {
    bool *was = &s->is_unread[index_of(kind)];
    if (*was == is_unread) return;
    *was = is_unread;
    s->unread_changes++;
    tell_dirt(s);
}

bool ctl_store_is_unread(const struct ctl_store *s, const struct ctl_res_kind *kind) {
    return s->is_unread[index_of(kind)];
}

unsigned ctl_store_unread_changes(const struct ctl_store *s) {
    return s->unread_changes;
}

void ctl_store_set_crd_versions(struct ctl_store *s, json_t *versions) {
    bool is_same = versions ? json_equal(s->crd_versions, versions) : !s->crd_versions;
    if (is_same) {
        json_decref(versions);
        return;
    }
    json_decref(s->crd_versions);
    s->crd_versions = versions;
    s->crd_changes++;
    tell_dirt(s);
}

const json_t *ctl_store_crd_versions(const struct ctl_store *s) {
    return s->crd_versions;
}

unsigned ctl_store_crd_changes(const struct ctl_store *s) {
    return s->crd_changes;
}

// --- who is told ---------------------------------------------------------------------------------

void ctl_store_on_dirty(struct ctl_store *s, void (*fn)(void *), void *arg) {
    s->on_dirty = fn;
    s->on_dirty_arg = arg;
}

void ctl_store_on_status(struct ctl_store *s, void (*fn)(void *arg, const struct ctl_object *o),
                         void *arg) {
    s->on_status = fn;
    s->on_status_arg = arg;
}
