// SPDX-License-Identifier: Apache-2.0
// How a request meets an upstream that speaks HTTP/2: a stream of a shared connection is lent to
// it; see up.h. The upstream may send as much as its window allows; the window grows by what is
// taken, and that is taken as fast as the client takes it.
#include "dataplane/proxy/req.h"

// --- news --------------------------------------------------------------------------------------

static struct dp_req *req_of(struct dp_h2_lease *l) {
    return GW_CONTAINER_OF(l, struct dp_req, h2.lease);
}

static void on_granted(struct dp_h2_lease *l, const struct gw_err *err) {
    struct dp_req *r = req_of(l);
    if (err) r->err = *err;
    dp_req_wake(r, err ? DP_WAKE_FAILED : DP_WAKE_CONNECTED);
}

static bool takes_no_more(const struct dp_h2_lease *l) {
    return !l->stream || l->is_lost || dp_h2_is_closed(l->stream);
}

static void on_ready(struct dp_h2_lease *l) {
    struct dp_req *r = req_of(l);
    if (takes_no_more(l)) dp_up_refuses_body(r);
    dp_up_ready(r);
}

static void on_drained(struct dp_h2_lease *l) {
    dp_body_pump(req_of(l));
}
static const struct dp_h2_lease_ops lease_ops = {on_granted, on_ready, on_drained};

static enum gw_rc next(struct dp_req *r, struct dp_ev *ev, struct gw_slab **ret_owner,
                       struct gw_err *err) {
    struct dp_up_h2_state *s = &r->h2;
    enum gw_rc rc = dp_h2_next_event(s->lease.stream, ev, ret_owner, err);
    if (rc == GW_OK) s->has_begun = true;
    if (rc != GW_AGAIN || !s->lease.is_lost) return rc;
    if (!s->has_begun) return GW_EOF;
    return gw_err_set(err, GW_ERR_UPSTREAM, 502, "the upstream broke off in the answer");
}

// What is not taken is not credited: that holds the upstream back.
static void set_reading(struct dp_req *r, bool on GW_UNUSED) {
    dp_h2_lease_flush(&r->h2.lease);
}

// --- getting one and giving it back ------------------------------------------------------------

static enum gw_rc get(struct dp_req *r, bool fresh, bool *ret_pooled) {
    struct dp_h2_lease *l = &r->h2.lease;
    int64_t since_us = fresh ? gw_loop_now_us(r->worker->loop) : 0;
    r->h2 = (struct dp_up_h2_state){.lease.ops = &lease_ops};
    enum gw_rc rc = dp_h2_lease_get(l, &r->worker->upstream, r->endpoint, dp_up_connect_ms(r),
                                    since_us, &r->err);
    if (rc == GW_AGAIN) rc = dp_req_wait_for(r, DP_WAKE_CONNECTED);
    if (rc == GW_OK) *ret_pooled = dp_h2_lease_is_pooled(l);
    return rc;
}

static bool is_connecting(const struct dp_req *r) {
    return r->h2.lease.is_waiting;
}

static bool is_silent(const struct dp_req *r) {
    return r->h2.lease.is_lost && !r->h2.has_begun;
}

static bool is_unseen(const struct dp_req *r) {
    const struct dp_h2_stream *s = r->h2.lease.stream;
    const struct gw_err *err = s ? dp_h2_error(s) : NULL;
    return r->h2.not_opened || (err && err->retryable && !r->h2.has_begun);
}

static void release(struct dp_req *r) {
    dp_h2_lease_end(&r->h2.lease);
}

// --- sending -----------------------------------------------------------------------------------

static void push_head(struct dp_req *r) {
    struct dp_h2_lease *l = &r->h2.lease;
    struct dp_head *head = r->head;
    if (!head->authority.len) head->authority = r->endpoint->label; // HTTP/1.0 without Host
    if (dp_h2_lease_open(l, head, &r->arena, &r->err) != GW_OK) {
        r->h2.not_opened = true;
        dp_req_wake(r, DP_WAKE_FAILED);
        return;
    }
    if (!head->chunked && head->content_length <= 0) dp_h2_send_end(l->stream, NULL);
}

static void push_data(struct dp_req *r, struct gw_buf *data) {
    if (takes_no_more(&r->h2.lease))
        gw_buf_fini(data);
    else
        dp_h2_send_data(r->h2.lease.stream, data);
}

static void push_end(struct dp_req *r, const struct dp_fields *trailers) {
    if (!takes_no_more(&r->h2.lease)) dp_h2_send_end(r->h2.lease.stream, trailers);
}

static bool flush(struct dp_req *r) {
    dp_h2_lease_flush(&r->h2.lease);
    return !takes_no_more(&r->h2.lease);
}

static size_t queued(const struct dp_req *r) {
    const struct dp_h2_lease *l = &r->h2.lease;
    return takes_no_more(l) ? 0 : dp_h2_queued(l->stream);
}

static bool is_full(struct dp_req *r) {
    struct dp_h2_lease *l = &r->h2.lease;
    return !takes_no_more(l) && dp_h2_is_full(l->stream);
}

const struct dp_up_ops dp_up_h2 = {
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
