// SPDX-License-Identifier: Apache-2.0
// How well a hostname covers a host.
#include "dataplane/route/route.h"

#include <CUnit/CUnit.h>
#include <stdio.h>

extern CU_SuiteInfo suite_dataplane_route_hostname;

static unsigned fit(const char *hostname, const char *host) {
    return dp_hostname_fit(gw_str_of(hostname), gw_str_of(host));
}

static void what_does_not_cover(void) {
    static const struct {
        const char *hostname, *host;
    } cases[] = {
        {"a.example.com", "b.example.com"},
        {"a.example.com", "a.example.co"},
        {"a.example.com", "xa.example.com"},
        {"a.example.com", ""},
        {"*.example.com", "example.com"},
        {"*.example.com", ".example.com"},
        {"*.example.com", "aexample.com"},
        {"*.example.com", "a.example.org"},
        {"*.example.com", ""},
        {"*", "a"},
        {"*a.com", "aa.com"},
        {"a.*.com", "a.b.com"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        unsigned n = fit(cases[i].hostname, cases[i].host);
        CU_ASSERT_EQUAL(n, 0);
        if (n) printf("\n%s covers %s\n", cases[i].hostname, cases[i].host);
    }
}

static void what_covers(void) {
    CU_ASSERT(fit("", "a") > 0);
    CU_ASSERT(fit("", "") > 0);
    CU_ASSERT(fit("a.example.com", "a.example.com") > 0);
    CU_ASSERT(fit("*.example.com", "a.example.com") > 0);
    CU_ASSERT(fit("*.example.com", "a.b.c.example.com") > 0);
    CU_ASSERT(fit("*.com", "a.b.com") > 0);
    CU_ASSERT(fit("2001:db8::5", "2001:db8::5") > 0);
}

static void better_fits_are_larger(void) {
    const char *host = "a.b.example.com";
    const char *const order[] = {"", "*.com", "*.example.com", "*.b.example.com",
                                 "a.b.example.com"};
    for (size_t i = 1; i < GW_ARRAY_LEN(order); i++)
        CU_ASSERT(fit(order[i - 1], host) < fit(order[i], host));
    char wildcard[260] = "*.", long_host[260] = "x.";
    memset(wildcard + 2, 'a', 250);
    memset(long_host + 2, 'a', 250);
    CU_ASSERT(fit(wildcard, long_host) > 0);
    CU_ASSERT(fit(wildcard, long_host) < fit("a", "a"));
}

static CU_TestInfo tests[] = {
    {"what does not cover", what_does_not_cover},
    {"what covers", what_covers},
    {"better fits are larger", better_fits_are_larger},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_route_hostname = {"hostname", NULL, NULL, NULL, NULL, tests};
