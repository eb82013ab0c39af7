// SPDX-License-Identifier: Apache-2.0
// Contexts and handshakes over a caller's non-blocking socket. Error texts hold OpenSSL's constant
// strings: no peer's bytes, and no name that the caller did not put there.
#include "shared/tls_internal.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

// Certificates in one PEM text: the system's largest bundles have a few hundred.
#define PEM_CERTS_MAX 4096

// --- contexts -----------------------------------------------------------------------------------

const char *gw_tls_openssl_reason(void) {
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

enum gw_rc gw_tls_ctx_set_alpn(struct gw_tls_ctx *c, struct gw_str alpn, struct gw_err *err) {
    while (alpn.len) {
        struct gw_str name = gw_str_cut(&alpn, ',');
        if (name.len == 0 || c->alpn_len + 1 + name.len > sizeof(c->alpn))
            return gw_err_set(err, GW_ERR_INPUT, 0, "ALPN: an empty name, or over 255 bytes");
        c->alpn[c->alpn_len] = (unsigned char)name.len;
        memcpy(c->alpn + c->alpn_len + 1, name.ptr, name.len);
        c->alpn_len += (unsigned)name.len + 1;
    }
    if (c->alpn_len == 0) return GW_OK;
    if (c->is_server)
        SSL_CTX_set_alpn_select_cb(c->ssl_ctx, on_alpn, c);
    else if (SSL_CTX_set_alpn_protos(c->ssl_ctx, c->alpn, c->alpn_len) != 0)
        return gw_err_set(err, GW_ERR_INTERNAL, 0, "setting ALPN: %s", gw_tls_openssl_reason());
    return GW_OK;
}

// What a server speaks: forward secrecy and authenticated encryption alone (RFC 9325 4.2), and
// X25519 first. The order of suites is the client's: it knows whether it computes AES quickly.
static bool set_strong(SSL_CTX *s) {
    static const char tls_1_2[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                                  "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                  "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
    static const char tls_1_3[] = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                  "TLS_CHACHA20_POLY1305_SHA256";
    static char groups[] = "X25519:P-256:P-384"; // OpenSSL's macro casts const away
    return SSL_CTX_set_cipher_list(s, tls_1_2) == 1 && SSL_CTX_set_ciphersuites(s, tls_1_3) == 1 &&
           SSL_CTX_set1_groups_list(s, groups) == 1;
}

struct gw_tls_ctx *gw_tls_ctx_make(bool is_server, struct gw_err *err) {
    struct gw_tls_ctx *c = gw_alloc(sizeof(*c));
    atomic_init(&c->refs, 1);
    c->is_server = is_server;
    ERR_clear_error();
    c->ssl_ctx = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
    if (!c->ssl_ctx || SSL_CTX_set_min_proto_version(c->ssl_ctx, TLS1_2_VERSION) != 1 ||
        (is_server && !set_strong(c->ssl_ctx))) {
        gw_err_set(err, GW_ERR_INTERNAL, 0, "new TLS context: %s", gw_tls_openssl_reason());
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

enum gw_rc gw_tls_read_chain(struct gw_str pem, X509 **ret_leaf, STACK_OF(X509) * *ret_chain,
                             struct gw_err *err) {
    BIO *b = pem_bio(pem);
    if (!b) return gw_err_set(err, GW_ERR_INPUT, 0, "certificate: the PEM text is empty");
    enum gw_rc rc = GW_OK;
    X509 *leaf = NULL;
    STACK_OF(X509) *chain = sk_X509_new_null();
    for (unsigned n = 0; rc == GW_OK && n < PEM_CERTS_MAX; n++) {
        X509 *x = NULL;
        rc = next_cert(b, &x);
        if (rc == GW_EOF && n > 0) {
            rc = GW_OK;
            break;
        }
        if (rc == GW_EOF)
            rc = gw_err_set(err, GW_ERR_INPUT, 0, "certificate: no certificate in the PEM text");
        else if (rc != GW_OK)
            rc = gw_err_set(err, GW_ERR_INPUT, 0, "certificate %u of the PEM text: %s", n + 1,
                            gw_tls_openssl_reason());
        else if (n == 0)
            leaf = x;
        else if (sk_X509_push(chain, x) == 0)
            rc = gw_err_set(err, GW_ERR_INTERNAL, 0, "out of memory");
    }
    BIO_free(b);
    if (rc == GW_OK) {
        *ret_leaf = leaf;
        *ret_chain = chain;
        return GW_OK;
    }
    X509_free(leaf);
    sk_X509_pop_free(chain, X509_free);
    return rc;
}

enum gw_rc gw_tls_read_key(const struct gw_secret *pem, EVP_PKEY **ret, struct gw_err *err) {
    BIO *b = pem_bio(gw_secret_reveal(pem));
    if (!b) return gw_err_set(err, GW_ERR_INPUT, 0, "private key: the PEM text is empty");
    EVP_PKEY *k = PEM_read_bio_PrivateKey(b, NULL, no_passphrase, NULL);
    BIO_free(b);
    if (k) {
        *ret = k;
        return GW_OK;
    }
    ERR_clear_error();
    return gw_err_set(err, GW_ERR_INPUT, 0,
                      "private key: no readable key in the PEM text (is it encrypted?)");
}

static enum gw_rc use_pair(SSL_CTX *s, struct gw_str cert_pem, const struct gw_secret *key_pem,
                           struct gw_err *err) {
    X509 *leaf = NULL;
    STACK_OF(X509) *chain = NULL;
    EVP_PKEY *key = NULL;
    enum gw_rc rc = gw_tls_read_chain(cert_pem, &leaf, &chain, err);
    if (rc == GW_OK) rc = gw_tls_read_key(key_pem, &key, err);
    if (rc == GW_OK && X509_check_private_key(leaf, key) != 1)
        rc = gw_err_set(err, GW_ERR_INPUT, 0, "private key does not fit the certificate: %s",
                        gw_tls_openssl_reason());
    if (rc == GW_OK && SSL_CTX_use_cert_and_key(s, leaf, key, chain, 1) != 1)
        rc = gw_err_set(err, GW_ERR_INPUT, 0, "certificate: %s", gw_tls_openssl_reason());
    X509_free(leaf);
    sk_X509_pop_free(chain, X509_free);
    EVP_PKEY_free(key);
    return rc;
}

struct gw_tls_ctx *gw_tls_server_ctx(struct gw_str cert_pem, const struct gw_secret *key_pem,
                                     struct gw_str alpn, struct gw_err *err) {
    struct gw_tls_ctx *c = gw_tls_ctx_make(true, err);
    if (!c) return NULL;
    if (use_pair(c->ssl_ctx, cert_pem, key_pem, err) == GW_OK &&
        gw_tls_ctx_set_alpn(c, alpn, err) == GW_OK)
        return c;
    gw_tls_ctx_unref(c);
    return NULL;
}

static enum gw_rc trust(SSL_CTX *s, struct gw_str pem, struct gw_err *err) {
    if (pem.len == 0) {
        if (SSL_CTX_set_default_verify_paths(s) == 1) return GW_OK;
        return gw_err_set(err, GW_ERR_INTERNAL, 0, "the system's trust store: %s",
                          gw_tls_openssl_reason());
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
                            gw_tls_openssl_reason());
        X509_free(x);
        n++;
    }
    BIO_free(b);
    if (rc == GW_EOF && n == 0)
        return gw_err_set(err, GW_ERR_INPUT, 0, "CA certificates: no certificate in the PEM text");
    return rc == GW_EOF ? GW_OK : rc;
}

struct gw_tls_ctx *gw_tls_client_ctx(struct gw_str ca_pem, struct gw_str alpn, struct gw_err *err) {
    struct gw_tls_ctx *c = gw_tls_ctx_make(false, err);
    if (!c) return NULL;
    SSL_CTX_set_verify(c->ssl_ctx, SSL_VERIFY_PEER, NULL);
    if (trust(c->ssl_ctx, ca_pem, err) == GW_OK && gw_tls_ctx_set_alpn(c, alpn, err) == GW_OK)
        return c;
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
    gw_tls_tickets_free(c->tickets);
    free(c);
}

// --- connections --------------------------------------------------------------------------------

// What the server's certificate must carry, and SNI where it is a name.
static bool expect_host(SSL *ssl, const char *host) {
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    char *name = gw_strdup(host); // OpenSSL's macro casts const away
    bool is_set = X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1;
    if (!is_set) {
        ERR_clear_error();
        SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        is_set = SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
    }
    free(name);
    return is_set;
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
    t->ssl = SSL_new(c->ssl_ctx);
    BIO *b = t->ssl ? gw_tls_bio_new(t) : NULL;
    if (!b || (!c->is_server && !expect_host(t->ssl, host))) {
        gw_err_set(err, GW_ERR_INTERNAL, 0, "new TLS connection: %s", gw_tls_openssl_reason());
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
    free(t->sni);
    free(t->unsent);
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

enum gw_rc gw_tls_outcome(struct gw_tls *t, int ssl_rc, const char *what, enum gw_tls_want *want,
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
    rc = gw_err_set(err, rc, is_peers_input ? 400 : 502, "TLS %s: %s", what, why);
    ERR_clear_error();
    return rc;
}

enum gw_rc gw_tls_handshake(struct gw_tls *t, enum gw_tls_want *want, struct gw_err *err) {
    ERR_clear_error();
    enum gw_rc rc = gw_tls_outcome(t, SSL_do_handshake(t->ssl), "handshake", want, err);
    if (rc == GW_OK) {
        t->is_open = true;
        t->held = 0;
    }
    if (rc == GW_EOF) // close_notify in the middle of a handshake
        rc = gw_err_set(err, t->ctx->is_server ? GW_ERR_INPUT : GW_ERR_UPSTREAM, 0,
                        "TLS handshake: the peer closed the connection");
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
