// SPDX-License-Identifier: Apache-2.0
// Byte ranges, the growing text and the hash of the maps. Durations are in duration.c.
#include "shared/str.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT_BYTES_MIN 64

static inline unsigned char lower(unsigned char c) {
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

// --- ranges ------------------------------------------------------------------------------------

bool gw_str_eq_nocase(struct gw_str a, struct gw_str b) {
    if (a.len != b.len) return false;
    for (size_t i = 0; i < a.len; i++) {
        if (lower((unsigned char)a.ptr[i]) != lower((unsigned char)b.ptr[i])) return false;
    }
    return true;
}

bool gw_str_starts(struct gw_str s, struct gw_str prefix) {
    return prefix.len <= s.len && gw_str_eq((struct gw_str){s.ptr, prefix.len}, prefix);
}

bool gw_str_ends(struct gw_str s, struct gw_str suffix) {
    if (suffix.len == 0) return true;
    if (suffix.len > s.len) return false;
    return memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len) == 0;
}

int gw_str_cmp(struct gw_str a, struct gw_str b) {
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n ? memcmp(a.ptr, b.ptr, n) : 0;
    if (order) return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

static inline bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

struct gw_str gw_str_trim(struct gw_str s) {
    while (s.len && is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

ptrdiff_t gw_str_find(struct gw_str s, char c) {
    const char *p = s.len ? memchr(s.ptr, c, s.len) : NULL;
    return p ? p - s.ptr : -1;
}

struct gw_str gw_str_cut(struct gw_str *rest, char sep) {
    struct gw_str part = *rest;
    ptrdiff_t at = gw_str_find(part, sep);
    if (at < 0) {
        *rest = (struct gw_str){NULL, 0};
        return part;
    }
    *rest = (struct gw_str){part.ptr + at + 1, part.len - (size_t)at - 1};
    part.len = (size_t)at;
    return part;
}

enum gw_rc gw_str_to_u64(struct gw_str s, uint64_t max, uint64_t *ret) {
    if (s.len == 0) return GW_ERR_INPUT;
    uint64_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = (unsigned char)s.ptr[i] - (unsigned)'0';
        if (digit > 9) return GW_ERR_INPUT;
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, digit, &n) || n > max) {
            return GW_ERR_INPUT;
        }
    }
    *ret = n;
    return GW_OK;
}

bool gw_str_is_ip(struct gw_str s) {
    char copy[INET6_ADDRSTRLEN + 1];
    unsigned char parsed[16];
    if (s.len >= sizeof(copy)) return false;
    memcpy(copy, s.ptr, s.len);
    copy[s.len] = 0;
    return inet_pton(AF_INET, copy, parsed) == 1 || inet_pton(AF_INET6, copy, parsed) == 1;
}

// Only the last '*' is ever gone back to, so the cost is at most pattern times text.
bool gw_str_glob(struct gw_str pattern, struct gw_str s) {
    size_t p = 0, i = 0, star = SIZE_MAX, resume = 0;
    while (i < s.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            resume = i;
        } else if (p < pattern.len && pattern.ptr[p] == s.ptr[i]) {
            p++;
            i++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            i = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}

void gw_str_lower(char *p, size_t n) {
    for (size_t i = 0; i < n; i++)
        p[i] = (char)lower((unsigned char)p[i]);
}

// --- hash --------------------------------------------------------------------------------------

static inline uint64_t read64(const unsigned char *p) {
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint64_t read32(const unsigned char *p) {
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

// Both halves of the 128-bit product: every input bit reaches every output bit.
static inline uint64_t mix(uint64_t a, uint64_t b) {
    unsigned __int128 r = (unsigned __int128)a * b;
    return (uint64_t)r ^ (uint64_t)(r >> 64);
}

// Odd constants with as many ones as zeros.
#define HASH_K0 UINT64_C(0x9e3779b97f4a7c15)
#define HASH_K1 UINT64_C(0xc2b2ae3d27d4eb4f)
#define HASH_K2 UINT64_C(0x165667b19e3779f9)

uint64_t gw_hash(const void *data, size_t n, uint64_t seed) {
    const unsigned char *p = data;
    uint64_t a = 0, b = 0, h = mix(seed ^ HASH_K0, HASH_K1);
    size_t left = n;
    while (left > 16) {
        h = mix(read64(p) ^ HASH_K1, read64(p + 8) ^ h);
        p += 16;
        left -= 16;
    }
    // The rest in two words that may overlap.
    if (left >= 8) {
        a = read64(p);
        b = read64(p + left - 8);
    } else if (left >= 4) {
        a = read32(p);
        b = read32(p + left - 4);
    } else if (left > 0) {
        a = (uint64_t)p[0] << 16 | (uint64_t)p[left / 2] << 8 | p[left - 1];
    }
    h = mix(a ^ HASH_K2, b ^ h);
    return mix(h ^ HASH_K0, (uint64_t)n ^ HASH_K1);
}

// --- text --------------------------------------------------------------------------------------

// Room for n bytes and the NUL. Once failed, later additions are refused as well: a text with a
// hole in its middle would look whole.
static bool text_reserve(struct gw_text *t, size_t n) {
    if (t->failed) return false;
    size_t max = t->cap_max ? t->cap_max : SIZE_MAX / 4;
    if (n > max || t->len > max - n) {
        t->failed = true;
        return false;
    }
    size_t need = t->len + n + 1;
    if (need <= t->cap) return true;
    size_t cap = t->cap ? 2 * t->cap : TEXT_BYTES_MIN;
    if (cap > max + 1) cap = max + 1;
    if (cap < need) cap = need;
    t->ptr = gw_realloc(t->ptr, cap);
    t->cap = cap;
    return true;
}

void gw_text_add(struct gw_text *t, const void *p, size_t n) {
    if (!text_reserve(t, n)) return;
    if (n) memcpy(t->ptr + t->len, p, n);
    t->len += n;
    t->ptr[t->len] = '\0';
}

void gw_text_adds(struct gw_text *t, const char *s) {
    gw_text_add(t, s, strlen(s));
}

void gw_text_addf(struct gw_text *t, const char *fmt, ...) {
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    if (n < 0) {
        t->failed = true;
    } else if (text_reserve(t, (size_t)n)) {
        vsnprintf(t->ptr + t->len, (size_t)n + 1, fmt, again);
        t->len += (size_t)n;
    }
    va_end(again);
    va_end(ap);
}

void gw_text_reset(struct gw_text *t) {
    t->len = 0;
    t->failed = false;
    if (t->ptr) t->ptr[0] = '\0';
}

void gw_text_fini(struct gw_text *t) {
    if (!t) return;
    free(t->ptr);
    *t = (struct gw_text){.cap_max = t->cap_max};
}

// --- UTF-8 and JSON strings --------------------------------------------------------------------

size_t gw_utf8_char(struct gw_str s) {
    if (s.len == 0) return 0;
    unsigned char c = (unsigned char)s.ptr[0];
    if (c < 0x80) return 1;
    // Bounds of the second byte rule out overlong forms, surrogates and what is over U+10FFFF
    // (Unicode, table 3-7).
    unsigned char low = 0x80, high = 0xbf;
    size_t n;
    if (c >= 0xc2 && c <= 0xdf) {
        n = 2;
    } else if (c >= 0xe0 && c <= 0xef) {
        n = 3;
        if (c == 0xe0) low = 0xa0;
        if (c == 0xed) high = 0x9f;
    } else if (c >= 0xf0 && c <= 0xf4) {
        n = 4;
        if (c == 0xf0) low = 0x90;
        if (c == 0xf4) high = 0x8f;
    } else {
        return 0;
    }
    if (s.len < n) return 0;
    unsigned char second = (unsigned char)s.ptr[1];
    if (second < low || second > high) return 0;
    for (size_t i = 2; i < n; i++) {
        if (((unsigned char)s.ptr[i] & 0xc0) != 0x80) return 0;
    }
    return n;
}

#define BYTES_OF(c) (UINT64_C(0x0101010101010101) * (c))

// Length of the run of ASCII bytes at the front that need no escape; eight bytes at a time. The
// test for "less than" can also hit a byte above a real hit, which does no harm: such a word is
// looked at byte by byte.
static size_t plain_run(struct gw_str s) {
    size_t i = 0;
    for (; i + 8 <= s.len; i += 8) {
        uint64_t w = read64((const unsigned char *)s.ptr + i);
        uint64_t quote = w ^ BYTES_OF('"'), slash = w ^ BYTES_OF('\\');
        uint64_t special = (w - BYTES_OF(0x20)) | (quote - BYTES_OF(1)) | (slash - BYTES_OF(1)) | w;
        if (special & BYTES_OF(0x80)) break;
    }
    for (; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c < 0x20 || c == '"' || c == '\\' || c >= 0x80) break;
    }
    return i;
}

#define ESCAPE_BYTES_MAX 6

// Writes what stands for the bytes at the front of s to out and tells how many were taken.
static size_t escape_one(struct gw_str s, char out[ESCAPE_BYTES_MAX], size_t *ret_taken) {
    static const char hex[] = "0123456789abcdef";
    unsigned char c = (unsigned char)s.ptr[0];
    *ret_taken = 1;
    if (c >= 0x80) {
        size_t n = gw_utf8_char(s);
        memcpy(out, n ? s.ptr : "\xef\xbf\xbd", n ? n : 3);
        if (n) *ret_taken = n;
        return n ? n : 3;
    }
    out[0] = '\\';
    switch (c) {
    case '"':
    case '\\':
        out[1] = (char)c;
        return 2;
    case '\n':
        out[1] = 'n';
        return 2;
    case '\r':
        out[1] = 'r';
        return 2;
    case '\t':
        out[1] = 't';
        return 2;
    default:
        memcpy(out + 1, "u00", 3);
        out[4] = hex[c >> 4];
        out[5] = hex[c & 15];
        return 6;
    }
}

void gw_text_add_json(struct gw_text *t, struct gw_str s) {
    size_t before = t->len;
    while (s.len && !t->failed) {
        size_t n = plain_run(s), taken = 0;
        if (n) gw_text_add(t, s.ptr, n);
        s = (struct gw_str){s.ptr + n, s.len - n};
        if (s.len == 0) break;
        char out[ESCAPE_BYTES_MAX];
        gw_text_add(t, out, escape_one(s, out, &taken));
        s = (struct gw_str){s.ptr + taken, s.len - taken};
    }
    if (t->failed && t->ptr) {
        t->len = before;
        t->ptr[before] = '\0';
    }
}

size_t gw_json_escape_some(char *dst, size_t cap, struct gw_str *s) {
    size_t len = 0;
    while (s->len) {
        size_t n = plain_run(*s), taken = 0;
        if (n > cap - len) n = cap - len;
        if (n) memcpy(dst + len, s->ptr, n);
        len += n;
        *s = (struct gw_str){s->ptr + n, s->len - n};
        if (s->len == 0 || len == cap) break;
        char out[ESCAPE_BYTES_MAX];
        n = escape_one(*s, out, &taken);
        if (n > cap - len) break;
        memcpy(dst + len, out, n);
        len += n;
        *s = (struct gw_str){s->ptr + taken, s->len - taken};
    }
    return len;
}

size_t gw_json_escape(char *dst, size_t cap, struct gw_str s) {
    return gw_json_escape_some(dst, cap, &s);
}
