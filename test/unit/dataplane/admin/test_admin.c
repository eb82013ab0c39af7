// SPDX-License-Identifier: Apache-2.0
// The admin port over a client that has a kept snapshot, and over one that waits for a controller.
#include "dataplane/admin/admin.h"
#include "dataplane/conf/held.h"
#include "dataplane/obs/metrics.h"
#include "shared/log.h"

#include <CUnit/CUnit.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_S 10

static char folder[32];
static struct dp_conf_client *client;
static struct dp_admin *admin;
static atomic_bool draining;
static int refreshed;

static void apply(void *arg, struct dp_conf *conf, struct dp_conf_refusals *refusals) {
    (void)arg;
    (void)refusals;
    dp_conf_unref(conf);
}

static void refresh(void *arg) {
    (*(int *)arg)++;
}

// What a data plane has kept of an earlier life.
static void keep_snapshot(void) {
    static const char *const pairs[][2] = {
        {"listener/default/edge/http", "{\"gateway\":\"default/edge\",\"name\":\"http\",\"port\":"
                                       "8080,\"protocol\":\"HTTP\"}"},
        {"secret/default/openai/api-key", "{\"value\":\"sk-hush\"}"},
    };
    struct dp_held held = {0};
    struct gw_err err;
    for (size_t i = 0; i < GW_ARRAY_LEN(pairs); i++) {
        char version[GW_IR_VERSION_CHARS + 1];
        json_t *body = json_loads(pairs[i][1], 0, NULL);
        gw_ir_version(body, version);
        CU_ASSERT(dp_held_set(&held, gw_str_of(pairs[i][0]), version, body));
        json_decref(body);
    }
    dp_held_commit(&held);
    CU_ASSERT_EQUAL(dp_snapshot_write(folder, &held, &err), GW_OK);
    dp_held_fini(&held);
}

static void start(bool with_snapshot) {
    struct gw_err err;
    if (with_snapshot) keep_snapshot();
    const struct dp_conf_client_opts o = {
        // Nobody listens there: the port is that of "discard".
        .controller_host = with_snapshot ? NULL : "127.0.0.1",
        .controller_port = 9,
        .ca_file = "/nonexistent/ca.crt",
        .token_file = "/nonexistent/token",
        .node = "n",
        .gateway = "",
        .address = "",
        .state_dir = folder,
        .workers = 1,
        .apply = apply,
    };
    client = dp_conf_client_start(&o, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(client);
    const struct dp_admin_opts ao = {
        .host = "127.0.0.1",
        .conf = client,
        .draining = &draining,
        .before_metrics = refresh,
        .arg = &refreshed,
    };
    admin = dp_admin_start(&ao, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(admin);
}

static void set_up(void) {
    gw_log_init(STDERR_FILENO, GW_LOG_ERROR);
    dp_metrics_init();
    snprintf(folder, sizeof(folder), "/tmp/test_admin.XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    draining = false;
    refreshed = 0;
}

static void tear_down(void) {
    char path[64];
    dp_admin_stop(admin);
    dp_conf_client_stop(client);
    admin = NULL;
    client = NULL;
    snprintf(path, sizeof(path), "%s/snapshot.json", folder);
    unlink(path);
    CU_ASSERT_EQUAL(rmdir(folder), 0);
}

// Status of the answer; its body is put into ret (the caller's).
static int get(const char *target, struct gw_text *ret) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(dp_admin_port(admin))};
    struct timeval wait = {.tv_sec = WAIT_S};
    char request[256], piece[4096];
    struct gw_text got = {0};
    ssize_t n;
    int status = 0, fd = socket(AF_INET, SOCK_STREAM, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    int len = snprintf(request, sizeof(request),
                       "GET %s HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", target);
    CU_ASSERT_EQUAL(write(fd, request, (size_t)len), len);
    while ((n = read(fd, piece, sizeof(piece))) > 0)
        gw_text_add(&got, piece, (size_t)n);
    close(fd);
    CU_ASSERT_PTR_NOT_NULL_FATAL(got.ptr);
    CU_ASSERT_EQUAL(sscanf(got.ptr, "HTTP/1.1 %d", &status), 1);
    const char *body = strstr(got.ptr, "\r\n\r\n");
    gw_text_adds(ret, body ? body + 4 : "");
    gw_text_fini(&got);
    return status;
}

static void expect(const char *target, int status, const char *body) {
    struct gw_text got = {0};
    CU_ASSERT_EQUAL(get(target, &got), status);
    CU_ASSERT_STRING_EQUAL(got.ptr, body);
    gw_text_fini(&got);
}

static void not_ready_before_a_snapshot(void) {
    start(false);
    expect("/ready", 503, "no snapshot yet\n");
    expect("/healthz", 200, "ok\n");
    struct gw_text got = {0};
    CU_ASSERT_EQUAL(get("/metrics", &got), 200);
    CU_ASSERT_PTR_NULL(strstr(got.ptr, "tandem_snapshot_info{"));
    gw_text_fini(&got);
}

static void not_ready_while_draining(void) {
    start(true);
    expect("/ready", 200, "ready\n");
    draining = true;
    expect("/ready", 503, "draining\n");
    expect("/healthz", 200, "ok\n");
}

static void metrics_name_the_snapshot(void) {
    char want[128], version[GW_IR_VERSION_CHARS + 1];
    struct gw_text got = {0};
    start(true);
    dp_conf_client_version(client, version);
    CU_ASSERT_EQUAL(strlen(version), GW_IR_VERSION_CHARS);
    snprintf(want, sizeof(want), "\ntandem_snapshot_info{version=\"%s\"} 1\n", version);
    CU_ASSERT_EQUAL(get("/metrics", &got), 200);
    CU_ASSERT_PTR_NOT_NULL(strstr(got.ptr, want));
    CU_ASSERT_PTR_NOT_NULL(strstr(got.ptr, "\n# TYPE tandem_snapshot_info gauge\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(got.ptr, "tandem_snapshots_total{result=\"applied\"} "));
    CU_ASSERT_EQUAL(refreshed, 1);
    gw_text_fini(&got);
}

static void config_is_shown_without_secrets(void) {
    struct gw_text got = {0};
    start(true);
    CU_ASSERT_EQUAL(get("/config", &got), 200);
    CU_ASSERT_PTR_NULL(strstr(got.ptr, "hush"));
    GW_JSON_AUTO shown = json_loads(got.ptr, 0, NULL);
    const json_t *resources = gw_json_get(shown, "resources");
    CU_ASSERT_EQUAL(json_object_size(resources), 2);
    CU_ASSERT_EQUAL(gw_json_int(gw_json_get(resources, "listener/default/edge/http"), "port", 0),
                    8080);
    CU_ASSERT_FALSE(gw_json_bool(shown, "connected", true));
    gw_text_fini(&got);
}

static void the_index_lists_what_there_is(void) {
    struct gw_text got = {0};
    start(true);
    CU_ASSERT_EQUAL(get("/", &got), 200);
    CU_ASSERT_PTR_NOT_NULL(strstr(got.ptr, "/metrics"));
    CU_ASSERT_PTR_NOT_NULL(strstr(got.ptr, "/config"));
    gw_text_fini(&got);
    CU_ASSERT_EQUAL(get("/objects", &got), 404);
    gw_text_fini(&got);
}

#define T(fn)                                                                                      \
    { #fn, fn }
static CU_TestInfo tests[] = {
    T(not_ready_before_a_snapshot),   T(not_ready_while_draining),
    T(metrics_name_the_snapshot),     T(config_is_shown_without_secrets),
    T(the_index_lists_what_there_is), CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_admin_admin = {"admin", NULL, NULL, set_up, tear_down, tests};
