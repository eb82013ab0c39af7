// SPDX-License-Identifier: Apache-2.0
// Field names and lists.
#include "dataplane/dp_types.h"

#include <CUnit/CUnit.h>

extern CU_SuiteInfo suite_dataplane_dp_types;

static const struct {
    const char *name;
    enum dp_field_id id;
} known[] = {
    {"accept-encoding", DP_F_ACCEPT_ENCODING},
    {"authorization", DP_F_AUTHORIZATION},
    {"connection", DP_F_CONNECTION},
    {"content-encoding", DP_F_CONTENT_ENCODING},
    {"content-length", DP_F_CONTENT_LENGTH},
    {"content-type", DP_F_CONTENT_TYPE},
    {"date", DP_F_DATE},
    {"expect", DP_F_EXPECT},
    {"host", DP_F_HOST},
    {"http2-settings", DP_F_HTTP2_SETTINGS},
    {"keep-alive", DP_F_KEEP_ALIVE},
    {"proxy-authenticate", DP_F_PROXY_AUTHENTICATE},
    {"proxy-authorization", DP_F_PROXY_AUTHORIZATION},
    {"proxy-connection", DP_F_PROXY_CONNECTION},
    {"retry-after", DP_F_RETRY_AFTER},
    {"te", DP_F_TE},
    {"trailer", DP_F_TRAILER},
    {"transfer-encoding", DP_F_TRANSFER_ENCODING},
    {"upgrade", DP_F_UPGRADE},
    {"user-agent", DP_F_USER_AGENT},
    {"via", DP_F_VIA},
    {"x-forwarded-for", DP_F_X_FORWARDED_FOR},
    {"x-forwarded-host", DP_F_X_FORWARDED_HOST},
    {"x-forwarded-proto", DP_F_X_FORWARDED_PROTO},
    {"x-request-id", DP_F_X_REQUEST_ID},
};

static void every_id_has_its_name(void) {
    CU_ASSERT_EQUAL(GW_ARRAY_LEN(known), DP_F_COUNT - 1);
    for (size_t i = 0; i < GW_ARRAY_LEN(known); i++)
        CU_ASSERT_EQUAL(dp_field_id_of(gw_str_of(known[i].name)), known[i].id);
}

static void names_match_in_any_case(void) {
    CU_ASSERT_EQUAL(dp_field_id_of(GW_STR("HTTP2-Settings")), DP_F_HTTP2_SETTINGS);
    CU_ASSERT_EQUAL(dp_field_id_of(GW_STR("X-FORWARDED-FOR")), DP_F_X_FORWARDED_FOR);
    CU_ASSERT_EQUAL(dp_field_id_of(GW_STR("tE")), DP_F_TE);
    CU_ASSERT_EQUAL(dp_field_id_of(GW_STR("Via")), DP_F_VIA);
    CU_ASSERT_EQUAL(dp_field_id_of(GW_STR("hOST")), DP_F_HOST);
}

// One changed byte anywhere, also by the bit that tells cases apart, makes another name.
static void a_changed_byte_is_another_name(void) {
    for (size_t i = 0; i < GW_ARRAY_LEN(known); i++) {
        char name[32];
        size_t n = strlen(known[i].name);
        for (size_t at = 0; at < n; at++) {
            for (unsigned bit = 0; bit < 8; bit++) {
                memcpy(name, known[i].name, n);
                name[at] = (char)(name[at] ^ (1u << bit));
                bool is_letter = known[i].name[at] >= 'a' && known[i].name[at] <= 'z';
                enum dp_field_id want = bit == 5 && is_letter ? known[i].id : DP_F_OTHER;
                if (dp_field_id_of((struct gw_str){name, n}) != want) {
                    CU_FAIL("wrong id");
                    printf("\n%.*s\n", (int)n, name);
                }
            }
        }
        CU_ASSERT_EQUAL(dp_field_id_of((struct gw_str){known[i].name, n - 1}), DP_F_OTHER);
    }
    CU_ASSERT_EQUAL(dp_field_id_of((struct gw_str){NULL, 0}), DP_F_OTHER);
    CU_ASSERT_EQUAL(dp_field_id_of(GW_STR("x-a-name-longer-than-any-known")), DP_F_OTHER);
}

static void add(struct dp_fields *f, struct gw_arena *a, const char *name, const char *value) {
    CU_ASSERT_EQUAL(dp_fields_add(f, a, gw_str_of(name), gw_str_of(value)), GW_OK);
}

static void find_gives_the_first(void) {
    struct gw_arena a = {0};
    struct dp_fields f = {0};
    CU_ASSERT_PTR_NULL(dp_fields_find(&f, DP_F_VIA));
    CU_ASSERT_PTR_NULL(dp_fields_find_name(&f, GW_STR("x")));
    add(&f, &a, "X-A", "1");
    add(&f, &a, "via", "2");
    add(&f, &a, "x-a", "3");
    add(&f, &a, "Via", "4");
    struct dp_field *found = dp_fields_find_name(&f, GW_STR("x-A"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(found);
    CU_ASSERT(gw_str_eq(found->value, GW_STR("1")));
    found = dp_fields_find(&f, DP_F_VIA);
    CU_ASSERT_PTR_NOT_NULL_FATAL(found);
    CU_ASSERT(gw_str_eq(found->value, GW_STR("2")));
    CU_ASSERT_PTR_EQUAL(dp_fields_find_name(&f, GW_STR("VIA")), found);
    gw_arena_fini(&a);
}

static void remove_takes_every_one_and_keeps_order(void) {
    struct gw_arena a = {0};
    struct dp_fields f = {0};
    CU_ASSERT_EQUAL(dp_fields_remove(&f, GW_STR("x-a")), 0);
    const char *const names[] = {"x-a", "b", "X-A", "via", "c", "VIA", "x-A"};
    for (size_t i = 0; i < GW_ARRAY_LEN(names); i++)
        add(&f, &a, names[i], "v");
    CU_ASSERT_EQUAL(dp_fields_remove(&f, GW_STR("X-a")), 3);
    CU_ASSERT_EQUAL(dp_fields_remove_id(&f, DP_F_VIA), 2);
    CU_ASSERT_EQUAL_FATAL(f.len, 2);
    CU_ASSERT(gw_str_eq(f.ptr[0].name, GW_STR("b")));
    CU_ASSERT(gw_str_eq(f.ptr[1].name, GW_STR("c")));
    gw_arena_fini(&a);
}

static void add_stops_at_the_arenas_cap(void) {
    struct gw_arena a;
    struct dp_fields f = {0};
    gw_arena_init(&a, NULL, 0, 2048);
    unsigned n = 0;
    while (n < 1000 && dp_fields_add(&f, &a, GW_STR("n"), GW_STR("v")) == GW_OK)
        n++;
    CU_ASSERT(n >= 8 && n < 1000);
    CU_ASSERT_EQUAL(f.len, n);
    gw_arena_fini(&a);
}

static CU_TestInfo tests[] = {
    {"a changed byte is another name", a_changed_byte_is_another_name},
    {"add stops at the arena's cap", add_stops_at_the_arenas_cap},
    {"every id has its name", every_id_has_its_name},
    {"names match in any case", names_match_in_any_case},
    {"find gives the first", find_gives_the_first},
    {"remove takes every one and keeps order", remove_takes_every_one_and_keeps_order},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_dp_types = {"dp_types", NULL, NULL, NULL, NULL, tests};
