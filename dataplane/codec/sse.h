// SPDX-License-Identifier: Apache-2.0
// Server-sent events (WHATWG HTML 9.2): bytes in any pieces -> events. Lines end in LF, CR or CRLF.
// The raw bytes of an event (all its lines, comments before it, and the blank line) can be passed
// on as they came; data is also given joined, as a client would see it.
#ifndef DP_CODEC_SSE_H
#define DP_CODEC_SSE_H

#include "shared/str.h"

// Largest event that is looked into; a longer one is GW_ERR_LIMIT.
#define DP_SSE_EVENT_BYTES_MAX (4u << 20)

struct dp_sse_event {
    struct gw_str raw;  // every byte since the last event, to the end of the blank line
    struct gw_str data; // "data:" lines joined by LF; ptr NULL where there was none (comments only)
    struct gw_str name; // of "event:", empty where none
};
// Members are private. Zero-initialised is valid. Buffers are kept only while an event is cut by
// the end of the input.
struct dp_sse {
    struct gw_text held;   // an event that has not ended yet
    struct gw_text joined; // data of several lines
    bool given;            // what is held was given out and may go
    bool started;
};
void dp_sse_fini(struct dp_sse *s);
// Takes *ret_used bytes. GW_OK: *ret is an event; its strings live until the next call (and as long
// as `in`). GW_AGAIN: all taken, no event complete. A UTF-8 byte order mark at the start is skipped
// in names and data, not in raw. Where the input is cut inside the CRLF of a blank line, the LF is
// the raw of an event of its own, without data.
enum gw_rc dp_sse_feed(struct dp_sse *s, struct gw_str in, size_t *ret_used,
                       struct dp_sse_event *ret, struct gw_err *err) GW_MUST_USE;
// At the end of the stream: bytes of an event that never ended (empty: none).
struct gw_str dp_sse_rest(const struct dp_sse *s);

#endif
