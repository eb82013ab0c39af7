// SPDX-License-Identifier: Apache-2.0
// The HTTP/2 codec on any bytes, as server and as client: whatever comes, nothing breaks, what is
// accepted is a head that HTTP/1.1 can say in the same words, and nothing is left behind. The first
// byte chooses the role and how the bytes are cut.
#include "test/unit/dataplane/codec/h2_pair.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STREAMS 4

struct run {
    struct dp_h2 *h;
    struct gw_arena arena;
    struct dp_head ask, answer;
    struct dp_h2_stream *streams[STREAMS];
    struct gw_text was, is;
    bool answers_head;
};

// A head that came through is one that the HTTP/1.1 codec reads back as it was.
static void check_head(struct run *f, const struct dp_head *head, bool is_interim) {
    struct dp_head h = *head;
    h.te_trailers = false; // TE is between two hops
    if (h.status && !h.chunked && h.content_length < 0) h.content_length = 0; // END_STREAM
    if (h.status == 204 || is_interim) h.content_length = -1;
    GW_ASSERT(h1_encodes_back(&h, is_interim, f->answers_head, &f->was, &f->is));
}

static void take(struct run *f, struct dp_h2_stream *s) {
    struct dp_ev ev;
    struct gw_slab *owner;
    enum gw_rc rc;
    while ((rc = dp_h2_next_event(s, &ev, &owner, NULL)) == GW_OK) {
        if (ev.type == DP_EV_HEAD || ev.type == DP_EV_INTERIM)
            check_head(f, ev.head, ev.type == DP_EV_INTERIM);
        GW_ASSERT((ev.type == DP_EV_DATA) == (owner != NULL));
        gw_slab_unref(owner);
    }
    GW_ASSERT((rc == GW_AGAIN) == (dp_h2_error(s) == NULL));
}

// As a server: answers some, lets others go in the middle.
static void on_ready(struct run *f, struct dp_h2_stream *s, bool is_server) {
    take(f, s);
    if (!is_server) return;
    if (!dp_h2_owner(s)) {
        dp_h2_set_owner(s, f);
        dp_h2_send_head(s, &f->answer);
        struct gw_buf b = {0};
        gw_buf_push(&b, NULL, "body", 4);
        dp_h2_send_data(s, &b);
        if (dp_h2_stream_id(s) % 4 == 1) dp_h2_send_end(s, NULL);
    }
    if (dp_h2_stream_id(s) % 8 != 3 || dp_h2_is_closed(s)) {
        dp_h2_release(s);
    } else {
        for (size_t i = 0; i < STREAMS; i++) {
            if (f->streams[i] == s) return;
            if (f->streams[i]) continue;
            f->streams[i] = s;
            return;
        }
        dp_h2_release(s);
    }
}

static void forget(struct run *f, const struct dp_h2_stream *s) {
    for (size_t i = 0; i < STREAMS; i++) {
        if (f->streams[i] == s) f->streams[i] = NULL;
    }
}

static void feed(struct run *f, struct gw_str bytes, size_t step, bool is_server) {
    struct gw_buf out = {0};
    int64_t now_ms = H2_NOW;
    enum gw_rc rc = GW_OK;
    while (bytes.len && rc == GW_OK) {
        size_t n = bytes.len < step ? bytes.len : step;
        rc = h2_feed(f->h, (struct gw_str){bytes.ptr, n}, 0, now_ms++, NULL);
        bytes = (struct gw_str){bytes.ptr + n, bytes.len - n};
        for (struct dp_h2_stream *s; (s = dp_h2_ready(f->h));) {
            if (is_server && dp_h2_is_closed(s)) forget(f, s);
            on_ready(f, s, is_server);
        }
        dp_h2_pump(f->h, &out, 1 << 20);
        gw_buf_fini(&out);
    }
    for (struct dp_h2_stream *s; (s = dp_h2_ready(f->h));) {
        if (!is_server) continue;
        forget(f, s);
        dp_h2_release(s);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) return 0;
    bool is_server = !(data[0] & 1);
    size_t step = data[0] & 2 ? 1 + (size_t)(data[0] >> 2) : SIZE_MAX;
    struct run f = {.answers_head = !is_server && data[0] & 0x80,
                    .answer = {.status = 200, .content_length = -1}};
    gw_arena_init(&f.arena, NULL, 0, H1_ARENA_BYTES_MAX);
    f.ask = (struct dp_head){.method = f.answers_head ? DP_METHOD_HEAD : DP_METHOD_GET,
                             .method_text = f.answers_head ? GW_STR("HEAD") : GW_STR("GET"),
                             .target = GW_STR("/"),
                             .authority = GW_STR("a"),
                             .content_length = -1};
    f.h = dp_h2_new(&(struct dp_h2_conf){.role = is_server ? DP_H2_SERVER : DP_H2_CLIENT}, H2_NOW);
    for (size_t i = 0; !is_server && i < STREAMS; i++) {
        struct gw_err err;
        if (dp_h2_open(f.h, &f.ask, &f.arena, &f.streams[i], &err) != GW_OK) abort();
        dp_h2_send_end(f.streams[i], NULL);
    }
    struct gw_buf out = {0};
    dp_h2_pump(f.h, &out, SIZE_MAX);
    gw_buf_fini(&out);
    feed(&f, (struct gw_str){(const char *)data + 1, size - 1}, step, is_server);
    for (size_t i = 0; i < STREAMS; i++) {
        if (f.streams[i]) dp_h2_release(f.streams[i]);
    }
    dp_h2_free(f.h);
    gw_arena_fini(&f.arena);
    gw_text_fini(&f.was);
    gw_text_fini(&f.is);
    GW_ASSERT(gw_slab_in_use() == 0);
    return 0;
}
