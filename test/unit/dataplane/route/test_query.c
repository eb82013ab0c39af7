// SPDX-License-Identifier: Apache-2.0
// Query parameters, compared without decoding them into memory.
#include "dataplane/route/query.h"

#include <CUnit/CUnit.h>
#include <stdio.h>

extern CU_SuiteInfo suite_dataplane_route_query;

struct one {
    const char *query, *name, *value;
};

static void check(const struct one *cases, size_t n, bool want) {
    for (size_t i = 0; i < n; i++) {
        bool has = dp_query_has(gw_str_of(cases[i].query), gw_str_of(cases[i].name),
                                gw_str_of(cases[i].value));
        CU_ASSERT_EQUAL(has, want);
        if (has != want) {
            printf("\n'%s' %s %s=%s\n", cases[i].query, want ? "misses" : "has", cases[i].name,
                   cases[i].value);
        }
    }
}

static void misses(void) {
    static const struct one cases[] = {
        {"", "a", "1"},        {"a=2", "a", "1"},    {"b=1", "a", "1"},    {"A=1", "a", "1"},
        {"a=1", "a", "11"},    {"a=11", "a", "1"},   {"aa=1", "a", "1"},   {"a=2&a=1", "a", "1"},
        {"a=1;b=2", "a", "1"}, {"a=1 ", "a", "1"},   {"a=%31x", "a", "1"}, {"a=%3", "a", "3"},
        {"a=%", "a", ""},      {"a=%zz", "a", "zz"}, {"&&", "", ""},       {"a=B", "a", "b"},
        {"x=a=1", "a", "1"},   {"a=1#", "a", "1"},   {"a%3D1", "a", "1"},  {"a=1%26b=2", "b", "2"},
    };
    check(cases, GW_ARRAY_LEN(cases), false);
}

static void has(void) {
    static const struct one cases[] = {
        {"a=1", "a", "1"},       {"b=2&a=1", "a", "1"},   {"a=1&a=2", "a", "1"},
        {"a", "a", ""},          {"a=", "a", ""},         {"&&a=1&", "a", "1"},
        {"a=%31", "a", "1"},     {"%61=1", "a", "1"},     {"a=b+c", "a", "b c"},
        {"a=b%20c", "a", "b c"}, {"a=b%2Bc", "a", "b+c"}, {"a=%zz", "a", "%zz"},
        {"a=%3", "a", "%3"},     {"a=%", "a", "%"},       {"a=%c3%A9", "a", "\xc3\xa9"},
        {"a=1=2", "a", "1=2"},   {"=1", "", "1"},         {"a%26b=c%3Dd", "a&b", "c=d"},
        {"a=%2531", "a", "%31"},
    };
    check(cases, GW_ARRAY_LEN(cases), true);
}

static void a_nul_is_a_byte_like_others(void) {
    CU_ASSERT(dp_query_has(GW_STR("a=%00b"), GW_STR("a"), GW_STR("\0b")));
    CU_ASSERT_FALSE(dp_query_has(GW_STR("a=%00b"), GW_STR("a"), GW_STR("")));
}

static void no_query_at_all(void) {
    CU_ASSERT_FALSE(dp_query_has((struct gw_str){NULL, 0}, GW_STR("a"), GW_STR("")));
}

static CU_TestInfo tests[] = {
    {"misses", misses}, {"no query at all", no_query_at_all},
    {"has", has},       {"a NUL is a byte like others", a_nul_is_a_byte_like_others},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_route_query = {"query", NULL, NULL, NULL, NULL, tests};
