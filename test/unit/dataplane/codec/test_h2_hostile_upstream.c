// SPDX-License-Identifier: Apache-2.0
// HTTP/2 upstreams that mean harm, frame by frame: what they send for a request that is over
// touches nothing of it, and they are sent away as clients are.
#include "test/unit/dataplane/codec/h2_pair.h"

#include <CUnit/CUnit.h>

extern CU_SuiteInfo suite_dataplane_codec_h2_hostile_upstream;

// --- helpers -----------------------------------------------------------------------------------

// A client that is told bytes, with a request under way.
struct client {
    struct dp_h2 *h;
    struct gw_text in;
    struct gw_arena arena; // the request's
    struct dp_head ask;
    struct dp_h2_stream *s;
    enum gw_rc rc;
    struct gw_err err;
};

static void tell(struct client *t) {
    t->rc = h2_feed(t->h, gw_text_str(&t->in), 0, H2_NOW, &t->err);
    gw_text_reset(&t->in);
}

static void pump(struct client *t) {
    struct gw_text out = {0};
    h2_drain_into(t->h, &out);
    gw_text_fini(&out);
}

static void begin(struct client *t) {
    *t = (struct client){.ask = {.method = DP_METHOD_GET,
                                 .method_text = GW_STR("GET"),
                                 .target = GW_STR("/"),
                                 .authority = GW_STR("a"),
                                 .content_length = -1,
                                 .minor_version = 1}};
    t->h = dp_h2_new(&(struct dp_h2_conf){.role = DP_H2_CLIENT}, H2_NOW);
    gw_arena_init(&t->arena, NULL, 0, 64 * 1024);
    h2_frame(&t->in, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
    h2_frame(&t->in, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, NULL, 0);
    tell(t);
    CU_ASSERT_EQUAL_FATAL(dp_h2_open(t->h, &t->ask, &t->arena, &t->s, &t->err), GW_OK);
    dp_h2_send_end(t->s, NULL);
    pump(t);
}

// The request's memory is given back with it.
static void leave(struct client *t) {
    dp_h2_release(t->s);
    gw_arena_fini(&t->arena);
}

static void finish(struct client *t) {
    dp_h2_free(t->h);
    gw_text_fini(&t->in);
    CU_ASSERT_EQUAL(gw_slab_in_use(), 0);
}

static void section_frame(struct client *t, unsigned type, unsigned flags, const char *lines) {
    struct gw_text section = {0};
    h2_section(&section, lines);
    h2_frame(&t->in, type, flags, 1, section.ptr, section.len);
    gw_text_fini(&section);
}

// --- tests -------------------------------------------------------------------------------------

// The request ends in the middle of a field section, and its reset cannot go out because the
// upstream does not read: the rest of the section belongs to nobody.
static void a_section_outlives_its_request(void) {
    const char *first[] = {":status 200\n", ":status 103\n", ":status 200\nx-a 1\n"};
    for (size_t i = 0; i < GW_ARRAY_LEN(first); i++) {
        struct client t;
        begin(&t);
        section_frame(&t, NGHTTP2_HEADERS, 0, first[i]);
        tell(&t);
        CU_ASSERT_EQUAL(t.rc, GW_OK);
        leave(&t);
        section_frame(&t, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, "x-b 2\nx-c 3\n");
        h2_data(&t.in, 1, "late", true);
        tell(&t);
        CU_ASSERT_EQUAL(t.rc, GW_OK);
        pump(&t);
        CU_ASSERT_TRUE(dp_h2_may_open(t.h));
        finish(&t);
    }
}

static CU_TestInfo tests[] = {
    {"a section outlives its request", a_section_outlives_its_request},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_codec_h2_hostile_upstream = {
    "h2_hostile_upstream", NULL, NULL, NULL, NULL, tests};
