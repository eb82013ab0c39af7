// SPDX-License-Identifier: Apache-2.0
// Decoding requests: what is refused, with which status and words, and where the limits are.
#include "test/unit/dataplane/codec/h1_transcript.h"

#include <CUnit/CUnit.h>
#include <stdio.h>

extern CU_SuiteInfo suite_dataplane_codec_h1_refuse;

// --- helpers -----------------------------------------------------------------------------------

struct refusal {
    const char *input;
    int status;
    const char *why;
};

// Whole and byte by byte.
static void refuse(const struct refusal *c) {
    const size_t cuts[] = {H1_WHOLE, H1_BYTEWISE};
    for (size_t i = 0; i < GW_ARRAY_LEN(cuts); i++) {
        struct gw_text got = {0};
        struct h1_stream s = {.role = DP_H1_REQUESTS, .bytes = gw_str_of(c->input)};
        h1_transcript(&s, cuts[i], &got);
        char code[16];
        snprintf(code, sizeof(code), " %d ", c->status);
        const char *error = strstr(got.ptr, "error ");
        if (!error || !strstr(error, code) || !strstr(error, c->why)) {
            CU_FAIL("not refused in that way");
            printf("\n%.300s\nwanted %d %s, got\n%.600s\n", c->input, c->status, c->why, got.ptr);
        }
        gw_text_fini(&got);
    }
}
#define REFUSE(cases)                                                                              \
    for (size_t i_ = 0; i_ < GW_ARRAY_LEN(cases); i_++)                                            \
    refuse(&(cases)[i_])

#define GET "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

// --- refusals ----------------------------------------------------------------------------------

static void refuses_request_lines(void) {
    static const struct refusal cases[] = {
        {"GET /\r\n\r\n", 400, "no HTTP version"},
        {"GET / \r\n\r\n", 400, "bad HTTP version"},
        {"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400, "bad HTTP version"},
        {"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad HTTP version"},
        {"GET / HTTP/1.x\r\nHost: a\r\n\r\n", 400, "bad HTTP version"},
        {"GET / HTTP/11\r\nHost: a\r\n\r\n", 400, "bad HTTP version"},
        {"GET / http/1.1\r\nHost: a\r\n\r\n", 400, "bad HTTP version"},
        {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "HTTP/2.0 is not supported"},
        {"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505, "HTTP/1.2 is not supported"},
        {"GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505, "HTTP/0.9 is not supported"},
        {" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad method"},
        {"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad method"},
        {"G\xc3\x89T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad method"},
        {"GET\r\nHost: a\r\n\r\n", 400, "bad method"},
        {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\nHost: a\r\n\r\n", 501, "method is over"},
        {"\r\n\r\n\r\nGET / HTTP/1.1\r\n", 400, "an empty line"},
    };
    REFUSE(cases);
}

static void refuses_targets(void) {
    static const struct refusal cases[] = {
        {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad HTTP version"},
        {"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "begins neither"},
        {"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, "for OPTIONS alone"},
        {"OPTIONS ** HTTP/1.1\r\nHost: a\r\n\r\n", 400, "begins neither"},
        {"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "begins neither"},
        {"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "fragment"},
        {"GET /?a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "fragment"},
        {"GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad byte in the path"},
        {"GET /<a> HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad byte in the path"},
        {"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad byte in the path"},
        {"GET /?\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad byte in the query"},
        {"GET /.. HTTP/1.1\r\nHost: a\r\n\r\n", 400, "a segment \"..\""},
        {"GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "a segment \"..\""},
        {"GET /a/..?x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "a segment \"..\""},
        {"GET /a/.%2e/b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "a segment \"..\""},
        {"GET /a/%2E%2e HTTP/1.1\r\nHost: a\r\n\r\n", 400, "a segment \"..\""},
        {"GET /a/..;x/b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "a segment \"..\""},
        {"GET /a%2f..%2Fb HTTP/1.1\r\nHost: a\r\n\r\n", 400, "a segment \"..\""},
        {"GET /a%5c%2e.%5Cb HTTP/1.1\r\nHost: a\r\n\r\n", 400, "a segment \"..\""},
        {"GET /x/y;..;/../z HTTP/1.1\r\nHost: a\r\n\r\n", 400, "a segment \"..\""},
        {"GET http://a/b/.. HTTP/1.1\r\nHost: a\r\n\r\n", 400, "a segment \"..\""},
        {"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "authority: it is empty"},
        {"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "user information"},
        {"GET ws://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "begins neither"},
        {"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "not that of the request target"},
        {"GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "not that of the request target"},
        {"GET https://a:80/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "not that of the request target"},
        {"GET http://a/ HTTP/1.1\r\n\r\n", 400, "Host: missing"},
        {"GET http://a/#b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "fragment"},
        {"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "authority"},
        {"CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "without a port"},
        {"CONNECT http://a:1/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "authority"},
        {"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 1\r\n\r\nx", 400, "with a body"},
        {"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
         "with a body"},
    };
    REFUSE(cases);
}

static void refuses_fields(void) {
    static const struct refusal cases[] = {
        {GET " X: folded\r\n\r\n", 400, "field 2: a folded line"},
        {GET "\tX: folded\r\n\r\n", 400, "field 2: a folded line"},
        {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, "field 1: a folded line"},
        {GET "X : 1\r\n\r\n", 400, "field 2: a blank before the colon"},
        {GET "X Y: 1\r\n\r\n", 400, "field 2: a blank before the colon"},
        {GET ": 1\r\n\r\n", 400, "field 2: the name is empty"},
        {GET "X\r\n\r\n", 400, "field 2: no colon"},
        {GET "X(Y: 1\r\n\r\n", 400, "field 2: bad byte in the name"},
        {GET "X\xc3\xa9: 1\r\n\r\n", 400, "field 2: bad byte in the name"},
        {GET "X: 1\x01\r\n\r\n", 400, "head, line 3: control byte"},
        {GET "X: 1\x7f\r\n\r\n", 400, "head, line 3: control byte"},
        {GET "X\x0b: 1\r\n\r\n", 400, "head, line 3: control byte"},
        {GET "X: 1\n\r\n", 400, "head, line 3: LF without CR"},
        {GET "X: 1\rY: 2\r\n\r\n", 400, "head, line 3: CR without LF"},
        {GET "X: 1\r\r\n\r\n", 400, "head, line 3: CR without LF"},
        {GET "\n", 400, "head, line 3: LF without CR"},
        {"\nGET / HTTP/1.1\r\n", 400, "head, line 1: LF without CR"},
        {"\x16\x03\x01", 400, "head, line 1: control byte"},
    };
    REFUSE(cases);
}

static void refuses_a_nul(void) {
    static const char text[] = GET "X: a\0b\r\n\r\n";
    struct gw_text got = {0};
    struct h1_stream s = {.role = DP_H1_REQUESTS, .bytes = GW_STR(text)};
    h1_transcript(&s, H1_WHOLE, &got);
    CU_ASSERT_STRING_EQUAL(got.ptr, "error input 400 head, line 3: control byte\n");
    gw_text_fini(&got);
}

static void refuses_hosts(void) {
    static const struct refusal cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", 400, "Host: missing"},
        {"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, "Host: it is empty"},
        {"GET / HTTP/1.0\r\nHost:\r\n\r\n", 400, "Host: it is empty"},
        {GET "Host: a\r\n\r\n", 400, "Host: given more than once"},
        {GET "hOST: b\r\n\r\n", 400, "Host: given more than once"},
        {"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400, "Host: the host has a bad byte"},
        {"GET / HTTP/1.1\r\nHost: http://a\r\n\r\n", 400, "Host: the port"},
        {"GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", 400, "Host: the port is not in 1..65535"},
        {"GET / HTTP/1.1\r\nHost: 2001:db8::5\r\n\r\n", 400, "Host: the port"},
        {"GET / HTTP/1.1\r\nHost: [2001:db8::5\r\n\r\n", 400, "is not closed"},
        {"OPTIONS * HTTP/1.1\r\n\r\n", 400, "Host: missing"},
    };
    REFUSE(cases);
}

static void refuses_framing(void) {
    static const struct refusal cases[] = {
        {POST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "together with"},
        {POST "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 400, "together with"},
        {POST "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "more than once"},
        {POST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400, "more than once"},
        {POST "Content-Length: 1, 1\r\n\r\n", 400, "not a number"},
        {POST "Content-Length:\r\n\r\n", 400, "not a number"},
        {POST "Content-Length: +1\r\n\r\n", 400, "not a number"},
        {POST "Content-Length: -1\r\n\r\n", 400, "not a number"},
        {POST "Content-Length: 0x1\r\n\r\n", 400, "not a number"},
        {POST "Content-Length: 1 1\r\n\r\n", 400, "not a number"},
        {POST "Content-Length: 1.0\r\n\r\n", 400, "not a number"},
        {POST "Content-Length: 9223372036854775808\r\n\r\n", 400, "not a number"},
        {POST "Content-Length: 99999999999999999999999\r\n\r\n", 400, "not a number"},
        {POST "Transfer-Encoding:\r\n\r\n", 400, "not chunked"},
        {POST "Transfer-Encoding: identity\r\n\r\n", 400, "not chunked"},
        {POST "Transfer-Encoding: gzip\r\n\r\n", 400, "not chunked"},
        {POST "Transfer-Encoding: xchunked\r\n\r\n", 400, "not chunked"},
        {POST "Transfer-Encoding: chunked;q=1\r\n\r\n", 400, "not chunked"},
        {POST "Transfer-Encoding: chunked,\r\n\r\n", 400, "not chunked"},
        {POST "Transfer-Encoding: ,chunked\r\n\r\n", 400, "not chunked"},
        {POST "Transfer-Encoding: chunked, gzip\r\n\r\n", 400, "not chunked"},
        {POST "Transfer-Encoding: chunked, chunked\r\n\r\n", 400, "not chunked"},
        {POST "Transfer-Encoding: gzip, chunked\r\n\r\n", 501, "other than chunked"},
        {POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
         "more than once"},
        {"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "in HTTP/1.0"},
        {POST "Connection: content-length\r\nContent-Length: 1\r\n\r\nx", 400, "frames the body"},
        {POST "Connection: close, Transfer-Encoding\r\n\r\n", 400, "frames the body"},
        {POST "Connection: a b\r\n\r\n", 400, "not a list of names"},
        {POST "Connection: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q\r\n\r\n", 400, "over 16"},
        {POST "Expect: 200-ok\r\n\r\n", 417, "not 100-continue"},
        {POST "Expect: 100-continue, x\r\n\r\n", 417, "not 100-continue"},
    };
    REFUSE(cases);
}

static void refuses_chunks(void) {
    static const struct refusal cases[] = {
        {CHUNKED "\r\n", 400, "no hexadecimal digit"},
        {CHUNKED ";a\r\n", 400, "no hexadecimal digit"},
        {CHUNKED " 1\r\n", 400, "no hexadecimal digit"},
        {CHUNKED "+1\r\n", 400, "no hexadecimal digit"},
        {CHUNKED "-1\r\n", 400, "no hexadecimal digit"},
        {CHUNKED "0x1\r\n", 400, "bad byte after the digits"},
        {CHUNKED "1 \r\n", 400, "bad byte after the digits"},
        {CHUNKED "1\t;a\r\n", 400, "bad byte after the digits"},
        {CHUNKED "1_0\r\n", 400, "bad byte after the digits"},
        {CHUNKED "1g\r\n", 400, "bad byte after the digits"},
        {CHUNKED "1\n", 400, "bad byte after the digits"},
        {CHUNKED "1\ra\r\n", 400, "chunk size: CR without LF"},
        {CHUNKED "8000000000000000\r\n", 400, "too large"},
        {CHUNKED "10000000000000000\r\n", 400, "too large"},
        {CHUNKED "00000000000000001\r\n", 400, "too large"},
        {CHUNKED "1\r\nab\r\n", 400, "longer than its size"},
        {CHUNKED "1\r\na\n", 400, "longer than its size"},
        {CHUNKED "1\r\na\rb", 400, "chunk: CR without LF"},
        {CHUNKED "1;a\n", 400, "chunk extension: control byte"},
        {CHUNKED "1;a\x01\r\n", 400, "chunk extension: control byte"},
        {CHUNKED "1;a\rb\r\n", 400, "chunk size: CR without LF"},
        {CHUNKED "0\r\nX\r\n\r\n", 400, "trailers: field 1: no colon"},
        {CHUNKED "0\r\nX: 1\r\n Y: 2\r\n\r\n", 400, "trailers: field 2: a folded line"},
        {CHUNKED "0\r\nX: 1\n\r\n", 400, "trailers, line 1: LF without CR"},
        {CHUNKED "0\r\n\n", 400, "trailers, line 1: LF without CR"},
    };
    REFUSE(cases);
}

static void refuses_a_closed_connection(void) {
    static const struct refusal cases[] = {
        {"G", 400, "closed before the request's head was complete"},
        {GET, 400, "closed before the request's head was complete"},
        {POST "Content-Length: 5\r\n\r\nhel", 400, "the request was cut after 3 of 5 bytes"},
        {CHUNKED "5\r\nhel", 400, "cut before its last chunk"},
        {CHUNKED "0\r\n", 400, "cut before its last chunk"},
        {CHUNKED "0\r\nX: 1\r\n", 400, "cut before its last chunk"},
    };
    REFUSE(cases);
}

// --- limits ------------------------------------------------------------------------------------

// head, fill times n, tail.
static char *filled(const char *head, char fill, size_t n, const char *tail) {
    struct gw_text t = {0};
    gw_text_adds(&t, head);
    for (size_t i = 0; i < n; i++)
        gw_text_add(&t, &fill, 1);
    gw_text_adds(&t, tail);
    return t.ptr;
}

static bool is_accepted(const char *text) {
    struct gw_text got = {0};
    struct h1_stream s = {.role = DP_H1_REQUESTS, .bytes = gw_str_of(text)};
    h1_transcript(&s, H1_WHOLE, &got);
    bool is_fine = got.ptr && strstr(got.ptr, "end at") && !strstr(got.ptr, "error");
    gw_text_fini(&got);
    return is_fine;
}

// n bytes of filling pass, one more does not.
static void check_limit(const char *head, size_t n, const char *tail, int status, const char *why) {
    char *text = filled(head, 'a', n, tail);
    CU_ASSERT(is_accepted(text));
    free(text);
    text = filled(head, 'a', n + 1, tail);
    refuse(&(struct refusal){text, status, why});
    free(text);
}

static void limit_of_target(void) {
    check_limit("GET /", DP_H1_TARGET_BYTES_MAX - 1, " HTTP/1.1\r\nHost: a\r\n\r\n", 414,
                "over 8192 bytes");
}

static void limit_of_request_line_without_end(void) {
    char *text = filled("GET /", 'a', DP_H1_HEAD_BYTES_MAX, "");
    refuse(&(struct refusal){text, 414, "request line: over 32768 bytes"});
    free(text);
}

static void limit_of_head(void) {
    size_t rest = sizeof(GET "X: \r\n\r\n") - 1;
    check_limit(GET "X: ", DP_H1_HEAD_BYTES_MAX - rest, "\r\n\r\n", 431, "head: over 32768 bytes");
}

static void limit_of_fields(void) {
    struct gw_text t = {0};
    gw_text_adds(&t, GET);
    for (unsigned i = 1; i < DP_H1_FIELDS_MAX; i++)
        gw_text_adds(&t, "x: 1\r\n");
    size_t n = t.len;
    gw_text_adds(&t, "\r\n");
    CU_ASSERT(is_accepted(t.ptr));
    t.len = n;
    gw_text_adds(&t, "x: 1\r\n\r\n");
    refuse(&(struct refusal){t.ptr, 431, "head: over 128 fields"});
    gw_text_fini(&t);
}

static void limit_of_method(void) {
    check_limit("", DP_H1_METHOD_BYTES_MAX, " / HTTP/1.1\r\nHost: a\r\n\r\n", 501, "over 32 bytes");
}

static void limit_of_chunk_extensions(void) {
    check_limit(CHUNKED "1;", DP_H1_CHUNK_EXT_BYTES_MAX - 1, "\r\na\r\n0\r\n\r\n", 400,
                "chunk extension: over 256 bytes");
}

static void limit_of_trailers(void) {
    check_limit(CHUNKED "0\r\nX: ", DP_H1_TRAILER_BYTES_MAX - sizeof("X: \r\n\r\n") + 1, "\r\n\r\n",
                431, "trailers: over 8192 bytes");
}

// A head that comes in many pieces must not cost a search from its begin for each.
static void a_head_that_drips_is_searched_once(void) {
    char *text = filled(GET "X: ", 'a', 30000, "\r\n\r\n");
    struct gw_text whole = {0}, dripped = {0};
    struct h1_stream s = {.role = DP_H1_REQUESTS, .bytes = gw_str_of(text)};
    h1_transcript(&s, H1_WHOLE, &whole);
    h1_transcript(&s, H1_BYTEWISE, &dripped);
    CU_ASSERT_STRING_EQUAL(whole.ptr, dripped.ptr);
    gw_text_fini(&whole);
    gw_text_fini(&dripped);
    free(text);
}

static void an_arena_that_is_full_is_an_error(void) {
    struct gw_arena arena;
    struct dp_h1_decoder d;
    struct dp_ev ev;
    struct gw_err err = {0};
    size_t used;
    struct gw_str text = GW_STR(GET "X: 1\r\nY: 2\r\n\r\n");
    for (size_t cap = 16; cap < 4096; cap += 16) {
        gw_arena_init(&arena, NULL, 0, cap);
        dp_h1_decoder_init(&d, DP_H1_REQUESTS);
        dp_h1_decoder_start(&d, &arena, false);
        enum gw_rc rc = dp_h1_decode(&d, text, &used, &ev, &err);
        CU_ASSERT(rc == GW_OK || (rc == GW_ERR_LIMIT && err.code == 431));
        dp_h1_decoder_fini(&d);
        gw_arena_fini(&arena);
    }
}

static CU_TestInfo tests[] = {
    {"refuses request lines", refuses_request_lines},
    {"refuses targets", refuses_targets},
    {"refuses fields", refuses_fields},
    {"refuses a NUL", refuses_a_nul},
    {"refuses hosts", refuses_hosts},
    {"refuses framing", refuses_framing},
    {"refuses chunks", refuses_chunks},
    {"refuses a closed connection", refuses_a_closed_connection},
    {"limit of target", limit_of_target},
    {"limit of a request line without end", limit_of_request_line_without_end},
    {"limit of head", limit_of_head},
    {"limit of fields", limit_of_fields},
    {"limit of method", limit_of_method},
    {"limit of chunk extensions", limit_of_chunk_extensions},
    {"limit of trailers", limit_of_trailers},
    {"a head that drips is searched once", a_head_that_drips_is_searched_once},
    {"an arena that is full is an error", an_arena_that_is_full_is_an_error},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_codec_h1_refuse = {"h1_refuse", NULL, NULL, NULL, NULL, tests};
