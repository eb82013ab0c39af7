// SPDX-License-Identifier: Apache-2.0
// Answers of the gateway itself: those of filters, and refusals. Every refusal is JSON in the
// caller's dialect (RFC 9457 problem details where there is none), has a stable code and carries
// the request's id.
#include "dataplane/obs/metrics.h"
#include "dataplane/proxy/req.h"

#include <stdio.h>

static void problem(struct gw_text *out, int status, const char *code, struct gw_str detail) {
    gw_text_addf(out, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"code\":\"%s\"",
                 dp_h1_reason(status), status, code);
    gw_text_adds(out, ",\"detail\":\"");
    gw_text_add_json(out, detail);
    gw_text_adds(out, "\"}\n");
}

// The dialect of a model route's errors: the request's own, else the first one.
static const struct dp_llm_dialect *dialect_of(const struct dp_req *r) {
    if (r->llm) return dp_llm_call_dialect(r->llm);
    if (r->rule && r->rule->is_llm) return dp_llm_dialects[0];
    return NULL;
}

void dp_answer_refuse(struct dp_req *r) {
    const struct dp_llm_dialect *d = dialect_of(r);
    struct gw_str text = gw_str_of(r->err.text);
    gw_text_reset(&r->local_body);
    r->status = r->err.code >= 400 && r->err.code <= 599 ? r->err.code : 500;
    if (!r->code) r->code = "internal";
    r->local_policy = NULL;
    r->grpc_status = NULL;
    if (dp_answer_is_grpc(r)) {
        dp_answer_grpc(r);
    } else if (d) {
        d->error_body(&r->local_body, r->status, r->code, text);
        r->local_type = "application/json";
    } else {
        problem(&r->local_body, r->status, r->code, text);
        r->local_type = "application/problem+json";
    }
    struct gw_str labels[] = {gw_str_of(r->code)};
    if (!r->is_copy) gw_metric_add(gw_metric_series(&dp_metric_refused, labels), 1);
    r->stage = DP_STAGE_LOCAL;
}

void dp_answer_instead(struct dp_req *r, const char *code) {
    r->down->drop_head(r);
    r->head_is_held = false;
    if (!r->code) r->code = code;
    dp_answer_refuse(r);
    dp_answer_send(r);
}

static enum gw_rc add_local(struct dp_req *r, struct dp_fields *f) {
    const struct dp_fields *own = &r->local_fields;
    if (r->local_type)
        GW_TRY(dp_fields_add(f, &r->arena, GW_STR("content-type"), gw_str_of(r->local_type)));
    if (r->grpc_status) GW_TRY(dp_answer_grpc_fields(r, f));
    for (unsigned i = 0; r->local_policy && i < own->len; i++)
        GW_TRY(dp_fields_add(f, &r->arena, own->ptr[i].name, own->ptr[i].value));
    return GW_OK;
}

static bool make_head(struct dp_req *r) {
    struct dp_head *h = gw_arena_zalloc(&r->arena, sizeof(*h));
    if (!h) return false;
    struct dp_fields *f = &h->fields;
    enum gw_rc rc = dp_fields_add(f, &r->arena, GW_STR("server"), GW_STR("tandem"));
    if (rc == GW_OK) rc = add_local(r, f);
    if (rc == GW_OK) rc = dp_fields_add(f, &r->arena, GW_STR("x-request-id"), r->request_id);
    if (rc == GW_OK && r->status == 405)
        rc = dp_fields_add(f, &r->arena, GW_STR("allow"), GW_STR("GET, HEAD, POST"));
    h->status = r->status;
    bool has_none = r->status == 204 || r->grpc_status; // RFC 9110 8.6
    h->content_length = has_none ? -1 : (int64_t)r->local_body.len;
    if (rc == GW_OK) rc = dp_filter_answer(r, h, true);
    if (rc == GW_OK) rc = dp_explain_answer(r, f);
    return rc == GW_OK && r->down->head(r, h);
}

// A body that was small enough to be here already needs no lingering close.
static bool take_rest_of_body(struct dp_req *r) {
    if (r->body_done) return true;
    if (!r->head || r->head->expect_continue) return false;
    r->body_mode = DP_BODY_DROP;
    struct dp_ev ev;
    struct gw_slab *owner;
    struct gw_err err;
    while (r->down->next(r, &ev, &owner, &err) == GW_OK) {
        gw_slab_unref(owner);
        if (ev.type == DP_EV_END) r->body_done = true;
        if (r->body_done) return true;
    }
    return false;
}

void dp_answer_send(struct dp_req *r) {
    struct gw_err err;
    bool keep = r->keep_alive && !r->worker->draining && take_rest_of_body(r) && r->status != 408;
    bool no_body = r->head && r->head->method == DP_METHOD_HEAD;
    struct gw_buf body = {0};
    r->keep_alive = keep;
    if (!make_head(r)) {
        dp_req_cancel(r);
        return;
    }
    r->down->push_head(r);
    if (!no_body && r->local_body.len) {
        r->bytes_out = r->local_body.len;
        gw_buf_push(&body, NULL, r->local_body.ptr, r->local_body.len);
        r->down->push_data(r, &body);
    }
    r->down->push_end(r, NULL);
    if (r->down->flush(r, &err) != GW_OK)
        dp_req_cancel(r);
    else
        dp_req_finish(r, keep);
}

void dp_answer_bad_head(struct dp_req *r, const struct gw_err *err) {
    dp_req_identify(r);
    r->err = *err;
    r->code = err->code == 408   ? "timeout"
              : err->code == 414 ? "target_too_long"
              : err->code == 431 ? "head_too_large"
                                 : "bad_request";
    dp_answer_refuse(r);
    dp_answer_send(r);
}
