// SPDX-License-Identifier: Apache-2.0
// Names are asked of a small server on 127.0.0.1 that runs on the same loop.
#include "dataplane/upstream/dns.h"
#include "shared/str.h"

#include <CUnit/CUnit.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WAIT_MS 8000
#define TYPE_A 1
#define NO_NAME 3 // rcode

// What the server does, and what it saw.
static struct {
    struct gw_io io;
    uint16_t port;
    bool is_silent;
    int rcode;
    unsigned addrs;
    uint32_t ttl_s;
    unsigned asked_a; // questions for addresses of IPv4
} server;
static struct gw_loop *loop;
static struct dp_dns *dns;

static size_t skip_name(const unsigned char *p, size_t at) {
    while (p[at])
        at += p[at] + 1u;
    return at + 1;
}

static size_t put_answer(unsigned char *p, size_t at, unsigned i) {
    const unsigned char record[] = {0xc0, 12, 0, TYPE_A, 0, 1};
    uint32_t ttl = htonl(server.ttl_s);
    memcpy(p + at, record, sizeof(record));
    memcpy(p + at + 6, &ttl, 4);
    const unsigned char data[] = {0, 4, 10, 0, 0, (unsigned char)(i + 1)};
    memcpy(p + at + 10, data, sizeof(data));
    return at + 16;
}

static void on_question(struct gw_io *io, uint32_t events) {
    unsigned char p[2048];
    struct sockaddr_in from;
    socklen_t len = sizeof(from);
    ssize_t n = recvfrom(io->fd, p, sizeof(p) / 2, 0, (struct sockaddr *)&from, &len);
    (void)events;
    if (n < 17) return;
    size_t at = skip_name(p, 12);
    bool is_a = p[at + 1] == TYPE_A;
    if (is_a) server.asked_a++;
    if (server.is_silent) return;
    at += 4;
    p[2] = 0x81; // an answer
    p[3] = (unsigned char)(0x80 | server.rcode);
    memset(p + 6, 0, 6);
    unsigned answers = is_a && server.rcode == 0 ? server.addrs : 0;
    p[7] = (unsigned char)answers;
    for (unsigned i = 0; i < answers; i++)
        at = put_answer(p, at, i);
    CU_ASSERT_EQUAL(sendto(io->fd, p, at, 0, (struct sockaddr *)&from, len), (ssize_t)at);
}

static void set_up(void) {
    struct gw_err err;
    char servers[32];
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    memset(&server, 0, sizeof(server));
    server.addrs = 1;
    server.ttl_s = 60;
    loop = gw_loop_new(&err);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    getsockname(fd, (struct sockaddr *)&at, &len);
    CU_ASSERT_EQUAL_FATAL(gw_io_add(loop, &server.io, fd, EPOLLIN, on_question, &err), GW_OK);
    dns = dp_dns_new(loop, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(dns);
    snprintf(servers, sizeof(servers), "127.0.0.1:%u", ntohs(at.sin_port));
    CU_ASSERT_EQUAL(dp_dns_set_servers(dns, servers, &err), GW_OK);
}

static void tear_down(void) {
    int fd = server.io.fd;
    dp_dns_free(dns);
    gw_io_del(loop, &server.io);
    close(fd);
    gw_loop_free(loop);
}

struct answer {
    unsigned calls, n;
    enum gw_rc rc;
    struct dp_dns_addr first;
    char text[512];
};

static void take(void *arg, enum gw_rc rc, const struct dp_dns_addr *addrs, unsigned n,
                 const struct gw_err *err) {
    struct answer *a = arg;
    a->calls++;
    a->rc = rc;
    a->n = n;
    if (n) a->first = addrs[0];
    if (err) snprintf(a->text, sizeof(a->text), "%s", err->text);
}

static void wait_for(const struct answer *a, unsigned calls) {
    int64_t until_us = gw_clock_us() + WAIT_MS * 1000;
    while (a->calls < calls && gw_clock_us() < until_us)
        gw_loop_turn(loop, 20);
    CU_ASSERT_EQUAL(a->calls, calls);
}

static uint32_t ipv4(const struct answer *a) {
    const struct sockaddr_in *in = (const struct sockaddr_in *)&a->first.addr;
    return in->sin_family == AF_INET ? ntohl(in->sin_addr.s_addr) : 0;
}

// --- failures -----------------------------------------------------------------------------------

static void an_unknown_name_says_so(void) {
    struct answer a = {0}, b = {0};
    server.rcode = NO_NAME;
    if (dp_dns_resolve(dns, "no.such.name.test", take, &a)) wait_for(&a, 1);
    CU_ASSERT_EQUAL(a.rc, GW_ERR_UPSTREAM);
    CU_ASSERT_STRING_EQUAL(a.text, "the upstream's name has no address");
    // Remembered for a second.
    unsigned asked = server.asked_a;
    CU_ASSERT_PTR_NULL(dp_dns_resolve(dns, "no.such.name.test", take, &b));
    CU_ASSERT_EQUAL(b.rc, GW_ERR_UPSTREAM);
    CU_ASSERT_EQUAL(server.asked_a, asked);
    dp_dns_skip_ms(dns, 1001);
    server.rcode = 0;
    if (dp_dns_resolve(dns, "no.such.name.test", take, &b)) wait_for(&b, 2);
    CU_ASSERT_EQUAL(b.rc, GW_OK);
}

static void a_name_without_addresses_is_an_error(void) {
    struct answer a = {0};
    server.addrs = 0;
    if (dp_dns_resolve(dns, "empty.test", take, &a)) wait_for(&a, 1);
    CU_ASSERT_EQUAL(a.rc, GW_ERR_UPSTREAM);
    CU_ASSERT_STRING_EQUAL(a.text, "the upstream's name has no address");
}

static void hostile_names_are_errors(void) {
    char longest[600];
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = 0;
    const char *const names[] = {"", "a..test", "-", longest};
    server.rcode = NO_NAME;
    for (size_t i = 0; i < GW_ARRAY_LEN(names); i++) {
        struct answer a = {0};
        if (dp_dns_resolve(dns, names[i], take, &a)) wait_for(&a, 1);
        CU_ASSERT_EQUAL(a.calls, 1);
        CU_ASSERT_EQUAL(a.rc, GW_ERR_UPSTREAM);
    }
}

static void a_silent_server_costs_five_seconds_at_most(void) {
    struct answer a = {0};
    server.is_silent = true;
    int64_t start_us = gw_clock_us();
    CU_ASSERT_PTR_NOT_NULL(dp_dns_resolve(dns, "silent.test", take, &a));
    wait_for(&a, 1);
    int64_t took_ms = (gw_clock_us() - start_us) / 1000;
    CU_ASSERT_EQUAL(a.rc, GW_ERR_UPSTREAM);
    CU_ASSERT(took_ms >= 1000);
    CU_ASSERT(took_ms < DP_DNS_TIMEOUT_MS + 1000);
}

static void wrong_servers_are_refused(void) {
    struct gw_err err;
    CU_ASSERT_EQUAL(dp_dns_set_servers(dns, "not an address", &err), GW_ERR_INPUT);
}

// --- answers ------------------------------------------------------------------------------------

static void localhost_needs_no_server(void) {
    struct answer a = {0};
    if (dp_dns_resolve(dns, "localhost", take, &a)) wait_for(&a, 1);
    CU_ASSERT_EQUAL(a.rc, GW_OK);
    CU_ASSERT(a.n >= 1);
    CU_ASSERT(a.first.addr.ss_family == AF_INET6 || ipv4(&a) == INADDR_LOOPBACK);
    CU_ASSERT(a.first.len > 0);
    CU_ASSERT_EQUAL(server.asked_a, 0);
}

static void answers_are_kept_for_their_time(void) {
    static const struct {
        uint32_t ttl_s;
        int64_t fresh_ms, old_ms;
    } table[] = {{60, 59000, 61000}, {1, 4000, 5500}, {86400, 299000, 301000}};
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct answer a = {0};
        char name[32];
        snprintf(name, sizeof(name), "kept%zu.test", i);
        server.ttl_s = table[i].ttl_s;
        server.asked_a = 0;
        CU_ASSERT_PTR_NOT_NULL(dp_dns_resolve(dns, name, take, &a));
        wait_for(&a, 1);
        CU_ASSERT_EQUAL(a.rc, GW_OK);
        CU_ASSERT_EQUAL(ipv4(&a), 0x0a000001);
        dp_dns_skip_ms(dns, table[i].fresh_ms);
        CU_ASSERT_PTR_NULL(dp_dns_resolve(dns, name, take, &a));
        CU_ASSERT_EQUAL(a.calls, 2);
        CU_ASSERT_EQUAL(server.asked_a, 1);
        dp_dns_skip_ms(dns, table[i].old_ms - table[i].fresh_ms);
        CU_ASSERT_PTR_NOT_NULL(dp_dns_resolve(dns, name, take, &a));
        wait_for(&a, 3);
        CU_ASSERT_EQUAL(server.asked_a, 2);
    }
}

static void an_old_answer_serves_while_refreshing_fails(void) {
    struct answer a = {0};
    if (dp_dns_resolve(dns, "stale.test", take, &a)) wait_for(&a, 1);
    server.rcode = NO_NAME;
    dp_dns_skip_ms(dns, 61000);
    if (dp_dns_resolve(dns, "stale.test", take, &a)) wait_for(&a, 2);
    CU_ASSERT_EQUAL(a.rc, GW_OK);
    CU_ASSERT_EQUAL(ipv4(&a), 0x0a000001);
    dp_dns_skip_ms(dns, DP_DNS_STALE_MS);
    if (dp_dns_resolve(dns, "stale.test", take, &a)) wait_for(&a, 3);
    CU_ASSERT_EQUAL(a.rc, GW_ERR_UPSTREAM);
}

static void many_addresses_are_capped(void) {
    struct answer a = {0};
    server.addrs = 20;
    if (dp_dns_resolve(dns, "many.test", take, &a)) wait_for(&a, 1);
    CU_ASSERT_EQUAL(a.rc, GW_OK);
    CU_ASSERT_EQUAL(a.n, DP_DNS_ADDRS_MAX);
}

static void one_question_for_all_who_wait(void) {
    struct answer a[10] = {0};
    for (size_t i = 0; i < GW_ARRAY_LEN(a); i++)
        CU_ASSERT_PTR_NOT_NULL(dp_dns_resolve(dns, "shared.test", take, &a[i]));
    for (size_t i = 0; i < GW_ARRAY_LEN(a); i++) {
        wait_for(&a[i], 1);
        CU_ASSERT_EQUAL(a[i].rc, GW_OK);
    }
    for (int i = 0; i < 10; i++) // what else was asked reaches the server
        gw_loop_turn(loop, 5);
    CU_ASSERT_EQUAL(server.asked_a, 1);
}

// --- leaving ------------------------------------------------------------------------------------

static void who_cancels_is_not_called(void) {
    struct answer a = {0}, b = {0};
    struct dp_dns_query *q = dp_dns_resolve(dns, "cancel.test", take, &a);
    CU_ASSERT_PTR_NOT_NULL_FATAL(q);
    CU_ASSERT_PTR_NOT_NULL(dp_dns_resolve(dns, "cancel.test", take, &b));
    dp_dns_cancel(q);
    wait_for(&b, 1);
    CU_ASSERT_EQUAL(a.calls, 0);
    dp_dns_cancel(NULL);
}

struct chain {
    struct answer answer;
    struct dp_dns_query *other;
};

static void ask_more(void *arg, enum gw_rc rc, const struct dp_dns_addr *addrs, unsigned n,
                     const struct gw_err *err) {
    struct chain *c = arg;
    (void)rc, (void)addrs, (void)n, (void)err;
    dp_dns_cancel(c->other);
    dp_dns_resolve(dns, "second.test", take, &c->answer);
    dp_dns_resolve(dns, "first.test", take, &c->answer); // known by now
}

static void a_callback_may_ask_and_cancel(void) {
    struct chain c = {0};
    struct answer other = {0};
    c.other = dp_dns_resolve(dns, "first.test", take, &other);
    CU_ASSERT_PTR_NOT_NULL(dp_dns_resolve(dns, "first.test", ask_more, &c));
    wait_for(&c.answer, 2);
    CU_ASSERT_EQUAL(c.answer.rc, GW_OK);
    CU_ASSERT_EQUAL(other.calls, 0);
}

static void the_end_cancels_all(void) {
    struct answer a = {0}, b = {0};
    server.is_silent = true;
    CU_ASSERT_PTR_NOT_NULL(dp_dns_resolve(dns, "end.test", take, &a));
    CU_ASSERT_PTR_NOT_NULL(dp_dns_resolve(dns, "end2.test", take, &b));
    gw_loop_turn(loop, 20);
    dp_dns_free(dns);
    dns = NULL;
    CU_ASSERT_EQUAL(a.calls, 1);
    CU_ASSERT_EQUAL(a.rc, GW_CANCELLED);
    CU_ASSERT_EQUAL(b.rc, GW_CANCELLED);
}

static void the_cache_is_bounded(void) {
    char name[32];
    struct answer a = {0};
    // Failures that need no server are the fastest to make: a label may not be empty.
    for (unsigned i = 0; i < DP_DNS_NAMES_MAX + 100; i++) {
        snprintf(name, sizeof(name), "a..%u", i);
        if (dp_dns_resolve(dns, name, take, &a)) wait_for(&a, i + 1);
    }
    CU_ASSERT_EQUAL(a.calls, DP_DNS_NAMES_MAX + 100);
    CU_ASSERT_EQUAL(a.rc, GW_ERR_UPSTREAM);
    // There is room for a new one still.
    struct answer b = {0};
    if (dp_dns_resolve(dns, "new.test", take, &b)) wait_for(&b, 1);
    CU_ASSERT_EQUAL(b.rc, GW_OK);
}

#define T(fn)                                                                                      \
    { #fn, fn }
static CU_TestInfo tests[] = {
    T(an_unknown_name_says_so),
    T(a_name_without_addresses_is_an_error),
    T(hostile_names_are_errors),
    T(a_silent_server_costs_five_seconds_at_most),
    T(wrong_servers_are_refused),
    T(localhost_needs_no_server),
    T(answers_are_kept_for_their_time),
    T(an_old_answer_serves_while_refreshing_fails),
    T(many_addresses_are_capped),
    T(one_question_for_all_who_wait),
    T(who_cancels_is_not_called),
    T(a_callback_may_ask_and_cancel),
    T(the_end_cancels_all),
    T(the_cache_is_bounded),
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_upstream_dns = {"dns", NULL, NULL, set_up, tear_down, tests};
