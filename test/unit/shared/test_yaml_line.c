// SPDX-License-Identifier: Apache-2.0
#include "shared/yaml.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>

static const char route[] = "# a comment\n"         // 1
                            "kind: HTTPRoute\n"     // 2
                            "metadata:\n"           // 3
                            "  name: web\n"         // 4
                            "  labels: {a: 1,\n"    // 5
                            "    b: 2}\n"           // 6
                            "spec:\n"               // 7
                            "  rules:\n"            // 8
                            "  - name: first\n"     // 9
                            "    matches:\n"        // 10
                            "    - path:\n"         // 11
                            "        type: Exact\n" // 12
                            "        value: |\n"    // 13
                            "          /a\n"        // 14
                            "    - method: GET\n"   // 15
                            "  - {name: second,\n"  // 16
                            "     filters: [1,\n"   // 17
                            "               2]}\n"  // 18
                            "  y: 3\n"              // 19
                            "---\n"                 // 20
                            "---\n"                 // 21
                            "- one\n"               // 22
                            "- two: 2\n"            // 23
                            "  three: &x [4]\n"     // 24
                            "- *x\n";               // 25

static void lines_of_paths(void) {
    static const struct {
        unsigned doc;
        const char *path;
        unsigned line;
    } table[] = {
        // As far as the path exists.
        {0, "nothing", 2},
        {0, "spec.nothing", 7},
        {0, "spec.rules[7]", 8},
        {0, "spec.rules[0].nothing.more", 9},
        {0, "spec.rules[0].matches[1].path.type", 15},
        {0, "kind.more", 2},
        {0, "kin", 2},
        {0, "kinds", 2},
        {0, "spec.rule", 7},
        {0, "", 2},
        {0, "[0]", 2},
        {2, "a", 22},
        {2, "[1].twofold", 23},
        {2, "[2][0]", 25},
        // All of it.
        {0, "kind", 2},
        {0, "metadata", 3},
        {0, "metadata.name", 4},
        {0, "metadata.labels.a", 5},
        {0, "metadata.labels.b", 6},
        {0, "spec.rules", 8},
        {0, "spec.rules[0]", 9},
        {0, "spec.rules[0].matches[0]", 11},
        {0, "spec.rules[0].matches[0].path", 11},
        {0, "spec.rules[0].matches[0].path.type", 12},
        {0, "spec.rules[0].matches[0].path.value", 13},
        {0, "spec.rules[0].matches[1].method", 15},
        {0, "spec.rules[1].name", 16},
        {0, "spec.rules[1].filters[0]", 17},
        {0, "spec.rules[1].filters[1]", 18},
        {0, "spec.true", 19},
        {2, "", 22},
        {2, "[0]", 22},
        {2, "[1].two", 23},
        {2, "[1].three", 24},
        {2, "[1].three[0]", 24},
        {2, "[2]", 25},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        unsigned line = gw_yaml_line_of(gw_str_of(route), table[i].doc, table[i].path);
        CU_ASSERT_EQUAL(line, table[i].line);
        if (line != table[i].line)
            fprintf(stderr, "\n%u %s: %u, not %u\n", table[i].doc, table[i].path, line,
                    table[i].line);
    }
}

static void no_document_has_no_line(void) {
    CU_ASSERT_EQUAL(gw_yaml_line_of(gw_str_of(route), 3, "kind"), 0);
    CU_ASSERT_EQUAL(gw_yaml_line_of(gw_str_of(route), 9999, ""), 0);
    CU_ASSERT_EQUAL(gw_yaml_line_of(GW_STR(""), 0, "a"), 0);
    CU_ASSERT_EQUAL(gw_yaml_line_of(GW_STR("\tx: 1"), 0, "x"), 0);
}

static void crlf_counts_once(void) {
    CU_ASSERT_EQUAL(gw_yaml_line_of(GW_STR("a: 1\r\nb:\r\n  c: 2\r\n"), 0, "b.c"), 3);
}

static void a_very_long_path_ends_where_it_is_known(void) {
    GW_CLEANUP(gw_text_fini) struct gw_text path = {0}, text = {0};
    for (int i = 0; i < 60; i++) {
        for (int k = 0; k < i; k++)
            gw_text_adds(&text, " ");
        gw_text_addf(&text, "a-name-of-a-member-that-is-long-%d:\n", i);
        gw_text_addf(&path, "%sa-name-of-a-member-that-is-long-%d", i ? "." : "", i);
    }
    unsigned line = gw_yaml_line_of(gw_text_str(&text), 0, path.ptr);
    CU_ASSERT_TRUE(line >= 20 && line <= 60);
}

static CU_TestInfo tests[] = {
    {"lines_of_paths", lines_of_paths},
    {"no_document_has_no_line", no_document_has_no_line},
    {"crlf_counts_once", crlf_counts_once},
    {"a_very_long_path_ends_where_it_is_known", a_very_long_path_ends_where_it_is_known},
    CU_TEST_INFO_NULL,
};

extern CU_SuiteInfo suite_shared_yaml_line;
CU_SuiteInfo suite_shared_yaml_line = {"shared_yaml_line", NULL, NULL, NULL, NULL, tests};
