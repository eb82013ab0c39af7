// SPDX-License-Identifier: Apache-2.0
// Two replicas, of which one holds the Lease: what the other's data planes say counts there, and
// what a replica may not say.
#include "controller/publish/pki.h"
#include "controller/version.h"
#include "shared/log.h"
#include "test/unit/controller/publish/plane.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define V "0123456789abcdef0123456789abcdef"

static int holders_gone;

static void on_change(void *arg) {
    (void)arg;
}

static void on_holder_gone(void *arg) {
    (void)arg;
    holders_gone++;
}

// One more replica in the place of what the stage has; the folder stands for the CA's Secret.
static void start(struct stage *s, const char *identity) {
    struct gw_err err = {0};
    const struct ctl_publish_replica r = {
        .identity = identity, .advertise = "127.0.0.1", .on_holder_gone = on_holder_gone};
    s->publish = ctl_publish_new(&(struct ctl_publish_opts){.loop = s->loop,
                                                            .state_dir = s->dir,
                                                            .replica = &r,
                                                            .host = "127.0.0.1",
                                                            .on_change = on_change,
                                                            .arg = s},
                                 &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s->publish);
    ctl_publish_apply(s->publish, NULL, 0);
}

struct pair {
    struct stage a, b; // a leads
    char address[64];
};

static void follow(struct pair *t) {
    snprintf(t->address, sizeof(t->address), "127.0.0.1:%u", ctl_publish_port(t->a.publish));
    ctl_publish_follow(t->b.publish, t->address);
}

static void init(struct pair *t) {
    stage_init(&t->a);
    ctl_publish_free(t->a.publish);
    t->b = t->a;
    start(&t->a, "a_1");
    start(&t->b, "b_1");
    ctl_publish_lead(t->a.publish);
    follow(t);
    holders_gone = 0;
}

static void fini(struct pair *t) {
    ctl_publish_free(t->b.publish);
    stage_fini(&t->a);
}

static void put(struct pair *t, const char *name, const char *value) {
    stage_put(&t->a, name, value);
    stage_put(&t->b, name, value);
}

static bool is_said(struct stage *s, const char *name, enum ctl_programmed want) {
    int64_t end_us = gw_clock_us() + 3000000;
    while (stage_said(s, name, NULL) != want && gw_clock_us() < end_us)
        gw_loop_turn(s->loop, 2);
    return stage_said(s, name, NULL) == want;
}

static bool are_counted(struct stage *s, const char *gateway, unsigned connected, unsigned acked) {
    int64_t end_us = gw_clock_us() + 3000000;
    unsigned c, a;
    for (;;) {
        ctl_publish_counts(s->publish, gateway, &c, &a);
        if ((c == connected && a == acked) || gw_clock_us() >= end_us) break;
        gw_loop_turn(s->loop, 2);
    }
    if (c != connected || a != acked)
        fprintf(stderr, "%u of %u, wanted %u of %u\n", a, c, acked, connected);
    return c == connected && a == acked;
}

static void join(struct plane *p, struct stage *s) {
    int before = p->completes;
    plane_start(p, s, NULL);
    CU_ASSERT_FATAL(stage_wait(s, &p->completes, before + 1));
    plane_ack(p);
}

static void ack_next(struct plane *p, struct stage *s) {
    CU_ASSERT_FATAL(stage_wait(s, &p->completes, p->completes + 1));
    plane_ack(p);
}

// --- what counts ---------------------------------------------------------------------------------

static void a_followers_data_plane_counts_at_the_holder(void) {
    struct pair t;
    struct plane p = {.address = "10.0.0.7"};
    init(&t);
    put(&t, "x", "1");
    CU_ASSERT(is_said(&t.a, "x", CTL_PROGRAMMED_NONE));
    join(&p, &t.b);
    CU_ASSERT(is_said(&t.a, "x", CTL_PROGRAMMED_YES));
    CU_ASSERT(are_counted(&t.a, NULL, 1, 1));
    CU_ASSERT(are_counted(&t.b, NULL, 1, 1));
    GW_JSON_AUTO addresses = ctl_publish_addresses(t.a.publish, "any/one");
    CU_ASSERT_EQUAL(json_array_size(addresses), 1);
    GW_JSON_AUTO dump = ctl_publish_dump(t.a.publish);
    const json_t *shown = json_array_get(gw_json_get(dump, "dataPlanes"), 0);
    CU_ASSERT(gw_str_eq(gw_json_str(shown, "replica"), GW_STR("b_1")));
    CU_ASSERT(gw_json_bool(shown, "current", false));
    plane_stop(&p);
    CU_ASSERT(are_counted(&t.a, NULL, 0, 0));
    CU_ASSERT(is_said(&t.a, "x", CTL_PROGRAMMED_YES)); // as of our own
    fini(&t);
}

static void programmed_waits_for_the_data_planes_of_all_replicas(void) {
    struct pair t;
    struct plane pa = {0}, pb = {0};
    init(&t);
    put(&t, "x", "1");
    join(&pa, &t.a);
    join(&pb, &t.b);
    CU_ASSERT(are_counted(&t.a, NULL, 2, 2));
    plane_forget(&pa);
    plane_forget(&pb);
    put(&t, "x", "2");
    ack_next(&pa, &t.a);
    stage_turn(&t.a, 100);
    CU_ASSERT(is_said(&t.a, "x", CTL_PROGRAMMED_PENDING));
    CU_ASSERT(are_counted(&t.a, NULL, 2, 1));
    plane_ack(&pb);
    CU_ASSERT(is_said(&t.a, "x", CTL_PROGRAMMED_YES));
    CU_ASSERT(are_counted(&t.a, NULL, 2, 2));
    plane_forget(&pa);
    plane_forget(&pb);
    put(&t, "x", "3"); // the other way round
    ack_next(&pb, &t.b);
    stage_turn(&t.a, 100);
    CU_ASSERT(is_said(&t.a, "x", CTL_PROGRAMMED_PENDING));
    plane_ack(&pa);
    CU_ASSERT(is_said(&t.a, "x", CTL_PROGRAMMED_YES));
    plane_stop(&pa);
    plane_stop(&pb);
    fini(&t);
}

static void a_follower_that_is_behind_is_waited_for(void) {
    struct pair t;
    struct plane p = {0};
    init(&t);
    put(&t, "x", "1");
    put(&t, "same", "1");
    join(&p, &t.b);
    CU_ASSERT(is_said(&t.a, "x", CTL_PROGRAMMED_YES));
    stage_put(&t.a, "x", "2");
    stage_put(&t.a, "new", "1");
    stage_turn(&t.a, 60);
    CU_ASSERT(is_said(&t.a, "x", CTL_PROGRAMMED_PENDING));
    CU_ASSERT(is_said(&t.a, "new", CTL_PROGRAMMED_PENDING));
    CU_ASSERT(is_said(&t.a, "same", CTL_PROGRAMMED_YES));
    CU_ASSERT(are_counted(&t.a, NULL, 1, 0));
    stage_put(&t.b, "x", "2");
    ack_next(&p, &t.b);
    CU_ASSERT(is_said(&t.a, "x", CTL_PROGRAMMED_YES));
    CU_ASSERT(is_said(&t.a, "new", CTL_PROGRAMMED_PENDING));
    stage_put(&t.b, "new", "1");
    ack_next(&p, &t.b);
    CU_ASSERT(is_said(&t.a, "new", CTL_PROGRAMMED_YES));
    CU_ASSERT(are_counted(&t.a, NULL, 1, 1));
    plane_stop(&p);
    fini(&t);
}

static void a_follower_that_is_ahead_has_nothing_to_do_again(void) {
    struct pair t;
    struct plane p = {0};
    init(&t);
    put(&t, "x", "1");
    join(&p, &t.b);
    CU_ASSERT(is_said(&t.a, "x", CTL_PROGRAMMED_YES));
    stage_put(&t.b, "x", "2");
    stage_put(&t.b, "gone", "1");
    ack_next(&p, &t.b);
    stage_put(&t.b, "gone", NULL);
    ack_next(&p, &t.b);
    stage_turn(&t.a, 60);
    CU_ASSERT(is_said(&t.a, "x", CTL_PROGRAMMED_YES)); // the form that holds here, still
    stage_put(&t.a, "x", "2");
    CU_ASSERT_EQUAL(stage_said(&t.a, "x", NULL), CTL_PROGRAMMED_YES);
    CU_ASSERT(are_counted(&t.a, NULL, 1, 1));
    plane_stop(&p);
    fini(&t);
}

static void a_refusal_is_told_with_its_reason(void) {
    struct pair t;
    struct plane p = {0};
    const char *reason;
    init(&t);
    put(&t, "x", "1");
    put(&t, "y", "1");
    plane_start(&p, &t.b, NULL);
    CU_ASSERT_FATAL(stage_wait(&t.b, &p.completes, 1));
    plane_nack(&p, "secret/a/b/x", "the port is in use");
    CU_ASSERT(is_said(&t.a, "x", CTL_PROGRAMMED_REFUSED));
    stage_said(&t.a, "x", &reason);
    CU_ASSERT_STRING_EQUAL(reason, "the port is in use");
    CU_ASSERT(is_said(&t.a, "y", CTL_PROGRAMMED_YES));
    CU_ASSERT(are_counted(&t.a, NULL, 1, 0));
    plane_ack(&p); // it became free
    CU_ASSERT(is_said(&t.a, "x", CTL_PROGRAMMED_YES));
    CU_ASSERT(are_counted(&t.a, NULL, 1, 1));
    plane_stop(&p);
    fini(&t);
}

static void more_refusals_than_can_be_told_are_no_acknowledgements(void) {
    struct pair t;
    struct plane p = {0};
    char name[64];
    init(&t);
    json_t *errors = json_array();
    for (int i = 0; i <= GW_IR_RELAY_ERRORS_MAX; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        put(&t, name, "1");
        json_array_append_new(
            errors,
            json_pack("{so ss}", "resource", json_sprintf("secret/a/b/%s", name), "reason", "no"));
    }
    put(&t, "fine", "1");
    plane_start(&p, &t.b, NULL);
    CU_ASSERT_FATAL(stage_wait(&t.b, &p.completes, 1));
    plane_say(&p, gw_ir_nack(p.version, errors));
    CU_ASSERT(is_said(&t.a, "n0", CTL_PROGRAMMED_REFUSED));
    CU_ASSERT(is_said(&t.a, "fine", CTL_PROGRAMMED_PENDING));
    CU_ASSERT(are_counted(&t.a, NULL, 1, 0));
    plane_stop(&p);
    fini(&t);
}

static json_t *listener(const char *gateway, int port) {
    return json_pack("{ss ss si ss}", "gateway", gateway, "name", "http", "port", port, "protocol",
                     "HTTP");
}

// A Gateway whose data planes are all connected elsewhere has a view here, too.
static void each_gateway_counts_its_own(void) {
    struct pair t;
    struct plane p = {.gateway = "ns/one"};
    char one[] = "listener/ns/one/http", two[] = "listener/ns/two/http";
    const struct ctl_resource_change changes[] = {{one, listener("ns/one", 80)},
                                                  {two, listener("ns/two", 80)}};
    const char *reason;
    init(&t);
    ctl_publish_apply(t.a.publish, changes, 2);
    ctl_publish_apply(t.b.publish, changes, 2);
    join(&p, &t.b);
    CU_ASSERT(are_counted(&t.a, "ns/one", 1, 1));
    CU_ASSERT(are_counted(&t.a, "ns/two", 0, 0));
    CU_ASSERT_EQUAL(ctl_publish_programmed(t.a.publish, &(char *){one}, 1, &reason),
                    CTL_PROGRAMMED_YES);
    CU_ASSERT_EQUAL(ctl_publish_programmed(t.a.publish, &(char *){two}, 1, &reason),
                    CTL_PROGRAMMED_NONE);
    unsigned connected, acked;
    ctl_publish_counts_of(t.a.publish, "ns/one", &(char *){one}, 1, &connected, &acked);
    CU_ASSERT(connected == 1 && acked == 1);
    struct ctl_resource_change next = {.name = one, .body = listener("ns/one", 81)};
    ctl_publish_apply(t.a.publish, &next, 1);
    ctl_publish_counts_of(t.a.publish, "ns/one", &(char *){one}, 1, &connected, &acked);
    CU_ASSERT(connected == 1 && acked == 0);
    CU_ASSERT_EQUAL(ctl_publish_programmed(t.a.publish, &(char *){one}, 1, &reason),
                    CTL_PROGRAMMED_PENDING);
    ctl_publish_apply(t.b.publish, &next, 1);
    ack_next(&p, &t.b);
    CU_ASSERT(are_counted(&t.a, "ns/one", 1, 1));
    CU_ASSERT_EQUAL(ctl_publish_programmed(t.a.publish, &(char *){one}, 1, &reason),
                    CTL_PROGRAMMED_YES);
    plane_stop(&p);
    CU_ASSERT(are_counted(&t.a, "ns/one", 0, 0));
    json_decref(changes[0].body);
    json_decref(changes[1].body);
    json_decref(next.body);
    fini(&t);
}

static void large_views_go_in_parts(void) {
    struct pair t;
    struct plane p = {0};
    enum { N = 2 * GW_IR_RELAY_SET_MAX + 10 };
    struct ctl_resource_change *changes = gw_alloc(N * sizeof(*changes));
    json_t *body = json_pack("{ss}", "value", "1");
    init(&t);
    for (int i = 0; i < N; i++) {
        struct gw_text name = {0};
        gw_text_addf(&name, "secret/a/b/n%d", i);
        changes[i] = (struct ctl_resource_change){.name = name.ptr, .body = body};
    }
    ctl_publish_apply(t.a.publish, changes, N);
    ctl_publish_apply(t.b.publish, changes, N);
    join(&p, &t.b);
    CU_ASSERT(are_counted(&t.a, NULL, 1, 1));
    CU_ASSERT(is_said(&t.a, "n0", CTL_PROGRAMMED_YES));
    for (int i = 0; i < N; i++)
        changes[i].body = NULL;
    ctl_publish_apply(t.b.publish, changes, N); // 1,000 removed at once, and more
    ctl_publish_apply(t.a.publish, changes, N);
    int64_t end_us = gw_clock_us() + 5000000;
    while (p.completes < 2 && gw_clock_us() < end_us)
        gw_loop_turn(t.a.loop, 5);
    plane_ack(&p);
    CU_ASSERT(are_counted(&t.a, NULL, 1, 1));
    plane_stop(&p);
    for (int i = 0; i < N; i++)
        free(changes[i].name);
    free(changes);
    json_decref(body);
    fini(&t);
}

// --- links that break ----------------------------------------------------------------------------

static void a_replica_that_dies_leaves_its_data_planes_for_a_while(void) {
    struct pair t;
    struct plane p = {0}, again = {0};
    init(&t);
    put(&t, "x", "1");
    join(&p, &t.b);
    CU_ASSERT(are_counted(&t.a, NULL, 1, 1));
    ctl_publish_free(t.b.publish);
    stage_turn(&t.a, 300);
    CU_ASSERT(are_counted(&t.a, NULL, 1, 1));
    CU_ASSERT(is_said(&t.a, "x", CTL_PROGRAMMED_YES));
    // A new form does not wait for it: there is nobody who could acknowledge it.
    stage_put(&t.a, "y", "1");
    CU_ASSERT_EQUAL(stage_said(&t.a, "y", NULL), CTL_PROGRAMMED_NONE);
    // It comes here: it is not counted twice.
    join(&again, &t.a);
    CU_ASSERT(are_counted(&t.a, NULL, 1, 1));
    CU_ASSERT(is_said(&t.a, "y", CTL_PROGRAMMED_YES));
    plane_stop(&again);
    CU_ASSERT(are_counted(&t.a, NULL, 0, 0));
    gw_h2link_client_free(p.client);
    json_decref(p.set);
    json_decref(p.removed);
    start(&t.b, "b_2");
    fini(&t);
}

static void a_replica_that_does_not_come_back_is_gone(void) {
    struct pair t;
    struct plane p = {0};
    init(&t);
    put(&t, "x", "1");
    join(&p, &t.b);
    CU_ASSERT(are_counted(&t.a, NULL, 1, 1));
    ctl_publish_follow(t.b.publish, ""); // its data plane stays
    stage_turn(&t.a, 200);
    CU_ASSERT(are_counted(&t.a, NULL, 1, 1));
    int64_t began_us = gw_clock_us();
    unsigned connected = 1, acked;
    while (connected && gw_clock_us() - began_us < 10000000) {
        gw_loop_turn(t.a.loop, 20);
        ctl_publish_counts(t.a.publish, NULL, &connected, &acked);
    }
    CU_ASSERT_EQUAL(connected, 0);
    CU_ASSERT(is_said(&t.a, "x", CTL_PROGRAMMED_YES));
    follow(&t); // and comes back after all
    CU_ASSERT(are_counted(&t.a, NULL, 1, 1));
    // A blip: told again in the place of what was told, and never counted twice.
    ctl_publish_follow(t.b.publish, "");
    stage_turn(&t.a, 50);
    follow(&t);
    began_us = gw_clock_us();
    while (gw_clock_us() - began_us < 500000) {
        gw_loop_turn(t.a.loop, 5);
        ctl_publish_counts(t.a.publish, NULL, &connected, &acked);
        CU_ASSERT_EQUAL(connected, 1);
        CU_ASSERT_EQUAL(acked, 1);
    }
    plane_stop(&p);
    CU_ASSERT(are_counted(&t.a, NULL, 0, 0));
    fini(&t);
}

static void who_loses_the_lease_forgets_and_closes(void) {
    struct pair t;
    struct plane p = {0};
    init(&t);
    put(&t, "x", "1");
    join(&p, &t.b);
    CU_ASSERT(are_counted(&t.a, NULL, 1, 1));
    ctl_publish_follow(t.a.publish, "");
    CU_ASSERT(are_counted(&t.a, NULL, 0, 0));
    CU_ASSERT(stage_wait(&t.a, &holders_gone, 1));
    stage_turn(&t.a, 300);
    CU_ASSERT(are_counted(&t.a, NULL, 0, 0)); // refused: it is no holder
    CU_ASSERT_EQUAL(holders_gone, 1);
    // The other way round.
    snprintf(t.address, sizeof(t.address), "127.0.0.1:%u", ctl_publish_port(t.b.publish));
    ctl_publish_lead(t.b.publish);
    ctl_publish_follow(t.a.publish, t.address);
    struct plane mine = {0};
    join(&mine, &t.a);
    CU_ASSERT(are_counted(&t.b, NULL, 2, 2));
    plane_stop(&p);
    plane_stop(&mine);
    fini(&t);
}

// --- what a replica may not say ------------------------------------------------------------------

struct rogue {
    struct gw_h2link_client *client;
    struct stage *stage;
    int opened, closed;
    char why[512];
};

static void rogue_opened(void *arg) {
    struct rogue *r = arg;
    r->opened++;
}

static void rogue_closed(void *arg, const struct gw_err *why) {
    struct rogue *r = arg;
    r->closed++;
    snprintf(r->why, sizeof(r->why), "%s", why->text);
}

static struct gw_secret *file(const struct stage *s, const char *name) {
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", s->dir, name);
    struct gw_secret *secret = gw_secret_from_file(path, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(secret);
    return secret;
}

// token NULL: the right one.
static void rogue_start(struct rogue *r, struct stage *s, const char *path, const char *token) {
    struct gw_err err;
    struct gw_secret *ca = file(s, "ca.crt"), *key = file(s, "ca.key");
    struct gw_tls_ctx *tls = gw_tls_client_ctx(gw_secret_reveal(ca), GW_STR("h2"), &err);
    struct gw_secret *secret = token ? gw_secret_new(gw_str_of(token)) : ctl_pki_relay_token(key);
    *r = (struct rogue){.stage = s};
    const struct gw_h2link_client_opts o = {.host = "127.0.0.1",
                                            .port = ctl_publish_port(s->publish),
                                            .path = path,
                                            .tls = tls,
                                            .token = secret,
                                            .message_bytes_max = 1 << 20,
                                            .backoff_min_ms = 60000,
                                            .backoff_max_ms = 60000,
                                            .on_open = rogue_opened,
                                            .on_close = rogue_closed,
                                            .arg = r};
    r->client = gw_h2link_client_new(s->loop, &o, &err);
    gw_tls_ctx_unref(tls);
    gw_secret_unref(ca);
    gw_secret_unref(key);
    gw_secret_unref(secret);
}

static void rogue_say(struct rogue *r, const char *text) {
    struct gw_err err;
    char *copy = gw_strdup(text);
    for (char *p = copy; *p; p++)
        if (*p == '\'') *p = '"';
    CU_ASSERT_EQUAL(gw_h2link_client_send(r->client, gw_str_of(copy), &err), GW_OK);
    free(copy);
}

static void who_may_be_a_replica(void) {
    static const struct {
        const char *path, *token, *why;
        bool is_leader;
    } cases[] = {
        {GW_H2LINK_RELAY, "guessed", "not that of a replica", true},
        {GW_H2LINK_RELAY, "bootstrap", "not that of a replica", true}, // a data plane's
        {GW_H2LINK_RELAY, NULL, "does not hold the Lease", false},
        {GW_H2LINK_PUSH, NULL, "not the bootstrap token", true}, // a replica is no data plane
        {"/relay/v2", NULL, "404", true},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct pair t;
        struct rogue r;
        init(&t);
        if (!cases[i].is_leader) ctl_publish_follow(t.a.publish, "");
        struct gw_secret *bootstrap = file(&t.a, "token");
        bool is_bootstrap = cases[i].token && strcmp(cases[i].token, "bootstrap") == 0;
        rogue_start(&r, &t.a, cases[i].path,
                    is_bootstrap ? gw_secret_reveal(bootstrap).ptr : cases[i].token);
        CU_ASSERT(stage_wait(&t.a, &r.closed, 1));
        CU_ASSERT_EQUAL(r.opened, 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(r.why, cases[i].why));
        gw_h2link_client_free(r.client);
        gw_secret_unref(bootstrap);
        fini(&t);
    }
}

#define REPLICA "{'replica':{'identity':'evil','version':'" CTL_VERSION "'}}"
#define RELAY(views, planes, gone)                                                                 \
    "{'relay':{'views':[" views "],'planes':[" planes "],'gone':[" gone "],'complete':true}}"
#define VIEW(set)                                                                                  \
    "{'gateway':'','root':'" V "','serial':7,'reset':true,'set':[" set "],'remove':[]}"
#define PLANE(gateway, acked)                                                                      \
    "{'id':1,'gateway':'" gateway "','node':'n','address':'','acked':" acked ",'errors':[]}"

static void bad_messages_end_the_link_and_leave_nothing(void) {
    static const struct {
        const char *name, *first, *second, *why;
    } cases[] = {
        {"no JSON", "x", NULL, "message"},
        {"a data plane's hello", "{'hello':{'node':'n'}}", NULL, "not a message of a replica"},
        {"an answer", "{'ack':'" V "'}", NULL, "not a message of a replica"},
        {"no hello", RELAY("", "", ""), NULL, "did not say who it is"},
        {"two hellos", REPLICA, REPLICA, "second hello"},
        {"ourselves", "{'replica':{'identity':'a_1','version':'1'}}", NULL, "is this one"},
        {"a plane of no view", REPLICA, RELAY("", PLANE("", "0"), ""), "that was not told"},
        {"a plane of another view", REPLICA, RELAY(VIEW(""), PLANE("b/c", "0"), ""),
         "that was not told"},
        {"acked the future", REPLICA, RELAY(VIEW(""), PLANE("", "8"), ""), "what was not told"},
        {"acked less than none", REPLICA, RELAY(VIEW(""), PLANE("", "-1"), ""), "acked"},
        {"a number too large", REPLICA, RELAY(VIEW(""), PLANE("", "9007199254740993"), ""),
         "acked"},
        {"an unknown member", REPLICA, "{'relay':{'x':1}}", "unknown field"},
        {"no version", REPLICA, RELAY(VIEW("{'name':'a','version':'x','serial':1}"), "", ""),
         "version"},
        {"no name", REPLICA, RELAY(VIEW("{'name':'','version':'" V "','serial':1}"), "", ""),
         "name"},
        {"an id that is a text", REPLICA, RELAY("", "", "'1'"), "gone"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct pair t;
        struct rogue r;
        init(&t);
        rogue_start(&r, &t.a, GW_H2LINK_RELAY, NULL);
        CU_ASSERT_FATAL(stage_wait(&t.a, &r.opened, 1));
        rogue_say(&r, cases[i].first);
        if (cases[i].second) rogue_say(&r, cases[i].second);
        bool is_closed = stage_wait(&t.a, &r.closed, 1);
        if (!is_closed || !strstr(r.why, cases[i].why))
            fprintf(stderr, "%s: '%s'\n", cases[i].name, r.why);
        CU_ASSERT(is_closed && strstr(r.why, cases[i].why));
        CU_ASSERT(are_counted(&t.a, NULL, 0, 0));
        gw_h2link_client_free(r.client);
        fini(&t);
    }
}

static void large_messages_end_the_link(void) {
    static const struct {
        bool has_hello;
        const char *piece, *why;
        size_t bytes;
    } cases[] = {
        {false, "x", "closed the connection", 20000}, // before it said who it is
        {true, "x", "closed the connection", 17 << 20},
        {true, "[],", "values", 4 << 20},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct pair t;
        struct rogue r;
        struct gw_text text = {0};
        struct gw_err err;
        init(&t);
        rogue_start(&r, &t.a, GW_H2LINK_RELAY, NULL);
        CU_ASSERT_FATAL(stage_wait(&t.a, &r.opened, 1));
        if (cases[i].has_hello) rogue_say(&r, REPLICA);
        gw_text_adds(&text, "{\"relay\":[");
        while (text.len < cases[i].bytes)
            gw_text_adds(&text, cases[i].piece);
        CU_ASSERT_EQUAL(gw_h2link_client_send(r.client, gw_text_str(&text), &err), GW_OK);
        CU_ASSERT(stage_wait(&t.a, &r.closed, 1));
        if (!strstr(r.why, cases[i].why)) fprintf(stderr, "'%s'\n", r.why);
        CU_ASSERT_PTR_NOT_NULL(strstr(r.why, cases[i].why));
        gw_text_fini(&text);
        gw_h2link_client_free(r.client);
        fini(&t);
    }
}

static void replicas_are_capped_and_others_go_on(void) {
    struct pair t;
    struct plane p = {0};
    struct rogue r[20];
    int refused = 0;
    init(&t);
    put(&t, "x", "1");
    join(&p, &t.b);
    CU_ASSERT(are_counted(&t.a, NULL, 1, 1));
    for (size_t i = 0; i < GW_ARRAY_LEN(r); i++) {
        rogue_start(&r[i], &t.a, GW_H2LINK_RELAY, NULL);
        CU_ASSERT_FATAL(stage_wait(&t.a, &r[i].opened, 1));
        stage_turn(&t.a, 30);
        refused += r[i].closed;
    }
    CU_ASSERT_EQUAL(refused, 5); // 16 with the true one
    CU_ASSERT(are_counted(&t.a, NULL, 1, 1));
    for (size_t i = 0; i < GW_ARRAY_LEN(r); i++)
        gw_h2link_client_free(r[i].client);
    plane_stop(&p);
    fini(&t);
}

// A link may be dead before anybody notices.
static void one_that_connects_anew_takes_its_own_place(void) {
    struct pair t;
    struct rogue r[2];
    init(&t);
    for (size_t i = 0; i < GW_ARRAY_LEN(r); i++) {
        rogue_start(&r[i], &t.a, GW_H2LINK_RELAY, NULL);
        CU_ASSERT_FATAL(stage_wait(&t.a, &r[i].opened, 1));
        rogue_say(&r[i], REPLICA);
        rogue_say(&r[i], RELAY(VIEW(""), PLANE("", "7"), ""));
        stage_turn(&t.a, 30);
        CU_ASSERT(are_counted(&t.a, NULL, 1, 0));
    }
    CU_ASSERT(stage_wait(&t.a, &r[0].closed, 1));
    CU_ASSERT_PTR_NOT_NULL(strstr(r[0].why, "connected anew"));
    CU_ASSERT_EQUAL(r[1].closed, 0);
    for (size_t i = 0; i < GW_ARRAY_LEN(r); i++)
        gw_h2link_client_free(r[i].client);
    fini(&t);
}

// While one version takes the place of another, resources may differ for no reason of users.
static void another_version_is_counted_and_not_waited_for(void) {
    struct pair t;
    struct plane p = {0};
    struct rogue r;
    init(&t);
    put(&t, "x", "1");
    join(&p, &t.a);
    rogue_start(&r, &t.a, GW_H2LINK_RELAY, NULL);
    CU_ASSERT_FATAL(stage_wait(&t.a, &r.opened, 1));
    rogue_say(&r, "{'replica':{'identity':'older','version':'0.0.0'}}");
    rogue_say(&r, RELAY(VIEW("{'name':'secret/a/b/x','version':'" V "','serial':1}"),
                        PLANE("", "7"), ""));
    CU_ASSERT(are_counted(&t.a, NULL, 2, 1));
    put(&t, "x", "2");
    ack_next(&p, &t.a);
    CU_ASSERT(is_said(&t.a, "x", CTL_PROGRAMMED_YES));
    CU_ASSERT_EQUAL(r.closed, 0);
    gw_h2link_client_free(r.client);
    plane_stop(&p);
    fini(&t);
}

static CU_TestInfo tests[] = {
    {"a follower's data plane counts at the holder", a_followers_data_plane_counts_at_the_holder},
    {"programmed waits for the data planes of all replicas",
     programmed_waits_for_the_data_planes_of_all_replicas},
    {"a follower that is behind is waited for", a_follower_that_is_behind_is_waited_for},
    {"a follower that is ahead has nothing to do again",
     a_follower_that_is_ahead_has_nothing_to_do_again},
    {"a refusal is told with its reason", a_refusal_is_told_with_its_reason},
    {"more refusals than can be told are no acknowledgements",
     more_refusals_than_can_be_told_are_no_acknowledgements},
    {"each Gateway counts its own", each_gateway_counts_its_own},
    {"large views go in parts", large_views_go_in_parts},
    {"a replica that dies leaves its data planes for a while",
     a_replica_that_dies_leaves_its_data_planes_for_a_while},
    {"a replica that does not come back is gone", a_replica_that_does_not_come_back_is_gone},
    {"who loses the Lease forgets and closes", who_loses_the_lease_forgets_and_closes},
    {"who may be a replica", who_may_be_a_replica},
    {"bad messages end the link and leave nothing", bad_messages_end_the_link_and_leave_nothing},
    {"large messages end the link", large_messages_end_the_link},
    {"replicas are capped and others go on", replicas_are_capped_and_others_go_on},
    {"one that connects anew takes its own place", one_that_connects_anew_takes_its_own_place},
    {"another version is counted and not waited for",
     another_version_is_counted_and_not_waited_for},
    CU_TEST_INFO_NULL,
};

CU_SuiteInfo suite_controller_publish_relay = {
    "controller_publish_relay", NULL, NULL, NULL, NULL, tests};
