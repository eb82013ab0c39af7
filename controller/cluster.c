// SPDX-License-Identifier: Apache-2.0
// See cluster.h.
#include "controller/cluster.h"

#include "controller/status/merge.h"
#include "shared/log.h"

#include <stdlib.h>

// --- what was seen -----------------------------------------------------------------------------

static void seen_of(const json_t *object, struct ctl_kube_seen *ret) {
    const json_t *meta = gw_json_get(object, "metadata");
    ret->status = gw_json_get(object, "status");
    ret->resource_version = gw_json_str(meta, "resourceVersion");
    ret->uid = gw_json_str(meta, "uid");
}

// An object that is refused is not in the store, and has a status all the same.
static bool seen(void *arg, const struct ctl_res_kind *kind, struct gw_str ns, struct gw_str name,
                 struct ctl_kube_seen *ret) {
    const struct ctl_cluster *c = arg;
    const struct ctl_object *o = ctl_store_get(c->store, kind, ns, name);
    const struct ctl_refused *r =
        o || !c->source ? NULL : ctl_kube_source_refused_get(c->source, kind, ns, name);
    if (!o && !r) return false;
    seen_of(o ? o->json : r->json, ret);
    return true;
}

// Whether an object that just came is ours is known after its translation.
static void on_status(void *arg, const struct ctl_object *o) {
    struct ctl_cluster *c = arg;
    if (!c->is_begun) return;
    if (ctl_status_has(c->status, o->kind, o->ns, o->name))
        ctl_status_writer_look(c->writer, o->kind, o->ns, o->name);
    else if (ctl_status_has_ours(gw_json_get(o->json, "status")))
        c->is_sweep_due = true;
}

// Entries of ours that nobody wants, such as an earlier life of the controller left.
static void sweep(struct ctl_cluster *c) {
    c->is_sweep_due = false;
    for (const struct ctl_res_kind *const *k = ctl_res_kinds; *k; k++) {
        size_t n;
        const struct ctl_object **list = ctl_store_list(c->store, *k, &n);
        for (size_t i = 0; i < n; i++) {
            const struct ctl_object *o = list[i];
            if (!ctl_status_has(c->status, *k, o->ns, o->name) &&
                ctl_status_has_ours(gw_json_get(o->json, "status")))
                ctl_status_writer_look(c->writer, *k, o->ns, o->name);
        }
        free(list);
    }
}

static void tell_refused(struct ctl_cluster *c) {
    size_t n;
    const struct ctl_refused **list = ctl_kube_source_refused(c->source, &n);
    struct ctl_status_refused *told = gw_alloc((n + 1) * sizeof(*told));
    for (size_t i = 0; i < n; i++)
        told[i] = (struct ctl_status_refused){.kind = list[i]->kind,
                                              .ns = list[i]->ns,
                                              .name = list[i]->name,
                                              .generation = list[i]->generation,
                                              .object = list[i]->json,
                                              .reason = list[i]->reason};
    ctl_status_refuse(c->status, told, n);
    // One whose status somebody else wrote is compared again.
    for (size_t i = 0; i < n && c->is_begun; i++)
        if (ctl_status_has(c->status, told[i].kind, told[i].ns, told[i].name))
            ctl_status_writer_look(c->writer, told[i].kind, told[i].ns, told[i].name);
    free(told);
    free(list);
}

void ctl_cluster_translated(struct ctl_cluster *c) {
    bool is_first = !c->is_begun;
    c->is_begun = true;
    tell_refused(c);
    if (is_first || c->is_sweep_due) sweep(c);
    if (is_first) ctl_lease_start(c->lease);
}

// --- the Lease ---------------------------------------------------------------------------------

static void on_lease(void *arg) {
    struct ctl_cluster *c = arg;
    bool is_held = ctl_lease_is_held(c->lease), is_news = is_held != c->is_writing;
    c->is_writing = is_held;
    if (is_news && is_held) {
        ctl_events_start(c->events);
        ctl_status_writer_start(c->writer);
        if (c->is_begun) sweep(c);
    } else if (is_news) {
        ctl_status_writer_stop(c->writer);
        ctl_events_stop(c->events);
    }
    // Other replicas look at the Lease when their links to this one end: not before it is free.
    if (!c->is_leaving) c->on_lease(c->arg);
}

// Of a release: two requests to an API server that is near.
#define LEAVE_MS 2000

void ctl_cluster_leave(struct ctl_cluster *c, struct gw_loop *l) {
    if (!c->lease) return;
    int64_t end_us = gw_clock_us() + LEAVE_MS * 1000;
    c->is_leaving = true;
    ctl_lease_release(c->lease);
    while (!ctl_lease_is_released(c->lease) && gw_clock_us() < end_us)
        gw_loop_turn(l, 10);
}

// --- life --------------------------------------------------------------------------------------

struct ctl_kube_api ctl_cluster_api(const struct ctl_cluster *c) {
    return ctl_kube_api_of(c->kube);
}

static void start_lease(struct ctl_cluster *c, const struct ctl_cluster_opts *o) {
    ctl_lease_identity(c->identity, sizeof(c->identity));
    c->lease = ctl_lease_new(&(struct ctl_lease_opts){.loop = o->loop,
                                                      .api = ctl_cluster_api(c),
                                                      .ns = c->ns,
                                                      .name = o->lease_name,
                                                      .identity = c->identity,
                                                      .duration_ms = o->duration_ms,
                                                      .renew_ms = o->renew_ms,
                                                      .retry_ms = o->retry_ms,
                                                      .on_change = on_lease,
                                                      .arg = c});
}

enum gw_rc ctl_cluster_init(struct ctl_cluster *c, const struct ctl_cluster_opts *o,
                            struct gw_err *err) {
    struct ctl_kube_config config;
    GW_TRY(ctl_kube_config_load(o->kubeconfig, &config, err));
    GW_INFO("source", "API server", GW_KS("server", config.server));
    c->kube = ctl_kube_new(o->loop, &config, err);
    c->ns = gw_strdup(o->ns ? o->ns : config.ns);
    c->server = gw_strdup(config.server);
    ctl_kube_config_fini(&config);
    if (!c->kube) return err->rc;
    c->store = o->store;
    c->on_lease = o->on_lease;
    c->arg = o->arg;
    start_lease(c, o);
    struct ctl_kube_api api = ctl_lease_guard(c->lease);
    c->events = ctl_events_new(
        &(struct ctl_events_opts){.loop = o->loop, .api = api, .seen = seen, .seen_arg = c});
    c->writer = ctl_status_writer_new(&(struct ctl_status_writer_opts){
        .loop = o->loop, .api = api, .seen = seen, .seen_arg = c, .events = c->events});
    ctl_store_on_status(c->store, on_status, c);
    return GW_OK;
}

void ctl_cluster_stop(struct ctl_cluster *c) {
    ctl_kube_source_free(c->source);
    c->source = NULL;
    ctl_status_writer_free(c->writer);
    ctl_events_free(c->events);
    ctl_lease_free(c->lease);
    c->lease = NULL;
    c->writer = NULL;
    c->events = NULL;
    if (c->store) ctl_store_on_status(c->store, NULL, NULL);
}

void ctl_cluster_fini(struct ctl_cluster *c) {
    ctl_kube_free(c->kube);
    free(c->ns);
    free(c->server);
    *c = (struct ctl_cluster){0};
}
