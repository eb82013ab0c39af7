// SPDX-License-Identifier: Apache-2.0
// A request's time: one timer for what it waits for at the moment, never later than the end of the
// whole, or of the attempt that is under way.
#include "dataplane/proxy/req.h"

// Rounded up: when it fires, the time must be over.
static int64_t left_until(const struct dp_req *r, int64_t deadline_us) {
    if (!deadline_us) return INT64_MAX;
    int64_t left_ms = (deadline_us - gw_loop_now_us(r->worker->loop)) / 1000 + 1;
    return left_ms < 1 ? 1 : left_ms;
}

void dp_req_arm(struct dp_req *r, enum dp_deadline what, int64_t ms) {
    struct gw_loop *loop = r->worker->loop;
    int64_t left_ms = left_until(r, r->deadline_us);
    int64_t attempt_ms = left_until(r, r->attempt_deadline_us);
    bool is_attempt = attempt_ms < left_ms;
    if (is_attempt) left_ms = attempt_ms;
    r->deadline = what;
    if (ms <= 0 || ms > left_ms) {
        r->deadline = is_attempt ? DP_DEADLINE_ATTEMPT : DP_DEADLINE_WHOLE;
        ms = left_ms;
    }
    if (ms == INT64_MAX)
        gw_timer_cancel(loop, &r->timer);
    else
        gw_timer_set(loop, &r->timer, ms);
}

static void say_why(struct dp_req *r) {
    if (r->deadline == DP_DEADLINE_WHOLE)
        gw_err_set(&r->err, GW_ERR_TIMEOUT, 504, "the request took longer than allowed");
    else if (r->deadline == DP_DEADLINE_ATTEMPT)
        gw_err_set(&r->err, GW_ERR_TIMEOUT, 504, "the upstream took longer than allowed");
    else if (r->deadline == DP_DEADLINE_BODY)
        gw_err_set(&r->err, GW_ERR_TIMEOUT, 408, "the body of the request stopped arriving");
    else if (r->deadline == DP_DEADLINE_FIRST_BYTE)
        gw_err_set(&r->err, GW_ERR_TIMEOUT, 504, "the upstream did not answer in time");
    else
        gw_err_set(&r->err, GW_ERR_TIMEOUT, 504, "nothing moved for too long");
}

void dp_req_on_timer(struct gw_timer *t) {
    struct dp_req *r = GW_CONTAINER_OF(t, struct dp_req, timer);
    if (!r->err.text[0] && !r->is_tunnel) say_why(r);
    if (r->is_tunnel)
        dp_tunnel_timeout(r);
    else if (r->stage == DP_STAGE_DECIDE)
        dp_req_wake(r, DP_WAKE_TIMEOUT);
    else
        dp_req_cut(r);
}
