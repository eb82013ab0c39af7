// SPDX-License-Identifier: Apache-2.0
// What the HTTP/1.1 decoder says about a byte stream, as one text: two ways to cut the stream must
// give equal texts. Used by unit tests and by the fuzz target.
#ifndef TEST_UNIT_DATAPLANE_CODEC_H1_TRANSCRIPT_H
#define TEST_UNIT_DATAPLANE_CODEC_H1_TRANSCRIPT_H

#include "dataplane/codec/h1.h"

#include <stdlib.h>

#define H1_WHOLE ((size_t)0)
#define H1_BYTEWISE SIZE_MAX
#define H1_ARENA_BYTES_MAX ((size_t)1 << 20)

struct h1_stream {
    enum dp_h1_role role;
    bool answers_head;
    bool may_upgrade; // the answers are to requests that ask for it
    struct gw_str bytes;
    // Called with each head, where one is wanted. until: offset one past the head in bytes.
    void (*on_head)(void *arg, const struct dp_head *head, bool is_interim, size_t until);
    void (*on_data)(void *arg, struct gw_str data);
    void (*on_end)(void *arg, size_t until);
    void *arg;
};

static inline void h1_say_str(struct gw_text *out, const char *key, struct gw_str s) {
    gw_text_addf(out, " %s=%s%zu:", key, s.ptr ? "" : "none", s.len);
    if (s.len) gw_text_add(out, s.ptr, s.len);
}

static inline void h1_say_fields(struct gw_text *out, const struct dp_fields *f) {
    for (unsigned i = 0; i < f->len; i++) {
        gw_text_addf(out, "\n  %d", f->ptr[i].id);
        h1_say_str(out, "name", f->ptr[i].name);
        h1_say_str(out, "value", f->ptr[i].value);
    }
}

static inline void h1_say_head(struct gw_text *out, const struct dp_head *h) {
    gw_text_addf(out, " method=%d", h->method);
    h1_say_str(out, "text", h->method_text);
    h1_say_str(out, "target", h->target);
    h1_say_str(out, "path", h->path);
    h1_say_str(out, "query", h->query);
    h1_say_str(out, "authority", h->authority);
    h1_say_str(out, "host", h->host);
    gw_text_addf(out, " status=%d", h->status);
    h1_say_str(out, "reason", h->reason);
    gw_text_addf(out, " minor=%u chunked=%d close=%d length=%lld keep=%d upgrade=%d expect=%d",
                 h->minor_version, h->chunked, h->until_close, (long long)h->content_length,
                 h->keep_alive, h->upgrade, h->expect_continue);
    h1_say_fields(out, &h->fields);
}

// One decoder over one stream.
struct h1_run {
    const struct h1_stream *s;
    struct gw_text *out;
    struct dp_h1_decoder decoder;
    struct gw_arena arena;
    size_t at; // in the stream
    bool in_data, keep_alive, stopped;
};

static inline void h1_start(struct h1_run *r) {
    dp_h1_decoder_start(&r->decoder, &r->arena, r->s->answers_head);
    if (r->s->may_upgrade) dp_h1_decoder_allow_upgrade(&r->decoder);
}

static inline void h1_on_event(struct h1_run *r, const struct dp_ev *ev) {
    if (ev->type != DP_EV_DATA && r->in_data) gw_text_adds(r->out, "\n");
    switch (ev->type) {
    case DP_EV_HEAD:
    case DP_EV_INTERIM:
        r->keep_alive = ev->head->keep_alive;
        gw_text_adds(r->out, ev->type == DP_EV_HEAD ? "head" : "interim");
        h1_say_head(r->out, ev->head);
        gw_text_adds(r->out, "\n");
        if (r->s->on_head) {
            r->s->on_head(r->s->arg, ev->head, ev->type == DP_EV_INTERIM, r->at);
        }
        break;
    case DP_EV_DATA:
        GW_ASSERT(ev->data.len > 0);
        if (!r->in_data) gw_text_adds(r->out, "data ");
        gw_text_add(r->out, ev->data.ptr, ev->data.len);
        if (r->s->on_data) r->s->on_data(r->s->arg, ev->data);
        break;
    case DP_EV_TRAILERS:
        gw_text_adds(r->out, "trailers");
        h1_say_fields(r->out, ev->trailers);
        gw_text_adds(r->out, "\n");
        break;
    case DP_EV_END:
        gw_text_addf(r->out, "end at %zu\n", r->at);
        if (r->s->on_end) r->s->on_end(r->s->arg, r->at);
        r->stopped = !r->keep_alive;
        gw_arena_reset(&r->arena);
        h1_start(r);
        break;
    }
    r->in_data = ev->type == DP_EV_DATA;
}

static inline void h1_on_error(struct h1_run *r, const struct gw_err *err) {
    if (r->in_data) gw_text_adds(r->out, "\n");
    gw_text_addf(r->out, "error %s %d %s\n", gw_rc_name(err->rc), err->code, err->text);
    r->stopped = true;
}

// A copy, so that a sanitizer sees a byte too many.
static inline void h1_feed(struct h1_run *r, struct gw_str piece) {
    char *copy = gw_alloc(piece.len ? piece.len : 1);
    if (piece.len) memcpy(copy, piece.ptr, piece.len);
    struct gw_str in = {copy, piece.len};
    while (!r->stopped) {
        size_t used = 0;
        struct dp_ev ev;
        struct gw_err err = {0};
        enum gw_rc rc = dp_h1_decode(&r->decoder, in, &used, &ev, &err);
        if (rc != GW_OK && rc != GW_AGAIN) {
            h1_on_error(r, &err);
            break;
        }
        GW_ASSERT(used <= in.len && (rc == GW_OK || used == in.len));
        in = (struct gw_str){in.ptr + used, in.len - used};
        r->at += used;
        if (rc == GW_AGAIN) break;
        h1_on_event(r, &ev);
    }
    free(copy);
}

static inline void h1_eof(struct h1_run *r) {
    struct dp_ev ev;
    struct gw_err err = {0};
    enum gw_rc rc = dp_h1_decode_eof(&r->decoder, &ev, &err);
    if (rc == GW_OK) {
        h1_on_event(r, &ev);
    } else if (rc == GW_EOF) {
        gw_text_adds(r->out, "eof\n");
    } else {
        h1_on_error(r, &err);
    }
}

static inline void h1_begin(struct h1_run *r) {
    gw_text_reset(r->out);
    gw_arena_init(&r->arena, NULL, 0, H1_ARENA_BYTES_MAX);
    dp_h1_decoder_init(&r->decoder, r->s->role);
    h1_start(r);
}

static inline void h1_finish(struct h1_run *r) {
    if (!r->stopped) h1_eof(r);
    dp_h1_decoder_fini(&r->decoder);
    gw_arena_fini(&r->arena);
}

// cut: H1_WHOLE, H1_BYTEWISE, or where the first piece ends. out is reset.
static inline void h1_transcript(const struct h1_stream *s, size_t cut, struct gw_text *out) {
    struct h1_run r = {.s = s, .out = out};
    h1_begin(&r);
    size_t at = 0;
    while (at < s->bytes.len && !r.stopped) {
        size_t n = s->bytes.len - at;
        if (cut == H1_BYTEWISE) n = 1;
        if (cut > at && cut < s->bytes.len) n = cut - at;
        h1_feed(&r, (struct gw_str){s->bytes.ptr + at, n});
        at += n;
    }
    h1_finish(&r);
}

// A split_text_fn (test/unit/shared/split.h); arg is a struct h1_stream, whose bytes are not used.
static inline void h1_transcript_of_pieces(void *arg, const struct gw_str *pieces, size_t n,
                                           struct gw_text *out) {
    struct h1_run r = {.s = arg, .out = out};
    h1_begin(&r);
    for (size_t i = 0; i < n && !r.stopped; i++)
        h1_feed(&r, pieces[i]);
    h1_finish(&r);
}

// --- encode what was decoded, decode it again ---------------------------------------------------

// Clears what an encoder rightly changes: the version, and what is of one connection.
static inline void h1_settle(struct dp_head *h, bool is_interim) {
    h->minor_version = 1;
    h->expect_continue = false;
    if (h->upgrade) h->keep_alive = !h->status; // neither is said
    if (is_interim) h->keep_alive = true;
    if (h->status && h->reason.len == 0) h->reason = gw_str_of(dp_h1_reason(h->status));
    if (!h->status && h->authority.len == 0) h->authority = h->host = GW_STR("unnamed");
}

static inline bool h1_encodes_back(const struct dp_head *head, bool is_interim, bool answers_head,
                                   struct gw_text *was, struct gw_text *is) {
    struct dp_head before = *head;
    struct gw_arena arena;
    struct dp_h1_decoder d;
    struct dp_ev ev = {0};
    size_t used = 0;
    h1_settle(&before, is_interim);
    gw_arena_init(&arena, NULL, 0, H1_ARENA_BYTES_MAX);
    struct gw_str bytes = head->status ? dp_h1_encode_response(&before, 1, &arena)
                                       : dp_h1_encode_request(&before, &arena);
    gw_text_reset(was);
    gw_text_reset(is);
    h1_say_head(was, &before);
    dp_h1_decoder_init(&d, head->status ? DP_H1_RESPONSES : DP_H1_REQUESTS);
    dp_h1_decoder_start(&d, &arena, answers_head);
    if (head->upgrade) dp_h1_decoder_allow_upgrade(&d);
    struct gw_err err = {0};
    enum gw_rc rc = dp_h1_decode(&d, bytes, &used, &ev, &err);
    if (rc == GW_OK && ev.head) {
        h1_settle(ev.head, is_interim);
        h1_say_head(is, ev.head);
    } else {
        gw_text_addf(is, "refused: %s", err.text);
    }
    bool is_same = used == bytes.len && gw_str_eq(gw_text_str(was), gw_text_str(is));
    dp_h1_decoder_fini(&d);
    gw_arena_fini(&arena);
    return is_same;
}

#endif
