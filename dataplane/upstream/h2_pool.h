// SPDX-License-Identifier: Apache-2.0
// Upstream connections of one worker that speak HTTP/2: each carries many requests. A request asks
// for a place; where no connection has one, those that wait share what is being connected. A
// connection is there to stay while it is used; one that is idle for DP_POOL_IDLE_MS, that the
// upstream takes leave of (GOAWAY) or that turns out to be dead gets no new requests.
#ifndef DP_UPSTREAM_H2_POOL_H
#define DP_UPSTREAM_H2_POOL_H

#include "dataplane/codec/h2.h"
#include "dataplane/upstream/pool.h"

// Connections to one endpoint: with what upstreams commonly allow (100 streams), more requests at
// once than a worker has fibers for the half of. Beyond, requests wait for a place.
#define DP_H2_POOL_CONNS_MAX 64
// A request that got no word for so long makes its connection suspect: it is pinged, once, and gets
// no new requests until the answer. (gRPC servers send away who pings often.)
#define DP_H2_SUSPECT_MS 5000
#define DP_H2_PONG_MS 10000
// What was sent and is not acknowledged by the peer's kernel for so long: the peer is gone.
#define DP_H2_UNACKED_MS 20000

struct dp_h2_conn; // opaque
struct dp_h2_lease;
struct dp_h2_queue {
    struct dp_h2_lease *first, **last;
};
// All are called on the loop's own stack; the lease may be ended in them.
struct dp_h2_lease_ops {
    // What was waited for: a place, to be opened at once, or (err) why there is none.
    void (*granted)(struct dp_h2_lease *l, const struct gw_err *err);
    // The stream has news, or its connection was lost.
    void (*ready)(struct dp_h2_lease *l);
    // Behind `ready`: the stream's queue of what is to be sent is not full (any more).
    void (*drained)(struct dp_h2_lease *l);
};

// A request's place, in its owner's memory. All zero but for ops: none.
struct dp_h2_lease {
    const struct dp_h2_lease_ops *ops;
    struct dp_h2_conn *conn;     // NULL: none yet
    struct dp_h2_stream *stream; // NULL: not opened
    bool is_waiting;
    bool is_lost; // the connection broke: what the stream holds is all that will come
    // private
    struct dp_upstream *upstream;
    struct dp_endpoint *endpoint; // borrowed from the owner
    struct dp_h2_queue *in;
    struct dp_h2_lease *next, **pprev;
    struct gw_timer timer;
    int64_t since_us; // no older connection will do
    int64_t opened_ms;
};

// GW_OK: l has a place, to be opened at once. GW_AGAIN: `granted` will tell, at the latest after
// timeout_ms (0: no limit). since_us: only a connection that was made since then will do (0: any).
// GW_ERR_LIMIT: no more connections, and none has a place.
enum gw_rc dp_h2_lease_get(struct dp_h2_lease *l, struct dp_upstream *u, struct dp_endpoint *e,
                           int64_t timeout_ms, int64_t since_us, struct gw_err *err) GW_MUST_USE;
// The connection has carried other requests before this one.
bool dp_h2_lease_is_pooled(const struct dp_h2_lease *l);
// As dp_h2_open. head and arena are borrowed until the end.
enum gw_rc dp_h2_lease_open(struct dp_h2_lease *l, const struct dp_head *head,
                            struct gw_arena *arena, struct gw_err *err) GW_MUST_USE;
// What was sent, taken or reset on the stream goes out at the end of the loop's turn.
void dp_h2_lease_flush(struct dp_h2_lease *l);
// In any state; all zero but for ops afterwards. An answer that is not complete is cancelled.
void dp_h2_lease_end(struct dp_h2_lease *l);

// --- for pool.c ----------------------------------------------------------------------------------
struct dp_h2_pool; // of one endpoint; opaque
// Once a second. all: nothing may be leased any more; closes everything. is_gone: no config names
// the endpoint, so what is idle is closed.
void dp_h2_pool_sweep(struct dp_h2_pool *p, int64_t now_ms, bool all, bool is_gone);
// Frees it where nothing is left. True: done.
bool dp_h2_pool_free(struct dp_h2_pool *p);

#endif
