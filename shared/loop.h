// SPDX-License-Identifier: Apache-2.0
// One epoll loop per thread: file descriptors, timers, wake-ups from other threads, deferred frees.
// Everything but gw_loop_post and gw_loop_stop is for the loop's own thread.
#ifndef GW_SHARED_LOOP_H
#define GW_SHARED_LOOP_H

#include "shared/err.h"

#include <stdint.h>
#include <sys/epoll.h>

struct gw_loop; // opaque
struct gw_io;
struct gw_timer;

typedef void (*gw_io_fn)(struct gw_io *io, uint32_t epoll_events);
typedef void (*gw_timer_fn)(struct gw_timer *t);
typedef void (*gw_post_fn)(void *arg);

struct gw_loop *gw_loop_new(struct gw_err *err);
// Nothing may be registered any more, no thread may post. Runs what was posted and deferred.
void gw_loop_free(struct gw_loop *l);
void gw_loop_run(struct gw_loop *l); // until gw_loop_stop
// One turn: waits at most wait_ms (-1: until something happens), dispatches. For tests.
void gw_loop_turn(struct gw_loop *l, int wait_ms);
void gw_loop_stop(struct gw_loop *l); // any thread, also a signal handler

// Monotonic; read once at the start of each turn.
int64_t gw_loop_now_ms(const struct gw_loop *l);
int64_t gw_loop_now_us(const struct gw_loop *l);
int64_t gw_clock_us(void);      // CLOCK_MONOTONIC now
int64_t gw_clock_real_us(void); // CLOCK_REALTIME now

// Embedded in its owner. Level-triggered. After gw_io_del no event of the same turn is delivered,
// so that the owner may free itself at gw_loop_defer time.
struct gw_io {
    int fd; // -1: not registered
    uint32_t events;
    gw_io_fn fn;
};
enum gw_rc gw_io_add(struct gw_loop *l, struct gw_io *io, int fd, uint32_t events, gw_io_fn fn,
                     struct gw_err *err) GW_MUST_USE;
void gw_io_mod(struct gw_loop *l, struct gw_io *io, uint32_t events); // no call where unchanged
void gw_io_del(struct gw_loop *l, struct gw_io *io);                  // does not close fd

// Timer wheel, 1 ms. Setting an armed timer to a later time costs one store (the wheel finds out
// when the old slot comes up), so that "rearm on every read" is free.
struct gw_timer {
    struct gw_timer *next, **pprev; // NULL pprev: not in the wheel
    int64_t deadline_ms;            // 0: not armed
    int64_t slot_ms;
    gw_timer_fn fn;
};
void gw_timer_init(struct gw_timer *t, gw_timer_fn fn);
void gw_timer_set(struct gw_loop *l, struct gw_timer *t, int64_t delay_ms);
void gw_timer_cancel(struct gw_loop *l, struct gw_timer *t); // keeps a lazy slot out: unlinks
static inline bool gw_timer_armed(const struct gw_timer *t) {
    return t->deadline_ms != 0;
}

// Runs fn(arg) on the loop's thread in its next turn, in order of posting. Any thread.
void gw_loop_post(struct gw_loop *l, gw_post_fn fn, void *arg);

// Runs fn(arg) at the end of the current turn: the place to free what was registered.
void gw_loop_defer(struct gw_loop *l, gw_post_fn fn, void *arg);
void gw_loop_free_later(struct gw_loop *l, void *p); // the most usual one: free(p)

#endif
