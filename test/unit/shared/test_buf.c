// SPDX-License-Identifier: Apache-2.0
#include "shared/buf.h"

#include <CUnit/CUnit.h>
#include <pthread.h>
#include <stdlib.h>

// Whole content as a string; owned by caller.
static char *content(const struct gw_buf *b) {
    char *p = gw_alloc(b->bytes + 1);
    CU_ASSERT_EQUAL(gw_buf_peek(b, 0, p, b->bytes), b->bytes);
    return p;
}

static void assert_content(const struct gw_buf *b, const char *want) {
    char *got = content(b);
    CU_ASSERT_STRING_EQUAL(got, want);
    CU_ASSERT_EQUAL(b->bytes, strlen(want));
    free(got);
}

static size_t slices(const struct gw_buf *b) {
    size_t n = 0;
    for (const struct gw_buf_node *node = b->head; node; node = node->next)
        n++;
    return n;
}

static void slab_counts_references(void) {
    CU_ASSERT_EQUAL(gw_slab_in_use(), 0);
    struct gw_slab *s = gw_slab_get();
    CU_ASSERT_EQUAL(s->refs, 1);
    CU_ASSERT_EQUAL(s->used, 0);
    CU_ASSERT_EQUAL(gw_slab_in_use(), 1);
    CU_ASSERT_PTR_EQUAL(gw_slab_ref(s), s);
    gw_slab_unref(s);
    CU_ASSERT_EQUAL(gw_slab_in_use(), 1);
    gw_slab_unref(s);
    CU_ASSERT_EQUAL(gw_slab_in_use(), 0);
    gw_slab_unref(NULL);
}

static void slab_is_reused_and_clean(void) {
    struct gw_slab *s = gw_slab_get();
    s->used = 100;
    gw_slab_unref(s);
    struct gw_slab *again = gw_slab_get();
    CU_ASSERT_PTR_EQUAL(again, s);
    CU_ASSERT_EQUAL(again->used, 0);
    CU_ASSERT_EQUAL(again->refs, 1);
    gw_slab_unref(again);
}

static void more_slabs_than_the_list_keeps(void) {
    enum { N = GW_SLAB_FREE_MAX + 50 };
    struct gw_slab *held[N];
    for (int i = 0; i < N; i++)
        held[i] = gw_slab_get();
    CU_ASSERT_EQUAL(gw_slab_in_use(), N);
    for (int i = 0; i < N; i++)
        gw_slab_unref(held[i]);
    CU_ASSERT_EQUAL(gw_slab_in_use(), 0);
    gw_slab_thread_fini();
    CU_ASSERT_EQUAL(gw_slab_in_use(), 0);
}

static void push_holds_the_slab(void) {
    struct gw_buf b = {0};
    struct gw_slab *s = gw_slab_get();
    memcpy(s->data, "hello", 5);
    s->used = 5;
    gw_buf_push(&b, s, s->data, 5);
    gw_slab_unref(s);
    CU_ASSERT_EQUAL(gw_slab_in_use(), 1);
    assert_content(&b, "hello");
    gw_buf_fini(&b);
    CU_ASSERT_EQUAL(gw_slab_in_use(), 0);
    gw_buf_fini(NULL);
}

static void push_of_nothing_adds_nothing(void) {
    struct gw_buf b = {0};
    gw_buf_push(&b, NULL, "x", 0);
    gw_buf_push_copy(&b, NULL, 0);
    CU_ASSERT_PTR_NULL(b.head);
    CU_ASSERT_EQUAL(b.bytes, 0);
}

static void neighbours_become_one_slice(void) {
    struct gw_buf b = {0};
    struct gw_slab *s = gw_slab_get();
    memcpy(s->data, "abcdef", 6);
    gw_buf_push(&b, s, s->data, 2);
    gw_buf_push(&b, s, s->data + 2, 2);
    CU_ASSERT_EQUAL(slices(&b), 1);
    CU_ASSERT_EQUAL(s->refs, 2);
    gw_buf_push(&b, s, s->data + 5, 1);
    CU_ASSERT_EQUAL(slices(&b), 2);
    assert_content(&b, "abcdf");
    gw_slab_unref(s);
    gw_buf_fini(&b);
    CU_ASSERT_EQUAL(gw_slab_in_use(), 0);
}

static void push_copy_spans_slabs(void) {
    size_t n = 3 * GW_SLAB_BYTES + 17;
    char *in = gw_alloc(n + 1);
    for (size_t i = 0; i < n; i++)
        in[i] = (char)('a' + i % 23);
    struct gw_buf b = {0};
    gw_buf_push_copy(&b, in, n);
    CU_ASSERT_TRUE(slices(&b) >= 4);
    assert_content(&b, in);
    gw_buf_fini(&b);
    CU_ASSERT_EQUAL(gw_slab_in_use(), 0);
    free(in);
}

static void small_copies_share_a_slab(void) {
    struct gw_buf a = {0}, b = {0};
    struct gw_slab *body = gw_slab_get();
    memset(body->data, '.', 100);
    for (int i = 0; i < 10; i++) {
        gw_buf_push_copy(&a, "5\r\n", 3);
        gw_buf_push(&a, body, body->data + 2 * i, 1);
        gw_buf_push_copy(&b, "x", 1);
    }
    // One for all copies, one for the body.
    CU_ASSERT_EQUAL(gw_slab_in_use(), 2);
    assert_content(&b, "xxxxxxxxxx");
    CU_ASSERT_EQUAL(a.bytes, 40);
    gw_buf_fini(&a);
    assert_content(&b, "xxxxxxxxxx");
    gw_buf_fini(&b);
    gw_slab_unref(body);
    CU_ASSERT_EQUAL(gw_slab_in_use(), 0);
}

static void copy_never_writes_into_a_held_slab(void) {
    struct gw_buf b = {0};
    struct gw_slab *s = gw_slab_get();
    memcpy(s->data, "abXY", 4);
    s->used = 2;
    gw_buf_push(&b, s, s->data, 2);
    gw_buf_push_copy(&b, "cd", 2);
    CU_ASSERT_EQUAL(memcmp(s->data, "abXY", 4), 0);
    assert_content(&b, "abcd");
    gw_slab_unref(s);
    gw_buf_fini(&b);
    CU_ASSERT_EQUAL(gw_slab_in_use(), 0);
}

// Copies in turns into two queues until shared slabs have filled up more than once.
static void interleaved_copies_keep_their_bytes(void) {
    struct gw_buf b[2] = {{0}};
    size_t rounds = 3 * GW_SLAB_BYTES / 200;
    for (size_t i = 0; i < rounds; i++) {
        for (int k = 0; k < 2; k++) {
            char piece[101];
            memset(piece, k ? 'B' : 'A', sizeof(piece));
            gw_buf_push_copy(&b[k], piece, sizeof(piece));
        }
    }
    for (int k = 0; k < 2; k++) {
        CU_ASSERT_EQUAL(b[k].bytes, rounds * 101);
        char *got = content(&b[k]);
        CU_ASSERT_EQUAL(strspn(got, k ? "B" : "A"), b[k].bytes);
        free(got);
        gw_buf_fini(&b[k]);
    }
    CU_ASSERT_EQUAL(gw_slab_in_use(), 0);
}

static void shared_slab_starts_anew_when_idle(void) {
    struct gw_buf b = {0};
    gw_buf_push_copy(&b, "first", 5);
    const char *at = b.head->slice.ptr;
    gw_buf_consume(&b, 5);
    CU_ASSERT_EQUAL(gw_slab_in_use(), 0);
    gw_buf_push_copy(&b, "second", 6);
    CU_ASSERT_PTR_EQUAL(b.head->slice.ptr, at);
    gw_buf_fini(&b);
}

// "abc" "de" "fgh" as three slices that cannot merge.
static void fill(struct gw_buf *b) {
    gw_buf_push(b, NULL, "abc", 3);
    gw_buf_push(b, NULL, "de", 2);
    gw_buf_push(b, NULL, "fgh", 3);
}

static void consume_at_every_length(void) {
    for (size_t n = 0; n <= 8; n++) {
        struct gw_buf b = {0};
        fill(&b);
        gw_buf_consume(&b, n);
        assert_content(&b, &"abcdefgh"[n]);
        CU_ASSERT_EQUAL(b.head == NULL, n == 8);
        CU_ASSERT_EQUAL(b.tail == NULL, n == 8);
        gw_buf_push(&b, NULL, "!", 1);
        CU_ASSERT_EQUAL(b.bytes, 9 - n);
        gw_buf_fini(&b);
    }
}

static void move_appends_and_empties(void) {
    struct gw_buf a = {0}, b = {0};
    gw_buf_move(&a, &b);
    CU_ASSERT_PTR_NULL(a.head);
    fill(&b);
    gw_buf_move(&a, &b);
    CU_ASSERT_PTR_NULL(b.head);
    CU_ASSERT_PTR_NULL(b.tail);
    CU_ASSERT_EQUAL(b.bytes, 0);
    fill(&b);
    gw_buf_move(&a, &b);
    assert_content(&a, "abcdefghabcdefgh");
    gw_buf_fini(&a);
}

static void move_n_at_every_length(void) {
    for (size_t n = 0; n <= 8; n++) {
        struct gw_buf a = {0}, b = {0};
        gw_buf_push(&a, NULL, ">", 1);
        fill(&b);
        gw_buf_move_n(&a, &b, n);
        char want[10] = ">";
        memcpy(want + 1, "abcdefgh", n);
        assert_content(&a, want);
        assert_content(&b, &"abcdefgh"[n]);
        gw_buf_fini(&a);
        gw_buf_fini(&b);
    }
}

static void split_slice_holds_the_slab_twice(void) {
    struct gw_buf a = {0}, b = {0};
    struct gw_slab *s = gw_slab_get();
    memcpy(s->data, "abcdef", 6);
    gw_buf_push(&b, s, s->data, 6);
    gw_slab_unref(s);
    gw_buf_move_n(&a, &b, 2);
    CU_ASSERT_EQUAL(s->refs, 2);
    gw_buf_fini(&b);
    CU_ASSERT_EQUAL(gw_slab_in_use(), 1);
    assert_content(&a, "ab");
    gw_buf_fini(&a);
    CU_ASSERT_EQUAL(gw_slab_in_use(), 0);
}

static void iov_stops_at_max(void) {
    struct gw_buf b = {0};
    struct iovec iov[4];
    CU_ASSERT_EQUAL(gw_buf_iov(&b, iov, 4), 0);
    fill(&b);
    CU_ASSERT_EQUAL(gw_buf_iov(&b, iov, 2), 2);
    CU_ASSERT_EQUAL_FATAL(gw_buf_iov(&b, iov, 4), 3);
    CU_ASSERT_EQUAL(iov[2].iov_len, 3);
    CU_ASSERT_EQUAL(memcmp(iov[2].iov_base, "fgh", 3), 0);
    gw_buf_fini(&b);
}

static void peek_at_every_offset_and_length(void) {
    struct gw_buf b = {0};
    fill(&b);
    for (size_t off = 0; off <= 9; off++) {
        for (size_t n = 0; n <= 10; n++) {
            char out[16] = {0};
            size_t left = off < 8 ? 8 - off : 0, want = n < left ? n : left;
            CU_ASSERT_EQUAL(gw_buf_peek(&b, off, out, n), want);
            CU_ASSERT_EQUAL(strlen(out), want);
            if (want) CU_ASSERT_EQUAL(memcmp(out, &"abcdefgh"[off], want), 0);
        }
    }
    gw_buf_fini(&b);
}

static void *use_slabs(void *ret_in_use) {
    struct gw_buf b = {0};
    gw_buf_push_copy(&b, "abc", 3);
    *(size_t *)ret_in_use = gw_slab_in_use();
    gw_buf_fini(&b);
    gw_slab_thread_fini();
    return NULL;
}

static void threads_have_their_own_lists(void) {
    struct gw_slab *mine = gw_slab_get();
    pthread_t t;
    size_t theirs = 0;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&t, NULL, use_slabs, &theirs), 0);
    pthread_join(t, NULL);
    CU_ASSERT_EQUAL(theirs, 1);
    CU_ASSERT_EQUAL(gw_slab_in_use(), 1);
    gw_slab_unref(mine);
}

static int finish(void) {
    gw_slab_thread_fini();
    return 0;
}

static CU_TestInfo tests[] = {
    {"slab counts references", slab_counts_references},
    {"slab is reused and clean", slab_is_reused_and_clean},
    {"more slabs than the list keeps", more_slabs_than_the_list_keeps},
    {"push holds the slab", push_holds_the_slab},
    {"push of nothing adds nothing", push_of_nothing_adds_nothing},
    {"neighbours become one slice", neighbours_become_one_slice},
    {"push_copy spans slabs", push_copy_spans_slabs},
    {"small copies share a slab", small_copies_share_a_slab},
    {"copy never writes into a held slab", copy_never_writes_into_a_held_slab},
    {"interleaved copies keep their bytes", interleaved_copies_keep_their_bytes},
    {"shared slab starts anew when idle", shared_slab_starts_anew_when_idle},
    {"consume at every length", consume_at_every_length},
    {"move appends and empties", move_appends_and_empties},
    {"move_n at every length", move_n_at_every_length},
    {"split slice holds the slab twice", split_slice_holds_the_slab_twice},
    {"iov stops at max", iov_stops_at_max},
    {"peek at every offset and length", peek_at_every_offset_and_length},
    {"threads have their own lists", threads_have_their_own_lists},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_shared_buf = {"shared_buf", NULL, finish, NULL, NULL, tests};
