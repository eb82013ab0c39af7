// SPDX-License-Identifier: Apache-2.0
// Upstream connections against a listener on 127.0.0.1: made, lent, kept, dropped.
#include "dataplane/upstream/pool_internal.h"

#include <CUnit/CUnit.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define WAIT_MS 5000

static struct gw_loop *loop;
static struct dp_dns *dns;
static struct dp_upstream up;
static struct dp_endpoint *endpoint;
static int listener;
static unsigned calls;
static bool is_closed; // what was interned is given back

static int listen_on(uint16_t *port, int backlog) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&at, len), 0);
    if (backlog >= 0) CU_ASSERT_EQUAL_FATAL(listen(fd, backlog), 0);
    CU_ASSERT_EQUAL_FATAL(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

static void set_up(void) {
    struct gw_err err;
    uint16_t port;
    loop = gw_loop_new(&err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(loop);
    dns = dp_dns_new(loop, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(dns);
    listener = listen_on(&port, 16);
    endpoint = dp_endpoint_intern(GW_STR("127.0.0.1"), port, false);
    dp_upstream_init(&up, loop, dns, NULL, 3);
    calls = 0;
    is_closed = false;
}

static void drop_endpoint(void) {
    if (!is_closed) dp_endpoint_conf_unref(endpoint);
    is_closed = true;
}

static void tear_down(void) {
    drop_endpoint();
    dp_upstream_fini(&up);
    CU_ASSERT_EQUAL(up.conns, 0);
    dp_dns_free(dns);
    gw_loop_free(loop);
    close(listener);
}

static void on_event(struct dp_conn *c GW_UNUSED) {}
static const struct dp_conn_ops ops = {on_event, on_event, on_event};

// What a wish came to.
struct wish {
    struct dp_upconn *conn;
    struct gw_err err;
    bool done;
};

static void on_wish(void *arg, struct dp_upconn *c, const struct gw_err *err) {
    struct wish *w = arg;
    calls++;
    w->done = true;
    w->conn = c;
    if (err) w->err = *err;
    if (c) c->conn.ops = &ops;
}

static struct dp_connect *begin(struct wish *w, struct dp_endpoint *e, int64_t timeout_ms) {
    struct gw_err err;
    *w = (struct wish){0};
    struct dp_connect *c = dp_pool_connect(&up, e, timeout_ms, on_wish, w, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    CU_ASSERT_FALSE(w->done);
    return c;
}

static void wait_for(const struct wish *w) {
    int64_t end = gw_clock_us() + WAIT_MS * 1000;
    while (!w->done && gw_clock_us() < end)
        gw_loop_turn(loop, 50);
    CU_ASSERT_FATAL(w->done);
}

static void turn(int n) {
    for (int i = 0; i < n; i++)
        gw_loop_turn(loop, 10);
}

static struct dp_upconn *connected(struct dp_endpoint *e) {
    struct wish w;
    begin(&w, e, 0);
    wait_for(&w);
    CU_ASSERT_PTR_NOT_NULL_FATAL(w.conn);
    return w.conn;
}

static int accepted(void) {
    for (int i = 0; i < WAIT_MS / 10; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) return fd;
        usleep(10000);
    }
    CU_FAIL_FATAL("nobody connected");
    return -1;
}

// Turns until this many connections are open; false where that never comes.
static bool falls_to(unsigned conns) {
    for (int i = 0; i < 100 && up.conns != conns; i++)
        gw_loop_turn(loop, 10);
    return up.conns == conns;
}

static bool peer_sees_the_end(int fd) {
    char byte;
    return recv(fd, &byte, 1, 0) == 0;
}

// --- making -------------------------------------------------------------------------------------

static void nobody_listens(void) {
    struct wish w;
    uint16_t port;
    int fd = listen_on(&port, -1); // bound, so that nobody else gets the port
    struct dp_endpoint *e = dp_endpoint_intern(GW_STR("127.0.0.1"), port, false);
    begin(&w, e, 1000);
    wait_for(&w);
    CU_ASSERT_PTR_NULL(w.conn);
    CU_ASSERT_EQUAL(w.err.rc, GW_ERR_UPSTREAM);
    CU_ASSERT_EQUAL(w.err.code, 503);
    CU_ASSERT_PTR_NOT_NULL(strstr(w.err.text, "cannot connect to the upstream: "));
    CU_ASSERT_PTR_NOT_NULL(strstr(w.err.text, strerror(ECONNREFUSED)));
    CU_ASSERT_EQUAL(up.conns, 0);
    turn(3);
    CU_ASSERT_EQUAL(calls, 1);
    dp_endpoint_conf_unref(e);
    close(fd);
}

// A listener whose queue is full leaves the SYN unanswered.
static void nobody_answers_in_time(void) {
    uint16_t port;
    int fd = listen_on(&port, 0), waiting[8];
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (size_t i = 0; i < GW_ARRAY_LEN(waiting); i++) {
        waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        int rc = connect(waiting[i], (struct sockaddr *)&at, sizeof(at));
        CU_ASSERT(rc == 0 || errno == EINPROGRESS);
    }
    struct dp_endpoint *e = dp_endpoint_intern(GW_STR("127.0.0.1"), port, false);
    struct wish w;
    int64_t begun = gw_clock_us();
    begin(&w, e, 60);
    wait_for(&w);
    CU_ASSERT(gw_clock_us() - begun >= 50000);
    CU_ASSERT_PTR_NULL(w.conn);
    CU_ASSERT_EQUAL(w.err.rc, GW_ERR_TIMEOUT);
    CU_ASSERT_EQUAL(w.err.code, 504);
    CU_ASSERT_PTR_NOT_NULL(strstr(w.err.text, "in time"));
    CU_ASSERT_EQUAL(up.conns, 0);
    dp_endpoint_conf_unref(e);
    for (size_t i = 0; i < GW_ARRAY_LEN(waiting); i++)
        close(waiting[i]);
    close(fd);
}

static void too_many_are_refused_at_once(void) {
    struct gw_err err;
    struct wish w = {0};
    up.conns += DP_UPSTREAM_CONNS_MAX;
    CU_ASSERT_PTR_NULL(dp_pool_connect(&up, endpoint, 0, on_wish, &w, &err));
    CU_ASSERT_EQUAL(err.rc, GW_ERR_LIMIT);
    CU_ASSERT_EQUAL(err.code, 503);
    up.conns -= DP_UPSTREAM_CONNS_MAX;
    turn(2);
    CU_ASSERT_EQUAL(calls, 0);
}

static void a_connection_is_made(void) {
    struct dp_upconn *c = connected(endpoint);
    int fd = accepted();
    CU_ASSERT_EQUAL(c->served, 0);
    CU_ASSERT(dp_conn_is_open(&c->conn));
    CU_ASSERT_EQUAL(up.conns, 1);
    CU_ASSERT_PTR_NULL(dp_pool_take(&up, endpoint, false)); // it is lent
    dp_upconn_release(c, false);
    CU_ASSERT_EQUAL(up.conns, 0);
    CU_ASSERT(peer_sees_the_end(fd));
    close(fd);
}

static void a_wish_before_its_turn_is_cancelled(void) {
    struct wish w;
    dp_connect_cancel(begin(&w, endpoint, 20));
    turn(6);
    CU_ASSERT_EQUAL(calls, 0);
    CU_ASSERT_EQUAL(up.conns, 0);
    CU_ASSERT_EQUAL(accept4(listener, NULL, NULL, SOCK_CLOEXEC), -1);
}

static void a_wish_under_way_is_cancelled(void) {
    struct wish w;
    struct dp_connect *c = begin(&w, endpoint, 20);
    gw_loop_turn(loop, 0); // it begins at the end of the turn
    CU_ASSERT_FALSE_FATAL(w.done);
    CU_ASSERT_EQUAL(up.conns, 1);
    dp_connect_cancel(c);
    CU_ASSERT_EQUAL(up.conns, 0);
    turn(6);
    CU_ASSERT_EQUAL(calls, 0);
    int fd = accepted();
    CU_ASSERT(peer_sees_the_end(fd));
    close(fd);
}

// --- keeping ------------------------------------------------------------------------------------

static void an_idle_connection_is_used_again(void) {
    struct dp_upconn *c = connected(endpoint);
    int fd = accepted();
    for (unsigned i = 1; i <= 3; i++) {
        dp_upconn_release(c, true);
        turn(2);
        CU_ASSERT_PTR_EQUAL(dp_pool_take(&up, endpoint, i % 2), c);
        CU_ASSERT_PTR_NULL(dp_pool_take(&up, endpoint, false));
        CU_ASSERT_EQUAL(c->served, i);
        c->conn.ops = &ops;
    }
    CU_ASSERT_EQUAL(up.conns, 1);
    dp_upconn_release(c, false);
    close(fd);
}

static void the_last_used_goes_first(void) {
    struct dp_upconn *a = connected(endpoint), *b = connected(endpoint);
    dp_upconn_release(b, true);
    dp_upconn_release(a, true);
    CU_ASSERT_PTR_EQUAL(dp_pool_take(&up, endpoint, false), a);
    CU_ASSERT_PTR_EQUAL(dp_pool_take(&up, endpoint, false), b);
    dp_upconn_release(a, true);
    dp_upconn_release(b, true);
    CU_ASSERT_EQUAL(up.conns, 2);
}

static void connections_are_of_one_endpoint(void) {
    uint16_t port;
    int fd = listen_on(&port, 4);
    struct dp_endpoint *other = dp_endpoint_intern(GW_STR("127.0.0.1"), port, false);
    dp_upconn_release(connected(other), true);
    CU_ASSERT_PTR_NULL(dp_pool_take(&up, endpoint, false));
    struct dp_upconn *c = dp_pool_take(&up, other, false);
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    dp_upconn_release(c, true);
    dp_endpoint_conf_unref(other);
    close(fd);
}

static void one_that_the_peer_closed_is_dropped(void) {
    dp_upconn_release(connected(endpoint), true);
    close(accepted());
    CU_ASSERT(falls_to(0));
    CU_ASSERT_PTR_NULL(dp_pool_take(&up, endpoint, false));
}

static void one_that_talks_unasked_is_dropped(void) {
    dp_upconn_release(connected(endpoint), true);
    int fd = accepted();
    CU_ASSERT_EQUAL(send(fd, "HTTP/1.1 408 \r\n\r\n", 17, 0), 17);
    CU_ASSERT(falls_to(0));
    close(fd);
}

// Closed or talking, but no turn has told us yet.
static void a_careful_taker_gets_a_living_one(void) {
    for (int talks = 0; talks <= 1; talks++) {
        struct dp_upconn *living = connected(endpoint);
        int living_fd = accepted();
        struct dp_upconn *dead = connected(endpoint);
        int fd = accepted();
        dp_upconn_release(living, true);
        dp_upconn_release(dead, true);
        if (talks) CU_ASSERT_EQUAL(send(fd, "x", 1, 0), 1);
        if (!talks) shutdown(fd, SHUT_WR);
        CU_ASSERT_PTR_EQUAL(dp_pool_take(&up, endpoint, true), living);
        CU_ASSERT_EQUAL(up.conns, 1);
        dp_upconn_release(living, false);
        close(fd);
        close(living_fd);
    }
}

static void what_cannot_be_used_again_is_closed(void) {
    enum { NOT_KEPT, FAILED, UNSENT, CLOSED, DRAINING, WAYS };
    for (int way = 0; way < WAYS; way++) {
        struct dp_upconn *c = connected(endpoint);
        int fd = accepted();
        if (way == FAILED) c->conn.failed = true;
        if (way == UNSENT) dp_conn_push(&c->conn, NULL, GW_STR("x"));
        if (way == CLOSED) dp_conn_close(&c->conn);
        up.closing = way == DRAINING;
        dp_upconn_release(c, way != NOT_KEPT);
        up.closing = false;
        CU_ASSERT_EQUAL(up.conns, 0);
        CU_ASSERT(peer_sees_the_end(fd));
        close(fd);
    }
}

static void too_many_idle_ones_are_closed(void) {
    struct dp_upconn *a = connected(endpoint), *b = connected(endpoint);
    struct dp_pool *p = a->pool;
    p->idle_n += DP_POOL_IDLE_MAX - 1; // as if so many were idle
    dp_upconn_release(a, true);
    CU_ASSERT_EQUAL(p->idle_n, DP_POOL_IDLE_MAX);
    dp_upconn_release(b, true);
    CU_ASSERT_EQUAL(p->idle_n, DP_POOL_IDLE_MAX);
    CU_ASSERT_EQUAL(up.conns, 1);
    p->idle_n -= DP_POOL_IDLE_MAX - 1;
    CU_ASSERT_PTR_EQUAL(dp_pool_take(&up, endpoint, false), a);
    dp_upconn_release(a, false);
}

// --- the end of an endpoint ---------------------------------------------------------------------

static void one_whose_endpoint_left_is_not_kept(void) {
    struct dp_upconn *c = connected(endpoint);
    drop_endpoint();
    dp_upconn_release(c, true);
    CU_ASSERT_EQUAL(up.conns, 0);
    up.sweep.fn(&up.sweep);
    CU_ASSERT_PTR_NULL(up.pools);
}

static void idle_ones_leave_with_their_endpoint(void) {
    struct dp_upconn *lent = connected(endpoint);
    dp_upconn_release(connected(endpoint), true);
    up.sweep.fn(&up.sweep);
    CU_ASSERT_EQUAL(up.conns, 2);
    drop_endpoint();
    up.sweep.fn(&up.sweep);
    CU_ASSERT_EQUAL(up.conns, 1);
    CU_ASSERT_PTR_NOT_NULL(up.pools); // one is still lent
    dp_upconn_release(lent, true);
    up.sweep.fn(&up.sweep);
    CU_ASSERT_PTR_NULL(up.pools);
}

static void one_that_was_idle_for_long_is_closed(void) {
    struct dp_upconn *old = connected(endpoint), *young = connected(endpoint);
    dp_upconn_release(old, true);
    dp_upconn_release(young, true);
    old->idle_since_ms -= DP_POOL_IDLE_MS;
    young->idle_since_ms -= DP_POOL_IDLE_MS - 10000;
    up.sweep.fn(&up.sweep);
    CU_ASSERT_EQUAL(up.conns, 1);
    CU_ASSERT_PTR_EQUAL(dp_pool_take(&up, endpoint, false), young);
    CU_ASSERT_PTR_NULL(dp_pool_take(&up, endpoint, false));
    dp_upconn_release(young, true);
}

#define T(fn)                                                                                      \
    { #fn, fn }
static CU_TestInfo tests[] = {
    T(nobody_listens),
    T(nobody_answers_in_time),
    T(too_many_are_refused_at_once),
    T(a_connection_is_made),
    T(a_wish_before_its_turn_is_cancelled),
    T(a_wish_under_way_is_cancelled),
    T(an_idle_connection_is_used_again),
    T(the_last_used_goes_first),
    T(connections_are_of_one_endpoint),
    T(one_that_the_peer_closed_is_dropped),
    T(one_that_talks_unasked_is_dropped),
    T(a_careful_taker_gets_a_living_one),
    T(what_cannot_be_used_again_is_closed),
    T(too_many_idle_ones_are_closed),
    T(one_whose_endpoint_left_is_not_kept),
    T(idle_ones_leave_with_their_endpoint),
    T(one_that_was_idle_for_long_is_closed),
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_upstream_pool = {"pool", NULL, NULL, set_up, tear_down, tests};
