// SPDX-License-Identifier: Apache-2.0
// See plane.h.
#include "test/unit/controller/publish/plane.h"

#include "shared/log.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WAIT_MS 5000

// --- the stage ---------------------------------------------------------------------------------

static void on_change(void *arg) {
    struct stage *s = arg;
    s->changes++;
}

static void publish_start(struct stage *s) {
    struct gw_err err = {0};
    s->publish = ctl_publish_new(&(struct ctl_publish_opts){.loop = s->loop,
                                                            .state_dir = s->dir,
                                                            .host = "127.0.0.1",
                                                            .on_change = on_change,
                                                            .arg = s},
                                 &err);
    if (!s->publish) fprintf(stderr, "%s\n", err.text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s->publish);
}

void stage_init(struct stage *s) {
    gw_log_init(STDERR_FILENO, GW_LOG_ERROR); // refusals are what the tests are about
    *s = (struct stage){.loop = gw_loop_new(NULL)};
    snprintf(s->dir, sizeof(s->dir), "/tmp/tandem-publish-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(s->dir));
    publish_start(s);
}

void stage_restart(struct stage *s) {
    ctl_publish_free(s->publish);
    stage_turn(s, 20);
    publish_start(s);
}

void stage_fini(struct stage *s) {
    static const char *const files[] = {"ca.crt", "ca.key", "token", NULL};
    ctl_publish_free(s->publish);
    stage_turn(s, 1);
    gw_loop_free(s->loop);
    for (const char *const *f = files; *f; f++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", s->dir, *f);
        unlink(path);
    }
    rmdir(s->dir);
}

void stage_turn(struct stage *s, int ms) {
    int64_t end = gw_clock_us() + ms * 1000;
    do
        gw_loop_turn(s->loop, 1);
    while (gw_clock_us() < end);
}

bool stage_wait(struct stage *s, const int *n, int want) {
    int64_t end = gw_clock_us() + WAIT_MS * 1000;
    while (*n < want && gw_clock_us() < end)
        gw_loop_turn(s->loop, 5);
    return *n >= want;
}

void stage_put(struct stage *s, const char *name, const char *value) {
    char full[128];
    snprintf(full, sizeof(full), "secret/a/b/%s", name);
    struct ctl_resource_change c = {.name = full,
                                    .body = value ? json_pack("{ss}", "value", value) : NULL};
    ctl_publish_apply(s->publish, &c, 1);
    json_decref(c.body);
}

enum ctl_programmed stage_said(const struct stage *s, const char *name, const char **ret_reason) {
    char full[128];
    const char *reason;
    snprintf(full, sizeof(full), "secret/a/b/%s", name);
    return ctl_publish_programmed(s->publish, &(char *){full}, 1,
                                  ret_reason ? ret_reason : &reason);
}

// --- data planes -------------------------------------------------------------------------------

void plane_say(struct plane *p, json_t *message) {
    struct gw_err err;
    size_t n;
    CU_ASSERT_PTR_NOT_NULL_FATAL(message);
    char *text = gw_ir_message_text(message, &n);
    CU_ASSERT_EQUAL(gw_h2link_client_send(p->client, (struct gw_str){text, n}, &err), GW_OK);
    free(text);
    json_decref(message);
}

void plane_ack(struct plane *p) {
    plane_say(p, gw_ir_ack(p->version));
}

void plane_nack(struct plane *p, const char *resource, const char *reason) {
    plane_say(
        p, gw_ir_nack(p->version, json_pack("[{ssss}]", "resource", resource, "reason", reason)));
}

static void on_open(void *arg) {
    struct plane *p = arg;
    p->opened++;
    if (!p->silent) plane_say(p, gw_ir_hello("node", p->gateway, p->address, p->root));
}

static void on_delta(struct plane *p, const json_t *body) {
    const json_t *set = gw_json_get(body, "set"), *gone = gw_json_get(body, "remove");
    for (size_t i = 0; i < json_array_size(set); i++) {
        const json_t *e = json_array_get(set, i);
        json_object_set(p->set, gw_json_str(e, "name").ptr, gw_json_get(e, "body"));
    }
    for (size_t i = 0; i < json_array_size(gone); i++)
        json_object_set_new(p->removed, json_string_value(json_array_get(gone, i)), json_true());
    snprintf(p->version, sizeof(p->version), "%s", gw_json_str(body, "version").ptr);
    p->deltas++;
    p->completes += gw_json_bool(body, "complete", false);
}

static void on_message(void *arg, struct gw_str bytes) {
    struct plane *p = arg;
    struct gw_ir_message m;
    struct gw_err err = {0};
    CU_ASSERT_EQUAL_FATAL(gw_ir_message_parse(bytes, &m, &err), GW_OK);
    if (m.type == GW_IR_RESYNC) {
        p->resyncs++;
        if (p->have) plane_say(p, gw_ir_have(json_incref(p->have)));
    } else if (m.type == GW_IR_DELTA) {
        on_delta(p, m.body);
    } else if (m.type == GW_IR_IDENTIFY) {
        p->asked++;
    }
    gw_ir_message_fini(&m);
}

static void on_close(void *arg, const struct gw_err *why) {
    struct plane *p = arg;
    p->closed++;
    snprintf(p->why, sizeof(p->why), "%s", why ? why->text : "");
}

static struct gw_tls_ctx *trust(const struct stage *s) {
    char path[128];
    struct gw_err err = {0};
    snprintf(path, sizeof(path), "%s/ca.crt", s->dir);
    struct gw_secret *ca = gw_secret_from_file(path, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(ca);
    struct gw_tls_ctx *tls = gw_tls_client_ctx(gw_secret_reveal(ca), GW_STR("h2"), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(tls);
    gw_secret_unref(ca);
    return tls;
}

void plane_start(struct plane *p, struct stage *s, const char *token) {
    char path[128];
    struct gw_err err = {0};
    snprintf(path, sizeof(path), "%s/token", s->dir);
    struct gw_secret *secret =
        token ? gw_secret_new(gw_str_of(token)) : gw_secret_from_file(path, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(secret);
    struct gw_tls_ctx *tls = trust(s);
    p->stage = s;
    p->gateway = p->gateway ? p->gateway : "";
    p->root = p->root ? p->root : "";
    p->address = p->address ? p->address : "";
    p->set = json_object();
    p->removed = json_object();
    struct gw_h2link_client_opts o = {
        .host = "127.0.0.1",
        .port = ctl_publish_port(s->publish),
        .tls = tls,
        .token = secret,
        .message_bytes_max = GW_IR_MESSAGE_BYTES_MAX,
        .backoff_min_ms = 20,
        .backoff_max_ms = 50,
        .on_open = on_open,
        .on_message = on_message,
        .on_close = on_close,
        .arg = p,
    };
    p->client = gw_h2link_client_new(s->loop, &o, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p->client);
    gw_tls_ctx_unref(tls);
    gw_secret_unref(secret);
}

void plane_forget(struct plane *p) {
    json_object_clear(p->set);
    json_object_clear(p->removed);
    p->deltas = p->completes = p->resyncs = 0;
}

void plane_stop(struct plane *p) {
    gw_h2link_client_free(p->client);
    stage_turn(p->stage, 30);
    json_decref(p->set);
    json_decref(p->removed);
    json_decref(p->have);
    *p = (struct plane){0};
}
