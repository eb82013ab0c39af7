// SPDX-License-Identifier: Apache-2.0
// The registry is one per process: every test has families of its own.
#include "shared/metric.h"

#include <CUnit/CUnit.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static char *scrape(void) {
    struct gw_text t = {0};
    gw_metric_text(&t);
    return t.ptr;
}

static void assert_scrape_has(const char *want) {
    char *text = scrape();
    if (!strstr(text, want)) printf("\nabsent: %s\n", want);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, want));
    free(text);
}

static const struct gw_metric_family counter = {
    .name = "t_requests_total",
    .help = "Requests by route.",
    .type = GW_METRIC_COUNTER,
    .labels = {"route", "code", NULL},
};

static void id_none_does_nothing(void) {
    gw_metric_add(0, 5);
    gw_metric_set(0, 5);
    gw_metric_observe(0, 5);
    CU_ASSERT_EQUAL(gw_metric_get(0), 0);
}

static void same_values_same_id(void) {
    gw_metric_id a = gw_metric_series(&counter, (struct gw_str[]){GW_STR("r1"), GW_STR("200")});
    gw_metric_id b = gw_metric_series(&counter, (struct gw_str[]){GW_STR("r1"), GW_STR("200")});
    gw_metric_id c = gw_metric_series(&counter, (struct gw_str[]){GW_STR("r1"), GW_STR("500")});
    CU_ASSERT_NOT_EQUAL(a, 0);
    CU_ASSERT_EQUAL(a, b);
    CU_ASSERT_NOT_EQUAL(a, c);
    // The border between two values counts.
    gw_metric_id d = gw_metric_series(&counter, (struct gw_str[]){GW_STR("ab"), GW_STR("c")});
    gw_metric_id e = gw_metric_series(&counter, (struct gw_str[]){GW_STR("a"), GW_STR("bc")});
    CU_ASSERT_NOT_EQUAL(d, e);
}

static void counter_output(void) {
    static const struct gw_metric_family f = {
        .name = "t_out_total", .help = "Help.", .labels = {"route", "code", NULL}};
    gw_metric_id a = gw_metric_series(&f, (struct gw_str[]){GW_STR("r1"), GW_STR("200")});
    gw_metric_id b = gw_metric_series(&f, (struct gw_str[]){GW_STR("r1"), GW_STR("500")});
    gw_metric_add(a, 3);
    gw_metric_add(a, 4);
    gw_metric_add(b, 1);
    CU_ASSERT_EQUAL(gw_metric_get(a), 7);
    assert_scrape_has("# HELP t_out_total Help.\n# TYPE t_out_total counter\n"
                      "t_out_total{route=\"r1\",code=\"200\"} 7\n"
                      "t_out_total{route=\"r1\",code=\"500\"} 1\n");
}

static void gauge_goes_below_zero_and_is_set(void) {
    static const struct gw_metric_family f = {
        .name = "t_gauge", .help = "Without labels.", .type = GW_METRIC_GAUGE};
    gw_metric_id g = gw_metric_series(&f, NULL);
    gw_metric_add(g, 5);
    gw_metric_add(g, -8);
    CU_ASSERT_EQUAL(gw_metric_get(g), -3);
    assert_scrape_has("# TYPE t_gauge gauge\nt_gauge -3\n");
    gw_metric_set(g, 42);
    CU_ASSERT_EQUAL(gw_metric_get(g), 42);
    CU_ASSERT_EQUAL(gw_metric_series(&f, NULL), g);
}

static void text_is_escaped(void) {
    static const struct gw_metric_family f = {
        .name = "t_escape_total", .help = "a\\b\n\"c\"", .labels = {"v", NULL}};
    gw_metric_series(&f, (struct gw_str[]){GW_STR("a\"b\\c\nd}\xff\xc3\xa9")});
    assert_scrape_has("# HELP t_escape_total a\\\\b\\n\"c\"\n");
    assert_scrape_has("t_escape_total{v=\"a\\\"b\\\\c\\nd}\xef\xbf\xbd\xc3\xa9\"} 0\n");
}

// Two values that look the same in the output must not be two series.
static void no_two_series_with_the_same_text(void) {
    static const struct gw_metric_family f = {
        .name = "t_twins_total", .help = "x", .labels = {"v", NULL}};
    CU_ASSERT_EQUAL(gw_metric_series(&f, (struct gw_str[]){GW_STR("\xfe")}),
                    gw_metric_series(&f, (struct gw_str[]){GW_STR("\xff")}));
}

static void long_values_are_cut_between_characters(void) {
    static const struct gw_metric_family f = {
        .name = "t_long_total", .help = "x", .labels = {"v", NULL}};
    char value[600];
    memset(value, 'x', sizeof(value));
    memcpy(value + 255, "\xc3\xa9", 2);
    gw_metric_series(&f, (struct gw_str[]){{value, sizeof(value)}});
    char want[300];
    snprintf(want, sizeof(want), "t_long_total{v=\"%.*s\"} 0\n", 255, value);
    assert_scrape_has(want);
}

static const uint64_t bounds[] = {1000, 5000, 2500000, 0};
static const struct gw_metric_family latency = {
    .name = "t_seconds",
    .help = "Latency.",
    .type = GW_METRIC_HISTOGRAM,
    .labels = {"route", NULL},
    .unit = 1000000,
    .buckets = bounds,
};

static void histogram_output(void) {
    gw_metric_id h = gw_metric_series(&latency, (struct gw_str[]){GW_STR("r")});
    const uint64_t values[] = {0, 1000, 1001, 5000, 2500000, 2500001, 9000000};
    for (size_t i = 0; i < GW_ARRAY_LEN(values); i++)
        gw_metric_observe(h, values[i]);
    CU_ASSERT_EQUAL(gw_metric_get(h), 7);
    assert_scrape_has("# TYPE t_seconds histogram\n"
                      "t_seconds_bucket{route=\"r\",le=\"0.001\"} 2\n"
                      "t_seconds_bucket{route=\"r\",le=\"0.005\"} 4\n"
                      "t_seconds_bucket{route=\"r\",le=\"2.5\"} 5\n"
                      "t_seconds_bucket{route=\"r\",le=\"+Inf\"} 7\n"
                      "t_seconds_sum{route=\"r\"} 14.007002\n"
                      "t_seconds_count{route=\"r\"} 7\n");
}

static void histogram_without_labels_or_unit(void) {
    static const uint64_t sizes[] = {10, 0};
    static const struct gw_metric_family f = {
        .name = "t_sizes", .help = "x", .type = GW_METRIC_HISTOGRAM, .buckets = sizes};
    gw_metric_id h = gw_metric_series(&f, NULL);
    gw_metric_observe(h, 11);
    assert_scrape_has("t_sizes_bucket{le=\"10\"} 0\nt_sizes_bucket{le=\"+Inf\"} 1\n"
                      "t_sizes_sum 11\nt_sizes_count 1\n");
}

// More than a chunk of slots: the slots of one series must never spread over two chunks.
static void many_histograms_keep_apart(void) {
    static const struct gw_metric_family f = {.name = "t_many_seconds",
                                              .help = "x",
                                              .type = GW_METRIC_HISTOGRAM,
                                              .labels = {"n", NULL},
                                              .buckets = bounds};
    gw_metric_id ids[1000];
    for (size_t i = 0; i < GW_ARRAY_LEN(ids); i++) {
        char name[16];
        snprintf(name, sizeof(name), "%zu", i);
        ids[i] = gw_metric_series(&f, (struct gw_str[]){gw_str_of(name)});
        for (size_t k = 0; k <= i % 5; k++)
            gw_metric_observe(ids[i], UINT64_MAX / 2);
    }
    for (size_t i = 0; i < GW_ARRAY_LEN(ids); i++)
        CU_ASSERT_EQUAL(gw_metric_get(ids[i]), (int64_t)(i % 5 + 1));
}

static void families_are_sorted_by_name(void) {
    static const struct gw_metric_family b = {.name = "t_sort_b", .help = "x"};
    static const struct gw_metric_family a = {.name = "t_sort_a", .help = "x"};
    gw_metric_series(&b, NULL);
    gw_metric_series(&a, NULL);
    char *text = scrape();
    const char *at_a = strstr(text, "# HELP t_sort_a"), *at_b = strstr(text, "# HELP t_sort_b");
    CU_ASSERT_TRUE(at_a && at_b && at_a < at_b);
    free(text);
}

static const struct gw_metric_family hooked = {
    .name = "t_hooked", .help = "x", .type = GW_METRIC_GAUGE};

static void set_hooked(void *arg) {
    gw_metric_set(gw_metric_series(&hooked, NULL), ++*(int *)arg);
}

static void hooks_run_before_output(void) {
    static int calls = 10;
    gw_metric_on_scrape(set_hooked, &calls);
    assert_scrape_has("t_hooked 11\n");
    assert_scrape_has("t_hooked 12\n");
}

static void *add_thousand(void *arg) {
    for (int i = 0; i < 1000; i++)
        gw_metric_add(*(gw_metric_id *)arg, 1);
    return NULL;
}

static void sums_of_ended_threads_stay(void) {
    static const struct gw_metric_family f = {.name = "t_ended_total", .help = "x"};
    gw_metric_id id = gw_metric_series(&f, NULL);
    for (int round = 1; round <= 20; round++) {
        pthread_t t;
        CU_ASSERT_EQUAL_FATAL(pthread_create(&t, NULL, add_thousand, &id), 0);
        pthread_join(t, NULL);
        CU_ASSERT_EQUAL(gw_metric_get(id), round * 1000);
    }
}

static atomic_bool stop;

static void *work(void *arg) {
    gw_metric_id h = gw_metric_series(&latency, (struct gw_str[]){GW_STR("busy")});
    for (int i = 0; i < 50000; i++) {
        gw_metric_add(*(gw_metric_id *)arg, 1);
        gw_metric_observe(h, (uint64_t)i);
    }
    return NULL;
}

static void *register_series(void *arg) {
    (void)arg;
    for (int i = 0; i < 2000; i++) {
        char name[16];
        snprintf(name, sizeof(name), "n%d", i % 500);
        gw_metric_add(gw_metric_series(&counter, (struct gw_str[]){gw_str_of(name), GW_STR("1")}),
                      1);
    }
    return NULL;
}

static void *scrape_on(void *arg) {
    (void)arg;
    while (!atomic_load(&stop))
        free(scrape());
    return NULL;
}

static void adding_registering_and_scraping_at_once(void) {
    static const struct gw_metric_family f = {.name = "t_busy_total", .help = "x"};
    gw_metric_id id = gw_metric_series(&f, NULL);
    pthread_t scraper, workers[3];
    atomic_store(&stop, false);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&scraper, NULL, scrape_on, NULL), 0);
    for (int i = 0; i < 2; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&workers[i], NULL, work, &id), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&workers[2], NULL, register_series, NULL), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(workers[i], NULL);
    atomic_store(&stop, true);
    pthread_join(scraper, NULL);
    CU_ASSERT_EQUAL(gw_metric_get(id), 100000);
    gw_metric_id h = gw_metric_series(&latency, (struct gw_str[]){GW_STR("busy")});
    CU_ASSERT_EQUAL(gw_metric_get(h), 100000);
    gw_metric_id n = gw_metric_series(&counter, (struct gw_str[]){GW_STR("n499"), GW_STR("1")});
    CU_ASSERT_EQUAL(gw_metric_get(n), 4);
}

// Fills the registry, so it is the last.
static void beyond_the_limit_series_are_other(void) {
    static const struct gw_metric_family f = {
        .name = "t_limit_total", .help = "x", .labels = {"who", "what", NULL}};
    gw_metric_id first = gw_metric_series(&f, (struct gw_str[]){GW_STR("0"), GW_STR("w")});
    gw_metric_id last = first;
    for (int i = 1; i <= GW_METRIC_SERIES_MAX; i++) {
        char name[16];
        snprintf(name, sizeof(name), "%d", i);
        last = gw_metric_series(&f, (struct gw_str[]){gw_str_of(name), GW_STR("w")});
        CU_ASSERT_NOT_EQUAL_FATAL(last, 0);
    }
    CU_ASSERT_EQUAL(gw_metric_series(&f, (struct gw_str[]){GW_STR("new"), GW_STR("y")}), last);
    CU_ASSERT_EQUAL(gw_metric_series(&f, (struct gw_str[]){GW_STR("0"), GW_STR("w")}), first);
    gw_metric_add(last, 6);
    assert_scrape_has("t_limit_total{who=\"other\",what=\"other\"} 6\n");
    // Other families still get their one series.
    static const struct gw_metric_family late = {.name = "t_late_total", .help = "x"};
    gw_metric_add(gw_metric_series(&late, NULL), 2);
    assert_scrape_has("t_late_total 2\n");
    gw_metric_id h = gw_metric_series(&latency, (struct gw_str[]){GW_STR("late")});
    gw_metric_observe(h, 1);
    assert_scrape_has("t_seconds_count{route=\"other\"} 1\n");
}

static CU_TestInfo tests[] = {
    {"id none does nothing", id_none_does_nothing},
    {"same values, same id", same_values_same_id},
    {"counter output", counter_output},
    {"gauge goes below zero and is set", gauge_goes_below_zero_and_is_set},
    {"text is escaped", text_is_escaped},
    {"no two series with the same text", no_two_series_with_the_same_text},
    {"long values are cut between characters", long_values_are_cut_between_characters},
    {"histogram output", histogram_output},
    {"histogram without labels or unit", histogram_without_labels_or_unit},
    {"many histograms keep apart", many_histograms_keep_apart},
    {"families are sorted by name", families_are_sorted_by_name},
    {"hooks run before output", hooks_run_before_output},
    {"sums of ended threads stay", sums_of_ended_threads_stay},
    {"adding, registering and scraping at once", adding_registering_and_scraping_at_once},
    {"beyond the limit series are other", beyond_the_limit_series_are_other},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_shared_metric = {"shared_metric", NULL, NULL, NULL, NULL, tests};
