// SPDX-License-Identifier: Apache-2.0
// CORS: origins that fit and that do not, preflights, and what answers get.
#include "test/unit/dataplane/policy/policies.h"

#include <CUnit/CUnit.h>
#include <stdio.h>

extern CU_SuiteInfo suite_dataplane_policy_cors;

static void refuses(void) {
    policy_refuses("CORS", "{\"origins\":[\"a.example\"]}", "origins[0]: it begins with neither");
    policy_refuses("CORS", "{\"origins\":[\"ftp://a\"]}", "origins[0]: it begins with neither");
    policy_refuses("CORS", "{\"origins\":[\"*\",\"https://\"]}", "origins[1]: it is empty");
    policy_refuses("CORS", "{\"origins\":[\"https://*a.example\"]}", "origins[0]: '*' stands for");
    policy_refuses("CORS", "{\"origins\":[\"https://a.*.example\"]}", "origins[0]: the host has a");
    policy_refuses("CORS", "{\"origins\":[\"https://*.\"]}", "origins[0]: ");
    policy_refuses("CORS", "{\"origins\":[\"https://a/\"]}", "origins[0]: the host has a bad byte");
    policy_refuses("CORS", "{\"origins\":[\"https://a:0\"]}", "origins[0]: the port is not");
    policy_refuses("CORS", "{\"methods\":[\"GET\",\"a b\"]}", "methods[1]: is no name");
    policy_refuses("CORS", "{\"headers\":[\"x\\r\\ny\"]}", "headers[0]: is no name");
    policy_refuses("CORS", "{\"expose\":[\"\"]}", "expose[0]: is no name");
}

// --- one call ------------------------------------------------------------------------------------

struct asked {
    struct gw_arena a;
    struct gw_err err;
    const void *conf;
    struct dp_head head, answer;
    struct dp_policy_call call;
};

static void set_up(struct asked *x, const char *filter, const struct policy_request *q) {
    *x = (struct asked){0};
    CU_ASSERT_EQUAL_FATAL(policy_compile("CORS", filter, &x->a, &x->conf, &x->err), GW_OK);
    x->head = policy_head(q, &x->a);
    const struct dp_field *origin = dp_fields_find_name(&x->head.fields, GW_STR("origin"));
    x->call = (struct dp_policy_call){
        .head = &x->head,
        .arena = &x->a,
        .origin = origin ? origin->value : (struct gw_str){NULL, 0},
        .answer = &x->answer,
        .err = &x->err,
    };
}

static void ask(struct asked *x, const char *filter, const struct policy_request *q) {
    set_up(x, filter, q);
    x->call.answer = NULL;
    CU_ASSERT_EQUAL(dp_policy_find(GW_STR("CORS"))->request(x->conf, &x->call), GW_OK);
}

// upstream: fields of its answer, up to a NULL.
static void answer(struct asked *x, const char *filter, const char *origin,
                   const char *const (*upstream)[2]) {
    struct policy_request q = {"GET", "a", "/", {{"origin", origin}}};
    if (!origin) q.fields[0][0] = NULL;
    set_up(x, filter, &q);
    for (int i = 0; upstream && upstream[i][0]; i++)
        CU_ASSERT_EQUAL(dp_fields_add(&x->answer.fields, &x->a, gw_str_of(upstream[i][0]),
                                      gw_str_of(upstream[i][1])),
                        GW_OK);
    CU_ASSERT_EQUAL(dp_policy_find(GW_STR("CORS"))->response(x->conf, &x->call), GW_OK);
}

// --- origins -------------------------------------------------------------------------------------

static void compares_origins(void) {
    static const struct {
        const char *allowed, *origin;
        bool fits;
    } table[] = {
        {"https://www.foo.com", "https://foobar.com", false},
        {"https://www.foo.com", "http://www.foo.com", false},
        {"https://www.foo.com", "https://www.foo.com:444", false},
        {"https://www.foo.com", "https://www.foo.com.evil.example", false},
        {"https://www.foo.com", "https://evil.example/https://www.foo.com", false},
        {"https://www.foo.com", "https://user@www.foo.com", false},
        {"https://www.foo.com", "null", false},
        {"https://www.foo.com", "", false},
        {"https://www.foo.com", "https://", false},
        {"https://www.foo.com", "https://www.foo.com", true},
        {"https://www.foo.com", "https://www.foo.com:443", true},
        {"https://www.foo.com:443", "https://www.foo.com", true},
        {"http://www.foo.com:80", "http://www.foo.com", true},
        {"https://www.foo.com:8443", "https://www.foo.com", false},
        {"https://www.foo.com:8443", "https://www.foo.com:8443", true},
        {"HTTPS://WWW.foo.com", "https://www.Foo.com", true},
        {"https://[2001:db8::5]:8443", "https://[2001:db8::5]:8443", true},
        // a wildcard takes any number of labels, but not none
        {"https://*.bar.com", "https://www.bar.com", true},
        {"https://*.bar.com", "https://xpto.www.bar.com", true},
        {"https://*.bar.com", "https://bar.com", false},
        {"https://*.bar.com", "https://.bar.com", false},
        {"https://*.bar.com", "https://evilbar.com", false},
        {"https://*.bar.com", "https://www.bar.com.evil.example", false},
        {"https://*.bar.com", "http://www.bar.com", false},
        {"https://*.bar.com", "https://www.bar.com:8443", false},
        {"https://*.bar.com:8443", "https://www.bar.com:8443", true},
        // any host, of one scheme and port
        {"https://*", "https://anything.example", true},
        {"https://*", "http://anything.example", false},
        {"https://*", "https://anything.example:8443", false},
        {"https://*:8443", "https://anything.example:8443", true},
        // anybody
        {"*", "https://foobar.com:12345", true},
        {"*", "null", true},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct asked x;
        char filter[256];
        snprintf(filter, sizeof(filter), "{\"origins\":[\"http://other.example\",\"%s\"]}",
                 table[i].allowed);
        answer(&x, filter, table[i].origin, NULL);
        const char *got = policy_field(&x.answer.fields, "access-control-allow-origin");
        CU_ASSERT_EQUAL(got != NULL, table[i].fits);
        if ((got != NULL) != table[i].fits)
            printf("\n%s asks %s: %s\n", table[i].origin, table[i].allowed, got ? got : "(none)");
        if (got) CU_ASSERT_STRING_EQUAL(got, table[i].origin);
        gw_arena_fini(&x.a);
    }
}

// --- preflights ----------------------------------------------------------------------------------

#define VARY "origin, access-control-request-method, access-control-request-headers"

static void leaves_what_is_no_preflight(void) {
    static const struct policy_request table[] = {
        {"GET", "a", "/", {{"origin", "https://a"}, {"access-control-request-method", "GET"}}},
        {"OPTIONS", "a", "/", {{"origin", "https://a"}}},
        {"OPTIONS", "a", "/", {{"access-control-request-method", "GET"}}},
        {"OPTIONS", "a", "/", {{"origin", "https://a"}, {"access-control-request-method", ""}}},
        {"OPTIONS", "a", "/", {{"origin", "https://a"}, {"access-control-request-method", "a b"}}},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct asked x;
        ask(&x, "{\"origins\":[\"*\"]}", &table[i]);
        CU_ASSERT_EQUAL(x.call.own_status, 0);
        CU_ASSERT_EQUAL(x.call.own_fields.len, 0);
        gw_arena_fini(&x.a);
    }
}

static void answers_preflights(void) {
    static const struct {
        const char *filter, *origin, *method, *headers;
        const char *want[8][2];
    } table[] = {
        {"{\"origins\":[\"https://a.example\"],\"methods\":[\"GET\"]}",
         "https://b.example",
         "GET",
         "x-a",
         {{"vary", VARY}}},
        {"{}", "https://a.example", "GET", NULL, {{"vary", VARY}}},
        {"{\"origins\":[\"https://a.example\"]}",
         "https://a.example",
         "PUT",
         "x-a",
         {{"access-control-allow-origin", "https://a.example"},
          {"access-control-max-age", "5"},
          {"vary", VARY}}},
        {"{\"origins\":[\"https://a.example\"],\"methods\":[\"GET\",\"OPTIONS\"],\"headers\":[\"x-1"
         "\",\"x-2\"],\"expose\":[\"x-3\",\"x-4\"],\"credentials\":true,\"max_age\":3600}",
         "https://a.example",
         "DELETE",
         "x-other",
         {{"access-control-allow-origin", "https://a.example"},
          {"access-control-allow-credentials", "true"},
          {"access-control-expose-headers", "x-3, x-4"},
          {"access-control-allow-methods", "GET, OPTIONS"},
          {"access-control-allow-headers", "x-1, x-2"},
          {"access-control-max-age", "3600"},
          {"vary", VARY}}},
        {"{\"origins\":[\"*\"],\"methods\":[\"*\"],\"headers\":[\"*\"],\"expose\":[\"*\"],"
         "\"credentials\":true}",
         "https://a.example",
         "PUT",
         "x-1, x-2",
         {{"access-control-allow-origin", "https://a.example"},
          {"access-control-allow-credentials", "true"},
          {"access-control-allow-methods", "PUT"},
          {"access-control-allow-headers", "x-1, x-2"},
          {"access-control-max-age", "5"},
          {"vary", VARY}}},
        {"{\"origins\":[\"*\"],\"methods\":[\"*\"],\"headers\":[\"*\"],\"expose\":[\"*\"]}",
         "https://a.example",
         "PUT",
         NULL,
         {{"access-control-allow-origin", "https://a.example"},
          {"access-control-expose-headers", "*"},
          {"access-control-allow-methods", "PUT"},
          {"access-control-max-age", "5"},
          {"vary", VARY}}},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct asked x;
        struct policy_request q = {"OPTIONS",
                                   "a",
                                   "/",
                                   {{"Origin", table[i].origin},
                                    {"Access-Control-Request-Method", table[i].method},
                                    {"Access-Control-Request-Headers", table[i].headers}}};
        if (!table[i].headers) q.fields[2][0] = NULL;
        ask(&x, table[i].filter, &q);
        CU_ASSERT_EQUAL(x.call.own_status, 204);
        CU_ASSERT(policy_has_fields(&x.call.own_fields, table[i].want));
        gw_arena_fini(&x.a);
    }
}

static void report_http_08_preflight(void) {
    static const char *const want[][2] = {
        {"access-control-allow-origin", "https://app.example.com"},
        {"access-control-allow-methods", "GET, POST"},
        {"access-control-allow-headers", "authorization"},
        {"access-control-max-age", "60"},
        {"vary", VARY},
        {NULL, NULL}};
    struct policy_request q = {"OPTIONS",
                               "a",
                               "/v1/x",
                               {{"Origin", "https://app.example.com"},
                                {"Access-Control-Request-Method", "POST"},
                                {"Access-Control-Request-Headers", "authorization"}}};
    struct asked x;
    ask(&x,
        "{\"origins\":[\"https://app.example.com\"],\"methods\":[\"GET\",\"POST\"],\"headers\":["
        "\"authorization\"],\"max_age\":60}",
        &q);
    CU_ASSERT_EQUAL(x.call.own_status, 204);
    CU_ASSERT(policy_has_fields(&x.call.own_fields, want));
    gw_arena_fini(&x.a);
}

// --- other answers -------------------------------------------------------------------------------

static void replaces_the_upstreams(void) {
    static const char *const upstream[][2] = {{"Access-Control-Allow-Origin", "*"},
                                              {"x-a", "1"},
                                              {"access-control-allow-credentials", "true"},
                                              {"access-control-max-age", "9"},
                                              {NULL, NULL}};
    static const char *const kept[][2] = {{"x-a", "1"}, {"vary", "origin"}, {NULL, NULL}};
    static const char *const given[][2] = {{"x-a", "1"},
                                           {"access-control-allow-origin", "https://a.example"},
                                           {"access-control-expose-headers", "x-3"},
                                           {"vary", "origin"},
                                           {NULL, NULL}};
    const char *filter = "{\"origins\":[\"https://a.example\"],\"methods\":[\"PUT\"],\"expose\":["
                         "\"x-3\"],\"max_age\":7}";
    struct asked x;
    answer(&x, filter, "https://b.example", upstream);
    CU_ASSERT(policy_has_fields(&x.answer.fields, kept));
    gw_arena_fini(&x.a);
    answer(&x, filter, NULL, upstream);
    CU_ASSERT(policy_has_fields(&x.answer.fields, kept));
    gw_arena_fini(&x.a);
    answer(&x, filter, "https://a.example", upstream);
    CU_ASSERT(policy_has_fields(&x.answer.fields, given));
    gw_arena_fini(&x.a);
}

static void exposes_by_name_with_credentials(void) {
    static const char *const upstream[][2] = {{"x-a", "1"}, {"etag", "2"}, {NULL, NULL}};
    struct asked x;
    answer(&x, "{\"origins\":[\"*\"],\"expose\":[\"*\"],\"credentials\":true}", "https://a",
           upstream);
    CU_ASSERT_PTR_NOT_NULL_FATAL(policy_field(&x.answer.fields, "access-control-expose-headers"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(policy_field(&x.answer.fields, "access-control-expose-headers"), "x-a, etag"));
    gw_arena_fini(&x.a);
}

static void says_vary_once(void) {
    static const struct {
        const char *vary;
        unsigned want;
    } table[] = {{"accept-encoding", 2}, {"accept, Origin", 1}, {"*", 1}, {"x-origin", 2}};
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        const char *const upstream[][2] = {{"Vary", table[i].vary}, {NULL, NULL}};
        struct asked x;
        answer(&x, "{\"origins\":[\"https://a.example\"]}", NULL, upstream);
        CU_ASSERT_EQUAL(dp_fields_remove(&x.answer.fields, GW_STR("vary")), table[i].want);
        gw_arena_fini(&x.a);
    }
}

static CU_TestInfo tests[] = {
    {"refuses", refuses},
    {"compares origins", compares_origins},
    {"leaves what is no preflight", leaves_what_is_no_preflight},
    {"answers preflights", answers_preflights},
    {"http-08: preflight", report_http_08_preflight},
    {"replaces the upstream's", replaces_the_upstreams},
    {"exposes by name with credentials", exposes_by_name_with_credentials},
    {"says vary once", says_vary_once},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_policy_cors = {"cors", NULL, NULL, NULL, NULL, tests};
