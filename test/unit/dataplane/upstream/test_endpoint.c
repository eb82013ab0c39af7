// SPDX-License-Identifier: Apache-2.0
#include "dataplane/upstream/endpoint.h"

#include <CUnit/CUnit.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>

static void equal_places_are_one_endpoint(void) {
    struct dp_endpoint *a = dp_endpoint_intern(GW_STR("10.0.0.1"), 80, false);
    struct dp_endpoint *b = dp_endpoint_intern(GW_STR("10.0.0.1"), 80, false);
    CU_ASSERT_PTR_EQUAL(a, b);
    CU_ASSERT_EQUAL(a->refs, 2);
    CU_ASSERT_EQUAL(a->conf_refs, 2);
    dp_endpoint_conf_unref(a);
    CU_ASSERT_EQUAL(b->refs, 1);
    CU_ASSERT_EQUAL(b->conf_refs, 1);
    dp_endpoint_conf_unref(b);
}

static void different_places_are_different(void) {
    struct dp_endpoint *e[] = {
        dp_endpoint_intern(GW_STR("10.0.0.1"), 80, false),
        dp_endpoint_intern(GW_STR("10.0.0.1"), 81, false),
        dp_endpoint_intern(GW_STR("10.0.0.1"), 80, true),
        dp_endpoint_intern(GW_STR("10.0.0.18"), 0, false), // "10.0.0.1" "80" run together
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(e); i++)
        for (size_t k = i + 1; k < GW_ARRAY_LEN(e); k++)
            CU_ASSERT_PTR_NOT_EQUAL(e[i], e[k]);
    for (size_t i = 0; i < GW_ARRAY_LEN(e); i++)
        dp_endpoint_conf_unref(e[i]);
}

static void hosts_are_told_apart(void) {
    static const struct {
        struct gw_str host;
        bool named;
        int family;
        const char *own, *label;
    } table[] = {
        {GW_STR("127.0.0.1"), false, AF_INET, "127.0.0.1", "127.0.0.1:8080"},
        {GW_STR("::1"), false, AF_INET6, "::1", "[::1]:8080"},
        {GW_STR("[2001:DB8::1]"), false, AF_INET6, "2001:db8::1", "[2001:db8::1]:8080"},
        {GW_STR("Web.Default.svc"), true, 0, "web.default.svc", "web.default.svc:8080"},
        {GW_STR("127.0.0.1.example"), true, 0, "127.0.0.1.example", "127.0.0.1.example:8080"},
        {GW_STR("999.0.0.1"), true, 0, "999.0.0.1", "999.0.0.1:8080"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct dp_endpoint *e = dp_endpoint_intern(table[i].host, 8080, false);
        CU_ASSERT_EQUAL(e->named, table[i].named);
        CU_ASSERT_EQUAL(e->addr.ss_family, table[i].family);
        CU_ASSERT_EQUAL(e->addr_len > 0, !table[i].named);
        CU_ASSERT_STRING_EQUAL(e->host, table[i].own);
        CU_ASSERT(gw_str_eq(e->label, gw_str_of(table[i].label)));
        CU_ASSERT_NOT_EQUAL(e->requests, 0);
        CU_ASSERT_NOT_EQUAL(e->requests, e->failures);
        dp_endpoint_conf_unref(e);
    }
}

static void the_port_is_in_the_address(void) {
    struct dp_endpoint *e = dp_endpoint_intern(GW_STR("127.0.0.1"), 9001, false);
    const struct sockaddr_in *in = (const struct sockaddr_in *)&e->addr;
    CU_ASSERT_EQUAL(ntohs(in->sin_port), 9001);
    CU_ASSERT_EQUAL(ntohl(in->sin_addr.s_addr), INADDR_LOOPBACK);
    dp_endpoint_conf_unref(e);
}

// A request under way keeps it, a new config finds it with its load.
static void it_outlives_its_configs(void) {
    struct dp_endpoint *e = dp_endpoint_intern(GW_STR("10.0.0.2"), 80, false);
    dp_endpoint_ref(e);
    e->active = 3;
    dp_endpoint_conf_unref(e);
    CU_ASSERT_EQUAL(e->conf_refs, 0);
    struct dp_endpoint *again = dp_endpoint_intern(GW_STR("10.0.0.2"), 80, false);
    CU_ASSERT_PTR_EQUAL(again, e);
    CU_ASSERT_EQUAL(again->active, 3);
    CU_ASSERT_EQUAL(again->conf_refs, 1);
    dp_endpoint_conf_unref(again);
    dp_endpoint_unref(e);
    again = dp_endpoint_intern(GW_STR("10.0.0.2"), 80, false);
    CU_ASSERT_EQUAL(again->active, 0);
    CU_ASSERT_EQUAL(again->refs, 1);
    dp_endpoint_conf_unref(again);
    dp_endpoint_unref(NULL);
    dp_endpoint_conf_unref(NULL);
}

static void *come_and_go(void *arg) {
    (void)arg;
    for (int i = 0; i < 5000; i++) {
        struct dp_endpoint *e = dp_endpoint_intern(GW_STR("10.0.0.3"), 80, false);
        struct dp_endpoint *held = dp_endpoint_ref(e);
        dp_endpoint_conf_unref(e);
        if (strcmp(held->host, "10.0.0.3") != 0) return held;
        dp_endpoint_unref(held);
    }
    return NULL;
}

static void threads_come_and_go(void) {
    pthread_t t[4];
    for (size_t i = 0; i < GW_ARRAY_LEN(t); i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&t[i], NULL, come_and_go, NULL), 0);
    for (size_t i = 0; i < GW_ARRAY_LEN(t); i++) {
        void *wrong = NULL;
        pthread_join(t[i], &wrong);
        CU_ASSERT_PTR_NULL(wrong);
    }
    struct dp_endpoint *e = dp_endpoint_intern(GW_STR("10.0.0.3"), 80, false);
    CU_ASSERT_EQUAL(e->refs, 1);
    dp_endpoint_conf_unref(e);
}

static CU_TestInfo tests[] = {
    {"equal_places_are_one_endpoint", equal_places_are_one_endpoint},
    {"different_places_are_different", different_places_are_different},
    {"hosts_are_told_apart", hosts_are_told_apart},
    {"the_port_is_in_the_address", the_port_is_in_the_address},
    {"it_outlives_its_configs", it_outlives_its_configs},
    {"threads_come_and_go", threads_come_and_go},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_upstream_endpoint = {"endpoint", NULL, NULL, NULL, NULL, tests};
