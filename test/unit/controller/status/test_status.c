// SPDX-License-Identifier: Apache-2.0
// Statuses: shape by kind, words, what is written and what is left alone.
#include "controller/status/status.h"
#include "test/unit/controller/publish/plane.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>

#define T1 "2026-01-01T00:00:00Z"
#define T2 "2026-01-01T00:00:05Z"
#define T3 "2026-01-01T00:00:09Z"

// --- words -------------------------------------------------------------------------------------

static void words_of_programmed(void) {
    static const struct {
        const char *name;
        bool is_gateway, programmable;
        enum ctl_programmed state;
        const char *refusal;
        unsigned connected, acked;
        bool status;
        const char *reason, *message;
    } cases[] = {
        {"not programmable wins", true, false, CTL_PROGRAMMED_YES, NULL, 3, 3, false, "Invalid",
         "see the other conditions"},
        {"never, none there", true, true, CTL_PROGRAMMED_NONE, NULL, 0, 0, false, "Pending",
         "no data plane is connected"},
        {"route, none there", false, true, CTL_PROGRAMMED_NONE, NULL, 0, 0, false, "Pending",
         "no data plane is connected"},
        {"refused", false, true, CTL_PROGRAMMED_REFUSED, "port 80: in use", 1, 0, false, "Invalid",
         "refused by a data plane: port 80: in use"},
        {"some", true, true, CTL_PROGRAMMED_PENDING, NULL, 3, 1, false, "Pending",
         "1 of 3 data planes"},
        {"some, route", false, true, CTL_PROGRAMMED_PENDING, NULL, 3, 1, false, "Pending",
         "waiting for data planes"},
        {"all", true, true, CTL_PROGRAMMED_YES, NULL, 3, 3, true, "Programmed",
         "3 of 3 data planes"},
        {"all, route", false, true, CTL_PROGRAMMED_YES, NULL, 3, 3, true, "Programmed",
         "acknowledged"},
        {"all, and they left", true, true, CTL_PROGRAMMED_YES, NULL, 0, 0, false, "Pending",
         "no data plane is connected"},
        {"all of a route, and they left", false, true, CTL_PROGRAMMED_YES, NULL, 0, 0, true,
         "Programmed", "acknowledged"},
        {"others are there", false, true, CTL_PROGRAMMED_NONE, NULL, 2, 0, false, "Pending",
         "no data plane that serves it"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct ctl_programmed_words w = {0};
        ctl_status_programmed_words(cases[i].is_gateway, cases[i].programmable, cases[i].state,
                                    cases[i].refusal, cases[i].connected, cases[i].acked, &w);
        bool fine = w.status == cases[i].status && strcmp(w.reason, cases[i].reason) == 0 &&
                    strstr(w.message, cases[i].message);
        if (!fine)
            fprintf(stderr, "%s: %d %s '%s'\n", cases[i].name, w.status, w.reason, w.message);
        CU_ASSERT(fine);
    }
}

// A route's words never count: a pod that comes or goes must not rewrite a thousand of them.
static void words_of_a_route_do_not_count(void) {
    for (int state = CTL_PROGRAMMED_PENDING; state <= CTL_PROGRAMMED_REFUSED; state++) {
        struct ctl_programmed_words a = {0}, b = {0};
        ctl_status_programmed_words(false, true, (enum ctl_programmed)state, "x", 1, 0, &a);
        ctl_status_programmed_words(false, true, (enum ctl_programmed)state, "x", 7, 5, &b);
        CU_ASSERT_STRING_EQUAL(a.message, b.message);
    }
}

// --- reports -----------------------------------------------------------------------------------

struct scene {
    struct stage stage;
    struct ctl_status *status;
};

static void scene_init(struct scene *c) {
    stage_init(&c->stage);
    c->status = ctl_status_new(&(struct ctl_status_opts){.publish = c->stage.publish});
}

static void scene_fini(struct scene *c) {
    ctl_status_free(c->status);
    stage_fini(&c->stage);
}

// One report of one part with the condition Accepted; resource NULL: Programmed is not asked for.
static void put(struct scene *c, const struct ctl_res_kind *kind, const char *name,
                int64_t generation, json_t *parent, bool accepted, const char *resource) {
    struct ctl_translate_result r = {.reports = gw_alloc(sizeof(*r.reports)), .reports_n = 1};
    struct ctl_status_part *p = gw_alloc(sizeof(*p));
    *r.reports = (struct ctl_status_report){.kind = kind,
                                            .ns = gw_strdup(kind->namespaced ? "a" : ""),
                                            .name = gw_strdup(name),
                                            .generation = generation,
                                            .parts = p,
                                            .parts_n = 1};
    p->parent = parent;
    p->conditions[0] = (struct ctl_condition){
        "Accepted", accepted, accepted ? "Accepted" : "NoMatchingParent", gw_strdup("text")};
    p->conditions_n = 1;
    if (resource) {
        p->wants_programmed = p->programmable = true;
        p->resources = gw_alloc(sizeof(char *));
        p->resources[0] = gw_strdup(resource);
        p->resources_n = 1;
    }
    ctl_status_put(c->status, &r);
    CU_ASSERT_EQUAL(r.reports_n, 0);
    ctl_translate_result_fini(&r);
}

static void put_gone(struct scene *c, const struct ctl_res_kind *kind, const char *name) {
    struct ctl_translate_result r = {.reports = gw_alloc(sizeof(*r.reports)), .reports_n = 1};
    *r.reports =
        (struct ctl_status_report){.kind = kind, .ns = gw_strdup("a"), .name = gw_strdup(name)};
    ctl_status_put(c->status, &r);
    ctl_translate_result_fini(&r);
}

static const json_t *get(const struct scene *c, const struct ctl_res_kind *kind, const char *name) {
    return ctl_status_get(c->status, kind, kind->namespaced ? GW_STR("a") : GW_STR(""),
                          gw_str_of(name));
}

static const json_t *condition(const json_t *conditions, const char *type) {
    for (size_t i = 0; i < json_array_size(conditions); i++)
        if (gw_str_eq(gw_json_str(json_array_get(conditions, i), "type"), gw_str_of(type)))
            return json_array_get(conditions, i);
    return NULL;
}

static const json_t *route_conditions(const struct scene *c, const char *name) {
    const json_t *parents = gw_json_get(get(c, &ctl_res_http_route, name), "parents");
    return gw_json_get(json_array_get(parents, 0), "conditions");
}

static bool is(const json_t *c, const char *member, const char *want) {
    return gw_str_eq(gw_json_str(c, member), gw_str_of(want));
}

static json_t *parent(void) {
    return json_pack("{ss}", "name", "edge");
}

// --- shapes ------------------------------------------------------------------------------------

static void shapes(void) {
    struct scene c;
    scene_init(&c);
    put(&c, &ctl_res_gateway_class, "tandem", 1, NULL, true, NULL);
    put(&c, &ctl_res_http_route, "web", 7, parent(), true, NULL);
    put(&c, &ctl_res_llm_backend, "m", 1, parent(), true, NULL);
    CU_ASSERT_PTR_NULL(get(&c, &ctl_res_http_route, "web"));
    CU_ASSERT_EQUAL(ctl_status_refresh(c.status, T1), 3);
    const json_t *class = get(&c, &ctl_res_gateway_class, "tandem");
    CU_ASSERT_EQUAL(json_array_size(gw_json_get(class, "conditions")), 1);
    const json_t *route = get(&c, &ctl_res_http_route, "web");
    const json_t *entry = json_array_get(gw_json_get(route, "parents"), 0);
    CU_ASSERT(is(entry, "controllerName", CTL_CONTROLLER_NAME));
    CU_ASSERT(is(gw_json_get(entry, "parentRef"), "name", "edge"));
    const json_t *accepted = condition(gw_json_get(entry, "conditions"), "Accepted");
    CU_ASSERT_PTR_NOT_NULL_FATAL(accepted);
    CU_ASSERT(is(accepted, "status", "True") && is(accepted, "reason", "Accepted"));
    CU_ASSERT(is(accepted, "message", "text") && is(accepted, "lastTransitionTime", T1));
    CU_ASSERT_EQUAL(gw_json_int(accepted, "observedGeneration", 0), 7);
    const json_t *llm = get(&c, &ctl_res_llm_backend, "m");
    const json_t *ancestor = json_array_get(gw_json_get(llm, "ancestors"), 0);
    CU_ASSERT(is(gw_json_get(ancestor, "ancestorRef"), "name", "edge"));
    CU_ASSERT(is(ancestor, "controllerName", CTL_CONTROLLER_NAME));
    scene_fini(&c);
}

static void shape_of_a_gateway(void) {
    struct scene c;
    scene_init(&c);
    struct ctl_translate_result r = {.reports = gw_alloc(sizeof(*r.reports)), .reports_n = 1};
    struct ctl_status_part *p = gw_alloc(2 * sizeof(*p));
    *r.reports = (struct ctl_status_report){.kind = &ctl_res_gateway,
                                            .ns = gw_strdup("a"),
                                            .name = gw_strdup("edge"),
                                            .generation = 1,
                                            .parts = p,
                                            .parts_n = 2};
    p[0].conditions[p[0].conditions_n++] =
        (struct ctl_condition){"Accepted", true, "Accepted", gw_strdup("")};
    p[0].wants_programmed = true; // nothing of it can be served
    p[1].listener = gw_strdup("http");
    p[1].attached_routes = 4;
    p[1].supported_kinds = json_pack("[{ss}]", "kind", "HTTPRoute");
    p[1].conditions[p[1].conditions_n++] =
        (struct ctl_condition){"Conflicted", false, "NoConflicts", gw_strdup("")};
    ctl_status_put(c.status, &r);
    ctl_status_refresh(c.status, T1);
    const json_t *status = get(&c, &ctl_res_gateway, "edge");
    const json_t *programmed = condition(gw_json_get(status, "conditions"), "Programmed");
    CU_ASSERT(is(programmed, "status", "False") && is(programmed, "reason", "Invalid"));
    const json_t *listeners = gw_json_get(status, "listeners");
    CU_ASSERT_EQUAL_FATAL(json_array_size(listeners), 1);
    const json_t *l = json_array_get(listeners, 0);
    CU_ASSERT(is(l, "name", "http"));
    CU_ASSERT_EQUAL(gw_json_int(l, "attachedRoutes", 0), 4);
    CU_ASSERT_EQUAL(json_array_size(gw_json_get(l, "supportedKinds")), 1);
    CU_ASSERT_PTR_NOT_NULL(condition(gw_json_get(l, "conditions"), "Conflicted"));
    scene_fini(&c);
}

// --- writing -----------------------------------------------------------------------------------

static void equal_status_is_not_written(void) {
    struct scene c;
    scene_init(&c);
    put(&c, &ctl_res_http_route, "web", 1, parent(), true, NULL);
    CU_ASSERT_EQUAL(ctl_status_refresh(c.status, T1), 1);
    CU_ASSERT_EQUAL(ctl_status_refresh(c.status, T2), 0);
    put(&c, &ctl_res_http_route, "web", 1, parent(), true, NULL);
    CU_ASSERT_EQUAL(ctl_status_refresh(c.status, T2), 0);
    scene_fini(&c);
}

static void transition_time_moves_with_status_alone(void) {
    struct scene c;
    scene_init(&c);
    put(&c, &ctl_res_http_route, "web", 1, parent(), true, NULL);
    ctl_status_refresh(c.status, T1);
    put(&c, &ctl_res_http_route, "web", 2, parent(), true, NULL);
    CU_ASSERT_EQUAL(ctl_status_refresh(c.status, T2), 1); // another generation
    const json_t *a = condition(route_conditions(&c, "web"), "Accepted");
    CU_ASSERT(is(a, "lastTransitionTime", T1));
    CU_ASSERT_EQUAL(gw_json_int(a, "observedGeneration", 0), 2);
    put(&c, &ctl_res_http_route, "web", 2, parent(), false, NULL);
    ctl_status_refresh(c.status, T3);
    a = condition(route_conditions(&c, "web"), "Accepted");
    CU_ASSERT(is(a, "lastTransitionTime", T3) && is(a, "reason", "NoMatchingParent"));
    scene_fini(&c);
}

static void a_report_without_parts_ends_the_status(void) {
    struct scene c;
    scene_init(&c);
    put(&c, &ctl_res_http_route, "web", 1, parent(), true, NULL);
    ctl_status_refresh(c.status, T1);
    put_gone(&c, &ctl_res_http_route, "web");
    put_gone(&c, &ctl_res_http_route, "never-there");
    CU_ASSERT_PTR_NULL(get(&c, &ctl_res_http_route, "web"));
    CU_ASSERT_EQUAL(ctl_status_refresh(c.status, T2), 0);
    scene_fini(&c);
}

static void a_text_cut_within_a_character_is_kept(void) {
    struct scene c;
    struct plane p = {0};
    char reason[500];
    scene_init(&c);
    memset(reason, 'x', sizeof(reason));
    reason[sizeof(reason) - 1] = 0;
    memcpy(reason + 399, "\xc3\xa4", 2); // the words cut after 400 bytes
    stage_put(&c.stage, "x", "1");
    put(&c, &ctl_res_http_route, "web", 1, parent(), true, "secret/a/b/x");
    plane_start(&p, &c.stage, NULL);
    CU_ASSERT_FATAL(stage_wait(&c.stage, &p.completes, 1));
    plane_nack(&p, "secret/a/b/x", reason);
    stage_turn(&c.stage, 30);
    ctl_status_refresh(c.status, T1);
    CU_ASSERT(is(condition(route_conditions(&c, "web"), "Programmed"), "status", "False"));
    plane_stop(&p);
    scene_fini(&c);
}

// --- acknowledgements --------------------------------------------------------------------------

// reload-05: acknowledgements move Programmed alone, and a refusal that of its cause alone.
static void reload_05(void) {
    struct scene c;
    struct plane p = {0};
    scene_init(&c);
    stage_put(&c.stage, "good", "1");
    stage_put(&c.stage, "bad", "1");
    put(&c, &ctl_res_http_route, "good", 1, parent(), true, "secret/a/b/good");
    put(&c, &ctl_res_http_route, "bad", 1, parent(), true, "secret/a/b/bad");
    ctl_status_refresh(c.status, T1);
    CU_ASSERT(is(condition(route_conditions(&c, "good"), "Accepted"), "status", "True"));
    CU_ASSERT(is(condition(route_conditions(&c, "good"), "Programmed"), "reason", "Pending"));
    plane_start(&p, &c.stage, NULL);
    CU_ASSERT_FATAL(stage_wait(&c.stage, &p.completes, 1));
    plane_nack(&p, "secret/a/b/bad", "beyond the limit");
    stage_turn(&c.stage, 30);
    CU_ASSERT_EQUAL(ctl_status_refresh(c.status, T2), 2);
    const json_t *good = route_conditions(&c, "good"), *bad = route_conditions(&c, "bad");
    CU_ASSERT(is(condition(good, "Programmed"), "status", "True"));
    CU_ASSERT(is(condition(bad, "Programmed"), "status", "False"));
    struct gw_str said = gw_json_str(condition(bad, "Programmed"), "message");
    CU_ASSERT(said.len && strstr(said.ptr, "beyond the limit"));
    CU_ASSERT(is(condition(good, "Accepted"), "lastTransitionTime", T1));
    CU_ASSERT(is(condition(bad, "Accepted"), "status", "True"));
    // It leaves: nothing of the good route changes.
    plane_stop(&p);
    ctl_status_refresh(c.status, T3);
    CU_ASSERT(is(condition(route_conditions(&c, "good"), "Programmed"), "status", "True"));
    CU_ASSERT(is(condition(route_conditions(&c, "good"), "Programmed"), "lastTransitionTime", T2));
    scene_fini(&c);
}

static void only_the_gateway_counts(void) {
    struct scene c;
    struct plane p[2] = {{.address = "10.0.0.1"}, {.address = "gw.example.com"}};
    scene_init(&c);
    stage_put(&c.stage, "x", "1");
    put(&c, &ctl_res_gateway, "edge", 1, NULL, true, "secret/a/b/x");
    put(&c, &ctl_res_http_route, "web", 1, parent(), true, "secret/a/b/x");
    for (int i = 0; i < 2; i++) {
        plane_start(&p[i], &c.stage, NULL);
        CU_ASSERT_FATAL(stage_wait(&c.stage, &p[i].completes, 1));
        plane_ack(&p[i]);
        stage_turn(&c.stage, 30);
        CU_ASSERT_EQUAL(ctl_status_refresh(c.status, T1), i == 0 ? 2 : 1);
    }
    const json_t *gateway = get(&c, &ctl_res_gateway, "edge");
    CU_ASSERT(is(condition(gw_json_get(gateway, "conditions"), "Programmed"), "message",
                 "2 of 2 data planes"));
    CU_ASSERT_EQUAL(json_array_size(gw_json_get(gateway, "addresses")), 2);
    plane_stop(&p[1]);
    CU_ASSERT_EQUAL(ctl_status_refresh(c.status, T2), 1);
    gateway = get(&c, &ctl_res_gateway, "edge");
    CU_ASSERT(is(condition(gw_json_get(gateway, "conditions"), "Programmed"), "message",
                 "1 of 1 data planes"));
    plane_stop(&p[0]);
    scene_fini(&c);
}

// --- refused by a table, and by data planes -----------------------------------------------------

static json_t *json(const char *text) {
    char copy[1024];
    snprintf(copy, sizeof(copy), "%s", text);
    for (char *c = copy; *c; c++)
        if (*c == '\'') *c = '"';
    return json_loads(copy, 0, NULL);
}

static void refuse(struct scene *c, const struct ctl_res_kind *kind, const char *name,
                   const json_t *object, const char *reason) {
    const struct ctl_status_refused r = {.kind = kind,
                                         .ns = kind->namespaced ? GW_STR("a") : GW_STR(""),
                                         .name = gw_str_of(name),
                                         .generation = 4,
                                         .object = object,
                                         .reason = reason};
    ctl_status_refuse(c->status, &r, reason ? 1 : 0);
    ctl_status_refresh(c->status, T2);
}

static void a_refused_route_says_so_to_our_parents_alone(void) {
    struct scene c;
    scene_init(&c);
    GW_JSON_AUTO route = json("{'spec': {'parentRefs': [{'name': 'edge'}, {'name': 'other'}, 1, "
                              "{'name': 'edge', 'kind': 'Service', 'group': ''}]}}");
    refuse(&c, &ctl_res_http_route, "web", route, "spec.x: is not built");
    CU_ASSERT_PTR_NULL(get(&c, &ctl_res_http_route, "web")); // no Gateway of ours yet
    put(&c, &ctl_res_gateway, "edge", 1, NULL, true, NULL);
    ctl_status_refresh(c.status, T2);
    const json_t *list = gw_json_get(get(&c, &ctl_res_http_route, "web"), "parents");
    CU_ASSERT_EQUAL_FATAL(json_array_size(list), 1);
    const json_t *a = condition(route_conditions(&c, "web"), "Accepted");
    CU_ASSERT(is(a, "status", "False") && is(a, "reason", "UnsupportedValue"));
    CU_ASSERT(is(a, "message", "spec.x: is not built"));
    CU_ASSERT_EQUAL(gw_json_int(a, "observedGeneration", 0), 4);
    // Repaired: its report counts again.
    put(&c, &ctl_res_http_route, "web", 5, parent(), true, NULL);
    refuse(&c, &ctl_res_http_route, "web", NULL, NULL);
    a = condition(route_conditions(&c, "web"), "Accepted");
    CU_ASSERT(is(a, "status", "True"));
    CU_ASSERT_EQUAL(gw_json_int(a, "observedGeneration", 0), 5);
    // Refused again and deleted: nothing stays.
    refuse(&c, &ctl_res_http_route, "web", route, "spec.y: is not built");
    put_gone(&c, &ctl_res_http_route, "web");
    CU_ASSERT_PTR_NOT_NULL(get(&c, &ctl_res_http_route, "web"));
    refuse(&c, &ctl_res_http_route, "web", NULL, NULL);
    CU_ASSERT_PTR_NULL(get(&c, &ctl_res_http_route, "web"));
    scene_fini(&c);
}

static void a_refused_gateway_has_its_listeners(void) {
    struct scene c;
    scene_init(&c);
    GW_JSON_AUTO gateway = json("{'spec': {'gatewayClassName': 'tandem', 'listeners': [{'name': "
                                "'a'}, {}, {'name': 'b'}]}}");
    refuse(&c, &ctl_res_gateway, "edge", gateway, "spec.x: is not built");
    CU_ASSERT_PTR_NULL(get(&c, &ctl_res_gateway, "edge")); // of no class of ours
    put(&c, &ctl_res_gateway_class, "tandem", 1, NULL, true, NULL);
    ctl_status_refresh(c.status, T2);
    const json_t *status = get(&c, &ctl_res_gateway, "edge");
    const json_t *a = condition(gw_json_get(status, "conditions"), "Accepted");
    CU_ASSERT(is(a, "status", "False") && is(a, "reason", "Invalid"));
    CU_ASSERT(is(condition(gw_json_get(status, "conditions"), "Programmed"), "status", "False"));
    CU_ASSERT_EQUAL(json_array_size(gw_json_get(status, "listeners")), 2);
    scene_fini(&c);
}

// One route under two listeners, which data planes refuse one after the other.
static void a_route_is_programmed_where_one_of_its_listeners_is(void) {
    struct scene c;
    struct plane p = {0};
    scene_init(&c);
    for (const char *const *n = (const char *const[]){"rule", "one", "two", NULL}; *n; n++)
        stage_put(&c.stage, *n, "1");
    struct ctl_translate_result r = {.reports = gw_alloc(sizeof(*r.reports)), .reports_n = 1};
    struct ctl_status_part *part = gw_alloc(sizeof(*part));
    *r.reports = (struct ctl_status_report){.kind = &ctl_res_http_route,
                                            .ns = gw_strdup("a"),
                                            .name = gw_strdup("web"),
                                            .generation = 1,
                                            .parts = part,
                                            .parts_n = 1};
    part->parent = parent();
    part->wants_programmed = part->programmable = true;
    part->resources = gw_alloc(sizeof(char *));
    part->resources[part->resources_n++] = gw_strdup("secret/a/b/rule");
    part->carriers = gw_alloc(2 * sizeof(char *));
    part->carriers[part->carriers_n++] = gw_strdup("secret/a/b/one");
    part->carriers[part->carriers_n++] = gw_strdup("secret/a/b/two");
    ctl_status_put(c.status, &r);
    plane_start(&p, &c.stage, NULL);
    CU_ASSERT_FATAL(stage_wait(&c.stage, &p.completes, 1));
    plane_nack(&p, "secret/a/b/one", "in use");
    stage_turn(&c.stage, 30);
    ctl_status_refresh(c.status, T1);
    const json_t *a = condition(route_conditions(&c, "web"), "Programmed");
    CU_ASSERT(is(a, "status", "True"));
    plane_say(&p, gw_ir_nack(p.version, json("[{'resource': 'secret/a/b/one', 'reason': 'in use'}, "
                                             "{'resource': 'secret/a/b/two', 'reason': 'too'}]")));
    stage_turn(&c.stage, 30);
    ctl_status_refresh(c.status, T2);
    a = condition(route_conditions(&c, "web"), "Programmed");
    CU_ASSERT(is(a, "status", "False") && is(a, "reason", "Invalid"));
    CU_ASSERT(is(a, "message", "refused by a data plane: in use"));
    plane_stop(&p);
    scene_fini(&c);
}

// --- what is looked at -------------------------------------------------------------------------

#define WALK_N 6
#define WALK_STEPS 150

// A route that speaks of its own resource, and of the next as its listener.
static void put_walker(struct ctl_status *s, unsigned i, int64_t generation) {
    char text[64];
    struct ctl_translate_result r = {.reports = gw_alloc(sizeof(*r.reports)), .reports_n = 1};
    struct ctl_status_part *part = gw_alloc(sizeof(*part));
    snprintf(text, sizeof(text), "r%u", i);
    *r.reports = (struct ctl_status_report){.kind = &ctl_res_http_route,
                                            .ns = gw_strdup("a"),
                                            .name = gw_strdup(text),
                                            .generation = generation,
                                            .parts = part,
                                            .parts_n = 1};
    part->parent = parent();
    part->wants_programmed = part->programmable = true;
    part->resources = gw_alloc(sizeof(char *));
    snprintf(text, sizeof(text), "secret/a/b/%u", i);
    part->resources[part->resources_n++] = gw_strdup(text);
    part->carriers = gw_alloc(sizeof(char *));
    snprintf(text, sizeof(text), "secret/a/b/%u", (i + 1) % WALK_N);
    part->carriers[part->carriers_n++] = gw_strdup(text);
    ctl_status_put(s, &r);
}

// What is looked at is what changed alone; a second book that looks at everything says the same.
static void same_as_looking_at_all(const struct scene *c, const int64_t *generations, int step) {
    struct ctl_status *all = ctl_status_new(&(struct ctl_status_opts){.publish = c->stage.publish});
    for (unsigned i = 0; i < WALK_N; i++)
        put_walker(all, i, generations[i]);
    ctl_status_refresh(all, T1);
    for (unsigned i = 0; i < WALK_N; i++) {
        char name[8];
        snprintf(name, sizeof(name), "r%u", i);
        const json_t *want = ctl_status_get(all, &ctl_res_http_route, GW_STR("a"), gw_str_of(name));
        bool same = json_equal(get(c, &ctl_res_http_route, name), want);
        if (!same) fprintf(stderr, "step %d: %s\n", step, name);
        CU_ASSERT(same);
    }
    ctl_status_free(all);
}

static void a_random_walk_misses_nothing(void) {
    struct scene c;
    struct plane p = {0};
    int64_t generations[WALK_N] = {0};
    unsigned random = 12345;
    scene_init(&c);
    for (unsigned i = 0; i < WALK_N; i++)
        put_walker(c.status, i, 0);
    for (int step = 0; step < WALK_STEPS; step++) {
        random = random * 1103515245 + 12345;
        unsigned what = (random >> 16) % 8, i = (random >> 20) % WALK_N;
        char name[32], full[32], value[16];
        snprintf(name, sizeof(name), "%u", i);
        snprintf(full, sizeof(full), "secret/a/b/%u", i);
        snprintf(value, sizeof(value), "v%d", step);
        if (what == 0) put_walker(c.status, i, ++generations[i]);
        if (what == 1 || what == 2) stage_put(&c.stage, name, value);
        if (what == 3) stage_put(&c.stage, name, NULL);
        if (what == 4 && p.client) plane_nack(&p, full, value);
        if ((what == 5 || what == 6) && p.client) plane_ack(&p);
        if (what == 7 && p.client) {
            plane_stop(&p);
            p = (struct plane){0};
        } else if (what == 7) {
            plane_start(&p, &c.stage, NULL);
            CU_ASSERT_FATAL(stage_wait(&c.stage, &p.completes, 1));
        }
        stage_turn(&c.stage, 4);
        ctl_status_refresh(c.status, T1);
        same_as_looking_at_all(&c, generations, step);
    }
    if (p.client) plane_stop(&p);
    scene_fini(&c);
}

static CU_TestInfo tests[] = {
    {"words of Programmed", words_of_programmed},
    {"words of a route do not count", words_of_a_route_do_not_count},
    {"shapes", shapes},
    {"shape of a Gateway", shape_of_a_gateway},
    {"an equal status is not written", equal_status_is_not_written},
    {"transition time moves with status alone", transition_time_moves_with_status_alone},
    {"a report without parts ends the status", a_report_without_parts_ends_the_status},
    {"a text cut within a character is kept", a_text_cut_within_a_character_is_kept},
    {"reload-05", reload_05},
    {"only the Gateway counts", only_the_gateway_counts},
    {"a refused route", a_refused_route_says_so_to_our_parents_alone},
    {"a refused Gateway", a_refused_gateway_has_its_listeners},
    {"a random walk misses nothing", a_random_walk_misses_nothing},
    {"one listener is enough", a_route_is_programmed_where_one_of_its_listeners_is},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_controller_status_status = {
    "controller_status_status", NULL, NULL, NULL, NULL, tests};
