// SPDX-License-Identifier: Apache-2.0
// URLRewrite: what compile refuses, and what an upstream is asked for.
#include "test/unit/dataplane/policy/policies.h"

#include <CUnit/CUnit.h>
#include <stdio.h>

extern CU_SuiteInfo suite_dataplane_policy_url_rewrite;

static void refuses(void) {
    policy_refuses("URLRewrite", "{\"hostname\":\"a b\"}", "hostname: the host has a bad byte");
    policy_refuses("URLRewrite", "{\"hostname\":\"a\\nb\"}", "hostname: the host has a bad byte");
    policy_refuses("URLRewrite", "{\"path\":{\"type\":\"ReplacePrefixMatch\",\"value\":\"/\"}}",
                   "path.prefix: ");
}

#define PATH(value)                                                                                \
    "\"path\":{\"type\":\"ReplacePrefixMatch\",\"value\":\"" value "\",\"prefix\":\"/foo\"}"

static void rewrites(void) {
    static const struct {
        const char *filter, *target, *want_target, *want_path, *want_host, *forwarded;
    } table[] = {
        {"{}", "/foo?x", "/foo?x", "/foo", "a.example:81", "spoofed"},
        {"{\"hostname\":\"in.example\"}", "/foo", "/foo", "/foo", "in.example", "a.example:81"},
        {"{" PATH("/bar") "}", "/foo/x", "/bar/x", "/bar/x", "a.example:81", "spoofed"},
        {"{" PATH("/bar") "}", "/foo/x?a=b?c", "/bar/x?a=b?c", "/bar/x", "a.example:81", "spoofed"},
        {"{" PATH("/bar") "}", "/foo?", "/bar?", "/bar", "a.example:81", "spoofed"},
        {"{" PATH("") "}", "/foo?q=1", "/?q=1", "/", "a.example:81", "spoofed"},
        {"{" PATH("/bar") "}", "/other?q", "/other?q", "/other", "a.example:81", "spoofed"},
        {"{\"path\":{\"type\":\"ReplaceFullPath\",\"value\":\"/one\"},\"hostname\":\"h\"}",
         "/foo/x?q", "/one?q", "/one", "h", "a.example:81"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct gw_arena a = {0};
        struct gw_err err;
        const void *conf;
        struct policy_request q = {
            NULL, "a.example:81", table[i].target, {{"X-Forwarded-Host", "spoofed"}}};
        CU_ASSERT_EQUAL_FATAL(policy_compile("URLRewrite", table[i].filter, &a, &conf, &err),
                              GW_OK);
        struct dp_head head = policy_head(&q, &a);
        struct dp_policy_call c = {.head = &head, .arena = &a, .err = &err};
        CU_ASSERT_EQUAL(dp_policy_find(GW_STR("URLRewrite"))->request(conf, &c), GW_OK);
        CU_ASSERT(gw_str_eq(head.target, gw_str_of(table[i].want_target)));
        CU_ASSERT(gw_str_eq(head.path, gw_str_of(table[i].want_path)));
        CU_ASSERT(gw_str_eq(head.authority, gw_str_of(table[i].want_host)));
        CU_ASSERT_STRING_EQUAL(policy_field(&head.fields, "x-forwarded-host"), table[i].forwarded);
        CU_ASSERT_EQUAL(head.fields.len, 1);
        CU_ASSERT_EQUAL(c.own_status, 0);
        gw_arena_fini(&a);
    }
}

static CU_TestInfo tests[] = {
    {"refuses", refuses},
    {"rewrites", rewrites},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_policy_url_rewrite = {"url_rewrite", NULL, NULL, NULL, NULL, tests};
