// SPDX-License-Identifier: Apache-2.0
#include "shared/json.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>

static json_t *load(const char *text) {
    struct gw_err err = {0};
    json_t *v = gw_json_load(gw_str_of(text), 1 << 20, 0, &err);
    if (!v) fprintf(stderr, "\n%s: %s\n", text, err.text);
    return v;
}

// --- readers ------------------------------------------------------------------------------------

static void readers_give_defaults_for_what_is_absent(void) {
    CU_ASSERT_PTR_NULL(gw_json_str(NULL, "a").ptr);
    CU_ASSERT_PTR_NULL(gw_json_str_of(NULL).ptr);
    CU_ASSERT_EQUAL(gw_json_int(NULL, "a", 7), 7);
    CU_ASSERT_TRUE(gw_json_bool(NULL, "a", true));
    CU_ASSERT_PTR_NULL(gw_json_get(NULL, "a"));
    CU_ASSERT_PTR_NULL(gw_json_path(NULL, "a.b"));
    GW_JSON_AUTO null = load("{\"a\":null}");
    CU_ASSERT_PTR_NULL(gw_json_get(null, "a"));
    CU_ASSERT_PTR_NULL(gw_json_path(null, "a"));
    GW_JSON_AUTO list = load("[1]");
    CU_ASSERT_PTR_NULL(gw_json_get(list, "a"));
    CU_ASSERT_PTR_NULL(gw_json_path(list, "a"));
    GW_JSON_AUTO obj = load("{\"s\":1,\"i\":\"1\",\"b\":0}");
    CU_ASSERT_PTR_NULL(gw_json_str(obj, "s").ptr);
    CU_ASSERT_EQUAL(gw_json_str(obj, "s").len, 0);
    CU_ASSERT_EQUAL(gw_json_int(obj, "i", -3), -3);
    CU_ASSERT_FALSE(gw_json_bool(obj, "b", false));
    CU_ASSERT_TRUE(gw_json_bool(obj, "b", true));
}

static void readers_give_what_is_there(void) {
    GW_JSON_AUTO obj = load("{\"s\":\"a\\u0000b\",\"i\":-5,\"t\":true,\"f\":false,\"e\":\"\"}");
    CU_ASSERT_TRUE(gw_str_eq(gw_json_str(obj, "s"), GW_STR("a\0b")));
    CU_ASSERT_PTR_NOT_NULL(gw_json_str(obj, "e").ptr);
    CU_ASSERT_EQUAL(gw_json_str(obj, "e").len, 0);
    CU_ASSERT_EQUAL(gw_json_int(obj, "i", 0), -5);
    CU_ASSERT_TRUE(gw_json_bool(obj, "t", false));
    CU_ASSERT_FALSE(gw_json_bool(obj, "f", true));
}

static void path_follows_members(void) {
    GW_JSON_AUTO obj = load("{\"metadata\":{\"name\":\"x\",\"labels\":{\"a\":1}},\"list\":[1]}");
    CU_ASSERT_TRUE(gw_str_eq(gw_json_str_of(gw_json_path(obj, "metadata.name")), GW_STR("x")));
    CU_ASSERT_TRUE(json_is_integer(gw_json_path(obj, "metadata.labels.a")));
    CU_ASSERT_PTR_NULL(gw_json_path(obj, "metadata.none"));
    CU_ASSERT_PTR_NULL(gw_json_path(obj, "metadata.name.more"));
    CU_ASSERT_PTR_NULL(gw_json_path(obj, "list.0"));
    char longer[400];
    memset(longer, 'a', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = 0;
    CU_ASSERT_PTR_NULL(gw_json_path(obj, longer));
}

// --- loading ------------------------------------------------------------------------------------

static void load_refuses(void) {
    static const struct {
        const char *text;
        size_t bytes_max;
        unsigned depth_max;
        enum gw_rc rc;
        const char *says;
    } table[] = {
        {"{\"a\":1}", 6, 0, GW_ERR_LIMIT, "JSON of 7 bytes is larger than 6"},
        {"[[[1]]]", 100, 2, GW_ERR_INPUT, "JSON is nested more than 2 deep at byte 2"},
        {"{\"a\":1,\"a\":2}", 100, 0, GW_ERR_INPUT, "line 1: a member occurs twice"},
        {"{\"a\":1}\n{}", 100, 0, GW_ERR_INPUT, "something follows the JSON text at byte 8"},
        {"[\n1e999]", 100, 0, GW_ERR_INPUT, "line 2: a number is too large"},
        {"{\"a\\u0000\":1}", 100, 0, GW_ERR_INPUT, "line 1: a member's name holds \\u0000"},
        {"[\"\\ud800\"]", 100, 0, GW_ERR_INPUT, "line 1: a string holds half of a surrogate pair"},
        {"", 100, 0, GW_ERR_INPUT, "JSON ends too early at byte 0"},
        {"{", 100, 0, GW_ERR_INPUT, "JSON ends too early at byte 1"},
        {"nope", 100, 0, GW_ERR_INPUT, "unexpected character in JSON at byte 1"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct gw_err err = {0};
        CU_ASSERT_PTR_NULL(
            gw_json_load(gw_str_of(table[i].text), table[i].bytes_max, table[i].depth_max, &err));
        CU_ASSERT_EQUAL(err.rc, table[i].rc);
        CU_ASSERT_STRING_EQUAL(err.text, table[i].says);
    }
}

static void load_takes_text_at_its_caps(void) {
    struct gw_err err = {0};
    GW_JSON_AUTO v = gw_json_load(GW_STR("[[1]]"), 5, 2, &err);
    CU_ASSERT_TRUE(json_is_array(v));
    GW_JSON_AUTO scalar = gw_json_load(GW_STR(" 12 "), 5, 0, &err);
    CU_ASSERT_TRUE(json_is_integer(scalar));
}

static void canonical_is_the_same_for_equal_trees(void) {
    static const struct {
        const char *a, *b, *want;
    } table[] = {
        {"{\"b\":1,\"a\":[1, 2]}", " {\"a\": [1,2], \"b\": 1} ", "{\"a\":[1,2],\"b\":1}"},
        {"\"\\u0061\\/\"", "\"a/\"", "\"a/\""},
        {"{\"x\":{\"d\":null,\"c\":true}}", "{\"x\":{\"c\":true,\"d\":null}}",
         "{\"x\":{\"c\":true,\"d\":null}}"},
        {"\"\\u00e9\"", "\"\xc3\xa9\"", "\"\xc3\xa9\""},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        GW_JSON_AUTO a = load(table[i].a);
        GW_JSON_AUTO b = load(table[i].b);
        size_t a_len, b_len;
        char *a_text = gw_json_canonical(a, &a_len), *b_text = gw_json_canonical(b, &b_len);
        CU_ASSERT_STRING_EQUAL(a_text, table[i].want);
        CU_ASSERT_STRING_EQUAL(b_text, table[i].want);
        CU_ASSERT_EQUAL(a_len, strlen(table[i].want));
        CU_ASSERT_EQUAL(b_len, a_len);
        free(a_text);
        free(b_text);
    }
}

// --- escapes and numbers ------------------------------------------------------------------------

static void unescape_refuses(void) {
    static const char *const table[] = {
        "\\",     "a\\",     "\\x",     "\\u",     "\\u1", "\\u12",
        "\\u123", "\\u123g", "\\u 123", "\\U0041", "\\'",  "\\0",
    };
    char out[64];
    size_t n;
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++)
        CU_ASSERT_FALSE(gw_json_unescape(gw_str_of(table[i]), out, sizeof(out), &n));
    CU_ASSERT_FALSE(gw_json_unescape(GW_STR("\\\0"), out, sizeof(out), &n));
    CU_ASSERT_FALSE(gw_json_unescape(GW_STR("abc"), out, 2, &n));
    CU_ASSERT_FALSE(gw_json_unescape(GW_STR("ab\\u00e9"), out, 3, &n));
}

static void unescape_gives_bytes(void) {
    static const struct {
        struct gw_str in, want;
    } table[] = {
        {{"", 0}, {"", 0}},
        {{"plain", 5}, {"plain", 5}},
        {{"\\\"\\\\\\/\\b\\f\\n\\r\\t", 16}, {"\"\\/\b\f\n\r\t", 8}},
        {{"\\u0041\\u00e9\\u4e2d", 18}, {"A\xc3\xa9\xe4\xb8\xad", 6}},
        {{"\\u0000", 6}, {"\0", 1}},
        {{"\\ud83d\\ude00", 12}, {"\xf0\x9f\x98\x80", 4}},
        {{"\\uD83D\\uDE00!", 13}, {"\xf0\x9f\x98\x80!", 5}},
        {{"\\ud83d", 6}, {"\xef\xbf\xbd", 3}},
        {{"\\ud83dx", 7}, {"\xef\xbf\xbdx", 4}},
        {{"\\ude00", 6}, {"\xef\xbf\xbd", 3}},
        {{"\\ud83d\\ud83d\\ude00", 18}, {"\xef\xbf\xbd\xf0\x9f\x98\x80", 7}},
        {{"\\ud83d\\u0041", 12}, {"\xef\xbf\xbd\x41", 4}},
        {{"\xc3\xa9", 2}, {"\xc3\xa9", 2}},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        char *out = gw_alloc(table[i].in.len + 1); // as large as the input is always enough
        size_t n = 999;
        CU_ASSERT_TRUE(gw_json_unescape(table[i].in, out, table[i].in.len, &n));
        CU_ASSERT_TRUE(gw_str_eq((struct gw_str){out, n}, table[i].want));
        free(out);
    }
}

static void number_u64_refuses(void) {
    static const char *const table[] = {
        "",
        "-1",
        "1.5",
        "1e-1",
        "9007199254740993",
        "1e16",
        "-0.5",
        "abc",
        "1x",
        "1 2",
        "inf",
        "nan",
        "0x10",
        " 1",
        "+1",
        "1e400",
        "1.",
        "00",
        "01",
        ".5",
        "1e",
        "-",
        "0.000001",
        "1111111111111111111111111111111111111111111111111111111111111111",
    };
    uint64_t n = 77;
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        bool is_taken = gw_json_number_u64(gw_str_of(table[i]), &n);
        CU_ASSERT_FALSE(is_taken);
        if (is_taken) fprintf(stderr, "\ntaken: '%s'\n", table[i]);
    }
    CU_ASSERT_EQUAL(n, 77);
}

static void number_u64_reads(void) {
    static const struct {
        const char *text;
        uint64_t want;
    } table[] = {
        {"0", 0},       {"12", 12},    {"12.0", 12}, {"1.2e1", 12},
        {"120e-1", 12}, {"0.5e+1", 5}, {"-0", 0},    {"9007199254740992", 1ull << 53},
        {"1E3", 1000},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        uint64_t n = 77;
        CU_ASSERT_TRUE(gw_json_number_u64(gw_str_of(table[i].text), &n));
        CU_ASSERT_EQUAL(n, table[i].want);
    }
}

static CU_TestInfo tests[] = {
    {"readers_give_defaults_for_what_is_absent", readers_give_defaults_for_what_is_absent},
    {"readers_give_what_is_there", readers_give_what_is_there},
    {"path_follows_members", path_follows_members},
    {"load_refuses", load_refuses},
    {"load_takes_text_at_its_caps", load_takes_text_at_its_caps},
    {"canonical_is_the_same_for_equal_trees", canonical_is_the_same_for_equal_trees},
    {"unescape_refuses", unescape_refuses},
    {"unescape_gives_bytes", unescape_gives_bytes},
    {"number_u64_refuses", number_u64_refuses},
    {"number_u64_reads", number_u64_reads},
    CU_TEST_INFO_NULL,
};

extern CU_SuiteInfo suite_shared_json;
CU_SuiteInfo suite_shared_json = {"shared_json", NULL, NULL, NULL, NULL, tests};
