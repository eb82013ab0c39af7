// SPDX-License-Identifier: Apache-2.0
// Certificates of Secrets: decoded, read as PEM, judged as a TLS server would judge them.
#include "controller/res/certificate.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

// What a snapshot's resource takes (shared/ir.c).
#define CHAIN_BYTES_MAX 262144
#define KEY_BYTES_MAX 65536
// A chain of more is no chain that a client would follow.
#define CHAIN_CERTIFICATES_MAX 16

// Decoded bytes; wiped by blob_fini, since one of them is a key.
struct blob {
    unsigned char *ptr;
    size_t len;
};

static void blob_fini(struct blob *b) {
    if (b->ptr) explicit_bzero(b->ptr, b->len);
    free(b->ptr);
}

static enum gw_rc decode(const json_t *secret, const char *key, struct blob *ret,
                         struct gw_err *err) {
    struct gw_str s = gw_json_str(gw_json_get(secret, "data"), key);
    if (!s.ptr) return gw_err_set(err, GW_ERR_INPUT, 0, "%s: is missing", key);
    int n = 0, last = 0;
    EVP_ENCODE_CTX *ctx = EVP_ENCODE_CTX_new();
    GW_ASSERT(ctx);
    ret->ptr = gw_alloc(s.len + 1);
    EVP_DecodeInit(ctx);
    bool ok = EVP_DecodeUpdate(ctx, ret->ptr, &n, (const unsigned char *)s.ptr, (int)s.len) >= 0 &&
              EVP_DecodeFinal(ctx, ret->ptr + n, &last) == 1;
    EVP_ENCODE_CTX_free(ctx);
    ret->len = (size_t)n + (size_t)last;
    if (!ok) return gw_err_set(err, GW_ERR_INPUT, 0, "%s: is not base64", key);
    return ret->len ? GW_OK : gw_err_set(err, GW_ERR_INPUT, 0, "%s: is empty", key);
}

// --- reading PEM -------------------------------------------------------------------------------

struct pair {
    X509 *leaf;
    STACK_OF(X509) * rest;
    EVP_PKEY *key;
};

static void pair_fini(struct pair *p) {
    X509_free(p->leaf);
    sk_X509_pop_free(p->rest, X509_free);
    EVP_PKEY_free(p->key);
    ERR_clear_error();
}

// Whether the last error is only that no further block of PEM follows.
static bool is_end_of_pem(void) {
    unsigned long e = ERR_peek_last_error();
    bool end = ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    return end;
}

static enum gw_rc read_chain(const struct blob *b, struct pair *p, struct gw_err *err) {
    BIO *in = BIO_new_mem_buf(b->ptr, (int)b->len);
    int n = 0;
    X509 *x;
    p->rest = sk_X509_new_null();
    GW_ASSERT(in && p->rest);
    while (n <= CHAIN_CERTIFICATES_MAX && (x = PEM_read_bio_X509(in, NULL, NULL, NULL))) {
        if (n++ == 0)
            p->leaf = x;
        else
            sk_X509_push(p->rest, x);
    }
    bool end = is_end_of_pem();
    BIO_free(in);
    if (n > CHAIN_CERTIFICATES_MAX)
        return gw_err_set(err, GW_ERR_INPUT, 0, "tls.crt: holds more than %d certificates",
                          CHAIN_CERTIFICATES_MAX);
    if (n == 0 && end)
        return gw_err_set(err, GW_ERR_INPUT, 0, "tls.crt: holds no certificate in PEM form");
    if (!end)
        return gw_err_set(err, GW_ERR_INPUT, 0, "tls.crt: certificate %d cannot be read", n + 1);
    return GW_OK;
}

static int no_password(char *buf, int size, int writing, void *arg) {
    (void)buf;
    (void)size;
    (void)writing;
    *(bool *)arg = true;
    return -1;
}

static enum gw_rc read_key(const struct blob *b, struct pair *p, struct gw_err *err) {
    BIO *in = BIO_new_mem_buf(b->ptr, (int)b->len);
    GW_ASSERT(in);
    bool is_sealed = false;
    p->key = PEM_read_bio_PrivateKey(in, NULL, no_password, &is_sealed);
    BIO_free(in);
    ERR_clear_error();
    if (p->key) return GW_OK;
    if (is_sealed) return gw_err_set(err, GW_ERR_INPUT, 0, "tls.key: is protected by a password");
    return gw_err_set(err, GW_ERR_INPUT, 0, "tls.key: holds no private key in PEM form");
}

// --- judging -----------------------------------------------------------------------------------

static const char *words_of(unsigned long e) {
    switch (ERR_GET_LIB(e) == ERR_LIB_SSL ? ERR_GET_REASON(e) : 0) {
    case SSL_R_EE_KEY_TOO_SMALL:
        return "its key is too small";
    case SSL_R_CA_KEY_TOO_SMALL:
        return "a key of its chain is too small";
    case SSL_R_CA_MD_TOO_WEAK:
        return "a signature of its chain is too weak";
    }
    const char *why = ERR_reason_error_string(e);
    return why ? why : "unknown reason";
}

// What a data plane's library will say of the pair: weak keys and signatures too.
static enum gw_rc judge(const struct pair *p, struct gw_err *err) {
    if (X509_check_private_key(p->leaf, p->key) != 1)
        return gw_err_set(err, GW_ERR_INPUT, 0,
                          "tls.key: does not belong to the certificate in tls.crt");
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    GW_ASSERT(ctx);
    bool ok = SSL_CTX_use_cert_and_key(ctx, p->leaf, p->key, p->rest, 1) == 1;
    unsigned long e = ERR_peek_last_error();
    SSL_CTX_free(ctx);
    ERR_clear_error();
    if (ok) return GW_OK;
    return gw_err_set(err, GW_ERR_INPUT, 0, "tls.crt: cannot be served: %s", words_of(e));
}

// --- names -------------------------------------------------------------------------------------

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// Bytes of a certificate are a stranger's: what is no host name is left out.
static char *host_name(const ASN1_STRING *s) {
    size_t n = (size_t)ASN1_STRING_length(s);
    const char *p = (const char *)ASN1_STRING_get0_data(s);
    if (n == 0 || n > 253) return NULL;
    char *name = gw_strndup(p, n);
    gw_str_lower(name, n);
    if (strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-._*") == n) return name;
    free(name);
    return NULL;
}

static char *address(const ASN1_OCTET_STRING *s) {
    char text[INET6_ADDRSTRLEN];
    int n = ASN1_STRING_length(s);
    if (n != 4 && n != 16) return NULL;
    const char *ok =
        inet_ntop(n == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(s), text, sizeof(text));
    return ok ? gw_strdup(text) : NULL;
}

static void read_names(const struct pair *p, struct ctl_certificate *ret) {
    GENERAL_NAMES *list = X509_get_ext_d2i(p->leaf, NID_subject_alt_name, NULL, NULL);
    ret->names = gw_alloc((CTL_CERTIFICATE_NAMES_MAX + 1) * sizeof(*ret->names));
    size_t n = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(list) && n < CTL_CERTIFICATE_NAMES_MAX; i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(list, i);
        char *name = g->type == GEN_DNS     ? host_name(g->d.dNSName)
                     : g->type == GEN_IPADD ? address(g->d.iPAddress)
                                            : NULL;
        if (name) ret->names[n++] = name;
    }
    GENERAL_NAMES_free(list);
    ERR_clear_error();
    if (n) qsort(ret->names, n, sizeof(*ret->names), compare_names);
    for (size_t i = 0; i < n; i++) {
        if (ret->names_n && strcmp(ret->names[ret->names_n - 1], ret->names[i]) == 0)
            free(ret->names[i]);
        else
            ret->names[ret->names_n++] = ret->names[i];
    }
}

static void read_end(const struct pair *p, struct ctl_certificate *ret) {
    struct tm tm;
    if (ASN1_TIME_to_tm(X509_get0_notAfter(p->leaf), &tm) == 1)
        strftime(ret->not_after, sizeof(ret->not_after), "%Y-%m-%dT%H:%M:%SZ", &tm);
}

// --- writing PEM -------------------------------------------------------------------------------

// NULL where nothing was written. Takes out.
static char *text_of(BIO *out, bool ok) {
    char *p;
    long n = BIO_get_mem_data(out, &p);
    char *text = ok ? gw_strndup(p, (size_t)n) : NULL;
    if (n > 0) explicit_bzero(p, (size_t)n);
    BIO_free(out);
    return text;
}

static enum gw_rc write_pair(const struct pair *p, struct ctl_certificate *ret,
                             struct gw_err *err) {
    BIO *out = BIO_new(BIO_s_mem());
    GW_ASSERT(out);
    bool ok = PEM_write_bio_X509(out, p->leaf) == 1;
    for (int i = 0; i < sk_X509_num(p->rest); i++)
        ok = ok && PEM_write_bio_X509(out, sk_X509_value(p->rest, i)) == 1;
    ret->chain = text_of(out, ok);
    out = BIO_new(BIO_s_mem());
    GW_ASSERT(out);
    ok = PEM_write_bio_PKCS8PrivateKey(out, p->key, NULL, NULL, 0, NULL, NULL) == 1;
    ret->key = text_of(out, ok);
    ERR_clear_error();
    if (!ret->chain) return gw_err_set(err, GW_ERR_INPUT, 0, "tls.crt: cannot be written as PEM");
    if (!ret->key) return gw_err_set(err, GW_ERR_INPUT, 0, "tls.key: cannot be written as PEM");
    if (strlen(ret->chain) > CHAIN_BYTES_MAX || strlen(ret->key) > KEY_BYTES_MAX)
        return gw_err_set(err, GW_ERR_INPUT, 0, "%s: is too large",
                          strlen(ret->key) > KEY_BYTES_MAX ? "tls.key" : "tls.crt");
    return GW_OK;
}

static enum gw_rc read_pair(const struct blob *crt, const struct blob *key, struct pair *p,
                            struct gw_err *err) {
    GW_TRY(read_chain(crt, p, err));
    GW_TRY(read_key(key, p, err));
    return judge(p, err);
}

enum gw_rc ctl_certificate_read(const json_t *secret, struct ctl_certificate *ret,
                                struct gw_err *err) {
    struct blob crt = {0}, key = {0};
    struct pair p = {0};
    struct ctl_certificate c = {0};
    enum gw_rc rc = decode(secret, "tls.crt", &crt, err);
    if (rc == GW_OK) rc = decode(secret, "tls.key", &key, err);
    if (rc == GW_OK) rc = read_pair(&crt, &key, &p, err);
    if (rc == GW_OK) {
        read_names(&p, &c);
        read_end(&p, &c);
        rc = write_pair(&p, &c, err);
    }
    pair_fini(&p);
    blob_fini(&crt);
    blob_fini(&key);
    if (rc == GW_OK)
        *ret = c;
    else
        ctl_certificate_fini(&c);
    return rc;
}

void ctl_certificate_fini(struct ctl_certificate *c) {
    free(c->chain);
    if (c->key) explicit_bzero(c->key, strlen(c->key));
    free(c->key);
    for (size_t i = 0; i < c->names_n; i++)
        free(c->names[i]);
    free(c->names);
    *c = (struct ctl_certificate){0};
}

static bool name_covers(struct gw_str name, struct gw_str hostname) {
    if (gw_str_eq(name, hostname)) return true;
    if (!gw_str_starts(name, GW_STR("*."))) return false;
    ptrdiff_t dot = gw_str_find(hostname, '.');
    if (dot <= 0 || name.len < 3) return false;
    struct gw_str tail = {hostname.ptr + dot, hostname.len - (size_t)dot};
    return gw_str_eq(tail, (struct gw_str){name.ptr + 1, name.len - 1});
}

bool ctl_certificate_covers(const struct ctl_certificate *c, struct gw_str hostname) {
    for (size_t i = 0; i < c->names_n; i++)
        if (name_covers(gw_str_of(c->names[i]), hostname)) return true;
    return false;
}
