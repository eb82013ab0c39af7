// SPDX-License-Identifier: Apache-2.0
// Servers of many names: certificates that are put on a connection when its ClientHello has said
// which name it wants, and tickets that are good for that name alone.
#include "shared/tls_internal.h"
#include "shared/tls_sni.h"
#include "shared/vec.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

// RSA below 2048 bits and SHA-1 are refused, whatever the system's configuration says.
#define SECURITY_LEVEL 2

struct gw_tls_cert {
    X509 *leaf;
    STACK_OF(X509) * chain;
    EVP_PKEY *key;
    enum gw_tls_key_type key_type;
    GW_VEC(char *) names; // lower case
};

// --- certificates -------------------------------------------------------------------------------

static void read_names(struct gw_tls_cert *c) {
    GENERAL_NAMES *all = X509_get_ext_d2i(c->leaf, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(all, i);
        if (g->type != GEN_DNS) continue;
        int n = ASN1_STRING_length(g->d.dNSName);
        if (n <= 0) continue;
        char *name = gw_strndup((const char *)ASN1_STRING_get0_data(g->d.dNSName), (size_t)n);
        gw_str_lower(name, (size_t)n);
        GW_VEC_PUSH(&c->names, name);
    }
    GENERAL_NAMES_free(all);
}

static enum gw_tls_key_type type_of(const EVP_PKEY *k) {
    switch (EVP_PKEY_get_base_id(k)) {
    case EVP_PKEY_EC:
        return GW_TLS_KEY_EC;
    case EVP_PKEY_RSA:
    case EVP_PKEY_RSA_PSS:
        return GW_TLS_KEY_RSA;
    default:
        return GW_TLS_KEY_OTHER;
    }
}

// Certificates are tried on a connection of this context, as they will be used.
static SSL_CTX *trial_ctx;

static void make_trial_ctx(void) {
    struct gw_err err;
    struct gw_tls_ctx *c = gw_tls_ctx_make(true, &err);
    GW_ASSERT(c != NULL);
    SSL_CTX_set_security_level(c->ssl_ctx, SECURITY_LEVEL);
    trial_ctx = c->ssl_ctx;
    SSL_CTX_up_ref(trial_ctx);
    gw_tls_ctx_unref(c);
}

static bool put_on(SSL *ssl, const struct gw_tls_cert *c) {
    return SSL_use_cert_and_key(ssl, c->leaf, c->key, c->chain, 1) == 1;
}

static enum gw_rc try_cert(const struct gw_tls_cert *c, struct gw_err *err) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_trial_ctx);
    if (X509_check_private_key(c->leaf, c->key) != 1)
        return gw_err_set(err, GW_ERR_INPUT, 0, "private key does not fit the certificate: %s",
                          gw_tls_openssl_reason());
    SSL *ssl = SSL_new(trial_ctx);
    bool is_usable = ssl && put_on(ssl, c);
    SSL_free(ssl);
    if (is_usable) return GW_OK;
    return gw_err_set(err, GW_ERR_INPUT, 0, "certificate: %s", gw_tls_openssl_reason());
}

struct gw_tls_cert *gw_tls_cert_new(struct gw_str chain_pem, const struct gw_secret *key_pem,
                                    struct gw_err *err) {
    struct gw_tls_cert *c = gw_alloc(sizeof(*c));
    ERR_clear_error();
    if (gw_tls_read_chain(chain_pem, &c->leaf, &c->chain, err) == GW_OK &&
        gw_tls_read_key(key_pem, &c->key, err) == GW_OK && try_cert(c, err) == GW_OK) {
        c->key_type = type_of(c->key);
        read_names(c);
        return c;
    }
    gw_tls_cert_free(c);
    return NULL;
}

void gw_tls_cert_free(struct gw_tls_cert *c) {
    if (!c) return;
    X509_free(c->leaf);
    sk_X509_pop_free(c->chain, X509_free);
    EVP_PKEY_free(c->key);
    for (size_t i = 0; i < c->names.len; i++)
        free(c->names.ptr[i]);
    GW_VEC_FINI(&c->names);
    free(c);
}

enum gw_tls_key_type gw_tls_cert_key_type(const struct gw_tls_cert *c) {
    return c->key_type;
}

unsigned gw_tls_cert_fit(const struct gw_tls_cert *c, struct gw_str host) {
    ptrdiff_t dot = gw_str_find(host, '.');
    struct gw_str parent = {NULL, 0}; // with its dot
    unsigned best = 0;
    if (dot > 0) parent = (struct gw_str){host.ptr + dot, host.len - (size_t)dot};
    for (size_t i = 0; i < c->names.len; i++) {
        struct gw_str name = gw_str_of(c->names.ptr[i]);
        if (gw_str_eq(name, host)) return 2;
        if (parent.len && name.len > 2 && name.ptr[0] == '*' &&
            gw_str_eq((struct gw_str){name.ptr + 1, name.len - 1}, parent))
            best = 1;
    }
    return best;
}

// --- the choice ---------------------------------------------------------------------------------

// A ticket is taken only where this is what it was when the ticket was made.
static bool set_scope(SSL *ssl, struct gw_str scope, const char *name) {
    struct gw_text text = {0};
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    gw_text_add(&text, name, strlen(name) + 1);
    if (scope.len) gw_text_add(&text, scope.ptr, scope.len);
    bool is_set = EVP_Digest(text.ptr, text.len, digest, &len, EVP_sha256(), NULL) == 1 &&
                  SSL_set_session_id_context(ssl, digest, len) == 1;
    gw_text_fini(&text);
    return is_set;
}

static int refuse(int *ret_alert, int alert) {
    *ret_alert = alert;
    return SSL_CLIENT_HELLO_ERROR;
}

static int choose(SSL *ssl, struct gw_tls *t, int *ret_alert) {
    struct gw_tls_choice choice = {0};
    unsigned put = 0;
    t->is_unserved = !t->ctx->choose(t->choose_arg, gw_str_of(t->sni), &choice);
    if (t->is_unserved) return refuse(ret_alert, SSL_AD_UNRECOGNIZED_NAME);
    for (unsigned i = 0; i < GW_TLS_KEY_TYPES; i++)
        if (choice.certs[i] && put_on(ssl, choice.certs[i])) put++;
    if (put == 0 || !set_scope(ssl, choice.scope, t->sni))
        return refuse(ret_alert, SSL_AD_INTERNAL_ERROR);
    return SSL_CLIENT_HELLO_SUCCESS;
}

static int on_hello(SSL *ssl, int *ret_alert, void *arg GW_UNUSED) {
    struct gw_tls *t = SSL_get_app_data(ssl);
    const unsigned char *ext;
    char name[GW_TLS_SNI_MAX + 1] = "";
    size_t len;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &ext, &len) == 1) {
        struct gw_str bytes = {(const char *)ext, len};
        enum gw_tls_sni rc = gw_tls_sni_parse(bytes, name, &len);
        if (rc == GW_TLS_SNI_BAD_FRAME) return refuse(ret_alert, SSL_AD_DECODE_ERROR);
        t->is_unserved = rc == GW_TLS_SNI_BAD_NAME;
        if (t->is_unserved) return refuse(ret_alert, SSL_AD_UNRECOGNIZED_NAME);
    }
    // A second ClientHello, which we asked for, is the first with other keys (RFC 8446 4.1.2).
    if (t->sni && strcmp(t->sni, name) != 0) return refuse(ret_alert, SSL_AD_ILLEGAL_PARAMETER);
    if (t->sni) return SSL_CLIENT_HELLO_SUCCESS;
    t->sni = gw_strdup(name);
    return choose(ssl, t, ret_alert);
}

// The name was judged in on_hello; this one has the server say that it was understood.
static int on_server_name(SSL *ssl GW_UNUSED, int *ret_alert GW_UNUSED, void *arg GW_UNUSED) {
    return SSL_TLSEXT_ERR_OK;
}

// --- tickets ------------------------------------------------------------------------------------

static int64_t now_ms(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static bool set_hmac(EVP_MAC_CTX *mac, struct gw_tls_ticket_key *k) {
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, k->hmac, sizeof(k->hmac)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

// 1: done; 2: done, and the client gets a new ticket; 0: not our key, a full handshake follows.
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int is_sealing) {
    const struct gw_tls *t = SSL_get_app_data(ssl);
    struct gw_tls_ticket_key k;
    bool is_old = false, is_done;
    if (is_sealing) {
        gw_tls_tickets_seal(t->ctx->tickets, now_ms(), &k);
        memcpy(name, k.name, sizeof(k.name));
        gw_random(iv, EVP_MAX_IV_LENGTH);
        is_done = EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, k.aes, iv) == 1;
    } else {
        if (!gw_tls_tickets_open(t->ctx->tickets, now_ms(), name, &k, &is_old)) return 0;
        is_done = EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, k.aes, iv) == 1;
    }
    is_done = is_done && set_hmac(mac, &k);
    explicit_bzero(&k, sizeof(k));
    if (!is_done) return -1;
    return is_old ? 2 : 1;
}

// --- contexts and connections -------------------------------------------------------------------

struct gw_tls_ctx *gw_tls_names_ctx(gw_tls_choose_fn fn, struct gw_str alpn, struct gw_err *err) {
    struct gw_tls_ctx *c = gw_tls_ctx_make(true, err);
    if (!c) return NULL;
    c->choose = fn;
    c->tickets = gw_tls_tickets_new();
    SSL_CTX_set_security_level(c->ssl_ctx, SECURITY_LEVEL);
    SSL_CTX_set_client_hello_cb(c->ssl_ctx, on_hello, NULL);
    SSL_CTX_set_tlsext_servername_callback(c->ssl_ctx, on_server_name);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(c->ssl_ctx, on_ticket);
    SSL_CTX_set_timeout(c->ssl_ctx, GW_TLS_TICKET_SECONDS);
    // One is enough: whoever comes back with it gets the next.
    SSL_CTX_set_num_tickets(c->ssl_ctx, 1);
    if (gw_tls_ctx_set_alpn(c, alpn, err) == GW_OK) return c;
    gw_tls_ctx_unref(c);
    return NULL;
}

struct gw_tls *gw_tls_accept(struct gw_tls_ctx *c, int fd, void *arg, struct gw_err *err) {
    struct gw_tls *t = gw_tls_new(c, fd, NULL, err);
    if (!t) return NULL;
    t->choose_arg = arg;
    SSL_set_app_data(t->ssl, t);
    return t;
}

struct gw_str gw_tls_server_name(const struct gw_tls *t) {
    return gw_str_of(t->sni ? t->sni : "");
}

bool gw_tls_is_unserved(const struct gw_tls *t) {
    return t->is_unserved;
}

bool gw_tls_is_resumed(const struct gw_tls *t) {
    return SSL_session_reused(t->ssl) == 1;
}
