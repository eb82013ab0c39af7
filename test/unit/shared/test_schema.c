// SPDX-License-Identifier: Apache-2.0
// One table with every type of field; each refusal with its exact path and text.
#include "shared/schema.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>

static const struct gw_field pair_fields[] = {
    {.name = "name", .type = GW_F_STRING, .flags = GW_F_REQUIRED, .min = 1, .max = 8},
    {.name = "port", .type = GW_F_INT, .min = 1, .max = 65535},
    {0},
};
static const struct gw_field pair = {.type = GW_F_OBJECT, .fields = pair_fields};
static const struct gw_field short_text = {.type = GW_F_STRING, .max = 4};

static const struct gw_field fields[] = {
    {.name = "text", .type = GW_F_STRING},
    {.name = "min", .type = GW_F_STRING, .min = 3, .max = 5},
    {.name = "kind",
     .type = GW_F_STRING,
     .values = (const char *const[]){"Exact", "PathPrefix", NULL}},
    {.name = "host", .type = GW_F_STRING, .pattern = "[a-z]+|x\\.y", .pattern_says = "is no host"},
    {.name = "bare", .type = GW_F_STRING, .pattern = "[0-9]{2}"},
    {.name = "port", .type = GW_F_INT, .min = 1, .max = 65535},
    {.name = "any_int", .type = GW_F_INT},
    {.name = "flag", .type = GW_F_BOOL},
    {.name = "wait", .type = GW_F_DURATION, .min = 10, .max = 60000},
    {.name = "pair", .type = GW_F_OBJECT, .fields = pair_fields},
    {.name = "pairs", .type = GW_F_LIST, .min = 1, .max = 3, .elem = &pair, .unique = "name"},
    {.name = "both", .type = GW_F_LIST, .elem = &pair, .unique = "name,port"},
    {.name = "map", .type = GW_F_MAP, .max = 2, .elem = &short_text},
    {.name = "free", .type = GW_F_ANY},
    {.name = "mixed", .type = GW_F_INT_OR_STRING, .min = 1, .max = 9},
    {.name = "later", .type = GW_F_OBJECT, .flags = GW_F_UNBUILT, .fields = pair_fields},
    {.name = "must", .type = GW_F_BOOL, .flags = GW_F_REQUIRED},
    {0},
};

// The text with ' for ".
static json_t *load(const char *quoted) {
    struct gw_err err = {0};
    char *text = gw_strdup(quoted);
    for (char *p = text; *p; p++)
        if (*p == '\'') *p = '"';
    json_t *v = gw_json_load(gw_str_of(text), 1 << 20, 0, &err);
    free(text);
    if (!v) fprintf(stderr, "\n%s: %s\n", quoted, err.text);
    return v;
}

static void refusals_name_path_and_reason(void) {
    static const struct {
        const char *body, *path, *says;
    } table[] = {
        {"[]", "spec", "spec: must be an object, not a list"},
        {"{'must':true,'foo':1}", "spec.foo", "unknown field spec.foo"},
        {"{'must':true,'foo':null}", "spec.foo", "unknown field spec.foo"},
        {"{'must':true,'Text':'x'}", "spec.Text", "unknown field spec.Text"},
        {"{}", "spec", "spec.must is missing"},
        {"{'must':null}", "spec", "spec.must is missing"},
        {"{'later':{},'must':true}", "spec.later", "spec.later is not supported yet"},
        {"{'text':1}", "spec.text", "spec.text: must be a string, not an integer"},
        {"{'text':1.5}", "spec.text", "spec.text: must be a string, not a number"},
        {"{'text':true}", "spec.text", "spec.text: must be a string, not a boolean"},
        {"{'text':[]}", "spec.text", "spec.text: must be a string, not a list"},
        {"{'text':{}}", "spec.text", "spec.text: must be a string, not an object"},
        {"{'text':'a\\u0000b'}", "spec.text", "spec.text: must not hold a NUL character"},
        {"{'min':''}", "spec.min", "spec.min: must not be empty"},
        {"{'min':'ab'}", "spec.min", "spec.min: 'ab' is shorter than 3 characters"},
        {"{'min':'abcdef'}", "spec.min", "spec.min: is longer than 5 characters"},
        {"{'kind':'exact'}", "spec.kind", "spec.kind: 'exact' is not one of Exact, PathPrefix"},
        {"{'kind':''}", "spec.kind", "spec.kind: '' is not one of Exact, PathPrefix"},
        {"{'host':'A'}", "spec.host", "spec.host: 'A' is no host"},
        {"{'host':'ax.y'}", "spec.host", "spec.host: 'ax.y' is no host"},
        {"{'host':'ab\\n'}", "spec.host", "spec.host: 'ab\n' is no host"},
        {"{'bare':'1'}", "spec.bare", "spec.bare: '1' does not match [0-9]{2}"},
        {"{'bare':'123'}", "spec.bare", "spec.bare: '123' does not match [0-9]{2}"},
        {"{'port':0}", "spec.port", "spec.port: 0 is not in 1..65535"},
        {"{'port':65536}", "spec.port", "spec.port: 65536 is not in 1..65535"},
        {"{'port':'80'}", "spec.port", "spec.port: must be an integer, not a string"},
        {"{'port':80.5}", "spec.port", "spec.port: must be an integer, not a number"},
        {"{'flag':'true'}", "spec.flag", "spec.flag: must be true or false, not a string"},
        {"{'flag':1}", "spec.flag", "spec.flag: must be true or false, not an integer"},
        {"{'wait':5}", "spec.wait", "spec.wait: must be a duration such as 30s, not an integer"},
        {"{'wait':'9ms'}", "spec.wait", "spec.wait: '9ms' must be at least 10ms"},
        {"{'wait':'2m'}", "spec.wait", "spec.wait: '2m' must be at most 1m"},
        {"{'pair':[]}", "spec.pair", "spec.pair: must be an object, not a list"},
        {"{'pair':{}}", "spec.pair", "spec.pair.name is missing"},
        {"{'pair':{'name':'a','x':1}}", "spec.pair.x", "unknown field spec.pair.x"},
        {"{'pairs':{}}", "spec.pairs", "spec.pairs: must be a list, not an object"},
        {"{'pairs':[]}", "spec.pairs", "spec.pairs: needs at least 1 entries"},
        {"{'pairs':[1]}", "spec.pairs[0]", "spec.pairs[0]: must be an object, not an integer"},
        {"{'pairs':[{'name':'a'},{'name':'b','port':0}]}", "spec.pairs[1].port",
         "spec.pairs[1].port: 0 is not in 1..65535"},
        {"{'pairs':[{'name':'a'},{'name':'b'},{'name':'c'},{'name':'d'}]}", "spec.pairs",
         "spec.pairs: has 4 entries, at most 3 are allowed"},
        {"{'pairs':[{'name':'a'},{'name':'b'},{'name':'a'}]}", "spec.pairs[2]",
         "spec.pairs[2]: 'a' occurs twice (also in spec.pairs[0])"},
        {"{'both':[{'name':'a','port':1},{'name':'a','port':1}]}", "spec.both[1]",
         "spec.both[1]: 'a/1' occurs twice (also in spec.both[0])"},
        {"{'map':[]}", "spec.map", "spec.map: must be an object, not a list"},
        {"{'map':{'k':1}}", "spec.map.k", "spec.map.k: must be a string, not an integer"},
        {"{'map':{'k':'12345'}}", "spec.map.k", "spec.map.k: is longer than 4 characters"},
        {"{'map':{'a':'','b':'','c':''}}", "spec.map",
         "spec.map: has 3 entries, at most 2 are allowed"},
        {"{'mixed':true}", "spec.mixed",
         "spec.mixed: must be an integer or a string, not a boolean"},
        {"{'mixed':10}", "spec.mixed", "spec.mixed: 10 is not in 1..9"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct gw_schema_problem p = {0};
        GW_JSON_AUTO body = load(table[i].body);
        CU_ASSERT_EQUAL(gw_schema_check(body, fields, "spec", &p), GW_ERR_INPUT);
        CU_ASSERT_STRING_EQUAL(p.path, table[i].path);
        CU_ASSERT_STRING_EQUAL(p.err.text, table[i].says);
        CU_ASSERT_EQUAL(p.err.rc, GW_ERR_INPUT);
        if (strcmp(p.err.text, table[i].says) != 0)
            fprintf(stderr, "\n%s\n  got  %s\n", table[i].body, p.err.text);
    }
}

static void what_fits_is_taken(void) {
    static const char *const table[] = {
        "{'must':false}",
        "{'must':true,'text':'','min':'abc','kind':'Exact','host':'x.y','bare':'12'}",
        "{'must':true,'min':'abcde','kind':'PathPrefix','host':'abc'}",
        "{'must':true,'port':1,'any_int':-9223372036854775807,'flag':false,'wait':'10ms'}",
        "{'must':true,'port':65535,'wait':'1m'}",
        "{'must':true,'pair':{'name':'a'},'pairs':[{'name':'a','port':1},{'name':'b','port':1}]}",
        "{'must':true,'both':[{'name':'a','port':1},{'name':'a','port':2},{'name':'b','port':1}]}",
        "{'must':true,'map':{},'free':[{'any':[1,null]}],'mixed':'text'}",
        "{'must':true,'map':{'a':'1234','':''},'free':1,'mixed':9}",
        "{'must':true,'text':null,'port':null,'pairs':null,'later':null,'pair':null}",
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct gw_schema_problem p = {0};
        GW_JSON_AUTO body = load(table[i]);
        CU_ASSERT_EQUAL(gw_schema_check(body, fields, "spec", &p), GW_OK);
        if (p.err.text[0]) fprintf(stderr, "\n%s: %s\n", table[i], p.err.text);
    }
}

static void without_a_path_names_stand_alone(void) {
    struct gw_schema_problem p = {0};
    GW_JSON_AUTO unknown = load("{'foo':1}");
    CU_ASSERT_EQUAL(gw_schema_check(unknown, fields, "", &p), GW_ERR_INPUT);
    CU_ASSERT_STRING_EQUAL(p.err.text, "unknown field foo");
    GW_JSON_AUTO empty = load("{}");
    CU_ASSERT_EQUAL(gw_schema_check(empty, fields, "", &p), GW_ERR_INPUT);
    CU_ASSERT_STRING_EQUAL(p.err.text, "must is missing");
    GW_JSON_AUTO text = load("'x'");
    CU_ASSERT_EQUAL(gw_schema_check(text, fields, "", &p), GW_ERR_INPUT);
    CU_ASSERT_STRING_EQUAL(p.err.text, "document: must be an object, not a string");
}

static void long_values_are_cut_in_messages(void) {
    struct gw_schema_problem p = {0};
    char value[301], want[200];
    memset(value, 'A', sizeof(value) - 1);
    value[sizeof(value) - 1] = 0;
    GW_JSON_AUTO body = json_pack("{ss}", "kind", value);
    CU_ASSERT_EQUAL(gw_schema_check(body, fields, "spec", &p), GW_ERR_INPUT);
    snprintf(want, sizeof(want), "spec.kind: '%.64s' is not one of Exact, PathPrefix", value);
    CU_ASSERT_STRING_EQUAL(p.err.text, want);
}

static void texts_and_lists_have_default_caps(void) {
    static const struct gw_field list_fields[] = {
        {.name = "text", .type = GW_F_STRING},
        {.name = "list", .type = GW_F_LIST, .elem = &short_text},
        {0},
    };
    struct gw_schema_problem p = {0};
    char *text = gw_alloc(GW_F_STRING_MAX_DEFAULT + 2);
    memset(text, 'a', GW_F_STRING_MAX_DEFAULT);
    GW_JSON_AUTO body = json_pack("{sss[]}", "text", text, "list");
    json_t *list = json_object_get(body, "list");
    for (int i = 0; i < GW_F_LIST_MAX_DEFAULT; i++)
        json_array_append_new(list, json_string("x"));
    CU_ASSERT_EQUAL(gw_schema_check(body, list_fields, "spec", &p), GW_OK);
    json_array_append_new(list, json_string("x"));
    CU_ASSERT_EQUAL(gw_schema_check(body, list_fields, "spec", &p), GW_ERR_INPUT);
    CU_ASSERT_STRING_EQUAL(p.err.text, "spec.list: has 4097 entries, at most 4096 are allowed");
    json_array_clear(list);
    text[GW_F_STRING_MAX_DEFAULT] = 'a';
    json_object_set_new(body, "text", json_string(text));
    CU_ASSERT_EQUAL(gw_schema_check(body, list_fields, "spec", &p), GW_ERR_INPUT);
    CU_ASSERT_STRING_EQUAL(p.err.text, "spec.text: is longer than 65536 characters");
    free(text);
}

static CU_TestInfo tests[] = {
    {"refusals_name_path_and_reason", refusals_name_path_and_reason},
    {"what_fits_is_taken", what_fits_is_taken},
    {"without_a_path_names_stand_alone", without_a_path_names_stand_alone},
    {"long_values_are_cut_in_messages", long_values_are_cut_in_messages},
    {"texts_and_lists_have_default_caps", texts_and_lists_have_default_caps},
    CU_TEST_INFO_NULL,
};

extern CU_SuiteInfo suite_shared_schema;
CU_SuiteInfo suite_shared_schema = {"shared_schema", NULL, NULL, NULL, NULL, tests};
