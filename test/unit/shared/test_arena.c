// SPDX-License-Identifier: Apache-2.0
#include "shared/arena.h"

#include <CUnit/CUnit.h>
#include <stdalign.h>

static bool is_aligned(const void *p) {
    return ((uintptr_t)p & 15) == 0;
}

static void cap_refuses_and_keeps_the_rest(void) {
    struct gw_arena a;
    gw_arena_init(&a, NULL, 0, 4096);
    CU_ASSERT_PTR_NULL(gw_arena_alloc(&a, 4097));
    CU_ASSERT_PTR_NULL(gw_arena_zalloc(&a, 5000));
    static char big[5000];
    memset(big, 'x', sizeof(big) - 1);
    CU_ASSERT_PTR_NULL(gw_arena_strdup(&a, big));
    CU_ASSERT_PTR_NULL(gw_arena_dup(&a, (struct gw_str){big, sizeof(big)}).ptr);
    struct gw_str s = gw_arena_printf(&a, "%5000d", 1);
    CU_ASSERT_PTR_NULL(s.ptr);
    CU_ASSERT_EQUAL(s.len, 0);
    CU_ASSERT_PTR_NOT_NULL(gw_arena_alloc(&a, 2048));
    CU_ASSERT_PTR_NOT_NULL(gw_arena_alloc(&a, 1024));
    CU_ASSERT_PTR_NULL(gw_arena_alloc(&a, 2048));
    CU_ASSERT_PTR_NOT_NULL(gw_arena_alloc(&a, 512));
    CU_ASSERT_TRUE(a.bytes_used <= 4096);
    gw_arena_fini(&a);
}

static void small_pieces_end_at_the_cap(void) {
    struct gw_arena a;
    gw_arena_init(&a, NULL, 0, 10000);
    size_t n = 0;
    while (n < 100000 && gw_arena_alloc(&a, 16))
        n++;
    CU_ASSERT_TRUE(n * 16 > 9000 && n * 16 <= 10000);
    gw_arena_fini(&a);
}

static void zero_initialised_is_valid(void) {
    struct gw_arena a = {0};
    char *p = gw_arena_alloc(&a, 10);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    memset(p, 1, 10);
    CU_ASSERT_PTR_NOT_NULL(gw_arena_alloc(&a, 0));
    gw_arena_fini(&a);
    gw_arena_fini(&a);
    gw_arena_fini(NULL);
}

static void pieces_are_aligned_and_apart(void) {
    struct gw_arena a = {0};
    enum { PIECES = 500 };
    unsigned char *pieces[PIECES];
    for (size_t i = 0; i < PIECES; i++) {
        pieces[i] = gw_arena_alloc(&a, i + 1);
        CU_ASSERT_PTR_NOT_NULL_FATAL(pieces[i]);
        CU_ASSERT_TRUE(is_aligned(pieces[i]));
        memset(pieces[i], (int)(i & 0xff), i + 1);
    }
    for (size_t i = 0; i < PIECES; i++) {
        for (size_t k = 0; k <= i; k++)
            CU_ASSERT_EQUAL_FATAL(pieces[i][k], i & 0xff);
    }
    gw_arena_fini(&a);
}

static void inline_memory_comes_first(void) {
    alignas(16) char mem[256];
    struct gw_arena a;
    gw_arena_init(&a, mem + 3, sizeof(mem) - 3, 0);
    char *p = gw_arena_alloc(&a, 200);
    CU_ASSERT_TRUE(p >= mem && p + 200 <= mem + sizeof(mem));
    CU_ASSERT_TRUE(is_aligned(p));
    CU_ASSERT_EQUAL(a.bytes_used, 0);
    char *q = gw_arena_alloc(&a, 200);
    CU_ASSERT_FALSE(q >= mem && q < mem + sizeof(mem));
    CU_ASSERT_TRUE(a.bytes_used >= 200);
    gw_arena_reset(&a);
    CU_ASSERT_EQUAL(a.bytes_used, 0);
    CU_ASSERT_PTR_NULL(a.chunks);
    CU_ASSERT_PTR_EQUAL(gw_arena_alloc(&a, 8), p);
    gw_arena_fini(&a);
}

static void tiny_inline_memory_is_skipped(void) {
    alignas(16) char mem[16];
    struct gw_arena a;
    gw_arena_init(&a, mem + 1, 4, 0);
    char *p = gw_arena_alloc(&a, 1);
    CU_ASSERT_PTR_NOT_NULL(p);
    CU_ASSERT_FALSE(p >= mem && p < mem + sizeof(mem));
    gw_arena_fini(&a);
}

static void large_piece_keeps_the_present_chunk(void) {
    struct gw_arena a = {0};
    char *first = gw_arena_alloc(&a, 16);
    CU_ASSERT_PTR_NOT_NULL(gw_arena_alloc(&a, 1 << 20));
    CU_ASSERT_PTR_EQUAL(gw_arena_alloc(&a, 16), first + 16);
    gw_arena_fini(&a);
}

static void chunks_grow(void) {
    struct gw_arena a = {0};
    for (int i = 0; i < 1 << 16; i++)
        CU_ASSERT_PTR_NOT_NULL_FATAL(gw_arena_alloc(&a, 16));
    // A mebibyte in chunks of up to 64 KiB.
    CU_ASSERT_TRUE(a.bytes_used < (1 << 20) + (80 << 10));
    gw_arena_fini(&a);
}

static void zalloc_zeroes_used_memory(void) {
    alignas(16) char mem[64];
    memset(mem, 0xee, sizeof(mem));
    struct gw_arena a;
    gw_arena_init(&a, mem, sizeof(mem), 0);
    const char *p = gw_arena_zalloc(&a, 33);
    CU_ASSERT_PTR_EQUAL_FATAL(p, mem);
    for (int i = 0; i < 33; i++)
        CU_ASSERT_EQUAL(p[i], 0);
    gw_arena_fini(&a);
}

static void copies_are_terminated(void) {
    struct gw_arena a = {0};
    struct gw_str s = gw_arena_dup(&a, (struct gw_str){"abcdef", 3});
    CU_ASSERT_STRING_EQUAL(s.ptr, "abc");
    CU_ASSERT_EQUAL(s.len, 3);
    s = gw_arena_dup(&a, (struct gw_str){NULL, 0});
    CU_ASSERT_PTR_NOT_NULL_FATAL(s.ptr);
    CU_ASSERT_STRING_EQUAL(s.ptr, "");
    CU_ASSERT_STRING_EQUAL(gw_arena_strdup(&a, "whole"), "whole");
    s = gw_arena_printf(&a, "%s-%d", "n", 7);
    CU_ASSERT_STRING_EQUAL(s.ptr, "n-7");
    CU_ASSERT_EQUAL(s.len, 3);
    s = gw_arena_printf(&a, "%3000d", 7);
    CU_ASSERT_EQUAL(s.len, 3000);
    CU_ASSERT_EQUAL(s.ptr[3000], '\0');
    gw_arena_fini(&a);
}

static CU_TestInfo tests[] = {
    {"cap refuses and keeps the rest", cap_refuses_and_keeps_the_rest},
    {"small pieces end at the cap", small_pieces_end_at_the_cap},
    {"zero-initialised is valid", zero_initialised_is_valid},
    {"pieces are aligned and apart", pieces_are_aligned_and_apart},
    {"inline memory comes first", inline_memory_comes_first},
    {"tiny inline memory is skipped", tiny_inline_memory_is_skipped},
    {"large piece keeps the present chunk", large_piece_keeps_the_present_chunk},
    {"chunks grow", chunks_grow},
    {"zalloc zeroes used memory", zalloc_zeroes_used_memory},
    {"copies are terminated", copies_are_terminated},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_shared_arena = {"shared_arena", NULL, NULL, NULL, NULL, tests};
