// SPDX-License-Identifier: Apache-2.0
// The push stream: one long HTTP/2 stream (POST /push/v1) over TLS, nghttp2 on both ends, carrying
// length-prefixed messages (u32 big endian, then that many bytes) both ways. POST /relay/v1 on the
// same port is the stream of another replica of the controller. This module moves opaque messages;
// ir.h says what is in them. Runs on a gw_loop; never on a worker's.
// PING every 10 s from both ends; no answer within 10 s closes the connection.
#ifndef GW_SHARED_H2LINK_H
#define GW_SHARED_H2LINK_H

#include "shared/loop.h"
#include "shared/tls.h"

// Bytes queued towards a peer; above it the peer is too slow and is disconnected.
#define GW_H2LINK_QUEUE_MAX (256u << 20)

#define GW_H2LINK_PUSH "/push/v1"
#define GW_H2LINK_RELAY "/relay/v1"

// What a peer is told of why it was refused or closed; it may end up in its log.
#define GW_H2LINK_WHY_MAX 240

struct gw_h2link_server; // opaque: the listening end
struct gw_h2link_client; // opaque: the dialling end; reconnects by itself
struct gw_h2link_peer;   // opaque: one connected data plane, on the server

struct gw_h2link_server_opts {
    const char *host; // "127.0.0.1", "::", ...
    uint16_t port;    // 0: any free one (gw_h2link_server_port tells)
    // Made for ALPN "h2"; takes a reference of its own. NULL: the port is bound and nothing is
    // accepted before gw_h2link_server_use.
    struct gw_tls_ctx *tls;
    bool takes_relay;         // GW_H2LINK_RELAY is served, too; see gw_h2link_peer_is_relay
    size_t message_bytes_max; // of a peer's first messages: see gw_h2link_peer_set_max
    unsigned peers_max;
    // 0: 10 s, 10 s and GW_H2LINK_QUEUE_MAX. setup_ms: from accept to an authorized stream.
    unsigned ping_ms, setup_ms;
    size_t queue_bytes_max;
    // Decides on "authorization: Bearer TOKEN" by gw_h2link_peer_accept or _refuse, at once or
    // later; the setup time goes on meanwhile. token lives for the call only and is never logged.
    // May be called again on a reconnect.
    void (*authorize)(void *arg, struct gw_h2link_peer *p, struct gw_str token);
    // NULL, or: a connection that was never open is over, because it was refused, failed or left;
    // p is gone after it. Not called during gw_h2link_server_free.
    void (*on_refused)(void *arg, struct gw_h2link_peer *p, const struct gw_err *why);
    void (*on_open)(void *arg, struct gw_h2link_peer *p);
    // bytes live for the call only.
    void (*on_message)(void *arg, struct gw_h2link_peer *p, struct gw_str bytes);
    // After it p is gone. Not called during gw_h2link_server_free.
    void (*on_close)(void *arg, struct gw_h2link_peer *p, const struct gw_err *why);
    void *arg;
};
struct gw_h2link_server *
gw_h2link_server_new(struct gw_loop *l, const struct gw_h2link_server_opts *o, struct gw_err *err);
// For connections from now on.
void gw_h2link_server_use(struct gw_h2link_server *s, struct gw_tls_ctx *tls);
uint16_t gw_h2link_server_port(const struct gw_h2link_server *s);
void gw_h2link_server_free(struct gw_h2link_server *s);
// Copies. GW_ERR_LIMIT: the queue is full; the peer is being closed.
enum gw_rc gw_h2link_peer_send(struct gw_h2link_peer *p, struct gw_str bytes, struct gw_err *err);
void gw_h2link_peer_close(struct gw_h2link_peer *p, const char *why); // on_close follows later
// The answer to authorize; on_open comes before accept returns, where there is room. The second
// answer to one call does nothing.
void gw_h2link_peer_accept(struct gw_h2link_peer *p);
// status 401, 403 or 503; the peer is told why (at most GW_H2LINK_WHY_MAX bytes of ASCII).
void gw_h2link_peer_refuse(struct gw_h2link_peer *p, int status, const char *why);
// Of messages that begin from now on.
void gw_h2link_peer_set_max(struct gw_h2link_peer *p, size_t message_bytes_max);
const char *gw_h2link_peer_address(const struct gw_h2link_peer *p); // "127.0.0.1:40404"
bool gw_h2link_peer_is_relay(const struct gw_h2link_peer *p);       // asked for GW_H2LINK_RELAY
void gw_h2link_peer_set_user(struct gw_h2link_peer *p, void *user);
void *gw_h2link_peer_user(const struct gw_h2link_peer *p);

struct gw_h2link_client_opts {
    const char *host; // name or address; also what the certificate must carry
    uint16_t port;
    const char *path;       // static; NULL: GW_H2LINK_PUSH
    struct gw_tls_ctx *tls; // as the server's
    struct gw_secret *token;
    // NULL, or asked for each request instead of token: tokens of a cluster are replaced while they
    // are in use. New reference; NULL with err: the dial fails.
    struct gw_secret *(*get_token)(void *arg, struct gw_err *err);
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
