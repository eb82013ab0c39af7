// SPDX-License-Identifier: Apache-2.0
// How a request meets a client that speaks HTTP/2; see down.h. Writing is put off to the end of the
// loop's turn, so that none of these enters the codec's pump.
#include "dataplane/proxy/client_h2.h"

// Of a whole head as nghttp2 counts it; beyond, an upstream's answer is refused.
#define HEAD_BYTES_MAX (128 * 1024)

static struct dp_client_h2 *client_of(const struct dp_req *r) {
    return (struct dp_client_h2 *)r->client;
}
static struct dp_down_h2_state *state_of(const struct dp_req *r) {
    return r->stream;
}
static struct dp_h2_stream *stream_of(const struct dp_req *r) {
    return state_of(r)->stream;
}

// --- the request's body ------------------------------------------------------------------------

static enum gw_rc next(struct dp_req *r, struct dp_ev *ev, struct gw_slab **ret_owner,
                       struct gw_err *err) {
    enum gw_rc rc = dp_h2_next_event(stream_of(r), ev, ret_owner, err);
    // What was taken is credited to the client.
    if (rc == GW_OK && ev->type == DP_EV_DATA) dp_client_h2_later(client_of(r));
    return rc;
}

// A body that nobody takes stops by its window, and a client that leaves is noticed on the
// connection.
static void set_reading(struct dp_req *r, bool on) {
    (void)r, (void)on;
}

// --- the answer --------------------------------------------------------------------------------

static void interim(struct dp_req *r, struct dp_head *head) {
    dp_h2_send_interim(stream_of(r), head);
    dp_client_h2_later(client_of(r));
}

static bool make_head(struct dp_req *r, struct dp_head *head) {
    size_t bytes = 0;
    for (unsigned i = 0; i < head->fields.len; i++)
        bytes += head->fields.ptr[i].name.len + head->fields.ptr[i].value.len + 32;
    state_of(r)->head = head;
    return bytes <= HEAD_BYTES_MAX;
}

static void drop_head(struct dp_req *r) {
    state_of(r)->head = NULL;
}

static void push_head(struct dp_req *r) {
    dp_h2_send_head(stream_of(r), state_of(r)->head);
    state_of(r)->head = NULL;
}

static void push_data(struct dp_req *r, struct gw_buf *data) {
    dp_h2_send_data(stream_of(r), data);
}

static void push_end(struct dp_req *r, const struct dp_fields *trailers) {
    dp_h2_send_end(stream_of(r), trailers);
}

static enum gw_rc flush(struct dp_req *r, struct gw_err *err) {
    struct dp_client_h2 *c = client_of(r);
    if (c->is_lost) return gw_err_set(err, GW_CANCELLED, 0, "the client left");
    dp_client_h2_later(c);
    return GW_OK;
}

// Scaled: a stream's queue is full earlier than a connection's.
static size_t queued(const struct dp_req *r) {
    return dp_h2_queued(stream_of(r)) + DP_CONN_QUEUE_HIGH - DP_H2_QUEUE_HIGH;
}

static bool is_full(struct dp_req *r) {
    return dp_h2_is_full(stream_of(r));
}

// --- its end -----------------------------------------------------------------------------------

static void cut(struct dp_req *r) {
    bool left = r->err.rc == GW_CANCELLED;
    dp_h2_reset(stream_of(r), left ? DP_H2_CANCEL : DP_H2_INTERNAL_ERROR);
}

static void over(struct dp_req *r, bool keep) {
    struct dp_client_h2 *c = client_of(r);
    (void)keep; // other requests go on
    dp_h2_release(stream_of(r));
    dp_req_release(r);
    c->reqs_n--;
    dp_client_h2_later(c);
}

const struct dp_down_ops dp_down_h2 = {
    .protocol = "HTTP/2",
    .has_grpc = true,
    .next = next,
    .set_reading = set_reading,
    .interim = interim,
    .head = make_head,
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
