// SPDX-License-Identifier: Apache-2.0
// Making an upstream connection: name look-up, TCP connect (each address in turn), TLS handshake,
// under one deadline. All by events, so that none of it needs a fiber's stack.
#include "dataplane/upstream/pool_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct dp_connect {
    struct dp_upstream *upstream;
    struct dp_endpoint *endpoint;
    struct dp_upconn *conn; // while connecting
    struct gw_tls *tls;     // while shaking hands; the connection's once it is ready
    struct dp_dns_query *query;
    struct gw_timer timer;
    struct dp_dns_addr addrs[DP_DNS_ADDRS_MAX];
    unsigned addrs_n, next_addr;
    bool started, cancelled;
    dp_connect_fn fn;
    void *arg;
    struct gw_err err;
};

// The half-made connection is not registered through dp_conn yet, so its socket is closed here.
static void drop_conn(struct dp_connect *c) {
    struct dp_upconn *u = c->conn;
    if (!u) return;
    c->conn = NULL;
    gw_tls_free(c->tls);
    c->tls = NULL;
    int fd = u->conn.io.fd;
    if (fd >= 0) {
        gw_io_del(c->upstream->loop, &u->conn.io);
        close(fd);
    }
    u->conn.io.fd = -1;
    dp_upconn_destroy(u);
}

static void destroy(struct dp_connect *c) {
    if (c->query) dp_dns_cancel(c->query);
    gw_timer_cancel(c->upstream->loop, &c->timer);
    drop_conn(c);
    dp_endpoint_unref(c->endpoint);
    gw_loop_free_later(c->upstream->loop, c);
}

static void finish(struct dp_connect *c, struct dp_upconn *conn) {
    dp_connect_fn fn = c->fn;
    void *arg = c->arg;
    struct gw_err err = c->err;
    if (conn)
        c->conn = NULL; // it is the caller's
    else
        gw_metric_add(c->endpoint->failures, 1);
    destroy(c);
    fn(arg, conn, conn ? NULL : &err);
}

static void try_next(struct dp_connect *c);

// Callers are told, so texts name no endpoint: who may know finds it beside them in the log.
static void cannot_connect(struct dp_connect *c, int error) {
    gw_err_set(&c->err, GW_ERR_UPSTREAM, 503, "cannot connect to the upstream: %s",
               strerror(error));
}

static void fail_address(struct dp_connect *c) {
    drop_conn(c);
    if (c->next_addr < c->addrs_n)
        try_next(c);
    else
        finish(c, NULL);
}

static void ready(struct dp_connect *c) {
    struct dp_upconn *u = c->conn;
    int fd = u->conn.io.fd;
    gw_io_del(c->upstream->loop, &u->conn.io);
    if (dp_conn_init(&u->conn, c->upstream->loop, fd, NULL, &c->err) != GW_OK) {
        close(fd);
        u->conn.io.fd = -1;
        fail_address(c);
        return;
    }
    u->conn.tls = c->tls;
    c->tls = NULL;
    gw_metric_add(c->endpoint->connects, 1);
    finish(c, u);
}

static void handshake(struct dp_connect *c) {
    enum gw_tls_want want = GW_TLS_WANT_NONE;
    enum gw_rc rc = gw_tls_handshake(c->tls, &want, &c->err);
    if (rc == GW_OK) {
        ready(c);
    } else if (rc == GW_AGAIN) {
        gw_io_mod(c->upstream->loop, &c->conn->conn.io,
                  want == GW_TLS_WANT_WRITE ? EPOLLOUT : EPOLLIN);
    } else {
        gw_err_wrap(&c->err, "the upstream");
        c->err.code = 502;
        fail_address(c);
    }
}

static void on_event(struct gw_io *io, uint32_t events GW_UNUSED) {
    struct dp_conn *conn = GW_CONTAINER_OF(io, struct dp_conn, io);
    struct dp_connect *c = ((struct dp_upconn *)conn)->user;
    if (c->tls) {
        handshake(c);
        return;
    }
    int error = 0;
    socklen_t len = sizeof(error);
    getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error) {
        cannot_connect(c, error);
        fail_address(c);
        return;
    }
    if (!c->endpoint->tls) {
        ready(c);
        return;
    }
    c->tls = gw_tls_new(c->upstream->tls, io->fd, c->endpoint->host, &c->err);
    if (c->tls)
        handshake(c);
    else
        fail_address(c);
}

static void set_port(struct sockaddr_storage *a, uint16_t port) {
    if (a->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)a)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)a)->sin_port = htons(port);
}

static void try_next(struct dp_connect *c) {
    struct dp_dns_addr *a = &c->addrs[c->next_addr++];
    struct dp_upconn *u = dp_upconn_new(c->upstream, c->endpoint);
    int fd = socket(a->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    c->conn = u;
    u->user = c;
    if (fd < 0) {
        gw_err_set(&c->err, GW_ERR_LIMIT, 503, "no socket: %s", strerror(errno));
        fail_address(c);
        return;
    }
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    set_port(&a->addr, c->endpoint->port);
    if (connect(fd, (struct sockaddr *)&a->addr, a->len) < 0 && errno != EINPROGRESS) {
        cannot_connect(c, errno);
        close(fd);
        fail_address(c);
        return;
    }
    if (gw_io_add(c->upstream->loop, &u->conn.io, fd, EPOLLOUT, on_event, &c->err) != GW_OK) {
        close(fd);
        fail_address(c);
    }
}

static void on_names(void *arg, enum gw_rc rc, const struct dp_dns_addr *addrs, unsigned n,
                     const struct gw_err *err) {
    struct dp_connect *c = arg;
    c->query = NULL;
    if (rc != GW_OK) {
        c->err = *err;
        c->err.code = 503;
        finish(c, NULL);
        return;
    }
    c->addrs_n = n < DP_DNS_ADDRS_MAX ? n : DP_DNS_ADDRS_MAX;
    memcpy(c->addrs, addrs, c->addrs_n * sizeof(*addrs));
    try_next(c);
}

static void on_timer(struct gw_timer *t) {
    struct dp_connect *c = GW_CONTAINER_OF(t, struct dp_connect, timer);
    gw_err_set(&c->err, GW_ERR_TIMEOUT, 504, "no connection to the upstream in time");
    finish(c, NULL);
}

// Runs at the end of the turn, on the loop's own stack: the caller is usually a fiber.
static void start(void *arg) {
    struct dp_connect *c = arg;
    c->started = true;
    if (c->cancelled) {
        destroy(c);
    } else if (c->endpoint->named) {
        struct dp_dns_query *q = dp_dns_resolve(c->upstream->dns, c->endpoint->host, on_names, c);
        if (q) c->query = q;
    } else {
        c->addrs[0] = (struct dp_dns_addr){.addr = c->endpoint->addr, .len = c->endpoint->addr_len};
        c->addrs_n = 1;
        try_next(c);
    }
}

struct dp_connect *dp_pool_connect(struct dp_upstream *u, struct dp_endpoint *e, int64_t timeout_ms,
                                   dp_connect_fn fn, void *arg, struct gw_err *err) {
    if (u->conns >= DP_UPSTREAM_CONNS_MAX) {
        gw_err_set(err, GW_ERR_LIMIT, 503, "this worker has %u upstream connections open",
                   u->conns);
        return NULL;
    }
    struct dp_connect *c = gw_alloc(sizeof(*c));
    c->upstream = u;
    c->endpoint = dp_endpoint_ref(e);
    c->fn = fn;
    c->arg = arg;
    gw_timer_init(&c->timer, on_timer);
    if (timeout_ms > 0) gw_timer_set(u->loop, &c->timer, timeout_ms);
    gw_loop_defer(u->loop, start, c);
    return c;
}

void dp_connect_cancel(struct dp_connect *c) {
    c->cancelled = true;
    if (c->started) destroy(c);
}
