// SPDX-License-Identifier: Apache-2.0
// Streams of an HTTP/2 server, as a peer may open, close and overfill them: limits, windows, what
// comes for a stream that is over, and the end of a connection.
#include "test/unit/dataplane/codec/h2_server.h"

#include <CUnit/CUnit.h>

extern CU_SuiteInfo suite_dataplane_codec_h2_streams;

static void expect_refused(struct server *t, unsigned n) {
    for (unsigned i = 0; i < n; i++) {
        struct dp_h2_stream *s = dp_h2_ready(t->h);
        CU_ASSERT_PTR_NOT_NULL_FATAL(s);
        CU_ASSERT_PTR_NOT_NULL_FATAL(dp_h2_error(s));
        CU_ASSERT_EQUAL(dp_h2_error(s)->rc, GW_ERR_LIMIT);
        CU_ASSERT_EQUAL(dp_h2_error(s)->code, 0);
        CU_ASSERT_PTR_NOT_NULL(dp_h2_request(s));
        CU_ASSERT_EQUAL(reset_code(t, dp_h2_stream_id(s)), NGHTTP2_REFUSED_STREAM);
        dp_h2_release(s);
    }
}

// Also where the peer has acknowledged the limit, RFC 9113 5.1.2: the surplus is refused, and the
// others go on.
static void streams_beyond_the_limit(void) {
    for (int is_told = 0; is_told < 2; is_told++) {
        struct dp_h2_stream *held[DP_H2_STREAMS_MAX];
        struct server t;
        begin(&t);
        if (is_told)
            tell(&t);
        else
            t.in.len -= 9; // the acknowledgement
        for (uint32_t i = 0; i < DP_H2_STREAMS_MAX; i++)
            h2_headers(&t.in, 2 * i + 1, POST, false);
        tell(&t);
        for (unsigned i = 0; i < DP_H2_STREAMS_MAX; i++)
            held[i] = dp_h2_ready(t.h);
        for (uint32_t i = 0; i < 300; i++)
            h2_headers(&t.in, 2 * (DP_H2_STREAMS_MAX + i) + 1, ASK, true);
        tell(&t);
        CU_ASSERT_EQUAL(t.rc, GW_OK);
        CU_ASSERT_EQUAL(goaway_code(&t), -1);
        expect_refused(&t, 300);
        CU_ASSERT_PTR_NULL(dp_h2_ready(t.h));
        CU_ASSERT_EQUAL(dp_h2_streams(t.h), DP_H2_STREAMS_MAX);
        for (unsigned i = 0; i < DP_H2_STREAMS_MAX; i++) {
            CU_ASSERT_PTR_NOT_NULL_FATAL(held[i]);
            CU_ASSERT_PTR_NULL(dp_h2_error(held[i]));
            CU_ASSERT_EQUAL(reset_code(&t, dp_h2_stream_id(held[i])), -1);
            dp_h2_release(held[i]);
        }
        h2_drain_into(t.h, &t.out);
        is_unharmed(&t, 9001);
        finish(&t);
    }
}

static void streams_beyond_the_limit_for_ever(void) {
    struct server t;
    begin(&t);
    for (uint32_t i = 0; i < DP_H2_STREAMS_MAX; i++)
        h2_headers(&t.in, 2 * i + 1, POST, false);
    tell(&t);
    unsigned n = 0;
    for (; n < 5000 && t.rc == GW_OK; n++, t.now_ms++) {
        h2_headers(&t.in, 2 * (DP_H2_STREAMS_MAX + n) + 1, ASK, true);
        tell(&t);
    }
    CU_ASSERT_TRUE(n > 1024 && n < 1400);
    is_sent_away(&t, NGHTTP2_ENHANCE_YOUR_CALM);
    finish(&t);
}

// What ends in the middle is told of as well, once.
static void the_end_of_a_connection_has_all_streams(void) {
    struct server t;
    begin(&t);
    h2_headers(&t.in, 1, POST, false);
    tell(&t);
    struct dp_h2_stream *known = dp_h2_ready(t.h), *lost;
    CU_ASSERT_PTR_NOT_NULL_FATAL(known);
    dp_h2_set_owner(known, &t);
    h2_headers(&t.in, 3, ASK, true);
    h2_headers(&t.in, 5, ASK, true);
    t.in.len -= 2; // a head that does not end
    tell(&t);
    unsigned n = 0, with_owner = 0, with_head = 0;
    for (; (lost = dp_h2_next_lost(t.h)); n++) {
        if (dp_h2_owner(lost)) with_owner++;
        if (dp_h2_request(lost)) with_head++;
        dp_h2_release(lost);
    }
    CU_ASSERT_EQUAL(n, 3);
    CU_ASSERT_EQUAL(with_owner, 1);
    CU_ASSERT_EQUAL(with_head, 2);
    CU_ASSERT_PTR_NULL(dp_h2_ready(t.h));
    finish(&t);
}

static void why_a_connection_ended(void) {
    struct server t;
    begin(&t);
    tell(&t);
    CU_ASSERT_PTR_NULL(dp_h2_why(t.h));
    h2_data(&t.in, 0, "x", false);
    tell(&t);
    CU_ASSERT_EQUAL(goaway_code(&t), NGHTTP2_PROTOCOL_ERROR);
    CU_ASSERT_PTR_NOT_NULL_FATAL(dp_h2_why(t.h));
    CU_ASSERT_PTR_NOT_NULL(strstr(dp_h2_why(t.h)->text, "broke the protocol: PROTOCOL_ERROR"));
    finish(&t);
}

static void windows_of_zero_and_too_much(void) {
    struct server t;
    begin(&t);
    h2_headers(&t.in, 1, ASK, true);
    h2_frame_u32(&t.in, NGHTTP2_WINDOW_UPDATE, 1, 0);
    tell(&t);
    CU_ASSERT_TRUE(reset_code(&t, 1) == NGHTTP2_PROTOCOL_ERROR || goaway_code(&t) != -1);
    finish(&t);
    begin(&t);
    h2_frame_u32(&t.in, NGHTTP2_WINDOW_UPDATE, 0, 0x7fffffff);
    tell(&t);
    CU_ASSERT_EQUAL(goaway_code(&t), NGHTTP2_FLOW_CONTROL_ERROR);
    finish(&t);
}

static void more_than_the_window(void) {
    struct server t;
    char block[16384] = {0};
    begin(&t);
    h2_headers(&t.in, 1, POST, false);
    for (int i = 0; i < 20; i++)
        h2_frame(&t.in, NGHTTP2_DATA, 0, 1, block, sizeof(block));
    tell(&t);
    CU_ASSERT_TRUE(reset_code(&t, 1) == NGHTTP2_FLOW_CONTROL_ERROR || goaway_code(&t) != -1);
    finish(&t);
}

// Many small pieces that wait pin little more than themselves.
static void small_pieces_pin_little(void) {
    struct server t;
    begin(&t);
    h2_headers(&t.in, 1, POST, false);
    tell(&t);
    for (int i = 0; i < 2000; i++) { // each in a read of its own
        h2_data(&t.in, 1, "0123456789", false);
        tell(&t);
    }
    CU_ASSERT_TRUE(gw_slab_in_use() <= 5);
    finish(&t);
}

static void settings_are_acknowledged_in_time(void) {
    struct server t;
    begin(&t);
    t.in.len -= 9;
    tell(&t);
    t.now_ms += DP_H2_SETTINGS_MS - 1;
    CU_ASSERT_EQUAL(dp_h2_tick(t.h, t.now_ms, &t.err), GW_OK);
    t.now_ms++;
    t.rc = dp_h2_tick(t.h, t.now_ms, &t.err);
    h2_drain_into(t.h, &t.out);
    is_sent_away(&t, NGHTTP2_SETTINGS_TIMEOUT);
    finish(&t);
}

// RFC 9113 5.1, 5.1.1: messages on streams that are no more, or never were.
static void frames_for_streams_that_are_closed(void) {
    const struct {
        const char *what;
        bool resets, is_data;
        uint32_t id;
        int64_t code;
    } cases[] = {
        {"DATA behind RST_STREAM", true, true, 3, NGHTTP2_STREAM_CLOSED},
        {"HEADERS behind RST_STREAM", true, false, 3, NGHTTP2_STREAM_CLOSED},
        {"HEADERS on a smaller number", true, false, 1, NGHTTP2_PROTOCOL_ERROR},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        for (size_t step = 0; step <= 1; step++) {
            struct server t;
            begin(&t);
            h2_headers(&t.in, 3, ASK, true);
            h2_frame_u32(&t.in, NGHTTP2_RST_STREAM, 3, NGHTTP2_CANCEL);
            if (cases[i].is_data)
                h2_data(&t.in, cases[i].id, "x", true);
            else
                h2_headers(&t.in, cases[i].id, ASK, true);
            t.rc = h2_feed(t.h, gw_text_str(&t.in), step, t.now_ms, &t.err);
            gw_text_reset(&t.in);
            tell(&t);
            is_sent_away(&t, cases[i].code);
            finish(&t);
        }
    }
}

// What was on its way when we reset the stream is nobody's fault.
static void frames_for_streams_that_we_reset(void) {
    struct server t;
    begin(&t);
    h2_headers(&t.in, 1, POST, false);
    tell(&t);
    CU_ASSERT_EQUAL(release_all(&t), 1);
    CU_ASSERT_EQUAL(reset_code(&t, 1), NGHTTP2_CANCEL);
    h2_data(&t.in, 1, "late", false);
    h2_headers(&t.in, 1, "x 1\n", true);
    tell(&t);
    is_unharmed(&t, 3);
    finish(&t);
}

static void no_preface(void) {
    struct server t;
    begin(&t);
    gw_text_reset(&t.in);
    gw_text_adds(&t.in, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    tell(&t);
    CU_ASSERT_NOT_EQUAL(t.rc, GW_OK);
    CU_ASSERT_TRUE(dp_h2_is_over(t.h));
    finish(&t);
}

static void new_streams_after_goaway_are_nobodys(void) {
    struct server t;
    begin(&t);
    h2_headers(&t.in, 1, ASK, true);
    tell(&t);
    dp_h2_goaway(t.h, DP_H2_NO_ERROR);
    h2_drain_into(t.h, &t.out);
    h2_headers(&t.in, 3, ASK, true);
    tell(&t);
    struct dp_h2_stream *s = dp_h2_ready(t.h);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    CU_ASSERT_EQUAL(dp_h2_stream_id(s), 1);
    CU_ASSERT_PTR_NULL(dp_h2_ready(t.h));
    dp_h2_release(s);
    finish(&t);
}

static CU_TestInfo tests[] = {
    {"streams beyond the limit", streams_beyond_the_limit},
    {"streams beyond the limit for ever", streams_beyond_the_limit_for_ever},
    {"the end of a connection has all streams", the_end_of_a_connection_has_all_streams},
    {"why a connection ended", why_a_connection_ended},
    {"windows of zero and too much", windows_of_zero_and_too_much},
    {"more than the window", more_than_the_window},
    {"small pieces pin little", small_pieces_pin_little},
    {"settings are acknowledged in time", settings_are_acknowledged_in_time},
    {"frames for streams that are closed", frames_for_streams_that_are_closed},
    {"frames for streams that we reset", frames_for_streams_that_we_reset},
    {"no preface", no_preface},
    {"new streams after GOAWAY are nobody's", new_streams_after_goaway_are_nobodys},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_codec_h2_streams = {"h2_streams", NULL, NULL, NULL, NULL, tests};
