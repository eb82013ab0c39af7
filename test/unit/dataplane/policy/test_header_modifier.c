// SPDX-License-Identifier: Apache-2.0
// RequestHeaderModifier and ResponseHeaderModifier: what compile refuses and what they change.
#include "dataplane/policy/policy.h"

#include <CUnit/CUnit.h>
#include <stdio.h>

extern CU_SuiteInfo suite_dataplane_policy_header_modifier;

static const struct dp_policy_type *type_of(const char *name) {
    const struct dp_policy_type *t = dp_policy_find(gw_str_of(name));
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    return t;
}

static enum gw_rc compile(const char *type, const char *json, struct gw_arena *a,
                          const void **ret_conf, struct gw_err *err) {
    json_t *spec = json_loads(json, 0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(spec);
    enum gw_rc rc = type_of(type)->compile(spec, a, ret_conf, err);
    // What was compiled must not borrow from the tree.
    json_decref(spec);
    return rc;
}

// --- refusals ----------------------------------------------------------------------------------

static void refuse(const char *type, const char *json, const char *why) {
    struct gw_arena a = {0};
    struct gw_err err = {0};
    const void *conf = NULL;
    CU_ASSERT_EQUAL(compile(type, json, &a, &conf, &err), GW_ERR_INPUT);
    CU_ASSERT_PTR_NULL(conf);
    bool says = strstr(err.text, why);
    CU_ASSERT(says);
    if (!says) printf("\n%s\ngot '%s', wanted '%s'\n", json, err.text, why);
    gw_arena_fini(&a);
}

static void refuses_fields_of_the_codec(void) {
    static const char *const names[] = {"Content-Length", "transfer-encoding", "Connection",
                                        "Keep-Alive",     "Proxy-Connection",  "TE",
                                        "Upgrade",        "HTTP2-Settings",    "Expect"};
    static const char *const types[] = {"RequestHeaderModifier", "ResponseHeaderModifier"};
    for (size_t i = 0; i < GW_ARRAY_LEN(names) * 2; i++) {
        char json[256], why[256];
        const char *name = names[i / 2], *type = types[i % 2];
        snprintf(json, sizeof(json), "{\"set\":[{\"name\":\"%s\",\"value\":\"1\"}]}", name);
        snprintf(why, sizeof(why), "set[0]: '%s' frames the message", name);
        refuse(type, json, why);
        snprintf(json, sizeof(json), "{\"add\":[{\"name\":\"%s\",\"value\":\"1\"}]}", name);
        snprintf(why, sizeof(why), "add[0]: '%s' frames the message", name);
        refuse(type, json, why);
        snprintf(json, sizeof(json), "{\"remove\":[\"x\",\"%s\"]}", name);
        snprintf(why, sizeof(why), "remove[1]: '%s' frames the message", name);
        refuse(type, json, why);
    }
}

static void refuses_host_but_for_set_in_requests(void) {
    const char *host = "[{\"name\":\"Host\",\"value\":\"a\"}]";
    char json[128];
    snprintf(json, sizeof(json), "{\"add\":%s}", host);
    refuse("RequestHeaderModifier", json, "add[0]: Host can only be set");
    snprintf(json, sizeof(json), "{\"set\":%s}", host);
    refuse("ResponseHeaderModifier", json, "set[0]: Host can only be set, and only in requests");
    refuse("RequestHeaderModifier", "{\"remove\":[\"host\"]}", "remove[0]: Host cannot be removed");
    refuse("RequestHeaderModifier", "{\"set\":[{\"name\":\"Host\",\"value\":\"a b\"}]}",
           "set[0]: Host: the host has a bad byte");
    refuse("RequestHeaderModifier", "{\"set\":[{\"name\":\"Host\",\"value\":\"\"}]}",
           "set[0]: Host: it is empty");
}

static void refuses_what_is_no_header(void) {
    static const struct {
        const char *json, *why;
    } cases[] = {
        {"{\"set\":[{\"name\":\"\",\"value\":\"1\"}]}", "set[0]: the name is not a header name"},
        {"{\"set\":[{\"name\":\"a b\",\"value\":\"1\"}]}", "set[0]: the name"},
        {"{\"set\":[{\"name\":\"a:\",\"value\":\"1\"}]}", "set[0]: the name"},
        {"{\"set\":[{\"name\":\"a\\r\\nb\",\"value\":\"1\"}]}", "set[0]: the name"},
        {"{\"add\":[{\"name\":\"a\",\"value\":\"1\"},{\"name\":\"b\",\"value\":\"1\\r\\nc: 2\"}]}",
         "add[1]: the value has a control byte"},
        {"{\"set\":[{\"name\":\"a\",\"value\":\"1\\u007f\"}]}", "set[0]: the value"},
        {"{\"set\":[{\"name\":\"a\",\"value\":1}]}", "set[0]: it needs a name and a value"},
        {"{\"set\":[{\"name\":\"a\"}]}", "set[0]: it needs a name and a value"},
        {"{\"set\":[\"a\"]}", "set[0]: it needs a name and a value"},
        {"{\"set\":{\"a\":\"b\"}}", "set: not a list"},
        {"{\"remove\":\"a\"}", "remove: not a list"},
        {"{\"remove\":[1]}", "remove[0]: not a header name"},
        {"{\"remove\":[\"a b\"]}", "remove[0]: the name"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++)
        refuse("RequestHeaderModifier", cases[i].json, cases[i].why);
}

static void refuses_over_the_limits(void) {
    struct gw_text json = {0};
    gw_text_adds(&json, "{\"remove\":[\"a\"");
    for (unsigned i = 0; i < 64; i++)
        gw_text_adds(&json, ",\"a\"");
    gw_text_adds(&json, "]}");
    refuse("RequestHeaderModifier", json.ptr, "remove: over 64 entries");
    gw_text_reset(&json);
    gw_text_adds(&json, "{\"set\":[{\"name\":\"a\",\"value\":\"");
    for (unsigned i = 0; i <= 4096; i++)
        gw_text_adds(&json, "v");
    gw_text_adds(&json, "\"}]}");
    refuse("RequestHeaderModifier", json.ptr, "set[0]: the value has a control byte or is over");
    gw_text_fini(&json);
}

static void unknown_types_are_not_found(void) {
    CU_ASSERT_PTR_NULL(dp_policy_find(GW_STR("requestheadermodifier")));
    CU_ASSERT_PTR_NULL(dp_policy_find(GW_STR("RequestHeaderModifiers")));
    CU_ASSERT_PTR_NULL(dp_policy_find(GW_STR("")));
}

// --- changes -----------------------------------------------------------------------------------

// fields: "name=value;..." before and after.
static void change(const char *type, const char *json, const char *before, const char *want) {
    struct gw_arena a = {0};
    struct gw_err err = {0};
    const void *conf;
    struct dp_head head = {.authority = GW_STR("old"), .host = GW_STR("old")};
    struct gw_str rest = gw_str_of(before);
    while (rest.len) {
        struct gw_str value = gw_str_cut(&rest, ';'), name = gw_str_cut(&value, '=');
        CU_ASSERT_EQUAL(dp_fields_add(&head.fields, &a, name, value), GW_OK);
    }
    CU_ASSERT_EQUAL_FATAL(compile(type, json, &a, &conf, &err), GW_OK);
    const struct dp_policy_type *t = type_of(type);
    struct dp_policy_call call = {.head = &head, .answer = &head, .arena = &a, .err = &err};
    enum gw_rc rc = t->request ? t->request(conf, &call) : t->response(conf, &call);
    CU_ASSERT_EQUAL(rc, GW_OK);
    struct gw_text got = {0};
    gw_text_adds(&got, "");
    for (unsigned i = 0; i < head.fields.len; i++)
        gw_text_addf(&got, GW_STR_FMT "=" GW_STR_FMT ";", GW_STR_ARG(head.fields.ptr[i].name),
                     GW_STR_ARG(head.fields.ptr[i].value));
    gw_text_addf(&got, " " GW_STR_FMT, GW_STR_ARG(head.authority));
    CU_ASSERT_STRING_EQUAL(got.ptr, want);
    CU_ASSERT(gw_str_eq(head.host, GW_STR("old")));
    gw_text_fini(&got);
    gw_arena_fini(&a);
}

// Both types do the same to fields.
static void change_both(const char *json, const char *before, const char *want) {
    change("RequestHeaderModifier", json, before, want);
    change("ResponseHeaderModifier", json, before, want);
}

static void nothing_to_do(void) {
    change_both("{}", "A=1;B=2;", "A=1;B=2; old");
    change_both("{\"set\":[],\"add\":[],\"remove\":[]}", "A=1;", "A=1; old");
    change_both("{\"set\":null}", "A=1;", "A=1; old");
    change_both("{\"remove\":[\"x\"]}", "", " old");
}

static void set_replaces_every_occurrence(void) {
    change_both("{\"set\":[{\"name\":\"X-A\",\"value\":\"9\"}]}", "B=1;x-a=1;C=2;X-a=2;x-A=3;",
                "B=1;X-A=9;C=2; old");
    change_both("{\"set\":[{\"name\":\"X-A\",\"value\":\"9\"}]}", "B=1;", "B=1;X-A=9; old");
    change_both("{\"set\":[{\"name\":\"user-agent\",\"value\":\"u\"}]}", "User-Agent=1;",
                "user-agent=u; old");
}

static void add_keeps_what_is_there(void) {
    change_both("{\"add\":[{\"name\":\"Set-Cookie\",\"value\":\"b\"}]}", "set-cookie=a;X=1;",
                "set-cookie=a;X=1;Set-Cookie=b; old");
}

static void remove_takes_every_occurrence(void) {
    change_both("{\"remove\":[\"x-a\",\"VIA\"]}", "X-A=1;B=2;x-a=3;Via=4;", "B=2; old");
}

static void set_then_add_then_remove(void) {
    change_both("{\"remove\":[\"c\"],\"add\":[{\"name\":\"a\",\"value\":\"2\"},"
                "{\"name\":\"c\",\"value\":\"3\"}],\"set\":[{\"name\":\"a\",\"value\":\"1\"}]}",
                "A=0;", "a=1;a=2; old");
}

static void http_02_first_of_equivalent_entries_counts(void) {
    change_both("{\"set\":[{\"name\":\"X-A\",\"value\":\"1\"},{\"name\":\"x-a\",\"value\":\"2\"}],"
                "\"add\":[{\"name\":\"B\",\"value\":\"3\"},{\"name\":\"b\",\"value\":\"4\"}]}",
                "", "X-A=1;B=3; old");
}

static void blanks_around_values_go(void) {
    change_both("{\"set\":[{\"name\":\"a\",\"value\":\" \\tx y \"}]}", "", "a=x y; old");
}

static void set_of_host_changes_the_authority(void) {
    change("RequestHeaderModifier",
           "{\"set\":[{\"name\":\"host\",\"value\":\"New.example.com:81\"},"
           "{\"name\":\"x\",\"value\":\"1\"}]}",
           "", "x=1; New.example.com:81");
    change("RequestHeaderModifier", "{\"set\":[{\"name\":\"host\",\"value\":\"[::1]:81\"}]}", "",
           " [::1]:81");
}

static void a_full_arena_refuses_the_message(void) {
    struct gw_arena conf_arena = {0}, a;
    struct gw_err err = {0};
    const void *conf;
    struct dp_head head = {0};
    const char *json = "{\"add\":[{\"name\":\"a\",\"value\":\"1\"}]}";
    gw_arena_init(&a, NULL, 0, 16);
    CU_ASSERT_EQUAL_FATAL(compile("RequestHeaderModifier", json, &conf_arena, &conf, &err), GW_OK);
    struct dp_policy_call call = {.head = &head, .answer = &head, .arena = &a, .err = &err};
    CU_ASSERT_EQUAL(type_of("RequestHeaderModifier")->request(conf, &call), GW_ERR_LIMIT);
    CU_ASSERT_EQUAL(err.code, 431);
    CU_ASSERT_EQUAL(type_of("ResponseHeaderModifier")->response(conf, &call), GW_ERR_LIMIT);
    CU_ASSERT_EQUAL(err.code, 502);
    gw_arena_fini(&a);
    gw_arena_fini(&conf_arena);
}

static void each_type_looks_at_its_own_head(void) {
    CU_ASSERT_PTR_NOT_NULL(type_of("RequestHeaderModifier")->request);
    CU_ASSERT_PTR_NULL(type_of("RequestHeaderModifier")->response);
    CU_ASSERT_PTR_NULL(type_of("ResponseHeaderModifier")->request);
    CU_ASSERT_PTR_NOT_NULL(type_of("ResponseHeaderModifier")->response);
}

static CU_TestInfo tests[] = {
    {"refuses fields of the codec", refuses_fields_of_the_codec},
    {"refuses Host but for set in requests", refuses_host_but_for_set_in_requests},
    {"refuses what is no header", refuses_what_is_no_header},
    {"refuses over the limits", refuses_over_the_limits},
    {"unknown types are not found", unknown_types_are_not_found},
    {"a full arena refuses the message", a_full_arena_refuses_the_message},
    {"nothing to do", nothing_to_do},
    {"set replaces every occurrence", set_replaces_every_occurrence},
    {"add keeps what is there", add_keeps_what_is_there},
    {"remove takes every occurrence", remove_takes_every_occurrence},
    {"set, then add, then remove", set_then_add_then_remove},
    {"http-02: first of equivalent entries counts", http_02_first_of_equivalent_entries_counts},
    {"blanks around values go", blanks_around_values_go},
    {"set of Host changes the authority", set_of_host_changes_the_authority},
    {"each type looks at its own head", each_type_looks_at_its_own_head},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_policy_header_modifier = {
    "header_modifier", NULL, NULL, NULL, NULL, tests,
};
