// SPDX-License-Identifier: Apache-2.0
// The push stream's messages on any bytes: a message that is read has one of the known shapes and
// reads the same when it is written again; every resource of a delta is checked as a data plane
// does, and its version depends on its content alone.
#include "shared/ir_message.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BYTES_MAX 65536

static void check_resource(const json_t *entry) {
    struct gw_str name = gw_json_str(entry, "name");
    const json_t *body = gw_json_get(entry, "body");
    struct gw_err err = {0};
    enum gw_ir_kind kind;
    char version[GW_IR_VERSION_CHARS + 1], again[GW_IR_VERSION_CHARS + 1];
    if (gw_ir_validate(name, body, &err) == GW_OK) {
        GW_ASSERT(gw_ir_kind_of(name, &kind, &err) == GW_OK);
        GW_ASSERT(gw_str_starts(name, gw_str_of(gw_ir_kind_name(kind))));
    } else {
        GW_ASSERT(err.rc == GW_ERR_INPUT && err.text[0]);
    }
    gw_ir_version(body, version);
    json_t *copy = json_deep_copy(body);
    gw_ir_version(copy, again);
    GW_ASSERT(strlen(version) == GW_IR_VERSION_CHARS && strcmp(version, again) == 0);
    json_decref(copy);
}

static void check_delta(const json_t *body) {
    char root[GW_IR_VERSION_CHARS + 1];
    struct gw_ir_root *r = gw_ir_root_new();
    const json_t *set = gw_json_get(body, "set");
    for (size_t i = 0; i < json_array_size(set); i++) {
        const json_t *entry = json_array_get(set, i);
        check_resource(entry);
        gw_ir_root_add(r, gw_json_str(entry, "name"),
                       json_string_value(gw_json_get(entry, "version")));
    }
    gw_ir_root_finish(r, root);
    GW_ASSERT(strlen(root) == GW_IR_VERSION_CHARS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct gw_ir_message m, again;
    struct gw_err err = {0};
    if (size > BYTES_MAX) return 0;
    if (gw_ir_message_parse((struct gw_str){(const char *)data, size}, &m, &err) != GW_OK) {
        GW_ASSERT(strncmp(err.text, "message: ", 9) == 0);
        return 0;
    }
    GW_ASSERT(m.body != NULL);
    size_t n;
    char *text = gw_ir_message_text(m.root, &n);
    GW_ASSERT(gw_ir_message_parse((struct gw_str){text, n}, &again, &err) == GW_OK);
    GW_ASSERT(again.type == m.type && json_equal(again.body, m.body));
    gw_ir_message_fini(&again);
    free(text);
    if (m.type == GW_IR_DELTA) check_delta(m.body);
    gw_ir_message_fini(&m);
    return 0;
}
