// SPDX-License-Identifier: Apache-2.0
// WebSocket echo for the bench: both ends.
//   wsload serve PORT                              echoes every frame on 127.0.0.1:PORT
//   wsload run PORT CONNECTIONS RATE SECONDS SAMPLES
// `run` opens the connections, says "ready", and then sends 64-byte text messages at RATE a second
// in all, each when it is due, whether or not the last came back. SAMPLES gets the time from due to
// echo in microseconds, one a line. At the end it prints {"sent", "echoed", "failed"}.
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_BYTES 64
#define BUFFER_BYTES 65536
#define EVENTS_PER_TURN 256
#define SERVE_SECONDS_MAX 7200
#define SETUP_SECONDS_MAX 20
#define DRAIN_SECONDS 3
#define FRAME_HEAD_SERVER 2
#define FRAME_HEAD_CLIENT 6 // with its mask

struct peer {
    int fd;
    bool is_open; // upgraded
    size_t len;
    uint64_t due[1024]; // of messages under way, a ring
    unsigned first, waiting;
    char in[BUFFER_BYTES];
};

static uint64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void die(const char *what) {
    fprintf(stderr, "wsload: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct sockaddr_in loopback(const char *port) {
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static struct peer *new_peer(int epoll_fd, int fd) {
    struct peer *p = calloc(1, sizeof *p);
    int on = 1;
    if (!p) die("memory");
    p->fd = fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = p};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll");
    return p;
}

static void drop(struct peer *p) {
    close(p->fd);
    free(p);
}

// Frames and heads are far below a socket buffer: they go out in one piece or the bench is broken.
static bool put(struct peer *p, const void *data, size_t n) {
    return send(p->fd, data, n, MSG_NOSIGNAL) == (ssize_t)n;
}

// False: the peer left.
static bool fill(struct peer *p) {
    ssize_t n = recv(p->fd, p->in + p->len, sizeof p->in - p->len, MSG_DONTWAIT);
    if (n > 0) p->len += (size_t)n;
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static void take(struct peer *p, size_t n) {
    memmove(p->in, p->in + n, p->len - n);
    p->len -= n;
}

// --- serve -------------------------------------------------------------------------------------

static bool accept_upgrade(struct peer *p) {
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    const char *end = memmem(p->in, p->len, "\r\n\r\n", 4);
    if (!end) return true;
    *(p->in + (end - p->in) + 2) = 0;
    const char *key = strcasestr(p->in, "\nsec-websocket-key:");
    if (!key) return false;
    key += 19;
    while (*key == ' ')
        key++;
    size_t key_len = strcspn(key, " \r\n");
    char text[128], answer[256];
    unsigned char digest[EVP_MAX_MD_SIZE], encoded[64];
    unsigned digest_len = 0;
    if (key_len > 64) return false;
    int n = snprintf(text, sizeof text, "%.*s%s", (int)key_len, key, guid);
    EVP_Digest(text, (size_t)n, digest, &digest_len, EVP_sha1(), NULL);
    EVP_EncodeBlock(encoded, digest, (int)digest_len);
    n = snprintf(answer, sizeof answer,
                 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Accept: %s\r\n\r\n",
                 (const char *)encoded);
    take(p, (size_t)(end - p->in) + 4);
    p->is_open = true;
    return put(p, answer, (size_t)n);
}

static bool echo(struct peer *p) {
    while (p->len >= FRAME_HEAD_CLIENT) {
        size_t n = (unsigned char)p->in[1] & 127;
        if (n > 125 || !(p->in[1] & 0x80)) return false; // the bench sends no other
        if (p->len < FRAME_HEAD_CLIENT + n) break;
        char frame[FRAME_HEAD_SERVER + 125] = {p->in[0], (char)n};
        for (size_t i = 0; i < n; i++)
            frame[FRAME_HEAD_SERVER + i] = (char)(p->in[FRAME_HEAD_CLIENT + i] ^ p->in[2 + i % 4]);
        if (!put(p, frame, FRAME_HEAD_SERVER + n)) return false;
        take(p, FRAME_HEAD_CLIENT + n);
    }
    return true;
}

static int serve(const char *port) {
    struct sockaddr_in addr = loopback(port);
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (listener < 0 || bind(listener, (struct sockaddr *)&addr, sizeof addr) != 0 ||
        listen(listener, 1024) != 0)
        die("listen");
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[EVENTS_PER_TURN];
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
    uint64_t end = now_us() + SERVE_SECONDS_MAX * 1000000ull;
    while (now_us() < end) {
        int n = epoll_wait(epoll_fd, events, EVENTS_PER_TURN, 1000);
        for (int i = 0; i < n; i++) {
            struct peer *p = events[i].data.ptr;
            if (!p) {
                int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (fd >= 0) new_peer(epoll_fd, fd);
            } else if (!fill(p) || !(p->is_open || accept_upgrade(p)) || (p->is_open && !echo(p))) {
                drop(p);
            }
        }
    }
    return 0;
}

// --- run ---------------------------------------------------------------------------------------

static struct {
    int epoll_fd, timer_fd;
    struct peer **peers;
    uint64_t connections, rate, count;
    uint64_t start_us, sent, echoed, failed, open;
    FILE *samples;
} bench;

static void connect_one(const struct sockaddr_in *addr) {
    static const char request[] = "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
                                  "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)addr, sizeof *addr) != 0) die("connect");
    struct peer *p = new_peer(bench.epoll_fd, fd);
    bench.peers[bench.open++] = p;
    if (!put(p, request, sizeof request - 1)) die("send");
}

static void read_upgrade(struct peer *p) {
    const char *end = memmem(p->in, p->len, "\r\n\r\n", 4);
    if (!end) return;
    if (memcmp(p->in, "HTTP/1.1 101", 12) != 0) {
        fprintf(stderr, "wsload: no upgrade: %.40s\n", p->in);
        exit(1);
    }
    take(p, (size_t)(end - p->in) + 4);
    p->is_open = true;
}

static void read_echoes(struct peer *p) {
    uint64_t now = now_us();
    while (p->len >= FRAME_HEAD_SERVER + MESSAGE_BYTES && p->waiting) {
        fprintf(bench.samples, "%" PRIu64 "\n", now - p->due[p->first]);
        p->first = (p->first + 1) % 1024;
        p->waiting--;
        bench.echoed++;
        take(p, FRAME_HEAD_SERVER + MESSAGE_BYTES);
    }
}

static void send_due(void) {
    static const unsigned char mask[4] = {0x12, 0x34, 0x56, 0x78};
    unsigned char frame[FRAME_HEAD_CLIENT + MESSAGE_BYTES] = {0x81, 0x80 | MESSAGE_BYTES};
    memcpy(frame + 2, mask, 4);
    for (size_t i = 0; i < MESSAGE_BYTES; i++)
        frame[FRAME_HEAD_CLIENT + i] = (unsigned char)('a' + i % 26) ^ mask[i % 4];
    uint64_t now = now_us();
    while (bench.sent < bench.count) {
        uint64_t due = bench.start_us + bench.sent * 1000000 / bench.rate;
        if (due > now) break;
        struct peer *p = bench.peers[bench.sent++ % bench.connections];
        if (!p || p->waiting == 1024 || !put(p, frame, sizeof frame)) {
            bench.failed++;
            continue;
        }
        p->due[(p->first + p->waiting++) % 1024] = due;
    }
}

static void turn(int wait_ms) {
    struct epoll_event events[EVENTS_PER_TURN];
    int n = epoll_wait(bench.epoll_fd, events, EVENTS_PER_TURN, wait_ms);
    for (int i = 0; i < n; i++) {
        struct peer *p = events[i].data.ptr;
        uint64_t expired;
        if (!p) {
            if (read(bench.timer_fd, &expired, sizeof expired) > 0) send_due();
        } else if (!fill(p)) {
            fputs("wsload: a connection was closed\n", stderr);
            exit(1);
        } else if (p->is_open) {
            read_echoes(p);
        } else {
            read_upgrade(p);
        }
    }
}

static bool all_open(void) {
    for (uint64_t i = 0; i < bench.open; i++)
        if (!bench.peers[i]->is_open) return false;
    return true;
}

static int run(char **argv) {
    struct sockaddr_in addr = loopback(argv[0]);
    bench.connections = strtoull(argv[1], NULL, 10);
    bench.rate = strtoull(argv[2], NULL, 10);
    bench.count = bench.rate * strtoull(argv[3], NULL, 10);
    bench.samples = fopen(argv[4], "we");
    if (!bench.connections || !bench.rate || !bench.count || !bench.samples) return 2;
    bench.peers = calloc(bench.connections, sizeof(struct peer *));
    bench.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (uint64_t i = 0; i < bench.connections; i++)
        connect_one(&addr);
    for (uint64_t end = now_us() + SETUP_SECONDS_MAX * 1000000ull; !all_open();) {
        if (now_us() > end) die("connections do not open");
        turn(100);
    }
    puts("ready");
    fflush(stdout);
    bench.timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(bench.epoll_fd, EPOLL_CTL_ADD, bench.timer_fd, &event);
    struct itimerspec each = {.it_interval.tv_nsec = 200000, .it_value.tv_nsec = 200000};
    timerfd_settime(bench.timer_fd, 0, &each, NULL);
    bench.start_us = now_us();
    uint64_t end = bench.start_us + bench.count * 1000000 / bench.rate + DRAIN_SECONDS * 1000000ull;
    while (bench.echoed + bench.failed < bench.count && now_us() < end)
        turn(100);
    fclose(bench.samples);
    printf("{\"sent\":%" PRIu64 ",\"echoed\":%" PRIu64 ",\"failed\":%" PRIu64 "}\n", bench.sent,
           bench.echoed, bench.failed);
    return bench.echoed == bench.count ? 0 : 1;
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "serve") == 0) return serve(argv[2]);
    if (argc == 7 && strcmp(argv[1], "run") == 0) return run(argv + 2);
    fputs("usage: wsload serve PORT\n       wsload run PORT CONNECTIONS RATE SECONDS SAMPLES\n",
          stderr);
    return 2;
}
