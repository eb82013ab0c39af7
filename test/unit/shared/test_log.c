// SPDX-License-Identifier: Apache-2.0
#include "shared/log.h"

#include <CUnit/CUnit.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

// A datagram per write(2): O_DIRECT pipes keep writes of up to PIPE_BUF apart.
static int pipe_fds[2];
static char got[16384];

static void capture(enum gw_log_level min) {
    CU_ASSERT_EQUAL_FATAL(pipe2(pipe_fds, O_DIRECT | O_NONBLOCK | O_CLOEXEC), 0);
    gw_log_init(pipe_fds[1], min);
}

// One read(2) into got, terminated; -1 where nothing was written.
static ssize_t read_once(void) {
    ssize_t n = read(pipe_fds[0], got, sizeof(got) - 1);
    got[n > 0 ? n : 0] = '\0';
    return n;
}

static void release(void) {
    gw_log_init(STDERR_FILENO, GW_LOG_INFO);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

// The one line in got as an object; owned by caller.
static json_t *parse_line(void) {
    size_t n = strlen(got);
    CU_ASSERT_TRUE_FATAL(n > 0 && got[n - 1] == '\n');
    CU_ASSERT_PTR_EQUAL(strchr(got, '\n'), got + n - 1);
    json_error_t err;
    json_t *o = json_loads(got, JSON_REJECT_DUPLICATES, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(o);
    return o;
}

static const char *text_of(const json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "(absent)";
}

static void below_the_level_nothing_is_written(void) {
    capture(GW_LOG_WARN);
    GW_DEBUG("conf", "a");
    GW_INFO("conf", "b");
    CU_ASSERT_EQUAL(read_once(), -1);
    GW_WARN("conf", "c");
    CU_ASSERT_TRUE(read_once() > 0);
    GW_ERROR("conf", "d");
    CU_ASSERT_TRUE(read_once() > 0);
    release();
}

static void line_has_the_fixed_keys_first(void) {
    capture(GW_LOG_DEBUG);
    GW_INFO("conf", "snapshot applied", GW_KS("version", "abc"), GW_KI("count", -7),
            GW_KB("whole", true), GW_KB("first", false), GW_KSTR("part", GW_STR("x\0y")));
    CU_ASSERT_TRUE_FATAL(read_once() > 0);
    const char *after_ts = strstr(got, "Z\",");
    CU_ASSERT_PTR_NOT_NULL_FATAL(after_ts);
    CU_ASSERT_STRING_EQUAL(after_ts + 3,
                           "\"lvl\":\"info\",\"mod\":\"conf\",\"msg\":\"snapshot applied\","
                           "\"version\":\"abc\",\"count\":-7,\"whole\":true,\"first\":false,"
                           "\"part\":\"x\\u0000y\"}\n");
    release();
}

static void levels_have_their_names(void) {
    capture(GW_LOG_DEBUG);
    const char *want[] = {"debug", "info", "warn", "error"};
    for (int i = GW_LOG_DEBUG; i <= GW_LOG_ERROR; i++) {
        gw_log_write((enum gw_log_level)i, "m", "x", NULL, 0);
        CU_ASSERT_TRUE_FATAL(read_once() > 0);
        json_t *o = parse_line();
        CU_ASSERT_STRING_EQUAL(text_of(o, "lvl"), want[i]);
        json_decref(o);
    }
    release();
}

static void time_is_utc_with_milliseconds(void) {
    setenv("TZ", "Asia/Kolkata", 1);
    tzset();
    capture(GW_LOG_INFO);
    time_t before = time(NULL);
    GW_INFO("m", "x");
    time_t after = time(NULL);
    CU_ASSERT_TRUE_FATAL(read_once() > 0);
    json_t *o = parse_line();
    struct tm tm = {0};
    const char *rest = strptime(text_of(o, "ts"), "%Y-%m-%dT%H:%M:%S", &tm);
    CU_ASSERT_PTR_NOT_NULL_FATAL(rest);
    CU_ASSERT_EQUAL(strlen(rest), 5);
    CU_ASSERT_EQUAL(rest[0], '.');
    CU_ASSERT_EQUAL(strspn(rest + 1, "0123456789"), 3);
    CU_ASSERT_EQUAL(rest[4], 'Z');
    time_t logged = timegm(&tm);
    // The clock behind time(2) may lag by a tick.
    CU_ASSERT_TRUE(logged >= before && logged <= after + 1);
    json_decref(o);
    release();
    unsetenv("TZ");
    tzset();
}

static void hostile_values_stay_in_their_string(void) {
    static const char hostile[] = "\",\"lvl\":\"error\"}\n{\"x\":\"\x1b[31m\xff\\";
    capture(GW_LOG_INFO);
    GW_INFO("m", "x", GW_KS("path", hostile), GW_KS("after", "ok"));
    CU_ASSERT_TRUE_FATAL(read_once() > 0);
    json_t *o = parse_line();
    CU_ASSERT_STRING_EQUAL(text_of(o, "lvl"), "info");
    CU_ASSERT_STRING_EQUAL(text_of(o, "path"),
                           "\",\"lvl\":\"error\"}\n{\"x\":\"\x1b[31m\xef\xbf\xbd\\");
    CU_ASSERT_STRING_EQUAL(text_of(o, "after"), "ok");
    json_decref(o);
    release();
}

static void null_string_is_empty(void) {
    capture(GW_LOG_INFO);
    GW_INFO("m", "x", GW_KS("none", NULL));
    CU_ASSERT_TRUE_FATAL(read_once() > 0);
    json_t *o = parse_line();
    CU_ASSERT_STRING_EQUAL(text_of(o, "none"), "");
    json_decref(o);
    release();
}

// Reads back what was written to a file: longer lines than PIPE_BUF cannot come through one packet.
static void write_to_file(const struct gw_log_kv *kv, size_t n) {
    FILE *f = tmpfile();
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    gw_log_init(fileno(f), GW_LOG_INFO);
    gw_log_write(GW_LOG_INFO, "m", "x", kv, n);
    gw_log_init(STDERR_FILENO, GW_LOG_INFO);
    ssize_t len = pread(fileno(f), got, sizeof(got) - 1, 0);
    got[len > 0 ? len : 0] = '\0';
    fclose(f);
}

static void long_line_is_cut_at_a_value(void) {
    static char big[20000];
    memset(big, 'v', sizeof(big) - 1);
    const struct gw_log_kv kv[] = {GW_KS("small", "s"), GW_KS("big", big), GW_KS("after", "a")};
    write_to_file(kv, GW_ARRAY_LEN(kv));
    CU_ASSERT_EQUAL(strlen(got), 8192);
    json_t *o = parse_line();
    CU_ASSERT_STRING_EQUAL(text_of(o, "small"), "s");
    CU_ASSERT_TRUE(strlen(text_of(o, "big")) > 7900);
    CU_ASSERT_PTR_NULL(json_object_get(o, "after"));
    CU_ASSERT_TRUE(json_is_true(json_object_get(o, "cut")));
    json_decref(o);
}

// Around the limit at every length, with what follows being each type of value.
static void every_length_near_the_limit_is_valid(void) {
    static char fill[8192];
    const struct gw_log_kv after[] = {GW_KI("n", INT64_MIN), GW_KB("b", true),
                                      GW_KS("s", "\x01\"")};
    unsigned cut = 0, whole = 0;
    for (size_t len = 7950; len < 8192; len++) {
        memset(fill, 'f', len);
        fill[len] = '\0';
        for (size_t i = 0; i < GW_ARRAY_LEN(after); i++) {
            const struct gw_log_kv kv[] = {GW_KS("fill", fill), after[i]};
            write_to_file(kv, 2);
            CU_ASSERT_TRUE(strlen(got) <= 8192);
            json_t *o = parse_line();
            bool is_cut = json_is_true(json_object_get(o, "cut"));
            bool has_all = json_object_get(o, after[i].key) && strlen(text_of(o, "fill")) == len &&
                           (i != 2 || strcmp(text_of(o, "s"), "\x01\"") == 0);
            CU_ASSERT_NOT_EQUAL(is_cut, has_all);
            cut += is_cut;
            whole += has_all;
            json_decref(o);
        }
    }
    CU_ASSERT_TRUE(cut > 100 && whole > 100);
}

static void many_keys_are_cut_between_values(void) {
    struct gw_log_kv kv[1000];
    for (size_t i = 0; i < GW_ARRAY_LEN(kv); i++)
        kv[i] = GW_KI("key", i);
    write_to_file(kv, GW_ARRAY_LEN(kv));
    size_t n = strlen(got);
    CU_ASSERT_TRUE(n <= 8192 && n > 8100);
    json_t *o = json_loads(got, 0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(o);
    CU_ASSERT_TRUE(json_is_true(json_object_get(o, "cut")));
    json_decref(o);
}

static void errno_is_kept(void) {
    gw_log_init(-1, GW_LOG_INFO);
    errno = ENOENT;
    GW_ERROR("m", "x", GW_KS("k", "v"));
    CU_ASSERT_EQUAL(errno, ENOENT);
    gw_log_init(STDERR_FILENO, GW_LOG_INFO);
}

static void level_names_are_exact(void) {
    const char *bad[] = {"", "INFO", "warning", "inf", "info ", "trace"};
    enum gw_log_level lvl = GW_LOG_ERROR;
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++)
        CU_ASSERT_EQUAL(gw_log_level_of(gw_str_of(bad[i]), &lvl), GW_ERR_INPUT);
    CU_ASSERT_EQUAL(lvl, GW_LOG_ERROR);
    CU_ASSERT_EQUAL(gw_log_level_of(GW_STR("debug"), &lvl), GW_OK);
    CU_ASSERT_EQUAL(lvl, GW_LOG_DEBUG);
    CU_ASSERT_EQUAL(gw_log_level_of(GW_STR("warn"), &lvl), GW_OK);
    CU_ASSERT_EQUAL(lvl, GW_LOG_WARN);
}

static void limit_lets_burst_through_each_second(void) {
    struct gw_log_limit l = {0};
    CU_ASSERT_FALSE(gw_log_allow(&l, 999, 0));
    for (int64_t second = 0; second < 3; second++) {
        unsigned allowed = 0;
        for (int i = 0; i < 100; i++)
            allowed += gw_log_allow(&l, second * 1000 + i * 9, 5);
        CU_ASSERT_EQUAL(allowed, 5);
    }
}

enum { THREAD_LINES = 500 };
static void *write_lines(void *arg) {
    for (int i = 0; i < THREAD_LINES; i++)
        GW_INFO("m", "x", GW_KS("who", arg), GW_KI("i", i));
    return NULL;
}

static void lines_of_threads_do_not_mix(void) {
    FILE *f = tmpfile();
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    // As stderr of a service is: every write goes to the end.
    CU_ASSERT_EQUAL(fcntl(fileno(f), F_SETFL, O_APPEND), 0);
    gw_log_init(fileno(f), GW_LOG_INFO);
    char names[2][2] = {"a", "b"};
    pthread_t t[2];
    for (int i = 0; i < 2; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&t[i], NULL, write_lines, names[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    gw_log_init(STDERR_FILENO, GW_LOG_INFO);
    rewind(f);
    unsigned lines = 0;
    while (fgets(got, sizeof(got), f)) {
        json_t *o = parse_line();
        CU_ASSERT_EQUAL(strlen(text_of(o, "who")), 1);
        json_decref(o);
        lines++;
    }
    CU_ASSERT_EQUAL(lines, 2 * THREAD_LINES);
    fclose(f);
}

static CU_TestInfo tests[] = {
    {"below the level nothing is written", below_the_level_nothing_is_written},
    {"line has the fixed keys first", line_has_the_fixed_keys_first},
    {"levels have their names", levels_have_their_names},
    {"time is UTC with milliseconds", time_is_utc_with_milliseconds},
    {"hostile values stay in their string", hostile_values_stay_in_their_string},
    {"NULL string is empty", null_string_is_empty},
    {"long line is cut at a value", long_line_is_cut_at_a_value},
    {"every length near the limit is valid", every_length_near_the_limit_is_valid},
    {"many keys are cut between values", many_keys_are_cut_between_values},
    {"errno is kept", errno_is_kept},
    {"level names are exact", level_names_are_exact},
    {"limit lets burst through each second", limit_lets_burst_through_each_second},
    {"lines of threads do not mix", lines_of_threads_do_not_mix},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_shared_log = {"shared_log", NULL, NULL, NULL, NULL, tests};
