// SPDX-License-Identifier: Apache-2.0
// See conn.h. The fast path is one recv into a slab and one sendmsg of slices; queues are touched
// only where the kernel's buffer is full.
#include "dataplane/net/conn.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define IOV_MAX_PER_CALL 64
// A slice below this is copied when it is queued: it would pin a whole slab for its few bytes.
#define QUEUE_COPY_BELOW (GW_SLAB_BYTES / 4)

// What waits for the kernel: queued here, or sealed already.
static bool is_blocked(const struct dp_conn *c) {
    return c->out.bytes || (c->tls && gw_tls_unsent(c->tls));
}

static uint32_t interest(const struct dp_conn *c) {
    uint32_t ev = c->reading ? EPOLLIN : c->watching ? EPOLLRDHUP : 0;
    if (is_blocked(c) || c->tls_want_write) ev |= EPOLLOUT;
    return ev;
}

static void on_io(struct gw_io *io, uint32_t events) {
    struct dp_conn *c = GW_CONTAINER_OF(io, struct dp_conn, io);
    if (events & EPOLLOUT) {
        struct gw_err err;
        c->tls_want_write = false;
        if (dp_conn_flush(c, &err) != GW_OK) {
            c->ops->on_error(c);
            return;
        }
        gw_io_mod(c->loop, io, interest(c));
        if (c->throttled && c->out.bytes <= DP_CONN_QUEUE_LOW) {
            c->throttled = false;
            c->ops->on_drained(c);
            if (!dp_conn_is_open(c)) return;
        } else if (!is_blocked(c)) {
            c->ops->on_drained(c);
            if (!dp_conn_is_open(c)) return;
        }
    }
    if (c->reading && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        c->ops->on_readable(c);
    else if (events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP))
        c->ops->on_error(c);
}

enum gw_rc dp_conn_init(struct dp_conn *c, struct gw_loop *loop, int fd,
                        const struct dp_conn_ops *ops, struct gw_err *err) {
    *c = (struct dp_conn){.io = {.fd = -1}, .loop = loop, .ops = ops, .reading = true};
    return gw_io_add(loop, &c->io, fd, EPOLLIN, on_io, err);
}

static void drop(struct dp_conn *c) {
    gw_tls_free(c->tls);
    c->tls = NULL;
    gw_buf_fini(&c->batch);
    gw_buf_fini(&c->out);
}

void dp_conn_close(struct dp_conn *c) {
    if (!dp_conn_is_open(c)) return;
    int fd = c->io.fd;
    if (c->tls) gw_tls_shutdown(c->tls);
    gw_io_del(c->loop, &c->io);
    drop(c);
    close(fd);
}

void dp_conn_end(struct dp_conn *c) {
    if (!dp_conn_is_open(c)) return;
    if (c->tls) gw_tls_shutdown(c->tls);
    shutdown(c->io.fd, SHUT_WR);
}

enum gw_rc dp_conn_handshake(struct dp_conn *c, struct gw_err *err) {
    enum gw_tls_want want = GW_TLS_WANT_NONE;
    enum gw_rc rc = gw_tls_handshake(c->tls, &want, err);
    if (rc != GW_AGAIN) return rc;
    c->tls_want_write = want == GW_TLS_WANT_WRITE;
    c->reading = !c->tls_want_write;
    c->watching = c->tls_want_write;
    gw_io_mod(c->loop, &c->io, interest(c));
    return GW_AGAIN;
}

int dp_conn_take(struct dp_conn *c, struct gw_tls **ret_tls) {
    int fd = c->io.fd;
    *ret_tls = c->tls;
    c->tls = NULL;
    gw_io_del(c->loop, &c->io);
    drop(c);
    return fd;
}

void dp_conn_abort(struct dp_conn *c) {
    if (!dp_conn_is_open(c)) return;
    int fd = c->io.fd;
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    gw_io_del(c->loop, &c->io);
    drop(c);
    close(fd);
}

enum gw_rc dp_conn_read(struct dp_conn *c, struct gw_slab *slab, size_t *ret_n,
                        struct gw_err *err) {
    size_t room = GW_SLAB_BYTES - slab->used;
    if (c->tls) {
        enum gw_tls_want want = GW_TLS_WANT_NONE;
        enum gw_rc rc = gw_tls_fill(c->tls, slab->data + slab->used, room, ret_n, &want, err);
        if (rc == GW_OK) slab->used += (unsigned)*ret_n;
        if (rc == GW_AGAIN && want == GW_TLS_WANT_WRITE) {
            c->tls_want_write = true;
            gw_io_mod(c->loop, &c->io, interest(c));
        }
        c->reset = c->reset || (rc != GW_OK && rc != GW_AGAIN && rc != GW_EOF);
        return rc;
    }
    for (;;) {
        ssize_t n = recv(c->io.fd, slab->data + slab->used, room, 0);
        if (n > 0) {
            slab->used += (unsigned)n;
            *ret_n = (size_t)n;
            return GW_OK;
        }
        if (n == 0) return GW_EOF;
        if (errno == EINTR) continue;
        if (errno == EAGAIN) return GW_AGAIN;
        c->reset = true;
        return gw_err_set(err, GW_ERR_UPSTREAM, 502, "connection lost: %s", strerror(errno));
    }
}

void dp_conn_set_reading(struct dp_conn *c, bool on) {
    if ((c->reading == on && !c->watching) || !dp_conn_is_open(c)) return;
    c->reading = on;
    c->watching = false;
    gw_io_mod(c->loop, &c->io, interest(c));
}

void dp_conn_watch(struct dp_conn *c) {
    if (!dp_conn_is_open(c)) return;
    c->reading = false;
    c->watching = true;
    gw_io_mod(c->loop, &c->io, interest(c));
}

enum gw_rc dp_conn_peek(struct dp_conn *c) {
    char byte;
    ssize_t n = recv(c->io.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n > 0) return GW_OK;
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return GW_AGAIN;
    return GW_EOF;
}

static enum gw_rc broken(struct dp_conn *c, struct gw_err *err) {
    c->failed = true;
    // Told once, to whoever asks first. EPIPE is a peer that ended its side before.
    if (errno == ECONNRESET) c->reset = true;
    return gw_err_set(err, GW_ERR_UPSTREAM, 502, "connection lost while sending: %s",
                      strerror(errno));
}

// Writes from the front of b until it is empty or the kernel has enough.
static enum gw_rc write_plain(struct dp_conn *c, struct gw_buf *b, struct gw_err *err) {
    while (b->bytes) {
        struct iovec iov[IOV_MAX_PER_CALL];
        int n = gw_buf_iov(b, iov, IOV_MAX_PER_CALL);
        size_t want = 0;
        for (int i = 0; i < n; i++)
            want += iov[i].iov_len;
        struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)n};
        ssize_t sent = n == 1 ? send(c->io.fd, iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL)
                              : sendmsg(c->io.fd, &msg, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EINTR) continue;
            return errno == EAGAIN ? GW_AGAIN : broken(c, err);
        }
        gw_buf_consume(b, (size_t)sent);
        if ((size_t)sent < want) return GW_AGAIN;
    }
    return GW_OK;
}

static enum gw_rc write_tls(struct dp_conn *c, struct gw_buf *b, struct gw_err *err) {
    do {
        struct iovec iov[IOV_MAX_PER_CALL];
        int n = gw_buf_iov(b, iov, IOV_MAX_PER_CALL);
        size_t taken = 0;
        enum gw_tls_want want = GW_TLS_WANT_NONE;
        enum gw_rc rc = gw_tls_writev(c->tls, iov, n, &taken, &want, err);
        gw_buf_consume(b, taken);
        if (rc == GW_AGAIN) return GW_AGAIN;
        if (rc != GW_OK) {
            c->failed = true;
            return rc;
        }
    } while (b->bytes);
    return GW_OK;
}

// Moves batch behind out; small and borrowed slices become copies.
static void queue_batch(struct dp_conn *c) {
    for (const struct gw_buf_node *n = c->batch.head; n; n = n->next) {
        if (n->slice.slab && n->slice.len >= QUEUE_COPY_BELOW)
            gw_buf_push(&c->out, n->slice.slab, n->slice.ptr, n->slice.len);
        else
            gw_buf_push_copy(&c->out, n->slice.ptr, n->slice.len);
    }
    gw_buf_fini(&c->batch);
}

enum gw_rc dp_conn_flush(struct dp_conn *c, struct gw_err *err) {
    if (!dp_conn_is_open(c) || c->failed)
        return gw_err_set(err, GW_ERR_UPSTREAM, 502, "connection lost");
    bool was_blocked = is_blocked(c);
    if (was_blocked && c->batch.bytes) queue_batch(c);
    struct gw_buf *from = was_blocked ? &c->out : &c->batch;
    if (!was_blocked && !from->bytes) return GW_OK;
    enum gw_rc rc = c->tls ? write_tls(c, from, err) : write_plain(c, from, err);
    if (rc != GW_OK && rc != GW_AGAIN) return rc;
    if (c->batch.bytes) queue_batch(c);
    if (was_blocked != is_blocked(c)) gw_io_mod(c->loop, &c->io, interest(c));
    return GW_OK;
}

bool dp_conn_is_full(struct dp_conn *c) {
    if (c->out.bytes < DP_CONN_QUEUE_HIGH) return false;
    c->throttled = true;
    return true;
}
