// SPDX-License-Identifier: Apache-2.0
#include "dataplane/obs/metrics.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>

static void series_are_there_before_any_traffic(void) {
    static const char *const lines[] = {
        "tandem_bytes_total{direction=\"in\"} 0\n",
        "tandem_bytes_total{direction=\"out\"} 0\n",
        "tandem_upstream_retries_total 0\n",
        "tandem_connections{side=\"downstream\"} 0\n",
        "tandem_connections{side=\"upstream\"} 0\n",
        "tandem_connections_total{side=\"downstream\"} 0\n",
        "tandem_snapshots_total{result=\"applied\"} 0\n",
        "tandem_snapshots_total{result=\"refused\"} 0\n",
        "tandem_access_log_dropped_total 0\n",
        "tandem_fiber_stack_high_water_bytes 0\n",
    };
    struct gw_text text = {0};
    dp_metrics_init();
    gw_metric_text(&text);
    for (size_t i = 0; i < GW_ARRAY_LEN(lines); i++) {
        if (!strstr(text.ptr, lines[i])) printf("\nabsent: %s", lines[i]);
        CU_ASSERT_PTR_NOT_NULL(strstr(text.ptr, lines[i]));
    }
    gw_text_fini(&text);
}

static void a_second_init_keeps_the_series(void) {
    dp_metrics_init();
    gw_metric_id before = dp_metrics.bytes_in;
    dp_metrics_init();
    CU_ASSERT_EQUAL(dp_metrics.bytes_in, before);
    CU_ASSERT_NOT_EQUAL(dp_metrics.bytes_in, dp_metrics.bytes_out);
}

static void latency_is_in_seconds(void) {
    const struct gw_str labels[] = {GW_STR("default/r"), GW_STR("7")};
    gw_metric_id id = gw_metric_series(&dp_metric_request_seconds, labels);
    struct gw_text text = {0};
    gw_metric_observe(id, 100);      // the first bucket's bound belongs to it
    gw_metric_observe(id, 59999999); // the last bucket
    gw_metric_observe(id, 61000000); // beyond
    gw_metric_text(&text);
    static const char *const lines[] = {
        "_bucket{route=\"default/r\",rule=\"7\",le=\"0.0001\"} 1\n",
        "_bucket{route=\"default/r\",rule=\"7\",le=\"30\"} 1\n",
        "_bucket{route=\"default/r\",rule=\"7\",le=\"60\"} 2\n",
        "_bucket{route=\"default/r\",rule=\"7\",le=\"+Inf\"} 3\n",
        "_sum{route=\"default/r\",rule=\"7\"} 121.000099\n",
        "_count{route=\"default/r\",rule=\"7\"} 3\n",
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(lines); i++)
        CU_ASSERT_PTR_NOT_NULL(strstr(text.ptr, lines[i]));
    gw_text_fini(&text);
}

static CU_TestInfo tests[] = {
    {"series_are_there_before_any_traffic", series_are_there_before_any_traffic},
    {"a_second_init_keeps_the_series", a_second_init_keeps_the_series},
    {"latency_is_in_seconds", latency_is_in_seconds},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_obs_metrics = {"metrics", NULL, NULL, NULL, NULL, tests};
