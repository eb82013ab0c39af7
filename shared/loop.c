// SPDX-License-Identifier: Apache-2.0
// The epoll loop. A turn with nothing due is one epoll_wait and one clock_gettime. Order within a
// turn: descriptors (and with them what was posted), timers, deferred calls: bytes that arrived
// together with their timeout win.
#include "shared/loop.h"

#include "shared/timer.h"
#include "shared/vec.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

// Events taken from the kernel at once; more of them only cost memory.
#define BATCH_MAX 256

struct call {
    gw_post_fn fn;
    void *arg;
};
typedef GW_VEC(struct call) calls;

struct gw_loop {
    int epoll_fd;
    int64_t now_us, now_ms;
    int batch_at, batch_len;
    calls deferred;
    struct gw_io wake; // eventfd
    atomic_bool is_stopping;

    pthread_mutex_t post_lock;
    bool is_wake_sent; // by post_lock; one write per batch of posts
    calls posted;      // by post_lock
    calls running;     // the loop's own: what it took from posted

    struct gw_wheel wheel;
    struct epoll_event batch[BATCH_MAX];
};

int64_t gw_clock_us(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t gw_clock_real_us(void) {
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void read_clock(struct gw_loop *l) {
    l->now_us = gw_clock_us();
    l->now_ms = l->now_us / 1000;
}

int64_t gw_loop_now_ms(const struct gw_loop *l) {
    return l->now_ms;
}
int64_t gw_loop_now_us(const struct gw_loop *l) {
    return l->now_us;
}

static void wake(struct gw_loop *l) {
    uint64_t one = 1;
    // EAGAIN means that the counter is full, which wakes as well.
    while (write(l->wake.fd, &one, sizeof(one)) < 0 && errno == EINTR)
        continue;
}

static void take_posted(struct gw_loop *l) {
    pthread_mutex_lock(&l->post_lock);
    calls taken = l->posted;
    l->posted = l->running; // empty; its memory is used again
    l->running = taken;
    l->is_wake_sent = false;
    pthread_mutex_unlock(&l->post_lock);
}

static void run_posted(struct gw_loop *l) {
    take_posted(l);
    for (size_t i = 0; i < l->running.len; i++)
        l->running.ptr[i].fn(l->running.ptr[i].arg);
    l->running.len = 0;
}

static void on_wake(struct gw_io *io, uint32_t events) {
    (void)events;
    struct gw_loop *l = GW_CONTAINER_OF(io, struct gw_loop, wake);
    uint64_t count;
    // Before the list is taken: a post in between is then either in the list or wakes again.
    while (read(io->fd, &count, sizeof(count)) < 0 && errno == EINTR)
        continue;
    run_posted(l);
}

static void run_deferred(struct gw_loop *l) {
    // By index: a deferred call may defer more.
    for (size_t i = 0; i < l->deferred.len; i++) {
        struct call c = l->deferred.ptr[i];
        c.fn(c.arg);
    }
    l->deferred.len = 0;
}

struct gw_loop *gw_loop_new(struct gw_err *err) {
    struct gw_loop *l = gw_alloc(sizeof(*l));
    l->wake.fd = -1;
    pthread_mutex_init(&l->post_lock, NULL);
    read_clock(l);
    gw_wheel_init(&l->wheel, l->now_ms);
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll_fd < 0) {
        gw_err_set(err, GW_ERR_INTERNAL, 0, "epoll_create1: %s", strerror(errno));
        gw_loop_free(l);
        return NULL;
    }
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) {
        gw_err_set(err, GW_ERR_INTERNAL, 0, "eventfd: %s", strerror(errno));
        gw_loop_free(l);
        return NULL;
    }
    if (gw_io_add(l, &l->wake, fd, EPOLLIN, on_wake, err) != GW_OK) {
        close(fd);
        gw_loop_free(l);
        return NULL;
    }
    return l;
}

void gw_loop_free(struct gw_loop *l) {
    if (!l) return;
    // Calls under way own memory; they see for themselves that their object is gone.
    for (;;) {
        run_posted(l);
        run_deferred(l);
        pthread_mutex_lock(&l->post_lock);
        bool is_done = l->posted.len == 0;
        pthread_mutex_unlock(&l->post_lock);
        if (is_done) break;
    }
    if (l->wake.fd >= 0) close(l->wake.fd);
    if (l->epoll_fd >= 0) close(l->epoll_fd);
    pthread_mutex_destroy(&l->post_lock);
    GW_VEC_FINI(&l->posted);
    GW_VEC_FINI(&l->running);
    GW_VEC_FINI(&l->deferred);
    free(l);
}

static int wait_ms_for(const struct gw_loop *l, int wait_ms) {
    if (l->deferred.len > 0) return 0;
    if (l->wheel.next_ms == INT64_MAX) return wait_ms;
    int64_t left = l->wheel.next_ms - l->now_ms;
    if (left <= 0) return 0;
    if (wait_ms >= 0 && wait_ms < left) return wait_ms;
    return left < INT_MAX ? (int)left : INT_MAX;
}

void gw_loop_turn(struct gw_loop *l, int wait_ms) {
    int n = epoll_wait(l->epoll_fd, l->batch, BATCH_MAX, wait_ms_for(l, wait_ms));
    read_clock(l);

    l->batch_len = n > 0 ? n : 0;
    for (l->batch_at = 0; l->batch_at < l->batch_len; l->batch_at++) {
        struct epoll_event *ev = &l->batch[l->batch_at];
        struct gw_io *io = ev->data.ptr;
        if (GW_LIKELY(io != NULL)) io->fn(io, ev->events);
    }
    l->batch_len = 0;

    if (l->wheel.next_ms <= l->now_ms) gw_wheel_advance(&l->wheel, l->now_ms);
    if (l->deferred.len > 0) run_deferred(l);
}

void gw_loop_run(struct gw_loop *l) {
    read_clock(l);
    while (!atomic_load_explicit(&l->is_stopping, memory_order_acquire))
        gw_loop_turn(l, -1);
    atomic_store_explicit(&l->is_stopping, false, memory_order_relaxed);
}

void gw_loop_stop(struct gw_loop *l) {
    int saved_errno = errno; // of what a signal handler interrupted
    atomic_store_explicit(&l->is_stopping, true, memory_order_release);
    wake(l);
    errno = saved_errno;
}

enum gw_rc gw_io_add(struct gw_loop *l, struct gw_io *io, int fd, uint32_t events, gw_io_fn fn,
                     struct gw_err *err) {
    struct epoll_event ev = {.events = events, .data.ptr = io};
    if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0) {
        io->fd = -1;
        return gw_err_set(err, GW_ERR_INTERNAL, 0, "epoll_ctl add of descriptor %d: %s", fd,
                          strerror(errno));
    }
    *io = (struct gw_io){.fd = fd, .events = events, .fn = fn};
    return GW_OK;
}

void gw_io_mod(struct gw_loop *l, struct gw_io *io, uint32_t events) {
    if (io->events == events) return;
    struct epoll_event ev = {.events = events, .data.ptr = io};
    GW_ASSERT(epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, io->fd, &ev) == 0);
    io->events = events;
}

void gw_io_del(struct gw_loop *l, struct gw_io *io) {
    if (io->fd < 0 || !io->fn) return; // a zeroed one was never added
    GW_ASSERT(epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL) == 0);
    io->fd = -1;
    for (int i = l->batch_at + 1; i < l->batch_len; i++)
        if (l->batch[i].data.ptr == io) l->batch[i].data.ptr = NULL;
}

// At least 1: a timer that a callback sets never fires in the same turn. A year is forever, and
// keeps the sum below far from overflow.
static int64_t bounded(int64_t delay_ms) {
    if (delay_ms < 1) return 1;
    return delay_ms < GW_WHEEL_SPAN_MS ? delay_ms : GW_WHEEL_SPAN_MS;
}

void gw_timer_set(struct gw_loop *l, struct gw_timer *t, int64_t delay_ms) {
    gw_wheel_set(&l->wheel, t, l->now_ms + bounded(delay_ms));
}

void gw_loop_post(struct gw_loop *l, gw_post_fn fn, void *arg) {
    pthread_mutex_lock(&l->post_lock);
    GW_VEC_PUSH(&l->posted, ((struct call){fn, arg}));
    bool is_wake_due = !l->is_wake_sent;
    l->is_wake_sent = true;
    // Under the lock: after it the loop may have run the call and be freed.
    if (is_wake_due) wake(l);
    pthread_mutex_unlock(&l->post_lock);
}

void gw_loop_defer(struct gw_loop *l, gw_post_fn fn, void *arg) {
    GW_VEC_PUSH(&l->deferred, ((struct call){fn, arg}));
}

void gw_loop_free_later(struct gw_loop *l, void *p) {
    gw_loop_defer(l, free, p);
}
