// SPDX-License-Identifier: Apache-2.0
#include "shared/fiber.h"

#include <CUnit/CUnit.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct job {
    struct gw_fiber_pool *pool;
    struct gw_fiber *fiber;
    int rounds; // suspends
    int sum;    // of the codes that resume gave
    bool is_done;
    struct gw_fiber *self_seen;
    struct job *inner;
};

static void run_job(void *arg) {
    struct job *j = arg;
    j->self_seen = gw_fiber_self();
    for (int i = 0; i < j->rounds; i++)
        j->sum += gw_fiber_suspend();
    j->is_done = true;
}

static void start(struct job *j) {
    struct gw_err err;
    CU_ASSERT_EQUAL_FATAL(gw_fiber_start(j->pool, run_job, j, &j->fiber, &err), GW_OK);
}

static struct gw_fiber_stats stats_of(const struct gw_fiber_pool *p) {
    struct gw_fiber_stats s;
    gw_fiber_pool_stats(p, &s);
    return s;
}

static void test_too_many_are_refused(void) {
    struct gw_fiber_pool *p = gw_fiber_pool_new(2);
    struct job a = {.pool = p, .rounds = 1}, b = a, c = a;
    start(&a);
    start(&b);
    struct gw_err err;
    CU_ASSERT_EQUAL(gw_fiber_start(p, run_job, &c, NULL, &err), GW_ERR_LIMIT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "2 fibers"));
    CU_ASSERT_PTR_NULL(c.self_seen);
    gw_fiber_resume(a.fiber, 0);
    start(&c);
    gw_fiber_resume(b.fiber, 0);
    gw_fiber_resume(c.fiber, 0);
    gw_fiber_pool_free(p);
}

static void test_runs_at_once_and_to_its_end(void) {
    struct gw_fiber_pool *p = gw_fiber_pool_new(8);
    struct job j = {.pool = p};
    CU_ASSERT_PTR_NULL(gw_fiber_self());
    start(&j);
    CU_ASSERT_TRUE(j.is_done);
    CU_ASSERT_PTR_NOT_NULL(j.self_seen);
    CU_ASSERT_PTR_EQUAL(j.self_seen, j.fiber);
    CU_ASSERT_PTR_NULL(gw_fiber_self());
    CU_ASSERT_EQUAL(stats_of(p).live, 0);
    CU_ASSERT_EQUAL(stats_of(p).free, 1);
    gw_fiber_pool_free(p);
}

static void test_resume_hands_over_its_code(void) {
    struct gw_fiber_pool *p = gw_fiber_pool_new(8);
    struct job j = {.pool = p, .rounds = 3};
    start(&j);
    CU_ASSERT_EQUAL(stats_of(p).live, 1);
    gw_fiber_resume(j.fiber, 1);
    gw_fiber_resume(j.fiber, 20);
    CU_ASSERT_FALSE(j.is_done);
    gw_fiber_resume(j.fiber, -400);
    CU_ASSERT_TRUE(j.is_done);
    CU_ASSERT_EQUAL(j.sum, -379);
    CU_ASSERT_EQUAL(stats_of(p).live, 0);
    gw_fiber_pool_free(p);
}

static void run_outer(void *arg) {
    struct job *j = arg;
    struct gw_fiber *me = gw_fiber_self();
    start(j->inner); // comes back when the inner one suspends
    CU_ASSERT_PTR_EQUAL(gw_fiber_self(), me);
    CU_ASSERT_FALSE(j->inner->is_done);
    j->sum = gw_fiber_suspend();
    j->is_done = true;
}

static void test_a_fiber_starts_another(void) {
    struct gw_fiber_pool *p = gw_fiber_pool_new(8);
    struct job inner = {.pool = p, .rounds = 1};
    struct job outer = {.pool = p, .inner = &inner};
    struct gw_err err;
    CU_ASSERT_EQUAL_FATAL(gw_fiber_start(p, run_outer, &outer, &outer.fiber, &err), GW_OK);
    CU_ASSERT_PTR_NULL(gw_fiber_self());
    gw_fiber_resume(outer.fiber, 7); // before the one that it started
    CU_ASSERT_TRUE(outer.is_done);
    CU_ASSERT_EQUAL(outer.sum, 7);
    gw_fiber_resume(inner.fiber, 9);
    CU_ASSERT_TRUE(inner.is_done);
    CU_ASSERT_EQUAL(inner.sum, 9);
    gw_fiber_pool_free(p);
}

static void test_last_stack_in_is_first_out(void) {
    struct gw_fiber_pool *p = gw_fiber_pool_new(8);
    struct job a = {.pool = p, .rounds = 1}, b = a, c = a;
    start(&a);
    start(&b);
    struct gw_fiber *first = a.fiber, *second = b.fiber;
    gw_fiber_resume(second, 0);
    gw_fiber_resume(first, 0);
    start(&c);
    CU_ASSERT_PTR_EQUAL(c.fiber, first);
    gw_fiber_resume(c.fiber, 0);
    gw_fiber_pool_free(p);
}

static void test_free_stacks_are_bounded(void) {
    enum { N = GW_FIBER_FREE_MAX + 50 };
    struct gw_fiber_pool *p = gw_fiber_pool_new(N);
    static struct job jobs[N];
    for (int i = 0; i < N; i++) {
        jobs[i] = (struct job){.pool = p, .rounds = 1};
        start(&jobs[i]);
    }
    CU_ASSERT_EQUAL(stats_of(p).live, N);
    for (int i = 0; i < N; i++)
        gw_fiber_resume(jobs[i].fiber, 0);
    CU_ASSERT_EQUAL(stats_of(p).live, 0);
    CU_ASSERT_EQUAL(stats_of(p).free, GW_FIBER_FREE_MAX);
    gw_fiber_pool_free(p);
}

static void run_local_state(void *arg) {
    int *ok = arg;
    double f = 1.5;
    char text[200];
    memset(text, 'x', sizeof(text));
    for (int i = 0; i < 1000; i++) {
        f += gw_fiber_suspend();
        text[i % 200] = 'x';
    }
    for (size_t i = 0; i < sizeof(text); i++)
        if (text[i] != 'x') return;
    *ok = f == 1.5 + 1000 * 2;
}

static void test_locals_survive_many_switches(void) {
    enum { N = 20 };
    struct gw_fiber_pool *p = gw_fiber_pool_new(N);
    struct gw_fiber *f[N];
    int ok[N] = {0};
    struct gw_err err;
    for (int i = 0; i < N; i++)
        CU_ASSERT_EQUAL_FATAL(gw_fiber_start(p, run_local_state, &ok[i], &f[i], &err), GW_OK);
    for (int round = 0; round < 1000; round++)
        for (int i = 0; i < N; i++)
            gw_fiber_resume(f[i], 2);
    for (int i = 0; i < N; i++)
        CU_ASSERT_TRUE(ok[i]);
    gw_fiber_pool_free(p);
}

// before: a frame that must stay alive, so that no compiler makes a loop of it.
static __attribute__((noinline)) int touch(int depth_bytes, volatile char *before) {
    volatile char page[1024];
    page[0] = page[1023] = (char)depth_bytes;
    int sum = depth_bytes > 0 ? touch(depth_bytes - 1024, page) : 0;
    return sum + page[0] + before[0];
}
static void run_touch(void *arg) {
    volatile char first = 1;
    *(int *)arg = touch(*(int *)arg, &first);
}

static void test_high_water_follows_the_deepest_stack(void) {
    struct gw_fiber_pool *p = gw_fiber_pool_new(2);
    struct gw_err err;
    struct job flat = {.pool = p};
    start(&flat);
    gw_fiber_pool_measure(p);
    size_t before = stats_of(p).stack_high_water_bytes;
    int depth = 36 * 1024;
    CU_ASSERT_EQUAL_FATAL(gw_fiber_start(p, run_touch, &depth, NULL, &err), GW_OK);
    CU_ASSERT_EQUAL(stats_of(p).stack_high_water_bytes, before); // measured when asked
    gw_fiber_pool_measure(p);
    size_t after = stats_of(p).stack_high_water_bytes;
    CU_ASSERT_TRUE(before > 0);
    CU_ASSERT_TRUE(before < 36 * 1024);
    CU_ASSERT_TRUE(after >= 36 * 1024);
    CU_ASSERT_TRUE(after <= GW_FIBER_STACK_BYTES);
    gw_fiber_pool_free(p);
}

static void test_overflow_hits_the_guard_page(void) {
    pid_t pid = fork();
    CU_ASSERT_TRUE_FATAL(pid >= 0);
    if (pid == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        int null_fd = open("/dev/null", O_WRONLY);
        dup2(null_fd, 2); // a sanitizer's report
        struct gw_fiber_pool *p = gw_fiber_pool_new(1);
        int depth = 4 * GW_FIBER_STACK_BYTES;
        enum gw_rc rc = gw_fiber_start(p, run_touch, &depth, NULL, NULL);
        (void)rc;
        _exit(0); // not reached
    }
    int status = 0;
    CU_ASSERT_EQUAL_FATAL(waitpid(pid, &status, 0), pid);
    CU_ASSERT_NOT_EQUAL(status, 0); // a signal, or a sanitizer's exit status
}

static void *thread_main(void *arg) {
    struct gw_fiber_pool *p = gw_fiber_pool_new(4);
    int sum = 0;
    for (int i = 0; i < 500; i++) {
        struct job a = {.pool = p, .rounds = 2}, b = {.pool = p, .rounds = 1};
        struct gw_err err;
        if (gw_fiber_start(p, run_job, &a, &a.fiber, &err) != GW_OK) break;
        if (gw_fiber_start(p, run_job, &b, &b.fiber, &err) != GW_OK) break;
        gw_fiber_resume(a.fiber, 1);
        gw_fiber_resume(b.fiber, 1);
        gw_fiber_resume(a.fiber, 1);
        sum += a.sum + b.sum;
    }
    gw_fiber_pool_free(p);
    *(int *)arg = sum;
    return NULL;
}

static void test_threads_have_pools_of_their_own(void) {
    pthread_t threads[3];
    int sums[3] = {0};
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, thread_main, &sums[i]), 0);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        CU_ASSERT_EQUAL(sums[i], 1500);
    }
}

static void test_free_of_nothing(void) {
    gw_fiber_pool_free(NULL);
    struct gw_fiber_pool *p = gw_fiber_pool_new(0);
    struct gw_err err;
    CU_ASSERT_EQUAL(gw_fiber_start(p, run_job, NULL, NULL, &err), GW_ERR_LIMIT);
    gw_fiber_pool_measure(p);
    CU_ASSERT_EQUAL(stats_of(p).stack_high_water_bytes, 0);
    gw_fiber_pool_free(p);
}

static CU_TestInfo tests[] = {
    {"too_many_are_refused", test_too_many_are_refused},
    {"runs_at_once_and_to_its_end", test_runs_at_once_and_to_its_end},
    {"resume_hands_over_its_code", test_resume_hands_over_its_code},
    {"a_fiber_starts_another", test_a_fiber_starts_another},
    {"last_stack_in_is_first_out", test_last_stack_in_is_first_out},
    {"free_stacks_are_bounded", test_free_stacks_are_bounded},
    {"locals_survive_many_switches", test_locals_survive_many_switches},
    {"high_water_follows_the_deepest_stack", test_high_water_follows_the_deepest_stack},
    {"overflow_hits_the_guard_page", test_overflow_hits_the_guard_page},
    {"threads_have_pools_of_their_own", test_threads_have_pools_of_their_own},
    {"free_of_nothing", test_free_of_nothing},
    CU_TEST_INFO_NULL,
};

CU_SuiteInfo suite_shared_fiber = {"shared_fiber", NULL, NULL, NULL, NULL, tests};
