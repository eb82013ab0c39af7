// SPDX-License-Identifier: Apache-2.0
// Steps "settle" and "log", and the end of a request's memory. Every request passes here exactly
// once, whatever became of it.
#include "dataplane/obs/metrics.h"
#include "dataplane/proxy/mirror.h"
#include "dataplane/proxy/req.h"
#include "dataplane/upstream/balance.h"

#include <stdlib.h>

struct dp_req *dp_req_new(struct dp_client *c, const struct dp_down_ops *down) {
    struct dp_worker *w = c->worker;
    struct dp_req *r = w->free_reqs;
    if (r) {
        w->free_reqs = r->next_free;
        w->free_reqs_n--;
    } else {
        r = malloc(sizeof(*r));
        if (!r) abort();
    }
    // The inline memory behind the rest needs no clearing.
    memset(r, 0, offsetof(struct dp_req, inline_mem));
    r->client = c;
    r->down = down;
    r->steps = dp_steps;
    r->worker = w;
    r->conf = dp_worker_conf_ref(w->conf);
    gw_arena_init(&r->arena, r->inline_mem, sizeof(r->inline_mem), DP_REQ_ARENA_BYTES_MAX);
    r->start_us = gw_loop_now_us(w->loop);
    r->start_real_us = r->start_us + w->real_offset_us;
    r->first_byte_us = r->first_token_us = -1;
    gw_timer_init(&r->timer, dp_req_on_timer);
    if (w->settings->request_ms) r->deadline_us = r->start_us + w->settings->request_ms * 1000;
    return r;
}

void dp_upstream_drop(struct dp_req *r) {
    if (r->up) r->up->release(r);
    r->up = NULL;
    if (r->endpoint) {
        bool left = r->first_byte_us < 0 && r->err.rc == GW_CANCELLED;
        dp_balance_end(r->endpoint, left ? DP_BALANCE_NO_SAMPLE : r->first_byte_us,
                       gw_loop_now_ms(r->worker->loop));
        dp_endpoint_unref(r->endpoint);
    }
    r->endpoint = NULL;
}

static const struct gw_str NONE = {NULL, 0};

static void log_request(struct dp_req *r, int64_t duration_us) {
    struct dp_access_record rec = {
        .start_real_us = r->start_real_us,
        .duration_us = duration_us,
        .request_id = r->request_id,
        .client = gw_str_of(r->client->peer),
        .protocol = gw_str_of(r->down->protocol),
        .method = r->log_method,
        .host = r->log_host,
        .path = r->log_path,
        .status = r->status,
        .bytes_in = (int64_t)r->body_bytes,
        .bytes_out = (int64_t)r->bytes_out,
        .listener = r->listener ? r->listener->name : NONE,
        .route = r->rule ? r->rule->route : NONE,
        .rule = r->rule ? (int)r->rule->index : -1,
        .backend = r->backend ? r->backend->label : NONE,
        .upstream_status = r->upstream_status,
        .attempts = (int)r->attempts,
        .first_byte_us = r->first_byte_us,
        .tokens_in = -1,
        .tokens_out = -1,
        .tokens_cached = -1,
        .error = gw_str_of(r->err.text),
    };
    if (r->head) {
        struct dp_field *agent = dp_fields_find(&r->head->fields, DP_F_USER_AGENT);
        if (agent) rec.user_agent = agent->value;
    }
    if (r->endpoint) rec.upstream = r->endpoint->label;
    if (r->llm) {
        struct dp_llm_note note;
        dp_llm_call_note(r->llm, &note);
        rec.model = note.model;
        rec.upstream_model = note.upstream_model;
        rec.tokens_in = note.usage.input;
        rec.tokens_out = note.usage.output;
        rec.tokens_cached = note.usage.cached;
        rec.usage = note.usage.input < 0 && note.usage.output < 0 ? NONE
                    : note.usage.estimated                        ? GW_STR("estimated")
                                                                  : GW_STR("reported");
    }
    dp_access_write(r->worker->log, &rec);
}

static void count(struct dp_req *r, int64_t duration_us) {
    unsigned class = r->status >= 100 && r->status < 600 ? (unsigned)r->status / 100 : 0;
    gw_metric_add(dp_metrics.bytes_in, (int64_t)r->body_bytes);
    gw_metric_add(dp_metrics.bytes_out, (int64_t)r->bytes_out);
    if (r->rule) {
        gw_metric_add(r->rule->series.requests[class], 1);
        // A tunnel's life is no measure of how fast answers are.
        if (!r->is_tunnel) gw_metric_observe(r->rule->series.latency, (uint64_t)duration_us);
    } else if (r->listener) {
        gw_metric_add(r->listener->requests_unrouted, 1);
    }
}

void dp_req_release(struct dp_req *r) {
    struct dp_worker *w = r->worker;
    gw_timer_cancel(w->loop, &r->timer);
    dp_llm_call_fini(r->llm);
    dp_body_drop(r);
    gw_text_fini(&r->local_body);
    gw_arena_fini(&r->arena);
    dp_worker_conf_unref(r->conf);
    if (w->free_reqs_n >= DP_REQ_FREE_MAX) {
        free(r);
        return;
    }
    r->next_free = w->free_reqs;
    w->free_reqs = r;
    w->free_reqs_n++;
}

void dp_req_finish(struct dp_req *r, bool keep) {
    int64_t duration_us = gw_clock_us() - r->start_us;
    GW_ASSERT(r->fiber == NULL);
    if (r->llm && r->backend)
        dp_llm_call_settle(r->llm, r->backend, r->status, r->first_token_us,
                           r->err.rc == GW_CANCELLED);
    if (!r->is_copy) {
        count(r, duration_us);
        log_request(r, duration_us);
    }
    dp_mirror_leave(r);
    dp_upstream_drop(r);
    r->down->over(r, keep);
}

// The head is out and the rest will not come: the client must not take it for a whole answer.
void dp_req_cut(struct dp_req *r) {
    if (r->stage == DP_STAGE_STREAM && r->head_is_held) { // not a byte was sent yet
        dp_answer_instead(r, "bad_gateway");
        return;
    }
    r->down->abort(r);
    dp_req_finish(r, false);
}

void dp_req_cancel(struct dp_req *r) {
    if (!r->err.text[0]) gw_err_set(&r->err, GW_CANCELLED, 0, "the client left");
    if (r->fiber) {
        dp_req_wake(r, DP_WAKE_GONE);
        return;
    }
    r->down->abort(r);
    dp_req_finish(r, false);
}
