// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 codec (RFC 9112, RFC 9110): bytes <-> events; no sockets. Strict where leniency lets two
// parsers disagree. Refused: obs-fold, bare CR and LF, blanks before the colon, control bytes in
// names and values, repeated or conflicting Content-Length, Content-Length with Transfer-Encoding,
// any transfer coding but a single final "chunked", Transfer-Encoding in HTTP/1.0, bad chunk sizes,
// over-long chunk extensions, missing, repeated or malformed Host, bad request targets.
#ifndef DP_CODEC_H1_H
#define DP_CODEC_H1_H

#include "dataplane/dp_types.h"

// Caps and the status each ends in. A response's breach is GW_ERR_UPSTREAM with code 502.
#define DP_H1_HEAD_BYTES_MAX (32 * 1024)   // whole head: 431
#define DP_H1_TARGET_BYTES_MAX (8 * 1024)  // request target: 414
#define DP_H1_FIELDS_MAX 128               // 431
#define DP_H1_CHUNK_EXT_BYTES_MAX 256      // one chunk's extensions: 400
#define DP_H1_TRAILER_BYTES_MAX (8 * 1024) // 431
#define DP_H1_EMPTY_LINES_MAX 2            // before a request line (RFC 9112 2.2)
#define DP_H1_METHOD_BYTES_MAX 32          // 501
#define DP_H1_INTERIM_MAX 32               // 1xx heads before an answer

enum dp_h1_role { DP_H1_REQUESTS, DP_H1_RESPONSES };

// Fixed size, in the caller's memory; members are private. A head that arrives in one piece is
// copied once, into the arena; one that arrives in pieces is gathered in a buffer of its own
// (freed at its end or by fini).
struct dp_h1_decoder {
    enum dp_h1_role role;
    unsigned state;
    bool no_body;      // response to HEAD (or 1xx, 204, 304)
    bool may_upgrade;  // a 101 is no fault
    bool body_started; // HEAD was given out
    uint64_t left;     // of the body or the chunk
    uint64_t size;     // chunk size so far
    unsigned ext_bytes, digits, empty_lines, interims;
    // How far the gathered bytes have been searched for the end of the head, where the line there
    // begins and how many lines came before it.
    size_t scan, line;
    unsigned lines;
    struct gw_text gathered;
    struct gw_arena *arena;
    struct dp_head *head;
};

void dp_h1_decoder_init(struct dp_h1_decoder *d, enum dp_h1_role role);
void dp_h1_decoder_fini(struct dp_h1_decoder *d);
// Before each message. arena is borrowed until END. answers_head: this response answers HEAD.
void dp_h1_decoder_start(struct dp_h1_decoder *d, struct gw_arena *arena, bool answers_head);
// Before the first byte of an answer to a request with head->upgrade: its 101 is a HEAD, and what
// follows it is DATA until the peer closes.
void dp_h1_decoder_allow_upgrade(struct dp_h1_decoder *d);
// After the END of a request that was answered 101: what the client sends is DATA until it closes.
void dp_h1_decoder_tunnel(struct dp_h1_decoder *d);
// True between messages (nothing of the next one has been seen): the place where a peer may close.
bool dp_h1_decoder_idle(const struct dp_h1_decoder *d);

// Takes *ret_used bytes of in. GW_OK: *ret is one event. GW_AGAIN: all bytes were taken, more are
// needed. After END feed nothing before the next start. Errors: err->code is the status to answer
// (400, 414, 431, 501, 505; 502 for responses) and the text names the reason.
enum gw_rc dp_h1_decode(struct dp_h1_decoder *d, struct gw_str in, size_t *ret_used,
                        struct dp_ev *ret, struct gw_err *err) GW_MUST_USE;
// The peer closed. GW_OK with END for a body that ends so; GW_EOF between messages; GW_ERR_INPUT
// or GW_ERR_UPSTREAM ("the answer was cut after 812 of 2000 bytes") else.
enum gw_rc dp_h1_decode_eof(struct dp_h1_decoder *d, struct dp_ev *ret, struct gw_err *err)
    GW_MUST_USE;

// A head as bytes in the arena. The fields are head->fields; framing comes from head->chunked,
// head->content_length (as set by the caller: -1 and not chunked writes neither), Host from
// head->authority (requests), and `Connection: close` where keep_alive is false, or `Upgrade:
// websocket` where upgrade is set. A request is always written as HTTP/1.1. ptr NULL: the arena's
// cap.
struct gw_str dp_h1_encode_request(const struct dp_head *head, struct gw_arena *a);
// minor_version of the client: a 1.0 client that keeps the connection gets `Connection:
// keep-alive`.
struct gw_str dp_h1_encode_response(const struct dp_head *head, unsigned client_minor_version,
                                    struct gw_arena *a);
// "1a2b\r\n" into dst (at least DP_H1_CHUNK_HEAD_MAX bytes); returns its length. n > 0.
#define DP_H1_CHUNK_HEAD_MAX 20
size_t dp_h1_encode_chunk_head(char *dst, uint64_t n);
// "0\r\n" trailers "\r\n".
struct gw_str dp_h1_encode_last_chunk(const struct dp_fields *trailers, struct gw_arena *a);
const char *dp_h1_reason(int status); // "Not Found"; "" where unknown

#endif
