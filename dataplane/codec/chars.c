// SPDX-License-Identifier: Apache-2.0
// The table behind chars.h, sixteen bytes a line. A query may hold what browsers and curl leave
// unescaped; a path may not hold what some servers read as another path (backslash) or as markup.
// '?' ends a path; '#' and bytes over 0x7e are in no target.
#include "dataplane/codec/chars.h"

// clang-format off
const uint8_t dp_chars[256] = {
    /* 00 */  0,  0,  0,  0,  0,  0,  0,  0,  0, 16,  0,  0,  0,  0,  0,  0,
    /* 10 */  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
    /* 20 */ 16, 29, 24, 17, 29, 29, 29, 29, 28, 28, 29, 29, 28, 31, 31, 28,
    /* 30 */ 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 28, 28, 24, 28, 24, 24,
    /* 40 */ 28, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31,
    /* 50 */ 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 28, 24, 28, 29, 31,
    /* 60 */ 29, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31,
    /* 70 */ 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 28, 29, 28, 29,  0,
    [0x80 ... 0xff] = DP_CH_VALUE,
};
// clang-format on
