// SPDX-License-Identifier: Apache-2.0
// Steps "route" and "filter": which listener and rule a request belongs to, and what the rule's
// filters do to its head.
#include "dataplane/proxy/req.h"

enum gw_rc dp_step_route(struct dp_req *r) {
    const struct dp_conf *conf = r->conf->conf;
    const struct dp_port *port = conf ? dp_conf_port(conf, r->client->conf_port) : NULL;
    if (r->head->method == DP_METHOD_CONNECT)
        return dp_req_fail(r, GW_ERR_INPUT, 501, "not_implemented", "CONNECT is not supported");
    if (!port) {
        // The listener is gone; the connection outlived it.
        r->keep_alive = false;
        return dp_req_fail(r, GW_ERR_INPUT, 404, "no_listener",
                           "no listener serves this port any more");
    }
    r->listener = dp_conf_listener(port, r->head->host);
    if (!r->listener)
        return dp_req_fail(r, GW_ERR_INPUT, 404, "no_listener", "no listener serves this host");
    r->rule = dp_router_match(r->listener->router, r->head);
    if (!r->rule)
        return dp_req_fail(r, GW_ERR_INPUT, 404, "no_route", "no route matches this request");
    return GW_OK;
}

struct dp_policy_call dp_req_policy_call(struct dp_req *r) {
    return (struct dp_policy_call){
        .head = r->head,
        .arena = &r->arena,
        .scheme = r->listener->is_tls ? GW_STR("https") : GW_STR("http"),
        .port = r->listener->port,
        .answer = r->answer,
        .err = &r->err,
    };
}

enum gw_rc dp_step_filter(struct dp_req *r) {
    struct dp_policy_call call = dp_req_policy_call(r);
    for (unsigned i = 0; i < r->rule->filters_n; i++) {
        const struct dp_policy *p = &r->rule->filters[i];
        if (!p->type->request) continue;
        enum gw_rc rc = p->type->request(p->conf, &call);
        if (rc != GW_OK) {
            r->code = "filter";
            return gw_err_wrap(&r->err, "filter %s", p->type->name);
        }
    }
    return GW_OK;
}
