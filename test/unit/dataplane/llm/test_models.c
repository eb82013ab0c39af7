// SPDX-License-Identifier: Apache-2.0
// The list of models, and what a call leaves in the metrics.
#include "dataplane/obs/metrics.h"
#include "test/unit/dataplane/llm/backends.h"

#include <CUnit/CUnit.h>
#include <stdlib.h>

// --- the list -----------------------------------------------------------------------------------

static void what_is_listed(void) {
    static const struct {
        const char *name;
        struct test_backend backends[TEST_BACKENDS_MAX];
        const char *want; // ids, parted by blanks
    } table[] = {
        {"nothing", {{0}}, ""},
        {"invalid backends have no models", {{NULL, NULL, NULL, NULL, 1}}, ""},
        {"weight 0 is not offered", {{"a", "m", "x=y", "d", 0}}, ""},
        {"globs are no names", {{"a", "*,gpt-*,m", NULL, NULL, 1}}, "m"},
        {"any is no name", {{"a", NULL, NULL, NULL, 1}}, ""},
        {"names, aliases, the default", {{"a", "m,n", "x=y", "d", 1}}, "m n x d"},
        {"each once", {{"a", "m", "m=y", "m", 1}, {"b", "n,m", NULL, NULL, 1}}, "m n"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct test_rule r;
        struct gw_text out = {0}, got = {0};
        struct gw_err err;
        test_rule_make(&r, table[i].backends, TEST_BACKENDS_MAX);
        CU_ASSERT_EQUAL(dp_llm_models(&r.rule, GW_STR(""), &out, &err), GW_OK);
        GW_JSON_AUTO list = json_loads(out.ptr, 0, NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(list);
        CU_ASSERT(gw_str_eq(gw_json_str(list, "object"), GW_STR("list")));
        const json_t *data = json_object_get(list, "data");
        CU_ASSERT(json_is_array(data));
        for (size_t k = 0; k < json_array_size(data); k++) {
            const json_t *one = json_array_get(data, k);
            CU_ASSERT(gw_str_eq(gw_json_str(one, "object"), GW_STR("model")));
            CU_ASSERT(gw_str_eq(gw_json_str(one, "owned_by"), GW_STR("test")));
            CU_ASSERT(json_is_integer(json_object_get(one, "created")));
            gw_text_addf(&got, "%s" GW_STR_FMT, k ? " " : "", GW_STR_ARG(gw_json_str(one, "id")));
        }
        CU_ASSERT_STRING_EQUAL(got.ptr ? got.ptr : "", table[i].want);
        gw_text_fini(&got);
        gw_text_fini(&out);
    }
}

static void one_model(void) {
    static const struct test_backend list[] = {{"a", "m\",gpt-*", "x=y", "d", 1},
                                               {"b", "gone", NULL, NULL, 0}};
    static const struct {
        const char *id;
        bool there;
    } table[] = {{"m", false}, {"gpt-4", false}, {"y", false}, {"gone", false},
                 {"*", false}, {"m\"", true},    {"x", true},  {"d", true}};
    struct test_rule r;
    test_rule_make(&r, list, GW_ARRAY_LEN(list));
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct gw_text out = {0};
        struct gw_err err = {0};
        enum gw_rc rc = dp_llm_models(&r.rule, gw_str_of(table[i].id), &out, &err);
        CU_ASSERT_EQUAL(rc, table[i].there ? GW_OK : GW_ERR_INPUT);
        if (rc == GW_OK) {
            GW_JSON_AUTO one = json_loads(out.ptr, 0, NULL);
            CU_ASSERT(gw_str_eq(gw_json_str(one, "id"), gw_str_of(table[i].id)));
            CU_ASSERT_EQUAL(json_object_size(one), 4);
        } else {
            CU_ASSERT_EQUAL(err.code, 404);
            CU_ASSERT_PTR_NOT_NULL(strstr(err.text, table[i].id));
            CU_ASSERT_EQUAL(out.len, 0);
        }
        gw_text_fini(&out);
    }
}

// A list beyond every bound ends, and is still JSON.
static void a_list_has_an_end(void) {
    enum { NAMES = 1500 };
    static char names[NAMES][8];
    static struct gw_str allow[NAMES];
    const struct test_backend b = {"a", "m", NULL, NULL, 1};
    struct test_rule r;
    struct gw_text out = {0};
    struct gw_err err;
    for (int i = 0; i < NAMES; i++) {
        snprintf(names[i], sizeof(names[i]), "m%d", i);
        allow[i] = gw_str_of(names[i]);
    }
    test_rule_make(&r, &b, 1);
    r.llm[0].allow = allow;
    r.llm[0].allow_n = NAMES;
    CU_ASSERT_EQUAL(dp_llm_models(&r.rule, GW_STR(""), &out, &err), GW_OK);
    GW_JSON_AUTO list = json_loads(out.ptr, 0, NULL);
    CU_ASSERT_EQUAL(json_array_size(json_object_get(list, "data")), 1024);
    gw_text_fini(&out);
}

// --- usage --------------------------------------------------------------------------------------

static int64_t tokens(const char *model, const char *kind, const char *how) {
    const struct gw_str labels[] = {gw_str_of(model), gw_str_of(kind), gw_str_of(how)};
    return gw_metric_get(gw_metric_series(&dp_metric_tokens, labels));
}

static int64_t requests(const char *model, const char *outcome) {
    const struct gw_str labels[] = {gw_str_of(model), GW_STR("any"), gw_str_of(outcome)};
    return gw_metric_get(gw_metric_series(&dp_metric_llm_requests, labels));
}

struct settled {
    const char *model;
    const char *allow; // of its backend; NULL: any
    int status;        // of the provider; 0: it never answered
    const char *type, *body;
    bool cut, cancelled;
};

static void settle(const struct settled *s) {
    struct test_backend b = {.name = "any", .allow = s->allow, .weight = 1};
    struct test_rule r;
    struct test_call t;
    struct gw_text request = {0};
    struct gw_buf out = {0};
    struct gw_err err;
    bool told;
    test_rule_make(&r, &b, 1);
    gw_text_addf(&request, "{\"model\":\"%s\",\"stream\":true}", s->model);
    CU_ASSERT_EQUAL_FATAL(test_call_ready(&t, &r.rule, request.ptr), GW_OK);
    if (s->status) {
        struct dp_head head = {.status = s->status};
        CU_ASSERT_EQUAL(
            dp_fields_add(&head.fields, &t.arena, GW_STR("content-type"), gw_str_of(s->type)),
            GW_OK);
        CU_ASSERT_EQUAL(dp_llm_answer_begin(t.call, &head, &t.code, &err), GW_OK);
        CU_ASSERT_EQUAL(dp_llm_answer_data(t.call, NULL, gw_str_of(s->body), &out, &err), GW_OK);
        enum gw_rc rc = dp_llm_answer_end(t.call, !s->cut, &out, &told, &err);
        CU_ASSERT_EQUAL(rc, s->cut ? GW_ERR_UPSTREAM : GW_OK);
    }
    dp_llm_call_settle(t.call, t.backend, s->status, 5000, s->cancelled);
    gw_buf_fini(&out);
    gw_text_fini(&request);
    test_call_fini(&t);
}

static void reported_usage_is_counted(void) {
    settle(&(struct settled){.model = "reported",
                             .status = 200,
                             .type = "application/json",
                             .body = "{\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":9,"
                                     "\"prompt_tokens_details\":{\"cached_tokens\":4}}}"});
    CU_ASSERT_EQUAL(tokens("reported", "input", "reported"), 5);
    CU_ASSERT_EQUAL(tokens("reported", "output", "reported"), 9);
    CU_ASSERT_EQUAL(tokens("reported", "cached", "reported"), 4);
    CU_ASSERT_EQUAL(tokens("reported", "output", "estimated"), 0);
    CU_ASSERT_EQUAL(requests("reported", "ok"), 1);
}

// The larger of a quarter of its bytes and the number of events: short tokens come one by one.
static void estimates_say_so(void) {
#define WORD "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"
    settle(&(struct settled){.model = "estimated",
                             .status = 200,
                             .type = "text/event-stream",
                             .body = WORD WORD WORD,
                             .cut = true});
    CU_ASSERT_EQUAL(tokens("estimated", "output", "estimated"), 3);
    CU_ASSERT_EQUAL(tokens("estimated", "input", "estimated"), 35 / 4);
    CU_ASSERT_EQUAL(tokens("estimated", "output", "reported"), 0);
    CU_ASSERT_EQUAL(requests("estimated", "cut"), 1);
#undef WORD
}

static void failures_cost_nothing(void) {
    settle(&(struct settled){.model = "refused",
                             .allow = "refused",
                             .status = 500,
                             .type = "application/json",
                             .body = "{\"error\":{\"message\":\"a long text of no use\"}}"});
    settle(&(struct settled){.model = "unanswered", .allow = "unanswered"});
    CU_ASSERT_EQUAL(requests("refused", "error"), 1);
    CU_ASSERT_EQUAL(requests("unanswered", "error"), 1);
    CU_ASSERT_EQUAL(tokens("refused", "input", "estimated"), 0);
    CU_ASSERT_EQUAL(tokens("refused", "output", "estimated"), 0);
    CU_ASSERT_EQUAL(tokens("unanswered", "input", "estimated"), 0);
}

static void who_leaves_is_counted_as_such(void) {
    settle(&(struct settled){.model = "left",
                             .status = 200,
                             .type = "text/event-stream",
                             .body = "data: {\"choices\":[{\"delta\":{\"content\":\"12345678\"}}]}"
                                     "\n\n",
                             .cut = true,
                             .cancelled = true});
    CU_ASSERT_EQUAL(requests("left", "cancelled"), 1);
    CU_ASSERT_EQUAL(tokens("left", "output", "estimated"), 2);
}

static bool has_series(const char *model) {
    struct gw_text text = {0}, want = {0};
    gw_metric_text(&text);
    gw_text_addf(&want, "model=\"%s\"", model);
    bool has = strstr(text.ptr, want.ptr) != NULL;
    gw_text_fini(&text);
    gw_text_fini(&want);
    return has;
}

// Callers that make names up make no series without end.
static void made_up_names_are_told_once_they_were_answered(void) {
    const char *ok = "{\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":9}}",
               *json = "application/json";
    int64_t others = requests("other", "error");
    settle(&(struct settled){"up-1", "up-*", 404, json, "{\"error\":{\"message\":\"no\"}}", false,
                             false});
    settle(&(struct settled){.model = "up-1", .allow = "up-*"});
    CU_ASSERT_EQUAL(requests("other", "error"), others + 2);
    CU_ASSERT_FALSE(has_series("up-1"));
    settle(&(struct settled){"up-1", "up-*", 200, json, ok, false, false});
    settle(&(struct settled){"up-1", "up-*", 500, json, "{}", false, false}); // known by now
    CU_ASSERT_EQUAL(requests("up-1", "ok"), 1);
    CU_ASSERT_EQUAL(requests("up-1", "error"), 1);
    for (int i = 0; i < 1500; i++) {
        char name[16];
        snprintf(name, sizeof(name), "many-%d", i);
        settle(&(struct settled){name, i % 2 ? "many-*" : NULL, 200, json, ok, false, false});
    }
    CU_ASSERT_TRUE(has_series("many-100"));
    CU_ASSERT_FALSE(has_series("many-1100"));
    CU_ASSERT(requests("other", "ok") >= 400);
    // What a configuration names has its series whatever callers did.
    settle(&(struct settled){"many-1100", "x,many-1100", 500, json, "{}", false, false});
    CU_ASSERT_EQUAL(requests("many-1100", "error"), 1);
}

#define T(fn)                                                                                      \
    { #fn, fn }
static CU_TestInfo tests[] = {
    T(what_is_listed),
    T(one_model),
    T(a_list_has_an_end),
    T(reported_usage_is_counted),
    T(estimates_say_so),
    T(failures_cost_nothing),
    T(who_leaves_is_counted_as_such),
    T(made_up_names_are_told_once_they_were_answered),
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_llm_models = {"models", NULL, NULL, NULL, NULL, tests};
