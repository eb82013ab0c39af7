// SPDX-License-Identifier: Apache-2.0
// The pipeline: a source fills the store; a dirty store is translated after a short while;
// resources go to publish, reports to status; acknowledgements come back and refresh statuses.
#include "controller/controller.h"

#include "controller/admin.h"
#include "controller/advertise.h"
#include "shared/log.h"
#include "shared/metric.h"

#include <stdio.h>
#include <stdlib.h>

struct ctl_controller {
    struct gw_loop *loop;
    struct gw_map endpoints; // moved out of the options
    struct ctl_store *store;
    struct ctl_translator *translator;
    struct ctl_publish *publish;
    struct ctl_status *status;
    struct ctl_admin *admin;
    struct ctl_dir *dir; // or:
    struct ctl_cluster cluster;
    struct gw_timer translate_timer, status_timer;
    bool translated; // the first, whole translation is done
};

// --- metrics -------------------------------------------------------------------------------------

static const uint64_t translate_bounds[] = {100, 1000, 10000, 100000, 1000000, 0};
static const struct gw_metric_family translate_seconds = {
    .name = "controller_translate_seconds",
    .help = "Time of one translation.",
    .type = GW_METRIC_HISTOGRAM,
    .unit = 1000000,
    .buckets = translate_bounds,
};
static const struct gw_metric_family rules_translated = {
    .name = "controller_rules_translated_total",
    .help = "Route rules that were translated.",
    .type = GW_METRIC_COUNTER,
};
static const struct gw_metric_family statuses_written = {
    .name = "controller_statuses_written_total",
    .help = "Statuses that changed.",
    .type = GW_METRIC_COUNTER,
};

static void count(const struct gw_metric_family *f, const char *label, int64_t n) {
    const struct gw_str value = gw_str_of(label);
    gw_metric_add(gw_metric_series(f, label ? &value : NULL), n);
}

// --- the pipeline --------------------------------------------------------------------------------

static void refresh_statuses(struct ctl_controller *c) {
    char now[32];
    gw_time_text(now, gw_clock_real_us() / 1000000);
    count(&statuses_written, NULL, (int64_t)ctl_status_refresh(c->status, now));
}

static void translate(struct ctl_controller *c) {
    int64_t began = gw_clock_us();
    size_t n;
    struct ctl_ref *dirty = ctl_store_take_dirty(c->store, &n);
    struct ctl_translate_result result = {0};
    ctl_translate(c->translator, c->store, c->translated ? dirty : NULL, c->translated ? n : 0,
                  !c->translated, &result);
    c->translated = true;
    count(&rules_translated, NULL, (int64_t)result.rules_translated);
    // First: who asks for a Gateway is told by its report whether it is ours.
    ctl_status_put(c->status, &result);
    ctl_publish_apply(c->publish, result.resources, result.resources_n);
    ctl_translate_result_fini(&result);
    ctl_refs_free(dirty, n);
    gw_metric_observe(gw_metric_series(&translate_seconds, NULL),
                      (uint64_t)(gw_clock_us() - began));
    if (c->cluster.source) ctl_cluster_translated(&c->cluster);
    refresh_statuses(c);
}

static void on_translate_timer(struct gw_timer *t) {
    translate(GW_CONTAINER_OF(t, struct ctl_controller, translate_timer));
}

// The store says so once per burst, so the timer runs from the first change and is never put off.
static void on_dirty(void *arg) {
    struct ctl_controller *c = arg;
    if (c->translated) gw_timer_set(c->loop, &c->translate_timer, CTL_DEBOUNCE_MS);
}

static void on_status_timer(struct gw_timer *t) {
    refresh_statuses(GW_CONTAINER_OF(t, struct ctl_controller, status_timer));
}

static void on_publish_change(void *arg) {
    struct ctl_controller *c = arg;
    if (!gw_timer_armed(&c->status_timer)) gw_timer_set(c->loop, &c->status_timer, CTL_DEBOUNCE_MS);
}

static void on_source_event(void *arg, const struct ctl_source_event *e) {
    struct ctl_controller *c = arg;
    char now[32];
    gw_time_text(now, gw_clock_real_us() / 1000000);
    ctl_admin_event(c->admin, now, e);
    // Objects of an API server are counted one by one.
    if (e->ok ? !c->cluster.source : !e->is_trouble) ctl_source_count(e->ok);
    if (e->ok && c->cluster.source)
        GW_INFO("source", "listed", GW_KS("kind", e->file), GW_KS("what", e->text));
    else if (e->ok)
        GW_INFO("source", "applied", GW_KS("file", e->file), GW_KI("added", e->added),
                GW_KI("changed", e->changed), GW_KI("removed", e->removed));
    else if (e->is_trouble)
        GW_WARN("source", "cannot be followed", GW_KS("file", e->file), GW_KS("err", e->text));
    else
        GW_WARN("source", "refused", GW_KS("file", e->file), GW_KS("err", e->text));
}

static const char *from_environment(void *arg, const char *name) {
    (void)arg;
    return getenv(name);
}

// --- the source ----------------------------------------------------------------------------------

static bool is_ready(void *arg, struct gw_text *ret_problems) {
    const struct ctl_controller *c = arg;
    if (c->cluster.source) ctl_kube_source_problems(c->cluster.source, ret_problems);
    const char *problem = c->cluster.lease ? ctl_lease_problem(c->cluster.lease) : NULL;
    if (problem) gw_text_addf(ret_problems, "lease: %s\n", problem);
    problem = ctl_publish_problem(c->publish);
    if (problem) gw_text_addf(ret_problems, "push CA: %s\n", problem);
    return c->translated;
}

static json_t *dump_source(void *arg) {
    const struct ctl_controller *c = arg;
    json_t *dump = ctl_kube_source_dump(c->cluster.source);
    json_object_set_new(dump, "lease", ctl_lease_dump(c->cluster.lease));
    return dump;
}

static const struct ctl_refused **refused(void *arg, size_t *ret_n) {
    const struct ctl_controller *c = arg;
    return c->cluster.source ? ctl_kube_source_refused(c->cluster.source, ret_n) : NULL;
}

static bool is_follower(void *arg) {
    const struct ctl_controller *c = arg;
    return c->cluster.lease && !ctl_lease_is_held(c->cluster.lease);
}

static void on_synced(void *arg) {
    struct ctl_controller *c = arg;
    GW_INFO("source", "every kind was listed");
    // In a turn of its own: this one is within the source.
    gw_timer_set(c->loop, &c->translate_timer, 0);
}

static void on_refused(void *arg) {
    struct ctl_controller *c = arg;
    if (c->translated) gw_timer_set(c->loop, &c->translate_timer, CTL_DEBOUNCE_MS);
}

static bool has_gateway(void *arg, const char *gateway) {
    const struct ctl_controller *c = arg;
    struct gw_str name = gw_str_of(gateway), ns = gw_str_cut(&name, '/');
    return ctl_status_has(c->status, &ctl_res_gateway, ns, name);
}

static enum gw_rc start_dir(struct ctl_controller *c, const struct ctl_options *o,
                            struct gw_err *err) {
    c->dir = ctl_dir_new(&(struct ctl_dir_opts){.loop = c->loop,
                                                .store = c->store,
                                                .path = o->source_dir,
                                                .on_event = on_source_event,
                                                .arg = c},
                         err);
    if (!c->dir) return err->rc;
    // Before the loop runs: the first data plane and the first question meet a whole snapshot.
    translate(c);
    return GW_OK;
}

static void start_kube(struct ctl_controller *c) {
    c->cluster.status = c->status;
    c->cluster.source =
        ctl_kube_source_new(&(struct ctl_kube_source_opts){.loop = c->loop,
                                                           .store = c->store,
                                                           .kube = c->cluster.kube,
                                                           .on_synced = on_synced,
                                                           .on_refused = on_refused,
                                                           .on_event = on_source_event,
                                                           .arg = c});
}

// --- replicas ------------------------------------------------------------------------------------

static void on_lease(void *arg) {
    struct ctl_controller *c = arg;
    const struct ctl_lease *l = c->cluster.lease;
    if (ctl_lease_is_held(l))
        ctl_publish_lead(c->publish);
    else
        ctl_publish_follow(c->publish, ctl_lease_is_ours(l) ? "" : ctl_lease_holder_address(l));
}

static void on_holder_gone(void *arg) {
    struct ctl_controller *c = arg;
    ctl_lease_hurry(c->cluster.lease);
}

static void advertise(struct ctl_controller *c, const struct ctl_options *o, const char *host) {
    GW_CLEANUP(gw_text_fini) struct gw_text text = {0};
    uint16_t port = o->advertise_port ? o->advertise_port : ctl_publish_port(c->publish);
    if (!*host) {
        GW_WARN("publish",
                "other replicas cannot reach this one: --advertise HOST:PORT says where");
        return;
    }
    gw_text_addf(&text, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
    ctl_lease_set_address(c->cluster.lease, text.ptr);
}

static enum gw_rc start_publish(struct ctl_controller *c, const struct ctl_options *o,
                                struct gw_err *err) {
    struct ctl_publish_opts po = {.loop = c->loop,
                                  .state_dir = o->state_dir,
                                  .recheck_ms = o->recheck_ms,
                                  .has_gateway = has_gateway,
                                  .host = o->listen_host,
                                  .port = o->listen_port,
                                  .names = o->push_names,
                                  .on_change = on_publish_change,
                                  .arg = c};
    struct ctl_publish_cluster pc = {.ns = c->cluster.ns, .audience = o->audience};
    char host[256] = "";
    if (!o->source_dir && *o->advertise_host)
        snprintf(host, sizeof(host), "%s", o->advertise_host);
    else if (!o->source_dir)
        ctl_advertise_host(o->listen_host, c->cluster.server, host, sizeof(host));
    struct ctl_publish_replica pr = {
        .identity = c->cluster.identity, .advertise = host, .on_holder_gone = on_holder_gone};
    if (!o->source_dir) po.replica = &pr;
    if (!o->state_dir) {
        pc.api = ctl_cluster_api(&c->cluster);
        po.cluster = &pc;
    }
    c->publish = ctl_publish_new(&po, err);
    if (!c->publish) return gw_err_wrap(err, "push port");
    if (!o->source_dir) advertise(c, o, host);
    return GW_OK;
}

// --- life ----------------------------------------------------------------------------------------

static enum gw_rc start(struct ctl_controller *c, const struct ctl_options *o, struct gw_err *err) {
    c->store = ctl_store_new();
    if (!o->source_dir && ctl_cluster_init(&c->cluster,
                                           &(struct ctl_cluster_opts){.loop = c->loop,
                                                                      .store = c->store,
                                                                      .kubeconfig = o->kubeconfig,
                                                                      .ns = o->namespace,
                                                                      .lease_name = o->lease_name,
                                                                      .duration_ms = o->duration_ms,
                                                                      .renew_ms = o->renew_ms,
                                                                      .retry_ms = o->retry_ms,
                                                                      .on_lease = on_lease,
                                                                      .arg = c},
                                           err) != GW_OK)
        return gw_err_wrap(err, "source");
    ctl_store_on_dirty(c->store, on_dirty, c);
    c->translator = ctl_translator_new(&(struct ctl_translate_opts){
        .endpoints = &c->endpoints,
        // Who may write a Secret in a cluster may not read the controller's environment.
        .getenv = o->source_dir ? from_environment : NULL,
        .is_shared = !o->source_dir,
    });
    GW_TRY(start_publish(c, o, err));
    c->status = ctl_status_new(&(struct ctl_status_opts){
        .publish = c->publish, .writer = c->cluster.writer, .events = c->cluster.events});
    c->admin = ctl_admin_new(&(struct ctl_admin_opts){.loop = c->loop,
                                                      .store = c->store,
                                                      .publish = c->publish,
                                                      .status = c->status,
                                                      .is_ready = is_ready,
                                                      .source = o->source_dir ? NULL : dump_source,
                                                      .refused = refused,
                                                      .is_follower = is_follower,
                                                      .arg = c,
                                                      .host = o->admin_host,
                                                      .port = o->admin_port},
                             err);
    if (!c->admin) return gw_err_wrap(err, "admin port");
    if (o->source_dir) return start_dir(c, o, err) == GW_OK ? GW_OK : gw_err_wrap(err, "source");
    start_kube(c);
    return GW_OK;
}

struct ctl_controller *ctl_controller_new(struct gw_loop *l, const struct ctl_options *o,
                                          struct gw_err *err) {
    struct ctl_controller *c = gw_alloc(sizeof(*c));
    c->loop = l;
    size_t it = 0;
    struct gw_str key;
    void *value;
    while (gw_map_next(&o->endpoints, &it, &key, &value))
        gw_map_put(&c->endpoints, key, gw_strdup(value));
    gw_timer_init(&c->translate_timer, on_translate_timer);
    gw_timer_init(&c->status_timer, on_status_timer);
    if (start(c, o, err) != GW_OK) {
        ctl_controller_free(c);
        return NULL;
    }
    return c;
}

void ctl_controller_free(struct ctl_controller *c) {
    if (!c) return;
    ctl_cluster_leave(&c->cluster, c->loop);
    ctl_admin_free(c->admin); // its questions need all the rest
    ctl_dir_free(c->dir);
    ctl_cluster_stop(&c->cluster);
    gw_timer_cancel(c->loop, &c->translate_timer);
    gw_timer_cancel(c->loop, &c->status_timer);
    ctl_status_free(c->status);
    ctl_publish_free(c->publish);
    ctl_cluster_fini(&c->cluster);
    ctl_translator_free(c->translator);
    ctl_store_free(c->store);
    gw_map_fini(&c->endpoints, free);
    free(c);
}

uint16_t ctl_controller_admin_port(const struct ctl_controller *c) {
    return ctl_admin_port(c->admin);
}

uint16_t ctl_controller_listen_port(const struct ctl_controller *c) {
    return ctl_publish_port(c->publish);
}
