// SPDX-License-Identifier: Apache-2.0
// One connection of the push stream, either end: TCP, TLS, an nghttp2 session with one stream, its
// queue, its timer and its end. What the stream means (request, token, status) is decided by
// h2link_server.c and h2link_client.c through the operations. Internal to h2link.
//
//   state       timer                        left when
//   CONNECTING  setup                        TCP is connected (client only)
//   HANDSHAKE   setup                        TLS is up and has agreed on h2
//   SETUP       setup                        the owner calls gw_h2conn_open
//   OPEN        PING                         failure, or the owner calls gw_h2conn_drain
//   DRAINING    linger                       the last frames are out and the peer has closed
//   CLOSED      -                            end of the loop's turn: on_closed, release
#ifndef GW_SHARED_H2LINK_CONN_H
#define GW_SHARED_H2LINK_CONN_H

#include "shared/h2link.h"
#include "shared/h2link_msg.h"

#include <nghttp2/nghttp2.h>

#define GW_H2LINK_WHY "tandem-why" // response header: why the request is refused

struct gw_h2conn;

// Operations other than on_closed and release may call any function below, but must not free c.
struct gw_h2conn_ops {
    void (*on_tls_open)(struct gw_h2conn *c); // the session is there; a client submits its request
    void (*on_header)(struct gw_h2conn *c, struct gw_str name, struct gw_str value);
    void (*on_head)(struct gw_h2conn *c); // all headers of the request or response are there
    void (*on_message)(struct gw_h2conn *c, struct gw_str bytes);
    void (*on_closed)(struct gw_h2conn *c, const struct gw_err *why); // not after abandon
    void (*release)(struct gw_h2conn *c);                             // frees the owner's object
};

enum gw_h2conn_state {
    GW_H2CONN_CONNECTING,
    GW_H2CONN_HANDSHAKE,
    GW_H2CONN_SETUP,
    GW_H2CONN_OPEN,
    GW_H2CONN_DRAINING,
    GW_H2CONN_CLOSED,
};

struct gw_h2conn_conf {
    struct gw_loop *loop;
    const struct gw_h2conn_ops *ops;
    bool is_server;
    size_t message_bytes_max;
    size_t queue_bytes_max;     // 0: GW_H2LINK_QUEUE_MAX
    unsigned setup_ms, ping_ms; // 0: 10 s
};

struct gw_h2conn {
    struct gw_h2conn_conf conf;
    enum gw_h2conn_state state;
    struct gw_io io;
    struct gw_timer timer;
    int fd;
    struct gw_tls *tls;
    nghttp2_session *session;
    int32_t stream_id; // -1: none yet
    size_t head_bytes;
    struct gw_h2msg_in in;
    struct gw_h2msg_out out;
    const uint8_t *pending; // a frame that is partly sent; nghttp2's memory
    size_t pending_bytes;
    bool is_idle; // nghttp2 was told that the queue is empty
    bool is_flush_due, is_ping_out, is_shut, is_abandoned;
    struct gw_err why;
};

// takes fd (non-blocking; a client's may still be connecting). host as for gw_tls_new. On an error
// fd is closed and nothing is registered.
enum gw_rc gw_h2conn_start(struct gw_h2conn *c, const struct gw_h2conn_conf *conf, int fd,
                           struct gw_tls_ctx *tls, const char *host, struct gw_err *err)
    GW_MUST_USE;
void gw_h2conn_open(struct gw_h2conn *c); // SETUP -> OPEN
// Body of the stream: what gw_h2conn_send queues. For nghttp2_submit_request and _response.
nghttp2_data_provider gw_h2conn_body(struct gw_h2conn *c);
// Copies. GW_ERR_UPSTREAM: not OPEN. GW_ERR_LIMIT: the queue is full, c is being closed.
enum gw_rc gw_h2conn_send(struct gw_h2conn *c, struct gw_str bytes, struct gw_err *err);
// Sends what was submitted, drops what was queued, and closes; why goes to on_closed.
void gw_h2conn_drain(struct gw_h2conn *c, const struct gw_err *why);
void gw_h2conn_fail(struct gw_h2conn *c, const struct gw_err *why); // closes now
void gw_h2conn_abandon(struct gw_h2conn *c); // closes now, without on_closed; release follows

#endif
