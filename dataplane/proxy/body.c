// SPDX-License-Identifier: Apache-2.0
// The request's body on its way: gathered for a step that reads it whole, forwarded to the
// upstream, or dropped where nobody takes it any more. Runs on events; the first part, which came
// with the head, may run on the request's fiber.
#include "dataplane/proxy/mirror.h"
#include "dataplane/proxy/req.h"

// One decoder event from the front of a queue. For DATA, *ret_owner is a new reference of the slab
// that ev->data borrows from. Consumes what the decoder took.
enum gw_rc dp_next_event(struct dp_h1_decoder *d, struct gw_buf *in, struct dp_ev *ev,
                         struct gw_slab **ret_owner, struct gw_err *err) {
    *ret_owner = NULL;
    do {
        struct gw_str bytes = {NULL, 0};
        struct gw_slab *slab = NULL;
        size_t used = 0;
        if (in->head) {
            bytes = (struct gw_str){in->head->slice.ptr, in->head->slice.len};
            slab = in->head->slice.slab;
        }
        enum gw_rc rc = dp_h1_decode(d, bytes, &used, ev, err);
        if (rc == GW_OK && ev->type == DP_EV_DATA) *ret_owner = gw_slab_ref(slab);
        gw_buf_consume(in, used);
        if (rc != GW_AGAIN) return rc;
    } while (in->head);
    return GW_AGAIN;
}

// The client waits for a word before it sends its body (RFC 9110 10.1.1): said once, and only now
// that somebody wants the body.
static void say_continue(struct dp_req *r) {
    struct dp_head go_on = {.status = 100, .content_length = -1};
    if (!r->head->expect_continue || r->continue_sent) return;
    r->continue_sent = true;
    r->down->interim(r, &go_on);
}

static enum gw_rc gather(struct dp_req *r, struct gw_slab *owner, struct gw_str data) {
    if (r->body_bytes > r->body_bytes_max)
        return dp_req_fail(r, GW_ERR_LIMIT, 413, "request_too_large",
                           "the body is larger than %llu bytes (--llm-body-max)",
                           (unsigned long long)r->body_bytes_max);
    struct dp_worker *w = r->worker;
    if (w->gathered_bytes + data.len > w->settings->llm_bodies_bytes_max)
        return dp_req_fail(r, GW_ERR_LIMIT, 503, "overloaded",
                           "too many model requests are being read at once");
    w->gathered_bytes += data.len;
    r->gathered_bytes += data.len;
    // A body of many small pieces must not pin a slab for each.
    if (data.len < GW_SLAB_BYTES / 4)
        gw_buf_push_copy(&r->body, data.ptr, data.len);
    else
        gw_buf_push(&r->body, owner, data.ptr, data.len);
    if (!r->llm) return GW_OK;
    enum gw_rc rc = dp_llm_call_scan(r->llm, data, &r->err);
    if (rc != GW_OK) r->code = "invalid_json";
    return rc;
}

void dp_body_drop(struct dp_req *r) {
    gw_buf_fini(&r->body);
    r->worker->gathered_bytes -= r->gathered_bytes;
    r->gathered_bytes = 0;
}

static void flush_upstream(struct dp_req *r) {
    // An upstream that refuses early closes its side while we send; its answer may be there to be
    // read, so a failed write alone is no verdict.
    if (r->up && !r->up->flush(r) && !r->body_done) r->body_mode = DP_BODY_DROP;
}

static void body_ended(struct dp_req *r, const struct dp_fields *trailers) {
    r->body_done = true;
    dp_mirror_end(r, trailers);
    if (r->body_mode == DP_BODY_FORWARD) r->up->push_end(r, trailers);
}

static void bad_body(struct dp_req *r) {
    if (!r->code) r->code = "bad_request";
    if (r->stage == DP_STAGE_DECIDE)
        dp_req_wake(r, DP_WAKE_FAILED);
    else
        dp_req_cut(r);
}

// Takes events until there are none, or the upstream is full.
static enum gw_rc take(struct dp_req *r, struct gw_buf *data) {
    struct dp_fields *trailers = NULL;
    GW_ASSERT(r->up || r->body_mode != DP_BODY_FORWARD);
    while (!r->body_done) {
        if (r->body_mode == DP_BODY_FORWARD && r->up->queued(r) + data->bytes >= DP_CONN_QUEUE_HIGH)
            return GW_AGAIN;
        struct dp_ev ev;
        struct gw_slab *owner;
        enum gw_rc rc = r->down->next(r, &ev, &owner, &r->err);
        if (rc == GW_AGAIN) return GW_OK;
        if (rc != GW_OK) return rc;
        if (ev.type == DP_EV_TRAILERS) trailers = ev.trailers;
        if (ev.type == DP_EV_DATA) {
            r->body_bytes += ev.data.len;
            dp_mirror_data(r, owner, ev.data);
            if (r->body_mode == DP_BODY_FORWARD)
                gw_buf_push(data, owner, ev.data.ptr, ev.data.len);
            else if (r->body_mode == DP_BODY_GATHER)
                rc = gather(r, owner, ev.data);
            gw_slab_unref(owner);
            if (rc != GW_OK) return rc;
        }
        if (ev.type == DP_EV_END) {
            if (r->body_mode == DP_BODY_FORWARD) r->up->push_data(r, data);
            body_ended(r, trailers);
        }
    }
    return GW_OK;
}

// One round. GW_OK: all that is there was taken; GW_AGAIN: a batch is full; else the body is bad.
static enum gw_rc pump_once(struct dp_req *r) {
    struct gw_buf data = {0};
    enum gw_rc rc = take(r, &data);
    if (r->up && r->body_mode == DP_BODY_FORWARD && (rc == GW_OK || rc == GW_AGAIN))
        r->up->push_data(r, &data);
    gw_buf_fini(&data);
    flush_upstream(r);
    return rc;
}

void dp_body_pump(struct dp_req *r) {
    enum gw_rc rc;
    if (!dp_body_is_wanted(r)) return;
    do {
        rc = pump_once(r);
    } while (rc == GW_AGAIN && !(r->up && r->up->is_full(r)));
    if (rc != GW_OK && rc != GW_AGAIN) {
        bad_body(r);
        return;
    }
    int64_t stream_ms = r->worker->settings->stream_ms;
    if (r->body_done) {
        r->down->set_reading(r, true); // to notice a client that leaves
        if (r->stage == DP_STAGE_DECIDE)
            dp_req_wake(r, DP_WAKE_BODY);
        else
            dp_req_arm(r, DP_DEADLINE_STREAM, stream_ms);
        return;
    }
    // The upstream is full: its on_drained comes back here, and meanwhile nothing is read.
    r->down->set_reading(r, rc == GW_OK);
    if (rc == GW_OK) say_continue(r);
    bool waits = rc == GW_OK && !r->is_tunnel; // for the client
    dp_req_arm(r, waits ? DP_DEADLINE_BODY : DP_DEADLINE_STREAM, stream_ms);
}
