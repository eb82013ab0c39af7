// SPDX-License-Identifier: Apache-2.0
// Builds one JSON line in a buffer of the thread and writes it with one write(2). A line that does
// not fit is cut at a value and says so with "cut":true; it stays valid JSON.
#include "shared/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES_MAX 8192
#define LINE_CUT ",\"cut\":true"
// Kept free until the end: the quote of a value that was cut, the mark, the brace and the newline.
#define LINE_TAIL_BYTES (1 + sizeof(LINE_CUT) - 1 + 2)

// Not on the stack: fibers log too, and their stacks are small and stay touched.
struct line {
    size_t len;
    bool is_cut;
    char text[LINE_BYTES_MAX];
};
static __thread struct line line;

static int log_fd = STDERR_FILENO;
static int log_min = GW_LOG_INFO;

void gw_log_init(int fd, enum gw_log_level min) {
    __atomic_store_n(&log_fd, fd, __ATOMIC_RELAXED);
    __atomic_store_n(&log_min, (int)min, __ATOMIC_RELAXED);
}

static const char *const level_names[] = {"debug", "info", "warn", "error"};

enum gw_rc gw_log_level_of(struct gw_str name, enum gw_log_level *ret) {
    for (size_t i = 0; i < GW_ARRAY_LEN(level_names); i++) {
        if (!gw_str_eq(name, gw_str_of(level_names[i]))) continue;
        *ret = (enum gw_log_level)i;
        return GW_OK;
    }
    return GW_ERR_INPUT;
}

static inline size_t room(const struct line *l) {
    size_t end = sizeof(l->text) - LINE_TAIL_BYTES;
    return l->len < end ? end - l->len : 0;
}

static bool put(struct line *l, const char *p, size_t n) {
    if (n > room(l)) {
        l->is_cut = true;
        return false;
    }
    memcpy(l->text + l->len, p, n);
    l->len += n;
    return true;
}

static bool put_string(struct line *l, struct gw_str s) {
    if (!put(l, "\"", 1)) return false;
    l->len += gw_json_escape_some(l->text + l->len, room(l), &s);
    l->text[l->len++] = '"';
    if (s.len) l->is_cut = true;
    return true;
}

// With the comma before it. What does not fit as far as the start of its value is left out.
static void put_pair(struct line *l, const struct gw_log_kv *kv) {
    size_t before = l->len;
    char num[24];
    bool is_whole = put(l, ",", 1) && put_string(l, gw_str_of(kv->key)) && put(l, ":", 1);
    switch (kv->type) {
    case GW_LOG_T_STR:
        is_whole = is_whole && put_string(l, kv->str);
        break;
    case GW_LOG_T_INT:
        snprintf(num, sizeof(num), "%" PRId64, kv->num);
        is_whole = is_whole && put(l, num, strlen(num));
        break;
    case GW_LOG_T_BOOL:
        is_whole = is_whole && (kv->num ? put(l, "true", 4) : put(l, "false", 5));
        break;
    }
    if (!is_whole) l->len = before;
}

static void put_time(struct line *l) {
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    char text[40];
    size_t n = strftime(text, sizeof(text), "{\"ts\":\"%Y-%m-%dT%H:%M:%S", &tm);
    n += (size_t)snprintf(text + n, sizeof(text) - n, ".%03dZ\"", (int)(now.tv_nsec / 1000000));
    put(l, text, n);
}

// A short write (a full pipe) is completed, so that the next line starts at its own beginning;
// where the reader takes nothing more the rest is lost, for nobody waits for a log.
static void write_line(int fd, const char *p, size_t n) {
    while (n) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return;
        p += done;
        n -= (size_t)done;
    }
}

void gw_log_write(enum gw_log_level lvl, const char *mod, const char *msg,
                  const struct gw_log_kv *kv, size_t n) {
    if ((int)lvl < __atomic_load_n(&log_min, __ATOMIC_RELAXED)) return;
    int saved_errno = errno;
    struct line *l = &line;
    l->len = 0;
    l->is_cut = false;
    put_time(l);
    const struct gw_log_kv fixed[] = {
        GW_KS("lvl", level_names[lvl]),
        GW_KS("mod", mod),
        GW_KS("msg", msg),
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(fixed) && !l->is_cut; i++)
        put_pair(l, &fixed[i]);
    for (size_t i = 0; i < n && !l->is_cut; i++)
        put_pair(l, &kv[i]);
    if (l->is_cut) {
        memcpy(l->text + l->len, LINE_CUT, sizeof(LINE_CUT) - 1);
        l->len += sizeof(LINE_CUT) - 1;
    }
    memcpy(l->text + l->len, "}\n", 2);
    l->len += 2;
    write_line(__atomic_load_n(&log_fd, __ATOMIC_RELAXED), l->text, l->len);
    errno = saved_errno;
}

bool gw_log_allow(struct gw_log_limit *l, int64_t now_ms, unsigned burst) {
    // Sites are shared by threads; a lost count only lets one line more through.
    int64_t second = now_ms / 1000;
    unsigned count = __atomic_load_n(&l->count, __ATOMIC_RELAXED);
    if (__atomic_load_n(&l->second, __ATOMIC_RELAXED) != second) {
        __atomic_store_n(&l->second, second, __ATOMIC_RELAXED);
        count = 0;
    }
    if (count >= burst) return false;
    __atomic_store_n(&l->count, count + 1, __ATOMIC_RELAXED);
    return true;
}
