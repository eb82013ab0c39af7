// SPDX-License-Identifier: Apache-2.0
// Shared HTTP/2 connections against a server made of frames by hand: who gets a place, who waits,
// and how connections end.
#include "dataplane/upstream/h2_pool_internal.h"
#include "test/unit/dataplane/codec/h2_pair.h"

#include <CUnit/CUnit.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>

extern CU_SuiteInfo suite_dataplane_upstream_h2_pool;

#define TURNS_MAX 500
#define LEASES_MAX 160

static struct gw_loop *loop;
static struct dp_dns *dns;
static struct dp_upstream up;
static struct dp_endpoint *endpoint;
static int listener;
static bool is_given_back;

// --- requests ------------------------------------------------------------------------------------

struct asker {
    struct dp_h2_lease lease; // first
    struct gw_arena arena;
    struct gw_err err;
    unsigned granted, ready, ends;
    int status;
    bool opens; // at once, when granted
};
static struct asker askers[LEASES_MAX];
static struct dp_head head;

static void open_stream(struct asker *a) {
    struct gw_err err;
    CU_ASSERT_EQUAL_FATAL(dp_h2_lease_open(&a->lease, &head, &a->arena, &err), GW_OK);
    dp_h2_send_end(a->lease.stream, NULL);
    dp_h2_lease_flush(&a->lease);
}

static void on_granted(struct dp_h2_lease *l, const struct gw_err *err) {
    struct asker *a = (struct asker *)l;
    a->granted++;
    CU_ASSERT_FALSE(l->is_waiting);
    if (err)
        a->err = *err;
    else if (a->opens)
        open_stream(a);
}

static void on_ready(struct dp_h2_lease *l) {
    struct asker *a = (struct asker *)l;
    struct dp_ev ev;
    struct gw_slab *owner;
    a->ready++;
    while (dp_h2_next_event(l->stream, &ev, &owner, &a->err) == GW_OK) {
        gw_slab_unref(owner);
        if (ev.type == DP_EV_HEAD) a->status = ev.head->status;
        if (ev.type == DP_EV_END) a->ends++;
    }
}

static void on_drained(struct dp_h2_lease *l GW_UNUSED) {}
static const struct dp_h2_lease_ops ops = {on_granted, on_ready, on_drained};

static enum gw_rc ask_since(struct asker *a, int64_t timeout_ms, int64_t since_us) {
    a->lease.ops = &ops;
    a->opens = true;
    enum gw_rc rc = dp_h2_lease_get(&a->lease, &up, endpoint, timeout_ms, since_us, &a->err);
    if (rc == GW_OK) open_stream(a);
    return rc;
}

static enum gw_rc ask(struct asker *a) {
    return ask_since(a, 0, 0);
}

// --- the server ----------------------------------------------------------------------------------

static int listen_on(uint16_t *port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&at, len), 0);
    CU_ASSERT_EQUAL_FATAL(listen(fd, 128), 0);
    CU_ASSERT_EQUAL_FATAL(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

static int accepted(void) {
    for (int i = 0; i < TURNS_MAX; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) return fd;
        gw_loop_turn(loop, 10);
    }
    CU_FAIL_FATAL("nobody connected");
    return -1;
}

static void put(int fd, struct gw_text *frames) {
    CU_ASSERT_EQUAL(send(fd, frames->ptr, frames->len, MSG_NOSIGNAL), (ssize_t)frames->len);
    gw_text_fini(frames);
}

static void hello(int fd, unsigned streams) {
    struct gw_text t = {0};
    uint8_t entry[6] = {0,
                        NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
                        0,
                        0,
                        (uint8_t)(streams >> 8),
                        (uint8_t)streams};
    h2_frame(&t, NGHTTP2_SETTINGS, 0, 0, entry, sizeof(entry));
    h2_frame(&t, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, NULL, 0);
    put(fd, &t);
}

static void answer(int fd, uint32_t id) {
    struct gw_text t = {0}, section = {0};
    h2_section(&section, ":status 200\n");
    h2_frame(&t, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, id,
             section.ptr, section.len);
    gw_text_fini(&section);
    put(fd, &t);
}

static void go_away(int fd, uint32_t last) {
    struct gw_text t = {0};
    uint8_t p[8] = {0, 0, 0, (uint8_t)last, 0, 0, 0, 0};
    h2_frame(&t, NGHTTP2_GOAWAY, 0, 0, p, sizeof(p));
    put(fd, &t);
}

// Frames of this type that the server got by now.
static unsigned got(int fd, unsigned type) {
    static uint8_t bytes[65536];
    for (int i = 0; i < 5; i++)
        gw_loop_turn(loop, 2);
    ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);
    unsigned found = 0;
    for (ssize_t at = DP_H2_PREFACE_BYTES; at + 9 <= n;) {
        found += bytes[at + 3] == type;
        at += 9 + (bytes[at] << 16 | bytes[at + 1] << 8 | bytes[at + 2]);
    }
    return found;
}

static bool sees_the_end(int fd) {
    char bytes[4096];
    for (int i = 0; i < TURNS_MAX; i++) {
        ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
        if (n == 0) return true;
        if (n < 0) gw_loop_turn(loop, 2);
    }
    return false;
}

// --- around each test ----------------------------------------------------------------------------

#define UNTIL(cond)                                                                                \
    do {                                                                                           \
        for (int turns_ = 0; turns_ < TURNS_MAX && !(cond); turns_++)                              \
            gw_loop_turn(loop, 10);                                                                \
        CU_ASSERT(cond);                                                                           \
    } while (0)

static void set_up(void) {
    struct gw_err err;
    uint16_t port;
    loop = gw_loop_new(&err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(loop);
    dns = dp_dns_new(loop, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(dns);
    listener = listen_on(&port);
    endpoint = dp_endpoint_intern(GW_STR("127.0.0.1"), port, false);
    dp_upstream_init(&up, loop, dns, NULL, 3);
    is_given_back = false;
    memset(askers, 0, sizeof(askers));
    for (unsigned i = 0; i < LEASES_MAX; i++)
        gw_arena_init(&askers[i].arena, NULL, 0, 65536);
    head = (struct dp_head){.method = DP_METHOD_GET,
                            .method_text = GW_STR("GET"),
                            .target = GW_STR("/"),
                            .authority = GW_STR("a"),
                            .content_length = -1};
}

static void tear_down(void) {
    for (unsigned i = 0; i < LEASES_MAX; i++) {
        if (askers[i].lease.ops) dp_h2_lease_end(&askers[i].lease);
        gw_arena_fini(&askers[i].arena);
    }
    if (!is_given_back) dp_endpoint_conf_unref(endpoint);
    dp_upstream_fini(&up);
    CU_ASSERT_EQUAL(up.conns, 0);
    gw_loop_turn(loop, 0);
    dp_dns_free(dns);
    gw_loop_free(loop);
    close(listener);
    CU_ASSERT_EQUAL(gw_slab_in_use(), 0);
}

static struct dp_h2_pool *pool(void) {
    return endpoint->pools[up.worker]->h2;
}

// As if so much time had passed.
static void sweep_after(int64_t ms) {
    dp_h2_pool_sweep(pool(), gw_loop_now_ms(loop) + ms, false, false);
}

static int connected(struct asker *a, unsigned streams) {
    CU_ASSERT_EQUAL(ask(a), GW_AGAIN);
    int fd = accepted();
    hello(fd, streams);
    UNTIL(a->granted);
    CU_ASSERT_PTR_NOT_NULL_FATAL(a->lease.stream);
    return fd;
}

// --- no connection -------------------------------------------------------------------------------

static void too_many_connections_are_an_error_at_once(void) {
    up.conns += DP_UPSTREAM_CONNS_MAX;
    CU_ASSERT_EQUAL(ask(&askers[0]), GW_ERR_LIMIT);
    CU_ASSERT_EQUAL(askers[0].err.code, 503);
    CU_ASSERT_FALSE(askers[0].lease.is_waiting);
    up.conns -= DP_UPSTREAM_CONNS_MAX;
    CU_ASSERT_EQUAL(askers[0].granted, 0);
}

static void all_who_wait_are_told_that_nobody_listens(void) {
    close(listener);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(ask(&askers[i]), GW_AGAIN);
    UNTIL(askers[2].granted);
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(askers[i].granted, 1);
        CU_ASSERT_EQUAL(askers[i].err.rc, GW_ERR_UPSTREAM);
        CU_ASSERT_EQUAL(askers[i].err.code, 503);
    }
    CU_ASSERT_EQUAL(up.conns, 0);
    listener = dup(0);
}

static void another_protocol_is_502(void) {
    CU_ASSERT_EQUAL(ask(&askers[0]), GW_AGAIN);
    int fd = accepted();
    struct gw_text t = {0};
    gw_text_adds(&t, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    put(fd, &t);
    UNTIL(askers[0].granted);
    CU_ASSERT_EQUAL(askers[0].err.rc, GW_ERR_UPSTREAM);
    CU_ASSERT_EQUAL(askers[0].err.code, 502);
    CU_ASSERT(sees_the_end(fd));
    close(fd);
}

static void a_server_without_settings_is_left(void) {
    CU_ASSERT_EQUAL(ask_since(&askers[0], 60, 0), GW_AGAIN);
    int fd = accepted();
    UNTIL(askers[0].granted);
    CU_ASSERT_EQUAL(askers[0].err.rc, GW_ERR_TIMEOUT);
    CU_ASSERT_EQUAL(up.conns, 1);
    sweep_after(60);
    CU_ASSERT_EQUAL(up.conns, 0);
    CU_ASSERT(sees_the_end(fd));
    close(fd);
}

// --- places --------------------------------------------------------------------------------------

static void those_who_wait_share_a_connection(void) {
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(ask(&askers[i]), GW_AGAIN);
    int fd = accepted();
    CU_ASSERT_EQUAL(got(fd, NGHTTP2_HEADERS), 0); // not before it says what it takes
    hello(fd, 100);
    UNTIL(askers[2].granted);
    CU_ASSERT_FALSE(askers[0].lease.is_lost);
    CU_ASSERT_EQUAL(ask(&askers[3]), GW_OK);
    CU_ASSERT(dp_h2_lease_is_pooled(&askers[3].lease));
    CU_ASSERT_EQUAL(got(fd, NGHTTP2_HEADERS), 4);
    CU_ASSERT_EQUAL(up.conns, 1);
    answer(fd, 3);
    UNTIL(askers[1].ends);
    CU_ASSERT_EQUAL(askers[1].status, 200);
    CU_ASSERT_EQUAL(askers[0].ready + askers[2].ready + askers[3].ready, 0);
    close(fd);
}

static void a_full_connection_gets_company(void) {
    int first = connected(&askers[0], 2);
    CU_ASSERT_FALSE(dp_h2_lease_is_pooled(&askers[0].lease));
    CU_ASSERT_EQUAL(ask(&askers[1]), GW_OK);
    CU_ASSERT_EQUAL(ask(&askers[2]), GW_AGAIN);
    CU_ASSERT_EQUAL(ask(&askers[3]), GW_AGAIN);
    int second = accepted();
    hello(second, 2);
    UNTIL(askers[3].granted);
    CU_ASSERT_EQUAL(up.conns, 2);
    CU_ASSERT_PTR_EQUAL(askers[2].lease.conn, askers[3].lease.conn);
    CU_ASSERT_PTR_NOT_EQUAL(askers[0].lease.conn, askers[3].lease.conn);
    close(first);
    close(second);
}

static void a_place_that_is_free_again_goes_to_who_waits(void) {
    int first = connected(&askers[0], 1);
    CU_ASSERT_EQUAL(ask(&askers[1]), GW_AGAIN);
    int second = accepted(); // which never says a word
    CU_ASSERT_EQUAL(ask(&askers[2]), GW_AGAIN);
    answer(first, 1);
    UNTIL(askers[1].granted);
    CU_ASSERT_EQUAL(askers[2].granted, 0);
    dp_h2_lease_end(&askers[1].lease);
    CU_ASSERT_EQUAL(askers[2].granted, 0); // never from within another's call
    UNTIL(askers[2].granted);
    CU_ASSERT_PTR_NOT_NULL(askers[2].lease.stream);
    close(first);
    close(second);
}

static void who_stops_waiting_is_not_told(void) {
    CU_ASSERT_EQUAL(ask(&askers[0]), GW_AGAIN);
    CU_ASSERT_EQUAL(ask_since(&askers[1], 30, 0), GW_AGAIN);
    dp_h2_lease_end(&askers[0].lease);
    dp_h2_lease_end(&askers[1].lease);
    int fd = accepted();
    hello(fd, 10);
    CU_ASSERT_EQUAL(got(fd, NGHTTP2_HEADERS), 0);
    for (int i = 0; i < 5; i++)
        gw_loop_turn(loop, 10);
    CU_ASSERT_EQUAL(askers[0].granted + askers[1].granted, 0);
    CU_ASSERT_EQUAL(ask(&askers[2]), GW_OK); // what was made is kept
    CU_ASSERT_FALSE(dp_h2_lease_is_pooled(&askers[2].lease));
    close(fd);
}

static void connections_are_bounded(void) {
    static int fds[DP_H2_POOL_CONNS_MAX];
    for (unsigned i = 0; i < DP_H2_POOL_CONNS_MAX; i++)
        fds[i] = connected(&askers[i], 1);
    struct asker *last = &askers[DP_H2_POOL_CONNS_MAX];
    CU_ASSERT_EQUAL(ask_since(last, 50, 0), GW_AGAIN);
    UNTIL(last->granted);
    CU_ASSERT_EQUAL(last->err.rc, GW_ERR_TIMEOUT);
    CU_ASSERT_EQUAL(last->err.code, 504);
    CU_ASSERT_EQUAL(up.conns, DP_H2_POOL_CONNS_MAX);
    for (unsigned i = 0; i < DP_H2_POOL_CONNS_MAX; i++)
        close(fds[i]);
}

// --- ends ----------------------------------------------------------------------------------------

static void a_stream_that_is_given_up_is_cancelled(void) {
    int fd = connected(&askers[0], 10);
    CU_ASSERT_EQUAL(got(fd, NGHTTP2_RST_STREAM), 0);
    dp_h2_lease_end(&askers[0].lease);
    CU_ASSERT_EQUAL(got(fd, NGHTTP2_RST_STREAM), 1);
    CU_ASSERT_EQUAL(up.conns, 1);
    close(fd);
}

static void a_lost_connection_is_told_to_all(void) {
    int fd = connected(&askers[0], 10);
    CU_ASSERT_EQUAL(ask(&askers[1]), GW_OK);
    (void)got(fd, NGHTTP2_HEADERS);
    answer(fd, 1);
    close(fd);
    UNTIL(askers[1].lease.is_lost);
    CU_ASSERT(askers[0].lease.is_lost);
    CU_ASSERT_EQUAL(askers[0].ends, 1); // what was whole before is whole
    CU_ASSERT_EQUAL(askers[1].ends, 0);
    CU_ASSERT_EQUAL(up.conns, 0);
    CU_ASSERT_EQUAL(ask(&askers[2]), GW_AGAIN); // another one
    fd = accepted();
    hello(fd, 10);
    UNTIL(askers[2].granted);
    close(fd);
}

// After a dead connection one of the same age will not do.
static void who_wants_a_new_connection_gets_one(void) {
    int first = connected(&askers[0], 10);
    CU_ASSERT_EQUAL(ask_since(&askers[1], 0, gw_clock_us()), GW_AGAIN);
    int second = accepted();
    CU_ASSERT_EQUAL(ask(&askers[2]), GW_OK); // others are not held up by that
    hello(second, 10);
    UNTIL(askers[1].granted);
    CU_ASSERT_PTR_NOT_EQUAL(askers[1].lease.conn, askers[0].lease.conn);
    CU_ASSERT_PTR_EQUAL(askers[2].lease.conn, askers[0].lease.conn);
    close(first);
    close(second);
}

static void goaway_lets_the_seen_finish_and_the_others_go(void) {
    int first = connected(&askers[0], 10);
    CU_ASSERT_EQUAL(ask(&askers[1]), GW_OK);
    (void)got(first, NGHTTP2_HEADERS);
    go_away(first, 1);
    UNTIL(askers[1].err.rc != GW_OK);
    CU_ASSERT(askers[1].err.retryable);
    CU_ASSERT_FALSE(askers[0].lease.is_lost);
    dp_h2_lease_end(&askers[1].lease);
    CU_ASSERT_EQUAL(ask(&askers[2]), GW_AGAIN);
    int second = accepted();
    answer(first, 1);
    UNTIL(askers[0].ends);
    dp_h2_lease_end(&askers[0].lease);
    CU_ASSERT(sees_the_end(first));
    close(first);
    close(second);
}

static void idle_connections_end(void) {
    int fd = connected(&askers[0], 10);
    sweep_after(DP_POOL_IDLE_MS);
    CU_ASSERT_EQUAL(up.conns, 1); // it is used
    dp_h2_lease_end(&askers[0].lease);
    (void)got(fd, 0);
    sweep_after(DP_POOL_IDLE_MS - 1000);
    CU_ASSERT_EQUAL(up.conns, 1);
    sweep_after(DP_POOL_IDLE_MS);
    CU_ASSERT_EQUAL(up.conns, 0);
    CU_ASSERT_EQUAL(got(fd, NGHTTP2_GOAWAY), 1);
    close(fd);
}

static void those_of_an_endpoint_that_is_gone_end(void) {
    int fd = connected(&askers[0], 10);
    dp_h2_pool_sweep(pool(), gw_loop_now_ms(loop), false, true);
    CU_ASSERT_EQUAL(up.conns, 1);
    dp_h2_lease_end(&askers[0].lease);
    (void)got(fd, 0);
    dp_h2_pool_sweep(pool(), gw_loop_now_ms(loop), false, true);
    CU_ASSERT_EQUAL(up.conns, 0);
    close(fd);
}

// A request got no word for long: the connection is asked for a sign of life.
static void ask_in_vain(struct asker *a) {
    a->lease.opened_ms -= DP_H2_SUSPECT_MS;
    a->lease.conn->read_ms = a->lease.opened_ms - 1;
    dp_h2_lease_end(&a->lease);
}

static void a_mute_connection_is_pinged_and_left(void) {
    int fd = connected(&askers[0], 10);
    (void)got(fd, 0);
    dp_h2_lease_end(&askers[0].lease);
    CU_ASSERT_EQUAL(got(fd, NGHTTP2_PING), 0); // that one was just impatient
    CU_ASSERT_EQUAL(ask(&askers[1]), GW_OK);
    ask_in_vain(&askers[1]);
    CU_ASSERT_EQUAL(got(fd, NGHTTP2_PING), 1);
    CU_ASSERT_EQUAL(ask(&askers[2]), GW_AGAIN);
    int second = accepted();
    hello(second, 10);
    UNTIL(askers[2].granted);
    sweep_after(DP_H2_PONG_MS - 1000);
    CU_ASSERT_EQUAL(up.conns, 2);
    sweep_after(DP_H2_PONG_MS);
    CU_ASSERT_EQUAL(up.conns, 1);
    CU_ASSERT(sees_the_end(fd));
    CU_ASSERT_FALSE(askers[2].lease.is_lost);
    close(fd);
    close(second);
}

static void a_sign_of_life_is_enough(void) {
    int fd = connected(&askers[0], 10);
    (void)got(fd, 0);
    ask_in_vain(&askers[0]);
    CU_ASSERT_EQUAL(got(fd, NGHTTP2_PING), 1);
    struct gw_text t = {0};
    uint8_t zeros[8] = {0};
    h2_frame(&t, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, zeros, sizeof(zeros));
    put(fd, &t);
    UNTIL(pool()->conns->pong_until_ms == 0);
    CU_ASSERT_EQUAL(ask(&askers[1]), GW_OK);
    sweep_after(DP_H2_PONG_MS);
    CU_ASSERT_EQUAL(up.conns, 1);
    close(fd);
}

static void a_worker_may_end_while_one_connects(void) {
    CU_ASSERT_EQUAL(ask(&askers[0]), GW_AGAIN);
    dp_h2_lease_end(&askers[0].lease);
    dp_endpoint_conf_unref(endpoint);
    is_given_back = true;
}

static CU_TestInfo tests[] = {
    {"too many connections are an error at once", too_many_connections_are_an_error_at_once},
    {"all who wait are told that nobody listens", all_who_wait_are_told_that_nobody_listens},
    {"another protocol is 502", another_protocol_is_502},
    {"a server without SETTINGS is left", a_server_without_settings_is_left},
    {"those who wait share a connection", those_who_wait_share_a_connection},
    {"a full connection gets company", a_full_connection_gets_company},
    {"a free place goes to who waits", a_place_that_is_free_again_goes_to_who_waits},
    {"who stops waiting is not told", who_stops_waiting_is_not_told},
    {"connections are bounded", connections_are_bounded},
    {"a stream that is given up is cancelled", a_stream_that_is_given_up_is_cancelled},
    {"a lost connection is told to all", a_lost_connection_is_told_to_all},
    {"who wants a new connection gets one", who_wants_a_new_connection_gets_one},
    {"GOAWAY lets the seen finish", goaway_lets_the_seen_finish_and_the_others_go},
    {"idle connections end", idle_connections_end},
    {"those of an endpoint that is gone end", those_of_an_endpoint_that_is_gone_end},
    {"a mute connection is pinged and left", a_mute_connection_is_pinged_and_left},
    {"a sign of life is enough", a_sign_of_life_is_enough},
    {"a worker may end while one connects", a_worker_may_end_while_one_connects},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_upstream_h2_pool = {"h2_pool", NULL, NULL, set_up, tear_down, tests};
