// SPDX-License-Identifier: Apache-2.0
// Snapshots and the data planes that follow them, over a real push stream on the loopback.
#include "shared/metric.h"
#include "test/unit/controller/publish/plane.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool has(const json_t *obj, const char *name) {
    char full[128];
    snprintf(full, sizeof(full), "secret/a/b/%s", name);
    return json_object_get(obj, full) != NULL;
}

static const char *root_of(const struct stage *s, char *dst) {
    GW_JSON_AUTO dump = ctl_publish_dump(s->publish);
    snprintf(dst, GW_IR_VERSION_CHARS + 1, "%s",
             json_string_value(json_object_get(dump, "version")));
    return dst;
}

static void counts(const struct stage *s, const char *gateway, unsigned connected, unsigned acked) {
    unsigned c, a;
    ctl_publish_counts(s->publish, gateway, &c, &a);
    if (c != connected || a != acked)
        fprintf(stderr, "%u of %u, wanted %u of %u\n", a, c, acked, connected);
    CU_ASSERT_EQUAL(c, connected);
    CU_ASSERT_EQUAL(a, acked);
}

// Connected, served for the first time, acknowledged.
static void plane_join(struct plane *p, struct stage *s) {
    plane_start(p, s, NULL);
    CU_ASSERT_FATAL(stage_wait(s, &p->completes, 1));
    plane_ack(p);
    stage_turn(s, 20);
}

// --- the state folder --------------------------------------------------------------------------

static unsigned mode_of(const char *dir, const char *file) {
    char path[128];
    struct stat st = {0};
    snprintf(path, sizeof(path), "%s/%s", dir, file);
    CU_ASSERT_EQUAL(stat(path, &st), 0);
    return st.st_mode & 0777;
}

static void state_is_private_and_kept(void) {
    struct stage s;
    stage_init(&s);
    CU_ASSERT_EQUAL(mode_of(s.dir, ""), 0700);
    CU_ASSERT_EQUAL(mode_of(s.dir, "ca.crt"), 0600);
    CU_ASSERT_EQUAL(mode_of(s.dir, "ca.key"), 0600);
    CU_ASSERT_EQUAL(mode_of(s.dir, "token"), 0600);
    struct plane p = {0};
    stage_put(&s, "x", "1");
    // The token and CA of before are those of after: a data plane needs no new ones.
    char path[128];
    snprintf(path, sizeof(path), "%s/token", s.dir);
    struct gw_secret *before = gw_secret_from_file(path, NULL);
    stage_restart(&s);
    struct gw_secret *after = gw_secret_from_file(path, NULL);
    CU_ASSERT_FATAL(before && after);
    CU_ASSERT_TRUE(gw_secret_eq(before, gw_secret_reveal(after)));
    CU_ASSERT(gw_secret_reveal(before).len >= 32);
    gw_secret_unref(before);
    gw_secret_unref(after);
    ctl_publish_apply(s.publish, NULL, 0);
    plane_start(&p, &s, NULL);
    CU_ASSERT(stage_wait(&s, &p.completes, 1));
    plane_stop(&p);
    stage_fini(&s);
}

static void state_folder_is_a_file(void) {
    struct gw_err err = {0};
    struct gw_loop *l = gw_loop_new(&err);
    struct ctl_publish_opts o = {.loop = l, .state_dir = "/etc/passwd", .host = "127.0.0.1"};
    CU_ASSERT_PTR_NULL(ctl_publish_new(&o, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "is not a folder"));
    gw_loop_free(l);
}

static void a_wrong_token_gets_nothing(void) {
    struct stage s;
    struct plane p = {0};
    stage_init(&s);
    stage_put(&s, "x", "1");
    plane_start(&p, &s, "guessed");
    CU_ASSERT(stage_wait(&s, &p.closed, 1));
    CU_ASSERT_EQUAL(p.deltas, 0);
    counts(&s, NULL, 0, 0);
    plane_stop(&p);
    stage_fini(&s);
}

// --- what is sent ------------------------------------------------------------------------------

static void a_new_one_gets_all_and_then_changes(void) {
    struct stage s;
    struct plane p = {0};
    stage_init(&s);
    stage_put(&s, "x", "1");
    stage_put(&s, "y", "1");
    plane_join(&p, &s);
    CU_ASSERT(has(p.set, "x") && has(p.set, "y"));
    plane_forget(&p);
    stage_put(&s, "x", "2");
    CU_ASSERT(stage_wait(&s, &p.completes, 1));
    CU_ASSERT_EQUAL(json_object_size(p.set), 1);
    CU_ASSERT(has(p.set, "x"));
    char root[GW_IR_VERSION_CHARS + 1];
    CU_ASSERT_STRING_EQUAL(p.version, root_of(&s, root));
    plane_ack(&p);
    stage_turn(&s, 20);
    plane_forget(&p);
    stage_put(&s, "y", NULL);
    CU_ASSERT(stage_wait(&s, &p.completes, 1));
    CU_ASSERT_EQUAL(json_object_size(p.set), 0);
    CU_ASSERT(has(p.removed, "y"));
    plane_stop(&p);
    stage_fini(&s);
}

// A controller that has just started knows nothing yet; a data plane that serves keeps what it has.
static void nothing_is_told_before_the_first_snapshot(void) {
    struct stage s;
    stage_init(&s);
    struct plane serves = {
        .root = "0123456789abcdef0123456789abcdef",
        .have = json_pack("{s:s}", "secret/a/b/old", "0123456789abcdef0123456789abcdef")};
    struct plane empty = {0};
    plane_start(&serves, &s, NULL);
    plane_start(&empty, &s, NULL);
    CU_ASSERT(stage_wait(&s, &serves.opened, 1));
    CU_ASSERT(stage_wait(&s, &empty.opened, 1));
    stage_turn(&s, 100);
    CU_ASSERT_EQUAL(serves.deltas + serves.resyncs + empty.deltas + empty.resyncs, 0);
    CU_ASSERT_EQUAL(serves.closed + empty.closed, 0);
    stage_put(&s, "x", "1");
    CU_ASSERT(stage_wait(&s, &serves.completes, 1));
    CU_ASSERT(stage_wait(&s, &empty.completes, 1));
    CU_ASSERT(has(serves.removed, "old"));
    CU_ASSERT(has(serves.set, "x") && has(empty.set, "x"));
    plane_stop(&serves);
    plane_stop(&empty);
    stage_fini(&s);
}

static void equal_content_is_no_change(void) {
    struct stage s;
    struct plane p = {0};
    stage_init(&s);
    stage_put(&s, "x", "1");
    plane_join(&p, &s);
    plane_forget(&p);
    stage_put(&s, "x", "1");
    stage_put(&s, "never-there", NULL);
    stage_turn(&s, 50);
    CU_ASSERT_EQUAL(p.deltas, 0);
    plane_stop(&p);
    stage_fini(&s);
}

static void an_equal_root_sends_nothing(void) {
    struct stage s;
    char root[GW_IR_VERSION_CHARS + 1];
    stage_init(&s);
    stage_put(&s, "x", "1");
    struct plane p = {.root = root_of(&s, root)};
    plane_start(&p, &s, NULL);
    CU_ASSERT(stage_wait(&s, &s.changes, 1));
    stage_turn(&s, 30);
    CU_ASSERT_EQUAL(p.deltas + p.resyncs, 0);
    counts(&s, NULL, 1, 1);
    CU_ASSERT_EQUAL(stage_said(&s, "x", NULL), CTL_PROGRAMMED_YES);
    stage_put(&s, "x", "2");
    CU_ASSERT(stage_wait(&s, &p.completes, 1));
    CU_ASSERT_EQUAL(json_object_size(p.set), 1);
    plane_stop(&p);
    stage_fini(&s);
}

static void another_root_sends_the_difference(void) {
    struct stage s;
    char version[GW_IR_VERSION_CHARS + 1];
    stage_init(&s);
    stage_put(&s, "same", "1");
    stage_put(&s, "other", "1");
    stage_put(&s, "new", "1");
    GW_JSON_AUTO same = json_pack("{ss}", "value", "1");
    gw_ir_version(same, version);
    const char *zero = "00000000000000000000000000000000";
    struct plane p = {.root = zero,
                      .have = json_pack("{ssssss}", "secret/a/b/same", version, "secret/a/b/other",
                                        zero, "secret/a/b/gone", version)};
    plane_start(&p, &s, NULL);
    CU_ASSERT(stage_wait(&s, &p.completes, 1));
    CU_ASSERT_EQUAL(p.resyncs, 1);
    CU_ASSERT_EQUAL(json_object_size(p.set), 2);
    CU_ASSERT(has(p.set, "other") && has(p.set, "new"));
    CU_ASSERT_EQUAL(json_object_size(p.removed), 1);
    CU_ASSERT(has(p.removed, "gone"));
    plane_stop(&p);
    stage_fini(&s);
}

static void changes_gather_while_a_delta_is_under_way(void) {
    struct stage s;
    struct plane p = {0};
    stage_init(&s);
    stage_put(&s, "x", "1");
    plane_start(&p, &s, NULL);
    CU_ASSERT_FATAL(stage_wait(&s, &p.completes, 1));
    stage_put(&s, "x", "2");
    stage_put(&s, "x", "3");
    stage_put(&s, "y", "1");
    stage_turn(&s, 30);
    CU_ASSERT_EQUAL(p.deltas, 1);
    plane_forget(&p);
    plane_ack(&p);
    CU_ASSERT(stage_wait(&s, &p.completes, 1));
    CU_ASSERT_EQUAL(json_object_size(p.set), 2);
    stage_turn(&s, 30);
    CU_ASSERT_EQUAL(p.deltas, 1);
    plane_stop(&p);
    stage_fini(&s);
}

static void many_resources_come_in_several_messages(void) {
    struct stage s;
    struct plane p = {0};
    stage_init(&s);
    for (int i = 0; i < 2 * GW_IR_DELTA_SET_MAX + 10; i++) {
        char name[16];
        snprintf(name, sizeof(name), "n%d", i);
        stage_put(&s, name, "1");
    }
    plane_start(&p, &s, NULL);
    CU_ASSERT(stage_wait(&s, &p.completes, 1));
    CU_ASSERT_EQUAL(p.deltas, 3);
    CU_ASSERT_EQUAL(json_object_size(p.set), 2 * GW_IR_DELTA_SET_MAX + 10);
    plane_stop(&p);
    stage_fini(&s);
}

static void large_resources_come_in_several_messages(void) {
    struct stage s;
    struct plane p = {0};
    stage_init(&s);
    char *value = gw_alloc(65001);
    memset(value, 'v', 65000);
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof(name), "n%d", i);
        stage_put(&s, name, value);
    }
    free(value);
    plane_start(&p, &s, NULL);
    CU_ASSERT(stage_wait(&s, &p.completes, 1));
    CU_ASSERT_EQUAL(p.deltas, 2);
    CU_ASSERT_EQUAL(json_object_size(p.set), 100);
    plane_stop(&p);
    stage_fini(&s);
}

static void resources_sent_are_counted(void) {
    static const struct gw_metric_family sent = {.name = "push_resources_sent_total"};
    struct stage s;
    struct plane p = {0};
    stage_init(&s);
    int64_t before = gw_metric_get(gw_metric_series(&sent, NULL));
    stage_put(&s, "x", "1");
    stage_put(&s, "y", "1");
    plane_join(&p, &s);
    CU_ASSERT_EQUAL(gw_metric_get(gw_metric_series(&sent, NULL)) - before, 2);
    stage_put(&s, "x", "2");
    stage_turn(&s, 30);
    CU_ASSERT_EQUAL(gw_metric_get(gw_metric_series(&sent, NULL)) - before, 3);
    plane_stop(&p);
    stage_fini(&s);
}

// --- views -------------------------------------------------------------------------------------

static void one_gateway_gets_what_it_needs(void) {
    static const char *const bodies[][2] = {
        {"listener/d/one/http",
         "{\"gateway\":\"d/one\",\"name\":\"http\",\"port\":1,\"protocol\":\"HTTP\"}"},
        {"listener/d/one/tls",
         "{\"gateway\":\"d/one\",\"name\":\"tls\",\"port\":3,\"protocol\":\"HTTPS\","
         "\"hostname\":\"a.b\",\"tls\":{\"certificates\":[\"tls/d/cert\"]}}"},
        {"tls/d/cert", "{\"certificate\":\"x\",\"key\":\"x\"}"},
        {"tls/d/other", "{\"certificate\":\"x\",\"key\":\"x\"}"},
        {"listener/d/two/http",
         "{\"gateway\":\"d/two\",\"name\":\"http\",\"port\":2,\"protocol\":\"HTTP\"}"},
        {"rule/d/r/0",
         "{\"route\":\"d/r\",\"index\":0,\"age\":\"\",\"attach\":[{\"listener\":"
         "\"listener/d/one/http\",\"hostnames\":[]}],\"matches\":[{\"path\":{\"type\":\"Exact\","
         "\"value\":\"/\"}}],\"filters\":[{\"type\":\"RequestMirror\",\"backend\":"
         "\"backend/service/d/m1/80\",\"numerator\":1,\"denominator\":1}],"
         "\"backends\":[{\"backend\":\"backend/llm/d/m\",\"weight\":1},"
         "{\"backend\":\"backend/service/d/s/80\",\"weight\":1,\"filters\":[{\"type\":"
         "\"RequestMirror\",\"backend\":\"backend/service/d/m2/80\",\"numerator\":1,"
         "\"denominator\":1}]}]}"},
        {"backend/llm/d/m",
         "{\"type\":\"llm\",\"provider\":\"openai\",\"dialect\":\"chat\",\"url\":{\"scheme\":"
         "\"http\",\"host\":\"h\",\"port\":1,\"path\":\"\"},\"keys\":[{\"secret\":"
         "\"secret/d/k/k\",\"weight\":1}]}"},
        {"secret/d/k/k", "{\"value\":\"x\"}"},
        {"secret/d/other/k", "{\"value\":\"x\"}"},
        {"backend/service/d/m1/80", "{\"type\":\"service\",\"endpoints\":\"endpoints/d/s/80\"}"},
        {"backend/service/d/m2/80", "{\"type\":\"service\",\"endpoints\":\"endpoints/d/s/80\"}"},
        {"backend/service/d/s/80", "{\"type\":\"service\",\"endpoints\":\"endpoints/d/s/80\"}"},
        {"endpoints/d/s/80", "{\"addresses\":[]}"},
    };
    struct stage s;
    struct plane one = {.gateway = "d/one", .address = "10.0.0.1"}, two = {.gateway = "d/two"};
    stage_init(&s);
    for (size_t i = 0; i < GW_ARRAY_LEN(bodies); i++) {
        char name[64];
        snprintf(name, sizeof(name), "%s", bodies[i][0]);
        struct ctl_resource_change c = {name, json_loads(bodies[i][1], 0, NULL)};
        ctl_publish_apply(s.publish, &c, 1);
        json_decref(c.body);
    }
    plane_join(&one, &s);
    plane_start(&two, &s, NULL);
    CU_ASSERT_FATAL(stage_wait(&s, &two.completes, 1));
    CU_ASSERT_EQUAL(json_object_size(one.set), 10);
    CU_ASSERT_PTR_NOT_NULL(json_object_get(one.set, "tls/d/cert"));
    CU_ASSERT_PTR_NOT_NULL(json_object_get(one.set, "backend/service/d/m1/80"));
    CU_ASSERT_PTR_NOT_NULL(json_object_get(one.set, "backend/service/d/m2/80"));
    CU_ASSERT_PTR_NULL(json_object_get(one.set, "tls/d/other"));
    CU_ASSERT_PTR_NULL(json_object_get(one.set, "listener/d/two/http"));
    CU_ASSERT_PTR_NULL(json_object_get(one.set, "secret/d/other/k"));
    CU_ASSERT_EQUAL(json_object_size(two.set), 1);
    counts(&s, "d/one", 1, 1);
    counts(&s, "d/two", 1, 0);
    counts(&s, NULL, 2, 1);
    char rule[] = "rule/d/r/0";
    const char *reason;
    CU_ASSERT_EQUAL(ctl_publish_programmed(s.publish, &(char *){rule}, 1, &reason),
                    CTL_PROGRAMMED_YES); // the data planes of two have no part in it
    GW_JSON_AUTO addresses = ctl_publish_addresses(s.publish, "d/one");
    CU_ASSERT_EQUAL(json_array_size(addresses), 1);
    GW_JSON_AUTO none = ctl_publish_addresses(s.publish, "d/two");
    CU_ASSERT_EQUAL(json_array_size(none), 0);
    plane_stop(&one);
    plane_stop(&two);
    stage_fini(&s);
}

// --- what is said ------------------------------------------------------------------------------

static void programmed_means_acknowledged(void) {
    struct stage s;
    struct plane a = {0}, b = {0};
    stage_init(&s);
    stage_put(&s, "x", "1");
    CU_ASSERT_EQUAL(stage_said(&s, "x", NULL), CTL_PROGRAMMED_NONE);
    plane_start(&a, &s, NULL);
    CU_ASSERT_FATAL(stage_wait(&s, &a.completes, 1));
    CU_ASSERT_EQUAL(stage_said(&s, "x", NULL), CTL_PROGRAMMED_PENDING);
    counts(&s, NULL, 1, 0);
    plane_ack(&a);
    stage_turn(&s, 30);
    CU_ASSERT_EQUAL(stage_said(&s, "x", NULL), CTL_PROGRAMMED_YES);
    // One that comes later changes the count alone.
    plane_start(&b, &s, NULL);
    CU_ASSERT_FATAL(stage_wait(&s, &b.completes, 1));
    CU_ASSERT_EQUAL(stage_said(&s, "x", NULL), CTL_PROGRAMMED_YES);
    counts(&s, NULL, 2, 1);
    plane_ack(&b);
    stage_turn(&s, 30);
    // A new form waits for both.
    stage_put(&s, "x", "2");
    CU_ASSERT_FATAL(stage_wait(&s, &b.completes, 2) && stage_wait(&s, &a.completes, 2));
    plane_ack(&a);
    stage_turn(&s, 30);
    CU_ASSERT_EQUAL(stage_said(&s, "x", NULL), CTL_PROGRAMMED_PENDING);
    plane_ack(&b);
    stage_turn(&s, 30);
    CU_ASSERT_EQUAL(stage_said(&s, "x", NULL), CTL_PROGRAMMED_YES);
    plane_stop(&a);
    plane_stop(&b);
    CU_ASSERT_EQUAL(stage_said(&s, "x", NULL), CTL_PROGRAMMED_YES);
    counts(&s, NULL, 0, 0);
    stage_put(&s, "x", "3");
    CU_ASSERT_EQUAL(stage_said(&s, "x", NULL), CTL_PROGRAMMED_NONE);
    stage_fini(&s);
}

static void the_one_that_lags_leaves(void) {
    struct stage s;
    struct plane a = {0}, b = {0};
    stage_init(&s);
    stage_put(&s, "x", "1");
    plane_join(&a, &s);
    plane_start(&b, &s, NULL);
    CU_ASSERT_FATAL(stage_wait(&s, &b.completes, 1));
    stage_put(&s, "y", "1");
    CU_ASSERT_FATAL(stage_wait(&s, &a.completes, 2));
    plane_ack(&a);
    stage_turn(&s, 30);
    CU_ASSERT_EQUAL(stage_said(&s, "y", NULL), CTL_PROGRAMMED_PENDING);
    plane_stop(&b);
    CU_ASSERT_EQUAL(stage_said(&s, "y", NULL), CTL_PROGRAMMED_YES);
    plane_stop(&a);
    stage_fini(&s);
}

// reload-01, reload-05: a refusal is of one resource, with its reason; the others go on.
static void a_refusal_blames_the_cause_alone(void) {
    struct stage s;
    struct plane p = {0};
    const char *reason = NULL;
    stage_init(&s);
    stage_put(&s, "good", "1");
    stage_put(&s, "bad", "1");
    plane_start(&p, &s, NULL);
    CU_ASSERT_FATAL(stage_wait(&s, &p.completes, 1));
    plane_nack(&p, "secret/a/b/bad", "beyond the limit");
    stage_turn(&s, 30);
    CU_ASSERT_EQUAL(stage_said(&s, "good", NULL), CTL_PROGRAMMED_YES);
    CU_ASSERT_EQUAL(stage_said(&s, "bad", &reason), CTL_PROGRAMMED_REFUSED);
    CU_ASSERT_STRING_EQUAL(reason ? reason : "", "beyond the limit");
    counts(&s, NULL, 1, 0);
    // Later versions are tried while the refusal stands.
    stage_put(&s, "good", "2");
    CU_ASSERT_FATAL(stage_wait(&s, &p.completes, 2));
    plane_nack(&p, "secret/a/b/bad", "beyond the limit");
    stage_turn(&s, 30);
    CU_ASSERT_EQUAL(stage_said(&s, "good", NULL), CTL_PROGRAMMED_YES);
    CU_ASSERT_EQUAL(stage_said(&s, "bad", NULL), CTL_PROGRAMMED_REFUSED);
    // A new form is judged anew.
    stage_put(&s, "bad", "2");
    CU_ASSERT_EQUAL(stage_said(&s, "bad", NULL), CTL_PROGRAMMED_PENDING);
    CU_ASSERT_FATAL(stage_wait(&s, &p.completes, 3));
    plane_ack(&p);
    stage_turn(&s, 30);
    CU_ASSERT_EQUAL(stage_said(&s, "bad", NULL), CTL_PROGRAMMED_YES);
    counts(&s, NULL, 1, 1);
    plane_stop(&p);
    stage_fini(&s);
}

static void an_ack_ends_refusals(void) {
    struct stage s;
    struct plane p = {0};
    stage_init(&s);
    stage_put(&s, "bad", "1");
    plane_start(&p, &s, NULL);
    CU_ASSERT_FATAL(stage_wait(&s, &p.completes, 1));
    plane_nack(&p, "secret/a/b/bad", "port in use");
    stage_turn(&s, 30);
    CU_ASSERT_EQUAL(stage_said(&s, "bad", NULL), CTL_PROGRAMMED_REFUSED);
    plane_ack(&p); // of the same version: the port became free
    stage_turn(&s, 30);
    CU_ASSERT_EQUAL(stage_said(&s, "bad", NULL), CTL_PROGRAMMED_YES);
    plane_stop(&p);
    stage_fini(&s);
}

static void a_refusal_of_an_old_form_is_no_news(void) {
    struct stage s;
    struct plane p = {0};
    stage_init(&s);
    stage_put(&s, "x", "1");
    plane_start(&p, &s, NULL);
    CU_ASSERT_FATAL(stage_wait(&s, &p.completes, 1));
    stage_put(&s, "x", "2"); // waits for the answer
    plane_nack(&p, "secret/a/b/x", "bad");
    CU_ASSERT(stage_wait(&s, &p.completes, 2));
    CU_ASSERT_EQUAL(stage_said(&s, "x", NULL), CTL_PROGRAMMED_PENDING);
    plane_stop(&p);
    stage_fini(&s);
}

static void a_bad_resource_is_not_sent(void) {
    struct stage s;
    struct plane p = {0};
    const char *reason = NULL;
    stage_init(&s);
    stage_put(&s, "x", "1");
    plane_join(&p, &s);
    CU_ASSERT_EQUAL(stage_said(&s, "x", NULL), CTL_PROGRAMMED_YES);
    plane_forget(&p);
    stage_put(&s, "x", ""); // ir.h wants a value
    stage_turn(&s, 30);
    CU_ASSERT_EQUAL(p.deltas, 0);
    CU_ASSERT_EQUAL(stage_said(&s, "x", &reason), CTL_PROGRAMMED_REFUSED);
    CU_ASSERT_PTR_NOT_NULL(reason);
    stage_put(&s, "x", "1"); // back to what they have
    CU_ASSERT_EQUAL(stage_said(&s, "x", NULL), CTL_PROGRAMMED_YES);
    plane_stop(&p);
    stage_fini(&s);
}

// --- bad peers, and the dump -------------------------------------------------------------------

static void bad_messages_end_the_connection(void) {
    static const char *const first[] = {
        "{\"ack\":\"00000000000000000000000000000000\"}",
        "{\"have\":{}}",
        "{\"resync\":true}",
        "{\"hello\":{}}",
        "garbage",
    };
    struct stage s;
    stage_init(&s);
    ctl_publish_apply(s.publish, NULL, 0);
    for (size_t i = 0; i < GW_ARRAY_LEN(first); i++) {
        struct plane p = {.silent = true};
        struct gw_err err;
        plane_start(&p, &s, NULL);
        CU_ASSERT_FATAL(stage_wait(&s, &p.opened, 1));
        CU_ASSERT_EQUAL(gw_h2link_client_send(p.client, gw_str_of(first[i]), &err), GW_OK);
        if (!stage_wait(&s, &p.closed, 1)) fprintf(stderr, "still open after %s\n", first[i]);
        CU_ASSERT(p.closed >= 1);
        plane_stop(&p);
    }
    struct plane twice = {0};
    plane_start(&twice, &s, NULL);
    CU_ASSERT_FATAL(stage_wait(&s, &twice.completes, 1));
    plane_say(&twice, gw_ir_hello("node", "", "", ""));
    CU_ASSERT(stage_wait(&s, &twice.closed, 1));
    plane_stop(&twice);
    stage_fini(&s);
}

static void the_dump_shows_no_secret(void) {
    struct stage s;
    struct plane p = {.address = "gw.example.com"};
    stage_init(&s);
    stage_put(&s, "x", "sk-very-secret");
    plane_join(&p, &s);
    GW_JSON_AUTO dump = ctl_publish_dump(s.publish);
    char *text = json_dumps(dump, 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_PTR_NULL(strstr(text, "sk-very-secret"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "secret/a/b/x"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "gw.example.com"));
    free(text);
    plane_stop(&p);
    stage_fini(&s);
}

static CU_TestInfo tests[] = {
    {"state is private and kept", state_is_private_and_kept},
    {"the state folder is a file", state_folder_is_a_file},
    {"a wrong token gets nothing", a_wrong_token_gets_nothing},
    {"a new one gets all and then changes", a_new_one_gets_all_and_then_changes},
    {"nothing is told before the first snapshot", nothing_is_told_before_the_first_snapshot},
    {"equal content is no change", equal_content_is_no_change},
    {"an equal root sends nothing", an_equal_root_sends_nothing},
    {"another root sends the difference", another_root_sends_the_difference},
    {"changes gather while a delta is under way", changes_gather_while_a_delta_is_under_way},
    {"many resources come in several messages", many_resources_come_in_several_messages},
    {"large resources come in several messages", large_resources_come_in_several_messages},
    {"resources sent are counted", resources_sent_are_counted},
    {"one Gateway gets what it needs", one_gateway_gets_what_it_needs},
    {"programmed means acknowledged", programmed_means_acknowledged},
    {"the one that lags leaves", the_one_that_lags_leaves},
    {"reload-01 reload-05 a refusal blames the cause alone", a_refusal_blames_the_cause_alone},
    {"an ACK ends refusals", an_ack_ends_refusals},
    {"a refusal of an old form is no news", a_refusal_of_an_old_form_is_no_news},
    {"a bad resource is not sent", a_bad_resource_is_not_sent},
    {"bad messages end the connection", bad_messages_end_the_connection},
    {"the dump shows no secret", the_dump_shows_no_secret},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_controller_publish_publish = {
    "controller_publish_publish", NULL, NULL, NULL, NULL, tests};
