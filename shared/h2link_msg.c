// SPDX-License-Identifier: Apache-2.0
// Framing of messages and the queue of what is to be sent. See the header.
#include "shared/h2link_msg.h"

#include <stdlib.h>

// First allocation for a message that came in parts; doubled as bytes arrive.
#define BODY_FIRST_BYTES (64u << 10)

static size_t min_size(size_t a, size_t b) {
    return a < b ? a : b;
}

void gw_h2msg_in_fini(struct gw_h2msg_in *in) {
    free(in->body);
    *in = (struct gw_h2msg_in){.bytes_max = in->bytes_max};
}

// Returns how many of the n bytes were part of the head.
static size_t feed_head(struct gw_h2msg_in *in, const unsigned char *p, size_t n) {
    size_t take = min_size(n, GW_H2MSG_HEAD_BYTES - in->head_have);
    memcpy(in->head + in->head_have, p, take);
    in->head_have += (unsigned)take;
    if (in->head_have == GW_H2MSG_HEAD_BYTES)
        in->need = (size_t)in->head[0] << 24 | (size_t)in->head[1] << 16 |
                   (size_t)in->head[2] << 8 | in->head[3];
    return take;
}

static size_t feed_body(struct gw_h2msg_in *in, const unsigned char *p, size_t n) {
    size_t take = min_size(n, in->need - in->have);
    if (take == 0) return 0;
    if (in->have + take > in->cap) {
        size_t cap = in->cap ? in->cap : BODY_FIRST_BYTES;
        while (cap < in->have + take)
            cap *= 2;
        in->cap = min_size(cap, in->need);
        in->body = gw_realloc(in->body, in->cap);
    }
    memcpy(in->body + in->have, p, take);
    in->have += take;
    return take;
}

enum gw_rc gw_h2msg_feed(struct gw_h2msg_in *in, const void *p, size_t n, gw_h2msg_fn fn, void *arg,
                         struct gw_err *err) {
    const unsigned char *at = p, *end = at + n;
    while (at < end) {
        if (in->head_have < GW_H2MSG_HEAD_BYTES) {
            at += feed_head(in, at, (size_t)(end - at));
            if (in->head_have < GW_H2MSG_HEAD_BYTES) return GW_OK;
            if (in->need > in->bytes_max)
                return gw_err_set(err, GW_ERR_LIMIT, 413,
                                  "message of %zu bytes is over the limit of %zu", in->need,
                                  in->bytes_max);
        }
        struct gw_str message = {(const char *)at, in->need};
        if (in->have == 0 && (size_t)(end - at) >= in->need) {
            at += in->need; // whole: no copy
        } else {
            at += feed_body(in, at, (size_t)(end - at));
            if (in->have < in->need) return GW_OK;
            message.ptr = in->body;
        }
        // Out of in first: fn may end the connection and free it.
        char *body = in->body;
        in->body = NULL;
        in->head_have = 0;
        in->need = in->have = in->cap = 0;
        bool goes_on = fn(arg, message);
        free(body);
        if (!goes_on) return GW_CANCELLED;
    }
    return GW_OK;
}

struct gw_h2msg_node {
    struct gw_h2msg_node *next;
    size_t len, taken;
    unsigned char bytes[]; // with its head
};

size_t gw_h2msg_cost(size_t n) {
    return sizeof(struct gw_h2msg_node) + GW_H2MSG_HEAD_BYTES + n;
}

void gw_h2msg_push(struct gw_h2msg_out *out, struct gw_str bytes) {
    GW_ASSERT(bytes.len <= UINT32_MAX);
    struct gw_h2msg_node *node = gw_realloc(NULL, gw_h2msg_cost(bytes.len));
    node->next = NULL;
    node->len = GW_H2MSG_HEAD_BYTES + bytes.len;
    node->taken = 0;
    for (int i = 0; i < GW_H2MSG_HEAD_BYTES; i++)
        node->bytes[i] = (unsigned char)(bytes.len >> (24 - 8 * i));
    if (bytes.len) memcpy(node->bytes + GW_H2MSG_HEAD_BYTES, bytes.ptr, bytes.len);
    if (out->tail)
        out->tail->next = node;
    else
        out->head = node;
    out->tail = node;
    out->bytes += gw_h2msg_cost(bytes.len);
}

static void drop_head(struct gw_h2msg_out *out) {
    struct gw_h2msg_node *node = out->head;
    out->head = node->next;
    if (!out->head) out->tail = NULL;
    out->bytes -= sizeof(*node) + node->len;
    free(node);
}

size_t gw_h2msg_take(struct gw_h2msg_out *out, void *dst, size_t n) {
    size_t done = 0;
    while (out->head && done < n) {
        struct gw_h2msg_node *node = out->head;
        size_t take = min_size(n - done, node->len - node->taken);
        memcpy((char *)dst + done, node->bytes + node->taken, take);
        node->taken += take;
        done += take;
        if (node->taken == node->len) drop_head(out);
    }
    return done;
}

void gw_h2msg_out_fini(struct gw_h2msg_out *out) {
    while (out->head)
        drop_head(out);
}
