// SPDX-License-Identifier: Apache-2.0
// Keys that session tickets are sealed with (RFC 5077, RFC 8446 4.6.1): one set for all workers and
// all certificates of a process, in memory alone. A key seals for half a day and opens for half a
// day more, so that a stolen one is of little use and no client notices the change.
#ifndef GW_SHARED_TLS_TICKET_H
#define GW_SHARED_TLS_TICKET_H

#include "shared/str.h"

#define GW_TLS_TICKET_ROTATE_MS (12 * 3600 * (int64_t)1000)
#define GW_TLS_TICKET_SECONDS 7200 // a client may come back with one for this long

struct gw_tls_ticket_key {
    unsigned char name[16], aes[32], hmac[32];
    int64_t made_ms;
};
struct gw_tls_tickets; // opaque; any thread

struct gw_tls_tickets *gw_tls_tickets_new(void);
void gw_tls_tickets_free(struct gw_tls_tickets *t); // wipes

// The key to seal with at now_ms (monotonic); makes a new one where the last is too old. The copy
// is the caller's to wipe.
void gw_tls_tickets_seal(struct gw_tls_tickets *t, int64_t now_ms, struct gw_tls_ticket_key *ret);
// The key of this name, as long as it opens tickets; *ret_is_old where another one seals by now.
bool gw_tls_tickets_open(struct gw_tls_tickets *t, int64_t now_ms, const unsigned char *name,
                         struct gw_tls_ticket_key *ret, bool *ret_is_old);

#endif
