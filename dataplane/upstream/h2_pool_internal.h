// SPDX-License-Identifier: Apache-2.0
// What h2_pool.c (who gets which connection) and h2_conn.c (one connection) share.
#ifndef DP_UPSTREAM_H2_POOL_INTERNAL_H
#define DP_UPSTREAM_H2_POOL_INTERNAL_H

#include "dataplane/upstream/h2_pool.h"
#include "dataplane/upstream/pool_internal.h"

enum dp_h2_conn_state {
    DP_H2_CONN_CONNECTING,
    DP_H2_CONN_SETTLING, // the upstream's SETTINGS are due: how many streams, and is it HTTP/2
    DP_H2_CONN_OPEN,
    DP_H2_CONN_DEAD, // closed; streams that are still leased hold what came before
};

struct dp_h2_conn {
    struct dp_h2_pool *pool; // NULL: out of it
    struct gw_loop *loop;
    struct dp_h2_conn *next, **pprev;
    enum dp_h2_conn_state state;
    struct dp_connect *connect;
    struct dp_upconn *up; // NULL: not connected, or closed
    struct dp_h2 *h2;
    struct dp_h2_queue leases;
    struct dp_h2_lease *current; // whose news are being told; NULL: it was ended on the way
    bool is_running;             // news are being told: what is sent goes out behind them
    bool is_due;                 // at the end of this turn
    unsigned opened_n;           // streams so far
    unsigned pongs;              // that were wanted
    int64_t made_us, read_ms, idle_since_ms;
    int64_t settle_until_ms; // 0: no limit
    int64_t pong_until_ms;   // 0: not suspect
};

struct dp_h2_pool {
    struct dp_pool *pool;
    struct dp_h2_conn *conns;
    unsigned conns_n, connecting_n; // connecting or settling
    unsigned places;                // of a connection, as far as is known; not 0
    int64_t failed_ms;              // when a connection came to nothing
    struct dp_h2_queue waiting;
};

// --- h2_conn.c -----------------------------------------------------------------------------------
// NULL with err: as dp_pool_connect.
struct dp_h2_conn *dp_h2_conn_new(struct dp_h2_pool *p, struct dp_upstream *u,
                                  struct dp_endpoint *e, int64_t timeout_ms, struct gw_err *err);
bool dp_h2_conn_has_place(const struct dp_h2_conn *c);
void dp_h2_conn_kick(struct dp_h2_conn *c); // run at the end of the turn
// Closes; tells its leases, and the pool.
void dp_h2_conn_die(struct dp_h2_conn *c, const struct gw_err *err);
void dp_h2_conn_sweep(struct dp_h2_conn *c, int64_t now_ms, bool all, bool is_gone);

// --- h2_pool.c -----------------------------------------------------------------------------------
void dp_h2_queue_init(struct dp_h2_queue *q);
void dp_h2_queue_add(struct dp_h2_queue *q, struct dp_h2_lease *l);
void dp_h2_queue_remove(struct dp_h2_lease *l); // of the one that it is in
// Places may be free.
void dp_h2_pool_serve(struct dp_h2_pool *p);
// err: why a connection came to nothing.
void dp_h2_pool_connect_failed(struct dp_h2_pool *p, const struct gw_err *err);

#endif
