// SPDX-License-Identifier: Apache-2.0
// The client against a real push server in the same process.
#include "dataplane/obs/metrics.h"
#include "shared/log.h"
#include "shared/vec.h"
#include "test/unit/dataplane/conf/controller.h"

#include <CUnit/CUnit.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LISTENER "listener/default/edge/http"
#define LISTENER_ON(port)                                                                          \
    "{\"gateway\":\"default/edge\",\"name\":\"http\",\"port\":" port ",\"protocol\":\"HTTP\"}"
#define RULE_OF(route, path, more)                                                                 \
    "{\"route\":\"default/" route "\",\"index\":0,\"age\":\"1\",\"attach\":[{\"listener\":"        \
    "\"" LISTENER "\",\"hostnames\":[]}],\"matches\":[{\"path\":{\"type\":\"Exact\",\"value\":"    \
    "\"" path "\"}}],\"backends\":[{\"backend\":\"backend/service/default/web/80\","               \
    "\"weight\":1}]" more "}"
#define BAD_FILTER ",\"filters\":[{\"type\":\"Nope\"}]"
#define ENDPOINTS_AT(port) "{\"addresses\":[{\"host\":\"127.0.0.1\",\"port\":" port "}]}"
#define SERVICE "{\"type\":\"service\",\"endpoints\":\"endpoints/default/web/80\"}"
#define SECRET "secret/default/openai/api-key"

static const char *const good_snapshot[] = {
    LISTENER,
    LISTENER_ON("8080"),
    "rule/default/one/0",
    RULE_OF("one", "/one", ""),
    "endpoints/default/web/80",
    ENDPOINTS_AT("9001"),
    "backend/service/default/web/80",
    SERVICE,
    SECRET,
    "{\"value\":\"sk-hush\"}",
    NULL,
};

// What stands in for the workers: keeps the newest config.
static struct workers {
    pthread_mutex_t lock;
    struct dp_conf *conf; // by lock
    unsigned applied;     // by lock
    uint16_t busy_port;   // by lock; in use by somebody else
} workers = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void apply(void *arg, struct dp_conf *conf, struct dp_conf_refusals *refusals) {
    struct workers *w = arg;
    pthread_mutex_lock(&w->lock);
    dp_conf_unref(w->conf);
    w->conf = conf;
    w->applied++;
    const struct dp_port *p = dp_conf_port(conf, w->busy_port);
    for (unsigned i = 0; p && i < p->len; i++) {
        struct gw_str name = p->listeners[i]->name;
        GW_VEC_PUSH(refusals, ((struct dp_conf_refusal){gw_strndup(name.ptr, name.len),
                                                        gw_strdup("the port is in use")}));
    }
    pthread_mutex_unlock(&w->lock);
}

// The port of the first endpoint that path leads to; 0: no rule.
static unsigned leads_to(uint16_t port, const char *path) {
    unsigned ret = 0;
    pthread_mutex_lock(&workers.lock);
    const struct dp_port *p = workers.conf ? dp_conf_port(workers.conf, port) : NULL;
    struct dp_head head = {
        .method = DP_METHOD_GET,
        .method_text = GW_STR("GET"),
        .path = gw_str_of(path),
        .target = gw_str_of(path),
        .host = GW_STR("x"),
        .authority = GW_STR("x"),
    };
    const struct dp_rule_match *m = p ? dp_router_match(p->listeners[0]->router, &head) : NULL;
    const struct dp_rule *r = m ? m->rule : NULL;
    const struct dp_backend *b = r && r->backends_n ? r->backends[0].backend : NULL;
    if (r) ret = b ? b->endpoints->ptr[0]->port : 1;
    pthread_mutex_unlock(&workers.lock);
    return ret;
}

static void set_busy_port(uint16_t port) {
    pthread_mutex_lock(&workers.lock);
    workers.busy_port = port;
    pthread_mutex_unlock(&workers.lock);
}

static struct controller controller;
static struct dp_conf_client *client;

static struct dp_conf_client *start_client(bool with_controller, struct gw_err *err) {
    const struct dp_conf_client_opts o = {
        .controller_host = with_controller ? "127.0.0.1" : NULL,
        .controller_port = with_controller ? controller_port(&controller) : 0,
        .ca_file = controller.ca_file,
        .token_file = controller.token_file,
        .node = "node-1",
        .gateway = "default/edge",
        .address = "10.1.2.3",
        .state_dir = controller.state_dir,
        .workers = 1,
        .apply = apply,
        .arg = &workers,
    };
    return dp_conf_client_start(&o, err);
}

static void set_up(void) {
    dp_metrics_init();
    gw_log_init(STDERR_FILENO, GW_LOG_ERROR + 1);
    controller_start(&controller);
    workers.applied = 0;
    set_busy_port(0);
}

static void drop_client(void) {
    dp_conf_client_stop(client);
    client = NULL;
    dp_conf_unref(workers.conf);
    workers.conf = NULL;
}

static void tear_down(void) {
    drop_client();
    controller_stop(&controller);
}

// Up to the point where the controller is about to send what the client has not.
static void connect_client(void) {
    struct gw_err err;
    client = start_client(true, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(client);
    controller_wait_peer(&controller);
    json_decref(controller_take(&controller, "hello"));
    controller_send(&controller, gw_ir_resync());
    json_decref(controller_take(&controller, "have"));
}

static void expect_ack(const char *version) {
    json_t *ack = controller_take(&controller, "ack");
    CU_ASSERT(gw_str_eq(gw_json_str_of(ack), gw_str_of(version)));
    json_decref(ack);
}

// Exactly these resources are refused, with a reason that has why in it.
static void expect_nack(const char *version, const char *const *names, const char *why) {
    json_t *nack = controller_take(&controller, "nack");
    const json_t *errors = gw_json_get(nack, "errors");
    size_t n = 0;
    CU_ASSERT(gw_str_eq(gw_json_str(nack, "nack"), gw_str_of(version)));
    for (; names[n]; n++) {
        const json_t *one = json_array_get(errors, n);
        const char *reason = json_string_value(gw_json_get(one, "reason"));
        CU_ASSERT(gw_str_eq(gw_json_str(one, "resource"), gw_str_of(names[n])));
        if (!reason || !strstr(reason, why)) printf("\n%s\n", reason ? reason : "no reason");
        CU_ASSERT_FATAL(reason != NULL);
        CU_ASSERT_PTR_NOT_NULL(strstr(reason, why));
    }
    CU_ASSERT_EQUAL(json_array_size(errors), n);
    json_decref(nack);
}

#define PUSH(...) controller_push(&controller, (const char *const[]){__VA_ARGS__, NULL}, true)
#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void push_good(void) {
    expect_ack(controller_push(&controller, good_snapshot, true));
}

static void connect_and_push_good(void) {
    connect_client();
    push_good();
}

static void write_file(const char *path, struct gw_str text) {
    FILE *f = fopen(path, "we");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fwrite(text.ptr, 1, text.len, f);
    fclose(f);
}

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

// --- the kept snapshot --------------------------------------------------------------------------

static void a_restart_serves_the_kept_snapshot(void) {
    struct gw_err err;
    struct stat st;
    connect_and_push_good();
    expect_nack(PUSH("rule/default/one/0", RULE_OF("one", "/new", BAD_FILTER)),
                NAMES("rule/default/one/0"), "'Nope'");
    json_t *before = dp_conf_client_dump(client);
    drop_client();
    CU_ASSERT_EQUAL(stat(controller.snapshot, &st), 0);
    CU_ASSERT_EQUAL(st.st_mode & 0777, 0600);
    CU_ASSERT_EQUAL(stat(controller.state_dir, &st), 0);
    CU_ASSERT_EQUAL(st.st_mode & 0777, 0700);
    client = start_client(false, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(client);
    CU_ASSERT(dp_conf_client_is_ready(client));
    CU_ASSERT_EQUAL(leads_to(8080, "/one"), 9001);
    json_t *after = dp_conf_client_dump(client);
    CU_ASSERT(json_equal(gw_json_get(before, "resources"), gw_json_get(after, "resources")));
    CU_ASSERT_FALSE(gw_json_bool(after, "connected", true));
    json_decref(before);
    json_decref(after);
}

static void a_restart_with_its_controller_moves_nothing(void) {
    struct gw_err err;
    connect_and_push_good();
    drop_client();
    client = start_client(true, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(client);
    CU_ASSERT(dp_conf_client_is_ready(client));
    json_t *hello = controller_take(&controller, "hello");
    CU_ASSERT(gw_str_eq(gw_json_str(hello, "root"), gw_str_of(controller_root(&controller))));
    json_decref(hello);
}

static void the_snapshot_is_kept_while_running(void) {
    connect_and_push_good();
    for (int i = 0; i < 500 && access(controller.snapshot, F_OK) != 0; i++)
        usleep(10000);
    CU_ASSERT_EQUAL(access(controller.snapshot, F_OK), 0);
}

static struct gw_text read_file(const char *path) {
    struct gw_text text = {0};
    char piece[4096];
    size_t n;
    FILE *f = fopen(path, "re");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
        gw_text_add(&text, piece, n);
    fclose(f);
    return text;
}

// Replaces the first place of from by to, of the same length.
static struct gw_text damaged(const struct gw_text *whole, const char *from, const char *to) {
    struct gw_text t = {0};
    gw_text_add(&t, whole->ptr, whole->len);
    char *at = strstr(t.ptr, from);
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    memcpy(at, to, strlen(to));
    return t;
}

static void expect_set_aside(struct gw_str text) {
    struct gw_err err;
    char bad[96];
    snprintf(bad, sizeof(bad), "%s.bad", controller.snapshot);
    unlink(bad);
    write_file(controller.snapshot, text);
    unsigned applied = workers.applied;
    client = start_client(false, &err);
    CU_ASSERT_PTR_NULL(client);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "snapshot.json: "));
    CU_ASSERT_EQUAL(access(bad, F_OK), 0);
    CU_ASSERT_NOT_EQUAL(access(controller.snapshot, F_OK), 0);
    // With a controller the data plane starts from nothing.
    write_file(controller.snapshot, text);
    client = start_client(true, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(client);
    CU_ASSERT_FALSE(dp_conf_client_is_ready(client));
    CU_ASSERT_EQUAL(workers.applied, applied);
    drop_client();
}

static void a_damaged_snapshot_is_set_aside(void) {
    connect_and_push_good();
    drop_client();
    struct gw_text whole = read_file(controller.snapshot);
    struct gw_text body = damaged(&whole, "9001", "9002");
    struct gw_text name = damaged(&whole, "rule/default/one/0", "rule/default/0ne/0");
    struct gw_text root = damaged(&whole, controller_root(&controller), "00000000");
    struct gw_text member = damaged(&whole, "resources", "resourses");
    expect_set_aside(GW_STR(""));
    expect_set_aside(GW_STR("[]"));
    expect_set_aside(GW_STR("{\"resources\":{\"x\":1}}"));
    expect_set_aside((struct gw_str){whole.ptr, whole.len / 2});
    expect_set_aside((struct gw_str){whole.ptr, whole.len - 1});
    expect_set_aside(gw_text_str(&body));
    expect_set_aside(gw_text_str(&name));
    expect_set_aside(gw_text_str(&root));
    expect_set_aside(gw_text_str(&member));
    gw_text_fini(&whole);
    gw_text_fini(&body);
    gw_text_fini(&name);
    gw_text_fini(&root);
    gw_text_fini(&member);
}

static void without_controller_and_snapshot_there_is_nothing_to_serve(void) {
    struct gw_err err;
    client = start_client(false, &err);
    CU_ASSERT_PTR_NULL(client);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "no snapshot is kept in '"));
}

static void a_state_folder_that_is_a_file_is_refused(void) {
    struct gw_err err;
    write_file(controller.state_dir, GW_STR("x"));
    client = start_client(true, &err);
    CU_ASSERT_PTR_NULL(client);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "Not a directory"));
    unlink(controller.state_dir);
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
    T(a_restart_serves_the_kept_snapshot),
    T(a_restart_with_its_controller_moves_nothing),
    T(the_snapshot_is_kept_while_running),
    T(a_damaged_snapshot_is_set_aside),
    T(without_controller_and_snapshot_there_is_nothing_to_serve),
    T(a_state_folder_that_is_a_file_is_refused),
    T(secrets_are_not_shown),
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_conf_client = {"client", NULL, NULL, set_up, tear_down, tests};
