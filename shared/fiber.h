// SPDX-License-Identifier: Apache-2.0
// Small stackful fibers for straight-line decisions (Boost.Context's jump_fcontext). A fiber lives
// on one thread; its stack comes from that thread's pool and has a guard page below. jansson, TLS
// handshakes and name look-ups never run on one.
#ifndef GW_SHARED_FIBER_H
#define GW_SHARED_FIBER_H

#include "shared/err.h"

#include <stdint.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define GW_FIBER_STACK_BYTES (256 * 1024)
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define GW_FIBER_STACK_BYTES (256 * 1024)
#endif
#endif
#ifndef GW_FIBER_STACK_BYTES
#define GW_FIBER_STACK_BYTES (64 * 1024)
#endif
// Free stacks a thread keeps before it unmaps them.
#define GW_FIBER_FREE_MAX 256

struct gw_fiber;      // opaque
struct gw_fiber_pool; // opaque; one per thread

typedef void (*gw_fiber_fn)(void *arg);

// live_max: fibers at once; starting one more is GW_ERR_LIMIT.
struct gw_fiber_pool *gw_fiber_pool_new(unsigned live_max);
void gw_fiber_pool_free(struct gw_fiber_pool *p); // no fiber may be live

// Runs fn(arg) at once on a new fiber, until it returns or suspends for the first time. The fiber
// is freed when fn returns. *ret_fiber (may be NULL) is set before fn runs.
enum gw_rc gw_fiber_start(struct gw_fiber_pool *p, gw_fiber_fn fn, void *arg,
                          struct gw_fiber **ret_fiber, struct gw_err *err) GW_MUST_USE;
struct gw_fiber *gw_fiber_self(void); // NULL: on the thread's own stack
// Back to the one who started or resumed this fiber; returns the code that gw_fiber_resume gives.
int gw_fiber_suspend(void);
// Only from the thread's own stack (the loop), only while suspended.
void gw_fiber_resume(struct gw_fiber *f, int code);

struct gw_fiber_stats {
    unsigned live, free;
    size_t stack_high_water_bytes; // page-granular, over all stacks of the pool so far
};
// Any thread may read (values may be a moment old). The high-water mark is taken with mincore(2)
// by gw_fiber_pool_measure on the owning thread.
void gw_fiber_pool_stats(const struct gw_fiber_pool *p, struct gw_fiber_stats *ret);
void gw_fiber_pool_measure(struct gw_fiber_pool *p);

#endif
