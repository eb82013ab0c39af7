// SPDX-License-Identifier: Apache-2.0
// What of the push client is tested by itself. Internal to h2link.
#ifndef GW_SHARED_H2LINK_CLIENT_H
#define GW_SHARED_H2LINK_CLIENT_H

#include <stdint.h>

// Wait before the dial after `failures` failed ones in a row: min_ms doubled for each but the
// first, at most max_ms; of that a part between one half and the whole, by `random`, so that data
// planes that lost the same controller do not come back in step.
unsigned gw_h2link_backoff_ms(unsigned min_ms, unsigned max_ms, unsigned failures, uint32_t random);

#endif
