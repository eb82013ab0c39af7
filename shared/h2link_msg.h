// SPDX-License-Identifier: Apache-2.0
// Messages of the push stream as bytes: u32 big endian, then that many bytes. Both directions, no
// sockets. Internal to h2link.
#ifndef GW_SHARED_H2LINK_MSG_H
#define GW_SHARED_H2LINK_MSG_H

#include "shared/str.h"

#define GW_H2MSG_HEAD_BYTES 4

// What was received of one message. Zero-initialised plus bytes_max is valid.
struct gw_h2msg_in {
    size_t bytes_max; // of one message
    unsigned char head[GW_H2MSG_HEAD_BYTES];
    unsigned head_have;
    size_t need, have, cap;
    char *body;
};

// bytes live for the call only. false: stop, the rest of the input is dropped.
typedef bool (*gw_h2msg_fn)(void *arg, struct gw_str bytes);

// Calls fn for each message that p completes. GW_ERR_LIMIT: a length is over bytes_max (seen before
// anything is allocated for it); GW_CANCELLED: fn said stop. Memory follows the bytes that arrived,
// not the length that was announced.
enum gw_rc gw_h2msg_feed(struct gw_h2msg_in *in, const void *p, size_t n, gw_h2msg_fn fn, void *arg,
                         struct gw_err *err) GW_MUST_USE;
void gw_h2msg_in_fini(struct gw_h2msg_in *in);

struct gw_h2msg_node;

// Messages to send. Zero-initialised is valid and empty.
struct gw_h2msg_out {
    struct gw_h2msg_node *head, *tail;
    size_t bytes; // what the queue holds in memory
};

// Bytes that a message of n bytes adds to out->bytes.
size_t gw_h2msg_cost(size_t n);
void gw_h2msg_push(struct gw_h2msg_out *out, struct gw_str bytes); // copies; len fits u32
// Moves at most n bytes to dst; returns how many, 0: the queue is empty.
size_t gw_h2msg_take(struct gw_h2msg_out *out, void *dst, size_t n);
void gw_h2msg_out_fini(struct gw_h2msg_out *out); // = drop everything; usable again

#endif
