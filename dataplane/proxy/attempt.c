// SPDX-License-Identifier: Apache-2.0
// Step "upstream": the attempt loop. An attempt is: pick an endpoint, get a connection, send, wait
// for the head of an answer. It is repeated where nothing was lost by the failure: no connection
// could be made, or a pooled one turned out to be dead before it said a byte.
#include "dataplane/obs/metrics.h"
#include "dataplane/proxy/req.h"
#include "dataplane/upstream/balance.h"

#define UP_READS_PER_TURN 8
#define UP_REST_BYTES_MAX (1 << 20) // of a broken connection whose client is slow

static int64_t first_byte_ms(const struct dp_req *r) {
    if (r->llm && r->backend->llm->timeouts.first_token_ms >= 0)
        return r->backend->llm->timeouts.first_token_ms;
    return r->worker->settings->first_byte_ms;
}

static int64_t connect_ms(const struct dp_req *r) {
    if (r->llm && r->backend->llm->timeouts.connect_ms >= 0)
        return r->backend->llm->timeouts.connect_ms;
    return r->worker->settings->connect_ms;
}

// --- what the upstream says --------------------------------------------------------------------

static void pass_interim(struct dp_req *r, struct dp_head *interim) {
    struct gw_err err;
    // A 100 is between us and the upstream: the client got its own where it asked.
    if (interim->status == 100 || r->head->minor_version == 0 || r->stage != DP_STAGE_DECIDE)
        return;
    interim->keep_alive = true;
    dp_conn_push(&r->client->conn, NULL, dp_h1_encode_response(interim, 1, &r->arena));
    if (dp_conn_flush(&r->client->conn, &err) != GW_OK) r->client->conn.failed = true;
}

// Decodes up to the head of the final answer and wakes the fiber. r may be gone afterwards.
static void take_head(struct dp_req *r) {
    struct dp_ev ev;
    struct gw_slab *owner = NULL;
    for (;;) {
        enum gw_rc rc = r->up_in.bytes
                            ? dp_next_event(&r->up->decoder, &r->up_in, &ev, &owner, &r->err)
                            : GW_AGAIN;
        gw_slab_unref(owner);
        if (rc == GW_AGAIN && r->up_eof) rc = dp_h1_decode_eof(&r->up->decoder, &ev, &r->err);
        if (rc == GW_AGAIN) return;
        if (rc == GW_EOF) // decided by the attempt: a dead pooled connection, or no answer at all
            rc = gw_err_set(&r->err, GW_ERR_UPSTREAM, 502, "the upstream closed without an answer");
        if (rc != GW_OK) {
            dp_req_wake(r, DP_WAKE_FAILED);
            return;
        }
        if (ev.type == DP_EV_HEAD) break;
        if (ev.type == DP_EV_INTERIM) pass_interim(r, ev.head);
    }
    r->answer = ev.head;
    r->upstream_status = ev.head->status;
    r->first_byte_us = gw_loop_now_us(r->worker->loop) - r->start_us;
    dp_req_wake(r, DP_WAKE_ANSWER);
}

// r may be gone afterwards.
static void take(struct dp_req *r) {
    if (r->answer)
        dp_answer_pump(r);
    else
        take_head(r);
}

// True where more is probably there. A broken connection is closed at once: epoll would report it
// in every turn, for as long as the client is slow.
static bool read_once(struct dp_req *r, struct dp_conn *conn) {
    struct gw_slab *slab = gw_slab_get();
    size_t n = 0;
    struct gw_err err;
    enum gw_rc rc = dp_conn_read(conn, slab, &n, &err);
    if (rc == GW_OK) gw_buf_push(&r->up_in, slab, slab->data, n);
    gw_slab_unref(slab);
    if (rc == GW_OK) return n == GW_SLAB_BYTES || conn->tls; // which keeps bytes of its own
    if (rc == GW_AGAIN) return false;
    r->up_eof = true;
    if (rc == GW_EOF)
        dp_conn_set_reading(conn, false);
    else
        dp_conn_close(conn);
    return false;
}

static void on_up_readable(struct dp_conn *conn) {
    struct dp_upconn *up = (struct dp_upconn *)conn;
    struct dp_req *r = up->user;
    bool more = true;
    for (int i = 0; i < UP_READS_PER_TURN && more && r->up_in.bytes < DP_CONN_QUEUE_HIGH; i++)
        more = read_once(r, conn);
    take(r);
}

static void on_up_drained(struct dp_conn *conn) {
    struct dp_req *r = ((struct dp_upconn *)conn)->user;
    dp_body_pump(r);
}

// The client is slow, and the upstream's connection broke: what the kernel still has of it is taken
// now, for the descriptor cannot stay.
static void read_rest(struct dp_req *r, struct dp_conn *conn) {
    size_t before;
    do {
        before = r->up_in.bytes;
        if (!r->up_eof) (void)read_once(r, conn);
    } while (r->up_in.bytes > before && before < UP_REST_BYTES_MAX);
    if (!r->up_eof) conn->reset = true;
    r->up_eof = true;
    dp_conn_close(conn);
}

static void on_up_error(struct dp_conn *conn) {
    struct dp_req *r = ((struct dp_upconn *)conn)->user;
    // What the upstream said before it broke off may still be there: reading finds out.
    r->up_send_failed = true;
    if (!r->body_done) {
        r->body_mode = DP_BODY_DROP;
        dp_conn_set_reading(&r->client->conn, true);
    }
    if (conn->reading) {
        on_up_readable(conn);
        return;
    }
    read_rest(r, conn);
    take(r);
}
const struct dp_conn_ops dp_upstream_ops = {on_up_readable, on_up_drained, on_up_error};

// --- one attempt -------------------------------------------------------------------------------

static void on_connected(void *arg, struct dp_upconn *c, const struct gw_err *err) {
    struct dp_req *r = arg;
    r->connecting = NULL;
    r->up = c;
    if (!c) r->err = *err;
    dp_req_wake(r, c ? DP_WAKE_CONNECTED : DP_WAKE_FAILED);
}

static enum gw_rc get_connection(struct dp_req *r, bool fresh, bool *ret_pooled) {
    bool careful = !r->replayable;
    r->up = fresh ? NULL : dp_pool_take(&r->worker->upstream, r->endpoint, careful);
    *ret_pooled = r->up != NULL;
    if (r->up) return GW_OK;
    r->connecting =
        dp_pool_connect(&r->worker->upstream, r->endpoint, connect_ms(r), on_connected, r, &r->err);
    if (!r->connecting) return r->err.rc;
    return dp_req_wait_for(r, DP_WAKE_CONNECTED);
}

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
    struct dp_conn *up = &r->up->conn;
    struct gw_err err;
    r->up->user = r;
    up->ops = &dp_upstream_ops;
    dp_conn_set_reading(up, true);
    dp_h1_decoder_start(&r->up->decoder, &r->arena, r->head->method == DP_METHOD_HEAD);
    r->up_eof = r->up_send_failed = false;
    r->up_chunked = r->head->chunked;
    if (!r->head->authority.len) r->head->authority = r->endpoint->label; // HTTP/1.0 without Host
    r->head->keep_alive = true; // towards the upstream; the client's wish was noted before
    dp_conn_push(up, NULL, dp_h1_encode_request(r->head, &r->arena));
    if (r->body_mode == DP_BODY_GATHER) { // whole, and kept until the answer comes
        for (const struct gw_buf_node *n = r->body.head; n; n = n->next)
            gw_buf_push(&up->batch, n->slice.slab, n->slice.ptr, n->slice.len);
    } else {
        r->body_mode = DP_BODY_FORWARD;
        if (!r->body_done) { // flushes the head with what it finds
            dp_body_pump(r);
            return;
        }
    }
    if (dp_conn_flush(up, &err) != GW_OK) r->up_send_failed = true;
}

static enum gw_rc try_once(struct dp_req *r, bool fresh, bool *ret_again) {
    bool pooled = false;
    *ret_again = false;
    r->attempts++;
    dp_balance_begin(r->endpoint);
    enum gw_rc rc = get_connection(r, fresh, &pooled);
    if (rc != GW_OK) {
        // Still connecting: it was the request's own time that ended.
        *ret_again = !r->connecting && (rc == GW_ERR_UPSTREAM || rc == GW_ERR_TIMEOUT);
        return rc;
    }
    gw_metric_add(r->endpoint->requests, 1);
    send_request(r);
    if (r->body_done) dp_client_arm(r->client, DP_DEADLINE_FIRST_BYTE, first_byte_ms(r));
    rc = dp_req_wait_for(r, DP_WAKE_ANSWER | DP_WAKE_BODY);
    if (rc == GW_OK && !r->answer) { // the body went out; now the answer is due
        dp_client_arm(r->client, DP_DEADLINE_FIRST_BYTE, first_byte_ms(r));
        rc = dp_req_wait_for(r, DP_WAKE_ANSWER);
    }
    if (rc == GW_OK) return GW_OK;
    bool silent = r->up && dp_h1_decoder_idle(&r->up->decoder) && r->up_eof;
    *ret_again = pooled && silent && r->replayable && rc != GW_ERR_TIMEOUT;
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
                            all->len > 1 ? dp_worker_random(r->worker) : 0);
    }
    if (!e)
        return dp_req_fail(r, GW_ERR_UPSTREAM, 503, "no_endpoints",
                           "the backend has no ready endpoint");
    r->endpoint = dp_endpoint_ref(e);
    return GW_OK;
}

enum gw_rc dp_step_upstream(struct dp_req *r) {
    struct dp_endpoint *avoid = NULL;
    bool fresh = false, again = false;
    enum gw_rc rc;
    r->replayable = is_replayable(r);
    GW_TRY(dp_req_forwarded(r));
    do {
        rc = pick_endpoint(r, avoid);
        if (rc != GW_OK) break;
        rc = try_once(r, fresh, &again);
        if (rc == GW_OK || !again || r->attempts >= DP_ATTEMPTS_MAX) break;
        // A dead pooled connection says nothing about the endpoint; one that cannot be connected to
        // is avoided.
        fresh = r->up != NULL;
        avoid = fresh ? NULL : r->endpoint;
        gw_metric_add(dp_metrics.retries, 1);
        dp_upstream_drop(r, false);
        r->err.text[0] = 0;
        r->code = NULL;
    } while (true);
    if (rc != GW_OK && rc != GW_CANCELLED && !r->code) r->code = "bad_gateway";
    return rc;
}
