// SPDX-License-Identifier: Apache-2.0
// An API server as the source of objects: every kind of controller/res is listed and watched into
// the store. A list replaces the kind's objects within one turn of the loop, so nobody sees a state
// in between. Kinds whose CRD is not installed are followed when it comes. What may not be read is
// told by name and tried again.
#ifndef CTL_SOURCE_KUBE_H
#define CTL_SOURCE_KUBE_H

#include "controller/kube/client.h"
#include "controller/source/event.h"
#include "controller/store/store.h"

#define CTL_KUBE_PAGE 500 // objects of one answer to a list
// Objects of one kind and pages of one list: more is a server that never ends.
#define CTL_KUBE_OBJECTS_MAX 500000
#define CTL_KUBE_PAGES_MAX 100000
// A watch without an event or a bookmark (one comes each minute) is dead; noticed within 90 s.
#define CTL_KUBE_IDLE_MS 80000
// Between tries: from the first to the last, doubled each time, the half of it by chance.
#define CTL_KUBE_BACKOFF_MS 200
#define CTL_KUBE_BACKOFF_MAX_MS 5000
#define CTL_KUBE_FORBIDDEN_MS 10000 // a role is not given by the second
// A kind that was there and is answered with 404, while nobody can tell whether its CRD is gone.
#define CTL_KUBE_GONE_MS 30000
// At the start: a kind whose CRD is there and that is not served holds up the first snapshot no
// longer than this.
#define CTL_KUBE_UNSERVED_MS 10000

// An object that our own tables refuse. It is not in the store, its older form neither.
struct ctl_refused {
    const struct ctl_res_kind *kind;
    struct gw_str ns, name; // ns "" for cluster-scoped kinds
    int64_t generation;     // of metadata; 0: the kind has none
    char *reason;           // "spec.rules[0].matches[0].path.type: 'X' is not one of ..."
    json_t *json;           // whole, unchecked but for its names, with its present .status
};

struct ctl_kube_source; // opaque
struct ctl_kube_source_opts {
    struct gw_loop *loop;
    struct ctl_store *store;
    struct ctl_kube *kube;
    // Once, when every kind is in the store, known to be absent, or forbidden.
    void (*on_synced)(void *arg);
    // After an object was refused (also: its status changed), or one is refused no longer; may be
    // NULL.
    void (*on_refused)(void *arg);
    void (*on_event)(void *arg, const struct ctl_source_event *e);
    void *arg;
    unsigned idle_ms; // 0: CTL_KUBE_IDLE_MS
};
// Starts; nothing is told before the loop runs.
struct ctl_kube_source *ctl_kube_source_new(const struct ctl_kube_source_opts *o);
void ctl_kube_source_free(struct ctl_kube_source *s);
bool ctl_kube_source_is_synced(const struct ctl_kube_source *s);

// Sorted by kind (as ctl_res_kinds), ns, name; array owned by caller (free), objects borrowed until
// the loop's next turn.
const struct ctl_refused **ctl_kube_source_refused(const struct ctl_kube_source *s, size_t *ret_n);
// NULL: it is not refused.
const struct ctl_refused *ctl_kube_source_refused_get(const struct ctl_kube_source *s,
                                                      const struct ctl_res_kind *kind,
                                                      struct gw_str ns, struct gw_str name);

// For the admin port: {"synced", "kinds": [{"kind", "state", "version", "resourceVersion",
// "objects", "refused", "problem"}, ...], "refused": [...]}. New reference.
json_t *ctl_kube_source_dump(const struct ctl_kube_source *s);
// One line for each kind that is not followed as it should be: "secrets: may not list secrets ...".
void ctl_kube_source_problems(const struct ctl_kube_source *s, struct gw_text *out);

#endif
