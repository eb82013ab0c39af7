// SPDX-License-Identifier: Apache-2.0
// The HTTP/1.1 decoder on any bytes, as requests and as answers: however the bytes are cut, it says
// the same; a head it accepts is encoded to bytes that it reads in the same way.
#include "test/unit/dataplane/codec/h1_transcript.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Byte by byte, larger inputs only cost time.
#define BYTEWISE_BYTES_MAX 8192

struct heads {
    struct gw_text was, is;
    bool answers_head;
};

static void on_head(void *arg, const struct dp_head *head, bool is_interim, size_t until) {
    struct heads *h = arg;
    (void)until;
    GW_ASSERT(h1_encodes_back(head, is_interim, h->answers_head, &h->was, &h->is));
    GW_ASSERT(!head->chunked || head->content_length < 0);
}

static void check(struct h1_stream s, size_t cut) {
    struct heads heads = {.answers_head = s.answers_head};
    struct gw_text whole = {0}, other = {0};
    s.on_head = on_head;
    s.arg = &heads;
    h1_transcript(&s, H1_WHOLE, &whole);
    s.on_head = NULL;
    h1_transcript(&s, cut, &other);
    GW_ASSERT(gw_str_eq(gw_text_str(&whole), gw_text_str(&other)));
    if (s.bytes.len <= BYTEWISE_BYTES_MAX) {
        h1_transcript(&s, H1_BYTEWISE, &other);
        GW_ASSERT(gw_str_eq(gw_text_str(&whole), gw_text_str(&other)));
    }
    gw_text_fini(&whole);
    gw_text_fini(&other);
    gw_text_fini(&heads.was);
    gw_text_fini(&heads.is);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct gw_str bytes = {(const char *)data, size};
    size_t cut = size ? gw_hash(data, size, 1) % size : 0;
    check((struct h1_stream){.role = DP_H1_REQUESTS, .bytes = bytes}, cut);
    check((struct h1_stream){.role = DP_H1_RESPONSES, .bytes = bytes}, cut);
    check((struct h1_stream){.role = DP_H1_RESPONSES, .answers_head = true, .bytes = bytes}, cut);
    check((struct h1_stream){.role = DP_H1_RESPONSES, .may_upgrade = true, .bytes = bytes}, cut);
    return 0;
}
