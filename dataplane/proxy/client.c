// SPDX-License-Identifier: Apache-2.0
// What client connections of all protocols have in common: the worker's list of them, and how an
// accepted socket becomes one.
#include "dataplane/net/listener.h"
#include "dataplane/obs/metrics.h"
#include "dataplane/proxy/client_h1.h"

void dp_client_link(struct dp_client *c, struct dp_worker *w, uint16_t conf_port,
                    const char *peer) {
    c->worker = w;
    c->conf_port = conf_port;
    memcpy(c->peer, peer, strnlen(peer, sizeof(c->peer) - 1));
    c->next = w->clients;
    c->pprev = &w->clients;
    if (c->next) c->next->pprev = &c->next;
    w->clients = c;
    w->clients_n++;
    gw_metric_add(dp_metrics.downstream, 1);
}

void dp_client_unlink(struct dp_client *c) {
    *c->pprev = c->next;
    if (c->next) c->next->pprev = c->pprev;
    c->worker->clients_n--;
    gw_metric_add(dp_metrics.downstream, -1);
}
