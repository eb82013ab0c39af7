// SPDX-License-Identifier: Apache-2.0
// Event streams: every case whole, cut at every byte, and byte by byte.
#include "dataplane/codec/sse.h"
#include "test/unit/shared/split.h"

#include <CUnit/CUnit.h>

extern CU_SuiteInfo suite_dataplane_codec_sse;

// Events with data or a name, as "name=data;", then "rest:" and what never ended. Raw bytes of all
// events and the rest must be the input.
struct reading {
    struct gw_str input;
    bool raw_is_input;
};

static void say(struct gw_text *out, const struct dp_sse_event *e) {
    if (!e->data.ptr && e->name.len == 0) return;
    gw_text_add(out, e->name.ptr, e->name.len);
    gw_text_adds(out, e->data.ptr ? "=" : "");
    if (e->data.len) gw_text_add(out, e->data.ptr, e->data.len);
    gw_text_adds(out, ";");
}

static void read_pieces(void *arg, const struct gw_str *pieces, size_t n, struct gw_text *out) {
    struct reading *r = arg;
    struct dp_sse s = {0};
    struct gw_text raw = {0};
    for (size_t i = 0; i < n; i++) {
        struct gw_str in = pieces[i];
        while (in.len) {
            struct dp_sse_event e;
            size_t used;
            if (dp_sse_feed(&s, in, &used, &e, NULL) != GW_OK) break;
            say(out, &e);
            gw_text_add(&raw, e.raw.ptr, e.raw.len);
            in = (struct gw_str){in.ptr + used, in.len - used};
        }
    }
    struct gw_str rest = dp_sse_rest(&s);
    gw_text_adds(out, "rest:");
    if (rest.len) gw_text_add(out, rest.ptr, rest.len);
    if (rest.len) gw_text_add(&raw, rest.ptr, rest.len);
    r->raw_is_input &= gw_str_eq(gw_text_str(&raw), r->input);
    gw_text_fini(&raw);
    dp_sse_fini(&s);
}

static void check(struct gw_str input, const char *want) {
    struct reading r = {.input = input, .raw_is_input = true};
    struct gw_text whole = {0};
    CU_ASSERT(split_run_text(input, read_pieces, &r, &whole));
    CU_ASSERT(r.raw_is_input);
    CU_ASSERT_STRING_EQUAL(whole.ptr, want);
    gw_text_fini(&whole);
}
#define CHECK(lit, want) check(GW_STR(lit), want)

static void what_never_ended_is_the_rest(void) {
    CHECK("", "rest:");
    CHECK("data: a", "rest:data: a");
    CHECK("data: a\n", "rest:data: a\n");
    CHECK("data: a\n\ndata: b\n", "=a;rest:data: b\n");
    CHECK(": only a comment", "rest:: only a comment");
}

static void what_is_no_event(void) {
    CHECK("\n\n\r\n\r\r", "rest:");
    CHECK(": ping\n\n", "rest:");
    CHECK("id: 1\nretry: 5\n\n", "rest:");
    CHECK("Data: a\nEVENT: b\n data: c\n\n", "rest:");
    CHECK("dat: a\ndatax: b\n\n", "rest:");
}

static void line_ends(void) {
    CHECK("data: a\n\ndata: b\n\n", "=a;=b;rest:");
    CHECK("data: a\r\n\r\ndata: b\r\n\r\n", "=a;=b;rest:");
    CHECK("data: a\r\rdata: b\r\r", "=a;=b;rest:");
    CHECK("data: a\r\n\ndata: b\n\r\ndata: c\r\r\ndata: d\n\r", "=a;=b;=c;=d;rest:");
    CHECK("data: a\rdata: b\ndata: c\r\ndata: d\r\n\r\n", "=a\nb\nc\nd;rest:");
}

static void values(void) {
    CHECK("data:a\n\n", "=a;rest:");
    CHECK("data: a\n\n", "=a;rest:");
    CHECK("data:  a \n\n", "= a ;rest:");
    CHECK("data:\ta\n\n", "=\ta;rest:");
    CHECK("data:\n\n", "=;rest:");
    CHECK("data\n\n", "=;rest:");
    CHECK("data: \n\n", "=;rest:");
    CHECK("data: a:b\n\n", "=a:b;rest:");
}

static void several_lines_of_data_are_joined(void) {
    CHECK("data: a\ndata: b\n\n", "=a\nb;rest:");
    CHECK("data\ndata\n\n", "=\n;rest:");
    CHECK("data:\ndata: x\ndata:\n\n", "=\nx\n;rest:");
    CHECK("data: 1\n: c\ndata: 2\nid: 7\ndata: 3\n\ndata: 4\ndata: 5\n\n", "=1\n2\n3;=4\n5;rest:");
}

static void names(void) {
    CHECK("event: ping\n\n", "ping;rest:");
    CHECK("event: a\ndata: x\n\n", "a=x;rest:");
    CHECK("data: x\nevent: a\nevent:b\n\n", "b=x;rest:");
    CHECK("event\ndata: x\n\n", "=x;rest:");
    CHECK(": c\nevent: message_start\ndata: {}\n\nevent: ping\ndata: {}\n\n",
          "message_start={};ping={};rest:");
}

static void a_byte_order_mark_is_skipped_once(void) {
    CHECK("\xef\xbb\xbf"
          "data: a\n\n\xef\xbb\xbf"
          "data: b\n\n",
          "=a;rest:");
    CHECK("\xef\xbb\xbf\n\xef\xbb\xbf"
          "data: b\n\ndata: c\n\n",
          "=c;rest:");
    CHECK("\xef\xbb\xbf\r\ndata: c\r\n\r\n", "=c;rest:");
    CHECK("\xef\xbb\n\ndata: c\n\n", "=c;rest:");
}

static void llm_06_characters_cut_by_reads(void) {
    CHECK("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\xe4\xb8\x96\xe7\x95\x8c\"}}]}"
          "\n\n",
          "={\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\xe4\xb8\x96\xe7\x95\x8c\"}}]};"
          "rest:");
}

// What arrived is given out at once, also where a CR might be half a line end.
static void an_event_is_not_held_back(void) {
    struct dp_sse s = {0};
    struct dp_sse_event e;
    size_t used;
    CU_ASSERT_EQUAL(dp_sse_feed(&s, GW_STR("data: a\r\n\r"), &used, &e, NULL), GW_OK);
    CU_ASSERT_EQUAL(used, 10);
    CU_ASSERT(gw_str_eq(e.data, GW_STR("a")));
    CU_ASSERT_EQUAL(dp_sse_rest(&s).len, 0);
    CU_ASSERT_EQUAL(dp_sse_feed(&s, GW_STR("\ndata: b\n\n"), &used, &e, NULL), GW_OK);
    CU_ASSERT_EQUAL(used, 1);
    CU_ASSERT_PTR_NULL(e.data.ptr);
    CU_ASSERT(gw_str_eq(e.raw, GW_STR("\n")));
    dp_sse_fini(&s);
    CU_ASSERT_EQUAL(dp_sse_feed(&s, GW_STR("\xef\xbb\xbf\ndata"), &used, &e, NULL), GW_OK);
    CU_ASSERT_EQUAL(used, 4);
    dp_sse_fini(&s);
}

static void whole_events_are_not_copied(void) {
    struct dp_sse s = {0};
    struct dp_sse_event e;
    size_t used;
    struct gw_str in = GW_STR("data: a\n\ndata: b\n\n");
    CU_ASSERT_EQUAL(dp_sse_feed(&s, in, &used, &e, NULL), GW_OK);
    CU_ASSERT_PTR_EQUAL(e.raw.ptr, in.ptr);
    CU_ASSERT_PTR_EQUAL(e.data.ptr, in.ptr + 6);
    CU_ASSERT_EQUAL(e.raw.len, 9);
    CU_ASSERT_PTR_NULL(s.held.ptr);
    in = GW_STR("data: a\r\n\r\ndata: b\r\n\r\n");
    CU_ASSERT_EQUAL(dp_sse_feed(&s, in, &used, &e, NULL), GW_OK);
    CU_ASSERT_EQUAL(e.raw.len, 11);
    dp_sse_fini(&s);
}

// In pieces of step bytes; an event of n bytes in all.
static enum gw_rc feed_long(size_t n, size_t step) {
    char *text = gw_alloc(n);
    memset(text, 'x', n);
    memcpy(text, "data:", 5);
    memcpy(text + n - 2, "\n\n", 2);
    struct dp_sse s = {0};
    struct dp_sse_event e;
    struct gw_err err;
    enum gw_rc rc = GW_AGAIN;
    for (size_t at = 0; at < n && rc == GW_AGAIN; at += step) {
        size_t used;
        struct gw_str piece = {text + at, n - at < step ? n - at : step};
        rc = dp_sse_feed(&s, piece, &used, &e, &err);
    }
    dp_sse_fini(&s);
    free(text);
    return rc;
}

static void limit_of_an_event(void) {
    const size_t steps[] = {SIZE_MAX / 2, 65536, 4099};
    for (size_t i = 0; i < GW_ARRAY_LEN(steps); i++) {
        CU_ASSERT_EQUAL(feed_long(DP_SSE_EVENT_BYTES_MAX, steps[i]), GW_OK);
        CU_ASSERT_EQUAL(feed_long(DP_SSE_EVENT_BYTES_MAX + 1, steps[i]), GW_ERR_LIMIT);
    }
}

static CU_TestInfo tests[] = {
    {"limit of an event", limit_of_an_event},
    {"what never ended is the rest", what_never_ended_is_the_rest},
    {"what is no event", what_is_no_event},
    {"line ends", line_ends},
    {"values", values},
    {"several lines of data are joined", several_lines_of_data_are_joined},
    {"names", names},
    {"a byte order mark is skipped once", a_byte_order_mark_is_skipped_once},
    {"llm-06: characters cut by reads", llm_06_characters_cut_by_reads},
    {"an event is not held back", an_event_is_not_held_back},
    {"whole events are not copied", whole_events_are_not_copied},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_codec_sse = {"sse", NULL, NULL, NULL, NULL, tests};
