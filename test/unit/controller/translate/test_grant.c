// SPDX-License-Identifier: Apache-2.0
// ReferenceGrants: what each lets, what a change of one takes away, and that an owner of thousands
// makes nobody wait.
#include "controller/translate/tr.h"
#include "shared/loop.h"

#include <CUnit/CUnit.h>
#include <stdio.h>

extern CU_SuiteInfo suite_controller_translate_grant;

struct world {
    struct ctl_store *store;
    struct ctl_translator *t;
};

static void begin(struct world *w) {
    w->store = ctl_store_new();
    w->t = ctl_translator_new(&(struct ctl_translate_opts){0});
}

static void finish(struct world *w) {
    ctl_translator_free(w->t);
    ctl_store_free(w->store);
}

static void put(struct world *w, const char *ns, const char *name, json_t *from, json_t *to) {
    GW_JSON_AUTO o = json_pack("{s{ssss} s{soso}}", "metadata", "namespace", ns, "name", name,
                               "spec", "from", from, "to", to);
    CU_ASSERT_PTR_NOT_NULL_FATAL(o);
    ctl_store_put(w->store, &ctl_res_reference_grant, o, 0, GW_STR("a"), GW_STR(""));
    tr_grant_index(
        w->t, ctl_store_get(w->store, &ctl_res_reference_grant, gw_str_of(ns), gw_str_of(name)),
        gw_str_of(ns), gw_str_of(name));
}

static void drop(struct world *w, const char *ns, const char *name) {
    tr_grant_index(w->t, NULL, gw_str_of(ns), gw_str_of(name));
}

static json_t *from(const char *kind, const char *ns) {
    return json_pack("{ssssss}", "group", TR_GROUP, "kind", kind, "namespace", ns);
}

static json_t *to(const char *kind, const char *name) {
    return json_pack("{ssssss*}", "group", "", "kind", kind, "name", name);
}

static bool lets(const struct world *w, const char *from_kind, const char *from_ns,
                 const char *to_kind, const char *to_ns, const char *to_name) {
    return tr_is_granted(w->t, gw_str_of(from_kind), gw_str_of(from_ns), GW_STR(""),
                         gw_str_of(to_kind), gw_str_of(to_ns), gw_str_of(to_name));
}

static void a_grant_lets_what_it_says(void) {
    struct world w;
    begin(&w);
    put(&w, "b", "one", json_pack("[oo]", from("HTTPRoute", "a"), from("Gateway", "c")),
        json_pack("[oo]", to("Service", "s"), to("Secret", NULL)));
    CU_ASSERT_TRUE(lets(&w, "HTTPRoute", "a", "Service", "b", "s"));
    CU_ASSERT_TRUE(lets(&w, "HTTPRoute", "a", "Secret", "b", "any"));
    CU_ASSERT_TRUE(lets(&w, "Gateway", "c", "Service", "b", "s"));
    CU_ASSERT_FALSE(lets(&w, "HTTPRoute", "a", "Service", "b", "other"));
    CU_ASSERT_FALSE(lets(&w, "HTTPRoute", "c", "Service", "b", "s"));
    CU_ASSERT_FALSE(lets(&w, "Gateway", "a", "Service", "b", "s"));
    CU_ASSERT_FALSE(lets(&w, "HTTPRoute", "a", "Service", "a", "s"));
    // "from" of one and "to" of another are no grant together.
    put(&w, "b", "two", json_pack("[o]", from("HTTPRoute", "d")),
        json_pack("[o]", to("Service", "x")));
    CU_ASSERT_FALSE(lets(&w, "HTTPRoute", "d", "Service", "b", "s"));
    CU_ASSERT_FALSE(lets(&w, "HTTPRoute", "d", "Secret", "b", "any"));
    CU_ASSERT_FALSE(lets(&w, "HTTPRoute", "a", "Service", "b", "x"));
    CU_ASSERT_TRUE(lets(&w, "HTTPRoute", "d", "Service", "b", "x"));
    finish(&w);
}

static void a_change_takes_away_what_was(void) {
    struct world w;
    begin(&w);
    for (int i = 0; i < 3; i++) {
        put(&w, "b", "one", json_pack("[o]", from("HTTPRoute", "a")),
            json_pack("[oo]", to("Service", NULL), to("Service", NULL)));
        CU_ASSERT_TRUE(lets(&w, "HTTPRoute", "a", "Service", "b", "s"));
        put(&w, "b", "one", json_pack("[o]", from("HTTPRoute", "c")),
            json_pack("[o]", to("Service", "s")));
        CU_ASSERT_FALSE(lets(&w, "HTTPRoute", "a", "Service", "b", "s"));
        CU_ASSERT_TRUE(lets(&w, "HTTPRoute", "c", "Service", "b", "s"));
        CU_ASSERT_FALSE(lets(&w, "HTTPRoute", "c", "Service", "b", "t"));
        drop(&w, "b", "one");
        CU_ASSERT_FALSE(lets(&w, "HTTPRoute", "c", "Service", "b", "s"));
        CU_ASSERT_EQUAL(w.t->grants_from.len + w.t->grants_to.len + w.t->grants.len, 0);
    }
    finish(&w);
}

#define MANY 2000
#define MANY_MS_MAX 2000 // takes a hundredth; looking at each grant for each question took minutes

static void many_grants_of_a_namespace_make_nobody_wait(void) {
    struct world w;
    begin(&w);
    for (int i = 0; i < MANY; i++) {
        char name[32];
        json_t *froms = json_array(), *tos = json_array();
        for (int k = 0; k < 16; k++) {
            snprintf(name, sizeof(name), "n%d", k);
            json_array_append_new(froms, from("HTTPRoute", k == 15 ? "a" : name));
            snprintf(name, sizeof(name), "s%d-%d", i, k);
            json_array_append_new(tos, to("Service", name));
        }
        snprintf(name, sizeof(name), "g%d", i);
        put(&w, "b", name, froms, tos);
    }
    int64_t began = gw_clock_us();
    for (int i = 0; i < 20 * MANY; i++) {
        char name[32];
        snprintf(name, sizeof(name), "%s%d-%d", i % 2 ? "s" : "x", i % MANY, i % 16);
        CU_ASSERT_EQUAL(lets(&w, "HTTPRoute", "a", "Service", "b", name), i % 2);
    }
    CU_ASSERT((gw_clock_us() - began) / 1000 < MANY_MS_MAX);
    finish(&w);
}

static CU_TestInfo tests[] = {
    {"a grant lets what it says", a_grant_lets_what_it_says},
    {"a change takes away what was", a_change_takes_away_what_was},
    {"many grants of a namespace make nobody wait", many_grants_of_a_namespace_make_nobody_wait},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_controller_translate_grant = {
    "controller_translate_grant", NULL, NULL, NULL, NULL, tests};
