// SPDX-License-Identifier: Apache-2.0
// The scanner beside jansson, and everything it tells of watched members, in every way of feeding.
#include "shared/json.h"
#include "test/unit/shared/split.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>

#define WATCHES_MAX 8
#define CAPTURE_BYTES 40

// A scan and how it is told as a text.
struct scan {
    const struct gw_jwatch *watch;
    unsigned watch_n, depth_max;
    size_t capture_cap; // 0: CAPTURE_BYTES
    enum gw_rc rc;
    struct gw_err err;
    struct gw_jscan s;
    struct gw_jfound found[WATCHES_MAX];
    char captured[WATCHES_MAX][CAPTURE_BYTES];
};

static void run(void *arg, const struct gw_str *pieces, size_t n, struct gw_text *out) {
    struct scan *c = arg;
    memset(&c->s, 0xa5, sizeof(c->s)); // nothing may depend on what was there
    for (unsigned w = 0; w < c->watch_n; w++)
        c->found[w] = (struct gw_jfound){
            .type = GW_JT_TRUE,
            .count = 9,
            .capture = c->captured[w],
            .capture_cap = c->capture_cap ? c->capture_cap : CAPTURE_BYTES,
        };
    gw_jscan_init(&c->s, c->watch, c->found, c->watch_n, c->depth_max);
    c->rc = GW_OK;
    for (size_t i = 0; i < n && c->rc == GW_OK; i++)
        c->rc = gw_jscan_feed(&c->s, pieces[i].ptr, pieces[i].len, &c->err);
    if (c->rc == GW_OK) c->rc = gw_jscan_finish(&c->s, &c->err);
    if (c->rc != GW_OK) {
        gw_text_addf(out, "%s", c->err.text);
        return;
    }
    gw_text_addf(out, "%d %llu %llu %llu;", c->s.top_is_object, (unsigned long long)c->s.top_end,
                 (unsigned long long)c->s.top_children, (unsigned long long)c->s.offset);
    for (unsigned w = 0; w < c->watch_n; w++) {
        const struct gw_jfound *f = &c->found[w];
        gw_text_addf(out, "%d %d %llu-%llu n%llu b%llu c%llu '" GW_STR_FMT "'%s;", f->type, f->done,
                     (unsigned long long)f->begin, (unsigned long long)f->end,
                     (unsigned long long)f->count, (unsigned long long)f->bytes,
                     (unsigned long long)f->children, (int)f->capture_len, f->capture,
                     f->truncated ? "+" : "");
    }
}

// Scans in every way; c tells of the last one.
static bool scan_every_way(struct scan *c, struct gw_str in) {
    bool is_same = split_run_text(in, run, c, NULL);
    if (!is_same) fprintf(stderr, "input: " GW_STR_FMT "\n", GW_STR_ARG(in));
    return is_same;
}

static struct gw_str captured(const struct scan *c, unsigned w) {
    return (struct gw_str){c->found[w].capture, c->found[w].capture_len};
}

static struct gw_str value_of(const char *in, const struct gw_jfound *f) {
    return (struct gw_str){in + f->begin, f->end - f->begin};
}

// --- what is JSON -------------------------------------------------------------------------------

static void refusals_name_reason_and_byte(void) {
    static const struct {
        struct gw_str in;
        const char *says;
    } table[] = {
        {{"", 0}, "JSON ends too early at byte 0"},
        {{"  ", 2}, "JSON ends too early at byte 2"},
        {{"{", 1}, "JSON ends too early at byte 1"},
        {{"[1", 2}, "JSON ends too early at byte 2"},
        {{"[1,", 3}, "JSON ends too early at byte 3"},
        {{"\"a", 2}, "JSON ends too early at byte 2"},
        {{"\"\\", 2}, "JSON ends too early at byte 2"},
        {{"\"\\u00", 5}, "JSON ends too early at byte 5"},
        {{"\"\xe4\xb8", 3}, "JSON ends too early at byte 3"},
        {{"-", 1}, "JSON ends too early at byte 1"},
        {{"1.", 2}, "JSON ends too early at byte 2"},
        {{"1e", 2}, "JSON ends too early at byte 2"},
        {{"1e+", 3}, "JSON ends too early at byte 3"},
        {{"tru", 3}, "JSON ends too early at byte 3"},
        {{"{\"a\"", 4}, "JSON ends too early at byte 4"},
        {{"{\"a\":", 5}, "JSON ends too early at byte 5"},
        {{"{\"a\":1", 6}, "JSON ends too early at byte 6"},
        {{"trve", 4}, "unexpected character in JSON at byte 2"},
        {{"nul ", 4}, "unexpected character in JSON at byte 3"},
        {{"True", 4}, "unexpected character in JSON at byte 0"},
        {{"'a'", 3}, "unexpected character in JSON at byte 0"},
        {{"[,1]", 4}, "unexpected character in JSON at byte 1"},
        {{"[1,]", 4}, "unexpected character in JSON at byte 3"},
        {{"{\"a\":}", 6}, "unexpected character in JSON at byte 5"},
        {{"+1", 2}, "unexpected character in JSON at byte 0"},
        {{".5", 2}, "unexpected character in JSON at byte 0"},
        {{"NaN", 3}, "unexpected character in JSON at byte 0"},
        {{"\xef\xbb\xbf{}", 5}, "unexpected character in JSON at byte 0"},
        {{"\f1", 2}, "unexpected character in JSON at byte 0"},
        {{"\0", 1}, "unexpected character in JSON at byte 0"},
        {{"]", 1}, "unexpected character in JSON at byte 0"},
        {{"{1:2}", 5}, "a member name is missing in JSON at byte 1"},
        {{"{\"a\":1,}", 8}, "a member name is missing in JSON at byte 7"},
        {{"{a:1}", 5}, "a member name is missing in JSON at byte 1"},
        {{"{\"a\" 1}", 7}, "a colon is missing in JSON at byte 5"},
        {{"{\"a\"}", 5}, "a colon is missing in JSON at byte 4"},
        {{"[1 2]", 5}, "a comma is missing in JSON at byte 3"},
        {{"{\"a\":1 \"b\":2}", 13}, "a comma is missing in JSON at byte 7"},
        {{"[}", 2}, "unexpected character in JSON at byte 1"},
        {{"[1}", 3}, "unexpected bracket in JSON at byte 2"},
        {{"{\"a\":1]", 7}, "unexpected bracket in JSON at byte 6"},
        {{"{} {}", 5}, "something follows the JSON text at byte 3"},
        {{"1 2", 3}, "something follows the JSON text at byte 2"},
        {{"[]]", 3}, "something follows the JSON text at byte 2"},
        {{"{}\0", 3}, "something follows the JSON text at byte 2"},
        {{"01", 2}, "something follows the JSON text at byte 1"},
        {{"[01]", 4}, "a comma is missing in JSON at byte 2"},
        {{"-a", 2}, "bad number in JSON at byte 1"},
        {{"1.e1", 4}, "bad number in JSON at byte 2"},
        {{"1.]", 3}, "bad number in JSON at byte 2"},
        {{"1e]", 3}, "bad number in JSON at byte 2"},
        {{"1e+-1", 5}, "bad number in JSON at byte 3"},
        {{"\"\\x\"", 4}, "bad escape in a JSON string at byte 2"},
        {{"\"\\\0\"", 4}, "bad escape in a JSON string at byte 2"},
        {{"\"\\u12g4\"", 8}, "bad escape in a JSON string at byte 5"},
        {{"\"\\u\"", 4}, "bad escape in a JSON string at byte 3"},
        {{"\"a\n\"", 4}, "control character in a JSON string at byte 2"},
        {{"\"a\0\"", 4}, "control character in a JSON string at byte 2"},
        {{"\"0123456789abcdefghij\t\"", 23}, "control character in a JSON string at byte 21"},
        {{"\"0123456789abcdef0123456789abcdefghij\x1f\"", 39},
         "control character in a JSON string at byte 37"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct scan c = {0};
        CU_ASSERT_TRUE(scan_every_way(&c, table[i].in));
        CU_ASSERT_EQUAL(c.rc, GW_ERR_INPUT);
        CU_ASSERT_EQUAL(c.err.rc, GW_ERR_INPUT);
        CU_ASSERT_EQUAL(c.err.code, 400);
        CU_ASSERT_STRING_EQUAL(c.err.text, table[i].says);
        if (strcmp(c.err.text, table[i].says) != 0) fprintf(stderr, "\n%s\n", c.err.text);
    }
}

static void an_error_stays(void) {
    struct gw_jscan s;
    struct gw_err err = {0};
    gw_jscan_init(&s, NULL, NULL, 0, 0);
    CU_ASSERT_EQUAL(gw_jscan_feed(&s, "[x", 2, &err), GW_ERR_INPUT);
    CU_ASSERT_EQUAL(gw_jscan_feed(&s, "1]", 2, &err), GW_ERR_INPUT);
    CU_ASSERT_EQUAL(gw_jscan_finish(&s, &err), GW_ERR_INPUT);
    CU_ASSERT_FALSE(gw_jscan_complete(&s));
    CU_ASSERT_EQUAL(gw_jscan_feed(&s, "", 0, NULL), GW_ERR_INPUT);
    gw_jscan_reset(&s);
    CU_ASSERT_EQUAL(gw_jscan_feed(&s, "[1]", 3, &err), GW_OK);
    CU_ASSERT_EQUAL(gw_jscan_finish(&s, &err), GW_OK);
}

static void utf8_is_checked(void) {
    static const struct {
        const char *bytes;
        bool is_fine;
    } table[] = {
        {"\x80", false},
        {"\xbf", false},
        {"\xc0\x80", false},
        {"\xc1\xbf", false},
        {"\xe0\x80\x80", false},
        {"\xe0\x9f\xbf", false},
        {"\xed\xa0\x80", false},
        {"\xed\xbf\xbf", false},
        {"\xf0\x80\x80\x80", false},
        {"\xf0\x8f\xbf\xbf", false},
        {"\xf4\x90\x80\x80", false},
        {"\xf5\x80\x80\x80", false},
        {"\xff", false},
        {"\xfe", false},
        {"\xc3", false},
        {"\xe4\xb8", false},
        {"\xe4\xb8x", false},
        {"\xf0\x9f\x98", false},
        {"\xf0\x9fx\x80", false},
        {"\xc3\xc3\xa9", false},
        {"\xe4\xb8\xad\x80", false},
        {"\xc2\x80", true},
        {"\xdf\xbf", true},
        {"\xe0\xa0\x80", true},
        {"\xed\x9f\xbf", true},
        {"\xee\x80\x80", true},
        {"\xef\xbf\xbf", true},
        {"\xf0\x90\x80\x80", true},
        {"\xf4\x8f\xbf\xbf", true},
        {"\x7f", true},
        {"\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80", true},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        for (int as_key = 0; as_key < 2; as_key++) {
            char in[64];
            struct scan c = {0};
            snprintf(in, sizeof(in), as_key ? "{\"%s\":0}" : "[\"%s\"]", table[i].bytes);
            CU_ASSERT_TRUE(scan_every_way(&c, gw_str_of(in)));
            CU_ASSERT_EQUAL(c.rc == GW_OK, table[i].is_fine);
            if (!table[i].is_fine) CU_ASSERT_PTR_NOT_NULL(strstr(c.err.text, "bad UTF-8 in JSON"));
        }
    }
}

static void depth_is_capped(void) {
    static const struct {
        unsigned depth_max, levels;
        bool is_fine;
    } table[] = {
        {1, 2, false},  {64, 65, false}, {0, 257, false}, {1000, 257, false}, {1, 1, true},
        {64, 64, true}, {65, 65, true},  {0, 256, true},  {1000, 256, true},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        for (int objects = 0; objects < 2; objects++) {
            GW_CLEANUP(gw_text_fini) struct gw_text in = {0};
            struct scan c = {.depth_max = table[i].depth_max};
            struct gw_str one;
            for (unsigned k = 0; k < table[i].levels; k++)
                gw_text_adds(&in, !objects ? "[" : k ? "\"a\":{" : "{");
            for (unsigned k = 0; k < table[i].levels; k++)
                gw_text_adds(&in, objects ? "}" : "]");
            one = gw_text_str(&in);
            GW_CLEANUP(gw_text_fini) struct gw_text out = {0};
            run(&c, &one, 1, &out);
            CU_ASSERT_EQUAL(c.rc == GW_OK, table[i].is_fine);
        }
    }
    struct scan c = {.depth_max = 2};
    CU_ASSERT_TRUE(scan_every_way(&c, GW_STR("[[ {\"a\":1}]]")));
    CU_ASSERT_STRING_EQUAL(c.err.text, "JSON is nested more than 2 deep at byte 3");
}

// Brackets are remembered at every depth, beyond one word of bits too.
static void brackets_match_at_any_depth(void) {
    for (unsigned levels = 1; levels <= GW_JSCAN_DEPTH_MAX; levels++) {
        GW_CLEANUP(gw_text_fini) struct gw_text in = {0};
        struct gw_jscan s;
        for (unsigned k = 0; k < levels; k++)
            gw_text_adds(&in, k % 3 ? "[" : "{\"a\":");
        gw_text_adds(&in, "1");
        for (unsigned k = levels; k-- > 0;)
            gw_text_adds(&in, k % 3 ? "]" : "}");
        gw_jscan_init(&s, NULL, NULL, 0, 0);
        CU_ASSERT_EQUAL(gw_jscan_feed(&s, in.ptr, in.len, NULL), GW_OK);
        CU_ASSERT_TRUE(gw_jscan_complete(&s));
        gw_jscan_reset(&s);
        in.ptr[in.len - 1] = '}' + ']' - in.ptr[in.len - 1];
        CU_ASSERT_EQUAL(gw_jscan_feed(&s, in.ptr, in.len, NULL), GW_ERR_INPUT);
    }
}

static void complete_is_told_at_once(void) {
    struct gw_jscan s;
    gw_jscan_init(&s, NULL, NULL, 0, 0);
    CU_ASSERT_FALSE(gw_jscan_complete(&s));
    CU_ASSERT_EQUAL(gw_jscan_feed(&s, "{\"a\":1", 6, NULL), GW_OK);
    CU_ASSERT_FALSE(gw_jscan_complete(&s));
    CU_ASSERT_EQUAL(gw_jscan_feed(&s, "}", 1, NULL), GW_OK);
    CU_ASSERT_TRUE(gw_jscan_complete(&s));
    CU_ASSERT_EQUAL(gw_jscan_feed(&s, " \r\n\t", 4, NULL), GW_OK);
    CU_ASSERT_TRUE(gw_jscan_complete(&s));
    // A number may go on, so only the end of the text ends it.
    gw_jscan_reset(&s);
    CU_ASSERT_EQUAL(gw_jscan_feed(&s, "12", 2, NULL), GW_OK);
    CU_ASSERT_FALSE(gw_jscan_complete(&s));
    CU_ASSERT_EQUAL(gw_jscan_finish(&s, NULL), GW_OK);
    CU_ASSERT_TRUE(gw_jscan_complete(&s));
}

static void top_level_container_is_told(void) {
    static const struct {
        const char *in;
        bool is_object;
        uint64_t end, children;
    } table[] = {
        {"{}", true, 1, 0},
        {"[]", false, 1, 0},
        {" { } \n", true, 3, 0},
        {"{\"a\":{\"b\":1,\"c\":2},\"d\":[3]}", true, 26, 2},
        {" [1 , {}, [1,2,3] ] ", false, 18, 3},
        {"\"text\"", false, 0, 0},
        {"12", false, 0, 0},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct scan c = {0};
        CU_ASSERT_TRUE(scan_every_way(&c, gw_str_of(table[i].in)));
        CU_ASSERT_EQUAL(c.rc, GW_OK);
        CU_ASSERT_EQUAL(c.s.top_is_object, table[i].is_object);
        CU_ASSERT_EQUAL(c.s.top_end, table[i].end);
        CU_ASSERT_EQUAL(c.s.top_children, table[i].children);
        CU_ASSERT_EQUAL(c.s.offset, strlen(table[i].in));
    }
}

// --- what is watched ----------------------------------------------------------------------------

static void watched_values_are_found(void) {
    static const struct {
        const char *in, *path;
        enum gw_jtype type;
        const char *value; // NULL: not there
    } table[] = {
        {"{\"b\":1}", "a", GW_JT_NONE, NULL},
        {"[{\"a\":1}]", "a", GW_JT_NONE, NULL},
        {"{\"b\":{\"a\":1}}", "a", GW_JT_NONE, NULL},
        {"{\"A\":1,\"aa\":2,\"\":3,\"a \":4}", "a", GW_JT_NONE, NULL},
        {"{\"a.b\":1}", "a.b", GW_JT_NONE, NULL},
        {"{\"a[]\":[1]}", "a[]", GW_JT_NONE, NULL},
        {"{\"a\":1}", "a.b", GW_JT_NONE, NULL},
        {"{\"a\":[{\"b\":1}]}", "a.b", GW_JT_NONE, NULL},
        {"{\"a\":{\"b\":1}}", "a[]", GW_JT_NONE, NULL},
        {"{\"a\":{\"c\":1},\"b\":2}", "a.b", GW_JT_NONE, NULL},
        {"{\"a\\u0000\":1}", "a", GW_JT_NONE, NULL},
        {"{\"a\":1}", "a", GW_JT_NUMBER, "1"},
        {"{\"a\":-1.5e+3 }", "a", GW_JT_NUMBER, "-1.5e+3"},
        {"{\"a\" : true}", "a", GW_JT_TRUE, "true"},
        {"{\"a\":false,\"b\":1}", "a", GW_JT_FALSE, "false"},
        {"{\"b\":1,\"a\":null}", "a", GW_JT_NULL, "null"},
        {"{\"a\":\"\"}", "a", GW_JT_STRING, "\"\""},
        {"{\"a\":\"x\\\"y\\\\\"}", "a", GW_JT_STRING, "\"x\\\"y\\\\\""},
        {"{\"a\": [1, [2]] }", "a", GW_JT_ARRAY, "[1, [2]]"},
        {"{\"a\":{\"a\":1}}", "a", GW_JT_OBJECT, "{\"a\":1}"},
        {"{\"x\":{\"a\":{\"b\":0}},\"a\":{\"x\":[{\"b\":0}],\"b\":7}}", "a.b", GW_JT_NUMBER, "7"},
        {"{\"\\u0061\":{\"b\":2}}", "a.b", GW_JT_NUMBER, "2"},
        {"{\"a\":{\"\\u0062\":2}}", "a.b", GW_JT_NUMBER, "2"},
        {"{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":{\"f\":[9]}}}}}}", "a.b.c.d.e.f", GW_JT_ARRAY, "[9]"},
        {"{\"a\":[1,22,\"3\"]}", "a[]", GW_JT_STRING, "\"3\""},
        {"[1,[2,{\"x\":3}]]", "[]", GW_JT_ARRAY, "[2,{\"x\":3}]"},
        {"[[{\"a\":1},{\"a\":2}],[{\"a\":3}]]", "[][].a", GW_JT_NUMBER, "3"},
        {"{\"c\":[{\"d\":{\"t\":\"x\"}},{\"d\":{}}]}", "c[].d.t", GW_JT_STRING, "\"x\""},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct gw_jwatch watch = {table[i].path, 0};
        struct scan c = {.watch = &watch, .watch_n = 1};
        CU_ASSERT_TRUE(scan_every_way(&c, gw_str_of(table[i].in)));
        CU_ASSERT_EQUAL(c.rc, GW_OK);
        CU_ASSERT_EQUAL(c.found[0].type, table[i].type);
        CU_ASSERT_EQUAL(c.found[0].count > 0, table[i].value != NULL);
        if (!table[i].value) continue;
        bool is_right = gw_str_eq(value_of(table[i].in, &c.found[0]), gw_str_of(table[i].value));
        CU_ASSERT_TRUE(is_right);
        if (!is_right) fprintf(stderr, "\n%s\n", table[i].in);
    }
}

static void occurrences_are_summed(void) {
    static const struct gw_jwatch watch[] = {
        {"choices[].delta.content", 0}, {"choices[]", 0}, {"choices", 0}, {"n", 0}};
    const char *in = "{\"choices\":[{\"delta\":{\"content\":\"ab\"}},{},{\"delta\":{\"content\":"
                     "\"c\\n\"},\"x\":1}],\"n\":1,\"n\":[2,3]}";
    struct scan c = {.watch = watch, .watch_n = 4};
    CU_ASSERT_TRUE(scan_every_way(&c, gw_str_of(in)));
    CU_ASSERT_EQUAL(c.rc, GW_OK);
    CU_ASSERT_EQUAL(c.found[0].count, 2);
    CU_ASSERT_EQUAL(c.found[0].bytes, 4 + 5);
    CU_ASSERT_TRUE(gw_str_eq(captured(&c, 0), GW_STR("c\\n")));
    CU_ASSERT_EQUAL(c.found[1].count, 3);
    CU_ASSERT_EQUAL(c.found[1].children, 2);
    CU_ASSERT_EQUAL(c.found[2].count, 1);
    CU_ASSERT_EQUAL(c.found[2].children, 3);
    CU_ASSERT_EQUAL(c.found[3].count, 2);
    CU_ASSERT_EQUAL(c.found[3].bytes, 1 + 5);
    CU_ASSERT_EQUAL(c.found[3].children, 2);
    CU_ASSERT_TRUE(gw_str_eq(captured(&c, 3), GW_STR("[2,3]")));
}

static void a_value_under_way_is_not_done(void) {
    static const struct gw_jwatch watch[] = {{"a", 0}};
    struct gw_jfound found[1] = {{0}};
    struct gw_jscan s;
    gw_jscan_init(&s, watch, found, 1, 0);
    CU_ASSERT_EQUAL(gw_jscan_feed(&s, "{\"a\":[1", 7, NULL), GW_OK);
    CU_ASSERT_EQUAL(found[0].type, GW_JT_ARRAY);
    CU_ASSERT_EQUAL(found[0].begin, 5);
    CU_ASSERT_FALSE(found[0].done);
    CU_ASSERT_EQUAL(gw_jscan_feed(&s, "]", 1, NULL), GW_OK);
    CU_ASSERT_TRUE(found[0].done);
    CU_ASSERT_EQUAL(found[0].end, 8);
}

static void watched_twice_is_refused(void) {
    static const struct gw_jwatch watch[] = {
        {"model", GW_JWATCH_ONCE}, {"opts.usage", GW_JWATCH_ONCE}, {"free", 0}};
    static const struct {
        const char *in, *says; // NULL: fine
    } table[] = {
        {"{\"model\":1,\"model\":1}", "'model' occurs twice at byte 19"},
        {"{\"model\":1,\"x\":0,\"mod\\u0065l\":1}", "'model' occurs twice at byte 30"},
        {"{\"\\u006dodel\":1,\"\\u006Dodel\":1}", "'model' occurs twice at byte 29"},
        {"{\"model\":{},\"model\":\"x\"}", "'model' occurs twice at byte 20"},
        {"{\"opts\":{\"usage\":1,\"usage\":2}}", "'opts.usage' occurs twice at byte 27"},
        {"{\"opts\":{\"usage\":1,\"u\\u0073age\":2}}", "'opts.usage' occurs twice at byte 32"},
        {"{\"opts\":{\"usage\":1},\"opts\":{\"usage\":2}}", "'opts.usage' occurs twice at byte 36"},
        {"{\"free\":1,\"free\":2}", NULL},
        {"{\"model\":1,\"x\":{\"model\":2},\"y\":[{\"model\":3}],\"Model\":4}", NULL},
        {"{\"other\":1,\"other\":2,\"model\":3}", NULL},
        {"{\"model\":1,\"\\\\u006dodel\":2}", NULL},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct scan c = {.watch = watch, .watch_n = 3};
        CU_ASSERT_TRUE(scan_every_way(&c, gw_str_of(table[i].in)));
        CU_ASSERT_EQUAL(c.rc, table[i].says ? GW_ERR_INPUT : GW_OK);
        if (table[i].says) CU_ASSERT_STRING_EQUAL(c.err.text, table[i].says);
    }
}

static void captures_are_raw_and_truncated(void) {
    static const struct gw_jwatch watch[] = {{"a", 0}};
    static const struct {
        const char *in;
        size_t cap;
        const char *want;
        bool is_truncated;
    } table[] = {
        {"{\"a\":\"0123456789\"}", 9, "012345678", true},
        {"{\"a\":\"0123456789\"}", 10, "0123456789", false},
        {"{\"a\":\"\"}", 1, "", false},
        {"{\"a\":\"x\"}", 1, "x", false},
        {"{\"a\":\"\\u00e9\\n\"}", 20, "\\u00e9\\n", false},
        {"{\"a\":\"\\u00e9\\n\"}", 4, "\\u00", true},
        {"{\"a\":12345}", 3, "123", true},
        {"{\"a\":12345 }", 5, "12345", false},
        {"{\"a\":null}", 9, "null", false},
        {"{\"a\":{\"b\" : [\"x\", {} ]} }", 30, "{\"b\" : [\"x\", {} ]}", false},
        {"{\"a\":{\"b\" : [\"x\", {} ]} }", 10, "{\"b\" : [\"x", true},
        {"{\"a\":[1,2] ,\"b\":3}", 30, "[1,2]", false},
        {"{\"a\":\"long to be forgotten\",\"a\":\"new\"}", 5, "new", false},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct scan c = {.watch = watch, .watch_n = 1, .capture_cap = table[i].cap};
        CU_ASSERT_TRUE(scan_every_way(&c, gw_str_of(table[i].in)));
        CU_ASSERT_EQUAL(c.rc, GW_OK);
        CU_ASSERT_TRUE(gw_str_eq(captured(&c, 0), gw_str_of(table[i].want)));
        CU_ASSERT_EQUAL(c.found[0].truncated, table[i].is_truncated);
    }
}

// A container and a member inside it are captured at the same time.
static void captures_may_overlap(void) {
    static const struct gw_jwatch watch[] = {{"e", 0}, {"e.m", 0}, {"e.n", 0}, {"e.l[]", 0}};
    struct scan c = {.watch = watch, .watch_n = 4};
    CU_ASSERT_TRUE(scan_every_way(&c, GW_STR("{\"e\": {\"m\":\"x\\\"\",\"n\":12,\"l\":[3,4]}}")));
    CU_ASSERT_EQUAL(c.rc, GW_OK);
    CU_ASSERT_TRUE(gw_str_eq(captured(&c, 0), GW_STR("{\"m\":\"x\\\"\",\"n\":12,\"l\":[3,4]}")));
    CU_ASSERT_TRUE(gw_str_eq(captured(&c, 1), GW_STR("x\\\"")));
    CU_ASSERT_TRUE(gw_str_eq(captured(&c, 2), GW_STR("12")));
    CU_ASSERT_TRUE(gw_str_eq(captured(&c, 3), GW_STR("4")));
}

static void two_watches_of_one_path_are_both_told(void) {
    static const struct gw_jwatch watch[] = {{"a", 0}, {"a", 0}, {"a.b", 0}};
    struct scan c = {.watch = watch, .watch_n = 3};
    CU_ASSERT_TRUE(scan_every_way(&c, GW_STR("{\"a\":{\"b\":5}}")));
    CU_ASSERT_EQUAL(c.found[0].count, 1);
    CU_ASSERT_EQUAL(c.found[1].count, 1);
    CU_ASSERT_TRUE(gw_str_eq(captured(&c, 1), GW_STR("{\"b\":5}")));
    CU_ASSERT_TRUE(gw_str_eq(captured(&c, 2), GW_STR("5")));
}

static void long_keys_are_skipped(void) {
    char path[GW_JSCAN_KEY_MAX + 1];
    memset(path, 'k', sizeof(path) - 1);
    path[sizeof(path) - 1] = 0;
    struct gw_jwatch watch[] = {{path, 0}};
    GW_CLEANUP(gw_text_fini) struct gw_text in = {0};
    gw_text_adds(&in, "{\"");
    for (int i = 0; i < 500; i++)
        gw_text_adds(&in, "k");
    gw_text_addf(&in, "\":1,\"%s\":2,\"", path);
    for (int i = 0; i < 70; i++)
        gw_text_adds(&in, "\\u006b");
    gw_text_adds(&in, "\":3}");
    struct scan c = {.watch = watch, .watch_n = 1};
    CU_ASSERT_TRUE(scan_every_way(&c, gw_text_str(&in)));
    CU_ASSERT_EQUAL(c.found[0].count, 1);
    CU_ASSERT_TRUE(gw_str_eq(captured(&c, 0), GW_STR("2")));
    // The longest key that can be watched, written as escapes.
    gw_text_reset(&in);
    gw_text_adds(&in, "{\"");
    for (int i = 0; i < GW_JSCAN_KEY_MAX; i++)
        gw_text_adds(&in, "\\u006b");
    gw_text_adds(&in, "\":4}");
    CU_ASSERT_TRUE(scan_every_way(&c, gw_text_str(&in)));
    CU_ASSERT_TRUE(gw_str_eq(captured(&c, 0), GW_STR("4")));
}

static void reset_begins_anew(void) {
    static const struct gw_jwatch watch[] = {{"a", GW_JWATCH_ONCE}, {"a.b.c", 0}};
    char capture[8];
    struct gw_jfound found[2] = {{.capture = capture, .capture_cap = sizeof(capture)}};
    struct gw_jscan s;
    gw_jscan_init(&s, watch, found, 2, 5);
    static const char *const texts[] = {"{\"a\":1,\"a\":2}", "{\"a\":{\"b\":{\"c\":[[", "[\"\\u00",
                                        "{\"a\":\"x\xe4"};
    for (size_t i = 0; i < GW_ARRAY_LEN(texts); i++) {
        (void)gw_jscan_feed(&s, texts[i], strlen(texts[i]), NULL);
        gw_jscan_reset(&s);
        CU_ASSERT_EQUAL(s.offset, 0);
        CU_ASSERT_EQUAL(found[0].count + found[1].count, 0);
        CU_ASSERT_EQUAL(gw_jscan_feed(&s, "{\"a\":{\"b\":{\"c\":1}}}", 19, NULL), GW_OK);
        CU_ASSERT_EQUAL(gw_jscan_finish(&s, NULL), GW_OK);
        CU_ASSERT_EQUAL(found[0].count, 1);
        CU_ASSERT_EQUAL(found[1].begin, 15);
        CU_ASSERT_TRUE(
            gw_str_eq((struct gw_str){capture, found[0].capture_len}, GW_STR("{\"b\":{\"c")));
        gw_jscan_reset(&s);
    }
    CU_ASSERT_EQUAL(gw_jscan_feed(&s, "[[[[[[1]]]]]]", 13, NULL), GW_ERR_INPUT); // depth stays
}

static CU_TestInfo tests[] = {
    {"refusals_name_reason_and_byte", refusals_name_reason_and_byte},
    {"an_error_stays", an_error_stays},
    {"utf8_is_checked", utf8_is_checked},
    {"depth_is_capped", depth_is_capped},
    {"brackets_match_at_any_depth", brackets_match_at_any_depth},
    {"complete_is_told_at_once", complete_is_told_at_once},
    {"top_level_container_is_told", top_level_container_is_told},
    {"watched_values_are_found", watched_values_are_found},
    {"occurrences_are_summed", occurrences_are_summed},
    {"a_value_under_way_is_not_done", a_value_under_way_is_not_done},
    {"watched_twice_is_refused", watched_twice_is_refused},
    {"captures_are_raw_and_truncated", captures_are_raw_and_truncated},
    {"captures_may_overlap", captures_may_overlap},
    {"two_watches_of_one_path_are_both_told", two_watches_of_one_path_are_both_told},
    {"long_keys_are_skipped", long_keys_are_skipped},
    {"reset_begins_anew", reset_begins_anew},
    CU_TEST_INFO_NULL,
};

extern CU_SuiteInfo suite_shared_jscan;
CU_SuiteInfo suite_shared_jscan = {"shared_jscan", NULL, NULL, NULL, NULL, tests};
