// SPDX-License-Identifier: Apache-2.0
// A connection over a socket pair whose other end the test reads as slowly as it likes.
#include "dataplane/net/conn.h"

#include <CUnit/CUnit.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct gw_loop *loop;
static struct dp_conn conn;
static int peer;
static unsigned readables, draineds, errors;
static bool close_on_event;
static size_t slabs;

static void on_readable(struct dp_conn *c) {
    readables++;
    if (close_on_event) dp_conn_close(c);
}
static void on_drained(struct dp_conn *c) {
    draineds++;
    if (close_on_event) dp_conn_close(c);
}
static void on_error(struct dp_conn *c) {
    errors++;
    dp_conn_close(c);
}
static const struct dp_conn_ops ops = {on_readable, on_drained, on_error};

static void take(int fd) {
    struct gw_err err;
    CU_ASSERT_EQUAL_FATAL(dp_conn_init(&conn, loop, fd, &ops, &err), GW_OK);
}

static void set_up(void) {
    struct gw_err err;
    int fds[2];
    loop = gw_loop_new(&err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(loop);
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
                          0);
    slabs = gw_slab_in_use();
    readables = draineds = errors = 0;
    close_on_event = false;
    peer = fds[1];
    take(fds[0]);
}

static void tear_down(void) {
    dp_conn_close(&conn);
    if (peer >= 0) close(peer);
    gw_loop_free(loop);
    CU_ASSERT_EQUAL(gw_slab_in_use(), slabs);
}

static void turn(void) {
    gw_loop_turn(loop, 0);
}

// Bytes whose place can be told: a counter in every fourth.
static char byte_at(size_t i) {
    return (char)(i % 4 ? (int)(i >> (8 * (i % 4 - 1))) : (int)(i * 7));
}

static struct gw_slab *filled(size_t from, size_t n) {
    struct gw_slab *s = gw_slab_get();
    for (size_t i = 0; i < n; i++)
        s->data[i] = byte_at(from + i);
    s->used = (unsigned)n;
    return s;
}

static void push(size_t from, size_t n) {
    struct gw_slab *s = filled(from, n);
    dp_conn_push(&conn, s, (struct gw_str){s->data, n});
    gw_slab_unref(s);
}

static void flush(void) {
    struct gw_err err;
    CU_ASSERT_EQUAL(dp_conn_flush(&conn, &err), GW_OK);
}

// Pushes and flushes slices of n bytes until the kernel has enough and `queued` bytes wait; returns
// all that was pushed.
static size_t fill(size_t n, size_t queued) {
    size_t sent = 0;
    while (conn.out.bytes < queued && sent < 64u << 20) {
        push(sent, n);
        flush();
        sent += n;
    }
    CU_ASSERT_FATAL(conn.out.bytes >= queued);
    return sent;
}

// Reads at most max bytes; they must be those from `from` on.
static size_t drain(size_t from, size_t max) {
    char piece[8192];
    size_t got = 0;
    while (got < max) {
        size_t want = max - got < sizeof(piece) ? max - got : sizeof(piece);
        ssize_t n = recv(peer, piece, want, 0);
        if (n <= 0) break;
        size_t wrong = 0;
        for (ssize_t i = 0; i < n; i++)
            wrong += piece[i] != byte_at(from + got + (size_t)i);
        CU_ASSERT_EQUAL(wrong, 0);
        got += (size_t)n;
    }
    return got;
}

static void drain_all(size_t from, size_t total) {
    for (int i = 0; i < 100000 && from < total; i++) {
        from += drain(from, total - from);
        turn();
    }
    CU_ASSERT_EQUAL(from, total);
    CU_ASSERT(dp_conn_is_flushed(&conn));
}

// --- writing ------------------------------------------------------------------------------------

static void what_is_pushed_goes_out_with_a_flush(void) {
    push(0, 100);
    push(100, 50);
    CU_ASSERT_FALSE(dp_conn_is_flushed(&conn));
    CU_ASSERT_EQUAL(drain(0, 1000), 0);
    flush();
    CU_ASSERT(dp_conn_is_flushed(&conn));
    CU_ASSERT_EQUAL(drain(0, 1000), 150);
    flush(); // nothing is nothing
    turn();
    CU_ASSERT_EQUAL(draineds, 0);
}

static void more_slices_than_one_call_takes(void) {
    for (size_t i = 0; i < 1000; i++)
        push(i * 3, 3);
    flush();
    CU_ASSERT(dp_conn_is_flushed(&conn));
    CU_ASSERT_EQUAL(drain(0, 10000), 3000);
}

static void what_the_kernel_does_not_take_is_queued_and_drained(void) {
    static const size_t sizes[] = {100, 5000, GW_SLAB_BYTES};
    size_t from = 0;
    for (size_t i = 0; i < GW_ARRAY_LEN(sizes); i++) {
        if (i) {
            tear_down();
            set_up();
        }
        size_t total = fill(sizes[i], 50000);
        CU_ASSERT_EQUAL(conn.batch.bytes, 0);
        drain_all(from, total);
        CU_ASSERT(draineds >= 1);
        CU_ASSERT_EQUAL(errors, 0);
        turn();
        turn();
        CU_ASSERT_EQUAL(readables, 0);
    }
}

static void later_bytes_do_not_overtake_queued_ones(void) {
    size_t total = fill(3000, 30000), got = 0;
    for (int i = 0; i < 200; i++) {
        got += drain(got, 1777);
        push(total, 41);
        total += 41;
        if (i % 3) flush();
        if (i % 5 == 0) turn();
    }
    flush();
    drain_all(got, total);
}

// What is borrowed may go away after the flush.
static void static_bytes_survive(void) {
    size_t total = fill(GW_SLAB_BYTES, 10000);
    char *borrowed = malloc(5000);
    for (size_t i = 0; i < 5000; i++)
        borrowed[i] = byte_at(total + i);
    dp_conn_push(&conn, NULL, (struct gw_str){borrowed, 5000});
    flush();
    memset(borrowed, '!', 5000);
    free(borrowed);
    drain_all(0, total + 5000);
}

// A batch that the kernel took a part of: the rest of the borrowed bytes survives too.
static void static_bytes_survive_a_partial_write(void) {
    size_t total = 4u << 20;
    char *borrowed = malloc(total);
    for (size_t i = 0; i < total; i++)
        borrowed[i] = byte_at(i);
    dp_conn_push(&conn, NULL, (struct gw_str){borrowed, total});
    flush();
    CU_ASSERT(conn.out.bytes > 0 && conn.out.bytes < total);
    memset(borrowed, '!', total);
    free(borrowed);
    drain_all(0, total);
}

// A slab for every few queued bytes would cost 20 KiB each.
static void small_queued_slices_do_not_pin_slabs(void) {
    size_t total = fill(GW_SLAB_BYTES, 1), before = gw_slab_in_use(), queued = 0;
    for (int i = 0; i < 2000; i++) {
        push(total, 30);
        flush();
        total += 30;
        queued += 30;
    }
    CU_ASSERT(gw_slab_in_use() - before <= queued / GW_SLAB_BYTES + 2);
    drain_all(0, total);
}

static void large_queued_slices_are_not_copied(void) {
    size_t total = fill(GW_SLAB_BYTES, 1);
    struct gw_slab *s = filled(total, GW_SLAB_BYTES);
    dp_conn_push(&conn, s, (struct gw_str){s->data, GW_SLAB_BYTES});
    flush();
    CU_ASSERT_PTR_NOT_NULL_FATAL(conn.out.tail);
    CU_ASSERT_PTR_EQUAL(conn.out.tail->slice.slab, s);
    gw_slab_unref(s);
    drain_all(0, total + GW_SLAB_BYTES);
}

// --- marks --------------------------------------------------------------------------------------

static void the_owner_stops_at_high_and_goes_on_at_low(void) {
    CU_ASSERT_FALSE(dp_conn_is_full(&conn));
    size_t total = fill(1000, DP_CONN_QUEUE_HIGH), got = 0;
    CU_ASSERT(conn.out.bytes < DP_CONN_QUEUE_HIGH + 1000);
    CU_ASSERT(dp_conn_is_full(&conn));
    while (conn.out.bytes > DP_CONN_QUEUE_LOW) {
        CU_ASSERT_EQUAL_FATAL(draineds, 0);
        size_t n = drain(got, 4000);
        got += n;
        turn();
        CU_ASSERT_FATAL(n > 0);
    }
    CU_ASSERT_EQUAL(draineds, 1);
    CU_ASSERT_FALSE(dp_conn_is_full(&conn));
    unsigned more = conn.out.bytes ? 1 : 0; // once more when it is empty
    drain_all(got, total);
    CU_ASSERT_EQUAL(draineds, 1 + more);
}

static void an_owner_that_did_not_stop_is_told_when_all_is_out(void) {
    size_t total = fill(1000, 20000);
    drain_all(0, total);
    CU_ASSERT_EQUAL(draineds, 1);
}

static void it_may_be_closed_when_it_is_drained(void) {
    fill(1000, DP_CONN_QUEUE_HIGH);
    CU_ASSERT(dp_conn_is_full(&conn));
    close_on_event = true;
    for (size_t got = 0, i = 0; i < 100000 && dp_conn_is_open(&conn); i++) {
        got += drain(got, 8000);
        turn();
    }
    CU_ASSERT_FALSE(dp_conn_is_open(&conn));
    CU_ASSERT_EQUAL(draineds, 1);
}

// --- reading ------------------------------------------------------------------------------------

static enum gw_rc read_once(struct gw_slab *s, size_t *n) {
    struct gw_err err;
    *n = 0;
    return dp_conn_read(&conn, s, n, &err);
}

static void reads_go_on_behind_what_is_there(void) {
    struct gw_slab *s = gw_slab_get();
    size_t n;
    CU_ASSERT_EQUAL(read_once(s, &n), GW_AGAIN);
    CU_ASSERT_EQUAL(s->used, 0);
    CU_ASSERT_EQUAL(send(peer, "abc", 3, 0), 3);
    turn();
    CU_ASSERT_EQUAL(readables, 1);
    CU_ASSERT_EQUAL(read_once(s, &n), GW_OK);
    CU_ASSERT_EQUAL(n, 3);
    CU_ASSERT_EQUAL(send(peer, "defg", 4, 0), 4);
    CU_ASSERT_EQUAL(read_once(s, &n), GW_OK);
    CU_ASSERT_EQUAL(n, 4);
    CU_ASSERT_EQUAL(s->used, 7);
    CU_ASSERT_EQUAL(memcmp(s->data, "abcdefg", 7), 0);
    gw_slab_unref(s);
}

static void a_read_ends_with_the_slab(void) {
    struct gw_slab *s = gw_slab_get();
    size_t n;
    s->used = GW_SLAB_BYTES - 2;
    CU_ASSERT_EQUAL(send(peer, "abc", 3, 0), 3);
    CU_ASSERT_EQUAL(read_once(s, &n), GW_OK);
    CU_ASSERT_EQUAL(n, 2);
    CU_ASSERT_EQUAL(s->used, GW_SLAB_BYTES);
    gw_slab_unref(s);
}

static void the_end_comes_after_the_last_byte(void) {
    struct gw_slab *s = gw_slab_get();
    size_t n;
    CU_ASSERT_EQUAL(send(peer, "x", 1, 0), 1);
    CU_ASSERT_EQUAL(shutdown(peer, SHUT_WR), 0);
    turn();
    CU_ASSERT_EQUAL(readables, 1);
    CU_ASSERT_EQUAL(read_once(s, &n), GW_OK);
    CU_ASSERT_EQUAL(read_once(s, &n), GW_EOF);
    CU_ASSERT_EQUAL(read_once(s, &n), GW_EOF);
    push(0, 10); // half closed: the other direction lives
    flush();
    CU_ASSERT_EQUAL(drain(0, 100), 10);
    gw_slab_unref(s);
}

static void who_does_not_want_to_read_is_not_called(void) {
    dp_conn_set_reading(&conn, false);
    CU_ASSERT_EQUAL(send(peer, "x", 1, 0), 1);
    turn();
    CU_ASSERT_EQUAL(readables, 0);
    dp_conn_set_reading(&conn, true);
    turn();
    CU_ASSERT_EQUAL(readables, 1);
}

static void a_peer_that_is_gone_is_an_error_for_who_does_not_read(void) {
    dp_conn_set_reading(&conn, false);
    close(peer);
    peer = -1;
    turn();
    CU_ASSERT_EQUAL(readables, 0);
    CU_ASSERT_EQUAL(errors, 1);
}

static void a_peek_takes_nothing(void) {
    struct gw_slab *s = gw_slab_get();
    size_t n;
    CU_ASSERT_EQUAL(dp_conn_peek(&conn), GW_AGAIN);
    CU_ASSERT_EQUAL(send(peer, "x", 1, 0), 1);
    CU_ASSERT_EQUAL(dp_conn_peek(&conn), GW_OK);
    CU_ASSERT_EQUAL(dp_conn_peek(&conn), GW_OK);
    CU_ASSERT_EQUAL(read_once(s, &n), GW_OK);
    CU_ASSERT_EQUAL(n, 1);
    CU_ASSERT_EQUAL(dp_conn_peek(&conn), GW_AGAIN);
    CU_ASSERT_EQUAL(shutdown(peer, SHUT_WR), 0);
    CU_ASSERT_EQUAL(dp_conn_peek(&conn), GW_EOF);
    gw_slab_unref(s);
}

// --- ends ---------------------------------------------------------------------------------------

static void writing_to_a_peer_that_is_gone_fails_once_and_for_all(void) {
    struct gw_err err;
    close(peer);
    peer = -1;
    push(0, 10);
    CU_ASSERT_EQUAL(dp_conn_flush(&conn, &err), GW_ERR_UPSTREAM);
    CU_ASSERT_EQUAL(err.code, 502);
    CU_ASSERT(conn.failed);
    CU_ASSERT_EQUAL(dp_conn_flush(&conn, &err), GW_ERR_UPSTREAM);
    dp_conn_close(&conn);
    CU_ASSERT_EQUAL(dp_conn_flush(&conn, &err), GW_ERR_UPSTREAM);
}

static void a_queued_write_that_fails_is_told(void) {
    fill(1000, 20000);
    close(peer);
    peer = -1;
    for (int i = 0; i < 3; i++)
        turn();
    CU_ASSERT_EQUAL(errors, 1);
    CU_ASSERT_FALSE(dp_conn_is_open(&conn));
}

static void a_close_drops_what_is_queued(void) {
    fill(GW_SLAB_BYTES, 60000);
    push(0, 100);
    dp_conn_close(&conn);
    CU_ASSERT_FALSE(dp_conn_is_open(&conn));
    CU_ASSERT(dp_conn_is_flushed(&conn));
    CU_ASSERT_EQUAL(gw_slab_in_use(), slabs);
    dp_conn_close(&conn); // once is enough
    dp_conn_abort(&conn);
    turn();
    CU_ASSERT_EQUAL(readables + draineds + errors, 0);
}

// The two ends of a TCP connection on 127.0.0.1.
static void make_tcp(int *ours, int *theirs) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_FATAL(listener >= 0);
    CU_ASSERT_EQUAL_FATAL(bind(listener, (struct sockaddr *)&at, len), 0);
    CU_ASSERT_EQUAL_FATAL(listen(listener, 1), 0);
    CU_ASSERT_EQUAL_FATAL(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    *theirs = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(connect(*theirs, (struct sockaddr *)&at, len), 0);
    *ours = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    CU_ASSERT_FATAL(*ours >= 0);
    close(listener);
}

static void an_abort_is_a_reset_a_close_is_not(void) {
    for (int hard = 0; hard <= 1; hard++) {
        int ours = -1;
        char byte;
        dp_conn_close(&conn);
        close(peer);
        make_tcp(&ours, &peer);
        take(ours);
        if (hard)
            dp_conn_abort(&conn);
        else
            dp_conn_close(&conn);
        CU_ASSERT_FALSE(dp_conn_is_open(&conn));
        errno = 0;
        CU_ASSERT_EQUAL(recv(peer, &byte, 1, 0), hard ? -1 : 0);
        CU_ASSERT_EQUAL(errno, hard ? ECONNRESET : 0);
    }
}

static void a_reset_is_read_as_a_loss(void) {
    struct linger hard = {.l_onoff = 1};
    struct gw_slab *s = gw_slab_get();
    struct gw_err err;
    size_t n;
    int ours = -1;
    dp_conn_close(&conn);
    close(peer);
    make_tcp(&ours, &peer);
    take(ours);
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    close(peer);
    peer = -1;
    turn();
    CU_ASSERT_EQUAL(readables, 1);
    CU_ASSERT_EQUAL(dp_conn_read(&conn, s, &n, &err), GW_ERR_UPSTREAM);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "connection lost: "));
    gw_slab_unref(s);
}

#define T(fn)                                                                                      \
    { #fn, fn }
static CU_TestInfo tests[] = {
    T(what_is_pushed_goes_out_with_a_flush),
    T(more_slices_than_one_call_takes),
    T(what_the_kernel_does_not_take_is_queued_and_drained),
    T(later_bytes_do_not_overtake_queued_ones),
    T(static_bytes_survive),
    T(static_bytes_survive_a_partial_write),
    T(small_queued_slices_do_not_pin_slabs),
    T(large_queued_slices_are_not_copied),
    T(the_owner_stops_at_high_and_goes_on_at_low),
    T(an_owner_that_did_not_stop_is_told_when_all_is_out),
    T(it_may_be_closed_when_it_is_drained),
    T(reads_go_on_behind_what_is_there),
    T(a_read_ends_with_the_slab),
    T(the_end_comes_after_the_last_byte),
    T(who_does_not_want_to_read_is_not_called),
    T(a_peer_that_is_gone_is_an_error_for_who_does_not_read),
    T(a_peek_takes_nothing),
    T(writing_to_a_peer_that_is_gone_fails_once_and_for_all),
    T(a_queued_write_that_fails_is_told),
    T(a_close_drops_what_is_queued),
    T(an_abort_is_a_reset_a_close_is_not),
    T(a_reset_is_read_as_a_loss),
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_net_conn = {"conn", NULL, NULL, set_up, tear_down, tests};
