// SPDX-License-Identifier: Apache-2.0
// Compressed answers: every coding cut at every byte, damage, and what unpacks to too much.
#include "dataplane/llm/inflate.h"
#include "test/unit/dataplane/llm/answers.h"
#include "test/unit/shared/split.h"

#include <CUnit/CUnit.h>
#include <zlib.h>

// Window bits of zlib's deflateInit2.
enum { RAW = -15, ZLIB = 15, GZIP = 15 + 16 };

// Owned by caller.
static struct gw_text packed(struct gw_str in, int bits) {
    struct gw_text t = {0};
    unsigned char piece[4096];
    z_stream z = {.next_in = (Bytef *)(uintptr_t)in.ptr, .avail_in = (uInt)in.len};
    CU_ASSERT_EQUAL_FATAL(deflateInit2(&z, 9, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    int rc = Z_OK;
    while (rc == Z_OK) {
        z.next_out = piece;
        z.avail_out = sizeof(piece);
        rc = deflate(&z, Z_FINISH);
        gw_text_add(&t, piece, sizeof(piece) - z.avail_out);
    }
    CU_ASSERT_EQUAL(rc, Z_STREAM_END);
    deflateEnd(&z);
    return t;
}

static const struct {
    const char *coding;
    int bits;
} codings[] = {{"gzip", GZIP}, {"X-GZIP", GZIP}, {"deflate", ZLIB}, {"Deflate", RAW}};

static void plain_answers_of_every_coding(void) {
    static const char body[] = "{\"choices\":[{\"message\":{\"content\":\"hello hello hello\"}}],"
                               "\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":9}}";
    struct gw_text want = {0};
    gw_text_addf(&want, "%s | 5/9/-1", body);
    for (size_t i = 0; i < GW_ARRAY_LEN(codings); i++) {
        const struct test_answer a = {.type = "application/json", .coding = codings[i].coding};
        struct gw_text in = packed(GW_STR(body), codings[i].bits);
        CU_ASSERT(test_answer_is(&a, gw_text_str(&in), want.ptr));
        gw_text_fini(&in);
    }
    gw_text_fini(&want);
}

static void streams_of_every_coding(void) {
#define CONTENT "data: {\"choices\":[{\"delta\":{\"content\":\"abcdefgh\"}}]}\n\n"
    static const char body[] =
        CONTENT "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n"
                "data: [DONE]\n\n";
    for (size_t i = 0; i < GW_ARRAY_LEN(codings); i++) {
        const struct test_answer a = {.type = "text/event-stream", .coding = codings[i].coding};
        struct gw_text in = packed(GW_STR(body), codings[i].bits);
        CU_ASSERT(test_answer_is(&a, gw_text_str(&in), CONTENT "data: [DONE]\n\n | 1/2/-1"));
        gw_text_fini(&in);
    }
#undef CONTENT
}

// The connection ended well, the packed text did not: the client must not take it for whole.
static void an_end_before_the_end_is_a_cut(void) {
    static const char body[] = "{\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":9}}";
    const struct test_answer a = {.type = "application/json", .coding = "gzip"};
    struct gw_text in = packed(GW_STR(body), GZIP);
    for (size_t n = 1; n < in.len; n++) {
        struct gw_text told = {0};
        struct gw_str part = {in.ptr, n};
        test_answer_tell((void *)(uintptr_t)&a, &part, 1, &told);
        CU_ASSERT_PTR_NOT_NULL(strstr(told.ptr, " | 502 the provider's answer was cut | "));
        gw_text_fini(&told);
    }
    gw_text_fini(&in);
}

// --- the unpacker alone -------------------------------------------------------------------------

static void tell_unpacked(void *arg, const struct gw_str *pieces, size_t n, struct gw_text *out) {
    struct gw_err err;
    struct gw_buf plain = {0};
    struct dp_llm_inflate *z = dp_llm_inflate_new(gw_str_of(arg), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(z);
    enum gw_rc rc = GW_OK;
    for (size_t i = 0; i < n && rc == GW_OK; i++)
        rc = dp_llm_inflate_feed(z, pieces[i], &plain, &err);
    test_buf_text(&plain, out);
    gw_text_adds(out, rc != GW_OK ? err.text : dp_llm_inflate_is_done(z) ? "|done" : "|more");
    gw_buf_fini(&plain);
    dp_llm_inflate_free(z);
}

static void other_codings_are_refused(void) {
    static const char *const names[] = {"", "br", "zstd", "identity", "gzip2", "gzi", "gzip,br"};
    for (size_t i = 0; i < GW_ARRAY_LEN(names); i++) {
        struct gw_err err;
        CU_ASSERT_PTR_NULL(dp_llm_inflate_new(gw_str_of(names[i]), &err));
        CU_ASSERT_EQUAL(err.rc, GW_ERR_UPSTREAM);
        CU_ASSERT_EQUAL(err.code, 502);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, names[i]));
    }
}

static void damage_is_found(void) {
    static const char body[] = "some text that is long enough, and some text again";
    for (size_t i = 0; i < GW_ARRAY_LEN(codings); i++) {
        struct gw_text in = packed(GW_STR(body), codings[i].bits);
        struct gw_text whole = {0};
        gw_text_addf(&whole, "%s|done", body);
        for (size_t at = 0; at < in.len; at++) {
            struct gw_text told = {0};
            struct gw_str piece = {in.ptr, in.len};
            in.ptr[at] ^= 0x40;
            tell_unpacked((void *)(uintptr_t)codings[i].coding, &piece, 1, &told);
            in.ptr[at] ^= 0x40;
            // Raw deflate has no sum, gzip's head has bytes that say nothing of the text, and the
            // last byte before the sum is filled up with bits that nobody reads.
            size_t sum = codings[i].bits == GZIP ? 8 : 4;
            bool is_told = codings[i].bits == RAW || (codings[i].bits == GZIP && at < 10) ||
                           at == in.len - sum - 1;
            CU_ASSERT(is_told || strcmp(told.ptr, whole.ptr) != 0);
            CU_ASSERT(is_told || !strstr(told.ptr, "|done"));
            gw_text_fini(&told);
        }
        gw_text_fini(&whole);
        gw_text_fini(&in);
    }
}

static void what_is_no_gzip_is_told_in_every_cut(void) {
    struct gw_text told;
    CU_ASSERT(
        split_run_text(GW_STR("{\"plain\":1}"), tell_unpacked, (void *)(uintptr_t) "gzip", &told));
    CU_ASSERT_STRING_EQUAL(told.ptr, "the provider's compressed answer is damaged");
    gw_text_fini(&told);
}

static void what_follows_the_end_is_left(void) {
    struct gw_text in = packed(GW_STR("text"), ZLIB), told;
    gw_text_adds(&in, "more");
    CU_ASSERT(
        split_run_text(gw_text_str(&in), tell_unpacked, (void *)(uintptr_t) "deflate", &told));
    CU_ASSERT_STRING_EQUAL(told.ptr, "text|done");
    gw_text_fini(&told);
    gw_text_fini(&in);
}

static void nothing_at_all_is_not_done(void) {
    struct gw_text told = {0};
    const struct gw_str nothing = {NULL, 0};
    tell_unpacked((void *)(uintptr_t) "gzip", &nothing, 1, &told);
    CU_ASSERT_STRING_EQUAL(told.ptr, "|more");
    gw_text_fini(&told);
    dp_llm_inflate_free(NULL);
}

// --- much --------------------------------------------------------------------------------------

// Feeds reads of a slab each; returns the first that is not GW_OK, the largest gain of one read,
// and all that was unpacked.
static enum gw_rc unpack(const struct gw_text *in, size_t *ret_most, size_t *ret_all,
                         struct gw_err *err) {
    struct dp_llm_inflate *z = dp_llm_inflate_new(GW_STR("gzip"), err);
    enum gw_rc rc = GW_OK;
    *ret_most = *ret_all = 0;
    for (size_t at = 0; at < in->len && rc == GW_OK; at += GW_SLAB_BYTES) {
        struct gw_buf plain = {0};
        size_t n = in->len - at < GW_SLAB_BYTES ? in->len - at : GW_SLAB_BYTES;
        rc = dp_llm_inflate_feed(z, (struct gw_str){in->ptr + at, n}, &plain, err);
        if (plain.bytes > *ret_most) *ret_most = plain.bytes;
        *ret_all += plain.bytes;
        gw_buf_fini(&plain);
    }
    if (rc == GW_OK) CU_ASSERT(dp_llm_inflate_is_done(z));
    dp_llm_inflate_free(z);
    return rc;
}

static struct gw_text packed_bytes(size_t n, bool random) {
    char *text = gw_alloc(n);
    uint32_t x = 1;
    for (size_t i = 0; random && i < n; i++) {
        x = x * 1664525 + 1013904223;
        text[i] = (char)(x >> 24);
    }
    struct gw_text in = packed((struct gw_str){text, n}, GZIP);
    free(text);
    return in;
}

static void a_bomb_is_refused(void) {
    struct gw_text in = packed_bytes(64u << 20, false);
    struct gw_err err;
    size_t most, all, slabs = gw_slab_in_use();
    CU_ASSERT(in.len < 100000);
    CU_ASSERT_EQUAL(unpack(&in, &most, &all, &err), GW_ERR_UPSTREAM);
    CU_ASSERT_EQUAL(err.code, 502);
    CU_ASSERT_STRING_EQUAL(err.text, "the provider's compressed answer unpacks to too much");
    CU_ASSERT(most <= (4u << 20) + GW_SLAB_BYTES);
    CU_ASSERT_EQUAL(gw_slab_in_use(), slabs);
    gw_text_fini(&in);
}

static void a_long_answer_is_unpacked(void) {
    struct gw_text in = packed_bytes(3u << 20, true);
    struct gw_err err;
    size_t most, all;
    CU_ASSERT_EQUAL(unpack(&in, &most, &all, &err), GW_OK);
    CU_ASSERT_EQUAL(all, 3u << 20);
    gw_text_fini(&in);
}

// An output that ends with a slab must neither lose its end nor wait for more.
static void sizes_around_a_slab(void) {
    for (size_t n = GW_SLAB_BYTES - 2; n <= GW_SLAB_BYTES + 2; n++) {
        struct gw_text in = packed_bytes(n, false);
        struct gw_err err;
        size_t most, all;
        CU_ASSERT_EQUAL(unpack(&in, &most, &all, &err), GW_OK);
        CU_ASSERT_EQUAL(all, n);
        gw_text_fini(&in);
    }
}

static void a_bomb_breaks_its_answer(void) {
    const struct test_answer a = {.type = "application/json", .coding = "gzip"};
    struct gw_text in = packed_bytes(16u << 20, false), told = {0};
    struct gw_str piece = {in.ptr, in.len < GW_SLAB_BYTES ? in.len : GW_SLAB_BYTES};
    test_answer_tell((void *)(uintptr_t)&a, &piece, 1, &told);
    CU_ASSERT_STRING_EQUAL(told.ptr, " | 502 the provider's compressed answer unpacks to too much"
                                     " | ~6/0/-1 failed");
    gw_text_fini(&told);
    gw_text_fini(&in);
}

#define T(fn)                                                                                      \
    { #fn, fn }
static CU_TestInfo tests[] = {
    T(other_codings_are_refused),
    T(damage_is_found),
    T(what_is_no_gzip_is_told_in_every_cut),
    T(an_end_before_the_end_is_a_cut),
    T(a_bomb_is_refused),
    T(a_bomb_breaks_its_answer),
    T(nothing_at_all_is_not_done),
    T(what_follows_the_end_is_left),
    T(plain_answers_of_every_coding),
    T(streams_of_every_coding),
    T(a_long_answer_is_unpacked),
    T(sizes_around_a_slab),
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_llm_inflate = {"inflate", NULL, NULL, NULL, NULL, tests};
