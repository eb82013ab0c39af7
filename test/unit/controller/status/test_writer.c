// SPDX-License-Identifier: Apache-2.0
// Writing of statuses: what is sent when, and what follows from each answer.
#include "controller/status/merge.h"
#include "controller/status/throttle.h"
#include "controller/status/writer.h"
#include "shared/log.h"
#include "test/unit/controller/kube/answers.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <unistd.h>

#define OURS "'controllerName': 'kgateway.dev/tandem', 'parentRef': {'name': 'edge'}"
#define KIND &ctl_res_http_route
#define NS GW_STR("a")
#define NAME GW_STR("web")

struct site {
    struct gw_loop *loop;
    struct answers_api api;
    struct answers_seen seen;
    struct ctl_events *events;
    struct ctl_status_writer *w;
};

static void init(struct site *s) {
    gw_log_init(STDERR_FILENO, GW_LOG_ERROR + 1);
    *s = (struct site){.loop = gw_loop_new(NULL), .seen = {.is_there = true, .version = "10"}};
    s->events = ctl_events_new(&(struct ctl_events_opts){
        .loop = s->loop, .api = answers_api(&s->api), .seen = answers_seen, .seen_arg = &s->seen});
    s->w = ctl_status_writer_new(&(struct ctl_status_writer_opts){.loop = s->loop,
                                                                  .api = answers_api(&s->api),
                                                                  .seen = answers_seen,
                                                                  .seen_arg = &s->seen,
                                                                  .events = s->events});
    ctl_events_start(s->events);
    ctl_status_writer_start(s->w);
}

static void fini(struct site *s) {
    ctl_status_writer_free(s->w);
    ctl_events_free(s->events);
    answers_fini(&s->api);
    gw_loop_free(s->loop);
    json_decref(s->seen.status);
}

static void pass(struct site *s, int ms) {
    int64_t end_us = gw_clock_us() + ms * 1000;
    while (gw_clock_us() < end_us)
        gw_loop_turn(s->loop, 2);
}

static json_t *parents(const char *status, int generation) {
    return answers_json("{'parents': [{" OURS ", 'conditions': [{'type': 'Programmed', 'status': "
                        "'%s', 'reason': '%s', 'message': '', 'observedGeneration': %d}]}]}",
                        status, strcmp(status, "True") == 0 ? "Programmed" : "Pending", generation);
}

static void want(struct site *s, const char *status, int generation, bool is_pending) {
    GW_JSON_AUTO wanted = parents(status, generation);
    ctl_status_writer_want(s->w, KIND, NS, NAME, wanted, is_pending);
}

// The object as the server has it after a PATCH.
static json_t *object(const struct answers_call *c, const char *version) {
    return json_pack("{s{ss}sO}", "metadata", "resourceVersion", version, "status",
                     gw_json_get(c->body, "status"));
}

static struct answers_call *patch(struct site *s) {
    return answers_next(&s->api, CTL_KUBE_PATCH,
                        "/apis/gateway.networking.k8s.io/v1/namespaces/a/httproutes/web/status");
}

static const char *version_of(const struct answers_call *c) {
    return json_string_value(gw_json_path(c->body, "metadata.resourceVersion"));
}

static void first_write_goes_at_once_and_equal_ones_never(void) {
    struct site s;
    init(&s);
    want(&s, "True", 1, false);
    struct answers_call *c = patch(&s);
    CU_ASSERT_STRING_EQUAL(version_of(c), "10");
    CU_ASSERT_EQUAL(answers_open(&s.api), 1);
    want(&s, "True", 1, false); // while it is under way
    answers_answer(c, 200, object(c, "11"));
    CU_ASSERT_EQUAL(answers_open(&s.api), 0);
    want(&s, "True", 1, false);
    // The watch brings our own write, late: the older form before it does not count.
    ctl_status_writer_look(s.w, KIND, NS, NAME);
    pass(&s, 20);
    CU_ASSERT_EQUAL(answers_open(&s.api), 0);
    fini(&s);
}

static void bursts_are_one_write_a_second(void) {
    struct site s;
    init(&s);
    want(&s, "True", 1, false);
    struct answers_call *c = patch(&s);
    answers_answer(c, 200, object(c, "11"));
    int64_t began_us = gw_clock_us();
    for (int i = 2; i <= 20; i++)
        want(&s, "True", i, false);
    pass(&s, CTL_STATUS_EVERY_MS / 2);
    CU_ASSERT_EQUAL(answers_open(&s.api), 0);
    while (answers_open(&s.api) == 0 && gw_clock_us() - began_us < 5000000)
        gw_loop_turn(s.loop, 5);
    CU_ASSERT(gw_clock_us() - began_us > (CTL_STATUS_EVERY_MS - 50) * 1000);
    c = patch(&s);
    CU_ASSERT_STRING_EQUAL(version_of(c), "11");
    const json_t *list = gw_json_path(c->body, "status.parents");
    const json_t *condition = json_array_get(gw_json_get(json_array_get(list, 0), "conditions"), 0);
    CU_ASSERT_EQUAL(gw_json_int(condition, "observedGeneration", 0), 20);
    answers_answer(c, 200, object(c, "12"));
    fini(&s);
}

static void acknowledgements_within_the_hold_are_in_the_first_write(void) {
    struct site s;
    init(&s);
    want(&s, "False", 1, true);
    pass(&s, 50);
    CU_ASSERT_EQUAL(answers_open(&s.api), 0);
    want(&s, "True", 1, false);
    struct answers_call *c = patch(&s);
    CU_ASSERT_EQUAL(s.api.n, 1);
    answers_answer(c, 200, object(c, "11"));
    fini(&s);
}

static void a_late_acknowledgement_does_not_hold_up_the_rest(void) {
    struct site s;
    init(&s);
    int64_t began_us = gw_clock_us();
    want(&s, "False", 1, true);
    while (answers_open(&s.api) == 0 && gw_clock_us() - began_us < 5000000)
        gw_loop_turn(s.loop, 5);
    CU_ASSERT(gw_clock_us() - began_us > (CTL_STATUS_HOLD_MS - 20) * 1000);
    struct answers_call *c = patch(&s);
    answers_answer(c, 200, object(c, "11"));
    fini(&s);
}

static void a_conflict_is_read_and_merged_again(void) {
    struct site s;
    init(&s);
    want(&s, "True", 1, false);
    answers_answer(patch(&s), 409, NULL);
    struct answers_call *c = answers_next(&s.api, CTL_KUBE_GET, "/httproutes/web");
    CU_ASSERT_PTR_NULL(strstr(c->path, "/status"));
    answers_answer(
        c, 200,
        answers_json("{'metadata': {'resourceVersion': '15'}, 'status': {'parents': "
                     "[{'controllerName': 'example.com/x', 'parentRef': {'name': 'o'}}]}}"));
    for (int i = 0; i < 200 && answers_open(&s.api) == 0; i++)
        gw_loop_turn(s.loop, 5);
    c = patch(&s);
    CU_ASSERT_STRING_EQUAL(version_of(c), "15");
    const json_t *list = gw_json_path(c->body, "status.parents");
    CU_ASSERT_EQUAL(json_array_size(list), 2);
    CU_ASSERT(
        gw_str_eq(gw_json_str(json_array_get(list, 0), "controllerName"), GW_STR("example.com/x")));
    answers_answer(c, 200, object(c, "16"));
    fini(&s);
}

static void a_deleted_object_is_left_alone(void) {
    struct site s;
    init(&s);
    want(&s, "True", 1, false);
    s.seen.is_there = false;
    answers_answer(patch(&s), 404, NULL);
    pass(&s, 30);
    CU_ASSERT_EQUAL(answers_open(&s.api), 0);
    // It comes again under the same name, and nothing else is to be said of it.
    s.seen.is_there = true;
    snprintf(s.seen.version, sizeof(s.seen.version), "40");
    ctl_status_writer_look(s.w, KIND, NS, NAME);
    struct answers_call *c = patch(&s);
    CU_ASSERT_STRING_EQUAL(version_of(c), "40");
    s.seen.is_there = false;
    ctl_status_writer_clear(s.w, KIND, NS, NAME);
    answers_answer(c, 404, NULL);
    CU_ASSERT_EQUAL(answers_open(&s.api), 0);
    fini(&s);
}

static void failures_are_tried_again_slower_and_slower(void) {
    static const int statuses[] = {500, 429, 403, 0};
    for (size_t i = 0; i < GW_ARRAY_LEN(statuses); i++) {
        struct site s;
        init(&s);
        want(&s, "True", 1, false);
        answers_answer(patch(&s), statuses[i], NULL);
        CU_ASSERT_EQUAL(answers_open(&s.api), 0); // not at once
        for (int k = 0; k < 200 && answers_open(&s.api) == 0; k++)
            gw_loop_turn(s.loop, 5);
        struct answers_call *c = patch(&s);
        answers_answer(c, 200, object(c, "11"));
        fini(&s);
    }
}

static void what_the_server_does_not_take_or_keep_is_not_repeated(void) {
    for (int kept = 0; kept <= 1; kept++) {
        struct site s;
        init(&s);
        want(&s, "True", 1, false);
        struct answers_call *c = patch(&s);
        if (kept)
            answers_answer(c, 422, NULL);
        else
            answers_answer(c, 200, answers_json("{'metadata': {'resourceVersion': '11'}}"));
        pass(&s, CTL_STATUS_EVERY_MS + 100);
        CU_ASSERT_EQUAL(answers_open(&s.api), 0);
        want(&s, "True", 2, false);
        c = patch(&s);
        answers_answer(c, 200, object(c, "12"));
        fini(&s);
    }
}

static void writes_at_once_are_bounded(void) {
    struct site s;
    char name[16];
    init(&s);
    GW_JSON_AUTO wanted = parents("True", 1);
    for (int i = 0; i < 3 * CTL_STATUS_WRITES_MAX; i++) {
        snprintf(name, sizeof(name), "web%d", i);
        ctl_status_writer_want(s.w, KIND, NS, gw_str_of(name), wanted, false);
    }
    CU_ASSERT_EQUAL(answers_open(&s.api), CTL_STATUS_WRITES_MAX);
    for (int i = 0; i < 3 * CTL_STATUS_WRITES_MAX; i++) {
        struct answers_call *c = answers_next(&s.api, CTL_KUBE_PATCH, "/status");
        CU_ASSERT(answers_open(&s.api) <= CTL_STATUS_WRITES_MAX);
        answers_answer(c, 200, object(c, "11"));
    }
    CU_ASSERT_EQUAL(answers_open(&s.api), 0);
    fini(&s);
}

static void what_only_misses_data_planes_is_taken_back_slowly(void) {
    struct site s;
    init(&s);
    want(&s, "True", 1, false);
    struct answers_call *c = patch(&s);
    answers_answer(c, 200, object(c, "11"));
    want(&s, "False", 1, false);
    pass(&s, CTL_STATUS_EVERY_MS + 300);
    CU_ASSERT_EQUAL(answers_open(&s.api), 0);
    want(&s, "True", 1, false);
    CU_ASSERT_EQUAL(answers_open(&s.api), 0);
    fini(&s);
}

static void entries_that_nobody_wants_are_taken_away(void) {
    struct site s;
    init(&s);
    s.seen.status = answers_json("{'parents': [{" OURS "}, {'controllerName': 'x'}]}");
    ctl_status_writer_look(s.w, KIND, NS, NAME); // of an earlier life
    struct answers_call *c = patch(&s);
    GW_JSON_AUTO rest = answers_json("{'parents': [{'controllerName': 'x'}]}");
    CU_ASSERT(json_equal(gw_json_get(c->body, "status"), rest));
    answers_answer(c, 200, object(c, "11"));
    // The same object, seen by the source now.
    json_decref(s.seen.status);
    s.seen.status = json_deep_copy(rest);
    snprintf(s.seen.version, sizeof(s.seen.version), "11");
    ctl_status_writer_look(s.w, KIND, NS, NAME);
    CU_ASSERT_EQUAL(answers_open(&s.api), 0);
    fini(&s);
}

static void an_object_that_was_never_seen_is_read_first(void) {
    struct site s;
    init(&s);
    s.seen.is_there = false;
    want(&s, "True", 1, false);
    answers_answer(answers_next(&s.api, CTL_KUBE_GET, "/httproutes/web"), 200,
                   answers_json("{'metadata': {'resourceVersion': '7'}}"));
    struct answers_call *c = patch(&s);
    CU_ASSERT_STRING_EQUAL(version_of(c), "7");
    answers_answer(c, 200, object(c, "8"));
    fini(&s);
}

static void a_gateway_that_becomes_programmed_is_an_event(void) {
    struct site s;
    init(&s);
    GW_JSON_AUTO wanted =
        answers_json("{'conditions': [{'type': 'Programmed', 'status': 'True', 'reason': "
                     "'Programmed', 'message': '1 of 1 data planes', 'observedGeneration': 1}]}");
    ctl_status_writer_want(s.w, &ctl_res_gateway, NS, GW_STR("edge"), wanted, false);
    struct answers_call *c = answers_next(&s.api, CTL_KUBE_PATCH, "/gateways/edge/status");
    answers_answer(c, 200, object(c, "11"));
    c = answers_next(&s.api, CTL_KUBE_POST, "/api/v1/namespaces/a/events");
    CU_ASSERT(gw_str_eq(gw_json_str(c->body, "reason"), GW_STR("Programmed")));
    CU_ASSERT(gw_str_eq(gw_json_str(c->body, "type"), GW_STR("Normal")));
    const json_t *about = gw_json_get(c->body, "involvedObject");
    CU_ASSERT(gw_str_eq(gw_json_str(about, "uid"), GW_STR("uid-1")));
    CU_ASSERT(gw_str_eq(gw_json_str(about, "kind"), GW_STR("Gateway")));
    answers_answer(c, 500, NULL); // harms nobody
    fini(&s);
}

static void versions_and_backoff(void) {
    static const struct {
        const char *a, *b;
        bool want;
    } cases[] = {
        {"10", "9", true}, {"9", "10", false}, {"11", "10", true}, {"10", "10", false},
        {"x", "10", true}, {"10", "", true},   {"010", "9", true},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++)
        CU_ASSERT_EQUAL(ctl_kube_is_newer(gw_str_of(cases[i].a), gw_str_of(cases[i].b)),
                        cases[i].want);
    int64_t before = 0;
    for (unsigned n = 1; n < 20; n++) {
        int64_t ms = ctl_kube_backoff_ms(n, 0, 0);
        CU_ASSERT(ms >= before && ms <= 30000);
        before = ms;
    }
    CU_ASSERT_EQUAL(ctl_kube_backoff_ms(1, 7, 0), 7000);
    CU_ASSERT_EQUAL(ctl_kube_backoff_ms(1, 7000, 0), 60000);
}

// --- one of several replicas ---------------------------------------------------------------------

static void one_that_is_stopped_writes_nothing_and_keeps_what_is_wanted(void) {
    struct site s;
    init(&s);
    ctl_status_writer_stop(s.w);
    ctl_status_writer_stop(s.w);
    want(&s, "False", 1, false);
    want(&s, "True", 2, false);
    ctl_status_writer_look(s.w, KIND, NS, NAME);
    ctl_status_writer_clear(s.w, KIND, NS, GW_STR("other")); // entries of ours are there, or not
    pass(&s, CTL_STATUS_HOLD_MS + 50);
    CU_ASSERT_EQUAL(s.api.n, 0);
    ctl_status_writer_start(s.w);
    struct answers_call *c = patch(&s);
    CU_ASSERT_EQUAL(s.api.n, 1);
    const json_t *list = gw_json_path(c->body, "status.parents");
    const json_t *condition = json_array_get(gw_json_get(json_array_get(list, 0), "conditions"), 0);
    CU_ASSERT_EQUAL(gw_json_int(condition, "observedGeneration", 0), 2);
    answers_answer(c, 200, object(c, "11"));
    // What is there as it is wanted is not written by the next one either.
    ctl_status_writer_stop(s.w);
    ctl_status_writer_start(s.w);
    pass(&s, 20);
    CU_ASSERT_EQUAL(s.api.n, 1);
    fini(&s);
}

static void writes_under_way_are_given_up(void) {
    struct site s;
    init(&s);
    want(&s, "True", 1, false);
    patch(&s);
    const struct ctl_event ev = {
        .kind = KIND, .ns = NS, .name = NAME, .reason = "Refused", .note = "x"};
    ctl_events_add(s.events, &ev);
    CU_ASSERT_EQUAL(answers_open(&s.api), 2);
    ctl_status_writer_stop(s.w);
    ctl_events_stop(s.events);
    CU_ASSERT_EQUAL(answers_open(&s.api), 0);
    ctl_events_add(s.events, &ev);
    want(&s, "False", 2, true); // whatever it waits for, it does not come
    pass(&s, CTL_STATUS_HOLD_MS + 50);
    CU_ASSERT_EQUAL(answers_open(&s.api), 0);
    // The watch tells what became of it.
    GW_JSON_AUTO wanted = parents("False", 2);
    json_decref(s.seen.status);
    s.seen.status = ctl_status_merge(NULL, wanted, "2026-01-02T03:04:05Z");
    snprintf(s.seen.version, sizeof(s.seen.version), "12");
    ctl_status_writer_start(s.w);
    pass(&s, CTL_STATUS_HOLD_MS + 50);
    CU_ASSERT_EQUAL(answers_open(&s.api), 0);
    want(&s, "True", 3, false);
    pass(&s, CTL_STATUS_EVERY_MS);
    CU_ASSERT_STRING_EQUAL(version_of(patch(&s)), "12");
    fini(&s);
}

// An object that went while nobody wrote is not waited for, and one that came back is written.
static void objects_that_come_and_go_while_it_is_stopped(void) {
    struct site s;
    init(&s);
    want(&s, "True", 1, false);
    struct answers_call *c = patch(&s);
    answers_answer(c, 404, NULL);
    ctl_status_writer_stop(s.w);
    ctl_status_writer_clear(s.w, KIND, NS, NAME);
    ctl_status_writer_start(s.w);
    pass(&s, 20);
    CU_ASSERT_EQUAL(answers_open(&s.api), 0);
    ctl_status_writer_stop(s.w);
    want(&s, "True", 2, false);
    ctl_status_writer_start(s.w);
    patch(&s);
    fini(&s);
}

// The Lease is over before anybody was told: the API refuses, and nothing spins.
static void a_guard_that_refuses_is_no_failure(void) {
    struct site s;
    init(&s);
    s.api.is_guarded = true;
    want(&s, "True", 1, false);
    pass(&s, 30);
    CU_ASSERT_EQUAL(s.api.n, 0);
    s.api.is_guarded = false;
    ctl_status_writer_stop(s.w);
    ctl_status_writer_start(s.w);
    patch(&s);
    fini(&s);
}

static CU_TestInfo tests[] = {
    {"the first write goes at once", first_write_goes_at_once_and_equal_ones_never},
    {"bursts are one write a second", bursts_are_one_write_a_second},
    {"one write with acknowledgements", acknowledgements_within_the_hold_are_in_the_first_write},
    {"late acknowledgements", a_late_acknowledgement_does_not_hold_up_the_rest},
    {"a conflict is merged again", a_conflict_is_read_and_merged_again},
    {"a deleted object is left alone", a_deleted_object_is_left_alone},
    {"failures are tried again", failures_are_tried_again_slower_and_slower},
    {"not taken, not kept", what_the_server_does_not_take_or_keep_is_not_repeated},
    {"writes at once are bounded", writes_at_once_are_bounded},
    {"taken back slowly", what_only_misses_data_planes_is_taken_back_slowly},
    {"entries that nobody wants", entries_that_nobody_wants_are_taken_away},
    {"an object that was never seen", an_object_that_was_never_seen_is_read_first},
    {"a programmed Gateway is an event", a_gateway_that_becomes_programmed_is_an_event},
    {"versions and backoff", versions_and_backoff},
    {"one that is stopped writes nothing and keeps what is wanted",
     one_that_is_stopped_writes_nothing_and_keeps_what_is_wanted},
    {"writes under way are given up", writes_under_way_are_given_up},
    {"objects that come and go while it is stopped", objects_that_come_and_go_while_it_is_stopped},
    {"a guard that refuses is no failure", a_guard_that_refuses_is_no_failure},
    CU_TEST_INFO_NULL,
};

CU_SuiteInfo suite_controller_status_writer = {
    "controller_status_writer", NULL, NULL, NULL, NULL, tests};
