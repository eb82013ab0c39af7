// SPDX-License-Identifier: Apache-2.0
// A client's HTTP/1.1 connection: reads, finds heads, keeps pipelined requests in order, and
// notices a client that leaves. Between requests it holds neither a slab nor a request object.
#include "dataplane/proxy/client_h1.h"
#include "dataplane/codec/h2.h"
#include "dataplane/net/listener.h"

#include <stdlib.h>
#include <string.h>

// Slabs read in a row from one busy client before others get their turn.
#define READS_PER_TURN 4

static void process(struct dp_client_h1 *c);

static void destroy(struct dp_client_h1 *c) {
    struct gw_loop *loop = c->base.worker->loop;
    GW_ASSERT(c->req == NULL);
    if (dp_conn_is_flushed(&c->base.conn))
        dp_conn_close(&c->base.conn);
    else // an answer may end with the connection: a part of it must not
        dp_conn_abort(&c->base.conn);
    gw_timer_cancel(loop, &c->timer);
    dp_h1_decoder_fini(&c->decoder);
    gw_buf_fini(&c->in);
    dp_client_unlink(&c->base);
    gw_loop_free_later(loop, c);
}

static void wait_for(struct dp_client_h1 *c, enum dp_h1_wait what, int64_t ms) {
    c->wait = what;
    if (ms > 0)
        gw_timer_set(c->base.worker->loop, &c->timer, ms);
    else
        gw_timer_cancel(c->base.worker->loop, &c->timer);
}

// After an early answer the client may still be sending: a reset would destroy the answer on its
// way, so what comes is read and dropped for a while (RFC 9112 9.6).
static void linger(struct dp_client_h1 *c) {
    c->lingering = true;
    gw_buf_fini(&c->in);
    bool flushed = dp_conn_is_flushed(&c->base.conn);
    if (flushed) dp_conn_end(&c->base.conn);
    wait_for(c, DP_H1_WAIT_LINGER, flushed ? DP_LINGER_MS : c->base.worker->settings->stream_ms);
    dp_conn_set_reading(&c->base.conn, true);
}

static void linger_read(struct dp_client_h1 *c) {
    struct gw_err err;
    struct gw_slab *slab = gw_slab_get();
    size_t n = 0;
    enum gw_rc rc = dp_conn_read(&c->base.conn, slab, &n, &err);
    gw_slab_unref(slab);
    c->lingered += n;
    if (rc == GW_AGAIN || (rc == GW_OK && c->lingered < DP_LINGER_BYTES_MAX)) return;
    if ((rc == GW_OK || rc == GW_EOF) && !dp_conn_is_flushed(&c->base.conn))
        dp_conn_set_reading(&c->base.conn, false); // on_drained goes on
    else
        destroy(c);
}

// Reads what there is; *ret_more tells that the socket may hold more.
static enum gw_rc read_in(struct dp_client_h1 *c, bool *ret_more, struct gw_err *err) {
    struct gw_slab *slab = gw_slab_get();
    size_t n = 0;
    enum gw_rc rc = dp_conn_read(&c->base.conn, slab, &n, err);
    if (rc == GW_OK) gw_buf_push(&c->in, slab, slab->data, n);
    *ret_more = n == GW_SLAB_BYTES;
    gw_slab_unref(slab);
    return rc;
}

// In a tunnel what was sent before the end still goes its way.
static void half_close(struct dp_client_h1 *c) {
    c->half_closed = true;
    dp_conn_set_reading(&c->base.conn, false);
    dp_tunnel_client_ended(c->req);
    process(c);
}

static void cancel(struct dp_client_h1 *c, const char *why) {
    struct dp_req *r = c->req;
    if (!r->err.text[0])
        gw_err_set(&r->err, GW_CANCELLED, 0, "%s%s", why,
                   r->head ? "" : " in the middle of a head");
    if (!r->head) dp_req_identify(r);
    dp_req_cancel(r);
}

// The client closed its side, or reset.
static void left(struct dp_client_h1 *c) {
    c->saw_eof = true;
    if (c->req)
        cancel(c, "the client left");
    else
        destroy(c);
}

static void on_readable(struct dp_conn *conn) {
    struct dp_client_h1 *c = (struct dp_client_h1 *)conn;
    if (c->lingering) {
        linger_read(c);
        return;
    }
    struct dp_req *r = c->req;
    if (r && r->head && !dp_body_is_wanted(r)) {
        // Either the client left, or bytes wait whose turn has not come.
        if (dp_conn_peek(conn) == GW_EOF)
            left(c);
        else
            dp_conn_watch(conn);
        return;
    }
    bool more = true;
    for (int i = 0; i < READS_PER_TURN && more; i++) {
        struct gw_err err;
        enum gw_rc rc = read_in(c, &more, &err);
        if (rc == GW_AGAIN) break;
        if (rc == GW_EOF && !c->req && !dp_conn_is_flushed(conn)) { // it still takes answers
            linger(c);
            return;
        }
        if (rc == GW_EOF && r && r->is_tunnel) {
            half_close(c);
            return;
        }
        if (rc != GW_OK) {
            left(c);
            return;
        }
        if (c->in.bytes >= DP_CONN_QUEUE_HIGH) break;
    }
    process(c);
}

static void on_drained(struct dp_conn *conn) {
    struct dp_client_h1 *c = (struct dp_client_h1 *)conn;
    if (c->lingering) {
        linger(c);
    } else if (c->req && c->req->stage == DP_STAGE_STREAM) {
        dp_answer_pump(c->req);
    } else if (!c->req) {
        process(c);
    }
}

static void on_error(struct dp_conn *conn) {
    struct dp_client_h1 *c = (struct dp_client_h1 *)conn;
    if (c->req)
        left(c);
    else
        destroy(c);
}
static const struct dp_conn_ops client_ops = {on_readable, on_drained, on_error};

static void on_timer(struct gw_timer *t) {
    struct dp_client_h1 *c = GW_CONTAINER_OF(t, struct dp_client_h1, timer);
    struct gw_err err;
    if (!c->req) {
        destroy(c);
        return;
    }
    gw_err_set(&err, GW_ERR_TIMEOUT, 408, "the head of the request did not arrive in time");
    dp_answer_bad_head(c->req, &err);
}

// --- HTTP/2 on the same port --------------------------------------------------------------------

static void become_h2(struct dp_client_h1 *c) {
    struct dp_worker *w = c->base.worker;
    struct dp_accepted a = {.conf_port = c->base.conf_port, .peer = c->base.peer, .first = &c->in};
    a.fd = dp_conn_take(&c->base.conn, &a.tls);
    gw_timer_cancel(w->loop, &c->timer);
    dp_h1_decoder_fini(&c->decoder);
    dp_client_unlink(&c->base);
    gw_loop_free_later(w->loop, c);
    dp_client_h2_start(w, &a);
}

// RFC 9113 3.3, 3.4: who knows beforehand begins with the preface, which is no request of HTTP/1.1.
// True: it was found, or what is there may become one.
static bool is_preface(struct dp_client_h1 *c) {
    char begin[DP_H2_PREFACE_BYTES];
    size_t n = gw_buf_peek(&c->in, 0, begin, sizeof(begin));
    if (c->base.conn.tls || memcmp(begin, DP_H2_PREFACE, n) != 0) {
        c->is_known = true;
        return false;
    }
    if (n == sizeof(begin)) become_h2(c);
    return true;
}

// --- HTTP/1.1 ------------------------------------------------------------------------------------

// Decodes until a head is complete, then hands the request over. True: there may be more to do.
static bool next_head(struct dp_client_h1 *c) {
    if (!c->req) {
        if (c->in.bytes == 0 || (!c->is_known && is_preface(c))) return false;
        if (dp_conn_is_full(&c->base.conn)) { // answers that nobody takes: on_drained goes on
            dp_conn_set_reading(&c->base.conn, false);
            return false;
        }
        dp_conn_set_reading(&c->base.conn, true);
        c->req = dp_req_new(&c->base, &dp_down_h1);
        dp_h1_decoder_start(&c->decoder, &c->req->arena, false);
    }
    struct dp_req *r = c->req;
    struct dp_ev ev;
    struct gw_err err;
    struct gw_slab *owner = NULL;
    enum gw_rc rc = c->in.bytes ? dp_next_event(&c->decoder, &c->in, &ev, &owner, &err) : GW_AGAIN;
    gw_slab_unref(owner);
    if (rc == GW_AGAIN) {
        // Once a request: bytes that trickle in do not buy more time.
        if (c->wait != DP_H1_WAIT_HEAD)
            wait_for(c, DP_H1_WAIT_HEAD, c->base.worker->settings->head_ms);
        dp_conn_set_reading(&c->base.conn, true);
        return false;
    }
    if (rc != GW_OK) {
        dp_answer_bad_head(r, &err);
        return false;
    }
    r->head = ev.head;
    r->keep_alive = r->head->keep_alive && !c->base.worker->draining;
    wait_for(c, DP_H1_WAIT_NONE, 0);
    dp_req_arm(r, DP_DEADLINE_WHOLE, 0);
    dp_req_identify(r);
    dp_req_begin(r);
    return true;
}

// in_process guards against depth: a request that ends at once comes back here through
// dp_client_h1_next, and the loop goes on instead.
static void process(struct dp_client_h1 *c) {
    if (c->in_process) return;
    c->in_process = true;
    bool again = true;
    while (again && dp_conn_is_open(&c->base.conn) && !c->lingering) {
        if (c->req && c->req->head) {
            if (dp_body_is_wanted(c->req)) dp_body_pump(c->req);
            break;
        }
        again = next_head(c);
    }
    c->in_process = false;
}

void dp_client_h1_next(struct dp_client_h1 *c, enum dp_h1_next next) {
    struct dp_worker *w = c->base.worker;
    if (!dp_conn_is_open(&c->base.conn) || c->saw_eof) {
        destroy(c);
    } else if (next == DP_H1_NEXT_KEEP && !(w->draining && c->in.bytes == 0)) {
        wait_for(c, DP_H1_WAIT_IDLE, w->settings->idle_ms);
        dp_conn_set_reading(&c->base.conn, true);
        if (c->in.bytes) process(c);
    } else if (next == DP_H1_NEXT_CLOSE && c->in.bytes == 0 && dp_conn_is_flushed(&c->base.conn)) {
        destroy(c);
    } else {
        linger(c);
    }
}

static void drain(struct dp_client *base, enum dp_drain how) {
    struct dp_client_h1 *c = (struct dp_client_h1 *)base;
    bool is_idle = !c->req && c->in.bytes == 0 && !c->lingering && dp_conn_is_flushed(&base->conn);
    if (how == DP_DRAIN_OVER && c->req)
        cancel(c, DP_DRAIN_OVER_TEXT);
    else if (how == DP_DRAIN_OVER)
        destroy(c);
    else if (is_idle && (how == DP_DRAIN_FRESH || c->wait != DP_H1_WAIT_HEAD))
        linger(c);
}
static const struct dp_client_ops ops = {drain};

void dp_client_h1_start(struct dp_worker *w, const struct dp_accepted *a) {
    struct dp_client_h1 *c = gw_alloc(sizeof(*c));
    if (!dp_client_init(&c->base, w, a, &client_ops, &ops)) {
        free(c);
        return;
    }
    dp_h1_decoder_init(&c->decoder, DP_H1_REQUESTS);
    gw_timer_init(&c->timer, on_timer);
    // The first request must begin within the time for a head.
    wait_for(c, DP_H1_WAIT_HEAD, w->settings->head_ms);
}
