// SPDX-License-Identifier: Apache-2.0
// host[:port] of Host, targets and configuration.
#include "dataplane/codec/authority.h"

#include <CUnit/CUnit.h>

extern CU_SuiteInfo suite_dataplane_codec_authority;

static void refuses(void) {
    static const struct {
        struct gw_str text;
        const char *why;
    } cases[] = {
        {GW_STR(""), "empty"},
        {GW_STR(":80"), "host is empty"},
        {GW_STR("."), "empty label"},
        {GW_STR(".a"), "empty label"},
        {GW_STR("a..b"), "empty label"},
        {GW_STR("a.."), "empty label"},
        {GW_STR("a:"), "port is empty"},
        {GW_STR("a:0"), "1..65535"},
        {GW_STR("a:65536"), "1..65535"},
        {GW_STR("a:000080"), "1..65535"},
        {GW_STR("a:+80"), "1..65535"},
        {GW_STR("a:80x"), "1..65535"},
        {GW_STR("a:80:80"), "1..65535"},
        {GW_STR("u@a"), "user information"},
        {GW_STR("u:p@a"), "1..65535"},
        {GW_STR("a b"), "bad byte"},
        {GW_STR("a/b"), "bad byte"},
        {GW_STR("a,b"), "bad byte"},
        {GW_STR("a%2eb"), "bad byte"},
        {GW_STR("*.a"), "bad byte"},
        {GW_STR("a\0b"), "bad byte"},
        {GW_STR("caf\xc3\xa9"), "bad byte"},
        {GW_STR("2001:db8::5"), "1..65535"},
        {GW_STR("["), "not closed"},
        {GW_STR("[]"), "no IPv6"},
        {GW_STR("[2001:db8::5"), "not closed"},
        {GW_STR("[2001:db8::5]x"), "bad byte"},
        {GW_STR("[2001:db8::5]:"), "port is empty"},
        {GW_STR("[2001:db8::5]]"), "bad byte"},
        {GW_STR("[1.2.3.4]"), "no IPv6"},
        {GW_STR("[fe80::1%eth0]"), "no IPv6"},
        {GW_STR("[::1\0]"), "no IPv6"},
        {GW_STR("[1:2:3:4:5:6:7:8:9]"), "no IPv6"},
    };
    struct gw_arena arena = {0};
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct dp_authority a;
        const char *wrong = dp_authority_parse(cases[i].text, &arena, &a);
        if (!wrong || !strstr(wrong, cases[i].why)) {
            CU_FAIL("not refused for that reason");
            printf("\n'" GW_STR_FMT "': %s\n", GW_STR_ARG(cases[i].text), wrong ? wrong : "fine");
        }
    }
    gw_arena_fini(&arena);
}

static void refuses_a_host_that_is_too_long(void) {
    char text[DP_HOST_BYTES_MAX + 1];
    memset(text, 'a', sizeof(text));
    struct gw_arena arena = {0};
    struct dp_authority a;
    CU_ASSERT_PTR_NULL(dp_authority_parse((struct gw_str){text, sizeof(text) - 1}, &arena, &a));
    CU_ASSERT_PTR_NOT_NULL(dp_authority_parse((struct gw_str){text, sizeof(text)}, &arena, &a));
    gw_arena_fini(&arena);
}

static void check(struct gw_str text, struct gw_str host, unsigned port) {
    struct gw_arena arena = {0};
    struct dp_authority a = {0};
    CU_ASSERT_PTR_NULL_FATAL(dp_authority_parse(text, &arena, &a));
    CU_ASSERT(gw_str_eq(a.host, host));
    CU_ASSERT_EQUAL(a.port, port);
    gw_arena_fini(&arena);
}

static void splits_names(void) {
    check(GW_STR("a"), GW_STR("a"), 0);
    check(GW_STR("a.example.com:8080"), GW_STR("a.example.com"), 8080);
    check(GW_STR("a.example.com.:1"), GW_STR("a.example.com"), 1);
    check(GW_STR("10.0.0.1:65535"), GW_STR("10.0.0.1"), 65535);
    check(GW_STR("my_svc-1.ns"), GW_STR("my_svc-1.ns"), 0);
}

static void lowers_the_host(void) {
    char text[] = "A.Example.COM:80";
    check(gw_str_of(text), GW_STR("a.example.com"), 80);
    CU_ASSERT_STRING_EQUAL(text, "A.Example.COM:80");
    check(GW_STR("[2001:DB8::A]"), GW_STR("2001:db8::a"), 0);
}

static void http_06_ipv6_host_and_port(void) {
    check(GW_STR("[2001:db8::5]:9080"), GW_STR("2001:db8::5"), 9080);
    check(GW_STR("[2001:db8::5]"), GW_STR("2001:db8::5"), 0);
    check(GW_STR("[::ffff:10.0.0.1]:80"), GW_STR("::ffff:10.0.0.1"), 80);
    check(GW_STR("[::]:1"), GW_STR("::"), 1);
}

static CU_TestInfo tests[] = {
    {"refuses", refuses},
    {"refuses a host that is too long", refuses_a_host_that_is_too_long},
    {"http-06: the port is what follows the bracket", http_06_ipv6_host_and_port},
    {"splits names", splits_names},
    {"lowers the host", lowers_the_host},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_codec_authority = {"authority", NULL, NULL, NULL, NULL, tests};
