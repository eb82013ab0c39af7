// SPDX-License-Identifier: Apache-2.0
// Helpers for tests of the HTTP/2 codec: frames and field sections made by hand, feeding in pieces,
// and what a stream says, as one text. Used by unit tests and by the fuzz target.
#ifndef TEST_UNIT_DATAPLANE_CODEC_H2_PAIR_H
#define TEST_UNIT_DATAPLANE_CODEC_H2_PAIR_H

#include "test/unit/dataplane/codec/h1_transcript.h"

#include "dataplane/codec/h2.h"

#include <nghttp2/nghttp2.h>

#define H2_NOW 1000

// --- frames ------------------------------------------------------------------------------------

static inline void h2_frame(struct gw_text *out, unsigned type, unsigned flags, uint32_t id,
                            const void *payload, size_t n) {
    uint8_t head[9] = {(uint8_t)(n >> 16),  (uint8_t)(n >> 8),  (uint8_t)n,
                       (uint8_t)type,       (uint8_t)flags,     (uint8_t)(id >> 24),
                       (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id};
    gw_text_add(out, head, sizeof(head));
    if (n) gw_text_add(out, payload, n);
}

static inline void h2_frame_u32(struct gw_text *out, unsigned type, uint32_t id, uint32_t value) {
    uint8_t p[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                    (uint8_t)value};
    h2_frame(out, type, 0, id, p, sizeof(p));
}

// The preface, SETTINGS, and the acknowledgement of the server's.
static inline void h2_hello(struct gw_text *out) {
    gw_text_add(out, DP_H2_PREFACE, DP_H2_PREFACE_BYTES);
    h2_frame(out, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
    h2_frame(out, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, NULL, 0);
}

// "name value" a line; literals that enter no table, so that sections are independent.
static inline void h2_section(struct gw_text *out, const char *lines) {
    struct gw_str rest = gw_str_of(lines);
    while (rest.len) {
        struct gw_str value = gw_str_cut(&rest, '\n');
        struct gw_str name = gw_str_cut(&value, ' ');
        GW_ASSERT(name.len < 127 && value.len < 16384);
        uint8_t p[4] = {0x00, (uint8_t)name.len};
        gw_text_add(out, p, 2);
        gw_text_add(out, name.ptr, name.len);
        if (value.len < 127) {
            p[0] = (uint8_t)value.len;
            gw_text_add(out, p, 1);
        } else {
            size_t n = value.len - 127;
            p[0] = 127, p[1] = (uint8_t)(n & 127) | 128, p[2] = (uint8_t)(n >> 7);
            gw_text_add(out, p, 3);
        }
        if (value.len) gw_text_add(out, value.ptr, value.len);
    }
}

static inline void h2_headers(struct gw_text *out, uint32_t id, const char *lines, bool ends) {
    struct gw_text section = {0};
    h2_section(&section, lines);
    h2_frame(out, NGHTTP2_HEADERS,
             NGHTTP2_FLAG_END_HEADERS | (ends ? (unsigned)NGHTTP2_FLAG_END_STREAM : 0u), id,
             section.ptr, section.len);
    gw_text_fini(&section);
}

static inline void h2_data(struct gw_text *out, uint32_t id, const char *text, bool ends) {
    h2_frame(out, NGHTTP2_DATA, ends ? NGHTTP2_FLAG_END_STREAM : 0, id, text, strlen(text));
}

// The n-th frame (from 0) of that type and stream in bytes: its first four bytes of payload (eight
// in: for GOAWAY, the code). -1: there is none.
static inline int64_t h2_find(struct gw_str bytes, unsigned type, uint32_t id, unsigned nth) {
    const uint8_t *p = (const uint8_t *)bytes.ptr, *end = p + bytes.len;
    while (end - p >= 9) {
        size_t n = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
        uint32_t its = (uint32_t)p[5] << 24 | (uint32_t)p[6] << 16 | (uint32_t)p[7] << 8 | p[8];
        size_t at = type == NGHTTP2_GOAWAY ? 4 : 0;
        if (p[3] == type && its == id && nth-- == 0) {
            if (n < at + 4) return 0;
            const uint8_t *v = p + 9 + at;
            return (int64_t)v[0] << 24 | (int64_t)v[1] << 16 | (int64_t)v[2] << 8 | v[3];
        }
        p += 9 + n;
    }
    return -1;
}

// --- feeding -----------------------------------------------------------------------------------

// In pieces of step bytes (0: as large as a slab), each in a slab of its own.
static inline enum gw_rc h2_feed(struct dp_h2 *h, struct gw_str bytes, size_t step, int64_t now_ms,
                                 struct gw_err *err) {
    enum gw_rc rc = GW_OK;
    if (step == 0 || step > GW_SLAB_BYTES) step = GW_SLAB_BYTES;
    while (bytes.len && rc == GW_OK) {
        size_t n = bytes.len < step ? bytes.len : step;
        struct gw_slab *slab = gw_slab_get();
        memcpy(slab->data, bytes.ptr, n);
        slab->used = (unsigned)n;
        rc = dp_h2_feed(h, slab, (struct gw_str){slab->data, n}, now_ms, err);
        gw_slab_unref(slab);
        bytes = (struct gw_str){bytes.ptr + n, bytes.len - n};
    }
    return rc;
}

// What h has to send, appended to out.
static inline void h2_drain_into(struct dp_h2 *h, struct gw_text *out) {
    struct gw_buf buf = {0};
    dp_h2_pump(h, &buf, SIZE_MAX);
    for (const struct gw_buf_node *n = buf.head; n; n = n->next)
        gw_text_add(out, n->slice.ptr, n->slice.len);
    gw_buf_fini(&buf);
}

// All that `from` has to say to `to`. Returns the bytes.
static inline size_t h2_move(struct dp_h2 *from, struct dp_h2 *to, size_t step) {
    struct gw_text wire = {0};
    struct gw_err err;
    h2_drain_into(from, &wire);
    size_t n = wire.len;
    enum gw_rc rc = h2_feed(to, gw_text_str(&wire), step, H2_NOW, &err);
    GW_ASSERT(rc == GW_OK);
    gw_text_fini(&wire);
    return n;
}

// Until neither has anything to say.
static inline void h2_talk(struct dp_h2 *a, struct dp_h2 *b, size_t step) {
    while (h2_move(a, b, step) + h2_move(b, a, step) > 0)
        ;
}

// --- what streams say --------------------------------------------------------------------------

// Takes every event that is there; in_data carries on whether the last one was DATA.
static inline void h2_say(struct dp_h2_stream *s, struct gw_text *out, bool *in_data) {
    for (;;) {
        struct dp_ev ev;
        struct gw_slab *owner;
        struct gw_err err = {0};
        enum gw_rc rc = dp_h2_next_event(s, &ev, &owner, &err);
        if (rc == GW_AGAIN) return;
        if (*in_data && (rc != GW_OK || ev.type != DP_EV_DATA)) gw_text_adds(out, "\n");
        *in_data = false;
        if (rc != GW_OK) {
            gw_text_addf(out, "error %s %d %s\n", gw_rc_name(rc), err.code, err.text);
            return;
        }
        switch (ev.type) {
        case DP_EV_HEAD:
        case DP_EV_INTERIM:
            gw_text_adds(out, ev.type == DP_EV_HEAD ? "head" : "interim");
            h1_say_head(out, ev.head);
            gw_text_adds(out, "\n");
            break;
        case DP_EV_DATA:
            GW_ASSERT(ev.data.len > 0);
            gw_text_add(out, ev.data.ptr, ev.data.len);
            gw_slab_unref(owner);
            *in_data = true;
            break;
        case DP_EV_TRAILERS:
            gw_text_adds(out, "trailers");
            h1_say_fields(out, ev.trailers);
            gw_text_adds(out, "\n");
            break;
        case DP_EV_END:
            gw_text_adds(out, "end\n");
            break;
        }
    }
}

// A message that is refused, or not: head, up to two pieces of DATA, trailers.
struct h2_body_case {
    const char *head, *data[2]; // NULL: no more
    bool ends;
    const char *trailers;
    bool trailers_end;
    const char *why; // NULL: fine
};

#endif
