// SPDX-License-Identifier: Apache-2.0
#include "shared/loop.h"

#include <CUnit/CUnit.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

static char trace[256]; // what happened, a letter each
static void note(char c) {
    size_t n = strlen(trace);
    if (n + 1 < sizeof(trace)) {
        trace[n] = c;
        trace[n + 1] = '\0';
    }
}
static void note_arg(void *arg) {
    note(*(const char *)arg);
}
static char letters[] = "abcdefghijklmnopqrstuvwxyz";

static struct gw_loop *new_loop(void) {
    struct gw_err err;
    struct gw_loop *l = gw_loop_new(&err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(l);
    trace[0] = '\0';
    return l;
}

struct source {
    struct gw_io io;
    struct gw_loop *loop;
    int fd;
    int calls;
    struct source *victim;
};

static void source_init(struct source *s, struct gw_loop *l, gw_io_fn fn) {
    *s = (struct source){.loop = l, .fd = eventfd(1, EFD_NONBLOCK)};
    struct gw_err err;
    CU_ASSERT_EQUAL_FATAL(gw_io_add(l, &s->io, s->fd, EPOLLIN, fn, &err), GW_OK);
}
static void source_fini(struct source *s) {
    gw_io_del(s->loop, &s->io);
    close(s->fd);
}
static void on_count(struct gw_io *io, uint32_t events) {
    CU_ASSERT_EQUAL(events, EPOLLIN);
    GW_CONTAINER_OF(io, struct source, io)->calls++;
    note('i');
}
static void on_kill(struct gw_io *io, uint32_t events) {
    (void)events;
    struct source *s = GW_CONTAINER_OF(io, struct source, io);
    s->calls++;
    gw_io_del(s->loop, &s->victim->io);
    gw_io_del(s->loop, io);
}

static void test_add_of_a_bad_descriptor_is_refused(void) {
    struct gw_loop *l = new_loop();
    struct gw_io io = {0};
    struct gw_err err;
    CU_ASSERT_EQUAL(gw_io_add(l, &io, 1 << 20, EPOLLIN, on_count, &err), GW_ERR_INTERNAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "Bad file descriptor"));
    CU_ASSERT_EQUAL(io.fd, -1);
    gw_loop_free(l);
}

static void test_del_of_what_was_never_added(void) {
    struct gw_loop *l = new_loop();
    struct gw_io zeroed = {0}, marked = {.fd = -1};
    gw_io_del(l, &zeroed);
    gw_io_del(l, &marked);
    gw_loop_turn(l, 0);
    gw_loop_free(l);
}

static void test_level_triggered_until_masked(void) {
    struct gw_loop *l = new_loop();
    struct source s;
    source_init(&s, l, on_count);
    gw_loop_turn(l, 0);
    gw_loop_turn(l, 0);
    CU_ASSERT_EQUAL(s.calls, 2);
    gw_io_mod(l, &s.io, 0);
    gw_loop_turn(l, 0);
    CU_ASSERT_EQUAL(s.calls, 2);
    gw_io_mod(l, &s.io, EPOLLIN);
    gw_io_mod(l, &s.io, EPOLLIN);
    gw_loop_turn(l, 0);
    CU_ASSERT_EQUAL(s.calls, 3);
    source_fini(&s);
    gw_loop_turn(l, 0);
    CU_ASSERT_EQUAL(s.calls, 3);
    gw_loop_free(l);
}

static void test_del_voids_the_rest_of_the_batch(void) {
    struct gw_loop *l = new_loop();
    struct source a, b;
    source_init(&a, l, on_kill);
    source_init(&b, l, on_kill);
    a.victim = &b;
    b.victim = &a;
    gw_loop_turn(l, 0);
    CU_ASSERT_EQUAL(a.calls + b.calls, 1);
    gw_loop_turn(l, 0);
    CU_ASSERT_EQUAL(a.calls + b.calls, 1);
    source_fini(&a);
    source_fini(&b);
    gw_loop_free(l);
}

static void test_more_descriptors_than_a_batch(void) {
    enum { N = 600 };
    struct gw_loop *l = new_loop();
    struct source *s = gw_alloc(N * sizeof(*s));
    for (int i = 0; i < N; i++)
        source_init(&s[i], l, on_count);
    for (int turn = 0; turn < 10; turn++)
        gw_loop_turn(l, 0);
    for (int i = 0; i < N; i++) {
        CU_ASSERT_TRUE(s[i].calls > 0);
        source_fini(&s[i]);
    }
    free(s);
    gw_loop_free(l);
}

static void test_posts_run_in_order(void) {
    struct gw_loop *l = new_loop();
    for (int i = 0; i < 5; i++)
        gw_loop_post(l, note_arg, &letters[i]);
    CU_ASSERT_STRING_EQUAL(trace, "");
    gw_loop_turn(l, -1);
    CU_ASSERT_STRING_EQUAL(trace, "abcde");
    gw_loop_free(l);
}

static struct gw_loop *reposting;
static void on_repost(void *arg) {
    note_arg(arg);
    gw_loop_post(reposting, note_arg, &letters[1]);
}

static void test_post_from_a_post_is_of_the_next_turn(void) {
    struct gw_loop *l = reposting = new_loop();
    gw_loop_post(l, on_repost, &letters[0]);
    gw_loop_turn(l, -1);
    CU_ASSERT_STRING_EQUAL(trace, "a");
    gw_loop_turn(l, -1);
    CU_ASSERT_STRING_EQUAL(trace, "ab");
    gw_loop_free(l);
}

enum { POSTERS = 4, POSTS = 5000 };
static int posts_run; // the loop's thread alone
static void on_posted(void *arg) {
    if (++posts_run == POSTERS * POSTS) gw_loop_stop(arg);
}
static void *poster(void *arg) {
    for (int i = 0; i < POSTS; i++)
        gw_loop_post(arg, on_posted, arg);
    return NULL;
}

static void test_posts_of_many_threads_all_run(void) {
    struct gw_loop *l = new_loop();
    pthread_t threads[POSTERS];
    posts_run = 0;
    for (int i = 0; i < POSTERS; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, poster, l), 0);
    gw_loop_run(l);
    CU_ASSERT_EQUAL(posts_run, POSTERS * POSTS);
    for (int i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    gw_loop_free(l);
}

struct ticker {
    struct gw_timer t;
    struct gw_loop *loop;
    int fired;
    int64_t rearm_ms; // -1: no
    bool stops;
};
static void on_tick(struct gw_timer *t) {
    struct ticker *k = GW_CONTAINER_OF(t, struct ticker, t);
    k->fired++;
    note('t');
    if (k->rearm_ms >= 0) gw_timer_set(k->loop, t, k->rearm_ms);
    if (k->stops) gw_loop_stop(k->loop);
}
static void ticker_init(struct ticker *k, struct gw_loop *l) {
    *k = (struct ticker){.loop = l, .rearm_ms = -1};
    gw_timer_init(&k->t, on_tick);
}

static void on_count_and_defer(struct gw_io *io, uint32_t events) {
    on_count(io, events);
    gw_loop_defer(GW_CONTAINER_OF(io, struct source, io)->loop, note_arg, &letters[3]);
}

static void test_order_of_a_turn(void) {
    struct gw_loop *l = new_loop();
    struct source s;
    struct ticker k;
    source_init(&s, l, on_count_and_defer);
    ticker_init(&k, l);
    gw_timer_set(l, &k.t, 0);
    usleep(3000);
    gw_loop_turn(l, 0);
    CU_ASSERT_STRING_EQUAL(trace, "itd");
    source_fini(&s);
    gw_loop_free(l);
}

static struct gw_loop *deferring;
static void on_defer_more(void *arg) {
    note_arg(arg);
    gw_loop_defer(deferring, note_arg, &letters[1]);
}

static void test_defer_outside_a_turn_does_not_wait(void) {
    struct gw_loop *l = deferring = new_loop();
    gw_loop_defer(l, on_defer_more, &letters[0]);
    gw_loop_turn(l, -1);
    CU_ASSERT_STRING_EQUAL(trace, "ab");
    gw_loop_free(l);
}

static void test_free_runs_what_is_left(void) {
    struct gw_loop *l = deferring = new_loop();
    gw_loop_post(l, note_arg, &letters[2]);
    gw_loop_defer(l, on_defer_more, &letters[0]);
    gw_loop_free(l);
    CU_ASSERT_STRING_EQUAL(trace, "cab");
    gw_loop_free(NULL);
}

static void test_timer_waits_in_epoll(void) {
    struct gw_loop *l = new_loop();
    struct ticker k;
    ticker_init(&k, l);
    k.stops = true;
    int64_t start_us = gw_clock_us();
    gw_timer_set(l, &k.t, 30);
    gw_loop_run(l);
    int64_t took_us = gw_clock_us() - start_us;
    CU_ASSERT_EQUAL(k.fired, 1);
    CU_ASSERT_TRUE(took_us >= 29000);
    CU_ASSERT_TRUE(took_us < 5000000);
    gw_loop_free(l);
}

static void test_timer_of_no_delay_lets_the_turn_end(void) {
    struct gw_loop *l = new_loop();
    struct ticker k;
    ticker_init(&k, l);
    k.rearm_ms = 0;
    gw_timer_set(l, &k.t, 0);
    usleep(2000);
    gw_loop_turn(l, -1);
    CU_ASSERT_EQUAL(k.fired, 1);
    gw_timer_cancel(l, &k.t);
    gw_loop_free(l);
}

static void test_huge_and_negative_delays(void) {
    struct gw_loop *l = new_loop();
    struct ticker far, past;
    ticker_init(&far, l);
    ticker_init(&past, l);
    gw_timer_set(l, &far.t, INT64_MAX);
    gw_timer_set(l, &past.t, INT64_MIN);
    CU_ASSERT_TRUE(gw_timer_armed(&far.t));
    for (int i = 0; i < 100 && !past.fired; i++)
        gw_loop_turn(l, 1);
    CU_ASSERT_EQUAL(past.fired, 1);
    CU_ASSERT_EQUAL(far.fired, 0);
    gw_timer_cancel(l, &far.t);
    gw_loop_free(l);
}

static void test_clock_is_of_the_turn(void) {
    struct gw_loop *l = new_loop();
    gw_loop_turn(l, 0);
    int64_t us = gw_loop_now_us(l);
    CU_ASSERT_EQUAL(gw_loop_now_ms(l), us / 1000);
    usleep(2000);
    CU_ASSERT_EQUAL(gw_loop_now_us(l), us);
    gw_loop_turn(l, 0);
    CU_ASSERT_TRUE(gw_loop_now_us(l) >= us + 2000);
    CU_ASSERT_TRUE(gw_clock_us() >= gw_loop_now_us(l));
    CU_ASSERT_TRUE(gw_clock_real_us() > 1600000000000000);
    gw_loop_free(l);
}

static void test_stop_before_run(void) {
    struct gw_loop *l = new_loop();
    gw_loop_stop(l);
    gw_loop_run(l);
    // The stop is used up; the next run needs one of its own.
    struct ticker k;
    ticker_init(&k, l);
    k.stops = true;
    gw_timer_set(l, &k.t, 5);
    gw_loop_run(l);
    CU_ASSERT_EQUAL(k.fired, 1);
    gw_loop_free(l);
}

static void *stopper(void *arg) {
    usleep(10000);
    gw_loop_stop(arg);
    return NULL;
}

static void test_stop_from_a_thread(void) {
    struct gw_loop *l = new_loop();
    pthread_t thread;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, stopper, l), 0);
    gw_loop_run(l);
    pthread_join(thread, NULL);
    gw_loop_free(l);
}

static struct gw_loop *signalled;
static void on_alarm(int sig) {
    (void)sig;
    gw_loop_stop(signalled);
}

static void test_stop_from_a_signal_handler(void) {
    struct gw_loop *l = signalled = new_loop();
    struct sigaction before, act = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &act, &before);
    struct itimerval in = {.it_value.tv_usec = 10000};
    setitimer(ITIMER_REAL, &in, NULL);
    gw_loop_run(l);
    sigaction(SIGALRM, &before, NULL);
    gw_loop_free(l);
}

static CU_TestInfo tests[] = {
    {"add_of_a_bad_descriptor_is_refused", test_add_of_a_bad_descriptor_is_refused},
    {"del_of_what_was_never_added", test_del_of_what_was_never_added},
    {"level_triggered_until_masked", test_level_triggered_until_masked},
    {"del_voids_the_rest_of_the_batch", test_del_voids_the_rest_of_the_batch},
    {"more_descriptors_than_a_batch", test_more_descriptors_than_a_batch},
    {"posts_run_in_order", test_posts_run_in_order},
    {"post_from_a_post_is_of_the_next_turn", test_post_from_a_post_is_of_the_next_turn},
    {"posts_of_many_threads_all_run", test_posts_of_many_threads_all_run},
    {"order_of_a_turn", test_order_of_a_turn},
    {"defer_outside_a_turn_does_not_wait", test_defer_outside_a_turn_does_not_wait},
    {"free_runs_what_is_left", test_free_runs_what_is_left},
    {"timer_waits_in_epoll", test_timer_waits_in_epoll},
    {"timer_of_no_delay_lets_the_turn_end", test_timer_of_no_delay_lets_the_turn_end},
    {"huge_and_negative_delays", test_huge_and_negative_delays},
    {"clock_is_of_the_turn", test_clock_is_of_the_turn},
    {"stop_before_run", test_stop_before_run},
    {"stop_from_a_thread", test_stop_from_a_thread},
    {"stop_from_a_signal_handler", test_stop_from_a_signal_handler},
    CU_TEST_INFO_NULL,
};

CU_SuiteInfo suite_shared_loop = {"shared_loop", NULL, NULL, NULL, NULL, tests};
