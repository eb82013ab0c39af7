// SPDX-License-Identifier: Apache-2.0
#include "dataplane/upstream/balance.h"

#include <CUnit/CUnit.h>
#include <stdio.h>

// --- turns --------------------------------------------------------------------------------------

#define TURNS_MAX 4

static void turns_in_order(void) {
    static const struct {
        const char *name;
        unsigned weights[TURNS_MAX], n;
        const char *want; // indices of two rounds; '-': none
    } table[] = {
        {"nothing", {0}, 0, "--"},
        {"one of weight 0", {0}, 1, "--"},
        {"all of weight 0", {0, 0, 0}, 3, "--"},
        {"one", {7}, 1, "00"},
        {"equal", {1, 1, 1}, 3, "012012"},
        {"equal and large", {1000000, 1000000, 1000000}, 3, "012012"},
        {"weight 0 is passed by", {0, 1, 0, 1}, 4, "1313"},
        {"nginx's example", {5, 1, 1}, 3, "00102000010200"},
        {"two to one", {1, 2}, 2, "101101"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        int64_t current[TURNS_MAX] = {0};
        char got[32] = "";
        for (size_t k = 0; table[i].want[k]; k++) {
            unsigned at = dp_balance_turn(current, table[i].weights, table[i].n);
            got[k] = at == table[i].n ? '-' : (char)('0' + at);
        }
        CU_ASSERT_STRING_EQUAL(got, table[i].want);
        if (strcmp(got, table[i].want) != 0) printf("\n%s: %s\n", table[i].name, got);
    }
}

// At every moment each has had its share, give or take one.
static void shares_are_exact_at_every_moment(void) {
    static const struct {
        unsigned weights[TURNS_MAX], n;
    } table[] = {{{90, 10}, 2}, {{1, 1, 1}, 3}, {{99, 1}, 2}, {{3, 5, 7, 11}, 4}, {{50, 0, 50}, 3}};
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        int64_t current[TURNS_MAX] = {0};
        unsigned had[TURNS_MAX] = {0}, sum = 0;
        for (unsigned k = 0; k < table[i].n; k++)
            sum += table[i].weights[k];
        for (unsigned turn = 1; turn <= 10 * sum; turn++) {
            unsigned at = dp_balance_turn(current, table[i].weights, table[i].n);
            CU_ASSERT_FATAL(at < table[i].n);
            had[at]++;
            for (unsigned k = 0; k < table[i].n; k++) {
                double share = (double)turn * table[i].weights[k] / sum;
                CU_ASSERT(had[k] > share - 1 && had[k] < share + 1);
                if (turn % sum == 0) CU_ASSERT_EQUAL(had[k], turn / sum * table[i].weights[k]);
            }
        }
    }
}

// 90 to 10 is every tenth, never two in a row.
static void small_shares_are_spread(void) {
    static const unsigned weights[] = {90, 10};
    int64_t current[2] = {0};
    unsigned last = 0, picks = 0;
    for (unsigned turn = 1; turn <= 1000; turn++) {
        if (dp_balance_turn(current, weights, 2) != 1) continue;
        if (picks++) CU_ASSERT_EQUAL(turn - last, 10);
        last = turn;
    }
    CU_ASSERT_EQUAL(picks, 100);
}

// --- picks --------------------------------------------------------------------------------------

#define ENDPOINTS 4
#define NOW 5000

static struct dp_endpoint places[ENDPOINTS];
static struct dp_endpoint *list[ENDPOINTS];

static void set_up(void) {
    for (int i = 0; i < ENDPOINTS; i++) {
        places[i] = (struct dp_endpoint){.latency_us = 1000, .sampled_ms = NOW};
        list[i] = &places[i];
    }
}

// Pairs of random words that reach every pair of endpoints.
static uint64_t spread(unsigned i) {
    uint64_t x = (uint64_t)(i + 1) * 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    return x ^ (x >> 27);
}

static void nobody_is_nobody(void) {
    CU_ASSERT_PTR_NULL(dp_balance_pick(list, 0, NULL, 0, NOW));
    CU_ASSERT_PTR_NULL(dp_balance_pick(NULL, 0, list[0], ~0ull, NOW));
}

static void the_only_one_is_picked_even_to_be_avoided(void) {
    CU_ASSERT_PTR_EQUAL(dp_balance_pick(list, 1, NULL, ~0ull, NOW), list[0]);
    CU_ASSERT_PTR_EQUAL(dp_balance_pick(list, 1, list[0], 0, NOW), list[0]);
}

static void the_avoided_is_never_picked_where_there_is_another(void) {
    for (unsigned n = 2; n <= ENDPOINTS; n++)
        for (unsigned i = 0; i < 1000; i++)
            CU_ASSERT_PTR_NOT_EQUAL(dp_balance_pick(list, n, list[i % n], spread(i), NOW),
                                    list[i % n]);
}

static void random_at_its_ends(void) {
    static const uint64_t ends[] = {0, ~0ull, 0xffffffff, 0xffffffff00000000u};
    for (unsigned n = 2; n <= ENDPOINTS; n++)
        for (size_t i = 0; i < GW_ARRAY_LEN(ends); i++) {
            const struct dp_endpoint *e = dp_balance_pick(list, n, NULL, ends[i], NOW);
            CU_ASSERT(e >= &places[0] && e < &places[n]);
        }
}

static void equals_share_evenly(void) {
    unsigned had[ENDPOINTS] = {0};
    for (unsigned i = 0; i < 40000; i++)
        had[dp_balance_pick(list, ENDPOINTS, NULL, spread(i), NOW) - places]++;
    for (int i = 0; i < ENDPOINTS; i++)
        CU_ASSERT(had[i] > 9500 && had[i] < 10500);
}

// Of two it is always the better, by load, by latency, by their product.
static void the_better_of_two(void) {
    static const struct {
        unsigned active[2], latency_us[2], want;
    } table[] = {
        {{0, 1}, {1000, 1000}, 0}, {{5, 4}, {1000, 1000}, 1},     {{0, 0}, {2000, 1000}, 1},
        {{1, 9}, {4000, 1000}, 0}, {{3, 0}, {1000, 5000}, 0},     {{0, 0}, {0, 2000}, 0},
        {{0, 0}, {0, 900}, 0},     {{0, 0}, {900, 0}, 1},         {{1, 0}, {0, 900}, 1},
        {{0, 1}, {900, 0}, 0},     {{~0u - 1, 0}, {~0u, ~0u}, 1},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        for (int k = 0; k < 2; k++) {
            places[k].active = table[i].active[k];
            places[k].latency_us = table[i].latency_us[k];
        }
        for (unsigned k = 0; k < 20; k++)
            CU_ASSERT_PTR_EQUAL(dp_balance_pick(list, 2, NULL, spread(k), NOW),
                                list[table[i].want]);
    }
}

static void the_worst_of_many_is_never_picked(void) {
    places[2].active = 1;
    for (unsigned i = 0; i < 1000; i++)
        CU_ASSERT_PTR_NOT_EQUAL(dp_balance_pick(list, ENDPOINTS, NULL, spread(i), NOW), list[2]);
}

// --- what is learnt -----------------------------------------------------------------------------

static void requests_under_way_are_counted(void) {
    dp_balance_begin(list[0]);
    dp_balance_begin(list[0]);
    CU_ASSERT_EQUAL(list[0]->active, 2);
    dp_balance_end(list[0], 1000, NOW);
    CU_ASSERT_EQUAL(list[0]->active, 1);
    dp_balance_end(list[0], -1, NOW);
    CU_ASSERT_EQUAL(list[0]->active, 0);
}

static void the_mean_decays(void) {
    static const struct {
        unsigned old;
        int64_t sample;
        unsigned want;
    } table[] = {
        {0, 500, 500},
        {0, 0, 1},
        {1000, 1800, 1100},
        {1000, 200, 900},
        {0, -1, 1000000},
        {0, INT64_MAX, 1000000},
        {1000, -1, 1000 + 124875},
        {1, 0, 1},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        list[0]->latency_us = table[i].old;
        dp_balance_begin(list[0]);
        dp_balance_end(list[0], table[i].sample, NOW);
        CU_ASSERT_EQUAL(list[0]->latency_us, table[i].want);
    }
}

static void a_failing_endpoint_recovers(void) {
    for (int i = 0; i < 200; i++) {
        dp_balance_begin(list[0]);
        dp_balance_end(list[0], i < 100 ? -1 : 1000, NOW);
        if (i == 99) CU_ASSERT(list[0]->latency_us > 900000);
    }
    CU_ASSERT(list[0]->latency_us < 1100);
}

// A mean is believed half as much each second, so one that was slow once is tried again; and one
// good answer then counts for more than what was long ago.
static void an_old_mean_fades(void) {
    places[0].latency_us = 1000000;
    for (int64_t s = 0; s < 12; s++) {
        places[1].sampled_ms = (unsigned)(NOW + s * 1000);
        struct dp_endpoint *want = s < 10 ? list[1] : list[0];
        CU_ASSERT_PTR_EQUAL(dp_balance_pick(list, 2, NULL, 0, NOW + s * 1000), want);
        CU_ASSERT_PTR_EQUAL(dp_balance_pick(list, 2, NULL, ~0ull, NOW + s * 1000), want);
    }
    dp_balance_begin(list[0]);
    dp_balance_end(list[0], 1000, NOW + 12000);
    CU_ASSERT_EQUAL(list[0]->latency_us, 244 + (1000 - 244) / 8);
    CU_ASSERT_EQUAL(list[0]->sampled_ms, NOW + 12000);
    // The clock's milliseconds wrap; a mean that is very old is as good as none.
    places[0] = (struct dp_endpoint){.latency_us = 1000, .sampled_ms = ~0u - 500};
    places[1] = (struct dp_endpoint){.latency_us = 900, .sampled_ms = 0};
    CU_ASSERT_PTR_EQUAL(dp_balance_pick(list, 2, NULL, 0, (1ll << 32) + 400), list[1]);
    CU_ASSERT_PTR_EQUAL(dp_balance_pick(list, 2, NULL, 0, (1ll << 32) + 700), list[0]);
    places[1].latency_us = 1;
    CU_ASSERT_PTR_NOT_NULL(dp_balance_pick(list, 2, NULL, 0, (1ll << 32) + 100 * 1000));
}

#define T(fn)                                                                                      \
    { #fn, fn }
static CU_TestInfo tests[] = {
    T(turns_in_order),
    T(shares_are_exact_at_every_moment),
    T(small_shares_are_spread),
    T(nobody_is_nobody),
    T(the_only_one_is_picked_even_to_be_avoided),
    T(the_avoided_is_never_picked_where_there_is_another),
    T(random_at_its_ends),
    T(equals_share_evenly),
    T(the_better_of_two),
    T(the_worst_of_many_is_never_picked),
    T(requests_under_way_are_counted),
    T(the_mean_decays),
    T(a_failing_endpoint_recovers),
    T(an_old_mean_fades),
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_upstream_balance = {"balance", NULL, NULL, set_up, NULL, tests};
