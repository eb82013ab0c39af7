// SPDX-License-Identifier: Apache-2.0
// Step "filter", and the filters of answers: the rule's filters are around those of its backend.
#include "dataplane/proxy/req.h"

static struct dp_policy_call call_of(struct dp_req *r, struct dp_head *answer) {
    return (struct dp_policy_call){
        .head = r->head,
        .arena = &r->arena,
        .scheme = r->listener->is_tls ? GW_STR("https") : GW_STR("http"),
        .port = r->listener->port,
        .origin = r->origin,
        .answer = answer,
        .err = &r->err,
    };
}

static void answer_by(struct dp_req *r, const struct dp_policy *p,
                      const struct dp_policy_call *call) {
    r->status = call->own_status;
    r->local_fields = call->own_fields;
    r->local_policy = p;
    r->stage = DP_STAGE_LOCAL;
}

enum gw_rc dp_filter_request(struct dp_req *r, const struct dp_filters *f) {
    struct dp_policy_call call = call_of(r, NULL);
    for (unsigned i = 0; i < f->len; i++) {
        const struct dp_policy *p = &f->ptr[i];
        if (!p->type->request) continue;
        enum gw_rc rc = p->type->request(p->conf, &call);
        if (rc != GW_OK) {
            r->code = "filter";
            return gw_err_wrap(&r->err, "filter %s", p->type->name);
        }
        if (call.own_status) {
            answer_by(r, p, &call);
            return GW_OK;
        }
    }
    return GW_OK;
}

// Two of them are none: browsers send one.
static struct gw_str origin_of(const struct dp_head *head) {
    struct gw_str origin = {NULL, 0};
    for (unsigned i = 0; i < head->fields.len; i++) {
        const struct dp_field *f = &head->fields.ptr[i];
        if (!gw_str_eq_nocase(f->name, GW_STR("origin"))) continue;
        if (origin.ptr) return (struct gw_str){NULL, 0};
        origin = f->value;
    }
    return origin;
}

enum gw_rc dp_step_filter(struct dp_req *r) {
    if (r->rule->answers_preflights) r->origin = origin_of(r->head);
    return dp_filter_request(r, &r->rule->filters);
}

static enum gw_rc filter_answer(struct dp_req *r, const struct dp_filters *f,
                                struct dp_head *answer, bool is_own) {
    struct dp_policy_call call = call_of(r, answer);
    for (unsigned i = 0; i < f->len; i++) {
        const struct dp_policy *p = &f->ptr[i];
        if (!p->type->response || p == r->local_policy) continue;
        if (is_own && !p->type->on_refusals) continue;
        enum gw_rc rc = p->type->response(p->conf, &call);
        if (rc != GW_OK) return gw_err_wrap(&r->err, "filter %s", p->type->name);
    }
    return GW_OK;
}

enum gw_rc dp_filter_answer(struct dp_req *r, struct dp_head *answer, bool is_own) {
    if (!r->rule) return GW_OK;
    if (r->rule_backend) GW_TRY(filter_answer(r, &r->rule_backend->filters, answer, is_own));
    return filter_answer(r, &r->rule->filters, answer, is_own);
}
