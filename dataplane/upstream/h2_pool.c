// SPDX-License-Identifier: Apache-2.0
// See h2_pool.h: which connection a request gets, who waits, and when another one is made.
#include "dataplane/upstream/h2_pool_internal.h"

#include <stdlib.h>

// Between attempts to connect while other connections serve.
#define RECONNECT_MS 100
// Until an upstream has told: what RFC 9113 6.5.2 asks of it as the least.
#define PLACES_UNKNOWN 100

// --- queues ------------------------------------------------------------------------------------

void dp_h2_queue_init(struct dp_h2_queue *q) {
    q->first = NULL;
    q->last = &q->first;
}

void dp_h2_queue_add(struct dp_h2_queue *q, struct dp_h2_lease *l) {
    l->in = q;
    l->next = NULL;
    l->pprev = q->last;
    *q->last = l;
    q->last = &l->next;
}

void dp_h2_queue_remove(struct dp_h2_lease *l) {
    *l->pprev = l->next;
    if (l->next)
        l->next->pprev = l->pprev;
    else
        l->in->last = l->pprev;
    l->in = NULL;
}

static unsigned queue_len(const struct dp_h2_queue *q) {
    unsigned n = 0;
    for (const struct dp_h2_lease *l = q->first; l; l = l->next)
        n++;
    return n;
}

// --- choosing ----------------------------------------------------------------------------------

static struct dp_h2_pool *pool_of(struct dp_upstream *u, struct dp_endpoint *e) {
    struct dp_pool *p = dp_pool_of(u, e);
    if (p->h2) return p->h2;
    struct dp_h2_pool *h = gw_alloc(sizeof(*h));
    h->pool = p;
    h->places = PLACES_UNKNOWN;
    dp_h2_queue_init(&h->waiting);
    p->h2 = h;
    return h;
}

// The first with a place: few connections that are used are better than many that are idle.
static struct dp_h2_conn *pick(const struct dp_h2_pool *p, int64_t since_us) {
    for (struct dp_h2_conn *c = p->conns; c; c = c->next)
        if (dp_h2_conn_has_place(c) && c->made_us >= since_us) return c;
    return NULL;
}

// As many as those who wait need, as far as is known. Timeouts are those of the first who waits.
static enum gw_rc connect_more(struct dp_h2_pool *p, int64_t timeout_ms, struct gw_err *err) {
    unsigned waiting = queue_len(&p->waiting);
    struct dp_upstream *u = p->pool->upstream;
    if (p->conns_n && gw_loop_now_ms(u->loop) - p->failed_ms < RECONNECT_MS) return GW_OK;
    while (p->connecting_n * p->places < waiting && p->conns_n < DP_H2_POOL_CONNS_MAX) {
        if (!dp_h2_conn_new(p, u, p->pool->endpoint, timeout_ms, err)) return err->rc;
    }
    return GW_OK;
}

static void stop_waiting(struct dp_h2_lease *l) {
    gw_timer_cancel(l->upstream->loop, &l->timer);
    dp_h2_queue_remove(l);
    l->is_waiting = false;
}

static void on_timer(struct gw_timer *t) {
    struct dp_h2_lease *l = GW_CONTAINER_OF(t, struct dp_h2_lease, timer);
    struct gw_err err;
    stop_waiting(l);
    gw_err_set(&err, GW_ERR_TIMEOUT, 504,
               "no HTTP/2 connection to the upstream had a place in time");
    l->ops->granted(l, &err);
}

enum gw_rc dp_h2_lease_get(struct dp_h2_lease *l, struct dp_upstream *u, struct dp_endpoint *e,
                           int64_t timeout_ms, int64_t since_us, struct gw_err *err) {
    struct dp_h2_pool *p = pool_of(u, e);
    if (p->conns_n >= DP_H2_POOL_CONNS_MAX) since_us = 0; // there will be no newer one
    l->upstream = u;
    l->endpoint = e;
    l->since_us = since_us;
    l->conn = pick(p, since_us);
    if (l->conn) return GW_OK;
    dp_h2_queue_add(&p->waiting, l);
    if (connect_more(p, timeout_ms, err) != GW_OK && !p->conns_n) {
        dp_h2_queue_remove(l);
        return err->rc;
    }
    l->is_waiting = true;
    gw_timer_init(&l->timer, on_timer);
    if (timeout_ms > 0) gw_timer_set(u->loop, &l->timer, timeout_ms);
    return GW_AGAIN;
}

void dp_h2_pool_serve(struct dp_h2_pool *p) {
    struct dp_h2_lease *l, *next;
    for (l = p->waiting.first; l; l = next) {
        struct dp_h2_conn *c = pick(p, p->conns_n < DP_H2_POOL_CONNS_MAX ? l->since_us : 0);
        next = l->next;
        if (!c) continue;
        stop_waiting(l);
        l->conn = c;
        l->ops->granted(l, NULL);
        next = p->waiting.first; // whoever was there may be gone
    }
    struct gw_err err;
    int64_t left_ms = 0;
    if (!p->waiting.first || p->connecting_n) return;
    if (gw_timer_armed(&p->waiting.first->timer)) {
        left_ms = p->waiting.first->timer.deadline_ms - gw_loop_now_ms(p->pool->upstream->loop);
        if (left_ms < 1) left_ms = 1;
    }
    (void)connect_more(p, left_ms, &err); // their time ends it where that fails
}

// What others have connected may still serve those who wait.
void dp_h2_pool_connect_failed(struct dp_h2_pool *p, const struct gw_err *err) {
    struct dp_h2_queue failed;
    p->failed_ms = gw_loop_now_ms(p->pool->upstream->loop);
    if (p->conns_n) return;
    dp_h2_queue_init(&failed);
    while (p->waiting.first) {
        struct dp_h2_lease *l = p->waiting.first;
        dp_h2_queue_remove(l);
        dp_h2_queue_add(&failed, l);
    }
    while (failed.first) {
        struct dp_h2_lease *l = failed.first;
        stop_waiting(l);
        l->ops->granted(l, err);
    }
}

// --- life --------------------------------------------------------------------------------------

void dp_h2_pool_sweep(struct dp_h2_pool *p, int64_t now_ms, bool all, bool is_gone) {
    struct dp_h2_conn *next;
    for (struct dp_h2_conn *c = p->conns; c; c = next) {
        next = c->next;
        dp_h2_conn_sweep(c, now_ms, all, is_gone);
    }
}

bool dp_h2_pool_free(struct dp_h2_pool *p) {
    if (p && (p->conns || p->waiting.first)) return false;
    free(p);
    return true;
}
