// SPDX-License-Identifier: Apache-2.0
// Upstream connections of one worker: made (name look-up, TCP connect, TLS handshake), lent to one
// request at a time, kept alive while idle. An idle connection that the upstream closes, or that
// says something unasked, is dropped at once.
#ifndef DP_UPSTREAM_POOL_H
#define DP_UPSTREAM_POOL_H

#include "dataplane/codec/h1.h"
#include "dataplane/net/conn.h"
#include "dataplane/upstream/dns.h"
#include "dataplane/upstream/endpoint.h"

#define DP_POOL_IDLE_MAX 1024       // idle connections to one endpoint
#define DP_POOL_IDLE_MS 60000       // then they are closed; upstreams commonly keep 60 s or more
#define DP_UPSTREAM_CONNS_MAX 65536 // of one worker; beyond: 503
#define DP_POOL_SWEEP_MS 1000

// What all pools of a worker share.
struct dp_upstream {
    struct gw_loop *loop;
    struct dp_dns *dns;
    struct gw_tls_ctx *tls; // verifies against the system's store (or --upstream-ca)
    unsigned worker;
    unsigned conns;
    struct dp_pool *pools; // list
    struct gw_timer sweep;
    bool closing;
};
void dp_upstream_init(struct dp_upstream *u, struct gw_loop *loop, struct dp_dns *dns,
                      struct gw_tls_ctx *tls, unsigned worker);
void dp_upstream_fini(struct dp_upstream *u); // nothing may be lent any more

struct dp_upconn {
    struct dp_conn conn; // first; while lent, the borrower sets conn.ops
    struct dp_pool *pool;
    struct dp_upconn *next, **pprev; // idle list of the pool
    struct dp_h1_decoder decoder;
    unsigned served; // answers it has carried; 0: fresh
    int64_t idle_since_ms;
    void *user; // the borrower's
};

// One wish for a connection.
struct dp_connect; // opaque
typedef void (*dp_connect_fn)(void *arg, struct dp_upconn *c, const struct gw_err *err);

// An idle connection, lent at once, or NULL. careful: the connection is asked first whether it is
// still alive (for requests that must not be sent twice).
struct dp_upconn *dp_pool_take(struct dp_upstream *u, struct dp_endpoint *e, bool careful);
// Makes a new one; fn is called later, once, with a connection or an error (GW_ERR_TIMEOUT after
// timeout_ms, GW_ERR_UPSTREAM). NULL with err at once where DP_UPSTREAM_CONNS_MAX is reached.
struct dp_connect *dp_pool_connect(struct dp_upstream *u, struct dp_endpoint *e, int64_t timeout_ms,
                                   dp_connect_fn fn, void *arg, struct gw_err *err);
void dp_connect_cancel(struct dp_connect *c); // fn is not called any more

// The borrower is done: back to the idle ones, or (keep false, draining, too many) closed.
void dp_upconn_release(struct dp_upconn *c, bool keep);

#endif
