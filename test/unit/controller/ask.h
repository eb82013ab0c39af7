// SPDX-License-Identifier: Apache-2.0
// A small HTTP client on a thread of its own, for tests that turn the server's loop themselves.
#ifndef TEST_CONTROLLER_ASK_H
#define TEST_CONTROLLER_ASK_H

#include "shared/loop.h"
#include "shared/str.h"

#include <stdatomic.h>

struct ask_client {
    uint16_t port; // on 127.0.0.1
    const char *path;
    struct gw_text answer; // with its head; empty where nobody answered
    atomic_bool done;
};
void *ask_thread(void *client); // for pthread_create

// Asks and turns the loop until the answer is there; owned by caller, "" where there is none.
char *ask_while_turning(struct gw_loop *l, uint16_t port, const char *path);

#endif
