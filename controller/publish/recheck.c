// SPDX-License-Identifier: Apache-2.0
// Streams stay open for weeks, and whoever opened one may have lost the right to it since. So each
// data plane is asked for its present token every so often, and that is judged as at the start. It
// is not the first token that is kept and judged again: tokens are replaced while they are good,
// and a controller that keeps none has none to lose.
#include "controller/publish/internal.h"

#include <stdlib.h>

// From the question to the token.
#define SHOW_MS 30000
// Data planes that came together (a controller that started) are not asked together: part of the
// interval that is cut off at most.
#define SPREAD_SHARE 10

static void arm(struct ctl_peer *peer) {
    struct ctl_publish *p = peer->publish;
    unsigned spread_ms = p->opts.recheck_ms / SPREAD_SHARE;
    if (!p->opts.recheck_ms) return;
    uint32_t random;
    gw_random(&random, sizeof(random));
    gw_timer_set(p->opts.loop, &peer->recheck, p->opts.recheck_ms - random % (spread_ms + 1));
}

static void on_timer(struct gw_timer *t) {
    struct ctl_peer *peer = GW_CONTAINER_OF(t, struct ctl_peer, recheck);
    if (peer->is_token_due) {
        ctl_peer_send_away(peer, "the data plane was asked for its token and did not show it");
    } else if (!peer->view) { // its hello is waited for
        arm(peer);
    } else {
        peer->is_token_due = true;
        gw_timer_set(peer->publish->opts.loop, t, SHOW_MS);
        ctl_peer_send(peer, gw_ir_identify());
    }
}

// 503: nobody can tell, and that is no reason to take anything from anybody.
static void on_identity(void *arg, const struct ctl_identity_answer *a) {
    struct ctl_peer *peer = arg;
    if (a->status == 200 && strcmp(a->ns, peer->ns) != 0)
        ctl_peer_send_away(peer, "the token is of another namespace now");
    else if (a->status != 200 && a->status != 503)
        ctl_peer_send_away(peer, a->why);
}

void ctl_recheck_begin(struct ctl_peer *peer) {
    gw_timer_init(&peer->recheck, on_timer);
    arm(peer);
}

void ctl_recheck_end(struct ctl_peer *peer) {
    gw_timer_cancel(peer->publish->opts.loop, &peer->recheck);
    if (peer->publish->identity) ctl_identity_leave(peer->publish->identity, peer);
}

enum gw_rc ctl_recheck_token(struct ctl_peer *peer, struct gw_str token, struct gw_err *err) {
    struct ctl_publish *p = peer->publish;
    if (!peer->is_token_due) // each costs the API server a review
        return gw_err_set(err, GW_ERR_INPUT, 0, "nobody asked for a token");
    peer->is_token_due = false;
    arm(peer);
    if (p->identity)
        ctl_identity_ask_anew(p->identity, token, on_identity, peer);
    else if (!gw_secret_eq(p->token, token))
        return gw_err_set(err, GW_ERR_AUTH, 401, "the token is not the bootstrap token");
    return GW_OK;
}
