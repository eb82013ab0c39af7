// SPDX-License-Identifier: Apache-2.0
// Messages of the push stream: what is refused with which text, and that built ones are read.
#include "shared/ir_message.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>

#define V "0123456789abcdef0123456789abcdef"

// The text with ' for ".
static enum gw_rc parse(const char *quoted, struct gw_ir_message *m, struct gw_err *err) {
    char *text = gw_strdup(quoted);
    for (char *p = text; *p; p++)
        if (*p == '\'') *p = '"';
    enum gw_rc rc = gw_ir_message_parse(gw_str_of(text), m, err);
    free(text);
    return rc;
}

static void refusals_say_why(void) {
    static const struct {
        const char *text, *says;
    } table[] = {
        {"", "message: JSON ends too early at byte 0"},
        {"{'ack':'" V "'", "message: JSON ends too early at byte 41"},
        {"[]", "message: document: must be an object, not a list"},
        {"{}", "message: not one of those that are known"},
        {"{'resync':null}", "message: not one of those that are known"},
        {"{'what':1}", "message: unknown field what"},
        {"{'resync':1}", "message: resync: must be true or false, not an integer"},
        {"{'ack':'x'}", "message: ack: 'x' is no version"},
        {"{'ack':''}", "message: ack: '' is no version"},
        {"{'ack':'" V "0'}", "message: ack: '" V "0' is no version"},
        {"{'ack':'0123456789ABCDEF0123456789abcdef'}",
         "message: ack: '0123456789ABCDEF0123456789abcdef' is no version"},
        {"{'ack':'" V "','resync':true}", "message: not one of those that are known"},
        {"{'nack':'" V "'}", "message: not one of those that are known"},
        {"{'errors':[]}", "message: not one of those that are known"},
        {"{'ack':'" V "','errors':[]}", "message: not one of those that are known"},
        {"{'nack':'" V "','errors':[{'resource':'a/b'}]}", "message: errors[0].reason is missing"},
        {"{'hello':{}}", "message: hello.node is missing"},
        {"{'hello':{'node':''}}", "message: hello.node: must not be empty"},
        {"{'hello':{'node':'n','root':'12'}}", "message: hello.root: '12' is no version"},
        {"{'hello':{'node':'n','extra':1}}", "message: unknown field hello.extra"},
        {"{'have':{'secret/a/b/c':'1'}}", "message: have.secret/a/b/c: '1' is no version"},
        {"{'have':[]}", "message: have: must be an object, not a list"},
        {"{'delta':{'version':'" V "','set':[],'remove':[]}}",
         "message: delta.complete is missing"},
        {"{'delta':{'version':'" V "','set':[],'remove':[''],'complete':true}}",
         "message: delta.remove[0]: must not be empty"},
        {"{'delta':{'version':'" V "','set':[{'name':'a/b','version':'" V
         "'}],'remove':[],'complete':true}}",
         "message: delta.set[0].body is missing"},
        {"{'delta':{'version':'" V "','set':[{'name':'a/b','version':'1','body':{}}],"
         "'remove':[],'complete':true}}",
         "message: delta.set[0].version: '1' is no version"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct gw_ir_message m = {0};
        struct gw_err err = {0};
        CU_ASSERT_EQUAL(parse(table[i].text, &m, &err), GW_ERR_INPUT);
        CU_ASSERT_STRING_EQUAL(err.text, table[i].says);
        if (strcmp(err.text, table[i].says) != 0)
            fprintf(stderr, "\n%s\n  got  %s\n", table[i].text, err.text);
        CU_ASSERT_PTR_NULL(m.root); // written on success alone
    }
}

static void depth_and_resources_are_capped(void) {
    struct gw_err err = {0};
    struct gw_ir_message m;
    GW_CLEANUP(gw_text_fini) struct gw_text in = {0};
    for (int i = 0; i <= GW_IR_MESSAGE_DEPTH_MAX; i++)
        gw_text_adds(&in, "{\"have\":");
    CU_ASSERT_EQUAL(gw_ir_message_parse(gw_text_str(&in), &m, &err), GW_ERR_INPUT);
    CU_ASSERT_STRING_EQUAL(err.text, "message: JSON is nested more than 32 deep at byte 256");
    for (int n = GW_IR_DELTA_SET_MAX; n <= GW_IR_DELTA_SET_MAX + 1; n++) {
        json_t *set = json_array();
        for (int i = 0; i < n; i++)
            json_array_append_new(
                set, json_pack("{sssss{}}", "name", "secret/a/b/c", "version", V, "body"));
        GW_JSON_AUTO delta = gw_ir_delta(V, set, json_array(), true);
        size_t len;
        char *text = gw_ir_message_text(delta, &len);
        enum gw_rc rc = gw_ir_message_parse((struct gw_str){text, len}, &m, &err);
        CU_ASSERT_EQUAL(rc, n > GW_IR_DELTA_SET_MAX ? GW_ERR_INPUT : GW_OK);
        if (rc == GW_OK) gw_ir_message_fini(&m);
        free(text);
    }
    CU_ASSERT_STRING_EQUAL(err.text,
                           "message: delta.set: has 501 entries, at most 500 are allowed");
}

// Takes message; it reads as what it was built as.
static void check_round_trip(json_t *message, enum gw_ir_message_type type, const char *member) {
    GW_JSON_AUTO built = message;
    struct gw_ir_message m = {0};
    struct gw_err err = {0};
    size_t n;
    CU_ASSERT_PTR_NOT_NULL_FATAL(built);
    char *text = gw_ir_message_text(built, &n);
    CU_ASSERT_EQUAL(n, strlen(text));
    CU_ASSERT_EQUAL_FATAL(gw_ir_message_parse((struct gw_str){text, n}, &m, &err), GW_OK);
    CU_ASSERT_EQUAL(m.type, type);
    CU_ASSERT_TRUE(json_equal(m.root, built));
    CU_ASSERT_TRUE(json_equal(m.body, json_object_get(built, member)));
    gw_ir_message_fini(&m);
    CU_ASSERT_PTR_NULL(m.root);
    free(text);
}

static void tokens_are_read_and_not_repeated(void) {
    struct gw_ir_message m = {0};
    struct gw_err err = {0};
    size_t n;
    struct gw_str token = GW_STR("a.\"b\\\n\x01-c");
    char *text = gw_ir_token_text(token, &n);
    CU_ASSERT_EQUAL(n, strlen(text));
    CU_ASSERT_EQUAL_FATAL(gw_ir_message_parse((struct gw_str){text, n}, &m, &err), GW_OK);
    CU_ASSERT_EQUAL(m.type, GW_IR_TOKEN);
    CU_ASSERT_TRUE(gw_str_eq(gw_json_str_of(m.body), token));
    gw_ir_message_fini(&m);
    free(text);
    CU_ASSERT_EQUAL(parse("{'token':''}", &m, &err), GW_ERR_INPUT);
    GW_CLEANUP(gw_text_fini) struct gw_text large = {0};
    while (large.len < 12289)
        gw_text_adds(&large, "hush");
    text = gw_ir_token_text(gw_text_str(&large), &n);
    CU_ASSERT_EQUAL(gw_ir_message_parse((struct gw_str){text, n}, &m, &err), GW_ERR_INPUT);
    CU_ASSERT_STRING_EQUAL(err.text, "message: token: is longer than 12288 characters");
    free(text);
}

static void built_messages_are_read(void) {
    check_round_trip(gw_ir_hello("node-1", "default/edge", "127.0.0.1", V), GW_IR_HELLO, "hello");
    check_round_trip(gw_ir_hello("n", "", "", ""), GW_IR_HELLO, "hello");
    check_round_trip(gw_ir_have(json_object()), GW_IR_HAVE, "have");
    check_round_trip(gw_ir_have(json_pack("{ssss}", "secret/a/b/c", V, "rule/a/b/0", V)),
                     GW_IR_HAVE, "have");
    check_round_trip(gw_ir_ack(V), GW_IR_ACK, "ack");
    check_round_trip(gw_ir_nack(V, json_array()), GW_IR_NACK, "nack");
    check_round_trip(gw_ir_nack(V, json_pack("[{ssss}]", "resource", "rule/a/b/0", "reason", "")),
                     GW_IR_NACK, "nack");
    check_round_trip(gw_ir_resync(), GW_IR_RESYNC, "resync");
    check_round_trip(gw_ir_identify(), GW_IR_IDENTIFY, "identify");
    check_round_trip(gw_ir_delta(V, json_array(), json_pack("[s]", "secret/a/b/c"), false),
                     GW_IR_DELTA, "delta");
    check_round_trip(gw_ir_delta(V,
                                 json_pack("[{sssss{ss}}]", "name", "secret/a/b/c", "version", V,
                                           "body", "value", "x"),
                                 json_array(), true),
                     GW_IR_DELTA, "delta");
    check_round_trip(gw_ir_replica("host_1", "1.0"), GW_IR_REPLICA, "replica");
    check_round_trip(gw_ir_relay(json_array(), json_array(), json_array(), true), GW_IR_RELAY,
                     "relay");
    check_round_trip(
        gw_ir_relay(json_pack("[{ss ss si sb s[{sssssi}] s[s]}]", "gateway", "a/b", "root", V,
                              "serial", 3, "reset", 1, "set", "name", "rule/a/b/0", "version", V,
                              "serial", 2, "remove", "secret/a/b/c"),
                    json_pack("[{si ss ss ss si s[{ssssss}]}]", "id", 1, "gateway", "a/b", "node",
                              "n", "address", "", "acked", 2, "errors", "resource", "rule/a/b/0",
                              "version", V, "reason", "why"),
                    json_pack("[i]", 7), false),
        GW_IR_RELAY, "relay");
}

// What a body holds is judged one by one, later.
static void bodies_are_not_judged(void) {
    struct gw_ir_message m = {0};
    struct gw_err err = {0};
    CU_ASSERT_EQUAL(parse("{'delta':{'version':'" V "','set':[{'name':'x','version':'" V
                          "','body':7}],'remove':[],'complete':false}}",
                          &m, &err),
                    GW_OK);
    CU_ASSERT_EQUAL(m.type, GW_IR_DELTA);
    gw_ir_message_fini(&m);
    gw_ir_message_fini(&m);
}

static CU_TestInfo tests[] = {
    {"refusals_say_why", refusals_say_why},
    {"depth_and_resources_are_capped", depth_and_resources_are_capped},
    {"tokens_are_read_and_not_repeated", tokens_are_read_and_not_repeated},
    {"built_messages_are_read", built_messages_are_read},
    {"bodies_are_not_judged", bodies_are_not_judged},
    CU_TEST_INFO_NULL,
};

extern CU_SuiteInfo suite_shared_ir_message;
CU_SuiteInfo suite_shared_ir_message = {"shared_ir_message", NULL, NULL, NULL, NULL, tests};
