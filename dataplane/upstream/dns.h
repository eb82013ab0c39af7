// SPDX-License-Identifier: Apache-2.0
// Names to addresses with c-ares, one resolver per worker on its loop. Answers are cached for their
// TTL (5 s to 300 s); concurrent questions for one name are asked once; where a refresh fails, the
// old answer serves on for DP_DNS_STALE_MS; a failure is remembered for 1 s.
#ifndef DP_UPSTREAM_DNS_H
#define DP_UPSTREAM_DNS_H

#include "shared/loop.h"

#include <sys/socket.h>

#define DP_DNS_ADDRS_MAX 16
#define DP_DNS_NAMES_MAX 4096 // cached names a worker; the oldest unused one goes first
#define DP_DNS_STALE_MS 600000
#define DP_DNS_TIMEOUT_MS 5000

struct dp_dns_addr {
    struct sockaddr_storage addr; // port is 0
    socklen_t len;
};
struct dp_dns; // opaque
struct dp_dns *dp_dns_new(struct gw_loop *l, struct gw_err *err);
void dp_dns_free(struct dp_dns *d); // cancels what is asked: callbacks get GW_CANCELLED

// fn is called once, either before dp_dns_resolve returns (cached) or later. addrs live for the
// call only. GW_ERR_UPSTREAM with a text such as "name 'api.x' has no address".
typedef void (*dp_dns_fn)(void *arg, enum gw_rc rc, const struct dp_dns_addr *addrs, unsigned n,
                          const struct gw_err *err);
struct dp_dns_query; // opaque
// Returns a handle while the answer is outstanding, NULL where fn was called already.
struct dp_dns_query *dp_dns_resolve(struct dp_dns *d, const char *host, dp_dns_fn fn, void *arg);
void dp_dns_cancel(struct dp_dns_query *q); // fn is not called any more

// Asks these servers ("127.0.0.1:5353,10.0.0.2") instead of those of resolv.conf.
enum gw_rc dp_dns_set_servers(struct dp_dns *d, const char *servers, struct gw_err *err);
// As if so much time had passed for what is cached: for tests.
void dp_dns_skip_ms(struct dp_dns *d, int64_t ms);

#endif
