// SPDX-License-Identifier: Apache-2.0
// The access log: one JSON line per request, exactly one for every outcome. A worker formats into
// its own buffer; full buffers (and after 1 s, part-filled ones) go to one writer thread, so that a
// slow disk stops nobody. Where the writer is DP_ACCESS_BUFFERS_MAX buffers behind, lines are
// dropped and counted in tandem_access_log_dropped_total.
#ifndef DP_OBS_ACCESS_H
#define DP_OBS_ACCESS_H

#include "shared/loop.h"
#include "shared/str.h"

#define DP_ACCESS_BUFFER_BYTES (64 * 1024)
#define DP_ACCESS_BUFFERS_MAX 64
#define DP_ACCESS_VALUE_BYTES_MAX 1024 // longer texts (paths, agents) are cut

// All strings are borrowed for the call. Empty strings and negative numbers leave their key out.
struct dp_access_record {
    int64_t start_real_us;
    int64_t duration_us;
    struct gw_str request_id, client, protocol, method, host, path, user_agent;
    int status;                  // 0: none was sent
    int64_t bytes_in, bytes_out; // bodies
    struct gw_str listener, route;
    int rule;                        // -1
    struct gw_str backend, upstream; // "default/web:80", "127.0.0.1:9001"
    int upstream_status;             // 0: none
    int attempts;
    int64_t first_byte_us; // of the upstream's answer, from the request's start; -1
    struct gw_str model, upstream_model;
    int64_t tokens_in, tokens_out, tokens_cached; // -1
    struct gw_str usage;                          // "reported", "estimated" or empty
    struct gw_str error;                          // why it was refused or cut; empty: none
};

struct dp_access_log; // opaque: file and writer thread, one per process
struct dp_access_buf; // opaque: one worker's buffer

// path "-": standard output; "off": nothing is written (records are still formatted by nobody).
// SIGHUP-like rotation: dp_access_log_reopen.
struct dp_access_log *dp_access_log_open(const char *path, struct gw_err *err);
void dp_access_log_reopen(struct dp_access_log *l);
void dp_access_log_close(struct dp_access_log *l); // after the workers; writes the rest
struct dp_access_buf *dp_access_buf_new(struct dp_access_log *l, struct gw_loop *loop);
void dp_access_buf_free(struct dp_access_buf *b); // hands over what it has
void dp_access_write(struct dp_access_buf *b, const struct dp_access_record *r);

#endif
