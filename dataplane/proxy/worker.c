// SPDX-License-Identifier: Apache-2.0
// See worker.h: set-up, accepting, config swap and drain of one worker.
#include "dataplane/net/listener.h"
#include "dataplane/obs/metrics.h"
#include "dataplane/proxy/mirror.h"
#include "dataplane/proxy/req.h"

#include <stdlib.h>
#include <unistd.h>

#define TICK_MS 1000
// While no file descriptor is free, accepting pauses for this long instead of spinning.
#define ACCEPT_PAUSE_MS 100
// Of the time in which a drain still takes connections, the last part is for handshakes that have
// begun: a round trip and more.
#define DRAIN_QUIET_MS 100
// A connection that was just made has this long for its first request, which is on its way.
#define DRAIN_FRESH_MS 500
#define DRAIN_POLL_MS 50

uint64_t dp_worker_random(struct dp_worker *w) { // xoroshiro128+
    uint64_t a = w->random[0], b = w->random[1], sum = a + b;
    b ^= a;
    w->random[0] = ((a << 24) | (a >> 40)) ^ b ^ (b << 16);
    w->random[1] = (b << 37) | (b >> 27);
    return sum;
}

// --- config -------------------------------------------------------------------------------------

struct dp_worker_conf *dp_worker_conf_ref(struct dp_worker_conf *c) {
    c->refs++;
    return c;
}

void dp_worker_conf_unref(struct dp_worker_conf *c) {
    if (!c || --c->refs) return;
    if (c->conf) dp_conf_unref(c->conf);
    free(c);
}

// Where a port is gone, what is left of it stays what it was.
static void set_protocol(struct dp_listen *l, const struct dp_conf *conf) {
    const struct dp_port *p = conf ? dp_conf_port(conf, l->conf_port) : NULL;
    if (p) l->is_tls = p->is_tls;
}

void dp_worker_set_conf(struct dp_worker *w, struct dp_conf *conf) {
    struct dp_worker_conf *old = w->conf;
    w->conf = gw_alloc(sizeof(*w->conf));
    w->conf->conf = conf;
    w->conf->refs = 1;
    dp_worker_conf_unref(old);
    for (struct dp_listen *l = w->listens; l; l = l->next)
        set_protocol(l, conf);
}

// --- accepting ----------------------------------------------------------------------------------

static void on_accept(struct gw_io *io, uint32_t events GW_UNUSED) {
    struct dp_listen *l = GW_CONTAINER_OF(io, struct dp_listen, io);
    struct dp_worker *w = l->worker;
    for (int i = 0; i < DP_ACCEPTS_PER_TURN; i++) {
        char peer[48];
        uint16_t peer_port;
        int fd;
        enum gw_rc rc = GW_ERR_LIMIT;
        if (w->clients_n < DP_CLIENTS_MAX)
            rc = dp_listener_accept(io->fd, &fd, peer, sizeof(peer), &peer_port);
        if (rc == GW_ERR_LIMIT) { // tick turns it on again
            gw_io_mod(w->loop, io, 0);
            gw_timer_set(w->loop, &w->tick, ACCEPT_PAUSE_MS);
        }
        if (rc != GW_OK) return;
        gw_metric_add(dp_metrics.downstream_total, 1);
        struct dp_accepted a = {.fd = fd, .conf_port = l->conf_port, .peer = peer};
        if (l->is_tls)
            dp_tls_accept(w, &a);
        else
            dp_client_h1_start(w, &a);
    }
}

void dp_worker_listen(struct dp_worker *w, int fd, uint16_t conf_port) {
    struct dp_listen *l = gw_alloc(sizeof(*l));
    struct gw_err err;
    l->worker = w;
    l->conf_port = conf_port;
    set_protocol(l, w->conf->conf);
    if (gw_io_add(w->loop, &l->io, fd, EPOLLIN, on_accept, &err) != GW_OK) {
        GW_ERROR("worker", "cannot listen", GW_KS("err", err.text));
        close(fd);
        free(l);
        return;
    }
    l->next = w->listens;
    w->listens = l;
}

// Who is in the backlog already was told that the connection stands: they are served.
static void unlisten(struct dp_worker *w, struct dp_listen **at) {
    struct dp_listen *l = *at;
    int fd = l->io.fd;
    on_accept(&l->io, 0);
    *at = l->next;
    gw_io_del(w->loop, &l->io);
    close(fd);
    gw_loop_free_later(w->loop, l);
}

void dp_worker_unlisten(struct dp_worker *w, uint16_t conf_port) {
    for (struct dp_listen **at = &w->listens; *at;) {
        if ((*at)->conf_port == conf_port)
            unlisten(w, at);
        else
            at = &(*at)->next;
    }
}

// --- drain --------------------------------------------------------------------------------------

static void on_drain(struct gw_timer *t) {
    struct dp_worker *w = GW_CONTAINER_OF(t, struct dp_worker, drain_timer);
    int64_t now_ms = gw_loop_now_ms(w->loop);
    struct dp_client *next;
    int64_t close_ms = w->drain_until_ms - w->settings->grace_ms + w->settings->drain_delay_ms;
    bool over = now_ms >= w->drain_until_ms;
    bool fresh_too = now_ms >= close_ms + DRAIN_FRESH_MS;
    for (struct dp_listen *l = w->listens; l && now_ms >= close_ms - DRAIN_QUIET_MS; l = l->next)
        dp_listener_quiet(l->io.fd);
    while (w->listens && now_ms >= close_ms)
        unlisten(w, &w->listens);
    for (struct dp_client *c = w->clients; c; c = next) {
        next = c->next;
        if (over)
            c->ops->drain(c, DP_DRAIN_OVER);
        else if (!w->listens)
            c->ops->drain(c, fresh_too ? DP_DRAIN_FRESH : DP_DRAIN_IDLE);
    }
    if (over) dp_mirror_cancel_all(w);
    if (!w->clients && !w->listens && !w->mirrors)
        gw_loop_stop(w->loop);
    else
        gw_timer_set(w->loop, t, DRAIN_POLL_MS);
}

void dp_worker_drain(struct dp_worker *w) {
    if (w->draining) return;
    w->draining = true;
    w->drain_until_ms = gw_loop_now_ms(w->loop) + w->settings->grace_ms;
    gw_timer_set(w->loop, &w->drain_timer, 1);
}

// --- life ---------------------------------------------------------------------------------------

static void on_tick(struct gw_timer *t) {
    struct dp_worker *w = GW_CONTAINER_OF(t, struct dp_worker, tick);
    struct gw_fiber_stats stats;
    w->real_offset_us = gw_clock_real_us() - gw_clock_us();
    for (struct dp_listen *l = w->listens; l; l = l->next)
        gw_io_mod(w->loop, &l->io, EPOLLIN);
    gw_fiber_pool_measure(w->fibers);
    gw_fiber_pool_stats(w->fibers, &stats);
    gw_metric_set(dp_metrics.fiber_stack, (int64_t)stats.stack_high_water_bytes);
    gw_timer_set(w->loop, t, TICK_MS);
}

enum gw_rc dp_worker_init(struct dp_worker *w, unsigned index, const struct dp_settings *s,
                          struct dp_access_log *log, struct gw_tls_ctx *tls, struct gw_err *err) {
    *w = (struct dp_worker){.index = index, .settings = s};
    w->loop = gw_loop_new(err);
    if (!w->loop) return err->rc;
    w->dns = dp_dns_new(w->loop, err);
    if (!w->dns) return err->rc;
    w->fibers = gw_fiber_pool_new(DP_FIBERS_MAX);
    w->log = dp_access_buf_new(log, w->loop);
    gw_random(w->random, sizeof(w->random));
    dp_upstream_init(&w->upstream, w->loop, w->dns, tls, index);
    gw_timer_init(&w->tick, on_tick);
    gw_timer_init(&w->drain_timer, on_drain);
    dp_worker_set_conf(w, NULL);
    return GW_OK;
}

void dp_worker_run(struct dp_worker *w) {
    on_tick(&w->tick);
    gw_loop_run(w->loop);
}

void dp_worker_fini(struct dp_worker *w) {
    GW_ASSERT(!w->clients && !w->listens && !w->mirrors);
    gw_timer_cancel(w->loop, &w->tick);
    gw_timer_cancel(w->loop, &w->drain_timer);
    dp_upstream_fini(&w->upstream);
    gw_loop_turn(w->loop, 0); // runs what was deferred
    dp_dns_free(w->dns);
    dp_access_buf_free(w->log);
    gw_fiber_pool_free(w->fibers);
    dp_worker_conf_unref(w->conf);
    for (struct dp_req *r = w->free_reqs; r;) {
        struct dp_req *next = r->next_free;
        free(r);
        r = next;
    }
    gw_loop_free(w->loop);
    gw_slab_thread_fini();
}
