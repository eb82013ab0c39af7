// SPDX-License-Identifier: Apache-2.0
// See balance.h. Counters are shared by all workers; relaxed atomics are enough for a guess.
#include "dataplane/upstream/balance.h"

// Weight of a new sample in the decaying mean: 1/8.
#define LATENCY_SHIFT 3
// An endpoint that never answered counts as this slow, so that new ones are tried soon.
#define LATENCY_UNKNOWN_US 1000
// What a failure adds to the mean: one second.
#define LATENCY_FAILED_US 1000000

static uint64_t cost(const struct dp_endpoint *e) {
    uint64_t latency = atomic_load_explicit(&e->latency_us, memory_order_relaxed);
    uint64_t active = atomic_load_explicit(&e->active, memory_order_relaxed);
    return (latency ? latency : LATENCY_UNKNOWN_US) * (active + 1);
}

struct dp_endpoint *dp_balance_pick(struct dp_endpoint *const *endpoints, unsigned n,
                                    const struct dp_endpoint *avoid, uint64_t random) {
    if (n == 0) return NULL;
    if (n == 1) return endpoints[0];
    unsigned i = (unsigned)((random & 0xffffffff) * n >> 32);
    unsigned j = (unsigned)((random >> 32) * (n - 1) >> 32);
    if (j >= i) j++;
    struct dp_endpoint *a = endpoints[i], *b = endpoints[j];
    if (a == avoid) return b;
    if (b == avoid) return a;
    return cost(b) < cost(a) ? b : a;
}

void dp_balance_begin(struct dp_endpoint *e) {
    atomic_fetch_add_explicit(&e->active, 1, memory_order_relaxed);
}

void dp_balance_end(struct dp_endpoint *e, int64_t first_byte_us) {
    atomic_fetch_sub_explicit(&e->active, 1, memory_order_relaxed);
    if (first_byte_us == DP_BALANCE_NO_SAMPLE) return;
    if (first_byte_us > LATENCY_FAILED_US || first_byte_us < 0) first_byte_us = LATENCY_FAILED_US;
    int64_t old = atomic_load_explicit(&e->latency_us, memory_order_relaxed);
    int64_t mean = old ? old + (first_byte_us - old) / (1 << LATENCY_SHIFT) : first_byte_us;
    atomic_store_explicit(&e->latency_us, mean > 0 ? (unsigned)mean : 1, memory_order_relaxed);
}

unsigned dp_balance_turn(int64_t *current, const unsigned *weights, unsigned n) {
    int64_t sum = 0;
    unsigned best = n;
    for (unsigned i = 0; i < n; i++) {
        if (weights[i] == 0) continue;
        current[i] += weights[i];
        sum += weights[i];
        if (best == n || current[i] > current[best]) best = i;
    }
    if (best < n) current[best] -= sum;
    return best;
}
