// SPDX-License-Identifier: Apache-2.0
// See ir_message.h.
#include "shared/ir_message.h"

#include "shared/schema.h"

#include <stdlib.h>

// Far above a ServiceAccount's; with its name it fits what is read before a hello.
#define TOKEN_BYTES_MAX 12288
#define VERSION_PATTERN "[0-9a-f]{32}"

static const struct gw_field version_elem = {
    .type = GW_F_STRING, .pattern = VERSION_PATTERN, .pattern_says = "is no version"};
static const struct gw_field name_elem = {.type = GW_F_STRING, .min = 1, .max = GW_IR_NAME_MAX};

static const struct gw_field hello_fields[] = {
    {.name = "node", .type = GW_F_STRING, .flags = GW_F_REQUIRED, .min = 1, .max = 253},
    {.name = "gateway", .type = GW_F_STRING, .max = 512},
    {.name = "address", .type = GW_F_STRING, .max = 253},
    {.name = "root",
     .type = GW_F_STRING,
     .pattern = "(" VERSION_PATTERN ")?",
     .pattern_says = "is no version"},
    {0},
};
static const struct gw_field error_fields[] = {
    {.name = "resource",
     .type = GW_F_STRING,
     .flags = GW_F_REQUIRED,
     .min = 1,
     .max = GW_IR_NAME_MAX},
    {.name = "reason", .type = GW_F_STRING, .flags = GW_F_REQUIRED, .max = 4096},
    {0},
};
static const struct gw_field error_elem = {.type = GW_F_OBJECT, .fields = error_fields};
static const struct gw_field set_fields[] = {
    {.name = "name", .type = GW_F_STRING, .flags = GW_F_REQUIRED, .min = 1, .max = GW_IR_NAME_MAX},
    {.name = "version",
     .type = GW_F_STRING,
     .flags = GW_F_REQUIRED,
     .pattern = VERSION_PATTERN,
     .pattern_says = "is no version"},
    {.name = "body", .type = GW_F_ANY, .flags = GW_F_REQUIRED},
    {0},
};
static const struct gw_field set_elem = {.type = GW_F_OBJECT, .fields = set_fields};
static const struct gw_field delta_fields[] = {
    {.name = "version",
     .type = GW_F_STRING,
     .flags = GW_F_REQUIRED,
     .pattern = VERSION_PATTERN,
     .pattern_says = "is no version"},
    {.name = "set",
     .type = GW_F_LIST,
     .flags = GW_F_REQUIRED,
     .max = GW_IR_DELTA_SET_MAX,
     .elem = &set_elem},
    {.name = "remove",
     .type = GW_F_LIST,
     .flags = GW_F_REQUIRED,
     .max = GW_IR_RESOURCES_MAX,
     .elem = &name_elem},
    {.name = "complete", .type = GW_F_BOOL, .flags = GW_F_REQUIRED},
    {0},
};

// What an integer of JSON holds without loss.
#define COUNT_MAX ((int64_t)1 << 53)
#define VERSION_FIELD(member)                                                                      \
    {                                                                                              \
        .name = (member), .type = GW_F_STRING, .flags = GW_F_REQUIRED, .pattern = VERSION_PATTERN, \
        .pattern_says = "is no version"                                                            \
    }
#define COUNT_FIELD(member)                                                                        \
    { .name = (member), .type = GW_F_INT, .flags = GW_F_REQUIRED, .min = 0, .max = COUNT_MAX }

static const struct gw_field replica_fields[] = {
    {.name = "identity", .type = GW_F_STRING, .flags = GW_F_REQUIRED, .min = 1, .max = 512},
    {.name = "version", .type = GW_F_STRING, .flags = GW_F_REQUIRED, .max = 64},
    {0},
};
static const struct gw_field relay_set_fields[] = {
    {.name = "name", .type = GW_F_STRING, .flags = GW_F_REQUIRED, .min = 1, .max = GW_IR_NAME_MAX},
    VERSION_FIELD("version"),
    COUNT_FIELD("serial"),
    {0},
};
static const struct gw_field relay_set_elem = {.type = GW_F_OBJECT, .fields = relay_set_fields};
static const struct gw_field view_fields[] = {
    {.name = "gateway", .type = GW_F_STRING, .flags = GW_F_REQUIRED, .max = 512},
    VERSION_FIELD("root"),
    COUNT_FIELD("serial"),
    {.name = "reset", .type = GW_F_BOOL, .flags = GW_F_REQUIRED},
    {.name = "set",
     .type = GW_F_LIST,
     .flags = GW_F_REQUIRED,
     .max = GW_IR_RELAY_SET_MAX,
     .elem = &relay_set_elem},
    {.name = "remove",
     .type = GW_F_LIST,
     .flags = GW_F_REQUIRED,
     .max = GW_IR_RELAY_SET_MAX,
     .elem = &name_elem},
    {0},
};
static const struct gw_field view_elem = {.type = GW_F_OBJECT, .fields = view_fields};
static const struct gw_field plane_error_fields[] = {
    {.name = "resource",
     .type = GW_F_STRING,
     .flags = GW_F_REQUIRED,
     .min = 1,
     .max = GW_IR_NAME_MAX},
    VERSION_FIELD("version"),
    {.name = "reason", .type = GW_F_STRING, .flags = GW_F_REQUIRED, .max = 4096},
    {0},
};
static const struct gw_field plane_error_elem = {.type = GW_F_OBJECT, .fields = plane_error_fields};
static const struct gw_field plane_fields[] = {
    COUNT_FIELD("id"),
    {.name = "gateway", .type = GW_F_STRING, .flags = GW_F_REQUIRED, .max = 512},
    {.name = "node", .type = GW_F_STRING, .flags = GW_F_REQUIRED, .min = 1, .max = 253},
    {.name = "address", .type = GW_F_STRING, .flags = GW_F_REQUIRED, .max = 253},
    COUNT_FIELD("acked"),
    {.name = "errors",
     .type = GW_F_LIST,
     .flags = GW_F_REQUIRED,
     .max = GW_IR_RELAY_ERRORS_MAX,
     .elem = &plane_error_elem},
    {0},
};
static const struct gw_field plane_elem = {.type = GW_F_OBJECT, .fields = plane_fields};
static const struct gw_field id_elem = {.type = GW_F_INT, .min = 0, .max = COUNT_MAX};
static const struct gw_field relay_fields[] = {
    {.name = "views",
     .type = GW_F_LIST,
     .flags = GW_F_REQUIRED,
     .max = GW_IR_RELAY_VIEWS_MAX,
     .elem = &view_elem},
    {.name = "planes",
     .type = GW_F_LIST,
     .flags = GW_F_REQUIRED,
     .max = GW_IR_RELAY_PLANES_MAX,
     .elem = &plane_elem},
    {.name = "gone",
     .type = GW_F_LIST,
     .flags = GW_F_REQUIRED,
     .max = GW_IR_RELAY_PLANES_MAX,
     .elem = &id_elem},
    {.name = "complete", .type = GW_F_BOOL, .flags = GW_F_REQUIRED},
    {0},
};

static const struct gw_field message_fields[] = {
    [GW_IR_HELLO] = {.name = "hello", .type = GW_F_OBJECT, .fields = hello_fields},
    [GW_IR_HAVE] = {.name = "have",
                    .type = GW_F_MAP,
                    .max = GW_IR_RESOURCES_MAX,
                    .elem = &version_elem},
    [GW_IR_ACK] = {.name = "ack",
                   .type = GW_F_STRING,
                   .pattern = VERSION_PATTERN,
                   .pattern_says = "is no version"},
    [GW_IR_NACK] = {.name = "nack",
                    .type = GW_F_STRING,
                    .pattern = VERSION_PATTERN,
                    .pattern_says = "is no version"},
    [GW_IR_RESYNC] = {.name = "resync", .type = GW_F_BOOL},
    [GW_IR_DELTA] = {.name = "delta", .type = GW_F_OBJECT, .fields = delta_fields},
    [GW_IR_REPLICA] = {.name = "replica", .type = GW_F_OBJECT, .fields = replica_fields},
    [GW_IR_RELAY] = {.name = "relay", .type = GW_F_OBJECT, .fields = relay_fields},
    [GW_IR_IDENTIFY] = {.name = "identify", .type = GW_F_BOOL},
    [GW_IR_TOKEN] = {.name = "token", .type = GW_F_STRING, .min = 1, .max = TOKEN_BYTES_MAX},
    {.name = "errors", .type = GW_F_LIST, .max = GW_IR_RESOURCES_MAX, .elem = &error_elem},
    {0},
};

enum gw_rc gw_ir_message_parse(struct gw_str bytes, struct gw_ir_message *ret, struct gw_err *err) {
    struct gw_schema_problem problem;
    int type = -1, n = 0;
    *ret = (struct gw_ir_message){0};
    GW_JSON_AUTO root = gw_json_load(bytes, GW_IR_MESSAGE_BYTES_MAX, GW_IR_MESSAGE_DEPTH_MAX, err);
    if (!root) return gw_err_wrap(err, "message");
    if (gw_schema_check(root, message_fields, "", &problem) != GW_OK)
        return gw_err_set(err, GW_ERR_INPUT, 0, "message: %s", problem.err.text);
    for (int t = GW_IR_HELLO; t <= GW_IR_TOKEN; t++) {
        const json_t *v = json_object_get(root, message_fields[t].name);
        if (!v || json_is_null(v)) continue;
        type = t;
        n++;
    }
    const json_t *errors = json_object_get(root, "errors");
    if (n != 1 || (errors != NULL) != (type == GW_IR_NACK))
        return gw_err_set(err, GW_ERR_INPUT, 0, "message: not one of those that are known");
    ret->type = (enum gw_ir_message_type)type;
    ret->body = json_object_get(root, message_fields[type].name);
    ret->root = json_incref(root);
    return GW_OK;
}

void gw_ir_message_fini(struct gw_ir_message *m) {
    json_decref(m->root);
    m->root = m->body = NULL;
}

json_t *gw_ir_hello(const char *node, const char *gateway, const char *address, const char *root) {
    return json_pack("{s{ssssssss}}", "hello", "node", node, "gateway", gateway, "address", address,
                     "root", root);
}

json_t *gw_ir_have(json_t *versions) {
    return json_pack("{so}", "have", versions);
}

json_t *gw_ir_ack(const char *root) {
    return json_pack("{ss}", "ack", root);
}

json_t *gw_ir_nack(const char *root, json_t *errors) {
    return json_pack("{ssso}", "nack", root, "errors", errors);
}

json_t *gw_ir_resync(void) {
    return json_pack("{sb}", "resync", 1);
}

json_t *gw_ir_identify(void) {
    return json_pack("{sb}", "identify", 1);
}

char *gw_ir_token_text(struct gw_str token, size_t *ret_len) {
    static const char before[] = "{\"token\":\"", after[] = "\"}";
    size_t escaped_max = 6 * token.len, n = sizeof(before) - 1;
    char *text = gw_alloc(n + escaped_max + sizeof(after));
    memcpy(text, before, n);
    n += gw_json_escape(text + n, escaped_max, token);
    memcpy(text + n, after, sizeof(after));
    *ret_len = n + sizeof(after) - 1;
    return text;
}

json_t *gw_ir_delta(const char *version, json_t *set, json_t *remove, bool complete) {
    return json_pack("{s{sssososb}}", "delta", "version", version, "set", set, "remove", remove,
                     "complete", complete);
}

json_t *gw_ir_replica(const char *identity, const char *version) {
    return json_pack("{s{ssss}}", "replica", "identity", identity, "version", version);
}

json_t *gw_ir_relay(json_t *views, json_t *planes, json_t *gone, bool complete) {
    return json_pack("{s{sosososb}}", "relay", "views", views, "planes", planes, "gone", gone,
                     "complete", complete);
}

char *gw_ir_message_text(const json_t *message, size_t *ret_len) {
    char *text = json_dumps(message, JSON_COMPACT);
    GW_ASSERT(text != NULL);
    *ret_len = strlen(text);
    return text;
}
