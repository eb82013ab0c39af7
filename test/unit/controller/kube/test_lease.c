// SPDX-License-Identifier: Apache-2.0
// Who holds the Lease, and until when, whatever the API server and other replicas do.
#include "controller/kube/lease.h"
#include "controller/kube/lease_object.h"
#include "shared/log.h"
#include "test/unit/controller/kube/answers.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <unistd.h>

#define LIST "/apis/coordination.k8s.io/v1/namespaces/sys/leases"
#define ONE LIST "/tandem"
#define DURATION_MS 1000
#define RENEW_MS 500
#define RETRY_MS 60

struct site {
    struct gw_loop *loop;
    struct answers_api api;
    struct ctl_lease *l;
    int changes;
};

static void on_change(void *arg) {
    struct site *s = arg;
    s->changes++;
}

static void init(struct site *s) {
    gw_log_init(STDERR_FILENO, GW_LOG_ERROR + 1);
    *s = (struct site){.loop = gw_loop_new(NULL)};
    s->l = ctl_lease_new(&(struct ctl_lease_opts){.loop = s->loop,
                                                  .api = answers_api(&s->api),
                                                  .ns = "sys",
                                                  .name = "tandem",
                                                  .identity = "me_1",
                                                  .duration_ms = DURATION_MS,
                                                  .renew_ms = RENEW_MS,
                                                  .retry_ms = RETRY_MS,
                                                  .on_change = on_change,
                                                  .arg = s});
    ctl_lease_set_address(s->l, "10.0.0.1:18443");
    ctl_lease_start(s->l);
}

static void fini(struct site *s) {
    ctl_lease_free(s->l);
    answers_fini(&s->api);
    gw_loop_free(s->loop);
}

static void pass(struct site *s, int ms) {
    int64_t end_us = gw_clock_us() + ms * 1000;
    do
        gw_loop_turn(s->loop, 2);
    while (gw_clock_us() < end_us);
}

// The next call, waited for.
static struct answers_call *call(struct site *s, enum ctl_kube_method method, const char *path) {
    int64_t end_us = gw_clock_us() + 3000000;
    while (answers_open(&s->api) == 0 && gw_clock_us() < end_us)
        gw_loop_turn(s->loop, 2);
    struct answers_call *c = answers_next(&s->api, method, path);
    CU_ASSERT_STRING_EQUAL(c->path, path);
    CU_ASSERT_EQUAL(answers_open(&s->api), 1);
    return c;
}

static json_t *record(const char *holder, int version, const char *renewed) {
    return answers_json("{'metadata': {'name': 'tandem', 'resourceVersion': '%d', 'labels': "
                        "{'kept': 'yes'}, 'annotations': {'" CTL_LEASE_ADDRESS "': "
                        "'10.0.0.2:18443'}}, 'spec': {'holderIdentity': '%s', "
                        "'leaseDurationSeconds': 1, 'acquireTime': 'then', 'renewTime': '%s', "
                        "'leaseTransitions': 4}}",
                        version, holder, renewed);
}

// What the server makes of a write.
static json_t *taken(const struct answers_call *c, const char *version) {
    json_t *o = json_deep_copy(c->body);
    json_object_set_new(json_object_get(o, "metadata"), "resourceVersion", json_string(version));
    return o;
}

static const char *text(const struct answers_call *c, const char *path) {
    const char *v = json_string_value(gw_json_path(c->body, path));
    return v ? v : "(none)";
}

static void become_holder(struct site *s) {
    answers_answer(call(s, CTL_KUBE_GET, ONE), 404, NULL);
    struct answers_call *c = call(s, CTL_KUBE_POST, LIST);
    answers_answer(c, 201, taken(c, "1"));
    CU_ASSERT_TRUE_FATAL(ctl_lease_is_held(s->l));
}

// --- taking it -----------------------------------------------------------------------------------

static void the_first_one_makes_it_and_renews_it(void) {
    struct site s;
    init(&s);
    CU_ASSERT_FALSE(ctl_lease_is_held(s.l));
    answers_answer(call(&s, CTL_KUBE_GET, ONE), 404, NULL);
    struct answers_call *c = call(&s, CTL_KUBE_POST, LIST);
    CU_ASSERT_STRING_EQUAL(text(c, "apiVersion"), "coordination.k8s.io/v1");
    CU_ASSERT_STRING_EQUAL(text(c, "metadata.name"), "tandem");
    CU_ASSERT_STRING_EQUAL(text(c, "spec.holderIdentity"), "me_1");
    const json_t *spec = gw_json_get(c->body, "spec");
    CU_ASSERT_EQUAL(gw_json_int(spec, "leaseDurationSeconds", 0), 1);
    CU_ASSERT_EQUAL(gw_json_int(spec, "leaseTransitions", -1), 0);
    // MicroTime: "2026-01-02T03:04:05.123456Z"
    CU_ASSERT_EQUAL(strlen(text(c, "spec.renewTime")), 27);
    CU_ASSERT_EQUAL(text(c, "spec.renewTime")[19], '.');
    CU_ASSERT_EQUAL(text(c, "spec.renewTime")[26], 'Z');
    char acquired[64];
    snprintf(acquired, sizeof(acquired), "%s", text(c, "spec.acquireTime"));
    CU_ASSERT_FALSE(ctl_lease_is_held(s.l));
    answers_answer(c, 201, taken(c, "1"));
    CU_ASSERT_TRUE(ctl_lease_is_held(s.l));
    CU_ASSERT_EQUAL(s.changes, 1);
    CU_ASSERT_STRING_EQUAL(ctl_lease_holder(s.l), "me_1");
    CU_ASSERT_STRING_EQUAL(ctl_lease_holder_address(s.l), "10.0.0.1:18443");
    for (int i = 0; i < 20; i++) { // longer than the duration
        c = call(&s, CTL_KUBE_PUT, ONE);
        CU_ASSERT_STRING_EQUAL(text(c, "spec.acquireTime"), acquired);
        CU_ASSERT_EQUAL(gw_json_int(gw_json_get(c->body, "spec"), "leaseTransitions", -1), 0);
        answers_answer(c, 200, taken(c, "2"));
        CU_ASSERT_TRUE(ctl_lease_is_held(s.l));
    }
    CU_ASSERT_EQUAL(s.changes, 1);
    fini(&s);
}

static void of_two_that_make_it_one_wins(void) {
    struct site s;
    init(&s);
    answers_answer(call(&s, CTL_KUBE_GET, ONE), 404, NULL);
    answers_answer(call(&s, CTL_KUBE_POST, LIST), 409, NULL);
    answers_answer(call(&s, CTL_KUBE_GET, ONE), 200, record("other", 7, "a"));
    CU_ASSERT_FALSE(ctl_lease_is_held(s.l));
    CU_ASSERT_STRING_EQUAL(ctl_lease_holder(s.l), "other");
    CU_ASSERT_STRING_EQUAL(ctl_lease_holder_address(s.l), "10.0.0.2:18443");
    CU_ASSERT_EQUAL(s.changes, 1);
    fini(&s);
}

static void what_another_renews_is_never_taken(void) {
    struct site s;
    char renewed[16];
    init(&s);
    int64_t end_us = gw_clock_us() + (2 * DURATION_MS) * 1000;
    for (int i = 0; gw_clock_us() < end_us; i++) {
        snprintf(renewed, sizeof(renewed), "r%d", i / 8); // each 0.5 s or so
        answers_answer(call(&s, CTL_KUBE_GET, ONE), 200, record("other", 7, renewed));
        CU_ASSERT_FALSE(ctl_lease_is_held(s.l));
    }
    fini(&s);
}

// The clock that counts is ours: what renewTime says is of no interest.
static void what_nobody_renews_is_taken_when_it_has_not_changed_for_its_duration(void) {
    static const char *const times[] = {"2001-01-01T00:00:00.000000Z",
                                        "2999-01-01T00:00:00.000000Z"};
    for (size_t i = 0; i < GW_ARRAY_LEN(times); i++) {
        struct site s;
        init(&s);
        int64_t began_us = gw_clock_us();
        struct answers_call *c;
        answers_answer(call(&s, CTL_KUBE_GET, ONE), 200, record("other", 7, times[i]));
        for (;;) {
            while (answers_open(&s.api) == 0 && gw_clock_us() - began_us < 3000000)
                gw_loop_turn(s.loop, 2);
            CU_ASSERT_FATAL(answers_open(&s.api) == 1);
            c = s.api.calls[s.api.n - 1];
            if (c->method == CTL_KUBE_PUT) break;
            // Another resourceVersion alone is no renewal.
            answers_answer(c, 200, record("other", 8, times[i]));
        }
        int64_t ms = (gw_clock_us() - began_us) / 1000;
        CU_ASSERT(ms >= DURATION_MS && ms < DURATION_MS + 3 * RETRY_MS);
        CU_ASSERT_STRING_EQUAL(text(c, "metadata.resourceVersion"), "8");
        CU_ASSERT_STRING_EQUAL(text(c, "metadata.labels.kept"), "yes");
        CU_ASSERT_STRING_EQUAL(text(c, "spec.holderIdentity"), "me_1");
        CU_ASSERT_EQUAL(gw_json_int(gw_json_get(c->body, "spec"), "leaseTransitions", 0), 5);
        CU_ASSERT_STRING_NOT_EQUAL(text(c, "spec.acquireTime"), "then");
        // Somebody else was faster.
        answers_answer(c, 409, NULL);
        answers_answer(call(&s, CTL_KUBE_GET, ONE), 200, record("third", 9, "b"));
        CU_ASSERT_FALSE(ctl_lease_is_held(s.l));
        CU_ASSERT_STRING_EQUAL(ctl_lease_holder(s.l), "third");
        fini(&s);
    }
}

static void a_free_one_is_taken_at_once(void) {
    struct site s;
    init(&s);
    answers_answer(call(&s, CTL_KUBE_GET, ONE), 200, record("other", 7, "a"));
    pass(&s, 1);
    int64_t began_us = gw_clock_us();
    ctl_lease_hurry(s.l);
    answers_answer(call(&s, CTL_KUBE_GET, ONE), 200, record("", 8, "b"));
    struct answers_call *c = call(&s, CTL_KUBE_PUT, ONE);
    answers_answer(c, 200, taken(c, "9"));
    CU_ASSERT_TRUE(ctl_lease_is_held(s.l));
    CU_ASSERT((gw_clock_us() - began_us) / 1000 < RETRY_MS / 2);
    fini(&s);
}

static void durations_that_are_unsound_are_not_believed(void) {
    static const struct {
        const char *seconds;
        unsigned want;
    } cases[] = {{"0", 15},    {"-4", 15}, {"'x'", 15}, {"2147483647", CTL_LEASE_SECONDS_MAX},
                 {"null", 15}, {"1", 1},   {"60", 60}};
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        GW_JSON_AUTO o = answers_json("{'spec': {'leaseDurationSeconds': %s}}", cases[i].seconds);
        CU_ASSERT_EQUAL(ctl_lease_seconds_of(o, 15), cases[i].want);
    }
    static const char *const odd[] = {"{}", "[]", "'x'", "{'spec': 7}",
                                      "{'spec': {'holderIdentity': 3}, 'metadata': []}"};
    const struct ctl_lease_next n = {"sys", "tandem", "me", "", 15, 0};
    for (size_t i = 0; i < GW_ARRAY_LEN(odd); i++) {
        GW_JSON_AUTO o = answers_json("%s", odd[i]);
        CU_ASSERT_EQUAL(ctl_lease_holder_of(o).len, 0);
        CU_ASSERT_EQUAL(ctl_lease_address_of(o).len, 0);
        GW_JSON_AUTO next = ctl_lease_take(o, &n);
        CU_ASSERT(gw_str_eq(ctl_lease_holder_of(next), GW_STR("me")));
    }
}

// --- losing it -----------------------------------------------------------------------------------

static void a_holder_that_cannot_renew_stops_before_it_can_be_taken(void) {
    struct site s;
    init(&s);
    become_holder(&s);
    int64_t began_us = gw_clock_us();
    while (ctl_lease_is_held(s.l) && gw_clock_us() - began_us < 3000000) {
        if (answers_open(&s.api)) answers_answer(answers_next(&s.api, CTL_KUBE_PUT, ONE), 0, NULL);
        gw_loop_turn(s.loop, 2);
    }
    int64_t ms = (gw_clock_us() - began_us) / 1000;
    CU_ASSERT(ms > RENEW_MS - 50 && ms < DURATION_MS);
    pass(&s, 5);
    CU_ASSERT_EQUAL(s.changes, 2);
    CU_ASSERT_PTR_NOT_NULL(ctl_lease_problem(s.l));
    // It is still there, and ours: held again.
    while (answers_open(&s.api) == 0 && gw_clock_us() - began_us < 3000000)
        gw_loop_turn(s.loop, 2);
    if (s.api.calls[s.api.n - 1]->method == CTL_KUBE_PUT)
        answers_answer(s.api.calls[s.api.n - 1], 0, NULL);
    answers_answer(call(&s, CTL_KUBE_GET, ONE), 200, record("me_1", 7, "a"));
    struct answers_call *c = call(&s, CTL_KUBE_PUT, ONE);
    CU_ASSERT_EQUAL(gw_json_int(gw_json_get(c->body, "spec"), "leaseTransitions", 0), 4);
    answers_answer(c, 200, taken(c, "9"));
    CU_ASSERT_TRUE(ctl_lease_is_held(s.l));
    CU_ASSERT_PTR_NULL(ctl_lease_problem(s.l));
    CU_ASSERT_EQUAL(s.changes, 3);
    fini(&s);
}

// An answer that took long holds from when it was asked for.
static void what_is_held_counts_from_before_the_write_was_sent(void) {
    struct site s;
    init(&s);
    answers_answer(call(&s, CTL_KUBE_GET, ONE), 404, NULL);
    struct answers_call *c = call(&s, CTL_KUBE_POST, LIST);
    usleep((RENEW_MS + 20) * 1000);
    answers_answer(c, 201, taken(c, "1"));
    CU_ASSERT_FALSE(ctl_lease_is_held(s.l));
    fini(&s);
}

// As by SIGSTOP: no timer has run, and nothing must be written all the same.
static void a_process_that_was_stopped_writes_nothing(void) {
    struct site s;
    struct gw_err err = {0};
    init(&s);
    become_holder(&s);
    struct ctl_kube_api guard = ctl_lease_guard(s.l);
    const struct ctl_kube_request rq = {.path = "/x", .method = CTL_KUBE_GET};
    struct ctl_kube_call *c = guard.send(guard.arg, &rq, &err);
    CU_ASSERT_PTR_NOT_NULL(c);
    guard.cancel(guard.arg, c);
    usleep((RENEW_MS + 20) * 1000);
    CU_ASSERT_PTR_NULL(guard.send(guard.arg, &rq, &err));
    CU_ASSERT_EQUAL(err.rc, GW_CANCELLED);
    CU_ASSERT_FALSE(ctl_lease_is_held(s.l));
    pass(&s, 5);
    CU_ASSERT_EQUAL(s.changes, 2); // and it is told
    fini(&s);
}

static void a_lease_that_another_took_is_lost_at_once(void) {
    struct site s;
    init(&s);
    become_holder(&s);
    answers_answer(call(&s, CTL_KUBE_PUT, ONE), 409, NULL);
    CU_ASSERT_TRUE(ctl_lease_is_held(s.l)); // somebody's annotation, perhaps
    answers_answer(call(&s, CTL_KUBE_GET, ONE), 200, record("other", 9, "b"));
    CU_ASSERT_FALSE(ctl_lease_is_held(s.l));
    CU_ASSERT_STRING_EQUAL(ctl_lease_holder(s.l), "other");
    CU_ASSERT_EQUAL(s.changes, 2);
    fini(&s);
}

static void a_lease_that_somebody_edits_or_deletes_stays_ours(void) {
    struct site s;
    init(&s);
    become_holder(&s);
    answers_answer(call(&s, CTL_KUBE_PUT, ONE), 409, NULL);
    answers_answer(call(&s, CTL_KUBE_GET, ONE), 200, record("me_1", 9, "b"));
    struct answers_call *c = call(&s, CTL_KUBE_PUT, ONE);
    CU_ASSERT_STRING_EQUAL(text(c, "metadata.resourceVersion"), "9");
    answers_answer(c, 200, taken(c, "10"));
    answers_answer(call(&s, CTL_KUBE_PUT, ONE), 404, NULL);
    answers_answer(call(&s, CTL_KUBE_GET, ONE), 404, NULL);
    c = call(&s, CTL_KUBE_POST, LIST);
    answers_answer(c, 201, taken(c, "11"));
    CU_ASSERT_TRUE(ctl_lease_is_held(s.l));
    fini(&s);
}

static void conflicts_without_end_are_no_busy_loop(void) {
    struct site s;
    init(&s);
    become_holder(&s);
    size_t before = s.api.n;
    int64_t end_us = gw_clock_us() + 200000;
    while (gw_clock_us() < end_us) {
        gw_loop_turn(s.loop, 2);
        if (!answers_open(&s.api)) continue;
        struct answers_call *c = s.api.calls[s.api.n - 1];
        answers_answer(c, c->method == CTL_KUBE_GET ? 200 : 409,
                       c->method == CTL_KUBE_GET ? record("me_1", 9, "b") : NULL);
    }
    CU_ASSERT(s.api.n - before < 8 * (200 / RETRY_MS + 2));
    fini(&s);
}

static void a_refusal_is_named_and_tried_again(void) {
    struct site s;
    init(&s);
    answers_answer(call(&s, CTL_KUBE_GET, ONE), 403, NULL);
    CU_ASSERT_FALSE(ctl_lease_is_held(s.l));
    CU_ASSERT_PTR_NOT_NULL_FATAL(ctl_lease_problem(s.l));
    CU_ASSERT_PTR_NOT_NULL(strstr(ctl_lease_problem(s.l), "403"));
    answers_answer(call(&s, CTL_KUBE_GET, ONE), 404, NULL);
    answers_answer(call(&s, CTL_KUBE_POST, LIST), 403, NULL);
    answers_answer(call(&s, CTL_KUBE_GET, ONE), 404, NULL);
    struct answers_call *c = call(&s, CTL_KUBE_POST, LIST);
    answers_answer(c, 201, taken(c, "1"));
    CU_ASSERT_TRUE(ctl_lease_is_held(s.l));
    CU_ASSERT_PTR_NULL(ctl_lease_problem(s.l));
    s.api.is_full = true; // and no call is to be had
    pass(&s, RENEW_MS + 3 * RETRY_MS);
    CU_ASSERT_FALSE(ctl_lease_is_held(s.l));
    s.api.is_full = false;
    fini(&s);
}

// --- leaving -------------------------------------------------------------------------------------

static void a_holder_that_ends_gives_it_free(void) {
    struct site s;
    init(&s);
    become_holder(&s);
    call(&s, CTL_KUBE_PUT, ONE); // under way, and given up
    ctl_lease_release(s.l);
    CU_ASSERT_FALSE(ctl_lease_is_held(s.l));
    CU_ASSERT_EQUAL(s.changes, 2);
    CU_ASSERT_FALSE(ctl_lease_is_released(s.l));
    answers_answer(call(&s, CTL_KUBE_GET, ONE), 200, record("me_1", 5, "a"));
    struct answers_call *c = call(&s, CTL_KUBE_PUT, ONE);
    CU_ASSERT_STRING_EQUAL(text(c, "metadata.resourceVersion"), "5");
    CU_ASSERT_STRING_EQUAL(text(c, "spec.holderIdentity"), "");
    CU_ASSERT_EQUAL(gw_json_int(gw_json_get(c->body, "spec"), "leaseTransitions", 0), 4);
    CU_ASSERT_STRING_EQUAL(text(c, "metadata.labels.kept"), "yes");
    CU_ASSERT_EQUAL(json_object_size(gw_json_path(c->body, "metadata.annotations")), 0);
    answers_answer(c, 200, taken(c, "6"));
    CU_ASSERT_TRUE(ctl_lease_is_released(s.l));
    CU_ASSERT_FALSE(ctl_lease_is_held(s.l));
    pass(&s, 3 * RETRY_MS);
    CU_ASSERT_EQUAL(answers_open(&s.api), 0); // for good
    fini(&s);
}

static void one_that_ends_leaves_what_is_not_its_own(void) {
    struct site s;
    init(&s);
    answers_answer(call(&s, CTL_KUBE_GET, ONE), 200, record("other", 7, "a"));
    ctl_lease_release(s.l);
    CU_ASSERT_TRUE(ctl_lease_is_released(s.l));
    CU_ASSERT_EQUAL(answers_open(&s.api), 0);
    fini(&s);
    init(&s);
    become_holder(&s);
    ctl_lease_release(s.l);
    answers_answer(call(&s, CTL_KUBE_GET, ONE), 200, record("other", 7, "a"));
    CU_ASSERT_TRUE(ctl_lease_is_released(s.l));
    fini(&s);
    init(&s);
    become_holder(&s);
    ctl_lease_release(s.l);
    answers_answer(call(&s, CTL_KUBE_GET, ONE), 0, NULL); // the server is away
    CU_ASSERT_TRUE(ctl_lease_is_released(s.l));
    fini(&s);
}

static CU_TestInfo tests[] = {
    {"the first one makes it and renews it", the_first_one_makes_it_and_renews_it},
    {"of two that make it one wins", of_two_that_make_it_one_wins},
    {"what another renews is never taken", what_another_renews_is_never_taken},
    {"what nobody renews is taken when it has not changed for its duration",
     what_nobody_renews_is_taken_when_it_has_not_changed_for_its_duration},
    {"a free one is taken at once", a_free_one_is_taken_at_once},
    {"durations that are unsound are not believed", durations_that_are_unsound_are_not_believed},
    {"a holder that cannot renew stops before it can be taken",
     a_holder_that_cannot_renew_stops_before_it_can_be_taken},
    {"what is held counts from before the write was sent",
     what_is_held_counts_from_before_the_write_was_sent},
    {"a process that was stopped writes nothing", a_process_that_was_stopped_writes_nothing},
    {"a lease that another took is lost at once", a_lease_that_another_took_is_lost_at_once},
    {"a lease that somebody edits or deletes stays ours",
     a_lease_that_somebody_edits_or_deletes_stays_ours},
    {"conflicts without end are no busy loop", conflicts_without_end_are_no_busy_loop},
    {"a refusal is named and tried again", a_refusal_is_named_and_tried_again},
    {"a holder that ends gives it free", a_holder_that_ends_gives_it_free},
    {"one that ends leaves what is not its own", one_that_ends_leaves_what_is_not_its_own},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_controller_kube_lease = {"controller_kube_lease", NULL, NULL, NULL, NULL, tests};
