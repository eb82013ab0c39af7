// SPDX-License-Identifier: Apache-2.0
// Data planes that mean harm: what they say costs the controller little, whether they have shown
// that there is something for them or not.
#include "test/unit/controller/publish/plane.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>

extern CU_SuiteInfo suite_controller_publish_peer_hostile;

// --- helpers -----------------------------------------------------------------------------------

static void say_text(struct plane *p, struct gw_str text) {
    struct gw_err err;
    CU_ASSERT_EQUAL(gw_h2link_client_send(p->client, text, &err), GW_OK);
}

static void is_sent_away(struct plane *p, struct stage *s, const char *why) {
    CU_ASSERT(stage_wait(s, &p->closed, 1));
    if (!strstr(p->why, why)) fprintf(stderr, "'%s' without '%s'\n", p->why, why);
    CU_ASSERT_PTR_NOT_NULL(strstr(p->why, why));
}

static void join(struct plane *p, struct stage *s) {
    plane_start(p, s, NULL);
    CU_ASSERT_FATAL(stage_wait(s, &p->completes, 1));
    plane_ack(p);
    stage_turn(s, 20);
}

static void fill(struct gw_text *t, const char *begin, const char *piece, size_t bytes,
                 const char *end) {
    gw_text_reset(t);
    gw_text_adds(t, begin);
    while (t->len < bytes)
        gw_text_adds(t, piece);
    gw_text_adds(t, end);
}

// --- tests -------------------------------------------------------------------------------------

// Any pod's token opens the stream; who it is for is in the hello.
static void before_the_hello_messages_are_small(void) {
    struct stage s;
    struct gw_text text = {0};
    stage_init(&s);
    stage_put(&s, "x", "1");
    fill(&text, "{\"hello\":{\"node\":\"", "n", 20000, "\"}}");
    struct plane p = {.silent = true};
    plane_start(&p, &s, NULL);
    CU_ASSERT_FATAL(stage_wait(&s, &p.opened, 1));
    say_text(&p, gw_text_str(&text));
    is_sent_away(&p, &s, "closed the connection");
    plane_stop(&p);
    // One of full length is no such thing.
    char node[254] = {0}, gateway[513] = {0}, address[254] = {0};
    memset(node, 1, sizeof(node) - 1); // an escape of six bytes
    memset(gateway, 1, sizeof(gateway) - 1);
    memset(address, 1, sizeof(address) - 1);
    struct plane longest = {.silent = true};
    plane_start(&longest, &s, NULL);
    CU_ASSERT_FATAL(stage_wait(&s, &longest.opened, 1));
    plane_say(&longest, gw_ir_hello(node, gateway, address, ""));
    CU_ASSERT(stage_wait(&s, &longest.completes, 1));
    plane_stop(&longest);
    gw_text_fini(&text);
    stage_fini(&s);
}

static void answers_are_of_moderate_size(void) {
    struct stage s;
    struct plane p = {0};
    struct gw_text text = {0};
    stage_init(&s);
    stage_put(&s, "x", "1");
    join(&p, &s);
    fill(&text, "[", "1,", 9 << 20, "1]");
    say_text(&p, gw_text_str(&text));
    is_sent_away(&p, &s, "closed the connection");
    plane_stop(&p);
    gw_text_fini(&text);
    stage_fini(&s);
}

// A tree of them would take gigabytes.
static void messages_of_very_many_values_are_not_read(void) {
    static const char *const pieces[] = {"[],", "1,", "\"\\\"[\",", "{},"};
    for (size_t i = 0; i < GW_ARRAY_LEN(pieces); i++) {
        struct stage s;
        struct plane p = {.root = "0123456789abcdef0123456789abcdef"};
        struct gw_text text = {0};
        stage_init(&s);
        stage_put(&s, "x", "1");
        plane_start(&p, &s, NULL);
        CU_ASSERT_FATAL(stage_wait(&s, &p.resyncs, 1)); // all that is there may be told now
        fill(&text, "[", pieces[i], 8 << 20, "0]");
        say_text(&p, gw_text_str(&text));
        is_sent_away(&p, &s, "over 800000 values");
        plane_stop(&p);
        gw_text_fini(&text);
        stage_fini(&s);
    }
}

static void a_flood_of_answers_ends(void) {
    for (int i = 0; i < 3; i++) {
        struct stage s;
        struct plane p = {0};
        stage_init(&s);
        stage_put(&s, "x", "1");
        join(&p, &s);
        for (int k = 0; k < 100; k++) {
            if (i == 0)
                plane_ack(&p);
            else if (i == 1)
                plane_nack(&p, "secret/a/b/x", k % 2 ? "this" : "that");
            else
                plane_say(&p, gw_ir_ack("0123456789abcdef0123456789abcdef"));
        }
        is_sent_away(&p, &s, "too many answers to nothing");
        plane_stop(&p);
        stage_fini(&s);
    }
}

// What was asked for is no flood.
static void answers_to_many_deltas_are_fine(void) {
    struct stage s;
    struct plane p = {0};
    stage_init(&s);
    stage_put(&s, "x", "0");
    join(&p, &s);
    for (int k = 1; k <= 200; k++) {
        char value[16];
        snprintf(value, sizeof(value), "%d", k);
        stage_put(&s, "x", value);
        CU_ASSERT_FATAL(stage_wait(&s, &p.completes, k + 1));
        plane_ack(&p);
        stage_turn(&s, 2);
    }
    CU_ASSERT_EQUAL(p.closed, 0);
    plane_stop(&p);
    stage_fini(&s);
}

// A resource is refused once, however often an answer names it.
static void refusals_are_kept_once(void) {
    struct stage s;
    struct plane p = {0};
    const char *why = NULL;
    stage_init(&s);
    stage_put(&s, "x", "1");
    plane_start(&p, &s, NULL);
    CU_ASSERT_FATAL(stage_wait(&s, &p.completes, 1));
    json_t *errors = json_array();
    for (int i = 0; i < 20000; i++)
        json_array_append_new(errors, json_pack("{ssss}", "resource", "secret/a/b/x", "reason",
                                                i == 19999 ? "the last" : "no"));
    plane_say(&p, gw_ir_nack(p.version, errors));
    stage_turn(&s, 200);
    CU_ASSERT_EQUAL(stage_said(&s, "x", &why), CTL_PROGRAMMED_REFUSED);
    CU_ASSERT_STRING_EQUAL(why ? why : "", "the last");
    plane_ack(&p);
    stage_turn(&s, 20);
    CU_ASSERT_EQUAL(stage_said(&s, "x", &why), CTL_PROGRAMMED_YES);
    plane_stop(&p);
    stage_fini(&s);
}

static CU_TestInfo tests[] = {
    {"before the hello messages are small", before_the_hello_messages_are_small},
    {"answers are of moderate size", answers_are_of_moderate_size},
    {"messages of very many values are not read", messages_of_very_many_values_are_not_read},
    {"a flood of answers ends", a_flood_of_answers_ends},
    {"answers to many deltas are fine", answers_to_many_deltas_are_fine},
    {"refusals are kept once", refusals_are_kept_once},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_controller_publish_peer_hostile = {
    "controller_publish_peer_hostile", NULL, NULL, NULL, NULL, tests};
