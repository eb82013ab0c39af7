// SPDX-License-Identifier: Apache-2.0
#include "shared/yaml.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>

// Each document's canonical JSON and a newline, or the error's text.
static void read_as(const char *yaml, size_t len, struct gw_text *out) {
    struct gw_yaml y;
    struct gw_err err = {0};
    gw_text_reset(out);
    gw_text_adds(out, "");
    if (gw_yaml_parse((struct gw_str){yaml, len}, "f.yaml", &y, &err) != GW_OK) {
        gw_text_adds(out, err.text);
        return;
    }
    for (size_t i = 0; i < y.len; i++) {
        size_t n;
        char *text = gw_json_canonical(y.docs[i].root, &n);
        gw_text_addf(out, "%s%s", i ? "\n" : "", text);
        free(text);
    }
    gw_yaml_fini(&y);
}

struct pair {
    const char *yaml, *want;
};

static void check(const struct pair *table, size_t n) {
    GW_CLEANUP(gw_text_fini) struct gw_text out = {0};
    for (size_t i = 0; i < n; i++) {
        read_as(table[i].yaml, strlen(table[i].yaml), &out);
        const char *got = out.ptr ? out.ptr : "";
        CU_ASSERT_STRING_EQUAL(got, table[i].want);
        if (strcmp(got, table[i].want) != 0)
            fprintf(stderr, "\n%s\n  got  %s\n  want %s\n", table[i].yaml, got, table[i].want);
    }
}

static void refusals_name_file_and_line(void) {
    static const struct pair table[] = {
        {"a: 1\nb: 2\na: 3\n", "f.yaml:3: 'a' occurs twice"},
        {"a:\n  b: 1\n  \"b\": 2\n", "f.yaml:3: 'b' occurs twice"},
        {"y: 1\ntrue: 2\n", "f.yaml:2: 'true' occurs twice"},
        {"12: 1\n0xC: 2\n", "f.yaml:2: '12' occurs twice"},
        {"{a: 1, a: 2}", "f.yaml:1: 'a' occurs twice"},
        {"a: *no\n", "f.yaml:1: the anchor 'no' is not known"},
        {"a: &x [*x]\n", "f.yaml:1: the anchor 'x' contains itself"},
        {"a: &x 1\n---\nb: *x\n", "f.yaml:3: the anchor 'x' is not known"},
        {"a: !custom 1\n", "f.yaml:1: the tag !custom is not known"},
        {"a: !!binary aGk=\n", "f.yaml:1: the tag !!binary is not supported here"},
        {"a: !!timestamp 2026-01-01\n", "f.yaml:1: the tag !!timestamp is not supported here"},
        {"a: .inf\n", "f.yaml:1: .inf cannot be written in JSON"},
        {"a:\n- -.INF\n", "f.yaml:2: -.INF cannot be written in JSON"},
        {"a: .NaN\n", "f.yaml:1: .NaN cannot be written in JSON"},
        {"a: 9223372036854775808\n", "f.yaml:1: the number 9223372036854775808 is too large"},
        {"a: -9223372036854775809\n", "f.yaml:1: the number -9223372036854775809 is too large"},
        {"a: 1.0e+999\n", "f.yaml:1: the number 1.0e+999 is too large"},
        {"a: {<<: text}\n", "f.yaml:1: '<<' needs a mapping"},
        {"a: {<<: [1]}\n", "f.yaml:1: '<<' needs mappings"},
        {"? [1]\n: 2\n", "f.yaml:1: a member's name must be text, a number or a boolean"},
        {"? {a: 1}\n: 2\n", "f.yaml:1: a member's name must be text, a number or a boolean"},
        {"~: 1\n", "f.yaml:1: a member's name must be text, a number or a boolean"},
        {"a: !!int x\n", "f.yaml:1: the text is not of its tag !!int"},
        {"a: !!map 1\n", "f.yaml:1: the tag !!map is not supported here"},
        {"a: !!str [1]\n", "f.yaml:1: the tag !!str is not supported here"},
        {"a: &x {p: 1}\nb: {<<: *x, <<: *x}\n", "f.yaml:2: '<<' occurs twice"},
        {"a: 1\nb: \x01\n", "f.yaml:2: control characters are not allowed"},
        {"\"a\\0\": 1\n", "f.yaml:1: a member's name must be text, a number or a boolean"},
    };
    check(table, GW_ARRAY_LEN(table));
}

static void what_is_no_yaml_names_its_line(void) {
    static const struct {
        const char *yaml;
        unsigned line;
    } table[] = {
        {"a:\n\tb: 1\n", 2}, {"a: 1\n  b: 2\n", 2},     {"a: \"x\n", 2},  {"{a: [1,\n", 2},
        {"a: ]\n", 1},       {"a: 1\nb: \"\\q\"\n", 2}, {"a: b: c\n", 1}, {"- a\nb: 1\n", 2},
        {"a: @x\n", 1},      {"a: `x`\n", 1},           {"%BAD\n", 1},    {"a: 1\nb: \x01\n", 2},
        {"a: \xff\n", 1},
    };
    GW_CLEANUP(gw_text_fini) struct gw_text out = {0};
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        unsigned line = 999;
        char after = 0;
        read_as(table[i].yaml, strlen(table[i].yaml), &out);
        CU_ASSERT_EQUAL(sscanf(out.ptr, "f.yaml:%u: %c", &line, &after), 2);
        CU_ASSERT_EQUAL(line, table[i].line);
        if (line != table[i].line) fprintf(stderr, "\n%s", out.ptr);
    }
}

static void scalars_are_read_as_kubectl_does(void) {
    static const struct pair table[] = {
        {"[y, Y, yes, Yes, YES, on, On, ON, true, True, TRUE]",
         "[true,true,true,true,true,true,true,true,true,true,true]"},
        {"[n, N, no, No, NO, off, Off, OFF, false, False, FALSE]",
         "[false,false,false,false,false,false,false,false,false,false,false]"},
        {"[yES, tRue, oN, yeah, noo]", "[\"yES\",\"tRue\",\"oN\",\"yeah\",\"noo\"]"},
        {"[\"y\", 'on', \"true\", 'null', \"~\", '12', \"\"]",
         "[\"y\",\"on\",\"true\",\"null\",\"~\",\"12\",\"\"]"},
        {"[~, null, Null, NULL]", "[null,null,null,null]"},
        {"[nULL, nil, none]", "[\"nULL\",\"nil\",\"none\"]"},
        {"a:\nb: 1\n", "{\"a\":null,\"b\":1}"},
        {"[0, 12, -5, +7, 1_000, 9223372036854775807, -9223372036854775808]",
         "[0,12,-5,7,1000,9223372036854775807,-9223372036854775808]"},
        {"[010, 0o17, 0x1F, 0XfF, 0b101, -0x10, 00]", "[8,15,31,255,5,-16,0]"},
        {"[08, 0xG, 0b2, 0x, 1__x, -, +, --1, 12a]",
         "[8,\"0xG\",\"0b2\",\"0x\",\"1__x\",\"-\",\"+\",\"--1\",\"12a\"]"},
        {"[.5, 1.5, -0.25, 1.5e+3, 1E-2]", "[0.5,1.5,-0.25,1500,0.01]"},
        {"[1e3, 1.5e3, 1.e+1, 1.2.3, ., -.]", "[1000,1500,10,\"1.2.3\",\".\",\"-.\"]"},
        {"[2026-01-02, 2026-01-02T03:04:05Z, 12:30:45]",
         "[\"2026-01-02\",\"2026-01-02T03:04:05Z\",\"12:30:45\"]"},
        {"[1.2.3.4, v1, 10.0.0.0/8, 80-90]", "[\"1.2.3.4\",\"v1\",\"10.0.0.0/8\",\"80-90\"]"},
        {"a: one two\n  three\n", "{\"a\":\"one two three\"}"},
        {"a: |\n  x\n  12\nb: >-\n  p\n  q\n", "{\"a\":\"x\\n12\\n\",\"b\":\"p q\"}"},
        {"[0.0, 80.0, -0.0, 123456789012345678.5]", "[0,80,0,1.2345678901234568e17]"},
        {"a: |\n  true\n", "{\"a\":\"true\\n\"}"},
        {"a: \"\\u00e9\\t\\x41\"\n", "{\"a\":\"\xc3\xa9\\tA\"}"},
    };
    check(table, GW_ARRAY_LEN(table));
}

static void keys_are_text(void) {
    static const struct pair table[] = {
        {"y: 1\n", "{\"true\":1}"},    {"\"y\": 1\n", "{\"y\":1}"},
        {"12: 1\n", "{\"12\":1}"},     {"010: 1\n", "{\"8\":1}"},
        {"off: 1\n", "{\"false\":1}"}, {"a b: 1\n", "{\"a b\":1}"},
        {"\"\": 1\n", "{\"\":1}"},     {"2026-01-02: 1\n", "{\"2026-01-02\":1}"},
        {"? a\n: 1\n", "{\"a\":1}"},   {"a.b/c: 1\n", "{\"a.b/c\":1}"},
        {"\"<<\": 1\n", "{\"<<\":1}"}, {"1.5: 1\n", "{\"1.5\":1}"},
    };
    check(table, GW_ARRAY_LEN(table));
}

static void tags_of_the_core_decide(void) {
    static const struct pair table[] = {
        {"a: !!str 12\n", "{\"a\":\"12\"}"},     {"a: !!int \"5\"\n", "{\"a\":5}"},
        {"a: !!bool \"on\"\n", "{\"a\":true}"},  {"a: !!null ''\n", "{\"a\":null}"},
        {"a: !!float \"1.5\"\n", "{\"a\":1.5}"}, {"a: ! 7\n", "{\"a\":\"7\"}"},
        {"!!str 12: 1\n", "{\"12\":1}"},
    };
    check(table, GW_ARRAY_LEN(table));
}

static void anchors_are_copies(void) {
    static const struct pair table[] = {
        {"a: &x {p: 1}\nb: *x\nc: [*x, *x]\n",
         "{\"a\":{\"p\":1},\"b\":{\"p\":1},\"c\":[{\"p\":1},{\"p\":1}]}"},
        {"- &x 1\n- *x\n- &x 2\n- *x\n", "[1,1,2,2]"},
        {"a: &x text\n*x : 1\n", "{\"a\":\"text\",\"text\":1}"},
        {"a: &x\nb: *x\n", "{\"a\":null,\"b\":null}"},
        {"a: &x [&x 1, *x]\nb: *x\n", "{\"a\":[1,1],\"b\":1}"},
        {"a: &x [1, &y 2]\nb: [*x, *y]\n", "{\"a\":[1,2],\"b\":[[1,2],2]}"},
    };
    check(table, GW_ARRAY_LEN(table));
}

static void merge_keys_fill_what_is_absent(void) {
    static const struct pair table[] = {
        {"a: &x {p: 1, q: 2}\nb: {<<: *x, p: 3}\n",
         "{\"a\":{\"p\":1,\"q\":2},\"b\":{\"p\":3,\"q\":2}}"},
        {"a: &x {p: 1}\nb: {p: 3, <<: *x}\n", "{\"a\":{\"p\":1},\"b\":{\"p\":3}}"},
        {"- &x {p: 1}\n- &y {p: 2, q: 5}\n- {<<: [*x, *y]}\n",
         "[{\"p\":1},{\"p\":2,\"q\":5},{\"p\":1,\"q\":5}]"},
        {"a: {<<: {p: 1}}\n", "{\"a\":{\"p\":1}}"},
        {"a: {<<: []}\n", "{\"a\":{}}"},
    };
    check(table, GW_ARRAY_LEN(table));
}

static void documents_and_lines(void) {
    static const struct {
        const char *yaml;
        size_t n;
        struct {
            unsigned line, index;
        } docs[3];
    } table[] = {
        {"", 0, {{0, 0}}},
        {"# nothing\n", 0, {{0, 0}}},
        {"---\n---\n...\n", 0, {{0, 0}}},
        {"null\n--- ~\n", 0, {{0, 0}}},
        {"a: 1\n", 1, {{1, 0}}},
        {"\n# c\n\na: 1\n", 1, {{4, 0}}},
        {"---\na: 1\n---\nb: 2\n", 2, {{2, 0}, {4, 1}}},
        {"---\n# empty\n---\n\n- 1\n---\n---\ntext\n", 2, {{5, 1}, {8, 3}}},
        {"--- {a: 1}\n--- [1]\n--- 5\n", 3, {{1, 0}, {2, 1}, {3, 2}}},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct gw_yaml y;
        struct gw_err err = {0};
        CU_ASSERT_EQUAL_FATAL(gw_yaml_parse(gw_str_of(table[i].yaml), "f", &y, &err), GW_OK);
        CU_ASSERT_EQUAL(y.len, table[i].n);
        for (size_t k = 0; k < y.len && k < table[i].n; k++) {
            CU_ASSERT_EQUAL(y.docs[k].line, table[i].docs[k].line);
            CU_ASSERT_EQUAL(y.docs[k].index, table[i].docs[k].index);
        }
        gw_yaml_fini(&y);
    }
}

static void line_ends_and_json_and_marks(void) {
    static const struct pair table[] = {
        {"a:\r\n  b: 1\r\n---\r\nc: x\r\n", "{\"a\":{\"b\":1}}\n{\"c\":\"x\"}"},
        {"{\"a\":[1,\"x\\n\",null,true],\"b\":{}}", "{\"a\":[1,\"x\\n\",null,true],\"b\":{}}"},
        {"\xef\xbb\xbf"
         "a: 1\n",
         "{\"a\":1}"},
        {"{\t\"a\":\t1}", "{\"a\":1}"},
        {"a: gr\xc3\xbcn # green\n", "{\"a\":\"gr\xc3\xbcn\"}"},
    };
    check(table, GW_ARRAY_LEN(table));
}

static void alias_bomb_ends_at_the_cap(void) {
    GW_CLEANUP(gw_text_fini) struct gw_text in = {0}, out = {0};
    gw_text_adds(&in, "a: &a [x,x,x,x,x,x,x,x,x,x]\n");
    for (char k = 'b'; k < 'k'; k++) {
        gw_text_addf(&in, "%c: &%c [", k, k);
        for (int i = 0; i < 10; i++)
            gw_text_addf(&in, "%s*%c", i ? "," : "", k - 1);
        gw_text_adds(&in, "]\n");
    }
    read_as(in.ptr, in.len, &out);
    CU_ASSERT_STRING_EQUAL(out.ptr, "f.yaml:6: more than 1000000 values (aliases expanded)");
}

static void merge_bomb_ends_at_the_cap(void) {
    GW_CLEANUP(gw_text_fini) struct gw_text in = {0}, out = {0};
    gw_text_adds(&in, "- &a {");
    for (int i = 0; i < 2000; i++)
        gw_text_addf(&in, "k%d: 1, ", i);
    gw_text_adds(&in, "}\n");
    for (int i = 0; i < 1000; i++)
        gw_text_adds(&in, "- {<<: *a}\n");
    read_as(in.ptr, in.len, &out);
    CU_ASSERT_PTR_NOT_NULL(strstr(out.ptr, "more than 1000000 values (aliases expanded)"));
}

// Each anchor is flat enough; one inside the other they are not.
static void aliases_do_not_pass_the_depth(void) {
    static const char *const cases[][2] = {
        {"- &a [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n"
         "- &b [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[*a]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n",
         "[[[["},
        {"- &a [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n"
         "- &b [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[*a]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n",
         "f.yaml:2: nested more than 64 deep"},
        {"- &a [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n"
         "- &b [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[*a]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n"
         "- [[[[[*b]]]]]\n",
         "f.yaml:3: nested more than 64 deep"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        GW_CLEANUP(gw_text_fini) struct gw_text out = {0};
        read_as(cases[i][0], strlen(cases[i][0]), &out);
        CU_ASSERT_EQUAL(strncmp(out.ptr, cases[i][1], strlen(cases[i][1])), 0);
    }
}

static void caps_on_depth_documents_and_bytes(void) {
    GW_CLEANUP(gw_text_fini) struct gw_text in = {0}, out = {0};
    for (int deep = 64; deep <= 65; deep++) {
        gw_text_reset(&in);
        for (int i = 0; i < deep; i++)
            gw_text_adds(&in, "[");
        for (int i = 0; i < deep; i++)
            gw_text_adds(&in, "]");
        read_as(in.ptr, in.len, &out);
        CU_ASSERT_EQUAL(strcmp(out.ptr, "f.yaml:1: nested more than 64 deep") == 0, deep == 65);
    }
    gw_text_reset(&in);
    for (int i = 0; i <= GW_YAML_DOCS_MAX; i++)
        gw_text_adds(&in, "--- 1\n");
    read_as(in.ptr, in.len, &out);
    CU_ASSERT_PTR_NOT_NULL(strstr(out.ptr, ": more than 20000 documents"));
    char *big = gw_alloc(GW_YAML_BYTES_MAX + 1);
    memset(big, '\n', GW_YAML_BYTES_MAX + 1);
    read_as(big, GW_YAML_BYTES_MAX + 1, &out);
    CU_ASSERT_STRING_EQUAL(out.ptr, "f.yaml: is larger than 8388608 bytes");
    free(big);
}

static void nul_bytes_are_no_text(void) {
    GW_CLEANUP(gw_text_fini) struct gw_text out = {0};
    read_as("a: b\0c\n", 7, &out);
    CU_ASSERT_EQUAL(strncmp(out.ptr, "f.yaml:", 7), 0);
}

static CU_TestInfo tests[] = {
    {"refusals_name_file_and_line", refusals_name_file_and_line},
    {"what_is_no_yaml_names_its_line", what_is_no_yaml_names_its_line},
    {"scalars_are_read_as_kubectl_does", scalars_are_read_as_kubectl_does},
    {"keys_are_text", keys_are_text},
    {"tags_of_the_core_decide", tags_of_the_core_decide},
    {"anchors_are_copies", anchors_are_copies},
    {"merge_keys_fill_what_is_absent", merge_keys_fill_what_is_absent},
    {"documents_and_lines", documents_and_lines},
    {"line_ends_and_json_and_marks", line_ends_and_json_and_marks},
    {"alias_bomb_ends_at_the_cap", alias_bomb_ends_at_the_cap},
    {"merge_bomb_ends_at_the_cap", merge_bomb_ends_at_the_cap},
    {"aliases_do_not_pass_the_depth", aliases_do_not_pass_the_depth},
    {"caps_on_depth_documents_and_bytes", caps_on_depth_documents_and_bytes},
    {"nul_bytes_are_no_text", nul_bytes_are_no_text},
    CU_TEST_INFO_NULL,
};

extern CU_SuiteInfo suite_shared_yaml;
CU_SuiteInfo suite_shared_yaml = {"shared_yaml", NULL, NULL, NULL, NULL, tests};
