// SPDX-License-Identifier: Apache-2.0
// Finding kinds, and what all kinds have in common.
#include "test/unit/controller/res/cases.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>

static void find_by_version_and_kind(void) {
    static const struct {
        const char *api_version, *kind, *want; // want: the message, NULL: found
    } cases[] = {
        {"v1", "Foo", "no kind 'Foo' in version 'v1'"},
        {"", "Service", "no kind 'Service' in version '' (there is v1)"},
        {"v2", "Service", "no kind 'Service' in version 'v2' (there is v1)"},
        {"apps/v1", "Deployment", "no kind 'Deployment' in version 'apps/v1'"},
        {"apps/v1", "Service", "no kind 'Service' in version 'apps/v1'"},
        {"v1", "httproute", "no kind 'httproute' in version 'v1'"},
        {"gateway.networking.k8s.io/v1alpha2", "HTTPRoute",
         "no kind 'HTTPRoute' in version 'gateway.networking.k8s.io/v1alpha2' (there is "
         "gateway.networking.k8s.io/v1)"},
        {"gateway.networking.k8s.io/v1", "TLSRoute", "kind 'TLSRoute' is not supported yet"},
        {"gateway.networking.k8s.io/v1", "GRPCRoute", "kind 'GRPCRoute' is not supported yet"},
        {"gateway.networking.k8s.io/v1alpha2", "TCPRoute", "kind 'TCPRoute' is not supported yet"},
        {"kgateway.dev/v1alpha1", "ToolPolicy", "kind 'ToolPolicy' is not supported yet"},
        {"kgateway.dev/v1alpha1", "MCPFilter", "kind 'MCPFilter' is not supported yet"},
        {"kgateway.dev/v1alpha1", "Toolpolicy",
         "no kind 'Toolpolicy' in version 'kgateway.dev/v1alpha1'"},
        {"v1", "Service", NULL},
        {"v1", "Secret", NULL},
        {"v1", "Namespace", NULL},
        {"discovery.k8s.io/v1", "EndpointSlice", NULL},
        {"gateway.networking.k8s.io/v1", "GatewayClass", NULL},
        {"gateway.networking.k8s.io/v1", "Gateway", NULL},
        {"gateway.networking.k8s.io/v1", "HTTPRoute", NULL},
        {"gateway.networking.k8s.io/v1", "ReferenceGrant", NULL},
        {"gateway.networking.k8s.io/v1beta1", "ReferenceGrant", NULL},
        {"kgateway.dev/v1alpha1", "LLMBackend", NULL},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct gw_err err = {0};
        const struct ctl_res_kind *k =
            ctl_res_find(gw_str_of(cases[i].api_version), gw_str_of(cases[i].kind), &err);
        if (cases[i].want) {
            CU_ASSERT_PTR_NULL(k);
            CU_ASSERT_STRING_EQUAL(err.text, cases[i].want);
        } else {
            CU_ASSERT_PTR_NOT_NULL_FATAL(k);
            CU_ASSERT_STRING_EQUAL(k->name, cases[i].kind);
        }
    }
}

static void find_by_word(void) {
    static const struct {
        const char *word;
        const struct ctl_res_kind *want;
    } cases[] = {
        {"", NULL},
        {"route", NULL},
        {"httproute", &ctl_res_http_route},
        {"HTTPRoutes", &ctl_res_http_route},
        {"svc", &ctl_res_service},
        {"ns", &ctl_res_namespace},
        {"gtw", &ctl_res_gateway},
        {"gateway", &ctl_res_gateway},
        {"gatewayclass", &ctl_res_gateway_class},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++)
        CU_ASSERT_PTR_EQUAL(ctl_res_by_word(gw_str_of(cases[i].word)), cases[i].want);
}

static void words_are_unique(void) {
    for (const struct ctl_res_kind *const *k = ctl_res_kinds; *k; k++) {
        CU_ASSERT_PTR_EQUAL(ctl_res_by_word(gw_str_of((*k)->name)), *k);
        CU_ASSERT_PTR_EQUAL(ctl_res_by_word(gw_str_of((*k)->plural)), *k);
        if ((*k)->short_name) {
            CU_ASSERT_PTR_EQUAL(ctl_res_by_word(gw_str_of((*k)->short_name)), *k);
        }
    }
}

#define NS "apiVersion: v1\nkind: Namespace\n"
#define SECRET "apiVersion: v1\nkind: Secret\n"
static void metadata_is_checked(void) {
    static const struct {
        const char *yaml, *want;
    } cases[] = {
        {NS, "metadata is missing"},
        {NS "metadata: {}", "metadata.name is missing"},
        {NS "metadata: {name: A}", "metadata.name: 'A' must be a DNS name (lower-case letters, "
                                   "digits, '-' and '.')"},
        {NS "metadata: {name: a.b}",
         "metadata.name: 'a.b' must be a DNS label (lower-case letters, digits and '-')"},
        {NS "metadata: {name: a, namespace: b}",
         "metadata.namespace: kind Namespace has no namespace"},
        {NS "metadata: {name: a, labels: {'a b': c}}",
         "metadata.labels: 'a b' is not the key of a label"},
        {NS "metadata: {name: a, labels: {'A/b': c}}",
         "metadata.labels: 'A/b' is not the key of a label"},
        {NS "metadata: {name: a, labels: {a: 'b c'}}",
         "metadata.labels.a: 'b c' must be a label's value"},
        {NS "metadata: {name: a, annotations: {'a b': c}}",
         "metadata.annotations: 'a b' is not the key of an annotation"},
        {NS "metadata: {name: a, label: {a: b}}", "unknown field metadata.label"},
        {SECRET "metadata: {name: a, namespace: b.c}",
         "metadata.namespace: 'b.c' must be a DNS label (lower-case letters, digits and '-')"},
        {NS
         "metadata: {name: a, creationTimestamp: null, uid: u, resourceVersion: '1', generation: "
         "3, labels: {kubernetes.io/metadata.name: a, b: ''}, annotations: {Any.Key/A_b: any "
         "value}}",
         NULL},
        {SECRET "metadata: {name: a.b, namespace: c}", NULL},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        GW_JSON_AUTO obj = res_parse(cases[i].yaml);
        const struct ctl_res_kind *k = ctl_res_by_word(gw_json_str(obj, "kind"));
        struct gw_schema_problem problem = {0};
        enum gw_rc rc = ctl_res_check(k, obj, &problem);
        CU_ASSERT_EQUAL(rc, cases[i].want ? GW_ERR_INPUT : GW_OK);
        CU_ASSERT_STRING_EQUAL(problem.err.text, cases[i].want ? cases[i].want : "");
        if (strcmp(problem.err.text, cases[i].want ? cases[i].want : "") != 0)
            fprintf(stderr, "\n  want: %s\n  got:  %s\n", cases[i].want, problem.err.text);
    }
}

static void a_list_is_no_manifest(void) {
    GW_JSON_AUTO list = json_array();
    struct gw_schema_problem problem = {0};
    CU_ASSERT_EQUAL(ctl_res_check(&ctl_res_namespace, list, &problem), GW_ERR_INPUT);
}

static void settling_drops_what_is_not_content(void) {
    GW_JSON_AUTO obj =
        res_accepted(&ctl_res_http_route, "spec: {hostnames: null, rules: [{name: null, matches: "
                                          "[{method: null}]}]}\nstatus: {parents: []}");
    size_t n;
    char *got = gw_json_canonical(gw_json_get(obj, "spec"), &n);
    CU_ASSERT_STRING_EQUAL(got, "{\"rules\":[{\"matches\":[{}]}]}");
    free(got);
    CU_ASSERT_PTR_NULL(gw_json_get(obj, "status"));
    CU_ASSERT(
        gw_str_eq(gw_json_str_of(gw_json_path(obj, "metadata.namespace")), GW_STR("default")));
}

static void cluster_scoped_objects_get_no_namespace(void) {
    GW_JSON_AUTO obj = res_accepted(&ctl_res_gateway_class, "spec: {controllerName: a/b}");
    CU_ASSERT_PTR_NULL(gw_json_path(obj, "metadata.namespace"));
}

static CU_TestInfo tests[] = {
    {"find by version and kind", find_by_version_and_kind},
    {"find by word", find_by_word},
    {"words are unique", words_are_unique},
    {"metadata is checked", metadata_is_checked},
    {"a list is no manifest", a_list_is_no_manifest},
    {"settling drops what is not content", settling_drops_what_is_not_content},
    {"cluster-scoped objects get no namespace", cluster_scoped_objects_get_no_namespace},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_controller_res_res = {"res", NULL, NULL, NULL, NULL, tests};
