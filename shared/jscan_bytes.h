// SPDX-License-Identifier: Apache-2.0
// Classes of bytes for the scanner of json.h; inline, since it asks for every byte.
#ifndef GW_SHARED_JSCAN_BYTES_H
#define GW_SHARED_JSCAN_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

// A character beyond ASCII by its first byte: how many bytes follow (0: none begins so), and the
// bounds of the next one (Unicode, table 3-7: nothing overlong, no surrogate, at most U+10FFFF).
static inline unsigned utf8_tail(unsigned char first, uint8_t *low, uint8_t *high) {
    *low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    *high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    return first < 0xc2 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : first < 0xf5 ? 3 : 0;
}

// Past the characters beyond ASCII that begin at p and lie whole before end.
static inline const char *skip_utf8(const char *p, const char *end) {
    while (p < end && (unsigned char)*p >= 0x80) {
        uint8_t low, high;
        unsigned n = utf8_tail((unsigned char)*p, &low, &high);
        if (n == 0 || (size_t)(end - p) <= n) break;
        if ((unsigned char)p[1] < low || (unsigned char)p[1] > high) break;
        if (n > 1 && ((unsigned char)p[2] & 0xc0) != 0x80) break;
        if (n > 2 && ((unsigned char)p[3] & 0xc0) != 0x80) break;
        p += n + 1;
    }
    return p;
}

// Past one escape or a run of characters beyond ASCII that lie whole before end; p where there is
// no such thing.
static inline const char *skip_whole(const char *p, const char *end) {
    if (*p != '\\') return skip_utf8(p, end);
    if (end - p >= 2 && simple_escapes[(unsigned char)p[1]]) return p + 2;
    if (end - p >= 6 && p[1] == 'u' && is_hex(p[2]) && is_hex(p[3]) && is_hex(p[4]) && is_hex(p[5]))
        return p + 6;
    return p;
}

#endif
