// SPDX-License-Identifier: Apache-2.0
// The wheel below gw_timer (loop.h): six levels of 64 slots, 1 ms at the bottom. A timer sits on
// the level of the highest 6-bit digit in which its slot time and the wheel's time differ, so that
// a set is O(1), and a slot of a higher level is dealt out again when its first millisecond comes.
// Time is a parameter; no clock is read. One thread at a time.
#ifndef GW_SHARED_TIMER_H
#define GW_SHARED_TIMER_H

#include "shared/loop.h"

#define GW_WHEEL_LEVELS 6
#define GW_WHEEL_SLOTS 64
// Half of the wheel's span, a year; a later deadline takes another round.
#define GW_WHEEL_SPAN_MS ((int64_t)1 << 35)

struct gw_wheel {
    int64_t now_ms;  // everything up to it has been dealt with
    int64_t next_ms; // never later than the earliest slot that has a timer; INT64_MAX: none
    uint64_t used[GW_WHEEL_LEVELS]; // bit per slot; may be set though the slot became empty
    struct gw_timer *slot[GW_WHEEL_LEVELS][GW_WHEEL_SLOTS];
};

void gw_wheel_init(struct gw_wheel *w, int64_t now_ms);
// deadline_ms not after the wheel's time fires at the next advance of a millisecond or more.
void gw_wheel_set(struct gw_wheel *w, struct gw_timer *t, int64_t deadline_ms);
// Fires what is due at now_ms in order of deadline. Timers may be set, cancelled and freed from any
// callback, their own included.
void gw_wheel_advance(struct gw_wheel *w, int64_t now_ms);

#endif
