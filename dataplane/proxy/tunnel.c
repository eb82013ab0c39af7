// SPDX-License-Identifier: Apache-2.0
// A WebSocket (RFC 6455): once the upstream said 101, both directions are bytes. They are moved by
// the pumps of body.c and respond.c, with their back-pressure; what differs is how long a tunnel
// may live and how it ends: whoever closes its side ends it for both.
#include "dataplane/proxy/req.h"

void dp_tunnel_begin(struct dp_req *r) {
    r->is_tunnel = true;
    // Times of the whole are for messages, but for one that the route itself gives.
    if (r->rule->request_ms <= 0) r->deadline_us = 0;
    r->attempt_deadline_us = 0;
    r->down->tunnel(r);
    r->body_done = false;
    r->body_mode = DP_BODY_FORWARD;
    dp_body_pump(r);
}

void dp_tunnel_client_ended(struct dp_req *r) {
    r->deadline_us = gw_loop_now_us(r->worker->loop) + DP_TUNNEL_END_MS * 1000;
    dp_req_arm(r, DP_DEADLINE_WHOLE, 0);
}

static const char *why_over(const struct dp_req *r) {
    return r->deadline == DP_DEADLINE_WHOLE ? "the tunnel lasted longer than allowed"
                                            : "nothing moved in the tunnel for too long";
}

// What the client has not taken must not look like all there was.
void dp_tunnel_timeout(struct dp_req *r) {
    bool is_fault = !r->body_done; // else the client ended it, and the upstream took its time
    if (is_fault) gw_err_set(&r->err, GW_ERR_TIMEOUT, 504, "%s", why_over(r));
    if (r->down->queued(r))
        dp_req_cut(r);
    else
        dp_req_finish(r, false);
}
