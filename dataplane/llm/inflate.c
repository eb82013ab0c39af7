// SPDX-License-Identifier: Apache-2.0
// See inflate.h.
#include "dataplane/llm/inflate.h"

#include <stdlib.h>
#include <zlib.h>

// One read of at most a slab may unpack to at most this much: JSON packs 5:1 to 20:1, a bomb
// 1000:1.
#define INFLATE_BYTES_PER_FEED_MAX (4u << 20)

struct dp_llm_inflate {
    z_stream z;
    bool started, done, sniff_deflate;
};

struct dp_llm_inflate *dp_llm_inflate_new(struct gw_str coding, struct gw_err *err) {
    bool is_gzip =
        gw_str_eq_nocase(coding, GW_STR("gzip")) || gw_str_eq_nocase(coding, GW_STR("x-gzip"));
    if (!is_gzip && !gw_str_eq_nocase(coding, GW_STR("deflate"))) {
        gw_err_set(err, GW_ERR_UPSTREAM, 502,
                   "the provider's answer is coded as '" GW_STR_FMT "', which cannot be read",
                   (int)(coding.len < 40 ? coding.len : 40), coding.ptr);
        return NULL;
    }
    struct dp_llm_inflate *z = gw_alloc(sizeof(*z));
    z->sniff_deflate = !is_gzip;
    return z;
}

void dp_llm_inflate_free(struct dp_llm_inflate *z) {
    if (!z) return;
    if (z->started) inflateEnd(&z->z);
    free(z);
}

// "deflate" means zlib (RFC 9110 8.4.1.2), but many send it raw: the first byte of a zlib stream
// has method 8 in its low half.
static void start(struct dp_llm_inflate *z, struct gw_str in) {
    int bits = 15 + 16; // gzip
    if (z->sniff_deflate) bits = ((unsigned char)in.ptr[0] & 15) == 8 ? 15 : -15;
    z->started = inflateInit2(&z->z, bits) == Z_OK;
}

enum gw_rc dp_llm_inflate_feed(struct dp_llm_inflate *z, struct gw_str in, struct gw_buf *out,
                               struct gw_err *err) {
    size_t before = out->bytes;
    if (in.len == 0 || z->done) return GW_OK;
    if (!z->started) start(z, in);
    if (!z->started) return gw_err_set(err, GW_ERR_INTERNAL, 500, "zlib cannot start");
    // zlib's interface predates const; it only reads.
    z->z.next_in = (Bytef *)(uintptr_t)in.ptr;
    z->z.avail_in = (uInt)in.len;
    while (!z->done) {
        struct gw_slab *slab = gw_slab_get();
        z->z.next_out = (Bytef *)slab->data;
        z->z.avail_out = GW_SLAB_BYTES;
        int rc = inflate(&z->z, Z_NO_FLUSH);
        size_t n = GW_SLAB_BYTES - z->z.avail_out;
        slab->used = (unsigned)n;
        if (n) gw_buf_push(out, slab, slab->data, n);
        gw_slab_unref(slab);
        z->done = rc == Z_STREAM_END;
        if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
            return gw_err_set(err, GW_ERR_UPSTREAM, 502,
                              "the provider's compressed answer is damaged");
        if (out->bytes - before > INFLATE_BYTES_PER_FEED_MAX)
            return gw_err_set(err, GW_ERR_UPSTREAM, 502,
                              "the provider's compressed answer unpacks to too much");
        if (z->z.avail_out) break; // all input is used
    }
    return GW_OK;
}

bool dp_llm_inflate_is_done(const struct dp_llm_inflate *z) {
    return z->done;
}
