// SPDX-License-Identifier: Apache-2.0
// What client connections of all protocols have in common: the worker's list of them, and how an
// accepted socket becomes one.
#include "dataplane/net/listener.h"
#include "dataplane/obs/metrics.h"
#include "dataplane/proxy/client_h1.h"

bool dp_client_init(struct dp_client *c, struct dp_worker *w, const struct dp_accepted *a,
                    const struct dp_conn_ops *conn_ops, const struct dp_client_ops *ops) {
    struct gw_err err;
    if (dp_conn_init(&c->conn, w->loop, a->fd, conn_ops, &err) != GW_OK) {
        gw_tls_free(a->tls);
        dp_listener_close_fd(a->fd);
        return false;
    }
    c->conn.tls = a->tls;
    c->ops = ops;
    c->worker = w;
    c->conf_port = a->conf_port;
    memcpy(c->peer, a->peer, strnlen(a->peer, sizeof(c->peer) - 1));
    c->next = w->clients;
    c->pprev = &w->clients;
    if (c->next) c->next->pprev = &c->next;
    w->clients = c;
    w->clients_n++;
    gw_metric_add(dp_metrics.downstream, 1);
    return true;
}

void dp_client_unlink(struct dp_client *c) {
    *c->pprev = c->next;
    if (c->next) c->next->pprev = c->pprev;
    c->worker->clients_n--;
    gw_metric_add(dp_metrics.downstream, -1);
}
