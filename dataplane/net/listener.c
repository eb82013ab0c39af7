// SPDX-License-Identifier: Apache-2.0
// See listener.h.
#include "dataplane/net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static enum gw_rc address(const char *host, uint16_t port, struct sockaddr_storage *a,
                          socklen_t *len, struct gw_err *err) {
    struct sockaddr_in *v4 = (struct sockaddr_in *)a;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)a;
    memset(a, 0, sizeof(*a));
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        *len = sizeof(*v4);
        return GW_OK;
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        *len = sizeof(*v6);
        return GW_OK;
    }
    return gw_err_set(err, GW_ERR_INPUT, 0, "'%s' is not an IP address", host);
}

static int open_one(const struct sockaddr_storage *a, socklen_t len, bool share) {
    int one = 1;
    int fd = socket(a->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (share) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    if (bind(fd, (const struct sockaddr *)a, len) == 0) return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static enum gw_rc cannot(struct gw_err *err, const char *host, uint16_t port) {
    if (errno == EADDRINUSE)
        return gw_err_set(err, GW_ERR_LIMIT, 0, "port %u is in use on %s", port, host);
    return gw_err_set(err, GW_ERR_INTERNAL, 0, "cannot listen on %s:%u: %s", host, port,
                      strerror(errno));
}

enum gw_rc dp_listener_open(const char *host, uint16_t port, unsigned n, int *fds,
                            struct gw_err *err) {
    struct sockaddr_storage a;
    socklen_t len = 0;
    unsigned opened = 0;
    GW_TRY(address(host, port, &a, &len, err));
    // SO_REUSEPORT would let us share the port with a stranger of the same user: ask without it.
    int probe = open_one(&a, len, false);
    if (probe < 0) return cannot(err, host, port);
    close(probe);
    for (; opened < n; opened++) {
        fds[opened] = open_one(&a, len, true);
        if (fds[opened] < 0) break;
        if (listen(fds[opened], DP_LISTEN_BACKLOG) < 0) {
            close(fds[opened]);
            break;
        }
    }
    if (opened == n) return GW_OK;
    enum gw_rc rc = cannot(err, host, port);
    while (opened > 0)
        close(fds[--opened]);
    return rc;
}

// A connection whose handshake ended between the last accept and close would be reset.
void dp_listener_quiet(int fd) {
    enum { FLAGS = 13, SYN = 0x02, ACK = 0x10 }; // RFC 9293 section 3.1; offsets of the TCP header
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, FLAGS),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, SYN | ACK),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYN, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    const struct sock_fprog program = {GW_ARRAY_LEN(code), code};
    setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

void dp_listener_close_fd(int fd) {
    close(fd);
}

static void peer_text(const struct sockaddr_storage *a, char *peer, size_t cap, uint16_t *port) {
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    peer[0] = 0;
    if (a->ss_family == AF_INET6) {
        memcpy(&v6, a, sizeof(v6));
        inet_ntop(AF_INET6, &v6.sin6_addr, peer, (socklen_t)cap);
        *port = ntohs(v6.sin6_port);
    } else {
        memcpy(&v4, a, sizeof(v4));
        inet_ntop(AF_INET, &v4.sin_addr, peer, (socklen_t)cap);
        *port = ntohs(v4.sin_port);
    }
}

enum gw_rc dp_listener_accept(int listen_fd, int *ret_fd, char *peer, size_t peer_cap,
                              uint16_t *ret_peer_port) {
    struct sockaddr_storage a = {0};
    socklen_t len = sizeof(a);
    int one = 1;
    for (int tries = 0; tries < 8; tries++) {
        int fd = accept4(listen_fd, (struct sockaddr *)&a, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
            peer_text(&a, peer, peer_cap, ret_peer_port);
            *ret_fd = fd;
            return GW_OK;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            return GW_ERR_LIMIT;
        if (errno == EAGAIN) return GW_AGAIN;
    }
    return GW_AGAIN; // a train of aborted connections: the rest comes with the next turn
}
