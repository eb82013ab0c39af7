// SPDX-License-Identifier: Apache-2.0
// Step "respond", and the pump that streams an upstream's answer to the client once the fiber is
// given back. An answer that breaks off never ends as a clean one.
#include "dataplane/proxy/req.h"

// --- the step ----------------------------------------------------------------------------------

static enum gw_rc filter_answer(struct dp_req *r) {
    struct dp_policy_call call = dp_req_policy_call(r);
    for (unsigned i = 0; i < r->rule->filters_n; i++) {
        const struct dp_policy *p = &r->rule->filters[i];
        if (!p->type->response) continue;
        enum gw_rc rc = p->type->response(p->conf, &call);
        if (rc != GW_OK) return gw_err_wrap(&r->err, "filter %s", p->type->name);
    }
    return GW_OK;
}

static bool has_no_body(const struct dp_req *r) {
    int s = r->answer->status;
    return r->head->method == DP_METHOD_HEAD || s == 204 || s == 304;
}

// Exactly one framing, true for the bytes that will be sent (RFC 9112 6.1).
static void choose_framing(struct dp_req *r) {
    struct dp_head *a = r->answer;
    bool old_client = r->head->minor_version == 0;
    if (!has_no_body(r) && a->content_length < 0) {
        a->chunked = !old_client;
        if (old_client) r->keep_alive = false; // its end is the connection's
    } else {
        a->chunked = false;
    }
    r->answer_chunked = a->chunked;
    // What the client still sends after this answer is nobody's: the connection cannot go on.
    if (!r->body_done || r->worker->draining) r->keep_alive = false;
    r->up_keep_alive = a->keep_alive;
    a->keep_alive = r->keep_alive;
}

enum gw_rc dp_step_respond(struct dp_req *r) {
    GW_TRY(filter_answer(r));
    if (r->llm) GW_TRY(dp_llm_answer_begin(r->llm, r->answer, &r->code, &r->err));
    choose_framing(r);
    dp_fields_remove_id(&r->answer->fields, DP_F_X_REQUEST_ID);
    GW_TRY(dp_fields_add(&r->answer->fields, &r->arena, GW_STR("x-request-id"), r->request_id));
    r->answer_head = dp_h1_encode_response(r->answer, r->head->minor_version, &r->arena);
    if (!r->answer_head.ptr)
        return dp_req_fail(r, GW_ERR_UPSTREAM, 502, "bad_gateway",
                           "the head of the answer is too large");
    gw_buf_fini(&r->body);
    r->stage = DP_STAGE_STREAM;
    return GW_OK;
}

// --- the pump ----------------------------------------------------------------------------------

static bool is_held(const struct dp_req *r) {
    return r->llm && r->answer_head.len && !dp_llm_answer_is_committed(r->llm);
}

static void push_head(struct dp_req *r) {
    if (!r->answer_head.len) return;
    dp_conn_push(&r->client->conn, NULL, r->answer_head);
    r->answer_head = (struct gw_str){NULL, 0};
    r->status = r->answer->status;
    if (r->llm) r->first_token_us = gw_clock_us() - r->start_us;
}

// One chunk, or plain bytes.
static void push_body(struct dp_req *r, struct gw_buf *data) {
    struct dp_conn *c = &r->client->conn;
    if (!data->bytes) return;
    r->bytes_out += data->bytes;
    if (r->answer_chunked) {
        size_t n = dp_h1_encode_chunk_head(r->chunk_head, data->bytes);
        dp_conn_push(c, NULL, (struct gw_str){r->chunk_head, n});
    }
    gw_buf_move(&c->batch, data);
    if (r->answer_chunked) dp_conn_push(c, NULL, GW_STR("\r\n"));
}

enum taken {
    TAKEN_ALL,  // what was there; more will come
    TAKEN_FULL, // as much as one batch may hold
    TAKEN_END,
    TAKEN_CUT, // r->err says how the answer broke off
};

static enum taken take_data(struct dp_req *r, const struct dp_ev *ev, struct gw_slab *owner,
                            struct gw_buf *data) {
    enum gw_rc rc = GW_OK;
    if (r->llm)
        rc = dp_llm_answer_data(r->llm, owner, ev->data, data, &r->err);
    else
        gw_buf_push(data, owner, ev->data.ptr, ev->data.len);
    gw_slab_unref(owner);
    return rc == GW_OK ? TAKEN_ALL : TAKEN_CUT;
}

// The upstream's connection is over. Where that is the end of the answer, only an orderly one is.
static enum gw_rc take_eof(struct dp_req *r, struct dp_ev *ev) {
    enum gw_rc rc = dp_h1_decode_eof(&r->up->decoder, ev, &r->err);
    if (rc != GW_OK || !r->up->conn.reset) return rc;
    return gw_err_set(&r->err, GW_ERR_UPSTREAM, 502, "the upstream broke off in the answer");
}

// Decodes what is there into data.
static enum taken take(struct dp_req *r, struct gw_buf *data, struct dp_fields **trailers) {
    for (;;) {
        struct dp_ev ev;
        struct gw_slab *owner = NULL;
        if (r->client->conn.out.bytes + data->bytes >= DP_CONN_QUEUE_HIGH) return TAKEN_FULL;
        enum gw_rc rc = dp_next_event(&r->up->decoder, &r->up_in, &ev, &owner, &r->err);
        if (rc == GW_AGAIN && !r->up_eof) return TAKEN_ALL;
        if (rc == GW_AGAIN) rc = take_eof(r, &ev);
        if (rc != GW_OK) return TAKEN_CUT;
        if (ev.type == DP_EV_DATA && take_data(r, &ev, owner, data) == TAKEN_CUT) return TAKEN_CUT;
        if (ev.type == DP_EV_TRAILERS) *trailers = ev.trailers;
        if (ev.type == DP_EV_END) {
            r->up_done = true;
            return TAKEN_END;
        }
    }
}

// The answer of a model has its own end; it may still become a refusal while its head is held.
static enum taken end_model(struct dp_req *r, enum taken t, struct gw_buf *data) {
    bool told = false;
    struct gw_err err;
    enum gw_rc rc = dp_llm_answer_end(r->llm, t == TAKEN_END, data, &told, &err);
    if (rc == GW_OK) { // whole by its own end, also where the connection broke behind that
        r->err.text[0] = 0;
        return TAKEN_END;
    }
    if (!r->err.text[0]) r->err = err;
    return told ? TAKEN_END : TAKEN_CUT;
}

static void refuse_instead(struct dp_req *r) {
    r->answer_head = (struct gw_str){NULL, 0};
    r->code = r->code ? r->code : "upstream_error";
    dp_answer_refuse(r);
    dp_answer_send(r);
}

static void end_answer(struct dp_req *r, struct dp_fields *trailers) {
    if (r->answer_chunked) {
        struct gw_str last = dp_h1_encode_last_chunk(trailers, &r->arena);
        dp_conn_push(&r->client->conn, NULL, last.ptr ? last : GW_STR("0\r\n\r\n"));
    }
}

static void arm(struct dp_req *r) {
    int64_t ms = r->worker->settings->stream_ms;
    if (r->llm && r->backend->llm->timeouts.idle_ms >= 0) ms = r->backend->llm->timeouts.idle_ms;
    if (is_held(r)) return; // the time to the first token goes on
    dp_client_arm(r->client, DP_DEADLINE_STREAM, ms);
}

// One round: what is there goes out, as far as the client takes it. False: the request is over.
static bool pump_once(struct dp_req *r, enum taken *ret) {
    struct dp_client *c = r->client;
    struct gw_buf data = {0};
    struct dp_fields *trailers = NULL;
    struct gw_err err;
    enum taken t = take(r, &data, &trailers);
    bool over = t == TAKEN_END || t == TAKEN_CUT;
    if (over && r->llm) t = end_model(r, t, &data);
    if (is_held(r)) {
        gw_buf_fini(&data);
        if (over) refuse_instead(r);
        *ret = TAKEN_ALL;
        return !over;
    }
    if (t != TAKEN_CUT || r->bytes_out || data.bytes) push_head(r);
    push_body(r, &data);
    gw_buf_fini(&data);
    if (t == TAKEN_END) end_answer(r, trailers);
    *ret = t;
    if (dp_conn_flush(&c->conn, &err) != GW_OK)
        dp_req_cancel(r);
    else if (t == TAKEN_END)
        dp_req_finish(r, r->keep_alive);
    else if (t == TAKEN_CUT && r->answer_head.len)
        refuse_instead(r); // broke off before a byte of it was passed on
    else if (t == TAKEN_CUT)
        dp_req_cut(r);
    else
        return true;
    return false;
}

void dp_answer_pump(struct dp_req *r) {
    struct dp_client *c = r->client;
    enum taken t;
    if (r->stage != DP_STAGE_STREAM) return;
    do {
        if (!pump_once(r, &t)) return;
    } while (t == TAKEN_FULL && !dp_conn_is_full(&c->conn));
    // Reading goes on unless the client is slow (its on_drained comes back here).
    dp_conn_set_reading(&r->up->conn, t == TAKEN_ALL && !r->up_eof);
    arm(r);
}
