// SPDX-License-Identifier: Apache-2.0
// What the files of the API server's source share: kube_follow.c (list, then watch, of one path),
// kube_kind.c (one kind: versions, absence, refusals of the API server), kube_object.c (objects
// into the store), kube_crd.c (which CRDs there are), kube.c (life, the first sync, views). Only
// for controller/source/.
#ifndef CTL_SOURCE_KUBE_IMPL_H
#define CTL_SOURCE_KUBE_IMPL_H

#include "controller/source/kube.h"
#include "shared/map.h"
#include "shared/vec.h"

// --- list and watch of one path ------------------------------------------------------------------

struct kube_follow;
struct kube_follow_ops {
    // A whole list; objects are the callee's to change, not to keep without a reference.
    void (*replace)(void *arg, json_t *const *objects, size_t n);
    void (*put)(void *arg, json_t *object);
    void (*del)(void *arg, json_t *object);
    // The watch is there: from now on nothing is missed.
    void (*live)(void *arg);
    // A try failed. Returns in how many milliseconds the next one is due (0: as usual), or -1:
    // none.
    int64_t (*failed)(void *arg, const struct ctl_kube_reply *r);
};

struct kube_follow {
    struct gw_loop *loop;
    struct ctl_kube *kube;
    const struct kube_follow_ops *ops;
    void *arg;
    unsigned idle_ms;
    char *path;                             // "/apis/GROUP/VERSION/PLURAL"
    const char *selector;                   // "&fieldSelector=..." or ""
    const char *accept_list, *accept_watch; // NULL: plain JSON

    struct ctl_kube_call *call;
    struct gw_timer timer; // until the next try
    bool is_watching;
    bool relist; // the resource version is of no use any more
    char *rv, *next_page;
    unsigned limit, pages;
    GW_VEC(json_t *) objects; // of the list that is under way
    unsigned failures;        // in a row; sets the backoff
    unsigned watch_failures;  // answered with an error, in a row
    int64_t watch_began_ms;
};
void kube_follow_init(struct kube_follow *f);
void kube_follow_fini(struct kube_follow *f);
// From the start: lists. path is taken.
void kube_follow_start(struct kube_follow *f, char *path);
void kube_follow_stop(struct kube_follow *f);
// The next try is a list of this path; taken.
void kube_follow_retarget(struct kube_follow *f, char *path);
// The next try at once, where one is waited for.
void kube_follow_hurry(struct kube_follow *f);

// --- kinds ---------------------------------------------------------------------------------------

enum kube_state {
    KUBE_STARTING,
    KUBE_SYNCED,
    KUBE_ABSENT,    // no CRD, or none of our versions
    KUBE_FORBIDDEN, // at the last try; objects that were there stay
    KUBE_FAILING,   // the same, for another reason
};

struct kube_kind {
    struct ctl_kube_source *source;
    const struct ctl_res_kind *kind;
    struct kube_follow follow;
    enum kube_state state;
    bool is_settled; // the first snapshot need not wait for it
    bool has_list;   // the store is as some list was
    size_t version;  // of kind->versions
    size_t missed;   // versions that were answered with 404, in a row
    int64_t missing_since_ms;
    char *problem;         // the last one told; NULL: none
    int problem_id;        // what is not told twice in a row
    struct gw_map refused; // "ns/name" -> struct ctl_refused
};
#define KUBE_KEY_MAX (63 + 253 + 2)
void kube_kind_init(struct kube_kind *k, struct ctl_kube_source *s,
                    const struct ctl_res_kind *kind);
void kube_kind_fini(struct kube_kind *k);
// What is known of its CRD may have changed.
void kube_kind_consider(struct kube_kind *k, bool has_changed);

// kube_object.c: the ops of a kind.
void kube_object_put(struct kube_kind *k, json_t *object);
void kube_object_del(struct kube_kind *k, json_t *object);
void kube_object_replace(struct kube_kind *k, json_t *const *objects, size_t n);
void kube_object_purge(struct kube_kind *k); // the kind is gone
void kube_refused_fini(struct kube_kind *k);
size_t kube_object_count(const struct kube_kind *k);

// --- CRDs ----------------------------------------------------------------------------------------

enum kube_crd_state {
    KUBE_CRD_UNKNOWN, // not asked yet
    KUBE_CRD_LISTED,
    KUBE_CRD_CLOSED, // may not be listed: kinds are tried instead
};

struct ctl_kube_source {
    struct ctl_kube_source_opts o;
    struct kube_kind *kinds; // as ctl_res_kinds
    size_t kinds_n;
    bool is_synced;
    struct kube_follow crds;
    enum kube_crd_state crd_state;
    struct gw_map crd_names; // "httproutes.gateway.networking.k8s.io" -> char *, its bundle-version
    char *crd_problem;
};
void kube_crd_init(struct ctl_kube_source *s);
void kube_crd_fini(struct ctl_kube_source *s);
bool kube_crd_has(const struct ctl_kube_source *s, const struct ctl_res_kind *kind);

// kube.c
void kube_tell_trouble(struct ctl_kube_source *s, const char *what, const char *text);
void kube_tell_good(struct ctl_kube_source *s, const char *what, const char *text);
// Something settled: perhaps it was the last.
void kube_check_synced(struct ctl_kube_source *s);

#endif
