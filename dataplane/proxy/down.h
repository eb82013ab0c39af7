// SPDX-License-Identifier: Apache-2.0
// How a request meets its client: one table of functions for each protocol. Everything above speaks
// heads, events and buffers; framing, stream ids and flow control stay below.
#ifndef DP_PROXY_DOWN_H
#define DP_PROXY_DOWN_H

#include "dataplane/net/conn.h"
#include "dataplane/proxy/worker.h"

struct dp_req;

// One connection of a client, whatever it speaks. The protocol's own struct begins with it.
enum dp_drain {
    DP_DRAIN_IDLE,  // close what has served and is idle now; tell the others
    DP_DRAIN_FRESH, // also what has been accepted and never asked
    DP_DRAIN_OVER,  // the grace period is over: cut
};
// What is said of a request that is cut then.
#define DP_DRAIN_OVER_TEXT "the data plane ended"
struct dp_client;
struct dp_client_ops {
    void (*drain)(struct dp_client *c, enum dp_drain how); // c may be gone afterwards
};
struct dp_client {
    struct dp_conn conn; // first
    const struct dp_client_ops *ops;
    struct dp_worker *worker;
    struct dp_client *next, **pprev; // of the worker
    uint16_t conf_port;              // as the Gateway names it
    char peer[48];                   // "127.0.0.1", without the port
};
struct dp_accepted;
// Takes a's fd and tls; c is in the worker's list and metrics from here on. False: it cannot be
// watched, and they are closed.
bool dp_client_init(struct dp_client *c, struct dp_worker *w, const struct dp_accepted *a,
                    const struct dp_conn_ops *conn_ops, const struct dp_client_ops *ops);
void dp_client_unlink(struct dp_client *c); // out of the list

// All take the request that they speak for, from its first step to `over`.
struct dp_down_ops {
    const char *protocol; // "HTTP/1.1", for people
    bool has_grpc;        // its trailers are gRPC's

    // --- the request's body
    // The next event: DATA, TRAILERS, END. For DATA, *ret_owner is a new reference of the slab that
    // ev->data borrows from. GW_AGAIN: nothing is there. Errors: the body is bad.
    enum gw_rc (*next)(struct dp_req *r, struct dp_ev *ev, struct gw_slab **ret_owner,
                       struct gw_err *err);
    // On: dp_body_pump is called when more has come. Off: the client is held back, but one that
    // leaves is noticed all the same.
    void (*set_reading)(struct dp_req *r, bool on);

    // --- the answer
    void (*interim)(struct dp_req *r, struct dp_head *head); // 1xx, sent at once where it may be
    // Makes head the answer's (framing is chosen here) without sending it. False: it is too large.
    bool (*head)(struct dp_req *r, struct dp_head *head);
    // The head is a 101: `next` gives the bytes that the client sends from here on, and END where
    // it closes its side. NULL: head->upgrade is never set by this protocol.
    void (*tunnel)(struct dp_req *r);
    void (*drop_head)(struct dp_req *r); // another will be made instead
    void (*push_head)(struct dp_req *r); // the three below go out with the next flush
    void (*push_data)(struct dp_req *r, struct gw_buf *data); // takes all of it
    void (*push_end)(struct dp_req *r, const struct dp_fields *trailers);
    enum gw_rc (*flush)(struct dp_req *r, struct gw_err *err);
    // What the client has not taken yet; at DP_CONN_QUEUE_HIGH nothing more is pushed.
    size_t (*queued)(const struct dp_req *r);
    // True where the caller must stop pushing; dp_answer_pump is called when the client took some.
    bool (*is_full)(struct dp_req *r);

    // --- its end
    // The client must not take what it got for a whole answer.
    void (*abort)(struct dp_req *r);
    // The request is settled and logged: frees it by dp_req_release. keep: the connection may go
    // on.
    void (*over)(struct dp_req *r, bool keep);
};
extern const struct dp_down_ops dp_down_h1; // down_h1.c

// A connection that nobody owns yet.
struct dp_accepted {
    int fd;
    struct gw_tls *tls; // its handshake is done; NULL on a plain port
    uint16_t conf_port;
    const char *peer;     // borrowed during the call
    struct gw_buf *first; // read already; emptied; NULL: nothing was
};
// All take fd and tls.
void dp_tls_accept(struct dp_worker *w,
                   const struct dp_accepted *a); // accept.c: shakes hands first
// On a plain port a connection that begins with the preface of HTTP/2 goes on as one.
void dp_client_h1_start(struct dp_worker *w, const struct dp_accepted *a);
void dp_client_h2_start(struct dp_worker *w, const struct dp_accepted *a);
// accept.c: the context of all handshakes of a process; owned by caller.
struct gw_tls_ctx *dp_server_tls(struct gw_err *err);

#endif
