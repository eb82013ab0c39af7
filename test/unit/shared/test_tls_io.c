// SPDX-License-Identifier: Apache-2.0
// Many records in one call, over a socket pair whose readiness is asked as an event loop asks it.
#include "shared/tls.h"

#include <CUnit/CUnit.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SLAB (20 * 1024 - 64)

static struct gw_text ca_pem, cert_pem;
static struct gw_secret *ca_key, *cert_key;
static int fd[2]; // client, server
static struct gw_tls *client, *server;
static struct gw_err err;
static enum gw_tls_want want;

static int set_up(void) {
    const char *const names[] = {"gw.example.com", NULL};
    if (gw_tls_make_ca("unit CA", 30, &ca_pem, &ca_key, &err) != GW_OK) return 1;
    return gw_tls_make_cert(gw_text_str(&ca_pem), ca_key, names, 30, &cert_pem, &cert_key, &err) !=
           GW_OK;
}

static int tear_down(void) {
    gw_text_fini(&ca_pem);
    gw_text_fini(&cert_pem);
    gw_secret_unref(ca_key);
    gw_secret_unref(cert_key);
    return 0;
}

static void open_ends(void) {
    struct gw_str none = {NULL, 0};
    struct gw_tls_ctx *s = gw_tls_server_ctx(gw_text_str(&cert_pem), cert_key, none, &err);
    struct gw_tls_ctx *c = gw_tls_client_ctx(gw_text_str(&ca_pem), none, &err);
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    CU_ASSERT_FATAL(s && c);
    client = gw_tls_new(c, fd[0], "gw.example.com", &err);
    server = gw_tls_new(s, fd[1], NULL, &err);
    gw_tls_ctx_unref(s);
    gw_tls_ctx_unref(c);
    enum gw_rc a = GW_AGAIN, b = GW_AGAIN;
    for (int i = 0; i < 10 && (a == GW_AGAIN || b == GW_AGAIN); i++) {
        if (a == GW_AGAIN) a = gw_tls_handshake(client, &want, &err);
        if (b == GW_AGAIN) b = gw_tls_handshake(server, &want, &err);
    }
    CU_ASSERT_EQUAL_FATAL(a, GW_OK);
    CU_ASSERT_EQUAL_FATAL(b, GW_OK);
    char byte; // the tickets
    size_t n;
    CU_ASSERT_EQUAL(gw_tls_read(client, &byte, 1, &n, &want, &err), GW_AGAIN);
}

static void close_ends(void) {
    gw_tls_free(client);
    gw_tls_free(server);
    close(fd[0]);
    if (fd[1] >= 0) close(fd[1]);
}

static bool is_readable(int f) {
    struct pollfd p = {f, POLLIN, 0};
    return poll(&p, 1, 0) == 1;
}

static unsigned seed;
static unsigned dice(unsigned n) {
    seed = seed * 1103515245u + 12345u;
    return (seed >> 8) % n;
}

static char byte_at(size_t i) {
    return (char)(i * 7 + (i >> 9) + (i >> 17));
}

static struct gw_str pattern(char *to, size_t from, size_t n) {
    for (size_t i = 0; i < n; i++)
        to[i] = byte_at(from + i);
    return (struct gw_str){to, n};
}

static size_t wrong_bytes(const char *p, size_t from, size_t n) {
    size_t wrong = 0;
    for (size_t i = 0; i < n; i++)
        wrong += p[i] != byte_at(from + i);
    return wrong;
}

// --- reading ------------------------------------------------------------------------------------

// Whenever the socket is not readable, all that was sent whole has been given out.
static void nothing_whole_stays_inside(void) {
    enum { TOTAL = 6 << 20 };
    static char text[GW_TLS_RECORD_BYTES], slab[SLAB];
    open_ends();
    size_t sent = 0, got = 0, calls = 0;
    while (sent < TOTAL) {
        for (unsigned records = 1 + dice(8); records > 0; records--) {
            size_t n = dice(3) ? GW_TLS_RECORD_BYTES : 1 + dice(400), put = 0;
            pattern(text, sent, n);
            if (gw_tls_write(client, text, n, &put, &want, &err) != GW_OK) break;
            sent += put;
        }
        while (is_readable(fd[1])) {
            size_t n = 0, room = dice(2) ? SLAB : GW_TLS_RECORD_BYTES + dice(2000);
            enum gw_rc rc = gw_tls_fill(server, slab, room, &n, &want, &err);
            CU_ASSERT_FATAL(rc == GW_OK || rc == GW_AGAIN);
            if (rc == GW_OK) {
                CU_ASSERT_EQUAL(wrong_bytes(slab, got, n), 0);
                got += n;
            }
            calls++;
        }
        CU_ASSERT_EQUAL_FATAL(got, sent);
    }
    CU_ASSERT(calls > 0);
    close_ends();
}

// Records arrive in pieces of any size.
static void records_in_pieces(void) {
    static char text[GW_TLS_RECORD_BYTES], wire[4 * 17000], slab[SLAB];
    open_ends();
    size_t sent = 0, got = 0;
    for (int round = 0; round < 60; round++) {
        size_t put = 0, len = 0;
        int pair[2];
        // The client's bytes are caught and fed by hand.
        CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
        int real = dup(fd[0]);
        dup2(pair[0], fd[0]);
        for (int i = 0; i < 3; i++) {
            size_t n = 1 + dice(GW_TLS_RECORD_BYTES);
            pattern(text, sent, n);
            CU_ASSERT_EQUAL_FATAL(gw_tls_write(client, text, n, &put, &want, &err), GW_OK);
            sent += put;
            ssize_t caught = recv(pair[1], wire + len, sizeof(wire) - len, 0);
            CU_ASSERT_FATAL(caught > 0);
            len += (size_t)caught;
        }
        dup2(real, fd[0]);
        close(real);
        close(pair[0]);
        close(pair[1]);
        for (size_t at = 0; at < len;) {
            size_t part = 1 + dice(dice(4) ? 9000 : 40);
            if (part > len - at) part = len - at;
            CU_ASSERT_EQUAL_FATAL(send(fd[0], wire + at, part, 0), (ssize_t)part);
            at += part;
            size_t n = 0;
            while (is_readable(fd[1])) {
                enum gw_rc rc = gw_tls_fill(server, slab, SLAB, &n, &want, &err);
                CU_ASSERT_FATAL(rc == GW_OK || rc == GW_AGAIN);
                if (rc != GW_OK) continue;
                CU_ASSERT_EQUAL(wrong_bytes(slab, got, n), 0);
                got += n;
            }
        }
        CU_ASSERT_EQUAL_FATAL(got, sent);
    }
    close_ends();
}

static void an_end_behind_bytes_comes_next(void) {
    static char slab[SLAB];
    size_t n = 0;
    open_ends();
    CU_ASSERT_EQUAL(gw_tls_write(client, "abc", 3, &n, &want, &err), GW_OK);
    gw_tls_shutdown(client);
    shutdown(fd[0], SHUT_WR);
    CU_ASSERT_EQUAL(gw_tls_fill(server, slab, SLAB, &n, &want, &err), GW_OK);
    CU_ASSERT_EQUAL(n, 3);
    CU_ASSERT(is_readable(fd[1]));
    CU_ASSERT_EQUAL(gw_tls_fill(server, slab, SLAB, &n, &want, &err), GW_EOF);
    close_ends();
}

static void cuts_and_forgeries_are_errors(void) {
    static char slab[SLAB];
    size_t n = 0;
    open_ends();
    CU_ASSERT_EQUAL(gw_tls_fill(server, slab, SLAB, &n, &want, &err), GW_AGAIN);
    CU_ASSERT_EQUAL(want, GW_TLS_WANT_READ);
    shutdown(fd[0], SHUT_WR);
    CU_ASSERT_EQUAL(gw_tls_fill(server, slab, SLAB, &n, &want, &err), GW_ERR_UPSTREAM);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "without close_notify"));
    close_ends();
    open_ends();
    CU_ASSERT_EQUAL(send(fd[0],
                         "\x17\x03\x03\x00\x14"
                         "aaaaaaaaaaaaaaaaaaaa",
                         25, 0),
                    25);
    CU_ASSERT_EQUAL(gw_tls_fill(server, slab, SLAB, &n, &want, &err), GW_ERR_UPSTREAM);
    close_ends();
}

// A room too small for a record: what stays is given out by the next call.
static void small_rooms_lose_nothing(void) {
    static char text[5000], small[700];
    size_t put, got = 0;
    open_ends();
    pattern(text, 0, sizeof(text));
    CU_ASSERT_EQUAL(gw_tls_write(client, text, sizeof(text), &put, &want, &err), GW_OK);
    while (got < sizeof(text)) {
        size_t n = 0;
        CU_ASSERT_EQUAL_FATAL(gw_tls_fill(server, small, sizeof(small), &n, &want, &err), GW_OK);
        CU_ASSERT_EQUAL(wrong_bytes(small, got, n), 0);
        got += n;
    }
    close_ends();
}

// --- writing ------------------------------------------------------------------------------------

// A peer that reads slowly: what was taken is sent in the end, in order and once.
static void batches_are_sent_in_the_end(void) {
    enum { TOTAL = 8 << 20 };
    static char text[300 * 1024], got_bytes[SLAB];
    size_t taken_all = 0, got = 0, kept_max = 0;
    open_ends();
    for (int turn = 0; turn < 1000000 && got < TOTAL; turn++) {
        size_t left = TOTAL - taken_all, taken = 0, n = 0;
        size_t give = left < sizeof(text) ? left : 1 + dice(sizeof(text));
        if (give > left) give = left;
        pattern(text, taken_all, give);
        struct iovec iov[40];
        int parts = 0;
        for (size_t at = 0; at < give && parts < 40;) {
            size_t part = dice(3) ? dice(30000) : dice(200);
            if (part > give - at) part = give - at;
            iov[parts++] = (struct iovec){text + at, part};
            at += part;
        }
        enum gw_rc rc = gw_tls_writev(server, iov, parts, &taken, &want, &err);
        CU_ASSERT_FATAL(rc == GW_OK || rc == GW_AGAIN);
        CU_ASSERT_EQUAL(rc == GW_AGAIN, gw_tls_unsent(server) > 0);
        CU_ASSERT(taken <= GW_TLS_BATCH_BYTES);
        if (gw_tls_unsent(server) > kept_max) kept_max = gw_tls_unsent(server);
        taken_all += taken;
        for (unsigned reads = dice(4); reads > 0; reads--) {
            if (gw_tls_fill(client, got_bytes, SLAB, &n, &want, &err) != GW_OK) break;
            CU_ASSERT_EQUAL(wrong_bytes(got_bytes, got, n), 0);
            got += n;
        }
    }
    CU_ASSERT_EQUAL(got, TOTAL);
    CU_ASSERT_EQUAL(gw_tls_unsent(server), 0);
    CU_ASSERT(kept_max > 0 && kept_max < GW_TLS_BATCH_BYTES + 1024);
    close_ends();
}

static void nothing_is_no_record(void) {
    size_t taken = 7;
    struct iovec empty[2] = {{NULL, 0}, {NULL, 0}};
    open_ends();
    CU_ASSERT_EQUAL(gw_tls_writev(server, NULL, 0, &taken, &want, &err), GW_OK);
    CU_ASSERT_EQUAL(gw_tls_writev(server, empty, 2, &taken, &want, &err), GW_OK);
    CU_ASSERT_EQUAL(taken, 0);
    CU_ASSERT_FALSE(is_readable(fd[0]));
    close_ends();
}

static void a_peer_that_left_is_an_error(void) {
    size_t taken = 0;
    struct iovec one = {(char[]){"x"}, 1};
    open_ends();
    close(fd[0]);
    fd[0] = dup(fd[1]); // closed by close_ends
    CU_ASSERT_EQUAL(gw_tls_writev(server, &one, 1, &taken, &want, &err), GW_ERR_UPSTREAM);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "Broken pipe"));
    gw_tls_shutdown(server);
    close_ends();
}

static CU_TestInfo tests[] = {
    {"nothing_whole_stays_inside", nothing_whole_stays_inside},
    {"records_in_pieces", records_in_pieces},
    {"an_end_behind_bytes_comes_next", an_end_behind_bytes_comes_next},
    {"cuts_and_forgeries_are_errors", cuts_and_forgeries_are_errors},
    {"small_rooms_lose_nothing", small_rooms_lose_nothing},
    {"batches_are_sent_in_the_end", batches_are_sent_in_the_end},
    {"nothing_is_no_record", nothing_is_no_record},
    {"a_peer_that_left_is_an_error", a_peer_that_left_is_an_error},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_shared_tls_io = {"tls_io", set_up, tear_down, NULL, NULL, tests};
