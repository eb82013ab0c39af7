// SPDX-License-Identifier: Apache-2.0
// RequestRedirect: what compile refuses, and Location of every combination of what is given and
// what is not.
#include "test/unit/dataplane/policy/policies.h"

#include <CUnit/CUnit.h>
#include <stdio.h>

extern CU_SuiteInfo suite_dataplane_policy_request_redirect;

static void refuses(void) {
    policy_refuses("RequestRedirect", "{\"status\":304}", "status: 304 is none of");
    policy_refuses("RequestRedirect", "{\"status\":200}", "status: 200 is none of");
    policy_refuses("RequestRedirect", "{\"scheme\":\"ftp\"}", "scheme: is none of");
    policy_refuses("RequestRedirect", "{\"hostname\":\"a b\"}", "hostname: the host has a bad");
    policy_refuses("RequestRedirect", "{\"hostname\":\"a\\r\\nb\"}",
                   "hostname: the host has a bad");
    policy_refuses("RequestRedirect", "{\"hostname\":\"u@a\"}", "hostname: it has user info");
    policy_refuses("RequestRedirect", "{\"hostname\":\"a:80\"}", "hostname: a port does not");
    policy_refuses("RequestRedirect",
                   "{\"path\":{\"type\":\"ReplaceFullPath\",\"value\":\"/\\n\"}}", "path.value: ");
}

struct listener {
    const char *scheme;
    uint16_t port;
};
static const struct listener http = {"http", 80}, https = {"https", 443}, odd = {"http", 8080},
                             odd_tls = {"https", 8443}, crossed = {"http", 443};

struct row {
    const char *filter;
    const struct listener *listener;
    const char *host, *target, *want;
};

static void redirect(const struct row *t) {
    struct gw_arena a = {0};
    struct gw_err err = {0};
    const void *conf = NULL;
    CU_ASSERT_EQUAL_FATAL(policy_compile("RequestRedirect", t->filter, &a, &conf, &err), GW_OK);
    struct policy_request q = {.authority = t->host, .target = t->target};
    struct dp_head head = policy_head(&q, &a);
    struct dp_policy_call c = {
        .head = &head,
        .arena = &a,
        .scheme = gw_str_of(t->listener->scheme),
        .port = t->listener->port,
        .err = &err,
    };
    CU_ASSERT_EQUAL(dp_policy_find(GW_STR("RequestRedirect"))->request(conf, &c), GW_OK);
    CU_ASSERT_EQUAL(c.own_status, 302);
    const char *got = policy_field(&c.own_fields, "location");
    CU_ASSERT_PTR_NOT_NULL_FATAL(got);
    CU_ASSERT_STRING_EQUAL(got, t->want);
    if (strcmp(got, t->want) != 0)
        printf("\n%s on %s:%u: %s\n", t->filter, t->listener->scheme, t->listener->port, got);
    gw_arena_fini(&a);
}

#define SCHEME "{\"scheme\":\"https\"}"
#define SCHEME_HTTP "{\"scheme\":\"http\"}"
#define HOST "{\"hostname\":\"new.example.net\"}"
#define PORT "{\"port\":9443}"
#define PREFIX "{\"path\":{\"type\":\"ReplacePrefixMatch\",\"value\":\"/bar\",\"prefix\":\"/foo\"}}"
#define FULL "{\"path\":{\"type\":\"ReplaceFullPath\",\"value\":\"/new\"}}"

static void makes_location(void) {
    static const struct row table[] = {
        // nothing but the status
        {"{}", &http, "a.example", "/x", "http://a.example/x"},
        {"{}", &https, "a.example", "/x", "https://a.example/x"},
        {"{}", &odd, "a.example", "/x", "http://a.example:8080/x"},
        {"{}", &odd_tls, "a.example", "/x", "https://a.example:8443/x"},
        {"{}", &crossed, "a.example", "/x", "http://a.example:443/x"},
        // scheme alone: its well-known port, whatever the listener's
        {SCHEME, &http, "a.example", "/x?q=1&r=%20", "https://a.example/x?q=1&r=%20"},
        {SCHEME, &odd, "a.example:8080", "/x", "https://a.example/x"},
        {SCHEME, &odd_tls, "a.example", "/x", "https://a.example/x"},
        {SCHEME_HTTP, &https, "a.example", "/x", "http://a.example/x"},
        {SCHEME_HTTP, &odd, "a.example", "/x", "http://a.example/x"},
        // port alone
        {PORT, &http, "a.example:80", "/x", "http://a.example:9443/x"},
        {PORT, &https, "a.example", "/x", "https://a.example:9443/x"},
        {"{\"port\":80}", &http, "a.example", "/x", "http://a.example/x"},
        {"{\"port\":80}", &odd, "a.example:8080", "/x", "http://a.example/x"},
        {"{\"port\":443}", &http, "a.example", "/x", "http://a.example:443/x"},
        {"{\"port\":443}", &odd_tls, "a.example", "/x", "https://a.example/x"},
        {"{\"port\":80}", &https, "a.example", "/x", "https://a.example:80/x"},
        // scheme and port
        {"{\"scheme\":\"https\",\"port\":443}", &http, "a.example", "/", "https://a.example/"},
        {"{\"scheme\":\"https\",\"port\":80}", &http, "a.example", "/", "https://a.example:80/"},
        {"{\"scheme\":\"http\",\"port\":8080}", &odd_tls, "a.example", "/",
         "http://a.example:8080/"},
        // hostname alone
        {HOST, &http, "a.example", "/x", "http://new.example.net/x"},
        {HOST, &https, "a.example", "/x", "https://new.example.net/x"},
        {HOST, &odd, "a.example", "/x", "http://new.example.net:8080/x"},
        // path alone
        {PREFIX, &http, "a.example", "/foo/x?q=1", "http://a.example/bar/x?q=1"},
        {PREFIX, &odd, "a.example", "/foo", "http://a.example:8080/bar"},
        {FULL, &https, "a.example", "/foo/x?q", "https://a.example/new?q"},
        {FULL, &https, "a.example", "/foo/x?", "https://a.example/new?"},
        // the request's host: its case is lowered, its port is not the listener's
        {"{}", &odd, "A.Example:1234", "/x", "http://a.example:8080/x"},
        {"{}", &http, "127.0.0.1:1234", "/x", "http://127.0.0.1/x"},
        {"{}", &http, "[::1]", "/x", "http://[::1]/x"},
        // paths that could be taken for something else
        {"{}", &http, "a.example", "//evil.example", "http://a.example//evil.example"},
        {"{}", &http, "a.example", "*", "http://a.example/"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++)
        redirect(&table[i]);
}

static void report_http_01_no_default_port(void) {
    redirect(&(struct row){"{\"scheme\":\"https\",\"hostname\":\"new.example.net\"}", &http,
                           "old.example.net", "/p?q=1", "https://new.example.net/p?q=1"});
}

static void report_http_03_scheme_of_the_listener(void) {
    redirect(&(struct row){"{\"hostname\":\"new.example.com\"}", &http, "old.example.com", "/x",
                           "http://new.example.com/x"});
    redirect(&(struct row){"{\"hostname\":\"new.example.com\"}", &https, "old.example.com", "/x",
                           "https://new.example.com/x"});
}

static void report_http_06_ipv6_literal_with_port(void) {
    redirect(&(struct row){"{\"scheme\":\"https\",\"port\":9443}", &(struct listener){"http", 9080},
                           "[2001:db8::5]:9080", "/a?b=1", "https://[2001:db8::5]:9443/a?b=1"});
}

static void keeps_status(void) {
    static const int statuses[] = {301, 302, 303, 307, 308};
    for (size_t i = 0; i < GW_ARRAY_LEN(statuses); i++) {
        struct gw_arena a = {0};
        struct gw_err err;
        const void *conf;
        char json[64];
        snprintf(json, sizeof(json), "{\"status\":%d}", statuses[i]);
        CU_ASSERT_EQUAL(policy_compile("RequestRedirect", json, &a, &conf, &err), GW_OK);
        struct dp_head head = policy_head(&(struct policy_request){NULL, "a", "/", {{0}}}, &a);
        struct dp_policy_call c = {
            .head = &head, .arena = &a, .scheme = GW_STR("http"), .port = 80, .err = &err};
        CU_ASSERT_EQUAL(dp_policy_find(GW_STR("RequestRedirect"))->request(conf, &c), GW_OK);
        CU_ASSERT_EQUAL(c.own_status, statuses[i]);
        gw_arena_fini(&a);
    }
}

static void needs_a_host(void) {
    struct gw_arena a = {0};
    struct gw_err err;
    const void *conf;
    CU_ASSERT_EQUAL(policy_compile("RequestRedirect", SCHEME, &a, &conf, &err), GW_OK);
    struct dp_head head = policy_head(&(struct policy_request){NULL, NULL, "/", {{0}}}, &a);
    struct dp_policy_call c = {
        .head = &head, .arena = &a, .scheme = GW_STR("http"), .port = 80, .err = &err};
    CU_ASSERT_EQUAL(dp_policy_find(GW_STR("RequestRedirect"))->request(conf, &c), GW_ERR_INPUT);
    CU_ASSERT_EQUAL(err.code, 400);
    CU_ASSERT_EQUAL(c.own_status, 0);
    gw_arena_fini(&a);
}

static CU_TestInfo tests[] = {
    {"refuses", refuses},
    {"makes location", makes_location},
    {"http-01: no default port", report_http_01_no_default_port},
    {"http-03: scheme of the listener", report_http_03_scheme_of_the_listener},
    {"http-06: IPv6 literal with port", report_http_06_ipv6_literal_with_port},
    {"keeps status", keeps_status},
    {"needs a host", needs_a_host},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_policy_request_redirect = {
    "request_redirect", NULL, NULL, NULL, NULL, tests};
