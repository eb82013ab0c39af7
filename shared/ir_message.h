// SPDX-License-Identifier: Apache-2.0
// The messages of the push stream (listed in ir.h), read and built. Both ends use it, so that a
// shape is written down once.
#ifndef GW_SHARED_IR_MESSAGE_H
#define GW_SHARED_IR_MESSAGE_H

#include "shared/ir.h"

#define GW_IR_MESSAGE_DEPTH_MAX 32

enum gw_ir_message_type {
    GW_IR_HELLO,
    GW_IR_HAVE,
    GW_IR_ACK,
    GW_IR_NACK,
    GW_IR_RESYNC,
    GW_IR_DELTA,
    GW_IR_REPLICA,
    GW_IR_RELAY,
    GW_IR_IDENTIFY,
    GW_IR_TOKEN,
};

// A message that was read; body is what stands behind its one member, of a checked shape.
struct gw_ir_message {
    enum gw_ir_message_type type;
    json_t *root; // owned
    json_t *body; // borrowed from root
};
// GW_ERR_INPUT: not one of the messages, with the reason. Resource bodies inside a delta are not
// validated here (gw_ir_validate does that one by one).
enum gw_rc gw_ir_message_parse(struct gw_str bytes, struct gw_ir_message *ret, struct gw_err *err);
void gw_ir_message_fini(struct gw_ir_message *m);

// Built messages are JSON objects; gw_ir_message_text makes bytes of one (free).
json_t *gw_ir_hello(const char *node, const char *gateway, const char *address, const char *root);
json_t *gw_ir_have(json_t *versions); // takes versions
json_t *gw_ir_ack(const char *root);
json_t *gw_ir_nack(const char *root, json_t *errors); // takes errors
json_t *gw_ir_resync(void);
json_t *gw_ir_identify(void);
json_t *gw_ir_delta(const char *version, json_t *set, json_t *remove, bool complete); // takes both
json_t *gw_ir_replica(const char *identity, const char *version);
json_t *gw_ir_relay(json_t *views, json_t *planes, json_t *gone, bool complete); // takes all
char *gw_ir_message_text(const json_t *message, size_t *ret_len);
// Text of the message with a token, without trees that would keep copies of it: the caller wipes
// and frees it.
char *gw_ir_token_text(struct gw_str token, size_t *ret_len);

#endif
