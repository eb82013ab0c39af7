// SPDX-License-Identifier: Apache-2.0
// Resources of a snapshot: what is taken and refused, versions and roots, messages of the push
// stream.
#include "shared/ir.h"
#include "shared/ir_message.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *load(const char *text) {
    return gw_json_load(gw_str_of(text), 1 << 20, 32, NULL);
}

static json_t *load_single_quoted(const char *text) {
    char *copy = gw_strdup(text);
    for (char *p = copy; *p; p++)
        if (*p == '\'') *p = '"';
    json_t *v = load(copy);
    free(copy);
    return v;
}

// want NULL: taken; else a part of the refusal.
struct body_case {
    const char *name, *body, *want;
};

static void check_bodies(const struct body_case *cases, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const struct body_case *c = &cases[i];
        struct gw_err err = {0};
        GW_JSON_AUTO body = load_single_quoted(c->body);
        if (!body) fprintf(stderr, "case %zu is not JSON: %s\n", i, c->body);
        CU_ASSERT_PTR_NOT_NULL_FATAL(body);
        enum gw_rc rc = gw_ir_validate(gw_str_of(c->name), body, &err);
        bool fine = c->want ? rc == GW_ERR_INPUT && strstr(err.text, c->want) : rc == GW_OK;
        if (!fine) fprintf(stderr, "%s %s: rc %d '%s'\n", c->name, c->body, rc, err.text);
        CU_ASSERT(fine);
    }
}

static void test_listener(void) {
    static const struct body_case cases[] = {
        {"listener/a/g/http", "{}", "is missing"},
        {"listener/a/g/http", "{'gateway':'a/g','name':'http','port':0,'protocol':'HTTP'}",
         "port: 0 is not in"},
        {"listener/a/g/http", "{'gateway':'a/g','name':'http','port':80,'protocol':'TLS'}",
         "is not one of HTTP"},
        {"listener/a/g/http", "{'gateway':'a/g','name':'x','port':80,'protocol':'HTTP'}",
         "do not fit"},
        {"listener/a/g/http",
         "{'gateway':'a/g','name':'http','port':80,'protocol':'HTTP','hostname':'A.b'}",
         "hostname: 'A.b' is no host name in lower case"},
        {"listener/a/g/http",
         "{'gateway':'a/g','name':'http','port':80,'protocol':'HTTP','tls':{'certificates':[]}}",
         "tls: belongs to protocol HTTPS"},
        {"listener/a/g/http", "{'gateway':'a/g','name':'http','port':80,'protocol':'HTTPS'}",
         "tls: belongs to protocol HTTPS"},
        {"listener/a/g/http",
         "{'gateway':'a/"
         "g','name':'http','port':80,'protocol':'HTTPS','tls':{'certificates':['x']}}",
         "tls.certificates[0]: is no tls resource"},
        {"listener/a/g/http",
         "{'gateway':'a/g','name':'http','port':80,'protocol':'HTTPS',"
         "'tls':{'certificates':['tls/a/b']}}",
         NULL},
        {"listener/a/g/http", "{'gateway':'a/g','name':'http','port':80,'protocol':'HTTP'}", NULL},
        {"listener/a/g/http",
         "{'gateway':'a/g','name':'http','port':80,'protocol':'HTTP','hostname':'*.b.example'}",
         NULL},
    };
    check_bodies(cases, GW_ARRAY_LEN(cases));
}

#define RULE(attach, matches, backends)                                                            \
    "{'route':'a/r','index':2,'age':'x','attach':[" attach "],'matches':[" matches "],"            \
    "'backends':[" backends "]}"
#define MATCH "{'path':{'type':'PathPrefix','value':'/'}}"
#define ATTACH "{'listener':'listener/a/g/http','hostnames':[]}"

static void test_rule(void) {
    static const struct body_case cases[] = {
        {"rule/a/r/2", RULE(ATTACH, "", ""), "matches: needs at least 1"},
        {"rule/a/r/3", RULE(ATTACH, MATCH, ""), "do not fit"},
        {"rule/a/r/2", RULE("{'listener':'rule/a/r/2','hostnames':[]}", MATCH, ""),
         "attach[0].listener"},
        {"rule/a/r/2", RULE("{'listener':'listener/a/g/http','hostnames':['*']}", MATCH, ""),
         "attach[0].hostnames[0]"},
        {"rule/a/r/2", RULE(ATTACH, "{'path':{'type':'PathPrefix','value':'/a/'}}", ""),
         "a prefix ends with no slash"},
        {"rule/a/r/2", RULE(ATTACH, "{'path':{'type':'RegularExpression','value':'/a'}}", ""),
         "matches[0].path.type"},
        {"rule/a/r/2",
         RULE(ATTACH,
              "{'path':{'type':'Exact','value':'/'},'headers':[{'name':'X-A','value':'1'}]}", ""),
         "in lower case"},
        {"rule/a/r/2",
         RULE(ATTACH,
              "{'path':{'type':'Exact','value':'/'},'headers':[{'name':'a','value':'1'},"
              "{'name':'a','value':'2'}]}",
              ""),
         "occurs twice"},
        {"rule/a/r/2", RULE(ATTACH, MATCH, "{'weight':1}"), "needs one of backend and invalid"},
        {"rule/a/r/2",
         RULE(ATTACH, MATCH, "{'backend':'backend/llm/a/b','invalid':'x','weight':1}"),
         "needs one of backend and invalid"},
        {"rule/a/r/2", RULE(ATTACH, MATCH, "{'backend':'secret/a/b/c','weight':1}"),
         "is no backend"},
        {"rule/a/r/2", RULE(ATTACH, MATCH, "{'backend':'backend/llm/a/b'}"), "weight is missing"},
        {"rule/a/r/2", RULE(ATTACH, MATCH, ""), NULL},
        {"rule/a/r/2", RULE("", MATCH, "{'invalid':'BackendNotFound','weight':0}"), NULL},
        {"rule/a/r/2",
         RULE(ATTACH, "{'path':{'type':'Exact','value':'/a/'}}",
              "{'backend':'backend/service/a/s/80','weight':9}"),
         NULL},
    };
    check_bodies(cases, GW_ARRAY_LEN(cases));
}

#define URL "'url':{'scheme':'https','host':'h','port':443,'path':''}"

static void test_backend(void) {
    static const struct body_case cases[] = {
        {"backend/service/a/s/80", "{'type':'service'}", "needs endpoints"},
        {"backend/service/a/s/80", "{'type':'service','endpoints':'secret/a/s/80'}",
         "needs endpoints"},
        {"backend/service/a/s/80",
         "{'type':'service','endpoints':'endpoints/a/s/80','provider':'x'}",
         "provider: belongs to an llm backend"},
        {"backend/service/a/s/80", "{'type':'llm','provider':'openai','dialect':'chat'," URL "}",
         "does not fit"},
        {"backend/llm/a/s", "{'type':'service','endpoints':'endpoints/a/s/80'}", "does not fit"},
        {"backend/llm/a/s", "{'type':'llm','provider':'openai','dialect':'chat'}",
         "needs provider, dialect and url"},
        {"backend/llm/a/s",
         "{'type':'llm','provider':'openai','dialect':'chat'," URL
         ",'keys':[{'secret':'x','weight':1}]}",
         "keys[0].secret"},
        {"backend/llm/a/s",
         "{'type':'llm','provider':'openai','dialect':'chat'," URL ",'timeouts':{'connect_ms':-1}}",
         "timeouts.connect_ms"},
        {"backend/llm/a/s", "{'type':'llm','provider':'openai','dialect':'chat'," URL "}", NULL},
        {"backend/llm/a/s",
         "{'type':'llm','provider':'openai','dialect':'chat'," URL
         ",'models':{'default':'m','allow':['gpt-*'],'aliases':{'fast':'m'}},"
         "'keys':[{'secret':'secret/a/s/k','weight':1}],'passthrough':false,"
         "'timeouts':{'connect_ms':0,'idle_ms':60000}}",
         NULL},
        {"backend/service/a/s/80", "{'type':'service','endpoints':'endpoints/a/s/80'}", NULL},
    };
    check_bodies(cases, GW_ARRAY_LEN(cases));
}

static void test_endpoints_and_secret(void) {
    static const struct body_case cases[] = {
        {"endpoints/a/s/80", "{}", "needs one of"},
        {"endpoints/a/s/80", "{'addresses':[],'dns':{'host':'h','port':1}}", "needs one of"},
        {"endpoints/a/s/80", "{'addresses':[{'host':'localhost','port':1}]}", "is no IP address"},
        {"endpoints/a/s/80", "{'addresses':[{'host':'10.0.0.1','port':65536}]}", "port"},
        {"endpoints/a/s/80", "{'addresses':[]}", NULL},
        {"endpoints/a/s/80", "{'addresses':[{'host':'::1','port':1}]}", NULL},
        {"endpoints/a/s/80", "{'dns':{'host':'web.default.svc','port':80}}", NULL},
        {"secret/a/s/k", "{'value':''}", "value"},
        {"secret/a/s/k", "{'value':'text'}", NULL},
    };
    check_bodies(cases, GW_ARRAY_LEN(cases));
}

static void test_names(void) {
    static const char *const bad[] = {
        "",
        "secret",
        "secret/",
        "secret/a/b",
        "secret/a/b/c/d",
        "secret//b/c",
        "secret/a/b/",
        "Secret/a/b/c",
        "backend/service/a/b",
        "backend/llm/a/b/80",
        "secret/a b/c/d",
        "other/a/b/c",
        "secret/a\n/b/c",
    };
    GW_JSON_AUTO secret = load("{\"value\":\"x\"}");
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++) {
        struct gw_err err = {0};
        CU_ASSERT_EQUAL(gw_ir_validate(gw_str_of(bad[i]), secret, &err), GW_ERR_INPUT);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "is no"));
    }
    char *longest = gw_alloc(GW_IR_NAME_MAX + 2);
    memset(longest, 'a', GW_IR_NAME_MAX + 1);
    memcpy(longest, "secret/a/b/", 11);
    struct gw_err err = {0};
    CU_ASSERT_EQUAL(gw_ir_validate(gw_str_of(longest), secret, &err), GW_ERR_INPUT);
    longest[GW_IR_NAME_MAX] = 0;
    CU_ASSERT_EQUAL(gw_ir_validate(gw_str_of(longest), secret, &err), GW_OK);
    free(longest);
}

static void test_kind_of(void) {
    for (int k = 0; k < GW_IR_KIND_COUNT; k++) {
        char name[64];
        enum gw_ir_kind kind = GW_IR_KIND_COUNT;
        snprintf(name, sizeof(name), "%s/a/b/c", gw_ir_kind_name((enum gw_ir_kind)k));
        CU_ASSERT_EQUAL(gw_ir_kind_of(gw_str_of(name), &kind, NULL), GW_OK);
        CU_ASSERT_EQUAL((int)kind, k);
    }
}

static void test_size(void) {
    GW_JSON_AUTO body = load_single_quoted(RULE(ATTACH, MATCH, ""));
    json_t *matches = gw_json_get(body, "matches");
    char value[4001];
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = 0;
    for (int i = 0; i < 300; i++)
        json_array_append_new(matches,
                              json_pack("{s{ssss}s[{ssss}]}", "path", "type", "Exact", "value", "/",
                                        "headers", "name", "a", "value", value));
    struct gw_err err = {0};
    CU_ASSERT_EQUAL(gw_ir_validate(GW_STR("rule/a/r/2"), body, &err), GW_ERR_INPUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "is larger than"));
}

static void test_version_ignores_order(void) {
    GW_JSON_AUTO a = load("{\"x\": 1, \"y\": [1, 2]}");
    GW_JSON_AUTO b = load("{\"y\":[1,2],\"x\":1}");
    GW_JSON_AUTO c = load("{\"y\":[2,1],\"x\":1}");
    char va[GW_IR_VERSION_CHARS + 1], vb[GW_IR_VERSION_CHARS + 1], vc[GW_IR_VERSION_CHARS + 1];
    gw_ir_version(a, va);
    gw_ir_version(b, vb);
    gw_ir_version(c, vc);
    CU_ASSERT_STRING_EQUAL(va, vb);
    CU_ASSERT_STRING_NOT_EQUAL(va, vc);
    // SHA-256 of {"x":1,"y":[1,2]}: other replicas must come to the same.
    CU_ASSERT_STRING_EQUAL(va, "aa996729eb221630bcaf0d778199df99");
}

static void test_root(void) {
    char empty[GW_IR_VERSION_CHARS + 1], one[GW_IR_VERSION_CHARS + 1];
    gw_ir_root_finish(gw_ir_root_new(), empty);
    CU_ASSERT_STRING_EQUAL(empty, "e3b0c44298fc1c149afbf4c8996fb924");
    struct gw_ir_root *r = gw_ir_root_new();
    gw_ir_root_add(r, GW_STR("secret/a/b/c"), "0123456789abcdef0123456789abcdef");
    gw_ir_root_finish(r, one);
    CU_ASSERT_STRING_EQUAL(one, "03b6952da21cf4ba4b58f100d5d9add6");
}

// --- messages ----------------------------------------------------------------------------------

#define V "0123456789abcdef0123456789abcdef"

static void test_messages_refused(void) {
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{'hello':{}}",
        "{'hello':{'node':'n'},'resync':true}",
        "{'hello':{'node':'n','root':'zz'}}",
        "{'have':{'secret/a/b/c':'short'}}",
        "{'have':[]}",
        "{'ack':''}",
        "{'ack':5}",
        "{'ack':'" V "','errors':[]}",
        "{'nack':'" V "'}",
        "{'nack':'" V "','errors':[{'resource':'r'}]}",
        "{'delta':{'version':'" V "','set':[],'complete':true}}",
        "{'delta':{'version':'" V "','set':[{'name':'n','version':'" V "'}],'remove':[],"
        "'complete':true}}",
        "{'delta':{'version':'" V "','set':[],'remove':[''],'complete':true}}",
        "{'delta':{'version':'" V "','set':[],'remove':[],'complete':1}}",
        "{'other':1}",
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++) {
        char text[512];
        snprintf(text, sizeof(text), "%s", bad[i]);
        for (char *p = text; *p; p++)
            if (*p == '\'') *p = '"';
        struct gw_ir_message m = {0};
        struct gw_err err = {0};
        enum gw_rc rc = gw_ir_message_parse(gw_str_of(text), &m, &err);
        if (rc != GW_ERR_INPUT) fprintf(stderr, "taken: %s\n", text);
        CU_ASSERT_EQUAL(rc, GW_ERR_INPUT);
        CU_ASSERT(strlen(err.text) > 0);
        if (rc == GW_OK) gw_ir_message_fini(&m);
    }
}

// Takes the built message, returns what the other end reads.
static struct gw_ir_message over_the_wire(json_t *built) {
    struct gw_ir_message m = {0};
    struct gw_err err = {0};
    size_t n;
    CU_ASSERT_PTR_NOT_NULL_FATAL(built);
    char *text = gw_ir_message_text(built, &n);
    enum gw_rc rc = gw_ir_message_parse((struct gw_str){text, n}, &m, &err);
    if (rc != GW_OK) fprintf(stderr, "%s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(rc, GW_OK);
    free(text);
    json_decref(built);
    return m;
}

static void test_messages_built_are_read(void) {
    struct gw_ir_message m = over_the_wire(gw_ir_hello("node-1", "a/g", "10.0.0.1", ""));
    CU_ASSERT_EQUAL(m.type, GW_IR_HELLO);
    CU_ASSERT(gw_str_eq(gw_json_str(m.body, "node"), GW_STR("node-1")));
    gw_ir_message_fini(&m);
    m = over_the_wire(gw_ir_have(json_pack("{ss}", "secret/a/b/c", V)));
    CU_ASSERT_EQUAL(m.type, GW_IR_HAVE);
    CU_ASSERT_EQUAL(json_object_size(m.body), 1);
    gw_ir_message_fini(&m);
    m = over_the_wire(gw_ir_ack(V));
    CU_ASSERT_EQUAL(m.type, GW_IR_ACK);
    CU_ASSERT(gw_str_eq(gw_json_str_of(m.body), GW_STR(V)));
    gw_ir_message_fini(&m);
    m = over_the_wire(gw_ir_nack(V, json_pack("[{ssss}]", "resource", "r", "reason", "why")));
    CU_ASSERT_EQUAL(m.type, GW_IR_NACK);
    CU_ASSERT_EQUAL(json_array_size(gw_json_get(m.root, "errors")), 1);
    gw_ir_message_fini(&m);
    m = over_the_wire(gw_ir_resync());
    CU_ASSERT_EQUAL(m.type, GW_IR_RESYNC);
    gw_ir_message_fini(&m);
    m = over_the_wire(gw_ir_delta(
        V, json_pack("[{sssss{ss}}]", "name", "secret/a/b/c", "version", V, "body", "value", "x"),
        json_pack("[s]", "secret/a/b/d"), true));
    CU_ASSERT_EQUAL(m.type, GW_IR_DELTA);
    CU_ASSERT_EQUAL(json_array_size(gw_json_get(m.body, "set")), 1);
    CU_ASSERT(gw_json_bool(m.body, "complete", false));
    gw_ir_message_fini(&m);
}

static CU_TestInfo tests[] = {
    {"listener", test_listener},
    {"rule", test_rule},
    {"backend", test_backend},
    {"endpoints and secret", test_endpoints_and_secret},
    {"names", test_names},
    {"kind of a name", test_kind_of},
    {"a body too large", test_size},
    {"version does not depend on order", test_version_ignores_order},
    {"root", test_root},
    {"messages refused", test_messages_refused},
    {"messages built are read", test_messages_built_are_read},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_shared_ir = {"shared_ir", NULL, NULL, NULL, NULL, tests};
