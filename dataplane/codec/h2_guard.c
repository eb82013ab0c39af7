// SPDX-License-Identifier: Apache-2.0
// See h2_guard.h.
#include "dataplane/codec/h2_guard.h"

// Beyond this every bucket here is full; keeps the product below small.
#define REFILL_MS_MAX 60000

void dp_h2_bucket_init(struct dp_h2_bucket *b, int64_t burst, int64_t per_s, int64_t now_ms) {
    *b = (struct dp_h2_bucket){burst * 1000, burst * 1000, per_s, now_ms};
}

static void add_milli(struct dp_h2_bucket *b, int64_t milli) {
    b->milli += milli;
    if (b->milli > b->milli_max) b->milli = b->milli_max;
}

bool dp_h2_bucket_take(struct dp_h2_bucket *b, int64_t now_ms) {
    int64_t ms = now_ms - b->last_ms;
    if (ms > 0) {
        add_milli(b, (ms < REFILL_MS_MAX ? ms : REFILL_MS_MAX) * b->per_s);
        b->last_ms = now_ms;
    }
    if (b->milli < 1000) return false;
    b->milli -= 1000;
    return true;
}

void dp_h2_bucket_add(struct dp_h2_bucket *b, int64_t tokens) {
    add_milli(b, tokens * 1000);
}

#define WE_RESET 0x80000000u

void dp_h2_past_add(struct dp_h2_past *p, uint32_t id, bool we_reset) {
    p->ids[p->next++ % DP_H2_PAST_MAX] = id | (we_reset ? WE_RESET : 0);
}

enum dp_h2_past_is dp_h2_past_find(const struct dp_h2_past *p, uint32_t id) {
    for (unsigned i = 0; i < DP_H2_PAST_MAX; i++) {
        if ((p->ids[i] & ~WE_RESET) != id) continue;
        return p->ids[i] & WE_RESET ? DP_H2_PAST_RESET : DP_H2_PAST_CLOSED;
    }
    return DP_H2_PAST_UNKNOWN;
}
