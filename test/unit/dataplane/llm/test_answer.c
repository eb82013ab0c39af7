// SPDX-License-Identifier: Apache-2.0
// Answers on their way down, each whole, cut at every byte and byte by byte.
#include "test/unit/dataplane/llm/answers.h"

#include <CUnit/CUnit.h>

#define SSE "text/event-stream"
#define JSON "application/json"

#define ROLE "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n"
#define HI "data: {\"choices\":[{\"delta\":{\"content\":\"hi there\"}}]}\n\n"
#define STOP "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define USAGE                                                                                      \
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3,"                \
    "\"prompt_tokens_details\":{\"cached_tokens\":2}}}\n\n"
#define DONE "data: [DONE]\n\n"
#define CUT                                                                                        \
    "data: {\"error\":{\"message\":\"the provider's stream broke off before its end\","            \
    "\"type\":\"server_error\",\"param\":null,\"code\":\"upstream_cut\"}}\n\n"
#define BROKE " | 502 the provider's stream broke off before its end"
#define REPORTED "502 the provider reported an error in its stream"

struct answer_case {
    const char *name;
    struct test_answer answer;
    const char *body, *want;
};

static void expect(const struct answer_case *table, size_t n) {
    for (size_t i = 0; i < n; i++) {
        bool is_right = test_answer_is(&table[i].answer, gw_str_of(table[i].body), table[i].want);
        CU_ASSERT(is_right);
        if (!is_right) printf("\n%s: wrong\n", table[i].name);
    }
}

// The request has 27 bytes, which is 6 tokens by size.
static void plain_answers(void) {
    static const char usage_end[] =
        "{\"choices\":[{\"message\":{\"content\":\"x\"}}],\"usage\":{\"prompt_tokens\":5,"
        "\"completion_tokens\":9,\"prompt_tokens_details\":{\"cached_tokens\":4}}}";
    static const struct answer_case table[] = {
        {"cut",
         {.type = JSON, .cut = true},
         "{\"a\":",
         "{\"a\": | 502 the provider's answer was "
         "cut | ~6/1/-1 failed"},
        {"usage at the end",
         {.type = JSON},
         usage_end,
         "{\"choices\":[{\"message\":{\"content\":\"x\"}}],\"usage\":{\"prompt_tokens\":5,"
         "\"completion_tokens\":9,\"prompt_tokens_details\":{\"cached_tokens\":4}}} | 5/9/4"},
        {"no usage", {.type = JSON}, "{\"choices\":[1,2]}\n", "{\"choices\":[1,2]}\n | ~6/4/-1"},
        {"usage is null", {.type = JSON}, "{\"usage\":null}", "{\"usage\":null} | ~6/3/-1"},
        {"usage is half there",
         {.type = JSON},
         "{\"usage\":{\"prompt_tokens\":5}}",
         "{\"usage\":{\"prompt_tokens\":5}} | ~5/7/-1"},
        {"usage of other types",
         {.type = JSON},
         "{\"usage\":{\"prompt_tokens\":\"5\",\"completion_tokens\":-1}}",
         "{\"usage\":{\"prompt_tokens\":\"5\",\"completion_tokens\":-1}} | ~6/13/-1"},
        {"no JSON", {.type = JSON}, "<html>busy</html>", "<html>busy</html> | ~6/4/-1"},
        {"ends too early for JSON",
         {.type = JSON},
         "{\"usage\":{\"prompt_tokens\":5,",
         "{\"usage\":{\"prompt_tokens\":5, | ~6/7/-1"},
        {"empty", {.type = JSON}, "", " | ~6/0/-1"},
        {"no type", {0}, "{}", "{} | ~6/0/-1"},
        {"identity is no coding", {.coding = "identity"}, "{}", "{} | ~6/0/-1"},
    };
    expect(table, GW_ARRAY_LEN(table));
}

static void refusals_of_the_provider(void) {
    static const char error[] = "{\"error\":{\"message\":\"slow\",\"code\":\"rate\"}}";
    static const char told[] =
        "{\"error\":{\"message\":\"slow\",\"code\":\"rate\"}} | -1/-1/-1 failed";
    static const struct answer_case table[] = {
        {"401",
         {.type = JSON, .status = 401},
         error,
         "[begin upstream_auth 502: the provider refused this gateway's credentials (status 401)]"},
        {"403",
         {.type = SSE, .status = 403},
         error,
         "[begin upstream_auth 502: the provider refused this gateway's credentials (status 403)]"},
        {"400", {.type = JSON, .status = 400}, error, told},
        {"429", {.type = JSON, .status = 429}, error, told},
        {"500", {.type = JSON, .status = 500}, error, told},
        {"an error that says it is a stream", {.type = SSE, .status = 503}, error, told},
        {"no JSON", {.type = "text/html", .status = 502}, "<html>", "<html> | -1/-1/-1 failed"},
        {"an unknown coding",
         {.type = JSON, .coding = "br"},
         "x",
         "[begin upstream_encoding 502: the provider's answer is coded as 'br', which cannot be "
         "read]"},
        {"two codings",
         {.type = JSON, .coding = "gzip, gzip"},
         "x",
         "[begin upstream_encoding 502: the provider's answer is coded as 'gzip, gzip', which "
         "cannot be read]"},
    };
    expect(table, GW_ARRAY_LEN(table));
}

static void streams_that_end_well(void) {
    static const struct answer_case table[] = {
        {"the usage that was not asked for is taken out",
         {.type = SSE},
         ROLE HI STOP USAGE DONE,
         ROLE HI STOP DONE " | 7/3/2"},
        {"the usage that was asked for stays",
         {.type = SSE, .asked = true},
         ROLE HI STOP USAGE DONE,
         ROLE HI STOP USAGE DONE " | 7/3/2"},
        {"parameters of the type",
         {.type = "Text/Event-Stream; charset=utf-8"},
         HI USAGE DONE,
         HI DONE " | 7/3/2"},
        {"without usage", {.type = SSE}, ROLE HI STOP DONE, ROLE HI STOP DONE " | ~6/2/-1"},
        {"[DONE] is missing", {.type = SSE}, HI STOP, HI STOP " | ~6/2/-1"},
        {"[DONE] has no blank line",
         {.type = SSE},
         HI STOP "data: [DONE]",
         HI STOP "data: [DONE] | ~6/2/-1"},
        {"cut after [DONE]", {.type = SSE, .cut = true}, HI USAGE DONE, HI DONE " | 7/3/2"},
        {"[DONE] alone", {.type = SSE}, DONE, DONE " | ~6/0/-1"},
        {"[DONE] without its blank",
         {.type = SSE},
         HI "data:[DONE]\n\n",
         HI "data:[DONE]\n\n | ~6/2/-1"},
        {"usage is null",
         {.type = SSE},
         "data: {\"choices\":[],\"usage\":null}\n\n" HI DONE,
         "data: {\"choices\":[],\"usage\":null}\n\n" HI DONE " | ~6/2/-1"},
        {"usage on every chunk: the largest, not the sum",
         {.type = SSE},
         "data: {\"choices\":[{}],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":1}}\n\n"
         "data: {\"choices\":[{}],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5}}\n\n"
         "data: "
         "{\"choices\":[{}],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":4}}\n\n" DONE,
         "data: {\"choices\":[{}],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":1}}\n\n"
         "data: {\"choices\":[{}],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5}}\n\n"
         "data: {\"choices\":[{}],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":4}}\n\n" DONE
         " | 7/5/-1"},
        {"no choices and no usage is for the client",
         {.type = SSE},
         "data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n" HI DONE,
         "data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n" HI DONE " | ~6/2/-1"},
        {"error is null",
         {.type = SSE},
         "data: {\"error\":null,\"choices\":[{\"delta\":{\"content\":\"abcd\"}}]}\n\n" DONE,
         "data: {\"error\":null,\"choices\":[{\"delta\":{\"content\":\"abcd\"}}]}\n\n" DONE
         " | ~6/1/-1"},
        {"comments, names and data that is no JSON",
         {.type = SSE},
         ": ping\n\nevent: x\ndata: {no\n\nid: 1\nretry: 5\n\n" HI DONE,
         ": ping\n\nevent: x\ndata: {no\n\nid: 1\nretry: 5\n\n" HI DONE " | ~6/2/-1"},
        {"data in two lines",
         {.type = SSE},
         "data: {\"choices\":\ndata: [{\"delta\":{\"content\":\"abcd\"}}]}\n\n" DONE,
         "data: {\"choices\":\ndata: [{\"delta\":{\"content\":\"abcd\"}}]}\n\n" DONE " | ~6/1/-1"},
    };
    expect(table, GW_ARRAY_LEN(table));
}

static void two_choices(void) {
    static const struct answer_case table[] = {
        {"both count",
         {.type = SSE},
         "data: {\"choices\":[{\"delta\":{\"content\":\"123\"}},"
         "{\"delta\":{\"content\":\"123\"}}]}\n\n" DONE,
         "data: {\"choices\":[{\"delta\":{\"content\":\"123\"}},"
         "{\"delta\":{\"content\":\"123\"}}]}\n\n" DONE " | ~6/1/-1"},
        {"a number is no text",
         {.type = SSE},
         "data: "
         "{\"choices\":[{\"delta\":{\"content\":1}},{\"delta\":{\"content\":\"\"}}]}\n\n" DONE,
         "data: {\"choices\":[{\"delta\":{\"content\":1}},{\"delta\":{\"content\":\"\"}}]}\n\n" DONE
         " | ~6/0/-1"},
        {"in turns",
         {.type = SSE},
         "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"1\"}}]}\n\n"
         "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"2\"}}]}\n\n"
         "data: {\"choices\":[{\"index\":0,\"finish_reason\":\"stop\"}]}\n\n"
         "data: {\"choices\":[{\"index\":1,\"finish_reason\":\"length\"}]}\n\n",
         "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"1\"}}]}\n\n"
         "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"2\"}}]}\n\n"
         "data: {\"choices\":[{\"index\":0,\"finish_reason\":\"stop\"}]}\n\n"
         "data: {\"choices\":[{\"index\":1,\"finish_reason\":\"length\"}]}\n\n | ~6/2/-1"},
    };
    expect(table, GW_ARRAY_LEN(table));
}

static void streams_that_break(void) {
    static const struct answer_case table[] = {
        {"nothing", {.type = SSE}, "", " | held" BROKE " | ~6/0/-1 failed"},
        {"comments alone", {.type = SSE}, ": a\n\n: b\n\n", " | held" BROKE " | ~6/0/-1 failed"},
        {"usage alone", {.type = SSE}, USAGE, " | held" BROKE " | 7/3/2 failed"},
        {"cut before the first content",
         {.type = SSE, .cut = true},
         ": a\n\ndata: {\"cho",
         " | held" BROKE " | ~6/0/-1 failed"},
        {"cut after content",
         {.type = SSE, .cut = true},
         HI,
         HI CUT BROKE " told | ~6/2/-1 failed"},
        {"a clean end without a reason", {.type = SSE}, HI, HI CUT BROKE " told | ~6/2/-1 failed"},
        {"cut after the reason, before [DONE]",
         {.type = SSE, .cut = true},
         HI STOP USAGE,
         HI STOP CUT BROKE " told | 7/3/2 failed"},
        {"a reason that is null is none",
         {.type = SSE},
         "data: {\"choices\":[{\"finish_reason\":null}]}\n\n",
         "data: {\"choices\":[{\"finish_reason\":null}]}\n\n" CUT BROKE " told | ~6/0/-1 failed"},
        {"cut in an event",
         {.type = SSE, .cut = true},
         HI "data: {\"cho",
         HI "\n\n" CUT BROKE " told | ~6/2/-1 failed"},
        {"cut in [DONE]",
         {.type = SSE, .cut = true},
         HI STOP "data: [DON",
         HI STOP "\n\n" CUT BROKE " told | ~6/2/-1 failed"},
    };
    expect(table, GW_ARRAY_LEN(table));
}

static void errors_in_a_stream(void) {
    static const struct answer_case table[] = {
        {"before content: a status, nothing was sent",
         {.type = SSE},
         ": ping\n\ndata: {\"error\":{\"message\":\"over\\\"loaded\"}}\n\n",
         " | held | " REPORTED ": over\"loaded | ~6/0/-1 failed"},
        {"without a message",
         {.type = SSE},
         "data: {\"error\":\"x\"}\n\n",
         " | held | " REPORTED " | ~6/0/-1 failed"},
        {"after content: passed on as the last event",
         {.type = SSE},
         HI "data: {\"error\":{\"message\":\"gone\"}}\n\n" HI DONE,
         HI "data: {\"error\":{\"message\":\"gone\"}}\n\n | " REPORTED
            ": gone told | ~6/2/-1 failed"},
        {"with content in the same event",
         {.type = SSE},
         HI "data: {\"choices\":[{}],\"error\":{\"message\":\"gone\"}}\n\n",
         HI "data: {\"choices\":[{}],\"error\":{\"message\":\"gone\"}}\n\n | " REPORTED
            ": gone told | ~6/2/-1 failed"},
    };
    expect(table, GW_ARRAY_LEN(table));
}

static void lines_that_end_in_crlf(void) {
    static const char hi[] = "data: {\"choices\":[{\"delta\":{\"content\":\"abcd\"}}]}\r\n\r\n";
    static const char done[] = "data: [DONE]\r\n\r\n";
    struct gw_text body = {0}, want = {0};
    gw_text_addf(&body, ": x\r\n\r\n%s%s", hi, done);
    gw_text_addf(&want, "%s | ~6/1/-1", body.ptr);
    const struct test_answer a = {.type = SSE};
    CU_ASSERT(test_answer_is(&a, gw_text_str(&body), want.ptr));
    gw_text_fini(&body);
    gw_text_fini(&want);
}

static void crlf_usage_is_taken_out(void) {
    static const char hi[] = "data: {\"choices\":[{\"delta\":{\"content\":\"abcd\"}}]}\r\n\r\n";
    static const char usage[] =
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\r\n\r\n";
    static const char done[] = "data: [DONE]\r\n\r\n";
    struct gw_text body = {0}, want = {0};
    gw_text_addf(&body, "%s%s%s", hi, usage, done);
    gw_text_addf(&want, "%s%s | 1/2/-1", hi, done);
    const struct test_answer a = {.type = SSE};
    CU_ASSERT(test_answer_is(&a, gw_text_str(&body), want.ptr));
    gw_text_fini(&body);
    gw_text_fini(&want);
}

// --- what is held -------------------------------------------------------------------------------

struct stream {
    struct test_rule rule;
    struct test_call call;
    struct dp_head head;
    struct gw_buf out;
};

static void stream_init(struct stream *s) {
    static const struct test_backend any = {.name = "any", .weight = 1};
    *s = (struct stream){.head = {.status = 200, .content_length = 77}};
    test_rule_make(&s->rule, &any, 1);
    CU_ASSERT_EQUAL_FATAL(
        test_call_ready(&s->call, &s->rule.rule, "{\"model\":\"m\",\"stream\":true}"), GW_OK);
}

static void stream_add(struct stream *s, const char *name, const char *value) {
    CU_ASSERT_EQUAL(
        dp_fields_add(&s->head.fields, &s->call.arena, gw_str_of(name), gw_str_of(value)), GW_OK);
}

static enum gw_rc stream_begin(struct stream *s) {
    return dp_llm_answer_begin(s->call.call, &s->head, &s->call.code, &s->call.err);
}

// In a slab of its own, as a read of its own.
static enum gw_rc stream_feed(struct stream *s, const char *text) {
    struct gw_slab *slab = gw_slab_get();
    size_t n = strlen(text);
    memcpy(slab->data, text, n);
    enum gw_rc rc = dp_llm_answer_data(s->call.call, slab, (struct gw_str){slab->data, n}, &s->out,
                                       &s->call.err);
    gw_slab_unref(slab);
    return rc;
}

static void stream_fini(struct stream *s) {
    gw_buf_fini(&s->out);
    test_call_fini(&s->call);
}

static void nothing_is_committed_before_content(void) {
    static const char *const before[] = {": ping\n\n", "event: x\n\n", "data: {}\n\n",
                                         "data: {\"choices\":[]}\n\n", USAGE};
    struct stream s;
    stream_init(&s);
    stream_add(&s, "content-type", SSE);
    CU_ASSERT_EQUAL(stream_begin(&s), GW_OK);
    for (size_t i = 0; i < GW_ARRAY_LEN(before); i++) {
        CU_ASSERT_EQUAL(stream_feed(&s, before[i]), GW_OK);
        CU_ASSERT_FALSE(dp_llm_answer_is_committed(s.call.call));
        CU_ASSERT_EQUAL(s.out.bytes, 0);
    }
    CU_ASSERT_EQUAL(stream_feed(&s, HI), GW_OK);
    CU_ASSERT(dp_llm_answer_is_committed(s.call.call));
    struct gw_text got = {0};
    test_buf_text(&s.out, &got);
    CU_ASSERT_STRING_EQUAL(got.ptr,
                           ": ping\n\nevent: x\n\ndata: {}\n\ndata: {\"choices\":[]}\n\n" HI);
    gw_text_fini(&got);
    stream_fini(&s);
}

// Comments for ever cost at most the cap, and no slab each; then the client gets them.
static void what_is_held_has_a_cap(void) {
    static const char ping[] = ": ping\n\n";
    struct stream s;
    size_t before = gw_slab_in_use(), fed = 0;
    stream_init(&s);
    stream_add(&s, "content-type", SSE);
    CU_ASSERT_EQUAL(stream_begin(&s), GW_OK);
    while (!dp_llm_answer_is_committed(s.call.call) && fed < 2 * DP_LLM_HELD_BYTES_MAX) {
        CU_ASSERT_EQUAL(s.out.bytes, 0);
        CU_ASSERT_EQUAL_FATAL(stream_feed(&s, ping), GW_OK);
        fed += strlen(ping);
    }
    CU_ASSERT(fed > DP_LLM_HELD_BYTES_MAX && fed <= DP_LLM_HELD_BYTES_MAX + strlen(ping));
    CU_ASSERT_EQUAL(s.out.bytes, fed);
    CU_ASSERT(gw_slab_in_use() - before <= 2 + DP_LLM_HELD_BYTES_MAX / GW_SLAB_BYTES * 2);
    // An error is an event from here on.
    bool told = false;
    CU_ASSERT_EQUAL(dp_llm_answer_end(s.call.call, true, &s.out, &told, &s.call.err),
                    GW_ERR_UPSTREAM);
    CU_ASSERT(told);
    CU_ASSERT_EQUAL(s.out.bytes, fed + strlen(CUT));
    stream_fini(&s);
    CU_ASSERT_EQUAL(gw_slab_in_use(), before);
}

// What passes unchanged passes by reference.
static void content_is_not_copied(void) {
    struct stream s;
    stream_init(&s);
    stream_add(&s, "content-type", SSE);
    CU_ASSERT_EQUAL(stream_begin(&s), GW_OK);
    struct gw_slab *slab = gw_slab_get();
    memcpy(slab->data, HI HI, strlen(HI HI));
    struct gw_str in = {slab->data, strlen(HI HI)};
    CU_ASSERT_EQUAL(dp_llm_answer_data(s.call.call, slab, in, &s.out, &s.call.err), GW_OK);
    CU_ASSERT_EQUAL(s.out.bytes, in.len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s.out.head);
    CU_ASSERT_PTR_EQUAL(s.out.head->slice.ptr, slab->data);
    CU_ASSERT_PTR_NULL(s.out.head->next);
    gw_slab_unref(slab);
    stream_fini(&s);
}

// --- the head -----------------------------------------------------------------------------------

static bool has(const struct stream *s, const char *name) {
    return dp_fields_find_name(&s->head.fields, gw_str_of(name)) != NULL;
}

static void the_head_says_nothing_of_old_bytes(void) {
    static const struct {
        const char *type, *coding;
        bool changes;
    } table[] = {
        {JSON, NULL, false},     {JSON, "identity", false}, {JSON, "gzip", true},
        {JSON, "deflate", true}, {SSE, NULL, true},         {SSE, "X-GZip", true},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct stream s;
        stream_init(&s);
        stream_add(&s, "content-type", table[i].type);
        if (table[i].coding) stream_add(&s, "content-encoding", table[i].coding);
        stream_add(&s, "ETag", "\"x\"");
        stream_add(&s, "Content-MD5", "x");
        stream_add(&s, "x-request-cost", "1");
        CU_ASSERT_EQUAL(stream_begin(&s), GW_OK);
        CU_ASSERT_EQUAL(s.head.content_length, table[i].changes ? -1 : 77);
        CU_ASSERT_EQUAL(has(&s, "etag"), !table[i].changes);
        CU_ASSERT_EQUAL(has(&s, "content-md5"), !table[i].changes);
        CU_ASSERT_EQUAL(has(&s, "content-encoding"), table[i].coding && !table[i].changes);
        CU_ASSERT(has(&s, "x-request-cost"));
        CU_ASSERT(has(&s, "content-type"));
        stream_fini(&s);
    }
}

static void a_refusal_of_the_callers_own_key_reaches_the_caller(void) {
    struct stream s;
    stream_init(&s);
    s.rule.llm[0].passthrough = true;
    s.head.status = 401;
    CU_ASSERT_EQUAL(stream_begin(&s), GW_OK);
    CU_ASSERT_PTR_NULL(s.call.code);
    CU_ASSERT(dp_llm_answer_is_committed(s.call.call));
    stream_fini(&s);
}

#define T(fn)                                                                                      \
    { #fn, fn }
static CU_TestInfo tests[] = {
    T(plain_answers),
    T(refusals_of_the_provider),
    T(streams_that_end_well),
    T(two_choices),
    T(streams_that_break),
    T(errors_in_a_stream),
    T(lines_that_end_in_crlf),
    T(crlf_usage_is_taken_out),
    T(nothing_is_committed_before_content),
    T(what_is_held_has_a_cap),
    T(content_is_not_copied),
    T(the_head_says_nothing_of_old_bytes),
    T(a_refusal_of_the_callers_own_key_reaches_the_caller),
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_llm_answer = {"answer", NULL, NULL, NULL, NULL, tests};
