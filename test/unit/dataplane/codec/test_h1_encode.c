// SPDX-License-Identifier: Apache-2.0
// Encoding heads and chunks, byte for byte.
#include "test/unit/dataplane/codec/h1_transcript.h"

#include <CUnit/CUnit.h>
#include <stdio.h>

extern CU_SuiteInfo suite_dataplane_codec_h1_encode;

static void check_text(struct gw_str got, const char *want) {
    bool is_same = gw_str_eq(got, gw_str_of(want));
    CU_ASSERT(is_same);
    if (!is_same) printf("\ngot\n" GW_STR_FMT "\nwanted\n%s\n", GW_STR_ARG(got), want);
}

static void add(struct dp_head *h, struct gw_arena *a, const char *name, const char *value) {
    CU_ASSERT_EQUAL(dp_fields_add(&h->fields, a, gw_str_of(name), gw_str_of(value)), GW_OK);
}

static struct dp_head request(void) {
    return (struct dp_head){
        .method = DP_METHOD_GET,
        .method_text = GW_STR("GET"),
        .target = GW_STR("/a?b"),
        .authority = GW_STR("a.example.com:80"),
        .content_length = -1,
        .keep_alive = true,
    };
}

static struct dp_head response(int status) {
    return (struct dp_head){.status = status, .content_length = -1, .keep_alive = true};
}

static void fields_that_an_encoder_writes_itself_are_not_doubled(void) {
    struct gw_arena a = {0};
    struct dp_head h = request();
    h.content_length = 3;
    add(&h, &a, "content-length", "9");
    add(&h, &a, "Transfer-Encoding", "chunked");
    add(&h, &a, "HOST", "b");
    add(&h, &a, "connection", "close");
    add(&h, &a, "X", "1");
    check_text(dp_h1_encode_request(&h, &a),
               "GET /a?b HTTP/1.1\r\nHost: a.example.com:80\r\nX: 1\r\nContent-Length: 3\r\n\r\n");
    gw_arena_fini(&a);
}

static void http_05_exactly_one_framing(void) {
    struct gw_arena a = {0};
    struct dp_head h = response(200);
    h.chunked = true;
    h.content_length = 5;
    check_text(dp_h1_encode_response(&h, 1, &a),
               "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    h.chunked = false;
    check_text(dp_h1_encode_response(&h, 1, &a), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    h.content_length = -1;
    check_text(dp_h1_encode_response(&h, 1, &a), "HTTP/1.1 200 OK\r\n\r\n");
    gw_arena_fini(&a);
}

static void no_framing_where_none_may_be(void) {
    struct gw_arena a = {0};
    struct dp_head h = response(204);
    h.content_length = 0;
    check_text(dp_h1_encode_response(&h, 1, &a), "HTTP/1.1 204 No Content\r\n\r\n");
    h.chunked = true;
    check_text(dp_h1_encode_response(&h, 1, &a), "HTTP/1.1 204 No Content\r\n\r\n");
    h.status = 100;
    h.keep_alive = false;
    check_text(dp_h1_encode_response(&h, 0, &a), "HTTP/1.1 100 Continue\r\n\r\n");
    h = response(304);
    h.content_length = 12;
    check_text(dp_h1_encode_response(&h, 1, &a),
               "HTTP/1.1 304 Not Modified\r\nContent-Length: 12\r\n\r\n");
    gw_arena_fini(&a);
}

static void a_full_arena_gives_null(void) {
    struct gw_arena a;
    struct dp_head h = request(), answer = response(200);
    struct dp_field field = {GW_STR("x"), GW_STR("1"), DP_F_OTHER};
    struct dp_fields trailers = {&field, 1, 1};
    gw_arena_init(&a, NULL, 0, 16);
    CU_ASSERT_PTR_NULL(dp_h1_encode_request(&h, &a).ptr);
    CU_ASSERT_PTR_NULL(dp_h1_encode_response(&answer, 1, &a).ptr);
    CU_ASSERT_PTR_NULL(dp_h1_encode_last_chunk(&trailers, &a).ptr);
    gw_arena_fini(&a);
}

static void requests(void) {
    struct gw_arena a = {0};
    struct dp_head h = request();
    check_text(dp_h1_encode_request(&h, &a), "GET /a?b HTTP/1.1\r\nHost: a.example.com:80\r\n\r\n");
    h.minor_version = 0;
    h.keep_alive = false;
    h.chunked = true;
    add(&h, &a, "X-Empty", "");
    check_text(dp_h1_encode_request(&h, &a),
               "GET /a?b HTTP/1.1\r\nHost: a.example.com:80\r\nX-Empty: \r\n"
               "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
    h = request();
    h.content_length = INT64_MAX;
    check_text(dp_h1_encode_request(&h, &a), "GET /a?b HTTP/1.1\r\nHost: a.example.com:80\r\n"
                                             "Content-Length: 9223372036854775807\r\n\r\n");
    gw_arena_fini(&a);
}

static void responses_by_the_clients_version(void) {
    struct gw_arena a = {0};
    struct dp_head h = response(599);
    check_text(dp_h1_encode_response(&h, 1, &a), "HTTP/1.1 599 \r\n\r\n");
    h.reason = GW_STR("Own Words");
    h.content_length = 0;
    check_text(dp_h1_encode_response(&h, 0, &a),
               "HTTP/1.1 599 Own Words\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n");
    h.keep_alive = false;
    check_text(dp_h1_encode_response(&h, 0, &a),
               "HTTP/1.1 599 Own Words\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    gw_arena_fini(&a);
}

// Runs of decoded fields are copied at once; changes in their midst must show.
static void decoded_fields_that_were_changed(void) {
    struct gw_arena a = {0};
    struct dp_h1_decoder d;
    struct dp_ev ev;
    struct gw_err err;
    size_t used;
    dp_h1_decoder_init(&d, DP_H1_REQUESTS);
    dp_h1_decoder_start(&d, &a, false);
    struct gw_str in = GW_STR("GET / HTTP/1.1\r\nA: 1\r\nHost: h\r\nB:2\r\nC:   3 \r\nD: 4\r\n"
                              "E: 5\r\nF: 6\r\nG: 7\r\nH:\r\nConnection: f\r\nI: 9\r\n\r\n");
    CU_ASSERT_EQUAL_FATAL(dp_h1_decode(&d, in, &used, &ev, &err), GW_OK);
    struct dp_head *h = ev.head;
    check_text(dp_h1_encode_request(h, &a),
               "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\nG: 7\r\n"
               "H: \r\nI: 9\r\n\r\n");
    dp_fields_remove(&h->fields, GW_STR("E"));
    struct dp_field *g = dp_fields_find_name(&h->fields, GW_STR("g"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(g);
    g->value = GW_STR("other");
    add(h, &a, "J", "10");
    check_text(dp_h1_encode_request(h, &a),
               "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nG: other\r\n"
               "H: \r\nI: 9\r\nJ: 10\r\n\r\n");
    dp_h1_decoder_fini(&d);
    gw_arena_fini(&a);
}

// Neighbours in memory that are no neighbours on the wire.
static void fields_that_only_look_like_a_run(void) {
    static const char text[] = "A: 1\r\nContent-Length: 9\r\nB: 2--C: 3\r\nD-=4\r\nE: 5";
    static const struct {
        size_t name, name_len, value;
        enum dp_field_id id;
    } at[] = {
        {0, 1, 3, DP_F_OTHER},   {6, 14, 22, DP_F_CONTENT_LENGTH}, {25, 1, 28, DP_F_OTHER},
        {31, 1, 34, DP_F_OTHER}, {37, 1, 40, DP_F_OTHER},          {43, 1, 46, DP_F_OTHER},
    };
    struct gw_arena a = {0};
    struct dp_head h = response(200);
    struct dp_field fields[GW_ARRAY_LEN(at)];
    for (size_t i = 0; i < GW_ARRAY_LEN(at); i++) {
        fields[i] = (struct dp_field){
            {text + at[i].name, at[i].name_len}, {text + at[i].value, 1}, at[i].id};
    }
    h.fields = (struct dp_fields){fields, GW_ARRAY_LEN(at), GW_ARRAY_LEN(at)};
    check_text(dp_h1_encode_response(&h, 1, &a),
               "HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\n\r\n");
    gw_arena_fini(&a);
}

static void chunk_heads(void) {
    static const struct {
        uint64_t n;
        const char *want;
    } cases[] = {
        {1, "1\r\n"},         {15, "f\r\n"},
        {16, "10\r\n"},       {255, "ff\r\n"},
        {256, "100\r\n"},     {0x1a2b, "1a2b\r\n"},
        {65536, "10000\r\n"}, {UINT64_MAX, "ffffffffffffffff\r\n"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        char text[DP_H1_CHUNK_HEAD_MAX];
        size_t n = dp_h1_encode_chunk_head(text, cases[i].n);
        check_text((struct gw_str){text, n}, cases[i].want);
    }
}

static void last_chunks(void) {
    struct gw_arena a = {0};
    struct dp_fields trailers = {0};
    check_text(dp_h1_encode_last_chunk(NULL, &a), "0\r\n\r\n");
    check_text(dp_h1_encode_last_chunk(&trailers, &a), "0\r\n\r\n");
    CU_ASSERT_EQUAL(dp_fields_add(&trailers, &a, GW_STR("X-Sum"), GW_STR("1")), GW_OK);
    CU_ASSERT_EQUAL(dp_fields_add(&trailers, &a, GW_STR("Content-Length"), GW_STR("1")), GW_OK);
    check_text(dp_h1_encode_last_chunk(&trailers, &a), "0\r\nX-Sum: 1\r\n\r\n");
    gw_arena_fini(&a);
}

static void reasons(void) {
    CU_ASSERT_STRING_EQUAL(dp_h1_reason(404), "Not Found");
    CU_ASSERT_STRING_EQUAL(dp_h1_reason(431), "Request Header Fields Too Large");
    CU_ASSERT_STRING_EQUAL(dp_h1_reason(299), "");
    CU_ASSERT_STRING_EQUAL(dp_h1_reason(-1), "");
    CU_ASSERT_STRING_EQUAL(dp_h1_reason(100000), "");
}

static CU_TestInfo tests[] = {
    {"fields that an encoder writes itself are not doubled",
     fields_that_an_encoder_writes_itself_are_not_doubled},
    {"http-05: exactly one framing", http_05_exactly_one_framing},
    {"no framing where none may be", no_framing_where_none_may_be},
    {"a full arena gives NULL", a_full_arena_gives_null},
    {"requests", requests},
    {"responses by the client's version", responses_by_the_clients_version},
    {"decoded fields that were changed", decoded_fields_that_were_changed},
    {"fields that only look like a run", fields_that_only_look_like_a_run},
    {"chunk heads", chunk_heads},
    {"last chunks", last_chunks},
    {"reasons", reasons},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_codec_h1_encode = {"h1_encode", NULL, NULL, NULL, NULL, tests};
