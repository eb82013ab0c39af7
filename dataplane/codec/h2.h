// SPDX-License-Identifier: Apache-2.0
// HTTP/2 codec (RFC 9113) on nghttp2's framing, both roles: bytes <-> events; no sockets, no clock.
// dp_h2_feed takes what came from the peer, dp_h2_ready gives the streams that have news, events
// are pulled from a stream, dp_h2_pump gives what is to be sent. Nothing calls back, so that any
// function may be called from any place.
//
// Flow control: the window of a stream is credited when an event is taken from it, never before,
// so that a receiver which stops taking stops the sender, and a stream holds at most its window.
//
// A message that breaks the rules of h2_head.h or of its Content-Length costs its stream
// (RST_STREAM PROTOCOL_ERROR); a peer that breaks framing, or that is over a budget of h2.c, costs
// the connection (GOAWAY). The other streams of a connection do not notice the former.
#ifndef DP_CODEC_H2_H
#define DP_CODEC_H2_H

#include "dataplane/dp_types.h"
#include "shared/buf.h"

// Streams of one connection at once, either role. More are answered REFUSED_STREAM, and the others
// go on (RFC 9113 5.1.2).
#define DP_H2_STREAMS_MAX 128
// Of a stream: over 40 ms a sender reaches 3 MB/s, and a stream that nobody takes from holds no
// more than an HTTP/1.1 connection does in its queue and the kernel's.
#define DP_H2_WINDOW_BYTES (128 * 1024)
// Of a connection: 64 streams may stand still before the others feel it; all its streams together
// hold no more than this.
#define DP_H2_CONN_WINDOW_BYTES (64 * DP_H2_WINDOW_BYTES)
// A stream's queue of DATA to be sent: two frames. The connection's own queue comes behind it.
#define DP_H2_QUEUE_HIGH (32 * 1024)
#define DP_H2_QUEUE_LOW (8 * 1024)
// SETTINGS of ours that are not acknowledged: SETTINGS_TIMEOUT.
#define DP_H2_SETTINGS_MS 10000

// RFC 9113 7; the ones that owners use.
#define DP_H2_NO_ERROR 0u
#define DP_H2_PROTOCOL_ERROR 1u
#define DP_H2_INTERNAL_ERROR 2u
#define DP_H2_REFUSED_STREAM 7u
#define DP_H2_CANCEL 8u
#define DP_H2_ENHANCE_YOUR_CALM 11u

// "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n": what a client sends first.
#define DP_H2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define DP_H2_PREFACE_BYTES (sizeof(DP_H2_PREFACE) - 1)

enum dp_h2_role { DP_H2_SERVER, DP_H2_CLIENT };
struct dp_h2_conf {
    enum dp_h2_role role;
    bool is_https; // client: the scheme of its requests
};
struct dp_h2;        // a connection's session
struct dp_h2_stream; // one request and its answer

// --- the connection ----------------------------------------------------------------------------

struct dp_h2 *dp_h2_new(const struct dp_h2_conf *conf, int64_t now_ms);
// Every stream that was given out or opened has been released.
void dp_h2_free(struct dp_h2 *h);

// Takes all of bytes, which lie in slab. Bodies are kept by reference to it. An error is the end of
// the connection: pump once more (it may hold a GOAWAY), then close.
enum gw_rc dp_h2_feed(struct dp_h2 *h, struct gw_slab *slab, struct gw_str bytes, int64_t now_ms,
                      struct gw_err *err) GW_MUST_USE;
// Time passes: also where nothing is fed (once a second is enough). Same errors.
enum gw_rc dp_h2_tick(struct dp_h2 *h, int64_t now_ms, struct gw_err *err) GW_MUST_USE;
// The next stream with news, NULL: none. Each is given once; dp_h2_owner is NULL for a new one (a
// server's), which is the caller's to release from here on.
struct dp_h2_stream *dp_h2_ready(struct dp_h2 *h);
bool dp_h2_has_ready(const struct dp_h2 *h);
void dp_h2_again(struct dp_h2_stream *s); // ready once more, behind those that are
// For the end of a connection: each stream that is not released, once; also those that nobody has
// heard of (their owner is NULL), which are the caller's to release as well. NULL: there are no
// more.
struct dp_h2_stream *dp_h2_next_lost(struct dp_h2 *h);
// Why the connection ended by the peer's doing; NULL: it did not.
const struct gw_err *dp_h2_why(const struct dp_h2 *h);
// Appends frames to out until it holds at least `high` bytes or there are no more. Call it behind
// feed, behind whatever was sent, and when the socket drained; then look for news again.
void dp_h2_pump(struct dp_h2 *h, struct gw_buf *out, size_t high);
bool dp_h2_wants_pump(const struct dp_h2 *h); // frames wait
// Nothing will be read or written any more (after GOAWAY either way): close once all is flushed.
bool dp_h2_is_over(const struct dp_h2 *h);
unsigned dp_h2_streams(const struct dp_h2 *h); // not released, or released with bytes to send

// Drain (RFC 9113 6.8): first `dp_h2_drain`, which asks the peer to open no more; a round trip
// later `dp_h2_goaway`; once that is pumped new streams are ignored. Those that are open go on.
void dp_h2_drain(struct dp_h2 *h);
void dp_h2_goaway(struct dp_h2 *h, uint32_t code);
bool dp_h2_peer_is_going(const struct dp_h2 *h); // the peer sent GOAWAY
void dp_h2_ping(struct dp_h2 *h);
unsigned dp_h2_pongs(const struct dp_h2 *h); // answers to dp_h2_ping so far

// --- a stream: receiving -----------------------------------------------------------------------

void *dp_h2_owner(const struct dp_h2_stream *s);
void dp_h2_set_owner(struct dp_h2_stream *s, void *owner);
uint32_t dp_h2_stream_id(const struct dp_h2_stream *s);

// GW_OK: *ret in the order of dp_ev_type; heads and trailers live in the stream's arena (a
// server's: until release; a client's: as given to open). For DATA, *ret_owner is a new reference
// of the slab that ret->data borrows from, and the bytes are credited to the peer. GW_AGAIN:
// nothing more now. Else as dp_h2_error.
enum gw_rc dp_h2_next_event(struct dp_h2_stream *s, struct dp_ev *ret, struct gw_slab **ret_owner,
                            struct gw_err *err) GW_MUST_USE;
// Why the stream is broken; NULL: it is not. GW_CANCELLED: reset by the peer. GW_ERR_INPUT with
// code 400 (a server's) or GW_ERR_UPSTREAM: the peer's message is malformed or was cut; the stream
// is reset already. Other codes (414, 417, 431, 501; a server's): nothing but an answer is due.
// GW_ERR_LIMIT without a code (a server's): one more than DP_H2_STREAMS_MAX, and reset already.
// retryable: the peer did not look at the request.
const struct gw_err *dp_h2_error(const struct dp_h2_stream *s);
// A server's: the request's head where it could be decoded, whatever became of the stream; until
// release. NULL: it was malformed, or did not come to its end.
struct dp_head *dp_h2_request(const struct dp_h2_stream *s);
bool dp_h2_is_closed(const struct dp_h2_stream *s); // nothing can be sent or received any more

// --- a stream: sending -------------------------------------------------------------------------
// Each is quietly dropped where the stream is closed.

// A client's. GW_ERR_UPSTREAM (retryable): dp_h2_may_open is false. head and arena are borrowed
// until release; no head is encoded before the next send, end, pump or release.
enum gw_rc dp_h2_open(struct dp_h2 *h, const struct dp_head *head, struct gw_arena *arena,
                      struct dp_h2_stream **ret, struct gw_err *err) GW_MUST_USE;
bool dp_h2_may_open(const struct dp_h2 *h);
// A client's: the peer's SETTINGS came, so it speaks HTTP/2; how many streams it takes at once.
bool dp_h2_has_settings(const struct dp_h2 *h);
unsigned dp_h2_places(const struct dp_h2 *h);
// A server's: once, after any interim ones. head as above. A head that turns out to be all there is
// goes out as one frame with END_STREAM (gRPC's trailers-only answers need that).
void dp_h2_send_interim(struct dp_h2_stream *s, const struct dp_head *head);
void dp_h2_send_head(struct dp_h2_stream *s, const struct dp_head *head);
// Takes all of data; slices without a slab are copied.
void dp_h2_send_data(struct dp_h2_stream *s, struct gw_buf *data);
void dp_h2_send_end(struct dp_h2_stream *s, const struct dp_fields *trailers); // NULL: none
size_t dp_h2_queued(const struct dp_h2_stream *s);
// True where the owner must stop feeding; the stream becomes ready once it drained, which
// dp_h2_has_drained tells once.
bool dp_h2_is_full(struct dp_h2_stream *s);
bool dp_h2_has_drained(struct dp_h2_stream *s);
// RST_STREAM; what is queued is dropped.
void dp_h2_reset(struct dp_h2_stream *s, uint32_t code);
// The owner is done. What was sent to its end still goes out (and a peer that is still sending is
// told RST_STREAM NO_ERROR behind it, RFC 9113 8.1); a stream without an end is reset with CANCEL.
// Heads in a server's arena are gone.
void dp_h2_release(struct dp_h2_stream *s);
// Released streams that still have bytes to send, of which not a KiB moved since the last call, are
// reset: call it as often as a reader may stand still.
void dp_h2_reap(struct dp_h2 *h);

#endif
