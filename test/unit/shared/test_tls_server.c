// SPDX-License-Identifier: Apache-2.0
// A server of many names against OpenSSL's own client, over a socket pair, in turns.
#include "shared/tls.h"

#include <CUnit/CUnit.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct gw_text ca_pem;
static struct gw_secret *ca_key;
static struct gw_tls_cert *cert_a, *cert_b;
static struct gw_tls_ctx *server_ctx;

static struct gw_tls_cert *make(const char *const *names, struct gw_err *err) {
    struct gw_text pem = {0};
    struct gw_secret *key = NULL;
    struct gw_tls_cert *c = NULL;
    if (gw_tls_make_cert(gw_text_str(&ca_pem), ca_key, names, 30, &pem, &key, err) == GW_OK)
        c = gw_tls_cert_new(gw_text_str(&pem), key, err);
    gw_text_fini(&pem);
    gw_secret_unref(key);
    return c;
}

// a.example and *.b.example are served, each in a scope of its own; "" where *arg is set.
static bool choose(void *arg, struct gw_str name, struct gw_tls_choice *ret) {
    const bool *serves_nameless = arg;
    *ret = (struct gw_tls_choice){.scope = GW_STR("scope")};
    if (name.len == 0 && !(serves_nameless && *serves_nameless)) return false;
    if (gw_str_ends(name, GW_STR(".b.example")))
        ret->certs[GW_TLS_KEY_EC] = cert_b;
    else if (name.len == 0 || gw_str_eq(name, GW_STR("a.example")))
        ret->certs[GW_TLS_KEY_EC] = cert_a;
    return ret->certs[GW_TLS_KEY_EC] != NULL;
}

static int set_up(void) {
    struct gw_err err;
    if (gw_tls_make_ca("unit CA", 30, &ca_pem, &ca_key, &err) != GW_OK) return 1;
    cert_a = make((const char *const[]){"a.example", NULL}, &err);
    cert_b = make((const char *const[]){"*.b.example", "b.example", NULL}, &err);
    server_ctx = gw_tls_names_ctx(choose, GW_STR("h2,http/1.1"), &err);
    return !cert_a || !cert_b || !server_ctx;
}

static int tear_down(void) {
    gw_tls_ctx_unref(server_ctx);
    gw_tls_cert_free(cert_a);
    gw_tls_cert_free(cert_b);
    gw_secret_unref(ca_key);
    gw_text_fini(&ca_pem);
    return 0;
}

// What the client is like, and what came of it.
struct run {
    const char *sni, *ciphers, *suites, *groups, *alpn;
    int max_version;
    SSL_SESSION *resume; // borrowed
    bool serves_nameless;
    // out
    enum gw_rc rc; // of the server
    struct gw_err err;
    int alert; // that the client was told; 0: none
    char subject[64], alpn_chosen[16], sni_seen[64], cipher[64];
    bool is_resumed, is_unserved;
    SSL_SESSION *session; // owned by caller; NULL: no ticket came
};

static SSL_SESSION *new_session;
static int on_session(SSL *ssl GW_UNUSED, SSL_SESSION *s) {
    SSL_SESSION_free(new_session);
    new_session = s;
    return 1;
}

static SSL_CTX *client_ctx(const struct run *r) {
    SSL_CTX *c = SSL_CTX_new(TLS_client_method());
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    SSL_CTX_set_security_level(c, 0); // it offers what it is told to
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c, on_session);
    if (r->max_version) {
        SSL_CTX_set_min_proto_version(c, 0);
        SSL_CTX_set_max_proto_version(c, r->max_version);
    }
    if (r->ciphers) CU_ASSERT_EQUAL(SSL_CTX_set_cipher_list(c, r->ciphers), 1);
    if (r->suites) CU_ASSERT_EQUAL(SSL_CTX_set_ciphersuites(c, r->suites), 1);
    if (r->groups) CU_ASSERT_EQUAL(SSL_CTX_set1_groups_list(c, r->groups), 1);
    if (r->alpn)
        SSL_CTX_set_alpn_protos(c, (const unsigned char *)r->alpn, (unsigned)strlen(r->alpn));
    return c;
}

static void note_peer(struct run *r, SSL *ssl) {
    X509 *x = SSL_get0_peer_certificate(ssl);
    GENERAL_NAMES *names = x ? X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL) : NULL;
    const unsigned char *alpn = NULL;
    unsigned n = 0;
    if (names) {
        const ASN1_STRING *s = sk_GENERAL_NAME_value(names, 0)->d.dNSName;
        snprintf(r->subject, sizeof(r->subject), "%.*s", ASN1_STRING_length(s),
                 (const char *)ASN1_STRING_get0_data(s));
    }
    GENERAL_NAMES_free(names);
    SSL_get0_alpn_selected(ssl, &alpn, &n);
    snprintf(r->alpn_chosen, sizeof(r->alpn_chosen), "%.*s", (int)n, n ? (const char *)alpn : "");
    snprintf(r->cipher, sizeof(r->cipher), "%s", SSL_get_cipher_name(ssl));
}

static void note_alert(struct run *r) {
    unsigned long e = ERR_peek_last_error();
    if (ERR_GET_LIB(e) == ERR_LIB_SSL && ERR_GET_REASON(e) > SSL_AD_REASON_OFFSET)
        r->alert = ERR_GET_REASON(e) - SSL_AD_REASON_OFFSET;
    ERR_clear_error();
}

static void shake(struct run *r) {
    int fd[2];
    enum gw_tls_want want;
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    SSL_CTX *cc = client_ctx(r);
    SSL *client = SSL_new(cc);
    SSL_set_fd(client, fd[0]);
    if (r->sni) SSL_set_tlsext_host_name(client, r->sni);
    if (r->resume) SSL_set_session(client, r->resume);
    struct gw_tls *server = gw_tls_accept(server_ctx, fd[1], &r->serves_nameless, &r->err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(server);
    r->rc = GW_AGAIN;
    int done = 0;
    for (int i = 0; i < 10 && (r->rc == GW_AGAIN || done != 1); i++) {
        ERR_clear_error();
        if (done != 1) done = SSL_connect(client);
        if (done != 1) note_alert(r);
        if (r->rc == GW_AGAIN) r->rc = gw_tls_handshake(server, &want, &r->err);
    }
    char byte;
    if (r->rc == GW_OK && SSL_read(client, &byte, 1) != 1) ERR_clear_error(); // tickets
    if (done == 1) note_peer(r, client);
    r->is_resumed = r->rc == GW_OK && gw_tls_is_resumed(server);
    r->is_unserved = gw_tls_is_unserved(server);
    struct gw_str seen = gw_tls_server_name(server);
    snprintf(r->sni_seen, sizeof(r->sni_seen), GW_STR_FMT, GW_STR_ARG(seen));
    gw_tls_free(server);
    // As a clean end: a session of a connection that was cut is not resumed.
    SSL_set_shutdown(client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(client);
    SSL_CTX_free(cc);
    close(fd[0]);
    close(fd[1]);
    r->session = new_session;
    new_session = NULL;
}

// --- refusals -----------------------------------------------------------------------------------

static void what_is_weak_or_unknown_is_refused(void) {
    static const struct {
        const char *name;
        struct run run;
        int alert;
    } table[] = {
        {"unknown", {.sni = "x.example"}, SSL_AD_UNRECOGNIZED_NAME},
        {"no name", {.sni = NULL}, SSL_AD_UNRECOGNIZED_NAME},
        {"parent of a wildcard", {.sni = "b.example"}, SSL_AD_UNRECOGNIZED_NAME},
        {"address", {.sni = "127.0.0.1"}, SSL_AD_UNRECOGNIZED_NAME},
        {"garbage", {.sni = "a example"}, SSL_AD_UNRECOGNIZED_NAME},
        {"unknown, TLS 1.2",
         {.sni = "x.example", .max_version = TLS1_2_VERSION},
         SSL_AD_UNRECOGNIZED_NAME},
        {"TLS 1.1", {.sni = "a.example", .max_version = TLS1_1_VERSION}, SSL_AD_PROTOCOL_VERSION},
        {"CBC",
         {.sni = "a.example",
          .max_version = TLS1_2_VERSION,
          .ciphers = "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA"},
         SSL_AD_HANDSHAKE_FAILURE},
        {"RSA key exchange",
         {.sni = "a.example",
          .max_version = TLS1_2_VERSION,
          .ciphers = "AES128-GCM-SHA256:AES256-SHA"},
         SSL_AD_HANDSHAKE_FAILURE},
        {"DHE",
         {.sni = "a.example",
          .max_version = TLS1_2_VERSION,
          .ciphers = "DHE-RSA-AES128-GCM-SHA256"},
         SSL_AD_HANDSHAKE_FAILURE},
        {"CCM",
         {.sni = "a.example", .suites = "TLS_AES_128_CCM_8_SHA256"},
         SSL_AD_HANDSHAKE_FAILURE},
        {"curve", {.sni = "a.example", .groups = "P-521"}, SSL_AD_HANDSHAKE_FAILURE},
        {"ALPN", {.sni = "a.example", .alpn = "\x08http/1.0"}, SSL_AD_NO_APPLICATION_PROTOCOL},
        {"ALPN, TLS 1.2",
         {.sni = "a.example", .alpn = "\x08http/1.0", .max_version = TLS1_2_VERSION},
         SSL_AD_NO_APPLICATION_PROTOCOL},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct run r = table[i].run;
        shake(&r);
        if (r.alert != table[i].alert || r.rc != GW_ERR_INPUT)
            printf("\n%s: alert %d, rc %d, %s\n", table[i].name, r.alert, r.rc, r.err.text);
        CU_ASSERT_EQUAL(r.rc, GW_ERR_INPUT);
        CU_ASSERT_EQUAL(r.alert, table[i].alert);
        CU_ASSERT_STRING_EQUAL(r.subject, ""); // no certificate of anybody else
        CU_ASSERT_EQUAL(r.is_unserved, table[i].alert == SSL_AD_UNRECOGNIZED_NAME);
        CU_ASSERT_PTR_NULL(r.session);
    }
}

// --- choices ------------------------------------------------------------------------------------

static void names_and_protocols_are_chosen(void) {
    static const struct {
        struct run run;
        const char *subject, *alpn, *sni;
    } table[] = {
        {{.sni = "a.example"}, "a.example", "", "a.example"},
        {{.sni = "A.Example."}, "a.example", "", "a.example"},
        {{.sni = "x.b.example"}, "*.b.example", "", "x.b.example"},
        {{.sni = "x.b.example", .max_version = TLS1_2_VERSION}, "*.b.example", "", "x.b.example"},
        {{.sni = NULL, .serves_nameless = true}, "a.example", "", ""},
        {{.sni = "a.example", .alpn = "\x08http/1.1\x02h2"}, "a.example", "h2", "a.example"},
        {{.sni = "a.example", .alpn = "\x06spdy/1\x08http/1.1"},
         "a.example",
         "http/1.1",
         "a.example"},
        {{.sni = "a.example", .groups = "P-384"}, "a.example", "", "a.example"},
        // The server asks for another ClientHello.
        {{.sni = "a.example", .groups = "P-521:X25519"}, "a.example", "", "a.example"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct run r = table[i].run;
        shake(&r);
        if (r.rc != GW_OK) printf("\n%zu: %s\n", i, r.err.text);
        CU_ASSERT_EQUAL(r.rc, GW_OK);
        CU_ASSERT_STRING_EQUAL(r.subject, table[i].subject);
        CU_ASSERT_STRING_EQUAL(r.alpn_chosen, table[i].alpn);
        CU_ASSERT_STRING_EQUAL(r.sni_seen, table[i].sni);
        SSL_SESSION_free(r.session);
    }
}

static void a_client_that_computes_no_aes_gets_chacha(void) {
    struct run r = {.sni = "a.example",
                    .suites = "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"};
    shake(&r);
    CU_ASSERT_STRING_EQUAL(r.cipher, "TLS_CHACHA20_POLY1305_SHA256");
    SSL_SESSION_free(r.session);
}

// --- resumption ---------------------------------------------------------------------------------

static void tickets_are_good_for_their_name_alone(void) {
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct run first = {.sni = "x.b.example", .max_version = version};
        shake(&first);
        CU_ASSERT_EQUAL(first.rc, GW_OK);
        CU_ASSERT_FALSE(first.is_resumed);
        CU_ASSERT_PTR_NOT_NULL_FATAL(first.session);
        CU_ASSERT_EQUAL(SSL_SESSION_get_max_early_data(first.session), 0);
        struct run same = {.sni = "X.b.example", .max_version = version, .resume = first.session};
        shake(&same);
        CU_ASSERT_EQUAL(same.rc, GW_OK);
        CU_ASSERT(same.is_resumed);
        // The same scope, certificate and key, but another name.
        struct run sibling = {
            .sni = "y.b.example", .max_version = version, .resume = first.session};
        shake(&sibling);
        CU_ASSERT_EQUAL(sibling.rc, GW_OK);
        CU_ASSERT_FALSE(sibling.is_resumed);
        struct run other = {.sni = "a.example", .max_version = version, .resume = first.session};
        shake(&other);
        CU_ASSERT_EQUAL(other.rc, GW_OK);
        CU_ASSERT_FALSE(other.is_resumed);
        CU_ASSERT_STRING_EQUAL(other.subject, "a.example");
        struct run unknown = {.sni = "x.example", .max_version = version, .resume = first.session};
        shake(&unknown);
        CU_ASSERT_EQUAL(unknown.alert, SSL_AD_UNRECOGNIZED_NAME);
        SSL_SESSION_free(first.session);
        SSL_SESSION_free(same.session);
        SSL_SESSION_free(sibling.session);
        SSL_SESSION_free(other.session);
    }
}

// --- certificates -------------------------------------------------------------------------------

static void certificates_cover_names(void) {
    struct gw_err err;
    struct gw_tls_cert *c = make(
        (const char *const[]){"*.c.example", "C.example", "d.c.example", "127.0.0.1", NULL}, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    static const struct {
        const char *host;
        unsigned want;
    } table[] = {
        {"", 0},
        {"example", 0},
        {".c.example", 0},
        {"e.d.c.example", 0},
        {"xc.example", 0},
        {"127.0.0.1", 0},
        {"x.c.example", 1},
        {"c.example", 2},
        {"d.c.example", 2},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        unsigned fit = gw_tls_cert_fit(c, gw_str_of(table[i].host));
        if (fit != table[i].want) printf("\n%s: %u\n", table[i].host, fit);
        CU_ASSERT_EQUAL(fit, table[i].want);
    }
    CU_ASSERT_EQUAL(gw_tls_cert_key_type(c), GW_TLS_KEY_EC);
    gw_tls_cert_free(c);
    gw_tls_cert_free(NULL);
}

static void bad_pairs_are_refused(void) {
    struct gw_err err;
    struct gw_text pem = {0}, other_pem = {0};
    struct gw_secret *key = NULL, *other_key = NULL;
    const char *const names[] = {"e.example", NULL};
    CU_ASSERT_EQUAL_FATAL(
        gw_tls_make_cert(gw_text_str(&ca_pem), ca_key, names, 30, &pem, &key, &err), GW_OK);
    CU_ASSERT_EQUAL_FATAL(
        gw_tls_make_cert(gw_text_str(&ca_pem), ca_key, names, 30, &other_pem, &other_key, &err),
        GW_OK);
    CU_ASSERT_PTR_NULL(gw_tls_cert_new(gw_text_str(&pem), other_key, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "private key does not fit the certificate"));
    CU_ASSERT_PTR_NULL(gw_tls_cert_new(GW_STR("x"), key, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "no certificate in the PEM text"));
    // A chain whose end is broken would be shown to clients as it is.
    gw_text_adds(&pem, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    CU_ASSERT_PTR_NULL(gw_tls_cert_new(gw_text_str(&pem), key, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "certificate 2 of the PEM text"));
    gw_text_fini(&pem);
    gw_text_fini(&other_pem);
    gw_secret_unref(key);
    gw_secret_unref(other_key);
}

static CU_TestInfo tests[] = {
    {"what_is_weak_or_unknown_is_refused", what_is_weak_or_unknown_is_refused},
    {"names_and_protocols_are_chosen", names_and_protocols_are_chosen},
    {"a_client_that_computes_no_aes_gets_chacha", a_client_that_computes_no_aes_gets_chacha},
    {"tickets_are_good_for_their_name_alone", tickets_are_good_for_their_name_alone},
    {"certificates_cover_names", certificates_cover_names},
    {"bad_pairs_are_refused", bad_pairs_are_refused},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_shared_tls_server = {"tls_server", set_up, tear_down, NULL, NULL, tests};
