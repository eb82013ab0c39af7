// SPDX-License-Identifier: Apache-2.0
// Bytes of the push stream: message, its shape, and each resource of a delta. What was taken is
// written and read again, and must stay the same.
#include "shared/ir_message.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_resource(const json_t *entry) {
    struct gw_err err;
    const json_t *body = gw_json_get(entry, "body");
    if (gw_ir_validate(gw_json_str(entry, "name"), body, &err) != GW_OK) return;
    char before[GW_IR_VERSION_CHARS + 1], after[GW_IR_VERSION_CHARS + 1];
    size_t n;
    char *text = gw_json_canonical(body, &n);
    GW_JSON_AUTO again = gw_json_load((struct gw_str){text, n}, n, GW_IR_MESSAGE_DEPTH_MAX, &err);
    GW_ASSERT(again);
    gw_ir_version(body, before);
    gw_ir_version(again, after);
    GW_ASSERT(strcmp(before, after) == 0);
    GW_ASSERT(gw_ir_validate(gw_json_str(entry, "name"), again, &err) == GW_OK);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct gw_ir_message m, again;
    struct gw_err err;
    if (gw_ir_message_parse((struct gw_str){(const char *)data, size}, &m, &err) != GW_OK) return 0;
    const json_t *set = m.type == GW_IR_DELTA ? gw_json_get(m.body, "set") : NULL;
    for (size_t i = 0; i < json_array_size(set); i++)
        check_resource(json_array_get(set, i));
    size_t n;
    char *text = gw_ir_message_text(m.root, &n);
    GW_ASSERT(gw_ir_message_parse((struct gw_str){text, n}, &again, &err) == GW_OK);
    GW_ASSERT(again.type == m.type && json_equal(again.root, m.root));
    free(text);
    gw_ir_message_fini(&again);
    gw_ir_message_fini(&m);
    return 0;
}
