// SPDX-License-Identifier: Apache-2.0
// The timer wheel, with time as a number.
#include "shared/timer.h"

#include <CUnit/CUnit.h>
#include <stdlib.h>

struct probe {
    struct gw_timer t;
    struct gw_wheel *w;
    int fired;
    int64_t fired_at_ms; // the wheel's time
    struct gw_timer *other;
    int64_t rearm_ms;
};

static struct probe *probe_of(struct gw_timer *t) {
    return GW_CONTAINER_OF(t, struct probe, t);
}

static void on_fire(struct gw_timer *t) {
    struct probe *p = probe_of(t);
    p->fired++;
    p->fired_at_ms = p->w->now_ms;
}

static struct probe probe(struct gw_wheel *w, gw_timer_fn fn) {
    struct probe p = {.w = w};
    gw_timer_init(&p.t, fn);
    return p;
}

static const int64_t starts[] = {
    1, 63, 64, 1234567, (1ll << 24) - 1, (1ll << 30) - 1, (1ll << 36) - 1, (1ll << 36) + 12345};
static const int64_t delays[] = {1,
                                 2,
                                 63,
                                 64,
                                 65,
                                 4095,
                                 4096,
                                 4097,
                                 262143,
                                 262144,
                                 262145,
                                 999999,
                                 1 << 24,
                                 (1 << 24) + 3,
                                 (1 << 30) - 1,
                                 1 << 30,
                                 1ll << 33,
                                 GW_WHEEL_SPAN_MS};

static void test_fires_at_its_deadline_and_not_before(void) {
    for (size_t s = 0; s < GW_ARRAY_LEN(starts); s++) {
        for (size_t d = 0; d < GW_ARRAY_LEN(delays); d++) {
            struct gw_wheel w;
            gw_wheel_init(&w, starts[s]);
            struct probe p = probe(&w, on_fire);
            gw_wheel_set(&w, &p.t, starts[s] + delays[d]);
            gw_wheel_advance(&w, starts[s] + delays[d] - 1);
            CU_ASSERT_EQUAL(p.fired, 0);
            CU_ASSERT_TRUE(gw_timer_armed(&p.t));
            gw_wheel_advance(&w, starts[s] + delays[d]);
            CU_ASSERT_EQUAL(p.fired, 1);
            CU_ASSERT_FALSE(gw_timer_armed(&p.t));
            CU_ASSERT_EQUAL(w.next_ms, INT64_MAX);
        }
    }
}

// Advancing only to what next_ms promises must reach the deadline, exactly and soon.
static void test_next_ms_leads_to_the_deadline(void) {
    const int64_t far[] = {1, 64, 5000, 1 << 30, GW_WHEEL_SPAN_MS, 3 * GW_WHEEL_SPAN_MS + 7};
    for (size_t i = 0; i < GW_ARRAY_LEN(far); i++) {
        struct gw_wheel w;
        gw_wheel_init(&w, 1000);
        struct probe p = probe(&w, on_fire);
        gw_wheel_set(&w, &p.t, 1000 + far[i]);
        int hops = 0;
        for (; !p.fired && hops < 100; hops++) {
            CU_ASSERT_TRUE(w.next_ms > w.now_ms);
            CU_ASSERT_TRUE(w.next_ms <= 1000 + far[i]);
            gw_wheel_advance(&w, w.next_ms);
        }
        CU_ASSERT_TRUE(hops <= 40);
        CU_ASSERT_EQUAL(p.fired_at_ms, 1000 + far[i]);
    }
}

static void test_past_deadline_fires_at_the_next_millisecond(void) {
    const int64_t past[] = {1000, 999, 1, 0, -5};
    for (size_t i = 0; i < GW_ARRAY_LEN(past); i++) {
        struct gw_wheel w;
        gw_wheel_init(&w, 1000);
        struct probe p = probe(&w, on_fire);
        gw_wheel_set(&w, &p.t, past[i]);
        CU_ASSERT_TRUE(gw_timer_armed(&p.t));
        gw_wheel_advance(&w, 1000);
        CU_ASSERT_EQUAL(p.fired, 0);
        gw_wheel_advance(&w, 1001);
        CU_ASSERT_EQUAL(p.fired, 1);
    }
}

static void test_later_deadline_stays_in_its_slot(void) {
    struct gw_wheel w;
    gw_wheel_init(&w, 1000);
    struct probe p = probe(&w, on_fire);
    gw_wheel_set(&w, &p.t, 1010);
    struct gw_timer **slot = p.t.pprev;
    for (int64_t d = 1011; d < 1100; d++)
        gw_wheel_set(&w, &p.t, d);
    CU_ASSERT_PTR_EQUAL(p.t.pprev, slot);
    gw_wheel_advance(&w, 1098);
    CU_ASSERT_EQUAL(p.fired, 0);
    gw_wheel_advance(&w, 1099);
    CU_ASSERT_EQUAL(p.fired, 1);
}

static void test_earlier_deadline_moves(void) {
    struct gw_wheel w;
    gw_wheel_init(&w, 1000);
    struct probe p = probe(&w, on_fire);
    gw_wheel_set(&w, &p.t, 9000);
    gw_wheel_set(&w, &p.t, 1005);
    gw_wheel_advance(&w, 1004);
    CU_ASSERT_EQUAL(p.fired, 0);
    gw_wheel_advance(&w, 1005);
    CU_ASSERT_EQUAL(p.fired, 1);
    gw_wheel_advance(&w, 20000);
    CU_ASSERT_EQUAL(p.fired, 1);
}

static void test_lazy_then_earlier_than_that_but_later_than_the_slot(void) {
    struct gw_wheel w;
    gw_wheel_init(&w, 1000);
    struct probe p = probe(&w, on_fire);
    gw_wheel_set(&w, &p.t, 1010);
    gw_wheel_set(&w, &p.t, 5000);
    gw_wheel_set(&w, &p.t, 1020);
    gw_wheel_advance(&w, 1019);
    CU_ASSERT_EQUAL(p.fired, 0);
    gw_wheel_advance(&w, 1020);
    CU_ASSERT_EQUAL(p.fired, 1);
}

static void test_cancelled_never_fires(void) {
    struct gw_wheel w;
    gw_wheel_init(&w, 1000);
    struct probe p = probe(&w, on_fire);
    gw_timer_cancel(NULL, &p.t); // never set
    gw_wheel_set(&w, &p.t, 1010);
    gw_timer_cancel(NULL, &p.t);
    gw_timer_cancel(NULL, &p.t);
    CU_ASSERT_FALSE(gw_timer_armed(&p.t));
    CU_ASSERT_PTR_NULL(p.t.pprev);
    gw_wheel_advance(&w, 100000);
    CU_ASSERT_EQUAL(p.fired, 0);
    CU_ASSERT_EQUAL(w.next_ms, INT64_MAX);
    gw_wheel_set(&w, &p.t, 100001);
    gw_wheel_advance(&w, 100001);
    CU_ASSERT_EQUAL(p.fired, 1);
}

static void on_fire_cancel_other(struct gw_timer *t) {
    on_fire(t);
    gw_timer_cancel(NULL, probe_of(t)->other);
}

static void test_callback_cancels_another_of_the_same_millisecond(void) {
    struct gw_wheel w;
    gw_wheel_init(&w, 1000);
    struct probe a = probe(&w, on_fire_cancel_other), b = probe(&w, on_fire_cancel_other);
    a.other = &b.t;
    b.other = &a.t;
    gw_wheel_set(&w, &a.t, 1010);
    gw_wheel_set(&w, &b.t, 1010);
    gw_wheel_advance(&w, 2000);
    CU_ASSERT_EQUAL(a.fired + b.fired, 1);
}

static void on_fire_rearm(struct gw_timer *t) {
    on_fire(t);
    struct probe *p = probe_of(t);
    CU_ASSERT_FALSE(gw_timer_armed(t));
    if (p->fired < 50) gw_wheel_set(p->w, t, p->w->now_ms + p->rearm_ms);
}

static void test_callback_rearms_itself(void) {
    struct gw_wheel w;
    gw_wheel_init(&w, 1000);
    struct probe p = probe(&w, on_fire_rearm);
    p.rearm_ms = 10;
    gw_wheel_set(&w, &p.t, 1010);
    gw_wheel_advance(&w, 1100); // late: the periods in between are made up for
    CU_ASSERT_EQUAL(p.fired, 10);
    gw_wheel_advance(&w, 1110);
    CU_ASSERT_EQUAL(p.fired, 11);
}

static void test_rearm_to_now_ends_the_advance(void) {
    struct gw_wheel w;
    gw_wheel_init(&w, 1000);
    struct probe p = probe(&w, on_fire_rearm);
    gw_wheel_set(&w, &p.t, 1001);
    gw_wheel_advance(&w, 1001);
    CU_ASSERT_EQUAL(p.fired, 1);
    CU_ASSERT_EQUAL(w.next_ms, 1002);
}

static int freed;
static void on_fire_free(struct gw_timer *t) {
    free(probe_of(t));
    freed++;
}

static void test_callback_frees_its_timer(void) {
    struct gw_wheel w;
    gw_wheel_init(&w, 1000);
    freed = 0;
    for (int i = 0; i < 100; i++) {
        struct probe *p = gw_alloc(sizeof(*p));
        gw_timer_init(&p->t, on_fire_free);
        gw_wheel_set(&w, &p->t, 1001 + i % 7);
    }
    gw_wheel_advance(&w, 1007);
    CU_ASSERT_EQUAL(freed, 100);
}

static uint64_t random_state;
static uint64_t next_random(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

#define MODEL_TIMERS 64
struct model {
    struct gw_wheel w;
    struct probe p[MODEL_TIMERS];
    int64_t want[MODEL_TIMERS]; // 0: not armed
    int64_t last_ms;
};
static struct model model;

static void on_model_fire(struct gw_timer *t) {
    struct probe *p = probe_of(t);
    size_t i = (size_t)(p - model.p);
    CU_ASSERT_NOT_EQUAL(model.want[i], 0);
    CU_ASSERT_EQUAL(model.w.now_ms, model.want[i]);
    CU_ASSERT_TRUE(model.w.now_ms >= model.last_ms); // in order
    model.last_ms = model.w.now_ms;
    model.want[i] = 0;
}

// Random sets, cancels and advances against a plain list of deadlines.
static void test_agrees_with_a_plain_list(void) {
    random_state = 88172645463325252ull;
    int64_t now = (1ll << 30) - 100000;
    gw_wheel_init(&model.w, now);
    model.last_ms = 0;
    for (int i = 0; i < MODEL_TIMERS; i++) {
        model.p[i] = probe(&model.w, on_model_fire);
        model.want[i] = 0;
    }
    for (int step = 0; step < 50000; step++) {
        size_t i = next_random() % MODEL_TIMERS;
        uint64_t what = next_random() % 10;
        if (what < 6) {
            int64_t span = 1ll << (next_random() % 22);
            model.want[i] = now + 1 + (int64_t)(next_random() % (uint64_t)span);
            gw_wheel_set(&model.w, &model.p[i].t, model.want[i]);
        } else if (what < 7) {
            model.want[i] = 0;
            gw_timer_cancel(NULL, &model.p[i].t);
        } else {
            now += (int64_t)(next_random() % (1u << (next_random() % 14)));
            gw_wheel_advance(&model.w, now);
            for (int k = 0; k < MODEL_TIMERS; k++)
                CU_ASSERT_TRUE(model.want[k] == 0 || model.want[k] > now);
        }
    }
}

static CU_TestInfo tests[] = {
    {"fires_at_its_deadline_and_not_before", test_fires_at_its_deadline_and_not_before},
    {"next_ms_leads_to_the_deadline", test_next_ms_leads_to_the_deadline},
    {"past_deadline_fires_at_the_next_ms", test_past_deadline_fires_at_the_next_millisecond},
    {"later_deadline_stays_in_its_slot", test_later_deadline_stays_in_its_slot},
    {"earlier_deadline_moves", test_earlier_deadline_moves},
    {"lazy_then_earlier", test_lazy_then_earlier_than_that_but_later_than_the_slot},
    {"cancelled_never_fires", test_cancelled_never_fires},
    {"callback_cancels_another", test_callback_cancels_another_of_the_same_millisecond},
    {"callback_rearms_itself", test_callback_rearms_itself},
    {"rearm_to_now_ends_the_advance", test_rearm_to_now_ends_the_advance},
    {"callback_frees_its_timer", test_callback_frees_its_timer},
    {"agrees_with_a_plain_list", test_agrees_with_a_plain_list},
    CU_TEST_INFO_NULL,
};

CU_SuiteInfo suite_shared_timer = {"shared_timer", NULL, NULL, NULL, NULL, tests};
