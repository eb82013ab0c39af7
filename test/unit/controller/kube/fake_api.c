// SPDX-License-Identifier: Apache-2.0
// See fake_api.h.
#include "test/unit/controller/kube/fake_api.h"

#include <CUnit/CUnit.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct fake_conn {
    struct gw_io io;
    struct fake_api *api;
    struct fake_conn *next;
    struct gw_text in;
    bool closed;
};

static void conn_free(void *arg) {
    struct fake_conn *c = arg;
    gw_text_fini(&c->in);
    free(c);
}

void fake_close(struct fake_conn *c) {
    if (c->closed) return;
    c->closed = true;
    for (struct fake_conn **at = &c->api->conns; *at; at = &(*at)->next) {
        if (*at != c) continue;
        *at = c->next;
        break;
    }
    int fd = c->io.fd;
    gw_io_del(c->api->loop, &c->io);
    close(fd);
    gw_loop_defer(c->api->loop, conn_free, c);
}

void fake_write(struct fake_conn *c, const char *bytes) {
    size_t n = strlen(bytes);
    CU_ASSERT_EQUAL(send(c->io.fd, bytes, n, MSG_NOSIGNAL), (ssize_t)n);
}

void fake_answer(struct fake_conn *c, const char *status, const char *body) {
    struct gw_text t = {0};
    gw_text_addf(&t,
                 "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                 status, strlen(body), body);
    fake_write(c, t.ptr);
    gw_text_fini(&t);
}

void fake_stream(struct fake_conn *c) {
    fake_write(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                  "Transfer-Encoding: chunked\r\n\r\n");
}

void fake_chunk(struct fake_conn *c, const char *bytes) {
    struct gw_text t = {0};
    gw_text_addf(&t, "%zx\r\n%s\r\n", strlen(bytes), bytes);
    fake_write(c, t.ptr);
    gw_text_fini(&t);
}

// Length of the whole request at the front of in; 0: more is needed.
static size_t whole(const struct gw_text *in, size_t *ret_head) {
    const char *end = in->ptr ? strstr(in->ptr, "\r\n\r\n") : NULL;
    if (!end) return 0;
    *ret_head = (size_t)(end - in->ptr) + 4;
    const char *length = strcasestr(in->ptr, "content-length: ");
    size_t body = length && length < end ? strtoul(length + 16, NULL, 10) : 0;
    return in->len >= *ret_head + body ? *ret_head + body : 0;
}

static void on_bytes(struct gw_io *io, uint32_t events) {
    (void)events;
    struct fake_conn *c = GW_CONTAINER_OF(io, struct fake_conn, io);
    char buf[16384];
    ssize_t n = recv(io->fd, buf, sizeof(buf), MSG_DONTWAIT);
    if (n <= 0) {
        fake_close(c);
        return;
    }
    gw_text_add(&c->in, buf, (size_t)n);
    size_t head = 0, all;
    while (!c->closed && (all = whole(&c->in, &head))) {
        char *text = gw_strndup(c->in.ptr, head);
        char *body = gw_strndup(c->in.ptr + head, all - head);
        memmove(c->in.ptr, c->in.ptr + all, c->in.len - all + 1);
        c->in.len -= all;
        c->api->requests++;
        c->api->on_request(c->api->arg, c, text, (struct gw_str){body, all - head});
        free(text);
        free(body);
    }
}

static void on_accept(struct gw_io *io, uint32_t events) {
    (void)events;
    struct fake_api *a = GW_CONTAINER_OF(io, struct fake_api, io);
    struct fake_conn *c = gw_alloc(sizeof(*c));
    c->api = a;
    c->next = a->conns;
    a->conns = c;
    a->accepted++;
    int fd = accept4(io->fd, NULL, NULL, SOCK_CLOEXEC);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL_FATAL(gw_io_add(a->loop, &c->io, fd, EPOLLIN, on_bytes, NULL), GW_OK);
}

void fake_api_init(struct fake_api *a, struct gw_loop *l) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    memset(a, 0, sizeof(*a));
    a->loop = l;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_FATAL(bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, 64) == 0);
    getsockname(fd, (struct sockaddr *)&at, &n);
    a->port = ntohs(at.sin_port);
    CU_ASSERT_EQUAL_FATAL(gw_io_add(l, &a->io, fd, EPOLLIN, on_accept, NULL), GW_OK);
}

void fake_api_fini(struct fake_api *a) {
    while (a->conns)
        fake_close(a->conns);
    int fd = a->io.fd;
    gw_io_del(a->loop, &a->io);
    close(fd);
}
