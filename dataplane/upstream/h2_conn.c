// SPDX-License-Identifier: Apache-2.0
// One HTTP/2 connection to an upstream: bytes between its socket and the codec, news to the leases,
// and whether it is still alive.
#include "dataplane/upstream/h2_pool_internal.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

// Most often a server of HTTP/1.1 behind a port that promises HTTP/2.
#define NO_HTTP2                                                                                   \
    "the upstream closed without a word of HTTP/2, which the appProtocol of its Service's port "   \
    "promises"
#define READS_PER_TURN 8
#define REST_READS_MAX 64 // of a connection that takes no more

static void free_later(void *arg) {
    struct dp_h2_conn *c = arg;
    dp_h2_free(c->h2);
    free(c);
}

// Out of the pool; freed with its last lease.
static void leave_pool(struct dp_h2_conn *c) {
    if (!c->pool) return;
    *c->pprev = c->next;
    if (c->next) c->next->pprev = c->pprev;
    c->pool->conns_n--;
    if (c->state == DP_H2_CONN_CONNECTING || c->state == DP_H2_CONN_SETTLING)
        c->pool->connecting_n--;
    c->pool = NULL;
}

static void free_if_over(struct dp_h2_conn *c) {
    if (c->state != DP_H2_CONN_DEAD || c->leases.first || c->is_running || c->is_due) return;
    c->is_due = true; // once
    gw_loop_defer(c->loop, free_later, c);
}

static void close_all(struct dp_h2_conn *c) {
    leave_pool(c);
    c->state = DP_H2_CONN_DEAD;
    if (c->connect) dp_connect_cancel(c->connect);
    if (c->up) dp_upconn_release(c->up, false);
    c->connect = NULL;
    c->up = NULL;
}

// Each lease finds out for itself: its answer may be whole already.
static void tell_leases(struct dp_h2_conn *c) {
    struct dp_h2_queue told;
    dp_h2_queue_init(&told);
    while (c->leases.first) {
        struct dp_h2_lease *l = c->leases.first;
        dp_h2_queue_remove(l);
        dp_h2_queue_add(&told, l);
        l->is_lost = true;
    }
    while (told.first) {
        struct dp_h2_lease *l = told.first;
        dp_h2_queue_remove(l);
        dp_h2_queue_add(&c->leases, l);
        l->ops->ready(l);
    }
}

void dp_h2_conn_die(struct dp_h2_conn *c, const struct gw_err *err) {
    struct dp_h2_pool *p = c->pool;
    bool was_running = c->is_running;
    if (c->state == DP_H2_CONN_DEAD) return;
    bool came_to_nothing = c->state != DP_H2_CONN_OPEN;
    close_all(c);
    c->is_running = true;
    tell_leases(c);
    c->is_running = was_running;
    if (came_to_nothing)
        dp_h2_pool_connect_failed(p, err);
    else
        dp_h2_pool_serve(p);
    free_if_over(c);
}

// --- bytes -------------------------------------------------------------------------------------

static void lost(struct dp_h2_conn *c) {
    struct gw_err err;
    gw_err_set(&err, GW_ERR_UPSTREAM, 502,
               c->state == DP_H2_CONN_OPEN ? "the upstream closed the connection" : NO_HTTP2);
    dp_h2_conn_die(c, &err);
}

// True where somebody was told something.
static bool tell_news(struct dp_h2_conn *c) {
    bool any = false;
    struct dp_h2_stream *s;
    while (c->state != DP_H2_CONN_DEAD && (s = dp_h2_ready(c->h2))) {
        struct dp_h2_lease *l = dp_h2_owner(s);
        any = true;
        c->current = l;
        l->ops->ready(l);
        if (c->current && !dp_h2_is_full(s)) l->ops->drained(l);
        c->current = NULL;
    }
    return any;
}

// GW_OK: there may be more.
static enum gw_rc read_once(struct dp_h2_conn *c, struct gw_err *err) {
    struct gw_slab *slab = gw_slab_get();
    size_t n = 0;
    enum gw_rc rc = dp_conn_read(&c->up->conn, slab, &n, err);
    if (rc == GW_OK) {
        int64_t now_ms = gw_loop_now_ms(c->loop);
        c->read_ms = now_ms;
        rc = dp_h2_feed(c->h2, slab, (struct gw_str){slab->data, n}, now_ms, err);
        if (rc != GW_OK) gw_err_wrap(err, "HTTP/2 of the upstream");
        if (rc == GW_OK && n < GW_SLAB_BYTES && !c->up->conn.tls) rc = GW_AGAIN;
    }
    gw_slab_unref(slab);
    return rc;
}

// An upstream that closes while we send may have answered before: that is still there to be read.
static void send_failed(struct dp_h2_conn *c) {
    struct gw_err err;
    bool was_running = c->is_running;
    enum gw_rc rc = GW_OK;
    for (int i = 0; i < REST_READS_MAX && rc == GW_OK; i++)
        rc = read_once(c, &err);
    c->is_running = true;
    tell_news(c);
    c->is_running = was_running;
    lost(c);
}

// False: the connection is dead.
static bool send_out(struct dp_h2_conn *c) {
    struct gw_err err;
    struct dp_conn *conn = &c->up->conn;
    if (!dp_conn_is_full(conn)) dp_h2_pump(c->h2, &conn->batch, DP_CONN_QUEUE_HIGH);
    if (conn->batch.bytes && dp_conn_flush(conn, &err) != GW_OK) {
        send_failed(c);
        return false;
    }
    return true;
}

static bool is_over(const struct dp_h2_conn *c) {
    return dp_h2_is_over(c->h2) || (dp_h2_peer_is_going(c->h2) && !c->leases.first);
}

// News to the leases, what they say to them to the socket, and so on until it is quiet.
static void run(struct dp_h2_conn *c) {
    c->is_running = true;
    tell_news(c);
    while (c->state != DP_H2_CONN_DEAD && send_out(c) && tell_news(c)) {
    }
    c->is_running = false;
    if (c->state == DP_H2_CONN_DEAD) {
        free_if_over(c);
        return;
    }
    if (!c->leases.first && !c->idle_since_ms) c->idle_since_ms = gw_loop_now_ms(c->loop);
    if (is_over(c) && dp_conn_is_flushed(&c->up->conn))
        lost(c);
    else
        dp_h2_pool_serve(c->pool);
}

static void turn(void *arg) {
    struct dp_h2_conn *c = arg;
    c->is_due = false;
    if (c->state == DP_H2_CONN_DEAD)
        free_if_over(c);
    else
        run(c);
}

void dp_h2_conn_kick(struct dp_h2_conn *c) {
    if (c->is_running || c->is_due) return;
    if (c->state == DP_H2_CONN_DEAD) {
        free_if_over(c);
        return;
    }
    c->is_due = true;
    gw_loop_defer(c->loop, turn, c);
}

static void settle(struct dp_h2_conn *c) {
    if (c->state != DP_H2_CONN_SETTLING || !dp_h2_has_settings(c->h2)) return;
    c->state = DP_H2_CONN_OPEN;
    c->pool->connecting_n--;
    unsigned places = dp_h2_places(c->h2);
    c->pool->places = places ? places : 1;
    c->made_us = gw_loop_now_us(c->loop);
}

static void broke(struct dp_h2_conn *c, struct gw_err *err) {
    c->is_running = true;
    tell_news(c); // what was whole before
    if (c->state != DP_H2_CONN_DEAD && send_out(c)) {
        err->rc = GW_ERR_UPSTREAM;
        err->code = 502;
        dp_h2_conn_die(c, err);
    }
    c->is_running = false;
    free_if_over(c);
}

static void on_readable(struct dp_conn *conn) {
    struct dp_h2_conn *c = ((struct dp_upconn *)conn)->user;
    enum gw_rc rc = GW_OK;
    struct gw_err err;
    for (int i = 0; i < READS_PER_TURN && rc == GW_OK; i++)
        rc = read_once(c, &err);
    settle(c);
    if (dp_h2_pongs(c->h2) >= c->pongs) c->pong_until_ms = 0;
    if (rc == GW_OK || rc == GW_AGAIN) {
        run(c);
        return;
    }
    if (rc == GW_EOF) gw_err_set(&err, rc, 0, NO_HTTP2);
    broke(c, &err);
}

static void on_drained(struct dp_conn *conn) {
    run(((struct dp_upconn *)conn)->user);
}

static void on_error(struct dp_conn *conn) {
    send_failed(((struct dp_upconn *)conn)->user);
}
static const struct dp_conn_ops conn_ops = {on_readable, on_drained, on_error};

// --- life --------------------------------------------------------------------------------------

static void on_connected(void *arg, struct dp_upconn *up, const struct gw_err *err) {
    struct dp_h2_conn *c = arg;
    c->connect = NULL;
    if (!up) {
        dp_h2_conn_die(c, err);
        return;
    }
    struct dp_h2_conf conf = {.role = DP_H2_CLIENT, .is_https = up->conn.tls != NULL};
    unsigned unacked_ms = DP_H2_UNACKED_MS;
    setsockopt(up->conn.io.fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacked_ms, sizeof(unacked_ms));
    c->up = up;
    up->user = c;
    up->conn.ops = &conn_ops;
    c->state = DP_H2_CONN_SETTLING;
    c->read_ms = gw_loop_now_ms(c->loop);
    c->h2 = dp_h2_new(&conf, c->read_ms);
    run(c);
}

struct dp_h2_conn *dp_h2_conn_new(struct dp_h2_pool *p, struct dp_upstream *u,
                                  struct dp_endpoint *e, int64_t timeout_ms, struct gw_err *err) {
    struct dp_h2_conn *c = gw_alloc(sizeof(*c));
    c->connect = dp_pool_connect(u, e, timeout_ms, on_connected, c, err);
    if (!c->connect) {
        free(c);
        return NULL;
    }
    dp_h2_queue_init(&c->leases);
    c->pool = p;
    c->loop = u->loop;
    if (timeout_ms > 0) c->settle_until_ms = gw_loop_now_ms(u->loop) + timeout_ms;
    c->next = p->conns;
    c->pprev = &p->conns;
    if (c->next) c->next->pprev = &c->next;
    p->conns = c;
    p->conns_n++;
    p->connecting_n++;
    return c;
}

bool dp_h2_conn_has_place(const struct dp_h2_conn *c) {
    return c->state == DP_H2_CONN_OPEN && !c->pong_until_ms && dp_h2_may_open(c->h2);
}

static const char *why_dead(struct dp_h2_conn *c, int64_t now_ms, bool is_gone) {
    bool is_idle = c->state == DP_H2_CONN_OPEN && !c->leases.first && c->idle_since_ms;
    if (is_idle && (is_gone || now_ms - c->idle_since_ms >= DP_POOL_IDLE_MS)) return "idle";
    if (c->pong_until_ms && now_ms >= c->pong_until_ms) return "the upstream answers no PING";
    bool is_late = c->settle_until_ms && now_ms >= c->settle_until_ms;
    if (c->state == DP_H2_CONN_SETTLING && is_late) return "the upstream sent no SETTINGS in time";
    return NULL;
}

void dp_h2_conn_sweep(struct dp_h2_conn *c, int64_t now_ms, bool all, bool is_gone) {
    struct gw_err err;
    const char *why = all ? "the worker ends" : why_dead(c, now_ms, is_gone);
    if (why) {
        gw_err_set(&err, GW_ERR_UPSTREAM, 504, "%s", why);
        if (c->h2 && c->state == DP_H2_CONN_OPEN) { // a word of farewell, if it can be had
            dp_h2_goaway(c->h2, DP_H2_NO_ERROR);
            if (!send_out(c)) return;
        }
        dp_h2_conn_die(c, &err);
    } else if (c->h2 && dp_h2_tick(c->h2, now_ms, &err) != GW_OK) {
        broke(c, &err);
    }
}

// --- leases ------------------------------------------------------------------------------------

bool dp_h2_lease_is_pooled(const struct dp_h2_lease *l) {
    return l->conn && l->conn->opened_n > (l->stream ? 1 : 0);
}

enum gw_rc dp_h2_lease_open(struct dp_h2_lease *l, const struct dp_head *head,
                            struct gw_arena *arena, struct gw_err *err) {
    struct dp_h2_conn *c = l->conn;
    GW_TRY(dp_h2_open(c->h2, head, arena, &l->stream, err));
    dp_h2_set_owner(l->stream, l);
    dp_h2_queue_add(&c->leases, l);
    c->opened_n++;
    c->idle_since_ms = 0;
    l->opened_ms = gw_loop_now_ms(c->loop);
    return GW_OK;
}

void dp_h2_lease_flush(struct dp_h2_lease *l) {
    if (l->conn) dp_h2_conn_kick(l->conn);
}

// Nobody heard a word since the request was sent: is anybody there?
static void suspect(struct dp_h2_conn *c, const struct dp_h2_lease *l) {
    int64_t now_ms = gw_loop_now_ms(c->loop);
    bool is_mute = c->read_ms < l->opened_ms && now_ms - l->opened_ms >= DP_H2_SUSPECT_MS;
    if (c->state != DP_H2_CONN_OPEN || !is_mute || c->pong_until_ms) return;
    dp_h2_ping(c->h2);
    c->pongs = dp_h2_pongs(c->h2) + 1;
    c->pong_until_ms = now_ms + DP_H2_PONG_MS;
}

void dp_h2_lease_end(struct dp_h2_lease *l) {
    struct dp_h2_conn *c = l->conn;
    const struct dp_h2_lease_ops *ops = l->ops;
    if (l->is_waiting) gw_timer_cancel(l->upstream->loop, &l->timer);
    if (l->in) dp_h2_queue_remove(l);
    if (c && c->current == l) c->current = NULL;
    if (c && l->stream) {
        suspect(c, l);
        dp_h2_release(l->stream);
        dp_h2_conn_kick(c);
    }
    *l = (struct dp_h2_lease){.ops = ops};
}
