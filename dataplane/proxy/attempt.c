// SPDX-License-Identifier: Apache-2.0
// Step "upstream": the attempt loop. An attempt is: pick an endpoint, get a connection, send, wait
// for the head of an answer. It is repeated where nothing was lost by the failure: no connection
// could be made, or a pooled one turned out to be dead before it said a byte.
#include "dataplane/obs/metrics.h"
#include "dataplane/proxy/req.h"
#include "dataplane/upstream/balance.h"

static int64_t first_byte_ms(const struct dp_req *r) {
    if (r->llm && r->backend->llm->timeouts.first_token_ms >= 0)
        return r->backend->llm->timeouts.first_token_ms;
    // Who says how long a request may take does not mean a part of it.
    if (r->rule && (r->rule->request_ms >= 0 || r->rule->backend_ms >= 0)) return 0;
    return r->worker->settings->first_byte_ms;
}

// --- what the upstream says --------------------------------------------------------------------

// Decodes up to the head of the final answer and wakes the fiber. r may be gone afterwards.
static void take_head(struct dp_req *r) {
    struct dp_ev ev;
    struct gw_slab *owner = NULL;
    for (;;) {
        enum gw_rc rc = r->up->next(r, &ev, &owner, &r->err);
        gw_slab_unref(owner);
        if (rc == GW_AGAIN) return;
        if (rc == GW_EOF) // decided by the attempt: a dead pooled connection, or no answer at all
            rc = gw_err_set(&r->err, GW_ERR_UPSTREAM, 502, "the upstream closed without an answer");
        if (rc != GW_OK) {
            dp_req_wake(r, DP_WAKE_FAILED);
            return;
        }
        if (ev.type == DP_EV_HEAD) break;
        // A 100 is between us and the upstream: the client got its own where it asked.
        if (ev.type == DP_EV_INTERIM && ev.head->status != 100 && r->stage == DP_STAGE_DECIDE)
            r->down->interim(r, ev.head);
    }
    r->answer = ev.head;
    r->upstream_status = ev.head->status;
    r->first_byte_us = gw_loop_now_us(r->worker->loop) - r->start_us;
    dp_req_wake(r, DP_WAKE_ANSWER);
}

void dp_up_ready(struct dp_req *r) {
    if (r->answer)
        dp_answer_pump(r);
    else
        take_head(r);
}

void dp_up_refuses_body(struct dp_req *r) {
    if (r->body_done) return;
    r->body_mode = DP_BODY_DROP;
    r->down->set_reading(r, true);
}

// --- one attempt -------------------------------------------------------------------------------

// Only what may be sent again without harm is (RFC 9110 9.2.2), and only while all of it is here.
static bool is_replayable(const struct dp_req *r) {
    bool no_body = r->head->content_length <= 0 && !r->head->chunked;
    switch (r->head->method) {
    case DP_METHOD_GET:
    case DP_METHOD_HEAD:
    case DP_METHOD_OPTIONS:
    case DP_METHOD_TRACE:
    case DP_METHOD_PUT:
    case DP_METHOD_DELETE:
        return no_body;
    default:
        return false;
    }
}

static void send_request(struct dp_req *r) {
    r->up->push_head(r);
    if (r->body_mode == DP_BODY_GATHER) { // whole, and kept until the answer comes
        struct gw_buf copy = {0};
        for (const struct gw_buf_node *n = r->body.head; n; n = n->next)
            gw_buf_push(&copy, n->slice.slab, n->slice.ptr, n->slice.len);
        r->up->push_data(r, &copy);
        r->up->push_end(r, NULL);
    } else {
        r->body_mode = DP_BODY_FORWARD;
        if (!r->body_done) { // flushes the head with what it finds
            dp_body_pump(r);
            return;
        }
        r->up->push_end(r, NULL); // an empty one, said in an attempt before
    }
    (void)r->up->flush(r);
}

// The route's time for one attempt, from its first step to the end of the answer.
static void begin_time(struct dp_req *r) {
    int64_t ms = r->rule ? r->rule->backend_ms : 0;
    r->attempt_deadline_us = ms > 0 ? gw_loop_now_us(r->worker->loop) + ms * 1000 : 0;
    if (ms > 0) dp_req_arm(r, DP_DEADLINE_WHOLE, 0);
}

int64_t dp_up_connect_ms(const struct dp_req *r) {
    if (r->llm && r->backend->llm->timeouts.connect_ms >= 0)
        return r->backend->llm->timeouts.connect_ms;
    return r->worker->settings->connect_ms;
}

// What to do after an attempt that failed.
enum again {
    AGAIN_NEVER,
    AGAIN_ELSEWHERE, // the endpoint took no request
    AGAIN_FRESH,     // a dead pooled connection says nothing about the endpoint
};

// Not a byte of the body is gone, so that it can be sent once more.
static bool has_whole_body(const struct dp_req *r) {
    return r->body_mode == DP_BODY_GATHER || r->body_bytes == 0;
}

static enum again after(const struct dp_req *r, enum gw_rc rc, bool pooled) {
    if (rc == GW_ERR_TIMEOUT || rc == GW_CANCELLED) return AGAIN_NEVER;
    if (r->up->is_unseen(r) && has_whole_body(r)) return AGAIN_ELSEWHERE;
    return pooled && r->replayable && r->up->is_silent(r) ? AGAIN_FRESH : AGAIN_NEVER;
}

static enum gw_rc try_once(struct dp_req *r, bool fresh, enum again *ret_again) {
    bool pooled = false;
    *ret_again = AGAIN_NEVER;
    r->attempts++;
    begin_time(r);
    r->up = r->backend->protocol == DP_PROTOCOL_H2C ? &dp_up_h2 : &dp_up_h1;
    dp_balance_begin(r->endpoint);
    enum gw_rc rc = r->up->get(r, fresh, &pooled);
    if (rc != GW_OK) {
        bool can_be_elsewhere = rc == GW_ERR_UPSTREAM || rc == GW_ERR_TIMEOUT;
        if (can_be_elsewhere && !r->up->is_connecting(r)) *ret_again = AGAIN_ELSEWHERE;
        return rc;
    }
    gw_metric_add(r->endpoint->requests, 1);
    send_request(r);
    if (r->body_done) dp_req_arm(r, DP_DEADLINE_FIRST_BYTE, first_byte_ms(r));
    rc = dp_req_wait_for(r, DP_WAKE_ANSWER | DP_WAKE_BODY);
    if (rc == GW_OK && !r->answer) { // the body went out; now the answer is due
        dp_req_arm(r, DP_DEADLINE_FIRST_BYTE, first_byte_ms(r));
        rc = dp_req_wait_for(r, DP_WAKE_ANSWER);
    }
    if (rc == GW_OK) return GW_OK;
    *ret_again = after(r, rc, pooled);
    if (rc != GW_CANCELLED) gw_metric_add(r->endpoint->failures, 1);
    return rc;
}

static enum gw_rc pick_endpoint(struct dp_req *r, const struct dp_endpoint *avoid) {
    struct dp_endpoint *e;
    if (r->backend->llm) {
        e = r->backend->llm->endpoint;
    } else {
        const struct dp_endpoints *all = r->backend->endpoints;
        e = dp_balance_pick(all->ptr, all->len, avoid,
                            all->len > 1 ? dp_worker_random(r->worker) : 0,
                            gw_loop_now_ms(r->worker->loop));
    }
    if (!e)
        return dp_req_fail(r, GW_ERR_UPSTREAM, 503, "no_endpoints",
                           "the backend has no ready endpoint");
    r->endpoint = dp_endpoint_ref(e);
    return GW_OK;
}

// As before the first attempt.
static void forget_attempt(struct dp_req *r) {
    gw_metric_add(dp_metrics.retries, 1);
    dp_upstream_drop(r);
    r->err.text[0] = 0;
    r->code = NULL;
    r->wakes &= DP_WAKE_GONE;
    if (r->body_mode == DP_BODY_GATHER || r->body_done) return;
    r->body_mode = DP_BODY_WAIT;
    r->down->set_reading(r, true); // to notice a client that leaves
}

enum gw_rc dp_step_upstream(struct dp_req *r) {
    const struct dp_endpoint *avoid = NULL;
    enum again again = AGAIN_NEVER;
    enum gw_rc rc;
    r->replayable = is_replayable(r);
    GW_TRY(dp_req_forwarded(r));
    do {
        rc = pick_endpoint(r, avoid);
        if (rc != GW_OK) break;
        rc = try_once(r, again == AGAIN_FRESH, &again);
        if (again == AGAIN_NEVER || r->attempts >= DP_ATTEMPTS_MAX) break;
        avoid = again == AGAIN_ELSEWHERE ? r->endpoint : NULL;
        forget_attempt(r);
    } while (true);
    if (rc != GW_OK && rc != GW_CANCELLED && !r->code) r->code = dp_req_upstream_code(r);
    return rc;
}
