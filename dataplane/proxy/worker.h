// SPDX-License-Identifier: Apache-2.0
// A worker: one thread with its own loop, listeners, clients, upstream pools, fibers and log
// buffer. Share-nothing: other threads reach it through gw_loop_post alone.
#ifndef DP_PROXY_WORKER_H
#define DP_PROXY_WORKER_H

#include "dataplane/conf/conf.h"
#include "dataplane/obs/access.h"
#include "dataplane/upstream/balance.h"
#include "dataplane/upstream/pool.h"
#include "shared/fiber.h"
#include "shared/log.h"

#define DP_FIBERS_MAX 16384   // requests of a worker that decide at once; beyond: 503
#define DP_CLIENTS_MAX 100000 // connections of a worker; beyond, none is accepted
#define DP_REQ_FREE_MAX 256   // request objects kept for reuse
#define DP_ACCEPTS_PER_TURN 64

// What flags say; const while workers run. Times in ms, 0: none.
struct dp_settings {
    int64_t head_ms;               // from a request's first byte to the end of its head: 408
    int64_t idle_ms;               // between requests: closed quietly
    int64_t connect_ms;            // 504
    int64_t first_byte_ms;         // from the request's end of sending to the answer's head: 504
    int64_t stream_ms;             // silence of either side in the middle of a message
    int64_t request_ms;            // the whole
    uint64_t llm_body_bytes_max;   // 413
    uint64_t llm_bodies_bytes_max; // of all that a worker holds: 503
    int64_t grace_ms;              // of a drain
    int64_t drain_delay_ms;        // of these, new connections are still taken
    bool explain;                  // who asks is told which route, backend and endpoint was chosen
};

// A config as one worker holds it: counted without atomics.
struct dp_worker_conf {
    struct dp_conf *conf;
    unsigned refs;
};

struct dp_listen {
    struct gw_io io;
    struct dp_worker *worker;
    struct dp_listen *next;
    uint16_t conf_port; // as the Gateway names it
    bool is_tls;
};

struct dp_worker {
    unsigned index;
    struct gw_loop *loop;
    const struct dp_settings *settings;
    struct gw_fiber_pool *fibers;
    struct dp_dns *dns;
    struct dp_upstream upstream;
    struct gw_tls_ctx *server_tls; // of HTTPS ports, the same for all workers; borrowed
    struct dp_access_buf *log;
    struct dp_worker_conf *conf; // never NULL once running
    struct dp_listen *listens;
    struct dp_client *clients; // list
    unsigned clients_n;
    struct dp_mirror *mirrors; // list
    unsigned mirrors_n;
    struct dp_req *free_reqs;
    unsigned free_reqs_n;
    uint64_t gathered_bytes; // bodies of model requests that are held
    bool draining;
    uint64_t random[2];
    struct gw_timer drain_timer;
    int64_t drain_until_ms;
    struct gw_timer tick;   // once a second
    int64_t real_offset_us; // CLOCK_REALTIME minus CLOCK_MONOTONIC, refreshed by tick
};

enum gw_rc dp_worker_init(struct dp_worker *w, unsigned index, const struct dp_settings *s,
                          struct dp_access_log *log, struct gw_tls_ctx *tls, struct gw_err *err);
void dp_worker_fini(struct dp_worker *w);
void dp_worker_run(struct dp_worker *w); // the thread's life; returns after a drain

// On the worker's own thread:
void dp_worker_set_conf(struct dp_worker *w, struct dp_conf *conf);     // takes the reference
void dp_worker_listen(struct dp_worker *w, int fd, uint16_t conf_port); // takes fd
void dp_worker_unlisten(struct dp_worker *w, uint16_t conf_port);
void dp_worker_drain(struct dp_worker *w);

struct dp_worker_conf *dp_worker_conf_ref(struct dp_worker_conf *c);
void dp_worker_conf_unref(struct dp_worker_conf *c);
uint64_t dp_worker_random(struct dp_worker *w);

#endif
