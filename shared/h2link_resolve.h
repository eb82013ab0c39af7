// SPDX-License-Identifier: Apache-2.0
// Name look-up for the push client: getaddrinfo(3) on a short-lived thread that posts its answer
// back, so that the loop never waits for a name server. Internal to h2link.
#ifndef GW_SHARED_H2LINK_RESOLVE_H
#define GW_SHARED_H2LINK_RESOLVE_H

#include "shared/loop.h"

#include <netdb.h>

struct gw_h2resolve; // opaque

// Called once on the loop's thread, never before gw_h2resolve_start returned. takes list
// (freeaddrinfo), which is NULL where why says what failed.
typedef void (*gw_h2resolve_fn)(void *arg, struct addrinfo *list, const struct gw_err *why);

struct gw_h2resolve *gw_h2resolve_start(struct gw_loop *l, const char *host, uint16_t port,
                                        gw_h2resolve_fn fn, void *arg);
// Before fn was called: it will not be. The look-up may end on its own later; the loop may be
// freed.
void gw_h2resolve_cancel(struct gw_h2resolve *r);

#endif
