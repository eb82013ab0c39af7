// SPDX-License-Identifier: Apache-2.0
// Inside of the HTTP/2 codec: field sections <-> heads (RFC 9113 8). Decoding keeps to the rules of
// the HTTP/1.1 codec and to its caps, so that nothing which is refused there comes through here.
// A section is told field by field; the first breach sticks and the rest is only counted.
#ifndef DP_CODEC_H2_HEAD_H
#define DP_CODEC_H2_HEAD_H

#include "dataplane/codec/h1_head.h"

#include <nghttp2/nghttp2.h>

// Decoded bytes of one section, stored or not. A peer that goes on beyond this is no client with
// large headers but an HPACK bomb: the connection ends.
#define DP_H2_SECTION_BYTES_MAX (8 * DP_H1_HEAD_BYTES_MAX)

enum dp_h2_section {
    DP_H2_REQUEST,
    DP_H2_RESPONSE,
    DP_H2_REQUEST_TRAILERS,
    DP_H2_RESPONSE_TRAILERS,
};

// One is enough for a connection: HTTP/2 does not interleave sections. Members are private.
struct dp_h2_head {
    enum dp_h2_section section;
    struct gw_arena *arena;
    char *pos, *end; // free part of the last piece of the arena
    size_t bytes, bytes_max;
    unsigned lines, fields_n;
    struct gw_str method, scheme, authority, path, status, host;
    bool has_regular, has_host, has_length, te_trailers, expect_continue;
    int64_t content_length;
    struct gw_text cookie; // crumbs so far, joined
    bool has_cookie;
    struct gw_err err; // rc GW_OK: none yet
    struct dp_field fields[DP_H1_FIELDS_MAX];
};
void dp_h2_head_fini(struct dp_h2_head *h);
// arena is borrowed until the end; strings are copied into it.
void dp_h2_head_begin(struct dp_h2_head *h, enum dp_h2_section section, struct gw_arena *arena);
// False: the section is over DP_H2_SECTION_BYTES_MAX.
bool dp_h2_head_field(struct dp_h2_head *h, struct gw_str name, struct gw_str value) GW_MUST_USE;

// ends_stream: no body follows. answers_head: this response answers HEAD. *ret_length is what the
// DATA frames must add up to, -1: anything. An error of code 400 (502 for responses) means
// malformed (RFC 9113 8.1.1), any other that the section was well-formed and is refused.
enum gw_rc dp_h2_head_end(struct dp_h2_head *h, bool ends_stream, bool answers_head,
                          struct dp_head **ret, int64_t *ret_length, struct gw_err *err)
    GW_MUST_USE;
// *ret is NULL where no field may be passed on.
enum gw_rc dp_h2_head_end_trailers(struct dp_h2_head *h, struct dp_fields **ret, struct gw_err *err)
    GW_MUST_USE;

// --- encoding ----------------------------------------------------------------------------------

// Name-value pairs for nghttp2; memory is kept from one use to the next. Zero-initialised is valid.
struct dp_h2_nv {
    nghttp2_nv *ptr;
    size_t len, cap;
    char *text; // lower-case names, numbers
    size_t text_used, text_cap;
};
void dp_h2_nv_fini(struct dp_h2_nv *nv);
// Pairs borrow from head and live until the next call.
void dp_h2_encode_request(const struct dp_head *head, bool is_https, struct dp_h2_nv *nv);
void dp_h2_encode_response(const struct dp_head *head, struct dp_h2_nv *nv);
void dp_h2_encode_trailers(const struct dp_fields *trailers, struct dp_h2_nv *nv);

#endif
