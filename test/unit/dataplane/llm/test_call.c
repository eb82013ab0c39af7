// SPDX-License-Identifier: Apache-2.0
// A model request: what of its body is refused, which backend answers it, and its upstream head.
#include "test/unit/dataplane/llm/backends.h"
#include "test/unit/shared/split.h"

#include <CUnit/CUnit.h>

// --- what is refused ----------------------------------------------------------------------------

static const struct test_backend any_backend = {.name = "any", .weight = 1};

static void tell_plan(void *arg, const struct gw_str *pieces, size_t n, struct gw_text *out) {
    struct test_call t;
    test_call_init(&t);
    if (test_call_plan(&t, arg, pieces, n, 0) == GW_OK) {
        struct dp_llm_note note;
        dp_llm_call_note(t.call, &note);
        gw_text_addf(out, "ok '" GW_STR_FMT "'", GW_STR_ARG(note.model));
    } else {
        gw_text_addf(out, "%d %s", t.err.code, t.err.text);
    }
    test_call_fini(&t);
}

// Bodies of one test; want stands in what is told of each, however it is fed.
struct body_case {
    const char *body, *want;
};

static void expect_told(const struct dp_rule *rule, const struct body_case *cases, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct gw_text told;
        CU_ASSERT(
            split_run_text(gw_str_of(cases[i].body), tell_plan, (void *)(uintptr_t)rule, &told));
        CU_ASSERT_PTR_NOT_NULL(strstr(told.ptr, cases[i].want));
        if (!strstr(told.ptr, cases[i].want)) printf("\n%s: %s\n", cases[i].body, told.ptr);
        gw_text_fini(&told);
    }
}

static void bodies_that_are_no_request_are_refused(void) {
    static const struct body_case cases[] = {
        {"", "400 JSON ends too early"},
        {"{", "400 JSON ends too early"},
        {"{\"model\":\"m\"", "400 JSON ends too early"},
        {"{\"model\":\"m\"}}", "400 "},
        {"{\"model\":\"m\",}", "400 "},
        {"{'model':'m'}", "400 "},
        {"[]", "400 'body' must be a JSON object"},
        {"7", "400 'body' must be a JSON object"},
        {"[{\"model\":\"m\"}]", "400 'body' must be a JSON object"},
        {"{\"model\":7}", "400 'model' must be a string"},
        {"{\"model\":[\"m\"]}", "400 'model' must be a string"},
        {"{\"model\":\"m\",\"stream\":1}", "400 'stream' must be true or false"},
        {"{\"model\":\"m\",\"stream\":\"true\"}", "400 'stream' must be true or false"},
        {"{\"model\":\"m\",\"stream_options\":true}", "400 'stream_options' must be an object"},
        {"{\"model\":\"m\",\"stream_options\":{\"include_usage\":1}}",
         "400 'stream_options.include_usage' must be true or false"},
        {"{}", "400 'model' is missing"},
        {"{\"model\":null}", "400 'model' is missing"},
        {"{\"model\":\"\"}", "400 'model' is missing"},
        {"{\"x\":{\"model\":\"m\"}}", "400 'model' is missing"},
    };
    struct test_rule r;
    test_rule_make(&r, &any_backend, 1);
    expect_told(&r.rule, cases, GW_ARRAY_LEN(cases));
}

// One reader would take the first, another the last: a way around every check.
static void a_member_that_is_read_must_not_come_twice(void) {
    static const struct body_case cases[] = {
        {"{\"model\":\"a\",\"model\":\"b\"}", "400 "},
        {"{\"model\":\"a\",\"mod\\u0065l\":\"b\"}", "400 "},
        {"{\"stream\":true,\"model\":\"a\",\"stream\":false}", "400 "},
        {"{\"stream_options\":{},\"stream_options\":{}}", "400 "},
        {"{\"stream_options\":{\"include_usage\":true,\"include_usage\":false}}", "400 "},
        {"{\"model\":\"a\",\"x\":1,\"x\":2}", "ok 'a'"},
        {"{\"model\":\"a\",\"messages\":[{\"model\":1},{\"model\":2}]}", "ok 'a'"},
    };
    struct test_rule r;
    test_rule_make(&r, &any_backend, 1);
    expect_told(&r.rule, cases, GW_ARRAY_LEN(cases));
}

static void names_are_read_unescaped(void) {
    static const struct body_case cases[] = {
        {"{\"model\":\"gpt\\u002d4\"}", "ok 'gpt-4'"},
        {"{\"mod\\u0065l\":\"m\"}", "ok 'm'"},
        {"{\"model\":\"org\\/m\"}", "ok 'org/m'"},
        {"{\"model\":\"\xc3\xa9\"}", "ok '\xc3\xa9'"},
        {"{\"model\":\"m\",\"stream\":null,\"stream_options\":null}", "ok 'm'"},
        {" {\n\"model\" : \"m\" }\r\n", "ok 'm'"},
    };
    struct test_rule r;
    test_rule_make(&r, &any_backend, 1);
    expect_told(&r.rule, cases, GW_ARRAY_LEN(cases));
}

static void a_name_of_the_longest_length_is_taken(void) {
    struct test_rule r;
    test_rule_make(&r, &any_backend, 1);
    for (size_t n = DP_LLM_MODEL_BYTES_MAX - 1; n <= DP_LLM_MODEL_BYTES_MAX * 3; n++) {
        struct gw_text body = {0};
        gw_text_adds(&body, "{\"model\":\"");
        for (size_t i = 0; i < n; i++)
            gw_text_adds(&body, "m");
        gw_text_adds(&body, "\"}");
        struct test_call t;
        enum gw_rc rc = test_call_ready(&t, &r.rule, body.ptr);
        CU_ASSERT_EQUAL(rc, n <= DP_LLM_MODEL_BYTES_MAX ? GW_OK : GW_ERR_INPUT);
        if (rc != GW_OK) CU_ASSERT_STRING_EQUAL(t.err.text, "'model' is longer than 256 bytes");
        test_call_fini(&t);
        gw_text_fini(&body);
    }
}

static void depth_has_an_end(void) {
    struct test_rule r;
    test_rule_make(&r, &any_backend, 1);
    for (int depth = DP_LLM_DEPTH_MAX - 1; depth <= DP_LLM_DEPTH_MAX; depth++) {
        struct gw_text body = {0};
        gw_text_adds(&body, "{\"model\":\"m\",\"x\":");
        for (int i = 0; i < depth; i++)
            gw_text_adds(&body, "[");
        for (int i = 0; i < depth; i++)
            gw_text_adds(&body, "]");
        gw_text_adds(&body, "}");
        struct test_call t;
        enum gw_rc rc = test_call_ready(&t, &r.rule, body.ptr);
        CU_ASSERT_EQUAL(rc, depth < DP_LLM_DEPTH_MAX ? GW_OK : GW_ERR_INPUT);
        if (rc != GW_OK) CU_ASSERT_PTR_NOT_NULL(strstr(t.err.text, "more than 128 deep"));
        test_call_fini(&t);
        gw_text_fini(&body);
    }
}

// --- which backend answers ----------------------------------------------------------------------

// What each of `rounds` successive random numbers gives: "backend:model ...", or the refusal.
static void tell_picks(const struct dp_rule *rule, const char *body, unsigned rounds,
                       struct gw_text *out) {
    for (unsigned i = 0; i < rounds; i++) {
        struct gw_str piece = gw_str_of(body);
        struct dp_llm_note note;
        struct test_call t;
        test_call_init(&t);
        if (i) gw_text_adds(out, " ");
        if (test_call_plan(&t, rule, &piece, 1, i) == GW_OK) {
            dp_llm_call_note(t.call, &note);
            CU_ASSERT_PTR_NULL(t.code);
            gw_text_addf(out, GW_STR_FMT ":" GW_STR_FMT, GW_STR_ARG(t.backend->name),
                         GW_STR_ARG(note.upstream_model));
        } else {
            gw_text_addf(out, "%d %s", t.err.code, t.code);
        }
        test_call_fini(&t);
    }
}

static void the_backend_of_a_model(void) {
    static const char *const m = "{\"model\":\"m\"}", *const none = "{}";
    static const struct {
        const char *name;
        struct test_backend backends[TEST_BACKENDS_MAX];
        const char *body;
        unsigned rounds;
        const char *want;
    } table[] = {
        {"no backend", {{0}}, m, 1, "404 model_not_found"},
        {"not allowed", {{"a", "x", NULL, NULL, 1}}, m, 1, "404 model_not_found"},
        {"an empty list allows nothing", {{"a", "", NULL, NULL, 1}}, m, 1, "404 model_not_found"},
        {"a glob is no prefix", {{"a", "m-*", NULL, NULL, 1}}, m, 1, "404 model_not_found"},
        {"case counts", {{"a", "M", NULL, NULL, 1}}, m, 1, "404 model_not_found"},
        {"weight 0", {{"a", "m", NULL, NULL, 0}}, m, 1, "404 model_not_found"},
        {"no default", {{"a", "m", NULL, NULL, 1}}, none, 1, "400 invalid_request"},
        {"invalid alone", {{NULL, NULL, NULL, NULL, 1}}, m, 1, "500 invalid_backend"},
        {"invalid backends offer no models",
         {{NULL, NULL, NULL, NULL, 1}, {"a", "x", NULL, NULL, 1}},
         m,
         1,
         "404 model_not_found"},
        {"invalid without a model",
         {{NULL, NULL, NULL, NULL, 1}, {"a", "x", NULL, NULL, 1}},
         none,
         1,
         "400 invalid_request"},
        {"all invalid without a model",
         {{NULL, NULL, NULL, NULL, 1}, {NULL, NULL, NULL, NULL, 1}},
         none,
         1,
         "500 invalid_backend"},
        {"invalid beside one that names it",
         {{NULL, NULL, NULL, NULL, 1}, {"a", "m", NULL, NULL, 1}},
         m,
         2,
         "a:m a:m"},
        {"absent allow takes any", {{"a", NULL, NULL, NULL, 1}}, m, 1, "a:m"},
        {"by name", {{"a", "x,m", NULL, NULL, 1}}, m, 1, "a:m"},
        {"by glob", {{"a", "*", NULL, NULL, 1}}, m, 1, "a:m"},
        {"by alias", {{"a", NULL, "m=big", NULL, 1}}, m, 1, "a:big"},
        {"an alias beside a list", {{"a", "x", "m=big", NULL, 1}}, m, 1, "a:big"},
        {"an alias goes before the list", {{"a", "m", "m=big", NULL, 1}}, m, 1, "a:big"},
        {"an alias's target is not offered",
         {{"a", "", "x=m", NULL, 1}},
         m,
         1,
         "404 model_not_found"},
        {"the one that names it goes before the one that takes any",
         {{"any", NULL, NULL, NULL, 9}, {"a", "m", NULL, NULL, 1}},
         m,
         2,
         "a:m a:m"},
        {"what nobody names goes to the one that takes any",
         {{"any", NULL, NULL, NULL, 1}, {"a", "x", NULL, NULL, 9}},
         m,
         2,
         "any:m any:m"},
        {"weights choose among candidates",
         {{"a", "m", NULL, NULL, 2}, {"x", "x", NULL, NULL, 5}, {"b", "*", NULL, NULL, 1}},
         m,
         4,
         "a:m a:m b:m a:m"},
        {"each candidate has its own name for it",
         {{"a", NULL, "m=a1", NULL, 1}, {"b", NULL, "m=b1", NULL, 1}},
         m,
         2,
         "a:a1 b:b1"},
        {"a weight of 0 is never picked",
         {{"a", "m", NULL, NULL, 0}, {"b", "m", NULL, NULL, 1}, {"c", "m", NULL, NULL, 0}},
         m,
         3,
         "b:m b:m b:m"},
        {"the default", {{"a", "x", NULL, "d", 1}}, none, 1, "a:d"},
        {"null is no model", {{"a", "x", NULL, "d", 1}}, "{\"model\":null}", 1, "a:d"},
        {"defaults by weight",
         {{"a", NULL, NULL, "d", 1}, {"b", NULL, NULL, NULL, 7}, {"c", NULL, NULL, "e", 2}},
         none,
         4,
         "a:d c:e c:e a:d"},
        {"the default is not for others", {{"a", "x", NULL, "d", 1}}, m, 1, "404 model_not_found"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct test_rule r;
        struct gw_text got = {0};
        test_rule_make(&r, table[i].backends, TEST_BACKENDS_MAX);
        tell_picks(&r.rule, table[i].body, table[i].rounds, &got);
        CU_ASSERT_STRING_EQUAL(got.ptr, table[i].want);
        if (strcmp(got.ptr, table[i].want) != 0) printf("\n%s: %s\n", table[i].name, got.ptr);
        gw_text_fini(&got);
    }
}

static void a_refusal_names_the_model(void) {
    const struct test_backend only_x = {"a", "x", NULL, NULL, 1};
    struct test_rule r;
    struct test_call t;
    test_rule_make(&r, &only_x, 1);
    CU_ASSERT_EQUAL(test_call_ready(&t, &r.rule, "{\"model\":\"m\"}"), GW_ERR_INPUT);
    CU_ASSERT_STRING_EQUAL(t.err.text, "the model 'm' does not exist here");
    test_call_fini(&t);
}

// --- the head -----------------------------------------------------------------------------------

struct head_call {
    struct test_rule rule;
    struct test_call call;
    struct dp_head head;
    struct dp_llm_key keys[3];
};

static void head_init(struct head_call *h) {
    static const char *const fields[][2] = {
        {"content-type", "application/json"},
        {"Authorization", "Bearer caller"},
        {"X-Api-Key", "caller"},
        {"api-key", "caller"},
        {"x-goog-api-key", "caller"},
        {"accept-encoding", "gzip, br"},
        {"x-mine", "kept"},
    };
    *h = (struct head_call){
        .keys = {{gw_secret_new(GW_STR("sk-0")), 0},
                 {gw_secret_new(GW_STR("sk-1")), 1},
                 {gw_secret_new(GW_STR("sk-2")), 2}},
        .head = {.method = DP_METHOD_POST,
                 .path = GW_STR("/chat/completions"),
                 .target = GW_STR("/chat/completions"),
                 .chunked = true,
                 .content_length = -1},
    };
    test_rule_make(&h->rule, &any_backend, 1);
    h->rule.llm[0].keys = h->keys;
    h->rule.llm[0].keys_n = GW_ARRAY_LEN(h->keys);
    CU_ASSERT_EQUAL_FATAL(test_call_ready(&h->call, &h->rule.rule, "{\"model\":\"m\"}"), GW_OK);
    for (size_t i = 0; i < GW_ARRAY_LEN(fields); i++)
        CU_ASSERT_EQUAL(dp_fields_add(&h->head.fields, &h->call.arena, gw_str_of(fields[i][0]),
                                      gw_str_of(fields[i][1])),
                        GW_OK);
}

static void head_fini(struct head_call *h) {
    for (size_t i = 0; i < GW_ARRAY_LEN(h->keys); i++)
        gw_secret_unref(h->keys[i].value);
    test_call_fini(&h->call);
}

static const char *field(const struct head_call *h, const char *name) {
    static char text[64];
    const struct dp_field *f = dp_fields_find_name(&h->head.fields, gw_str_of(name));
    if (!f) return "absent";
    snprintf(text, sizeof(text), GW_STR_FMT, GW_STR_ARG(f->value));
    return text;
}

static enum gw_rc make_head(struct head_call *h, uint64_t random) {
    return dp_llm_call_head(h->call.call, &h->head, 123, random, &h->call.err);
}

static void the_head_is_made_for_the_provider(void) {
    struct head_call h;
    head_init(&h);
    CU_ASSERT_EQUAL(make_head(&h, 0), GW_OK);
    CU_ASSERT(gw_str_eq(h.head.path, GW_STR("/v1/chat/completions")));
    CU_ASSERT(gw_str_eq(h.head.target, GW_STR("/v1/chat/completions")));
    CU_ASSERT(gw_str_eq(h.head.authority, GW_STR("api.example.com")));
    CU_ASSERT_EQUAL(h.head.content_length, 123);
    CU_ASSERT_FALSE(h.head.chunked);
    CU_ASSERT_STRING_EQUAL(field(&h, "accept-encoding"), "identity");
    CU_ASSERT_STRING_EQUAL(field(&h, "content-type"), "application/json");
    CU_ASSERT_STRING_EQUAL(field(&h, "x-mine"), "kept");
    head_fini(&h);
}

static void the_query_stays(void) {
    struct head_call h;
    head_init(&h);
    h.head.query = GW_STR("api-version=1&b");
    CU_ASSERT_EQUAL(make_head(&h, 0), GW_OK);
    CU_ASSERT(gw_str_eq(h.head.target, GW_STR("/v1/chat/completions?api-version=1&b")));
    CU_ASSERT(gw_str_eq(h.head.path, GW_STR("/v1/chat/completions")));
    head_fini(&h);
}

static void keys_rotate_by_weight(void) {
    static const char *const want[] = {"Bearer sk-1", "Bearer sk-2", "Bearer sk-2", "Bearer sk-1"};
    for (uint64_t random = 0; random < GW_ARRAY_LEN(want); random++) {
        struct head_call h;
        head_init(&h);
        CU_ASSERT_EQUAL(make_head(&h, random), GW_OK);
        CU_ASSERT_STRING_EQUAL(field(&h, "authorization"), want[random]);
        CU_ASSERT_STRING_EQUAL(field(&h, "x-api-key"), "absent");
        CU_ASSERT_STRING_EQUAL(field(&h, "api-key"), "absent");
        CU_ASSERT_STRING_EQUAL(field(&h, "x-goog-api-key"), "absent");
        head_fini(&h);
    }
}

static void without_a_key_the_callers_goes_nowhere(void) {
    for (unsigned n = 0; n <= 1; n++) { // no key, and one of weight 0
        struct head_call h;
        head_init(&h);
        h.rule.llm[0].keys_n = n;
        CU_ASSERT_EQUAL(make_head(&h, 0), GW_OK);
        CU_ASSERT_STRING_EQUAL(field(&h, "authorization"), "absent");
        CU_ASSERT_STRING_EQUAL(field(&h, "x-api-key"), "absent");
        head_fini(&h);
    }
}

static void passthrough_leaves_the_callers(void) {
    struct head_call h;
    head_init(&h);
    h.rule.llm[0].passthrough = true;
    CU_ASSERT_EQUAL(make_head(&h, 0), GW_OK);
    CU_ASSERT_STRING_EQUAL(field(&h, "authorization"), "Bearer caller");
    CU_ASSERT_STRING_EQUAL(field(&h, "x-api-key"), "caller");
    CU_ASSERT_STRING_EQUAL(field(&h, "accept-encoding"), "identity");
    head_fini(&h);
}

static void a_head_beyond_the_arena_is_refused(void) {
    static const size_t lengths[] = {100000, 10};
    for (size_t i = 0; i < GW_ARRAY_LEN(lengths); i++) {
        struct head_call h;
        head_init(&h);
        char *query = gw_alloc(lengths[i]);
        memset(query, 'q', lengths[i]);
        h.head.query = (struct gw_str){query, lengths[i]};
        h.call.arena.bytes_max = h.call.arena.bytes_used + 20000;
        CU_ASSERT_EQUAL(make_head(&h, 0), i == 0 ? GW_ERR_LIMIT : GW_OK);
        if (i == 0) CU_ASSERT_EQUAL(h.call.err.code, 431);
        head_fini(&h);
        free(query);
    }
}

#define T(fn)                                                                                      \
    { #fn, fn }
static CU_TestInfo tests[] = {
    T(bodies_that_are_no_request_are_refused),
    T(a_member_that_is_read_must_not_come_twice),
    T(names_are_read_unescaped),
    T(a_name_of_the_longest_length_is_taken),
    T(depth_has_an_end),
    T(the_backend_of_a_model),
    T(a_refusal_names_the_model),
    T(the_head_is_made_for_the_provider),
    T(the_query_stays),
    T(keys_rotate_by_weight),
    T(without_a_key_the_callers_goes_nowhere),
    T(passthrough_leaves_the_callers),
    T(a_head_beyond_the_arena_is_refused),
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_llm_call = {"call", NULL, NULL, NULL, NULL, tests};
