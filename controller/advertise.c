// SPDX-License-Identifier: Apache-2.0
// See advertise.h.
#include "controller/advertise.h"

#include "shared/flags.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// A datagram socket that is connected sends nothing, and has the address that would be used.
static bool own_address(const struct addrinfo *to, char *dst, size_t cap) {
    struct sockaddr_storage own;
    socklen_t n = sizeof(own);
    int fd = socket(to->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool ok =
        fd >= 0 && connect(fd, to->ai_addr, to->ai_addrlen) == 0 &&
        getsockname(fd, (struct sockaddr *)&own, &n) == 0 &&
        getnameinfo((struct sockaddr *)&own, n, dst, (socklen_t)cap, NULL, 0, NI_NUMERICHOST) == 0;
    if (fd >= 0) close(fd);
    return ok;
}

void ctl_advertise_host(const char *listen_host, const char *server, char *dst, size_t cap) {
    bool is_any =
        !*listen_host || strcmp(listen_host, "0.0.0.0") == 0 || strcmp(listen_host, "::") == 0;
    snprintf(dst, cap, "%s", is_any ? "" : listen_host);
    if (!is_any) return;
    struct gw_str host = gw_str_of(server);
    struct gw_flag_hostport at;
    struct addrinfo *list = NULL;
    const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM};
    gw_str_cut(&host, '/');
    gw_str_cut(&host, '/');
    host = gw_str_cut(&host, '/');
    if (gw_hostport_parse(host, NULL, &at, NULL) != GW_OK ||
        getaddrinfo(at.host, "443", &hints, &list) != 0)
        return;
    for (const struct addrinfo *a = list; a && !*dst; a = a->ai_next)
        if (!own_address(a, dst, cap)) *dst = 0;
    freeaddrinfo(list);
}
