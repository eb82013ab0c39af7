// SPDX-License-Identifier: Apache-2.0
// Which events are worth a write: the same one again counts up, and each object has a budget. Pure
// but for its own memory; time is a parameter.
#ifndef CTL_STATUS_EVENT_BOOK_H
#define CTL_STATUS_EVENT_BOOK_H

#include "shared/map.h"

// Events that are remembered; beyond, the one that was silent longest is forgotten.
#define CTL_EVENT_BOOK_MAX 1024
// An event that comes again within this time is the same one.
#define CTL_EVENT_SAME_MS (10 * 60 * 1000)
// It is counted up in the API server at most so often.
#define CTL_EVENT_EVERY_MS (10 * 1000)
// New events of one object: so many at once, and one more in each such time.
#define CTL_EVENT_BURST 10
#define CTL_EVENT_REFILL_MS (60 * 1000)

enum ctl_event_verdict {
    CTL_EVENT_NEW,    // is to be created
    CTL_EVENT_AGAIN,  // is to be counted up
    CTL_EVENT_SILENT, // counted here; another time
    CTL_EVENT_DROP,   // the object's budget is spent
};

// One event as it is remembered.
struct ctl_event_entry {
    unsigned count;
    int64_t first_ms, last_ms, told_ms; // told: last write
    char name[96];                      // of the Event object, "" until the owner sets it
    int64_t first_real_s;               // the owner's
};

struct ctl_event_book {
    struct gw_map events;  // key -> struct ctl_event_entry *
    struct gw_map budgets; // object -> struct budget *
};
void ctl_event_book_fini(struct ctl_event_book *b);
// object names what it is about, key the event as a whole (object, reason and text). *ret_entry
// lives until the book changes; NULL with DROP.
enum ctl_event_verdict ctl_event_book_note(struct ctl_event_book *b, struct gw_str object,
                                           struct gw_str key, int64_t now_ms,
                                           struct ctl_event_entry **ret_entry);

#endif
