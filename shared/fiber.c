// SPDX-License-Identifier: Apache-2.0
// Fibers on Boost.Context's assembly. One mapping per fiber, from low to high addresses: guard
// page, stack, struct gw_fiber. Free mappings are kept last in, first out, so that a warm stack is
// used again. The sanitizers are told of every switch.
#include "shared/fiber.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// The C interface of libboost_context (boost/context/detail/fcontext.hpp is C++ only).
typedef void *fcontext_t;
typedef struct {
    fcontext_t fctx;
    void *data;
} transfer_t;
extern transfer_t jump_fcontext(fcontext_t const to, void *vp);
extern fcontext_t make_fcontext(void *sp, size_t size, void (*fn)(transfer_t));

enum fiber_state { FIBER_RUNNING, FIBER_SUSPENDED, FIBER_DONE };

// Nothing here unless a sanitizer is on: see the functions san_*.
struct san {
    void *fake_stack; // ASan's, of this fiber while it is suspended
    void *tsan;       // TSan's name of this fiber
    void *caller_fake_stack;
    void *caller_tsan;
    const void *caller_stack;
    size_t caller_stack_bytes;
};

struct gw_fiber {
    fcontext_t here; // while suspended
    fcontext_t back; // of the caller, while running
    struct gw_fiber *caller;
    enum fiber_state state;
    int code;
    gw_fiber_fn fn;
    void *arg;
    struct gw_fiber_pool *pool;
    struct gw_fiber *next_free;
    char *stack; // lowest usable byte, just above the guard page
    size_t stack_bytes;
    struct san san;
};

// The counters are written by the owner alone and read by any thread.
struct gw_fiber_pool {
    unsigned live_max;
    size_t page_bytes;
    struct gw_fiber *free_list;
    atomic_uint live, free;
    atomic_size_t high_water;
};

static _Thread_local struct gw_fiber *self;

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__SANITIZE_THREAD__)
#define WITH_TSAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#elif __has_feature(thread_sanitizer)
#define WITH_TSAN 1
#endif
#endif

#if defined(WITH_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

static void san_create(struct gw_fiber *f) {
    f->san.fake_stack = NULL;
}
static void san_destroy(struct gw_fiber *f) {
    // What a frame left poisoned must not outlive the mapping.
    __asan_unpoison_memory_region(f->stack, f->stack_bytes);
}
static void san_before_enter(struct gw_fiber *f) {
    __sanitizer_start_switch_fiber(&f->san.caller_fake_stack, f->stack, f->stack_bytes);
}
static void san_after_enter(struct gw_fiber *f) {
    __sanitizer_finish_switch_fiber(f->san.caller_fake_stack, NULL, NULL);
}
static void san_arrived(struct gw_fiber *f) {
    __sanitizer_finish_switch_fiber(f->san.fake_stack, &f->san.caller_stack,
                                    &f->san.caller_stack_bytes);
}
static void san_before_leave(struct gw_fiber *f) {
    __sanitizer_start_switch_fiber(f->state == FIBER_DONE ? NULL : &f->san.fake_stack,
                                   f->san.caller_stack, f->san.caller_stack_bytes);
}
#elif defined(WITH_TSAN)
#include <sanitizer/tsan_interface.h>

static void san_create(struct gw_fiber *f) {
    f->san.tsan = __tsan_create_fiber(0);
}
static void san_destroy(struct gw_fiber *f) {
    __tsan_destroy_fiber(f->san.tsan);
}
static void san_before_enter(struct gw_fiber *f) {
    f->san.caller_tsan = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(f->san.tsan, 0);
}
static void san_after_enter(struct gw_fiber *f) {
    (void)f;
}
static void san_arrived(struct gw_fiber *f) {
    (void)f;
}
static void san_before_leave(struct gw_fiber *f) {
    __tsan_switch_to_fiber(f->san.caller_tsan, 0);
}
#else
static inline void san_create(struct gw_fiber *f) {
    (void)f;
}
static inline void san_destroy(struct gw_fiber *f) {
    (void)f;
}
static inline void san_before_enter(struct gw_fiber *f) {
    (void)f;
}
static inline void san_after_enter(struct gw_fiber *f) {
    (void)f;
}
static inline void san_arrived(struct gw_fiber *f) {
    (void)f;
}
static inline void san_before_leave(struct gw_fiber *f) {
    (void)f;
}
#endif

static void count_add(atomic_uint *n, unsigned by) {
    atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

struct gw_fiber_pool *gw_fiber_pool_new(unsigned live_max) {
    struct gw_fiber_pool *p = gw_alloc(sizeof(*p));
    p->live_max = live_max;
    p->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    return p;
}

static struct gw_fiber *stack_map(struct gw_fiber_pool *p, struct gw_err *err) {
    size_t bytes = p->page_bytes + GW_FIBER_STACK_BYTES;
    char *m = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (m == MAP_FAILED) {
        gw_err_set(err, GW_ERR_INTERNAL, 0, "mapping a fiber stack: %s", strerror(errno));
        return NULL;
    }
    if (mprotect(m, p->page_bytes, PROT_NONE) != 0) {
        gw_err_set(err, GW_ERR_INTERNAL, 0, "guard page of a fiber stack: %s", strerror(errno));
        munmap(m, bytes);
        return NULL;
    }
    size_t top = (bytes - sizeof(struct gw_fiber)) & ~(size_t)63;
    struct gw_fiber *f = (struct gw_fiber *)(void *)(m + top);
    f->pool = p;
    f->stack = m + p->page_bytes;
    f->stack_bytes = top - p->page_bytes;
    return f;
}

static void stack_unmap(struct gw_fiber_pool *p, struct gw_fiber *f) {
    munmap(f->stack - p->page_bytes, p->page_bytes + GW_FIBER_STACK_BYTES);
}

// Pages are touched from the top down and stay resident: the lowest one tells the depth.
static void stack_measure(struct gw_fiber_pool *p, const struct gw_fiber *f) {
    unsigned char resident[GW_FIBER_STACK_BYTES / 4096];
    size_t pages = GW_FIBER_STACK_BYTES / p->page_bytes;
    if (mincore(f->stack, GW_FIBER_STACK_BYTES, resident) != 0) return;
    size_t low = 0;
    while (low < pages && !(resident[low] & 1))
        low++;
    size_t depth = (pages - low) * p->page_bytes;
    if (depth > atomic_load_explicit(&p->high_water, memory_order_relaxed))
        atomic_store_explicit(&p->high_water, depth, memory_order_relaxed);
}

static struct gw_fiber *fiber_get(struct gw_fiber_pool *p, struct gw_err *err) {
    struct gw_fiber *f = p->free_list;
    if (f) {
        p->free_list = f->next_free;
        count_add(&p->free, -1u);
    } else {
        f = stack_map(p, err);
        if (!f) return NULL;
    }
    count_add(&p->live, 1);
    return f;
}

static void fiber_put(struct gw_fiber *f) {
    struct gw_fiber_pool *p = f->pool;
    san_destroy(f);
    count_add(&p->live, -1u);
    if (atomic_load_explicit(&p->free, memory_order_relaxed) >= GW_FIBER_FREE_MAX) {
        stack_measure(p, f);
        stack_unmap(p, f);
        return;
    }
    f->next_free = p->free_list;
    p->free_list = f;
    count_add(&p->free, 1);
}

void gw_fiber_pool_free(struct gw_fiber_pool *p) {
    if (!p) return;
    GW_ASSERT(atomic_load_explicit(&p->live, memory_order_relaxed) == 0);
    for (struct gw_fiber *f = p->free_list, *next; f; f = next) {
        next = f->next_free;
        stack_unmap(p, f);
    }
    free(p);
}

static _Noreturn void fiber_main(transfer_t from) {
    struct gw_fiber *f = from.data;
    f->back = from.fctx;
    san_arrived(f);
    f->fn(f->arg);
    f->state = FIBER_DONE;
    san_before_leave(f);
    jump_fcontext(f->back, NULL);
    __builtin_unreachable();
}

// Runs f until it suspends or returns; then it may be gone.
static void fiber_enter(struct gw_fiber *f) {
    f->caller = self;
    f->state = FIBER_RUNNING;
    self = f;
    san_before_enter(f);
    transfer_t from = jump_fcontext(f->here, f);
    san_after_enter(f);
    self = f->caller;
    f->here = from.fctx;
    if (f->state == FIBER_DONE) fiber_put(f);
}

enum gw_rc gw_fiber_start(struct gw_fiber_pool *p, gw_fiber_fn fn, void *arg,
                          struct gw_fiber **ret_fiber, struct gw_err *err) {
    if (atomic_load_explicit(&p->live, memory_order_relaxed) >= p->live_max)
        return gw_err_set(err, GW_ERR_LIMIT, 503, "%u fibers are running, which is the limit",
                          p->live_max);
    struct gw_fiber *f = fiber_get(p, err);
    if (!f) return GW_ERR_INTERNAL;
    f->fn = fn;
    f->arg = arg;
    f->here = make_fcontext(f->stack + f->stack_bytes, f->stack_bytes, fiber_main);
    san_create(f);
    if (ret_fiber) *ret_fiber = f;
    fiber_enter(f);
    return GW_OK;
}

struct gw_fiber *gw_fiber_self(void) {
    return self;
}

int gw_fiber_suspend(void) {
    struct gw_fiber *f = self;
    GW_ASSERT(f != NULL);
    f->state = FIBER_SUSPENDED;
    san_before_leave(f);
    transfer_t from = jump_fcontext(f->back, NULL);
    f->back = from.fctx;
    san_arrived(f);
    return f->code;
}

void gw_fiber_resume(struct gw_fiber *f, int code) {
    GW_ASSERT(self == NULL);
    GW_ASSERT(f->state == FIBER_SUSPENDED);
    f->code = code;
    fiber_enter(f);
}

void gw_fiber_pool_stats(const struct gw_fiber_pool *p, struct gw_fiber_stats *ret) {
    ret->live = atomic_load_explicit(&p->live, memory_order_relaxed);
    ret->free = atomic_load_explicit(&p->free, memory_order_relaxed);
    ret->stack_high_water_bytes = atomic_load_explicit(&p->high_water, memory_order_relaxed);
}

void gw_fiber_pool_measure(struct gw_fiber_pool *p) {
    for (const struct gw_fiber *f = p->free_list; f; f = f->next_free)
        stack_measure(p, f);
}
