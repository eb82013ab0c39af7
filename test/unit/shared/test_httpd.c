// SPDX-License-Identifier: Apache-2.0
// The server is asked over real sockets on 127.0.0.1, with requests written out as bytes.
#include "shared/httpd.h"

#include <CUnit/CUnit.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BIG_BYTES 3000000
#define WAIT_S 10

static void serve_echo(void *arg, const struct gw_httpd_request *rq, struct gw_httpd_answer *ret) {
    (*(int *)arg)++;
    ret->status = 200;
    ret->content_type = "text/plain";
    gw_text_addf(&ret->body, "path=" GW_STR_FMT " query=" GW_STR_FMT "\n", GW_STR_ARG(rq->path),
                 GW_STR_ARG(rq->query));
}

static void serve_big(void *arg, const struct gw_httpd_request *rq, struct gw_httpd_answer *ret) {
    (void)arg;
    (void)rq;
    ret->status = 200;
    ret->content_type = "application/octet-stream";
    for (int i = 0; i < BIG_BYTES / 10; i++)
        gw_text_adds(&ret->body, "0123456789");
}

static void serve_busy(void *arg, const struct gw_httpd_request *rq, struct gw_httpd_answer *ret) {
    (void)arg;
    (void)rq;
    ret->status = 503;
    ret->content_type = "application/json";
    gw_text_adds(&ret->body, "{}");
}

static const struct gw_httpd_route routes[] = {
    {"/echo", serve_echo, "says what it was asked"},
    {"/below/*", serve_echo, "the same for a folder"},
    {"/big", serve_big, "three million bytes"},
    {"/busy", serve_busy, "is never ready"},
    {NULL, NULL, NULL},
};

static struct gw_httpd *server;
static int calls;

static int start_server(void) {
    struct gw_err err;
    calls = 0;
    server = gw_httpd_start("127.0.0.1", 0, routes, &calls, &err);
    return server ? 0 : -1;
}

static int stop_server(void) {
    gw_httpd_stop(server);
    return 0;
}

static int dial(uint16_t port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval wait = {.tv_sec = WAIT_S};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0) return fd;
    close(fd);
    return -1;
}

// Everything that comes back until the server closes; the text is the caller's.
static struct gw_text ask(const char *request) {
    struct gw_text got = {0};
    char piece[8192];
    ssize_t n;
    int fd = dial(gw_httpd_port(server));
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(write(fd, request, strlen(request)), (ssize_t)strlen(request));
    while ((n = read(fd, piece, sizeof(piece))) > 0)
        gw_text_add(&got, piece, (size_t)n);
    close(fd);
    gw_text_add(&got, "", 0);
    return got;
}

static struct gw_text get(const char *target) {
    char request[1024];
    snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
             target);
    return ask(request);
}

static const char *body_of(const struct gw_text *answer) {
    const char *end = strstr(answer->ptr, "\r\n\r\n");
    return end ? end + 4 : "(no body)";
}

static void answers_are_exact(void) {
    static const struct {
        const char *target, *status, *body;
    } table[] = {
        {"/nope", "HTTP/1.1 404 ", "{\"error\":\"there is no /nope\"}\n"},
        {"/echo/", "HTTP/1.1 404 ", "{\"error\":\"there is no /echo/\"}\n"},
        {"/nope%22x", "HTTP/1.1 404 ", "{\"error\":\"there is no /nope\\\"x\"}\n"},
        {"/below", "HTTP/1.1 404 ", "{\"error\":\"there is no /below\"}\n"},
        {"/echo", "HTTP/1.1 200 ", "path=/echo query=\n"},
        {"/below/a%20b/c", "HTTP/1.1 200 ", "path=/below/a b/c query=\n"},
        {"/echo?kind=Gateway&name=a%26b", "HTTP/1.1 200 ",
         "path=/echo query=kind=Gateway&name=a%26b\n"},
        {"/echo?a=100%25&b", "HTTP/1.1 200 ", "path=/echo query=a=100%25&b\n"},
        {"/busy", "HTTP/1.1 503 ", "{}"},
        {"/", "HTTP/1.1 200 ",
         "/echo     says what it was asked\n/below/*  the same for a folder\n"
         "/big      three million bytes\n/busy     is never ready\n"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct gw_text a = get(table[i].target);
        if (strncmp(a.ptr, table[i].status, strlen(table[i].status)) != 0 ||
            strcmp(body_of(&a), table[i].body) != 0)
            printf("\n%s: %s\n", table[i].target, a.ptr);
        CU_ASSERT_NSTRING_EQUAL(a.ptr, table[i].status, strlen(table[i].status));
        CU_ASSERT_STRING_EQUAL(body_of(&a), table[i].body);
        gw_text_fini(&a);
    }
}

static void other_methods_are_refused(void) {
    static const char *const methods[] = {"POST", "PUT", "DELETE", "PATCH", "OPTIONS"};
    int before = calls;
    for (size_t i = 0; i < GW_ARRAY_LEN(methods); i++) {
        char request[256];
        snprintf(
            request, sizeof(request),
            "%s /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc",
            methods[i]);
        struct gw_text a = ask(request);
        CU_ASSERT_NSTRING_EQUAL(a.ptr, "HTTP/1.1 405 ", 13);
        CU_ASSERT_PTR_NOT_NULL(strstr(a.ptr, "allow: GET, HEAD\r\n"));
        CU_ASSERT_STRING_EQUAL(body_of(&a),
                               "{\"error\":\"only GET and HEAD are answered here\"}\n");
        gw_text_fini(&a);
    }
    CU_ASSERT_EQUAL(calls, before);
}

static void head_has_length_and_no_body(void) {
    struct gw_text a = ask("HEAD /big HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    CU_ASSERT_NSTRING_EQUAL(a.ptr, "HTTP/1.1 200 ", 13);
    CU_ASSERT_PTR_NOT_NULL(strstr(a.ptr, "content-length: 3000000\r\n"));
    CU_ASSERT_STRING_EQUAL(body_of(&a), "");
    gw_text_fini(&a);
}

static void large_bodies_come_whole(void) {
    struct gw_text a = get("/big");
    const char *body = body_of(&a);
    CU_ASSERT_EQUAL(strlen(body), BIG_BYTES);
    CU_ASSERT_STRING_EQUAL(body + BIG_BYTES - 10, "0123456789");
    gw_text_fini(&a);
}

static void a_connection_is_used_again(void) {
    struct gw_text a = ask("GET /echo?1 HTTP/1.1\r\nhost: x\r\n\r\n"
                           "GET /busy HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    const char *second = strstr(a.ptr + 1, "HTTP/1.1 503 ");
    CU_ASSERT_NSTRING_EQUAL(a.ptr, "HTTP/1.1 200 ", 13);
    CU_ASSERT_PTR_NOT_NULL(second);
    gw_text_fini(&a);
}

static void a_client_that_leaves_harms_nobody(void) {
    static const char request[] = "GET /big HTTP/1.1\r\nhost: x\r\n\r\n";
    for (int i = 0; i < 20; i++) {
        char some[100];
        int fd = dial(gw_httpd_port(server));
        CU_ASSERT_FATAL(fd >= 0);
        CU_ASSERT_EQUAL(write(fd, request, sizeof(request) - 1), (ssize_t)sizeof(request) - 1);
        CU_ASSERT(read(fd, some, sizeof(some)) > 0);
        close(fd);
    }
    struct gw_text a = get("/echo");
    CU_ASSERT_STRING_EQUAL(body_of(&a), "path=/echo query=\n");
    gw_text_fini(&a);
}

static int64_t cpu_us(void) {
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

// A question that cannot be accepted waits, and costs nothing meanwhile.
static void no_descriptors_are_no_spin(void) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(gw_httpd_port(server))};
    struct rlimit before, none;
    static const char request[] = "GET /echo HTTP/1.0\r\n\r\n";
    char piece[256] = "";
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CU_ASSERT_EQUAL(getrlimit(RLIMIT_NOFILE, &before), 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0); // the lowest that is free
    none = (struct rlimit){(rlim_t)fd + 1, before.rlim_max};
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &none), 0);
    CU_ASSERT_EQUAL(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    CU_ASSERT(write(fd, request, strlen(request)) > 0);
    int64_t began_us = cpu_us();
    usleep(500000);
    CU_ASSERT(cpu_us() - began_us < 100000);
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &before), 0);
    CU_ASSERT(read(fd, piece, sizeof(piece) - 1) > 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(piece, "200"));
    close(fd);
}

// Whoever holds connections open holds his own share.
static void one_address_keeps_no_other_out(void) {
    enum { N = 300 };
    static const char part[] = "GET /echo HTTP/1.1\r\nx: ";
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(gw_httpd_port(server))};
    struct sockaddr_in own = {.sin_family = AF_INET};
    int fd[N];
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1); // 127.0.0.2
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++) {
            fd[i] = socket(AF_INET, SOCK_STREAM, 0);
            CU_ASSERT_EQUAL(bind(fd[i], (struct sockaddr *)&own, sizeof(own)), 0);
            CU_ASSERT_EQUAL(connect(fd[i], (struct sockaddr *)&to, sizeof(to)), 0);
            (void)!send(fd[i], part, sizeof(part) - 1, MSG_NOSIGNAL);
        }
        struct gw_text a = get("/echo");
        CU_ASSERT_STRING_EQUAL(body_of(&a), "path=/echo query=\n");
        gw_text_fini(&a);
        for (int i = 0; i < N; i++)
            close(fd[i]);
    }
    // Its share is free again.
    static const char whole[] = "GET /echo HTTP/1.0\r\n\r\n";
    char piece[256] = "";
    for (int tries = 0; tries < 50 && !*piece; tries++) {
        usleep(50000);
        int again = socket(AF_INET, SOCK_STREAM, 0);
        CU_ASSERT_EQUAL(bind(again, (struct sockaddr *)&own, sizeof(own)), 0);
        CU_ASSERT_EQUAL(connect(again, (struct sockaddr *)&to, sizeof(to)), 0);
        (void)!send(again, whole, sizeof(whole) - 1, MSG_NOSIGNAL);
        if (read(again, piece, sizeof(piece) - 1) <= 0) *piece = 0;
        close(again);
    }
    CU_ASSERT_PTR_NOT_NULL(strstr(piece, "200"));
}

static void a_port_in_use_is_said_plainly(void) {
    struct gw_err err;
    char want[128];
    uint16_t port = gw_httpd_port(server);
    struct gw_httpd *second = gw_httpd_start("127.0.0.1", port, routes, &calls, &err);
    CU_ASSERT_PTR_NULL(second);
    snprintf(want, sizeof(want),
             "cannot listen on 127.0.0.1 port %u: the port is in use by another process", port);
    CU_ASSERT_STRING_EQUAL(err.text, want);
}

static void a_wrong_address_is_refused(void) {
    struct gw_err err;
    CU_ASSERT_PTR_NULL(gw_httpd_start("not an address", 0, routes, &calls, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "'not an address'"));
}

static void two_servers_stop_with_open_connections(void) {
    struct gw_err err;
    int other_calls = 0;
    struct gw_httpd *other = gw_httpd_start("127.0.0.1", 0, routes, &other_calls, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(other);
    uint16_t port = gw_httpd_port(other);
    CU_ASSERT_NOT_EQUAL(port, gw_httpd_port(server));
    int fd = dial(port);
    CU_ASSERT_FATAL(fd >= 0);
    gw_httpd_stop(other);
    char c;
    CU_ASSERT(read(fd, &c, 1) <= 0);
    close(fd);
    CU_ASSERT_EQUAL(dial(port), -1);
}

static CU_TestInfo tests[] = {
    {"answers_are_exact", answers_are_exact},
    {"other_methods_are_refused", other_methods_are_refused},
    {"head_has_length_and_no_body", head_has_length_and_no_body},
    {"large_bodies_come_whole", large_bodies_come_whole},
    {"a_connection_is_used_again", a_connection_is_used_again},
    {"a_client_that_leaves_harms_nobody", a_client_that_leaves_harms_nobody},
    {"no_descriptors_are_no_spin", no_descriptors_are_no_spin},
    {"one_address_keeps_no_other_out", one_address_keeps_no_other_out},
    {"a_port_in_use_is_said_plainly", a_port_in_use_is_said_plainly},
    {"a_wrong_address_is_refused", a_wrong_address_is_refused},
    {"two_servers_stop_with_open_connections", two_servers_stop_with_open_connections},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_shared_httpd = {"httpd", start_server, stop_server, NULL, NULL, tests};
