// SPDX-License-Identifier: Apache-2.0
// See event_book.h.
#include "controller/status/event_book.h"

#include <stdlib.h>

struct budget {
    unsigned left;
    int64_t since_ms; // of the last refill
};

void ctl_event_book_fini(struct ctl_event_book *b) {
    gw_map_fini(&b->events, free);
    gw_map_fini(&b->budgets, free);
}

// A full budget is as good as none.
static void sweep_budgets(struct ctl_event_book *b, int64_t now_ms) {
    size_t it = 0;
    struct gw_str key;
    void *value;
    while (gw_map_next(&b->budgets, &it, &key, &value)) {
        const struct budget *u = value;
        if (now_ms - u->since_ms >= (int64_t)CTL_EVENT_BURST * CTL_EVENT_REFILL_MS)
            free(gw_map_del(&b->budgets, key));
    }
}

static bool spend(struct ctl_event_book *b, struct gw_str object, int64_t now_ms) {
    struct budget *u = gw_map_get(&b->budgets, object);
    if (!u) {
        if (b->budgets.len >= CTL_EVENT_BOOK_MAX) sweep_budgets(b, now_ms);
        if (b->budgets.len >= CTL_EVENT_BOOK_MAX) return false;
        u = gw_alloc(sizeof(*u));
        *u = (struct budget){CTL_EVENT_BURST, now_ms};
        gw_map_put(&b->budgets, object, u);
    }
    int64_t more = (now_ms - u->since_ms) / CTL_EVENT_REFILL_MS;
    u->since_ms += more * CTL_EVENT_REFILL_MS;
    u->left = u->left + more > CTL_EVENT_BURST ? CTL_EVENT_BURST : u->left + (unsigned)more;
    if (u->left == 0) return false;
    if (u->left == CTL_EVENT_BURST) u->since_ms = now_ms;
    u->left--;
    return true;
}

static void forget_oldest(struct ctl_event_book *b) {
    size_t it = 0;
    struct gw_str key, oldest = {0};
    void *value;
    int64_t last_ms = INT64_MAX;
    while (gw_map_next(&b->events, &it, &key, &value)) {
        const struct ctl_event_entry *e = value;
        if (e->last_ms >= last_ms) continue;
        last_ms = e->last_ms;
        oldest = key;
    }
    free(gw_map_del(&b->events, oldest));
}

enum ctl_event_verdict ctl_event_book_note(struct ctl_event_book *b, struct gw_str object,
                                           struct gw_str key, int64_t now_ms,
                                           struct ctl_event_entry **ret_entry) {
    struct ctl_event_entry *e = gw_map_get(&b->events, key);
    *ret_entry = e;
    if (e && now_ms - e->last_ms < CTL_EVENT_SAME_MS) {
        e->count++;
        e->last_ms = now_ms;
        if (now_ms - e->told_ms < CTL_EVENT_EVERY_MS) return CTL_EVENT_SILENT;
        e->told_ms = now_ms;
        return CTL_EVENT_AGAIN;
    }
    *ret_entry = NULL;
    if (!spend(b, object, now_ms)) return CTL_EVENT_DROP;
    if (!e) {
        if (b->events.len >= CTL_EVENT_BOOK_MAX) forget_oldest(b);
        e = gw_alloc(sizeof(*e));
        gw_map_put(&b->events, key, e);
    }
    *e = (struct ctl_event_entry){
        .count = 1, .first_ms = now_ms, .last_ms = now_ms, .told_ms = now_ms};
    *ret_entry = e;
    return CTL_EVENT_NEW;
}
