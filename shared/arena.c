// SPDX-License-Identifier: Apache-2.0
// Chunks of the bump allocator. They double, so that a small request costs one small chunk and a
// large snapshot few large ones.
#include "shared/arena.h"

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>

#define CHUNK_BYTES_MIN 1024
#define CHUNK_BYTES_MAX ((size_t)64 * 1024)
#define ALIGN 16

// bytes_used counts the bytes after the header.
struct gw_arena_chunk {
    alignas(ALIGN) struct gw_arena_chunk *next;
    size_t bytes;
};

static void use_inline_mem(struct gw_arena *a) {
    a->pos = a->end = NULL;
    size_t skip = (size_t)(-(uintptr_t)a->inline_mem) & (ALIGN - 1);
    if (!a->inline_mem || a->inline_bytes < skip) return;
    a->pos = a->inline_mem + skip;
    a->end = a->inline_mem + a->inline_bytes;
}

void gw_arena_init(struct gw_arena *a, void *inline_mem, size_t inline_bytes, size_t bytes_max) {
    *a = (struct gw_arena){
        .inline_mem = inline_mem,
        .inline_bytes = inline_bytes,
        .bytes_max = bytes_max,
    };
    use_inline_mem(a);
}

void gw_arena_reset(struct gw_arena *a) {
    while (a->chunks) {
        struct gw_arena_chunk *next = a->chunks->next;
        free(a->chunks);
        a->chunks = next;
    }
    a->bytes_used = 0;
    use_inline_mem(a);
}

void gw_arena_fini(struct gw_arena *a) {
    if (a) gw_arena_reset(a);
}

void *gw_arena_alloc_slow(struct gw_arena *a, size_t bytes) {
    size_t left = (a->bytes_max ? a->bytes_max : SIZE_MAX / 2) - a->bytes_used;
    if (bytes > left) return NULL;
    size_t want = CHUNK_BYTES_MIN;
    while (want < a->bytes_used && want < CHUNK_BYTES_MAX)
        want *= 2;
    want -= sizeof(struct gw_arena_chunk);
    if (want > left) want = left;
    // A large piece gets a chunk of its own, and what is left of the present one stays in use.
    bool alone = bytes >= want / 2;
    if (alone) want = bytes;
    struct gw_arena_chunk *c = gw_realloc(NULL, sizeof(*c) + want);
    c->bytes = want;
    c->next = a->chunks;
    a->chunks = c;
    a->bytes_used += want;
    char *p = (char *)(c + 1);
    if (!alone) {
        a->pos = p + bytes;
        a->end = p + want;
    }
    return p;
}

void *gw_arena_zalloc(struct gw_arena *a, size_t bytes) {
    void *p = gw_arena_alloc(a, bytes);
    if (p) memset(p, 0, bytes);
    return p;
}

struct gw_str gw_arena_dup(struct gw_arena *a, struct gw_str s) {
    char *p = gw_arena_alloc(a, s.len + 1);
    if (!p) return (struct gw_str){NULL, 0};
    if (s.len) memcpy(p, s.ptr, s.len);
    p[s.len] = '\0';
    return (struct gw_str){p, s.len};
}

char *gw_arena_strdup(struct gw_arena *a, const char *s) {
    size_t n = strlen(s) + 1;
    char *p = gw_arena_alloc(a, n);
    if (p) memcpy(p, s, n);
    return p;
}

struct gw_str gw_arena_printf(struct gw_arena *a, const char *fmt, ...) {
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    GW_ASSERT(n >= 0);
    char *p = gw_arena_alloc(a, (size_t)n + 1);
    if (p) vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(ap);
    return (struct gw_str){p, p ? (size_t)n : 0};
}
