// SPDX-License-Identifier: Apache-2.0
// Lines are read back from a file, or from a pipe that is not emptied, and parsed with jansson.
#include "dataplane/obs/access.h"
#include "dataplane/obs/metrics.h"
#include "shared/json.h"

#include <CUnit/CUnit.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct gw_loop *loop;
static char folder[] = "/tmp/test_access.XXXXXX";
static char path[64];

static int set_up(void) {
    struct gw_err err;
    dp_metrics_init();
    loop = gw_loop_new(&err);
    if (!loop || !mkdtemp(folder)) return -1;
    snprintf(path, sizeof(path), "%s/access.log", folder);
    return 0;
}

static int tear_down(void) {
    gw_loop_free(loop);
    unlink(path);
    return rmdir(folder);
}

static struct gw_text read_all(const char *from) {
    struct gw_text text = {0};
    char piece[4096];
    size_t n;
    FILE *f = fopen(from, "re");
    gw_text_add(&text, "", 0);
    while (f && (n = fread(piece, 1, sizeof(piece), f)) > 0)
        gw_text_add(&text, piece, n);
    if (f) fclose(f);
    return text;
}

// The log's whole text after these records.
static struct gw_text lines_of(const struct dp_access_record *records, size_t n) {
    struct gw_err err;
    unlink(path);
    struct dp_access_log *l = dp_access_log_open(path, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(l);
    struct dp_access_buf *b = dp_access_buf_new(l, loop);
    for (size_t i = 0; i < n; i++)
        dp_access_write(b, &records[i]);
    dp_access_buf_free(b);
    dp_access_log_close(l);
    return read_all(path);
}

static const struct dp_access_record nothing = {
    .duration_us = -1,
    .bytes_in = -1,
    .bytes_out = -1,
    .rule = -1,
    .attempts = -1,
    .first_byte_us = -1,
    .tokens_in = -1,
    .tokens_out = -1,
    .tokens_cached = -1,
};

static void absent_values_leave_their_keys_out(void) {
    struct gw_text t = lines_of(&nothing, 1);
    CU_ASSERT_STRING_EQUAL(t.ptr, "{\"ts\":\"1970-01-01T00:00:00.000000Z\",\"status\":0}\n");
    gw_text_fini(&t);
}

static void a_full_record_is_exact(void) {
    const struct dp_access_record r = {
        .start_real_us = INT64_C(1767323045678901),
        .duration_us = 1234,
        .request_id = GW_STR("id-1"),
        .client = GW_STR("127.0.0.1"),
        .method = GW_STR("POST"),
        .host = GW_STR("api.example.com"),
        .path = GW_STR("/v1/chat/completions"),
        .user_agent = GW_STR("curl/8"),
        .status = 200,
        .bytes_in = 0,
        .bytes_out = INT64_MAX,
        .listener = GW_STR("listener/default/edge/http"),
        .route = GW_STR("default/web"),
        .rule = 0,
        .backend = GW_STR("default/web:80"),
        .upstream = GW_STR("127.0.0.1:9001"),
        .upstream_status = 200,
        .attempts = 1,
        .first_byte_us = 1000,
        .model = GW_STR("fast"),
        .upstream_model = GW_STR("gpt-x-mini"),
        .tokens_in = 10,
        .tokens_out = 20,
        .tokens_cached = 0,
        .usage = GW_STR("reported"),
        .error = GW_STR("none"),
    };
    struct gw_text t = lines_of(&r, 1);
    CU_ASSERT_STRING_EQUAL(
        t.ptr, "{\"ts\":\"2026-01-02T03:04:05.678901Z\",\"request_id\":\"id-1\","
               "\"client\":\"127.0.0.1\",\"method\":\"POST\",\"host\":\"api.example.com\","
               "\"path\":\"/v1/chat/completions\",\"status\":200,\"duration_us\":1234,"
               "\"bytes_in\":0,\"bytes_out\":9223372036854775807,\"user_agent\":\"curl/8\","
               "\"listener\":\"listener/default/edge/http\",\"route\":\"default/web\",\"rule\":0,"
               "\"backend\":\"default/web:80\",\"upstream\":\"127.0.0.1:9001\","
               "\"upstream_status\":200,\"attempts\":1,\"first_byte_us\":1000,\"model\":\"fast\","
               "\"upstream_model\":\"gpt-x-mini\",\"tokens_in\":10,\"tokens_out\":20,"
               "\"tokens_cached\":0,\"usage\":\"reported\",\"error\":\"none\"}\n");
    gw_text_fini(&t);
}

static void hostile_texts_are_read_back(void) {
    static const struct {
        struct gw_str input, want;
    } table[] = {
        {GW_STR("/a\"b\\c"), GW_STR("/a\"b\\c")},
        {GW_STR("/\x01\x1f\n\r\t"), GW_STR("/\x01\x1f\n\r\t")},
        {GW_STR("/caf\xc3\xa9"), GW_STR("/caf\xc3\xa9")},
        {GW_STR("/\xff\xfe"), GW_STR("/\xef\xbf\xbd\xef\xbf\xbd")},
        {GW_STR("\"}\n{\"forged\":\""), GW_STR("\"}\n{\"forged\":\"")},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct dp_access_record r = nothing;
        r.path = table[i].input;
        struct gw_text t = lines_of(&r, 1);
        GW_JSON_AUTO line = json_loads(t.ptr, JSON_REJECT_DUPLICATES, NULL);
        CU_ASSERT(gw_str_eq(gw_json_str(line, "path"), table[i].want));
        CU_ASSERT_PTR_EQUAL(strchr(t.ptr, '\n'), t.ptr + t.len - 1);
        gw_text_fini(&t);
    }
}

static void long_texts_are_cut(void) {
    char text[5000];
    struct dp_access_record r = nothing;
    memset(text, '\x01', sizeof(text)); // the longest escape
    r.path = r.user_agent = r.host = r.error = r.model = (struct gw_str){text, sizeof(text)};
    r.request_id = r.client = r.method = r.listener = r.route = r.path;
    r.backend = r.upstream = r.upstream_model = r.usage = r.path;
    struct dp_access_record many[20];
    for (size_t i = 0; i < GW_ARRAY_LEN(many); i++)
        many[i] = r;
    struct gw_text t = lines_of(many, GW_ARRAY_LEN(many));
    struct gw_str rest = gw_text_str(&t);
    size_t lines = 0;
    while (rest.len) {
        struct gw_str one = gw_str_cut(&rest, '\n');
        GW_JSON_AUTO line = json_loadb(one.ptr, one.len, 0, NULL);
        CU_ASSERT_EQUAL(gw_json_str(line, "path").len, DP_ACCESS_VALUE_BYTES_MAX / 6);
        CU_ASSERT_EQUAL(gw_json_str(line, "usage").len, DP_ACCESS_VALUE_BYTES_MAX / 6);
        lines++;
    }
    CU_ASSERT_EQUAL(lines, GW_ARRAY_LEN(many));
    gw_text_fini(&t);
}

static void every_second_has_its_text(void) {
    static const struct {
        int64_t us;
        const char *want;
    } table[] = {
        {INT64_C(951782399999999), "2000-02-28T23:59:59.999999Z"},
        {INT64_C(951782400000000), "2000-02-29T00:00:00.000000Z"},
        {INT64_C(1709164800000009), "2024-02-29T00:00:00.000009Z"},
        {INT64_C(1709164800120000), "2024-02-29T00:00:00.120000Z"},
        {INT64_C(4102444799000001), "2099-12-31T23:59:59.000001Z"},
    };
    struct dp_access_record records[GW_ARRAY_LEN(table)];
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        records[i] = nothing;
        records[i].start_real_us = table[i].us;
    }
    struct gw_text t = lines_of(records, GW_ARRAY_LEN(table));
    struct gw_str rest = gw_text_str(&t);
    for (size_t i = 0; i < GW_ARRAY_LEN(table); i++) {
        struct gw_str one = gw_str_cut(&rest, '\n');
        GW_JSON_AUTO line = json_loadb(one.ptr, one.len, 0, NULL);
        CU_ASSERT(gw_str_eq(gw_json_str(line, "ts"), gw_str_of(table[i].want)));
    }
    gw_text_fini(&t);
}

static void many_lines_are_all_there_in_order(void) {
    enum { N = 3000 };
    struct dp_access_record *records = gw_alloc(N * sizeof(*records));
    for (int i = 0; i < N; i++) {
        records[i] = nothing;
        records[i].path = GW_STR("/some/path/that/is/not/very/short");
        records[i].duration_us = i;
    }
    int64_t dropped = gw_metric_get(dp_metrics.log_dropped);
    struct gw_text t = lines_of(records, N);
    struct gw_str rest = gw_text_str(&t);
    int64_t n = 0;
    for (; rest.len; n++) {
        struct gw_str one = gw_str_cut(&rest, '\n');
        GW_JSON_AUTO line = json_loadb(one.ptr, one.len, 0, NULL);
        if (gw_json_int(line, "duration_us", -1) != n) break;
    }
    CU_ASSERT_EQUAL(n, N);
    CU_ASSERT_EQUAL(gw_metric_get(dp_metrics.log_dropped), dropped);
    gw_text_fini(&t);
    free(records);
}

static void a_quiet_buffer_is_written_after_a_second(void) {
    struct gw_err err;
    unlink(path);
    struct dp_access_log *l = dp_access_log_open(path, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(l);
    struct dp_access_buf *b = dp_access_buf_new(l, loop);
    gw_loop_turn(loop, 0);
    int64_t start_ms = gw_loop_now_ms(loop);
    dp_access_write(b, &nothing);
    struct stat st = {0};
    for (int i = 0; i < 400 && st.st_size == 0; i++) {
        gw_loop_turn(loop, 10);
        stat(path, &st);
    }
    int64_t took_ms = gw_loop_now_ms(loop) - start_ms;
    CU_ASSERT(st.st_size > 0);
    CU_ASSERT(took_ms >= 990);
    dp_access_buf_free(b);
    dp_access_log_close(l);
}

// Nobody reads the pipe: the writer stands still, the worker must not.
static void a_slow_reader_costs_lines_and_no_time(void) {
    struct gw_err err;
    char fifo[80];
    snprintf(fifo, sizeof(fifo), "%s/fifo", folder);
    CU_ASSERT_EQUAL_FATAL(mkfifo(fifo, 0600), 0);
    int reader = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct dp_access_log *l = dp_access_log_open(fifo, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(l);
    struct dp_access_buf *b = dp_access_buf_new(l, loop);
    struct dp_access_record r = nothing;
    r.path = GW_STR("/a/path/of/usual/length");
    int64_t before = gw_metric_get(dp_metrics.log_dropped), written = 200000;
    for (int64_t i = 0; i < written; i++)
        dp_access_write(b, &r);
    int64_t dropped = gw_metric_get(dp_metrics.log_dropped) - before;
    CU_ASSERT(dropped > 0);
    dp_access_buf_free(b); // its block finds no room either
    dropped = gw_metric_get(dp_metrics.log_dropped) - before;
    int64_t lines = 0;
    char piece[65536];
    ssize_t n;
    fcntl(reader, F_SETFL, 0);
    // What was kept comes whole; the writer ends only once the log is closed.
    int64_t kept = written - dropped;
    while (lines < kept && (n = read(reader, piece, sizeof(piece))) > 0)
        for (ssize_t i = 0; i < n; i++)
            if (piece[i] == '\n') lines++;
    CU_ASSERT_EQUAL(lines, kept);
    dp_access_log_close(l);
    close(reader);
    unlink(fifo);
}

static void off_writes_nothing(void) {
    struct gw_err err;
    struct dp_access_log *l = dp_access_log_open("off", &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(l);
    struct dp_access_buf *b = dp_access_buf_new(l, loop);
    dp_access_write(b, &nothing);
    dp_access_log_reopen(l);
    dp_access_buf_free(b);
    dp_access_log_close(l);
}

static void a_path_that_cannot_be_opened_is_refused(void) {
    struct gw_err err;
    CU_ASSERT_PTR_NULL(dp_access_log_open("/nonexistent/folder/a.log", &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "'/nonexistent/folder/a.log'"));
}

static void reopen_follows_a_rename(void) {
    struct gw_err err;
    char old[80];
    snprintf(old, sizeof(old), "%s.1", path);
    unlink(path);
    struct dp_access_log *l = dp_access_log_open(path, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(l);
    CU_ASSERT_EQUAL(rename(path, old), 0);
    dp_access_log_reopen(l);
    for (int i = 0; i < 500 && access(path, F_OK) != 0; i++)
        usleep(10000);
    struct dp_access_buf *b = dp_access_buf_new(l, loop);
    dp_access_write(b, &nothing);
    dp_access_buf_free(b);
    dp_access_log_close(l);
    struct stat st = {0};
    CU_ASSERT_EQUAL(stat(path, &st), 0);
    CU_ASSERT(st.st_size > 0);
    CU_ASSERT_EQUAL(stat(old, &st), 0);
    CU_ASSERT_EQUAL(st.st_size, 0);
    unlink(old);
}

static CU_TestInfo tests[] = {
    {"absent_values_leave_their_keys_out", absent_values_leave_their_keys_out},
    {"a_full_record_is_exact", a_full_record_is_exact},
    {"hostile_texts_are_read_back", hostile_texts_are_read_back},
    {"long_texts_are_cut", long_texts_are_cut},
    {"every_second_has_its_text", every_second_has_its_text},
    {"many_lines_are_all_there_in_order", many_lines_are_all_there_in_order},
    {"a_quiet_buffer_is_written_after_a_second", a_quiet_buffer_is_written_after_a_second},
    {"a_slow_reader_costs_lines_and_no_time", a_slow_reader_costs_lines_and_no_time},
    {"off_writes_nothing", off_writes_nothing},
    {"a_path_that_cannot_be_opened_is_refused", a_path_that_cannot_be_opened_is_refused},
    {"reopen_follows_a_rename", reopen_follows_a_rename},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_obs_access = {"access", set_up, tear_down, NULL, NULL, tests};
