// SPDX-License-Identifier: Apache-2.0
// See throttle.h.
#include "controller/status/throttle.h"

static int64_t later(int64_t a, int64_t b) {
    return a > b ? a : b;
}

int64_t ctl_write_due(const struct ctl_write_times *t, bool is_pending, bool takes_back) {
    int64_t due = t->dirty_ms;
    if (is_pending) due = t->dirty_ms + CTL_STATUS_HOLD_MS;
    if (takes_back) due = t->dirty_ms + CTL_STATUS_TAKE_BACK_MS;
    if (t->last_ms) due = later(due, t->last_ms + CTL_STATUS_EVERY_MS);
    return later(due, t->retry_ms);
}
