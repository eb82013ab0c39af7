// SPDX-License-Identifier: Apache-2.0
// Step "route": which listener and rule a request belongs to.
#include "dataplane/proxy/req.h"

// A preflight belongs to the rule of the request that it announces, so that a rule which matches
// POST alone can answer the preflights of its POSTs. One that matches by itself wins.
static const struct dp_rule_match *match_preflight(const struct dp_req *r,
                                                   const struct dp_rule_match *found) {
    struct gw_str asked = dp_policy_preflight(r->head);
    if (asked.len == 0 || (found && found->rule->answers_preflights)) return found;
    struct dp_head announced = *r->head;
    announced.method_text = asked;
    announced.method = dp_route_method_of(asked);
    const struct dp_rule_match *other = dp_router_match(r->listener->router, &announced);
    return other && other->rule->answers_preflights ? other : found;
}

static void take_rule(struct dp_req *r, const struct dp_rule_match *found) {
    r->match = found;
    r->rule = found->rule;
    if (r->rule->request_ms < 0) return;
    r->deadline_us = r->rule->request_ms ? r->start_us + r->rule->request_ms * 1000 : 0;
    dp_req_arm(r, DP_DEADLINE_WHOLE, 0);
}

// A connection stands for the listener that its handshake chose: a certificate for one name is no
// leave to ask for another listener's hosts (RFC 9110 15.5.20, GEP-3567). Then the connection's
// listener is the one to be noted.
static bool is_misdirected(struct dp_req *r, const struct dp_port *port) {
    const struct gw_tls *tls = r->client->conn.tls;
    if (!tls) return false;
    struct gw_str name = gw_tls_server_name(tls);
    if (gw_str_eq(name, r->head->host)) return false;
    const struct dp_listener *own = dp_conf_listener(port, name), *asked = r->listener;
    r->listener = own;
    return own != asked;
}

enum gw_rc dp_step_route(struct dp_req *r) {
    const struct dp_conf *conf = r->conf->conf;
    const struct dp_port *port = conf ? dp_conf_port(conf, r->client->conf_port) : NULL;
    if (r->head->method == DP_METHOD_CONNECT)
        return dp_req_fail(r, GW_ERR_INPUT, 501, "not_implemented", "CONNECT is not supported");
    if (!port || port->is_tls != (r->client->conn.tls != NULL)) {
        // The listener is gone; the connection outlived it.
        r->keep_alive = false;
        return dp_req_fail(r, GW_ERR_INPUT, 404, "no_listener",
                           "no listener serves this port any more");
    }
    r->listener = dp_conf_listener(port, r->head->host);
    if (!r->listener)
        return dp_req_fail(r, GW_ERR_INPUT, 404, "no_listener", "no listener serves this host");
    if (is_misdirected(r, port))
        return dp_req_fail(r, GW_ERR_INPUT, 421, "misdirected",
                           "this host belongs to another listener than the connection's");
    const struct dp_rule_match *found = dp_router_match(r->listener->router, r->head);
    if (r->head->method == DP_METHOD_OPTIONS) found = match_preflight(r, found);
    if (!found)
        return dp_req_fail(r, GW_ERR_INPUT, 404, "no_route", "no route matches this request");
    take_rule(r, found);
    return GW_OK;
}
