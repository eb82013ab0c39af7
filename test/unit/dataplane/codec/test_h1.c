// SPDX-License-Identifier: Apache-2.0
// Decoding requests: what heads and events say. Refusals are in test_h1_refuse.c.
#include "test/unit/dataplane/codec/h1_transcript.h"

#include <CUnit/CUnit.h>
#include <stdio.h>

extern CU_SuiteInfo suite_dataplane_codec_h1;

// --- helpers -----------------------------------------------------------------------------------

// The head of the first request of text, or NULL with a failed assertion.
struct parsed {
    struct gw_arena arena;
    struct dp_h1_decoder d;
    struct dp_ev ev;
    size_t used;
    struct gw_err err;
};
static struct dp_head *parse(struct parsed *p, struct gw_str text) {
    memset(p, 0, sizeof(*p));
    gw_arena_init(&p->arena, NULL, 0, H1_ARENA_BYTES_MAX);
    dp_h1_decoder_init(&p->d, DP_H1_REQUESTS);
    dp_h1_decoder_start(&p->d, &p->arena, false);
    enum gw_rc rc = dp_h1_decode(&p->d, text, &p->used, &p->ev, &p->err);
    CU_ASSERT_EQUAL(rc, GW_OK);
    if (rc != GW_OK) printf("\n" GW_STR_FMT "\n%s\n", GW_STR_ARG(text), p->err.text);
    return rc == GW_OK ? p->ev.head : NULL;
}
static void done(struct parsed *p) {
    dp_h1_decoder_fini(&p->d);
    gw_arena_fini(&p->arena);
}
static bool is(struct gw_str s, const char *want) {
    return gw_str_eq(s, gw_str_of(want));
}

#define GET "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

// --- heads -------------------------------------------------------------------------------------

static void a_plain_head(void) {
    struct parsed p;
    struct dp_head *h = parse(&p, GW_STR("GET /a/b?c=d&e HTTP/1.1\r\nHost: A.example.com:8080\r\n"
                                         "X-One:  a b \t\r\nAccept:*/*\r\nX-Empty:\r\n\r\nrest"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(h);
    CU_ASSERT_EQUAL(p.ev.type, DP_EV_HEAD);
    CU_ASSERT_EQUAL(h->method, DP_METHOD_GET);
    CU_ASSERT(is(h->method_text, "GET"));
    CU_ASSERT(is(h->target, "/a/b?c=d&e"));
    CU_ASSERT(is(h->path, "/a/b"));
    CU_ASSERT(is(h->query, "c=d&e"));
    CU_ASSERT(is(h->authority, "A.example.com:8080"));
    CU_ASSERT(is(h->host, "a.example.com"));
    CU_ASSERT_EQUAL(h->minor_version, 1);
    CU_ASSERT_EQUAL(h->content_length, -1);
    CU_ASSERT(h->keep_alive && !h->chunked && !h->until_close && !h->upgrade);
    CU_ASSERT_EQUAL_FATAL(h->fields.len, 3);
    CU_ASSERT(is(h->fields.ptr[0].name, "X-One") && is(h->fields.ptr[0].value, "a b"));
    CU_ASSERT(is(h->fields.ptr[1].name, "Accept") && is(h->fields.ptr[1].value, "*/*"));
    CU_ASSERT(is(h->fields.ptr[2].name, "X-Empty") && h->fields.ptr[2].value.len == 0);
    CU_ASSERT(h->fields.cap >= h->fields.len + 4);
    done(&p);
}

static void targets(void) {
    static const struct {
        const char *line, *target, *path, *query, *host;
    } cases[] = {
        {"GET /", "/", "/", NULL, "a"},
        {"GET /?", "/?", "/", "", "a"},
        {"GET /a?b?c", "/a?b?c", "/a", "b?c", "a"},
        {"GET /%2e%2e%2E/;x=y", "/%2e%2e%2E/;x=y", "/%2e%2e%2E/;x=y", NULL, "a"},
        {"GET /.", "/.", "/.", NULL, "a"},
        {"GET /./a/...", "/./a/...", "/./a/...", NULL, "a"},
        {"GET /a../..b/.%2eb/c;..", "/a../..b/.%2eb/c;..", "/a../..b/.%2eb/c;..", NULL, "a"},
        {"GET /.well-known/x%2Fy%", "/.well-known/x%2Fy%", "/.well-known/x%2Fy%", NULL, "a"},
        {"GET /%252e%252e/%2", "/%252e%252e/%2", "/%252e%252e/%2", NULL, "a"},
        {"GET /a?/../b", "/a?/../b", "/a", "/../b", "a"},
        {"GET //b//c", "//b//c", "//b//c", NULL, "a"},
        {"GET /?{\"a\":1}|^`<>\\", "/?{\"a\":1}|^`<>\\", "/", "{\"a\":1}|^`<>\\", "a"},
        {"OPTIONS *", "*", "*", NULL, "a"},
        {"GET http://A/x?y", "/x?y", "/x", "y", "a"},
        {"GET HTTP://a:80", "/", "/", NULL, "a"},
        {"GET http://a?q", "/?q", "/", "q", "a"},
        {"OPTIONS http://a", "*", "*", NULL, "a"},
        {"CONNECT b:443", "b:443", "", NULL, "b"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        char text[256];
        struct parsed p;
        snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: a\r\n\r\n", cases[i].line);
        struct dp_head *h = parse(&p, gw_str_of(text));
        CU_ASSERT_PTR_NOT_NULL_FATAL(h);
        CU_ASSERT(is(h->target, cases[i].target));
        CU_ASSERT(is(h->path, cases[i].path));
        CU_ASSERT(is(h->host, cases[i].host));
        CU_ASSERT((h->query.ptr != NULL) == (cases[i].query != NULL));
        CU_ASSERT(!cases[i].query || is(h->query, cases[i].query));
        done(&p);
    }
}

static void methods(void) {
    static const struct {
        const char *text;
        enum dp_method method;
    } cases[] = {
        {"get", DP_METHOD_OTHER},
        {"GETS", DP_METHOD_OTHER},
        {"!#$%&'*+-.^_`|~", DP_METHOD_OTHER},
        {"HEAD", DP_METHOD_HEAD},
        {"POST", DP_METHOD_POST},
        {"PUT", DP_METHOD_PUT},
        {"DELETE", DP_METHOD_DELETE},
        {"PATCH", DP_METHOD_PATCH},
        {"OPTIONS", DP_METHOD_OPTIONS},
        {"TRACE", DP_METHOD_TRACE},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        char text[256];
        struct parsed p;
        snprintf(text, sizeof(text), "%s / HTTP/1.1\r\nHost: a\r\n\r\n", cases[i].text);
        struct dp_head *h = parse(&p, gw_str_of(text));
        CU_ASSERT_PTR_NOT_NULL_FATAL(h);
        CU_ASSERT_EQUAL(h->method, cases[i].method);
        CU_ASSERT(is(h->method_text, cases[i].text));
        done(&p);
    }
}

static void http_06_ipv6_host_in_requests(void) {
    struct parsed p;
    struct dp_head *h =
        parse(&p, GW_STR("GET /a?b=1 HTTP/1.1\r\nHost: [2001:DB8::5]:9080\r\n\r\n"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(h);
    CU_ASSERT(is(h->authority, "[2001:DB8::5]:9080"));
    CU_ASSERT(is(h->host, "2001:db8::5"));
    done(&p);
    h = parse(&p, GW_STR("GET http://[::1]:80/ HTTP/1.1\r\nHost: [::1]\r\n\r\n"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(h);
    CU_ASSERT(is(h->host, "::1"));
    done(&p);
}

static void http10_needs_no_host(void) {
    struct parsed p;
    struct dp_head *h = parse(&p, GW_STR("GET / HTTP/1.0\r\n\r\n"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(h);
    CU_ASSERT_EQUAL(h->minor_version, 0);
    CU_ASSERT_EQUAL(h->host.len, 0);
    CU_ASSERT_FALSE(h->keep_alive);
    done(&p);
}

static void connections_that_persist(void) {
    static const struct {
        const char *text;
        bool keep_alive;
    } cases[] = {
        {GET "\r\n", true},
        {GET "Connection: keep-alive\r\n\r\n", true},
        {GET "Connection: close\r\n\r\n", false},
        {GET "Connection: CLOSE\r\n\r\n", false},
        {GET "Connection: x, close ,y\r\n\r\n", false},
        {GET "Connection: keep-alive\r\nConnection: close\r\n\r\n", false},
        {GET "Connection: close\r\nConnection: keep-alive\r\n\r\n", false},
        {GET "Connection: ,,\r\n\r\n", true},
        {GET "Proxy-Connection: close\r\n\r\n", true},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true},
        {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nKeep-Alive: 5\r\n\r\n", false},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct parsed p;
        struct dp_head *h = parse(&p, gw_str_of(cases[i].text));
        CU_ASSERT_PTR_NOT_NULL_FATAL(h);
        CU_ASSERT_EQUAL(h->keep_alive, cases[i].keep_alive);
        done(&p);
    }
}

// Names of what is left of the fields, in order.
static void check_fields(const char *fields, const char *want) {
    struct parsed p;
    struct gw_text text = {0}, got = {0};
    gw_text_addf(&text, GET "%s\r\n", fields);
    struct dp_head *h = parse(&p, gw_text_str(&text));
    CU_ASSERT_PTR_NOT_NULL_FATAL(h);
    gw_text_adds(&got, "");
    for (unsigned i = 0; i < h->fields.len; i++)
        gw_text_addf(&got, GW_STR_FMT "=" GW_STR_FMT " ", GW_STR_ARG(h->fields.ptr[i].name),
                     GW_STR_ARG(h->fields.ptr[i].value));
    CU_ASSERT_STRING_EQUAL(got.ptr, want);
    gw_text_fini(&text);
    gw_text_fini(&got);
    done(&p);
}

static void hop_by_hop_fields_go(void) {
    check_fields("TE: trailers\r\nKeep-Alive: 1\r\nProxy-Connection: x\r\nUpgrade: y\r\n"
                 "HTTP2-Settings: z\r\nProxy-Authorization: p\r\nX: 1\r\n",
                 "X=1 ");
    check_fields("Connection: x-a, X-B\r\nX-A: 1\r\nx-b: 2\r\nX-C: 3\r\nx-A: 4\r\n", "X-C=3 ");
    check_fields("X-A: 1\r\nConnection: x-a\r\n", "");
    check_fields("Connection: x-a\r\nConnection: x-b\r\nX-A: 1\r\nX-B: 2\r\n", "");
}

static void connection_cannot_strip_what_everybody_needs(void) {
    check_fields("Connection: host, authorization, x-forwarded-for, content-type\r\n"
                 "Authorization: a\r\nX-Forwarded-For: b\r\nContent-Type: c\r\n",
                 "Authorization=a X-Forwarded-For=b Content-Type=c ");
}

static void repeated_fields_keep_their_order(void) {
    check_fields("Cookie: a\r\nX: 1\r\ncookie: b\r\nX: 2\r\nTrailer: t\r\n",
                 "Cookie=a X=1 cookie=b X=2 Trailer=t ");
}

static void only_websocket_is_an_upgrade(void) {
#define ASKS "Connection: Upgrade\r\nUpgrade: websocket\r\n"
    static const struct {
        const char *text;
        bool upgrade;
    } cases[] = {
        {GET "Upgrade: websocket\r\n\r\n", false},
        {GET "Connection: upgrade\r\n\r\n", false},
        {"GET / HTTP/1.0\r\n" ASKS "\r\n", false},
        {GET "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: x\r\n\r\n",
         false},
        {GET "Connection: Upgrade\r\nUpgrade: websocket/13\r\n\r\n", false},
        {GET "Connection: Upgrade\r\nUpgrade: websockets\r\n\r\n", false},
        {GET "Connection: Upgrade\r\nUpgrade: \r\n\r\n", false},
        {POST ASKS "\r\n", false},
        {"HEAD / HTTP/1.1\r\nHost: a\r\n" ASKS "\r\n", false},
        {GET ASKS "Content-Length: 1\r\n\r\n", false},
        {GET ASKS "Transfer-Encoding: chunked\r\n\r\n", false},
        {GET ASKS "Content-Length: 0\r\n\r\n", true},
        {GET "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n", true},
        {GET "Connection: upgrade\r\nUpgrade: h2c,\twebsocket ,\r\n\r\n", true},
        {GET "Upgrade: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", true},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct parsed p;
        struct dp_head *h = parse(&p, gw_str_of(cases[i].text));
        CU_ASSERT_PTR_NOT_NULL_FATAL(h);
        if (h->upgrade != cases[i].upgrade) printf("\n%s", cases[i].text);
        CU_ASSERT_EQUAL(h->upgrade, cases[i].upgrade);
        CU_ASSERT_EQUAL(h->fields.len, 0);
        done(&p);
    }
}

// What was on its way when the answer was a 101 is not a request.
static void a_tunnel_gives_bytes(void) {
    struct gw_arena arena;
    struct dp_h1_decoder d;
    struct dp_ev ev;
    struct gw_err err = {0};
    size_t used;
    gw_arena_init(&arena, NULL, 0, H1_ARENA_BYTES_MAX);
    dp_h1_decoder_init(&d, DP_H1_REQUESTS);
    dp_h1_decoder_start(&d, &arena, false);
    CU_ASSERT_EQUAL(dp_h1_decode(&d, GW_STR(GET ASKS "\r\n"), &used, &ev, &err), GW_OK);
    CU_ASSERT_EQUAL(dp_h1_decode(&d, GW_STR(""), &used, &ev, &err), GW_OK);
    CU_ASSERT_EQUAL(ev.type, DP_EV_END);
    dp_h1_decoder_tunnel(&d);
    CU_ASSERT_EQUAL(dp_h1_decode(&d, GW_STR(""), &used, &ev, &err), GW_AGAIN);
    CU_ASSERT_EQUAL(dp_h1_decode(&d, GW_STR("GET /\n\x81"), &used, &ev, &err), GW_OK);
    CU_ASSERT_EQUAL(ev.type, DP_EV_DATA);
    CU_ASSERT_EQUAL(ev.data.len, 7);
    CU_ASSERT_EQUAL(used, 7);
    CU_ASSERT_EQUAL(dp_h1_decode_eof(&d, &ev, &err), GW_OK);
    CU_ASSERT_EQUAL(ev.type, DP_EV_END);
    dp_h1_decoder_fini(&d);
    gw_arena_fini(&arena);
}

static void http_09_expect_is_noted_and_taken_out(void) {
    static const struct {
        const char *text;
        bool expect;
    } cases[] = {
        {POST "Expect: 100-continue\r\n\r\n", false},
        {POST "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n", false},
        {"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", false},
        {POST "Expect: 100-Continue\r\nContent-Length: 999999999\r\n\r\n", true},
        {POST "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n", true},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct parsed p;
        struct dp_head *h = parse(&p, gw_str_of(cases[i].text));
        CU_ASSERT_PTR_NOT_NULL_FATAL(h);
        CU_ASSERT_EQUAL(h->expect_continue, cases[i].expect);
        CU_ASSERT_EQUAL(h->fields.len, 0);
        done(&p);
    }
}

static void heads_do_not_borrow_from_the_input(void) {
    char text[] = "GET /path?q HTTP/1.1\r\nHost: a\r\nX-Name: value\r\n\r\n";
    struct parsed p;
    struct dp_head *h = parse(&p, gw_str_of(text));
    CU_ASSERT_PTR_NOT_NULL_FATAL(h);
    memset(text, '#', sizeof(text));
    CU_ASSERT(is(h->target, "/path?q") && is(h->host, "a") && is(h->method_text, "GET"));
    CU_ASSERT(is(h->fields.ptr[0].name, "X-Name") && is(h->fields.ptr[0].value, "value"));
    done(&p);
}

// --- events ------------------------------------------------------------------------------------

// Types of events in order: H, D (joined), T, E; then the data.
static void check_events(const char *input, const char *want) {
    struct gw_text got = {0}, shape = {0};
    struct h1_stream s = {.role = DP_H1_REQUESTS, .bytes = gw_str_of(input)};
    h1_transcript(&s, H1_WHOLE, &got);
    for (char *line = strtok(got.ptr, "\n"); line; line = strtok(NULL, "\n")) {
        if (strncmp(line, "head ", 5) == 0) gw_text_adds(&shape, "H ");
        if (strncmp(line, "data ", 5) == 0) gw_text_addf(&shape, "D:%s ", line + 5);
        if (strncmp(line, "trailers", 8) == 0) gw_text_adds(&shape, "T ");
        if (strncmp(line, "end ", 4) == 0) gw_text_adds(&shape, "E ");
        if (strncmp(line, "eof", 3) == 0) gw_text_adds(&shape, "eof");
        if (strncmp(line, "error", 5) == 0) gw_text_adds(&shape, line);
    }
    CU_ASSERT_STRING_EQUAL(shape.ptr, want);
    gw_text_fini(&got);
    gw_text_fini(&shape);
}

static void bodies(void) {
    check_events(GET "\r\n", "H E eof");
    check_events(POST "Content-Length: 0\r\n\r\n", "H E eof");
    check_events(POST "Content-Length: 5\r\n\r\nhello", "H D:hello E eof");
    check_events(CHUNKED "0\r\n\r\n", "H E eof");
    check_events(CHUNKED "5\r\nhello\r\n1;a=\"b\"\r\n!\r\n00\r\n\r\n", "H D:hello! E eof");
    check_events(CHUNKED "1\r\na\r\n0\r\nX: 1\r\n\r\n", "H D:a T E eof");
    check_events("GET / HTTP/1.0\r\n\r\nwhatever", "H E ");
}

static void pipelined_requests_keep_their_order(void) {
    check_events(POST "Content-Length: 2\r\n\r\nab" CHUNKED "1\r\nc\r\n0\r\n\r\n" GET "\r\n",
                 "H D:ab E H D:c E H E eof");
    check_events("\r\n" GET "\r\n\r\n\r\n" GET "\r\n\r\n", "H E H E eof");
}

static void nothing_is_read_after_a_close(void) {
    check_events(GET "Connection: close\r\n\r\n\x01garbage", "H E ");
}

static void trailers_that_mean_something_go(void) {
    check_events(CHUNKED "0\r\nContent-Length: 5\r\nHost: b\r\nAuthorization: x\r\n"
                         "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
                 "H E eof");
}

static void idle_is_between_messages_alone(void) {
    struct gw_arena arena = {0};
    struct dp_h1_decoder d;
    struct dp_ev ev;
    struct gw_err err;
    size_t used;
    dp_h1_decoder_init(&d, DP_H1_REQUESTS);
    CU_ASSERT(dp_h1_decoder_idle(&d));
    dp_h1_decoder_start(&d, &arena, false);
    CU_ASSERT(dp_h1_decoder_idle(&d));
    CU_ASSERT_EQUAL(dp_h1_decode(&d, GW_STR("\r\n"), &used, &ev, &err), GW_AGAIN);
    CU_ASSERT(dp_h1_decoder_idle(&d));
    CU_ASSERT_EQUAL(dp_h1_decode(&d, GW_STR("G"), &used, &ev, &err), GW_AGAIN);
    CU_ASSERT_FALSE(dp_h1_decoder_idle(&d));
    CU_ASSERT_EQUAL(dp_h1_decode(&d, GW_STR("ET / HTTP/1.0\r\n\r\n"), &used, &ev, &err), GW_OK);
    CU_ASSERT_FALSE(dp_h1_decoder_idle(&d));
    CU_ASSERT_EQUAL(dp_h1_decode(&d, GW_STR(""), &used, &ev, &err), GW_OK);
    CU_ASSERT_EQUAL(ev.type, DP_EV_END);
    CU_ASSERT(dp_h1_decoder_idle(&d));
    CU_ASSERT_EQUAL(dp_h1_decode_eof(&d, &ev, &err), GW_EOF);
    CU_ASSERT_EQUAL(dp_h1_decode(&d, GW_STR("x"), &used, &ev, &err), GW_ERR_INTERNAL);
    dp_h1_decoder_fini(&d);
    gw_arena_fini(&arena);
}

static CU_TestInfo tests[] = {
    {"a plain head", a_plain_head},
    {"targets", targets},
    {"methods", methods},
    {"http-06: IPv6 host in requests", http_06_ipv6_host_in_requests},
    {"http-09: Expect is noted and taken out", http_09_expect_is_noted_and_taken_out},
    {"HTTP/1.0 needs no Host", http10_needs_no_host},
    {"connections that persist", connections_that_persist},
    {"hop-by-hop fields go", hop_by_hop_fields_go},
    {"Connection cannot strip what everybody needs", connection_cannot_strip_what_everybody_needs},
    {"repeated fields keep their order", repeated_fields_keep_their_order},
    {"only WebSocket is an upgrade", only_websocket_is_an_upgrade},
    {"a tunnel gives bytes", a_tunnel_gives_bytes},
    {"heads do not borrow from the input", heads_do_not_borrow_from_the_input},
    {"bodies", bodies},
    {"pipelined requests keep their order", pipelined_requests_keep_their_order},
    {"nothing is read after a close", nothing_is_read_after_a_close},
    {"trailers that mean something go", trailers_that_mean_something_go},
    {"idle is between messages alone", idle_is_between_messages_alone},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_codec_h1 = {"h1", NULL, NULL, NULL, NULL, tests};
