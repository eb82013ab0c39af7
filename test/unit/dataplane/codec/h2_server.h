// SPDX-License-Identifier: Apache-2.0
// A server of the HTTP/2 codec that is told bytes, for tests of what peers may do to it.
#ifndef TEST_UNIT_DATAPLANE_CODEC_H2_SERVER_H
#define TEST_UNIT_DATAPLANE_CODEC_H2_SERVER_H

#include "test/unit/dataplane/codec/h2_pair.h"

#include <CUnit/CUnit.h>

#define ASK ":method GET\n:scheme http\n:authority a\n:path /\n"
#define POST ":method POST\n:scheme http\n:authority a\n:path /\n"

// A server that is told bytes and whose words are kept.
struct server {
    struct dp_h2 *h;
    struct gw_text in, out;
    int64_t now_ms;
    enum gw_rc rc;
    struct gw_err err;
};

static inline void begin(struct server *t) {
    *t = (struct server){.now_ms = H2_NOW};
    t->h = dp_h2_new(&(struct dp_h2_conf){.role = DP_H2_SERVER}, t->now_ms);
    h2_hello(&t->in);
}

static inline void tell(struct server *t) {
    if (t->rc == GW_OK) t->rc = h2_feed(t->h, gw_text_str(&t->in), 0, t->now_ms, &t->err);
    gw_text_reset(&t->in);
    h2_drain_into(t->h, &t->out);
}

// Gives every stream that has news back without an answer. Returns how many.
static inline unsigned release_all(struct server *t) {
    unsigned n = 0;
    for (struct dp_h2_stream *s; (s = dp_h2_ready(t->h)); n++)
        dp_h2_release(s);
    h2_drain_into(t->h, &t->out);
    return n;
}

static inline void finish(struct server *t) {
    release_all(t);
    dp_h2_free(t->h);
    gw_text_fini(&t->in);
    gw_text_fini(&t->out);
    CU_ASSERT_EQUAL(gw_slab_in_use(), 0);
}

static inline int64_t reset_code(const struct server *t, uint32_t id) {
    return h2_find(gw_text_str(&t->out), NGHTTP2_RST_STREAM, id, 0);
}
static inline int64_t goaway_code(const struct server *t) {
    return h2_find(gw_text_str(&t->out), NGHTTP2_GOAWAY, 0, 0);
}

// A second stream works all the same.
static inline void is_unharmed(struct server *t, uint32_t id) {
    h2_headers(&t->in, id, ASK, true);
    tell(t);
    CU_ASSERT_EQUAL(t->rc, GW_OK);
    CU_ASSERT_EQUAL(goaway_code(t), -1);
    struct dp_h2_stream *s;
    while ((s = dp_h2_ready(t->h)) && dp_h2_stream_id(s) != id)
        dp_h2_release(s);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    CU_ASSERT_PTR_NULL(dp_h2_error(s));
    dp_h2_release(s);
}

static inline void is_sent_away(struct server *t, int64_t code) {
    CU_ASSERT_NOT_EQUAL(t->rc, GW_OK);
    CU_ASSERT_EQUAL(goaway_code(t), code);
    struct gw_err err;
    CU_ASSERT_NOT_EQUAL(h2_feed(t->h, GW_STR("x"), 0, t->now_ms, &err), GW_OK);
}

#endif
