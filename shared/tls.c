// SPDX-License-Identifier: Apache-2.0
// TLS over a caller's non-blocking socket. A small BIO of our own sends with MSG_NOSIGNAL, so that
// a peer that left cannot raise SIGPIPE, and keeps errno and the end of the stream for the texts.
// Error texts hold OpenSSL's constant strings and the host that the caller named; no peer's bytes.
#include "shared/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>

// Certificates in one PEM text: the system's largest bundles have a few hundred.
#define PEM_CERTS_MAX 4096

struct gw_tls_ctx {
    atomic_uint refs;
    SSL_CTX *ssl_ctx;
    bool is_server;
    unsigned char alpn[256]; // wire format: length, name
    unsigned alpn_len;
};

struct gw_tls {
    SSL *ssl;
    struct gw_tls_ctx *ctx;
    char *host; // NULL on a server
    int fd;
    int io_errno; // of the last send or recv that failed for good
    bool is_eof, is_open, is_broken;
};

// --- the BIO ------------------------------------------------------------------------------------

static int bio_write(BIO *b, const char *p, size_t n, size_t *ret_n) {
    struct gw_tls *t = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    ssize_t sent;
    do
        sent = send(t->fd, p, n, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            BIO_set_retry_write(b);
        else
            t->io_errno = errno;
        return 0;
    }
    *ret_n = (size_t)sent;
    return 1;
}

static int bio_read(BIO *b, char *p, size_t n, size_t *ret_n) {
    struct gw_tls *t = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    ssize_t got;
    do
        got = recv(t->fd, p, n, 0);
    while (got < 0 && errno == EINTR);
    if (got > 0) {
        *ret_n = (size_t)got;
        return 1;
    }
    if (got == 0)
        t->is_eof = true;
    else if (errno == EAGAIN || errno == EWOULDBLOCK)
        BIO_set_retry_read(b);
    else
        t->io_errno = errno;
    return 0;
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

static BIO *bio_new(struct gw_tls *t) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, bio_method_make);
    BIO *b = BIO_new(bio_method);
    if (b) BIO_set_data(b, t);
    return b;
}

// --- contexts -----------------------------------------------------------------------------------

// The last reason in OpenSSL's queue, which is emptied.
static const char *openssl_reason(void) {
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return reason ? reason : "unknown reason";
}

// Never asks a terminal: an encrypted key is an error.
static int no_passphrase(char *buf, int size, int rwflag, void *arg) {
    (void)buf, (void)size, (void)rwflag, (void)arg;
    return 0;
}

static BIO *pem_bio(struct gw_str pem) {
    if (pem.len == 0 || pem.len > INT32_MAX) return NULL;
    return BIO_new_mem_buf(pem.ptr, (int)pem.len);
}

// The next certificate of a PEM text. GW_EOF: no more; GW_ERR_INPUT: a broken one.
static enum gw_rc next_cert(BIO *b, X509 **ret) {
    X509 *x = PEM_read_bio_X509(b, NULL, no_passphrase, NULL);
    if (x) {
        *ret = x;
        return GW_OK;
    }
    unsigned long e = ERR_peek_last_error();
    if (ERR_GET_LIB(e) != ERR_LIB_PEM || ERR_GET_REASON(e) != PEM_R_NO_START_LINE)
        return GW_ERR_INPUT;
    ERR_clear_error();
    return GW_EOF;
}

static int on_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_len,
                   const unsigned char *offered, unsigned offered_len, void *arg) {
    (void)ssl;
    const struct gw_tls_ctx *c = arg;
    unsigned char *chosen;
    int rc = SSL_select_next_proto(&chosen, ret_len, c->alpn, c->alpn_len, offered, offered_len);
    if (rc != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static enum gw_rc ctx_set_alpn(struct gw_tls_ctx *c, struct gw_str alpn, struct gw_err *err) {
    if (alpn.len == 0) return GW_OK;
    if (alpn.len > 255)
        return gw_err_set(err, GW_ERR_INPUT, 0, "ALPN name of %zu bytes is over 255", alpn.len);
    c->alpn[0] = (unsigned char)alpn.len;
    memcpy(c->alpn + 1, alpn.ptr, alpn.len);
    c->alpn_len = (unsigned)alpn.len + 1;
    if (c->is_server)
        SSL_CTX_set_alpn_select_cb(c->ssl_ctx, on_alpn, c);
    else if (SSL_CTX_set_alpn_protos(c->ssl_ctx, c->alpn, c->alpn_len) != 0)
        return gw_err_set(err, GW_ERR_INTERNAL, 0, "setting ALPN: %s", openssl_reason());
    return GW_OK;
}

static struct gw_tls_ctx *ctx_new(bool is_server, struct gw_err *err) {
    struct gw_tls_ctx *c = gw_alloc(sizeof(*c));
    atomic_init(&c->refs, 1);
    c->is_server = is_server;
    ERR_clear_error();
    c->ssl_ctx = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
    if (!c->ssl_ctx || SSL_CTX_set_min_proto_version(c->ssl_ctx, TLS1_2_VERSION) != 1) {
        gw_err_set(err, GW_ERR_INTERNAL, 0, "new TLS context: %s", openssl_reason());
        gw_tls_ctx_unref(c);
        return NULL;
    }
    SSL_CTX_set_options(c->ssl_ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(c->ssl_ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                     SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                     SSL_MODE_RELEASE_BUFFERS);
    // Tickets resume without memory here; a cache would be one more thing to bound.
    SSL_CTX_set_session_cache_mode(c->ssl_ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_default_passwd_cb(c->ssl_ctx, no_passphrase);
    return c;
}

static enum gw_rc use_chain(SSL_CTX *s, struct gw_str pem, struct gw_err *err) {
    BIO *b = pem_bio(pem);
    if (!b) return gw_err_set(err, GW_ERR_INPUT, 0, "certificate: the PEM text is empty");
    enum gw_rc rc = GW_OK;
    for (unsigned n = 0; rc == GW_OK && n < PEM_CERTS_MAX; n++) {
        X509 *x = NULL;
        rc = next_cert(b, &x);
        if (rc == GW_EOF && n > 0) {
            rc = GW_OK;
            break;
        }
        if (rc == GW_EOF) {
            rc = gw_err_set(err, GW_ERR_INPUT, 0, "certificate: no certificate in the PEM text");
            break;
        }
        bool is_used = rc == GW_OK && (n == 0 ? SSL_CTX_use_certificate(s, x)
                                              : SSL_CTX_add1_chain_cert(s, x)) == 1;
        if (!is_used)
            rc = gw_err_set(err, GW_ERR_INPUT, 0, "certificate %u of the PEM text: %s", n + 1,
                            openssl_reason());
        X509_free(x);
    }
    BIO_free(b);
    return rc;
}

static enum gw_rc use_key(SSL_CTX *s, const struct gw_secret *key_pem, struct gw_err *err) {
    BIO *b = pem_bio(gw_secret_reveal(key_pem));
    if (!b) return gw_err_set(err, GW_ERR_INPUT, 0, "private key: the PEM text is empty");
    EVP_PKEY *k = PEM_read_bio_PrivateKey(b, NULL, no_passphrase, NULL);
    enum gw_rc rc = GW_OK;
    if (!k) {
        ERR_clear_error();
        rc = gw_err_set(err, GW_ERR_INPUT, 0,
                        "private key: no readable key in the PEM text (is it encrypted?)");
    } else if (SSL_CTX_use_PrivateKey(s, k) != 1 || SSL_CTX_check_private_key(s) != 1) {
        rc = gw_err_set(err, GW_ERR_INPUT, 0, "private key does not fit the certificate: %s",
                        openssl_reason());
    }
    EVP_PKEY_free(k);
    BIO_free(b);
    return rc;
}

struct gw_tls_ctx *gw_tls_server_ctx(struct gw_str cert_pem, const struct gw_secret *key_pem,
                                     struct gw_str alpn, struct gw_err *err) {
    struct gw_tls_ctx *c = ctx_new(true, err);
    if (!c) return NULL;
    if (use_chain(c->ssl_ctx, cert_pem, err) == GW_OK &&
        use_key(c->ssl_ctx, key_pem, err) == GW_OK && ctx_set_alpn(c, alpn, err) == GW_OK)
        return c;
    gw_tls_ctx_unref(c);
    return NULL;
}

static enum gw_rc trust(SSL_CTX *s, struct gw_str pem, struct gw_err *err) {
    if (pem.len == 0) {
        if (SSL_CTX_set_default_verify_paths(s) == 1) return GW_OK;
        return gw_err_set(err, GW_ERR_INTERNAL, 0, "the system's trust store: %s",
                          openssl_reason());
    }
    BIO *b = pem_bio(pem);
    if (!b) return gw_err_set(err, GW_ERR_INPUT, 0, "CA certificates: the PEM text is too large");
    X509_STORE *store = SSL_CTX_get_cert_store(s);
    enum gw_rc rc = GW_OK;
    unsigned n = 0;
    while (rc == GW_OK && n < PEM_CERTS_MAX) {
        X509 *x = NULL;
        rc = next_cert(b, &x);
        if (rc == GW_EOF) break;
        if (rc != GW_OK || X509_STORE_add_cert(store, x) != 1)
            rc = gw_err_set(err, GW_ERR_INPUT, 0, "CA certificate %u of the PEM text: %s", n + 1,
                            openssl_reason());
        X509_free(x);
        n++;
    }
    BIO_free(b);
    if (rc == GW_EOF && n == 0)
        return gw_err_set(err, GW_ERR_INPUT, 0, "CA certificates: no certificate in the PEM text");
    return rc == GW_EOF ? GW_OK : rc;
}

struct gw_tls_ctx *gw_tls_client_ctx(struct gw_str ca_pem, struct gw_str alpn, struct gw_err *err) {
    struct gw_tls_ctx *c = ctx_new(false, err);
    if (!c) return NULL;
    SSL_CTX_set_verify(c->ssl_ctx, SSL_VERIFY_PEER, NULL);
    if (trust(c->ssl_ctx, ca_pem, err) == GW_OK && ctx_set_alpn(c, alpn, err) == GW_OK) return c;
    gw_tls_ctx_unref(c);
    return NULL;
}

struct gw_tls_ctx *gw_tls_ctx_ref(struct gw_tls_ctx *c) {
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void gw_tls_ctx_unref(struct gw_tls_ctx *c) {
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1) return;
    SSL_CTX_free(c->ssl_ctx);
    free(c);
}

// --- connections --------------------------------------------------------------------------------

// What the server's certificate must carry, and SNI where it is a name.
static bool expect_host(SSL *ssl, char *host) {
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1) return true;
    ERR_clear_error();
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

struct gw_tls *gw_tls_new(struct gw_tls_ctx *c, int fd, const char *host, struct gw_err *err) {
    if (!c->is_server && (!host || !*host)) {
        gw_err_set(err, GW_ERR_INPUT, 0, "TLS client: no host name to verify");
        return NULL;
    }
    ERR_clear_error();
    struct gw_tls *t = gw_alloc(sizeof(*t));
    t->ctx = gw_tls_ctx_ref(c);
    t->fd = fd;
    t->host = c->is_server ? NULL : gw_strdup(host);
    t->ssl = SSL_new(c->ssl_ctx);
    BIO *b = t->ssl ? bio_new(t) : NULL;
    if (!b || (t->host && !expect_host(t->ssl, t->host))) {
        gw_err_set(err, GW_ERR_INTERNAL, 0, "new TLS connection: %s", openssl_reason());
        BIO_free(b);
        gw_tls_free(t);
        return NULL;
    }
    SSL_set_bio(t->ssl, b, b);
    if (c->is_server)
        SSL_set_accept_state(t->ssl);
    else
        SSL_set_connect_state(t->ssl);
    return t;
}

void gw_tls_free(struct gw_tls *t) {
    if (!t) return;
    SSL_free(t->ssl);
    gw_tls_ctx_unref(t->ctx);
    free(t->host);
    free(t);
}

// Why the last operation failed. Constant strings, but for buf.
static const char *failure(struct gw_tls *t, char *buf, size_t buf_bytes) {
    unsigned long e = ERR_peek_error();
    long verify = SSL_get_verify_result(t->ssl);
    if (!t->ctx->is_server && !t->is_open && verify != X509_V_OK) {
        snprintf(buf, buf_bytes, "the certificate is not trusted: %s",
                 X509_verify_cert_error_string(verify));
        return buf;
    }
    // OpenSSL adds SSL_AD_REASON_OFFSET to the number of an alert that the peer sent.
    if (ERR_GET_LIB(e) == ERR_LIB_SSL && ERR_GET_REASON(e) > SSL_AD_REASON_OFFSET) {
        snprintf(buf, buf_bytes, "the peer sent the alert '%s'",
                 SSL_alert_desc_string_long(ERR_GET_REASON(e) - SSL_AD_REASON_OFFSET));
        return buf;
    }
    if (t->io_errno) return strerror_r(t->io_errno, buf, buf_bytes);
    if (t->is_eof) return "the peer closed the connection without close_notify";
    const char *reason = ERR_reason_error_string(e);
    return reason ? reason : "unknown reason";
}

// Turns the outcome of an SSL_* call into the module's terms.
static enum gw_rc outcome(struct gw_tls *t, int ssl_rc, const char *what, enum gw_tls_want *want,
                          struct gw_err *err) {
    *want = GW_TLS_WANT_NONE;
    int e = SSL_get_error(t->ssl, ssl_rc);
    if (e == SSL_ERROR_NONE) return GW_OK;
    if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE) {
        *want = e == SSL_ERROR_WANT_READ ? GW_TLS_WANT_READ : GW_TLS_WANT_WRITE;
        return GW_AGAIN;
    }
    if (e == SSL_ERROR_ZERO_RETURN) return GW_EOF;
    char buf[160];
    const char *why = failure(t, buf, sizeof(buf));
    bool is_peers_input = t->ctx->is_server && !t->is_open;
    t->is_broken = true;
    enum gw_rc rc = is_peers_input ? GW_ERR_INPUT : GW_ERR_UPSTREAM;
    rc = gw_err_set(err, rc, is_peers_input ? 400 : 502, "TLS %s%s%s: %s", what,
                    t->host ? " with " : "", t->host ? t->host : "", why);
    ERR_clear_error();
    return rc;
}

enum gw_rc gw_tls_handshake(struct gw_tls *t, enum gw_tls_want *want, struct gw_err *err) {
    ERR_clear_error();
    enum gw_rc rc = outcome(t, SSL_do_handshake(t->ssl), "handshake", want, err);
    if (rc == GW_OK) t->is_open = true;
    if (rc == GW_EOF) // close_notify in the middle of a handshake
        rc = gw_err_set(err, t->ctx->is_server ? GW_ERR_INPUT : GW_ERR_UPSTREAM, 0,
                        "TLS handshake: the peer closed the connection");
    return rc;
}

enum gw_rc gw_tls_read(struct gw_tls *t, void *p, size_t n, size_t *ret_n, enum gw_tls_want *want,
                       struct gw_err *err) {
    ERR_clear_error();
    size_t got = 0;
    enum gw_rc rc = outcome(t, SSL_read_ex(t->ssl, p, n, &got), "read", want, err);
    if (rc == GW_OK) *ret_n = got;
    return rc;
}

enum gw_rc gw_tls_write(struct gw_tls *t, const void *p, size_t n, size_t *ret_n,
                        enum gw_tls_want *want, struct gw_err *err) {
    ERR_clear_error();
    size_t put = 0;
    enum gw_rc rc = outcome(t, SSL_write_ex(t->ssl, p, n, &put), "write", want, err);
    if (rc == GW_OK) *ret_n = put;
    return rc;
}

void gw_tls_shutdown(struct gw_tls *t) {
    if (!t->is_open || t->is_broken) return;
    ERR_clear_error();
    SSL_shutdown(t->ssl);
    ERR_clear_error();
}

bool gw_tls_alpn_is(const struct gw_tls *t, struct gw_str proto) {
    const unsigned char *name = NULL;
    unsigned len = 0;
    SSL_get0_alpn_selected(t->ssl, &name, &len);
    return gw_str_eq((struct gw_str){(const char *)name, len}, proto);
}
