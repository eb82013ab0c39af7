// SPDX-License-Identifier: Apache-2.0
// Objects by kind, namespace and name. Sources put and delete; translate reads a const view. Holds
// one reference of each object's JSON. One thread (the controller's loop).
#ifndef CTL_STORE_STORE_H
#define CTL_STORE_STORE_H

#include "controller/res/res.h"

// One object as the store keeps it. Immutable once put (a new put makes a new one) but for status
// and the noise of metadata (resourceVersion, uid, ...), which a put of equal content brings up to
// date in json.
struct ctl_object {
    const struct ctl_res_kind *kind;
    struct gw_str ns, name; // ns "" for cluster-scoped kinds; lives as long as the object
    int64_t generation;     // of metadata, or counted by a folder source
    struct gw_str age;      // orders by "oldest": creationTimestamp, in a folder path and document
    struct gw_str origin;   // "routes.yaml:12" in a folder, "" on Kubernetes; for messages
    json_t *json;           // whole object, checked by its kind's table
    unsigned refs;
};

struct ctl_store; // opaque

struct ctl_store *ctl_store_new(void);
void ctl_store_free(struct ctl_store *s);

// Takes a reference of json; ns, name and kind are read from it. Equal content (but for status and
// metadata noise) leaves the old object and its generation in place and is not a change; another
// generation, where one is given, is a change. generation 0: count by itself. Returns true where
// something changed.
bool ctl_store_put(struct ctl_store *s, const struct ctl_res_kind *kind, json_t *json,
                   int64_t generation, struct gw_str age, struct gw_str origin);
bool ctl_store_del(struct ctl_store *s, const struct ctl_res_kind *kind, struct gw_str ns,
                   struct gw_str name);

const struct ctl_object *ctl_store_get(const struct ctl_store *s, const struct ctl_res_kind *kind,
                                       struct gw_str ns, struct gw_str name); // NULL: absent
// All of a kind sorted by ns, name; array owned by caller (free), objects borrowed until the next
// put or delete.
const struct ctl_object **ctl_store_list(const struct ctl_store *s, const struct ctl_res_kind *kind,
                                         size_t *ret_n);

// Whether the source is not allowed to read a kind: what is absent may be there all the same. A
// change counts as dirt of every object (see ctl_store_unread_changes).
void ctl_store_set_unread(struct ctl_store *s, const struct ctl_res_kind *kind, bool is_unread);
bool ctl_store_is_unread(const struct ctl_store *s, const struct ctl_res_kind *kind);
// How often any kind became so or ceased to be.
unsigned ctl_store_unread_changes(const struct ctl_store *s);

// The versions of the Gateway API's CRDs (their bundle-version annotation), by name in ascending
// order: {"gateways.gateway.networking.k8s.io": "v1.7.0" or "" where there is none}. NULL: nobody
// knows, as in a folder. Takes versions; equal ones are no change. A change counts as dirt.
void ctl_store_set_crd_versions(struct ctl_store *s, json_t *versions);
const json_t *ctl_store_crd_versions(const struct ctl_store *s); // borrowed; NULL as above
unsigned ctl_store_crd_changes(const struct ctl_store *s);

// What changed since the last call of ctl_store_take_dirty: (kind, ns, name) triples, deduplicated.
struct ctl_ref {
    const struct ctl_res_kind *kind;
    struct gw_str ns, name; // owned by the array
};
struct ctl_ref *ctl_store_take_dirty(struct ctl_store *s, size_t *ret_n); // ctl_refs_free
void ctl_refs_free(struct ctl_ref *refs, size_t n);
// Called (once per burst) when the store becomes dirty.
void ctl_store_on_dirty(struct ctl_store *s, void (*fn)(void *), void *arg);

// Called within a put, after it: the object is new, or its .status is another one than before.
// Whoever writes statuses compares then.
void ctl_store_on_status(struct ctl_store *s, void (*fn)(void *arg, const struct ctl_object *o),
                         void *arg);

#endif
