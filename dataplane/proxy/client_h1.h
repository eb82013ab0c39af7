// SPDX-License-Identifier: Apache-2.0
// A client connection that speaks HTTP/1.1: at most one request at a time is under way on it.
// Shared by client_h1.c (the connection) and down_h1.c (what its request asks of it).
#ifndef DP_PROXY_CLIENT_H1_H
#define DP_PROXY_CLIENT_H1_H

#include "dataplane/proxy/req.h"

#define DP_LINGER_BYTES_MAX (64 << 20) // read and dropped after an early answer (RFC 9112 9.6)
#define DP_LINGER_MS 2000

// What the connection's own timer means when it fires; a request's time is the request's.
enum dp_h1_wait {
    DP_H1_WAIT_NONE,
    DP_H1_WAIT_IDLE,
    DP_H1_WAIT_HEAD,
    DP_H1_WAIT_LINGER,
};

struct dp_client_h1 {
    struct dp_client base; // first
    struct dp_h1_decoder decoder;
    struct gw_buf in; // read, not decoded yet; nothing more is read while it waits for an upstream
    struct dp_req *req;
    struct gw_timer timer;
    enum dp_h1_wait wait;
    bool lingering;
    bool is_known;   // to speak HTTP/1.1: its first bytes are not the preface of HTTP/2
    bool in_process; // process is on the stack: no second one
    bool saw_eof;
    bool half_closed; // in a tunnel: the client ended its side, and may still be reading
    uint64_t lingered;
};

enum dp_h1_next {
    DP_H1_NEXT_KEEP,
    DP_H1_NEXT_CLOSE,  // nothing more is expected from the client
    DP_H1_NEXT_LINGER, // it may still be sending
};
// The request is over and released.
void dp_client_h1_next(struct dp_client_h1 *c, enum dp_h1_next next);

#endif
