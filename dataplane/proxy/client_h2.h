// SPDX-License-Identifier: Apache-2.0
// A client connection that speaks HTTP/2: many requests at once, each with its own fiber and timer.
// Shared by client_h2.c (the connection) and down_h2.c (what its requests ask of it).
//
//   wait     timer                  left when
//   FIRST    head_ms                the first request
//   BUSY     stream_ms, again       no request, and nothing left to send
//   IDLE     idle_ms                the next request
//   CLOSING  DP_H2_LINGER_MS        the peer closed
#ifndef DP_PROXY_CLIENT_H2_H
#define DP_PROXY_CLIENT_H2_H

#include "dataplane/codec/h2.h"
#include "dataplane/proxy/req.h"

// For the peer to read the last frames; what it still sends is read and dropped, up to so much: a
// reset would destroy answers on their way.
#define DP_H2_LINGER_MS 2000
#define DP_H2_LINGER_BYTES_MAX (16 << 20)

enum dp_h2_wait {
    DP_H2_WAIT_FIRST,
    DP_H2_WAIT_BUSY,
    DP_H2_WAIT_IDLE,
    DP_H2_WAIT_CLOSING,
};
// How far a drain has come.
enum dp_h2_drain {
    DP_H2_DRAIN_NONE,
    DP_H2_DRAIN_ASKED, // GOAWAY with the largest id, and a PING to know when it was read
    DP_H2_DRAIN_TOLD,  // GOAWAY with the last id
};

struct dp_client_h2 {
    struct dp_client base; // first
    struct dp_h2 *h;
    unsigned reqs_n;
    struct gw_timer timer;
    enum dp_h2_wait wait;
    enum dp_h2_drain drain;
    int64_t drain_ms;      // when it was asked
    bool is_running;       // run is on the stack
    bool is_due;           // run is deferred to the end of the turn
    bool is_lost, is_over; // the peer left; nothing registered any more
    bool is_refused;       // ended for what the peer did, and counted
    uint64_t pumped, sent; // bytes; sent: when the timer fired last
    uint64_t lingered;
};

// What a request keeps of its stream; in its arena.
struct dp_down_h2_state {
    struct dp_h2_stream *stream;
    struct dp_head *head; // made, not pushed
};
extern const struct dp_down_ops dp_down_h2; // down_h2.c

// Frames are written, and news looked at, at the end of the loop's turn: the answers of many
// requests go out with one call.
void dp_client_h2_later(struct dp_client_h2 *c);

#endif
