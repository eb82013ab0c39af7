// SPDX-License-Identifier: Apache-2.0
// HTTP/2 peers that mean harm, frame by frame: each attack has its documented answer, and the other
// streams and the memory stay as they were. Streams and windows: test_h2_streams.c.
#include "test/unit/dataplane/codec/h2_server.h"

#include <CUnit/CUnit.h>
#include <stdio.h>

extern CU_SuiteInfo suite_dataplane_codec_h2_hostile;

// --- messages ----------------------------------------------------------------------------------

static void malformed_requests_cost_their_stream(void) {
    static const char *const heads[] = {
        "",
        ":method GET\n:scheme http\n:path /\n",
        ASK "Upper 1\n",
        ASK "connection close\n",
        ASK "x a\rb\n",
        ASK "host b\n",
        ":method GET\n:scheme http\n:authority a\n:path /#x\n",
        ASK "transfer-encoding chunked\n",
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(heads); i++) {
        struct server t;
        begin(&t);
        h2_headers(&t.in, 1, heads[i], true);
        tell(&t);
        CU_ASSERT_EQUAL(t.rc, GW_OK);
        CU_ASSERT_EQUAL(reset_code(&t, 1), NGHTTP2_PROTOCOL_ERROR);
        struct dp_h2_stream *s = dp_h2_ready(t.h); // for the log
        CU_ASSERT_PTR_NOT_NULL_FATAL(s);
        CU_ASSERT_PTR_NOT_NULL_FATAL(dp_h2_error(s));
        CU_ASSERT_EQUAL(dp_h2_error(s)->code, 400);
        dp_h2_release(s);
        is_unharmed(&t, 3);
        finish(&t);
    }
}

static void lengths_must_add_up(void) {
    static const struct h2_body_case cases[] = {
        {POST "content-length 4\n", {"abcde"}, false, NULL, false, "more DATA"},
        {POST "content-length 4\n", {"ab", "cde"}, false, NULL, false, "more DATA"},
        {POST "content-length 4\n", {"abc"}, true, NULL, false, "less DATA"},
        {POST "content-length 4\n", {"abc"}, false, "x 1\n", true, "less DATA"},
        {POST "content-length 0\n", {"a"}, true, NULL, false, "more DATA"},
        {POST, {"abc"}, false, "x 1\n", false, "do not end the stream"},
        {POST, {"abc"}, false, ":path /\n", true, "a pseudo-header"},
        {POST "content-length 4\n", {"ab", "cd"}, true, NULL, false, NULL},
        {POST "content-length 4\n", {"abcd"}, false, "x 1\n", true, NULL},
        {POST, {"abcd"}, true, NULL, false, NULL},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        const struct h2_body_case *c = &cases[i];
        struct server t;
        begin(&t);
        h2_headers(&t.in, 1, c->head, false);
        for (int d = 0; d < 2 && c->data[d]; d++)
            h2_data(&t.in, 1, c->data[d], c->ends && (d == 1 || !c->data[1]));
        if (c->trailers) h2_headers(&t.in, 1, c->trailers, c->trailers_end);
        tell(&t);
        CU_ASSERT_EQUAL(reset_code(&t, 1), c->why ? NGHTTP2_PROTOCOL_ERROR : -1);
        struct dp_h2_stream *s = dp_h2_ready(t.h);
        CU_ASSERT_PTR_NOT_NULL_FATAL(s);
        const struct gw_err *err = dp_h2_error(s);
        CU_ASSERT_EQUAL(err != NULL, c->why != NULL);
        if (err && c->why) CU_ASSERT_PTR_NOT_NULL(strstr(err->text, c->why));
        dp_h2_release(s);
        is_unharmed(&t, 3);
        finish(&t);
    }
}

// Too large but well-formed: told so, on a stream that is not reset before.
static void large_heads_are_answered(void) {
    struct server t;
    struct gw_text lines = {0}, section = {0};
    begin(&t);
    gw_text_adds(&lines, ASK);
    for (int i = 0; i < 129; i++)
        gw_text_adds(&lines, "x 1\n");
    h2_headers(&t.in, 1, lines.ptr, true);
    tell(&t);
    struct dp_h2_stream *s = dp_h2_ready(t.h);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    CU_ASSERT_PTR_NOT_NULL_FATAL(dp_h2_error(s));
    CU_ASSERT_EQUAL(dp_h2_error(s)->code, 431);
    struct dp_head answer = {.status = 431, .content_length = 0};
    dp_h2_send_head(s, &answer);
    dp_h2_send_end(s, NULL);
    dp_h2_release(s);
    h2_drain_into(t.h, &t.out);
    CU_ASSERT_NOT_EQUAL(h2_find(gw_text_str(&t.out), NGHTTP2_HEADERS, 1, 0), -1);
    CU_ASSERT_EQUAL(reset_code(&t, 1), -1);
    is_unharmed(&t, 3);
    gw_text_fini(&lines);
    gw_text_fini(&section);
    finish(&t);
}

// --- floods ------------------------------------------------------------------------------------

// CVE-2023-44487: opened and reset at once, for ever.
static void rapid_reset(void) {
    struct server t;
    begin(&t);
    uint32_t id = 1;
    for (int i = 0; i < 1000 && t.rc == GW_OK; i++, id += 2) {
        h2_headers(&t.in, id, ASK, true);
        h2_frame_u32(&t.in, NGHTTP2_RST_STREAM, id, NGHTTP2_CANCEL);
        tell(&t);
        struct dp_h2_stream *s = dp_h2_ready(t.h); // for the log
        CU_ASSERT_PTR_NOT_NULL_FATAL(s);
        CU_ASSERT_EQUAL(dp_h2_error(s)->rc, GW_CANCELLED);
        CU_ASSERT_PTR_NOT_NULL(dp_h2_request(s));
        dp_h2_release(s);
        CU_ASSERT_EQUAL(dp_h2_streams(t.h), 0);
    }
    CU_ASSERT_TRUE(id < 2 * 300);
    is_sent_away(&t, NGHTTP2_ENHANCE_YOUR_CALM);
    finish(&t);
}

// At a rate that people and agents have it goes on for ever. (nghttp2 has a limit of its own, 1,000
// and 33 a second by the real clock.)
static void slow_resets_are_fine(void) {
    struct server t;
    begin(&t);
    for (uint32_t id = 1; id < 1900; id += 2, t.now_ms += 50) {
        h2_headers(&t.in, id, ASK, true);
        h2_frame_u32(&t.in, NGHTTP2_RST_STREAM, id, NGHTTP2_CANCEL);
        tell(&t);
        release_all(&t);
        gw_text_reset(&t.out);
    }
    CU_ASSERT_EQUAL(t.rc, GW_OK);
    finish(&t);
}

// CVE-2025-8671: the peer has the server do the resetting.
static void made_you_reset(void) {
    for (int how = 0; how < 3; how++) {
        struct server t;
        begin(&t);
        uint32_t id = 1;
        for (int i = 0; i < 1000 && t.rc == GW_OK; i++, id += 2) {
            h2_headers(&t.in, id, how == 0 ? ASK "Bad 1\n" : POST "content-length 1\n", false);
            if (how == 1) h2_frame_u32(&t.in, NGHTTP2_WINDOW_UPDATE, id, 0x7fffffff);
            if (how == 2) h2_data(&t.in, id, "xx", false);
            tell(&t);
            release_all(&t);
        }
        CU_ASSERT_TRUE(id < 2 * 300);
        is_sent_away(&t, NGHTTP2_ENHANCE_YOUR_CALM);
        finish(&t);
    }
}

enum {
    FLOOD_PING,
    FLOOD_SETTINGS,
    FLOOD_PRIORITY,
    FLOOD_WINDOW,
    FLOOD_DATA,
    FLOOD_PADDED,
    FLOOD_UNKNOWN,
    FLOOD_CLOSED,
    FLOOD_RST,
    FLOODS
};

static void flood_frame(struct gw_text *in, int kind) {
    switch (kind) {
    case FLOOD_PING:
        h2_frame(in, NGHTTP2_PING, 0, 0, "12345678", 8);
        break;
    case FLOOD_SETTINGS:
        h2_frame(in, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
        break;
    case FLOOD_PRIORITY:
        h2_frame(in, NGHTTP2_PRIORITY, 0, 7, "\0\0\0\0\1", 5);
        break;
    case FLOOD_WINDOW:
        h2_frame_u32(in, NGHTTP2_WINDOW_UPDATE, 0, 1);
        break;
    case FLOOD_DATA:
        h2_frame(in, NGHTTP2_DATA, 0, 1, NULL, 0);
        break;
    case FLOOD_PADDED:
        h2_frame(in, NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, "\3\0\0\0", 4);
        break;
    case FLOOD_UNKNOWN:
        h2_frame(in, 0x77, 0, 0, "x", 1);
        break;
    case FLOOD_CLOSED:
        h2_frame_u32(in, NGHTTP2_WINDOW_UPDATE, 3, 1);
        break;
    default:
        h2_frame_u32(in, NGHTTP2_RST_STREAM, 3, NGHTTP2_CANCEL);
        break;
    }
}

static void floods_are_sent_away(void) {
    for (int kind = 0; kind < FLOODS; kind++) {
        struct server t;
        int n = 0;
        begin(&t);
        h2_headers(&t.in, 1, POST, false);
        h2_headers(&t.in, 3, ASK, true);
        h2_frame_u32(&t.in, NGHTTP2_RST_STREAM, 3, NGHTTP2_CANCEL);
        tell(&t);
        for (; n < 5000 && t.rc == GW_OK; n++) {
            flood_frame(&t.in, kind);
            tell(&t);
        }
        if (n > 500) printf("\nflood %d: %d frames\n", kind, n);
        CU_ASSERT_TRUE(n > 100 && n < 500);
        is_sent_away(&t, NGHTTP2_ENHANCE_YOUR_CALM);
        finish(&t);
    }
}

// All in one read, before anything could be answered.
static void a_flood_in_one_read(void) {
    for (int kind = 0; kind < FLOODS; kind++) {
        struct server t;
        begin(&t);
        h2_headers(&t.in, 1, POST, false);
        h2_headers(&t.in, 3, ASK, true);
        h2_frame_u32(&t.in, NGHTTP2_RST_STREAM, 3, NGHTTP2_CANCEL);
        for (int n = 0; n < 1000; n++)
            flood_frame(&t.in, kind);
        tell(&t);
        is_sent_away(&t, NGHTTP2_ENHANCE_YOUR_CALM);
        finish(&t);
    }
}

// A reader that credits every frame it gets is no flood.
static void readers_may_credit_what_they_read(void) {
    struct server t;
    begin(&t);
    h2_headers(&t.in, 1, ASK, true);
    tell(&t);
    struct dp_h2_stream *s = dp_h2_ready(t.h);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    struct dp_head answer = {.status = 200, .content_length = -1};
    dp_h2_send_head(s, &answer);
    for (int i = 0; i < 5000 && t.rc == GW_OK; i++) {
        struct gw_buf b = {0};
        gw_buf_push_copy(&b, "event", 5);
        dp_h2_send_data(s, &b);
        h2_frame_u32(&t.in, NGHTTP2_WINDOW_UPDATE, 0, 5);
        h2_frame_u32(&t.in, NGHTTP2_WINDOW_UPDATE, 1, 5);
        tell(&t);
        gw_text_reset(&t.out);
    }
    CU_ASSERT_EQUAL(t.rc, GW_OK);
    dp_h2_release(s);
    finish(&t);
}

static void continuation_flood(void) {
    struct server t;
    struct gw_text section = {0};
    begin(&t);
    h2_section(&section, ASK);
    h2_frame(&t.in, NGHTTP2_HEADERS, 0, 1, section.ptr, section.len);
    gw_text_reset(&section);
    h2_section(&section, "x 1\n");
    for (int i = 0; i < 20; i++)
        h2_frame(&t.in, NGHTTP2_CONTINUATION, 0, 1, section.ptr, section.len);
    tell(&t);
    CU_ASSERT_NOT_EQUAL(t.rc, GW_OK);
    CU_ASSERT_TRUE(dp_h2_is_over(t.h));
    gw_text_fini(&section);
    finish(&t);
}

// One entry of 4,000 bytes in the table, then a byte for each use of it.
static void hpack_bomb(void) {
    struct server t;
    struct gw_text section = {0};
    char value[4001] = {0};
    begin(&t);
    memset(value, 'v', sizeof(value) - 1);
    const uint8_t name[] = {0x40, 1, 'x', 127, ((4000 - 127) & 127) | 128, (4000 - 127) >> 7};
    gw_text_add(&section, name, sizeof(name));
    gw_text_add(&section, value, 4000);
    for (int i = 0; i < 10000; i++)
        gw_text_add(&section, "\xbe", 1);
    h2_frame(&t.in, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1,
             section.ptr, section.len);
    tell(&t);
    is_sent_away(&t, NGHTTP2_ENHANCE_YOUR_CALM);
    gw_text_fini(&section);
    finish(&t);
}

static CU_TestInfo tests[] = {
    {"malformed requests cost their stream", malformed_requests_cost_their_stream},
    {"lengths must add up", lengths_must_add_up},
    {"large heads are answered", large_heads_are_answered},
    {"rapid reset", rapid_reset},
    {"slow resets are fine", slow_resets_are_fine},
    {"made you reset", made_you_reset},
    {"floods are sent away", floods_are_sent_away},
    {"a flood in one read", a_flood_in_one_read},
    {"readers may credit what they read", readers_may_credit_what_they_read},
    {"CONTINUATION flood", continuation_flood},
    {"HPACK bomb", hpack_bomb},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_codec_h2_hostile = {"h2_hostile", NULL, NULL, NULL, NULL, tests};
