// SPDX-License-Identifier: Apache-2.0
#include "shared/map.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>

static struct gw_str number_key(char buf[24], int i) {
    return (struct gw_str){buf, (size_t)snprintf(buf, 24, "key-%d", i)};
}

static void *number_value(int i) {
    return (void *)(uintptr_t)(i + 1);
}

static void empty_map_answers(void) {
    struct gw_map m = {0};
    size_t it = 0;
    CU_ASSERT_PTR_NULL(gw_map_get(&m, GW_STR("a")));
    CU_ASSERT_PTR_NULL(gw_map_del(&m, GW_STR("a")));
    CU_ASSERT_FALSE(gw_map_next(&m, &it, NULL, NULL));
    free(gw_map_sorted_keys(&m));
    gw_map_fini(&m, NULL);
    gw_map_fini(NULL, NULL);
}

static void put_replaces_and_tells_the_old(void) {
    struct gw_map m = {0};
    int a, b;
    CU_ASSERT_PTR_NULL(gw_map_put(&m, GW_STR("k"), &a));
    CU_ASSERT_PTR_EQUAL(gw_map_put(&m, GW_STR("k"), &b), &a);
    CU_ASSERT_PTR_EQUAL(gw_map_get(&m, GW_STR("k")), &b);
    CU_ASSERT_EQUAL(m.len, 1);
    gw_map_fini(&m, NULL);
    CU_ASSERT_EQUAL(m.len, 0);
}

static void keys_are_bytes_and_copied(void) {
    struct gw_map m = {0};
    int a, b, c;
    char key[] = "abc";
    gw_map_put(&m, (struct gw_str){key, 3}, &a);
    key[0] = 'x';
    gw_map_put(&m, GW_STR("a\0b"), &b);
    gw_map_put(&m, (struct gw_str){NULL, 0}, &c);
    CU_ASSERT_PTR_EQUAL(gw_map_get(&m, GW_STR("abc")), &a);
    CU_ASSERT_PTR_NULL(gw_map_get(&m, GW_STR("xbc")));
    CU_ASSERT_PTR_EQUAL(gw_map_get(&m, GW_STR("a\0b")), &b);
    CU_ASSERT_PTR_NULL(gw_map_get(&m, GW_STR("a\0c")));
    CU_ASSERT_PTR_NULL(gw_map_get(&m, GW_STR("a")));
    CU_ASSERT_PTR_EQUAL(gw_map_get(&m, GW_STR("")), &c);
    gw_map_fini(&m, NULL);
}

static void many_keys_survive_growth(void) {
    struct gw_map m = {0};
    char buf[24];
    enum { KEYS = 20000 };
    for (int i = 0; i < KEYS; i++)
        CU_ASSERT_PTR_NULL_FATAL(gw_map_put(&m, number_key(buf, i), number_value(i)));
    CU_ASSERT_EQUAL(m.len, KEYS);
    for (int i = 0; i < KEYS; i++)
        CU_ASSERT_PTR_EQUAL_FATAL(gw_map_get(&m, number_key(buf, i)), number_value(i));
    CU_ASSERT_PTR_NULL(gw_map_get(&m, number_key(buf, KEYS)));
    gw_map_fini(&m, NULL);
}

static void deleted_keys_are_gone_and_come_back(void) {
    struct gw_map m = {0};
    char buf[24];
    for (int i = 0; i < 1000; i++)
        gw_map_put(&m, number_key(buf, i), number_value(i));
    for (int i = 0; i < 1000; i += 2)
        CU_ASSERT_PTR_EQUAL(gw_map_del(&m, number_key(buf, i)), number_value(i));
    CU_ASSERT_EQUAL(m.len, 500);
    for (int i = 0; i < 1000; i++) {
        CU_ASSERT_PTR_EQUAL(gw_map_get(&m, number_key(buf, i)), i % 2 ? number_value(i) : NULL);
    }
    CU_ASSERT_PTR_NULL(gw_map_del(&m, number_key(buf, 0)));
    gw_map_put(&m, number_key(buf, 0), number_value(5));
    CU_ASSERT_PTR_EQUAL(gw_map_get(&m, number_key(buf, 0)), number_value(5));
    gw_map_fini(&m, NULL);
}

static void coming_and_going_does_not_grow(void) {
    struct gw_map m = {0};
    char buf[24];
    for (int i = 0; i < 100000; i++) {
        gw_map_put(&m, number_key(buf, i), number_value(i));
        if (i >= 10) gw_map_del(&m, number_key(buf, i - 10));
    }
    CU_ASSERT_EQUAL(m.len, 10);
    CU_ASSERT_TRUE(m.cap <= 64);
    // Marks of deleted keys go when the table is built anew.
    CU_ASSERT_TRUE(m.used < m.cap);
    gw_map_fini(&m, NULL);
}

static void iteration_sees_each_once_and_may_delete(void) {
    struct gw_map m = {0};
    char buf[24];
    enum { KEYS = 300 };
    for (int i = 0; i < KEYS; i++)
        gw_map_put(&m, number_key(buf, i), number_value(i));
    unsigned seen[KEYS] = {0};
    size_t it = 0, n = 0;
    struct gw_str key;
    void *value;
    while (gw_map_next(&m, &it, &key, &value)) {
        size_t i = (uintptr_t)value - 1;
        CU_ASSERT_TRUE_FATAL(i < KEYS);
        CU_ASSERT_TRUE(gw_str_eq(key, number_key(buf, (int)i)));
        seen[i]++;
        n++;
        if (i % 3 == 0) CU_ASSERT_PTR_EQUAL(gw_map_del(&m, key), value);
    }
    CU_ASSERT_EQUAL(n, KEYS);
    for (int i = 0; i < KEYS; i++)
        CU_ASSERT_EQUAL(seen[i], 1);
    CU_ASSERT_EQUAL(m.len, 200);
    gw_map_fini(&m, NULL);
}

static void sorted_keys_are_bytewise(void) {
    struct gw_map m = {0};
    int v;
    const char *want[] = {"B", "a", "a/b", "ab", "b", "\xc3\xa4"};
    const char *in[] = {"ab", "\xc3\xa4", "B", "b", "a", "a/b", "gone"};
    for (size_t i = 0; i < GW_ARRAY_LEN(in); i++)
        gw_map_put(&m, gw_str_of(in[i]), &v);
    gw_map_del(&m, GW_STR("gone"));
    struct gw_str *keys = gw_map_sorted_keys(&m);
    CU_ASSERT_EQUAL_FATAL(m.len, GW_ARRAY_LEN(want));
    for (size_t i = 0; i < m.len; i++)
        CU_ASSERT_TRUE(gw_str_eq(keys[i], gw_str_of(want[i])));
    free(keys);
    gw_map_fini(&m, NULL);
}

static unsigned freed;
static void count_free(void *value) {
    freed++;
    free(value);
}

static void fini_frees_values_that_are_left(void) {
    struct gw_map m = {0};
    char buf[24];
    freed = 0;
    for (int i = 0; i < 50; i++)
        gw_map_put(&m, number_key(buf, i), gw_alloc(8));
    free(gw_map_del(&m, number_key(buf, 7)));
    gw_map_fini(&m, count_free);
    CU_ASSERT_EQUAL(freed, 49);
    gw_map_put(&m, GW_STR("again"), &freed);
    CU_ASSERT_EQUAL(m.len, 1);
    gw_map_fini(&m, NULL);
}

static CU_TestInfo tests[] = {
    {"empty map answers", empty_map_answers},
    {"put replaces and tells the old", put_replaces_and_tells_the_old},
    {"keys are bytes and copied", keys_are_bytes_and_copied},
    {"many keys survive growth", many_keys_survive_growth},
    {"deleted keys are gone and come back", deleted_keys_are_gone_and_come_back},
    {"coming and going does not grow", coming_and_going_does_not_grow},
    {"iteration sees each once and may delete", iteration_sees_each_once_and_may_delete},
    {"sorted keys are bytewise", sorted_keys_are_bytewise},
    {"fini frees values that are left", fini_frees_values_that_are_left},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_shared_map = {"shared_map", NULL, NULL, NULL, NULL, tests};
