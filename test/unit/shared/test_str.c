// SPDX-License-Identifier: Apache-2.0
#include "shared/str.h"

#include <CUnit/CUnit.h>
#include <stdlib.h>

#define ASSERT_STR(got, want) CU_ASSERT_TRUE(gw_str_eq((got), gw_str_of(want)))

static void eq_looks_at_length_and_bytes(void) {
    CU_ASSERT_FALSE(gw_str_eq(GW_STR("a"), GW_STR("b")));
    CU_ASSERT_FALSE(gw_str_eq(GW_STR("a"), GW_STR("ab")));
    CU_ASSERT_FALSE(gw_str_eq(GW_STR("a\0b"), GW_STR("a\0c")));
    CU_ASSERT_TRUE(gw_str_eq(GW_STR("a\0b"), GW_STR("a\0b")));
    CU_ASSERT_TRUE(gw_str_eq((struct gw_str){NULL, 0}, GW_STR("")));
    CU_ASSERT_EQUAL(gw_str_of(NULL).len, 0);
}

static void eq_nocase_is_ascii_only(void) {
    CU_ASSERT_FALSE(gw_str_eq_nocase(GW_STR("Host"), GW_STR("Hosts")));
    CU_ASSERT_FALSE(gw_str_eq_nocase(GW_STR("@"), GW_STR("`")));
    CU_ASSERT_FALSE(gw_str_eq_nocase(GW_STR("["), GW_STR("{")));
    CU_ASSERT_FALSE(gw_str_eq_nocase(GW_STR("\xc3\x84"), GW_STR("\xc3\xa4")));
    CU_ASSERT_TRUE(gw_str_eq_nocase(GW_STR("Content-LENGTH"), GW_STR("cONTENT-length")));
}

static void starts_and_ends(void) {
    CU_ASSERT_FALSE(gw_str_starts(GW_STR("ab"), GW_STR("abc")));
    CU_ASSERT_FALSE(gw_str_starts(GW_STR("abc"), GW_STR("b")));
    CU_ASSERT_TRUE(gw_str_starts(GW_STR("abc"), GW_STR("ab")));
    CU_ASSERT_TRUE(gw_str_starts((struct gw_str){NULL, 0}, GW_STR("")));
    CU_ASSERT_FALSE(gw_str_ends(GW_STR("bc"), GW_STR("abc")));
    CU_ASSERT_FALSE(gw_str_ends(GW_STR("abc"), GW_STR("b")));
    CU_ASSERT_TRUE(gw_str_ends(GW_STR("abc"), GW_STR("bc")));
    CU_ASSERT_TRUE(gw_str_ends((struct gw_str){NULL, 0}, GW_STR("")));
}

static void cmp_orders_bytes_as_unsigned(void) {
    CU_ASSERT_TRUE(gw_str_cmp(GW_STR("a"), GW_STR("b")) < 0);
    CU_ASSERT_TRUE(gw_str_cmp(GW_STR("a"), GW_STR("aa")) < 0);
    CU_ASSERT_TRUE(gw_str_cmp(GW_STR("\x80"), GW_STR("\x7f")) > 0);
    CU_ASSERT_TRUE(gw_str_cmp(GW_STR("a"), (struct gw_str){NULL, 0}) > 0);
    CU_ASSERT_EQUAL(gw_str_cmp(GW_STR("ab"), GW_STR("ab")), 0);
}

static void trim_takes_space_and_tab_only(void) {
    ASSERT_STR(gw_str_trim(GW_STR("\r a")), "\r a");
    ASSERT_STR(gw_str_trim(GW_STR(" \t a b\t ")), "a b");
    CU_ASSERT_EQUAL(gw_str_trim(GW_STR(" \t ")).len, 0);
    CU_ASSERT_EQUAL(gw_str_trim((struct gw_str){NULL, 0}).len, 0);
}

static void find_gives_first_or_minus_one(void) {
    CU_ASSERT_EQUAL(gw_str_find(GW_STR("abc"), 'x'), -1);
    CU_ASSERT_EQUAL(gw_str_find((struct gw_str){NULL, 0}, 'x'), -1);
    CU_ASSERT_EQUAL(gw_str_find(GW_STR("abcb"), 'b'), 1);
}

static void cut_walks_all_parts(void) {
    struct gw_str rest = GW_STR("a,,b,");
    const char *want[] = {"a", "", "b", ""};
    size_t n = 0;
    while (rest.ptr && n < 10) {
        struct gw_str part = gw_str_cut(&rest, ',');
        CU_ASSERT_TRUE_FATAL(n < GW_ARRAY_LEN(want));
        ASSERT_STR(part, want[n]);
        n++;
    }
    CU_ASSERT_EQUAL(n, 4);
    CU_ASSERT_EQUAL(gw_str_cut(&rest, ',').len, 0);
}

static void to_u64_refuses(void) {
    const char *bad[] = {"",
                         "-1",
                         "+1",
                         " 1",
                         "1 ",
                         "1x",
                         "0x1",
                         "1.0",
                         "18446744073709551616",
                         "99999999999999999999999"};
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++) {
        uint64_t n = 77;
        CU_ASSERT_EQUAL(gw_str_to_u64(gw_str_of(bad[i]), UINT64_MAX, &n), GW_ERR_INPUT);
        CU_ASSERT_EQUAL(n, 77);
    }
    uint64_t n;
    CU_ASSERT_EQUAL(gw_str_to_u64(GW_STR("65536"), 65535, &n), GW_ERR_INPUT);
    CU_ASSERT_EQUAL(gw_str_to_u64(GW_STR("1\0"), 65535, &n), GW_ERR_INPUT);
}

static void to_u64_takes_up_to_max(void) {
    uint64_t n = 0;
    CU_ASSERT_EQUAL(gw_str_to_u64(GW_STR("18446744073709551615"), UINT64_MAX, &n), GW_OK);
    CU_ASSERT_EQUAL(n, UINT64_MAX);
    CU_ASSERT_EQUAL(gw_str_to_u64(GW_STR("65535"), 65535, &n), GW_OK);
    CU_ASSERT_EQUAL(n, 65535);
    CU_ASSERT_EQUAL(gw_str_to_u64(GW_STR("0007"), 65535, &n), GW_OK);
    CU_ASSERT_EQUAL(n, 7);
}

static void glob_table(void) {
    static const struct {
        const char *pattern, *text;
        bool want;
    } cases[] = {
        {"", "a", false},
        {"a", "", false},
        {"abc", "ab", false},
        {"a*c", "abd", false},
        {"*.md", "a.mdx", false},
        {"a?c", "abc", false},
        {"*ab*ab", "xabyb", false},
        {"", "", true},
        {"*", "", true},
        {"**", "abc", true},
        {"a*", "a", true},
        {"a*c", "abcbc", true},
        {"*b*", "abc", true},
        {"gpt-*", "gpt-4o", true},
        {"*ab*ab", "xababab", true},
        {"a*b*c", "a__b__c", true},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        CU_ASSERT_EQUAL(gw_str_glob(gw_str_of(cases[i].pattern), gw_str_of(cases[i].text)),
                        cases[i].want);
    }
}

static void lower_leaves_other_bytes(void) {
    char text[] = "AZ[@az\xc3\x84-09";
    gw_str_lower(text, strlen(text));
    CU_ASSERT_STRING_EQUAL(text, "az[@az\xc3\x84-09");
}

static void hash_differs_by_length_seed_and_bit(void) {
    unsigned char data[80];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (unsigned char)(i * 7);
    for (size_t n = 0; n <= sizeof(data); n++) {
        uint64_t h = gw_hash(data, n, 1);
        CU_ASSERT_EQUAL(h, gw_hash(data, n, 1));
        CU_ASSERT_NOT_EQUAL(h, gw_hash(data, n, 2));
        if (n) CU_ASSERT_NOT_EQUAL(h, gw_hash(data, n - 1, 1));
        for (size_t bit = 0; bit < 8 * n; bit++) {
            data[bit / 8] ^= (unsigned char)(1u << bit % 8);
            uint64_t other = gw_hash(data, n, 1);
            data[bit / 8] ^= (unsigned char)(1u << bit % 8);
            CU_ASSERT_TRUE(h != other && __builtin_popcountll(h ^ other) > 8);
        }
    }
}

static void hash_spreads_counting_keys(void) {
    enum { BUCKETS = 256, KEYS = 256 * 64 };
    unsigned counts[BUCKETS] = {0};
    for (int i = 0; i < KEYS; i++) {
        char key[16];
        int n = snprintf(key, sizeof(key), "ns/route-%d", i);
        counts[gw_hash(key, (size_t)n, 42) % BUCKETS]++;
    }
    for (int i = 0; i < BUCKETS; i++)
        CU_ASSERT_TRUE(counts[i] > 24 && counts[i] < 128);
}

static void text_grows_and_stays_terminated(void) {
    struct gw_text t = {0};
    for (int i = 0; i < 1000; i++) {
        gw_text_addf(&t, "%d,", i % 10);
        CU_ASSERT_EQUAL(t.ptr[t.len], '\0');
    }
    CU_ASSERT_EQUAL(t.len, 2000);
    CU_ASSERT_EQUAL(strncmp(t.ptr + 1990, "5,6,7,8,9,", 10), 0);
    gw_text_reset(&t);
    CU_ASSERT_EQUAL(t.len, 0);
    gw_text_adds(&t, "again");
    CU_ASSERT_STRING_EQUAL(t.ptr, "again");
    gw_text_fini(&t);
    CU_ASSERT_PTR_NULL(t.ptr);
}

static void text_over_cap_stays_as_it_was(void) {
    struct gw_text t = {.cap_max = 8};
    gw_text_adds(&t, "12345678");
    CU_ASSERT_FALSE(t.failed);
    gw_text_adds(&t, "9");
    CU_ASSERT_TRUE(t.failed);
    CU_ASSERT_STRING_EQUAL(t.ptr, "12345678");
    CU_ASSERT_TRUE(t.cap <= 9);
    gw_text_reset(&t);
    CU_ASSERT_FALSE(t.failed);
    gw_text_addf(&t, "%s", "123456789");
    CU_ASSERT_TRUE(t.failed);
    CU_ASSERT_EQUAL(t.len, 0);
    gw_text_fini(&t);
}

static void text_has_no_hole_after_failure(void) {
    struct gw_text t = {.cap_max = 8};
    gw_text_adds(&t, "12345");
    gw_text_adds(&t, "too long");
    gw_text_adds(&t, "6");
    CU_ASSERT_STRING_EQUAL(t.ptr, "12345");
    gw_text_fini(&t);
}

static void text_json_is_whole_or_absent(void) {
    struct gw_text t = {.cap_max = 10};
    gw_text_adds(&t, "ab");
    gw_text_add_json(&t, GW_STR("plain\n\x01"));
    CU_ASSERT_TRUE(t.failed);
    CU_ASSERT_STRING_EQUAL(t.ptr, "ab");
    gw_text_fini(&t);
}

static const struct {
    const char *name;
    struct gw_str in;
    const char *want;
} json_cases[] = {
    {"empty", {"", 0}, ""},
    {"NUL", {"a\0b", 3}, "a\\u0000b"},
    {"control", {"\x1f\x7f", 2}, "\\u001f\x7f"},
    {"named", {"\r\n\t", 3}, "\\r\\n\\t"},
    {"quote and backslash", {"\"\\/", 3}, "\\\"\\\\/"},
    {"special as eighth byte", {"1234567\"90123456\\", 17}, "1234567\\\"90123456\\\\"},
    {"two to four bytes",
     {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9},
     "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
    {"lone continuation", {"a\x80z", 3}, "a\xef\xbf\xbdz"},
    {"overlong slash", {"\xc0\xaf", 2}, "\xef\xbf\xbd\xef\xbf\xbd"},
    {"surrogate", {"\xed\xa0\x80", 3}, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"over U+10FFFF", {"\xf4\x90\x80\x80", 4}, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"cut character", {"ab\xe2\x82", 4}, "ab\xef\xbf\xbd\xef\xbf\xbd"},
};

static void json_escape_table(void) {
    for (size_t i = 0; i < GW_ARRAY_LEN(json_cases); i++) {
        struct gw_text t = {0};
        gw_text_adds(&t, "<");
        gw_text_add_json(&t, json_cases[i].in);
        CU_ASSERT_STRING_EQUAL(t.ptr + 1, json_cases[i].want);
        gw_text_fini(&t);
        char out[64];
        size_t n = gw_json_escape(out, sizeof(out), json_cases[i].in);
        ASSERT_STR(((struct gw_str){out, n}), json_cases[i].want);
    }
}

// With every cap the output is a prefix of the whole that ends between two escapes.
static void json_escape_cuts_at_whole_escape(void) {
    struct gw_str in = GW_STR("ab\"c\x01\xe2\x82\xac\xff.");
    const size_t ends[] = {0, 1, 2, 4, 5, 11, 14, 17, 18};
    char whole[64], out[64];
    size_t whole_len = gw_json_escape(whole, sizeof(whole), in);
    CU_ASSERT_EQUAL(whole_len, 18);
    for (size_t cap = 0; cap <= 20; cap++) {
        size_t want = 0;
        for (size_t i = 0; i < GW_ARRAY_LEN(ends) && ends[i] <= cap; i++)
            want = ends[i];
        CU_ASSERT_EQUAL(gw_json_escape(out, cap, in), want);
        CU_ASSERT_EQUAL(memcmp(out, whole, want), 0);
    }
}

static void json_escape_some_tells_the_rest(void) {
    struct gw_str in = GW_STR("abc\ndef");
    char out[8];
    CU_ASSERT_EQUAL(gw_json_escape_some(out, 4, &in), 3);
    ASSERT_STR(in, "\ndef");
    CU_ASSERT_EQUAL(gw_json_escape_some(out, sizeof(out), &in), 5);
    CU_ASSERT_EQUAL(in.len, 0);
}

static void utf8_char_lengths(void) {
    static const struct {
        struct gw_str in;
        size_t want;
    } cases[] = {
        {{"", 0}, 0},
        {{"\x80", 1}, 0},
        {{"\xc1\xbf", 2}, 0},
        {{"\xe0\x9f\xbf", 3}, 0},
        {{"\xed\xbf\xbf", 3}, 0},
        {{"\xf0\x8f\xbf\xbf", 4}, 0},
        {{"\xf5\x80\x80\x80", 4}, 0},
        {{"\xe2\x82", 2}, 0},
        {{"\xe2\x82z", 3}, 0},
        {{"a", 1}, 1},
        {{"\xc2\x80", 2}, 2},
        {{"\xe0\xa0\x80", 3}, 3},
        {{"\xed\x9f\xbf", 3}, 3},
        {{"\xf4\x8f\xbf\xbf", 4}, 4},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++)
        CU_ASSERT_EQUAL(gw_utf8_char(cases[i].in), cases[i].want);
}

static void duration_refuses(void) {
    const char *bad[] = {"",    "1",   "h",    "-1s",  "+1s", "1.5h",    "1d",
                         "1us", "1 s", " 1s",  "1s ",  "1S",  "100000s", "1h2m3s4ms5s",
                         "1hh", "1h2", "1s\n", "0x1s", "1m1", "PT1H"};
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++) {
        uint64_t ms = 77;
        struct gw_err err = {0};
        CU_ASSERT_EQUAL(gw_duration_ms(gw_str_of(bad[i]), &ms, &err), GW_ERR_INPUT);
        CU_ASSERT_EQUAL(ms, 77);
        CU_ASSERT_EQUAL(err.rc, GW_ERR_INPUT);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "is not a duration"));
    }
    CU_ASSERT_EQUAL(gw_duration_ms((struct gw_str){NULL, 0}, &(uint64_t){0}, NULL), GW_ERR_INPUT);
}

static void duration_takes(void) {
    static const struct {
        const char *in;
        uint64_t want;
    } cases[] = {
        {"0s", 0},
        {"0h", 0},
        {"500ms", 500},
        {"1m", 60000},
        {"1m1ms", 60001},
        {"1h30m", 5400000},
        {"10s30m1h", 5410000},
        {"1h1h", 7200000},
        {"99999h", UINT64_C(359996400000)},
        {"00001s", 1000},
        {"1h2m3s4ms", 3723004},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        uint64_t ms = 77;
        CU_ASSERT_EQUAL(gw_duration_ms(gw_str_of(cases[i].in), &ms, NULL), GW_OK);
        CU_ASSERT_EQUAL(ms, cases[i].want);
    }
}

static void addresses(void) {
    static const struct {
        const char *text;
        bool want;
    } table[] = {
        {"", false},          {"1.2.3", false}, {"1.2.3.4.5", false}, {"[::1]", false},
        {"localhost", false}, {"::1", true},    {"10.0.0.1", true},   {"2001:db8::5", true},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++)
        CU_ASSERT_EQUAL(gw_str_is_ip(gw_str_of(table[i].text)), table[i].want);
}

static CU_TestInfo tests[] = {
    {"eq looks at length and bytes", eq_looks_at_length_and_bytes},
    {"eq_nocase is ASCII only", eq_nocase_is_ascii_only},
    {"starts and ends", starts_and_ends},
    {"cmp orders bytes as unsigned", cmp_orders_bytes_as_unsigned},
    {"trim takes space and tab only", trim_takes_space_and_tab_only},
    {"find gives first or -1", find_gives_first_or_minus_one},
    {"cut walks all parts", cut_walks_all_parts},
    {"to_u64 refuses", to_u64_refuses},
    {"to_u64 takes up to max", to_u64_takes_up_to_max},
    {"glob", glob_table},
    {"lower leaves other bytes", lower_leaves_other_bytes},
    {"hash differs by length, seed and bit", hash_differs_by_length_seed_and_bit},
    {"hash spreads counting keys", hash_spreads_counting_keys},
    {"text grows and stays terminated", text_grows_and_stays_terminated},
    {"text over cap stays as it was", text_over_cap_stays_as_it_was},
    {"text has no hole after a failure", text_has_no_hole_after_failure},
    {"text: JSON is whole or absent", text_json_is_whole_or_absent},
    {"JSON escapes", json_escape_table},
    {"JSON escape cuts at a whole escape", json_escape_cuts_at_whole_escape},
    {"JSON escape tells the rest", json_escape_some_tells_the_rest},
    {"UTF-8 character lengths", utf8_char_lengths},
    {"duration refuses", duration_refuses},
    {"duration takes", duration_takes},
    {"addresses", addresses},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_shared_str = {"shared_str", NULL, NULL, NULL, NULL, tests};
