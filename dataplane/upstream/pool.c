// SPDX-License-Identifier: Apache-2.0
// See pool.h. A pool belongs to one worker and one endpoint; connect.c makes connections.
#include "dataplane/upstream/h2_pool.h"
#include "dataplane/upstream/pool_internal.h"

#include <stdlib.h>

static void on_idle_event(struct dp_conn *c) {
    struct dp_upconn *u = (struct dp_upconn *)c;
    *u->pprev = u->next;
    if (u->next) u->next->pprev = u->pprev;
    u->pprev = NULL;
    u->pool->idle_n--;
    dp_upconn_destroy(u);
}
static void on_idle_drained(struct dp_conn *c GW_UNUSED) {}
static const struct dp_conn_ops idle_ops = {on_idle_event, on_idle_drained, on_idle_event};

struct dp_pool *dp_pool_of(struct dp_upstream *u, struct dp_endpoint *e) {
    struct dp_pool *p = e->pools[u->worker];
    if (GW_LIKELY(p != NULL)) return p;
    p = gw_alloc(sizeof(*p));
    p->upstream = u;
    p->endpoint = dp_endpoint_ref(e);
    p->next = u->pools;
    u->pools = p;
    e->pools[u->worker] = p;
    return p;
}

void dp_upconn_destroy(struct dp_upconn *c) {
    struct dp_pool *p = c->pool;
    dp_conn_close(&c->conn);
    dp_h1_decoder_fini(&c->decoder);
    p->live--;
    p->upstream->conns--;
    gw_metric_add(dp_upstream_gauge, -1);
    gw_loop_free_later(p->upstream->loop, c);
}

struct dp_upconn *dp_upconn_new(struct dp_upstream *u, struct dp_endpoint *e) {
    struct dp_upconn *c = gw_alloc(sizeof(*c));
    c->pool = dp_pool_of(u, e);
    c->conn.io.fd = -1;
    c->pool->live++;
    u->conns++;
    gw_metric_add(dp_upstream_gauge, 1);
    gw_metric_add(dp_upstream_total, 1);
    dp_h1_decoder_init(&c->decoder, DP_H1_RESPONSES);
    return c;
}

static void unlink_idle(struct dp_upconn *c) {
    *c->pprev = c->next;
    if (c->next) c->next->pprev = c->pprev;
    c->pprev = NULL;
    c->pool->idle_n--;
}

struct dp_upconn *dp_pool_take(struct dp_upstream *u, struct dp_endpoint *e, bool careful) {
    struct dp_pool *p = e->pools[u->worker];
    while (p && p->idle) {
        struct dp_upconn *c = p->idle;
        unlink_idle(c);
        // TLS may hold session tickets unread: bytes waiting are no sign of death there.
        enum gw_rc rc = careful ? dp_conn_peek(&c->conn) : GW_AGAIN;
        if (rc == GW_AGAIN || (rc == GW_OK && c->conn.tls)) return c;
        dp_upconn_destroy(c);
    }
    return NULL;
}

void dp_upconn_release(struct dp_upconn *c, bool keep) {
    struct dp_pool *p = c->pool;
    c->user = NULL;
    if (!keep || !dp_conn_is_open(&c->conn) || c->conn.failed || !dp_conn_is_flushed(&c->conn) ||
        p->upstream->closing || p->idle_n >= DP_POOL_IDLE_MAX ||
        atomic_load_explicit(&p->endpoint->conf_refs, memory_order_relaxed) == 0) {
        dp_upconn_destroy(c);
        return;
    }
    c->conn.ops = &idle_ops;
    c->conn.throttled = false;
    c->served++;
    c->idle_since_ms = gw_loop_now_ms(p->upstream->loop);
    dp_conn_set_reading(&c->conn, true);
    c->next = p->idle;
    c->pprev = &p->idle;
    if (c->next) c->next->pprev = &c->next;
    p->idle = c;
    p->idle_n++;
}

// Idle connections stand in the order of their release, so the old ones are at the end; the list
// is walked once a second.
static void sweep_pool(struct dp_pool *p, int64_t now_ms, bool all) {
    struct dp_upconn *next;
    for (struct dp_upconn *c = p->idle; c; c = next) {
        next = c->next;
        if (!all && now_ms - c->idle_since_ms < DP_POOL_IDLE_MS) continue;
        unlink_idle(c);
        dp_upconn_destroy(c);
    }
}

static bool is_gone(const struct dp_pool *p) {
    return atomic_load_explicit(&p->endpoint->conf_refs, memory_order_relaxed) == 0;
}

// HTTP/2 first: those who are told there may ask for another pool.
static void sweep(struct dp_upstream *u, bool all) {
    int64_t now_ms = gw_loop_now_ms(u->loop);
    for (struct dp_pool *p = u->pools; p; p = p->next)
        if (p->h2) dp_h2_pool_sweep(p->h2, now_ms, all, is_gone(p));
    for (struct dp_pool **pp = &u->pools; *pp;) {
        struct dp_pool *p = *pp;
        bool gone = is_gone(p);
        sweep_pool(p, now_ms, all || gone);
        if ((gone || all) && p->live == 0 && dp_h2_pool_free(p->h2)) {
            *pp = p->next;
            p->endpoint->pools[u->worker] = NULL;
            dp_endpoint_unref(p->endpoint);
            free(p);
        } else {
            pp = &p->next;
        }
    }
}

static void on_sweep(struct gw_timer *t) {
    struct dp_upstream *u = GW_CONTAINER_OF(t, struct dp_upstream, sweep);
    sweep(u, false);
    gw_timer_set(u->loop, t, DP_POOL_SWEEP_MS);
}

gw_metric_id dp_upstream_gauge, dp_upstream_total;

void dp_upstream_init(struct dp_upstream *u, struct gw_loop *loop, struct dp_dns *dns,
                      struct gw_tls_ctx *tls, unsigned worker) {
    *u = (struct dp_upstream){.loop = loop, .dns = dns, .tls = tls, .worker = worker};
    gw_timer_init(&u->sweep, on_sweep);
    gw_timer_set(loop, &u->sweep, DP_POOL_SWEEP_MS);
}

void dp_upstream_fini(struct dp_upstream *u) {
    u->closing = true;
    gw_timer_cancel(u->loop, &u->sweep);
    sweep(u, true);
    GW_ASSERT(u->pools == NULL);
}
