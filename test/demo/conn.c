// SPDX-License-Identifier: Apache-2.0
// One client connection: collects a request, has its answer put together, plays it, and goes on
// with the next. Bytes of pipelined requests wait in the same buffer, in order.
#include "test/demo/demo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES 16384u          // free room before each recv
#define PIPELINE_BYTES_MAX 65536u  // while an answer is played, more than this is left unread
#define CHUNK_LINE_BYTES_MAX 4096u // a chunk-size or trailer line
#define SENDS_PER_TURN 64          // a quick reader must not hold the thread for ever
#define LINGER_MS 2000u            // how long unread request bytes are thrown away after the end

enum step { STEP_ON, STEP_WAIT, STEP_DEAD };

static int the_epoll = -1; // one thread, one epoll

static uint64_t wall_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static enum step destroy(struct demo_conn *conn, bool by_peer) {
    struct demo_server *server = conn->server;
    bool in_request = conn->state == DEMO_CONN_BODY || conn->state == DEMO_CONN_ANSWER ||
                      (conn->state == DEMO_CONN_HEAD && conn->in.len > 0);
    if (by_peer && in_request && !conn->is_internal) {
        server->client_closes_seen++;
        server->last_close_ms = wall_ms();
    } else if (by_peer) {
        server->idle_closes_seen++;
    }
    server->connections_open--;
    demo_timer_clear(conn);
    close(conn->fd);
    demo_buf_fini(&conn->in);
    demo_answer_fini(&conn->ans);
    free(conn);
    return STEP_DEAD;
}

static void reset_on_close(int fd) {
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

static enum step end_connection(struct demo_conn *conn, enum demo_op_kind kind) {
    if (kind == DEMO_OP_RESET) {
        reset_on_close(conn->fd);
    } else if (conn->is_body_unread) {
        // close() with unread bytes sends RST, and that could destroy the answer on its way.
        shutdown(conn->fd, SHUT_WR);
        conn->state = DEMO_CONN_LINGER;
        demo_timer_set(conn, demo_now_us() + LINGER_MS * 1000);
        return STEP_WAIT;
    }
    return destroy(conn, false);
}

// Sends the rest of the running WRITE or REPEAT operation.
static ssize_t send_op(struct demo_conn *conn, const struct demo_op *op, bool *ret_done) {
    struct demo_answer *ans = &conn->ans;
    bool is_write = op->kind == DEMO_OP_WRITE;
    const char *from = is_write ? ans->out.ptr + ans->out_off : op->pattern.ptr + ans->repeat_off;
    size_t len = is_write ? (size_t)(op->n - ans->op_done) : op->pattern.len - ans->repeat_off;
    ssize_t sent = send(conn->fd, from, len, MSG_NOSIGNAL);
    *ret_done = false;
    if (sent <= 0) return sent;
    if (is_write) {
        ans->out_off += (size_t)sent;
        ans->op_done += (uint64_t)sent;
    } else {
        ans->repeat_off += (size_t)sent;
        if (ans->repeat_off == op->pattern.len) {
            ans->repeat_off = 0;
            ans->op_done++;
        }
    }
    *ret_done = ans->op_done == op->n;
    return sent;
}

static void want(struct demo_conn *conn, uint32_t events) {
    if (conn->events == events) return;
    conn->events = events;
    struct epoll_event event = {.events = events, .data.ptr = conn};
    epoll_ctl(the_epoll, EPOLL_CTL_MOD, conn->fd, &event);
}

static enum step play(struct demo_conn *conn) {
    struct demo_answer *ans = &conn->ans;
    int sends = 0;
    while (ans->op_at < ans->ops_len) {
        const struct demo_op *op = &ans->ops[ans->op_at];
        bool is_done = true;
        switch (op->kind) {
        case DEMO_OP_WRITE:
        case DEMO_OP_REPEAT:
            if (++sends > SENDS_PER_TURN) {
                want(conn, conn->events | EPOLLOUT);
                return STEP_WAIT;
            }
            if (send_op(conn, op, &is_done) < 0) {
                if (errno != EAGAIN && errno != EINTR) return destroy(conn, true);
                want(conn, conn->events | EPOLLOUT);
                return STEP_WAIT;
            }
            break;
        case DEMO_OP_SLEEP:
            if (!ans->is_armed) {
                ans->is_armed = true;
                demo_timer_set(conn, demo_now_us() + op->n * 1000);
                return STEP_WAIT;
            }
            if (conn->timer_slot) return STEP_WAIT;
            ans->is_armed = false;
            break;
        case DEMO_OP_HANG:
            return STEP_WAIT;
        case DEMO_OP_CLOSE:
        case DEMO_OP_RESET:
            if (!conn->is_internal) conn->server->requests_answered++;
            return end_connection(conn, op->kind);
        }
        if (is_done) {
            ans->op_at++;
            ans->op_done = 0;
        }
    }
    if (!conn->is_internal) conn->server->requests_answered++;
    return STEP_ON;
}

static enum step refuse(struct demo_conn *conn, uint64_t status, const char *why) {
    struct demo_request req = {.keep_alive = false};
    demo_put_whole(&conn->ans, &req, status, "text/plain", "",
                   (struct demo_slice){why, strlen(why)});
    conn->is_body_unread = true;
    conn->state = DEMO_CONN_ANSWER;
    return STEP_ON;
}

static enum step begin_answer(struct demo_conn *conn) {
    struct demo_server *server = conn->server;
    struct demo_request *req = &conn->req;
    // The buffer may have moved while the body came.
    struct demo_slice head = {conn->in.ptr, conn->head_len};
    if (req->head.ptr != head.ptr) demo_http_parse(head, req);
    req->body = (struct demo_slice){conn->in.ptr + conn->head_len, conn->body_kept};
    req->body_bytes = conn->body_bytes;
    if (conn->is_body_unread) req->keep_alive = false;
    conn->state = DEMO_CONN_ANSWER;
    conn->is_internal = demo_stats_answer(server, req, &conn->ans);
    if (conn->is_internal) return STEP_ON;
    demo_stats_note(server, req);
    if (!conn->is_counted) server->connections_accepted++;
    conn->is_counted = true;
    server->answer(server, req, &conn->ans);
    conn->dies_on_next_request = conn->ans.closes_on_next_request;
    return STEP_ON;
}

// --- body --------------------------------------------------------------------------------------

static void take_data(struct demo_conn *conn, size_t keep_max) {
    size_t left = conn->in.len - conn->raw_off;
    size_t take = left < conn->body_left ? left : (size_t)conn->body_left;
    size_t room = keep_max > conn->body_kept ? keep_max - conn->body_kept : 0;
    size_t keep = take < room ? take : room;
    memmove(conn->in.ptr + conn->head_len + conn->body_kept, conn->in.ptr + conn->raw_off, keep);
    conn->body_kept += keep;
    conn->raw_off += take;
    conn->body_left -= take;
    conn->body_bytes += take;
}

// Length of the next line in the raw bytes without CRLF; -1 wait, -2 too long.
static ssize_t raw_line(const struct demo_conn *conn) {
    const char *from = conn->in.ptr + conn->raw_off;
    size_t left = conn->in.len - conn->raw_off;
    const char *end = memmem(from, left, "\r\n", 2);
    if (end && (size_t)(end - from) <= CHUNK_LINE_BYTES_MAX) return end - from;
    return left > CHUNK_LINE_BYTES_MAX ? -2 : -1;
}

static bool chunk_size(const char *line, size_t len, uint64_t *ret_size) {
    uint64_t size = 0;
    size_t digits = 0;
    for (; digits < len && line[digits] != ';'; digits++) {
        char c = line[digits];
        int value = c >= '0' && c <= '9'                     ? c - '0'
                    : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                             : -1;
        if (value < 0 || digits >= 15) return false;
        size = size * 16 + (uint64_t)value;
    }
    *ret_size = size;
    return digits > 0;
}

// ON: the body is complete. WAIT: more bytes are needed. DEAD: it is malformed.
static enum step take_chunked(struct demo_conn *conn, size_t keep_max) {
    for (;;) {
        ssize_t len = 0;
        if (conn->chunk_state == DEMO_CHUNK_SIZE || conn->chunk_state == DEMO_CHUNK_TRAILER) {
            len = raw_line(conn);
            if (len < 0) return len == -1 ? STEP_WAIT : STEP_DEAD;
        }
        const char *at = conn->in.ptr + conn->raw_off;
        switch (conn->chunk_state) {
        case DEMO_CHUNK_SIZE:
            if (!chunk_size(at, (size_t)len, &conn->body_left)) return STEP_DEAD;
            conn->raw_off += (size_t)len + 2;
            conn->chunk_state = conn->body_left ? DEMO_CHUNK_DATA : DEMO_CHUNK_TRAILER;
            break;
        case DEMO_CHUNK_DATA:
            take_data(conn, keep_max);
            if (conn->body_left) return STEP_WAIT;
            conn->chunk_state = DEMO_CHUNK_CRLF;
            break;
        case DEMO_CHUNK_CRLF:
            if (conn->in.len - conn->raw_off < 2) return STEP_WAIT;
            if (memcmp(at, "\r\n", 2) != 0) return STEP_DEAD;
            conn->raw_off += 2;
            conn->chunk_state = DEMO_CHUNK_SIZE;
            break;
        case DEMO_CHUNK_TRAILER:
            conn->raw_off += (size_t)len + 2;
            if (len == 0) return STEP_ON;
            break;
        }
    }
}

static enum step take_body(struct demo_conn *conn) {
    size_t keep_max = conn->keep_max;
    enum step step = STEP_WAIT;
    if (conn->req.is_chunked) {
        step = take_chunked(conn, keep_max);
    } else {
        take_data(conn, keep_max);
        if (conn->body_left == 0) step = STEP_ON;
    }
    // What was not kept leaves a gap.
    size_t kept = conn->head_len + conn->body_kept, rest = conn->in.len - conn->raw_off;
    memmove(conn->in.ptr + kept, conn->in.ptr + conn->raw_off, rest);
    conn->raw_off = kept;
    conn->in.len = kept + rest;

    if (step == STEP_DEAD) return refuse(conn, 400, "bad chunked body\n");
    if (keep_max == DEMO_BODY_KEEP_MAX && conn->body_bytes > keep_max) {
        return refuse(conn, 413, "the body is longer than 64 MiB\n");
    }
    return step == STEP_ON ? begin_answer(conn) : STEP_WAIT;
}

// --- head --------------------------------------------------------------------------------------

static enum step begin_body(struct demo_conn *conn) {
    const struct demo_request *req = &conn->req;
    uint64_t pause_ms = 0;
    if (demo_knob_is_on(req, "unread")) {
        conn->is_body_unread = true;
        return begin_answer(conn);
    }
    conn->keep_max = conn->server->keep(req);
    conn->body_left = req->is_chunked ? 0 : req->content_length;
    conn->chunk_state = DEMO_CHUNK_SIZE;
    conn->state = DEMO_CONN_BODY;
    if (req->expects_continue && !demo_knob_is_on(req, "nocontinue")) {
        static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
        // Nothing is on its way on this connection, so 25 bytes always have room.
        if (send(conn->fd, go_on, sizeof go_on - 1, MSG_NOSIGNAL) < 0) return destroy(conn, true);
    }
    if (demo_knob_number(req, "read_pause_ms", &pause_ms) && pause_ms) {
        demo_timer_set(conn, demo_now_us() + pause_ms * 1000);
    }
    return STEP_ON;
}

static enum step take_head(struct demo_conn *conn) {
    if (conn->in.len == 0) return STEP_WAIT;
    if (conn->dies_on_next_request) return destroy(conn, false);
    conn->head_len = demo_http_head_len(conn->in.ptr, conn->in.len);
    if (conn->head_len == 0 || conn->head_len > DEMO_HEAD_BYTES_MAX) {
        if (conn->in.len <= DEMO_HEAD_BYTES_MAX) return STEP_WAIT;
        return refuse(conn, 431, "the head is longer than 64 KiB\n");
    }
    conn->raw_off = conn->head_len;
    const char *why =
        demo_http_parse((struct demo_slice){conn->in.ptr, conn->head_len}, &conn->req);
    if (why) return refuse(conn, 400, why);
    if (conn->req.content_length == 0 && !conn->req.is_chunked) return begin_answer(conn);
    return begin_body(conn);
}

static enum step next_request(struct demo_conn *conn) {
    size_t rest = conn->in.len - conn->raw_off;
    memmove(conn->in.ptr, conn->in.ptr + conn->raw_off, rest);
    conn->in.len = rest;
    conn->head_len = conn->body_kept = conn->raw_off = 0;
    conn->body_bytes = conn->body_left = 0;
    conn->is_internal = false;
    demo_answer_reset(&conn->ans);
    conn->state = DEMO_CONN_HEAD;
    return STEP_ON;
}

// Goes on as far as the bytes at hand allow. Every turn consumes a request or waits.
static void advance(struct demo_conn *conn) {
    enum step step = STEP_ON;
    while (step == STEP_ON) {
        switch (conn->state) {
        case DEMO_CONN_HEAD:
            step = take_head(conn);
            break;
        case DEMO_CONN_BODY:
            step = conn->timer_slot ? STEP_WAIT : take_body(conn);
            break;
        case DEMO_CONN_ANSWER:
            step = play(conn);
            if (step == STEP_ON) step = next_request(conn);
            break;
        case DEMO_CONN_LINGER:
            step = STEP_WAIT;
            break;
        }
    }
    if (step == STEP_DEAD) return;
    bool is_paused = conn->state == DEMO_CONN_BODY && conn->timer_slot;
    bool is_full = conn->state == DEMO_CONN_ANSWER && conn->in.len >= conn->raw_off &&
                   conn->in.len - conn->raw_off >= PIPELINE_BYTES_MAX;
    uint32_t events = EPOLLRDHUP | (conn->events & EPOLLOUT);
    if (conn->state != DEMO_CONN_ANSWER) events &= ~(uint32_t)EPOLLOUT;
    if (!is_paused && !is_full) events |= EPOLLIN;
    want(conn, events);
}

void demo_conn_open(int epoll_fd, struct demo_server *server, int fd) {
    struct demo_conn *conn = calloc(1, sizeof *conn);
    if (!conn) abort();
    the_epoll = epoll_fd;
    conn->fd = fd;
    conn->server = server;
    conn->events = EPOLLIN | EPOLLRDHUP;
    server->connections_open++;
    struct epoll_event event = {.events = conn->events, .data.ptr = conn};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) destroy(conn, false);
}

void demo_conn_event(struct demo_conn *conn, uint32_t events) {
    if (events & EPOLLIN) {
        if (conn->state == DEMO_CONN_LINGER) conn->in.len = 0;
        demo_buf_reserve(&conn->in, READ_BYTES);
        ssize_t got = recv(conn->fd, conn->in.ptr + conn->in.len, conn->in.cap - conn->in.len, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
            destroy(conn, true);
            return;
        }
        if (got > 0) conn->in.len += (size_t)got;
    } else if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        destroy(conn, true);
        return;
    }
    if (events & EPOLLOUT) want(conn, conn->events & ~(uint32_t)EPOLLOUT);
    advance(conn);
}

void demo_conn_timer(struct demo_conn *conn) {
    if (conn->state == DEMO_CONN_LINGER) {
        destroy(conn, false);
        return;
    }
    advance(conn);
}
