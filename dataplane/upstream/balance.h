// SPDX-License-Identifier: Apache-2.0
// Picking an endpoint: power of two choices over requests under way and time to first byte.
#ifndef DP_UPSTREAM_BALANCE_H
#define DP_UPSTREAM_BALANCE_H

#include "dataplane/upstream/endpoint.h"

// avoid: one that just failed (NULL: none); it is picked only where there is no other. random: 64
// fresh random bits. now_ms: monotonic. NULL where n is 0.
struct dp_endpoint *dp_balance_pick(struct dp_endpoint *const *endpoints, unsigned n,
                                    const struct dp_endpoint *avoid, uint64_t random,
                                    int64_t now_ms);
// A request begins and ends on an endpoint; first_byte_us -1: it never answered;
// DP_BALANCE_NO_SAMPLE: the client left before it could.
#define DP_BALANCE_NO_SAMPLE INT64_MIN
void dp_balance_begin(struct dp_endpoint *e);
void dp_balance_end(struct dp_endpoint *e, int64_t first_byte_us, int64_t now_ms);

// Smooth weighted round robin over weights (nginx's): each turn spreads picks as evenly as the
// weights allow. current: one number per entry, kept by the caller. Returns the index; n where the
// weights sum up to 0.
unsigned dp_balance_turn(int64_t *current, const unsigned *weights, unsigned n);

#endif
