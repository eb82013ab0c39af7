// SPDX-License-Identifier: Apache-2.0
// Data planes that are connected are asked for their token again.
#include "controller/publish/internal.h"
#include "test/unit/controller/kube/answers.h"
#include "test/unit/controller/publish/plane.h"

#include <CUnit/CUnit.h>
#include <stdlib.h>

extern CU_SuiteInfo suite_controller_publish_recheck;

#define RECHECK_MS 30

static struct stage stage;
static struct plane plane;
static struct answers_api kube;
static struct ctl_kube_api api;

// A data plane of team-a that follows a snapshot; in a cluster where is_cluster.
static void begin(bool is_cluster) {
    stage_init(&stage);
    plane = (struct plane){0};
    stage_put(&stage, "one", "1");
    plane_start(&plane, &stage, NULL);
    CU_ASSERT_TRUE_FATAL(stage_wait(&stage, &plane.completes, 1));
    kube = (struct answers_api){0};
    if (is_cluster) {
        api = answers_api(&kube);
        stage.publish->identity = ctl_identity_new(stage.loop, &api, NULL);
        stage.publish->peers->ns = gw_strdup("team-a");
    }
    stage.publish->opts.recheck_ms = RECHECK_MS;
    ctl_recheck_begin(stage.publish->peers);
}

static void end(void) {
    plane_stop(&plane);
    stage_fini(&stage);
    answers_fini(&kube);
}

static void show(const char *token) {
    struct gw_err err;
    size_t n;
    char *text = gw_ir_token_text(gw_str_of(token), &n);
    CU_ASSERT_EQUAL(gw_h2link_client_send(plane.client, (struct gw_str){text, n}, &err), GW_OK);
    free(text);
}

// Is asked, shows, and gives the API server's answer to it (0: none comes).
static void review(int status, const char *body) {
    CU_ASSERT_TRUE_FATAL(stage_wait(&stage, &plane.asked, 1));
    show("a-token");
    for (int i = 0; i < 500 && answers_open(&kube) == 0; i++)
        gw_loop_turn(stage.loop, 5);
    answers_answer(answers_next(&kube, CTL_KUBE_POST, "/tokenreviews"), status,
                   body ? answers_json("%s", body) : NULL);
}

#define GOOD                                                                                       \
    "{'status': {'authenticated': true, 'user': {'username': "                                     \
    "'system:serviceaccount:team-a:edge'}}}"

static void verdicts(void) {
    static const struct {
        const char *name;
        int status;
        const char *body, *why; // why NULL: it stays
    } cases[] = {
        {"revoked", 201, "{'status': {'authenticated': false, 'error': 'token has been revoked'}}",
         "the API server does not take the token: token has been revoked"},
        {"of a person", 201, "{'status': {'authenticated': true, 'user': {'username': 'ada'}}}",
         "the token is of no ServiceAccount: ada"},
        {"of another namespace", 201,
         "{'status': {'authenticated': true, 'user': {'username': "
         "'system:serviceaccount:team-b:edge'}}}",
         "the token is of another namespace now"},
        {"good", 201, GOOD, NULL},
        {"away", 0, NULL, NULL},
        {"broken", 500, NULL, NULL},
        {"says nothing", 201, "{}", NULL},
        {"may not review", 403, NULL, NULL},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        begin(true);
        gw_log_init(2, GW_LOG_ERROR + 1);
        review(cases[i].status, cases[i].body);
        if (cases[i].why) {
            CU_ASSERT_TRUE(stage_wait(&stage, &plane.closed, 1));
            if (!strstr(plane.why, cases[i].why)) printf("\n%s: %s\n", cases[i].name, plane.why);
            CU_ASSERT_PTR_NOT_NULL(strstr(plane.why, cases[i].why));
        } else {
            CU_ASSERT_TRUE(stage_wait(&stage, &plane.asked, 2)); // by and by
            CU_ASSERT_EQUAL(plane.closed, 0);
        }
        end();
    }
}

static void a_token_of_a_folder(void) {
    begin(false);
    CU_ASSERT_TRUE(stage_wait(&stage, &plane.asked, 1));
    struct gw_secret *token = gw_secret_ref(stage.publish->token);
    show(gw_secret_reveal(token).ptr);
    gw_secret_unref(token);
    CU_ASSERT_TRUE(stage_wait(&stage, &plane.asked, 2));
    CU_ASSERT_EQUAL(plane.closed, 0);
    show("another");
    CU_ASSERT_TRUE(stage_wait(&stage, &plane.closed, 1));
    CU_ASSERT_PTR_NOT_NULL(strstr(plane.why, "is not the bootstrap token"));
    end();
}

static void a_token_that_nobody_asked_for(void) {
    begin(true);
    stage.publish->opts.recheck_ms = 0;
    CU_ASSERT_TRUE(stage_wait(&stage, &plane.asked, 1));
    show("one");
    show("two");
    CU_ASSERT_TRUE(stage_wait(&stage, &plane.closed, 1));
    CU_ASSERT_PTR_NOT_NULL(strstr(plane.why, "nobody asked for a token"));
    CU_ASSERT_TRUE(answers_open(&kube) <= 1);
    end();
}

// Its timer is the one that asked.
static void a_data_plane_that_shows_none(void) {
    begin(true);
    CU_ASSERT_TRUE(stage_wait(&stage, &plane.asked, 1));
    gw_timer_set(stage.loop, &stage.publish->peers->recheck, 1);
    CU_ASSERT_TRUE(stage_wait(&stage, &plane.closed, 1));
    CU_ASSERT_PTR_NOT_NULL(strstr(plane.why, "was asked for its token and did not show it"));
    end();
}

static void one_that_leaves_meanwhile(void) {
    begin(true);
    CU_ASSERT_TRUE(stage_wait(&stage, &plane.asked, 1));
    show("a-token");
    for (int i = 0; i < 500 && answers_open(&kube) == 0; i++)
        gw_loop_turn(stage.loop, 5);
    plane_stop(&plane);
    answers_answer(answers_next(&kube, CTL_KUBE_POST, "/tokenreviews"), 201, answers_json(GOOD));
    stage_turn(&stage, 5);
    CU_ASSERT_PTR_NULL(stage.publish->peers);
    stage_fini(&stage);
    answers_fini(&kube);
}

static void nobody_is_asked_where_that_is_off(void) {
    stage_init(&stage);
    plane = (struct plane){0};
    stage_put(&stage, "one", "1");
    plane_start(&plane, &stage, NULL);
    CU_ASSERT_TRUE_FATAL(stage_wait(&stage, &plane.completes, 1));
    stage_turn(&stage, 100);
    CU_ASSERT_EQUAL(plane.asked, 0);
    plane_stop(&plane);
    stage_fini(&stage);
}

static CU_TestInfo tests[] = {
    {"verdicts", verdicts},
    {"a token of a folder", a_token_of_a_folder},
    {"a token that nobody asked for", a_token_that_nobody_asked_for},
    {"a data plane that shows none", a_data_plane_that_shows_none},
    {"one that leaves meanwhile", one_that_leaves_meanwhile},
    {"nobody is asked where that is off", nobody_is_asked_where_that_is_off},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_controller_publish_recheck = {"recheck", NULL, NULL, NULL, NULL, tests};
