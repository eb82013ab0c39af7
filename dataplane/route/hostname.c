// SPDX-License-Identifier: Apache-2.0
// Whether a configured hostname covers a host (Gateway API Hostname: "*." stands for one label or
// more).
#include "dataplane/route/route.h"

// Over the length of any wildcard.
#define FIT_EXACT 0x10000u

unsigned dp_hostname_fit(struct gw_str hostname, struct gw_str host) {
    if (hostname.len == 0) return 1;
    if (hostname.len > 2 && hostname.ptr[0] == '*' && hostname.ptr[1] == '.') {
        struct gw_str suffix = {hostname.ptr + 1, hostname.len - 1};
        return host.len > suffix.len && gw_str_ends(host, suffix) ? 1 + (unsigned)suffix.len : 0;
    }
    return gw_str_eq(hostname, host) ? FIT_EXACT : 0;
}
