// SPDX-License-Identifier: Apache-2.0
// An API server for tests, plain HTTP/1.1 on the test's own loop: says what a script tells it to,
// bad answers included.
#ifndef TEST_CONTROLLER_FAKE_API_H
#define TEST_CONTROLLER_FAKE_API_H

#include "shared/loop.h"
#include "shared/str.h"

struct fake_conn;
struct fake_api {
    struct gw_loop *loop;
    struct gw_io io;
    uint16_t port;
    struct fake_conn *conns;
    unsigned accepted, requests;
    // Called with a whole request; answers by fake_write and fake_close, now or later. head:
    // request line and fields, NUL-terminated.
    void (*on_request)(void *arg, struct fake_conn *c, const char *head, struct gw_str body);
    void *arg;
};
void fake_api_init(struct fake_api *a, struct gw_loop *l);
void fake_api_fini(struct fake_api *a);
void fake_write(struct fake_conn *c, const char *bytes);
// A whole answer; status with its words ("200 OK").
void fake_answer(struct fake_conn *c, const char *status, const char *body);
void fake_stream(struct fake_conn *c); // the head of a watch's answer
void fake_chunk(struct fake_conn *c, const char *bytes);
void fake_close(struct fake_conn *c); // at the end of the turn

#endif
