// SPDX-License-Identifier: Apache-2.0
// Two ends of the HTTP/2 codec that talk to each other in memory: messages, flow control, ends and
// drains. However the bytes are cut, the same comes out.
#include "test/unit/dataplane/codec/h2_pair.h"

#include <CUnit/CUnit.h>
#include <stdio.h>

extern CU_SuiteInfo suite_dataplane_codec_h2;

static const size_t steps[] = {0, 1, 7, 1000};

// --- helpers -----------------------------------------------------------------------------------

struct pair {
    struct dp_h2 *client, *server;
    struct gw_arena arena; // of the client's heads
    struct dp_head ask, answer;
    struct dp_h2_stream *c, *s; // the client's and the server's end of a stream
    size_t step;
};

static struct dp_head request_of(const char *method, int64_t length) {
    return (struct dp_head){.method = gw_str_eq(gw_str_of(method), GW_STR("HEAD")) ? DP_METHOD_HEAD
                                                                                   : DP_METHOD_POST,
                            .method_text = gw_str_of(method),
                            .target = GW_STR("/a?b"),
                            .authority = GW_STR("a.example"),
                            .content_length = length,
                            .minor_version = 1};
}

static void begin(struct pair *p, size_t step) {
    *p = (struct pair){.step = step};
    p->client = dp_h2_new(&(struct dp_h2_conf){.role = DP_H2_CLIENT}, H2_NOW);
    p->server = dp_h2_new(&(struct dp_h2_conf){.role = DP_H2_SERVER}, H2_NOW);
    h2_talk(p->client, p->server, step);
}

static void finish(struct pair *p) {
    if (p->c) dp_h2_release(p->c);
    if (p->s) dp_h2_release(p->s);
    dp_h2_free(p->client);
    dp_h2_free(p->server);
    gw_arena_fini(&p->arena);
    CU_ASSERT_EQUAL(gw_slab_in_use(), 0);
}

static void talk(struct pair *p) {
    h2_talk(p->client, p->server, p->step);
}

static void open_stream(struct pair *p, const char *method, int64_t length) {
    p->ask = request_of(method, length);
    struct gw_err err;
    CU_ASSERT_EQUAL_FATAL(dp_h2_open(p->client, &p->ask, &p->arena, &p->c, &err), GW_OK);
}

static void take_server(struct pair *p) {
    talk(p);
    p->s = dp_h2_ready(p->server);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p->s);
    CU_ASSERT_PTR_NULL(dp_h2_owner(p->s));
    dp_h2_set_owner(p->s, p);
}

static void send_text(struct dp_h2_stream *s, const char *text) {
    struct gw_buf b = {0};
    gw_buf_push_copy(&b, text, strlen(text));
    dp_h2_send_data(s, &b);
}

static void send_bytes(struct dp_h2_stream *s, size_t n) {
    struct gw_buf b = {0};
    char block[1024];
    memset(block, 'z', sizeof(block));
    for (; n >= sizeof(block); n -= sizeof(block))
        gw_buf_push_copy(&b, block, sizeof(block));
    gw_buf_push_copy(&b, block, n);
    dp_h2_send_data(s, &b);
}

// Everything that is there; returns how many bytes of DATA.
static size_t take_all(struct dp_h2_stream *s, bool *ret_end) {
    size_t n = 0;
    struct dp_ev ev;
    struct gw_slab *owner;
    while (dp_h2_next_event(s, &ev, &owner, NULL) == GW_OK) {
        n += ev.type == DP_EV_DATA ? ev.data.len : 0;
        if (ev.type == DP_EV_END) *ret_end = true;
        gw_slab_unref(owner);
    }
    return n;
}

static void answer_with(struct pair *p, int status, int64_t length) {
    p->answer = (struct dp_head){.status = status, .content_length = length};
    dp_h2_send_head(p->s, &p->answer);
}

// --- ends that are no clean ones ---------------------------------------------------------------

static void the_client_resets(void) {
    struct pair p;
    begin(&p, 0);
    open_stream(&p, "POST", -1);
    send_text(p.c, "part");
    take_server(&p);
    dp_h2_reset(p.c, DP_H2_CANCEL);
    talk(&p);
    CU_ASSERT_PTR_EQUAL(dp_h2_ready(p.server), p.s);
    struct dp_ev ev;
    struct gw_slab *owner;
    struct gw_err err;
    CU_ASSERT_EQUAL(dp_h2_next_event(p.s, &ev, &owner, &err), GW_CANCELLED);
    CU_ASSERT_PTR_NOT_NULL(dp_h2_error(p.s));
    CU_ASSERT_TRUE(dp_h2_is_closed(p.s) && dp_h2_is_closed(p.c));
    answer_with(&p, 200, -1); // dropped
    send_text(p.s, "x");
    dp_h2_send_end(p.s, NULL);
    CU_ASSERT_FALSE(dp_h2_wants_pump(p.server));
    finish(&p);
}

static void an_answer_that_is_cut_never_ends_clean(void) {
    struct pair p;
    begin(&p, 0);
    open_stream(&p, "GET", -1);
    dp_h2_send_end(p.c, NULL);
    take_server(&p);
    answer_with(&p, 200, -1);
    send_text(p.s, "part");
    talk(&p);
    struct gw_text got = {0};
    bool in_data = false;
    h2_say(p.c, &got, &in_data);
    dp_h2_reset(p.s, DP_H2_INTERNAL_ERROR);
    talk(&p);
    h2_say(p.c, &got, &in_data);
    CU_ASSERT_PTR_NOT_NULL(strstr(got.ptr, "part\nerror"));
    CU_ASSERT_PTR_NOT_NULL(strstr(got.ptr, "INTERNAL_ERROR"));
    CU_ASSERT_PTR_NULL(strstr(got.ptr, "end\n"));
    gw_text_fini(&got);
    finish(&p);
}

static void released_without_an_end_is_reset(void) {
    struct pair p;
    begin(&p, 0);
    open_stream(&p, "GET", -1);
    dp_h2_send_end(p.c, NULL);
    take_server(&p);
    answer_with(&p, 200, -1);
    send_text(p.s, "part");
    dp_h2_release(p.s);
    p.s = NULL;
    talk(&p);
    CU_ASSERT_PTR_NOT_NULL(dp_h2_error(p.c));
    CU_ASSERT_EQUAL(dp_h2_streams(p.server), 0);
    finish(&p);
}

static void refused_streams_are_retryable(void) {
    struct pair p;
    begin(&p, 0);
    open_stream(&p, "GET", -1);
    dp_h2_send_end(p.c, NULL);
    take_server(&p);
    dp_h2_reset(p.s, DP_H2_REFUSED_STREAM);
    talk(&p);
    CU_ASSERT_PTR_NOT_NULL_FATAL(dp_h2_error(p.c));
    CU_ASSERT_TRUE(dp_h2_error(p.c)->retryable);
    finish(&p);
}

// RFC 9113 8.1: a whole answer, and then RST_STREAM NO_ERROR because nobody takes the rest.
static void an_early_answer_is_whole(void) {
    struct pair p;
    begin(&p, 0);
    open_stream(&p, "POST", -1);
    send_text(p.c, "part");
    take_server(&p);
    answer_with(&p, 413, 3);
    send_text(p.s, "no.");
    dp_h2_send_end(p.s, NULL);
    dp_h2_release(p.s);
    p.s = NULL;
    talk(&p);
    struct gw_text got = {0};
    bool in_data = false;
    h2_say(p.c, &got, &in_data);
    CU_ASSERT_PTR_NOT_NULL(strstr(got.ptr, "no.\nend\n"));
    CU_ASSERT_TRUE(dp_h2_is_closed(p.c));
    CU_ASSERT_PTR_NULL(dp_h2_error(p.c));
    CU_ASSERT_EQUAL(dp_h2_streams(p.server), 0);
    gw_text_fini(&got);
    finish(&p);
}

// --- messages ----------------------------------------------------------------------------------

static void converse(struct pair *p, struct gw_text *out) {
    struct dp_field early[] = {{GW_STR("Link"), GW_STR("</a>"), DP_F_OTHER}};
    struct dp_field fields[] = {{GW_STR("X-Mixed-Case"), GW_STR("1"), DP_F_OTHER},
                                {GW_STR("Connection"), GW_STR("x"), DP_F_CONNECTION},
                                {GW_STR("Authorization"), GW_STR("k"), DP_F_AUTHORIZATION}};
    struct dp_field ends[] = {{GW_STR("Grpc-Status"), GW_STR("0"), DP_F_OTHER}};
    struct dp_fields trailers = {ends, 1, 1};
    struct dp_head hints = {.status = 103, .content_length = -1, .fields = {early, 1, 1}};
    bool in_data = false;
    open_stream(p, "POST", -1);
    p->ask.fields = (struct dp_fields){fields, 3, 3};
    p->ask.te_trailers = true;
    send_text(p->c, "hello ");
    take_server(p);
    h2_say(p->s, out, &in_data);
    send_text(p->c, "world");
    dp_h2_send_end(p->c, &trailers);
    talk(p);
    h2_say(p->s, out, &in_data);
    in_data = false;
    dp_h2_send_interim(p->s, &hints);
    answer_with(p, 200, 9);
    send_text(p->s, "an answer");
    dp_h2_send_end(p->s, &trailers);
    talk(p);
    h2_say(p->c, out, &in_data);
    CU_ASSERT_TRUE(dp_h2_is_closed(p->c) && dp_h2_is_closed(p->s));
}

static void messages_of_both_sides(void) {
    struct gw_text whole = {0};
    for (size_t i = 0; i < GW_ARRAY_LEN(steps); i++) {
        struct gw_text got = {0};
        struct pair p;
        begin(&p, steps[i]);
        converse(&p, &got);
        if (i == 0)
            gw_text_add(&whole, got.ptr, got.len);
        else
            CU_ASSERT_TRUE(gw_str_eq(gw_text_str(&whole), gw_text_str(&got)));
        gw_text_fini(&got);
        finish(&p);
    }
    const char *const wanted[] = {
        "text=4:POST target=4:/a?b path=2:/a query=1:b authority=9:a.example",
        "name=12:x-mixed-case value=1:1",
        "name=13:authorization value=1:k",
        "hello world\ntrailers",
        "name=11:grpc-status value=1:0\nend\n",
        "interim method=0",
        "name=4:link value=4:</a>",
        "status=200",
        "length=9",
        "an answer\ntrailers"};
    for (size_t i = 0; i < GW_ARRAY_LEN(wanted); i++) {
        if (!strstr(whole.ptr, wanted[i])) printf("\nno '%s' in\n%s\n", wanted[i], whole.ptr);
        CU_ASSERT_PTR_NOT_NULL(strstr(whole.ptr, wanted[i]));
    }
    CU_ASSERT_PTR_NULL(strstr(whole.ptr, "onnection"));
    gw_text_fini(&whole);
}

static void head_answers_may_tell_a_length(void) {
    struct pair p;
    begin(&p, 0);
    open_stream(&p, "HEAD", -1);
    dp_h2_send_end(p.c, NULL);
    take_server(&p);
    answer_with(&p, 200, 99);
    dp_h2_send_end(p.s, NULL);
    talk(&p);
    struct gw_text got = {0};
    bool in_data = false;
    h2_say(p.c, &got, &in_data);
    CU_ASSERT_PTR_NOT_NULL(strstr(got.ptr, "length=99"));
    CU_ASSERT_PTR_NOT_NULL(strstr(got.ptr, "end\n"));
    gw_text_fini(&got);
    finish(&p);
}

// A head that is all there is goes out as one frame that ends the stream: gRPC's "trailers-only".
static void a_head_alone_is_one_frame(void) {
    struct pair p;
    begin(&p, 0);
    open_stream(&p, "GET", -1);
    dp_h2_send_end(p.c, NULL);
    struct gw_text wire = {0};
    struct gw_err err;
    h2_drain_into(p.client, &wire);
    CU_ASSERT_EQUAL(h2_find(gw_text_str(&wire), NGHTTP2_DATA, 1, 0), -1);
    CU_ASSERT_EQUAL(h2_feed(p.server, gw_text_str(&wire), 0, H2_NOW, &err), GW_OK);
    gw_text_reset(&wire);
    p.s = dp_h2_ready(p.server);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p.s);
    answer_with(&p, 200, -1);
    dp_h2_send_end(p.s, NULL);
    h2_drain_into(p.server, &wire);
    CU_ASSERT_EQUAL(h2_find(gw_text_str(&wire), NGHTTP2_DATA, 1, 0), -1);
    CU_ASSERT_NOT_EQUAL(h2_find(gw_text_str(&wire), NGHTTP2_HEADERS, 1, 0), -1);
    CU_ASSERT_TRUE(dp_h2_is_closed(p.s));
    gw_text_fini(&wire);
    finish(&p);
}

// --- flow control ------------------------------------------------------------------------------

static void a_body_that_nobody_takes_stops_its_sender(void) {
    struct pair p;
    bool ended = false;
    begin(&p, 0);
    open_stream(&p, "POST", -1);
    send_bytes(p.c, 10 * DP_H2_WINDOW_BYTES);
    take_server(&p);
    for (int i = 0; i < 10; i++)
        talk(&p);
    size_t left = dp_h2_queued(p.c);
    CU_ASSERT_EQUAL(left, 9 * DP_H2_WINDOW_BYTES);
    CU_ASSERT_TRUE(dp_h2_is_full(p.c));
    CU_ASSERT_EQUAL(take_all(p.s, &ended), DP_H2_WINDOW_BYTES);
    talk(&p);
    CU_ASSERT_TRUE(dp_h2_queued(p.c) < left);
    dp_h2_send_end(p.c, NULL);
    size_t n = DP_H2_WINDOW_BYTES;
    for (int i = 0; i < 100 && !ended; i++) {
        n += take_all(p.s, &ended);
        talk(&p);
    }
    CU_ASSERT_EQUAL(n, 10 * DP_H2_WINDOW_BYTES);
    CU_ASSERT_TRUE(ended);
    finish(&p);
}

// Streams that stand still do not stop the others, and what they hold is bounded.
static void streams_stand_still_alone(void) {
    struct pair p;
    struct dp_h2_stream *c[32], *s[32];
    struct gw_err err;
    bool ended = false;
    begin(&p, 0);
    p.ask = request_of("POST", -1);
    for (int i = 0; i < 32; i++) {
        CU_ASSERT_EQUAL_FATAL(dp_h2_open(p.client, &p.ask, &p.arena, &c[i], &err), GW_OK);
        send_bytes(c[i], 2 * DP_H2_WINDOW_BYTES);
    }
    talk(&p);
    for (int i = 0; i < 32; i++)
        s[i] = dp_h2_ready(p.server);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s[31]);
    CU_ASSERT_TRUE(gw_slab_in_use() * GW_SLAB_BYTES < 3 * 32 * 3 * DP_H2_WINDOW_BYTES);
    size_t n = take_all(s[31], &ended);
    talk(&p);
    n += take_all(s[31], &ended);
    CU_ASSERT_EQUAL(n, 2 * DP_H2_WINDOW_BYTES);
    for (int i = 0; i < 32; i++) {
        dp_h2_release(c[i]);
        dp_h2_release(s[i]);
    }
    talk(&p);
    // What was never taken was credited to the connection: another stream has its whole window.
    open_stream(&p, "POST", -1);
    send_bytes(p.c, DP_H2_WINDOW_BYTES);
    take_server(&p);
    CU_ASSERT_EQUAL(take_all(p.s, &ended), DP_H2_WINDOW_BYTES);
    finish(&p);
}

static void an_owner_hears_that_its_queue_drained(void) {
    struct pair p;
    bool ended = false;
    begin(&p, 0);
    open_stream(&p, "GET", -1);
    dp_h2_send_end(p.c, NULL);
    take_server(&p);
    answer_with(&p, 200, -1);
    send_bytes(p.s, DP_H2_QUEUE_HIGH);
    CU_ASSERT_TRUE(dp_h2_is_full(p.s));
    struct gw_buf out = {0};
    dp_h2_pump(p.server, &out, 16);
    CU_ASSERT_PTR_NULL(dp_h2_ready(p.server));
    CU_ASSERT_TRUE(dp_h2_wants_pump(p.server));
    dp_h2_pump(p.server, &out, SIZE_MAX);
    CU_ASSERT_PTR_EQUAL(dp_h2_ready(p.server), p.s);
    CU_ASSERT_FALSE(dp_h2_is_full(p.s));
    gw_buf_fini(&out);
    (void)ended;
    finish(&p);
}

// DATA passes by reference: the bytes that go out lie in the slab that came in.
static void bodies_are_not_copied(void) {
    struct pair p;
    begin(&p, 0);
    open_stream(&p, "GET", -1);
    dp_h2_send_end(p.c, NULL);
    take_server(&p);
    struct gw_slab *slab = gw_slab_get();
    struct gw_buf b = {0}, out = {0};
    gw_buf_push(&b, slab, slab->data, 10000);
    answer_with(&p, 200, -1);
    dp_h2_send_data(p.s, &b);
    dp_h2_pump(p.server, &out, SIZE_MAX);
    bool found = false;
    for (struct gw_buf_node *n = out.head; n; n = n->next)
        found = found || (n->slice.ptr == slab->data && n->slice.len == 10000);
    CU_ASSERT_TRUE(found);
    gw_slab_unref(slab);
    gw_buf_fini(&out);
    finish(&p);
}

static void readers_that_drip_are_reaped(void) {
    struct pair p;
    begin(&p, 0);
    open_stream(&p, "GET", -1);
    dp_h2_send_end(p.c, NULL);
    take_server(&p);
    answer_with(&p, 200, -1);
    send_bytes(p.s, 2 * DP_H2_WINDOW_BYTES); // more than the client will take
    dp_h2_send_end(p.s, NULL);
    dp_h2_release(p.s);
    p.s = NULL;
    talk(&p);
    CU_ASSERT_EQUAL(dp_h2_streams(p.server), 1);
    dp_h2_reap(p.server);
    talk(&p);
    CU_ASSERT_EQUAL(dp_h2_streams(p.server), 1);
    dp_h2_reap(p.server);
    talk(&p);
    CU_ASSERT_EQUAL(dp_h2_streams(p.server), 0);
    CU_ASSERT_PTR_NOT_NULL(dp_h2_error(p.c));
    finish(&p);
}

// --- limits and drains -------------------------------------------------------------------------

static void no_more_streams_than_allowed(void) {
    struct pair p;
    struct dp_h2_stream *c[DP_H2_STREAMS_MAX];
    struct gw_err err;
    begin(&p, 0);
    p.ask = request_of("GET", -1);
    for (int i = 0; i < DP_H2_STREAMS_MAX; i++)
        CU_ASSERT_EQUAL_FATAL(dp_h2_open(p.client, &p.ask, &p.arena, &c[i], &err), GW_OK);
    CU_ASSERT_FALSE(dp_h2_may_open(p.client));
    CU_ASSERT_EQUAL(dp_h2_open(p.client, &p.ask, &p.arena, &p.c, &err), GW_ERR_UPSTREAM);
    CU_ASSERT_TRUE(err.retryable);
    for (int i = 0; i < DP_H2_STREAMS_MAX; i++)
        dp_h2_release(c[i]);
    CU_ASSERT_TRUE(dp_h2_may_open(p.client));
    finish(&p);
}

static void drains_in_two_steps(void) {
    struct pair p;
    bool ended = false;
    begin(&p, 0);
    open_stream(&p, "GET", -1);
    dp_h2_send_end(p.c, NULL);
    take_server(&p);
    dp_h2_drain(p.server);
    talk(&p);
    CU_ASSERT_TRUE(dp_h2_peer_is_going(p.client));
    CU_ASSERT_FALSE(dp_h2_may_open(p.client));
    CU_ASSERT_PTR_NULL(dp_h2_error(p.c));
    dp_h2_goaway(p.server, DP_H2_NO_ERROR);
    talk(&p);
    answer_with(&p, 200, 2);
    send_text(p.s, "ok");
    dp_h2_send_end(p.s, NULL);
    talk(&p);
    CU_ASSERT_EQUAL(take_all(p.c, &ended), 2);
    CU_ASSERT_TRUE(ended);
    CU_ASSERT_TRUE(dp_h2_is_over(p.server));
    finish(&p);
}

static void pings_are_answered(void) {
    struct pair p;
    begin(&p, 0);
    dp_h2_ping(p.server);
    talk(&p);
    CU_ASSERT_EQUAL(dp_h2_pongs(p.server), 1);
    finish(&p);
}

static void streams_may_be_dropped_at_any_time(void) {
    struct pair p;
    struct gw_err err;
    begin(&p, 0);
    open_stream(&p, "POST", -1); // never pumped
    dp_h2_release(p.c);
    open_stream(&p, "POST", -1);
    dp_h2_send_end(p.c, NULL); // submitted, never pumped
    dp_h2_release(p.c);
    p.c = NULL;
    talk(&p);
    CU_ASSERT_PTR_NULL(dp_h2_ready(p.server));
    CU_ASSERT_TRUE(dp_h2_may_open(p.client));
    CU_ASSERT_EQUAL(dp_h2_streams(p.client), 0);
    CU_ASSERT_EQUAL(dp_h2_streams(p.server), 0);
    (void)err;
    finish(&p);
}

static CU_TestInfo tests[] = {
    {"the client resets", the_client_resets},
    {"an answer that is cut never ends clean", an_answer_that_is_cut_never_ends_clean},
    {"released without an end is reset", released_without_an_end_is_reset},
    {"refused streams are retryable", refused_streams_are_retryable},
    {"an early answer is whole", an_early_answer_is_whole},
    {"messages of both sides", messages_of_both_sides},
    {"HEAD answers may tell a length", head_answers_may_tell_a_length},
    {"a head alone is one frame", a_head_alone_is_one_frame},
    {"a body that nobody takes stops its sender", a_body_that_nobody_takes_stops_its_sender},
    {"streams stand still alone", streams_stand_still_alone},
    {"an owner hears that its queue drained", an_owner_hears_that_its_queue_drained},
    {"bodies are not copied", bodies_are_not_copied},
    {"readers that drip are reaped", readers_that_drip_are_reaped},
    {"no more streams than allowed", no_more_streams_than_allowed},
    {"drains in two steps", drains_in_two_steps},
    {"pings are answered", pings_are_answered},
    {"streams may be dropped at any time", streams_may_be_dropped_at_any_time},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_codec_h2 = {"h2", NULL, NULL, NULL, NULL, tests};
