// SPDX-License-Identifier: Apache-2.0
// The admin port: a question from another thread is answered by the loop, or given up in time.
#include "controller/admin.h"
#include "test/unit/controller/ask.h"

#include <CUnit/CUnit.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct site {
    char state[64];
    struct gw_loop *loop;
    struct ctl_store *store;
    struct ctl_publish *publish;
    struct ctl_status *status;
    struct ctl_admin *admin;
};

static void site_init(struct site *s) {
    struct gw_err err = {0};
    memset(s, 0, sizeof(*s));
    snprintf(s->state, sizeof(s->state), "/tmp/tandem-admin-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(s->state));
    s->loop = gw_loop_new(&err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s->loop);
    s->store = ctl_store_new();
    s->publish = ctl_publish_new(
        &(struct ctl_publish_opts){.loop = s->loop, .state_dir = s->state, .host = "127.0.0.1"},
        &err);
    CU_ASSERT_STRING_EQUAL(err.text, "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(s->publish);
    s->status = ctl_status_new(&(struct ctl_status_opts){.publish = s->publish});
    s->admin = ctl_admin_new(&(struct ctl_admin_opts){.loop = s->loop,
                                                      .store = s->store,
                                                      .publish = s->publish,
                                                      .status = s->status,
                                                      .host = "127.0.0.1"},
                             &err);
    CU_ASSERT_STRING_EQUAL(err.text, "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(s->admin);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static void site_fini(struct site *s) {
    ctl_admin_free(s->admin);
    ctl_status_free(s->status);
    ctl_publish_free(s->publish);
    ctl_store_free(s->store);
    gw_loop_free(s->loop);
    nftw(s->state, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

// The whole answer with its head, while the loop turns; owned by caller.
static char *get(struct site *s, const char *path) {
    return ask_while_turning(s->loop, ctl_admin_port(s->admin), path);
}

static bool has(char *answer, int status, const char *part) {
    char line[64];
    snprintf(line, sizeof(line), "HTTP/1.1 %d", status);
    bool yes = strncmp(answer, line, strlen(line)) == 0 && strstr(answer, part) != NULL;
    if (!yes) fprintf(stderr, "\nwant %d with %s\ngot %s\n", status, part, answer);
    free(answer);
    return yes;
}

static void put(struct site *s, const struct ctl_res_kind *kind, const char *json) {
    GW_JSON_AUTO v = json_loads(json, 0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(v);
    ctl_store_put(s->store, kind, v, 0, GW_STR("a"), GW_STR("r.yaml:3"));
}

// --- tests -------------------------------------------------------------------------------------

static void wrong_questions(void) {
    struct site s;
    site_init(&s);
    CU_ASSERT(has(get(&s, "/nothing"), 404, "\"error\""));
    CU_ASSERT(has(get(&s, "/objects?kind=foo"), 404, "no kind 'foo'"));
    CU_ASSERT(has(get(&s, "/objects?kind=%66oo"), 404, "no kind 'foo'"));
    site_fini(&s);
}

static void a_port_that_is_taken(void) {
    struct site s;
    site_init(&s);
    struct gw_err err = {0};
    struct ctl_admin_opts o = {.loop = s.loop,
                               .store = s.store,
                               .publish = s.publish,
                               .status = s.status,
                               .host = "127.0.0.1",
                               .port = ctl_admin_port(s.admin)};
    CU_ASSERT_PTR_NULL(ctl_admin_new(&o, &err));
    char place[32];
    snprintf(place, sizeof(place), "127.0.0.1 port %u", o.port);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, place));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "in use"));
    site_fini(&s);
}

static void a_loop_that_stands_still(void) {
    struct site s;
    site_init(&s);
    struct ask_client c = {.port = ctl_admin_port(s.admin), .path = "/healthz"};
    pthread_t thread;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, ask_thread, &c), 0);
    pthread_join(thread, NULL);
    CU_ASSERT(has(c.answer.ptr ? c.answer.ptr : gw_strdup(""), 503, "busy"));
    // The question that was given up does not confuse the next one.
    CU_ASSERT(has(get(&s, "/healthz"), 200, "ok"));
    site_fini(&s);
}

static void an_end_while_a_question_waits(void) {
    struct site s;
    site_init(&s);
    struct ask_client c = {.port = ctl_admin_port(s.admin), .path = "/objects"};
    pthread_t thread;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, ask_thread, &c), 0);
    usleep(200000); // long enough for the question to wait for the loop
    int64_t began = gw_clock_us();
    site_fini(&s);
    CU_ASSERT(gw_clock_us() - began < 4000000);
    pthread_join(thread, NULL);
    gw_text_fini(&c.answer);
}

static void health(void) {
    struct site s;
    site_init(&s);
    CU_ASSERT(has(get(&s, "/healthz"), 200, "ok"));
    CU_ASSERT(has(get(&s, "/ready"), 200, "ready"));
    CU_ASSERT(has(get(&s, "/metrics"), 200, "push_resources_sent_total"));
    CU_ASSERT(has(get(&s, "/snapshot"), 200, "\"resources\""));
    CU_ASSERT(has(get(&s, "/"), 200, "/objects"));
    site_fini(&s);
}

#define ROUTE(ns, name)                                                                            \
    "{\"kind\": \"HTTPRoute\", \"metadata\": {\"namespace\": \"" ns "\", \"name\": \"" name "\"}}"

static void objects_are_chosen(void) {
    struct site s;
    site_init(&s);
    put(&s, &ctl_res_http_route, ROUTE("a", "one"));
    put(&s, &ctl_res_http_route, ROUTE("b", "two"));
    put(&s, &ctl_res_gateway_class, "{\"metadata\": {\"name\": \"three\"}}");
    static const struct {
        const char *path, *in, *out;
    } cases[] = {
        {"/objects", "one", NULL},
        {"/objects", "three", NULL},
        {"/objects?kind=httproutes", "two", "three"},
        {"/objects?kind=httproute&namespace=a", "one", "two"},
        {"/objects?namespace=a", "three", "two"},
        {"/objects?kind=httproute&namespace=b&name=two", "two", "one"},
        {"/objects?name=three", "three", "one"},
        {"/objects?kind=&namespace=&name=", "one", NULL},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        char *answer = get(&s, cases[i].path);
        char part[32];
        snprintf(part, sizeof(part), "\"name\": \"%s\"", cases[i].out ? cases[i].out : "-");
        CU_ASSERT_PTR_NULL(strstr(answer, part));
        snprintf(part, sizeof(part), "\"name\": \"%s\"", cases[i].in);
        CU_ASSERT(has(answer, 200, part));
    }
    site_fini(&s);
}

static void secrets_are_not_shown(void) {
    struct site s;
    site_init(&s);
    put(&s, &ctl_res_secret,
        "{\"metadata\": {\"namespace\": \"a\", \"name\": \"s\", \"annotations\": "
        "{\"kubectl.kubernetes.io/last-applied-configuration\": \"{data: aHVudGVyMg==}\", "
        "\"kgateway.dev/from-env\": \"x=Y\"}}, \"data\": {\"k\": "
        "\"aHVudGVyMg==\", "
        "\"e\": \"\", \"l\": \"YWI=\"}}");
    char *answer = get(&s, "/objects");
    CU_ASSERT_PTR_NULL(strstr(answer, "aHVudGVyMg"));
    CU_ASSERT_PTR_NOT_NULL(strstr(answer, "\"kgateway.dev/from-env\": \"x=Y\""));
    CU_ASSERT_PTR_NOT_NULL(strstr(answer, "\"k\": \"<7 bytes>\""));
    CU_ASSERT_PTR_NOT_NULL(strstr(answer, "\"e\": \"<0 bytes>\""));
    CU_ASSERT(has(answer, 200, "\"l\": \"<2 bytes>\""));
    // What is kept is not what was shown.
    const struct ctl_object *o = ctl_store_get(s.store, &ctl_res_secret, GW_STR("a"), GW_STR("s"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(o);
    CU_ASSERT(gw_str_eq(gw_json_str(gw_json_get(o->json, "data"), "k"), GW_STR("aHVudGVyMg==")));
    site_fini(&s);
}

static void an_object_tells_more_than_its_manifest(void) {
    struct site s;
    site_init(&s);
    put(&s, &ctl_res_http_route,
        "{\"metadata\": {\"namespace\": \"a\", \"name\": \"r\", \"annotations\": {\"x\": \"y\"}}}");
    const struct ctl_object *o =
        ctl_store_get(s.store, &ctl_res_http_route, GW_STR("a"), GW_STR("r"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(o);
    GW_JSON_AUTO status = json_loads("{\"parents\": []}", 0, NULL);
    GW_JSON_AUTO shown = ctl_admin_object(o, status);
    const json_t *meta = gw_json_get(shown, "metadata");
    const json_t *annotations = gw_json_get(meta, "annotations");
    CU_ASSERT_EQUAL(gw_json_int(meta, "generation", 0), 1);
    CU_ASSERT(gw_str_eq(gw_json_str(annotations, "kgateway.dev/source"), GW_STR("r.yaml:3")));
    CU_ASSERT(gw_str_eq(gw_json_str(annotations, "x"), GW_STR("y")));
    CU_ASSERT(json_equal(gw_json_get(shown, "status"), status));
    CU_ASSERT_PTR_NULL(gw_json_path(o->json, "metadata.generation"));
    CU_ASSERT_EQUAL(json_object_size(gw_json_path(o->json, "metadata.annotations")), 1);
    site_fini(&s);
}

static void a_refused_object_is_shown_with_the_reason(void) {
    GW_JSON_AUTO route = json_loads("{\"kind\": \"HTTPRoute\", \"metadata\": {\"name\": \"r\"}, "
                                    "\"spec\": 1, \"status\": {\"a\": 1}}",
                                    0, NULL);
    GW_JSON_AUTO secret = json_loads("{\"kind\": \"Secret\", \"metadata\": {\"name\": \"s\", "
                                     "\"annotations\": {\"x\": \"hidden\"}}, \"data\": \"hidden\"}",
                                     0, NULL);
    char reason[] = "spec: must be an object";
    struct ctl_refused r = {&ctl_res_http_route, GW_STR("a"), GW_STR("r"), 1, reason, route};
    struct ctl_refused s = {&ctl_res_secret, GW_STR("a"), GW_STR("s"), 1, reason, secret};
    GW_JSON_AUTO shown = ctl_admin_refused(&r, NULL);
    const json_t *annotations = gw_json_path(shown, "metadata.annotations");
    CU_ASSERT(gw_str_eq(gw_json_str(annotations, "kgateway.dev/refused"), gw_str_of(reason)));
    CU_ASSERT_EQUAL(gw_json_int(shown, "spec", 0), 1);
    CU_ASSERT_PTR_NOT_NULL(gw_json_path(shown, "status.a"));
    CU_ASSERT_PTR_NULL(gw_json_path(route, "metadata.annotations"));
    GW_JSON_AUTO bare = ctl_admin_refused(&s, NULL);
    char *text = json_dumps(bare, JSON_SORT_KEYS);
    CU_ASSERT_STRING_EQUAL(
        text, "{\"kind\": \"Secret\", \"metadata\": {\"annotations\": {\"kgateway.dev/refused\": "
              "\"spec: must be an object\"}, \"name\": \"s\", \"namespace\": \"a\"}}");
    CU_ASSERT_PTR_NOT_NULL(gw_json_get(secret, "data"));
    free(text);
}

static void the_last_events_are_kept(void) {
    struct site s;
    site_init(&s);
    for (int i = 0; i < CTL_ADMIN_EVENTS_MAX + 3; i++) {
        char text[32];
        snprintf(text, sizeof(text), "event %d.", i);
        ctl_admin_event(s.admin, "2026-01-01T00:00:00Z",
                        &(struct ctl_source_event){.file = "a.yaml", .ok = i % 2, .text = text});
    }
    char *answer = get(&s, "/events");
    CU_ASSERT_PTR_NULL(strstr(answer, "event 2."));
    const char *first = strstr(answer, "event 3."), *last = strstr(answer, "event 202.");
    CU_ASSERT_PTR_NOT_NULL(first);
    CU_ASSERT_PTR_NOT_NULL(last);
    CU_ASSERT(first < last);
    CU_ASSERT(has(answer, 200, "a.yaml"));
    site_fini(&s);
}

static CU_TestInfo tests[] = {
    {"wrong questions", wrong_questions},
    {"a port that is taken", a_port_that_is_taken},
    {"a loop that stands still", a_loop_that_stands_still},
    {"an end while a question waits", an_end_while_a_question_waits},
    {"health", health},
    {"objects are chosen", objects_are_chosen},
    {"secrets are not shown", secrets_are_not_shown},
    {"an object tells more than its manifest", an_object_tells_more_than_its_manifest},
    {"a refused object is shown with the reason", a_refused_object_is_shown_with_the_reason},
    {"the last events are kept", the_last_events_are_kept},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_controller_admin = {"admin", NULL, NULL, NULL, NULL, tests};
