// SPDX-License-Identifier: Apache-2.0
// tandemctl, with the controller's answers given: words asked wrongly, tables, descriptions.
#include "controller/cli/cli.h"

#include <CUnit/CUnit.h>
#include <stdlib.h>

#define EMPTY "{\"items\": []}"

static const char *answer;   // what the controller says; NULL: it is not there
static bool is_empty_first;  // the first question is answered with an empty list
static char asked_path[512]; // of the first question
static char asked_server[128];

static json_t *fetch(const char *server, const char *path, struct gw_err *err) {
    bool is_first = !*asked_path;
    if (is_first) {
        snprintf(asked_path, sizeof(asked_path), "%s", path);
        snprintf(asked_server, sizeof(asked_server), "%s", server);
    }
    if (!answer) {
        gw_err_set(err, GW_ERR_UPSTREAM, 0, "no controller answers");
        return NULL;
    }
    json_t *v = json_loads(is_first && is_empty_first ? EMPTY : answer, 0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(v);
    return v;
}

struct run {
    int status;
    char *out, *err;
};

// words: "get httproutes -n a", cut at blanks.
static struct run run(const char *words) {
    struct run r = {0};
    size_t out_n, err_n;
    char copy[512], *argv[16] = {0}, *save = NULL, program[] = "tandemctl";
    int argc = 0;
    snprintf(copy, sizeof(copy), "%s", words);
    argv[argc++] = program;
    for (char *w = strtok_r(copy, " ", &save); w && argc < 15; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    *asked_path = 0;
    FILE *out = open_memstream(&r.out, &out_n), *err = open_memstream(&r.err, &err_n);
    r.status = cli_main(
        &(struct cli_options){
            .fetch = fetch, .now = "2026-01-02T00:00:00Z", .out = out, .err = err},
        argc, argv);
    fclose(out);
    fclose(err);
    return r;
}

static void run_fini(struct run *r) {
    free(r->out);
    free(r->err);
}

static void what_is_asked_wrongly(void) {
    static const struct {
        const char *words;
        int status;
        const char *err;
    } cases[] = {
        {"", 2, "error: what to do? get, describe or snapshot (see --help)\n"},
        {"list", 2, "error: no command 'list' (there are get, describe and snapshot)\n"},
        {"get foos", 2,
         "error: no kind 'foos' (there are gatewayclasses, gateways, httproutes, llmbackends, "
         "services, endpointslices, secrets, referencegrants, namespaces)\n"},
        {"get svc/a b", 2, "error: a name is given twice: either KIND/NAME or KIND NAME\n"},
        {"get svc a b", 2, "error: unexpected argument 'b' (see --help)\n"},
        {"get --wide", 2, "error: unknown flag --wide (see --help)\n"},
        {"get -n", 2, "error: --namespace needs a value: --namespace NS\n"},
        {"get -n a -A", 2, "error: -n and -A exclude each other\n"},
        {"get -n a -n b", 2, "error: --namespace is given twice\n"},
        {"get -o wide", 2, "error: -o is json, yaml or name\n"},
        {"get --server nowhere", 2, "error: --server: 'nowhere' is not HOST:PORT\n"},
        {"get --server a:99999", 2, "error: --server: port '99999' is not in 0..65535\n"},
        {"describe", 2, "error: describe needs KIND and NAME\n"},
        {"describe svc", 2, "error: describe needs KIND and NAME\n"},
        {"describe svc a -o json", 2, "error: -o has no meaning for describe (see get)\n"},
        {"snapshot x", 2, "error: snapshot takes no further words\n"},
        {"snapshot -n x", 2, "error: a snapshot has no namespaces (-n, -A)\n"},
        {"get svc a", 1, "error: services \"a\" not found in namespace default\n"},
        {"get svc a -n b", 1, "error: services \"a\" not found in namespace b\n"},
        {"get gc a", 1, "error: gatewayclasses \"a\" not found\n"},
        {"describe svc/a", 1, "error: services \"a\" not found in namespace default\n"},
        {"get svc", 0, "No resources found.\n"},
        {"get svc -n a", 0, "No resources found in namespace a.\n"},
    };
    answer = EMPTY;
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct run r = run(cases[i].words);
        CU_ASSERT_EQUAL(r.status, cases[i].status);
        CU_ASSERT_STRING_EQUAL(r.err, cases[i].err);
        if (strcmp(r.err, cases[i].err) != 0)
            fprintf(stderr, "\nwant %sgot  %s", cases[i].err, r.err);
        CU_ASSERT_STRING_EQUAL(r.out, "");
        run_fini(&r);
    }
}

static void a_controller_that_is_not_there(void) {
    static const char *const words[] = {"get", "get svc", "describe svc a", "snapshot"};
    answer = NULL;
    for (size_t i = 0; i < GW_ARRAY_LEN(words); i++) {
        struct run r = run(words[i]);
        CU_ASSERT_EQUAL(r.status, 1);
        CU_ASSERT_STRING_EQUAL(r.err, "error: no controller answers\n");
        run_fini(&r);
    }
}

static void an_answer_of_something_else(void) {
    static const char *const answers[] = {"{}", "[]", "{\"items\": {}}"};
    for (size_t i = 0; i < GW_ARRAY_LEN(answers); i++) {
        answer = answers[i];
        struct run r = run("get");
        CU_ASSERT_EQUAL(r.status, 1);
        CU_ASSERT_PTR_NOT_NULL(strstr(r.err, "is this the admin port"));
        run_fini(&r);
    }
}

static void questions(void) {
    static const struct {
        const char *words, *path;
    } cases[] = {
        {"get", "/objects"},
        {"get all", "/objects"},
        {"get svc", "/objects?kind=services"},
        {"get svc -n a", "/objects?kind=services&namespace=a"},
        {"get svc a", "/objects?kind=services&namespace=default&name=a"},
        {"get svc/a", "/objects?kind=services&namespace=default&name=a"},
        {"get svc a -A", "/objects?kind=services&name=a"},
        {"get svc a/b?c&d=e", "/objects?kind=services&namespace=default&name=a%2Fb%3Fc%26d%3De"},
        {"describe svc a -n b", "/objects?kind=services&namespace=b&name=a"},
        {"snapshot", "/snapshot"},
    };
    answer = EMPTY;
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct run r = run(cases[i].words);
        CU_ASSERT_STRING_EQUAL(asked_path, cases[i].path);
        CU_ASSERT_STRING_EQUAL(asked_server, "127.0.0.1:18080");
        run_fini(&r);
    }
    struct run r = run("get --server [::1]:80");
    CU_ASSERT_STRING_EQUAL(asked_server, "[::1]:80");
    run_fini(&r);
}

#define META(ns, name)                                                                             \
    "\"metadata\": {\"namespace\": \"" ns "\", \"name\": \"" name                                  \
    "\", \"generation\": 2, \"annotations\": {\"kgateway.dev/source\": \"r.yaml:3\"}}"
#define COND(type, status) "{\"type\": \"" type "\", \"status\": \"" status "\"}"

static void routes_in_a_table(void) {
    answer = "{\"items\": [{\"kind\": \"HTTPRoute\", " META(
        "default",
        "web") ", \"spec\": {\"hostnames\": [\"a.com\", \"b.com\"], \"parentRefs\": [{\"name\": "
               "\"edge\"}, {\"namespace\": \"x\", \"name\": \"y\"}]}, \"status\": {\"parents\": "
               "[{\"conditions\": [" COND("Accepted", "True") "]}, {\"conditions\": [" COND(
                   "Accepted", "False") "]}]}}, {\"kind\": \"HTTPRoute\", " META("b",
                                                                                 "w") ", \"spec\": "
                                                                                      "{}}]}";
    struct run r = run("get httproutes");
    CU_ASSERT_STRING_EQUAL(
        r.out, "NAMESPACE   NAME   HOSTNAMES     PARENTS    ACCEPTED   RESOLVEDREFS   PROGRAMMED   "
               "SOURCE\n"
               "default     web    a.com,b.com   edge,x/y   False      -              -            "
               "r.yaml:3\n"
               "b           w      *             -          -          -              -            "
               "r.yaml:3\n");
    run_fini(&r);
    r = run("get httproute -n default");
    CU_ASSERT_PTR_EQUAL(strstr(r.out, "NAME   HOSTNAMES"), r.out);
    run_fini(&r);
}

static void all_kinds_in_tables(void) {
    answer = "{\"items\": [{\"kind\": \"Service\", " META(
        "a",
        "s") ", \"spec\": {\"ports\": [{\"port\": 80}, {\"port\": 53, \"protocol\": \"UDP\"}]}}, "
             "{\"kind\": \"Gateway\", \"metadata\": {\"namespace\": \"a\", \"name\": \"edge\", "
             "\"creationTimestamp\": \"2026-01-01T23:00:00Z\"}, \"spec\": {\"gatewayClassName\": "
             "\"tandem\"}, \"status\": {\"addresses\": [{\"value\": \"10.0.0.1\"}], "
             "\"conditions\": "
             "[" COND("Programmed", "True") "]}}]}";
    struct run r = run("get");
    CU_ASSERT_STRING_EQUAL(
        r.out, "NAMESPACE   NAME           CLASS    ADDRESS    ACCEPTED   PROGRAMMED   AGE\n"
               "a           gateway/edge   tandem   10.0.0.1   -          True         60m\n"
               "\n"
               "NAMESPACE   NAME        TYPE        PORTS           SOURCE\n"
               "a           service/s   ClusterIP   80/TCP,53/UDP   r.yaml:3\n");
    run_fini(&r);
    r = run("get -o name");
    CU_ASSERT_STRING_EQUAL(r.out, "service/s\ngateway/edge\n");
    run_fini(&r);
}

static void other_formats(void) {
    answer = "{\"items\": [{\"kind\": \"Service\", \"metadata\": {\"name\": \"s\"}}]}";
    struct run r = run("get svc s -o yaml");
    CU_ASSERT_STRING_EQUAL(r.out, "kind: Service\nmetadata:\n  name: s\n");
    run_fini(&r);
    r = run("get svc -o yaml");
    CU_ASSERT_STRING_EQUAL(r.out, "apiVersion: v1\nkind: List\nitems:\n- kind: Service\n  "
                                  "metadata:\n    name: s\n");
    run_fini(&r);
    r = run("get svc s -o json");
    GW_JSON_AUTO v = json_loads(r.out, 0, NULL);
    CU_ASSERT(gw_str_eq(gw_json_str(v, "kind"), GW_STR("Service")));
    run_fini(&r);
}

static void described(void) {
    answer = "{\"items\": [{\"apiVersion\": \"g/v1\", \"kind\": \"HTTPRoute\", " META(
        "default",
        "web") ", \"spec\": {\"hostnames\": [\"a.com\"], \"parentRefs\": [{\"name\": \"edge\", "
               "\"sectionName\": \"http\"}]}, \"status\": {\"parents\": "
               "[{\"controllerName\": \"kgateway.dev/tandem\", \"parentRef\": "
               "{\"name\": \"edge\", \"sectionName\": \"http\"}, \"conditions\": "
               "[{\"type\": \"Accepted\", "
               "\"status\": \"False\", \"reason\": \"NoMatchingParent\", \"message\": "
               "\"no listener\"}]}]}}],"
               " \"events\": [{\"time\": \"T1\", \"file\": \"r.yaml\", \"ok\": true, "
               "\"text\": \"1 added\"}, "
               "{\"time\": \"T2\", \"file\": \"s.yaml\", \"ok\": true, \"text\": "
               "\"x\"}, {\"time\": \"T3\", "
               "\"file\": \"r.yaml\", \"ok\": false, \"text\": \"r.yaml:1: no\"}]}";
    struct run r = run("describe httproute web");
    CU_ASSERT_STRING_EQUAL(r.out, "Name:         web\n"
                                  "Namespace:    default\n"
                                  "Labels:       <none>\n"
                                  "Annotations:  <none>\n"
                                  "API Version:  g/v1\n"
                                  "Kind:         HTTPRoute\n"
                                  "Generation:   2\n"
                                  "Source:       r.yaml:3\n"
                                  "Spec:\n"
                                  "  hostnames:\n"
                                  "  - a.com\n"
                                  "  parentRefs:\n"
                                  "  - name: edge\n"
                                  "    sectionName: http\n"
                                  "Status:\n"
                                  "  Gateway edge, section http:\n"
                                  "    TYPE       STATUS   REASON             MESSAGE\n"
                                  "    Accepted   False    NoMatchingParent   no listener\n"
                                  "Events:\n"
                                  "  T1  Applied  1 added\n"
                                  "  T3  Refused  r.yaml:1: no\n");
    run_fini(&r);
}

// In a cluster nobody may write of what is wrong with these, so tandemctl finds out.
static void parents_that_no_status_speaks_of(void) {
    static const char classes[] =
        "[{\"metadata\": {\"name\": \"ours\"}, \"spec\": {\"controllerName\": "
        "\"kgateway.dev/tandem\"}}, {\"metadata\": {\"name\": \"theirs\"}, \"spec\": "
        "{\"controllerName\": \"a.com/b\"}}]";
    static const char gateways[] =
        "[{\"metadata\": {\"namespace\": \"n\", \"name\": \"edge\"}, \"spec\": "
        "{\"gatewayClassName\": \"ours\"}}, {\"metadata\": {\"namespace\": \"m\", \"name\": "
        "\"edge\"}, \"spec\": {\"gatewayClassName\": \"theirs\"}}, {\"metadata\": {\"namespace\": "
        "\"n\", \"name\": \"lone\"}, \"spec\": {\"gatewayClassName\": \"none\"}}]";
    static const struct {
        const char *refs, *parents, *want;
    } cases[] = {
        {"[]", "[]", "  no parentRefs: the route belongs to no Gateway\n"},
        {"[{\"name\": \"egde\"}]", "[]",
         "  Gateway n/egde: does not exist (is parentRefs[].namespace missing?)\n"},
        {"[{\"name\": \"edge\", \"namespace\": \"m\"}]", "[]",
         "  Gateway m/edge: its GatewayClass 'theirs' is of another controller, 'a.com/b'\n"},
        {"[{\"name\": \"lone\"}]", "[]",
         "  Gateway n/lone: its GatewayClass 'none' does not exist\n"},
        {"[{\"kind\": \"Service\", \"group\": \"\", \"name\": \"web\"}]", "[]",
         "  Service n/web: only Gateways of gateway.networking.k8s.io can be parents here\n"},
        {"[{\"name\": \"edge\"}]",
         "[{\"controllerName\": \"a.com/b\", \"parentRef\": {\"name\": "
         "\"edge\"}}]",
         "  Gateway n/edge: nothing was told of the route yet\n"},
        {"[{\"name\": \"edge\"}, {\"name\": \"edge\", \"port\": 80}]",
         "[{\"controllerName\": \"kgateway.dev/tandem\", \"parentRef\": {\"name\": \"edge\"}}]",
         "  Gateway n/edge: nothing was told of the route yet\n"},
        {"[{\"name\": \"edge\"}]",
         "[{\"controllerName\": \"kgateway.dev/tandem\", \"parentRef\": {\"name\": \"edge\"}}]",
         ""},
    };
    GW_JSON_AUTO g = json_loads(gateways, 0, NULL);
    GW_JSON_AUTO c = json_loads(classes, 0, NULL);
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        json_t *refs = json_loads(cases[i].refs, 0, NULL);
        json_t *parents = json_loads(cases[i].parents, 0, NULL);
        GW_JSON_AUTO route = json_pack("{s{ss}s{so}s{so}}", "metadata", "namespace", "n", "spec",
                                       "parentRefs", refs, "status", "parents", parents);
        struct gw_text out = {0};
        CU_ASSERT_EQUAL(cli_parents_all_told(route), !*cases[i].want);
        cli_parents(route, g, c, &out);
        CU_ASSERT_STRING_EQUAL(out.ptr ? out.ptr : "", cases[i].want);
        gw_text_fini(&out);
    }
}

static void one_of_another_namespace(void) {
    answer = "{\"items\": [{\"kind\": \"Service\", \"metadata\": {\"namespace\": \"shop\", "
             "\"name\": \"a\"}}]}";
    is_empty_first = true;
    struct run r = run("describe svc a");
    CU_ASSERT_EQUAL(r.status, 1);
    CU_ASSERT_STRING_EQUAL(r.err, "error: services \"a\" not found in namespace default (there is "
                                  "one in namespace shop: -n)\n");
    run_fini(&r);
    is_empty_first = false;
}

static void conditions(void) {
    static const struct {
        const char *json, *want;
    } cases[] = {
        {"{}", ""},
        {"{\"status\": {\"conditions\": [" COND("A", "True") "]}}", "True"},
        {"{\"status\": {\"conditions\": [" COND("B", "True") "]}}", ""},
        {"{\"status\": {\"ancestors\": [{\"conditions\": [" COND(
             "A", "True") "]}, {\"conditions\": "
                          "[" COND("A", "Unknown") "]}]}}",
         "Unknown"},
        {"{\"status\": {\"parents\": [{\"conditions\": [" COND(
             "A", "Unknown") "]}, {\"conditions\": "
                             "[" COND("A", "False") "]}]}}",
         "False"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        GW_JSON_AUTO v = json_loads(cases[i].json, 0, NULL);
        CU_ASSERT_STRING_EQUAL(cli_condition(v, "A"), cases[i].want);
    }
}

static void ages(void) {
    static const struct {
        const char *since, *want;
    } cases[] = {
        {"", ""},
        {"yesterday", ""},
        {"2026-01-01T00:02:00Z", "0s"}, // a clock that is behind
        {"2026-01-01T00:00:00Z", "60s"},
        {"2025-12-31T23:59:00Z", "2m"},
        {"2025-12-31T22:00:00Z", "2h"},
        {"2025-12-30T00:00:00Z", "2d"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        char got[32];
        cli_age(cases[i].since, "2026-01-01T00:01:00Z", got, sizeof(got));
        CU_ASSERT_STRING_EQUAL(got, cases[i].want);
    }
}

static void trees_as_yaml(void) {
    static const struct {
        const char *json, *want;
    } cases[] = {
        {"{}", "{}\n"},
        {"{\"a\": null, \"b\": true, \"c\": 1}", "a: null\nb: true\nc: 1\n"},
        {"{\"a\": \"true\", \"b\": \"1\", \"c\": \"\", \"d\": \"a: b\", \"e\": \"no\"}",
         "a: \"true\"\nb: \"1\"\nc: \"\"\nd: \"a: b\"\ne: \"no\"\n"},
        {"{\"a\": \"x\\ny\"}", "a: \"x\\ny\"\n"},
        {"{\"a\": [], \"b\": {}}", "a: []\nb: {}\n"},
        {"{\"a\": [1, [2, 3], {\"b\": 4, \"c\": [5]}]}",
         "a:\n- 1\n- - 2\n  - 3\n- b: 4\n  c:\n  - 5\n"},
        {"{\"*.a\": {\"b c\": \"d e \"}}", "\"*.a\":\n  b c: \"d e \"\n"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        GW_JSON_AUTO v = json_loads(cases[i].json, 0, NULL);
        struct gw_text t = {0};
        cli_yaml(v, 0, &t);
        CU_ASSERT_STRING_EQUAL(t.ptr, cases[i].want);
        gw_text_fini(&t);
    }
}

static void help_and_version(void) {
    struct run r = run("--help");
    CU_ASSERT_EQUAL(r.status, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(r.out, "usage: tandemctl get"));
    CU_ASSERT_PTR_NOT_NULL(strstr(r.out, "-n, --namespace NS"));
    run_fini(&r);
    r = run("--version");
    CU_ASSERT_PTR_EQUAL(strstr(r.out, "tandemctl "), r.out);
    run_fini(&r);
}

static CU_TestInfo tests[] = {
    {"what is asked wrongly", what_is_asked_wrongly},
    {"a controller that is not there", a_controller_that_is_not_there},
    {"an answer of something else", an_answer_of_something_else},
    {"questions", questions},
    {"routes in a table", routes_in_a_table},
    {"all kinds in tables", all_kinds_in_tables},
    {"other formats", other_formats},
    {"described", described},
    {"parents that no status speaks of", parents_that_no_status_speaks_of},
    {"one of another namespace", one_of_another_namespace},
    {"conditions", conditions},
    {"ages", ages},
    {"trees as YAML", trees_as_yaml},
    {"help and version", help_and_version},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_controller_cli_cli = {"cli", NULL, NULL, NULL, NULL, tests};
