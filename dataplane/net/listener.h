// SPDX-License-Identifier: Apache-2.0
// Listening sockets: one per worker and port with SO_REUSEPORT, opened together off the workers, so
// that a port in use is known before a config is swapped in.
#ifndef DP_NET_LISTENER_H
#define DP_NET_LISTENER_H

#include "shared/err.h"

#include <stdint.h>
#include <sys/socket.h>

#define DP_LISTEN_BACKLOG 4096

// Opens n sockets (fds[0..n)) on host:port. A port that somebody else listens on, also with
// SO_REUSEPORT, is an error: "port 8080 is in use on 127.0.0.1".
enum gw_rc dp_listener_open(const char *host, uint16_t port, unsigned n, int *fds,
                            struct gw_err *err) GW_MUST_USE;
// Takes no further handshake; those that have begun end, and can be accepted. What asks meanwhile
// is not answered: it asks again, and is refused once the socket is closed. Where the kernel has no
// socket filters this does nothing.
void dp_listener_quiet(int fd);
void dp_listener_close_fd(int fd);

// GW_OK with a non-blocking fd; GW_AGAIN where nobody waits; GW_ERR_LIMIT where the process has no
// file descriptors left.
enum gw_rc dp_listener_accept(int listen_fd, int *ret_fd, char *peer, size_t peer_cap,
                              uint16_t *ret_peer_port) GW_MUST_USE;

#endif
