// SPDX-License-Identifier: Apache-2.0
#include "test/unit/dataplane/conf/controller.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void write_file(const char *path, struct gw_str text) {
    FILE *f = fopen(path, "we");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_EQUAL(fwrite(text.ptr, 1, text.len, f), text.len);
    fclose(f);
}

static void authorize(void *arg, struct gw_h2link_peer *p, struct gw_str token) {
    struct controller *c = arg;
    if (gw_secret_eq(c->token, token))
        gw_h2link_peer_accept(p);
    else
        gw_h2link_peer_refuse(p, 401, "another token");
}

static void on_open(void *arg, struct gw_h2link_peer *p) {
    struct controller *c = arg;
    c->peer = p;
    c->opened++;
}

static void on_message(void *arg, struct gw_h2link_peer *p, struct gw_str bytes) {
    struct controller *c = arg;
    (void)p;
    struct gw_ir_message m;
    struct gw_err err;
    if (gw_ir_message_parse(bytes, &m, &err) != GW_OK) {
        printf("\n%s\n", err.text);
        CU_FAIL("the client sent what is no message");
        return;
    }
    json_array_append(c->received, m.root);
    gw_ir_message_fini(&m);
}

static void on_close(void *arg, struct gw_h2link_peer *p, const struct gw_err *why) {
    struct controller *c = arg;
    (void)why;
    if (c->peer == p) c->peer = NULL;
}

void controller_start(struct controller *c) {
    static const char *const names[] = {"127.0.0.1", NULL};
    struct gw_err err;
    struct gw_text ca = {0}, cert = {0};
    struct gw_secret *ca_key = NULL, *key = NULL;
    *c = (struct controller){.folder = "/tmp/test_client.XXXXXX", .received = json_array()};
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(c->folder));
    snprintf(c->ca_file, sizeof(c->ca_file), "%s/ca.crt", c->folder);
    snprintf(c->token_file, sizeof(c->token_file), "%s/token", c->folder);
    snprintf(c->state_dir, sizeof(c->state_dir), "%s/state", c->folder);
    snprintf(c->snapshot, sizeof(c->snapshot), "%s/snapshot.json", c->state_dir);
    CU_ASSERT_EQUAL_FATAL(gw_tls_make_ca("test", 1, &ca, &ca_key, &err), GW_OK);
    CU_ASSERT_EQUAL_FATAL(gw_tls_make_cert(gw_text_str(&ca), ca_key, names, 1, &cert, &key, &err),
                          GW_OK);
    c->tls = gw_tls_server_ctx(gw_text_str(&cert), key, GW_STR("h2"), &err);
    c->token = gw_secret_random(16);
    write_file(c->ca_file, gw_text_str(&ca));
    write_file(c->token_file, gw_secret_reveal(c->token));
    gw_text_fini(&ca);
    gw_text_fini(&cert);
    gw_secret_unref(ca_key);
    gw_secret_unref(key);
    c->loop = gw_loop_new(&err);
    const struct gw_h2link_server_opts o = {
        .host = "127.0.0.1",
        .tls = c->tls,
        .message_bytes_max = GW_IR_MESSAGE_BYTES_MAX,
        .peers_max = 10,
        .authorize = authorize,
        .on_open = on_open,
        .on_message = on_message,
        .on_close = on_close,
        .arg = c,
    };
    c->server = gw_h2link_server_new(c->loop, &o, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(c->server);
}

void controller_stop(struct controller *c) {
    char path[128];
    gw_h2link_server_free(c->server);
    gw_loop_free(c->loop);
    gw_tls_ctx_unref(c->tls);
    gw_secret_unref(c->token);
    json_decref(c->received);
    gw_map_fini(&c->snapshot_versions, free);
    unlink(c->ca_file);
    unlink(c->token_file);
    unlink(c->snapshot);
    snprintf(path, sizeof(path), "%s.bad", c->snapshot);
    unlink(path);
    rmdir(c->state_dir);
    CU_ASSERT_EQUAL(rmdir(c->folder), 0); // nothing else was left there
}

uint16_t controller_port(const struct controller *c) {
    return gw_h2link_server_port(c->server);
}

static bool turn_until(struct controller *c, bool (*is_there)(const struct controller *), int ms) {
    int64_t until_us = gw_clock_us() + (int64_t)ms * 1000;
    while (!is_there(c) && gw_clock_us() < until_us)
        gw_loop_turn(c->loop, 10);
    return is_there(c);
}

static bool has_message(const struct controller *c) {
    return json_array_size(c->received) > 0;
}
static bool has_peer(const struct controller *c) {
    return c->peer != NULL;
}

json_t *controller_take(struct controller *c, const char *member) {
    if (!turn_until(c, has_message, CONTROLLER_WAIT_MS)) {
        printf("\nno %s came\n", member);
        CU_FAIL("no message in time");
        return NULL;
    }
    json_t *message = json_incref(json_array_get(c->received, 0));
    json_array_remove(c->received, 0);
    json_t *value = json_object_get(message, member);
    if (!value) {
        char *text = json_dumps(message, 0);
        printf("\nno %s, but %s\n", member, text);
        free(text);
        CU_FAIL("another message came");
    }
    // A refusal is looked at whole.
    json_t *ret = json_incref(strcmp(member, "nack") == 0 ? message : value);
    json_decref(message);
    return ret;
}

bool controller_is_quiet(struct controller *c, int ms) {
    return !turn_until(c, has_message, ms);
}

void controller_wait_peer(struct controller *c) {
    CU_ASSERT_FATAL(turn_until(c, has_peer, CONTROLLER_WAIT_MS));
}

void controller_send_text(struct controller *c, const char *text) {
    struct gw_err err;
    CU_ASSERT_PTR_NOT_NULL_FATAL(c->peer);
    CU_ASSERT_EQUAL(gw_h2link_peer_send(c->peer, gw_str_of(text), &err), GW_OK);
}

void controller_send(struct controller *c, json_t *message) {
    size_t n;
    char *text = gw_ir_message_text(message, &n);
    json_decref(message);
    controller_send_text(c, text);
    free(text);
}

const char *controller_root(struct controller *c) {
    static char version[GW_IR_VERSION_CHARS + 1];
    struct gw_ir_root *root = gw_ir_root_new();
    struct gw_str *names = gw_map_sorted_keys(&c->snapshot_versions);
    for (size_t i = 0; i < c->snapshot_versions.len; i++)
        gw_ir_root_add(root, names[i], gw_map_get(&c->snapshot_versions, names[i]));
    gw_ir_root_finish(root, version);
    free(names);
    return version;
}

const char *controller_push(struct controller *c, const char *const *pairs, bool complete) {
    json_t *set = json_array(), *remove = json_array();
    for (; pairs[0]; pairs += 2) {
        char version[GW_IR_VERSION_CHARS + 1];
        if (!pairs[1]) {
            json_array_append_new(remove, json_string(pairs[0]));
            free(gw_map_del(&c->snapshot_versions, gw_str_of(pairs[0])));
            continue;
        }
        json_t *body = json_loads(pairs[1], JSON_DECODE_ANY, NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(body);
        gw_ir_version(body, version);
        free(gw_map_put(&c->snapshot_versions, gw_str_of(pairs[0]), gw_strdup(version)));
        json_array_append_new(
            set, json_pack("{s:s, s:s, s:o}", "name", pairs[0], "version", version, "body", body));
    }
    const char *root = controller_root(c);
    if (c->peer) controller_send(c, gw_ir_delta(root, set, remove, complete));
    return root;
}
