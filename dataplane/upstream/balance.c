// SPDX-License-Identifier: Apache-2.0
// See balance.h. Counters are shared by all workers; relaxed atomics are enough for a guess.
#include "dataplane/upstream/balance.h"

// Weight of a new sample in the decaying mean: 1/8.
#define LATENCY_SHIFT 3
// What a failure adds to the mean: one second.
#define LATENCY_FAILED_US 1000000
// A mean that no request renews is believed half as much after each second: one that failed, or was
// slow once, is tried again.
#define HALF_LIFE_MS 1000

// 0: it never answered.
static uint64_t latency_of(const struct dp_endpoint *e, int64_t now_ms) {
    uint64_t mean = atomic_load_explicit(&e->latency_us, memory_order_relaxed);
    unsigned sampled = atomic_load_explicit(&e->sampled_ms, memory_order_relaxed);
    unsigned halvings = ((unsigned)now_ms - sampled) / HALF_LIFE_MS;
    if (mean == 0) return 0;
    mean = halvings < 32 ? mean >> halvings : 0;
    return mean ? mean : 1;
}

// Of two, the one that is likely to answer first. One that never answered counts as fast as the
// other: it is tried as soon as it is as little loaded.
static struct dp_endpoint *better(struct dp_endpoint *a, struct dp_endpoint *b, int64_t now_ms) {
    uint64_t slow_a = latency_of(a, now_ms), slow_b = latency_of(b, now_ms);
    uint64_t load_a = (uint64_t)atomic_load_explicit(&a->active, memory_order_relaxed) + 1;
    uint64_t load_b = (uint64_t)atomic_load_explicit(&b->active, memory_order_relaxed) + 1;
    if (slow_a == 0 || slow_b == 0) {
        if (load_a != load_b) return load_b < load_a ? b : a;
        return slow_b == 0 ? b : a;
    }
    return slow_b * load_b < slow_a * load_a ? b : a;
}

struct dp_endpoint *dp_balance_pick(struct dp_endpoint *const *endpoints, unsigned n,
                                    const struct dp_endpoint *avoid, uint64_t random,
                                    int64_t now_ms) {
    if (n == 0) return NULL;
    if (n == 1) return endpoints[0];
    unsigned i = (unsigned)((random & 0xffffffff) * n >> 32);
    unsigned j = (unsigned)((random >> 32) * (n - 1) >> 32);
    if (j >= i) j++;
    struct dp_endpoint *a = endpoints[i], *b = endpoints[j];
    if (a == avoid) return b;
    if (b == avoid) return a;
    return better(a, b, now_ms);
}

void dp_balance_begin(struct dp_endpoint *e) {
    atomic_fetch_add_explicit(&e->active, 1, memory_order_relaxed);
}

void dp_balance_end(struct dp_endpoint *e, int64_t first_byte_us, int64_t now_ms) {
    atomic_fetch_sub_explicit(&e->active, 1, memory_order_relaxed);
    if (first_byte_us == DP_BALANCE_NO_SAMPLE) return;
    if (first_byte_us > LATENCY_FAILED_US || first_byte_us < 0) first_byte_us = LATENCY_FAILED_US;
    int64_t old = (int64_t)latency_of(e, now_ms);
    int64_t mean = old ? old + (first_byte_us - old) / (1 << LATENCY_SHIFT) : first_byte_us;
    atomic_store_explicit(&e->latency_us, mean > 0 ? (unsigned)mean : 1, memory_order_relaxed);
    atomic_store_explicit(&e->sampled_ms, (unsigned)now_ms, memory_order_relaxed);
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
