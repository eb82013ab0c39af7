// SPDX-License-Identifier: Apache-2.0
// See access.h. Formatting runs once for every request, so it appends by hand; handing a block of
// lines to the writer is the only place where a worker takes a lock.
#include "dataplane/obs/access.h"

#include "dataplane/obs/metrics.h"
#include "shared/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

// 14 texts of at most DP_ACCESS_VALUE_BYTES_MAX, 12 numbers of at most 20 digits, and the keys.
#define LINE_BYTES_MAX (14 * DP_ACCESS_VALUE_BYTES_MAX + 12 * 20 + 512)
// A part-filled block is handed over this long after its first line.
#define FLUSH_MS 1000
#define POLL_MS 1000
#define WARNINGS_PER_S 1
#define SECOND_TEXT_BYTES 19 // 2026-01-02T03:04:05

struct block {
    struct block *next; // of the free list
    size_t len;
    unsigned lines;
    char data[DP_ACCESS_BUFFER_BYTES];
};

struct dp_access_log {
    char *path; // NULL: standard output
    bool is_off;
    int fd;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    // The following by lock.
    struct block *ring[DP_ACCESS_BUFFERS_MAX];
    unsigned first, count;
    struct block *free;
    bool is_closing, is_reopening;
};

struct dp_access_buf {
    struct dp_access_log *log;
    struct gw_loop *loop;
    struct gw_timer timer;
    struct block *block; // NULL until there is a line
    int64_t second;      // of second_text
    char second_text[SECOND_TEXT_BYTES];
};

// --- the writer ---------------------------------------------------------------------------------

// False where the rest of the block is lost.
static bool write_all(struct dp_access_log *l, const char *p, size_t n) {
    while (n) {
        ssize_t w = write(l->fd, p, n);
        if (w >= 0) {
            p += w;
            n -= (size_t)w;
        } else if (errno == EAGAIN) { // somebody made our standard output non-blocking
            struct pollfd pfd = {.fd = l->fd, .events = POLLOUT};
            bool is_stuck = poll(&pfd, 1, POLL_MS) == 0;
            pthread_mutex_lock(&l->lock);
            bool is_closing = l->is_closing;
            pthread_mutex_unlock(&l->lock);
            if (is_stuck && is_closing) return false;
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

static void write_block(struct dp_access_log *l, const struct block *b) {
    static struct gw_log_limit limit;
    if (write_all(l, b->data, b->len)) return;
    int why = errno;
    gw_metric_add(dp_metrics.log_dropped, b->lines);
    if (gw_log_allow(&limit, gw_clock_us() / 1000, WARNINGS_PER_S))
        GW_WARN("access", "access log cannot be written", GW_KS("path", l->path ? l->path : "-"),
                GW_KS("err", strerror(why)), GW_KI("lines", b->lines));
}

static int open_file(const char *path, struct gw_err *err) {
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0)
        gw_err_set(err, GW_ERR_INPUT, 0, "cannot open access log '%s': %s", path, strerror(errno));
    return fd;
}

static void reopen_file(struct dp_access_log *l) {
    struct gw_err err;
    int fd = l->path ? open_file(l->path, &err) : -1;
    if (l->path && fd < 0) {
        GW_WARN("access", "access log is not reopened; the old file stays in use",
                GW_KS("err", err.text));
        return;
    }
    if (fd < 0) return;
    close(l->fd);
    l->fd = fd;
}

static void *write_loop(void *arg) {
    struct dp_access_log *l = arg;
    pthread_mutex_lock(&l->lock);
    for (;;) {
        while (!l->count && !l->is_closing && !l->is_reopening)
            pthread_cond_wait(&l->changed, &l->lock);
        bool is_reopening = l->is_reopening && l->path;
        l->is_reopening = false;
        struct block *b = l->count ? l->ring[l->first] : NULL;
        if (!b && !is_reopening) {
            if (l->is_closing) break;
            continue;
        }
        pthread_mutex_unlock(&l->lock);
        if (is_reopening) reopen_file(l);
        if (b) write_block(l, b);
        pthread_mutex_lock(&l->lock);
        if (!b) continue;
        // It leaves the ring only now: a block that is being written counts as behind.
        l->first = (l->first + 1) % DP_ACCESS_BUFFERS_MAX;
        l->count--;
        b->next = l->free;
        l->free = b;
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

// Signals are for the thread that waits for them.
static bool start_writer(struct dp_access_log *l) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool is_started = pthread_create(&l->thread, NULL, write_loop, l) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return is_started;
}

struct dp_access_log *dp_access_log_open(const char *path, struct gw_err *err) {
    struct dp_access_log *l = gw_alloc(sizeof(*l));
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->changed, NULL);
    l->fd = STDOUT_FILENO;
    l->is_off = strcmp(path, "off") == 0;
    if (!l->is_off && strcmp(path, "-") != 0) {
        l->path = gw_strdup(path);
        l->fd = open_file(path, err);
    }
    if (l->fd >= 0 && (l->is_off || start_writer(l))) return l;
    if (l->fd >= 0) {
        gw_err_set(err, GW_ERR_INTERNAL, 0, "cannot start the access log's thread");
        if (l->path) close(l->fd);
    }
    free(l->path);
    free(l);
    return NULL;
}

void dp_access_log_reopen(struct dp_access_log *l) {
    pthread_mutex_lock(&l->lock);
    l->is_reopening = true;
    pthread_cond_signal(&l->changed);
    pthread_mutex_unlock(&l->lock);
}

void dp_access_log_close(struct dp_access_log *l) {
    if (!l) return;
    pthread_mutex_lock(&l->lock);
    l->is_closing = true;
    pthread_cond_signal(&l->changed);
    pthread_mutex_unlock(&l->lock);
    if (!l->is_off) pthread_join(l->thread, NULL);
    for (struct block *b = l->free, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    if (l->path) close(l->fd);
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->changed);
    free(l->path);
    free(l);
}

// --- a worker's buffer --------------------------------------------------------------------------

static struct block *take_block(struct dp_access_log *l) {
    pthread_mutex_lock(&l->lock);
    struct block *b = l->free;
    if (b) l->free = b->next;
    pthread_mutex_unlock(&l->lock);
    if (!b) b = gw_realloc(NULL, sizeof(*b));
    b->len = 0;
    b->lines = 0;
    return b;
}

static void hand_over(struct dp_access_buf *b) {
    struct dp_access_log *l = b->log;
    struct block *block = b->block;
    pthread_mutex_lock(&l->lock);
    bool is_taken = l->count < DP_ACCESS_BUFFERS_MAX;
    if (is_taken) {
        l->ring[(l->first + l->count++) % DP_ACCESS_BUFFERS_MAX] = block;
        pthread_cond_signal(&l->changed);
    }
    pthread_mutex_unlock(&l->lock);
    if (is_taken) {
        b->block = NULL;
        return;
    }
    gw_metric_add(dp_metrics.log_dropped, block->lines);
    block->len = 0;
    block->lines = 0;
}

static void on_timer(struct gw_timer *t) {
    struct dp_access_buf *b = GW_CONTAINER_OF(t, struct dp_access_buf, timer);
    if (b->block && b->block->len) hand_over(b);
}

struct dp_access_buf *dp_access_buf_new(struct dp_access_log *l, struct gw_loop *loop) {
    struct dp_access_buf *b = gw_alloc(sizeof(*b));
    b->log = l;
    b->loop = loop;
    b->second = INT64_MIN;
    gw_timer_init(&b->timer, on_timer);
    return b;
}

void dp_access_buf_free(struct dp_access_buf *b) {
    if (!b) return;
    gw_timer_cancel(b->loop, &b->timer);
    if (b->block && b->block->len) hand_over(b);
    free(b->block);
    free(b);
}

// --- one line -----------------------------------------------------------------------------------

#define PUT(p, literal) (memcpy((p), literal, sizeof(literal) - 1), (p) += sizeof(literal) - 1)

static char *put_digits(char *p, uint64_t n) {
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    memcpy(p, digits + at, sizeof(digits) - at);
    return p + (sizeof(digits) - at);
}

static char *put_two(char *p, unsigned n) {
    p[0] = (char)('0' + n / 10 % 10);
    p[1] = (char)('0' + n % 10);
    return p + 2;
}

static void set_second(struct dp_access_buf *b, int64_t second) {
    struct tm tm;
    time_t t = (time_t)second;
    gmtime_r(&t, &tm);
    unsigned year = (unsigned)(tm.tm_year + 1900);
    char *p = put_two(put_two(b->second_text, year / 100), year % 100);
    *p++ = '-';
    p = put_two(p, (unsigned)tm.tm_mon + 1);
    *p++ = '-';
    p = put_two(p, (unsigned)tm.tm_mday);
    *p++ = 'T';
    p = put_two(p, (unsigned)tm.tm_hour);
    *p++ = ':';
    p = put_two(p, (unsigned)tm.tm_min);
    *p++ = ':';
    put_two(p, (unsigned)tm.tm_sec);
    b->second = second;
}

static char *put_time(struct dp_access_buf *b, char *p, int64_t real_us) {
    int64_t second = real_us / 1000000;
    unsigned us = (unsigned)(real_us % 1000000);
    if (second != b->second) set_second(b, second);
    memcpy(p, b->second_text, SECOND_TEXT_BYTES);
    p += SECOND_TEXT_BYTES;
    *p++ = '.';
    return put_two(put_two(put_two(p, us / 10000), us / 100 % 100), us % 100);
}

static char *put_value(char *p, struct gw_str s) {
    p += gw_json_escape(p, DP_ACCESS_VALUE_BYTES_MAX, s);
    *p++ = '"';
    return p;
}

// Keys come with what stands around them, so that each is one copy of a known length.
#define PUT_STR(p, key, s)                                                                         \
    do {                                                                                           \
        if ((s).len) {                                                                             \
            PUT(p, ",\"" key "\":\"");                                                             \
            (p) = put_value((p), (s));                                                             \
        }                                                                                          \
    } while (0)
#define PUT_INT(p, key, n)                                                                         \
    do {                                                                                           \
        if ((n) >= 0) {                                                                            \
            PUT(p, ",\"" key "\":");                                                               \
            (p) = put_digits((p), (uint64_t)(n));                                                  \
        }                                                                                          \
    } while (0)

static char *put_line(struct dp_access_buf *b, char *p, const struct dp_access_record *r) {
    PUT(p, "{\"ts\":\"");
    p = put_time(b, p, r->start_real_us > 0 ? r->start_real_us : 0);
    PUT(p, "Z\"");
    PUT_STR(p, "request_id", r->request_id);
    PUT_STR(p, "client", r->client);
    PUT_STR(p, "protocol", r->protocol);
    PUT_STR(p, "method", r->method);
    PUT_STR(p, "host", r->host);
    PUT_STR(p, "path", r->path);
    PUT_INT(p, "status", r->status);
    PUT_INT(p, "duration_us", r->duration_us);
    PUT_INT(p, "bytes_in", r->bytes_in);
    PUT_INT(p, "bytes_out", r->bytes_out);
    PUT_STR(p, "user_agent", r->user_agent);
    PUT_STR(p, "listener", r->listener);
    PUT_STR(p, "route", r->route);
    PUT_INT(p, "rule", r->rule);
    PUT_STR(p, "backend", r->backend);
    PUT_STR(p, "upstream", r->upstream);
    if (r->upstream_status) PUT_INT(p, "upstream_status", r->upstream_status);
    PUT_INT(p, "attempts", r->attempts);
    PUT_INT(p, "first_byte_us", r->first_byte_us);
    PUT_STR(p, "model", r->model);
    PUT_STR(p, "upstream_model", r->upstream_model);
    PUT_INT(p, "tokens_in", r->tokens_in);
    PUT_INT(p, "tokens_out", r->tokens_out);
    PUT_INT(p, "tokens_cached", r->tokens_cached);
    PUT_STR(p, "usage", r->usage);
    PUT_STR(p, "error", r->error);
    PUT(p, "}\n");
    return p;
}

void dp_access_write(struct dp_access_buf *b, const struct dp_access_record *r) {
    if (b->log->is_off) return;
    if (b->block && sizeof(b->block->data) - b->block->len < LINE_BYTES_MAX) hand_over(b);
    if (!b->block) b->block = take_block(b->log);
    struct block *block = b->block;
    char *end = put_line(b, block->data + block->len, r);
    block->len = (size_t)(end - block->data);
    block->lines++;
    if (!gw_timer_armed(&b->timer)) gw_timer_set(b->loop, &b->timer, FLUSH_MS);
}
