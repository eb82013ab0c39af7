// SPDX-License-Identifier: Apache-2.0
// What comes from the peer, on its way to nghttp2: frame by frame, so that each is judged by what
// stands at that moment; and the budgets of a peer. nghttp2 tells of most frames, but not of those
// that it skips.
#include "dataplane/codec/h2_internal.h"

// Frames that move nothing: a burst, and how many a second go on for ever.
#define IDLE_FRAMES_BURST 400
#define IDLE_FRAMES_PER_S 100
// Streams that come to nothing: a page or an agent that is closed cancels all it has open, twice;
// what goes on for ever is more than any of them does. (CVE-2023-44487, CVE-2025-8671)
#define LOST_STREAMS_BURST 256
#define LOST_STREAMS_PER_S 20
// Streams that are refused: a client that opens all it has before it knows the limit, or counts
// badly, and tries again at once some times. Each costs a head and a line of the log.
#define SURPLUS_STREAMS_BURST (8 * DP_H2_STREAMS_MAX)
#define SURPLUS_STREAMS_PER_S DP_H2_STREAMS_MAX

#define FRAME_HEAD_BYTES 9

void dp_h2_feed_init(struct dp_h2 *h) {
    h->preface_left = h->conf.role == DP_H2_SERVER ? DP_H2_PREFACE_BYTES : 0;
    dp_h2_bucket_init(&h->idle_frames, IDLE_FRAMES_BURST, IDLE_FRAMES_PER_S, h->now_ms);
    dp_h2_bucket_init(&h->lost_streams, LOST_STREAMS_BURST, LOST_STREAMS_PER_S, h->now_ms);
    dp_h2_bucket_init(&h->surplus_streams, SURPLUS_STREAMS_BURST, SURPLUS_STREAMS_PER_S, h->now_ms);
}

void dp_h2_end_connection(struct dp_h2 *h, uint32_t code, const char *text) {
    if (h->why.rc != GW_OK) return;
    gw_err_set(&h->why, GW_ERR_LIMIT, 0, "%s", text);
    nghttp2_session_terminate_session(h->session, code);
}

// --- budgets -----------------------------------------------------------------------------------

static bool moves_nothing(const nghttp2_frame_hd *hd) {
    switch (hd->type) {
    case NGHTTP2_DATA:
        return !(hd->flags & NGHTTP2_FLAG_END_STREAM) &&
               (hd->length == 0 || hd->flags & NGHTTP2_FLAG_PADDED);
    case NGHTTP2_HEADERS:
        return false;
    case NGHTTP2_CONTINUATION:
        return hd->length == 0;
    default:
        return true;
    }
}

// A message's frame for a client's stream that is not there (any more). nghttp2 lets most pass.
static void judge_stray(struct dp_h2 *h, const nghttp2_frame_hd *hd) {
    uint32_t id = (uint32_t)hd->stream_id;
    bool is_new = hd->type == NGHTTP2_HEADERS && id > h->last_id;
    if (is_new) h->last_id = id;
    if (is_new || id > h->last_id || id % 2 == 0 || h->is_going) return;
    if (nghttp2_session_find_stream(h->session, hd->stream_id)) return;
    switch (dp_h2_past_find(&h->past, id)) {
    case DP_H2_PAST_RESET:
        return;
    case DP_H2_PAST_CLOSED:
        dp_h2_end_connection(h, NGHTTP2_STREAM_CLOSED, "a frame for a stream that is closed");
        return;
    case DP_H2_PAST_UNKNOWN:
        dp_h2_end_connection(h, NGHTTP2_PROTOCOL_ERROR,
                             "a stream with a number that was passed by");
        return;
    }
}

static void judge(struct dp_h2 *h, const nghttp2_frame_hd *hd) {
    bool is_message = hd->type == NGHTTP2_HEADERS || hd->type == NGHTTP2_DATA;
    if (is_message && h->conf.role == DP_H2_SERVER) judge_stray(h, hd);
    if (moves_nothing(hd)) {
        if (!dp_h2_bucket_take(&h->idle_frames, h->now_ms)) {
            dp_h2_end_connection(h, NGHTTP2_ENHANCE_YOUR_CALM, "too many frames that move nothing");
        }
    } else if (hd->type == NGHTTP2_HEADERS) {
        dp_h2_bucket_add(&h->idle_frames, DP_H2_IDLE_FRAMES_EARNED);
    }
}

void dp_h2_lose_stream(struct dp_h2 *h, const char *text) {
    if (h->conf.role != DP_H2_SERVER) return;
    if (!dp_h2_bucket_take(&h->lost_streams, h->now_ms)) {
        dp_h2_end_connection(h, NGHTTP2_ENHANCE_YOUR_CALM, text);
    }
}

void dp_h2_refuse_stream(struct dp_h2_stream *s) {
    struct dp_h2 *h = s->h;
    struct gw_err err;
    gw_err_set(&err, GW_ERR_LIMIT, 0, "%d streams are open: REFUSED_STREAM", DP_H2_STREAMS_MAX);
    dp_h2_fail(s, NGHTTP2_REFUSED_STREAM, &err);
    s->by_owner = true; // it does not count as lost
    if (!dp_h2_bucket_take(&h->surplus_streams, h->now_ms))
        dp_h2_end_connection(h, NGHTTP2_ENHANCE_YOUR_CALM, "too many streams beyond the limit");
}

static enum gw_rc give_why(struct dp_h2 *h, struct gw_err *err) {
    if (h->why.rc == GW_OK) return GW_OK;
    if (err) *err = h->why;
    return h->why.rc;
}

enum gw_rc dp_h2_tick(struct dp_h2 *h, int64_t now_ms, struct gw_err *err) {
    h->now_ms = now_ms;
    if (!h->has_settings_ack && now_ms - h->settings_ms >= DP_H2_SETTINGS_MS) {
        dp_h2_end_connection(h, NGHTTP2_SETTINGS_TIMEOUT, "SETTINGS were not acknowledged in time");
    }
    return give_why(h, err);
}

// --- frames ------------------------------------------------------------------------------------

// False: nothing more is to be given to nghttp2.
static bool pass(struct dp_h2 *h, const char *p, size_t n) {
    if (n == 0) return true;
    ssize_t used = nghttp2_session_mem_recv(h->session, (const uint8_t *)p, n);
    if (used < 0) {
        h->is_dead = true;
        gw_err_set(&h->why, GW_ERR_INPUT, 400, "%s", nghttp2_strerror((int)used));
    }
    return h->why.rc == GW_OK;
}

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

// How many bytes at p are of what has begun: the preface, a payload, a part of a frame's head. Sets
// *ret_whole where that head is complete in h->frame_head.
static size_t skip(struct dp_h2 *h, const char *p, size_t n, bool *ret_whole) {
    size_t *left = h->preface_left ? &h->preface_left : &h->payload_left;
    *ret_whole = false;
    if (*left) {
        n = least(n, *left);
        *left -= n;
        return n;
    }
    n = least(n, FRAME_HEAD_BYTES - h->frame_head_n);
    memcpy(h->frame_head + h->frame_head_n, p, n);
    h->frame_head_n += n;
    *ret_whole = h->frame_head_n == FRAME_HEAD_BYTES;
    return n;
}

static void on_frame_head(struct dp_h2 *h) {
    const uint8_t *p = h->frame_head;
    nghttp2_frame_hd hd = {.length = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2],
                           .type = p[3],
                           .flags = p[4],
                           .stream_id =
                               (int32_t)(((uint32_t)p[5] & 0x7f) << 24 | (uint32_t)p[6] << 16 |
                                         (uint32_t)p[7] << 8 | p[8])};
    h->frame_head_n = 0;
    h->payload_left = hd.length;
    judge(h, &hd);
}

enum gw_rc dp_h2_feed(struct dp_h2 *h, struct gw_slab *slab, struct gw_str bytes, int64_t now_ms,
                      struct gw_err *err) {
    GW_TRY(dp_h2_tick(h, now_ms, err));
    size_t passed = 0, at = 0;
    bool goes_on = true, is_whole;
    h->slab = slab;
    while (at < bytes.len && goes_on) {
        size_t begin = at;
        at += skip(h, bytes.ptr + at, bytes.len - at, &is_whole);
        if (!is_whole) continue;
        // What came before decides what this frame means.
        goes_on = pass(h, bytes.ptr + passed, begin - passed);
        passed = begin;
        if (goes_on) on_frame_head(h);
        goes_on = goes_on && h->why.rc == GW_OK;
    }
    if (goes_on) (void)pass(h, bytes.ptr + passed, bytes.len - passed);
    h->slab = NULL;
    return give_why(h, err);
}
