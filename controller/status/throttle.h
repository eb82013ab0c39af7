// SPDX-License-Identifier: Apache-2.0
// When a status may be written. Pure: times are parameters, in milliseconds of any one clock.
#ifndef CTL_STATUS_THROTTLE_H
#define CTL_STATUS_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

// At most one write of an object in this time; the first after quiet goes at once.
#define CTL_STATUS_EVERY_MS 1000
// So long a write waits for acknowledgements that are on their way, so that Accepted and Programmed
// go out together.
#define CTL_STATUS_HOLD_MS 200
// So long a write waits that says no more than that data planes are away: a controller that was
// started anew, and one that its data planes lost for a moment, must not take back a thousand
// statuses (and names from DNS) only to give them again. Twice what data planes wait between dials.
#define CTL_STATUS_TAKE_BACK_MS 10000

struct ctl_write_times {
    int64_t dirty_ms; // since when there is something to write
    int64_t last_ms;  // of the last write; 0: none
    int64_t retry_ms; // not before, after a failure; 0: none
};
// The moment from which the write may go.
int64_t ctl_write_due(const struct ctl_write_times *t, bool is_pending, bool takes_back);

#endif
