// SPDX-License-Identifier: Apache-2.0
// How a request meets an upstream that speaks HTTP/1.1: a pooled connection is lent to it; see
// up.h.
#include "dataplane/proxy/req.h"

#define READS_PER_TURN 8
#define REST_BYTES_MAX (1 << 20) // of a broken connection whose client is slow

// --- reading -----------------------------------------------------------------------------------

// True where more is probably there. A broken connection is closed at once: epoll would report it
// in every turn, for as long as the client is slow.
static bool read_once(struct dp_up_h1_state *s, struct dp_conn *conn) {
    struct gw_slab *slab = gw_slab_get();
    size_t n = 0;
    struct gw_err err;
    enum gw_rc rc = dp_conn_read(conn, slab, &n, &err);
    if (rc == GW_OK) gw_buf_push(&s->in, slab, slab->data, n);
    gw_slab_unref(slab);
    if (rc == GW_OK) return n == GW_SLAB_BYTES || conn->tls; // which keeps bytes of its own
    if (rc == GW_AGAIN) return false;
    s->eof = true;
    if (rc == GW_EOF)
        dp_conn_set_reading(conn, false);
    else
        dp_conn_close(conn);
    return false;
}

static void on_readable(struct dp_conn *conn) {
    struct dp_req *r = ((struct dp_upconn *)conn)->user;
    bool more = true;
    for (int i = 0; i < READS_PER_TURN && more && r->h1.in.bytes < DP_CONN_QUEUE_HIGH; i++)
        more = read_once(&r->h1, conn);
    dp_up_ready(r);
}

// The tunnel's client ended its side: so do we, behind what it sent.
static void end_if_due(struct dp_up_h1_state *s) {
    if (!s->ended || !dp_conn_is_flushed(&s->conn->conn)) return;
    s->ended = false;
    dp_conn_end(&s->conn->conn);
}

static void on_drained(struct dp_conn *conn) {
    struct dp_req *r = ((struct dp_upconn *)conn)->user;
    end_if_due(&r->h1);
    dp_body_pump(r);
}

// The client is slow, and the upstream's connection broke: what the kernel still has of it is taken
// now, for the descriptor cannot stay.
static void read_rest(struct dp_up_h1_state *s, struct dp_conn *conn) {
    size_t before;
    do {
        before = s->in.bytes;
        if (!s->eof) (void)read_once(s, conn);
    } while (s->in.bytes > before && before < REST_BYTES_MAX);
    if (!s->eof) conn->reset = true;
    s->eof = true;
    dp_conn_close(conn);
}

static void on_error(struct dp_conn *conn) {
    struct dp_req *r = ((struct dp_upconn *)conn)->user;
    // What the upstream said before it broke off may still be there: reading finds out.
    r->h1.send_failed = true;
    dp_up_refuses_body(r);
    if (conn->reading) {
        on_readable(conn);
        return;
    }
    read_rest(&r->h1, conn);
    dp_up_ready(r);
}
static const struct dp_conn_ops conn_ops = {on_readable, on_drained, on_error};

// An end that closing brings is one only where the upstream closed in order.
static enum gw_rc next_at_eof(struct dp_up_h1_state *s, struct dp_ev *ev, struct gw_err *err) {
    enum gw_rc rc = dp_h1_decode_eof(&s->conn->decoder, ev, err);
    if (rc != GW_OK || !s->conn->conn.reset) return rc;
    return gw_err_set(err, GW_ERR_UPSTREAM, 502, "the upstream broke off in the answer");
}

static enum gw_rc next(struct dp_req *r, struct dp_ev *ev, struct gw_slab **ret_owner,
                       struct gw_err *err) {
    struct dp_up_h1_state *s = &r->h1;
    // Also without bytes: the end of a message may be due.
    enum gw_rc rc = dp_next_event(&s->conn->decoder, &s->in, ev, ret_owner, err);
    if (rc == GW_AGAIN && s->eof) rc = next_at_eof(s, ev, err);
    if (rc == GW_OK && ev->type == DP_EV_HEAD) {
        s->keep_alive = ev->head->keep_alive;
        s->tunnel = ev->head->upgrade;
        if (s->tunnel) s->chunked = false;
    }
    return rc;
}

static void set_reading(struct dp_req *r, bool on) {
    dp_conn_set_reading(&r->h1.conn->conn, on && !r->h1.eof);
}

// --- getting one and giving it back ------------------------------------------------------------

static void on_connected(void *arg, struct dp_upconn *c, const struct gw_err *err) {
    struct dp_req *r = arg;
    r->h1.connecting = NULL;
    r->h1.conn = c;
    if (!c) r->err = *err;
    dp_req_wake(r, c ? DP_WAKE_CONNECTED : DP_WAKE_FAILED);
}

static enum gw_rc get(struct dp_req *r, bool fresh, bool *ret_pooled) {
    struct dp_up_h1_state *s = &r->h1;
    bool careful = !r->replayable;
    *s = (struct dp_up_h1_state){0};
    s->conn = fresh ? NULL : dp_pool_take(&r->worker->upstream, r->endpoint, careful);
    *ret_pooled = s->conn != NULL;
    if (s->conn) return GW_OK;
    s->connecting = dp_pool_connect(&r->worker->upstream, r->endpoint, dp_up_connect_ms(r),
                                    on_connected, r, &r->err);
    if (!s->connecting) return r->err.rc;
    return dp_req_wait_for(r, DP_WAKE_CONNECTED);
}

static bool is_connecting(const struct dp_req *r) {
    return r->h1.connecting != NULL;
}

static bool is_silent(const struct dp_req *r) {
    return r->h1.conn && dp_h1_decoder_idle(&r->h1.conn->decoder) && r->h1.eof;
}

static bool is_unseen(const struct dp_req *r GW_UNUSED) {
    return false; // HTTP/1.1 has no word for it
}

// Used again only where both messages on it are complete.
static bool is_clean(const struct dp_req *r) {
    const struct dp_up_h1_state *s = &r->h1;
    return r->up_done && s->keep_alive && r->body_done && !s->send_failed && !s->eof &&
           s->in.bytes == 0;
}

static void release(struct dp_req *r) {
    struct dp_up_h1_state *s = &r->h1;
    if (s->connecting) dp_connect_cancel(s->connecting);
    if (s->conn) dp_upconn_release(s->conn, is_clean(r));
    gw_buf_fini(&s->in);
    s->connecting = NULL;
    s->conn = NULL;
}

// --- sending -----------------------------------------------------------------------------------

static void push_head(struct dp_req *r) {
    struct dp_up_h1_state *s = &r->h1;
    struct dp_conn *conn = &s->conn->conn;
    s->conn->user = r;
    conn->ops = &conn_ops;
    dp_conn_set_reading(conn, true);
    dp_h1_decoder_start(&s->conn->decoder, &r->arena, r->head->method == DP_METHOD_HEAD);
    if (r->head->upgrade) dp_h1_decoder_allow_upgrade(&s->conn->decoder);
    s->chunked = r->head->chunked;
    if (!r->head->authority.len) r->head->authority = r->endpoint->label; // HTTP/1.0 without Host
    r->head->keep_alive = true; // towards the upstream; the client's wish was noted before
    dp_conn_push(conn, NULL, dp_h1_encode_request(r->head, &r->arena));
}

// What is pushed at once is one chunk, or goes as it is.
static void push_data(struct dp_req *r, struct gw_buf *data) {
    struct dp_up_h1_state *s = &r->h1;
    struct dp_conn *conn = &s->conn->conn;
    if (!data->bytes) return;
    if (s->chunked) {
        size_t n = dp_h1_encode_chunk_head(s->chunk_head, data->bytes);
        dp_conn_push(conn, NULL, (struct gw_str){s->chunk_head, n});
    }
    gw_buf_move(&conn->batch, data);
    if (s->chunked) dp_conn_push(conn, NULL, GW_STR("\r\n"));
}

static void push_end(struct dp_req *r, const struct dp_fields *trailers) {
    if (r->h1.tunnel) r->h1.ended = true;
    if (!r->h1.chunked) return;
    struct gw_str last = dp_h1_encode_last_chunk(trailers, &r->arena);
    dp_conn_push(&r->h1.conn->conn, NULL, last.ptr ? last : GW_STR("0\r\n\r\n"));
}

static bool flush(struct dp_req *r) {
    struct gw_err err;
    if (!r->h1.send_failed && dp_conn_flush(&r->h1.conn->conn, &err) != GW_OK)
        r->h1.send_failed = true;
    end_if_due(&r->h1);
    return !r->h1.send_failed;
}

static size_t queued(const struct dp_req *r) {
    return r->h1.conn->conn.out.bytes;
}

static bool is_full(struct dp_req *r) {
    return dp_conn_is_full(&r->h1.conn->conn);
}

const struct dp_up_ops dp_up_h1 = {
    .get = get,
    .is_connecting = is_connecting,
    .push_head = push_head,
    .push_data = push_data,
    .push_end = push_end,
    .flush = flush,
    .queued = queued,
    .is_full = is_full,
    .next = next,
    .set_reading = set_reading,
    .is_silent = is_silent,
    .is_unseen = is_unseen,
    .release = release,
};
