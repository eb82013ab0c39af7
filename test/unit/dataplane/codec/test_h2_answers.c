// SPDX-License-Identifier: Apache-2.0
// HTTP/2 upstreams that mean harm, or know no better: an answer that HTTP/1.1 would refuse is none.
#include "test/unit/dataplane/codec/h2_pair.h"

#include <CUnit/CUnit.h>
#include <stdio.h>

extern CU_SuiteInfo suite_dataplane_codec_h2_answers;

static void malformed_answers_are_errors(void) {
    static const struct h2_body_case cases[] = {
        {":status 101\n", {NULL}, false, NULL, false, "status 101"},
        {":status 200\nconnection x\n", {NULL}, false, NULL, false, "connection-specific"},
        {":status 200\ncontent-length 4\n", {"abc"}, true, NULL, false, "less DATA"},
        {":status 200\ncontent-length 4\n", {"abcde"}, false, NULL, false, "more DATA"},
        {":status 204\n", {"a"}, true, NULL, false, "more DATA"},
        {":status 304\n", {"a"}, true, NULL, false, "more DATA"},
        {":status 100\n", {"a"}, true, NULL, false, "DATA before the head"},
        {":status 200\n", {"a"}, false, ":status 200\n", true, "a pseudo-header"},
        {":status 200\n", {"a"}, false, "grpc-status 0\n", false, "do not end"},
        {":status 200\n", {"a"}, false, "grpc-status 0\n", true, NULL},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        const struct h2_body_case *c = &cases[i];
        struct gw_arena arena = {0};
        struct gw_text in = {0}, out = {0}, said = {0};
        struct gw_err err = {0};
        struct dp_h2_stream *s;
        bool in_data = false;
        struct dp_head ask = {.method_text = GW_STR("GET"),
                              .target = GW_STR("/"),
                              .authority = GW_STR("a"),
                              .content_length = -1};
        struct dp_h2 *h = dp_h2_new(&(struct dp_h2_conf){.role = DP_H2_CLIENT}, H2_NOW);
        CU_ASSERT_EQUAL_FATAL(dp_h2_open(h, &ask, &arena, &s, &err), GW_OK);
        dp_h2_send_end(s, NULL);
        h2_drain_into(h, &out);
        h2_frame(&in, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
        h2_headers(&in, 1, c->head, false);
        if (c->data[0]) h2_data(&in, 1, c->data[0], c->ends);
        if (c->trailers) h2_headers(&in, 1, c->trailers, c->trailers_end);
        CU_ASSERT_EQUAL(h2_feed(h, gw_text_str(&in), 0, H2_NOW, &err), GW_OK);
        CU_ASSERT_PTR_EQUAL(dp_h2_ready(h), s);
        h2_say(s, &said, &in_data);
        const char *told = said.ptr ? said.ptr : "";
        CU_ASSERT_EQUAL(strstr(told, "end\n") == NULL, c->why != NULL);
        if (c->why && !strstr(told, c->why)) {
            CU_FAIL("not refused in that way");
            printf("\n%s: wanted %s, got %s\n", c->head, c->why, told);
        }
        dp_h2_release(s);
        dp_h2_free(h);
        gw_arena_fini(&arena);
        gw_text_fini(&in);
        gw_text_fini(&out);
        gw_text_fini(&said);
    }
}

static void a_flood_of_interim_answers(void) {
    struct gw_arena arena = {0};
    struct gw_text in = {0};
    struct gw_err err;
    struct dp_h2_stream *s;
    struct dp_head ask = {.method_text = GW_STR("GET"),
                          .target = GW_STR("/"),
                          .authority = GW_STR("a"),
                          .content_length = -1};
    struct dp_h2 *h = dp_h2_new(&(struct dp_h2_conf){.role = DP_H2_CLIENT}, H2_NOW);
    CU_ASSERT_EQUAL_FATAL(dp_h2_open(h, &ask, &arena, &s, &err), GW_OK);
    struct gw_buf out = {0};
    dp_h2_pump(h, &out, SIZE_MAX);
    gw_buf_fini(&out);
    h2_frame(&in, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
    for (int i = 0; i < DP_H1_INTERIM_MAX + 1; i++)
        h2_headers(&in, 1, ":status 103\n", false);
    CU_ASSERT_EQUAL(h2_feed(h, gw_text_str(&in), 0, H2_NOW, &err), GW_OK);
    CU_ASSERT_PTR_NOT_NULL_FATAL(dp_h2_error(s));
    CU_ASSERT_PTR_NOT_NULL(strstr(dp_h2_error(s)->text, "interim"));
    dp_h2_release(s);
    dp_h2_free(h);
    gw_arena_fini(&arena);
    gw_text_fini(&in);
}

static CU_TestInfo tests[] = {
    {"malformed answers are errors", malformed_answers_are_errors},
    {"a flood of interim answers", a_flood_of_interim_answers},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_codec_h2_answers = {"h2_answers", NULL, NULL, NULL, NULL, tests};
