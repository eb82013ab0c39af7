// SPDX-License-Identifier: Apache-2.0
// How a request meets its upstream: one table of functions for each protocol that endpoints speak.
#ifndef DP_PROXY_UP_H
#define DP_PROXY_UP_H

#include "dataplane/upstream/h2_pool.h"
#include "dataplane/upstream/pool.h"

struct dp_req;

struct dp_up_ops {
    // On the fiber: a place on a connection to r->endpoint. fresh: not one that was
    // idle. *ret_pooled: it has served before, and may be dead without our knowing.
    enum gw_rc (*get)(struct dp_req *r, bool fresh, bool *ret_pooled);
    // After get failed: still at it, so it was the request's own time that ended.
    bool (*is_connecting)(const struct dp_req *r);
    // The three below go out with the next flush. r->head; where neither content_length nor chunked
    // announces a body it ends the message. push_end follows every body. r->head->upgrade is passed
    // on where the protocol has it; a head of the answer with `upgrade` began a tunnel, in which
    // data goes as it is and push_end ends our side of the connection.
    void (*push_head)(struct dp_req *r);
    void (*push_data)(struct dp_req *r, struct gw_buf *data); // takes all of it
    void (*push_end)(struct dp_req *r, const struct dp_fields *trailers);
    // False: the upstream takes no more; its answer may still be there to be read.
    bool (*flush)(struct dp_req *r);
    size_t (*queued)(const struct dp_req *r);
    // True where the caller must stop pushing; dp_body_pump is called when the upstream took some.
    bool (*is_full)(struct dp_req *r);

    // The next event of the answer, as dp_down_ops.next. GW_EOF: the upstream closed before it said
    // a byte of it. Errors: it broke off. dp_up_ready is called when more has come.
    enum gw_rc (*next)(struct dp_req *r, struct dp_ev *ev, struct gw_slab **ret_owner,
                       struct gw_err *err);
    void (*set_reading)(struct dp_req *r, bool on);
    // Closed without a byte: a request that may be repeated is sent elsewhere.
    bool (*is_silent)(const struct dp_req *r);
    // The upstream says that it did not look at the request: any may be sent elsewhere.
    bool (*is_unseen)(const struct dp_req *r);
    // The request is done with it; used again where both messages are complete.
    void (*release)(struct dp_req *r);
};
extern const struct dp_up_ops dp_up_h1; // up_h1.c
extern const struct dp_up_ops dp_up_h2; // up_h2.c

// What up_h1.c keeps of a request; all zero: nothing is lent.
struct dp_up_h1_state {
    struct dp_upconn *conn;
    struct dp_connect *connecting;
    struct gw_buf in; // read, not decoded yet
    bool eof, send_failed;
    bool chunked;    // the request's body goes out in chunks
    bool keep_alive; // the upstream keeps the connection
    bool tunnel;     // it said 101
    bool ended;      // our side ends once all is flushed
    char chunk_head[DP_H1_CHUNK_HEAD_MAX];
};

// What up_h2.c keeps of a request; all zero: nothing is lent.
struct dp_up_h2_state {
    struct dp_h2_lease lease;
    bool has_begun;  // the answer has
    bool not_opened; // the connection took no more streams
};

// For the protocols: the time for a connection.
int64_t dp_up_connect_ms(const struct dp_req *r); // attempt.c
// The answer has more; r may be gone afterwards.
void dp_up_ready(struct dp_req *r); // attempt.c
// The upstream takes no more of the body.
void dp_up_refuses_body(struct dp_req *r); // attempt.c

#endif
