// SPDX-License-Identifier: Apache-2.0
// What a peer may cost: token buckets that refill with time. Frames that move nothing (PING,
// SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA) and streams that come to nothing
// (reset by the peer, or by us because of what it sent) each have one. Time is a parameter. And
// which streams were, so that frames for them can be judged.
#ifndef DP_CODEC_H2_GUARD_H
#define DP_CODEC_H2_GUARD_H

#include <stdbool.h>
#include <stdint.h>

// A bucket is exact to a thousandth of a token, so that a millisecond counts.
struct dp_h2_bucket {
    int64_t milli, milli_max;
    int64_t per_s;
    int64_t last_ms;
};
void dp_h2_bucket_init(struct dp_h2_bucket *b, int64_t burst, int64_t per_s, int64_t now_ms);
// False: empty; the peer is to be sent away.
bool dp_h2_bucket_take(struct dp_h2_bucket *b, int64_t now_ms);
// What the peer earned by moving something.
void dp_h2_bucket_add(struct dp_h2_bucket *b, int64_t tokens);

// Streams that are closed, the last ones: a frame for one is an error of the peer's (RFC 9113 5.1),
// but not where we reset it, for then the frame was on its way. Zero-initialised is valid.
#define DP_H2_PAST_MAX 256
struct dp_h2_past {
    uint32_t ids[DP_H2_PAST_MAX]; // the highest bit: we reset it
    unsigned next;
};
enum dp_h2_past_is {
    DP_H2_PAST_UNKNOWN, // never open, or long ago
    DP_H2_PAST_CLOSED,  // by both ends, or by the peer
    DP_H2_PAST_RESET,   // by us
};
void dp_h2_past_add(struct dp_h2_past *p, uint32_t id, bool we_reset);
enum dp_h2_past_is dp_h2_past_find(const struct dp_h2_past *p, uint32_t id);

#endif
