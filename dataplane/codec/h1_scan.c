// SPDX-License-Identifier: Apache-2.0
// Finds the lines of a head or trailer section, sixteen bytes at a time, and refuses control bytes
// on the way.
#include "dataplane/codec/chars.h"
#include "dataplane/codec/h1_head.h"

#ifdef __SSE2__
#include <emmintrin.h>

#define BLOCK 16
// One bit per byte that is a control byte other than tab.
static inline unsigned controls(const char *p) {
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
    __m128i tab = _mm_cmpeq_epi8(v, _mm_set1_epi8('\t'));
    __m128i del = _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, low), del));
}
#else
#define BLOCK 8
static inline unsigned controls(const char *p) {
    unsigned mask = 0;
    for (unsigned i = 0; i < BLOCK; i++)
        mask |= (unsigned)!dp_char_is(p[i], DP_CH_VALUE) << i;
    return mask;
}
#endif

// GO_ON is of this file alone: the byte was a line end, or half of one.
#define GO_ON ((enum dp_h1_scan) - 1)

static inline enum dp_h1_scan on_control(const char *p, size_t n, size_t at,
                                         struct dp_h1_lines *l) {
    if (p[at] == '\n') return at + 1 == l->line ? GO_ON : DP_H1_SCAN_BARE_LF;
    if (p[at] != '\r') return DP_H1_SCAN_CONTROL;
    if (at + 1 == n) {
        l->at = at;
        return DP_H1_SCAN_MORE;
    }
    if (p[at + 1] != '\n') return DP_H1_SCAN_BARE_CR;
    if (at == l->line) {
        l->end = at + 2;
        return DP_H1_SCAN_DONE;
    }
    if (l->n == l->max) return DP_H1_SCAN_LINES;
    l->cr[l->n++] = (uint16_t)at;
    l->line = at + 2;
    return GO_ON;
}

enum dp_h1_scan dp_h1_scan(const char *p, size_t n, struct dp_h1_lines *l) {
    size_t at = l->at;
    for (; at + BLOCK <= n; at += BLOCK) {
        for (unsigned mask = controls(p + at); mask; mask &= mask - 1) {
            size_t hit = at + (unsigned)__builtin_ctz(mask);
            enum dp_h1_scan r = on_control(p, n, hit, l);
            if (r != GO_ON) return r;
        }
    }
    for (; at < n; at++) {
        if (dp_char_is(p[at], DP_CH_VALUE)) continue;
        enum dp_h1_scan r = on_control(p, n, at, l);
        if (r != GO_ON) return r;
    }
    l->at = at;
    return DP_H1_SCAN_MORE;
}
