// SPDX-License-Identifier: Apache-2.0
#include "controller/store/store.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>

#define ROUTE &ctl_res_http_route

static json_t *object(const char *ns, const char *name, const char *more) {
    char text[512];
    snprintf(text, sizeof(text), "{\"metadata\": {\"namespace\": \"%s\", \"name\": \"%s\"}%s}", ns,
             name, more);
    json_t *v = json_loads(text, 0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(v);
    return v;
}

static bool put_aged(struct ctl_store *s, const char *ns, const char *name, const char *more,
                     const char *age, const char *origin) {
    GW_JSON_AUTO v = object(ns, name, more);
    return ctl_store_put(s, ROUTE, v, 0, gw_str_of(age), gw_str_of(origin));
}

static bool put(struct ctl_store *s, const char *ns, const char *name, const char *more) {
    return put_aged(s, ns, name, more, "a", "f:1");
}

static const struct ctl_object *get(struct ctl_store *s, const char *ns, const char *name) {
    return ctl_store_get(s, ROUTE, gw_str_of(ns), gw_str_of(name));
}

static size_t take(struct ctl_store *s) {
    size_t n;
    struct ctl_ref *refs = ctl_store_take_dirty(s, &n);
    ctl_refs_free(refs, n);
    return n;
}

static void nothing_is_there(void) {
    struct ctl_store *s = ctl_store_new();
    CU_ASSERT_PTR_NULL(get(s, "a", "b"));
    CU_ASSERT_FALSE(ctl_store_del(s, ROUTE, GW_STR("a"), GW_STR("b")));
    CU_ASSERT_EQUAL(take(s), 0);
    char longest[600];
    memset(longest, 'x', sizeof(longest));
    CU_ASSERT_PTR_NULL(ctl_store_get(s, ROUTE, GW_STR("a"), (struct gw_str){longest, 600}));
    size_t n;
    const struct ctl_object **list = ctl_store_list(s, ROUTE, &n);
    CU_ASSERT_EQUAL(n, 0);
    free(list);
    ctl_store_free(s);
    ctl_store_free(NULL);
}

static void generation_counts_content(void) {
    struct ctl_store *s = ctl_store_new();
    CU_ASSERT_TRUE(put(s, "a", "b", ", \"spec\": {\"x\": 1}"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(get(s, "a", "b"));
    CU_ASSERT_EQUAL(get(s, "a", "b")->generation, 1);
    const struct ctl_object *before = get(s, "a", "b");
    CU_ASSERT_FALSE(put(s, "a", "b", ", \"spec\": {\"x\": 1}"));
    CU_ASSERT_PTR_EQUAL(get(s, "a", "b"), before);
    CU_ASSERT_TRUE(put(s, "a", "b", ", \"spec\": {\"x\": 2}"));
    CU_ASSERT_EQUAL(get(s, "a", "b")->generation, 2);
    CU_ASSERT_TRUE(put(s, "a", "b", ", \"spec\": {}"));
    CU_ASSERT_EQUAL(get(s, "a", "b")->generation, 3);
    ctl_store_free(s);
}

static void a_given_generation_is_kept(void) {
    struct ctl_store *s = ctl_store_new();
    GW_JSON_AUTO v = object("a", "b", "");
    CU_ASSERT_TRUE(ctl_store_put(s, ROUTE, v, 7, GW_STR(""), GW_STR("")));
    CU_ASSERT_EQUAL(get(s, "a", "b")->generation, 7);
    ctl_store_free(s);
}

static void status_and_noise_are_no_change(void) {
    struct ctl_store *s = ctl_store_new();
    put(s, "a", "b", ", \"spec\": {}");
    take(s);
    CU_ASSERT_FALSE(put(s, "a", "b", ", \"spec\": {}, \"status\": {\"parents\": []}"));
    GW_JSON_AUTO v = json_loads("{\"metadata\": {\"namespace\": \"a\", \"name\": \"b\", \"uid\": "
                                "\"u\", \"resourceVersion\": \"9\"}, \"spec\": {}}",
                                0, NULL);
    CU_ASSERT_FALSE(ctl_store_put(s, ROUTE, v, 0, GW_STR("a"), GW_STR("f:1")));
    CU_ASSERT_EQUAL(take(s), 0);
    ctl_store_free(s);
}

static json_t *stored(const char *rv, const char *more) {
    char text[512];
    snprintf(text, sizeof(text),
             "{\"metadata\": {\"namespace\": \"a\", \"name\": \"b\", \"uid\": \"u\", "
             "\"resourceVersion\": \"%s\"}, \"spec\": {}%s}",
             rv, more);
    json_t *v = json_loads(text, 0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(v);
    return v;
}

static bool put_stored(struct ctl_store *s, const char *rv, const char *more, int64_t generation) {
    GW_JSON_AUTO v = stored(rv, more);
    return ctl_store_put(s, ROUTE, v, generation, GW_STR("a"), GW_STR(""));
}

static void count_status(void *arg, const struct ctl_object *o) {
    int *n = arg;
    CU_ASSERT(gw_str_eq(o->name, GW_STR("b")));
    ++*n;
}

// reload-03: who writes statuses compares with what is there now.
static void status_and_version_are_kept_fresh(void) {
    int calls = 0;
    struct ctl_store *s = ctl_store_new();
    ctl_store_on_status(s, count_status, &calls);
    CU_ASSERT_TRUE(put_stored(s, "1", ", \"status\": {\"x\": 1}", 3));
    CU_ASSERT_EQUAL(calls, 1);
    take(s);
    const struct ctl_object *o = get(s, "a", "b");
    const json_t *tree = o->json;
    CU_ASSERT_FALSE(put_stored(s, "2", ", \"status\": {\"x\": 2}", 3));
    CU_ASSERT_EQUAL(take(s), 0);
    CU_ASSERT_EQUAL(calls, 2);
    CU_ASSERT_PTR_EQUAL(get(s, "a", "b"), o);
    CU_ASSERT_PTR_EQUAL(o->json, tree);
    CU_ASSERT_EQUAL(gw_json_int(gw_json_get(tree, "status"), "x", 0), 2);
    CU_ASSERT(
        gw_str_eq(gw_json_str(gw_json_get(tree, "metadata"), "resourceVersion"), GW_STR("2")));
    CU_ASSERT_FALSE(put_stored(s, "3", ", \"status\": {\"x\": 2}", 3));
    CU_ASSERT_EQUAL(calls, 2);
    CU_ASSERT_FALSE(put_stored(s, "4", "", 3));
    CU_ASSERT_EQUAL(calls, 3);
    CU_ASSERT_PTR_NULL(json_object_get(tree, "status"));
    // The same content at another generation must be observed.
    CU_ASSERT_TRUE(put_stored(s, "5", "", 5));
    CU_ASSERT_EQUAL(get(s, "a", "b")->generation, 5);
    CU_ASSERT_EQUAL(take(s), 1);
    ctl_store_free(s);
}

static void labels_are_a_change_without_a_generation(void) {
    struct ctl_store *s = ctl_store_new();
    put(s, "a", "b", "");
    take(s);
    GW_JSON_AUTO v =
        json_loads("{\"metadata\": {\"namespace\": \"a\", \"name\": \"b\", \"labels\": "
                   "{\"x\": \"y\"}}}",
                   0, NULL);
    CU_ASSERT_TRUE(ctl_store_put(s, ROUTE, v, 0, GW_STR("a"), GW_STR("f:1")));
    CU_ASSERT_EQUAL(get(s, "a", "b")->generation, 1);
    CU_ASSERT_EQUAL(take(s), 1);
    ctl_store_free(s);
}

static void age_moves_and_origin_does_not(void) {
    struct ctl_store *s = ctl_store_new();
    put_aged(s, "a", "b", "", "f 1", "f:1");
    take(s);
    const json_t *tree = get(s, "a", "b")->json;
    CU_ASSERT_FALSE(put_aged(s, "a", "b", "", "f 1", "f:9"));
    CU_ASSERT(gw_str_eq(get(s, "a", "b")->origin, GW_STR("f:9")));
    CU_ASSERT_EQUAL(take(s), 0);
    CU_ASSERT_TRUE(put_aged(s, "a", "b", "", "f 2", "f:9"));
    CU_ASSERT(gw_str_eq(get(s, "a", "b")->age, GW_STR("f 2")));
    CU_ASSERT_EQUAL(get(s, "a", "b")->generation, 1);
    CU_ASSERT_PTR_EQUAL(get(s, "a", "b")->json, tree);
    CU_ASSERT_EQUAL(take(s), 1);
    ctl_store_free(s);
}

static void lists_are_sorted_by_namespace_then_name(void) {
    struct ctl_store *s = ctl_store_new();
    static const char *const in[][2] = {
        {"b", "a"}, {"a-b", "x"}, {"a", "z"}, {"a", "b"}, {"a", "b-c"}};
    static const char *const want[] = {"a/b", "a/b-c", "a/z", "a-b/x", "b/a"};
    for (size_t i = 0; i < GW_ARRAY_LEN(in); i++)
        put(s, in[i][0], in[i][1], "");
    size_t n;
    const struct ctl_object **list = ctl_store_list(s, ROUTE, &n);
    CU_ASSERT_EQUAL_FATAL(n, GW_ARRAY_LEN(want));
    for (size_t i = 0; i < n; i++) {
        char got[64];
        snprintf(got, sizeof(got), GW_STR_FMT "/" GW_STR_FMT, GW_STR_ARG(list[i]->ns),
                 GW_STR_ARG(list[i]->name));
        CU_ASSERT_STRING_EQUAL(got, want[i]);
    }
    free(list);
    list = ctl_store_list(s, &ctl_res_service, &n);
    CU_ASSERT_EQUAL(n, 0);
    free(list);
    ctl_store_free(s);
}

static void dirty_is_deduplicated(void) {
    struct ctl_store *s = ctl_store_new();
    put(s, "a", "b", "");
    put(s, "a", "b", ", \"spec\": 1");
    ctl_store_del(s, ROUTE, GW_STR("a"), GW_STR("b"));
    GW_JSON_AUTO v = object("a", "b", "");
    ctl_store_put(s, &ctl_res_service, v, 0, GW_STR(""), GW_STR(""));
    size_t n;
    struct ctl_ref *refs = ctl_store_take_dirty(s, &n);
    CU_ASSERT_EQUAL_FATAL(n, 2);
    CU_ASSERT_PTR_EQUAL(refs[0].kind, ROUTE);
    CU_ASSERT(gw_str_eq(refs[0].ns, GW_STR("a")));
    CU_ASSERT(gw_str_eq(refs[0].name, GW_STR("b")));
    CU_ASSERT_PTR_EQUAL(refs[1].kind, &ctl_res_service);
    ctl_refs_free(refs, n);
    CU_ASSERT_EQUAL(take(s), 0);
    put(s, "a", "b", "");
    CU_ASSERT_EQUAL(take(s), 1);
    ctl_store_free(s);
}

static void count_call(void *arg) {
    ++*(unsigned *)arg;
}

static void on_dirty_is_called_once_per_burst(void) {
    struct ctl_store *s = ctl_store_new();
    unsigned calls = 0;
    ctl_store_on_dirty(s, count_call, &calls);
    put(s, "a", "b", "");
    put(s, "a", "c", "");
    CU_ASSERT_EQUAL(calls, 1);
    take(s);
    put(s, "a", "c", "");
    CU_ASSERT_EQUAL(calls, 1);
    ctl_store_del(s, ROUTE, GW_STR("a"), GW_STR("c"));
    CU_ASSERT_EQUAL(calls, 2);
    ctl_store_free(s);
}

static void a_kind_that_may_not_be_read_is_dirt(void) {
    struct ctl_store *s = ctl_store_new();
    unsigned calls = 0;
    ctl_store_on_dirty(s, count_call, &calls);
    CU_ASSERT_FALSE(ctl_store_is_unread(s, ROUTE));
    ctl_store_set_unread(s, ROUTE, false);
    CU_ASSERT_EQUAL(calls, 0);
    for (int i = 0; i < 2; i++)
        ctl_store_set_unread(s, ROUTE, true);
    CU_ASSERT_EQUAL(calls, 1);
    CU_ASSERT_EQUAL(ctl_store_unread_changes(s), 1);
    CU_ASSERT_TRUE(ctl_store_is_unread(s, ROUTE));
    CU_ASSERT_FALSE(ctl_store_is_unread(s, &ctl_res_gateway_class));
    ctl_store_set_unread(s, ROUTE, false);
    CU_ASSERT_EQUAL(ctl_store_unread_changes(s), 2);
    ctl_store_free(s);
}

static void namespaces_are_filled_in(void) {
    struct ctl_store *s = ctl_store_new();
    GW_JSON_AUTO v = json_loads("{\"metadata\": {\"name\": \"x\"}}", 0, NULL);
    ctl_store_put(s, ROUTE, v, 0, GW_STR(""), GW_STR(""));
    ctl_store_put(s, &ctl_res_gateway_class, v, 0, GW_STR(""), GW_STR(""));
    CU_ASSERT_PTR_NOT_NULL(get(s, "default", "x"));
    CU_ASSERT_PTR_NOT_NULL(ctl_store_get(s, &ctl_res_gateway_class, GW_STR(""), GW_STR("x")));
    ctl_store_free(s);
}

static CU_TestInfo tests[] = {
    {"nothing is there", nothing_is_there},
    {"generation counts content", generation_counts_content},
    {"a given generation is kept", a_given_generation_is_kept},
    {"status and noise are no change", status_and_noise_are_no_change},
    {"status and version are kept fresh", status_and_version_are_kept_fresh},
    {"labels are a change without a generation", labels_are_a_change_without_a_generation},
    {"age moves and origin does not", age_moves_and_origin_does_not},
    {"lists are sorted by namespace then name", lists_are_sorted_by_namespace_then_name},
    {"dirty is deduplicated", dirty_is_deduplicated},
    {"on_dirty is called once per burst", on_dirty_is_called_once_per_burst},
    {"a kind that may not be read is dirt", a_kind_that_may_not_be_read_is_dirt},
    {"namespaces are filled in", namespaces_are_filled_in},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_controller_store_store = {"store", NULL, NULL, NULL, NULL, tests};
