// SPDX-License-Identifier: Apache-2.0
// The dialling end: look-up, each address in turn, the request, and again after a while. A dial is
//
//   waiting (timer) -> looking up (timer, resolve) -> connection per address -> open -> closed ->
//   waiting
#include "shared/h2link_client.h"

#include "shared/h2link_conn.h"
#include "shared/h2link_resolve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

// A name server that is silent for so long has failed; the thread finds out by itself.
#define LOOK_UP_MS 10000

struct gw_h2link_client {
    struct gw_loop *loop;
    struct gw_h2link_client_opts opts; // host and token are its own
    char *host;
    struct gw_timer timer; // waiting, or the look-up's limit
    unsigned failures;     // in a row
    struct gw_h2resolve *resolve;
    struct addrinfo *addrs, *next_addr;
    struct link *link;
    int64_t opened_ms; // 0: this connection was never open
};

// The connection, which may outlive the client until the end of the turn.
struct link {
    struct gw_h2conn conn;
    struct gw_h2link_client *client;
    unsigned status;
    char why[GW_H2LINK_WHY_MAX + 1]; // of the server's refusal; "": it did not say
};

unsigned gw_h2link_backoff_ms(unsigned min_ms, unsigned max_ms, unsigned failures,
                              uint32_t random) {
    uint64_t ms = min_ms ? min_ms : 1;
    uint64_t most = max_ms > ms ? max_ms : ms;
    for (unsigned i = 1; i < failures && ms < most; i++)
        ms *= 2;
    if (ms > most) ms = most;
    return (unsigned)(ms - ms / 2 + (uint64_t)random % (ms / 2 + 1));
}

// The dial or the connection is over. The last use of c: the user may free it.
static void closed(struct gw_h2link_client *c, const struct gw_err *why) {
    if (c->addrs) freeaddrinfo(c->addrs);
    c->addrs = c->next_addr = NULL;
    // A server that takes the stream and drops it at once is no better than one that refuses.
    bool was_good =
        c->opened_ms && gw_loop_now_ms(c->loop) - c->opened_ms >= (int64_t)c->opts.backoff_max_ms;
    c->failures = was_good ? 1 : c->failures + 1;
    c->opened_ms = 0;
    uint32_t random;
    gw_random(&random, sizeof(random));
    gw_timer_set(
        c->loop, &c->timer,
        gw_h2link_backoff_ms(c->opts.backoff_min_ms, c->opts.backoff_max_ms, c->failures, random));
    struct gw_err err = *why;
    err.retryable = true;
    gw_err_wrap(&err, "push stream to %s port %u", c->host, c->opts.port);
    if (c->opts.on_close) c->opts.on_close(c->opts.arg, &err);
}

// --- the connection -----------------------------------------------------------------------------

static struct link *link_of(struct gw_h2conn *conn) {
    return GW_CONTAINER_OF(conn, struct link, conn);
}

static nghttp2_nv header(const char *name, struct gw_str value, uint8_t flags) {
    // nghttp2 copies both and does not write to them.
    union {
        const char *in;
        uint8_t *out;
    } n = {.in = name}, v = {.in = value.ptr};
    return (nghttp2_nv){n.out, v.out, strlen(name), value.len, flags};
}

static int32_t submit(struct gw_h2conn *conn, const struct gw_secret *token) {
    struct gw_h2link_client *c = link_of(conn)->client;
    struct gw_text authority = {0}, bearer = {0};
    bool is_v6 = strchr(c->host, ':') != NULL;
    gw_text_addf(&authority, is_v6 ? "[%s]:%u" : "%s:%u", c->host, c->opts.port);
    gw_text_addf(&bearer, "Bearer " GW_STR_FMT, GW_STR_ARG(gw_secret_reveal(token)));
    const nghttp2_nv nv[] = {
        header(":method", GW_STR("POST"), NGHTTP2_NV_FLAG_NONE),
        header(":scheme", GW_STR("https"), NGHTTP2_NV_FLAG_NONE),
        header(":authority", gw_text_str(&authority), NGHTTP2_NV_FLAG_NONE),
        header(":path", gw_str_of(c->opts.path), NGHTTP2_NV_FLAG_NONE),
        header("authorization", gw_text_str(&bearer), NGHTTP2_NV_FLAG_NO_INDEX),
    };
    nghttp2_data_provider body = gw_h2conn_body(conn);
    int32_t id = nghttp2_submit_request(conn->session, NULL, nv, GW_ARRAY_LEN(nv), &body, NULL);
    explicit_bzero(bearer.ptr, bearer.len);
    gw_text_fini(&bearer);
    gw_text_fini(&authority);
    return id;
}

static void link_on_tls_open(struct gw_h2conn *conn) {
    struct gw_h2link_client *c = link_of(conn)->client;
    struct gw_err err;
    struct gw_secret *token =
        c->opts.get_token ? c->opts.get_token(c->opts.arg, &err) : gw_secret_ref(c->opts.token);
    if (!token) {
        gw_h2conn_fail(conn, &err);
        return;
    }
    int32_t id = submit(conn, token);
    gw_secret_unref(token);
    if (id >= 0) {
        conn->stream_id = id;
        return;
    }
    gw_err_set(&err, GW_ERR_INTERNAL, 0, "request: %s", nghttp2_strerror(id));
    gw_h2conn_fail(conn, &err);
}

static void link_on_header(struct gw_h2conn *conn, struct gw_str name, struct gw_str value) {
    struct link *k = link_of(conn);
    uint64_t status;
    if (gw_str_eq(name, GW_STR(":status")) && gw_str_to_u64(value, 999, &status) == GW_OK)
        k->status = (unsigned)status;
    if (!gw_str_eq(name, GW_STR(GW_H2LINK_WHY))) return;
    size_t n = value.len < GW_H2LINK_WHY_MAX ? value.len : GW_H2LINK_WHY_MAX;
    for (size_t i = 0; i < n; i++)
        k->why[i] = value.ptr[i] >= 0x20 && value.ptr[i] < 0x7f ? value.ptr[i] : '?';
    k->why[n] = 0;
}

static void link_on_head(struct gw_h2conn *conn) {
    struct link *k = link_of(conn);
    struct gw_h2link_client *c = k->client;
    if (k->status / 100 == 1) return; // the final response follows
    struct gw_err err;
    if (k->status != 200) {
        bool is_auth = k->status == 401 || k->status == 403;
        gw_err_set(&err, is_auth ? GW_ERR_AUTH : GW_ERR_UPSTREAM, (int)k->status,
                   k->why[0] ? "the server refuses it (%u): %s" : "the server answered %u%s",
                   k->status, k->why);
        gw_h2conn_fail(conn, &err);
    } else {
        c->opened_ms = gw_loop_now_ms(c->loop);
        gw_h2conn_open(conn);
        if (c->opts.on_open) c->opts.on_open(c->opts.arg);
    }
}

static void link_on_message(struct gw_h2conn *conn, struct gw_str bytes) {
    struct gw_h2link_client *c = link_of(conn)->client;
    if (c->opts.on_message) c->opts.on_message(c->opts.arg, bytes);
}

static bool dial_next(struct gw_h2link_client *c, struct gw_err *err);

static void link_on_closed(struct gw_h2conn *conn, const struct gw_err *why) {
    struct link *k = link_of(conn);
    struct gw_h2link_client *c = k->client;
    c->link = NULL;
    struct gw_err err = *why;
    bool may_be_the_address = !conn->session;
    if (may_be_the_address && dial_next(c, &err)) return;
    closed(c, &err);
}

static void link_release(struct gw_h2conn *conn) {
    free(link_of(conn));
}

static const struct gw_h2conn_ops link_ops = {
    .on_tls_open = link_on_tls_open,
    .on_header = link_on_header,
    .on_head = link_on_head,
    .on_message = link_on_message,
    .on_closed = link_on_closed,
    .release = link_release,
};

// --- dialling -----------------------------------------------------------------------------------

static enum gw_rc link_start(struct gw_h2link_client *c, const struct addrinfo *a,
                             struct gw_err *err) {
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return gw_err_set(err, GW_ERR_INTERNAL, 0, "socket: %s", strerror(errno));
    if (connect(fd, a->ai_addr, a->ai_addrlen) < 0 && errno != EINPROGRESS) {
        gw_err_set(err, GW_ERR_UPSTREAM, 502, "connect: %s", strerror(errno));
        close(fd);
        return GW_ERR_UPSTREAM;
    }
    struct link *k = gw_alloc(sizeof(*k));
    k->client = c;
    const struct gw_h2conn_conf conf = {
        .loop = c->loop,
        .ops = &link_ops,
        .message_bytes_max = c->opts.message_bytes_max,
        .queue_bytes_max = c->opts.queue_bytes_max,
        .setup_ms = c->opts.setup_ms,
        .ping_ms = c->opts.ping_ms,
    };
    enum gw_rc rc = gw_h2conn_start(&k->conn, &conf, fd, c->opts.tls, c->host, err);
    if (rc != GW_OK) {
        free(k);
        return rc;
    }
    c->link = k;
    return GW_OK;
}

// Starts a connection to the next address that allows one. false: none is left; err is of the last
// that was tried, or as it was.
static bool dial_next(struct gw_h2link_client *c, struct gw_err *err) {
    while (c->next_addr) {
        const struct addrinfo *a = c->next_addr;
        c->next_addr = a->ai_next;
        if (link_start(c, a, err) == GW_OK) return true;
    }
    return false;
}

static void on_resolved(void *arg, struct addrinfo *list, const struct gw_err *why) {
    struct gw_h2link_client *c = arg;
    c->resolve = NULL;
    gw_timer_cancel(c->loop, &c->timer);
    if (!list) {
        closed(c, why);
        return;
    }
    c->addrs = c->next_addr = list;
    struct gw_err err;
    if (!dial_next(c, &err)) closed(c, &err);
}

static void on_timer(struct gw_timer *t) {
    struct gw_h2link_client *c = GW_CONTAINER_OF(t, struct gw_h2link_client, timer);
    if (!c->resolve) {
        gw_timer_set(c->loop, &c->timer, LOOK_UP_MS);
        c->resolve = gw_h2resolve_start(c->loop, c->host, c->opts.port, on_resolved, c);
        return;
    }
    gw_h2resolve_cancel(c->resolve);
    c->resolve = NULL;
    struct gw_err err;
    gw_err_set(&err, GW_ERR_TIMEOUT, 504, "look-up of '%s': no answer within %d ms", c->host,
               LOOK_UP_MS);
    closed(c, &err);
}

struct gw_h2link_client *
gw_h2link_client_new(struct gw_loop *l, const struct gw_h2link_client_opts *o, struct gw_err *err) {
    if (!o->host || !*o->host || o->port == 0) {
        gw_err_set(err, GW_ERR_INPUT, 0, "push client: host '%s' and port %u are not an address",
                   o->host ? o->host : "", o->port);
        return NULL;
    }
    struct gw_h2link_client *c = gw_alloc(sizeof(*c));
    c->loop = l;
    c->opts = *o;
    c->opts.host = c->host = gw_strdup(o->host);
    if (!c->opts.path) c->opts.path = GW_H2LINK_PUSH;
    gw_tls_ctx_ref(c->opts.tls);
    if (c->opts.token) gw_secret_ref(c->opts.token);
    gw_timer_init(&c->timer, on_timer);
    gw_timer_set(l, &c->timer, 0); // not here: no callback runs before the caller has c
    return c;
}

void gw_h2link_client_free(struct gw_h2link_client *c) {
    if (!c) return;
    gw_timer_cancel(c->loop, &c->timer);
    if (c->resolve) gw_h2resolve_cancel(c->resolve);
    if (c->link) gw_h2conn_abandon(&c->link->conn);
    if (c->addrs) freeaddrinfo(c->addrs);
    gw_tls_ctx_unref(c->opts.tls);
    gw_secret_unref(c->opts.token);
    free(c->host);
    free(c);
}

enum gw_rc gw_h2link_client_send(struct gw_h2link_client *c, struct gw_str bytes,
                                 struct gw_err *err) {
    if (!c->link)
        return gw_err_set(err, GW_ERR_UPSTREAM, 503, "push stream to %s port %u: not connected",
                          c->host, c->opts.port);
    return gw_h2conn_send(&c->link->conn, bytes, err);
}
