// SPDX-License-Identifier: Apache-2.0
// host[:port] as it stands in Host, in a request target and in configured values (RFC 9110 7.2,
// RFC 3986 3.2.2). An IPv6 host stands in brackets; the port is what follows the bracket.
#ifndef DP_CODEC_AUTHORITY_H
#define DP_CODEC_AUTHORITY_H

#include "shared/arena.h"

#define DP_HOST_BYTES_MAX 255 // a DNS name with its final dot

struct dp_authority {
    struct gw_str
        host;      // lower case, no brackets, no final dot; borrows from text or lives in arena
    unsigned port; // 0: none given
};
// Refused: user information, empty or over-long hosts, empty labels, bytes no DNS name has, zones,
// an empty port, a port outside 1..65535. NULL: fine; else what is wrong with it, static.
const char *dp_authority_parse(struct gw_str text, struct gw_arena *arena, struct dp_authority *ret)
    GW_MUST_USE;

#endif
