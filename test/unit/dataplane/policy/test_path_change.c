// SPDX-License-Identifier: Apache-2.0
// HTTPPathModifier: what compile refuses, and how paths are joined.
#include "dataplane/policy/path_change.h"

#include <CUnit/CUnit.h>
#include <stdio.h>

extern CU_SuiteInfo suite_dataplane_policy_path_change;

static void refuses_what_is_no_path(void) {
    static const struct {
        const char *json, *why;
    } table[] = {
        {"{\"type\":\"ReplaceFullPath\",\"value\":\"/a\\r\\nSet-Cookie: x\"}",
         "path.value: byte 2 is none of a path (it may be written as %0D)"},
        {"{\"type\":\"ReplaceFullPath\",\"value\":\"/a\\u0000b\"}", "path.value: byte 2"},
        {"{\"type\":\"ReplaceFullPath\",\"value\":\"/a?b=1\"}", "path.value: byte 2"},
        {"{\"type\":\"ReplaceFullPath\",\"value\":\"/a#b\"}", "path.value: byte 2"},
        {"{\"type\":\"ReplaceFullPath\",\"value\":\"/a b\"}", "written as %20"},
        {"{\"type\":\"ReplaceFullPath\",\"value\":\"/\xc3\xa9\"}", "written as %C3"},
        {"{\"type\":\"ReplacePrefixMatch\",\"value\":\"/a\"}", "path.prefix: Replace"},
        {"{\"type\":\"ReplacePrefixMatch\",\"value\":\"/a\",\"prefix\":\"/ \"}", "path.prefix: b"},
        {"{\"type\":\"Nope\",\"value\":\"/a\"}", "path.type: 'Nope' is not known"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct gw_arena a = {0};
        struct gw_err err = {0};
        struct dp_path_change c;
        GW_JSON_AUTO spec = json_loads(table[i].json, 0, NULL);
        if (!spec) spec = json_loads(table[i].json, JSON_ALLOW_NUL, NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(spec);
        CU_ASSERT_EQUAL(dp_path_change_compile(spec, &a, &c, &err), GW_ERR_INPUT);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, table[i].why));
        if (!strstr(err.text, table[i].why)) printf("\n%s: %s\n", table[i].json, err.text);
        gw_arena_fini(&a);
    }
}

static void joins_paths(void) {
    static const struct {
        const char *prefix, *value, *path, *want;
    } table[] = {
        // the table of HTTPPathModifier
        {"/foo", "/xyz", "/foo/bar", "/xyz/bar"},
        {"/foo", "/xyz/", "/foo/bar", "/xyz/bar"},
        {"/foo/", "/xyz", "/foo/bar", "/xyz/bar"},
        {"/foo/", "/xyz/", "/foo/bar", "/xyz/bar"},
        {"/foo", "/xyz", "/foo", "/xyz"},
        {"/foo", "/xyz", "/foo/", "/xyz/"},
        {"/foo", "", "/foo/bar", "/bar"},
        {"/foo", "", "/foo/", "/"},
        {"/foo", "", "/foo", "/"},
        {"/foo", "/", "/foo/", "/"},
        {"/foo", "/", "/foo", "/"},
        {"/foo", "/", "/foo/x", "/x"},
        // a prefix that is everything
        {"/", "/v2", "/", "/v2/"},
        {"/", "/v2", "/x", "/v2/x"},
        {"/", "/v2/", "/x", "/v2/x"},
        {"/", "/", "/x/y", "/x/y"},
        // what is given without a slash
        {"/foo", "xyz", "/foo/bar", "/xyz/bar"},
        // nothing begins with two slashes
        {"/foo", "/", "/foo//evil.example", "/evil.example"},
        {"/foo", "", "/foo///", "/"},
        {"/foo", "//evil.example", "/foo/x", "/evil.example/x"},
        {"/foo", "//evil.example", "/foo", "/evil.example"},
        // inside they stay
        {"/foo", "/a", "/foo//x", "/a//x"},
        // whole segments, compared as they stand
        {"/foo", "/bar", "/foobar", "/foobar"},
        {"/foo", "/bar", "/Foo/x", "/Foo/x"},
        {"/foo", "/bar", "/%66oo/x", "/%66oo/x"},
        {"/foo", "/bar", "/foo/%2F..%2f", "/bar/%2F..%2f"},
        {"/foo", "/bar", "*", "*"},
        // a full path
        {NULL, "/new", "/foo/bar", "/new"},
        {NULL, "/new/", "/", "/new/"},
        {NULL, "new", "/foo", "/new"},
        {NULL, "", "/foo", "/"},
        {NULL, "//new", "/foo", "/new"},
        {NULL, "/new", "*", "*"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct gw_arena a = {0};
        struct gw_err err = {0};
        struct dp_path_change c;
        json_t *spec = json_pack("{s:s, s:s}", "type",
                                 table[i].prefix ? "ReplacePrefixMatch" : "ReplaceFullPath",
                                 "value", table[i].value);
        if (table[i].prefix) json_object_set_new(spec, "prefix", json_string(table[i].prefix));
        CU_ASSERT_EQUAL(dp_path_change_compile(spec, &a, &c, &err), GW_OK);
        json_decref(spec);
        struct gw_str got = dp_path_change_apply(&c, gw_str_of(table[i].path), &a);
        CU_ASSERT(gw_str_eq(got, gw_str_of(table[i].want)));
        if (!gw_str_eq(got, gw_str_of(table[i].want)))
            printf("\n[%zu] %s: got " GW_STR_FMT ", wanted %s\n", i, table[i].path, GW_STR_ARG(got),
                   table[i].want);
        gw_arena_fini(&a);
    }
}

static void says_where_memory_ends(void) {
    char memory[32];
    struct gw_arena a, config = {0};
    struct gw_err err;
    struct dp_path_change c;
    GW_JSON_AUTO spec = json_pack("{s:s, s:s, s:s}", "type", "ReplacePrefixMatch", "value",
                                  "/a-much-longer-value-than-there-is-room-for", "prefix", "/x");
    gw_arena_init(&a, memory, sizeof(memory), 1);
    CU_ASSERT_EQUAL(dp_path_change_compile(spec, &config, &c, &err), GW_OK);
    CU_ASSERT_PTR_NULL(dp_path_change_apply(&c, GW_STR("/x/y"), &a).ptr);
    gw_arena_fini(&config);
    gw_arena_fini(&a);
}

static CU_TestInfo tests[] = {
    {"refuses what is no path", refuses_what_is_no_path},
    {"joins paths", joins_paths},
    {"says where memory ends", says_where_memory_ends},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_policy_path_change = {"path_change", NULL, NULL, NULL, NULL, tests};
