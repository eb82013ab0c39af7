// SPDX-License-Identifier: Apache-2.0
// Objects as an API server hands them out: what is refused, what is dropped, what stays.
#include "controller/res/res.h"
#include "shared/yaml.h"

#include <CUnit/CUnit.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

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

// What only a folder has to say: an API server has checked names, labels and types before.
static bool is_folders_own(const struct ctl_res_kind *kind, const struct gw_schema_problem *p) {
    return gw_str_starts(gw_str_of(p->path), GW_STR("metadata")) ||
           (kind->builtin && gw_str_starts(gw_str_of(p->err.text), GW_STR("unknown field")));
}

static bool same_verdict(const struct ctl_res_kind *kind, json_t *obj, const char *file) {
    struct gw_schema_problem folder = {0}, stored = {0};
    GW_JSON_AUTO a = json_deep_copy(obj);
    GW_JSON_AUTO b = json_deep_copy(obj);
    json_t *meta = gw_json_get(b, "metadata");
    json_object_set_new(meta, "resourceVersion", json_string("1"));
    json_object_set_new(meta, "managedFields", json_array());
    json_object_set_new(b, "status", json_object());
    enum gw_rc rc = ctl_res_check(kind, a, &folder);
    enum gw_rc stored_rc = ctl_res_take_stored(kind, b, &stored);
    if (rc != GW_OK && is_folders_own(kind, &folder)) return false;
    CU_ASSERT_EQUAL(rc, stored_rc);
    CU_ASSERT_STRING_EQUAL(folder.err.text, stored.err.text);
    if (strcmp(folder.err.text, stored.err.text) != 0)
        fprintf(stderr, "\n%s: '%s' and '%s'\n", file, folder.err.text, stored.err.text);
    if (rc != GW_OK) return true;
    // What translation sees is the same, too.
    ctl_res_settle(kind, a);
    static const char *const members[] = {"spec",  "data",        "endpoints",
                                          "ports", "addressType", NULL};
    for (const char *const *m = members; *m; m++)
        CU_ASSERT(json_equal(json_object_get(a, *m), json_object_get(b, *m)) ||
                  !json_object_get(a, *m));
    return false;
}

// Every example of the documentation, good and bad.
static void verdicts_are_those_of_a_folder(void) {
    glob_t files = {0};
    size_t checked = 0, refused = 0;
    CU_ASSERT_EQUAL_FATAL(glob("docs/kinds/examples/*.yaml", 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        struct gw_str path = gw_str_of(files.gl_pathv[i]);
        if (gw_str_ends(path, GW_STR(".status.yaml"))) continue;
        struct gw_yaml yaml = {0};
        struct gw_err err;
        FILE *f = fopen(path.ptr, "r");
        CU_ASSERT_PTR_NOT_NULL_FATAL(f);
        char *text = gw_alloc(1 << 16);
        size_t n = fread(text, 1, 1 << 16, f);
        fclose(f);
        // What is no YAML never becomes an object of an API server.
        enum gw_rc rc = gw_yaml_parse((struct gw_str){text, n}, path.ptr, &yaml, &err);
        for (size_t d = 0; rc == GW_OK && d < yaml.len; d++) {
            json_t *obj = yaml.docs[d].root;
            const struct ctl_res_kind *kind =
                ctl_res_find(gw_json_str(obj, "apiVersion"), gw_json_str(obj, "kind"), &err);
            if (!kind) continue;
            refused += same_verdict(kind, obj, path.ptr);
            checked++;
        }
        gw_yaml_fini(&yaml);
        free(text);
    }
    CU_ASSERT(checked > 40);
    CU_ASSERT(refused > 10);
    globfree(&files);
}

static CU_TestInfo tests[] = {
    {"refusals", refusals},
    {"metadata may hold anything", metadata_may_hold_anything},
    {"metadata of wrong types", metadata_of_wrong_types},
    {"builtin kinds may be newer", builtin_kinds_may_be_newer},
    {"verdicts are those of a folder", verdicts_are_those_of_a_folder},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_controller_res_stored = {"stored", NULL, NULL, NULL, NULL, tests};
