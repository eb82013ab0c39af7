// SPDX-License-Identifier: Apache-2.0
#include "test/unit/controller/res/cases.h"

#include <CUnit/CUnit.h>

#define ANNOTATED(text)                                                                            \
    "apiVersion: v1\nkind: Secret\nmetadata: {name: a, annotations: {kgateway.dev/from-env: "      \
    "\"" text "\"}}"

static void data_is_checked(void) {
    static const struct res_case cases[] = {
        {"plain text", "data: {k: sk-123456}",
         "data.k: is not base64 (plain text belongs in stringData)"},
        {"no padding", "data: {k: YQ}", "data.k: is not base64 (plain text belongs in stringData)"},
        {"padding inside", "data: {k: 'YQ==YQ=='}",
         "data.k: is not base64 (plain text belongs in stringData)"},
        {"url alphabet", "data: {k: '_-__'}",
         "data.k: is not base64 (plain text belongs in stringData)"},
        {"key of dots", "stringData: {..a: b}",
         "stringData: the key '..a' may not be '.' or begin with '..': keys become names of files"},
        {"key", "data: {'a/b': YQ==}",
         "data: the key 'a/b' may hold letters, digits, '-', '_' and '.' only"},
        {"type", "type: 1", "type: must be a string, not an integer"},
        {"certificate without key", "type: kubernetes.io/tls\nstringData: {tls.crt: a}",
         "data.tls.key: is missing (type is kubernetes.io/tls)"},
        {"key without certificate", "type: kubernetes.io/tls\ndata: {tls.key: YQ==}",
         "data.tls.crt: is missing (type is kubernetes.io/tls)"},
        {"certificate", "type: kubernetes.io/tls\ndata: {tls.key: YQ==}\nstringData: {tls.crt: a}",
         NULL},
        {"unknown", "strngData: {}", "unknown field strngData"},
        {"good", "type: Opaque\ndata: {k: YQ==, l: YWI=, m: YWJj, n: ''}\nimmutable: true", NULL},
        {"folded", "data:\n  k: |\n    YWJj\n    YWJj\n", NULL},
        {"empty", "", NULL},
    };
    res_run_cases(&ctl_res_secret, cases, GW_ARRAY_LEN(cases));
}

// A value never stands in a message, whatever is wrong with it.
static void values_are_not_quoted(void) {
    static const char *const bad[] = {"data: {k: 31337}",         "stringData: {k: 31337}",
                                      "stringData: {k: [31337]}", "stringData: {k: {a: 31337}}",
                                      "data: {k: '31337!'}",      "stringData: 31337"};
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++) {
        struct gw_text t = {0};
        gw_text_addf(&t, "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n%s\n", bad[i]);
        GW_JSON_AUTO obj = res_parse(t.ptr);
        struct gw_schema_problem problem = {0};
        CU_ASSERT_EQUAL(ctl_res_check(&ctl_res_secret, obj, &problem), GW_ERR_INPUT);
        CU_ASSERT_PTR_NULL(strstr(problem.err.text, "31337"));
        gw_text_fini(&t);
    }
}

static void string_data_goes_into_data(void) {
    GW_JSON_AUTO obj =
        res_accepted(&ctl_res_secret, "data: {a: YQ==, b: YQ==}\n"
                                      "stringData: {b: bb, c: 'hello world', d: ''}");
    static const struct {
        const char *key, *want;
    } cases[] = {{"a", "YQ=="}, {"b", "YmI="}, {"c", "aGVsbG8gd29ybGQ="}, {"d", ""}};
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct gw_str got = gw_json_str(gw_json_get(obj, "data"), cases[i].key);
        CU_ASSERT(gw_str_eq(got, gw_str_of(cases[i].want)));
    }
    CU_ASSERT_PTR_NULL(gw_json_get(obj, "stringData"));
}

static void string_data_alone(void) {
    GW_JSON_AUTO obj = res_accepted(&ctl_res_secret, "stringData: {api-key: sk}");
    CU_ASSERT(gw_str_eq(gw_json_str(gw_json_get(obj, "data"), "api-key"), GW_STR("c2s=")));
}

static void from_env_is_checked(void) {
    static const struct {
        const char *yaml;
        enum gw_rc want;
    } cases[] = {
        {ANNOTATED(""), GW_ERR_INPUT},           {ANNOTATED("api-key"), GW_ERR_INPUT},
        {ANNOTATED("=A"), GW_ERR_INPUT},         {ANNOTATED("api-key="), GW_ERR_INPUT},
        {ANNOTATED("api-key=1A"), GW_ERR_INPUT}, {ANNOTATED("api-key=A B"), GW_ERR_INPUT},
        {ANNOTATED("api-key=A,"), GW_ERR_INPUT}, {ANNOTATED("api-key=OPENAI_API_KEY"), GW_OK},
        {ANNOTATED("a=A, b=B"), GW_OK},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        GW_JSON_AUTO obj = res_parse(cases[i].yaml);
        struct gw_schema_problem problem = {0};
        CU_ASSERT_EQUAL(ctl_res_check(&ctl_res_secret, obj, &problem), cases[i].want);
        CU_ASSERT_STRING_EQUAL(problem.err.text,
                               cases[i].want == GW_OK
                                   ? ""
                                   : "metadata.annotations: kgateway.dev/from-env "
                                     "is not of the form key=VARIABLE");
    }
}

static CU_TestInfo tests[] = {
    {"data is checked", data_is_checked},
    {"values are not quoted", values_are_not_quoted},
    {"stringData goes into data", string_data_goes_into_data},
    {"stringData alone", string_data_alone},
    {"from-env is checked", from_env_is_checked},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_controller_res_secret = {"secret", NULL, NULL, NULL, NULL, tests};
