// SPDX-License-Identifier: Apache-2.0
// The push stream: one long HTTP/2 stream (POST /push/v1) over TLS, nghttp2 on both ends, carrying
// length-prefixed messages (u32 big endian, then that many bytes) both ways. This module moves
// opaque messages; ir.h says what is in them. Runs on a gw_loop; never on a worker's.
// PING every 10 s from both ends; no answer within 10 s closes the connection.
#ifndef GW_SHARED_H2LINK_H
#define GW_SHARED_H2LINK_H

#include "shared/loop.h"
#include "shared/tls.h"

// Bytes queued towards a peer; above it the peer is too slow and is disconnected.
#define GW_H2LINK_QUEUE_MAX (256u << 20)

struct gw_h2link_server; // opaque: the listening end
struct gw_h2link_client; // opaque: the dialling end; reconnects by itself
struct gw_h2link_peer;   // opaque: one connected data plane, on the server

struct gw_h2link_server_opts {
    const char *host;       // "127.0.0.1", "::", ...
    uint16_t port;          // 0: any free one (gw_h2link_server_port tells)
    struct gw_tls_ctx *tls; // borrows a reference; made for ALPN "h2"
    size_t message_bytes_max;
    unsigned peers_max;
    // 0: 10 s, 10 s and GW_H2LINK_QUEUE_MAX. setup_ms: from accept to an authorized stream.
    unsigned ping_ms, setup_ms;
    size_t queue_bytes_max;
    // Decides on "authorization: Bearer TOKEN". false: 401 and the connection is closed. May be
    // called again on a reconnect. token is never logged.
    bool (*authorize)(void *arg, struct gw_str token);
    void (*on_open)(void *arg, struct gw_h2link_peer *p);
    // bytes live for the call only.
    void (*on_message)(void *arg, struct gw_h2link_peer *p, struct gw_str bytes);
    // After it p is gone. Not called during gw_h2link_server_free.
    void (*on_close)(void *arg, struct gw_h2link_peer *p, const struct gw_err *why);
    void *arg;
};
struct gw_h2link_server *
gw_h2link_server_new(struct gw_loop *l, const struct gw_h2link_server_opts *o, struct gw_err *err);
uint16_t gw_h2link_server_port(const struct gw_h2link_server *s);
void gw_h2link_server_free(struct gw_h2link_server *s);
// Copies. GW_ERR_LIMIT: the queue is full; the peer is being closed.
enum gw_rc gw_h2link_peer_send(struct gw_h2link_peer *p, struct gw_str bytes, struct gw_err *err);
void gw_h2link_peer_close(struct gw_h2link_peer *p, const char *why); // on_close follows later
const char *gw_h2link_peer_address(const struct gw_h2link_peer *p);   // "127.0.0.1:40404"
void gw_h2link_peer_set_user(struct gw_h2link_peer *p, void *user);
void *gw_h2link_peer_user(const struct gw_h2link_peer *p);

struct gw_h2link_client_opts {
    const char *host; // name or address; also what the certificate must carry
    uint16_t port;
    struct gw_tls_ctx *tls; // as the server's
    struct gw_secret *token;
    size_t message_bytes_max;
    unsigned backoff_min_ms, backoff_max_ms; // between dials, doubled with jitter
    unsigned ping_ms, setup_ms;              // as the server's; setup_ms: each address of a dial
    size_t queue_bytes_max;
    void (*on_open)(void *arg);
    void (*on_message)(void *arg, struct gw_str bytes);
    void (*on_close)(void *arg, const struct gw_err *why); // also for each failed dial
    void *arg;
};
struct gw_h2link_client *gw_h2link_client_new(struct gw_loop *l,
                                              const struct gw_h2link_client_opts *o,
                                              struct gw_err *err); // dials at once
void gw_h2link_client_free(struct gw_h2link_client *c);
enum gw_rc gw_h2link_client_send(struct gw_h2link_client *c, struct gw_str bytes,
                                 struct gw_err *err); // GW_ERR_UPSTREAM: not connected

#endif
