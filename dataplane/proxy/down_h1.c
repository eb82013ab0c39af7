// SPDX-License-Identifier: Apache-2.0
// How a request meets a client that speaks HTTP/1.1; see down.h.
#include "dataplane/proxy/client_h1.h"

static struct dp_client_h1 *client_of(const struct dp_req *r) {
    return (struct dp_client_h1 *)r->client;
}

// --- the request's body ------------------------------------------------------------------------

static enum gw_rc next(struct dp_req *r, struct dp_ev *ev, struct gw_slab **ret_owner,
                       struct gw_err *err) {
    struct dp_client_h1 *c = client_of(r);
    enum gw_rc rc = dp_next_event(&c->decoder, &c->in, ev, ret_owner, err);
    return rc == GW_AGAIN && c->half_closed ? dp_h1_decode_eof(&c->decoder, ev, err) : rc;
}

static void set_reading(struct dp_req *r, bool on) {
    dp_conn_set_reading(&r->client->conn, on && !client_of(r)->half_closed);
}

// --- the answer --------------------------------------------------------------------------------

static bool is_old(const struct dp_req *r) {
    return r->head && r->head->minor_version == 0;
}

static void interim(struct dp_req *r, struct dp_head *head) {
    struct gw_err err;
    if (is_old(r)) return; // RFC 9110 15.2
    head->keep_alive = true;
    dp_conn_push(&r->client->conn, NULL, dp_h1_encode_response(head, 1, &r->arena));
    if (dp_conn_flush(&r->client->conn, &err) != GW_OK) r->client->conn.failed = true;
}

static bool has_no_body(const struct dp_req *r, const struct dp_head *head) {
    bool answers_head = r->head && r->head->method == DP_METHOD_HEAD;
    return answers_head || head->status == 204 || head->status == 304 || head->upgrade;
}

// Exactly one framing, true for the bytes that will be sent (RFC 9112 6.1).
static bool make_head(struct dp_req *r, struct dp_head *head) {
    head->chunked = false;
    if (!has_no_body(r, head) && head->content_length < 0) {
        head->chunked = !is_old(r);
        if (is_old(r)) r->keep_alive = false; // its end is the connection's
    }
    // What the client still sends after this answer is nobody's: the connection cannot go on.
    if (!r->body_done || r->worker->draining) r->keep_alive = false;
    head->keep_alive = r->keep_alive;
    r->answer_chunked = head->chunked;
    r->answer_head = dp_h1_encode_response(head, is_old(r) ? 0 : 1, &r->arena);
    return r->answer_head.ptr != NULL;
}

static void tunnel(struct dp_req *r) {
    r->keep_alive = false;
    dp_h1_decoder_tunnel(&client_of(r)->decoder);
}

static void drop_head(struct dp_req *r) {
    r->answer_head = (struct gw_str){NULL, 0};
}

static void push_head(struct dp_req *r) {
    dp_conn_push(&r->client->conn, NULL, r->answer_head);
    r->answer_head = (struct gw_str){NULL, 0};
}

// One chunk, or plain bytes.
static void push_data(struct dp_req *r, struct gw_buf *data) {
    struct dp_conn *c = &r->client->conn;
    if (!data->bytes) return;
    if (r->answer_chunked) {
        size_t n = dp_h1_encode_chunk_head(r->chunk_head, data->bytes);
        dp_conn_push(c, NULL, (struct gw_str){r->chunk_head, n});
    }
    gw_buf_move(&c->batch, data);
    if (r->answer_chunked) dp_conn_push(c, NULL, GW_STR("\r\n"));
}

static void push_end(struct dp_req *r, const struct dp_fields *trailers) {
    if (!r->answer_chunked) return;
    struct gw_str last = dp_h1_encode_last_chunk(trailers, &r->arena);
    dp_conn_push(&r->client->conn, NULL, last.ptr ? last : GW_STR("0\r\n\r\n"));
}

static enum gw_rc flush(struct dp_req *r, struct gw_err *err) {
    return dp_conn_flush(&r->client->conn, err);
}

static size_t queued(const struct dp_req *r) {
    return r->client->conn.out.bytes;
}

static bool is_full(struct dp_req *r) {
    return dp_conn_is_full(&r->client->conn);
}

// --- its end -----------------------------------------------------------------------------------

static void cut(struct dp_req *r) {
    dp_conn_abort(&r->client->conn);
}

static void over(struct dp_req *r, bool keep) {
    struct dp_client_h1 *c = client_of(r);
    enum dp_h1_next then = !r->body_done ? DP_H1_NEXT_LINGER
                           : keep        ? DP_H1_NEXT_KEEP
                                         : DP_H1_NEXT_CLOSE;
    c->req = NULL;
    dp_req_release(r);
    dp_client_h1_next(c, then);
}

const struct dp_down_ops dp_down_h1 = {
    .protocol = "HTTP/1.1",
    .next = next,
    .set_reading = set_reading,
    .interim = interim,
    .head = make_head,
    .tunnel = tunnel,
    .drop_head = drop_head,
    .push_head = push_head,
    .push_data = push_data,
    .push_end = push_end,
    .flush = flush,
    .queued = queued,
    .is_full = is_full,
    .abort = cut,
    .over = over,
};
