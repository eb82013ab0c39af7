// SPDX-License-Identifier: Apache-2.0
// Borrowed byte ranges (struct gw_str) and one growing text (struct gw_text). A gw_str never owns
// and is not NUL-terminated.
#ifndef GW_SHARED_STR_H
#define GW_SHARED_STR_H

#include "shared/err.h"

#include <stdint.h>
#include <string.h>

struct gw_str {
    const char *ptr;
    size_t len;
};

#define GW_STR(lit) ((struct gw_str){(lit), sizeof(lit) - 1})
#define GW_STR_FMT "%.*s"
#define GW_STR_ARG(s) (int)(s).len, (s).ptr

static inline struct gw_str gw_str_of(const char *s) {
    return (struct gw_str){s, s ? strlen(s) : 0};
}
static inline bool gw_str_eq(struct gw_str a, struct gw_str b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}
bool gw_str_eq_nocase(struct gw_str a, struct gw_str b); // ASCII
bool gw_str_starts(struct gw_str s, struct gw_str prefix);
bool gw_str_ends(struct gw_str s, struct gw_str suffix);
int gw_str_cmp(struct gw_str a, struct gw_str b); // bytewise, like strcmp
struct gw_str gw_str_trim(struct gw_str s);       // space and tab, both ends (OWS of RFC 9110)
// Index of c, or -1.
ptrdiff_t gw_str_find(struct gw_str s, char c);
// Cuts the part before the first sep off *rest and returns it; the whole of *rest where sep is
// absent (then *rest becomes {NULL, 0}).
struct gw_str gw_str_cut(struct gw_str *rest, char sep);
// Decimal digits only, no sign, no blanks, whole text; refuses overflow over max.
enum gw_rc gw_str_to_u64(struct gw_str s, uint64_t max, uint64_t *ret) GW_MUST_USE;
// The value of a hexadecimal digit of either case; -1: it is none.
static inline int gw_hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}
// An IPv4 or IPv6 address (without brackets).
bool gw_str_is_ip(struct gw_str s);
// Shell-like glob with '*' alone (any run of bytes).
bool gw_str_glob(struct gw_str pattern, struct gw_str s);
// In place, ASCII.
void gw_str_lower(char *p, size_t n);
uint64_t gw_hash(const void *p, size_t n, uint64_t seed); // fast, not cryptographic

// Length (1..4) of the well-formed UTF-8 character at the front of s; 0 where there is none.
size_t gw_utf8_char(struct gw_str s);

// Text that grows; owned by caller. cap_max 0 means no cap; beyond it, failed is set and the text
// stays as it was. Always NUL-terminated once something was added.
struct gw_text {
    char *ptr;
    size_t len, cap, cap_max;
    bool failed;
};
void gw_text_add(struct gw_text *t, const void *p, size_t n);
void gw_text_adds(struct gw_text *t, const char *s);
void gw_text_addf(struct gw_text *t, const char *fmt, ...) GW_PRINTF(2, 3);
// As a JSON string body without quotes: escapes '"', '\\', control bytes; bytes that are not UTF-8
// become U+FFFD.
void gw_text_add_json(struct gw_text *t, struct gw_str s);
void gw_text_reset(struct gw_text *t); // keeps the memory
void gw_text_fini(struct gw_text *t);
static inline struct gw_str gw_text_str(const struct gw_text *t) {
    return (struct gw_str){t->ptr, t->len};
}
// The escaping of gw_text_add_json into a caller's array; returns bytes written, at most cap (cuts
// at a whole escape).
size_t gw_json_escape(char *dst, size_t cap, struct gw_str s);
// The same; *s becomes the rest that found no room.
size_t gw_json_escape_some(char *dst, size_t cap, struct gw_str *s);

// GEP-2257 duration ("1h30m", "500ms", "0s") to milliseconds; refuses anything else.
enum gw_rc gw_duration_ms(struct gw_str s, uint64_t *ret_ms, struct gw_err *err) GW_MUST_USE;
// Seconds since the epoch as RFC 3339 has them: "2026-01-31T23:59:59Z".
#define GW_TIME_CHARS 32
void gw_time_text(char dst[GW_TIME_CHARS], int64_t seconds);

#endif
