// SPDX-License-Identifier: Apache-2.0
// Step "plan": which backend a request goes to. For a rule of Services that is one turn of the
// weights; a model request's body is read first, because its model decides.
#include "dataplane/proxy/mirror.h"
#include "dataplane/proxy/req.h"

static enum gw_rc pick_service(struct dp_req *r) {
    const struct dp_rule *rule = r->rule;
    unsigned i = 0;
    if (rule->backends_n > 1) {
        unsigned weights[DP_RULE_BACKENDS_MAX];
        for (unsigned k = 0; k < rule->backends_n; k++)
            weights[k] = rule->backends[k].weight;
        i = dp_balance_turn(rule->turns[r->worker->index].current, weights, rule->backends_n);
    } else if (rule->weight_sum == 0) {
        i = rule->backends_n;
    }
    if (i >= rule->backends_n)
        return dp_req_fail(r, GW_ERR_INTERNAL, 500, "no_backend",
                           "the route has no backend that may take requests");
    const struct dp_rule_backend *b = &rule->backends[i];
    if (!b->backend)
        return dp_req_fail(r, GW_ERR_INTERNAL, 500, "invalid_backend",
                           "the backend of this route cannot be resolved (" GW_STR_FMT ")",
                           GW_STR_ARG(b->invalid));
    r->rule_backend = b;
    r->backend = b->backend;
    GW_TRY(dp_filter_request(r, &b->filters));
    if (r->stage == DP_STAGE_DECIDE) dp_mirror_begin(r, &b->filters);
    return GW_OK;
}

// The body is wanted whole: 413 before a byte of it is read, where its length says so already.
static enum gw_rc gather_body(struct dp_req *r) {
    uint64_t max = r->worker->settings->llm_body_bytes_max;
    if (r->head->content_length > 0 && (uint64_t)r->head->content_length > max)
        return dp_req_fail(r, GW_ERR_LIMIT, 413, "request_too_large",
                           "the body has %lld bytes; at most %llu are taken (--llm-body-max)",
                           (long long)r->head->content_length, (unsigned long long)max);
    r->body_bytes_max = max;
    r->body_mode = DP_BODY_GATHER;
    dp_body_pump(r);
    GW_TRY(dp_req_wait_for(r, DP_WAKE_BODY));
    return GW_OK;
}

static enum gw_rc answer_models(struct dp_req *r, struct gw_str id) {
    if (r->head->method != DP_METHOD_GET && r->head->method != DP_METHOD_HEAD)
        return dp_req_fail(r, GW_ERR_INPUT, 405, "method_not_allowed", "models are read with GET");
    enum gw_rc rc = dp_llm_models(r->rule, id, &r->local_body, &r->err);
    if (rc != GW_OK) {
        r->code = "model_not_found";
        return rc;
    }
    r->local_type = "application/json";
    r->status = 200;
    r->stage = DP_STAGE_LOCAL;
    return GW_OK;
}

// "/v1/models" and "/v1/models/NAME"; names may hold slashes.
static bool is_models_path(struct gw_str path, struct gw_str *ret_id) {
    static const struct gw_str word = {"/models", 7};
    *ret_id = (struct gw_str){NULL, 0};
    if (gw_str_ends(path, word)) return true;
    const char *at = memmem(path.ptr, path.len, "/models/", 8);
    if (!at) return false;
    *ret_id = (struct gw_str){at + 8, path.len - (size_t)(at + 8 - path.ptr)};
    return true;
}

static enum gw_rc check_model_head(struct dp_req *r) {
    const struct dp_head *head = r->head;
    const struct dp_field *encoding = dp_fields_find(&head->fields, DP_F_CONTENT_ENCODING);
    if (head->method != DP_METHOD_POST)
        return dp_req_fail(r, GW_ERR_INPUT, 405, "method_not_allowed",
                           "model requests are sent with POST");
    if (encoding && !gw_str_eq_nocase(encoding->value, GW_STR("identity")))
        return dp_req_fail(r, GW_ERR_INPUT, 415, "unsupported_encoding",
                           "a model request must not be compressed (content-encoding: " GW_STR_FMT
                           ")",
                           GW_STR_ARG(encoding->value));
    return GW_OK;
}

// Before the provider's own path, host and credentials are set: those are no filter's to change.
static enum gw_rc filter_model(struct dp_req *r) {
    const struct dp_rule *rule = r->rule;
    for (unsigned i = 0; i < rule->backends_n && !r->rule_backend; i++)
        if (rule->backends[i].backend == r->backend) r->rule_backend = &rule->backends[i];
    return r->rule_backend ? dp_filter_request(r, &r->rule_backend->filters) : GW_OK;
}

static enum gw_rc plan_model(struct dp_req *r) {
    struct gw_str id;
    const struct dp_llm_dialect *dialect = dp_llm_dialect_of_path(r->head->path);
    if (!dialect && is_models_path(r->head->path, &id)) return answer_models(r, id);
    if (!dialect)
        return dp_req_fail(
            r, GW_ERR_INPUT, 404, "unknown_url", "this path is not part of the API: " GW_STR_FMT,
            (int)(r->head->path.len < 200 ? r->head->path.len : 200), r->head->path.ptr);
    GW_TRY(check_model_head(r));
    r->llm = dp_llm_call_new(&r->arena, dialect);
    GW_TRY(gather_body(r));
    GW_TRY(dp_llm_call_plan(r->llm, r->rule, dp_worker_random(r->worker), &r->backend, &r->code,
                            &r->err));
    GW_TRY(filter_model(r));
    if (r->stage != DP_STAGE_DECIDE) return GW_OK;
    dp_llm_call_splice(r->llm, &r->body);
    enum gw_rc rc =
        dp_llm_call_head(r->llm, r->head, r->body.bytes, dp_worker_random(r->worker), &r->err);
    if (rc != GW_OK) r->code = "internal";
    int64_t whole_ms = r->backend->llm->timeouts.request_ms;
    if (whole_ms >= 0 && r->rule->request_ms < 0)
        r->deadline_us = whole_ms ? r->start_us + whole_ms * 1000 : 0;
    dp_req_arm(r, DP_DEADLINE_WHOLE, 0);
    return rc;
}

enum gw_rc dp_step_plan(struct dp_req *r) {
    return r->rule->is_llm ? plan_model(r) : pick_service(r);
}
