// SPDX-License-Identifier: Apache-2.0
// The timer wheel. Two things are lazy: a timer that is set to a later time stays in its slot until
// the slot comes up, and the bit of a slot whose timers were cancelled stays until then. Both cost
// at most one early wake-up.
#include "shared/timer.h"

#include <string.h>

#define DIGIT_BITS 6
#define DIGIT_MASK (GW_WHEEL_SLOTS - 1)

void gw_wheel_init(struct gw_wheel *w, int64_t now_ms) {
    memset(w, 0, sizeof(*w));
    w->now_ms = now_ms;
    w->next_ms = INT64_MAX;
}

static void timer_unlink(struct gw_timer *t) {
    *t->pprev = t->next;
    if (t->next) t->next->pprev = t->pprev;
    t->next = NULL;
    t->pprev = NULL;
}

static void timer_link(struct gw_wheel *w, struct gw_timer *t) {
    int64_t when = t->deadline_ms;
    if (when <= w->now_ms) when = w->now_ms + 1;
    if (when - w->now_ms > GW_WHEEL_SPAN_MS) when = w->now_ms + GW_WHEEL_SPAN_MS;

    int level = (63 - __builtin_clzll((uint64_t)(when ^ w->now_ms))) / DIGIT_BITS;
    if (level >= GW_WHEEL_LEVELS) level = GW_WHEEL_LEVELS - 1;
    unsigned shift = (unsigned)level * DIGIT_BITS;
    unsigned slot = (unsigned)(when >> shift) & DIGIT_MASK;

    struct gw_timer **head = &w->slot[level][slot];
    t->slot_ms = when;
    t->next = *head;
    t->pprev = head;
    if (t->next) t->next->pprev = &t->next;
    *head = t;
    w->used[level] |= (uint64_t)1 << slot;
    int64_t slot_start = when >> shift << shift;
    if (slot_start < w->next_ms) w->next_ms = slot_start;
}

void gw_timer_init(struct gw_timer *t, gw_timer_fn fn) {
    *t = (struct gw_timer){.fn = fn};
}

void gw_wheel_set(struct gw_wheel *w, struct gw_timer *t, int64_t deadline_ms) {
    t->deadline_ms = deadline_ms > 0 ? deadline_ms : 1;
    if (t->pprev) {
        if (GW_LIKELY(t->slot_ms <= t->deadline_ms)) return;
        timer_unlink(t);
    }
    timer_link(w, t);
}

void gw_timer_cancel(struct gw_loop *l, struct gw_timer *t) {
    (void)l;
    if (t->pprev) timer_unlink(t);
    t->deadline_ms = 0;
}

// First millisecond of the earliest slot in use; its level in *ret_level. All timers of a level lie
// within the present slot of the level above, so the lowest level in use has the earliest one.
static int64_t earliest(const struct gw_wheel *w, int *ret_level) {
    for (int level = 0; level < GW_WHEEL_LEVELS; level++) {
        if (w->used[level] == 0) continue;
        unsigned shift = (unsigned)level * DIGIT_BITS;
        int64_t at = w->now_ms >> shift;
        unsigned turn = (unsigned)at & DIGIT_MASK;
        uint64_t ahead = w->used[level] >> turn | w->used[level] << (-turn & DIGIT_MASK);
        *ret_level = level;
        return (at + __builtin_ctzll(ahead)) << shift;
    }
    return INT64_MAX;
}

// Fires the timers of one slot or deals them out to lower levels.
static void run_slot(struct gw_wheel *w, int level, int64_t start_ms) {
    unsigned slot = (unsigned)(start_ms >> (level * DIGIT_BITS)) & DIGIT_MASK;
    struct gw_timer *due = w->slot[level][slot];
    w->slot[level][slot] = NULL;
    w->used[level] &= ~((uint64_t)1 << slot);
    w->now_ms = start_ms;
    if (due) due->pprev = &due; // so that a callback may cancel any of them

    while (due) {
        struct gw_timer *t = due;
        timer_unlink(t);
        if (t->deadline_ms <= w->now_ms) {
            t->deadline_ms = 0;
            t->fn(t);
        } else {
            timer_link(w, t);
        }
    }
}

void gw_wheel_advance(struct gw_wheel *w, int64_t now_ms) {
    for (;;) {
        int level = 0;
        int64_t start_ms = earliest(w, &level);
        if (start_ms > now_ms) {
            w->next_ms = start_ms;
            break;
        }
        run_slot(w, level, start_ms);
    }
    if (now_ms > w->now_ms) w->now_ms = now_ms;
}
