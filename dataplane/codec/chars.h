// SPDX-License-Identifier: Apache-2.0
// Character classes of HTTP messages (RFC 9110 5.6.2, RFC 3986), one table look-up per byte.
#ifndef DP_CODEC_CHARS_H
#define DP_CODEC_CHARS_H

#include "shared/str.h"

#define DP_CH_TOKEN 1u  // tchar: names, methods
#define DP_CH_HOST 2u   // registered names as DNS and Kubernetes have them, '_' included
#define DP_CH_PATH 4u   // of a target's path
#define DP_CH_QUERY 8u  // of a target's query
#define DP_CH_VALUE 16u // of a field's value: blank, tab, visible, obs-text
extern const uint8_t dp_chars[256];

static inline bool dp_char_is(char c, unsigned classes) {
    return dp_chars[(unsigned char)c] & classes;
}
// Length of the run of such bytes at the front.
static inline size_t dp_char_run(const char *p, const char *end, unsigned classes) {
    const char *at = p;
    while (at < end && dp_char_is(*at, classes))
        at++;
    return (size_t)(at - p);
}
// Whole text, not empty.
static inline bool dp_str_is_token(struct gw_str s) {
    return s.len && dp_char_run(s.ptr, s.ptr + s.len, DP_CH_TOKEN) == s.len;
}
// Whole text; may be empty.
static inline bool dp_str_is_value(struct gw_str s) {
    return s.len == 0 || dp_char_run(s.ptr, s.ptr + s.len, DP_CH_VALUE) == s.len;
}

#endif
