// SPDX-License-Identifier: Apache-2.0
// Both ends over a socket pair, in turns.
#include "shared/tls.h"

#include <CUnit/CUnit.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

// One CA and one certificate for the whole suite; made once.
static struct gw_text ca_pem, other_ca_pem, cert_pem, other_cert_pem;
static struct gw_secret *ca_key, *other_ca_key, *cert_key, *other_cert_key;
static const char *const cert_names[] = {"gw.example.com", "*.wild.example.com", "127.0.0.1", "::1",
                                         NULL};

static int set_up(void) {
    struct gw_err err;
    if (gw_tls_make_ca("unit CA", 30, &ca_pem, &ca_key, &err) != GW_OK) return 1;
    if (gw_tls_make_ca("other CA", 30, &other_ca_pem, &other_ca_key, &err) != GW_OK) return 1;
    if (gw_tls_make_cert(gw_text_str(&ca_pem), ca_key, cert_names, 30, &cert_pem, &cert_key,
                         &err) != GW_OK)
        return 1;
    return gw_tls_make_cert(gw_text_str(&ca_pem), ca_key, cert_names, 30, &other_cert_pem,
                            &other_cert_key, &err) != GW_OK;
}

static int tear_down(void) {
    gw_text_fini(&ca_pem);
    gw_text_fini(&other_ca_pem);
    gw_text_fini(&cert_pem);
    gw_text_fini(&other_cert_pem);
    gw_secret_unref(ca_key);
    gw_secret_unref(other_ca_key);
    gw_secret_unref(cert_key);
    gw_secret_unref(other_cert_key);
    return 0;
}

struct ends {
    int fd[2]; // client, server
    struct gw_tls *client, *server;
    enum gw_rc client_rc, server_rc; // of the handshake
    struct gw_err client_err, server_err;
};

static void sockets(int fd[2]) {
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
}

static struct gw_tls_ctx *server_ctx(const char *alpn) {
    struct gw_err err;
    struct gw_tls_ctx *c =
        gw_tls_server_ctx(gw_text_str(&cert_pem), cert_key, gw_str_of(alpn), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    return c;
}
static struct gw_tls_ctx *client_ctx(const struct gw_text *ca, const char *alpn) {
    struct gw_err err;
    struct gw_tls_ctx *c = gw_tls_client_ctx(gw_text_str(ca), gw_str_of(alpn), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    return c;
}

// Takes both contexts.
static void ends_init(struct ends *e, struct gw_tls_ctx *client, struct gw_tls_ctx *server,
                      const char *host) {
    memset(e, 0, sizeof(*e));
    sockets(e->fd);
    e->client = gw_tls_new(client, e->fd[0], host, &e->client_err);
    e->server = gw_tls_new(server, e->fd[1], NULL, &e->server_err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(e->client);
    CU_ASSERT_PTR_NOT_NULL_FATAL(e->server);
    gw_tls_ctx_unref(client);
    gw_tls_ctx_unref(server);
}

static void handshake(struct ends *e) {
    e->client_rc = e->server_rc = GW_AGAIN;
    enum gw_tls_want want;
    for (int i = 0; i < 20; i++) {
        if (e->client_rc == GW_AGAIN)
            e->client_rc = gw_tls_handshake(e->client, &want, &e->client_err);
        if (e->server_rc == GW_AGAIN)
            e->server_rc = gw_tls_handshake(e->server, &want, &e->server_err);
    }
}

static void ends_fini(struct ends *e) {
    gw_tls_free(e->client);
    gw_tls_free(e->server);
    close(e->fd[0]);
    if (e->fd[1] >= 0) close(e->fd[1]);
}

static void ends_open(struct ends *e) {
    ends_init(e, client_ctx(&ca_pem, ""), server_ctx(""), "gw.example.com");
    handshake(e);
    CU_ASSERT_EQUAL_FATAL(e->client_rc, GW_OK);
    CU_ASSERT_EQUAL_FATAL(e->server_rc, GW_OK);
}

static bool has(const struct gw_err *err, const char *part) {
    if (strstr(err->text, part)) return true;
    fprintf(stderr, "no '%s' in '%s'\n", part, err->text);
    return false;
}

// --- making certificates ---

static void test_make_cert_refuses_bad_names(void) {
    static const struct {
        const char *name, *names[3], *want;
    } cases[] = {
        {"none", {NULL}, "no name"},
        {"empty", {"", NULL}, "neither"},
        {"comma", {"a.example,DNS:b.example", NULL}, "neither"},
        {"newline", {"a.example\n", NULL}, "neither"},
        {"colon", {"a:b", NULL}, "neither"},
        {"star inside", {"a.*.example", NULL}, "neither"},
        {"second", {"a.example", "b example", NULL}, "'b example'"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct gw_text cert = {0};
        struct gw_secret *key = NULL;
        struct gw_err err = {0};
        enum gw_rc rc =
            gw_tls_make_cert(gw_text_str(&ca_pem), ca_key, cases[i].names, 30, &cert, &key, &err);
        CU_ASSERT_EQUAL(rc, GW_ERR_INPUT);
        CU_ASSERT_TRUE(has(&err, cases[i].want));
        CU_ASSERT_PTR_NULL(key);
        CU_ASSERT_EQUAL(cert.len, 0);
        gw_text_fini(&cert);
    }
}

static void test_make_refuses_bad_days(void) {
    const int days[] = {0, -1, 36501};
    for (size_t i = 0; i < GW_ARRAY_LEN(days); i++) {
        struct gw_text cert = {0};
        struct gw_secret *key = NULL;
        struct gw_err err;
        CU_ASSERT_EQUAL(gw_tls_make_ca("x", days[i], &cert, &key, &err), GW_ERR_INPUT);
        CU_ASSERT_EQUAL(
            gw_tls_make_cert(gw_text_str(&ca_pem), ca_key, cert_names, days[i], &cert, &key, &err),
            GW_ERR_INPUT);
    }
}

static void test_make_cert_refuses_a_bad_ca(void) {
    struct gw_secret *no_key = gw_secret_new(GW_STR("no key"));
    const struct {
        struct gw_str cert;
        const struct gw_secret *key;
        const char *want;
    } cases[] = {
        {{NULL, 0}, ca_key, "certificate is not readable"},
        {GW_STR("no certificate"), ca_key, "certificate is not readable"},
        {gw_text_str(&ca_pem), no_key, "private key is not readable"},
        {gw_text_str(&ca_pem), other_ca_key, "does not fit"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct gw_text cert = {0};
        struct gw_secret *key = NULL;
        struct gw_err err;
        CU_ASSERT_EQUAL(
            gw_tls_make_cert(cases[i].cert, cases[i].key, cert_names, 30, &cert, &key, &err),
            GW_ERR_INPUT);
        CU_ASSERT_TRUE(has(&err, cases[i].want));
    }
    gw_secret_unref(no_key);
}

static void test_two_certificates_differ(void) {
    CU_ASSERT_FALSE(gw_str_eq(gw_text_str(&cert_pem), gw_text_str(&other_cert_pem)));
    CU_ASSERT_FALSE(gw_secret_eq(cert_key, gw_secret_reveal(other_cert_key)));
}

// --- contexts ---

static void test_server_ctx_refuses(void) {
    struct gw_secret *no_key = gw_secret_new(GW_STR("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n"));
    struct gw_secret *empty = gw_secret_new((struct gw_str){NULL, 0});
    struct gw_text broken = {0};
    gw_text_adds(&broken, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    struct gw_text second_broken = {0};
    gw_text_add(&second_broken, cert_pem.ptr, cert_pem.len);
    gw_text_add(&second_broken, broken.ptr, broken.len);
    const struct {
        struct gw_str cert;
        const struct gw_secret *key;
        const char *want;
    } cases[] = {
        {{NULL, 0}, cert_key, "certificate: the PEM text is empty"},
        {GW_STR("hello"), cert_key, "no certificate"},
        {gw_text_str(&broken), cert_key, "certificate 1"},
        {gw_text_str(&second_broken), cert_key, "certificate 2"},
        {gw_text_str(&cert_pem), empty, "private key: the PEM text is empty"},
        {gw_text_str(&cert_pem), no_key, "private key: no readable key"},
        {gw_text_str(&cert_pem), other_cert_key, "private key does not fit"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct gw_err err = {0};
        CU_ASSERT_PTR_NULL(
            gw_tls_server_ctx(cases[i].cert, cases[i].key, (struct gw_str){NULL, 0}, &err));
        CU_ASSERT_EQUAL(err.rc, GW_ERR_INPUT);
        CU_ASSERT_TRUE(has(&err, cases[i].want));
        CU_ASSERT_PTR_NULL(strstr(err.text, "c2VjcmV0"));
    }
    gw_text_fini(&broken);
    gw_text_fini(&second_broken);
    gw_secret_unref(no_key);
    gw_secret_unref(empty);
}

static void test_client_ctx_refuses(void) {
    struct gw_err err;
    CU_ASSERT_PTR_NULL(gw_tls_client_ctx(GW_STR("hello"), (struct gw_str){NULL, 0}, &err));
    CU_ASSERT_TRUE(has(&err, "no certificate"));
    struct gw_str broken = GW_STR("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    CU_ASSERT_PTR_NULL(gw_tls_client_ctx(broken, (struct gw_str){NULL, 0}, &err));
    CU_ASSERT_TRUE(has(&err, "CA certificate 1"));
    char long_alpn[300];
    memset(long_alpn, 'x', sizeof(long_alpn));
    CU_ASSERT_PTR_NULL(gw_tls_client_ctx(gw_text_str(&ca_pem),
                                         (struct gw_str){long_alpn, sizeof(long_alpn)}, &err));
    CU_ASSERT_TRUE(has(&err, "over 255"));
}

static void test_client_needs_a_host(void) {
    struct gw_tls_ctx *c = client_ctx(&ca_pem, "");
    struct gw_err err;
    CU_ASSERT_PTR_NULL(gw_tls_new(c, 0, NULL, &err));
    CU_ASSERT_PTR_NULL(gw_tls_new(c, 0, "", &err));
    CU_ASSERT_TRUE(has(&err, "no host"));
    gw_tls_ctx_unref(c);
    gw_tls_ctx_unref(NULL);
    gw_tls_free(NULL);
}

static void test_system_trust_does_not_know_our_ca(void) {
    struct gw_err err;
    struct gw_tls_ctx *c =
        gw_tls_client_ctx((struct gw_str){NULL, 0}, (struct gw_str){NULL, 0}, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    struct ends e;
    ends_init(&e, c, server_ctx(""), "gw.example.com");
    handshake(&e);
    CU_ASSERT_EQUAL(e.client_rc, GW_ERR_UPSTREAM);
    ends_fini(&e);
}

// --- verification ---

static void test_names(void) {
    static const struct {
        const char *host;
        const char *want; // NULL: accepted
    } cases[] = {
        {"evil.example.com", "hostname mismatch"},
        {"example.com", "hostname mismatch"},
        {"a.b.wild.example.com", "hostname mismatch"},
        {"wild.example.com", "hostname mismatch"},
        {"127.0.0.2", "IP address mismatch"},
        {"::2", "IP address mismatch"},
        {"gw.example.com", NULL},
        {"GW.Example.Com", NULL},
        {"a.wild.example.com", NULL},
        {"127.0.0.1", NULL},
        {"::1", NULL},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct ends e;
        ends_init(&e, client_ctx(&ca_pem, ""), server_ctx(""), cases[i].host);
        handshake(&e);
        CU_ASSERT_EQUAL(e.client_rc, cases[i].want ? GW_ERR_UPSTREAM : GW_OK);
        if (cases[i].want) {
            CU_ASSERT_TRUE(has(&e.client_err, cases[i].want));
            CU_ASSERT_FALSE(has(&e.client_err, cases[i].host));
        }
        ends_fini(&e);
    }
}

static void test_other_ca_is_not_trusted(void) {
    struct ends e;
    ends_init(&e, client_ctx(&other_ca_pem, ""), server_ctx(""), "gw.example.com");
    handshake(&e);
    CU_ASSERT_EQUAL(e.client_rc, GW_ERR_UPSTREAM);
    CU_ASSERT_TRUE(has(&e.client_err, "the certificate is not trusted: "));
    // The server is told why, and says so.
    enum gw_tls_want want;
    size_t n;
    char byte;
    enum gw_rc rc = e.server_rc == GW_OK ? gw_tls_read(e.server, &byte, 1, &n, &want, &e.server_err)
                                         : e.server_rc;
    CU_ASSERT_TRUE(rc == GW_ERR_INPUT || rc == GW_ERR_UPSTREAM);
    CU_ASSERT_TRUE(has(&e.server_err, "alert 'unknown CA'"));
    ends_fini(&e);
}

static void test_several_cas_are_trusted_alike(void) {
    struct gw_text both = {0};
    gw_text_add(&both, other_ca_pem.ptr, other_ca_pem.len);
    gw_text_add(&both, ca_pem.ptr, ca_pem.len);
    struct ends e;
    ends_init(&e, client_ctx(&both, ""), server_ctx(""), "gw.example.com");
    handshake(&e);
    CU_ASSERT_EQUAL(e.client_rc, GW_OK);
    ends_fini(&e);
    gw_text_fini(&both);
}

// --- handshake ---

static void test_server_refuses_what_is_not_tls(void) {
    static const char *const inputs[] = {"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x00\x05hello....",
                                         "\0\0\0\0\0\0\0\0\0\0\0\0"};
    for (size_t i = 0; i < GW_ARRAY_LEN(inputs); i++) {
        struct ends e;
        ends_init(&e, client_ctx(&ca_pem, ""), server_ctx(""), "gw.example.com");
        CU_ASSERT_EQUAL(write(e.fd[0], inputs[i], 12), 12);
        enum gw_tls_want want;
        CU_ASSERT_EQUAL(gw_tls_handshake(e.server, &want, &e.server_err), GW_ERR_INPUT);
        CU_ASSERT_TRUE(has(&e.server_err, "TLS handshake: "));
        ends_fini(&e);
    }
}

static void test_tls_1_1_is_refused(void) {
    struct ends e;
    ends_init(&e, client_ctx(&ca_pem, ""), server_ctx(""), "gw.example.com");
    SSL_CTX *old = SSL_CTX_new(TLS_client_method());
    CU_ASSERT_PTR_NOT_NULL_FATAL(old);
    SSL_CTX_set_security_level(old, 0);
    SSL_CTX_set_min_proto_version(old, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(old, TLS1_1_VERSION);
    SSL *ssl = SSL_new(old);
    SSL_set_fd(ssl, e.fd[0]);
    SSL_connect(ssl); // sends the hello
    enum gw_tls_want want;
    CU_ASSERT_EQUAL(gw_tls_handshake(e.server, &want, &e.server_err), GW_ERR_INPUT);
    CU_ASSERT_TRUE(has(&e.server_err, "unsupported protocol"));
    SSL_free(ssl);
    SSL_CTX_free(old);
    ends_fini(&e);
}

static void test_peer_that_leaves_in_the_handshake(void) {
    struct ends e;
    ends_init(&e, client_ctx(&ca_pem, ""), server_ctx(""), "gw.example.com");
    enum gw_tls_want want;
    CU_ASSERT_EQUAL(gw_tls_handshake(e.client, &want, &e.client_err), GW_AGAIN);
    CU_ASSERT_EQUAL(want, GW_TLS_WANT_READ);
    close(e.fd[1]);
    e.fd[1] = -1;
    CU_ASSERT_EQUAL(gw_tls_handshake(e.client, &want, &e.client_err), GW_ERR_UPSTREAM);
    ends_fini(&e);
}

static void test_alpn(void) {
    static const struct {
        const char *client, *server;
        bool agrees; // the handshake succeeds
        bool is_h2;
    } cases[] = {
        {"http/1.1", "h2", false, false}, {"h2", "h2", true, true}, {"", "h2", true, false},
        {"h2", "", true, false},          {"", "", true, false},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct ends e;
        ends_init(&e, client_ctx(&ca_pem, cases[i].client), server_ctx(cases[i].server),
                  "gw.example.com");
        handshake(&e);
        CU_ASSERT_EQUAL(e.client_rc == GW_OK, cases[i].agrees);
        CU_ASSERT_EQUAL(gw_tls_alpn_is(e.client, GW_STR("h2")), cases[i].is_h2);
        CU_ASSERT_EQUAL(gw_tls_alpn_is(e.server, GW_STR("h2")), cases[i].is_h2);
        if (!cases[i].agrees) CU_ASSERT_TRUE(has(&e.client_err, "no application protocol"));
        ends_fini(&e);
    }
}

// --- data ---

static void test_a_megabyte_both_ways_at_once(void) {
    enum { N = 1 << 20 };
    struct ends e;
    ends_open(&e);
    char *sent = gw_alloc(N), *got = gw_alloc(2 * N);
    for (size_t i = 0; i < N; i++)
        sent[i] = (char)(i * 31 + i / 251);
    struct gw_tls *end[2] = {e.client, e.server};
    size_t written[2] = {0}, read_bytes[2] = {0};
    struct gw_err err;
    enum gw_tls_want want;
    for (int turn = 0; turn < 100000 && (read_bytes[0] < N || read_bytes[1] < N); turn++) {
        for (int i = 0; i < 2; i++) {
            size_t n = 0;
            if (written[i] < N) {
                enum gw_rc rc =
                    gw_tls_write(end[i], sent + written[i], N - written[i], &n, &want, &err);
                CU_ASSERT_TRUE_FATAL(rc == GW_OK || rc == GW_AGAIN);
                if (rc == GW_OK) written[i] += n;
            }
            if (read_bytes[i] == N) continue;
            enum gw_rc rc = gw_tls_read(end[i], got + i * N + read_bytes[i], N - read_bytes[i], &n,
                                        &want, &err);
            CU_ASSERT_TRUE_FATAL(rc == GW_OK || rc == GW_AGAIN);
            if (rc == GW_OK) read_bytes[i] += n;
        }
    }
    CU_ASSERT_EQUAL(memcmp(sent, got, N), 0);
    CU_ASSERT_EQUAL(memcmp(sent, got + N, N), 0);
    free(sent);
    free(got);
    ends_fini(&e);
}

static void test_full_socket_wants_write(void) {
    struct ends e;
    ends_open(&e);
    static char block[16384];
    enum gw_tls_want want = GW_TLS_WANT_NONE;
    enum gw_rc rc = GW_OK;
    size_t n;
    for (int i = 0; i < 10000 && rc == GW_OK; i++)
        rc = gw_tls_write(e.client, block, sizeof(block), &n, &want, &e.client_err);
    CU_ASSERT_EQUAL(rc, GW_AGAIN);
    CU_ASSERT_EQUAL(want, GW_TLS_WANT_WRITE);
    ends_fini(&e);
}

static void test_close_notify_is_the_end(void) {
    struct ends e;
    ends_open(&e);
    gw_tls_shutdown(e.server);
    char byte;
    size_t n;
    enum gw_tls_want want;
    CU_ASSERT_EQUAL(gw_tls_read(e.client, &byte, 1, &n, &want, &e.client_err), GW_EOF);
    ends_fini(&e);
}

static void test_bare_end_is_a_cut(void) {
    struct ends e;
    ends_open(&e);
    shutdown(e.fd[1], SHUT_WR);
    char byte;
    size_t n;
    enum gw_tls_want want;
    CU_ASSERT_EQUAL(gw_tls_read(e.client, &byte, 1, &n, &want, &e.client_err), GW_ERR_UPSTREAM);
    CU_ASSERT_TRUE(has(&e.client_err, "without close_notify"));
    ends_fini(&e);
}

static void test_write_to_a_peer_that_left_raises_no_signal(void) {
    struct ends e;
    ends_open(&e);
    close(e.fd[1]);
    e.fd[1] = -1;
    size_t n;
    enum gw_tls_want want;
    CU_ASSERT_EQUAL(gw_tls_write(e.client, "x", 1, &n, &want, &e.client_err), GW_ERR_UPSTREAM);
    CU_ASSERT_TRUE(has(&e.client_err, "Broken pipe"));
    gw_tls_shutdown(e.client);
    ends_fini(&e);
}

static void test_forged_bytes_are_refused(void) {
    struct ends e;
    ends_open(&e);
    const char forged[] = "\x17\x03\x03\x00\x14"
                          "aaaaaaaaaaaaaaaaaaaa";
    CU_ASSERT_EQUAL(write(e.fd[1], forged, 25), 25);
    char byte;
    size_t n;
    enum gw_tls_want want;
    CU_ASSERT_EQUAL(gw_tls_read(e.client, &byte, 1, &n, &want, &e.client_err), GW_ERR_UPSTREAM);
    ends_fini(&e);
}

static CU_TestInfo tests[] = {
    {"make_cert_refuses_bad_names", test_make_cert_refuses_bad_names},
    {"make_refuses_bad_days", test_make_refuses_bad_days},
    {"make_cert_refuses_a_bad_ca", test_make_cert_refuses_a_bad_ca},
    {"two_certificates_differ", test_two_certificates_differ},
    {"server_ctx_refuses", test_server_ctx_refuses},
    {"client_ctx_refuses", test_client_ctx_refuses},
    {"client_needs_a_host", test_client_needs_a_host},
    {"system_trust_does_not_know_our_ca", test_system_trust_does_not_know_our_ca},
    {"names", test_names},
    {"other_ca_is_not_trusted", test_other_ca_is_not_trusted},
    {"several_cas_are_trusted_alike", test_several_cas_are_trusted_alike},
    {"server_refuses_what_is_not_tls", test_server_refuses_what_is_not_tls},
    {"tls_1_1_is_refused", test_tls_1_1_is_refused},
    {"peer_that_leaves_in_the_handshake", test_peer_that_leaves_in_the_handshake},
    {"alpn", test_alpn},
    {"a_megabyte_both_ways_at_once", test_a_megabyte_both_ways_at_once},
    {"full_socket_wants_write", test_full_socket_wants_write},
    {"close_notify_is_the_end", test_close_notify_is_the_end},
    {"bare_end_is_a_cut", test_bare_end_is_a_cut},
    {"write_to_a_peer_that_left", test_write_to_a_peer_that_left_raises_no_signal},
    {"forged_bytes_are_refused", test_forged_bytes_are_refused},
    CU_TEST_INFO_NULL,
};

CU_SuiteInfo suite_shared_tls = {"shared_tls", set_up, tear_down, NULL, NULL, tests};
