// SPDX-License-Identifier: Apache-2.0
// What one change makes translation do, and what it leaves alone. What objects translate to is in
// test/golden/.
#include "controller/translate/tr.h"

#include "shared/tls.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <time.h>

#define MANY_ROUTES 10000
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ONE_EDIT_MS_MAX 500
#else
#define ONE_EDIT_MS_MAX 50
#endif

// --- a controller without a loop ---------------------------------------------------------------

struct world {
    struct ctl_store *store;
    struct ctl_translator *translator;
    struct ctl_translate_result last;
    bool began;
    const char *key; // what getenv gives for KEY
};

static const char *env_of(void *arg, const char *name) {
    return strcmp(name, "KEY") == 0 ? ((struct world *)arg)->key : NULL;
}

static void world_init(struct world *w) {
    *w = (struct world){.store = ctl_store_new()};
    w->translator =
        ctl_translator_new(&(struct ctl_translate_opts){.getenv = env_of, .getenv_arg = w});
}

static void world_fini(struct world *w) {
    ctl_translate_result_fini(&w->last);
    ctl_translator_free(w->translator);
    ctl_store_free(w->store);
}

static void put(struct world *w, const struct ctl_res_kind *kind, const char *fmt, ...)
    GW_PRINTF(3, 4);
static void put(struct world *w, const struct ctl_res_kind *kind, const char *fmt, ...) {
    char text[4096];
    struct gw_err err;
    struct gw_schema_problem problem;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    for (char *p = text; *p; p++)
        if (*p == '\'') *p = '"';
    GW_JSON_AUTO obj = gw_json_load(gw_str_of(text), sizeof(text), 32, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(obj);
    json_object_set_new(obj, "apiVersion", json_string("v1"));
    json_object_set_new(obj, "kind", json_string(kind->name));
    if (ctl_res_check(kind, obj, &problem) != GW_OK) {
        fprintf(stderr, "%s: %s\n", text, problem.err.text);
        CU_FAIL_FATAL("the test's object is wrong");
    }
    ctl_res_settle(kind, obj);
    ctl_store_put(w->store, kind, obj, 0, GW_STR("1"), GW_STR(""));
}

static void del(struct world *w, const struct ctl_res_kind *kind, const char *ns,
                const char *name) {
    CU_ASSERT_TRUE_FATAL(ctl_store_del(w->store, kind, gw_str_of(ns), gw_str_of(name)));
}

static void translate(struct world *w, bool all) {
    size_t n;
    struct ctl_ref *dirty = ctl_store_take_dirty(w->store, &n);
    ctl_translate_result_fini(&w->last);
    ctl_translate(w->translator, w->store, all ? NULL : dirty, all ? 0 : n, all, &w->last);
    ctl_refs_free(dirty, n);
}

static void run(struct world *w) {
    translate(w, !w->began);
    w->began = true;
}

static const json_t *changed(const struct world *w, const char *name) {
    for (size_t i = 0; i < w->last.resources_n; i++)
        if (strcmp(w->last.resources[i].name, name) == 0) return w->last.resources[i].body;
    return NULL;
}

static const struct ctl_status_report *reported(const struct world *w,
                                                const struct ctl_res_kind *kind, const char *name) {
    for (size_t i = 0; i < w->last.reports_n; i++)
        if (w->last.reports[i].kind == kind && strcmp(w->last.reports[i].name, name) == 0)
            return &w->last.reports[i];
    return NULL;
}

// A condition of the first part.
static const struct ctl_condition *condition_of(const struct ctl_status_report *r,
                                                const char *type) {
    CU_ASSERT_FATAL(r != NULL && r->parts_n > 0);
    for (size_t i = 0; i < r->parts[0].conditions_n; i++)
        if (strcmp(r->parts[0].conditions[i].type, type) == 0) return &r->parts[0].conditions[i];
    return NULL;
}

static const char *reason_of(const struct ctl_status_report *r, const char *type) {
    const struct ctl_condition *c = condition_of(r, type);
    return c ? c->reason : "none";
}

static const char *message_of(const struct ctl_status_report *r, const char *type) {
    const struct ctl_condition *c = condition_of(r, type);
    return c ? c->message : "none";
}

static void put_gateway(struct world *w, const char *listener) {
    put(w, &ctl_res_gateway_class,
        "{'metadata': {'name': 'tandem'}, 'spec': {'controllerName': '%s'}}", CTL_CONTROLLER_NAME);
    put(w, &ctl_res_gateway,
        "{'metadata': {'name': 'edge'}, 'spec': {'gatewayClassName': 'tandem', 'listeners': "
        "[{'name': 'http', 'protocol': 'HTTP', 'port': 8080%s}]}}",
        listener);
}

static void put_service(struct world *w, const char *ns, const char *name) {
    put(w, &ctl_res_service,
        "{'metadata': {'namespace': '%s', 'name': '%s'}, 'spec': {'ports': [{'port': 80}]}}", ns,
        name);
}

static void put_route(struct world *w, const char *ns, const char *name, const char *path,
                      const char *backend) {
    put(w, &ctl_res_http_route,
        "{'metadata': {'namespace': '%s', 'name': '%s'}, 'spec': {'parentRefs': [{'name': 'edge', "
        "'namespace': 'default'}], 'rules': [{'matches': [{'path': {'value': '%s'}}], "
        "'backendRefs': [{%s}]}]}}",
        ns, name, path, backend);
}

#define WEB "'name': 'web', 'port': 80"
#define MODEL "'group': 'kgateway.dev', 'kind': 'LLMBackend', 'name': 'model'"

// --- one edit among many -----------------------------------------------------------------------

static void put_many(struct world *w) {
    put_gateway(w, "");
    put_service(w, "default", "web");
    for (int i = 0; i < MANY_ROUTES; i++) {
        char name[32], path[32];
        snprintf(name, sizeof(name), "r%d", i);
        snprintf(path, sizeof(path), "/p%d", i);
        put_route(w, "default", name, path, WEB);
    }
}

static int64_t cpu_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void test_one_edit_among_many_routes(void) {
    struct world w;
    world_init(&w);
    put_many(&w);
    run(&w);
    CU_ASSERT_EQUAL(w.last.rules_translated, MANY_ROUTES);
    CU_ASSERT_EQUAL(w.last.resources_n, MANY_ROUTES + 3);
    CU_ASSERT_EQUAL(w.last.reports_n, MANY_ROUTES + 2);

    put_route(&w, "default", "r5000", "/edited", WEB);
    int64_t began = cpu_ms();
    run(&w);
    int64_t took = cpu_ms() - began;
    CU_ASSERT_EQUAL(w.last.rules_translated, 1);
    CU_ASSERT_EQUAL(w.last.resources_n, 1);
    CU_ASSERT_PTR_NOT_NULL(changed(&w, "rule/default/r5000/0"));
    CU_ASSERT_EQUAL(w.last.reports_n, 1); // its generation
    CU_ASSERT(took < ONE_EDIT_MS_MAX);
    world_fini(&w);
}

static void test_endpoints_translate_no_rule(void) {
    static const char slice[] =
        "{'metadata': {'name': 'web-1', 'labels': {'kubernetes.io/service-name': 'web'}}, "
        "'addressType': 'IPv4', 'ports': [{'port': 8080}], 'endpoints': [{'addresses': "
        "['10.0.0.%d']}]}";
    struct world w;
    world_init(&w);
    put_many(&w);
    run(&w);
    for (int i = 1; i <= 2; i++) {
        put(&w, &ctl_res_endpoint_slice, slice, i);
        int64_t began = cpu_ms();
        run(&w);
        CU_ASSERT(cpu_ms() - began < ONE_EDIT_MS_MAX);
        CU_ASSERT_EQUAL(w.last.rules_translated, 0);
        CU_ASSERT_EQUAL(w.last.resources_n, 1);
        CU_ASSERT_PTR_NOT_NULL(changed(&w, "endpoints/default/web/80"));
        CU_ASSERT_EQUAL(w.last.reports_n, 0);
    }
    world_fini(&w);
}

static void test_edit_of_a_gateway_that_concerns_no_route(void) {
    struct world w;
    world_init(&w);
    put_many(&w);
    run(&w);
    put(&w, &ctl_res_gateway,
        "{'metadata': {'name': 'edge', 'labels': {'a': 'b'}}, 'spec': {'gatewayClassName': "
        "'tandem', 'listeners': [{'name': 'http', 'protocol': 'HTTP', 'port': 8080}]}}");
    run(&w);
    CU_ASSERT_EQUAL(w.last.rules_translated, 0);
    CU_ASSERT_EQUAL(w.last.resources_n, 0);
    world_fini(&w);
}

static void test_edit_of_a_gateway_that_concerns_all(void) {
    struct world w;
    world_init(&w);
    put_gateway(&w, "");
    put_service(&w, "default", "web");
    put_route(&w, "default", "one", "/1", WEB);
    put_route(&w, "default", "two", "/2", WEB);
    run(&w);
    put_gateway(&w, ", 'hostname': 'a.example.com'");
    run(&w);
    CU_ASSERT_EQUAL(w.last.rules_translated, 2);
    CU_ASSERT_EQUAL(w.last.resources_n, 1); // the rules take any host of the listener, as before
    CU_ASSERT_PTR_NOT_NULL(changed(&w, "listener/default/edge/http"));
    world_fini(&w);
}

// --- what is missing, and comes ----------------------------------------------------------------

static void test_missing_service_concerns_its_routes_alone(void) {
    struct world w;
    world_init(&w);
    put_gateway(&w, "");
    put_service(&w, "default", "web");
    put_route(&w, "default", "one", "/1", WEB);
    put_route(&w, "default", "two", "/2", "'name': 'late', 'port': 80");
    run(&w);
    CU_ASSERT_STRING_EQUAL(reason_of(reported(&w, &ctl_res_http_route, "two"), "ResolvedRefs"),
                           "BackendNotFound");
    put_service(&w, "default", "other");
    run(&w);
    CU_ASSERT_EQUAL(w.last.rules_translated, 0);
    put_service(&w, "default", "late");
    run(&w);
    CU_ASSERT_EQUAL(w.last.rules_translated, 1);
    CU_ASSERT_STRING_EQUAL(reason_of(reported(&w, &ctl_res_http_route, "two"), "ResolvedRefs"),
                           "ResolvedRefs");
    CU_ASSERT_PTR_NOT_NULL(changed(&w, "endpoints/default/late/80"));
    del(&w, &ctl_res_service, "default", "late");
    run(&w);
    CU_ASSERT_EQUAL(w.last.rules_translated, 1);
    CU_ASSERT_EQUAL(w.last.resources_n, 3); // the rule; backend and endpoints are removed
    CU_ASSERT_STRING_EQUAL(reason_of(reported(&w, &ctl_res_http_route, "two"), "ResolvedRefs"),
                           "BackendNotFound");
    world_fini(&w);
}

static void test_missing_gateway_comes(void) {
    struct world w;
    world_init(&w);
    put_service(&w, "default", "web");
    put_route(&w, "default", "one", "/1", WEB);
    run(&w);
    CU_ASSERT_EQUAL(w.last.resources_n, 0);
    CU_ASSERT_STRING_EQUAL(reason_of(reported(&w, &ctl_res_http_route, "one"), "Accepted"),
                           "NoMatchingParent");
    put_gateway(&w, "");
    run(&w);
    CU_ASSERT_EQUAL(w.last.resources_n, 4);
    CU_ASSERT_STRING_EQUAL(reason_of(reported(&w, &ctl_res_http_route, "one"), "Accepted"),
                           "Accepted");
    world_fini(&w);
}

// gateway-objects-02: permission is watched like the reference itself.
static void test_grant_concerns_routes_across_namespaces_alone(void) {
    struct world w;
    world_init(&w);
    put_gateway(&w, ", 'allowedRoutes': {'namespaces': {'from': 'All'}}");
    put_service(&w, "b", "web");
    put_route(&w, "a", "across", "/1", "'namespace': 'b', 'name': 'web', 'port': 80");
    put_route(&w, "b", "inside", "/2", WEB);
    run(&w);
    for (int round = 0; round < 2; round++) {
        put(&w, &ctl_res_reference_grant,
            "{'metadata': {'namespace': 'b', 'name': 'allow'}, 'spec': {'from': [{'group': "
            "'gateway.networking.k8s.io', 'kind': 'HTTPRoute', 'namespace': 'a'}], 'to': "
            "[{'group': '', 'kind': 'Service'}]}}");
        run(&w);
        CU_ASSERT_EQUAL(w.last.rules_translated, 1);
        CU_ASSERT_STRING_EQUAL(
            reason_of(reported(&w, &ctl_res_http_route, "across"), "ResolvedRefs"), "ResolvedRefs");
        del(&w, &ctl_res_reference_grant, "b", "allow");
        run(&w);
        CU_ASSERT_EQUAL(w.last.rules_translated, 1);
        CU_ASSERT_STRING_EQUAL(
            reason_of(reported(&w, &ctl_res_http_route, "across"), "ResolvedRefs"),
            "RefNotPermitted");
    }
    world_fini(&w);
}

// --- model backends ----------------------------------------------------------------------------

static void put_model(struct world *w, const char *spec) {
    put(w, &ctl_res_llm_backend,
        "{'metadata': {'name': 'model'}, 'spec': {'provider': 'openai'%s}}", spec);
}

#define KEYED ", 'auth': {'secretRefs': [{'name': 'key'}]}"

static void test_model_edit_translates_no_rule(void) {
    struct world w;
    world_init(&w);
    put_gateway(&w, "");
    put_model(&w, "");
    put_route(&w, "default", "one", "/1", MODEL);
    run(&w);
    put_model(&w, ", 'models': {'allow': ['gpt-*']}");
    run(&w);
    CU_ASSERT_EQUAL(w.last.rules_translated, 0);
    CU_ASSERT_EQUAL(w.last.resources_n, 1);
    CU_ASSERT_PTR_NOT_NULL(changed(&w, "backend/llm/default/model"));
    world_fini(&w);
}

static void test_new_key_translates_no_rule(void) {
    struct world w;
    world_init(&w);
    put_gateway(&w, "");
    put_model(&w, KEYED);
    put(&w, &ctl_res_secret, "{'metadata': {'name': 'key'}, 'stringData': {'api-key': 'sk-1'}}");
    put_route(&w, "default", "one", "/1", MODEL);
    run(&w);
    put(&w, &ctl_res_secret, "{'metadata': {'name': 'key'}, 'stringData': {'api-key': 'sk-2'}}");
    run(&w);
    CU_ASSERT_EQUAL(w.last.rules_translated, 0);
    CU_ASSERT_EQUAL(w.last.resources_n, 1);
    const json_t *secret = changed(&w, "secret/default/key/api-key");
    CU_ASSERT_PTR_NOT_NULL_FATAL(secret);
    CU_ASSERT_TRUE(gw_str_eq(gw_json_str(secret, "value"), GW_STR("sk-2")));
    world_fini(&w);
}

static void test_missing_secret_comes_and_goes(void) {
    struct world w;
    world_init(&w);
    put_gateway(&w, "");
    put_model(&w, KEYED);
    put_route(&w, "default", "one", "/1", MODEL);
    run(&w);
    CU_ASSERT_PTR_NULL(changed(&w, "backend/llm/default/model"));
    put(&w, &ctl_res_secret, "{'metadata': {'name': 'key'}, 'stringData': {'api-key': 'sk-1'}}");
    run(&w);
    CU_ASSERT_EQUAL(w.last.rules_translated, 1);
    CU_ASSERT_EQUAL(w.last.resources_n, 3);
    del(&w, &ctl_res_secret, "default", "key");
    run(&w);
    CU_ASSERT_EQUAL(w.last.rules_translated, 1);
    CU_ASSERT_STRING_EQUAL(reason_of(reported(&w, &ctl_res_llm_backend, "model"), "ResolvedRefs"),
                           "InvalidSecretRef");
    world_fini(&w);
}

#define API ".gateway.networking.k8s.io"

// Versions of the Gateway API's CRDs make no resource, and are judged one by one.
static void test_versions_of_crds(void) {
    static const struct {
        const char *gateways, *routes; // NULL: not installed
        const char *reason, *message;  // NULL: no such condition
    } cases[] = {
        {"v1.7.0", "v1.7.0", "SupportedVersion", "CRDs of the Gateway API v1.7.0 are installed"},
        {"v1.7.0", "v1.6.1", "SupportedVersion", "API v1.7.0, v1.6.1 are installed"},
        {"v1.7.1-rc.1", "v1.7.0", "SupportedVersion", "v1.7.1-rc.1, v1.7.0"},
        {"v1.7.0", "v1.5.1", "UnsupportedVersion",
         "CRD httproutes" API " is of the Gateway API v1.5.1; v1.6 and v1.7 are known to work"},
        {"v1.8.0", "v1.7.0", "UnsupportedVersion",
         "CRD gateways" API " is of the Gateway API v1.8.0"},
        {"v1.70.0", "v1.7.0", "UnsupportedVersion", "v1.70.0"},
        {"v1.7", "v1.7.0", "UnsupportedVersion", "v1.7;"},
        {"v0.8.1", "v0.8.1", "UnsupportedVersion", "v0.8.1"},
        {"", "v1.7.0", "UnsupportedVersion", "CRD gateways" API " is of no version"},
        {NULL, NULL, NULL, NULL},
    };
    struct world w;
    world_init(&w);
    put_gateway(&w, "");
    run(&w);
    const struct ctl_status_report *r = reported(&w, &ctl_res_gateway_class, "tandem");
    CU_ASSERT_STRING_EQUAL(reason_of(r, "SupportedVersion"), "none"); // a folder
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        json_t *versions = json_object();
        if (cases[i].gateways)
            json_object_set_new(versions, "gateways" API, json_string(cases[i].gateways));
        if (cases[i].routes)
            json_object_set_new(versions, "httproutes" API, json_string(cases[i].routes));
        ctl_store_set_crd_versions(w.store, json_incref(versions));
        run(&w);
        CU_ASSERT_EQUAL(w.last.resources_n, 0);
        r = reported(&w, &ctl_res_gateway_class, "tandem");
        CU_ASSERT_STRING_EQUAL(reason_of(r, "Accepted"), "Accepted"); // best effort
        if (cases[i].reason) {
            CU_ASSERT_STRING_EQUAL(reason_of(r, "SupportedVersion"), cases[i].reason);
            const char *message = message_of(r, "SupportedVersion");
            if (!strstr(message, cases[i].message)) fprintf(stderr, "%s\n", message);
            CU_ASSERT_PTR_NOT_NULL(strstr(message, cases[i].message));
        } else {
            CU_ASSERT_STRING_EQUAL(reason_of(r, "SupportedVersion"), "none");
        }
        ctl_store_set_crd_versions(w.store, versions); // equal: nothing to do
        run(&w);
        CU_ASSERT_EQUAL(w.last.reports_n, 0);
    }
    ctl_store_set_crd_versions(w.store, NULL); // they may not be listed any more
    run(&w);
    world_fini(&w);
}

// Nothing is called absent of a kind that nobody may look at.
static void test_kinds_that_may_not_be_read(void) {
    struct world w;
    world_init(&w);
    put_gateway(&w, "");
    put_model(&w, KEYED);
    put_route(&w, "default", "model", "/1", MODEL);
    put_route(&w, "default", "web", "/2", WEB);
    put_route(&w, "default", "far", "/3", WEB ", 'namespace': 'other'");
    ctl_store_set_unread(w.store, &ctl_res_secret, true);
    run(&w);
    const char *unseen = " cannot be seen: the controller may not list objects of this kind";
    const struct ctl_status_report *r = reported(&w, &ctl_res_llm_backend, "model");
    CU_ASSERT_STRING_EQUAL(reason_of(r, "ResolvedRefs"), "InvalidSecretRef");
    CU_ASSERT_PTR_NOT_NULL(strstr(message_of(r, "ResolvedRefs"), unseen));
    r = reported(&w, &ctl_res_http_route, "web");
    CU_ASSERT_STRING_EQUAL(message_of(r, "ResolvedRefs"),
                           "rule 0: Service default/web does not exist");
    // No object changes, yet what is said of them does.
    ctl_store_set_unread(w.store, &ctl_res_secret, false);
    ctl_store_set_unread(w.store, &ctl_res_service, true);
    ctl_store_set_unread(w.store, &ctl_res_reference_grant, true);
    run(&w);
    r = reported(&w, &ctl_res_llm_backend, "model");
    CU_ASSERT_STRING_EQUAL(message_of(r, "ResolvedRefs"), "Secret default/key does not exist");
    r = reported(&w, &ctl_res_http_route, "web");
    CU_ASSERT_PTR_NOT_NULL(strstr(message_of(r, "ResolvedRefs"), unseen));
    r = reported(&w, &ctl_res_http_route, "far");
    CU_ASSERT_PTR_NOT_NULL(
        strstr(message_of(r, "ResolvedRefs"), "(the controller may not list ReferenceGrants)"));
    CU_ASSERT_EQUAL(w.last.resources_n, 0);
    run(&w);
    CU_ASSERT_EQUAL(w.last.rules_translated, 0);
    world_fini(&w);
}

static void test_key_from_the_environment(void) {
    static const struct {
        const char *name, *key, *want;
    } cases[] = {
        {"not set", NULL, "InvalidSecretRef"}, {"empty", "", "InvalidSecretRef"},
        {"blanks", " \n", "InvalidSecretRef"}, {"two lines", "a\nb", "InvalidSecretRef"},
        {"set", "sk-1\n", "ResolvedRefs"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct world w;
        world_init(&w);
        w.key = cases[i].key;
        put_gateway(&w, "");
        put_model(&w, KEYED);
        put(&w, &ctl_res_secret,
            "{'metadata': {'name': 'key', 'annotations': {'kgateway.dev/from-env': "
            "'api-key=KEY'}}}");
        put_route(&w, "default", "one", "/1", MODEL);
        run(&w);
        const char *got = reason_of(reported(&w, &ctl_res_llm_backend, "model"), "ResolvedRefs");
        if (strcmp(got, cases[i].want) != 0)
            fprintf(stderr, "%s: %s, not %s\n", cases[i].name, got, cases[i].want);
        CU_ASSERT_STRING_EQUAL(got, cases[i].want);
        world_fini(&w);
    }
}

// --- certificates ------------------------------------------------------------------------------

// A pair for the names, which no other call gives.
static void put_certificate(struct world *w, const char *name, const char *const *names) {
    struct gw_err err;
    GW_CLEANUP(gw_text_fini) struct gw_text ca = {0};
    GW_CLEANUP(gw_text_fini) struct gw_text cert = {0};
    struct gw_secret *ca_key, *key;
    CU_ASSERT_EQUAL_FATAL(gw_tls_make_ca("test", 30, &ca, &ca_key, &err), GW_OK);
    CU_ASSERT_EQUAL_FATAL(gw_tls_make_cert(gw_text_str(&ca), ca_key, names, 30, &cert, &key, &err),
                          GW_OK);
    struct gw_str k = gw_secret_reveal(key);
    GW_JSON_AUTO obj =
        json_pack("{sss{ssss}s{ssss%}}", "kind", "Secret", "metadata", "name", name, "namespace",
                  "default", "stringData", "tls.crt", cert.ptr, "tls.key", k.ptr, k.len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(obj);
    ctl_res_settle(&ctl_res_secret, obj);
    ctl_store_put(w->store, &ctl_res_secret, obj, 0, GW_STR("1"), GW_STR(""));
    gw_secret_unref(ca_key);
    gw_secret_unref(key);
}

static void put_https(struct world *w, const char *extra) {
    put(w, &ctl_res_gateway,
        "{'metadata': {'name': 'edge', 'namespace': 'default'}, 'spec': {'gatewayClassName': "
        "'tandem', 'listeners': [{'name': 'a', 'protocol': 'HTTPS', 'port': 443, 'hostname': "
        "'a.example.com', 'tls': {'certificateRefs': [{'name': 'a'}]}}, {'name': 'b', 'protocol': "
        "'HTTPS', 'port': 443, 'hostname': 'b.example.com', 'tls': {'certificateRefs': [{'name': "
        "'b'}]}}%s]}}",
        extra);
}

static void test_rotated_certificate_is_one_resource(void) {
    static const char *const a[] = {"a.example.com", NULL}, *const b[] = {"b.example.com", NULL};
    struct world w;
    world_init(&w);
    put_many(&w);
    put_https(&w, "");
    put_certificate(&w, "a", a);
    put_certificate(&w, "b", b);
    run(&w);
    put_certificate(&w, "a", a);
    run(&w);
    CU_ASSERT_EQUAL(w.last.rules_translated, 0);
    CU_ASSERT_EQUAL_FATAL(w.last.resources_n, 1);
    CU_ASSERT_STRING_EQUAL(w.last.resources[0].name, "tls/default/a");
    // It breaks, and its listener alone says so.
    put_certificate(&w, "c", a);
    run(&w);
    CU_ASSERT_EQUAL(w.last.resources_n, 0);
    del(&w, &ctl_res_secret, "default", "a");
    run(&w);
    CU_ASSERT_EQUAL_FATAL(w.last.resources_n, 2);
    CU_ASSERT_STRING_EQUAL(w.last.resources[0].name, "listener/default/edge/a");
    CU_ASSERT_STRING_EQUAL(w.last.resources[1].name, "tls/default/a");
    CU_ASSERT_PTR_NULL(w.last.resources[1].body);
    // A Gateway that is edited reads no certificate that it had, and sends none again.
    put_https(&w, ", {'name': 'plain', 'protocol': 'HTTP', 'port': 80}");
    run(&w);
    for (size_t i = 0; i < w.last.resources_n; i++)
        CU_ASSERT_NOT_EQUAL(strncmp(w.last.resources[i].name, "tls/", 4), 0);
    world_fini(&w);
}

// --- classes -----------------------------------------------------------------------------------

static void test_class_says_what_is_supported(void) {
    struct world w;
    world_init(&w);
    put_gateway(&w, "");
    run(&w);
    const json_t *list =
        gw_json_get(reported(&w, &ctl_res_gateway_class, "tandem")->extra, "supportedFeatures");
    // As the API has it: ascending, each once, at most 64.
    CU_ASSERT_TRUE_FATAL(json_array_size(list) > 20 && json_array_size(list) <= 64);
    for (size_t i = 1; i < json_array_size(list); i++)
        CU_ASSERT_TRUE(gw_str_cmp(gw_json_str(json_array_get(list, i - 1), "name"),
                                  gw_json_str(json_array_get(list, i), "name")) < 0);
    // An edit that changes nothing of it is not told.
    put_gateway(&w, "");
    run(&w);
    CU_ASSERT_EQUAL(w.last.reports_n, 0);
    world_fini(&w);
}

// --- nothing to do -----------------------------------------------------------------------------

static void test_nothing_dirty_gives_nothing(void) {
    struct world w;
    world_init(&w);
    run(&w);
    CU_ASSERT_EQUAL(w.last.resources_n + w.last.reports_n, 0);
    put_gateway(&w, "");
    run(&w);
    CU_ASSERT_EQUAL(w.last.resources_n, 1);
    run(&w);
    CU_ASSERT_EQUAL(w.last.resources_n + w.last.reports_n, 0);
    world_fini(&w);
}

static void test_all_again_gives_no_difference(void) {
    struct world w;
    world_init(&w);
    put_gateway(&w, "");
    put_service(&w, "default", "web");
    put_route(&w, "default", "one", "/1", WEB);
    put_model(&w, "");
    put_route(&w, "default", "two", "/2", MODEL);
    run(&w);
    translate(&w, true);
    CU_ASSERT_EQUAL(w.last.rules_translated, 2);
    CU_ASSERT_EQUAL(w.last.resources_n + w.last.reports_n, 0);
    world_fini(&w);
}

static void test_made_and_deleted_within_one_run(void) {
    struct world w;
    world_init(&w);
    put_gateway(&w, "");
    run(&w);
    put_model(&w, "");
    put_route(&w, "default", "one", "/1", MODEL);
    del(&w, &ctl_res_http_route, "default", "one");
    del(&w, &ctl_res_llm_backend, "default", "model");
    run(&w);
    CU_ASSERT_EQUAL(w.last.resources_n + w.last.reports_n, 0);
    world_fini(&w);
}

// A namespace that no selector asks about is nobody's affair.
static void test_namespace_labels_concern_selectors_alone(void) {
    static const char labelled[] = "{'metadata': {'name': 'a', 'labels': {'team': '%s'}}}";
    for (int selects = 0; selects < 2; selects++) {
        struct world w;
        world_init(&w);
        put_gateway(&w, selects ? ", 'allowedRoutes': {'namespaces': {'from': 'Selector', "
                                  "'selector': {'matchLabels': {'team': 'blue'}}}}"
                                : ", 'allowedRoutes': {'namespaces': {'from': 'All'}}");
        put(&w, &ctl_res_namespace, labelled, "blue");
        put_service(&w, "a", "web");
        put_route(&w, "a", "one", "/1", WEB);
        run(&w);
        CU_ASSERT_PTR_NOT_NULL(changed(&w, "rule/a/one/0"));
        put(&w, &ctl_res_namespace, labelled, "red");
        run(&w);
        CU_ASSERT_EQUAL(w.last.rules_translated, selects ? 1 : 0);
        CU_ASSERT_EQUAL(w.last.resources_n, selects ? 3 : 0);
        world_fini(&w);
    }
}

// --- hostnames ---------------------------------------------------------------------------------

static void test_hostnames_meet(void) {
    static const struct {
        const char *listener, *route, *want; // NULL: nothing in common
    } cases[] = {
        {"a.example.com", "b.example.com", NULL},
        {"*.example.com", "example.com", NULL},
        {"*.example.com", "a.example.net", NULL},
        {"*.example.com", "aexample.com", NULL},
        {"*.a.example.com", "*.b.example.com", NULL},
        {"example.com", "*.example.com", NULL},
        {"", "a.example.com", "a.example.com"},
        {"a.example.com", "a.example.com", "a.example.com"},
        {"*.example.com", "*.example.com", "*.example.com"},
        {"*.example.com", "a.example.com", "a.example.com"},
        {"*.example.com", "a.b.example.com", "a.b.example.com"},
        {"a.example.com", "*.example.com", "a.example.com"},
        {"*.example.com", "*.b.example.com", "*.b.example.com"},
        {"*.b.example.com", "*.example.com", "*.b.example.com"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct gw_str got = {NULL, 0};
        bool meets =
            tr_hostname_meet(gw_str_of(cases[i].listener), gw_str_of(cases[i].route), &got);
        bool ok = meets == (cases[i].want != NULL) &&
                  (!meets || gw_str_eq(got, gw_str_of(cases[i].want)));
        if (!ok) fprintf(stderr, "%s with %s\n", cases[i].listener, cases[i].route);
        CU_ASSERT_TRUE(ok);
    }
}

static CU_TestInfo tests[] = {
    {"one edit among many routes", test_one_edit_among_many_routes},
    {"endpoints translate no rule", test_endpoints_translate_no_rule},
    {"an edit of a Gateway that concerns no route", test_edit_of_a_gateway_that_concerns_no_route},
    {"an edit of a Gateway that concerns all", test_edit_of_a_gateway_that_concerns_all},
    {"a missing Service concerns its routes alone", test_missing_service_concerns_its_routes_alone},
    {"a missing Gateway comes", test_missing_gateway_comes},
    {"gateway-objects-02: a grant comes and goes",
     test_grant_concerns_routes_across_namespaces_alone},
    {"an edit of models translates no rule", test_model_edit_translates_no_rule},
    {"a new key translates no rule", test_new_key_translates_no_rule},
    {"a missing Secret comes and goes", test_missing_secret_comes_and_goes},
    {"kinds that may not be read", test_kinds_that_may_not_be_read},
    {"versions of CRDs", test_versions_of_crds},
    {"a key from the environment", test_key_from_the_environment},
    {"a rotated certificate is one resource", test_rotated_certificate_is_one_resource},
    {"a class says what is supported", test_class_says_what_is_supported},
    {"nothing dirty gives nothing", test_nothing_dirty_gives_nothing},
    {"all again gives no difference", test_all_again_gives_no_difference},
    {"made and deleted within one run", test_made_and_deleted_within_one_run},
    {"labels of a namespace concern selectors alone",
     test_namespace_labels_concern_selectors_alone},
    {"hostnames meet", test_hostnames_meet},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_controller_translate_translate = {
    "controller/translate", NULL, NULL, NULL, NULL, tests};
