// SPDX-License-Identifier: Apache-2.0
// The client against a real push server in the same process. What it keeps: test_client_kept.c.
#include "test/unit/dataplane/conf/stage.h"

#include <stdlib.h>

// --- the stream ---------------------------------------------------------------------------------

static void hello_says_who_asks(void) {
    struct gw_err err;
    client = start_client(true, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(client);
    json_t *hello = controller_take(&controller, "hello");
    CU_ASSERT(gw_str_eq(gw_json_str(hello, "node"), GW_STR("node-1")));
    CU_ASSERT(gw_str_eq(gw_json_str(hello, "gateway"), GW_STR("default/edge")));
    CU_ASSERT(gw_str_eq(gw_json_str(hello, "address"), GW_STR("10.1.2.3")));
    CU_ASSERT(gw_str_eq(gw_json_str(hello, "root"), GW_STR("")));
    json_decref(hello);
    controller_send(&controller, gw_ir_resync());
    json_t *have = controller_take(&controller, "have");
    CU_ASSERT_EQUAL(json_object_size(have), 0);
    json_decref(have);
    CU_ASSERT_FALSE(dp_conf_client_is_ready(client));
}

static void a_snapshot_is_applied_and_acknowledged(void) {
    connect_and_push_good();
    char version[GW_IR_VERSION_CHARS + 1];
    CU_ASSERT(dp_conf_client_is_ready(client));
    CU_ASSERT_EQUAL(leads_to(8080, "/one"), 9001);
    dp_conf_client_version(client, version);
    CU_ASSERT_STRING_EQUAL(version, controller_root(&controller));
    CU_ASSERT_EQUAL(workers.applied, 1);
}

static void parts_are_applied_once_complete(void) {
    connect_client();
    const char *const first[] = {LISTENER, LISTENER_ON("8080"), NULL};
    const char *const second[] = {"rule/default/one/0", RULE_OF("one", "/one", ""), NULL};
    controller_push(&controller, first, false);
    CU_ASSERT(controller_is_quiet(&controller, 100));
    CU_ASSERT_FALSE(dp_conf_client_is_ready(client));
    expect_ack(controller_push(&controller, second, true));
    CU_ASSERT_EQUAL(leads_to(8080, "/one"), 1); // its backend is not there: 500
    CU_ASSERT_EQUAL(workers.applied, 1);
}

static void an_empty_snapshot_makes_ready(void) {
    const char *const none[] = {NULL};
    connect_client();
    expect_ack(controller_push(&controller, none, true));
    CU_ASSERT(dp_conf_client_is_ready(client));
}

static void what_is_removed_stops(void) {
    connect_and_push_good();
    expect_ack(PUSH("rule/default/one/0", NULL));
    CU_ASSERT_EQUAL(leads_to(8080, "/one"), 0);
    json_t *shown = dp_conf_client_dump(client);
    CU_ASSERT_PTR_NULL(json_object_get(json_object_get(shown, "resources"), "rule/default/one/0"));
    json_decref(shown);
}

static void a_reconnect_to_the_same_snapshot_moves_nothing(void) {
    connect_and_push_good();
    unsigned applied = workers.applied;
    gw_h2link_peer_close(controller.peer, "test");
    json_t *hello = controller_take(&controller, "hello");
    CU_ASSERT(gw_str_eq(gw_json_str(hello, "root"), gw_str_of(controller_root(&controller))));
    json_decref(hello);
    CU_ASSERT(controller_is_quiet(&controller, 100));
    CU_ASSERT_EQUAL(workers.applied, applied);
    CU_ASSERT_EQUAL(leads_to(8080, "/one"), 9001);
}

static void half_a_delta_is_forgotten_on_reconnect(void) {
    connect_and_push_good();
    char root[GW_IR_VERSION_CHARS + 1];
    memcpy(root, controller_root(&controller), sizeof(root));
    const char *const part[] = {"rule/default/one/0", NULL, NULL};
    controller_push(&controller, part, false);
    CU_ASSERT(controller_is_quiet(&controller, 50));
    gw_h2link_peer_close(controller.peer, "test");
    json_t *hello = controller_take(&controller, "hello");
    CU_ASSERT(gw_str_eq(gw_json_str(hello, "root"), gw_str_of(root)));
    json_decref(hello);
    expect_ack(PUSH("rule/default/two/0", RULE_OF("two", "/two", "")));
    CU_ASSERT_EQUAL(leads_to(8080, "/one"), 9001);
}

static void what_is_no_message_leads_to_a_new_connection(void) {
    static const char *const texts[] = {"not JSON", "{}", "{\"ack\":\"x\"}",
                                        "{\"delta\":{\"version\":\"x\"}}"};
    connect_and_push_good();
    for (size_t i = 0; i < GW_ARRAY_LEN(texts); i++) {
        unsigned opened = controller.opened;
        controller_send_text(&controller, texts[i]);
        json_decref(controller_take(&controller, "hello"));
        CU_ASSERT_EQUAL(controller.opened, opened + 1);
    }
    CU_ASSERT_EQUAL(leads_to(8080, "/one"), 9001);
}

static void a_burst_ends_at_the_newest(void) {
    connect_and_push_good();
    char last[GW_IR_VERSION_CHARS + 1] = "";
    for (int i = 0; i < 200; i++) {
        char body[128];
        snprintf(body, sizeof(body), ENDPOINTS_AT("%d"), 10000 + i);
        memcpy(last, PUSH("endpoints/default/web/80", body), sizeof(last));
    }
    for (int answers = 0; answers < 200; answers++) {
        json_t *ack = controller_take(&controller, "ack");
        bool is_last = gw_str_eq(gw_json_str_of(ack), gw_str_of(last));
        json_decref(ack);
        if (is_last || !ack) break;
    }
    CU_ASSERT_EQUAL(leads_to(8080, "/one"), 10199);
}

static void a_wrong_token_gets_nothing(void) {
    FILE *f = fopen(controller.token_file, "we");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs("wrong", f);
    fclose(f);
    struct gw_err err;
    client = start_client(true, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(client);
    CU_ASSERT(controller_is_quiet(&controller, 300));
    CU_ASSERT_EQUAL(controller.opened, 0);
    // The right one is found without a restart.
    f = fopen(controller.token_file, "we");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fprintf(f, GW_STR_FMT "\n", GW_STR_ARG(gw_secret_reveal(controller.token)));
    fclose(f);
    json_decref(controller_take(&controller, "hello"));
}

// Not the one that it came with: tokens are replaced.
static void the_present_token_is_shown_when_asked(void) {
    connect_and_push_good();
    for (int i = 0; i < 2; i++) {
        char text[] = "token-0\n";
        text[6] = (char)('0' + i);
        write_file(controller.token_file, gw_str_of(text));
        controller_send(&controller, gw_ir_identify());
        json_t *token = controller_take(&controller, "token");
        CU_ASSERT(gw_str_eq(gw_json_str_of(token), ((struct gw_str){text, 7})));
        json_decref(token);
    }
    unlink(controller.token_file);
    controller_send(&controller, gw_ir_identify());
    CU_ASSERT(controller_is_quiet(&controller, 50));
    CU_ASSERT_EQUAL(controller.opened, 1);
}

static void files_that_come_later_are_found(void) {
    char aside[80];
    snprintf(aside, sizeof(aside), "%s.later", controller.ca_file);
    CU_ASSERT_EQUAL(rename(controller.ca_file, aside), 0);
    struct gw_err err;
    client = start_client(true, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(client);
    CU_ASSERT(controller_is_quiet(&controller, 100));
    CU_ASSERT_EQUAL(rename(aside, controller.ca_file), 0);
    json_decref(controller_take(&controller, "hello"));
}

// --- refusals -----------------------------------------------------------------------------------

// A bad rule is refused alone, everything that comes after it is tried.
static void reload_01(void) {
    const char *bad = "rule/default/bad/0";
    connect_and_push_good();
    expect_nack(PUSH(bad, RULE_OF("bad", "/bad", BAD_FILTER), "rule/default/two/0",
                     RULE_OF("two", "/two", "")),
                NAMES(bad), "filters[0]: type 'Nope'");
    CU_ASSERT_EQUAL(leads_to(8080, "/two"), 9001);
    CU_ASSERT_EQUAL(leads_to(8080, "/bad"), 0);
    expect_nack(PUSH("endpoints/default/web/80", ENDPOINTS_AT("9002")), NAMES(bad), "'Nope'");
    CU_ASSERT_EQUAL(leads_to(8080, "/one"), 9002);
    expect_ack(PUSH(bad, RULE_OF("bad", "/bad", "")));
    CU_ASSERT_EQUAL(leads_to(8080, "/bad"), 9002);
}

static void a_refused_resource_keeps_its_last_good_form(void) {
    connect_and_push_good();
    expect_nack(PUSH("rule/default/one/0", RULE_OF("one", "/new", BAD_FILTER)),
                NAMES("rule/default/one/0"), "'Nope'");
    CU_ASSERT_EQUAL(leads_to(8080, "/one"), 9001);
    CU_ASSERT_EQUAL(leads_to(8080, "/new"), 0);
    // What is no resource at all.
    expect_nack(PUSH("rule/default/one/0", "{\"route\":7}"), NAMES("rule/default/one/0"), "route");
    CU_ASSERT_EQUAL(leads_to(8080, "/one"), 9001);
    expect_nack(PUSH("teapot/x", "{}"), NAMES("rule/default/one/0", "teapot/x"), "");
    json_t *shown = dp_conf_client_dump(client);
    const json_t *one = gw_json_get(gw_json_get(shown, "resources"), "rule/default/one/0");
    const json_t *refused = gw_json_get(shown, "refused");
    CU_ASSERT(gw_str_eq(gw_json_str(one, "route"), GW_STR("default/one")));
    CU_ASSERT_EQUAL(json_object_size(refused), 2);
    json_decref(shown);
    expect_ack(PUSH("teapot/x", NULL, "rule/default/one/0", RULE_OF("one", "/new", "")));
    CU_ASSERT_EQUAL(leads_to(8080, "/new"), 9001);
    CU_ASSERT_EQUAL(leads_to(8080, "/one"), 0);
}

static void a_missing_secret_refuses_its_backend_until_it_comes(void) {
    const char *name = "backend/llm/default/m";
    connect_and_push_good();
    expect_nack(PUSH(name, "{\"type\":\"llm\",\"provider\":\"openai\",\"dialect\":\"chat\","
                           "\"url\":{\"scheme\":\"https\",\"host\":\"api.example.com\",\"port\":"
                           "443,\"path\":\"\"},\"keys\":[{\"secret\":\"secret/default/k/k\","
                           "\"weight\":1}]}"),
                NAMES(name), "'secret/default/k/k' is missing");
    expect_ack(PUSH("secret/default/k/k", "{\"value\":\"k\"}"));
    expect_nack(PUSH("secret/default/k/k", NULL), NAMES(name), "is missing");
    expect_ack(PUSH("secret/default/k/k", "{\"value\":\"k\"}"));
}

static void a_port_in_use_is_tried_again(void) {
    connect_client();
    set_busy_port(8080);
    expect_nack(controller_push(&controller, good_snapshot, true), NAMES(LISTENER),
                "the port is in use");
    set_busy_port(0);
    expect_ack(PUSH("rule/default/two/0", RULE_OF("two", "/two", "")));
    CU_ASSERT_EQUAL(leads_to(8080, "/one"), 9001);
}

// By itself, and told of once: the controller knows that it was refused.
static void a_port_that_becomes_free_is_told_of(void) {
    connect_client();
    set_busy_port(8080);
    expect_nack(controller_push(&controller, good_snapshot, true), NAMES(LISTENER),
                "the port is in use");
    set_busy_port(0);
    expect_ack(controller_root(&controller));
    CU_ASSERT_EQUAL(leads_to(8080, "/one"), 9001);
}

static void a_new_port_that_becomes_free_is_told_of(void) {
    connect_and_push_good();
    set_busy_port(8081);
    expect_nack(PUSH(LISTENER, LISTENER_ON("8081")), NAMES(LISTENER), "the port is in use");
    set_busy_port(0);
    expect_ack(controller_root(&controller));
    CU_ASSERT_EQUAL(leads_to(8081, "/one"), 9001);
    CU_ASSERT_EQUAL(leads_to(8080, "/one"), 0);
}

static void a_listener_stays_where_the_new_port_is_in_use(void) {
    connect_and_push_good();
    set_busy_port(8081);
    expect_nack(
        PUSH(LISTENER, LISTENER_ON("8081"), "rule/default/two/0", RULE_OF("two", "/two", "")),
        NAMES(LISTENER), "the port is in use");
    CU_ASSERT_EQUAL(leads_to(8081, "/one"), 0);
    CU_ASSERT_EQUAL(leads_to(8080, "/one"), 9001);
    CU_ASSERT_EQUAL(leads_to(8080, "/two"), 9001);
}

static void what_was_refused_is_asked_for_again(void) {
    connect_and_push_good();
    expect_nack(PUSH("rule/default/bad/0", RULE_OF("bad", "/bad", BAD_FILTER)),
                NAMES("rule/default/bad/0"), "'Nope'");
    gw_h2link_peer_close(controller.peer, "test");
    json_t *hello = controller_take(&controller, "hello");
    CU_ASSERT_FALSE(gw_str_eq(gw_json_str(hello, "root"), gw_str_of(controller_root(&controller))));
    json_decref(hello);
    controller_send(&controller, gw_ir_resync());
    json_t *have = controller_take(&controller, "have");
    CU_ASSERT_EQUAL(json_object_size(have), 5);
    CU_ASSERT_PTR_NULL(json_object_get(have, "rule/default/bad/0"));
    json_decref(have);
    // The controller forgot it meanwhile.
    free(gw_map_del(&controller.snapshot_versions, GW_STR("rule/default/bad/0")));
    expect_ack(PUSH("rule/default/two/0", RULE_OF("two", "/two", "")));
}

// --- what is shown ------------------------------------------------------------------------------

static void secrets_are_not_shown(void) {
    connect_and_push_good();
    json_t *shown = dp_conf_client_dump(client);
    char *text = json_dumps(shown, 0);
    const json_t *resources = gw_json_get(shown, "resources");
    CU_ASSERT_PTR_NULL(strstr(text, "sk-hush"));
    CU_ASSERT(
        gw_str_eq(gw_json_str(gw_json_get(resources, SECRET), "value"), GW_STR("<redacted>")));
    CU_ASSERT_EQUAL(json_object_size(resources), 5);
    CU_ASSERT_EQUAL(gw_json_int(gw_json_get(resources, LISTENER), "port", 0), 8080);
    CU_ASSERT(gw_json_bool(shown, "connected", false));
    CU_ASSERT(gw_json_bool(shown, "ready", false));
    CU_ASSERT(gw_str_eq(gw_json_str(shown, "version"), gw_str_of(controller_root(&controller))));
    free(text);
    json_decref(shown);
}

#define T(fn)                                                                                      \
    { #fn, fn }
static CU_TestInfo tests[] = {
    T(hello_says_who_asks),
    T(a_snapshot_is_applied_and_acknowledged),
    T(parts_are_applied_once_complete),
    T(an_empty_snapshot_makes_ready),
    T(what_is_removed_stops),
    T(a_reconnect_to_the_same_snapshot_moves_nothing),
    T(half_a_delta_is_forgotten_on_reconnect),
    T(what_is_no_message_leads_to_a_new_connection),
    T(a_burst_ends_at_the_newest),
    T(a_wrong_token_gets_nothing),
    T(the_present_token_is_shown_when_asked),
    T(files_that_come_later_are_found),
    T(reload_01),
    T(a_refused_resource_keeps_its_last_good_form),
    T(a_missing_secret_refuses_its_backend_until_it_comes),
    T(a_port_in_use_is_tried_again),
    T(a_port_that_becomes_free_is_told_of),
    T(a_new_port_that_becomes_free_is_told_of),
    T(a_listener_stays_where_the_new_port_is_in_use),
    T(what_was_refused_is_asked_for_again),
    T(secrets_are_not_shown),
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_conf_client = {"client", NULL, NULL, set_up, tear_down, tests};
