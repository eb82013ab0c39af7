// SPDX-License-Identifier: Apache-2.0
#include "shared/vec.h"

#include <CUnit/CUnit.h>

static void push_keeps_order_over_growth(void) {
    GW_VEC(int) v = {0};
    for (int i = 0; i < 1000; i++)
        GW_VEC_PUSH(&v, i * 3);
    CU_ASSERT_EQUAL(v.len, 1000);
    CU_ASSERT_TRUE(v.cap >= 1000 && v.cap <= 2000);
    for (int i = 0; i < 1000; i++)
        CU_ASSERT_EQUAL(v.ptr[i], i * 3);
    GW_VEC_FINI(&v);
}

static void fini_leaves_an_empty_usable_array(void) {
    GW_VEC(char) v = {0};
    GW_VEC_FINI(&v);
    GW_VEC_PUSH(&v, 'a');
    GW_VEC_FINI(&v);
    CU_ASSERT_PTR_NULL(v.ptr);
    CU_ASSERT_EQUAL(v.len, 0);
    CU_ASSERT_EQUAL(v.cap, 0);
    GW_VEC_PUSH(&v, 'b');
    CU_ASSERT_EQUAL(v.ptr[0], 'b');
    GW_VEC_FINI(&v);
}

static void pop_gives_the_last(void) {
    GW_VEC(int) v = {0};
    GW_VEC_PUSH(&v, 1);
    GW_VEC_PUSH(&v, 2);
    CU_ASSERT_EQUAL(GW_VEC_POP(&v), 2);
    CU_ASSERT_EQUAL(GW_VEC_POP(&v), 1);
    CU_ASSERT_EQUAL(v.len, 0);
    GW_VEC_FINI(&v);
}

static void remove_keeps_order(void) {
    static const struct {
        size_t at;
        int want[3];
    } cases[] = {{0, {2, 3, 4}}, {1, {1, 3, 4}}, {3, {1, 2, 3}}};
    for (size_t c = 0; c < GW_ARRAY_LEN(cases); c++) {
        GW_VEC(int) v = {0};
        for (int i = 1; i <= 4; i++)
            GW_VEC_PUSH(&v, i);
        GW_VEC_REMOVE(&v, cases[c].at);
        CU_ASSERT_EQUAL(v.len, 3);
        CU_ASSERT_EQUAL(memcmp(v.ptr, cases[c].want, sizeof(cases[c].want)), 0);
        GW_VEC_FINI(&v);
    }
}

static void reserve_makes_room_once(void) {
    struct pair {
        long a, b;
    };
    GW_VEC(struct pair) v = {0};
    GW_VEC_RESERVE(&v, 100);
    CU_ASSERT_EQUAL(v.cap, 100);
    CU_ASSERT_EQUAL(v.len, 0);
    const void *before = v.ptr;
    for (int i = 0; i < 100; i++) {
        GW_VEC_RESERVE(&v, v.len + 1);
        v.ptr[v.len].a = i;
        v.ptr[v.len++].b = -i;
    }
    CU_ASSERT_PTR_EQUAL(v.ptr, before);
    CU_ASSERT_EQUAL(v.ptr[99].b, -99);
    GW_VEC_RESERVE(&v, 50);
    CU_ASSERT_EQUAL(v.cap, 100);
    GW_VEC_FINI(&v);
}

static CU_TestInfo tests[] = {
    {"push keeps order over growth", push_keeps_order_over_growth},
    {"fini leaves an empty usable array", fini_leaves_an_empty_usable_array},
    {"pop gives the last", pop_gives_the_last},
    {"remove keeps order", remove_keeps_order},
    {"reserve makes room once", reserve_makes_room_once},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_shared_vec = {"shared_vec", NULL, NULL, NULL, NULL, tests};
