// SPDX-License-Identifier: Apache-2.0
// The life of a request, as one table. accept and decode happen in client_h1.c before it, on
// events; the steps below run as straight-line code on a fiber; then the fiber is given back and
// the answer streams by events (respond.c); settle and log run once, in finish.c.
#include "dataplane/proxy/mirror.h"
#include "dataplane/proxy/req.h"

#include <stdio.h>

static enum gw_rc mirror(struct dp_req *r) {
    dp_mirror_begin(r, &r->rule->filters);
    return GW_OK;
}

const struct dp_step dp_steps[] = {
    {"route", dp_step_route},   // listener and rule, by port, host, path, headers, query, method
    {"filter", dp_step_filter}, // the rule's request filters
    {"mirror", mirror},         // copies for other backends begin
    {"plan", dp_step_plan},     // tier 2: reads the body of a model request, picks its backend
    {"upstream", dp_step_upstream}, // attempts: endpoint, connection, send, wait for a head
    {"respond", dp_step_respond},   // response filters, framing, the head for the client
    {NULL, NULL},
};

enum gw_rc dp_req_fail(struct dp_req *r, enum gw_rc rc, int status, const char *code,
                       const char *fmt, ...) {
    va_list ap;
    r->err.rc = rc;
    r->err.code = status;
    va_start(ap, fmt);
    vsnprintf(r->err.text, sizeof(r->err.text), fmt, ap);
    va_end(ap);
    r->code = code;
    return rc;
}

const char *dp_req_upstream_code(const struct dp_req *r) {
    return r->err.code == 503 ? "no_connection" : r->err.code == 504 ? "timeout" : "bad_gateway";
}

static void decide(void *arg) {
    struct dp_req *r = arg;
    enum gw_rc rc = GW_OK;
    for (const struct dp_step *s = r->steps; s->name && rc == GW_OK; s++) {
        if (r->stage != DP_STAGE_DECIDE) break; // a step has an answer of ours ready
        rc = s->run(r);
    }
    if (rc == GW_CANCELLED)
        r->stage = DP_STAGE_GONE;
    else if (rc != GW_OK)
        dp_answer_refuse(r);
    r->fiber = NULL;
}

// What the fiber left to do, on the loop's own stack.
static void after_fiber(struct dp_req *r) {
    if (r->fiber) return; // suspended
    switch (r->stage) {
    case DP_STAGE_STREAM:
        dp_answer_pump(r);
        break;
    case DP_STAGE_LOCAL:
        dp_answer_send(r);
        break;
    case DP_STAGE_GONE:
        dp_req_finish(r, false);
        break;
    case DP_STAGE_DECIDE:
        GW_ASSERT(!"a fiber ended without a decision");
    }
}

void dp_req_begin(struct dp_req *r) {
    enum gw_rc rc = gw_fiber_start(r->worker->fibers, decide, r, &r->fiber, &r->err);
    if (rc != GW_OK) {
        r->err.code = 503;
        r->code = "overloaded";
        r->fiber = NULL;
        dp_answer_refuse(r);
    }
    after_fiber(r);
}

static const unsigned always = DP_WAKE_GONE | DP_WAKE_FAILED | DP_WAKE_TIMEOUT;

void dp_req_wake(struct dp_req *r, unsigned wake) {
    r->wakes |= wake;
    if (!r->wanted || !(r->wakes & r->wanted) || gw_fiber_self()) return;
    gw_fiber_resume(r->fiber, 0);
    after_fiber(r);
}

unsigned dp_req_wait(struct dp_req *r, unsigned wanted) {
    wanted |= always;
    while (!(r->wakes & wanted)) {
        r->wanted = wanted;
        gw_fiber_suspend();
        r->wanted = 0;
    }
    unsigned got = r->wakes & wanted;
    r->wakes &= ~got;
    return got;
}

enum gw_rc dp_req_wait_for(struct dp_req *r, unsigned wanted) {
    unsigned got = dp_req_wait(r, wanted);
    if (got & DP_WAKE_GONE) return GW_CANCELLED;
    if (got & wanted) return GW_OK;
    if (!r->code) r->code = got & DP_WAKE_TIMEOUT ? "timeout" : dp_req_upstream_code(r);
    return r->err.rc;
}
