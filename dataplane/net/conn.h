// SPDX-License-Identifier: Apache-2.0
// One TCP connection of either side, plain or TLS: non-blocking reads into slabs, gathered writes,
// and back-pressure. What is pushed goes out with the next flush; what the kernel does not take is
// queued (compacted, so that a queued byte never pins much more than itself) and flushed when the
// socket drains. The owner stops feeding at DP_CONN_QUEUE_HIGH and goes on at on_drained.
#ifndef DP_NET_CONN_H
#define DP_NET_CONN_H

#include "shared/buf.h"
#include "shared/loop.h"
#include "shared/tls.h"

// Per direction and connection. A slow reader costs this much and no more: one read may pass
// it, which adds at most a slab; TLS adds what is sealed already, at most GW_TLS_BATCH_BYTES.
#define DP_CONN_QUEUE_HIGH (64 * 1024)
#define DP_CONN_QUEUE_LOW (16 * 1024)

struct dp_conn;
struct dp_conn_ops {
    void (*on_readable)(struct dp_conn *c);
    void (*on_drained)(struct dp_conn *c); // the queue fell to DP_CONN_QUEUE_LOW or is empty
    void (*on_error)(struct dp_conn *c);   // the peer reset, or a queued write failed
};

struct dp_conn {
    struct gw_io io;
    struct gw_loop *loop;
    const struct dp_conn_ops *ops;
    struct gw_tls *tls;  // NULL: plain
    struct gw_buf batch; // pushed, not yet offered to the kernel; may borrow static bytes
    struct gw_buf out;   // the kernel did not take these yet
    bool reading;        // wants on_readable
    bool watching;       // does not read, but wants on_error where the peer closes its side
    bool throttled;      // the owner stopped feeding; on_drained is owed
    bool tls_want_write;
    bool failed;
    bool reset; // the peer broke off: no end of a message can be taken from that
};

// Takes fd (non-blocking). Registers for reading.
enum gw_rc dp_conn_init(struct dp_conn *c, struct gw_loop *loop, int fd,
                        const struct dp_conn_ops *ops, struct gw_err *err) GW_MUST_USE;
// Unregisters, closes, drops queues. The memory is the owner's to free at the end of the turn.
void dp_conn_close(struct dp_conn *c);
// As dp_conn_close, but the peer sees a reset: what was sent must not look like a clean end.
void dp_conn_abort(struct dp_conn *c);
// Ends our side (with close_notify over TLS): no more is sent, what comes can still be read.
void dp_conn_end(struct dp_conn *c);
// A step of the handshake of c->tls. GW_AGAIN: on_readable or on_drained asks for the next.
enum gw_rc dp_conn_handshake(struct dp_conn *c, struct gw_err *err) GW_MUST_USE;
// Unregisters without closing: the caller owns what is returned, and *ret_tls. Nothing may be
// queued.
int dp_conn_take(struct dp_conn *c, struct gw_tls **ret_tls);
static inline bool dp_conn_is_open(const struct dp_conn *c) {
    return c->io.fd >= 0;
}

// Reads once into the free part of slab and advances slab->used. Over TLS a slab with room for a
// record leaves nothing behind that no event would tell of. GW_OK with *ret_n > 0, GW_AGAIN,
// GW_EOF, GW_ERR_UPSTREAM.
enum gw_rc dp_conn_read(struct dp_conn *c, struct gw_slab *slab, size_t *ret_n, struct gw_err *err)
    GW_MUST_USE;
void dp_conn_set_reading(struct dp_conn *c, bool on);
// Bytes wait whose turn has not come: reads nothing until dp_conn_set_reading, but on_error tells
// of a peer that closes its side.
void dp_conn_watch(struct dp_conn *c);
// A peek for a connection that has nothing to say now: GW_EOF where the peer closed, GW_OK where
// bytes wait, GW_AGAIN where nothing does.
enum gw_rc dp_conn_peek(struct dp_conn *c) GW_MUST_USE;

static inline void dp_conn_push(struct dp_conn *c, struct gw_slab *slab, struct gw_str bytes) {
    if (bytes.len) gw_buf_push(&c->batch, slab, bytes.ptr, bytes.len);
}
// Offers everything to the kernel. GW_OK also where some is queued; static bytes (slab NULL) may go
// away afterwards. GW_ERR_UPSTREAM: the connection is broken.
enum gw_rc dp_conn_flush(struct dp_conn *c, struct gw_err *err) GW_MUST_USE;
// True where the owner must stop feeding; on_drained will follow.
bool dp_conn_is_full(struct dp_conn *c);
static inline bool dp_conn_is_flushed(const struct dp_conn *c) {
    return c->out.bytes == 0 && c->batch.bytes == 0 && (!c->tls || gw_tls_unsent(c->tls) == 0);
}

#endif
