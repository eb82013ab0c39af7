// SPDX-License-Identifier: Apache-2.0
// Who a data plane of a cluster is, and the push CA that is kept there.
#include "controller/publish/identity.h"
#include "controller/publish/pki.h"
#include "shared/log.h"
#include "test/unit/controller/kube/answers.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <unistd.h>

struct got {
    int calls, status;
    char ns[64], why[256];
};

static void on_identity(void *arg, const struct ctl_identity_answer *a) {
    struct got *g = arg;
    g->calls++;
    g->status = a->status;
    snprintf(g->ns, sizeof(g->ns), "%s", a->ns ? a->ns : "");
    snprintf(g->why, sizeof(g->why), "%s", a->why ? a->why : "");
}

static void verdicts_of_reviews(void) {
    static const struct {
        const char *name, *audience;
        int status;
        const char *review; // NULL: no answer of use
        int want;
        const char *ns, *why;
    } cases[] = {
        {"good", NULL, 201,
         "{'status': {'authenticated': true, 'user': {'username': "
         "'system:serviceaccount:team-a:edge'}}}",
         200, "team-a", ""},
        {"not authenticated", NULL, 201,
         "{'status': {'authenticated': false, 'error': 'token has expired'}}", 401, "",
         "does not take the token: token has expired"},
        {"no status", NULL, 201, "{}", 503, "", "cannot have the token reviewed"},
        {"a person", NULL, 201, "{'status': {'authenticated': true, 'user': {'username': 'ada'}}}",
         403, "", "no ServiceAccount: ada"},
        {"another audience", "tandem", 201,
         "{'status': {'authenticated': true, 'audiences': ['x'], 'user': {'username': "
         "'system:serviceaccount:a:b'}}}",
         401, "", "not for audience: tandem"},
        {"the audience", "tandem", 201,
         "{'status': {'authenticated': true, 'audiences': ['tandem'], 'user': {'username': "
         "'system:serviceaccount:a:b'}}}",
         200, "a", ""},
        {"may not review", NULL, 403, NULL, 503, "", "cannot have the token reviewed"},
        {"away", NULL, 0, NULL, 503, "", "cannot have the token reviewed"},
    };
    gw_log_init(STDERR_FILENO, GW_LOG_ERROR + 1);
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct gw_loop *l = gw_loop_new(NULL);
        struct answers_api f = {0};
        struct ctl_kube_api api = answers_api(&f);
        struct ctl_identity *id = ctl_identity_new(l, &api, cases[i].audience);
        struct got g = {0};
        ctl_identity_ask(id, GW_STR("secret-token"), on_identity, &g);
        struct answers_call *c = answers_next(&f, CTL_KUBE_POST, "/tokenreviews");
        CU_ASSERT(
            gw_str_eq(gw_json_str_of(gw_json_path(c->body, "spec.token")), GW_STR("secret-token")));
        CU_ASSERT_EQUAL(json_array_size(gw_json_path(c->body, "spec.audiences")),
                        cases[i].audience ? 1 : 0);
        answers_answer(c, cases[i].status,
                       cases[i].review ? answers_json("%s", cases[i].review) : NULL);
        bool fine = g.calls == 1 && g.status == cases[i].want && strcmp(g.ns, cases[i].ns) == 0 &&
                    strstr(g.why, cases[i].why);
        if (!fine) fprintf(stderr, "%s: %d '%s' '%s'\n", cases[i].name, g.status, g.ns, g.why);
        CU_ASSERT(fine);
        // What is known is not asked again, unless nobody could tell.
        ctl_identity_ask(id, GW_STR("secret-token"), on_identity, &g);
        CU_ASSERT_EQUAL(answers_open(&f), cases[i].want == 503);
        CU_ASSERT_EQUAL(g.calls, cases[i].want == 503 ? 1 : 2);
        ctl_identity_free(id);
        answers_fini(&f);
        gw_loop_free(l);
    }
}

static void one_review_for_all_that_show_a_token(void) {
    struct gw_loop *l = gw_loop_new(NULL);
    struct answers_api f = {0};
    struct ctl_kube_api api = answers_api(&f);
    struct ctl_identity *id = ctl_identity_new(l, &api, NULL);
    struct got a = {0}, b = {0}, gone = {0}, other = {0}, full = {0};
    ctl_identity_ask(id, GW_STR("one"), on_identity, &a);
    ctl_identity_ask(id, GW_STR("one"), on_identity, &gone);
    ctl_identity_ask(id, GW_STR("one"), on_identity, &b);
    ctl_identity_ask(id, GW_STR("two"), on_identity, &other);
    CU_ASSERT_EQUAL(answers_open(&f), 2);
    ctl_identity_leave(id, &gone);
    answers_answer(answers_next(&f, CTL_KUBE_POST, "/tokenreviews"), 201,
                   answers_json("{'status': {'authenticated': true, 'user': {'username': "
                                "'system:serviceaccount:a:b'}}}"));
    CU_ASSERT_EQUAL(a.status, 200);
    CU_ASSERT_EQUAL(b.status, 200);
    CU_ASSERT_EQUAL(gone.calls + other.calls, 0);
    f.is_full = true;
    ctl_identity_ask(id, GW_STR("three"), on_identity, &full);
    CU_ASSERT_EQUAL(full.status, 503);
    ctl_identity_free(id); // with a review under way
    CU_ASSERT_EQUAL(other.calls, 0);
    answers_fini(&f);
    gw_loop_free(l);
}

static void answers_of_a_moment_ago_alone(void) {
    struct gw_loop *l = gw_loop_new(NULL);
    struct answers_api f = {0};
    struct ctl_kube_api api = answers_api(&f);
    struct ctl_identity *id = ctl_identity_new(l, &api, NULL);
    struct got got = {0};
    ctl_identity_ask(id, GW_STR("one"), on_identity, &got);
    answers_answer(answers_next(&f, CTL_KUBE_POST, "/tokenreviews"), 201,
                   answers_json("{'status': {'authenticated': true, 'user': {'username': "
                                "'system:serviceaccount:a:b'}}}"));
    ctl_identity_ask_anew(id, GW_STR("one"), on_identity, &got);
    CU_ASSERT_EQUAL(got.calls, 2);
    usleep((CTL_IDENTITY_NEW_MS + 50) * 1000);
    gw_loop_turn(l, 0);
    ctl_identity_ask(id, GW_STR("one"), on_identity, &got);
    CU_ASSERT_EQUAL(got.calls, 3);
    CU_ASSERT_EQUAL(answers_open(&f), 0);
    ctl_identity_ask_anew(id, GW_STR("one"), on_identity, &got);
    answers_answer(answers_next(&f, CTL_KUBE_POST, "/tokenreviews"), 201,
                   answers_json("{'status': {'authenticated': false, 'error': 'revoked'}}"));
    CU_ASSERT_EQUAL(got.calls, 4);
    CU_ASSERT_EQUAL(got.status, 401);
    ctl_identity_ask(id, GW_STR("one"), on_identity, &got); // nor does it open a stream any more
    CU_ASSERT_EQUAL(got.calls, 5);
    CU_ASSERT_EQUAL(got.status, 401);
    ctl_identity_free(id);
    answers_fini(&f);
    gw_loop_free(l);
}

// --- the CA ------------------------------------------------------------------------------------

static void on_ca(void *arg, struct gw_tls_ctx *tls, struct gw_str cert,
                  const struct gw_secret *key) {
    int *n = arg;
    CU_ASSERT(gw_str_starts(cert, GW_STR("-----BEGIN CERTIFICATE-----")) && key);
    CU_ASSERT_PTR_NOT_NULL(tls);
    ++*n;
}

static void turn(struct gw_loop *l, struct answers_api *f) {
    for (int i = 0; i < 1000 && answers_open(f) == 0; i++)
        gw_loop_turn(l, 5);
}

static void the_ca_is_made_kept_and_shown(void) {
    static const char *const names[] = {"127.0.0.1", NULL};
    struct gw_loop *l = gw_loop_new(NULL);
    struct answers_api f = {0};
    int n = 0;
    gw_log_init(STDERR_FILENO, GW_LOG_ERROR + 1);
    struct ctl_pki *p = ctl_pki_new(&(struct ctl_pki_opts){
        .loop = l, .api = answers_api(&f), .ns = "sys", .names = names, .on_ca = on_ca, .arg = &n});
    turn(l, &f);
    answers_answer(answers_next(&f, CTL_KUBE_GET, "/namespaces/sys/secrets/tandem-push-ca"), 404,
                   NULL);
    struct answers_call *c = answers_next(&f, CTL_KUBE_POST, "/namespaces/sys/secrets");
    GW_JSON_AUTO mine = json_deep_copy(c->body);
    // Another replica was faster: its CA is taken, and ours is not used.
    answers_answer(c, 409, NULL);
    CU_ASSERT_EQUAL(n, 0);
    turn(l, &f);
    answers_answer(answers_next(&f, CTL_KUBE_GET, "/secrets/"), 200, json_deep_copy(mine));
    CU_ASSERT_EQUAL(n, 1);
    answers_answer(answers_next(&f, CTL_KUBE_GET, "/configmaps/tandem-ca"), 404, NULL);
    c = answers_next(&f, CTL_KUBE_POST, "/namespaces/sys/configmaps");
    struct gw_str shown = gw_json_str(gw_json_get(c->body, "data"), "ca.crt");
    CU_ASSERT(gw_str_starts(shown, GW_STR("-----BEGIN CERTIFICATE-----")));
    GW_JSON_AUTO map = json_deep_copy(c->body);
    answers_answer(c, 201, NULL);
    turn(l, &f);
    answers_answer(answers_next(&f, CTL_KUBE_GET, "/secrets/"), 200, json_deep_copy(mine));
    CU_ASSERT_EQUAL(n, 1); // the same CA
    // Edited: put right.
    answers_answer(answers_next(&f, CTL_KUBE_GET, "/configmaps/"), 200,
                   answers_json("{'data': {'ca.crt': 'x'}}"));
    c = answers_next(&f, CTL_KUBE_PATCH, "/configmaps/tandem-ca");
    CU_ASSERT(json_equal(gw_json_get(c->body, "data"), gw_json_get(map, "data")));
    answers_answer(c, 200, NULL);
    turn(l, &f);
    // The Secret was deleted: the CA that holds is written again, and not another one.
    answers_answer(answers_next(&f, CTL_KUBE_GET, "/secrets/"), 404, NULL);
    c = answers_next(&f, CTL_KUBE_POST, "/secrets");
    CU_ASSERT(json_equal(gw_json_get(c->body, "data"), gw_json_get(mine, "data")));
    answers_answer(c, 201, NULL);
    turn(l, &f);
    // An operator breaks it: what held goes on.
    answers_answer(answers_next(&f, CTL_KUBE_GET, "/secrets/"), 200,
                   answers_json("{'data': {'ca.crt': 'eA==', 'ca.key': 'eA=='}}"));
    CU_ASSERT_EQUAL(n, 1);
    CU_ASSERT_EQUAL(answers_open(&f), 0); // later
    ctl_pki_free(p);
    answers_fini(&f);
    gw_loop_free(l);
}

static CU_TestInfo tests[] = {
    {"verdicts of reviews", verdicts_of_reviews},
    {"one review for all that show a token", one_review_for_all_that_show_a_token},
    {"answers of a moment ago alone", answers_of_a_moment_ago_alone},
    {"the CA is made, kept and shown", the_ca_is_made_kept_and_shown},
    CU_TEST_INFO_NULL,
};

CU_SuiteInfo suite_controller_publish_identity = {
    "controller_publish_identity", NULL, NULL, NULL, NULL, tests};
