// SPDX-License-Identifier: Apache-2.0
// Field sections into heads: what is malformed, what is refused, and what comes out. Every rule of
// the HTTP/1.1 decoder has its line here.
#include "test/unit/dataplane/codec/h1_transcript.h"

#include "dataplane/codec/h2_head.h"

#include <CUnit/CUnit.h>
#include <stdio.h>

extern CU_SuiteInfo suite_dataplane_codec_h2_head;

// --- helpers -----------------------------------------------------------------------------------

struct section {
    enum dp_h2_section kind;
    const char *lines; // "name value"
    bool ends, answers_head;
};

static struct dp_h2_head builder;

static enum gw_rc build(const struct section *c, struct gw_arena *arena, struct dp_head **ret,
                        struct dp_fields **ret_trailers, int64_t *ret_length, struct gw_err *err) {
    struct gw_str rest = gw_str_of(c->lines);
    dp_h2_head_begin(&builder, c->kind, arena);
    while (rest.len) {
        struct gw_str value = gw_str_cut(&rest, '\n');
        struct gw_str name = gw_str_cut(&value, ' ');
        CU_ASSERT_TRUE_FATAL(dp_h2_head_field(&builder, name, value));
    }
    if (c->kind == DP_H2_REQUEST || c->kind == DP_H2_RESPONSE) {
        return dp_h2_head_end(&builder, c->ends, c->answers_head, ret, ret_length, err);
    }
    return dp_h2_head_end_trailers(&builder, ret_trailers, err);
}

struct refusal {
    struct section in;
    int code;
    const char *why;
};

static void refuse(const struct refusal *c) {
    struct gw_arena arena = {0};
    struct dp_head *head = NULL;
    struct dp_fields *trailers = NULL;
    struct gw_err err = {0};
    int64_t length;
    enum gw_rc rc = build(&c->in, &arena, &head, &trailers, &length, &err);
    if (rc == GW_OK || err.code != c->code || !strstr(err.text, c->why)) {
        CU_FAIL("not refused in that way");
        printf("\n%.300s\nwanted %d %s, got %d %s\n", c->in.lines, c->code, c->why, err.code,
               rc == GW_OK ? "no error" : err.text);
    }
    gw_arena_fini(&arena);
}
#define REFUSE(cases)                                                                              \
    for (size_t i_ = 0; i_ < GW_ARRAY_LEN(cases); i_++)                                            \
    refuse(&(cases)[i_])

#define ASK ":method GET\n:scheme http\n:authority a\n:path /\n"
#define POST ":method POST\n:scheme http\n:authority a\n:path /\n"
#define OK ":status 200\n"
#define REQUEST(lines)                                                                             \
    { DP_H2_REQUEST, (lines), true, false }
#define OPEN_REQUEST(lines)                                                                        \
    { DP_H2_REQUEST, (lines), false, false }
#define RESPONSE(lines)                                                                            \
    { DP_H2_RESPONSE, (lines), false, false }

// --- refusals ----------------------------------------------------------------------------------

static void refuses_pseudo_fields(void) {
    static const struct refusal cases[] = {
        {REQUEST(""), 400, ":method: missing"},
        {REQUEST(":scheme http\n:authority a\n:path /\n"), 400, ":method: missing"},
        {REQUEST(":method GET\n:authority a\n:path /\n"), 400, ":scheme"},
        {REQUEST(":method GET\n:scheme http\n:authority a\n"), 400, ":path: missing"},
        {REQUEST(":method GET\n:scheme http\n:authority a\n:path \n"), 400, ":path: missing"},
        {REQUEST(":method GET\n:scheme http\n:path /\n"), 400, "neither :authority nor Host"},
        {REQUEST(ASK ":method GET\n"), 400, ":method: given more than once"},
        {REQUEST(ASK ":path /\n"), 400, ":path: given more than once"},
        {REQUEST(ASK ":scheme http\n"), 400, ":scheme: given more than once"},
        {REQUEST(ASK ":authority a\n"), 400, ":authority: given more than once"},
        {REQUEST(ASK "x 1\n:path /\n"), 400, "behind other fields"},
        {REQUEST(ASK ":protocol websocket\n"), 400, "unknown pseudo-header"},
        {REQUEST(ASK ":status 200\n"), 400, "unknown pseudo-header"},
        {REQUEST(ASK ":Path /\n"), 400, "unknown pseudo-header"},
        {REQUEST(ASK ": 1\n"), 400, "unknown pseudo-header"},
        {REQUEST(":method G T\n:scheme http\n:authority a\n:path /\n"), 400, ":method"},
        {REQUEST(":method \n:scheme http\n:authority a\n:path /\n"), 400, ":method"},
        {REQUEST(":method GET\n:scheme ws\n:authority a\n:path /\n"), 400, ":scheme"},
        {REQUEST(":method GET\n:scheme \n:authority a\n:path /\n"), 400, ":scheme"},
        {REQUEST(":method GET\n:scheme http\n:authority a\n:path / \n"), 400, "a blank around"},
        {RESPONSE(""), 502, ":status: missing"},
        {RESPONSE(":status 99\n"), 502, ":status"},
        {RESPONSE(":status 600\n"), 502, ":status"},
        {RESPONSE(":status 0200\n"), 502, ":status"},
        {RESPONSE(":status 2x0\n"), 502, ":status"},
        {RESPONSE(":status +20\n"), 502, ":status"},
        {RESPONSE(":status 101\n"), 502, "status 101"},
        {RESPONSE(OK ":status 200\n"), 502, "more than once"},
        {RESPONSE(OK ":path /\n"), 502, "unknown pseudo-header"},
        {RESPONSE("x 1\n:status 200\n"), 502, "behind other fields"},
    };
    REFUSE(cases);
}

static void refuses_targets_and_hosts(void) {
#define PATH(p) REQUEST(":method GET\n:scheme http\n:authority a\n:path " p "\n")
#define HOST(h) REQUEST(":method GET\n:scheme http\n:authority " h "\n:path /\n")
    static const struct refusal cases[] = {
        {PATH("a"), 400, "does not begin with '/'"},
        {PATH("http://a/"), 400, "does not begin with '/'"},
        {PATH("*"), 400, "for OPTIONS alone"},
        {PATH("**"), 400, "begins neither"},
        {PATH("/a#b"), 400, "fragment"},
        {PATH("/?a#b"), 400, "fragment"},
        {PATH("/a b"), 400, "bad byte in the path"},
        {PATH("/a\\b"), 400, "bad byte in the path"},
        {PATH("/<a>"), 400, "bad byte in the path"},
        {PATH("/\xff"), 400, "bad byte in the path"},
        {PATH("/a/../b"), 400, "a segment \"..\""},
        {PATH("/a/%2e%2e/b"), 400, "a segment \"..\""},
        {PATH("/?\xff"), 400, "bad byte in the query"},
        {PATH("/\x01"), 400, "control byte"},
        {HOST(""), 400, ":authority: it is empty"},
        {HOST("u@a"), 400, ":authority: it has user information"},
        {HOST("a:0"), 400, ":authority: the port"},
        {HOST("a:"), 400, ":authority: the port"},
        {HOST("a..b"), 400, ":authority: the host has an empty label"},
        {HOST("a/b"), 400, ":authority: the host has a bad byte"},
        {HOST("[::1"), 400, ":authority: the bracket"},
        {REQUEST(ASK "host b\n"), 400, "Host: not that of :authority"},
        {REQUEST(ASK "host a:81\n"), 400, "Host: not that of :authority"},
        {REQUEST(ASK "host \n"), 400, "Host: not that of :authority"},
        {REQUEST(ASK "host a\nhost a\n"), 400, "Host: given more than once"},
        {REQUEST(":method GET\n:scheme http\n:path /\nhost a b\n"), 400, "Host: the host has"},
        {REQUEST(":method CONNECT\n:authority a:80\n"), 501, "CONNECT"},
    };
    REFUSE(cases);
}

static void refuses_fields(void) {
    static const struct refusal cases[] = {
        {REQUEST(ASK "X 1\n"), 400, "field 5: bad byte in the name"},
        {REQUEST(ASK "xY 1\n"), 400, "bad byte in the name"},
        {REQUEST(ASK "x: 1\n"), 400, "bad byte in the name"},
        {REQUEST(ASK "x\xc3\xa9 1\n"), 400, "bad byte in the name"},
        {REQUEST(ASK "x\x01 1\n"), 400, "bad byte in the name"},
        {REQUEST(ASK "x\r 1\n"), 400, "bad byte in the name"},
        {REQUEST(ASK " 1\n"), 400, "bad byte in the name"},
        {REQUEST(ASK "x a\rb\n"), 400, "control byte in the value"},
        {REQUEST(ASK "x a\x7f\n"), 400, "control byte in the value"},
        {REQUEST(ASK "x \x01\n"), 400, "control byte in the value"},
        {REQUEST(ASK "x  a\n"), 400, "a blank around the value"},
        {REQUEST(ASK "x a \n"), 400, "a blank around the value"},
        {REQUEST(ASK "x a\t\n"), 400, "a blank around the value"},
        {REQUEST(ASK "connection close\n"), 400, "connection-specific"},
        {REQUEST(ASK "keep-alive 1\n"), 400, "connection-specific"},
        {REQUEST(ASK "proxy-connection 1\n"), 400, "connection-specific"},
        {REQUEST(ASK "upgrade h2c\n"), 400, "connection-specific"},
        {REQUEST(ASK "transfer-encoding chunked\n"), 400, "connection-specific"},
        {REQUEST(ASK "te gzip\n"), 400, "TE"},
        {REQUEST(ASK "te trailers, deflate\n"), 400, "TE"},
        {REQUEST(ASK "expect x\n"), 417, "Expect"},
        {OPEN_REQUEST(POST "content-length 1\ncontent-length 1\n"), 400, "more than once"},
        {OPEN_REQUEST(POST "content-length -1\n"), 400, "not a number"},
        {OPEN_REQUEST(POST "content-length 1, 1\n"), 400, "not a number"},
        {OPEN_REQUEST(POST "content-length \n"), 400, "not a number"},
        {OPEN_REQUEST(POST "content-length 9223372036854775808\n"), 400, "not a number"},
        {REQUEST(POST "content-length 5\n"), 400, "no body follows"},
        {RESPONSE(OK "connection close\n"), 502, "connection-specific"},
        {RESPONSE(OK "transfer-encoding chunked\n"), 502, "connection-specific"},
        {RESPONSE(OK "upgrade x\n"), 502, "connection-specific"},
        {RESPONSE(OK "content-length 1\ncontent-length 2\n"), 502, "more than once"},
        {RESPONSE(":status 204\ncontent-length 1\n"), 502, "status 204 with a body"},
        {RESPONSE(":status 100\ncontent-length 1\n"), 502, "status 100 with a body"},
        {{DP_H2_RESPONSE, ":status 103\n", true, false}, 502, "interim answer ends"},
        {{DP_H2_RESPONSE, OK "content-length 5\n", true, false}, 502, "no body follows"},
        {{DP_H2_REQUEST_TRAILERS, ":path /\n", true, false}, 400, "trailers: a pseudo"},
        {{DP_H2_RESPONSE_TRAILERS, ":status 200\n", true, false}, 502, "trailers: a pseudo"},
        {{DP_H2_REQUEST_TRAILERS, "X 1\n", true, false}, 400, "bad byte in the name"},
        {{DP_H2_REQUEST_TRAILERS, "connection x\n", true, false}, 400, "connection-specific"},
    };
    REFUSE(cases);
}

static void refuses_a_nul(void) {
    struct gw_arena arena = {0};
    struct dp_head *head;
    struct gw_err err;
    int64_t length;
    dp_h2_head_begin(&builder, DP_H2_REQUEST, &arena);
    CU_ASSERT_TRUE(dp_h2_head_field(&builder, GW_STR("x"), GW_STR("a\0b")));
    CU_ASSERT_EQUAL(dp_h2_head_end(&builder, true, false, &head, &length, &err), GW_ERR_INPUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "control byte"));
    gw_arena_fini(&arena);
}

// --- caps --------------------------------------------------------------------------------------

// n fields of `bytes` bytes each behind a good request.
static enum gw_rc many(enum dp_h2_section kind, unsigned n, size_t bytes, bool *ret_bomb,
                       struct gw_err *err) {
    struct gw_arena arena = {0};
    struct dp_head *head;
    struct dp_fields *trailers;
    int64_t length;
    char value[DP_H1_HEAD_BYTES_MAX];
    memset(value, 'v', sizeof(value));
    dp_h2_head_begin(&builder, kind, &arena);
    if (kind == DP_H2_REQUEST) {
        const char *const ask[][2] = {
            {":method", "GET"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/"}};
        for (size_t i = 0; i < GW_ARRAY_LEN(ask); i++)
            (void)!dp_h2_head_field(&builder, gw_str_of(ask[i][0]), gw_str_of(ask[i][1]));
    }
    *ret_bomb = false;
    for (unsigned i = 0; i < n && !*ret_bomb; i++)
        *ret_bomb = !dp_h2_head_field(&builder, GW_STR("x"), (struct gw_str){value, bytes});
    enum gw_rc rc = kind == DP_H2_REQUEST
                        ? dp_h2_head_end(&builder, true, false, &head, &length, err)
                        : dp_h2_head_end_trailers(&builder, &trailers, err);
    gw_arena_fini(&arena);
    return rc;
}

static void heads_are_capped(void) {
    struct gw_err err;
    bool bomb;
    CU_ASSERT_EQUAL(many(DP_H2_REQUEST, DP_H1_FIELDS_MAX, 1, &bomb, &err), GW_OK);
    CU_ASSERT_EQUAL(many(DP_H2_REQUEST, DP_H1_FIELDS_MAX + 1, 1, &bomb, &err), GW_ERR_LIMIT);
    CU_ASSERT_EQUAL(err.code, 431);
    CU_ASSERT_EQUAL(many(DP_H2_REQUEST, 31, 1024, &bomb, &err), GW_OK);
    CU_ASSERT_EQUAL(many(DP_H2_REQUEST, 33, 1024, &bomb, &err), GW_ERR_LIMIT);
    CU_ASSERT_EQUAL(err.code, 431);
    CU_ASSERT_FALSE(bomb);
    CU_ASSERT_EQUAL(many(DP_H2_REQUEST_TRAILERS, 9, 1024, &bomb, &err), GW_ERR_LIMIT);
    CU_ASSERT_EQUAL(err.code, 431);
    CU_ASSERT_EQUAL(many(DP_H2_REQUEST_TRAILERS, 7, 1024, &bomb, &err), GW_OK);
    (void)!many(DP_H2_REQUEST, 1000, 1024, &bomb, &err);
    CU_ASSERT_TRUE(bomb);
}

static void long_targets_and_methods(void) {
    struct gw_arena arena = {0};
    struct dp_head *head;
    struct gw_err err;
    int64_t length;
    char path[DP_H1_TARGET_BYTES_MAX + 1];
    memset(path, '/', sizeof(path));
    for (int over = 0; over <= 1; over++) {
        struct gw_str p = {path, DP_H1_TARGET_BYTES_MAX + (size_t)over};
        dp_h2_head_begin(&builder, DP_H2_REQUEST, &arena);
        (void)!dp_h2_head_field(&builder, GW_STR(":method"), GW_STR("GET"));
        (void)!dp_h2_head_field(&builder, GW_STR(":scheme"), GW_STR("https"));
        (void)!dp_h2_head_field(&builder, GW_STR(":authority"), GW_STR("a"));
        (void)!dp_h2_head_field(&builder, GW_STR(":path"), p);
        enum gw_rc rc = dp_h2_head_end(&builder, true, false, &head, &length, &err);
        CU_ASSERT_EQUAL(rc, over ? GW_ERR_LIMIT : GW_OK);
        if (over) CU_ASSERT_EQUAL(err.code, 414);
    }
    static const struct refusal cases[] = {
        {REQUEST(
             ":method AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n:scheme http\n:authority a\n:path /\n"),
         501, "method is over"},
    };
    REFUSE(cases);
    gw_arena_fini(&arena);
}

static void small_memory(void) {
    for (size_t max = 16; max < 4096; max += 160) {
        struct gw_arena arena;
        struct dp_head *head;
        struct gw_err err = {0};
        int64_t length;
        gw_arena_init(&arena, NULL, 0, max);
        struct section s = REQUEST(ASK "x 1\ncookie a\nhost A\n");
        enum gw_rc rc = build(&s, &arena, &head, NULL, &length, &err);
        if (rc != GW_OK) CU_ASSERT_TRUE(err.code == 431 || err.code == 400);
        gw_arena_fini(&arena);
    }
}

// --- what comes out ----------------------------------------------------------------------------

static struct gw_arena out_arena;
static int64_t out_length;
static struct dp_head *accept(struct section s) {
    struct dp_head *head = NULL;
    struct gw_err err = {0};
    gw_arena_reset(&out_arena);
    enum gw_rc rc = build(&s, &out_arena, &head, NULL, &out_length, &err);
    if (rc != GW_OK) printf("\n%s: %s\n", s.lines, err.text);
    CU_ASSERT_EQUAL_FATAL(rc, GW_OK);
    return head;
}
#define EQ(str, lit) CU_ASSERT_TRUE(gw_str_eq((str), GW_STR(lit)))

static void a_request(void) {
    struct dp_head *h = accept((struct section)OPEN_REQUEST(
        ":method POST\n:path /p/a?q=1\n:authority Ex.ample:8080\n:scheme HTTP\nx-a 1\ncookie a=1\n"
        "te trailers\ncookie b=2\nproxy-authorization x\nhttp2-settings x\nx-empty \nhost "
        "ex.ample:8080\nexpect 100-Continue\n"));
    CU_ASSERT_EQUAL(h->method, DP_METHOD_POST);
    EQ(h->target, "/p/a?q=1");
    EQ(h->path, "/p/a");
    EQ(h->query, "q=1");
    EQ(h->authority, "Ex.ample:8080");
    EQ(h->host, "ex.ample");
    CU_ASSERT_TRUE(h->chunked && h->keep_alive && h->expect_continue && h->te_trailers);
    CU_ASSERT_EQUAL(h->content_length, -1);
    CU_ASSERT_EQUAL(out_length, -1);
    CU_ASSERT_EQUAL_FATAL(h->fields.len, 3);
    EQ(h->fields.ptr[0].name, "x-a");
    EQ(h->fields.ptr[1].name, "x-empty");
    EQ(h->fields.ptr[1].value, "");
    EQ(h->fields.ptr[2].name, "cookie");
    EQ(h->fields.ptr[2].value, "a=1; b=2");
}

static void cookies_are_joined(void) {
    static const char *const cases[][2] = {
        {"cookie a=1\ncookie b=2\ncookie c=3\n", "a=1; b=2; c=3"},
        {"cookie a=1; b=2\n", "a=1; b=2"},
        {"cookie a=1\ncookie \ncookie \n", "a=1"},
        {"cookie \ncookie a=1\n", "a=1"},
        {"cookie \ncookie \n", ""},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        char lines[256];
        snprintf(lines, sizeof(lines), "%s%s", ASK, cases[i][0]);
        struct dp_head *h = accept((struct section)REQUEST(lines));
        CU_ASSERT_EQUAL_FATAL(h->fields.len, 1);
        CU_ASSERT_TRUE(gw_str_eq(h->fields.ptr[0].value, gw_str_of(cases[i][1])));
    }
}

static void bodies_of_requests(void) {
    struct dp_head *h = accept((struct section)REQUEST(ASK));
    CU_ASSERT_FALSE(h->chunked);
    CU_ASSERT_EQUAL(h->content_length, -1);
    h = accept((struct section)OPEN_REQUEST(POST "content-length 7\n"));
    CU_ASSERT_FALSE(h->chunked);
    CU_ASSERT_EQUAL(h->content_length, 7);
    CU_ASSERT_EQUAL(out_length, 7);
    h = accept((struct section)REQUEST(POST "content-length 0\nexpect 100-continue\n"));
    CU_ASSERT_EQUAL(h->content_length, 0);
    CU_ASSERT_FALSE(h->expect_continue);
    h = accept((struct section)REQUEST(":method OPTIONS\n:scheme http\n:path *\nhost a\n"));
    EQ(h->path, "*");
    EQ(h->host, "a");
    h = accept((struct section)REQUEST(":method GET\n:scheme https\n:path /\n:authority a\nhost "
                                       "a:443\n"));
    EQ(h->host, "a");
}

static void bodies_of_responses(void) {
    struct dp_head *h = accept((struct section)RESPONSE(OK));
    CU_ASSERT_TRUE(h->chunked);
    h = accept((struct section){DP_H2_RESPONSE, OK, true, false});
    CU_ASSERT_FALSE(h->chunked);
    CU_ASSERT_EQUAL(h->content_length, -1);
    h = accept((struct section){DP_H2_RESPONSE, OK "content-length 9\n", true, true});
    CU_ASSERT_EQUAL(h->content_length, 9);
    CU_ASSERT_EQUAL(out_length, 0);
    h = accept((struct section){DP_H2_RESPONSE, ":status 304\ncontent-length 9\n", true, false});
    CU_ASSERT_EQUAL(h->content_length, 9);
    h = accept((struct section)RESPONSE(":status 204\ncontent-length 0\n"));
    CU_ASSERT_EQUAL(h->content_length, -1);
    CU_ASSERT_EQUAL(out_length, 0);
    h = accept((struct section)RESPONSE(":status 103\nlink </a>\n"));
    CU_ASSERT_EQUAL(h->status, 103);
}

static void trailers_lose_what_frames_and_routes(void) {
    struct gw_arena arena = {0};
    struct dp_fields *t = NULL;
    struct gw_err err;
    struct section s = {DP_H2_RESPONSE_TRAILERS,
                        "grpc-status 0\ncontent-length 1\nhost a\nauthorization b\n", true, false};
    CU_ASSERT_EQUAL_FATAL(build(&s, &arena, NULL, &t, NULL, &err), GW_OK);
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    CU_ASSERT_EQUAL_FATAL(t->len, 1);
    EQ(t->ptr[0].name, "grpc-status");
    s.lines = "content-length 1\n";
    CU_ASSERT_EQUAL_FATAL(build(&s, &arena, NULL, &t, NULL, &err), GW_OK);
    CU_ASSERT_PTR_NULL(t);
    gw_arena_fini(&arena);
    gw_arena_fini(&out_arena);
    dp_h2_head_fini(&builder);
}

static CU_TestInfo tests[] = {
    {"refuses pseudo-header fields", refuses_pseudo_fields},
    {"refuses targets and hosts", refuses_targets_and_hosts},
    {"refuses fields", refuses_fields},
    {"refuses a NUL", refuses_a_nul},
    {"heads are capped", heads_are_capped},
    {"long targets and methods", long_targets_and_methods},
    {"small memory", small_memory},
    {"a request", a_request},
    {"cookies are joined", cookies_are_joined},
    {"bodies of requests", bodies_of_requests},
    {"bodies of responses", bodies_of_responses},
    {"trailers lose what frames and routes", trailers_lose_what_frames_and_routes},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_codec_h2_head = {"h2_head", NULL, NULL, NULL, NULL, tests};
