// SPDX-License-Identifier: Apache-2.0
// Resources are given as JSON texts; what comes out is asked as workers ask it.
#include "dataplane/conf/conf.h"
#include "dataplane/llm/dialect.h"
#include "shared/provider.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>

static struct gw_map resources;
static struct dp_conf_refusals refusals;

static void free_body(void *v) {
    json_decref(v);
}

static void put(const char *name, const char *body) {
    json_error_t e;
    json_t *v = json_loads(body, 0, &e);
    if (!v) printf("\n%s: %s\n", name, e.text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(v);
    struct gw_err err;
    if (gw_ir_validate(gw_str_of(name), v, &err) != GW_OK) {
        printf("\n%s: %s\n", name, err.text);
        CU_FAIL("not a valid resource");
    }
    json_decref(gw_map_put(&resources, gw_str_of(name), v));
}

static struct dp_conf *compile(void) {
    dp_conf_refusals_fini(&refusals);
    struct dp_resource *list = gw_alloc((resources.len + 1) * sizeof(*list));
    size_t it = 0, n = 0;
    void *body;
    while (gw_map_next(&resources, &it, &list[n].name, &body))
        list[n++].body = body;
    struct dp_conf *c = dp_conf_compile(list, n, "0123456789abcdef0123456789abcdef", 2, &refusals);
    free(list);
    return c;
}

static void done(struct dp_conf *c) {
    dp_conf_unref(c);
    dp_conf_refusals_fini(&refusals);
    gw_map_fini(&resources, free_body);
}

#define LISTENER "listener/default/edge/http"
#define LISTENER_BODY                                                                              \
    "{\"gateway\":\"default/edge\",\"name\":\"http\",\"port\":8080,\"protocol\":\"HTTP\"}"
#define ENDPOINTS "{\"addresses\":[{\"host\":\"10.0.0.1\",\"port\":8080}]}"
#define SERVICE "{\"type\":\"service\",\"endpoints\":\"endpoints/default/web/80\"}"
#define ATTACH "\"attach\":[{\"listener\":\"" LISTENER "\",\"hostnames\":[]}]"
#define MATCH_ALL "\"matches\":[{\"path\":{\"type\":\"PathPrefix\",\"value\":\"/\"}}]"
#define TO_WEB "\"backends\":[{\"backend\":\"backend/service/default/web/80\",\"weight\":1}]"
#define RULE_HEAD(route, index)                                                                    \
    "{\"route\":\"default/" route "\",\"index\":" index ",\"age\":\"1\","
#define LLM_HEAD                                                                                   \
    "{\"type\":\"llm\",\"url\":{\"scheme\":\"https\",\"host\":\"api.example.com\",\"port\":443,"   \
    "\"path\":\"/v1/\"},"

static void put_web(void) {
    put(LISTENER, LISTENER_BODY);
    put("endpoints/default/web/80", ENDPOINTS);
    put("backend/service/default/web/80", SERVICE);
}

static const struct dp_rule *match(const struct dp_conf *c, uint16_t port, const char *host,
                                   const char *path) {
    const struct dp_port *p = dp_conf_port(c, port);
    const struct dp_listener *l = p ? dp_conf_listener(p, gw_str_of(host)) : NULL;
    struct dp_head head = {
        .method = DP_METHOD_GET,
        .method_text = GW_STR("GET"),
        .target = gw_str_of(path),
        .path = gw_str_of(path),
        .authority = gw_str_of(host),
        .host = gw_str_of(host),
    };
    const struct dp_rule_match *m = l ? dp_router_match(l->router, &head) : NULL;
    return m ? m->rule : NULL;
}

static bool is_refused(const char *name, const char *why) {
    for (size_t i = 0; i < refusals.len; i++)
        if (strcmp(refusals.ptr[i].resource, name) == 0) {
            if (!strstr(refusals.ptr[i].reason, why))
                printf("\n%s: %s\n", name, refusals.ptr[i].reason);
            return strstr(refusals.ptr[i].reason, why) != NULL;
        }
    return false;
}

// --- refusals -----------------------------------------------------------------------------------

static void each_refusal_names_its_reason(void) {
    static const struct {
        const char *name, *body, *why;
    } table[] = {
        {"rule/default/r/0",
         RULE_HEAD("r", "0") ATTACH "," MATCH_ALL "," TO_WEB ",\"filters\":[{\"type\":\"Nope\"}]}",
         "filters[0]: type 'Nope' is not known to this data plane"},
        {"rule/default/r/0",
         RULE_HEAD("r", "0") ATTACH "," MATCH_ALL "," TO_WEB
                                    ",\"filters\":[{\"type\":\"RequestHeaderModifier\",\"remove\":"
                                    "[\"x\"]},{\"type\":\"RequestHeaderModifier\",\"set\":[{"
                                    "\"name\":\"x\",\"value\":\"a\\nb\"}]}]}",
         "filters[1]: "},
        {"rule/default/r/0",
         RULE_HEAD("r", "0") ATTACH
         "," MATCH_ALL
         ",\"backends\":[{\"backend\":\"backend/service/default/web/80\",\"weight\":1},"
         "{\"backend\":\"backend/llm/default/good\",\"weight\":1}]}",
         "backends: a rule of Services has a backend of the other type"},
        {"rule/default/r/0",
         RULE_HEAD("r", "0") ATTACH
         "," MATCH_ALL ",\"backends\":[{\"backend\":\"backend/service/default/web/80\",\"weight\":"
         "1,\"filters\":[{\"type\":\"RequestRedirect\",\"status\":304}]}]}",
         "backends[0]: filters[0]: status: 304 is none of"},
        {"rule/default/r/0",
         RULE_HEAD("r", "0") ATTACH "," MATCH_ALL "," TO_WEB
                                    ",\"filters\":[{\"type\":\"RequestMirror\",\"backend\":"
                                    "\"backend/llm/default/good\"}]}",
         "filters[0]: model requests are not mirrored"},
        {"rule/default/r/0",
         RULE_HEAD("r", "0") ATTACH
         "," MATCH_ALL ",\"backends\":[{\"backend\":\"backend/llm/default/good\",\"weight\":1}],"
         "\"llm\":true,\"filters\":[{\"type\":\"RequestMirror\",\"backend\":"
         "\"backend/service/default/web/80\"}]}",
         "filters[0]: model requests are not mirrored"},
        {"backend/llm/default/m", LLM_HEAD "\"provider\":\"nope\",\"dialect\":\"chat\"}",
         "provider: 'nope' is not known to this data plane"},
        {"backend/llm/default/m", LLM_HEAD "\"provider\":\"openai\",\"dialect\":\"nope\"}",
         "dialect: 'nope' is not known to this data plane"},
        {"backend/llm/default/m",
         LLM_HEAD "\"provider\":\"openai\",\"dialect\":\"chat\",\"keys\":[{\"secret\":"
                  "\"secret/default/none/key\",\"weight\":1}]}",
         "keys[0]: 'secret/default/none/key' is missing or was refused"},
        {"backend/service/default/web/81",
         "{\"type\":\"service\",\"endpoints\":\"endpoints/default/none/81\"}",
         "endpoints: 'endpoints/default/none/81' is missing or was refused"},
        {"secret/default/s/key", "{\"value\":\" \\n\"}", "the value is empty"},
        {"listener/default/other/web",
         "{\"gateway\":\"default/other\",\"name\":\"web\",\"port\":8080,\"protocol\":\"HTTP\"}",
         "port 8080 and hostname '*' are served by " LISTENER " already"},
        {"secret/default/s/key", "{\"value\":\"hush\\nx\"}", "control byte at 4"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        put_web();
        put("backend/llm/default/good", LLM_HEAD "\"provider\":\"openai\",\"dialect\":\"chat\"}");
        put("rule/default/ok/0", RULE_HEAD("ok", "0") ATTACH "," MATCH_ALL "," TO_WEB "}");
        put(table[i].name, table[i].body);
        struct dp_conf *c = compile();
        CU_ASSERT_EQUAL(refusals.len, 1);
        CU_ASSERT(is_refused(table[i].name, table[i].why));
        for (size_t k = 0; k < refusals.len; k++)
            CU_ASSERT_PTR_NULL(strstr(refusals.ptr[k].reason, "hush"));
        // The rest is there.
        const struct dp_rule *r = match(c, 8080, "a.example.com", "/");
        CU_ASSERT_PTR_NOT_NULL_FATAL(r);
        CU_ASSERT(gw_str_eq(r->route, GW_STR("default/ok")));
        done(c);
    }
}

static void a_rule_of_a_refused_backend_answers_500_for_its_share(void) {
    put_web();
    put("backend/service/default/bad/80",
        "{\"type\":\"service\",\"endpoints\":\"endpoints/default/none/80\"}");
    put("rule/default/r/0", RULE_HEAD("r", "0") ATTACH
        "," MATCH_ALL
        ",\"backends\":[{\"backend\":\"backend/service/default/web/80\",\"weight\":9},"
        "{\"backend\":\"backend/service/default/bad/80\",\"weight\":1},"
        "{\"backend\":\"backend/service/default/never/80\",\"weight\":2},"
        "{\"invalid\":\"RefNotPermitted\",\"weight\":3}]}");
    struct dp_conf *c = compile();
    const struct dp_rule *r = match(c, 8080, "x", "/");
    CU_ASSERT_PTR_NOT_NULL_FATAL(r);
    CU_ASSERT_EQUAL(refusals.len, 1);
    CU_ASSERT_EQUAL_FATAL(r->backends_n, 4);
    CU_ASSERT_EQUAL(r->weight_sum, 15);
    CU_ASSERT_PTR_NOT_NULL(r->backends[0].backend);
    CU_ASSERT_PTR_NULL(r->backends[1].backend);
    CU_ASSERT(gw_str_eq(r->backends[1].invalid, GW_STR("BackendNotFound")));
    CU_ASSERT_PTR_NULL(r->backends[2].backend);
    CU_ASSERT(gw_str_eq(r->backends[3].invalid, GW_STR("RefNotPermitted")));
    CU_ASSERT_EQUAL(r->backends[3].weight, 3);
    CU_ASSERT_FALSE(r->is_llm);
    done(c);
}

// --- what is compiled ---------------------------------------------------------------------------

static void nothing_is_a_config_too(void) {
    struct dp_conf *c = compile();
    CU_ASSERT_EQUAL(refusals.len, 0);
    CU_ASSERT_EQUAL(c->ports_n, 0);
    CU_ASSERT_PTR_NULL(dp_conf_port(c, 8080));
    CU_ASSERT_STRING_EQUAL(c->version, "0123456789abcdef0123456789abcdef");
    done(c);
}

static void listeners_are_grouped_by_port(void) {
    put("listener/default/edge/b",
        "{\"gateway\":\"default/edge\",\"name\":\"b\",\"port\":9000,\"protocol\":\"HTTP\"}");
    put("listener/default/edge/a",
        "{\"gateway\":\"default/edge\",\"name\":\"a\",\"port\":8080,\"protocol\":\"HTTP\","
        "\"hostname\":\"*.example.com\"}");
    put("listener/default/edge/c",
        "{\"gateway\":\"default/edge\",\"name\":\"c\",\"port\":8080,\"protocol\":\"HTTP\","
        "\"hostname\":\"a.example.com\"}");
    struct dp_conf *c = compile();
    CU_ASSERT_EQUAL_FATAL(c->ports_n, 2);
    CU_ASSERT_EQUAL(c->ports[0].port, 8080);
    CU_ASSERT_EQUAL(c->ports[0].len, 2);
    CU_ASSERT_EQUAL(c->ports[1].port, 9000);
    CU_ASSERT_PTR_NULL(dp_conf_port(c, 8081));
    CU_ASSERT_PTR_NULL(dp_conf_port(c, 1));
    CU_ASSERT_PTR_NULL(dp_conf_port(c, 65535));
    static const struct {
        uint16_t port;
        struct gw_str host;
        const char *section;
    } table[] = {
        {8080, GW_STR("a.example.com"), "c"}, {8080, GW_STR("b.example.com"), "a"},
        {8080, GW_STR("example.com"), NULL},  {8080, GW_STR(""), NULL},
        {9000, GW_STR("anything"), "b"},      {9000, GW_STR(""), "b"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        const struct dp_port *p = dp_conf_port(c, table[i].port);
        const struct dp_listener *l = p ? dp_conf_listener(p, table[i].host) : NULL;
        CU_ASSERT_EQUAL(l != NULL, table[i].section != NULL);
        if (l) CU_ASSERT(gw_str_eq(l->section, gw_str_of(table[i].section)));
    }
    done(c);
}

static void equal_matches_go_to_the_oldest(void) {
    static const struct {
        const char *ages[2], *routes[2], *indexes[2];
        const char *winner;
    } table[] = {
        {{"2026-01-02 0002", "2026-01-02 0001"}, {"a", "b"}, {"0", "0"}, "rule/default/b/0"},
        {{"2026-01-02 0001", "2026-01-02 0001"}, {"b", "a"}, {"0", "0"}, "rule/default/a/0"},
        {{"1", "1"}, {"a", "a"}, {"10", "2"}, "rule/default/a/2"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        put_web();
        for (int k = 0; k < 2; k++) {
            char name[64], body[1024];
            snprintf(name, sizeof(name), "rule/default/%s/%s", table[i].routes[k],
                     table[i].indexes[k]);
            snprintf(body, sizeof(body),
                     "{\"route\":\"default/%s\",\"index\":%s,\"age\":\"%s\"," ATTACH "," MATCH_ALL
                     "," TO_WEB "}",
                     table[i].routes[k], table[i].indexes[k], table[i].ages[k]);
            put(name, body);
        }
        struct dp_conf *c = compile();
        const struct dp_rule *r = match(c, 8080, "x", "/p");
        CU_ASSERT_PTR_NOT_NULL_FATAL(r);
        CU_ASSERT(gw_str_eq(r->name, gw_str_of(table[i].winner)));
        CU_ASSERT_EQUAL(c->rules_n, 2);
        done(c);
    }
}

static void a_listener_that_is_gone_is_skipped(void) {
    put_web();
    put("rule/default/r/0",
        RULE_HEAD("r", "0") "\"attach\":[{\"listener\":\"listener/default/edge/gone\","
                            "\"hostnames\":[]},{\"listener\":\"" LISTENER
                            "\",\"hostnames\":[\"a.example.com\",\"*.b.example.com\"]}]," MATCH_ALL
                            "," TO_WEB "}");
    put("rule/default/lost/0",
        RULE_HEAD("lost", "0") "\"attach\":[{\"listener\":\"listener/default/edge/gone\","
                               "\"hostnames\":[]}]," MATCH_ALL "," TO_WEB "}");
    struct dp_conf *c = compile();
    CU_ASSERT_EQUAL(refusals.len, 0);
    CU_ASSERT_PTR_NOT_NULL(match(c, 8080, "a.example.com", "/"));
    CU_ASSERT_PTR_NOT_NULL(match(c, 8080, "x.b.example.com", "/"));
    CU_ASSERT_PTR_NULL(match(c, 8080, "b.example.com", "/"));
    done(c);
}

static void matches_filters_and_turns(void) {
    put_web();
    put("rule/default/r/3", RULE_HEAD("r", "3") ATTACH
        ",\"matches\":[{\"path\":{\"type\":\"Exact\",\"value\":\"/exact\"}},"
        "{\"path\":{\"type\":\"PathPrefix\",\"value\":\"/pre\"},\"method\":\"POST\"}],"
        "\"filters\":[{\"type\":\"RequestHeaderModifier\",\"set\":[{\"name\":\"x-a\",\"value\":"
        "\"1\"}]},{\"type\":\"ResponseHeaderModifier\",\"remove\":[\"x-b\"]}],"
        "\"backends\":[{\"backend\":\"backend/service/default/web/80\",\"weight\":1},"
        "{\"invalid\":\"X\",\"weight\":1}]}");
    struct dp_conf *c = compile();
    CU_ASSERT_PTR_NULL(match(c, 8080, "x", "/exact/more"));
    CU_ASSERT_PTR_NULL(match(c, 8080, "x", "/pre")); // GET
    const struct dp_rule *r = match(c, 8080, "x", "/exact");
    CU_ASSERT_PTR_NOT_NULL_FATAL(r);
    CU_ASSERT_EQUAL(r->index, 3);
    CU_ASSERT_EQUAL_FATAL(r->filters.len, 2);
    CU_ASSERT_STRING_EQUAL(r->filters.ptr[0].type->name, "RequestHeaderModifier");
    CU_ASSERT_STRING_EQUAL(r->filters.ptr[1].type->name, "ResponseHeaderModifier");
    // Workers do not write to one cache line.
    CU_ASSERT_PTR_NOT_NULL_FATAL(r->turns);
    CU_ASSERT(r->turns[1].current - r->turns[0].current >= 8);
    CU_ASSERT_EQUAL((uintptr_t)r->turns[0].current % 64, 0);
    CU_ASSERT_EQUAL(r->turns[1].current[1], 0);
    // Requests are counted by class, each in a series of its own.
    for (int i = 0; i < 6; i++)
        CU_ASSERT_NOT_EQUAL(r->series.requests[i], 0);
    CU_ASSERT_NOT_EQUAL(r->series.requests[2], r->series.requests[5]);
    CU_ASSERT_NOT_EQUAL(r->series.latency, 0);
    struct gw_text text = {0};
    gw_metric_add(r->series.requests[4], 7);
    gw_metric_text(&text);
    CU_ASSERT_PTR_NOT_NULL(strstr(text.ptr, "tandem_requests_total{gateway=\"default/edge\","
                                            "route=\"default/r\",rule=\"3\",code=\"4xx\"} 7\n"));
    gw_text_fini(&text);
    done(c);
}

static void filters_of_backends_and_mirrors(void) {
    put_web();
    put("rule/default/r/0", RULE_HEAD("r", "0") ATTACH
        "," MATCH_ALL ",\"filters\":[{\"type\":\"RequestRedirect\",\"port\":1},"
        "{\"type\":\"RequestMirror\",\"backend\":\"backend/service/default/web/80\","
        "\"numerator\":5,\"denominator\":100},"
        "{\"type\":\"RequestMirror\",\"backend\":\"backend/service/default/gone/80\"},"
        "{\"type\":\"RequestMirror\",\"invalid\":\"BackendNotFound\"},"
        "{\"type\":\"CORS\"},{\"type\":\"URLRewrite\"}],"
        "\"backends\":[{\"backend\":\"backend/service/default/web/80\",\"weight\":1,"
        "\"filters\":[{\"type\":\"URLRewrite\"},{\"type\":\"RequestMirror\",\"backend\":"
        "\"backend/service/default/web/80\"}]}]}");
    struct dp_conf *c = compile();
    CU_ASSERT_EQUAL(refusals.len, 0);
    const struct dp_rule *r = match(c, 8080, "x", "/");
    CU_ASSERT_PTR_NOT_NULL_FATAL(r);
    CU_ASSERT_EQUAL_FATAL(r->filters.len, 3); // what answers preflights comes first
    CU_ASSERT_STRING_EQUAL(r->filters.ptr[0].type->name, "CORS");
    CU_ASSERT_STRING_EQUAL(r->filters.ptr[1].type->name, "RequestRedirect");
    CU_ASSERT_STRING_EQUAL(r->filters.ptr[2].type->name, "URLRewrite");
    CU_ASSERT(r->answers_preflights);
    CU_ASSERT_EQUAL_FATAL(r->filters.mirrors_n, 1); // what cannot be resolved is none
    CU_ASSERT_PTR_EQUAL(r->filters.mirrors[0].backend, r->backends[0].backend);
    CU_ASSERT_EQUAL(r->filters.mirrors[0].numerator, 5);
    CU_ASSERT_EQUAL(r->filters.mirrors[0].denominator, 100);
    CU_ASSERT_EQUAL(r->backends[0].filters.len, 1);
    CU_ASSERT_EQUAL_FATAL(r->backends[0].filters.mirrors_n, 1);
    CU_ASSERT_EQUAL(r->backends[0].filters.mirrors[0].numerator, 1);
    CU_ASSERT_EQUAL(r->backends[0].filters.mirrors[0].denominator, 1);
    done(c);
}

static void cors_of_a_backend_answers_preflights(void) {
    put_web();
    put("rule/default/r/0", RULE_HEAD("r", "0") ATTACH
        "," MATCH_ALL ",\"backends\":[{\"invalid\":\"X\",\"weight\":1,\"filters\":[{"
        "\"type\":\"CORS\"}]}]}");
    put("rule/default/r/1",
        RULE_HEAD("r", "1") ATTACH ",\"matches\":[{\"path\":{\"type\":\"PathPrefix\",\"value\":"
                                   "\"/plain\"}}]," TO_WEB "}");
    struct dp_conf *c = compile();
    CU_ASSERT(match(c, 8080, "x", "/")->answers_preflights);
    CU_ASSERT_FALSE(match(c, 8080, "x", "/plain")->answers_preflights);
    done(c);
}

static void timeouts_of_a_rule(void) {
    static const struct {
        const char *timeouts;
        int64_t request_ms, backend_ms;
    } table[] = {
        {"", -1, -1},
        {",\"timeouts\":{}", -1, -1},
        {",\"timeouts\":{\"request_ms\":0}", 0, -1},
        {",\"timeouts\":{\"backend_ms\":250}", -1, 250},
        {",\"timeouts\":{\"request_ms\":1000,\"backend_ms\":0}", 1000, 0},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        char body[1024];
        snprintf(body, sizeof(body), "%s%s}", RULE_HEAD("r", "0") ATTACH "," MATCH_ALL "," TO_WEB,
                 table[i].timeouts);
        put_web();
        put("rule/default/r/0", body);
        struct dp_conf *c = compile();
        const struct dp_rule *r = match(c, 8080, "x", "/");
        CU_ASSERT_PTR_NOT_NULL_FATAL(r);
        CU_ASSERT_EQUAL(r->request_ms, table[i].request_ms);
        CU_ASSERT_EQUAL(r->backend_ms, table[i].backend_ms);
        done(c);
    }
}

static void endpoint_sets(void) {
    put("endpoints/default/none/80", "{\"addresses\":[]}");
    put("endpoints/default/two/80", "{\"addresses\":[{\"host\":\"10.0.0.1\",\"port\":1},"
                                    "{\"host\":\"::1\",\"port\":2}]}");
    put("endpoints/default/name/80", "{\"dns\":{\"host\":\"web.default.svc\",\"port\":80}}");
    put("backend/service/default/none/80",
        "{\"type\":\"service\",\"endpoints\":\"endpoints/default/none/80\"}");
    put("backend/service/default/two/80",
        "{\"type\":\"service\",\"endpoints\":\"endpoints/default/two/80\"}");
    put("backend/service/default/name/80",
        "{\"type\":\"service\",\"endpoints\":\"endpoints/default/name/80\"}");
    put(LISTENER, LISTENER_BODY);
    put("rule/default/r/0", RULE_HEAD("r", "0") ATTACH
        "," MATCH_ALL
        ",\"backends\":[{\"backend\":\"backend/service/default/none/80\",\"weight\":1},"
        "{\"backend\":\"backend/service/default/two/80\",\"weight\":1},"
        "{\"backend\":\"backend/service/default/name/80\",\"weight\":1}]}");
    struct dp_conf *c = compile();
    const struct dp_rule *r = match(c, 8080, "x", "/");
    CU_ASSERT_PTR_NOT_NULL_FATAL(r);
    CU_ASSERT_EQUAL(c->backends_n, 3);
    const struct dp_endpoints *none = r->backends[0].backend->endpoints;
    const struct dp_endpoints *two = r->backends[1].backend->endpoints;
    const struct dp_endpoints *name = r->backends[2].backend->endpoints;
    CU_ASSERT_EQUAL(none->len, 0);
    CU_ASSERT_EQUAL_FATAL(two->len, 2);
    CU_ASSERT(gw_str_eq(two->ptr[1]->label, GW_STR("[::1]:2")));
    CU_ASSERT_FALSE(two->ptr[0]->named);
    CU_ASSERT_EQUAL_FATAL(name->len, 1);
    CU_ASSERT(name->ptr[0]->named);
    CU_ASSERT(gw_str_eq(r->backends[1].backend->label, GW_STR("default/two:80")));
    done(c);
}

static void a_model_backend_in_full(void) {
    put("secret/default/openai/api-key", "{\"value\":\"sk-1\\n\"}");
    put("backend/llm/default/m",
        "{\"type\":\"llm\",\"provider\":\"openai\",\"dialect\":\"chat\",\"url\":{\"scheme\":"
        "\"https\",\"host\":\"api.example.com\",\"port\":8443,\"path\":\"/v1\"},\"models\":{"
        "\"default\":\"gpt-x\",\"allow\":[\"gpt-*\"],\"aliases\":{\"fast\":\"gpt-x-mini\"}},"
        "\"keys\":[{\"secret\":\"secret/default/openai/api-key\",\"weight\":2}],\"timeouts\":{"
        "\"connect_ms\":5000,\"idle_ms\":0}}");
    put("backend/llm/default/n",
        "{\"type\":\"llm\",\"provider\":\"custom\",\"dialect\":\"chat\",\"url\":{\"scheme\":"
        "\"http\",\"host\":\"::1\",\"port\":80,\"path\":\"/\"},\"passthrough\":true}");
    put(LISTENER, LISTENER_BODY);
    put("rule/default/r/0", RULE_HEAD("r", "0") ATTACH
        "," MATCH_ALL
        ",\"llm\":true,\"backends\":[{\"backend\":\"backend/llm/default/m\",\"weight\":1},"
        "{\"backend\":\"backend/llm/default/n\",\"weight\":1}]}");
    struct dp_conf *c = compile();
    const struct dp_rule *r = match(c, 8080, "x", "/");
    CU_ASSERT_PTR_NOT_NULL_FATAL(r);
    CU_ASSERT(r->is_llm);
    const struct dp_backend_llm *m = r->backends[0].backend->llm, *n = r->backends[1].backend->llm;
    CU_ASSERT_PTR_NOT_NULL_FATAL(m);
    CU_ASSERT_STRING_EQUAL(m->provider->id, "openai");
    CU_ASSERT_STRING_EQUAL(m->dialect->id, "chat");
    CU_ASSERT(m->endpoint->tls && m->endpoint->named);
    CU_ASSERT(gw_str_eq(m->authority, GW_STR("api.example.com:8443")));
    CU_ASSERT(gw_str_eq(m->base_path, GW_STR("/v1")));
    CU_ASSERT(gw_str_eq(m->model_default, GW_STR("gpt-x")));
    CU_ASSERT(m->allow_given);
    CU_ASSERT_EQUAL_FATAL(m->allow_n, 1);
    CU_ASSERT(gw_str_eq(m->allow[0], GW_STR("gpt-*")));
    CU_ASSERT_EQUAL_FATAL(m->aliases_n, 1);
    CU_ASSERT(gw_str_eq(m->aliases[0].from, GW_STR("fast")));
    CU_ASSERT(gw_str_eq(m->aliases[0].to, GW_STR("gpt-x-mini")));
    CU_ASSERT_EQUAL_FATAL(m->keys_n, 1);
    CU_ASSERT(gw_secret_eq(m->keys[0].value, GW_STR("sk-1")));
    CU_ASSERT_EQUAL(m->keys[0].weight, 2);
    CU_ASSERT_EQUAL(m->timeouts.connect_ms, 5000);
    CU_ASSERT_EQUAL(m->timeouts.idle_ms, 0);
    CU_ASSERT_EQUAL(m->timeouts.request_ms, -1);
    CU_ASSERT_FALSE(n->allow_given);
    CU_ASSERT(n->passthrough);
    CU_ASSERT_FALSE(n->endpoint->tls);
    CU_ASSERT(gw_str_eq(n->authority, GW_STR("[::1]")));
    CU_ASSERT(gw_str_eq(n->base_path, GW_STR("")));
    CU_ASSERT(gw_str_eq(r->backends[0].backend->label, GW_STR("default/m")));
    done(c);
}

// A config shares nothing with the JSON it came from, and endpoints survive it.
static void a_config_stands_alone(void) {
    put_web();
    put("rule/default/r/0", RULE_HEAD("r", "0") ATTACH "," MATCH_ALL "," TO_WEB "}");
    struct dp_conf *first = compile(), *second = compile();
    gw_map_fini(&resources, free_body);
    const struct dp_rule *a = match(first, 8080, "x", "/"), *b = match(second, 8080, "x", "/");
    CU_ASSERT_PTR_NOT_NULL_FATAL(a);
    CU_ASSERT_PTR_NOT_NULL_FATAL(b);
    struct dp_endpoint *e = a->backends[0].backend->endpoints->ptr[0];
    CU_ASSERT_PTR_EQUAL(e, b->backends[0].backend->endpoints->ptr[0]);
    CU_ASSERT_EQUAL(e->conf_refs, 2);
    CU_ASSERT_EQUAL(a->series.requests[2], b->series.requests[2]);
    dp_conf_ref(first);
    dp_conf_unref(first);
    dp_conf_unref(first);
    CU_ASSERT_EQUAL(e->conf_refs, 1);
    CU_ASSERT(gw_str_eq(b->route, GW_STR("default/r")));
    dp_conf_unref(NULL);
    done(second);
}

static CU_TestInfo tests[] = {
    {"each_refusal_names_its_reason", each_refusal_names_its_reason},
    {"a_rule_of_a_refused_backend_answers_500_for_its_share",
     a_rule_of_a_refused_backend_answers_500_for_its_share},
    {"nothing_is_a_config_too", nothing_is_a_config_too},
    {"listeners_are_grouped_by_port", listeners_are_grouped_by_port},
    {"equal_matches_go_to_the_oldest", equal_matches_go_to_the_oldest},
    {"a_listener_that_is_gone_is_skipped", a_listener_that_is_gone_is_skipped},
    {"matches_filters_and_turns", matches_filters_and_turns},
    {"filters_of_backends_and_mirrors", filters_of_backends_and_mirrors},
    {"cors_of_a_backend_answers_preflights", cors_of_a_backend_answers_preflights},
    {"timeouts_of_a_rule", timeouts_of_a_rule},
    {"endpoint_sets", endpoint_sets},
    {"a_model_backend_in_full", a_model_backend_in_full},
    {"a_config_stands_alone", a_config_stands_alone},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_conf_compile = {"compile", NULL, NULL, NULL, NULL, tests};
