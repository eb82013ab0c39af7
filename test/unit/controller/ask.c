// SPDX-License-Identifier: Apache-2.0
#include "test/unit/controller/ask.h"

#include <CUnit/CUnit.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

void *ask_thread(void *arg) {
    struct ask_client *c = arg;
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(c->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char chunk[4096];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0) {
        int n = snprintf(chunk, sizeof(chunk),
                         "GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", c->path);
        ssize_t got = write(fd, chunk, (size_t)n);
        while (got > 0 && (got = read(fd, chunk, sizeof(chunk))) > 0)
            gw_text_add(&c->answer, chunk, (size_t)got);
    }
    if (fd >= 0) close(fd);
    atomic_store(&c->done, true);
    return NULL;
}

char *ask_while_turning(struct gw_loop *l, uint16_t port, const char *path) {
    struct ask_client c = {.port = port, .path = path};
    pthread_t thread;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, ask_thread, &c), 0);
    int64_t until = gw_clock_us() + 10000000;
    while (!atomic_load(&c.done) && gw_clock_us() < until)
        gw_loop_turn(l, 10);
    pthread_join(thread, NULL);
    return c.answer.ptr ? c.answer.ptr : gw_strdup("");
}
