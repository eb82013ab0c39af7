// SPDX-License-Identifier: Apache-2.0
// The pump of one push connection. nghttp2 may not be entered from its own callbacks, so that
// sending is put off to the end of the turn; freeing is put off to it as well. Reading and writing
// are bounded per turn: a peer with much to say does not keep the others waiting.
#include "shared/h2link_conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEFAULT_MS 10000
// For the other end to read the last frames and to close.
#define LINGER_MS 2000
// Flow control, stream and connection alike: a snapshot moves at full speed over 40 ms at 100 MB/s.
#define WINDOW_BYTES (4 << 20)
// All headers of a request. A ServiceAccount token has 1 to 2 KiB.
#define HEAD_BYTES_MAX (16u << 10)
// A TLS record: a read of less would leave bytes inside OpenSSL that epoll does not see.
#define READ_BYTES (16u << 10)
#define READS_PER_TURN 64
// Of a DATA frame's body: with its head of 9 bytes it is one TLS record.
#define FRAME_BYTES_MAX (READ_BYTES - 9)
#define WRITE_BYTES_PER_TURN (256u << 10)
// Bytes the kernel takes beyond what is on its way, so that a PING does not wait behind megabytes.
#define NOT_SENT_BYTES (256 << 10)

static void flush(struct gw_h2conn *c);

static bool is_live(const struct gw_h2conn *c) {
    return c->state < GW_H2CONN_DRAINING;
}

// --- the end ------------------------------------------------------------------------------------

static void finish(void *arg) {
    struct gw_h2conn *c = arg;
    if (c->session) gw_tls_shutdown(c->tls);
    nghttp2_session_del(c->session);
    gw_tls_free(c->tls);
    close(c->fd);
    gw_h2msg_in_fini(&c->in);
    gw_h2msg_out_fini(&c->out);
    if (!c->is_abandoned) c->conf.ops->on_closed(c, &c->why);
    c->conf.ops->release(c);
}

static void close_now(struct gw_h2conn *c) {
    c->state = GW_H2CONN_CLOSED;
    gw_io_del(c->conf.loop, &c->io);
    gw_timer_cancel(c->conf.loop, &c->timer);
    gw_loop_defer(c->conf.loop, finish, c);
}

void gw_h2conn_fail(struct gw_h2conn *c, const struct gw_err *why) {
    if (c->state == GW_H2CONN_CLOSED) return;
    if (c->state != GW_H2CONN_DRAINING) c->why = *why; // else the reason is known already
    close_now(c);
}

void gw_h2conn_abandon(struct gw_h2conn *c) {
    c->is_abandoned = true;
    if (c->state != GW_H2CONN_CLOSED) close_now(c);
}

static void fail_with(struct gw_h2conn *c, enum gw_rc rc, const char *text) {
    struct gw_err err;
    gw_err_set(&err, rc, 0, "%s", text);
    gw_h2conn_fail(c, &err);
}

// --- sending ------------------------------------------------------------------------------------

static void on_flush_due(void *arg) {
    struct gw_h2conn *c = arg;
    c->is_flush_due = false;
    if (c->session && c->state != GW_H2CONN_CLOSED) flush(c);
}

static void flush_later(struct gw_h2conn *c) {
    if (c->is_flush_due || c->state == GW_H2CONN_CLOSED) return;
    c->is_flush_due = true;
    gw_loop_defer(c->conf.loop, on_flush_due, c);
}

// The last frames are out. The end of our half is sent and the peer's awaited: closing at once,
// with bytes of the peer still unread, would reset the connection and take the frames along.
static void shut(struct gw_h2conn *c) {
    if (c->is_shut) return;
    c->is_shut = true;
    gw_tls_shutdown(c->tls);
    shutdown(c->fd, SHUT_WR);
}

// Has c->pending point to a frame; false where there is none.
static bool next_frame(struct gw_h2conn *c) {
    if (c->pending_bytes > 0) return true;
    ssize_t n = nghttp2_session_mem_send(c->session, &c->pending);
    if (n < 0) {
        fail_with(c, GW_ERR_INTERNAL, nghttp2_strerror((int)n));
        return false;
    }
    c->pending_bytes = (size_t)n;
    return n > 0;
}

static void flush(struct gw_h2conn *c) {
    uint32_t interest = EPOLLIN;
    size_t sent = 0;
    while (!c->is_shut && next_frame(c)) {
        if (sent >= WRITE_BYTES_PER_TURN) {
            interest |= EPOLLOUT;
            break;
        }
        enum gw_tls_want want;
        struct gw_err err;
        size_t n = 0;
        enum gw_rc rc = gw_tls_write(c->tls, c->pending, c->pending_bytes, &n, &want, &err);
        if (rc == GW_AGAIN) {
            if (want == GW_TLS_WANT_WRITE) interest |= EPOLLOUT;
            break;
        }
        if (rc != GW_OK) {
            if (rc == GW_EOF) gw_err_set(&err, rc, 0, "the peer closed the connection");
            gw_h2conn_fail(c, &err);
            return;
        }
        c->pending += n;
        c->pending_bytes -= n;
        sent += n;
    }
    if (c->state == GW_H2CONN_CLOSED) return;
    gw_io_mod(c->conf.loop, &c->io, interest);
    if (c->pending_bytes > 0) return;
    if (c->state == GW_H2CONN_DRAINING)
        shut(c);
    else if (!nghttp2_session_want_read(c->session) && !nghttp2_session_want_write(c->session))
        fail_with(c, GW_ERR_UPSTREAM, "the HTTP/2 session has ended");
}

static ssize_t on_body_read(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t n,
                            uint32_t *flags, nghttp2_data_source *source, void *user) {
    (void)session, (void)stream_id, (void)flags, (void)user;
    struct gw_h2conn *c = source->ptr;
    size_t taken = gw_h2msg_take(&c->out, buf, n < FRAME_BYTES_MAX ? n : FRAME_BYTES_MAX);
    if (taken > 0) return (ssize_t)taken;
    c->is_idle = true;
    return NGHTTP2_ERR_DEFERRED;
}

nghttp2_data_provider gw_h2conn_body(struct gw_h2conn *c) {
    return (nghttp2_data_provider){.source.ptr = c, .read_callback = on_body_read};
}

enum gw_rc gw_h2conn_send(struct gw_h2conn *c, struct gw_str bytes, struct gw_err *err) {
    if (c->state != GW_H2CONN_OPEN)
        return gw_err_set(err, GW_ERR_UPSTREAM, 503, "the push stream is not open");
    size_t cost = gw_h2msg_cost(bytes.len);
    if (bytes.len > UINT32_MAX || c->out.bytes + cost > c->conf.queue_bytes_max) {
        struct gw_err why;
        gw_err_set(&why, GW_ERR_LIMIT, 0,
                   "%zu bytes wait for the peer and %zu more are over the limit of %zu",
                   c->out.bytes, cost, c->conf.queue_bytes_max);
        gw_h2msg_out_fini(&c->out);
        gw_h2conn_fail(c, &why);
        if (err) *err = why;
        return GW_ERR_LIMIT;
    }
    gw_h2msg_push(&c->out, bytes);
    if (c->is_idle) {
        c->is_idle = false;
        nghttp2_session_resume_data(c->session, c->stream_id);
    }
    flush_later(c);
    return GW_OK;
}

void gw_h2conn_drain(struct gw_h2conn *c, const struct gw_err *why) {
    if (!is_live(c)) return;
    if (!c->session) {
        gw_h2conn_fail(c, why);
        return;
    }
    c->why = *why;
    c->state = GW_H2CONN_DRAINING;
    gw_h2msg_out_fini(&c->out);
    gw_timer_set(c->conf.loop, &c->timer, LINGER_MS);
    flush_later(c);
}

// --- receiving: nghttp2's callbacks -------------------------------------------------------------

// What a callback returns: nghttp2 stops where the connection was given up.
static int goes_on(const struct gw_h2conn *c) {
    return c->state == GW_H2CONN_CLOSED ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    (void)session;
    struct gw_h2conn *c = user;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return goes_on(c);
    if (c->stream_id >= 0)
        fail_with(c, GW_ERR_INPUT, "the peer opened a second stream on the connection");
    else
        c->stream_id = frame->hd.stream_id;
    return goes_on(c);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user) {
    (void)session, (void)flags;
    struct gw_h2conn *c = user;
    c->head_bytes += name_len + value_len + 32; // as RFC 9113, 6.5.2 counts
    if (c->head_bytes > HEAD_BYTES_MAX)
        fail_with(c, GW_ERR_LIMIT, "the headers are over the limit of 16 KiB");
    else if (frame->hd.stream_id == c->stream_id && c->state == GW_H2CONN_SETUP)
        c->conf.ops->on_header(c, (struct gw_str){(const char *)name, name_len},
                               (struct gw_str){(const char *)value, value_len});
    return goes_on(c);
}

static bool deliver(void *arg, struct gw_str bytes) {
    struct gw_h2conn *c = arg;
    c->conf.ops->on_message(c, bytes);
    return c->state == GW_H2CONN_OPEN;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *p,
                   size_t n, void *user) {
    (void)session, (void)flags;
    struct gw_h2conn *c = user;
    if (stream_id != c->stream_id || c->state != GW_H2CONN_OPEN) return goes_on(c);
    struct gw_err err;
    enum gw_rc rc = gw_h2msg_feed(&c->in, p, n, deliver, c, &err);
    if (rc != GW_OK && rc != GW_CANCELLED) gw_h2conn_fail(c, &err);
    return goes_on(c);
}

static void on_goaway(struct gw_h2conn *c, const nghttp2_goaway *frame) {
    char text[GW_H2LINK_WHY_MAX + 1];
    size_t n = 0;
    for (; n < frame->opaque_data_len && n < GW_H2LINK_WHY_MAX; n++) {
        uint8_t b = frame->opaque_data[n];
        text[n] = b >= 0x20 && b < 0x7f ? (char)b : '?';
    }
    text[n] = '\0';
    struct gw_err err;
    gw_err_set(&err, GW_ERR_UPSTREAM, 0, "the peer ended the connection: %s",
               n > 0 ? text : nghttp2_http2_strerror(frame->error_code));
    gw_h2conn_fail(c, &err);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    (void)session;
    struct gw_h2conn *c = user;
    if (!is_live(c)) return goes_on(c);
    bool is_ours = frame->hd.stream_id == c->stream_id;
    if (frame->hd.type == NGHTTP2_HEADERS && is_ours && c->state == GW_H2CONN_SETUP)
        c->conf.ops->on_head(c);
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK))
        c->is_ping_out = false;
    if (frame->hd.type == NGHTTP2_GOAWAY) on_goaway(c, &frame->goaway);
    bool can_end = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (can_end && is_ours && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) && is_live(c))
        fail_with(c, GW_EOF, "the peer ended the push stream");
    return goes_on(c);
}

// nghttp2 would answer some of them (a stream too many, for one) and go on; the answers would pile
// up for a peer that does not read them.
static int on_bad_frame(nghttp2_session *session, const nghttp2_frame *frame, int lib_error,
                        void *user) {
    (void)session, (void)frame;
    struct gw_h2conn *c = user;
    fail_with(c, GW_ERR_UPSTREAM, nghttp2_strerror(lib_error));
    return goes_on(c);
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t code, void *user) {
    (void)session;
    struct gw_h2conn *c = user;
    if (stream_id != c->stream_id || !is_live(c)) return goes_on(c);
    struct gw_err err;
    gw_err_set(&err, GW_ERR_UPSTREAM, 0, "the push stream was reset: %s",
               nghttp2_http2_strerror(code));
    gw_h2conn_fail(c, &err);
    return goes_on(c);
}

static bool session_new(struct gw_h2conn *c) {
    nghttp2_session_callbacks *cbs;
    if (nghttp2_session_callbacks_new(&cbs) != 0) return false;
    nghttp2_session_callbacks_set_on_begin_headers_callback(cbs, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cbs, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cbs, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cbs, on_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cbs, on_bad_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(cbs, on_stream_close);
    int rc = c->conf.is_server ? nghttp2_session_server_new(&c->session, cbs, c)
                               : nghttp2_session_client_new(&c->session, cbs, c);
    nghttp2_session_callbacks_del(cbs);
    if (rc != 0) return false;
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, c->conf.is_server ? 1 : 0},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEAD_BYTES_MAX},
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}, // last: a client's alone
    };
    size_t n = GW_ARRAY_LEN(settings) - (c->conf.is_server ? 1 : 0);
    return nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, n) == 0 &&
           nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, WINDOW_BYTES) ==
               0;
}

// --- descriptor and timer -----------------------------------------------------------------------

static void read_some(struct gw_h2conn *c) {
    uint8_t buf[READ_BYTES];
    for (int i = 0; i < READS_PER_TURN; i++) {
        enum gw_tls_want want;
        struct gw_err err;
        size_t n = 0;
        enum gw_rc rc = gw_tls_read(c->tls, buf, sizeof(buf), &n, &want, &err);
        if (rc == GW_AGAIN) return;
        if (rc == GW_EOF) gw_err_set(&err, rc, 0, "the peer closed the connection");
        if (rc != GW_OK) {
            gw_h2conn_fail(c, &err);
            return;
        }
        ssize_t used = nghttp2_session_mem_recv(c->session, buf, n);
        if (!is_live(c)) return;
        if (used < 0) {
            fail_with(c, GW_ERR_UPSTREAM, nghttp2_strerror((int)used));
            return;
        }
    }
}

// Bytes that come while draining have no meaning any more.
static void discard_some(struct gw_h2conn *c) {
    uint8_t buf[READ_BYTES];
    for (int i = 0; i < READS_PER_TURN; i++) {
        ssize_t n = recv(c->fd, buf, sizeof(buf), 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (n <= 0) {
            gw_h2conn_fail(c, &c->why);
            return;
        }
    }
}

static void handshake(struct gw_h2conn *c) {
    enum gw_tls_want want;
    struct gw_err err;
    enum gw_rc rc = gw_tls_handshake(c->tls, &want, &err);
    if (rc == GW_AGAIN) {
        gw_io_mod(c->conf.loop, &c->io, want == GW_TLS_WANT_WRITE ? EPOLLOUT : EPOLLIN);
        return;
    }
    if (rc != GW_OK) {
        gw_h2conn_fail(c, &err);
        return;
    }
    if (!gw_tls_alpn_is(c->tls, GW_STR("h2"))) {
        fail_with(c, GW_ERR_UPSTREAM, "the peer does not speak h2 (ALPN)");
        return;
    }
    if (!session_new(c)) {
        fail_with(c, GW_ERR_INTERNAL, "no memory for an HTTP/2 session");
        return;
    }
    c->state = GW_H2CONN_SETUP;
    if (c->conf.ops->on_tls_open) c->conf.ops->on_tls_open(c);
    flush_later(c);
}

static void connected(struct gw_h2conn *c) {
    int e = 0;
    socklen_t n = sizeof(e);
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &n) < 0) e = errno;
    if (e == 0) {
        c->state = GW_H2CONN_HANDSHAKE;
        return;
    }
    struct gw_err err;
    gw_err_set(&err, GW_ERR_UPSTREAM, 502, "connect: %s", strerror(e));
    gw_h2conn_fail(c, &err);
}

static void on_io(struct gw_io *io, uint32_t events) {
    struct gw_h2conn *c = GW_CONTAINER_OF(io, struct gw_h2conn, io);
    bool is_readable = events & (EPOLLIN | EPOLLHUP | EPOLLERR);
    if (c->state == GW_H2CONN_CONNECTING) connected(c);
    if (c->state == GW_H2CONN_HANDSHAKE) {
        handshake(c);
        return;
    }
    if (c->state == GW_H2CONN_DRAINING && is_readable)
        discard_some(c);
    else if (is_live(c) && is_readable)
        read_some(c);
    if (c->state != GW_H2CONN_CLOSED) flush(c);
}

static void on_timer(struct gw_timer *t) {
    struct gw_h2conn *c = GW_CONTAINER_OF(t, struct gw_h2conn, timer);
    struct gw_err err;
    if (c->state < GW_H2CONN_OPEN) {
        gw_err_set(&err, GW_ERR_TIMEOUT, 504, "%s within %u ms",
                   c->state == GW_H2CONN_CONNECTING  ? "no connection"
                   : c->state == GW_H2CONN_HANDSHAKE ? "no TLS handshake"
                                                     : "no push stream",
                   c->conf.setup_ms);
        gw_h2conn_fail(c, &err);
        return;
    }
    if (c->state == GW_H2CONN_DRAINING || c->is_ping_out) {
        gw_err_set(&err, GW_ERR_TIMEOUT, 504, "no answer to a PING within %u ms", c->conf.ping_ms);
        gw_h2conn_fail(c, &err);
        return;
    }
    c->is_ping_out = true;
    nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
    gw_timer_set(c->conf.loop, &c->timer, c->conf.ping_ms);
    flush_later(c);
}

enum gw_rc gw_h2conn_start(struct gw_h2conn *c, const struct gw_h2conn_conf *conf, int fd,
                           struct gw_tls_ctx *tls, const char *host, struct gw_err *err) {
    *c = (struct gw_h2conn){.conf = *conf, .fd = fd, .stream_id = -1};
    if (!c->conf.queue_bytes_max) c->conf.queue_bytes_max = GW_H2LINK_QUEUE_MAX;
    if (!c->conf.setup_ms) c->conf.setup_ms = DEFAULT_MS;
    if (!c->conf.ping_ms) c->conf.ping_ms = DEFAULT_MS;
    c->in.bytes_max = conf->message_bytes_max;
    c->state = conf->is_server ? GW_H2CONN_HANDSHAKE : GW_H2CONN_CONNECTING;
    gw_timer_init(&c->timer, on_timer);

    int one = 1, not_sent = NOT_SENT_BYTES;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &not_sent, sizeof(not_sent));
    c->tls = gw_tls_new(tls, fd, host, err);
    uint32_t interest = conf->is_server ? EPOLLIN : EPOLLOUT;
    if (!c->tls || gw_io_add(conf->loop, &c->io, fd, interest, on_io, err) != GW_OK) {
        gw_tls_free(c->tls);
        close(fd);
        return GW_ERR_INTERNAL;
    }
    gw_timer_set(conf->loop, &c->timer, c->conf.setup_ms);
    return GW_OK;
}

void gw_h2conn_open(struct gw_h2conn *c) {
    c->state = GW_H2CONN_OPEN;
    gw_timer_set(c->conf.loop, &c->timer, c->conf.ping_ms);
    flush_later(c);
}
