// SPDX-License-Identifier: Apache-2.0
// Bytes between SSL and the socket. A small BIO of our own sends with MSG_NOSIGNAL, so that a peer
// that left cannot raise SIGPIPE, and keeps errno and the end of the stream for the texts. One call
// of gw_tls_fill is one recv, and of gw_tls_writev one send, however many records that is.
#include "shared/tls_internal.h"

#include <errno.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

// Of one recv: a slab's worth.
#define IN_BYTES (20 * 1024)
// Below this room the BIO hands out what SSL asks for and nothing ahead of it.
#define AHEAD_BYTES_MIN 512
// A record's header, nonce, tag and type byte; RFC 8446 allows 256 and our suites need below 64.
#define RECORD_EXTRA_BYTES 64
#define BATCH_RECORDS (GW_TLS_BATCH_BYTES / GW_TLS_RECORD_BYTES)

// Of this thread, and in use only within one call.
static __thread struct {
    char in[IN_BYTES];
    char record[GW_TLS_RECORD_BYTES];
    // Sealed; the last place is for what SSL itself may have to say (a key update).
    char out[(BATCH_RECORDS + 1) * (GW_TLS_RECORD_BYTES + RECORD_EXTRA_BYTES)];
    size_t out_len;
} scratch;

// --- the socket ---------------------------------------------------------------------------------

// Bytes sent; 0 with errno EAGAIN, or where it failed for good.
static size_t send_some(struct gw_tls *t, const char *p, size_t n) {
    ssize_t sent;
    do
        sent = send(t->fd, p, n, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0) return (size_t)sent;
    if (errno == EWOULDBLOCK) errno = EAGAIN;
    if (errno != EAGAIN) t->io_errno = errno;
    return 0;
}

// Bytes received; 0 with errno EAGAIN, at the end, or where it failed for good.
static size_t recv_some(struct gw_tls *t, char *p, size_t n) {
    ssize_t got;
    do
        got = recv(t->fd, p, n, 0);
    while (got < 0 && errno == EINTR);
    if (got > 0) return (size_t)got;
    if (got == 0) {
        t->is_eof = true;
        errno = 0;
    } else if (errno == EWOULDBLOCK) {
        errno = EAGAIN;
    }
    if (got < 0 && errno != EAGAIN) t->io_errno = errno;
    return 0;
}

// False where sealed bytes stay.
static bool send_unsent(struct gw_tls *t) {
    while (t->unsent) {
        size_t n = send_some(t, t->unsent + t->unsent_at, t->unsent_len - t->unsent_at);
        if (n == 0) return false;
        t->unsent_at += n;
        if (t->unsent_at < t->unsent_len) continue;
        free(t->unsent);
        t->unsent = NULL;
    }
    return true;
}

static void keep_unsent(struct gw_tls *t, const char *p, size_t n) {
    t->unsent = gw_alloc(n);
    memcpy(t->unsent, p, n);
    t->unsent_at = 0;
    t->unsent_len = n;
}

size_t gw_tls_unsent(const struct gw_tls *t) {
    return t->unsent ? t->unsent_len - t->unsent_at : 0;
}

// --- the BIO ------------------------------------------------------------------------------------

static int bio_write(BIO *b, const char *p, size_t n, size_t *ret_n) {
    struct gw_tls *t = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    if (t->is_corked) {
        if (n > sizeof(scratch.out) - scratch.out_len) {
            BIO_set_retry_write(b);
            return 0;
        }
        memcpy(scratch.out + scratch.out_len, p, n);
        scratch.out_len += n;
        *ret_n = n;
        return 1;
    }
    size_t sent = send_unsent(t) ? send_some(t, p, n) : 0;
    if (sent == 0) {
        if (errno == EAGAIN) BIO_set_retry_write(b);
        return 0;
    }
    *ret_n = sent;
    return 1;
}

static int bio_read(BIO *b, char *p, size_t n, size_t *ret_n) {
    struct gw_tls *t = BIO_get_data(b);
    size_t got;
    BIO_clear_retry_flags(b);
    if (t->is_fed) {
        got = n < t->ahead_len ? n : t->ahead_len;
        if (got) memcpy(p, t->ahead, got);
        t->ahead += got;
        t->ahead_len -= got;
        errno = t->is_eof || t->io_errno ? 0 : EAGAIN;
    } else {
        got = recv_some(t, p, n);
    }
    t->held += got;
    *ret_n = got;
    if (got == 0 && errno == EAGAIN) BIO_set_retry_read(b);
    return got > 0;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr) {
    (void)num;
    (void)ptr;
    const struct gw_tls *t = BIO_get_data(b);
    if (cmd == BIO_CTRL_FLUSH) return 1;
    if (cmd == BIO_CTRL_EOF) return t && t->is_eof;
    return 0;
}

static int bio_create(BIO *b) {
    BIO_set_init(b, 1);
    return 1;
}

static BIO_METHOD *bio_method;

static void bio_method_make(void) {
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "gw_tls socket");
    GW_ASSERT(bio_method != NULL);
    BIO_meth_set_write_ex(bio_method, bio_write);
    BIO_meth_set_read_ex(bio_method, bio_read);
    BIO_meth_set_ctrl(bio_method, bio_ctrl);
    BIO_meth_set_create(bio_method, bio_create);
}

BIO *gw_tls_bio_new(struct gw_tls *t) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, bio_method_make);
    BIO *b = BIO_new(bio_method);
    if (b) BIO_set_data(b, t);
    return b;
}

// --- reading ------------------------------------------------------------------------------------

enum gw_rc gw_tls_read(struct gw_tls *t, void *p, size_t n, size_t *ret_n, enum gw_tls_want *want,
                       struct gw_err *err) {
    ERR_clear_error();
    size_t got = 0;
    enum gw_rc rc = gw_tls_outcome(t, SSL_read_ex(t->ssl, p, n, &got), "read", want, err);
    if (rc == GW_OK) {
        *ret_n = got;
        t->held = 0;
    }
    return rc;
}

enum gw_rc gw_tls_fill(struct gw_tls *t, void *p, size_t n, size_t *ret_n, enum gw_tls_want *want,
                       struct gw_err *err) {
    // A record's text is shorter than its bytes, so what is read here and what SSL kept of the
    // last record together cannot be more than there is room for.
    size_t room = n > t->held ? n - t->held : 0;
    if (n < GW_TLS_RECORD_BYTES || room < AHEAD_BYTES_MIN || SSL_pending(t->ssl) > 0)
        return gw_tls_read(t, p, n, ret_n, want, err);
    t->ahead = scratch.in;
    t->ahead_len = recv_some(t, scratch.in, room < IN_BYTES ? room : IN_BYTES);
    if (t->ahead_len == 0 && errno == EAGAIN) {
        *want = GW_TLS_WANT_READ;
        return GW_AGAIN;
    }
    size_t total = 0;
    int ok;
    t->is_fed = true;
    ERR_clear_error();
    do {
        size_t got = 0;
        ok = SSL_read_ex(t->ssl, (char *)p + total, n - total, &got);
        total += got;
        if (ok == 1) t->held = 0;
    } while (ok == 1 && t->ahead_len && total < n);
    t->is_fed = false;
    GW_ASSERT(ok != 1 || t->ahead_len == 0);
    enum gw_rc rc = GW_OK;
    // An end or an error behind what came is told by the next call.
    if (total == 0) rc = gw_tls_outcome(t, ok, "read", want, err);
    if (rc == GW_OK) *ret_n = total;
    return rc;
}

// --- writing ------------------------------------------------------------------------------------

enum gw_rc gw_tls_write(struct gw_tls *t, const void *p, size_t n, size_t *ret_n,
                        enum gw_tls_want *want, struct gw_err *err) {
    ERR_clear_error();
    size_t put = 0;
    enum gw_rc rc = gw_tls_outcome(t, SSL_write_ex(t->ssl, p, n, &put), "write", want, err);
    if (rc == GW_OK) *ret_n = put;
    return rc;
}

struct cursor {
    const struct iovec *iov;
    int n;
    size_t at;
};

// The text of the next record: a slice itself where it fills one or is the last, else a copy of
// several. Empty at the end.
static struct gw_str next_text(struct cursor *c) {
    size_t filled = 0;
    while (c->n > 0 && filled < GW_TLS_RECORD_BYTES) {
        const char *p = (const char *)c->iov->iov_base + c->at;
        size_t left = c->iov->iov_len - c->at, part = GW_TLS_RECORD_BYTES - filled;
        bool is_direct = filled == 0 && (c->n == 1 || left >= GW_TLS_RECORD_BYTES);
        if (left <= part) {
            part = left;
            c->iov++;
            c->n--;
            c->at = 0;
        } else {
            c->at += part;
        }
        if (is_direct && part) return (struct gw_str){p, part};
        if (part) memcpy(scratch.record + filled, p, part);
        filled += part;
    }
    return (struct gw_str){scratch.record, filled};
}

static enum gw_rc send_failed(struct gw_tls *t, enum gw_tls_want *want, struct gw_err *err) {
    if (t->io_errno == 0) {
        *want = GW_TLS_WANT_WRITE;
        return GW_AGAIN;
    }
    char buf[160];
    t->is_broken = true;
    return gw_err_set(err, GW_ERR_UPSTREAM, 502, "TLS write: %s",
                      strerror_r(t->io_errno, buf, sizeof(buf)));
}

enum gw_rc gw_tls_writev(struct gw_tls *t, const struct iovec *iov, int n, size_t *ret_taken,
                         enum gw_tls_want *want, struct gw_err *err) {
    struct cursor c = {iov, n, 0};
    enum gw_rc rc = GW_OK;
    *ret_taken = 0;
    *want = GW_TLS_WANT_NONE;
    if (!send_unsent(t)) return send_failed(t, want, err);
    scratch.out_len = 0;
    t->is_corked = true;
    ERR_clear_error();
    for (int i = 0; i < BATCH_RECORDS && rc == GW_OK; i++) {
        struct gw_str text = next_text(&c);
        size_t put = 0;
        if (text.len == 0) break;
        rc = gw_tls_outcome(t, SSL_write_ex(t->ssl, text.ptr, text.len, &put), "write", want, err);
        if (rc == GW_OK) *ret_taken += put;
    }
    t->is_corked = false;
    if (rc != GW_OK && rc != GW_AGAIN) return rc;
    size_t sent = 0;
    while (sent < scratch.out_len) {
        size_t part = send_some(t, scratch.out + sent, scratch.out_len - sent);
        if (part == 0) break;
        sent += part;
    }
    if (sent == scratch.out_len) return rc;
    keep_unsent(t, scratch.out + sent, scratch.out_len - sent);
    return send_failed(t, want, err);
}
