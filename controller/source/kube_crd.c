// SPDX-License-Identifier: Apache-2.0
// Which CRDs there are, by their metadata alone: whose comes or goes says when a kind is there, and
// of which version the Gateway API's are goes into the store.
// Where CRDs may not be listed, kinds are tried instead.
#include "controller/source/kube_impl.h"

#include <stdlib.h>

#define CRD_PATH "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
// Failures in a row, answered as they were, after which it is not waited for.
#define FAILURES_MAX 3

static struct gw_str name_of(const json_t *object) {
    return gw_json_str(gw_json_get(object, "metadata"), "name");
}

// Of the Gateway API: all of one release have the same annotation.
#define API_SUFFIX ".gateway.networking.k8s.io"
#define API_VERSION "gateway.networking.k8s.io/bundle-version"

static void note(struct ctl_kube_source *s, const json_t *object) {
    const json_t *annotations = gw_json_path(object, "metadata.annotations");
    struct gw_str version = gw_json_str(annotations, API_VERSION);
    free(gw_map_put(&s->crd_names, name_of(object),
                    gw_strndup(version.ptr ? version.ptr : "", version.len)));
}

static void tell_versions(struct ctl_kube_source *s) {
    json_t *versions = s->crd_state == KUBE_CRD_LISTED ? json_object() : NULL;
    struct gw_str *names = gw_map_sorted_keys(&s->crd_names);
    for (size_t i = 0; versions && i < s->crd_names.len; i++)
        if (gw_str_ends(names[i], GW_STR(API_SUFFIX)))
            json_object_set_new(versions, names[i].ptr,
                                json_string(gw_map_get(&s->crd_names, names[i])));
    free(names);
    ctl_store_set_crd_versions(s->o.store, versions);
}

static struct gw_str crd_name(const struct ctl_res_kind *kind, char *dst, size_t cap) {
    int n = snprintf(dst, cap, "%s.%s", kind->plural, kind->group);
    return (struct gw_str){dst, (size_t)n};
}

bool kube_crd_has(const struct ctl_kube_source *s, const struct ctl_res_kind *kind) {
    char name[256];
    return gw_map_get(&s->crd_names, crd_name(kind, name, sizeof(name))) != NULL;
}

// name {NULL, 0}: all of them.
static void consider(struct ctl_kube_source *s, struct gw_str name) {
    for (size_t i = 0; i < s->kinds_n; i++) {
        char own[256];
        struct kube_kind *k = &s->kinds[i];
        if (!k->kind->builtin &&
            (!name.ptr || gw_str_eq(name, crd_name(k->kind, own, sizeof(own)))))
            kube_kind_consider(k, true);
    }
}

static void on_replace(void *arg, json_t *const *objects, size_t n) {
    struct ctl_kube_source *s = arg;
    gw_map_fini(&s->crd_names, free);
    for (size_t i = 0; i < n; i++)
        if (name_of(objects[i]).len) note(s, objects[i]);
    s->crd_state = KUBE_CRD_LISTED;
    tell_versions(s);
    consider(s, (struct gw_str){NULL, 0});
}

static void on_put(void *arg, json_t *object) {
    struct ctl_kube_source *s = arg;
    struct gw_str name = name_of(object);
    if (!name.len) return;
    note(s, object);
    tell_versions(s);
    consider(s, name);
}

static void on_del(void *arg, json_t *object) {
    struct ctl_kube_source *s = arg;
    struct gw_str name = name_of(object);
    if (!name.len) return;
    free(gw_map_del(&s->crd_names, name));
    tell_versions(s);
    consider(s, name);
}

static void on_live(void *arg) {
    struct ctl_kube_source *s = arg;
    if (s->crd_problem) kube_tell_good(s, "customresourcedefinitions", "is followed again");
    free(s->crd_problem);
    s->crd_problem = NULL;
}

static int64_t on_failed(void *arg, const struct ctl_kube_reply *r) {
    struct ctl_kube_source *s = arg;
    bool is_closed = r->status == 403 || r->status == 404;
    bool is_news = !s->crd_problem;
    free(s->crd_problem);
    s->crd_problem = gw_strdup(r->err.text);
    if (is_news) kube_tell_trouble(s, "customresourcedefinitions", r->err.text);
    if (s->crd_state == KUBE_CRD_LISTED && !is_closed) return 0;
    if (is_closed || (r->status && s->crds.failures >= FAILURES_MAX)) {
        s->crd_state = KUBE_CRD_CLOSED;
        tell_versions(s);
        consider(s, (struct gw_str){NULL, 0});
    }
    return is_closed ? CTL_KUBE_FORBIDDEN_MS : 0;
}

static const struct kube_follow_ops ops = {
    .replace = on_replace,
    .put = on_put,
    .del = on_del,
    .live = on_live,
    .failed = on_failed,
};

void kube_crd_init(struct ctl_kube_source *s) {
    s->crds.loop = s->o.loop;
    s->crds.kube = s->o.kube;
    s->crds.idle_ms = s->o.idle_ms;
    s->crds.ops = &ops;
    s->crds.arg = s;
    s->crds.selector = "";
    s->crds.accept_list =
        "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
    s->crds.accept_watch =
        "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
    kube_follow_init(&s->crds);
    kube_follow_start(&s->crds, gw_strdup(CRD_PATH));
}

void kube_crd_fini(struct ctl_kube_source *s) {
    kube_follow_fini(&s->crds);
    gw_map_fini(&s->crd_names, free);
    free(s->crd_problem);
}
