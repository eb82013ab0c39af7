// SPDX-License-Identifier: Apache-2.0
// What suites of the client share: a scripted controller, one client, and something that stands in
// for the workers. One of each: a suite is a process.
#ifndef TEST_DATAPLANE_CONF_STAGE_H
#define TEST_DATAPLANE_CONF_STAGE_H

#include "dataplane/obs/metrics.h"
#include "shared/log.h"
#include "shared/vec.h"
#include "test/unit/dataplane/conf/controller.h"

#include <CUnit/CUnit.h>
#include <pthread.h>
#include <stdio.h>
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

static inline void apply(void *arg, struct dp_conf *conf, struct dp_conf_refusals *refusals) {
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
static inline unsigned leads_to(uint16_t port, const char *path) {
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

static inline void set_busy_port(uint16_t port) {
    pthread_mutex_lock(&workers.lock);
    workers.busy_port = port;
    pthread_mutex_unlock(&workers.lock);
}

static struct controller controller;
static struct dp_conf_client *client;

static inline struct dp_conf_client *start_client(bool with_controller, struct gw_err *err) {
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

static inline void set_up(void) {
    dp_metrics_init();
    gw_log_init(STDERR_FILENO, GW_LOG_ERROR + 1);
    controller_start(&controller);
    workers.applied = 0;
    set_busy_port(0);
}

static inline void drop_client(void) {
    dp_conf_client_stop(client);
    client = NULL;
    dp_conf_unref(workers.conf);
    workers.conf = NULL;
}

static inline void tear_down(void) {
    drop_client();
    controller_stop(&controller);
}

// Up to the point where the controller is about to send what the client has not.
static inline void connect_client(void) {
    struct gw_err err;
    client = start_client(true, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(client);
    controller_wait_peer(&controller);
    json_decref(controller_take(&controller, "hello"));
    controller_send(&controller, gw_ir_resync());
    json_decref(controller_take(&controller, "have"));
}

static inline void expect_ack(const char *version) {
    json_t *ack = controller_take(&controller, "ack");
    CU_ASSERT(gw_str_eq(gw_json_str_of(ack), gw_str_of(version)));
    json_decref(ack);
}

// Exactly these resources are refused, with a reason that has why in it.
static inline void expect_nack(const char *version, const char *const *names, const char *why) {
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

static inline void push_good(void) {
    expect_ack(controller_push(&controller, good_snapshot, true));
}

static inline void connect_and_push_good(void) {
    connect_client();
    push_good();
}

static inline void write_file(const char *path, struct gw_str text) {
    FILE *f = fopen(path, "we");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fwrite(text.ptr, 1, text.len, f);
    fclose(f);
}

#endif
