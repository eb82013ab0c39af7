// SPDX-License-Identifier: Apache-2.0
// Step "respond", and the pump that streams an upstream's answer to the client once the fiber is
// given back. An answer that breaks off never ends as a clean one.
#include "dataplane/proxy/req.h"

// --- the step ----------------------------------------------------------------------------------

enum gw_rc dp_step_respond(struct dp_req *r) {
    GW_TRY(dp_filter_answer(r, r->answer, false));
    if (r->llm) GW_TRY(dp_llm_answer_begin(r->llm, r->answer, &r->code, &r->err));
    dp_fields_remove_id(&r->answer->fields, DP_F_X_REQUEST_ID);
    GW_TRY(dp_fields_add(&r->answer->fields, &r->arena, GW_STR("x-request-id"), r->request_id));
    GW_TRY(dp_explain_answer(r, &r->answer->fields));
    r->head_is_held = r->down->head(r, r->answer);
    if (!r->head_is_held)
        return dp_req_fail(r, GW_ERR_UPSTREAM, 502, "bad_gateway",
                           "the head of the answer is too large");
    dp_body_drop(r);
    r->stage = DP_STAGE_STREAM;
    if (r->answer->upgrade) dp_tunnel_begin(r);
    return GW_OK;
}

// --- the pump ----------------------------------------------------------------------------------

static bool is_held(const struct dp_req *r) {
    return r->llm && r->head_is_held && !dp_llm_answer_is_committed(r->llm);
}

static void push_head(struct dp_req *r) {
    if (!r->head_is_held) return;
    r->down->push_head(r);
    r->head_is_held = false;
    r->status = r->answer->status;
    if (r->llm) r->first_token_us = gw_clock_us() - r->start_us;
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

// Decodes what is there into data.
static enum taken take(struct dp_req *r, struct gw_buf *data, struct dp_fields **trailers) {
    for (;;) {
        struct dp_ev ev;
        struct gw_slab *owner = NULL;
        if (r->down->queued(r) + data->bytes >= DP_CONN_QUEUE_HIGH) return TAKEN_FULL;
        enum gw_rc rc = r->up->next(r, &ev, &owner, &r->err);
        if (rc == GW_AGAIN) return TAKEN_ALL;
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

static void arm(struct dp_req *r) {
    int64_t ms = r->worker->settings->stream_ms;
    if (r->llm && r->backend->llm->timeouts.idle_ms >= 0) ms = r->backend->llm->timeouts.idle_ms;
    if (is_held(r)) return; // the time to the first token goes on
    dp_req_arm(r, DP_DEADLINE_STREAM, ms);
}

// One round: what is there goes out, as far as the client takes it. False: the request is over.
static bool pump_once(struct dp_req *r, enum taken *ret) {
    struct gw_buf data = {0};
    struct dp_fields *trailers = NULL;
    struct gw_err err;
    enum taken t = take(r, &data, &trailers);
    bool over = t == TAKEN_END || t == TAKEN_CUT;
    if (over && r->llm) t = end_model(r, t, &data);
    if (is_held(r)) {
        gw_buf_fini(&data);
        if (over) dp_answer_instead(r, "upstream_error");
        *ret = TAKEN_ALL;
        return !over;
    }
    if (t != TAKEN_CUT || r->bytes_out || data.bytes) push_head(r);
    r->bytes_out += data.bytes;
    r->down->push_data(r, &data);
    gw_buf_fini(&data);
    if (t == TAKEN_END) r->down->push_end(r, trailers);
    *ret = t;
    if (r->down->flush(r, &err) != GW_OK)
        dp_req_cancel(r);
    else if (t == TAKEN_END)
        dp_req_finish(r, r->keep_alive);
    else if (t == TAKEN_CUT && r->head_is_held)
        dp_answer_instead(r, "upstream_error"); // broke off before a byte of it was passed on
    else if (t == TAKEN_CUT)
        dp_req_cut(r);
    else
        return true;
    return false;
}

void dp_answer_pump(struct dp_req *r) {
    enum taken t;
    if (r->stage != DP_STAGE_STREAM) return;
    do {
        if (!pump_once(r, &t)) return;
    } while (t == TAKEN_FULL && !r->down->is_full(r));
    // Reading goes on unless the client is slow (its on_drained comes back here).
    r->up->set_reading(r, t == TAKEN_ALL);
    arm(r);
}
