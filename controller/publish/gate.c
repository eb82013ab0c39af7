// SPDX-License-Identifier: Apache-2.0
// Who may follow the snapshot. In a folder: whoever has the bootstrap token. In a cluster: a
// ServiceAccount, and then the Gateway of its own namespace that the hello names, alone: a snapshot
// holds keys. Another replica of the controller: whoever has the push CA's key.
#include "controller/publish/internal.h"
#include "shared/log.h"

#include <stdlib.h>

// Lines about peers that are refused, each second; anybody can make them.
#define REFUSED_LINES 5
// Of a namespace, connected and without a hello yet, which is due at once.
#define MUTE_MAX 64

static void on_identity(void *arg, const struct ctl_identity_answer *a) {
    struct gw_h2link_peer *link = arg;
    if (a->status != 200) {
        gw_h2link_peer_refuse(link, a->status, a->why);
        return;
    }
    gw_h2link_peer_set_user(link, gw_strdup(a->ns)); // ctl_peer_open takes it
    gw_h2link_peer_accept(link);
}

static void authorize_replica(const struct ctl_publish *p, struct gw_h2link_peer *link,
                              struct gw_str token) {
    if (!p->relay_token || !gw_secret_eq(p->relay_token, token))
        gw_h2link_peer_refuse(link, 401, "the token is not that of a replica of this controller");
    else if (!p->is_leader)
        gw_h2link_peer_refuse(link, 503, "this replica does not hold the Lease");
    else
        gw_h2link_peer_accept(link);
}

void ctl_gate_authorize(void *arg, struct gw_h2link_peer *link, struct gw_str token) {
    const struct ctl_publish *p = arg;
    if (gw_h2link_peer_is_relay(link))
        authorize_replica(p, link, token);
    else if (p->identity)
        ctl_identity_ask(p->identity, token, on_identity, link);
    else if (gw_secret_eq(p->token, token))
        gw_h2link_peer_accept(link);
    else
        gw_h2link_peer_refuse(link, 401, "the token is not the bootstrap token");
}

void ctl_gate_refused(void *arg, struct gw_h2link_peer *link, const struct gw_err *why) {
    struct ctl_publish *p = arg;
    if (p->identity) ctl_identity_leave(p->identity, link);
    free(gw_h2link_peer_user(link)); // of one that came when the house was full
    if (gw_log_allow(&p->refused_lines, gw_loop_now_ms(p->opts.loop), REFUSED_LINES))
        GW_WARN("publish", gw_h2link_peer_is_relay(link) ? "replica refused" : "data plane refused",
                GW_KS("peer", gw_h2link_peer_address(link)), GW_KS("err", why->text));
}

// Any pod has a token, and only the hello tells whether there is something for it.
enum gw_rc ctl_gate_enters(const struct ctl_peer *peer, struct gw_err *err) {
    unsigned n = 0;
    if (!peer->ns) return GW_OK;
    for (const struct ctl_peer *p = peer->publish->peers; p; p = p->next)
        n += p->state == CTL_PEER_NEW && strcmp(p->ns, peer->ns) == 0;
    if (n <= MUTE_MAX) return GW_OK;
    return gw_err_set(err, GW_ERR_LIMIT, 503, "%d of namespace '%s' have not said hello", MUTE_MAX,
                      peer->ns);
}

enum gw_rc ctl_gate_names(const struct ctl_peer *peer, const char *gateway, struct gw_err *err) {
    if (!peer->ns) return GW_OK;
    struct gw_str name = gw_str_of(gateway), ns = gw_str_cut(&name, '/');
    if (!ns.len || !name.len)
        return gw_err_set(err, GW_ERR_AUTH, 403,
                          "the data plane names no Gateway (it needs --gateway NS/NAME)");
    if (!gw_str_eq(ns, gw_str_of(peer->ns)))
        return gw_err_set(err, GW_ERR_AUTH, 403,
                          "the token is of namespace '%s', and Gateway '%.100s' is not in it",
                          peer->ns, gateway);
    return GW_OK;
}

enum gw_rc ctl_gate_exists(const struct ctl_peer *peer, const char *gateway, struct gw_err *err) {
    const struct ctl_publish_opts *o = &peer->publish->opts;
    if (!peer->ns || o->has_gateway(o->arg, gateway)) return GW_OK;
    return gw_err_set(err, GW_ERR_AUTH, 403,
                      "Gateway '%.100s' does not exist, or is not of a GatewayClass of this "
                      "controller",
                      gateway);
}
