// SPDX-License-Identifier: Apache-2.0
// See server.h. Bringing a config to the workers: new ports are opened first (a port in use is a
// refusal of its listeners), then each worker swaps between two turns of its loop.
#include "dataplane/server.h"

#include "dataplane/net/listener.h"
#include "dataplane/obs/metrics.h"
#include "dataplane/proxy/down.h"
#include "dataplane/upstream/pool_internal.h"
#include "shared/vec.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

struct dp_server {
    struct dp_options options;
    struct dp_worker *workers;
    pthread_t *threads;
    unsigned workers_n, running_n;
    struct dp_access_log *log;
    struct gw_tls_ctx *tls, *server_tls; // to upstreams, of HTTPS ports
    struct dp_conf_client *conf;
    struct dp_admin *admin;
    atomic_bool draining;
    pthread_mutex_t applying; // held while a config is brought to the workers; drain waits for it
    GW_VEC(uint16_t) ports;   // conf ports that workers listen on; the conf client's thread
};

// --- bringing a config to the workers ----------------------------------------------------------

struct opened {
    uint16_t port;
    int fds[DP_WORKERS_MAX];
};
struct change {
    GW_VEC(struct opened) opened;
    GW_VEC(uint16_t) closed;
    struct dp_conf *conf;
    pthread_mutex_t lock;
    pthread_cond_t done;
    unsigned left;
};
struct order {
    struct change *change;
    struct dp_worker *worker;
};

static void carry_out(void *arg) {
    struct order *o = arg;
    struct change *ch = o->change;
    dp_worker_set_conf(o->worker, dp_conf_ref(ch->conf));
    for (size_t i = 0; i < ch->opened.len; i++)
        dp_worker_listen(o->worker, ch->opened.ptr[i].fds[o->worker->index],
                         ch->opened.ptr[i].port);
    for (size_t i = 0; i < ch->closed.len; i++)
        dp_worker_unlisten(o->worker, ch->closed.ptr[i]);
    pthread_mutex_lock(&ch->lock);
    ch->left--;
    pthread_cond_signal(&ch->done);
    pthread_mutex_unlock(&ch->lock);
}

static uint16_t bound_port(const struct dp_server *s, uint16_t conf_port) {
    char key[8];
    if (!s->options.port_map) return conf_port;
    snprintf(key, sizeof(key), "%u", conf_port);
    const char *to = gw_map_get(s->options.port_map, gw_str_of(key));
    uint64_t port = conf_port;
    if (to && gw_str_to_u64(gw_str_of(to), 65535, &port) != GW_OK) port = conf_port;
    return (uint16_t)port;
}

static bool is_listed(const uint16_t *ports, size_t n, uint16_t port) {
    for (size_t i = 0; i < n; i++)
        if (ports[i] == port) return true;
    return false;
}

static void refuse_port(const struct dp_port *p, const struct gw_err *err,
                        struct dp_conf_refusals *refusals) {
    for (unsigned i = 0; i < p->len; i++) {
        struct gw_str name = p->listeners[i]->name;
        struct dp_conf_refusal r = {gw_strndup(name.ptr, name.len), gw_strdup(err->text)};
        GW_VEC_PUSH(refusals, r);
    }
}

static void open_new_ports(struct dp_server *s, struct change *ch,
                           struct dp_conf_refusals *refusals) {
    for (unsigned i = 0; i < ch->conf->ports_n; i++) {
        const struct dp_port *p = &ch->conf->ports[i];
        struct opened o = {.port = p->port};
        struct gw_err err;
        if (is_listed(s->ports.ptr, s->ports.len, p->port)) continue;
        enum gw_rc rc = dp_listener_open(s->options.bind_host, bound_port(s, p->port), s->workers_n,
                                         o.fds, &err);
        if (rc != GW_OK) {
            refuse_port(p, &err, refusals);
            continue;
        }
        GW_VEC_PUSH(&ch->opened, o);
        GW_VEC_PUSH(&s->ports, p->port);
    }
}

static void close_old_ports(struct dp_server *s, struct change *ch) {
    for (size_t i = s->ports.len; i-- > 0;) {
        if (dp_conf_port(ch->conf, s->ports.ptr[i])) continue;
        GW_VEC_PUSH(&ch->closed, s->ports.ptr[i]);
        GW_VEC_REMOVE(&s->ports, i);
    }
}

static void undo_opened(struct dp_server *s, struct change *ch) {
    for (size_t i = 0; i < ch->opened.len; i++)
        for (unsigned k = 0; k < s->workers_n; k++)
            dp_listener_close_fd(ch->opened.ptr[i].fds[k]);
    s->ports.len -= ch->opened.len; // they were put at the end
    GW_VEC_FINI(&ch->opened);
}

static void bring_to_workers(struct dp_server *s, struct dp_conf *conf,
                             struct dp_conf_refusals *refusals) {
    struct change ch = {.conf = conf, .left = s->workers_n};
    struct order orders[DP_WORKERS_MAX];
    open_new_ports(s, &ch, refusals);
    if (refusals->len && refusals->is_trial) {
        undo_opened(s, &ch);
        return;
    }
    close_old_ports(s, &ch);
    pthread_mutex_init(&ch.lock, NULL);
    pthread_cond_init(&ch.done, NULL);
    for (unsigned i = 0; i < s->workers_n; i++) {
        orders[i] = (struct order){&ch, &s->workers[i]};
        gw_loop_post(s->workers[i].loop, carry_out, &orders[i]);
    }
    pthread_mutex_lock(&ch.lock);
    while (ch.left)
        pthread_cond_wait(&ch.done, &ch.lock);
    pthread_mutex_unlock(&ch.lock);
    pthread_cond_destroy(&ch.done);
    pthread_mutex_destroy(&ch.lock);
    GW_VEC_FINI(&ch.opened);
    GW_VEC_FINI(&ch.closed);
}

// On the conf client's thread.
static void apply(void *arg, struct dp_conf *conf, struct dp_conf_refusals *refusals) {
    struct dp_server *s = arg;
    pthread_mutex_lock(&s->applying);
    if (!atomic_load(&s->draining)) // workers that drain may have ended: they answer no more
        bring_to_workers(s, conf, refusals);
    pthread_mutex_unlock(&s->applying);
    dp_conf_unref(conf);
}
// --- threads -----------------------------------------------------------------------------------

static void *worker_main(void *arg) {
    dp_worker_run(arg);
    gw_slab_thread_fini(); // free lists are per thread
    return NULL;
}

static bool read_line(const char *path, char *text, int cap) {
    FILE *f = fopen(path, "re");
    bool ok = f && fgets(text, cap, f);
    if (f) fclose(f);
    return ok;
}

// What the cgroup allows, in whole cores (rounded up); 0: no quota.
static unsigned cgroup_cores(void) {
    char text[64];
    long long quota = 0, period = 0;
    if (read_line("/sys/fs/cgroup/cpu.max", text, sizeof(text))) { // "200000 100000", "max 100000"
        char *end = text;
        quota = strtoll(text, &end, 10);
        period = strtoll(end, NULL, 10);
    } else if (read_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", text, sizeof(text))) {
        quota = strtoll(text, NULL, 10);
        if (read_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us", text, sizeof(text)))
            period = strtoll(text, NULL, 10);
    }
    return quota > 0 && period > 0 ? (unsigned)((quota + period - 1) / period) : 0;
}

unsigned dp_server_default_workers(void) {
    cpu_set_t set;
    unsigned cores = 1, quota = cgroup_cores();
    if (sched_getaffinity(0, sizeof(set), &set) == 0) cores = (unsigned)CPU_COUNT(&set);
    if (quota && quota < cores) cores = quota;
    return cores < DP_WORKERS_MAX ? cores : DP_WORKERS_MAX;
}

static struct gw_tls_ctx *upstream_tls(const struct dp_options *o, struct gw_err *err) {
    struct gw_str pem = {NULL, 0};
    struct gw_secret *file = NULL; // no secret, but the same reader
    if (o->upstream_ca_file) {
        file = gw_secret_from_file(o->upstream_ca_file, err);
        if (!file) {
            gw_err_wrap(err, "--upstream-ca");
            return NULL;
        }
        pem = gw_secret_reveal(file);
    }
    struct gw_tls_ctx *tls = gw_tls_client_ctx(pem, (struct gw_str){NULL, 0}, err);
    gw_secret_unref(file);
    if (!tls && o->upstream_ca_file) gw_err_wrap(err, "--upstream-ca %s", o->upstream_ca_file);
    return tls;
}

static enum gw_rc start_workers(struct dp_server *s, struct gw_err *err) {
    s->workers = gw_alloc(s->workers_n * sizeof(*s->workers));
    s->threads = gw_alloc(s->workers_n * sizeof(*s->threads));
    for (unsigned i = 0; i < s->workers_n; i++)
        GW_TRY(dp_worker_init(&s->workers[i], i, &s->options.settings, s->log, s->tls, err));
    for (unsigned i = 0; i < s->workers_n; i++)
        s->workers[i].server_tls = s->server_tls;
    for (; s->running_n < s->workers_n; s->running_n++) {
        struct dp_worker *w = &s->workers[s->running_n];
        if (pthread_create(&s->threads[s->running_n], NULL, worker_main, w) != 0)
            return gw_err_set(err, GW_ERR_INTERNAL, 0, "cannot start a worker thread");
    }
    return GW_OK;
}

static enum gw_rc start_conf(struct dp_server *s, struct gw_err *err) {
    const struct dp_options *o = &s->options;
    struct dp_conf_client_opts co = {
        .controller_host = o->controller_host,
        .controller_port = o->controller_port,
        .ca_file = o->ca_file,
        .token_file = o->token_file,
        .node = o->node,
        .gateway = o->gateway,
        .address = o->address,
        .state_dir = o->state_dir,
        .workers = s->workers_n,
        .apply = apply,
        .arg = s,
    };
    s->conf = dp_conf_client_start(&co, err);
    return s->conf ? GW_OK : err->rc;
}

struct dp_server *dp_server_start(const struct dp_options *o, struct gw_err *err) {
    struct dp_server *s = gw_alloc(sizeof(*s));
    s->options = *o;
    s->workers_n = o->workers ? o->workers : dp_server_default_workers();
    pthread_mutex_init(&s->applying, NULL);
    dp_metrics_init();
    dp_upstream_gauge = dp_metrics.upstream;
    dp_upstream_total = dp_metrics.upstream_total;
    s->tls = upstream_tls(o, err);
    if (s->tls) s->server_tls = dp_server_tls(err);
    s->log = s->server_tls ? dp_access_log_open(o->access_log, err) : NULL;
    if (!s->log || start_workers(s, err) != GW_OK || start_conf(s, err) != GW_OK) goto fail;
    struct dp_admin_opts ao = {
        .host = o->admin_host, .port = o->admin_port, .conf = s->conf, .draining = &s->draining};
    s->admin = dp_admin_start(&ao, err);
    if (s->admin) return s;
    gw_err_wrap(err, "--admin");
fail:
    dp_server_drain(s);
    dp_server_wait(s);
    dp_server_free(s);
    return NULL;
}

static void drain_worker(void *arg) {
    dp_worker_drain(arg);
}

void dp_server_drain(struct dp_server *s) {
    pthread_mutex_lock(&s->applying);
    bool was = atomic_exchange(&s->draining, true);
    pthread_mutex_unlock(&s->applying);
    for (unsigned i = 0; i < s->running_n && !was; i++)
        gw_loop_post(s->workers[i].loop, drain_worker, &s->workers[i]);
}

void dp_server_wait(struct dp_server *s) {
    for (unsigned i = 0; i < s->running_n; i++)
        pthread_join(s->threads[i], NULL);
    s->running_n = 0;
}

void dp_server_reopen_log(struct dp_server *s) {
    dp_access_log_reopen(s->log);
}

void dp_server_free(struct dp_server *s) {
    if (s->admin) dp_admin_stop(s->admin);
    if (s->conf) dp_conf_client_stop(s->conf);
    for (unsigned i = 0; i < s->workers_n && s->workers; i++)
        if (s->workers[i].loop) dp_worker_fini(&s->workers[i]);
    if (s->log) dp_access_log_close(s->log);
    gw_tls_ctx_unref(s->tls);
    gw_tls_ctx_unref(s->server_tls);
    pthread_mutex_destroy(&s->applying);
    GW_VEC_FINI(&s->ports);
    free(s->workers);
    free(s->threads);
    free(s);
}
