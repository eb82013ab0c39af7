// SPDX-License-Identifier: Apache-2.0
// The ledger of one model request: what the provider reported, or an estimate that says so.
#include "dataplane/llm/call.h"
#include "dataplane/obs/metrics.h"

// A rough measure where nothing was reported: English text has about four bytes a token.
#define BYTES_PER_TOKEN 4

void dp_llm_answer_scan_init(struct dp_llm_call *c) {
    static const enum dp_llm_answer_watch numbers[] = {DP_LLM_AN_INPUT, DP_LLM_AN_OUTPUT,
                                                       DP_LLM_AN_CACHED};
    for (size_t i = 0; i < GW_ARRAY_LEN(numbers); i++) {
        c->an[numbers[i]].capture = c->numbers[i];
        c->an[numbers[i]].capture_cap = sizeof(c->numbers[i]);
    }
    c->an[DP_LLM_AN_ERROR_MESSAGE].capture = c->message;
    c->an[DP_LLM_AN_ERROR_MESSAGE].capture_cap = sizeof(c->message);
    gw_jscan_init(&c->scan, c->dialect->answer, c->an, DP_LLM_AN_N, DP_LLM_DEPTH_MAX);
}

// Several reports of one stream are cumulative: the largest counts, they are not added up.
static void take_number(const struct gw_jfound *f, int64_t *to) {
    uint64_t n;
    if (f->type != GW_JT_NUMBER || f->truncated) return;
    if (!gw_json_number_u64((struct gw_str){f->capture, f->capture_len}, &n)) return;
    if ((int64_t)n > *to) *to = (int64_t)n;
}

void dp_llm_usage_take(struct dp_llm_call *c) {
    take_number(&c->an[DP_LLM_AN_INPUT], &c->usage.input);
    take_number(&c->an[DP_LLM_AN_OUTPUT], &c->usage.output);
    take_number(&c->an[DP_LLM_AN_CACHED], &c->usage.cached);
}

// An answer that reached us without a report is counted by its size and marked so: a stream that
// was left in the middle, or a provider that does not report.
static struct dp_llm_usage usage_of(const struct dp_llm_call *c) {
    struct dp_llm_usage u = c->usage;
    if (c->is_error || c->tap == DP_LLM_TAP_NONE || (u.input >= 0 && u.output >= 0)) return u;
    if (u.input < 0) u.input = (int64_t)(c->request_bytes / BYTES_PER_TOKEN);
    if (u.output < 0) {
        int64_t by_size = (int64_t)(c->content_bytes / BYTES_PER_TOKEN);
        u.output = by_size > (int64_t)c->content_events ? by_size : (int64_t)c->content_events;
    }
    u.estimated = true;
    return u;
}

void dp_llm_call_note(struct dp_llm_call *c, struct dp_llm_note *ret) {
    *ret = (struct dp_llm_note){
        .model = c->model,
        .upstream_model = c->upstream_model,
        .usage = usage_of(c),
        .failed = c->failed || c->is_error,
        .seen_content = c->content_events > 0,
    };
}

static void add_tokens(struct gw_str model, const char *kind, const char *how, int64_t n) {
    struct gw_str labels[] = {model, gw_str_of(kind), gw_str_of(how)};
    if (n > 0) gw_metric_add(gw_metric_series(&dp_metric_tokens, labels), n);
}

void dp_llm_call_settle(struct dp_llm_call *c, const struct dp_backend *b, int status,
                        int64_t first_token_us, bool cancelled) {
    struct dp_llm_usage u = usage_of(c);
    const char *how = u.estimated ? "estimated" : "reported";
    const char *outcome = cancelled                                     ? "cancelled"
                          : c->is_error || status == 0 || status >= 400 ? "error"
                          : c->failed                                   ? "cut"
                                                                        : "ok";
    bool is_answered = status >= 200 && status < 300 && !c->is_error;
    struct gw_str model = dp_llm_label(c, is_answered);
    struct gw_str labels[] = {model, b->label, gw_str_of(outcome)};
    gw_metric_add(gw_metric_series(&dp_metric_llm_requests, labels), 1);
    add_tokens(model, "input", how, u.input);
    add_tokens(model, "output", how, u.output);
    add_tokens(model, "cached", how, u.cached);
    if (c->is_stream && first_token_us >= 0 && !c->is_error)
        gw_metric_observe(gw_metric_series(&dp_metric_first_token, &model),
                          (uint64_t)first_token_us);
}
