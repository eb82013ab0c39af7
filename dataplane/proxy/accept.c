// SPDX-License-Identifier: Apache-2.0
// Connections on HTTPS ports until their handshake is done: by events, in the worker's list like
// any client, with the time that a head has. The name that a client asks for chooses the listener,
// and that one's certificates; nobody else's is ever shown.
#include "dataplane/net/listener.h"
#include "dataplane/obs/metrics.h"
#include "dataplane/proxy/client_h1.h"

#include <stdlib.h>
#include <sys/socket.h>

// Lines about refused handshakes, per second and worker.
#define LOG_BURST 5
// Read and dropped before a refused connection is closed: what is left unread becomes a reset, and
// that would overtake the alert.
#define DROP_BYTES_MAX (64 * 1024)

// What is offered by ALPN, in our order, and who serves it. Clients that do not ask speak the last.
static const struct {
    const char *name;
    void (*start)(struct dp_worker *w, const struct dp_accepted *a);
} dp_alpn[] = {
    {"h2", dp_client_h2_start},
    {"http/1.1", dp_client_h1_start},
};

struct handshake {
    struct dp_client base; // first
    struct gw_timer timer;
};

static void forget(struct handshake *h) {
    struct gw_loop *loop = h->base.worker->loop;
    gw_timer_cancel(loop, &h->timer);
    dp_client_unlink(&h->base);
    gw_loop_free_later(loop, h);
}

static void drop_input(int fd) {
    char piece[4096];
    size_t dropped = 0;
    ssize_t n;
    while (dropped < DROP_BYTES_MAX && (n = recv(fd, piece, sizeof(piece), MSG_DONTWAIT)) > 0)
        dropped += (size_t)n;
}

static void give_up(struct handshake *h, gw_metric_id result) {
    gw_metric_add(result, 1);
    drop_input(h->base.conn.io.fd);
    dp_conn_close(&h->base.conn);
    forget(h);
}

static void refused(struct handshake *h, const struct gw_err *err) {
    static __thread struct gw_log_limit limit;
    const struct gw_tls *tls = h->base.conn.tls;
    bool is_unserved = tls && gw_tls_is_unserved(tls);
    if (gw_log_allow(&limit, gw_loop_now_ms(h->base.worker->loop), LOG_BURST))
        GW_DEBUG("tls", "handshake refused", GW_KS("client", h->base.peer),
                 GW_KI("port", h->base.conf_port), GW_KB("unserved", is_unserved),
                 GW_KS("err", err->text));
    give_up(h, is_unserved ? dp_metrics.handshakes_unserved : dp_metrics.handshakes_failed);
}

static void done(struct handshake *h) {
    struct dp_worker *w = h->base.worker;
    struct dp_accepted a = {.conf_port = h->base.conf_port, .peer = h->base.peer};
    size_t chosen = 0, last = GW_ARRAY_LEN(dp_alpn) - 1;
    a.fd = dp_conn_take(&h->base.conn, &a.tls);
    forget(h);
    gw_metric_add(
        gw_tls_is_resumed(a.tls) ? dp_metrics.handshakes_resumed : dp_metrics.handshakes_full, 1);
    while (chosen < last && !gw_tls_alpn_is(a.tls, gw_str_of(dp_alpn[chosen].name)))
        chosen++;
    dp_alpn[chosen].start(w, &a);
}

static void step(struct dp_conn *conn) {
    struct handshake *h = (struct handshake *)conn;
    struct gw_err err;
    // Only now: who connects and says nothing costs no more than a socket.
    if (!conn->tls) conn->tls = gw_tls_accept(h->base.worker->server_tls, conn->io.fd, h, &err);
    enum gw_rc rc = conn->tls ? dp_conn_handshake(conn, &err) : err.rc;
    if (rc == GW_OK)
        done(h);
    else if (rc != GW_AGAIN)
        refused(h, &err);
}

static void on_error(struct dp_conn *conn) {
    give_up((struct handshake *)conn, dp_metrics.handshakes_failed);
}
static const struct dp_conn_ops conn_ops = {step, step, on_error};

static void on_timer(struct gw_timer *t) {
    give_up(GW_CONTAINER_OF(t, struct handshake, timer), dp_metrics.handshakes_timeout);
}

static void drain(struct dp_client *base, enum dp_drain how) {
    if (how != DP_DRAIN_IDLE) give_up((struct handshake *)base, dp_metrics.handshakes_failed);
}
static const struct dp_client_ops client_ops = {drain};

static bool choose(void *arg, struct gw_str name, struct gw_tls_choice *ret) {
    const struct handshake *h = arg;
    const struct dp_conf *conf = h->base.worker->conf->conf;
    const struct dp_port *port = conf ? dp_conf_port(conf, h->base.conf_port) : NULL;
    return port && port->is_tls && dp_conf_certs(port, name, ret);
}

struct gw_tls_ctx *dp_server_tls(struct gw_err *err) {
    struct gw_text names = {0};
    for (size_t i = 0; i < GW_ARRAY_LEN(dp_alpn); i++)
        gw_text_addf(&names, "%s%s", i ? "," : "", dp_alpn[i].name);
    struct gw_tls_ctx *c = gw_tls_names_ctx(choose, gw_text_str(&names), err);
    gw_text_fini(&names);
    return c;
}

void dp_tls_accept(struct dp_worker *w, const struct dp_accepted *a) {
    struct handshake *h = gw_alloc(sizeof(*h));
    if (!dp_client_init(&h->base, w, a, &conn_ops, &client_ops)) {
        free(h);
        return;
    }
    gw_timer_init(&h->timer, on_timer);
    if (w->settings->head_ms) gw_timer_set(w->loop, &h->timer, w->settings->head_ms);
}
