// SPDX-License-Identifier: Apache-2.0
// What the push server and client refuse, and peers that do not keep to the rules.
#include "shared/h2link_conn.h"
#include "test/unit/shared/h2link_ends.h"

#include <CUnit/CUnit.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

// Longest that a test waits for the server to close a connection.
#define PATIENCE_US 30000000

// --- refusals ---

static void test_server_refuses_a_bad_host(void) {
    struct gw_err err;
    struct gw_loop *l = gw_loop_new(&err);
    struct server v = {0};
    struct gw_h2link_server_opts o = server_opts(&v);
    o.host = "not an address";
    CU_ASSERT_PTR_NULL(gw_h2link_server_new(l, &o, &err));
    CU_ASSERT_TRUE(has(&err, "push server at not an address port 0"));
    o.host = "192.0.2.1"; // not of this machine
    CU_ASSERT_PTR_NULL(gw_h2link_server_new(l, &o, &err));
    CU_ASSERT_TRUE(has(&err, "bind"));
    gw_tls_ctx_unref(o.tls);
    gw_h2link_server_free(NULL);
    gw_loop_free(l);
}

static void test_client_refuses_no_address(void) {
    struct gw_err err;
    struct gw_loop *l = gw_loop_new(&err);
    const struct gw_h2link_client_opts no_host = {.port = 1}, no_port = {.host = "x"};
    CU_ASSERT_PTR_NULL(gw_h2link_client_new(l, &no_host, &err));
    CU_ASSERT_PTR_NULL(gw_h2link_client_new(l, &no_port, &err));
    CU_ASSERT_EQUAL(err.rc, GW_ERR_INPUT);
    gw_h2link_client_free(NULL);
    gw_loop_free(l);
}

static void test_wrong_token_is_401(void) {
    struct server v = {0};
    struct client k = {0};
    server_plain(&v);
    client_start(&k,
                 &(struct client_args){.token = "wrong-token", .port = gw_h2link_server_port(v.s)});
    CU_ASSERT_TRUE(reaches(v.loop, k.loop, &k.closed, 3)); // it goes on trying
    CU_ASSERT_EQUAL(k.why.rc, GW_ERR_AUTH);
    CU_ASSERT_EQUAL(k.why.code, 401);
    CU_ASSERT_TRUE(k.why.retryable);
    CU_ASSERT_TRUE(has(&k.why, "refuses it (401): the token is not accepted"));
    CU_ASSERT_PTR_NULL(strstr(k.why.text, "wrong-token"));
    CU_ASSERT_EQUAL(k.opened, 0);
    CU_ASSERT_EQUAL(v.opened, 0);
    CU_ASSERT_EQUAL(v.closed, 0); // was never told of
    CU_ASSERT_TRUE(reaches(v.loop, k.loop, &v.refused, 1));
    CU_ASSERT_TRUE(has(&v.refused_why, "the token is not accepted"));
    client_fini(&k);
    server_fini(&v);
}

// --- answers that come later ---

static void test_answer_may_come_later(void) {
    struct server v = {.waits = true};
    struct client k = {0};
    server_plain(&v);
    client_start(&k, &(struct client_args){.port = gw_h2link_server_port(v.s)});
    CU_ASSERT_TRUE_FATAL(reaches(v.loop, k.loop, &v.authorized, 1));
    turn_for(v.loop, k.loop, 50);
    CU_ASSERT_EQUAL(k.opened + k.closed + v.opened, 0);
    gw_h2link_peer_accept(v.asked);
    CU_ASSERT_EQUAL(v.opened, 1);
    gw_h2link_peer_refuse(v.asked, 401, "too late");
    gw_h2link_peer_accept(v.asked);
    CU_ASSERT_EQUAL(v.opened, 1);
    CU_ASSERT_TRUE(reaches(v.loop, k.loop, &k.opened, 1));
    CU_ASSERT_EQUAL(v.refused, 0);
    client_fini(&k);
    server_fini(&v);
}

static void test_refusal_may_come_later(void) {
    struct server v = {.waits = true};
    struct client k = {0};
    server_plain(&v);
    client_start(&k, &(struct client_args){.port = gw_h2link_server_port(v.s)});
    CU_ASSERT_TRUE_FATAL(reaches(v.loop, k.loop, &v.authorized, 1));
    gw_h2link_peer_refuse(v.asked, 403, "namespace 'a' is\n not 'b'");
    gw_h2link_peer_accept(v.asked); // has been answered
    CU_ASSERT_TRUE(reaches(v.loop, k.loop, &k.closed, 1));
    CU_ASSERT_EQUAL(k.why.rc, GW_ERR_AUTH);
    CU_ASSERT_EQUAL(k.why.code, 403);
    CU_ASSERT_TRUE(has(&k.why, "refuses it (403): namespace 'a' is? not 'b'"));
    CU_ASSERT_EQUAL(v.opened, 0);
    client_fini(&k);
    server_fini(&v);
}

static void test_peer_may_leave_before_the_answer(void) {
    struct server v = {.waits = true};
    struct client k = {0};
    server_plain(&v);
    client_start(&k, &(struct client_args){.port = gw_h2link_server_port(v.s)});
    CU_ASSERT_TRUE_FATAL(reaches(v.loop, k.loop, &v.authorized, 1));
    client_fini(&k);
    CU_ASSERT_TRUE(reaches(v.loop, NULL, &v.refused, 1));
    CU_ASSERT_PTR_NULL(v.asked);
    CU_ASSERT_EQUAL(v.opened + v.closed, 0);
    server_fini(&v);
}

static void test_no_answer_ends_with_the_setup_time(void) {
    struct server v = {.waits = true};
    struct client k = {0};
    struct gw_h2link_server_opts o = server_opts(&v);
    o.setup_ms = 150;
    server_start(&v, &o);
    client_start(&k, &(struct client_args){.port = gw_h2link_server_port(v.s)});
    CU_ASSERT_TRUE(reaches(v.loop, k.loop, &k.closed, 1));
    CU_ASSERT_TRUE(reaches(v.loop, k.loop, &v.refused, 1));
    CU_ASSERT_TRUE(has(&v.refused_why, "no push stream within 150 ms"));
    client_fini(&k);
    server_fini(&v);
}

static void test_without_a_certificate_nobody_is_accepted(void) {
    struct server v = {0};
    struct client k = {0};
    struct gw_h2link_server_opts o = server_opts(&v);
    struct gw_tls_ctx *tls = o.tls;
    o.tls = NULL;
    server_start(&v, &o);
    client_start(&k, &(struct client_args){.port = gw_h2link_server_port(v.s)});
    turn_for(v.loop, k.loop, 100);
    CU_ASSERT_EQUAL(k.opened + k.closed, 0);
    gw_h2link_server_use(v.s, tls);
    gw_tls_ctx_unref(tls);
    CU_ASSERT_TRUE(reaches(v.loop, k.loop, &k.opened, 1));
    client_fini(&k);
    server_fini(&v);
}

static struct gw_secret *second_time(void *arg, struct gw_err *err) {
    int *asked = arg;
    if (++*asked > 1) return gw_secret_new(GW_STR(TOKEN));
    gw_err_set(err, GW_ERR_INPUT, 0, "no token is there");
    return NULL;
}

static void test_token_is_asked_for_each_dial(void) {
    struct server v = {0};
    struct gw_err err;
    int asked = 0;
    server_plain(&v);
    struct gw_loop *l = gw_loop_new(&err);
    struct gw_tls_ctx *tls = gw_tls_client_ctx(gw_text_str(&ends_ca_pem), GW_STR("h2"), &err);
    const struct gw_h2link_client_opts o = {.host = "127.0.0.1",
                                            .port = gw_h2link_server_port(v.s),
                                            .tls = tls,
                                            .get_token = second_time,
                                            .message_bytes_max = MESSAGE_MAX,
                                            .backoff_min_ms = 1,
                                            .backoff_max_ms = 5,
                                            .arg = &asked};
    struct gw_h2link_client *c = gw_h2link_client_new(l, &o, &err);
    CU_ASSERT_TRUE(reaches(v.loop, l, &v.opened, 1));
    CU_ASSERT_EQUAL(asked, 2);
    gw_h2link_client_free(c);
    gw_tls_ctx_unref(tls);
    gw_loop_free(l);
    server_fini(&v);
}

static void test_untrusted_server_gets_no_token(void) {
    struct server v = {0};
    struct client k = {0};
    server_plain(&v);
    client_start(
        &k, &(struct client_args){.ca = &ends_other_ca_pem, .port = gw_h2link_server_port(v.s)});
    CU_ASSERT_TRUE(reaches(v.loop, k.loop, &k.closed, 1));
    CU_ASSERT_EQUAL(k.why.rc, GW_ERR_UPSTREAM);
    CU_ASSERT_TRUE(has(&k.why, "not trusted"));
    CU_ASSERT_EQUAL(v.authorized, 0);
    client_fini(&k);
    server_fini(&v);
}

static void test_refused_connection_is_told_and_tried_again(void) {
    struct client k = {0};
    client_start(&k, &(struct client_args){.port = closed_port()});
    CU_ASSERT_TRUE(reaches(k.loop, NULL, &k.closed, 3));
    CU_ASSERT_EQUAL(k.why.rc, GW_ERR_UPSTREAM);
    CU_ASSERT_TRUE(has(&k.why, "push stream to 127.0.0.1 port "));
    CU_ASSERT_TRUE(has(&k.why, "Connection refused"));
    struct gw_err err;
    CU_ASSERT_EQUAL(gw_h2link_client_send(k.c, GW_STR("x"), &err), GW_ERR_UPSTREAM);
    client_fini(&k);
}

static void test_peers_over_the_limit_are_503(void) {
    struct server v = {0};
    struct client a = {0}, b = {0};
    struct gw_h2link_server_opts o = server_opts(&v);
    o.peers_max = 1;
    server_start(&v, &o);
    connect_both(&v, &a, &(struct client_args){0});
    client_start(&b, &(struct client_args){.port = gw_h2link_server_port(v.s)});
    CU_ASSERT_TRUE(reaches(v.loop, b.loop, &b.closed, 1));
    CU_ASSERT_EQUAL(b.why.code, 503);
    gw_h2link_client_free(a.c); // makes room
    a.c = NULL;
    gw_loop_turn(a.loop, 0);
    CU_ASSERT_TRUE(reaches(v.loop, b.loop, &b.opened, 1));
    client_fini(&a);
    client_fini(&b);
    server_fini(&v);
}

static int raw_connect_from(uint32_t from, uint16_t port) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(from)};
    CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&own, sizeof(own)), 0);
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static int raw_connect(uint16_t port) {
    return raw_connect_from(INADDR_LOOPBACK, port);
}

// Turns the loop until the other end has closed fd.
static bool gets_closed(struct gw_loop *l, int fd) {
    int64_t end_us = gw_clock_us() + PATIENCE_US;
    char buf[1024];
    while (gw_clock_us() < end_us) {
        gw_loop_turn(l, 1);
        ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno == ECONNRESET)) return true;
    }
    return false;
}

static void test_silent_connection_is_closed(void) {
    struct server v = {0};
    struct gw_h2link_server_opts o = server_opts(&v);
    o.setup_ms = 50;
    server_start(&v, &o);
    int64_t start_us = gw_clock_us();
    int fd = raw_connect(gw_h2link_server_port(v.s));
    CU_ASSERT_TRUE(gets_closed(v.loop, fd));
    CU_ASSERT_TRUE(gw_clock_us() - start_us >= 45000);
    close(fd);
    server_fini(&v);
}

static void test_garbage_is_closed(void) {
    struct server v = {0};
    server_plain(&v);
    int fd = raw_connect(gw_h2link_server_port(v.s));
    CU_ASSERT_EQUAL(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
    CU_ASSERT_TRUE(gets_closed(v.loop, fd));
    close(fd);
    server_fini(&v);
}

// More silent connections than the server takes at once do not keep a good one out for good.
static void test_flood_of_silent_connections(void) {
    enum { N = 300 };
    struct server v = {0};
    struct client k = {0};
    struct gw_h2link_server_opts o = server_opts(&v);
    o.setup_ms = 200;
    server_start(&v, &o);
    int fd[N];
    for (int i = 0; i < N; i++)
        fd[i] = raw_connect(gw_h2link_server_port(v.s));
    turn_for(v.loop, NULL, 20);
    connect_both(&v, &k, &(struct client_args){0});
    for (int i = 0; i < N; i++)
        close(fd[i]);
    client_fini(&k);
    server_fini(&v);
}

// An address, or some, whose connections are all that there may be without a token does not keep
// others out for as long as those may be silent.
static void test_flood_of_one_address_keeps_no_other_out(void) {
    enum { N = 400 };
    for (uint32_t addresses = 1; addresses <= 8; addresses *= 2) {
        struct server v = {0};
        struct client k = {0};
        struct gw_h2link_server_opts o = server_opts(&v);
        o.setup_ms = 60000;
        server_start(&v, &o);
        int fd[N];
        for (uint32_t i = 0; i < N; i++) {
            uint32_t from = INADDR_LOOPBACK + 1 + i % addresses; // 127.0.0.2 and on
            fd[i] = raw_connect_from(from, gw_h2link_server_port(v.s));
        }
        turn_for(v.loop, NULL, 50);
        connect_both(&v, &k, &(struct client_args){0});
        // The oldest made room, the newest are there.
        CU_ASSERT_TRUE(gets_closed(v.loop, fd[0]));
        char byte;
        CU_ASSERT_TRUE(recv(fd[N - 1], &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
        for (int i = 0; i < N; i++)
            close(fd[i]);
        client_fini(&k);
        server_fini(&v);
    }
}

// --- a client that does not keep to the rules ---

enum rogue_kind {
    ROGUE_GET,
    ROGUE_PATH,
    ROGUE_NO_TOKEN,
    ROGUE_TWO_TOKENS,
    ROGUE_HUGE_HEAD,
    ROGUE_TWO_STREAMS,
    ROGUE_END
};

struct rogue {
    struct gw_h2conn conn;
    struct gw_loop *loop;
    enum rogue_kind kind;
    unsigned status;
    int closed;
    struct gw_err why;
    bool is_released;
};

static nghttp2_nv nv_of(char *name, char *value) {
    return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value),
                        NGHTTP2_NV_FLAG_NONE};
}

static void rogue_on_tls_open(struct gw_h2conn *c) {
    struct rogue *r = GW_CONTAINER_OF(c, struct rogue, conn);
    static char method[] = ":method", get[] = "GET", post[] = "POST", scheme[] = ":scheme",
                https[] = "https", path[] = ":path", push[] = GW_H2LINK_PUSH, root[] = "/",
                authority[] = ":authority", x[] = "x", auth[] = "authorization",
                bearer[] = "bearer " TOKEN, filler[] = "filler";
    static char huge[40000];
    memset(huge, 'h', sizeof(huge) - 1);
    nghttp2_nv nv[8];
    size_t n = 0;
    nv[n++] = nv_of(method, r->kind == ROGUE_GET ? get : post);
    nv[n++] = nv_of(scheme, https);
    nv[n++] = nv_of(authority, x);
    nv[n++] = nv_of(path, r->kind == ROGUE_PATH ? root : push);
    if (r->kind != ROGUE_NO_TOKEN) nv[n++] = nv_of(auth, bearer);
    if (r->kind == ROGUE_TWO_TOKENS) nv[n++] = nv_of(auth, bearer);
    if (r->kind == ROGUE_HUGE_HEAD) nv[n++] = nv_of(filler, huge);
    nghttp2_data_provider body = gw_h2conn_body(c);
    bool ends = r->kind == ROGUE_END;
    c->stream_id = nghttp2_submit_request(c->session, NULL, nv, n, ends ? NULL : &body, NULL);
    if (r->kind == ROGUE_TWO_STREAMS) nghttp2_submit_request(c->session, NULL, nv, n, &body, NULL);
}
static void rogue_on_header(struct gw_h2conn *c, struct gw_str name, struct gw_str value) {
    uint64_t status;
    if (gw_str_eq(name, GW_STR(":status")) && gw_str_to_u64(value, 999, &status) == GW_OK)
        GW_CONTAINER_OF(c, struct rogue, conn)->status = (unsigned)status;
}
static void rogue_on_head(struct gw_h2conn *c) {
    gw_h2conn_open(c);
}
static void rogue_on_message(struct gw_h2conn *c, struct gw_str bytes) {
    (void)c, (void)bytes;
}
static void rogue_on_closed(struct gw_h2conn *c, const struct gw_err *why) {
    struct rogue *r = GW_CONTAINER_OF(c, struct rogue, conn);
    r->closed++;
    r->why = *why;
}
static void rogue_release(struct gw_h2conn *c) {
    GW_CONTAINER_OF(c, struct rogue, conn)->is_released = true;
}
static const struct gw_h2conn_ops rogue_ops = {rogue_on_tls_open, rogue_on_header, rogue_on_head,
                                               rogue_on_message,  rogue_on_closed, rogue_release};

static void rogue_start(struct rogue *r, uint16_t port, struct gw_str alpn) {
    struct gw_err err;
    r->loop = gw_loop_new(&err);
    struct gw_tls_ctx *tls = gw_tls_client_ctx(gw_text_str(&ends_ca_pem), alpn, &err);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int rc = connect(fd, (struct sockaddr *)&a, sizeof(a));
    CU_ASSERT_TRUE_FATAL(rc == 0 || errno == EINPROGRESS);
    const struct gw_h2conn_conf conf = {
        .loop = r->loop, .ops = &rogue_ops, .message_bytes_max = MESSAGE_MAX};
    CU_ASSERT_EQUAL_FATAL(gw_h2conn_start(&r->conn, &conf, fd, tls, "127.0.0.1", &err), GW_OK);
    gw_tls_ctx_unref(tls);
}

static void test_requests_that_are_not_ours(void) {
    static const struct {
        enum rogue_kind kind;
        unsigned status; // 0: closed without an answer
        bool opens;      // for the server's user
    } cases[] = {
        {ROGUE_GET, 404, false},        {ROGUE_PATH, 404, false},    {ROGUE_NO_TOKEN, 401, false},
        {ROGUE_TWO_TOKENS, 401, false}, {ROGUE_HUGE_HEAD, 0, false}, {ROGUE_END, 0, true},
        {ROGUE_TWO_STREAMS, 0, true},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct server v = {0};
        server_plain(&v);
        struct rogue r = {.kind = cases[i].kind};
        rogue_start(&r, gw_h2link_server_port(v.s), GW_STR("h2"));
        CU_ASSERT_TRUE(reaches(v.loop, r.loop, &r.closed, 1));
        if (cases[i].status) CU_ASSERT_EQUAL(r.status, cases[i].status);
        CU_ASSERT_EQUAL(v.opened, cases[i].opens);
        if (cases[i].opens) CU_ASSERT_TRUE(reaches(v.loop, NULL, &v.closed, 1));
        CU_ASSERT_TRUE(r.is_released);
        gw_loop_free(r.loop);
        server_fini(&v);
    }
}

static void test_peer_without_alpn_is_refused(void) {
    struct server v = {0};
    server_plain(&v);
    struct rogue r = {.kind = ROGUE_GET};
    rogue_start(&r, gw_h2link_server_port(v.s), (struct gw_str){NULL, 0});
    CU_ASSERT_TRUE(reaches(v.loop, r.loop, &r.closed, 1));
    CU_ASSERT_TRUE(has(&r.why, "does not speak h2"));
    gw_loop_free(r.loop);
    server_fini(&v);
}

static CU_TestInfo tests[] = {
    {"server_refuses_a_bad_host", test_server_refuses_a_bad_host},
    {"client_refuses_no_address", test_client_refuses_no_address},
    {"wrong_token_is_401", test_wrong_token_is_401},
    {"answer_may_come_later", test_answer_may_come_later},
    {"refusal_may_come_later", test_refusal_may_come_later},
    {"peer_may_leave_before_the_answer", test_peer_may_leave_before_the_answer},
    {"no_answer_ends_with_the_setup_time", test_no_answer_ends_with_the_setup_time},
    {"without_a_certificate_nobody_is_accepted", test_without_a_certificate_nobody_is_accepted},
    {"token_is_asked_for_each_dial", test_token_is_asked_for_each_dial},
    {"untrusted_server_gets_no_token", test_untrusted_server_gets_no_token},
    {"refused_connection_is_tried_again", test_refused_connection_is_told_and_tried_again},
    {"peers_over_the_limit_are_503", test_peers_over_the_limit_are_503},
    {"silent_connection_is_closed", test_silent_connection_is_closed},
    {"garbage_is_closed", test_garbage_is_closed},
    {"flood_of_silent_connections", test_flood_of_silent_connections},
    {"flood_of_one_address_keeps_no_other_out", test_flood_of_one_address_keeps_no_other_out},
    {"requests_that_are_not_ours", test_requests_that_are_not_ours},
    {"peer_without_alpn_is_refused", test_peer_without_alpn_is_refused},
    CU_TEST_INFO_NULL,
};

CU_SuiteInfo suite_shared_h2link_refuse = {
    "shared_h2link_refuse", ends_set_up, ends_tear_down, NULL, NULL, tests};
