// SPDX-License-Identifier: Apache-2.0
// Inside of the HTTP/2 codec: h2.c is the connection and nghttp2's callbacks,
// h2_feed.c what comes in and what a peer may cost, h2_stream.c the
// queues of a stream. nghttp2 checks frames, streams and windows; messages are checked here.
#ifndef DP_CODEC_H2_INTERNAL_H
#define DP_CODEC_H2_INTERNAL_H

#include "dataplane/codec/h2.h"
#include "dataplane/codec/h2_guard.h"
#include "dataplane/codec/h2_head.h"

// A head of DP_H1_HEAD_BYTES_MAX, its list of fields and trailers of both directions fit.
#define DP_H2_STREAM_ARENA_BYTES_MAX (128 * 1024)
#define DP_H2_STREAM_INLINE_BYTES 2048
#define DP_H2_STREAM_FREE_MAX 16 // objects a connection keeps for reuse
// Frames that move nothing, earned by one that does: a reader its WINDOW_UPDATEs of stream and
// connection, a caller its PRIORITYs.
#define DP_H2_IDLE_FRAMES_EARNED 4

struct dp_h2_head_node {
    struct dp_h2_head_node *next;
    struct dp_head *head;
};

struct dp_h2_stream {
    struct dp_h2 *h;
    int32_t id; // -1: a client's that nghttp2 does not know yet
    void *owner;
    struct dp_h2_stream *next, **pprev; // all of the connection
    struct dp_h2_stream *ready_next;
    bool is_ready, is_given, is_released, is_closed;
    bool is_surplus;        // more than may be open at once: refused when its head is there
    bool is_lost;           // dp_h2_next_lost gave it
    bool is_reset;          // RST_STREAM is submitted or out
    bool by_peer, by_owner; // who wanted it; else what the peer sent had us do it

    // receiving
    struct gw_arena *arena;
    struct dp_h2_head_node *heads, **heads_tail;
    struct dp_head *request; // a server's, for the log
    struct gw_buf in;
    struct dp_fields *trailers;
    bool has_head, has_ended, gave_end, answers_head;
    unsigned interims;
    int64_t length, received; // length -1: any

    // sending
    const struct dp_head *head; // not submitted yet
    struct gw_buf out;
    nghttp2_nv *end_nv; // trailers; in mem
    size_t end_nv_len;
    bool ends, sent_end; // END_STREAM is due, is out
    bool is_deferred;    // nghttp2 was told that there is nothing
    bool was_full, has_drained;
    size_t moved; // since dp_h2_reap

    struct gw_err err;   // rc GW_OK: fine
    struct gw_arena mem; // a server's heads, trailers to be sent
    char inline_mem[DP_H2_STREAM_INLINE_BYTES] __attribute__((aligned(16)));
};

struct dp_h2 {
    struct dp_h2_conf conf;
    nghttp2_session *session;
    int64_t now_ms, settings_ms;                                 // when ours were sent
    bool has_settings, has_settings_ack, is_peer_going, is_dead; // settings: the peer's
    bool has_begun;                                              // our SETTINGS are pumped
    unsigned pongs;
    bool is_going; // GOAWAY of ours was submitted: new streams are nobody's
    struct dp_h2_bucket idle_frames, lost_streams, surplus_streams;
    uint32_t last_id; // of the peer's streams
    struct dp_h2_past past;
    struct gw_err why; // rc GW_OK: fine

    struct dp_h2_stream *streams, *free;
    unsigned streams_n, free_n, open_n; // open: not closed
    struct dp_h2_stream *ready, **ready_tail;
    unsigned heads_n; // streams whose head is not submitted

    size_t preface_left, payload_left, frame_head_n; // of what is being fed
    uint8_t frame_head[9];
    struct gw_slab *slab;            // being fed
    struct dp_h2_stream *in_section; // whose section is coming; NULL: nobody's
    struct dp_h2_head head;
    struct dp_h2_nv nv;
    struct gw_buf *out; // being pumped into
    size_t high;
};

// --- h2_feed.c ---------------------------------------------------------------------------------
void dp_h2_feed_init(struct dp_h2 *h);
// GOAWAY; nothing more is taken from the peer.
void dp_h2_end_connection(struct dp_h2 *h, uint32_t code, const char *text);
// One of the peer's streams came to nothing by its doing.
void dp_h2_lose_stream(struct dp_h2 *h, const char *text);
// One more than may be open at once, whose head is there.
void dp_h2_refuse_stream(struct dp_h2_stream *s);

// --- h2_stream.c -------------------------------------------------------------------------------
struct dp_h2_stream *dp_h2_stream_new(struct dp_h2 *h, int32_t id);
void dp_h2_stream_free(struct dp_h2_stream *s);
void dp_h2_mark_ready(struct dp_h2_stream *s);
// Marks it broken, drops its queues; submits RST_STREAM with code unless it is closed. err->code
// other than 400 of a server's: nothing is reset, an answer is due.
void dp_h2_fail(struct dp_h2_stream *s, uint32_t code, const struct gw_err *err);
void dp_h2_on_data(struct dp_h2_stream *s, struct gw_str data);
void dp_h2_on_end(struct dp_h2_stream *s);
void dp_h2_on_close(struct dp_h2_stream *s, uint32_t code);
void dp_h2_submit_head(struct dp_h2_stream *s);
ssize_t dp_h2_read_out(nghttp2_session *session, int32_t id, uint8_t *buf, size_t n,
                       uint32_t *flags, nghttp2_data_source *source, void *user);
int dp_h2_send_out(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t n,
                   nghttp2_data_source *source, void *user);

#endif
