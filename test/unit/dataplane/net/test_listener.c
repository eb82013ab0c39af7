// SPDX-License-Identifier: Apache-2.0
// Listening sockets: refusals, and how one ends without a connection that is reset.
#include "dataplane/net/listener.h"

#include <CUnit/CUnit.h>
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <unistd.h>

static struct sockaddr_in address_of(int fd) {
    struct sockaddr_in a;
    socklen_t len = sizeof(a);
    CU_ASSERT_EQUAL_FATAL(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    return a;
}

// A socket whose connect has begun; *ret_errno: 0 where it is done.
static int dial(const struct sockaddr_in *a, int *ret_errno) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CU_ASSERT_FATAL(fd >= 0);
    int rc = connect(fd, (const struct sockaddr *)a, sizeof(*a));
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    *ret_errno = rc == 0 ? 0 : errno;
    if (rc < 0 && errno == EINPROGRESS && poll(&p, 1, 100) == 1) {
        socklen_t len = sizeof(*ret_errno);
        getsockopt(fd, SOL_SOCKET, SO_ERROR, ret_errno, &len);
    }
    return fd;
}

static void not_an_address(void) {
    struct gw_err err;
    int fd;
    CU_ASSERT_EQUAL(dp_listener_open("localhost", 0, 1, &fd, &err), GW_ERR_INPUT);
}

static void a_quiet_one_takes_nobody(void) {
    struct gw_err err;
    char peer[48];
    uint16_t port;
    int fd, accepted, failed;
    CU_ASSERT_EQUAL_FATAL(dp_listener_open("127.0.0.1", 0, 1, &fd, &err), GW_OK);
    struct sockaddr_in a = address_of(fd);
    int before = dial(&a, &failed);
    CU_ASSERT_EQUAL(failed, 0);
    dp_listener_quiet(fd);
    int after = dial(&a, &failed);
    CU_ASSERT_EQUAL(failed, EINPROGRESS);
    // Who had come already is there, and is heard.
    CU_ASSERT_EQUAL(dp_listener_accept(fd, &accepted, peer, sizeof(peer), &port), GW_OK);
    char byte = 'x';
    CU_ASSERT_EQUAL(write(before, &byte, 1), 1);
    struct pollfd p = {.fd = accepted, .events = POLLIN};
    CU_ASSERT_EQUAL(poll(&p, 1, 1000), 1);
    CU_ASSERT_EQUAL(dp_listener_accept(fd, &(int){0}, peer, sizeof(peer), &port), GW_AGAIN);
    dp_listener_close_fd(fd);
    close(dial(&a, &failed));
    CU_ASSERT_EQUAL(failed, ECONNREFUSED);
    close(before);
    close(after);
    close(accepted);
}

static CU_TestInfo tests[] = {
    {"not an address", not_an_address},
    {"a quiet one takes nobody", a_quiet_one_takes_nobody},
    CU_TEST_INFO_NULL,
};
CU_SuiteInfo suite_dataplane_net_listener = {
    "dataplane/net/listener", NULL, NULL, NULL, NULL, tests};
