// SPDX-License-Identifier: Apache-2.0
// rawfwd LISTEN_PORT UPSTREAM_PORT: forwards bytes between each accepted connection and one of its
// own to the upstream, both on 127.0.0.1. No parsing, one thread, one buffer, level-triggered
// epoll: the least that a proxy of two sockets can cost, and so the floor of the bench.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_BYTES 65536
#define EVENTS_PER_TURN 256
#define ACCEPTS_PER_TURN 64

// One direction's source. What the other side could not take at once waits in pending.
struct side {
    int fd;
    struct side *peer;
    struct pair *pair;
    char *pending;
    size_t pending_len, pending_off;
    uint32_t events;
};

struct pair {
    struct side client, upstream;
    struct pair *next_dead;
    bool is_dead;
};

static int epoll_fd;
static struct sockaddr_in upstream_addr;
static char buffer[BUFFER_BYTES];
// Freed at the end of the turn: an event of the other side may still be in the list.
static struct pair *dead;

static void want(struct side *side, uint32_t events) {
    if (side->events == events) return;
    side->events = events;
    struct epoll_event event = {.events = events, .data.ptr = side};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, side->fd, &event);
}

static void end(struct pair *pair) {
    if (pair->is_dead) return;
    pair->is_dead = true;
    close(pair->client.fd);
    close(pair->upstream.fd);
    free(pair->client.pending);
    free(pair->upstream.pending);
    pair->next_dead = dead;
    dead = pair;
}

// Keeps what `to` did not take, and stops reading from its peer until it has.
static bool hold(struct side *to, const char *data, size_t len) {
    if (!to->pending) to->pending = malloc(BUFFER_BYTES);
    if (!to->pending) return false;
    memcpy(to->pending, data, len);
    to->pending_len = len;
    to->pending_off = 0;
    want(to, to->events | EPOLLOUT);
    want(to->peer, to->peer->events & ~(uint32_t)EPOLLIN);
    return true;
}

static bool forward(struct side *from) {
    struct side *to = from->peer;
    ssize_t got = recv(from->fd, buffer, sizeof buffer, 0);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0) return false;
    ssize_t sent = send(to->fd, buffer, (size_t)got, MSG_NOSIGNAL);
    // Bytes that come before the connect is done meet EAGAIN here, and wait like any others.
    if (sent < 0 && errno != EAGAIN && errno != EINTR) return false;
    if (sent < 0) sent = 0;
    return sent == got || hold(to, buffer + sent, (size_t)(got - sent));
}

static bool flush(struct side *to) {
    while (to->pending_off < to->pending_len) {
        ssize_t sent = send(to->fd, to->pending + to->pending_off,
                            to->pending_len - to->pending_off, MSG_NOSIGNAL);
        if (sent < 0) return errno == EAGAIN || errno == EINTR;
        to->pending_off += (size_t)sent;
    }
    to->pending_len = to->pending_off = 0;
    want(to, to->events & ~(uint32_t)EPOLLOUT);
    want(to->peer, to->peer->events | EPOLLIN);
    return true;
}

static bool add(struct side *side, struct side *peer, struct pair *pair, int fd) {
    int on = 1;
    *side = (struct side){.fd = fd, .peer = peer, .pair = pair, .events = EPOLLIN};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = side};
    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static void open_pair(int client_fd) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct pair *pair = calloc(1, sizeof *pair);
    if (fd < 0 || !pair) {
        close(client_fd);
        if (fd >= 0) close(fd);
        free(pair);
        return;
    }
    int rc = connect(fd, (struct sockaddr *)&upstream_addr, sizeof upstream_addr);
    bool is_ok = rc == 0 || errno == EINPROGRESS;
    is_ok &= add(&pair->client, &pair->upstream, pair, client_fd);
    is_ok &= add(&pair->upstream, &pair->client, pair, fd);
    if (!is_ok) end(pair);
}

static int listen_on(uint16_t port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&addr, sizeof addr) != 0 || listen(fd, 4096) != 0) return -1;
    return fd;
}

static void free_dead(void) {
    while (dead) {
        struct pair *pair = dead;
        dead = pair->next_dead;
        free(pair);
    }
}

static void handle(struct side *side, uint32_t events) {
    struct pair *pair = side->pair;
    if (pair->is_dead) return;
    bool is_ok = true;
    if (events & EPOLLOUT) is_ok = flush(side);
    if (is_ok && (events & EPOLLIN)) {
        is_ok = forward(side);
    } else if (events & (EPOLLHUP | EPOLLERR)) {
        is_ok = false;
    }
    if (!is_ok) end(pair);
}

static uint16_t port_of(const char *text) {
    char *stop;
    unsigned long port = strtoul(text, &stop, 10);
    return *stop || port == 0 || port > 65535 ? 0 : (uint16_t)port;
}

int main(int argc, char **argv) {
    uint16_t from = argc == 3 ? port_of(argv[1]) : 0, to = argc == 3 ? port_of(argv[2]) : 0;
    if (!from || !to) {
        fputs("usage: rawfwd LISTEN_PORT UPSTREAM_PORT\n", stderr);
        return 2;
    }
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    upstream_addr = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(to), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listen_fd = listen_on(from);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (listen_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &event) != 0) {
        fprintf(stderr, "rawfwd: port %u: %s\n", from, strerror(errno));
        return 1;
    }
    struct epoll_event events[EVENTS_PER_TURN];
    for (;;) {
        int n = epoll_wait(epoll_fd, events, EVENTS_PER_TURN, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr) {
                handle(events[i].data.ptr, events[i].events);
                continue;
            }
            for (int a = 0; a < ACCEPTS_PER_TURN; a++) {
                int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (fd < 0) break;
                open_pair(fd);
            }
        }
        free_dead();
    }
}
