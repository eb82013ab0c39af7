// SPDX-License-Identifier: Apache-2.0
// The listening end: accepts, checks the request and its token, counts peers. Connections that have
// not shown a token yet are bounded by not accepting more (the kernel's backlog waits), so that a
// start of a thousand data planes at once is slow instead of refused. Where one address holds many
// of them they are its own, and make room for others.
#include "shared/h2link_conn.h"
#include "shared/map.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

// Connections without a token at once; each may hold a TLS handshake's memory for setup_ms.
#define PENDING_MAX 256
// Of one address, as long as others wait.
#define PENDING_SHARE 16
#define ACCEPTS_PER_TURN 64
// Out of descriptors: a listening socket that stays readable must not spin the loop.
#define ACCEPT_PAUSE_MS 100

struct gw_h2link_server {
    struct gw_loop *loop;
    struct gw_h2link_server_opts opts; // host is not kept
    struct gw_io io;
    struct gw_timer accept_pause;
    uint16_t port;
    unsigned pending, open;
    struct gw_map pending_of;     // IP address -> their number, as a pointer
    struct gw_h2link_peer *peers; // the newest first
};

struct gw_h2link_peer {
    struct gw_h2conn conn;
    struct gw_h2link_server *server;
    struct gw_h2link_peer *next, **pprev;
    char address[64];
    void *user;
    bool is_pending; // among server->pending
    bool is_counted; // among server->open, and known to the user
    bool is_asked;   // the user was asked and has not answered
    // Of the request:
    bool is_post, is_path, is_relay;
    unsigned authorizations;
    struct gw_secret *token;
};

static struct gw_h2link_peer *peer_of(struct gw_h2conn *c) {
    return GW_CONTAINER_OF(c, struct gw_h2link_peer, conn);
}

// --- who has shown no token yet -----------------------------------------------------------------

static struct gw_str ip_of(const struct gw_h2link_peer *p) {
    return (struct gw_str){p->address, (size_t)(strrchr(p->address, ':') - p->address)};
}

static void count_pending(struct gw_h2link_peer *p, bool is_pending) {
    struct gw_h2link_server *s = p->server;
    if (p->is_pending == is_pending) return;
    p->is_pending = is_pending;
    uintptr_t n = (uintptr_t)gw_map_get(&s->pending_of, ip_of(p));
    n = is_pending ? n + 1 : n - 1;
    s->pending = is_pending ? s->pending + 1 : s->pending - 1;
    if (n)
        gw_map_put(&s->pending_of, ip_of(p), (void *)n);
    else
        gw_map_del(&s->pending_of, ip_of(p));
}

// The address that has most of them, where that is more than its share; else empty.
static struct gw_str greedy_ip(const struct gw_h2link_server *s) {
    struct gw_str ip, greedy = {NULL, 0};
    size_t it = 0;
    void *n;
    uintptr_t most = PENDING_SHARE;
    while (gw_map_next(&s->pending_of, &it, &ip, &n)) {
        if ((uintptr_t)n <= most) continue;
        most = (uintptr_t)n;
        greedy = ip;
    }
    return greedy;
}

static bool has_room(const struct gw_h2link_server *s) {
    return s->pending < PENDING_MAX || greedy_ip(s).ptr;
}

// The oldest connection of the address that has most goes.
static void make_room(struct gw_h2link_server *s) {
    struct gw_str ip = greedy_ip(s);
    struct gw_h2link_peer *oldest = NULL;
    struct gw_err err;
    if (s->pending < PENDING_MAX || !ip.ptr) return;
    for (struct gw_h2link_peer *p = s->peers; p; p = p->next)
        if (p->is_pending && gw_str_eq(ip_of(p), ip)) oldest = p;
    count_pending(oldest, false);
    gw_err_set(&err, GW_ERR_LIMIT, 0, "its address has too many connections without a token");
    gw_h2conn_fail(&oldest->conn, &err);
}

// Listens while there is room for one more.
static void accept_on(struct gw_h2link_server *s) {
    bool is_open = s->opts.tls && has_room(s) && !gw_timer_armed(&s->accept_pause);
    gw_io_mod(s->loop, &s->io, is_open ? EPOLLIN : 0);
}

// --- the request --------------------------------------------------------------------------------

static void peer_on_header(struct gw_h2conn *c, struct gw_str name, struct gw_str value) {
    struct gw_h2link_peer *p = peer_of(c);
    if (gw_str_eq(name, GW_STR(":method"))) p->is_post = gw_str_eq(value, GW_STR("POST"));
    if (gw_str_eq(name, GW_STR(":path"))) {
        p->is_relay = p->server->opts.takes_relay && gw_str_eq(value, GW_STR(GW_H2LINK_RELAY));
        p->is_path = p->is_relay || gw_str_eq(value, GW_STR(GW_H2LINK_PUSH));
    }
    if (!gw_str_eq(name, GW_STR("authorization"))) return;
    p->authorizations++;
    const struct gw_str scheme = GW_STR("bearer ");
    if (value.len <= scheme.len || strncasecmp(value.ptr, scheme.ptr, scheme.len) != 0) return;
    gw_secret_unref(p->token);
    p->token = gw_secret_new((struct gw_str){value.ptr + scheme.len, value.len - scheme.len});
}

static nghttp2_nv field(char *name, char *value) {
    return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value),
                        NGHTTP2_NV_FLAG_NONE};
}

// A header's value may hold no other bytes, and the peer may write it into its log.
static void printable(char dst[GW_H2LINK_WHY_MAX + 1], const char *text) {
    size_t n = strnlen(text, GW_H2LINK_WHY_MAX);
    for (size_t i = 0; i < n; i++)
        dst[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
    dst[n] = 0;
}

static void refuse(struct gw_h2link_peer *p, enum gw_rc rc, int status, const char *text) {
    char name[] = ":status", value[12], why_name[] = GW_H2LINK_WHY, why[GW_H2LINK_WHY_MAX + 1];
    struct gw_err err;
    snprintf(value, sizeof(value), "%d", status);
    printable(why, text);
    const nghttp2_nv nv[] = {field(name, value), field(why_name, why)};
    p->is_asked = false;
    nghttp2_submit_response(p->conn.session, p->conn.stream_id, nv, GW_ARRAY_LEN(nv), NULL);
    gw_err_set(&err, rc, status, "%s", text);
    gw_h2conn_drain(&p->conn, &err);
}

void gw_h2link_peer_refuse(struct gw_h2link_peer *p, int status, const char *why) {
    if (!p->is_asked || p->conn.state != GW_H2CONN_SETUP) return;
    refuse(p, status == 503 ? GW_ERR_UPSTREAM : GW_ERR_AUTH, status, why);
}

void gw_h2link_peer_accept(struct gw_h2link_peer *p) {
    struct gw_h2link_server *s = p->server;
    char name[] = ":status", value[] = "200";
    if (!p->is_asked || p->conn.state != GW_H2CONN_SETUP) return;
    if (s->open >= s->opts.peers_max) {
        refuse(p, GW_ERR_LIMIT, 503, "the limit of peers is reached");
        return;
    }
    p->is_asked = false;
    count_pending(p, false);
    s->open++;
    p->is_counted = true;
    accept_on(s);
    const nghttp2_nv nv = field(name, value);
    nghttp2_data_provider body = gw_h2conn_body(&p->conn);
    nghttp2_submit_response(p->conn.session, p->conn.stream_id, &nv, 1, &body);
    gw_h2conn_open(&p->conn);
    if (s->opts.on_open) s->opts.on_open(s->opts.arg, p);
}

static void peer_on_head(struct gw_h2conn *c) {
    struct gw_h2link_peer *p = peer_of(c);
    struct gw_h2link_server *s = p->server;
    struct gw_secret *token = p->token;
    p->token = NULL;
    if (!p->is_post || !p->is_path) {
        refuse(p, GW_ERR_INPUT, 404, "the request is not POST " GW_H2LINK_PUSH);
    } else if (!token || p->authorizations != 1) {
        refuse(p, GW_ERR_AUTH, 401, "the request has no token");
    } else {
        p->is_asked = true;
        s->opts.authorize(s->opts.arg, p, gw_secret_reveal(token));
    }
    gw_secret_unref(token);
}

static void peer_on_message(struct gw_h2conn *c, struct gw_str bytes) {
    struct gw_h2link_peer *p = peer_of(c);
    if (p->server->opts.on_message) p->server->opts.on_message(p->server->opts.arg, p, bytes);
}

static void peer_on_closed(struct gw_h2conn *c, const struct gw_err *why) {
    struct gw_h2link_peer *p = peer_of(c);
    struct gw_h2link_server *s = p->server;
    *p->pprev = p->next;
    if (p->next) p->next->pprev = p->pprev;
    p->is_asked = false;
    if (!p->is_counted) {
        count_pending(p, false);
        accept_on(s);
        if (s->opts.on_refused) s->opts.on_refused(s->opts.arg, p, why);
        return;
    }
    s->open--;
    // The last use of s: the user may free it.
    if (s->opts.on_close) s->opts.on_close(s->opts.arg, p, why);
}

static void peer_release(struct gw_h2conn *c) {
    struct gw_h2link_peer *p = peer_of(c);
    gw_secret_unref(p->token);
    free(p);
}

static const struct gw_h2conn_ops peer_ops = {
    .on_header = peer_on_header,
    .on_head = peer_on_head,
    .on_message = peer_on_message,
    .on_closed = peer_on_closed,
    .release = peer_release,
};

// --- accepting ----------------------------------------------------------------------------------

union address {
    struct sockaddr_in6 v6; // first: it is the largest, so that {0} is all of it
    struct sockaddr_in v4;
    struct sockaddr any;
};

static void address_text(const union address *a, char *dst, size_t n) {
    char ip[INET6_ADDRSTRLEN] = "?";
    if (a->any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &a->v4.sin_addr, ip, sizeof(ip));
        snprintf(dst, n, "%s:%u", ip, ntohs(a->v4.sin_port));
        return;
    }
    unsigned port = ntohs(a->v6.sin6_port);
    if (IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr)) {
        inet_ntop(AF_INET, &a->v6.sin6_addr.s6_addr[12], ip, sizeof(ip));
        snprintf(dst, n, "%s:%u", ip, port);
        return;
    }
    inet_ntop(AF_INET6, &a->v6.sin6_addr, ip, sizeof(ip));
    snprintf(dst, n, "[%s]:%u", ip, port);
}

static void peer_new(struct gw_h2link_server *s, int fd, const union address *from) {
    struct gw_h2link_peer *p = gw_alloc(sizeof(*p));
    p->server = s;
    address_text(from, p->address, sizeof(p->address));
    const struct gw_h2conn_conf conf = {
        .loop = s->loop,
        .ops = &peer_ops,
        .is_server = true,
        .message_bytes_max = s->opts.message_bytes_max,
        .queue_bytes_max = s->opts.queue_bytes_max,
        .setup_ms = s->opts.setup_ms,
        .ping_ms = s->opts.ping_ms,
    };
    if (gw_h2conn_start(&p->conn, &conf, fd, s->opts.tls, NULL, NULL) != GW_OK) {
        free(p);
        return;
    }
    p->next = s->peers;
    p->pprev = &s->peers;
    if (p->next) p->next->pprev = &p->next;
    s->peers = p;
    count_pending(p, true);
}

static void on_accept(struct gw_io *io, uint32_t events) {
    (void)events;
    struct gw_h2link_server *s = GW_CONTAINER_OF(io, struct gw_h2link_server, io);
    for (int i = 0; i < ACCEPTS_PER_TURN && has_room(s); i++) {
        union address from = {0};
        socklen_t n = sizeof(from);
        int fd = accept4(io->fd, &from.any, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            make_room(s);
            peer_new(s, fd, &from);
            continue;
        }
        bool is_short = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
        if (is_short) gw_timer_set(s->loop, &s->accept_pause, ACCEPT_PAUSE_MS);
        if (is_short || errno == EAGAIN) break;
        // Anything else is about the one connection that was given up meanwhile.
    }
    accept_on(s);
}

static void on_accept_pause(struct gw_timer *t) {
    accept_on(GW_CONTAINER_OF(t, struct gw_h2link_server, accept_pause));
}

// --- the server ---------------------------------------------------------------------------------

static int listen_on(const struct addrinfo *a, struct gw_err *err) {
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        gw_err_set(err, GW_ERR_INTERNAL, 0, "socket: %s", strerror(errno));
        return -1;
    }
    int on = 1, off = 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (a->ai_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0) return fd;
    gw_err_set(err, GW_ERR_INTERNAL, 0, "bind: %s", strerror(errno));
    close(fd);
    return -1;
}

static int listen_at(const char *host, uint16_t port, struct gw_err *err) {
    char service[8];
    snprintf(service, sizeof(service), "%u", port);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    int rc = getaddrinfo(host, service, &hints, &list);
    int fd = -1;
    if (rc != 0)
        gw_err_set(err, GW_ERR_INPUT, 0, "%s", gai_strerror(rc));
    else
        fd = listen_on(list, err);
    if (list) freeaddrinfo(list);
    if (fd < 0) gw_err_wrap(err, "push server at %s port %u", host, port);
    return fd;
}

static uint16_t port_of(int fd) {
    union address a = {0};
    socklen_t n = sizeof(a);
    if (getsockname(fd, &a.any, &n) != 0) return 0;
    return ntohs(a.any.sa_family == AF_INET6 ? a.v6.sin6_port : a.v4.sin_port);
}

struct gw_h2link_server *
gw_h2link_server_new(struct gw_loop *l, const struct gw_h2link_server_opts *o, struct gw_err *err) {
    int fd = listen_at(o->host, o->port, err);
    if (fd < 0) return NULL;
    struct gw_h2link_server *s = gw_alloc(sizeof(*s));
    s->loop = l;
    s->opts = *o;
    s->opts.host = NULL;
    s->port = port_of(fd);
    gw_timer_init(&s->accept_pause, on_accept_pause);
    if (gw_io_add(l, &s->io, fd, o->tls ? EPOLLIN : 0, on_accept, err) != GW_OK) {
        close(fd);
        free(s);
        return NULL;
    }
    if (s->opts.tls) gw_tls_ctx_ref(s->opts.tls);
    return s;
}

void gw_h2link_server_use(struct gw_h2link_server *s, struct gw_tls_ctx *tls) {
    gw_tls_ctx_ref(tls);
    gw_tls_ctx_unref(s->opts.tls);
    s->opts.tls = tls;
    accept_on(s);
}

uint16_t gw_h2link_server_port(const struct gw_h2link_server *s) {
    return s->port;
}

void gw_h2link_server_free(struct gw_h2link_server *s) {
    if (!s) return;
    int fd = s->io.fd;
    gw_io_del(s->loop, &s->io);
    close(fd);
    gw_timer_cancel(s->loop, &s->accept_pause);
    for (struct gw_h2link_peer *p = s->peers, *next; p; p = next) {
        next = p->next;
        gw_h2conn_abandon(&p->conn);
    }
    gw_tls_ctx_unref(s->opts.tls);
    gw_map_fini(&s->pending_of, NULL);
    free(s);
}

// --- peers --------------------------------------------------------------------------------------

enum gw_rc gw_h2link_peer_send(struct gw_h2link_peer *p, struct gw_str bytes, struct gw_err *err) {
    return gw_h2conn_send(&p->conn, bytes, err);
}

void gw_h2link_peer_close(struct gw_h2link_peer *p, const char *why) {
    struct gw_h2conn *c = &p->conn;
    if (c->state != GW_H2CONN_OPEN) return;
    struct gw_err err;
    gw_err_set(&err, GW_CANCELLED, 0, "%s", why);
    nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE, c->stream_id, NGHTTP2_NO_ERROR,
                          (const uint8_t *)why, strnlen(why, GW_H2LINK_WHY_MAX));
    gw_h2conn_drain(c, &err);
}

void gw_h2link_peer_set_max(struct gw_h2link_peer *p, size_t message_bytes_max) {
    p->conn.in.bytes_max = message_bytes_max;
}

const char *gw_h2link_peer_address(const struct gw_h2link_peer *p) {
    return p->address;
}

bool gw_h2link_peer_is_relay(const struct gw_h2link_peer *p) {
    return p->is_relay;
}

void gw_h2link_peer_set_user(struct gw_h2link_peer *p, void *user) {
    p->user = user;
}

void *gw_h2link_peer_user(const struct gw_h2link_peer *p) {
    return p->user;
}
