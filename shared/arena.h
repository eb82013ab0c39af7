// SPDX-License-Identifier: Apache-2.0
// Bump allocation that is freed as a whole: one arena per connection, request or config snapshot.
// Body bytes never go into an arena. One thread at a time.
#ifndef GW_SHARED_ARENA_H
#define GW_SHARED_ARENA_H

#include "shared/str.h"

struct gw_arena_chunk;

// Zero-initialised is valid. inline_mem (optional, borrowed) is used before any chunk is made.
struct gw_arena {
    char *pos, *end;
    struct gw_arena_chunk *chunks;
    char *inline_mem;
    size_t inline_bytes;
    size_t bytes_max;  // 0: no cap
    size_t bytes_used; // sum of what chunks hold
};

void gw_arena_init(struct gw_arena *a, void *inline_mem, size_t inline_bytes, size_t bytes_max);
void gw_arena_reset(struct gw_arena *a); // frees chunks, back to inline_mem
void gw_arena_fini(struct gw_arena *a);

// 16-byte aligned, not zeroed. NULL only where bytes_max would be passed.
void *gw_arena_alloc_slow(struct gw_arena *a, size_t bytes);
static inline void *gw_arena_alloc(struct gw_arena *a, size_t bytes) {
    bytes = (bytes + 15) & ~(size_t)15;
    if (GW_LIKELY((size_t)(a->end - a->pos) >= bytes && a->pos)) {
        void *p = a->pos;
        a->pos += bytes;
        return p;
    }
    return gw_arena_alloc_slow(a, bytes);
}
void *gw_arena_zalloc(struct gw_arena *a, size_t bytes);
// Copies; the result is NUL-terminated beyond .len. ptr NULL where the cap was reached.
struct gw_str gw_arena_dup(struct gw_arena *a, struct gw_str s);
char *gw_arena_strdup(struct gw_arena *a, const char *s);
struct gw_str gw_arena_printf(struct gw_arena *a, const char *fmt, ...) GW_PRINTF(2, 3);

#endif
