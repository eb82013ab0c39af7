// SPDX-License-Identifier: Apache-2.0
// Framing of the push stream and the client's back-off: bytes and numbers, no sockets.
#include "shared/h2link_client.h"
#include "shared/h2link_msg.h"

#include <CUnit/CUnit.h>
#include <stdlib.h>

struct sink {
    struct gw_text text; // messages, each between < and >
    int stop_after;      // 0: never
    int count;
};

static bool on_message(void *arg, struct gw_str bytes) {
    struct sink *s = arg;
    gw_text_adds(&s->text, "<");
    gw_text_add(&s->text, bytes.ptr, bytes.len);
    gw_text_adds(&s->text, ">");
    return ++s->count != s->stop_after;
}

static void check_and_clear(struct sink *s, const char *want) {
    CU_ASSERT_STRING_EQUAL(s->text.ptr ? s->text.ptr : "", want);
    gw_text_fini(&s->text);
    s->count = 0;
}

static enum gw_rc feed(struct gw_h2msg_in *in, const char *p, size_t n, struct sink *s,
                       struct gw_err *err) {
    // A copy of exact size, so that ASan sees a read beyond it.
    char *exact = gw_alloc(n ? n : 1);
    memcpy(exact, p, n);
    enum gw_rc rc = gw_h2msg_feed(in, exact, n, on_message, s, err);
    free(exact);
    return rc;
}

static void test_length_over_the_limit_is_refused_before_memory(void) {
    static const struct {
        const char *bytes, *want;
    } cases[] = {
        {"\xff\xff\xff\xff", "4294967295"},
        {"\x00\x00\x00\x0b", "11 bytes is over the limit of 10"},
        {"\x80\x00\x00\x00", "2147483648"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct gw_h2msg_in in = {.bytes_max = 10};
        struct sink s = {0};
        struct gw_err err;
        CU_ASSERT_EQUAL(feed(&in, cases[i].bytes, 4, &s, &err), GW_ERR_LIMIT);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, cases[i].want));
        CU_ASSERT_PTR_NULL(in.body);
        gw_h2msg_in_fini(&in);
    }
}

static void test_memory_follows_what_arrived(void) {
    struct gw_h2msg_in in = {.bytes_max = 1u << 30};
    struct sink s = {0};
    struct gw_err err;
    CU_ASSERT_EQUAL(feed(&in, "\x40\x00\x00\x00xyz", 7, &s, &err), GW_OK);
    CU_ASSERT_TRUE(in.cap <= 64 << 10);
    CU_ASSERT_EQUAL(in.have, 3);
    gw_h2msg_in_fini(&in);
    CU_ASSERT_PTR_NULL(in.body);
    CU_ASSERT_EQUAL(in.bytes_max, 1u << 30);
}

static const char three[] = "\0\0\0\5hello\0\0\0\0\0\0\0\3abc";
enum { THREE_BYTES = sizeof(three) - 1 };

static void test_split_at_every_byte(void) {
    for (size_t cut = 0; cut <= THREE_BYTES; cut++) {
        struct gw_h2msg_in in = {.bytes_max = 5};
        struct sink s = {0};
        struct gw_err err;
        CU_ASSERT_EQUAL(feed(&in, three, cut, &s, &err), GW_OK);
        CU_ASSERT_EQUAL(feed(&in, three + cut, THREE_BYTES - cut, &s, &err), GW_OK);
        check_and_clear(&s, "<hello><><abc>");
        CU_ASSERT_PTR_NULL(in.body);
    }
}

static void test_byte_by_byte(void) {
    struct gw_h2msg_in in = {.bytes_max = 5};
    struct sink s = {0};
    struct gw_err err;
    for (size_t i = 0; i < THREE_BYTES; i++)
        CU_ASSERT_EQUAL(feed(&in, three + i, 1, &s, &err), GW_OK);
    check_and_clear(&s, "<hello><><abc>");
}

static void test_stop_drops_the_rest(void) {
    struct gw_h2msg_in in = {.bytes_max = 5};
    struct sink s = {.stop_after = 1};
    struct gw_err err;
    CU_ASSERT_EQUAL(feed(&in, three, THREE_BYTES, &s, &err), GW_CANCELLED);
    check_and_clear(&s, "<hello>");
    gw_h2msg_in_fini(&in);
}

static void test_large_message_grows_to_its_size(void) {
    enum { N = 300000 };
    struct gw_h2msg_out out = {0};
    char *big = gw_alloc(N);
    memset(big, 'b', N);
    gw_h2msg_push(&out, (struct gw_str){big, N});
    struct gw_h2msg_in in = {.bytes_max = N};
    struct sink s = {0};
    struct gw_err err;
    char part[7001];
    for (size_t n; (n = gw_h2msg_take(&out, part, sizeof(part))) > 0;)
        CU_ASSERT_EQUAL_FATAL(feed(&in, part, n, &s, &err), GW_OK);
    CU_ASSERT_EQUAL(s.count, 1);
    CU_ASSERT_EQUAL(s.text.len, N + 2);
    CU_ASSERT_TRUE(s.text.ptr && memcmp(s.text.ptr + 1, big, N) == 0);
    CU_ASSERT_EQUAL(out.bytes, 0);
    gw_text_fini(&s.text);
    free(big);
}

static void test_queue_in_pieces_of_every_size(void) {
    for (size_t piece = 1; piece <= THREE_BYTES; piece++) {
        struct gw_h2msg_out out = {0};
        gw_h2msg_push(&out, GW_STR("hello"));
        gw_h2msg_push(&out, (struct gw_str){NULL, 0});
        gw_h2msg_push(&out, GW_STR("abc"));
        CU_ASSERT_EQUAL(out.bytes, gw_h2msg_cost(5) + gw_h2msg_cost(0) + gw_h2msg_cost(3));
        char got[THREE_BYTES];
        size_t len = 0;
        for (size_t n; len < THREE_BYTES; len += n) {
            size_t room = THREE_BYTES - len < piece ? THREE_BYTES - len : piece;
            n = gw_h2msg_take(&out, got + len, room);
            CU_ASSERT_EQUAL_FATAL(n, room);
        }
        CU_ASSERT_EQUAL(memcmp(got, three, THREE_BYTES), 0);
        CU_ASSERT_EQUAL(gw_h2msg_take(&out, got, 1), 0);
        CU_ASSERT_EQUAL(out.bytes, 0);
    }
}

static void test_dropped_queue_is_usable_again(void) {
    struct gw_h2msg_out out = {0};
    char got[16];
    gw_h2msg_push(&out, GW_STR("one"));
    gw_h2msg_push(&out, GW_STR("two"));
    CU_ASSERT_EQUAL(gw_h2msg_take(&out, got, 2), 2);
    gw_h2msg_out_fini(&out);
    CU_ASSERT_EQUAL(out.bytes, 0);
    gw_h2msg_push(&out, GW_STR("x"));
    CU_ASSERT_EQUAL(gw_h2msg_take(&out, got, sizeof(got)), 5);
    CU_ASSERT_EQUAL(memcmp(got, "\0\0\0\1x", 5), 0);
}

static void test_backoff_doubles_with_jitter(void) {
    static const struct {
        unsigned min_ms, max_ms, failures;
        unsigned low, high; // of the answer, over all randoms
    } cases[] = {
        {100, 5000, 0, 50, 100},
        {100, 5000, 1, 50, 100},
        {100, 5000, 2, 100, 200},
        {100, 5000, 3, 200, 400},
        {100, 5000, 7, 2500, 5000},
        {100, 5000, 4000000000u, 2500, 5000},
        {0, 0, 5, 1, 1},
        {1, 1, 9, 1, 1},
        {500, 100, 9, 250, 500},
        {3000000000u, 4000000000u, 9, 2000000000u, 4000000000u},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        unsigned least = UINT32_MAX, most = 0;
        for (uint64_t r = 0; r <= UINT32_MAX; r += UINT32_MAX / 4999) {
            unsigned ms = gw_h2link_backoff_ms(cases[i].min_ms, cases[i].max_ms, cases[i].failures,
                                               (uint32_t)r);
            if (ms < least) least = ms;
            if (ms > most) most = ms;
        }
        CU_ASSERT_TRUE(least >= cases[i].low);
        CU_ASSERT_TRUE(most <= cases[i].high);
        if (cases[i].high > 50) CU_ASSERT_TRUE(most > least);
    }
}

static CU_TestInfo tests[] = {
    {"length_over_the_limit", test_length_over_the_limit_is_refused_before_memory},
    {"memory_follows_what_arrived", test_memory_follows_what_arrived},
    {"split_at_every_byte", test_split_at_every_byte},
    {"byte_by_byte", test_byte_by_byte},
    {"stop_drops_the_rest", test_stop_drops_the_rest},
    {"large_message_grows_to_its_size", test_large_message_grows_to_its_size},
    {"queue_in_pieces_of_every_size", test_queue_in_pieces_of_every_size},
    {"dropped_queue_is_usable_again", test_dropped_queue_is_usable_again},
    {"backoff_doubles_with_jitter", test_backoff_doubles_with_jitter},
    CU_TEST_INFO_NULL,
};

CU_SuiteInfo suite_shared_h2link_msg = {"shared_h2link_msg", NULL, NULL, NULL, NULL, tests};
