// SPDX-License-Identifier: Apache-2.0
// Makes the certificates of the push stream: a P-256 CA and server certificates signed by it.
// Names are put into the extension as values, never as a configuration text that they could extend.
#include "shared/tls.h"

#include <arpa/inet.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

// Clocks of nodes differ a little; a certificate must be good the moment it is made.
#define BACKDATE_SECONDS 300
#define DAYS_MAX 36500
#define NAMES_MAX 64
#define SERIAL_BYTES 16

static enum gw_rc openssl_failed(const char *what, struct gw_err *err) {
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    gw_err_set(err, GW_ERR_INTERNAL, 0, "%s: %s", what, reason ? reason : "unknown reason");
    ERR_clear_error();
    return GW_ERR_INTERNAL;
}

static bool add_ext(X509 *x, X509 *issuer, int nid, const char *value) {
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = e && X509_add_ext(x, e, -1) == 1;
    X509_EXTENSION_free(e);
    return ok;
}

static bool set_serial(X509 *x) {
    unsigned char bytes[SERIAL_BYTES];
    gw_random(bytes, sizeof(bytes));
    bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40); // positive, always of full length
    BIGNUM *n = BN_bin2bn(bytes, sizeof(bytes), NULL);
    bool ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL;
    BN_free(n);
    return ok;
}

static bool set_common_name(X509 *x, const char *cn) {
    return X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
                                      (const unsigned char *)cn, -1, -1, 0) == 1;
}

// Version, serial, validity and key; what CA and server certificates share.
static X509 *cert_new(EVP_PKEY *key, int days) {
    X509 *x = X509_new();
    if (x && X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) &&
        X509_gmtime_adj(X509_getm_notBefore(x), -BACKDATE_SECONDS) &&
        X509_time_adj_ex(X509_getm_notAfter(x), days, 0, NULL) && X509_set_pubkey(x, key) == 1)
        return x;
    X509_free(x);
    return NULL;
}

static bool write_pem(X509 *x, EVP_PKEY *key, struct gw_text *ret_cert,
                      struct gw_secret **ret_key) {
    BIO *cert_bio = BIO_new(BIO_s_mem());
    BIO *key_bio = BIO_new(BIO_s_mem());
    bool ok = cert_bio && key_bio && PEM_write_bio_X509(cert_bio, x) == 1 &&
              PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL) == 1;
    if (ok) {
        char *p;
        long n = BIO_get_mem_data(cert_bio, &p);
        gw_text_add(ret_cert, p, (size_t)n);
        n = BIO_get_mem_data(key_bio, &p);
        *ret_key = gw_secret_new((struct gw_str){p, (size_t)n});
        OPENSSL_cleanse(p, (size_t)n);
    }
    BIO_free(cert_bio);
    BIO_free(key_bio);
    return ok;
}

static enum gw_rc check_days(int days, struct gw_err *err) {
    if (days >= 1 && days <= DAYS_MAX) return GW_OK;
    return gw_err_set(err, GW_ERR_INPUT, 0, "certificate: %d days are not in 1..%d", days,
                      DAYS_MAX);
}

enum gw_rc gw_tls_make_ca(const char *common_name, int days, struct gw_text *ret_cert,
                          struct gw_secret **ret_key, struct gw_err *err) {
    GW_TRY(check_days(days, err));
    ERR_clear_error();
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = key ? cert_new(key, days) : NULL;
    bool ok = x && set_common_name(x, common_name) &&
              X509_set_issuer_name(x, X509_get_subject_name(x)) == 1 &&
              add_ext(x, x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
              add_ext(x, x, NID_key_usage, "critical,keyCertSign,cRLSign") &&
              add_ext(x, x, NID_subject_key_identifier, "hash") &&
              X509_sign(x, key, EVP_sha256()) > 0 && write_pem(x, key, ret_cert, ret_key);
    enum gw_rc rc = ok ? GW_OK : openssl_failed("new CA certificate", err);
    X509_free(x);
    EVP_PKEY_free(key);
    return rc;
}

enum gw_rc gw_tls_check_name(const char *name, struct gw_err *err) {
    size_t n = strlen(name);
    bool ok = n > 0 && n <= 253;
    for (size_t i = 0; ok && i < n; i++) {
        char c = name[i];
        ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '-' || c == '.' || c == '_' || (c == '*' && i == 0);
    }
    if (ok) return GW_OK;
    return gw_err_set(err, GW_ERR_INPUT, 0, "'%.60s' is neither a DNS name nor an IP address",
                      name);
}

static GENERAL_NAME *general_name(const char *name) {
    unsigned char ip[16];
    int ip_len = inet_pton(AF_INET, name, ip) == 1    ? 4
                 : inet_pton(AF_INET6, name, ip) == 1 ? 16
                                                      : 0;
    GENERAL_NAME *g = GENERAL_NAME_new();
    ASN1_STRING *value = ip_len ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    const void *bytes = ip_len ? (const void *)ip : (const void *)name;
    if (!g || !value || ASN1_STRING_set(value, bytes, ip_len ? ip_len : -1) != 1) {
        GENERAL_NAME_free(g);
        ASN1_STRING_free(value);
        return NULL;
    }
    GENERAL_NAME_set0_value(g, ip_len ? GEN_IPADD : GEN_DNS, value);
    return g;
}

static bool add_names(X509 *x, const char *const *names) {
    GENERAL_NAMES *list = sk_GENERAL_NAME_new_null();
    bool ok = list != NULL;
    for (size_t i = 0; ok && names[i]; i++) {
        GENERAL_NAME *g = general_name(names[i]);
        ok = g && sk_GENERAL_NAME_push(list, g) > 0;
        if (!ok) GENERAL_NAME_free(g);
    }
    // Critical, since the subject is empty (RFC 5280, 4.1.2.6).
    ok = ok && X509_add1_ext_i2d(x, NID_subject_alt_name, list, 1, 0) == 1;
    GENERAL_NAMES_free(list);
    return ok;
}

static enum gw_rc check_names(const char *const *names, struct gw_err *err) {
    size_t n = 0;
    for (; names[n]; n++) {
        if (n == NAMES_MAX)
            return gw_err_set(err, GW_ERR_LIMIT, 0, "certificate: more than %d names", NAMES_MAX);
        if (gw_str_is_ip(gw_str_of(names[n]))) continue;
        GW_TRY(gw_tls_check_name(names[n], err));
    }
    if (n == 0) return gw_err_set(err, GW_ERR_INPUT, 0, "certificate: no name is given");
    return GW_OK;
}

// The CA's certificate and key, read and found to belong together.
static enum gw_rc read_ca(struct gw_str cert, const struct gw_secret *key, X509 **ret_cert,
                          EVP_PKEY **ret_key, struct gw_err *err) {
    struct gw_str key_pem = gw_secret_reveal(key);
    BIO *cert_bio = BIO_new_mem_buf(cert.len ? cert.ptr : "", (int)cert.len);
    BIO *key_bio = BIO_new_mem_buf(key_pem.len ? key_pem.ptr : "", (int)key_pem.len);
    char no_passphrase[] = ""; // an encrypted key fails instead of asking a terminal
    X509 *x = cert_bio ? PEM_read_bio_X509(cert_bio, NULL, NULL, no_passphrase) : NULL;
    EVP_PKEY *k = key_bio ? PEM_read_bio_PrivateKey(key_bio, NULL, NULL, no_passphrase) : NULL;
    BIO_free(cert_bio);
    BIO_free(key_bio);
    const char *wrong = !x   ? "the certificate is not readable PEM"
                        : !k ? "the private key is not readable PEM"
                        : X509_check_private_key(x, k) != 1
                            ? "the private key does not fit the certificate"
                            : NULL;
    if (!wrong) {
        *ret_cert = x;
        *ret_key = k;
        return GW_OK;
    }
    ERR_clear_error();
    X509_free(x);
    EVP_PKEY_free(k);
    return gw_err_set(err, GW_ERR_INPUT, 0, "CA: %s", wrong);
}

enum gw_rc gw_tls_make_cert(struct gw_str ca_cert, const struct gw_secret *ca_key,
                            const char *const *names, int days, struct gw_text *ret_cert,
                            struct gw_secret **ret_key, struct gw_err *err) {
    GW_TRY(check_days(days, err));
    GW_TRY(check_names(names, err));
    X509 *ca = NULL;
    EVP_PKEY *signer = NULL;
    ERR_clear_error();
    GW_TRY(read_ca(ca_cert, ca_key, &ca, &signer, err));
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = key ? cert_new(key, days) : NULL;
    bool ok = x && X509_set_issuer_name(x, X509_get_subject_name(ca)) == 1 &&
              add_ext(x, ca, NID_basic_constraints, "critical,CA:FALSE") &&
              add_ext(x, ca, NID_key_usage, "critical,digitalSignature") &&
              add_ext(x, ca, NID_ext_key_usage, "serverAuth") &&
              add_ext(x, ca, NID_subject_key_identifier, "hash") &&
              add_ext(x, ca, NID_authority_key_identifier, "keyid") && add_names(x, names) &&
              X509_sign(x, signer, EVP_sha256()) > 0 && write_pem(x, key, ret_cert, ret_key);
    enum gw_rc rc = ok ? GW_OK : openssl_failed("new server certificate", err);
    X509_free(x);
    EVP_PKEY_free(key);
    X509_free(ca);
    EVP_PKEY_free(signer);
    return rc;
}
