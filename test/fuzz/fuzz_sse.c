// SPDX-License-Identifier: Apache-2.0
// The event-stream parser on any bytes: whole, cut in two and byte by byte it finds the same
// events, and what it gives out raw is the input.
#include "dataplane/codec/sse.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BYTEWISE_BYTES_MAX 8192

struct found {
    struct gw_text raw, events;
};

// An event without data and name is of no one's interest; one may be cut off as a lone LF.
static void on_event(struct found *f, const struct dp_sse_event *e) {
    gw_text_add(&f->raw, e->raw.ptr, e->raw.len);
    if (!e->data.ptr && e->name.len == 0) return;
    gw_text_addf(&f->events, "name %zu:", e->name.len);
    gw_text_add(&f->events, e->name.ptr, e->name.len);
    gw_text_addf(&f->events, "\ndata %d %zu:", e->data.ptr != NULL, e->data.len);
    if (e->data.len) gw_text_add(&f->events, e->data.ptr, e->data.len);
    gw_text_add(&f->events, "\n", 1);
}

static void feed(struct dp_sse *s, struct found *f, struct gw_str piece) {
    char *copy = gw_alloc(piece.len ? piece.len : 1);
    if (piece.len) memcpy(copy, piece.ptr, piece.len);
    struct gw_str in = {copy, piece.len};
    for (;;) {
        struct dp_sse_event e;
        size_t used;
        enum gw_rc rc = dp_sse_feed(s, in, &used, &e, NULL);
        in = (struct gw_str){in.ptr + used, in.len - used};
        if (rc == GW_AGAIN) break;
        GW_ASSERT(rc == GW_OK && used > 0);
        on_event(f, &e);
    }
    GW_ASSERT(in.len == 0);
    free(copy);
}

// step: bytes of each piece.
static struct found run(struct gw_str in, size_t step) {
    struct found f = {0};
    struct dp_sse s = {0};
    for (size_t at = 0; at < in.len; at += step) {
        size_t n = in.len - at < step ? in.len - at : step;
        feed(&s, &f, (struct gw_str){in.ptr + at, n});
    }
    struct gw_str rest = dp_sse_rest(&s);
    if (rest.len) gw_text_add(&f.raw, rest.ptr, rest.len);
    dp_sse_fini(&s);
    GW_ASSERT(gw_str_eq(gw_text_str(&f.raw), in));
    return f;
}

static void compare(const struct found *whole, struct gw_str in, size_t step) {
    struct found f = run(in, step);
    GW_ASSERT(gw_str_eq(gw_text_str(&f.events), gw_text_str(&whole->events)));
    gw_text_fini(&f.raw);
    gw_text_fini(&f.events);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || size > DP_SSE_EVENT_BYTES_MAX) return 0;
    struct gw_str in = {(const char *)data, size};
    struct found whole = run(in, size);
    compare(&whole, in, 1 + gw_hash(data, size, 1) % size);
    if (size <= BYTEWISE_BYTES_MAX) compare(&whole, in, 1);
    gw_text_fini(&whole.raw);
    gw_text_fini(&whole.events);
    return 0;
}
