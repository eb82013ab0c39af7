// SPDX-License-Identifier: Apache-2.0
// Objects as an API server hands them out: what is refused, what is dropped, what stays.
#include "controller/res/res.h"

#include <CUnit/CUnit.h>
#include <stdio.h>

static json_t *load(const char *text) {
    json_error_t e;
    json_t *v = json_loads(text, 0, &e);
    if (!v) fprintf(stderr, "\n%s\n%s\n", text, e.text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(v);
    return v;
}

static void refusals(void) {
    static const struct {
        const struct ctl_res_kind *kind;
        const char *text, *says;
    } cases[] = {
        {&ctl_res_http_route, "{'spec': {'foo': 1}}", "unknown field spec.foo"},
        {&ctl_res_http_route, "{'spec': {}, 'more': 1}", "unknown field more"},
        {&ctl_res_http_route, "{}", "spec is missing"},
        {&ctl_res_http_route, "{'spec': []}", "must be an object"},
        {&ctl_res_http_route, "{'spec': {'hostnames': ['A']}}", "spec.hostnames[0]"},
        {&ctl_res_service, "{'spec': {'ports': [{'port': 99999}]}}", "99999"},
        {&ctl_res_service, "{'spec': 3}", "must be an object"},
        {&ctl_res_endpoint_slice, "{'addressType': 'IPv4', 'endpoints': [3]}", "endpoints[0]"},
        {&ctl_res_secret, "{'data': {'a': '%'}}", "is not base64"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct gw_schema_problem problem;
        char text[512];
        snprintf(text, sizeof(text), "%s", cases[i].text);
        for (char *p = text; *p; p++)
            if (*p == '\'') *p = '"';
        GW_JSON_AUTO v = load(text);
        CU_ASSERT_NOT_EQUAL_FATAL(ctl_res_take_stored(cases[i].kind, v, &problem), GW_OK);
        if (!strstr(problem.err.text, cases[i].says)) fprintf(stderr, "\n%s\n", problem.err.text);
        CU_ASSERT_PTR_NOT_NULL(strstr(problem.err.text, cases[i].says));
    }
}

static void metadata_may_hold_anything(void) {
    struct gw_schema_problem problem;
    GW_JSON_AUTO v =
        load("{\"metadata\": {\"name\": \"a\", \"namespace\": \"n\", \"uid\": \"u\", \"newer\": {},"
             " \"resourceVersion\": \"7\", \"managedFields\": [{}], \"finalizers\": [\"x\"],"
             " \"labels\": {\"-\": \"??\"}, \"annotations\": {\"\\u0001\": \"x\","
             " \"kubectl.kubernetes.io/last-applied-configuration\": \"{}\"}},"
             " \"spec\": {\"hostnames\": null}, \"status\": {\"any\": null}}");
    CU_ASSERT_EQUAL_FATAL(ctl_res_take_stored(&ctl_res_http_route, v, &problem), GW_OK);
    const json_t *meta = gw_json_get(v, "metadata");
    CU_ASSERT_PTR_NULL(json_object_get(meta, "managedFields"));
    CU_ASSERT_PTR_NULL(json_object_get(meta, "newer"));
    CU_ASSERT_EQUAL(json_object_size(gw_json_get(meta, "annotations")), 1);
    CU_ASSERT_EQUAL(json_object_size(gw_json_get(meta, "labels")), 1);
    CU_ASSERT(gw_str_eq(gw_json_str(meta, "resourceVersion"), GW_STR("7")));
    CU_ASSERT_PTR_NOT_NULL(json_object_get(v, "status"));
    CU_ASSERT_PTR_NULL(json_object_get(gw_json_get(v, "spec"), "hostnames"));
}

static void metadata_of_wrong_types(void) {
    static const char *const texts[] = {
        "{\"metadata\": 3, \"spec\": {\"ports\": []}}",
        "{\"metadata\": {\"name\": [], \"labels\": 3, \"annotations\": []}, \"spec\": {}}",
        "{\"metadata\": {\"annotations\": {\"a\": {}}}, \"spec\": {}, \"status\": 3}",
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(texts); i++) {
        struct gw_schema_problem problem;
        GW_JSON_AUTO v = load(texts[i]);
        (void)!ctl_res_take_stored(&ctl_res_service, v, &problem);
    }
}

// A Service must not be lost because the API server is newer than this program.
static void builtin_kinds_may_be_newer(void) {
    struct gw_schema_problem problem;
    GW_JSON_AUTO v = load("{\"metadata\": {\"name\": \"a\", \"namespace\": \"n\"}, \"newer\": 1,"
                          " \"spec\": {\"newer\": {}, \"type\": \"ClusterIP\","
                          " \"ports\": [{\"port\": 80, \"newer\": [1]}]}, \"status\": {\"x\": 1}}");
    CU_ASSERT_EQUAL_FATAL(ctl_res_take_stored(&ctl_res_service, v, &problem), GW_OK);
    CU_ASSERT_PTR_NULL(json_object_get(v, "newer"));
    CU_ASSERT_PTR_NULL(json_object_get(gw_json_get(v, "spec"), "newer"));
    const json_t *port = json_array_get(gw_json_path(v, "spec.ports"), 0);
    CU_ASSERT_EQUAL(json_object_size(port), 1);
    CU_ASSERT_PTR_NOT_NULL(json_object_get(v, "status"));
    GW_JSON_AUTO slice = load("{\"metadata\": {\"name\": \"a\"}, \"addressType\": \"IPv4\","
                              " \"endpoints\": null, \"ports\": null}");
    CU_ASSERT_EQUAL(ctl_res_take_stored(&ctl_res_endpoint_slice, slice, &problem), GW_OK);
}

static CU_TestInfo tests[] = {
    {"refusals", refusals},
    {"metadata may hold anything", metadata_may_hold_anything},
    {"metadata of wrong types", metadata_of_wrong_types},
    {"builtin kinds may be newer", builtin_kinds_may_be_newer},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_controller_res_stored = {"stored", NULL, NULL, NULL, NULL, tests};
