// SPDX-License-Identifier: Apache-2.0
// Classes of bytes for the scanner of json.h; inline, since it asks for every byte.
#ifndef GW_SHARED_JSCAN_BYTES_H
#define GW_SHARED_JSCAN_BYTES_H

#include <stdbool.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

static inline bool is_blank(char ch) {
    return ch == ' ' || ch == '\t' || ch == '\n' || ch == '\r';
}

static inline bool is_digit(char ch) {
    return ch >= '0' && ch <= '9';
}

static inline bool is_hex(char ch) {
    return (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'f') || (ch >= 'A' && ch <= 'F');
}

// The second byte of an escape other than \u.
static const bool simple_escapes[256] = {
    ['"'] = true, ['\\'] = true, ['/'] = true, ['b'] = true,
    ['f'] = true, ['n'] = true,  ['r'] = true, ['t'] = true,
};

#ifdef __SSE2__
// Bit i: p[i] is not plain.
static inline unsigned odd_mask(const char *p) {
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    // Signed compare: bytes >= 0x80 are negative and so "below 0x20" too.
    __m128i odd =
        _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('"')), _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));
    odd = _mm_or_si128(odd, _mm_cmplt_epi8(x, _mm_set1_epi8(0x20)));
    return (unsigned)_mm_movemask_epi8(odd);
}
#endif

// First byte that is not plain: quote, backslash, control or beyond ASCII.
static inline const char *skip_plain(const char *p, const char *end) {
#ifdef __SSE2__
    for (; end - p >= 32; p += 32) {
        unsigned mask = odd_mask(p) | odd_mask(p + 16) << 16;
        if (mask) return p + __builtin_ctz(mask);
    }
    if (end - p >= 16) {
        unsigned mask = odd_mask(p);
        if (mask) return p + __builtin_ctz(mask);
        p += 16;
    }
#endif
    while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' &&
           *p != '\\')
        p++;
    return p;
}

#endif
